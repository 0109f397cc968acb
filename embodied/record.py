"""Records demonstrations of the tabletop tasks from their scripted experts, as one LeRobot data set.

What is executed is the expert's action and some noise, what is recorded is the expert's action: the demonstrations show
how to get back from where mistakes lead (Laskey et al., CoRL 2017). Episodes that fail are not kept. A recording that
was cut off goes on with the episodes that are missing.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from embodied.agents.expert import EXPERT
from embodied.config import ConfigError
from embodied.data import DemonstrationSet, Recorder
from embodied.data.errors import DataError
from embodied.evaluation.progress import EvaluationProgress
from embodied.training.run import stop_on_signals
from sim.config import MANIPULATION_TASKS, SimConfig
from sim.manipulation import write_episodes
from sim.vector_env import HabitatVectorEnv

CAMERA = "rgb"
FPS = 10
STATE_NAMES = ["x", "y", "z", "qx", "qy", "qz", "qw", "opening"]
ACTION_NAMES = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"]
_MOVES = 3
"""The first numbers of an action are displacements; noise goes to these."""


@dataclass
class RecordConfig:
    """Demonstrations by the scripted experts."""

    output: str = field(
        default="data/demonstrations", metadata={"help": "folder of the data set, new or to go on with"}
    )
    tasks: list[str] = field(
        default_factory=lambda: list(MANIPULATION_TASKS),
        metadata={"help": f"of {', '.join(MANIPULATION_TASKS)}, also with _visible"},
    )
    episodes: int = field(default=100, metadata={"help": "of each task, drawn; those that fail are left out"})
    noise: float = field(
        default=0.3, metadata={"help": "standard deviation of what is added to executed displacements"}
    )
    seed: int = field(default=0, metadata={"help": "of episodes and noise"})
    worlds: str = field(default="data/manipulation", metadata={"help": "folder for the table, objects, episode files"})
    images: bool = field(default=False, metadata={"help": "store lossless pictures in place of videos"})
    sim: SimConfig = field(default_factory=SimConfig, metadata={"help": "simulators; task and episodes are filled in"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        known = [name + suffix for name in MANIPULATION_TASKS for suffix in ("", "_visible")]
        for task in self.tasks:
            if task not in known:
                raise ValueError(f"tasks: no task '{task}' with an expert; choose of {', '.join(known)}")
        if not self.tasks or self.episodes < 1:
            raise ValueError("tasks and episodes: name a task at least, and an episode")
        if self.noise < 0.0:
            raise ValueError(f"noise must not be negative, and is {self.noise}")


def record(config: RecordConfig, console: Console | None = None) -> tuple[Path, bool]:
    """Records what is missing.

    Returns:
        The data set's folder, and whether it is complete; not if a signal stopped it.

    Raises:
        ConfigError: the folder holds another data set.
        DataError, FileError: the data set cannot be written.
        SimulatorError: the simulator cannot run a task.
    """
    config.validate()
    root = Path(config.output)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(EvaluationProgress(console))
        stop = stack.enter_context(stop_on_signals())
        recorder = stack.enter_context(_opened(config, root))
        done = _recorded(root, recorder)
        for task in config.tasks:
            missing = [index for index in range(config.episodes) if (task, index) not in done]
            progress.begin(task, config.episodes, config.episodes - len(missing))
            if missing:
                _record_task(config, task, missing, recorder, progress, stop)
            if stop:
                break
        return root, not stop


def _record_task(
    config: RecordConfig, task: str, missing: list[int], recorder: Recorder, progress: EvaluationProgress, stop: Any
) -> None:
    base = task.removesuffix("_visible")  # a twin runs the same episodes
    path = write_episodes(config.worlds, base, "train", config.episodes, config.seed)
    num_envs = min(config.sim.num_envs, len(missing))
    sim = replace(config.sim, task=task, episodes=str(path), order="sequential", seed=config.seed, num_envs=num_envs)
    with contextlib.closing(HabitatVectorEnv(sim)) as env:
        left = set(missing)
        first = [next((i for i in missing if i % num_envs == row), row) // num_envs for row in range(num_envs)]
        observations, infos = env.reset(options={"counts": first})
        episodes: list[list[tuple[np.ndarray, ...]]] = [[] for _ in range(num_envs)]
        generators = [_generator(config, task, infos["episode"][row]["index"]) for row in range(num_envs)]
        while left and not stop:
            expert = np.clip(observations[EXPERT], -1.0, 1.0)
            executed = expert.copy()
            for row in range(num_envs):
                episodes[row].append((observations[CAMERA][row], observations["state"][row].copy(), expert[row].copy()))
                if executed[row, :_MOVES].any():  # where the expert waits, it waits
                    executed[row, :_MOVES] += config.noise * generators[row].standard_normal(_MOVES)
            before = [dict(episode) for episode in infos["episode"]]
            observations, _, terminated, truncated, infos = env.step(np.clip(executed, -1.0, 1.0))
            progress.stepped(num_envs)
            for row in np.flatnonzero(terminated | truncated):
                final, index = infos["final_info"][row], before[row]["index"]
                if index in left and not final["worker_restarted"]:
                    left.remove(index)
                    _save(recorder, task, index, before[row]["instruction"], episodes[row], final["metrics"]["success"])
                    progress.advance()
                episodes[row] = []
                generators[row] = _generator(config, task, infos["episode"][row]["index"])


def _save(
    recorder: Recorder,
    task: str,
    index: int,
    instruction: str,
    episode: list[tuple[np.ndarray, ...]],
    success: float,
) -> None:
    if not success:
        return
    for picture, state, action in episode:
        recorder.add({CAMERA: picture}, state, action, instruction)
    recorder.save_episode(success=True, facts={"task": task, "episode": index})


def _generator(config: RecordConfig, task: str, index: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, index, *task.encode()])


def _opened(config: RecordConfig, root: Path) -> Recorder:
    size = config.sim.image_size
    if root.exists() and any(root.iterdir()):
        return Recorder.open(root)
    cameras = {CAMERA: (size, size)}
    return Recorder.create(root, FPS, cameras, STATE_NAMES, ACTION_NAMES, robot="tabletop", images=config.images)


def _recorded(root: Path, recorder: Recorder) -> set[tuple[str, int]]:
    """(task, episode) of what is there."""
    if not recorder.episodes:
        return set()
    recorder.commit()
    try:
        found = [episode.facts for episode in DemonstrationSet.open(root).episodes.values()]
        return {(facts["task"], facts["episode"]) for facts in found}
    except KeyError:
        raise ConfigError(f"output: {root} holds a data set that was not recorded here; choose another") from None
    except DataError as error:
        raise ConfigError(f"output: {error}") from error
