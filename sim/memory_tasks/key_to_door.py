"""Dark Key-to-Door (Laskin et al., arXiv 2210.14215; as in arXiv 2510.19732): find out once, then repeat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from sim.memory_tasks import draws
from sim.memory_tasks.base import MemoryVectorEnv, Observations, ScriptedAgent, box

_MOVES = np.array([[0, 0], [0, -1], [-1, 0], [0, 1], [1, 0]])
STAY = 0


class KeyToDoorVectorEnv(MemoryVectorEnv):
    """Dark Key-to-Door: a trial of many episodes in one layout.

    Description:
        In a square room a key and a door are hidden. Stepping on the key's place takes it, and with it stepping on the
        door's place opens the door. Nothing shows either: they are found by walking. All episodes of a trial have the
        same layout, so whoever remembers across episodes goes straight there from the second on. Memory is cleared
        between trials only: **a trial is one episode of this environment**, and what the papers call an episode happens
        inside it.

    Action space: Discrete(5): 0 stay, 1 to 4 move along y or x by one cell, walls stop.

    Observation space: Dict with `state` float32 [5]: x and y / (size - 1), whether the key is held, steps since the
        inner episode's beginning / its horizon, and the reward of the last step.

    Rewards: +1 for taking the key, +1 for opening the door.

    Starting state: the trial's start, drawn evenly like the key and the door, independently (they may coincide; a
        place counts when a step, staying included, ends there).

    Inner episodes: end when the door is opened or after `horizon` steps; the agent is then put back to the start
        without the key, in the same step.

    Episode end: truncated after `trial` steps. Nothing terminates it.

    Calibration (mean return over trials; random / scripted explorer / oracle) to be met: 5 x 5, horizon 20, trial 100:
        2.0 / 28.9 / 36.0; 9 x 9, 50, 500: 2.7 / 82.9 / 101.3. Returns are heavy-tailed: give mean and median.

    Metrics: success (the door was opened at least once), return, doors (opened).

    Versions: v1.
    """

    action_names = ("stay", "down", "left", "up", "right")
    kept = ("place", "has_key", "inner_steps", "doors", "last_reward")

    def __init__(
        self,
        num_envs: int = 1,
        size: int = 5,
        horizon: int = 20,
        trial: int = 100,
        seed: int = 0,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        if size < 2 or horizon < 1 or trial < 1:
            raise ValueError(f"size must be at least 2, horizon and trial at least 1, not {size}, {horizon}, {trial}")
        self.size, self.horizon, self.trial = size, horizon, trial
        self.start, self.key, self.door, self.place = (np.zeros((num_envs, 2), np.int64) for _ in range(4))
        self.has_key = np.zeros(num_envs, bool)
        self.inner_steps, self.doors = np.zeros(num_envs, np.int64), np.zeros(num_envs, np.int64)
        self.last_reward = np.zeros(num_envs)
        space = gym.spaces.Dict({"state": box(0.0, 1.0, (5,))})
        super().__init__(num_envs, space, seed, state)

    def _begin(self, rows: np.ndarray) -> None:
        places = draws.integers(self.keys[rows], np.arange(6), self.size).reshape(-1, 3, 2)
        self.start[rows], self.key[rows], self.door[rows] = places[:, 0], places[:, 1], places[:, 2]
        self.place[rows] = self.start[rows]
        for array in (self.has_key, self.inner_steps, self.doors, self.last_reward):
            array[rows] = 0

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.place = np.clip(self.place + _MOVES[actions], 0, self.size - 1)
        self.inner_steps += 1
        opens = self.has_key & (self.place == self.door).all(axis=1)
        takes = ~self.has_key & (self.place == self.key).all(axis=1)
        self.has_key |= takes
        self.doors += opens
        self.success[opens] = 1.0
        self.last_reward = (opens | takes).astype(np.float64)
        again = opens | (self.inner_steps >= self.horizon)
        self.place[again] = self.start[again]
        self.has_key[again] = False
        self.inner_steps[again] = 0
        return self.last_reward.copy(), np.zeros(self.num_envs, bool), self.steps >= self.trial

    def _observe(self) -> Observations:
        state = np.empty((self.num_envs, 5), np.float32)
        state[:, :2] = self.place / (self.size - 1)
        state[:, 2] = self.has_key
        state[:, 3] = self.inner_steps / self.horizon
        state[:, 4] = self.last_reward
        return {"state": state}

    def _measure(self) -> dict[str, np.ndarray]:
        return {"doors": self.doors.astype(np.float64)}


class KeyToDoorOracle(ScriptedAgent):
    """Goes straight to the key and then to the door, whose places it knows."""

    privileged = True

    def act(self, observations: Mapping[str, np.ndarray], resets: np.ndarray, previous: np.ndarray) -> np.ndarray:
        return _towards(self.env.place, np.where(self.env.has_key[:, None], self.env.door, self.env.key))


class KeyToDoorExplorer(ScriptedAgent):
    """Walks to the nearest place not looked at yet until it has found key and door, and straight there ever after.

    It reads observations alone: what can be had by remembering well. This is also the teacher that a learner can
    follow, since it never acts on what it has not seen.
    """

    kept = ("excluded", "found", "place", "held")

    def __init__(self, env: Any, seed: int = 0) -> None:
        super().__init__(env, seed)
        n, size = env.num_envs, env.size
        # For key and door each: which places are known not to be it, and where it is once that is known (-1: not).
        self.excluded = np.zeros((n, 2, size, size), bool)
        self.found = np.full((n, 2, 2), -1)
        self.place = np.zeros((n, 2), np.int64)
        self.held = np.zeros(n, np.int64)
        self._places = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1)

    def act(self, observations: Mapping[str, np.ndarray], resets: np.ndarray, previous: np.ndarray) -> np.ndarray:
        state, size, rows = observations["state"], self.env.size, np.arange(len(resets))
        # Where the last step ended, which after an inner episode's end is not where the agent is now.
        stepped = np.clip(self.place + _MOVES[previous], 0, size - 1)
        rewarded = state[:, 4] > 0.5
        hits, misses = rows[~resets & rewarded], rows[~resets & ~rewarded]
        self.found[hits, self.held[hits]] = stepped[hits]
        self.excluded[misses, self.held[misses], stepped[misses, 0], stepped[misses, 1]] = True
        self.found[resets], self.excluded[resets] = -1, False
        self.place = np.rint(state[:, :2] * (size - 1)).astype(np.int64)
        self.held = (state[:, 2] > 0.5).astype(np.int64)
        target = self.found[rows, self.held]
        distance = np.abs(self._places[None] - self.place[:, None, None]).sum(axis=-1).astype(np.float64)
        distance[distance == 0] = 1.0  # to look at where one stands takes a step, too
        # Among the nearest the first in a fixed order: the search stays a sweep.
        distance += 1e3 * self.excluded[rows, self.held] + 1e-3 * np.arange(size * size).reshape(size, size)
        nearest = distance.reshape(len(rows), -1).argmin(axis=1)
        unknown = target[:, :1] < 0
        return _towards(self.place, np.where(unknown, np.stack([nearest // size, nearest % size], axis=1), target))


class KeyToDoorReactive(ScriptedAgent):
    """Knows the place and whether it holds the key, but nothing of before: a random walk."""

    def act(self, observations: Mapping[str, np.ndarray], resets: np.ndarray, previous: np.ndarray) -> np.ndarray:
        return self.generator.integers(0, len(_MOVES), len(resets))


def _towards(place: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The action that goes from `place` towards `target` (int64 [n, 2]); staying where they are the same."""
    dx, dy = (target - place).T
    along_x = np.where(dx < 0, 2, 4)
    along_y = np.where(dy < 0, 1, 3)
    return np.where(dx != 0, along_x, np.where(dy != 0, along_y, STAY))
