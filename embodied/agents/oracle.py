"""The upper bound: the shortest path, from the simulator's own map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from embodied.agents.base import Baseline
from sim.config import SimConfig


class OracleAgent(Baseline):
    """Does what the task's `oracle_action` sensor says: it follows the shortest path to the nearest goal."""

    title: ClassVar[str] = "oracle"
    sensors: ClassVar[tuple[str, ...]] = ("oracle_action",)

    @classmethod
    def privileges(cls, config: SimConfig) -> str:
        return "knows the map and the goal's place"

    def act(self, observations: Mapping[str, np.ndarray]) -> np.ndarray:
        actions = np.asarray(observations["oracle_action"])
        return actions[:, 0].astype(np.int64) if self.actions.is_discrete else actions.astype(np.float32)
