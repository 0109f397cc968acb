"""The chance level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from embodied.agents.base import POINT_GOAL, STOP, AgentEnv, Baseline, describe_robot


class RandomAgent(Baseline):
    """Moves at random; stops where PointNav's sensor says that the goal is reached, else with a small chance at every
    step.

    The first rule is that of habitat-lab's own random baseline. Without it a uniform choice among four actions would
    stop after four steps, and every policy that merely walks would look clever beside it.

    Args:
        stop_probability: of ending the search at a step, where no sensor tells the distance to the goal.
    """

    title: ClassVar[str] = "random"

    def __init__(self, env: AgentEnv, seed: int = 0, stop_probability: float = 0.02) -> None:
        super().__init__(env, seed)
        self._stop_probability = stop_probability
        self._success_distance_m = float(describe_robot(env)["success_distance_m"]) if self.has(POINT_GOAL) else 0.0
        self._generators = [np.random.default_rng([seed, row]) for row in range(self.num_envs)]

    def seed(self, rows: np.ndarray, seeds: np.ndarray) -> None:
        for row in np.flatnonzero(rows):
            self._generators[row] = np.random.default_rng([self._seed, int(seeds[row])])

    def act(self, observations: Mapping[str, np.ndarray]) -> np.ndarray:
        if self.has(POINT_GOAL):
            stops = observations[POINT_GOAL][:, 0] < self._success_distance_m
        else:
            stops = np.array([generator.random() < self._stop_probability for generator in self._generators])
        return self.actions.stack(
            [
                self.actions.stop() if stop else self._move(rng)
                for stop, rng in zip(stops, self._generators, strict=True)
            ]
        )

    def _move(self, generator: np.random.Generator) -> int | np.ndarray:
        if self.actions.is_discrete:
            moves = [index for index, name in enumerate(self.actions.names) if name != STOP]
            return moves[generator.integers(len(moves))]
        return generator.uniform(-1.0, 1.0, size=2).astype(np.float32)
