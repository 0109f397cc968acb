"""Success on Meta-World's tasks, by its own flag.

An episode succeeds when the flag is set within 500 of Meta-World's steps, and ends then, as in the package's own
evaluation. Where objects and goals are is drawn by seeds that no demonstration has. Every policy meets the same
episodes.

::

    OUTPUT/results.json        the table, settings, versions; every episode's outcome
    OUTPUT/journal.jsonl       only while it runs: what an evaluation that is cut off goes on from
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from embodied.evaluation.episodes import EpisodeResult, GoalResult, Journal
from embodied.evaluation.evaluate import commit, versions
from embodied.evaluation.progress import EvaluationProgress
from embodied.files import write_atomically
from embodied.metaworld.drawing import CAMERAS
from embodied.metaworld.env import (
    ACTION_NAMES,
    EVALUATION,
    HORIZON,
    RATE_HZ,
    STATE_NAMES,
    MetaWorldConfig,
    MetaWorldVectorEnv,
    episode_seed,
)
from embodied.metaworld.errors import MetaWorldError
from embodied.metaworld.players import ExpertPlayer, Player, RandomPlayer
from embodied.metaworld.tasks import DEFAULT_TASKS, check_tasks
from embodied.training.run import StopRequest, stop_on_signals

EXPERT, RANDOM = "expert", "random"
CONFIDENCE = 0.95
RESULTS, JOURNAL = "results.json", "journal.jsonl"


@dataclass
class EvaluateConfig:
    """What is evaluated on what."""

    policy: str = field(default=EXPERT, metadata={"help": f"a run's or checkpoint's folder, or {EXPERT} or {RANDOM}"})
    output: str = field(default="runs/metaworld_eval", metadata={"help": "folder for the results"})
    tasks: list[str] = field(default_factory=lambda: list(DEFAULT_TASKS), metadata={"help": "names of tasks"})
    episodes: int = field(default=50, metadata={"help": "of each task"})
    seed: int = field(default=0, metadata={"help": "of the episodes, and of what the policy draws"})
    rows: int = field(default=8, metadata={"help": "episodes side by side"})
    execute: int = field(default=0, metadata={"help": "actions carried out of a chunk; 0: as in training"})
    memory: str = field(default="intact", metadata={"help": "intact, zero, shuffle or swap, see VlaPlayer"})
    shadows: bool = field(default=False, metadata={"help": "draw them, as the demonstrations were drawn"})
    device: str = field(default="cpu", metadata={"help": "where the policy computes"})
    torch_threads: int = field(default=0, metadata={"help": "of the CPU; 0: torch's choice"})

    def validate(self) -> None:
        """Raises MetaWorldError, naming the field, where a value cannot be right."""
        check_tasks(self.tasks)
        if len(set(self.tasks)) < len(self.tasks):
            raise MetaWorldError("tasks: one is named twice")
        for name in ("episodes", "rows"):
            if getattr(self, name) < 1:
                raise MetaWorldError(f"{name} must be at least 1, not {getattr(self, name)}")


@dataclass
class Contestant:
    """Who is evaluated: how to make the player, the environment that it needs, and what it is, for the record."""

    make: Callable[[MetaWorldVectorEnv], Player]
    env: MetaWorldConfig
    about: dict[str, Any]


def evaluate(
    config: EvaluateConfig, contestant: Contestant | None = None, console: Console | None = None
) -> dict[str, Any] | None:
    """Runs the episodes that are missing.

    Args:
        config: see `EvaluateConfig`.
        contestant: a policy of one's own; None: the one that `config.policy` names.

    Returns:
        What `results.json` holds; None if a signal stopped it.

    Raises:
        MetaWorldError: a setting is wrong, the policy is of another robot, or Meta-World cannot run here.
        CheckpointError, EncoderError: the policy cannot be loaded.
        FileError: the results cannot be written.
    """
    config.validate()
    contestant = contestant or find_contestant(config)
    folder = Path(config.output)
    settings = _settings(config, contestant)
    if (finished := _finished(folder, settings)) is not None:
        return finished
    started_s = time.monotonic()
    with contextlib.ExitStack() as stack:
        journal = Journal(folder / JOURNAL, settings, resume=True)
        stack.callback(journal.close)
        progress = stack.enter_context(EvaluationProgress(console))
        stop = stack.enter_context(stop_on_signals())
        env = stack.enter_context(contextlib.closing(MetaWorldVectorEnv(config.rows, contestant.env)))
        resumed = len(journal.results)
        total = len(config.tasks) * config.episodes
        progress.begin("Meta-World", total, resumed)
        if resumed < total:
            _run(config, env, contestant.make(env), journal, progress, stop)
        if stop:
            return None
        body = {
            **summarise(config, journal.results),
            "settings": settings,
            "versions": versions() | {name: importlib.metadata.version(name) for name in ("metaworld", "mujoco")},
            "commit": commit(),
            "wall_s": round(time.monotonic() - started_s, 1),
            "resumed": resumed,
        }
        write_atomically(folder / RESULTS, json.dumps(body, indent=1) + "\n")
        journal.remove()
    return body


def find_contestant(config: EvaluateConfig) -> Contestant:
    """The one that `config.policy` names. Raises as `evaluate`."""
    plain = MetaWorldConfig(shadows=config.shadows)
    if config.policy == EXPERT:
        return Contestant(ExpertPlayer, plain, {"policy": EXPERT})
    if config.policy == RANDOM:
        return Contestant(lambda env: RandomPlayer(env.rows), plain, {"policy": RANDOM})
    import torch

    from embodied.checkpoint import POLICY_FILE, load
    from embodied.player import VlaPlayer

    if config.torch_threads:
        torch.set_num_threads(config.torch_threads)
    path = Path(config.policy)
    checkpoint = load(path)
    env = _environment_of(checkpoint.meta.get("contract", {}), config)

    def make(env: MetaWorldVectorEnv) -> Player:
        return VlaPlayer(checkpoint.folder, env.rows, config.execute, config.seed, config.device, config.memory)

    about = {
        "policy": checkpoint.folder.name,
        "sha256": checkpoint.meta["files"][POLICY_FILE],
        "execute": config.execute,
        "memory": config.memory,
    }
    return Contestant(make, env, about)


def summarise(config: EvaluateConfig, results: dict[int, EpisodeResult]) -> dict[str, Any]:
    """Every task's success with its Wilson interval, and that of all tasks together.

    The latter takes all episodes as of one kind, which makes it a little wider than need be.
    """
    tasks = {}
    for number, task in enumerate(config.tasks):
        own = [results[number * config.episodes + index] for index in range(config.episodes)]
        steps = [episode.steps for episode in own if episode.success]
        outcomes = [int(episode.success) for episode in own]
        tasks[task] = {
            **interval(sum(outcomes), len(outcomes)),
            "steps_to_success": round(float(np.mean(steps)), 1) if steps else None,
            "outcomes": outcomes,
        }
    return {"all": interval(sum(task["successes"] for task in tasks.values()), len(results)), "tasks": tasks}


def interval(successes: int, episodes: int) -> dict[str, Any]:
    """A share with its 95 % interval (Wilson, 1927), which also holds where all or none succeed."""
    from scipy.stats import binomtest

    bounds = binomtest(successes, episodes).proportion_ci(CONFIDENCE, method="wilson")
    return {
        "success": successes / episodes,
        "low": float(bounds.low),
        "high": float(bounds.high),
        "successes": successes,
        "episodes": episodes,
    }


def print_table(body: dict[str, Any], console: Console | None = None) -> None:
    """The results, for people."""
    table = Table("task", "episodes", "success", "95 %", "actions to success", box=None)
    for name, task in (*body["tasks"].items(), ("all", body["all"])):
        bounds = f"{100 * task['low']:.0f} to {100 * task['high']:.0f} %"
        steps = task.get("steps_to_success")
        table.add_row(
            name, str(task["episodes"]), f"{100 * task['success']:.0f} %", bounds, "" if steps is None else str(steps)
        )
    (console or Console()).print(table)


def _run(
    config: EvaluateConfig,
    env: MetaWorldVectorEnv,
    player: Player,
    journal: Journal,
    progress: EvaluationProgress,
    stop: StopRequest,
) -> None:
    """Every row takes the next episode that is waiting when its own is over."""
    waiting = deque(
        (number * config.episodes + index, task, episode_seed(EVALUATION, task, index, config.seed))
        for number, task in enumerate(config.tasks)
        for index in range(config.episodes)
        if number * config.episodes + index not in journal.results
    )
    playing: dict[int, int] = {}
    seeds = np.zeros(env.rows, np.int64)
    while not stop:
        begins = np.zeros(env.rows, bool)
        for row in range(env.rows):
            if row not in playing and waiting:
                playing[row], task, seeds[row] = waiting.popleft()
                env.reset(row, task, int(seeds[row]))
                begins[row] = True
        if not playing:
            return
        if begins.any():
            player.reset(begins, seeds)
        pictures = env.draw(player.decides() & env.running)
        actions = player.act(pictures, env.state, env.instructions, env.times)
        env.step(actions)
        progress.stepped(len(playing))
        for row, index in list(playing.items()):
            if env[row].over:
                journal.add(_result(env, row, index))
                progress.advance()
                del playing[row]


def _result(env: MetaWorldVectorEnv, row: int, index: int) -> EpisodeResult:
    task, success, steps = env[row].task, float(env[row].success), env[row].steps
    goals = [GoalResult(category=task, success=success, steps=steps)]
    return EpisodeResult("", index, f"{task}/{index}", task, goals, steps=steps)


def _environment_of(contract: dict[str, Any], config: EvaluateConfig) -> MetaWorldConfig:
    """Pictures and rate as a policy was trained with. Raises MetaWorldError if it is of another robot."""
    cameras = contract.get("cameras", {})
    sizes = {tuple(size) for size in cameras.values()}
    fps, actions = contract.get("fps", 0), len(contract.get("action", {}).get("names", ()))
    for name in cameras:
        if name not in CAMERAS:
            raise MetaWorldError(f"{config.policy} looks at '{name}', and Meta-World has {', '.join(CAMERAS)}")
    if actions != len(ACTION_NAMES) or contract.get("state_size") not in (0, len(STATE_NAMES)):
        raise MetaWorldError(
            f"{config.policy} is of another robot: it takes {contract.get('state_size')} numbers of state and gives "
            f"{actions} of action; Meta-World has {len(STATE_NAMES)} and {len(ACTION_NAMES)}"
        )
    if len(sizes) != 1 or len(size := sizes.pop()) != 2 or size[0] != size[1] or not fps or RATE_HZ % fps:
        raise MetaWorldError(
            f"{config.policy} was not trained on pictures of Meta-World as recorded here: square ones of one size, "
            f"actions a second that divide {RATE_HZ}"
        )
    found = MetaWorldConfig(list(cameras), size[0], config.shadows, int(RATE_HZ // fps))
    found.validate()
    return found


def _settings(config: EvaluateConfig, contestant: Contestant) -> dict[str, Any]:
    """What decides the results."""
    names = ("tasks", "episodes", "seed")
    chosen = {name: getattr(config, name) for name in names}
    return {**chosen, "horizon": HORIZON, "env": asdict(contestant.env), **contestant.about}


def _finished(folder: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The results, if they are there. Raises MetaWorldError if the folder has an evaluation of other settings."""
    for name in (RESULTS, JOURNAL):
        if not (folder / name).exists():
            continue
        text = (folder / name).read_text(encoding="utf-8")
        try:
            body: dict[str, Any] = json.loads(text if name == RESULTS else text.split("\n", 1)[0])
            same = body["settings"] == settings
        except (ValueError, KeyError, TypeError) as error:
            raise MetaWorldError(f"output: {folder / name} is damaged ({error}); choose another folder") from error
        if not same:
            raise MetaWorldError(f"output: {folder} holds an evaluation of something else; choose another folder")
        return body if name == RESULTS else None
    return None


if __name__ == "__main__":
    from embodied.cli import main

    main(["metaworld", "evaluate", *sys.argv[1:]])
