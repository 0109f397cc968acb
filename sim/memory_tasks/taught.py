"""A memory task with a teacher beside it, who says at every step what it would do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from sim.memory_tasks.base import MemoryVectorEnv, Observations, ScriptedAgent

ORACLE_ACTION = "oracle_action"
"""As Habitat's tasks call it. It is a label: no policy reads it."""


class TaughtVectorEnv(VectorEnv):
    """`env` with one more observation, `oracle_action` int64 [n, 1]: what `teacher` would do, whoever drives.

    Args:
        env: the task.
        teacher: of the same environment.
        state: position to start from, as `state()` gave it; `env` was made from its `env`.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(self, env: MemoryVectorEnv, teacher: ScriptedAgent, state: Mapping[str, Any] | None = None) -> None:
        self.env, self._teacher = env, teacher
        self.num_envs, self.action_names, self.closed = env.num_envs, env.action_names, False
        last = len(env.action_names) - 1
        label = gym.spaces.Box(0, last, (1,), np.int64)
        spaces: dict[str, gym.Space[Any]] = {**env.observations.spaces, ORACLE_ACTION: label}
        self.single_observation_space = gym.spaces.Dict(spaces)
        self.single_action_space = env.single_action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = env.action_space
        self._labels: np.ndarray = np.zeros(self.num_envs, np.int64)
        self._is_restored = state is not None
        if state is not None:
            teacher.restore(state["teacher"])
            self._labels = np.array(state["labels"], np.int64)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        observations, infos = self.env.reset(seed=seed, options=options)
        if not (self._is_restored and seed is None):
            every = np.ones(self.num_envs, bool)
            self._labels = self._teacher.act(observations, every, np.zeros(self.num_envs, np.int64))
        self._is_restored = False
        return self._labelled(observations), infos

    def step_async(self, actions: Any) -> None:
        self._actions = np.asarray(actions)
        self.env.step_async(actions)

    def step_wait(self) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step_wait()
        self._labels = self._teacher.act(observations, terminated | truncated, self._actions)
        return self._labelled(observations), rewards, terminated, truncated, infos

    def step(self, actions: Any) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self.step_async(actions)
        return self.step_wait()

    def call(self, index: int, name: str, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        return self.env.call(index, name, **arguments)

    def state(self) -> dict[str, Any]:
        """The environment's, the teacher's memory, and what it said last. JSON."""
        return {"env": self.env.state(), "teacher": self._teacher.state(), "labels": self._labels.tolist()}

    def close_extras(self, **kwargs: Any) -> None:
        self.env.close()

    def _labelled(self, observations: Observations) -> Observations:
        return {**observations, ORACLE_ACTION: self._labels[:, None].copy()}
