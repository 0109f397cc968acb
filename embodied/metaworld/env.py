"""Meta-World from pictures and words: environments side by side, each with its task.

A policy is given what a robot with a camera has: pictures, the position of its hand and the opening of its gripper, and
an instruction. Where objects and goals are is not among it. Success is Meta-World's own flag.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from embodied.metaworld.drawing import CAMERAS, Drawing
from embodied.metaworld.errors import MetaWorldError
from embodied.metaworld.library import metaworld, mujoco
from embodied.metaworld.tasks import INSTRUCTIONS, check_tasks

STATE_NAMES = ("x", "y", "z", "opening")
ACTION_NAMES = ("dx", "dy", "dz", "gripper")
RATE_HZ = 80
"""Of Meta-World's own steps."""
HORIZON = 500
"""Meta-World's own steps in an episode, as published."""
TRAIN, EVALUATION = "train", "evaluation"


@dataclass
class MetaWorldConfig:
    """What an environment shows, and how often it is acted in."""

    cameras: list[str] = field(
        default_factory=lambda: ["corner2"], metadata={"help": f"which pictures: of {', '.join(CAMERAS)}"}
    )
    image_size: int = field(default=96, metadata={"help": "side of the square pictures, pixels"})
    shadows: bool = field(default=False, metadata={"help": "draw shadows as Meta-World does, five times slower"})
    repeat: int = field(
        default=2,
        metadata={"help": "Meta-World's steps (80 a second) for which an action is held; 1: none is repeated"},
    )

    @property
    def fps(self) -> int:
        """Actions a second."""
        return RATE_HZ // self.repeat

    def validate(self) -> None:
        """Raises MetaWorldError, naming the field, where a value cannot be right."""
        for name in self.cameras:
            if name not in CAMERAS:
                raise MetaWorldError(f"cameras: Meta-World has no camera '{name}'; it has {', '.join(CAMERAS)}")
        if not self.cameras or len(set(self.cameras)) < len(self.cameras):
            raise MetaWorldError("cameras: name one at least, and each once")
        if not 16 <= self.image_size <= 1024:
            raise MetaWorldError(f"image_size must be 16 to 1024 pixels, not {self.image_size}")
        if self.repeat < 1 or RATE_HZ % self.repeat:
            raise MetaWorldError(f"repeat must divide {RATE_HZ} (steps a second), and is {self.repeat}")


def episode_seed(split: str, task: str, index: int, seed: int = 0) -> int:
    """What decides where an episode's object and goal are. None of `TRAIN` is one of `EVALUATION`, whatever `seed`."""
    drawn = np.random.SeedSequence([seed, index, zlib.crc32(task.encode())]).generate_state(1)[0]
    return int(drawn >> 2) * 2 + (split == EVALUATION)


