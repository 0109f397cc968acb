"""Simulation speed: Engram's vector environment against bare habitat-sim and against habitat-lab's VectorEnv.

All three walk the same episodes in the same houses with the same actions, RGB and depth at 64 x 64, one process for
each of two environments, one after the other in rounds; a ratio is taken within a round and the median over rounds is
printed. Engram and habitat-lab run PointNav with its sensors, measures and rewards (habitat-lab's, without our oracle
sensor); the bare loop only acts and looks. Start-up is left out, scene changes are in. All three get what a worker of
ours sets for itself: one thread a process, Mesa's drawing included, without which the other two are slower.

Usage: python benchmarks/sim.py [--quick]
Last line: {"ratio_raw", "ratio_habitat_lab", "steps_per_s", ...}.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

# A script's folder comes first on the path, where this file would stand for the package `sim`.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

from sim.client import worker_environment  # noqa: E402
from sim.config import SimConfig  # noqa: E402
from sim.houses import HouseDatasetConfig, build_dataset  # noqa: E402
from sim.runtime import default_sim_python  # noqa: E402
from sim.vector_env import HabitatVectorEnv  # noqa: E402

NUM_ENVS = 2
STEPS_PER_EPISODE = 250
PEERS = Path(__file__).parent / "sim_peers.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two short rounds, under a minute")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=16, help="episodes of 250 steps for each environment and round")
    parser.add_argument("--data", default="data/benchmark", help="where the houses are kept")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rounds, episodes_per_env = (2, 6) if arguments.quick else (arguments.rounds, arguments.episodes)

    root = build_dataset(HouseDatasetConfig(out=arguments.data, train=6, val=0, test=0, objectnav=0, ext_objectnav=0))
    console = Console(stderr=False)
    with tempfile.TemporaryDirectory() as folder:
        spec = make_spec(root, Path(folder), episodes_per_env, arguments.seed)
        warm_up(spec)
        table = Table("round", "bare habitat-sim", "Engram", "habitat-lab VectorEnv", "of bare", "of habitat-lab")
        results = []
        for index in range(rounds):
            bare, engram, lab = peer("bare", spec), measure_engram(spec), peer("lab", spec)
            results.append((bare, engram, lab))
            speeds = (f"{speed:,.0f} steps/s" for speed in (bare, engram, lab))
            table.add_row(str(index + 1), *speeds, f"{engram / bare:.2f}", f"{engram / lab:.2f}")
        console.print(table)
    figures = {
        "ratio_raw": statistics.median(engram / bare for bare, engram, _ in results),
        "ratio_habitat_lab": statistics.median(engram / lab for _, engram, lab in results),
        "steps_per_s": statistics.median(engram for _, engram, _ in results),
        "steps_per_s_raw": statistics.median(bare for bare, _, _ in results),
        "steps_per_s_habitat_lab": statistics.median(lab for _, _, lab in results),
        "rounds": rounds,
        "num_envs": NUM_ENVS,
        "seed": arguments.seed,
    }
    print(json.dumps({key: round(value, 3) for key, value in figures.items()}))


def make_spec(root: Path, folder: Path, episodes_per_env: int, seed: int) -> dict[str, Any]:
    """The episodes to walk, two of each house in a row for each environment, as all three get them."""
    with gzip.open(root / "episodes" / "pointnav_train.json.gz", "rt") as file:
        data = json.load(file)
    by_scene: dict[str, list[Any]] = {}
    for episode in data["episodes"]:
        by_scene.setdefault(episode["scene_id"], []).append(episode)
    chosen = []
    for k in range(episodes_per_env * NUM_ENVS):
        scene = list(by_scene)[(k // (2 * NUM_ENVS)) % len(by_scene)]
        chosen.append(by_scene[scene][k % len(by_scene[scene])])
    path = folder / "pointnav_benchmark.json.gz"
    with gzip.open(path, "wt") as file:
        json.dump({**data, "episodes": chosen}, file)
    config = SimConfig(
        task="pointnav",
        episodes=str(path),
        scenes_dir=str(root),
        num_envs=NUM_ENVS,
        order="sequential",
        seed=seed,
        overrides=[
            "~habitat.task.lab_sensors.oracle_action",
            f"habitat.environment.max_episode_steps={STEPS_PER_EPISODE}",
            "habitat.environment.iterator_options.shuffle=False",
        ],
    )
    spec = {
        "episodes": str(path),
        "num_envs": NUM_ENVS,
        "episodes_per_env": episodes_per_env,
        "steps_per_episode": STEPS_PER_EPISODE,
        "image_size": config.image_size,
        "seed": seed,
        "scene_dataset": str(next(root.glob("*.scene_dataset_config.json")).absolute()),
        "scenes": {scene: str((root / scene).absolute()) for scene in by_scene},
        "python": str(default_sim_python()),
        "lab_config": config.lab_config(),
        "overrides": config.lab_overrides(),
        "config": config,
        "root": root,
    }
    return spec


def warm_up(spec: dict[str, Any]) -> None:
    """Opens every house once: its navmesh then lies beside it for all three, and its files are in the disk's cache."""
    measure_engram({**spec, "steps_per_episode": 1})
    spec["navmeshes"] = {
        scene: str(next((spec["root"] / "navmeshes").glob(Path(scene).name.split(".")[0] + "_*")).absolute())
        for scene in spec["scenes"]
    }


def measure_engram(spec: dict[str, Any]) -> float:
    config: SimConfig = spec["config"]
    env = HabitatVectorEnv(config)
    generators = [np.random.default_rng([spec["seed"], rank]) for rank in range(NUM_ENVS)]
    shape = (spec["episodes_per_env"], STEPS_PER_EPISODE)
    plans = np.stack(
        [g.choice([1, 1, 2, 3], size=shape)[:, : spec["steps_per_episode"]].reshape(-1) for g in generators]
    )
    env.reset()
    start = time.perf_counter()
    for actions in plans.T:
        env.step(actions)
        if spec["steps_per_episode"] == 1:
            env.reset()
    seconds = time.perf_counter() - start
    env.close()
    return plans.size / seconds


def peer(name: str, spec: dict[str, Any]) -> float:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({key: value for key, value in spec.items() if key not in ("config", "root")}, file)
        file.flush()
        command = [str(default_sim_python()), str(PEERS), name, file.name]
        done = subprocess.run(command, env=worker_environment(), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name}: {done.stderr[-3000:]}")
    return float(json.loads(done.stdout.strip().splitlines()[-1])["steps_per_s"])


if __name__ == "__main__":
    main()
