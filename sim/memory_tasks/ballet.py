"""Ballet (Lampinen et al., arXiv 2105.14039): which of the dancers did that dance?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from sim.memory_tasks import draws
from sim.memory_tasks.base import MemoryVectorEnv, Observations, ScriptedAgent, box

ROOM = 11
START = 5
CELL = 9
"""Pixels of a cell."""
PLACES = np.array([(2, 2), (2, 5), (2, 8), (5, 2), (5, 8), (8, 2), (8, 5), (8, 8)])
DIRECTIONS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
_MOVES = np.array([(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)])
DANCES = {
    "circle_cw": "N E S S W W N N E E S S W W N E",
    "circle_ccw": "N W S S E E N N W W S S E E N W",
    "up_and_down": "N S S N N S S N N S S N N S S N",
    "left_and_right": "E W W E E W W E E W W E E W W E",
    "diagonal_uldr": "NW SE SE NW NW SE SE NW NW SE SE NW NW SE SE NW",
    "diagonal_urdl": "NE SW SW NE NE SW SW NE NE SW SW NE NE SW SW NE",
    "plus_cw": "N S E W S N W E N S E W S N W E",
    "plus_ccw": "N S W E S N E W N S W E S N E W",
    "times_cw": "NE SW SE NW SW NE NW SE NE SW SE NW SW NE NW SE",
    "times_ccw": "NE SW NW SE SW NE SE NW NE SW NW SE SW NE SE NW",
    "zee": "NE W W E E SW NE SW SW E E W W NE SW NE",
    "chevron_down": "NW S SE NE N SW NE SW NE S SW NW N SE NW SE",
    "chevron_up": "SE N NW SW S NE SW NE SW N NE SE S NW SE NW",
}
DANCE_STEPS = 16
_WATCH = 0
_SEQUENCES = np.array([[DIRECTIONS.index(move) for move in moves.split()] for moves in DANCES.values()])
#: Where a dancer is, beside its place, after so many of its moves: [dances, 17, 2].
_OFFSETS = np.concatenate([np.zeros((len(DANCES), 1, 2), np.int64), np.cumsum(_MOVES[_SEQUENCES], axis=1)], axis=1)
_COLOURS = np.array(
    [
        *((255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 0, 128), (255, 165, 0), (255, 255, 0), (128, 64, 0)),
        *((255, 64, 255), (0, 255, 255), (0, 100, 0), (100, 0, 0), (0, 0, 100), (100, 100, 0), (0, 100, 100)),
        *((215, 200, 255), (255, 210, 170), (255, 205, 230), (200, 255, 200), (255, 255, 200)),
    ],
    np.uint8,
)
PIXELS, SYMBOLS = "pixels", "symbols"


class BalletVectorEnv(MemoryVectorEnv):
    """Ballet.

    Description:
        Some dancers dance, one after the other with pauses between. Then the name of one of the dances is said, and the
        agent must go to the dancer who danced it. What it has to remember are sequences of moves, with their places.

    Action space: Discrete(8): N, NE, E, SE, S, SW, W, NW, by one cell. There is no staying. During the dances actions
        do nothing; walls stop.

    Observation space: Dict with `instruction` int64 [1] (0 watch, else 1 + the dance's number), and, with
        `view="pixels"`, `rgb` uint8 [99, 99, 3]: the room around the agent, which is in the middle, 11 x 11 cells of 9
        pixels, every dancer of a colour and a shape of its own. `view="symbols"` is ours, to study memory without
        vision: `state` float32 [26], for each of the eight places whether a dancer is there and how far it is from it
        now (rows, columns), and the agent's cell / the room's size.

    Dynamics: 11 x 11 cells, of which the outermost are wall. The agent begins in the middle, n dancers at n of the
        eight places, in random order. Dance i (from 0) moves on frames 1 + i (15 + delay) to 16 + i (15 + delay); all
        dances end where they began. At frame 1 + n (15 + delay) the dance is named; from the next on the agent moves.

    Rewards: 1 for stepping on the dancer who was asked for, 0 for another.

    Episode end: terminated at any dancer (success 1 at the right one). Truncated after 320 frames (delay 16) or 1024.

    Levels of the paper: dancers in 2, 4, 8 and delay in 16, 48 (`2_delay16` ...). Calibration: any dancer, 1 / n.

    Metrics: success, return.

    Differences from the paper's: colours from 0 to 255, instructions as numbers, shapes drawn by our own rules. Places,
        dances and their times are as there.

    Versions: v1.
    """

    action_names = DIRECTIONS
    kept = ("place",)

    def __init__(
        self,
        num_envs: int = 1,
        dancers: int = 2,
        delay: int = 16,
        view: str = PIXELS,
        seed: int = 0,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        if not 1 <= dancers <= len(PLACES):
            raise ValueError(f"dancers must be from 1 to {len(PLACES)}, not {dancers}")
        if delay < 1:
            raise ValueError(f"delay must be at least 1, not {delay}")
        if view not in (PIXELS, SYMBOLS):
            raise ValueError(f"view must be {PIXELS} or {SYMBOLS}, not '{view}'")
        self.dancers, self.delay, self.view = dancers, delay, view
        self.horizon = 320 if delay == 16 else 1024
        self.choice_frame = 1 + dancers * (DANCE_STEPS - 1 + delay)
        self.place: np.ndarray = np.zeros((num_envs, 2), np.int64)
        self.homes = np.zeros((num_envs, dancers, 2), np.int64)
        self.dances, self.colours, self.shapes = (np.zeros((num_envs, dancers), np.int64) for _ in range(3))
        self.target = np.zeros(num_envs, np.int64)
        spaces: dict[str, gym.Space] = {"instruction": box(0, len(DANCES), (1,), np.int64)}
        if view == PIXELS:
            spaces["rgb"] = box(0, 255, (ROOM * CELL, ROOM * CELL, 3), np.uint8)
            self._sprites = _sprites()
            self._backgrounds = _backgrounds()
            self._picture = np.zeros((num_envs, ROOM, CELL, ROOM, CELL, 3), np.uint8)
            self._drawn = np.zeros((num_envs, dancers, 2), np.int64)
        else:
            spaces["state"] = box(-1.0, 1.0, (3 * len(PLACES) + 2,))
        super().__init__(num_envs, gym.spaces.Dict(spaces), seed, state)

    def _begin(self, rows: np.ndarray) -> None:
        keys, n = self.keys[rows], self.dancers
        self.homes[rows] = PLACES[draws.permutations(keys, 0, len(PLACES))[:, :n]]
        self.dances[rows] = draws.permutations(keys, 100, len(DANCES))[:, :n]
        self.colours[rows] = draws.permutations(keys, 200, len(_COLOURS))[:, :n]
        self.shapes[rows] = draws.permutations(keys, 300, len(_SHAPES))[:, :n]
        self.target[rows] = draws.integers(keys, np.array([400]), n)[:, 0]
        self.place[rows] = START
        if self.view == PIXELS:
            self._redraw(rows)

    def _restore(self, state: Mapping[str, Any]) -> None:
        super()._restore(state)
        if self.view == PIXELS:
            self._redraw(self._rows)

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        choosing = self.steps > self.choice_frame
        before = self.place
        self.place = np.where(choosing[:, None], np.clip(before + _MOVES[actions], 1, ROOM - 2), before)
        # pycolab's walkers stay where they are when a wall is in the way, in both directions.
        blocked = (self.place != before + _MOVES[actions]).any(axis=1)
        self.place[blocked] = before[blocked]
        met = (self.homes == self.place[:, None]).all(axis=2) & choosing[:, None]
        right = met[np.arange(self.num_envs), self.target]
        self.success[right] = 1.0
        if self.view == PIXELS:
            self._draw_dancer()
            self._redraw(np.flatnonzero((self.place != before).any(axis=1)))
        return right.astype(np.float64), met.any(axis=1), self.steps >= self.horizon

    def positions(self) -> np.ndarray:
        """Where the dancers are now, int64 [n, dancers, 2] (row, column)."""
        number, moves = self._dancing()
        offsets = np.zeros_like(self.homes)
        rows = np.flatnonzero(number >= 0)
        offsets[rows, number[rows]] = _OFFSETS[self.dances[rows, number[rows]], moves[rows]]
        return self.homes + offsets

    def _dancing(self) -> tuple[np.ndarray, np.ndarray]:
        """Who dances [n] (-1: nobody), and how many moves are done."""
        period = DANCE_STEPS - 1 + self.delay
        number, moves = (self.steps - 1) // period, (self.steps - 1) % period + 1
        alive = (self.steps >= 1) & (number < self.dancers) & (moves <= DANCE_STEPS)
        return np.where(alive, number, -1), moves

    def _observe(self) -> Observations:
        named = self.steps >= self.choice_frame
        dance = self.dances[np.arange(self.num_envs), self.target]
        observations: Observations = {"instruction": np.where(named, 1 + dance, _WATCH)[:, None]}
        if self.view == PIXELS:
            size = ROOM * CELL
            observations["rgb"] = self._picture.reshape(self.num_envs, size, size, 3).copy()
            return observations
        state = np.zeros((self.num_envs, 3 * len(PLACES) + 2), np.float32)
        offsets = self.positions() - self.homes
        places = (self.homes[:, :, None] == PLACES).all(axis=3).argmax(axis=2)
        rows = np.arange(self.num_envs)[:, None]
        state[rows, 3 * places] = 1.0
        state[rows, 3 * places + 1], state[rows, 3 * places + 2] = offsets[..., 0], offsets[..., 1]
        state[:, -2:] = self.place / ROOM
        observations["state"] = state
        return observations

    # -- pictures ------------------------------------------------------------------------------------------------

    def _redraw(self, rows: np.ndarray) -> None:
        """The whole picture of `rows`."""
        if not rows.size:
            return
        self._picture[rows] = self._backgrounds[self.place[rows, 0], self.place[rows, 1]]
        self._drawn[rows] = self.positions()[rows]
        for dancer in range(self.dancers):
            self._put(rows, dancer, self._drawn[rows, dancer], False)

    def _draw_dancer(self) -> None:
        """Moves whoever dances: the rest of the picture stays as it is."""
        now = self.positions()
        moved = (now != self._drawn).any(axis=2)
        for dancer in range(self.dancers):
            rows = np.flatnonzero(moved[:, dancer])
            if rows.size:
                self._put(rows, dancer, self._drawn[rows, dancer], True)
                self._put(rows, dancer, now[rows, dancer], False)
        self._drawn = now

    def _put(self, rows: np.ndarray, dancer: int, cells: np.ndarray, erase: bool) -> None:
        """Draws a dancer at `cells` [k, 2] of the room, or floor; what lies outside of the view is left out."""
        seen = cells - self.place[rows] + START
        inside = ((seen >= 0) & (seen < ROOM)).all(axis=1)
        rows, seen = rows[inside], seen[inside]
        shape, colour = self.shapes[rows, dancer], self.colours[rows, dancer]
        sprites = 0 if erase else self._sprites[shape][..., None] * _COLOURS[colour][:, None, None]
        self._picture[rows, seen[:, 0], :, seen[:, 1]] = sprites


def _shape(rule: Any) -> np.ndarray:
    rows, columns = np.meshgrid(np.arange(CELL) - CELL // 2, np.arange(CELL) - CELL // 2, indexing="ij")
    return rule(rows, columns).astype(np.uint8)


_SHAPES: dict[str, Any] = {
    "triangle": lambda r, c: r + 4 >= 2 * abs(c),
    "empty_square": lambda r, c: np.maximum(abs(r), abs(c)) >= 3,
    "plus": lambda r, c: (abs(r) <= 1) | (abs(c) <= 1),
    "inverse_plus": lambda r, c: (abs(r) > 1) & (abs(c) > 1),
    "ex": lambda r, c: np.minimum(abs(r - c), abs(r + c)) <= 1,
    "inverse_ex": lambda r, c: np.minimum(abs(r - c), abs(r + c)) > 1,
    "circle": lambda r, c: r**2 + c**2 <= 16,
    "empty_circle": lambda r, c: abs(r**2 + c**2 - 16) < 6,
    "tee": lambda r, c: (abs(c) <= 1) | (r <= -2),
    "upside_down_tee": lambda r, c: (abs(c) <= 1) | (r >= 2),
    "h": lambda r, c: (abs(c) >= 2) | (abs(r) <= 1),
    "u": lambda r, c: (abs(c) >= 2) | (r >= 2),
    "upside_down_u": lambda r, c: (abs(c) >= 2) | (r <= -2),
    "vertical_stripes": lambda r, c: c % 2 == 0,
    "horizontal_stripes": lambda r, c: r % 2 == 0,
}


def _sprites() -> np.ndarray:
    """uint8 [shapes, 9, 9], 0 or 1."""
    return np.stack([_shape(rule) for rule in _SHAPES.values()])


def _backgrounds() -> np.ndarray:
    """What is seen of walls and agent from each cell, uint8 [11, 11, 11, 9, 11, 9, 3]."""
    cells = np.arange(ROOM)
    at = cells[:, None] + cells[None] - START  # [where the agent is, where in the view] -> the room's row or column
    is_edge, is_inside = (at == 0) | (at == ROOM - 1), (at >= 0) & (at < ROOM)
    wall = (is_edge[:, None, :, None] | is_edge[None, :, None, :]) & (
        is_inside[:, None, :, None] & is_inside[None, :, None, :]
    )
    grey = np.where(wall, 40, 0).astype(np.uint8)
    grey[:, :, START, START] = 255
    return np.broadcast_to(grey[:, :, :, None, :, None, None], (ROOM, ROOM, ROOM, CELL, ROOM, CELL, 3)).copy()


class BalletOracle(ScriptedAgent):
    """Goes to the dancer who is asked for."""

    privileged = True

    def act(self, observations: Mapping[str, np.ndarray], resets: np.ndarray, previous: np.ndarray) -> np.ndarray:
        return _towards(self.env, self.env.target)


class BalletReactive(ScriptedAgent):
    """Goes to some dancer: by the time that it is told which, the dances are over."""

    def act(self, observations: Mapping[str, np.ndarray], resets: np.ndarray, previous: np.ndarray) -> np.ndarray:
        return _towards(self.env, np.zeros(self.env.num_envs, np.int64))


def _towards(env: BalletVectorEnv, dancer: np.ndarray) -> np.ndarray:
    """The move that brings the agent to that dancer around the others, which stand three cells apart."""
    goal = env.homes[np.arange(env.num_envs), dancer]
    difference = goal - env.place
    distance = np.abs(env.place[:, None] + _MOVES - goal[:, None]).max(axis=2).astype(np.float64)
    distance += 0.01 * np.abs(env.place[:, None] + _MOVES - goal[:, None]).sum(axis=2)
    cells = env.place[:, None] + _MOVES
    hits = (cells[:, :, None] == env.homes[:, None]).all(axis=3)
    others = hits & (np.arange(env.dancers) != dancer[:, None])[:, None]
    distance += 100.0 * others.any(axis=2)
    return np.where((difference == 0).all(axis=1), 0, distance.argmin(axis=1))