class MetaWorldEnv:
    """One environment of a task. Call `reset` first.

    Args:
        task: its name, like drawer-open-v3.
        config: see `MetaWorldConfig`.
        drawing: of another environment of this task, to share; None: one of its own.

    Raises:
        MetaWorldError: there is no such task; or Meta-World is not installed, or cannot draw.
    """

    def __init__(self, task: str, config: MetaWorldConfig | None = None, drawing: Drawing | None = None) -> None:
        check_tasks([task])
        self.task, self.instruction = task, INSTRUCTIONS[task]
        self.config = config or MetaWorldConfig()
        self.config.validate()
        env = metaworld("env_dict").ALL_V3_ENVIRONMENTS[task]()
        # By default Meta-World holds objects where a task of its lists puts them; these make it draw them by its seed.
        env.seeded_rand_vec, env._freeze_rand_vec, env._set_task_called = True, False, True
        env._partially_observable = False  # experts need the goal
        vars(env).pop("sawyer_observation_space", None)  # which was kept without the goal
        self._env: Any = env
        for name in self.config.cameras:
            position = CAMERAS[name].position
            if position is not None:
                env.model.camera(name).pos = position
        self._owns_drawing = drawing is None
        self.drawing = drawing or Drawing(env.model, self.config.cameras, self.config.image_size, self.config.shadows)
        self.observation = np.zeros(0)
        """float64 [39], what Meta-World observes, with objects and goal: for experts only."""
        self.steps = 0
        """Actions since the episode began."""
        self.success = False
        """Whether Meta-World's flag has been set in this episode."""

    def reset(self, seed: int) -> None:
        """Begins the episode of `seed`, which is the same whatever was before."""
        env, library = self._env, mujoco()
        env.seed(seed)
        env.reset()
        # Goals may have been moved since Meta-World last worked out where things are: without this, the first picture
        # and the first observation show the goal of the episode before.
        library.mj_forward(env.model, env.data)
        now = env._get_curr_obs_combined_no_goal()
        env._prev_obs = now
        self.observation = np.hstack((now, now, env._get_pos_goal()))
        self.steps, self.success = 0, False

    def step(self, action: np.ndarray) -> None:
        """Carries out an action: float32 [4], displacement of the hand (1 is 1 cm a step of Meta-World), gripper (-1
        opens, 1 closes), each in [-1, 1].

        Raises:
            MetaWorldError: the episode is over, or the action is not finite or not of 4 numbers.
        """
        action = np.asarray(action, np.float32)
        if action.shape != (len(ACTION_NAMES),) or not np.isfinite(action).all():
            raise MetaWorldError(f"an action is 4 finite numbers ({', '.join(ACTION_NAMES)}), not {action.tolist()}")
        if self.steps >= self.limit:
            raise MetaWorldError(f"{self.task}: the episode is over after {self.limit} actions: reset it")
        for _ in range(self.config.repeat):
            self.observation, _, _, truncated, info = self._env.step(np.clip(action, -1.0, 1.0))
            self.success |= bool(info["success"])
            if truncated:
                break
        self.steps += 1

    def draw(self) -> dict[str, np.ndarray]:
        """What the cameras see now: camera -> uint8 [size, size, 3], RGB."""
        return self.drawing.draw(self._env.model, self._env.data)

    @property
    def limit(self) -> int:
        """Actions after which an episode is over."""
        return -(-HORIZON // self.config.repeat)

    @property
    def over(self) -> bool:
        """Whether the episode has succeeded or taken as long as it may."""
        return self.success or self.steps >= self.limit

    @property
    def state(self) -> np.ndarray:
        """float32 [4]: the hand's position (m), and the gripper's opening (0 to 1)."""
        return self.observation[: len(STATE_NAMES)].astype(np.float32)

    @property
    def time_s(self) -> float:
        """Seconds since the episode began."""
        return self.steps / self.config.fps

    def keep_drawing(self) -> Drawing:
        """The drawing, for others to share: whoever takes it closes it."""
        self._owns_drawing = False
        return self.drawing

    def close(self) -> None:
        """Ends the environment; a drawing that it was given stays."""
        self._env.close()
        if self._owns_drawing:
            self.drawing.close()


class MetaWorldVectorEnv:
    """N rows, each an environment with a task that may change from episode to episode. They run in this process: a step
    takes less than a millisecond, and drawing is not made faster by others.

    Pictures are drawn when they are asked for, of the rows that they are asked of: a policy that carries out chunks
    looks where a chunk begins.

    Raises:
        MetaWorldError: the config is wrong, or Meta-World is not installed.
    """

    def __init__(self, rows: int, config: MetaWorldConfig | None = None) -> None:
        self.config = config or MetaWorldConfig()
        self.config.validate()
        if rows < 1:
            raise MetaWorldError(f"rows must be at least 1, not {rows}")
        self._envs: list[MetaWorldEnv | None] = [None] * rows
        self._drawings: dict[str, Drawing] = {}

    @property
    def rows(self) -> int:
        return len(self._envs)

    def reset(self, row: int, task: str, seed: int) -> None:
        """Begins an episode of `task` in `row`. Raises MetaWorldError if there is no such task."""
        env = self._envs[row]
        if env is None or env.task != task:
            self.release(row)
            self._envs[row] = env = MetaWorldEnv(task, self.config, self._drawings.get(task))
            self._drawings[task] = env.keep_drawing()
        env.reset(seed)

    def release(self, row: int) -> None:
        """Leaves `row` without an environment."""
        env, self._envs[row] = self._envs[row], None
        if env is not None:
            env.close()

    def step(self, actions: np.ndarray) -> None:
        """Carries out actions, float32 [N, 4], in the rows whose episode is not over; see `MetaWorldEnv.step`."""
        for action, env in zip(actions, self._envs, strict=True):
            if env is not None and not env.over:
                env.step(action)

    def draw(self, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """What the cameras see in `rows` (bool [N]; None: in all): camera -> uint8 [N, size, size, 3]; the others are
        black."""
        size = self.config.image_size
        pictures = {name: np.zeros((self.rows, size, size, 3), np.uint8) for name in self.config.cameras}
        for row, env in enumerate(self._envs):
            if env is not None and (rows is None or rows[row]):
                for name, picture in env.draw().items():
                    pictures[name][row] = picture
        return pictures

    def __getitem__(self, row: int) -> MetaWorldEnv:
        """The environment in `row`. Raises MetaWorldError where none has been begun."""
        env = self._envs[row]
        if env is None:
            raise MetaWorldError(f"row {row} has no episode: reset it first")
        return env

    @property
    def running(self) -> np.ndarray:
        """bool [N]: rows whose episode is not over."""
        return np.array([env is not None and not env.over for env in self._envs])

    @property
    def state(self) -> np.ndarray:
        """float32 [N, 4]; zeros in rows without an environment."""
        nothing = np.zeros(len(STATE_NAMES), np.float32)
        return np.stack([nothing if env is None else env.state for env in self._envs])

    @property
    def instructions(self) -> list[str]:
        """Of each row; a word in rows without an environment."""
        return ["wait" if env is None else env.instruction for env in self._envs]

    @property
    def times(self) -> np.ndarray:
        """float64 [N], seconds since each episode began."""
        return np.array([0.0 if env is None else env.time_s for env in self._envs])

    def close(self) -> None:
        for row in range(self.rows):
            self.release(row)
        for drawing in self._drawings.values():
            drawing.close()
        self._drawings.clear()
