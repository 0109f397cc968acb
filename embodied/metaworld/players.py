"""Who acts in Meta-World: trained policies, its scripted experts, and chance, all by one interface."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from embodied.metaworld.env import ACTION_NAMES, MetaWorldVectorEnv
from embodied.metaworld.errors import MetaWorldError
from embodied.metaworld.library import metaworld


class Player(Protocol):
    """Acts in N rows, each an episode of its own. `embodied.player.VlaPlayer` is one."""

    def reset(self, rows: np.ndarray, seeds: np.ndarray | None = None) -> None:
        """Begins an episode in the rows marked, bool [N]; `seeds`, int64 [N], are of what is drawn in it."""

    def decides(self) -> np.ndarray:
        """bool [N]: rows whose next `act` looks at its pictures; others may be black."""

    def act(
        self, images: Mapping[str, np.ndarray], state: np.ndarray, instructions: Sequence[str], times: np.ndarray
    ) -> np.ndarray:
        """Actions float32 [N, A] upon pictures {camera: uint8 [N, H, W, 3]}, state float32 [N, S], N instructions and
        times float64 [N] (s since the episode began)."""


class ExpertPlayer:
    """Meta-World's scripted experts. They are told where objects and goals are, which policies are not."""

    def __init__(self, env: MetaWorldVectorEnv) -> None:
        self._env = env
        self._experts: dict[int, Any] = {}

    def reset(self, rows: np.ndarray, seeds: np.ndarray | None = None) -> None:
        for row in np.flatnonzero(rows):
            self._experts[int(row)] = expert(self._env[row].task)

    def decides(self) -> np.ndarray:
        return np.zeros(self._env.rows, bool)

    def act(
        self, images: Mapping[str, np.ndarray], state: np.ndarray, instructions: Sequence[str], times: np.ndarray
    ) -> np.ndarray:
        actions = np.zeros((self._env.rows, len(ACTION_NAMES)), np.float32)
        for row in np.flatnonzero(self._env.running):
            actions[row] = expert_action(self._experts[int(row)], self._env[row].observation)
        return actions


class RandomPlayer:
    """Actions from a uniform distribution."""

    def __init__(self, rows: int) -> None:
        self._generators = [np.random.default_rng(row) for row in range(rows)]

    def reset(self, rows: np.ndarray, seeds: np.ndarray | None = None) -> None:
        for row in np.flatnonzero(rows):
            if seeds is not None:
                self._generators[row] = np.random.default_rng(int(seeds[row]))

    def decides(self) -> np.ndarray:
        return np.zeros(len(self._generators), bool)

    def act(
        self, images: Mapping[str, np.ndarray], state: np.ndarray, instructions: Sequence[str], times: np.ndarray
    ) -> np.ndarray:
        drawn = [generator.uniform(-1.0, 1.0, len(ACTION_NAMES)) for generator in self._generators]
        return np.array(drawn, np.float32)


def expert(task: str) -> Any:
    """A fresh scripted expert of a task; raises MetaWorldError if Meta-World has none."""
    experts = metaworld("policies").ENV_POLICY_MAP
    if task not in experts:
        raise MetaWorldError(f"tasks: Meta-World has no scripted expert of '{task}'")
    return experts[task]()


def expert_action(policy: Any, observation: np.ndarray) -> np.ndarray:
    """What it does upon all that Meta-World observes: float32 [4], cut to [-1, 1]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that its actions will be cut
        return np.clip(np.asarray(policy.get_action(observation), np.float32), -1.0, 1.0)
