"""Color-Cubes (arXiv 2601.15086), at sizes of our own: keep a map up to date through glimpses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from sim.memory_tasks import draws
from sim.memory_tasks.base import MemoryVectorEnv, Observations, ScriptedAgent, box

_MOVES = np.array([[0, -1], [-1, 0], [0, 1], [1, 0]])
LEVELS = {"trivial": (4, 2, 1, 0), "medium": (5, 4, 3, 1), "extreme": (6, 6, 6, 2)}
"""(size of the room, cubes, phases, teleports a phase). **Ours: the paper does not publish its sizes.**"""
_SLOTS_A_PHASE = 1000


class ColorCubesVectorEnv(MemoryVectorEnv):
    """Color-Cubes at our sizes.

    Description:
        Cubes of different colours stand in a room. In each phase the agent is told a colour and has to go to the cube
        of that colour. Where the cubes are it sees at the beginning of a phase, and after a cube has teleported (each
        time as a whole), and at no other step: in between it goes by memory, which an event makes partly wrong.

    Action space: Discrete(4): one cell along y or x; walls stop. Cubes can be walked over.

    Observation space: Dict with `state` float32 [3 + colours + 3 colours]: x and y / (size - 1), whether cubes are
        shown now, the wanted colour (one-hot), and, where shown, for each colour 1 and its cube's x and y / (size - 1).

    Dynamics: in each phase `teleports` cubes are moved, at steps drawn evenly from the first 2 size of the phase. Each
        goes to a free cell without a cube; which cube moves is drawn, the wanted one as often as another.

    Rewards: +1 for reaching the wanted cube, -0.01 a step. Reaching it begins the next phase with another colour.

    Starting state: cubes and agent at different cells, drawn evenly.

    Episode end: terminated after the last phase (success 1). Truncated after 4 size steps a phase.

    Levels (`level`), ours: trivial 4 x 4, 2 cubes, 1 phase, no teleport; medium 5 x 5, 4 cubes, 3 phases, 1 teleport
        each; extreme 6 x 6, 6 cubes, 6 phases, 2 teleports each. Not comparable with the paper's figures.

    Metrics: success, return, phases (done).

    Versions: v1.
    """

    action_names = ("down", "left", "up", "right")
    kept = ("place", "cubes", "phase", "phase_steps", "shown", "wanted", "events")

    def __init__(
        self, num_envs: int = 1, level: str = "medium", seed: int = 0, state: Mapping[str, Any] | None = None
    ) -> None:
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}, not '{level}'")
        self.size, self.colours, self.phases, self.teleports = LEVELS[level]
        self.horizon = 4 * self.size * self.phases
        self.place = np.zeros((num_envs, 2), np.int64)
        self.cubes = np.zeros((num_envs, self.colours, 2), np.int64)
        self.phase, self.phase_steps, self.wanted = (np.zeros(num_envs, np.int64) for _ in range(3))
        self.shown = np.zeros(num_envs, bool)
        self.events = np.zeros((num_envs, self.teleports), np.int64)
        """Steps of the phase at which a cube teleports."""
        space = gym.spaces.Dict({"state": box(0.0, 1.0, (3 + 4 * self.colours,))})
        super().__init__(num_envs, space, seed, state)

    def _begin(self, rows: np.ndarray) -> None:
        cells = draws.permutations(self.keys[rows], 0, self.size**2)[:, : self.colours + 1]
        places = np.stack([cells // self.size, cells % self.size], axis=2)
        self.place[rows], self.cubes[rows] = places[:, 0], places[:, 1:]
        self.phase[rows], self.wanted[rows] = 0, -1
        self._begin_phase(rows)

    def _begin_phase(self, rows: np.ndarray) -> None:
        slot = _SLOTS_A_PHASE * (1 + self.phase[rows, None])
        numbers = draws.uniform(self.keys[rows], slot + np.arange(1 + self.teleports))
        last = self.wanted[rows]
        # Another colour than the last, and not one that the agent stands on.
        is_free = np.ones((len(rows), self.colours), bool)
        is_free[np.flatnonzero(last >= 0), last[last >= 0]] = False
        choices = is_free.cumsum(axis=1)
        pick = 1 + np.floor(numbers[:, 0] * choices[:, -1]).astype(np.int64)
        self.wanted[rows] = (choices >= pick[:, None]).argmax(axis=1)
        self.events[rows] = 1 + np.floor(numbers[:, 1:] * 2 * self.size).astype(np.int64)
        self.phase_steps[rows] = 0
        self.shown[rows] = True

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.place = np.clip(self.place + _MOVES[actions], 0, self.size - 1)
        self.phase_steps += 1
        self.shown[:] = False
        rows = np.arange(self.num_envs)
        reached = (self.place == self.cubes[rows, self.wanted]).all(axis=1)
        for event in range(self.teleports):
            self._teleport(np.flatnonzero((self.events[:, event] == self.phase_steps) & ~reached), event)
        self.phase += reached
        done = self.phase == self.phases
        self.success[done] = 1.0
        on = np.flatnonzero(reached & ~done)
        if on.size:
            self._begin_phase(on)
        return reached - 0.01, done, self.steps >= self.horizon

    def _teleport(self, rows: np.ndarray, event: int) -> None:
        if not rows.size:
            return
        slot = _SLOTS_A_PHASE * (1 + self.phase[rows, None]) + 100 * (1 + event)
        numbers = draws.uniform(self.keys[rows], slot + np.arange(1 + self.size**2))
        moved = np.floor(numbers[:, 0] * self.colours).astype(np.int64)
        taken = np.zeros((len(rows), self.size, self.size), bool)
        index = np.arange(len(rows))
        taken[index[:, None], self.cubes[rows, :, 0], self.cubes[rows, :, 1]] = True
        taken[index, self.place[rows, 0], self.place[rows, 1]] = True
        cell = np.where(taken.reshape(len(rows), -1), 2.0, numbers[:, 1:]).argmin(axis=1)
        self.cubes[rows, moved] = np.stack([cell // self.size, cell % self.size], axis=1)
        self.shown[rows] = True

    def _observe(self) -> Observations:
        state = np.zeros((self.num_envs, 3 + 4 * self.colours), np.float32)
        rows, last = np.arange(self.num_envs), self.size - 1
        state[:, :2] = self.place / last
        state[:, 2] = self.shown
        state[rows, 3 + self.wanted] = 1.0
        cubes = np.concatenate([np.ones((self.num_envs, self.colours, 1)), self.cubes / last], axis=2)
        state[:, 3 + self.colours :] = (cubes * self.shown[:, None, None]).reshape(self.num_envs, -1)
        return {"state": state}

    def _measure(self) -> dict[str, np.ndarray]:
        return {"phases": self.phase.astype(np.float64)}


class ColorCubesOracle(ScriptedAgent):
    """Goes to the wanted cube, wherever it is now."""

    privileged = True

    def act(self, observations: Mapping[str, np.ndarray], resets: np.ndarray, previous: np.ndarray) -> np.ndarray:
        return _towards(self.env.place, self.env.cubes[np.arange(self.env.num_envs), self.env.wanted])


class ColorCubesMapper(ScriptedAgent):
    """Remembers the cubes as they were shown last, and goes to the wanted one: what can be had by remembering."""

    kept = ("cubes",)

    def __init__(self, env: Any, seed: int = 0) -> None:
        super().__init__(env, seed)
        self.cubes = np.zeros((env.num_envs, env.colours, 2), np.int64)

    def act(self, observations: Mapping[str, np.ndarray], resets: np.ndarray, previous: np.ndarray) -> np.ndarray:
        state, colours, last = observations["state"], self.env.colours, self.env.size - 1
        shown = state[:, 3 + colours :].reshape(-1, colours, 3)
        seen = np.rint(shown[:, :, 1:] * last).astype(np.int64)
        self.cubes = np.where(shown[:, :, :1] > 0.5, seen, self.cubes)
        wanted = state[:, 3 : 3 + colours].argmax(axis=1)
        place = np.rint(state[:, :2] * last).astype(np.int64)
        return _towards(place, self.cubes[np.arange(len(state)), wanted])


class ColorCubesReactive(ScriptedAgent):
    """Goes towards the wanted cube while it is shown, and at random when it is not."""

    def act(self, observations: Mapping[str, np.ndarray], resets: np.ndarray, previous: np.ndarray) -> np.ndarray:
        env, state = self.env, observations["state"]
        towards = _towards(env.place, env.cubes[np.arange(env.num_envs), env.wanted])
        return np.where(state[:, 2] > 0.5, towards, self.generator.integers(0, len(_MOVES), len(state)))


def _towards(place: np.ndarray, target: np.ndarray) -> np.ndarray:
    dx, dy = (target - place).T
    return np.where(dx < 0, 1, np.where(dx > 0, 3, np.where(dy < 0, 0, 2)))
