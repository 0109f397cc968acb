"""Straight ahead: how far the episodes let an agent get that never turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from embodied.agents.base import POINT_GOAL, AgentEnv, Baseline, describe_robot

_STANDING_M = 0.01


class ForwardOnlyAgent(Baseline):
    """Drives straight ahead; stops where PointNav's sensor says the goal is reached, or when something holds it."""

    title: ClassVar[str] = "forward only"
    sensors: ClassVar[tuple[str, ...]] = ("gps",)

    def __init__(self, env: AgentEnv, seed: int = 0) -> None:
        super().__init__(env, seed)
        self._success_distance_m = float(describe_robot(env)["success_distance_m"]) if self.has(POINT_GOAL) else 0.0
        self._last_position_m: np.ndarray = np.full((self.num_envs, 2), np.nan)

    def reset(self, rows: np.ndarray) -> None:
        self._last_position_m[rows] = np.nan

    def act(self, observations: Mapping[str, np.ndarray]) -> np.ndarray:
        position_m = np.asarray(observations["gps"], dtype=np.float64)[:, :2]
        moved_m = np.linalg.norm(position_m - self._last_position_m, axis=1)
        stops = moved_m < _STANDING_M  # false where there is no last position yet: NaN compares false
        if self.has(POINT_GOAL):
            stops |= observations[POINT_GOAL][:, 0] < self._success_distance_m
        self._last_position_m = position_m
        # A goal of ExtObjectNav ends with a stop, and the next begins on the same spot: that is not being held.
        self._last_position_m[stops] = np.nan
        return self.actions.stack([self.actions.stop() if stop else self.actions.forward() for stop in stops])
