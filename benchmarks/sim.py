"""Simulation speed: Engram's vector environment against bare habitat-sim and against habitat-lab's VectorEnv.

All three walk the same episodes in the same houses with the same actions, RGB and depth at 64 x 64, one process for
each of two environments. They take turns house by house (two episodes of 250 steps in each environment), because the
speed of a shared machine changes from one second to the next; a ratio is taken within a turn and the median over turns
is printed. Bare habitat-sim's two processes do not wait for each other; against it stands the vector environment's
pipeline (`send`, `receive`), and, told beside it, its `step`, in which all wait for the slowest. Against
habitat-lab's `step` stands ours. Engram and habitat-lab run PointNav with its sensors, measures and rewards, without
our oracle sensor; the bare loop only acts and looks. Start-up is left out, scene changes are in.

The bare loop runs twice: as anyone would write it, and `tuned`, with what a worker of ours sets for itself: one thread
a process, Mesa's drawing included. habitat-lab gets that too; without it both are slower.

Usage: python benchmarks/sim.py [--quick]
Last line: {"ratio_raw", "ratio_raw_tuned", "ratio_habitat_lab", "steps_per_s", ...}.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

# A script's folder comes first on the path, where this file would stand for the package `sim`.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

from sim.client import ONE_CORE, worker_environment  # noqa: E402
from sim.config import SimConfig  # noqa: E402
from sim.houses import HouseDatasetConfig, build_dataset  # noqa: E402
from sim.runtime import default_sim_python  # noqa: E402
from sim.vector_env import HabitatVectorEnv  # noqa: E402

NUM_ENVS = 2
STEPS_PER_EPISODE = 250
EPISODES_PER_TURN = 2
PEERS = Path(__file__).parent / "sim_peers.py"
ANSWER = "engram-benchmark:"
"""What the other sides' answers begin with; libraries print other lines."""

Walk = Callable[[], float]
"""Walks the next house, and returns the seconds that it took."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="eight turns, about a minute")
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--data", default="data/benchmark", help="where the houses are kept")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    turns = 8 if arguments.quick else arguments.turns

    root = build_dataset(HouseDatasetConfig(out=arguments.data, train=6, val=0, test=0, objectnav=0, ext_objectnav=0))
    console = Console(stderr=False)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        # One turn more than is measured: the first finds everything cold.
        spec = make_spec(root, Path(folder), (turns + 1) * EPISODES_PER_TURN, arguments.seed)
        warm_up(spec)
        sides = {
            "bare": peer("bare", spec, stack, tuned=False),
            "tuned": peer("bare", spec, stack),
            "pipelined": engram(spec, stack, pipelined=True),
            "step": engram(spec, stack, pipelined=False),
            "lab": peer("lab", spec, stack),
        }
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for turn in track(range(turns + 1), "turns", transient=True):
            names = list(sides)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                seconds[name].append(sides[name]())
    steps = NUM_ENVS * EPISODES_PER_TURN * STEPS_PER_EPISODE
    speeds = {name: [steps / each for each in taken[1:]] for name, taken in seconds.items()}
    ratios = {
        "ratio_raw": ("pipelined", "bare"),
        "ratio_raw_tuned": ("pipelined", "tuned"),
        "ratio_raw_step": ("step", "bare"),
        "ratio_habitat_lab": ("step", "lab"),
    }
    by_turn = {key: np.divide(speeds[ours], speeds[theirs]) for key, (ours, theirs) in ratios.items()}
    table = Table("", *speeds, "pipelined / bare", "pipelined / tuned", "step / bare", "step / lab")
    for title, share in (("slowest tenth", 0.1), ("median", 0.5), ("fastest tenth", 0.9)):
        row = [f"{np.quantile(speed, share):,.0f}/s" for speed in speeds.values()]
        table.add_row(title, *row, *(f"{np.quantile(ratio, share):.2f}" for ratio in by_turn.values()))
    console.print(table)
    figures = {
        **{key: float(np.median(ratio)) for key, ratio in by_turn.items()},
        "steps_per_s": float(np.median(speeds["pipelined"])),
        "steps_per_s_step": float(np.median(speeds["step"])),
        "steps_per_s_raw": float(np.median(speeds["bare"])),
        "steps_per_s_raw_tuned": float(np.median(speeds["tuned"])),
        "steps_per_s_habitat_lab": float(np.median(speeds["lab"])),
        "turns": turns,
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
        "episodes_per_turn": EPISODES_PER_TURN,
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
    with contextlib.closing(HabitatVectorEnv(spec["config"])) as env:
        for count in range(0, EPISODES_PER_TURN * len(spec["scenes"]), EPISODES_PER_TURN):
            env.reset(options={"counts": [count % spec["episodes_per_env"]] * NUM_ENVS})
    spec["navmeshes"] = {
        scene: str(next((spec["root"] / "navmeshes").glob(Path(scene).name.split(".")[0] + "_*")).absolute())
        for scene in spec["scenes"]
    }


def engram(spec: dict[str, Any], stack: contextlib.ExitStack, pipelined: bool) -> Walk:
    env = stack.enter_context(contextlib.closing(HabitatVectorEnv(spec["config"])))
    generators = [np.random.default_rng([spec["seed"], rank]) for rank in range(NUM_ENVS)]
    shape = (spec["episodes_per_env"], STEPS_PER_EPISODE)
    plans = np.stack([generator.choice([1, 1, 2, 3], size=shape).reshape(-1) for generator in generators])
    turns = iter(np.split(plans, spec["episodes_per_env"] // EPISODES_PER_TURN, axis=1))
    env.reset()

    def in_steps(plan: np.ndarray) -> None:
        for actions in plan.T:
            env.step(actions)

    def in_a_pipeline(plan: np.ndarray) -> None:
        left = [iter(actions) for actions in plan]
        env.send([next(actions) for actions in left])
        under_way = NUM_ENVS
        while under_way:
            for row in env.receive()[0]:
                action = next(left[row], None)
                if action is None:
                    under_way -= 1
                else:
                    env.send([action], [row])

    def walk() -> float:
        plan = next(turns)
        start = time.perf_counter()
        (in_a_pipeline if pipelined else in_steps)(plan)
        return time.perf_counter() - start

    return walk


def peer(name: str, spec: dict[str, Any], stack: contextlib.ExitStack, tuned: bool = True) -> Walk:
    """Another side, in a process of its own (`sim_peers.py`); `tuned`: with the threads that a worker of ours has."""
    environment = worker_environment()
    if not tuned:
        environment = {key: value for key, value in environment.items() if key not in ONE_CORE or key in os.environ}
    file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".json"))  # noqa: SIM115
    json.dump({key: value for key, value in spec.items() if key not in ("config", "root")}, file)
    file.flush()
    log = stack.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115
    process = subprocess.Popen(
        [str(default_sim_python()), str(PEERS), name, file.name],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    stack.callback(process.kill)
    assert process.stdin is not None
    assert process.stdout is not None
    requests, answers = process.stdin, process.stdout

    def answer() -> str:
        for line in answers:
            if line.startswith(ANSWER):
                return line.removeprefix(ANSWER)
        log.seek(0)
        sys.exit(f"{name}: {log.read()[-3000:]}")

    def walk() -> float:
        requests.write("go\n")
        requests.flush()
        return float(answer())

    answer()
    return walk


if __name__ == "__main__":
    main()
