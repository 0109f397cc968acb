"""A trained MemoryVLA as an agent: a checkpoint, played."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from embodied.agents.base import INSTRUCTION, AgentEnv, AgentError
from embodied.player import INTACT, VlaPlayer


class VlaAgent:
    """Plays a checkpoint, an episode and a memory a row. Cameras go by their names in the data set.

    Args:
        path: a checkpoint's folder, or a run's.
        env: the environment it will act in.
        seed: of the noise that chunks are drawn from.
        memory: how the bank is damaged, see `VlaPlayer`.

    Raises:
        CheckpointError, EncoderError: the checkpoint cannot be played.
        AgentError: the environment lacks a camera or the state, or has other actions.
    """

    title: ClassVar[str] = "MemoryVLA"

    def __init__(self, path: Path, env: AgentEnv, seed: int = 0, memory: str = INTACT) -> None:
        # A few rows are too little to share out: torch's threads would only wait for cores that simulators use.
        torch.set_num_threads(1)
        self._player = VlaPlayer(path, env.num_envs, seed=seed, memory=memory)
        spaces = env.single_observation_space.spaces
        for name in (*self._player.cameras, "state"):
            if name not in spaces and (name != "state" or self._player.state_size):
                raise AgentError(f"{path} looks at '{name}', and the task has {', '.join(sorted(spaces))}")
        if env.single_action_space.shape != (self._player.spec.size,):
            raise AgentError(
                f"{path} gives actions of {self._player.spec.size} numbers, the task takes {env.single_action_space}"
            )
        self._steps = np.zeros(env.num_envs, np.int64)

    def seed(self, rows: np.ndarray, seeds: np.ndarray) -> None:
        self._player.reset(rows, seeds)

    def reset(self, rows: np.ndarray) -> None:
        self._player.reset(rows)
        self._steps[rows] = 0

    def act(self, observations: Mapping[str, Any]) -> np.ndarray:
        state = observations.get("state", np.zeros((len(self._steps), self._player.state_size), np.float32))
        actions = self._player.act(observations, state, observations[INSTRUCTION], self._steps / self._player.fps)
        self._steps += 1
        return actions
