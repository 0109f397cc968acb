"""The scripted expert of the tabletop tasks, which knows their state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from embodied.agents.base import AgentEnv, AgentError
from sim.config import SimConfig

EXPERT = "expert_action"


class ExpertAgent:
    """Does what the simulator says that the expert would do."""

    title: ClassVar[str] = "scripted expert"
    sensors: ClassVar[tuple[str, ...]] = (EXPERT,)

    def __init__(self, env: AgentEnv, seed: int = 0) -> None:
        if EXPERT not in env.single_observation_space.spaces:
            raise AgentError(f"the expert needs the sensor {EXPERT}, which the tabletop tasks have")

    @classmethod
    def privileges(cls, config: SimConfig) -> str:
        return "knows the task's state"

    def reset(self, rows: np.ndarray) -> None:
        """Nothing to forget."""

    def act(self, observations: Mapping[str, Any]) -> np.ndarray:
        return np.clip(observations[EXPERT], -1.0, 1.0)
