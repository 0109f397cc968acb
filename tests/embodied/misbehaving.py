"""Agents that break something on purpose, for tests of the evaluation. Registered by the tests alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from embodied.agents.base import AgentEnv
from embodied.agents.random_walk import RandomAgent


class KillingAgent(RandomAgent):
    """Kills (SIGKILL) the worker of row 0 in the midst of chosen episodes."""

    title: ClassVar[str] = "killing"
    kills: ClassVar[dict[int, int]] = {}
    """Episode -> how many more times."""

    def __init__(self, env: AgentEnv, seed: int = 0) -> None:
        super().__init__(env, seed)
        self._env = env
        self._steps = np.zeros(env.num_envs, int)
        self._episodes = np.full(env.num_envs, -1)

    def seed(self, rows: np.ndarray, seeds: np.ndarray) -> None:
        super().seed(rows, seeds)
        self._episodes[rows] = seeds[rows]
        self._steps[rows] = 0

    def act(self, observations: Mapping[str, np.ndarray]) -> np.ndarray:
        self._steps += 1
        episode = int(self._episodes[0])
        if self._steps[0] == 5 and self.kills.get(episode, 0):
            self.kills[episode] -= 1
            os.kill(self._env.pids[0], signal.SIGKILL)  # type: ignore[attr-defined]
        return super().act(observations)


class InterruptedAgent(RandomAgent):
    """The user presses Ctrl-C when it begins its `after`-th episode, once."""

    title: ClassVar[str] = "interrupted"
    after: ClassVar[int] = 4
    begun: ClassVar[list[int]] = []

    def seed(self, rows: np.ndarray, seeds: np.ndarray) -> None:
        super().seed(rows, seeds)
        type(self).begun.extend(int(seed) for seed in seeds[rows])
        if len(type(self).begun) == self.after:
            raise KeyboardInterrupt
