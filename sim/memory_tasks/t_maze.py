"""Endless T-Maze (arXiv 2601.15086): remember the newest cue, forget the one before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from sim.memory_tasks import draws
from sim.memory_tasks.base import MemoryVectorEnv, Observations, ScriptedAgent, box

FORWARD, LEFT, RIGHT = 0, 1, 2
FIXED, UNIFORM = "fixed", "uniform"
REWARDS = {"paper": (1.0, -1.0, -0.01), "repository": (1.0, -0.01, 0.0)}
"""(passed junction, wrong turn, each step): the paper's page, and an earlier repository of its authors."""


class TMazeVectorEnv(MemoryVectorEnv):
    """Endless T-Maze.

    Description:
        n corridors one after the other, each with a junction at its end. A cue at a corridor's beginning says which way
        to turn at its junction. What was learnt in one corridor is wrong in the next, so memory must be rewritten.

    Action space: Discrete(3): 0 forward, 1 left, 2 right.

    Observation space: Dict with `state` float32 [3]: position / lmax, left cue, right cue; the cues (0 or 1) only at
        position 0. With `junction_flag` a fourth number, 1 at the junction and 0 elsewhere.

    Dynamics: before the junction forward moves by one, and a turn stays put. At the junction (position = length) the
        cued turn leads to the beginning of the next corridor; anything else ends the episode.

    Rewards: +1 for the cued turn at a junction; `wrong` for a turn before the junction and for whatever ends the
        episode; `step` at every step. `rewards="paper"`: wrong -1, step -0.01. `rewards="repository"`: wrong -0.01,
        step 0.

    Starting state: position 0 of the first corridor. Cues are fair and independent. Lengths: `fixed` lmax, or `uniform`
        in 1..lmax, drawn anew for each corridor.

    Episode end: terminated after a wrong junction (failure) or when all corridors are passed (success 1). Truncated
        after 6 (lmax + 1) n steps.

    Calibration: knowing no cue, 0.5^n. In `uniform` the junction is not observable and forward on it is fatal: trying
        the cued turn at every step and going forward where it did not help scores 1 in both modes, turning only at
        lmax scores 1 in `fixed` and 0.1^n in `uniform` with lmax 10.

    Metrics: success, return, corridors (passed).

    Versions: v1.
    """

    action_names = ("forward", "left", "right")
    kept = ("position", "corridor", "length", "cue")

    def __init__(
        self,
        num_envs: int = 1,
        corridors: int = 1,
        length: int = 5,
        mode: str = FIXED,
        rewards: str = "paper",
        junction_flag: bool = False,
        seed: int = 0,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        if corridors < 1 or length < 1:
            raise ValueError(f"corridors and length must be at least 1, not {corridors} and {length}")
        if mode not in (FIXED, UNIFORM):
            raise ValueError(f"mode must be {FIXED} or {UNIFORM}, not '{mode}'")
        if rewards not in REWARDS:
            raise ValueError(f"rewards must be one of {', '.join(REWARDS)}, not '{rewards}'")
        self.corridors, self.max_length, self.mode, self.junction_flag = corridors, length, mode, junction_flag
        self._goal, self._wrong, self._each = REWARDS[rewards]
        self.horizon = 6 * (length + 1) * corridors
        self.position, self.corridor, self.length, self.cue = (np.zeros(num_envs, np.int64) for _ in range(4))
        space = gym.spaces.Dict({"state": box(0.0, 1.0, (4 if junction_flag else 3,))})
        super().__init__(num_envs, space, seed, state)

    def _begin(self, rows: np.ndarray) -> None:
        self.corridor[rows] = 0
        self._enter(rows)

    def _enter(self, rows: np.ndarray) -> None:
        """Puts `rows` at the beginning of their corridor."""
        numbers = draws.uniform(self.keys[rows], 2 * self.corridor[rows, None] + np.arange(2))
        self.position[rows] = 0
        self.cue[rows] = np.where(numbers[:, 0] < 0.5, LEFT, RIGHT)
        lengths = 1 + np.floor(numbers[:, 1] * self.max_length).astype(np.int64)
        self.length[rows] = lengths if self.mode == UNIFORM else self.max_length

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        forward, at_junction = actions == FORWARD, self.position == self.length
        passed = at_junction & (actions == self.cue)
        failed = at_junction & ~passed
        rewards = self._each + self._goal * passed + self._wrong * (failed | (~at_junction & ~forward))
        self.position += forward & ~at_junction
        self.corridor += passed
        done = self.corridor == self.corridors
        self.success[done] = 1.0
        go_on = np.flatnonzero(passed & ~done)
        if go_on.size:
            self._enter(go_on)
        return rewards, failed | done, self.steps >= self.horizon

    def _observe(self) -> Observations:
        state = np.empty((self.num_envs, 4 if self.junction_flag else 3), np.float32)
        at_start = self.position == 0
        state[:, 0] = self.position / self.max_length
        state[:, 1] = at_start & (self.cue == LEFT)
        state[:, 2] = at_start & (self.cue == RIGHT)
        if self.junction_flag:
            state[:, 3] = self.position == self.length
        return {"state": state}

    def _measure(self) -> dict[str, np.ndarray]:
        return {"corridors": self.corridor.astype(np.float64)}


class TMazeOracle(ScriptedAgent):
    """Turns as cued at the junction, which it knows, and goes forward everywhere else."""

    privileged = True

    def act(self, observations: Mapping[str, np.ndarray], resets: np.ndarray, previous: np.ndarray) -> np.ndarray:
        return np.where(self.env.position == self.env.length, self.env.cue, FORWARD)


class TMazeReactive(ScriptedAgent):
    """The best that can be done on the present observation alone where it tells the junction: a guess there.

    In `uniform` without the flag only the corridor's far end is known to be a junction.
    """

    def act(self, observations: Mapping[str, np.ndarray], resets: np.ndarray, previous: np.ndarray) -> np.ndarray:
        state = observations["state"]
        at_junction = state[:, 3] > 0.5 if state.shape[1] == 4 else state[:, 0] > 1.0 - 0.5 / self.env.max_length
        return np.where(at_junction, self.generator.integers(LEFT, RIGHT + 1, len(state)), FORWARD)


class TMazeRewriter(ScriptedAgent):
    """Remembers the newest cue alone: tries the cued turn at each place, and goes forward if it stays put."""

    kept = ("cue", "tried")

    def __init__(self, env: Any, seed: int = 0) -> None:
        super().__init__(env, seed)
        self.cue = np.zeros(env.num_envs, np.int64)
        self.tried = np.zeros(env.num_envs, bool)

    def act(self, observations: Mapping[str, np.ndarray], resets: np.ndarray, previous: np.ndarray) -> np.ndarray:
        state = observations["state"]
        at_start = state[:, 0] == 0.0  # no corridor is shorter than one step
        self.cue = np.where(state[:, 1] > 0.5, LEFT, np.where(state[:, 2] > 0.5, RIGHT, self.cue))
        turn = ~at_start & ~self.tried
        self.tried = turn
        return np.where(turn, self.cue, FORWARD)
