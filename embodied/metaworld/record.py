"""Records demonstrations of Meta-World's scripted experts, as one LeRobot data set.

What is executed is the expert's action and some noise, what is recorded is the expert's action: the demonstrations show
how to get back from where mistakes lead (Laskey et al., CoRL 2017). Only episodes that succeed are kept, and each ends
a few actions after its success. A recording that was cut off goes on with the episodes that are missing.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from embodied.config import ConfigError
from embodied.data import DataError, DemonstrationSet, Recorder
from embodied.evaluation.progress import EvaluationProgress
from embodied.metaworld.env import ACTION_NAMES, STATE_NAMES, TRAIN, MetaWorldConfig, MetaWorldEnv, episode_seed
from embodied.metaworld.errors import MetaWorldError
from embodied.metaworld.players import expert, expert_action
from embodied.metaworld.tasks import DEFAULT_TASKS, check_tasks
from embodied.training.run import StopRequest, stop_on_signals

_MOVES = 3
"""The first numbers of an action are displacements; noise goes to these."""
_AFTER_SUCCESS = 4
"""Actions that are recorded after Meta-World's flag is set."""
_TRIES = 3
"""Episodes that are tried for one that is to be kept, at most, on average."""


@dataclass
class RecordConfig:
    """Demonstrations by Meta-World's scripted experts."""

    output: str = field(default="data/metaworld", metadata={"help": "folder of the data set, new or to go on with"})
    tasks: list[str] = field(default_factory=lambda: list(DEFAULT_TASKS), metadata={"help": "names, as drawer-open-v3"})
    episodes: int = field(default=50, metadata={"help": "of each task, that succeed"})
    noise: float = field(
        default=0.3, metadata={"help": "standard deviation of what is added to executed displacements; 0: none"}
    )
    seed: int = field(default=0, metadata={"help": "of episodes and noise"})
    images: bool = field(default=False, metadata={"help": "store lossless pictures in place of videos"})
    env: MetaWorldConfig = field(default_factory=MetaWorldConfig, metadata={"help": "pictures and rate"})

    def validate(self) -> None:
        """Raises MetaWorldError, naming the field, where a value cannot be right."""
        check_tasks(self.tasks)
        self.env.validate()
        if self.episodes < 1:
            raise MetaWorldError(f"episodes must be at least 1, not {self.episodes}")
        if self.noise < 0.0:
            raise MetaWorldError(f"noise must not be negative, and is {self.noise}")


def record(config: RecordConfig, console: Console | None = None) -> tuple[Path, bool]:
    """Records what is missing.

    Returns:
        The data set's folder, and whether it is complete; not if a signal stopped it.

    Raises:
        MetaWorldError: a setting is wrong, an expert fails too often, or Meta-World cannot run here.
        ConfigError: the folder holds another data set.
        DataError, FileError: the data set cannot be written.
    """
    config.validate()
    root = Path(config.output)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(EvaluationProgress(console))
        stop = stack.enter_context(stop_on_signals())
        recorder = stack.enter_context(_opened(config, root))
        kept, following = _recorded(config, root, recorder)
        for task in config.tasks:
            missing = config.episodes - kept[task]
            progress.begin(task, config.episodes, min(kept[task], config.episodes))
            if missing > 0 and not stop:
                _record_task(config, task, following[task], missing, recorder, progress, stop)
        return root, not stop


def _record_task(
    config: RecordConfig,
    task: str,
    first: int,
    missing: int,
    recorder: Recorder,
    progress: EvaluationProgress,
    stop: StopRequest,
) -> None:
    with contextlib.closing(MetaWorldEnv(task, config.env)) as env:
        for index in range(first, first + _TRIES * config.episodes):
            if missing == 0 or stop:
                return
            seed = episode_seed(TRAIN, task, index, config.seed)
            for _ in _actions(env, seed, config.noise):
                pass  # a rehearsal, for drawing takes twenty times as long, and an episode that fails is not kept
            if not env.success:
                continue
            for action in _actions(env, seed, config.noise):
                recorder.add(env.draw(), env.state, action, env.instruction)
                progress.stepped(1)
                if stop:
                    return
            facts = {"task": task, "index": index, "seed": seed, "recorded_with": _fingerprint(config)}
            recorder.save_episode(success=True, facts=facts)
            missing -= 1
            progress.advance()
    if missing:
        raise MetaWorldError(f"the expert of {task} fails too often: {missing} episodes lack; use less noise")


def _actions(env: MetaWorldEnv, seed: int, noise: float) -> Iterator[np.ndarray]:
    """Plays the expert through an episode; its actions, each before it is executed."""
    env.reset(seed)
    policy, generator = expert(env.task), np.random.default_rng(seed)
    after = 0
    while env.steps < env.limit and after <= _AFTER_SUCCESS:
        action = expert_action(policy, env.observation)
        yield action
        executed = action.copy()
        executed[:_MOVES] += noise * generator.standard_normal(_MOVES)
        env.step(executed)
        after += env.success


def _fingerprint(config: RecordConfig) -> dict[str, Any]:
    """Settings that all episodes of a data set share."""
    return {"seed": config.seed, "noise": config.noise, "shadows": config.env.shadows, "repeat": config.env.repeat}


def _opened(config: RecordConfig, root: Path) -> Recorder:
    size = config.env.image_size
    if root.exists() and any(root.iterdir()):
        return Recorder.open(root)
    cameras = dict.fromkeys(config.env.cameras, (size, size))
    return Recorder.create(
        root, config.env.fps, cameras, STATE_NAMES, ACTION_NAMES, robot="metaworld sawyer", images=config.images
    )


def _recorded(config: RecordConfig, root: Path, recorder: Recorder) -> tuple[Counter[str], Counter[str]]:
    """Of what is there: episodes of each task, and the index of the one that follows."""
    kept: Counter[str] = Counter()
    following: Counter[str] = Counter()
    if not recorder.episodes:
        return kept, following
    recorder.commit()
    try:
        with contextlib.closing(DemonstrationSet.open(root)) as data:
            facts = [episode.facts for episode in data.episodes.values()]
            cameras = data.cameras
    except DataError as error:
        raise ConfigError(f"output: {error}") from error
    size = config.env.image_size
    wanted = dict.fromkeys(config.env.cameras, (size, size))
    for fact in facts:
        if fact.get("recorded_with") != _fingerprint(config) or cameras != wanted:
            raise ConfigError(
                f"output: {root} holds a data set that was recorded otherwise (seed, noise, pictures or rate); choose "
                "another folder"
            )
        kept[fact["task"]] += 1
        following[fact["task"]] = max(following[fact["task"]], fact["index"] + 1)
    return kept, following


if __name__ == "__main__":
    from embodied.cli import main

    main(["metaworld", "record", *sys.argv[1:]])
