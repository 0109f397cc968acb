"""Episodes as an endless stream of segments: in order within a row, many rows side by side.

    row 0 | episode 7, from a random frame on ....... | episode 2 .............. | episode 5 ...
    row 1 | episode 0 .. | episode 4 ........................... | episode 1 .......
          |-- segment 0 --|-- segment 1 --|-- segment 2 --|        each T steps of all rows

A memory bank that is carried from segment to segment so lives through whole episodes, as it will when the policy acts.
All that is drawn depends on the seed and on counters alone, so a stream is resumed from a few integers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from embodied.data.errors import DataError
from embodied.data.segments import Demonstrations, FrameSource, Segment

_ORDER, _STRIDE, _OFFSET, _START = range(4)
"""What a random number is for, so that no two uses share one."""


@dataclass
class SegmentConfig:
    """How episodes are cut into training segments."""

    rows: int = field(default=8, metadata={"help": "episodes side by side in a batch"})
    steps: int = field(default=8, metadata={"help": "observations of a row in a segment"})
    chunk: int = field(default=16, metadata={"help": "actions that follow each observation"})
    stride_min: int = field(
        default=1, metadata={"help": "fewest frames from one observation to the next (actions executed of a chunk)"}
    )
    stride_max: int = field(default=8, metadata={"help": "most frames; the stride is drawn anew for each episode"})
    random_start: bool = field(
        default=False,
        metadata={
            "help": "begin an episode at a frame before the first stride's end, so that every frame is seen even with "
            "one fixed stride; else at frame 0, as when acting"
        },
    )
    seed: int = field(default=0, metadata={"help": "of the episodes' order, strides and first frames"})
    workers: int = field(default=2, metadata={"help": "threads that decode rows"})

    def validate(self) -> None:
        """Raises ValueError, which begins with the key."""
        for key in ("rows", "steps", "chunk", "stride_min", "workers"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} must be at least 1, not {getattr(self, key)}")
        if self.stride_max < self.stride_min:
            raise ValueError(f"stride_max must be at least stride_min ({self.stride_min}), not {self.stride_max}")


@dataclass
class _Row:
    """Where a row is: `episode` -1 before its first visit and after its last, `frame` of its next observation."""

    episode: int = -1
    stride: int = 1
    frame: int = 0
    begins: bool = False


@dataclass(frozen=True)
class _Step:
    episode: int
    frame: int
    begins: bool


class SegmentStream:
    """Iterates over segments.

    Every row goes through whole episodes, one after another; the next one comes from an order that all rows share, in
    which every episode stands once before any stands twice. Rows begin at random frames of their first episode, so
    that they do not end theirs together. Within an episode the observations are `stride` frames apart.

    Args:
        demonstrations: where actions, states and instructions come from.
        episodes: those to use; None: all.
        frames: where images come from; None: the demonstrations. Features that were computed beforehand go in here.
        repeat: False: every episode once, from its first frame, then the end; rows that are done before are padded.
        rank, world: this process and how many share the work: each episode of a round goes to one of them.

    Raises:
        DataError: no episodes, or one that the demonstrations do not have.
        ValueError: the config is wrong.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        config: SegmentConfig,
        episodes: Iterable[int] | None = None,
        frames: FrameSource | None = None,
        *,
        repeat: bool = True,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        config.validate()
        if not 0 <= rank < world:
            raise ValueError(f"rank must be from 0 to {world - 1}, not {rank}")
        self._demonstrations, self._source, self._config = demonstrations, frames or demonstrations, config
        self._episodes = sorted(set(demonstrations.episodes if episodes is None else episodes))
        if unknown := [episode for episode in self._episodes if episode not in demonstrations.episodes]:
            raise DataError(f"there is no episode {unknown[0]} in this data set of {len(demonstrations.episodes)}")
        if not self._episodes:
            raise DataError("there are no episodes to stream: choose some")
        self._repeat, self._rank, self._world = repeat, rank, world
        self._visits = 0
        self._order: tuple[int, np.ndarray] | None = None
        self._rows = [_Row() for _ in range(config.rows)]
        self._pool = ThreadPoolExecutor(config.workers) if config.workers > 1 else None
        for number, row in enumerate(self._rows):
            self._next_episode(row)
            if repeat and row.episode >= 0:
                length = demonstrations.episodes[row.episode].length
                row.frame = int(self._draw(_OFFSET, number).integers(0, length))

    def __iter__(self) -> Iterator[Segment]:
        return self

    def __next__(self) -> Segment:
        if all(row.episode < 0 for row in self._rows):
            raise StopIteration
        steps = [[self._step(row) for _ in range(self._config.steps)] for row in self._rows]
        images = list(self._pool.map(self._images, steps) if self._pool else map(self._images, steps))
        return self._segment(steps, images)

    # -- going on ------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is, as JSON values: a stream that loads it goes on with the very same segments."""
        return {
            "data": self._fingerprint(),
            "visits": self._visits,
            "rows": [[row.episode, row.stride, row.frame, int(row.begins)] for row in self._rows],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to where `state` was taken.

        Raises:
            DataError: it was taken of other episodes, or with another number of rows, seed or share of the work.
        """
        if state["data"] != self._fingerprint():
            raise DataError(
                "cannot go on in the data where the checkpoint stopped: the episodes, rows, strides, seed or number "
                "of processes are others; use the same, or start anew"
            )
        self._visits = int(state["visits"])
        self._rows = [_Row(int(e), int(s), int(f), bool(b)) for e, s, f, b in state["rows"]]

    def _fingerprint(self) -> str:
        """What must be the same for a state to mean the same."""
        c = self._config
        settings = [c.rows, c.stride_min, c.stride_max, int(c.random_start), c.seed]
        settings += [int(self._repeat), self._rank, self._world]
        lengths = [[episode, self._demonstrations.episodes[episode].length] for episode in self._episodes]
        return hashlib.sha256(repr((settings, lengths)).encode()).hexdigest()[:16]

    # -- walking -------------------------------------------------------------------------------------------------

    def _draw(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self._config.seed, purpose, self._rank, number])

    def _step(self, row: _Row) -> _Step | None:
        """The row's next observation, None when it has none left."""
        if row.episode < 0:
            return None
        step = _Step(row.episode, row.frame, row.begins)
        row.begins = False
        row.frame += row.stride
        if row.frame >= self._demonstrations.episodes[row.episode].length:
            self._next_episode(row)
        return step

    def _next_episode(self, row: _Row) -> None:
        visit, self._visits = self._visits, self._visits + 1
        turn, place = divmod(visit * self._world + self._rank, len(self._episodes))
        if turn > 0 and not self._repeat:
            row.episode = -1
            return
        if self._order is None or self._order[0] != turn:
            generator = np.random.default_rng([self._config.seed, _ORDER, turn])
            self._order = turn, generator.permutation(self._episodes)
        row.episode, row.begins, row.frame = int(self._order[1][place]), True, 0
        row.stride = int(self._draw(_STRIDE, visit).integers(self._config.stride_min, self._config.stride_max + 1))
        if self._config.random_start:
            first = min(row.stride, self._demonstrations.episodes[row.episode].length)
            row.frame = int(self._draw(_START, visit).integers(0, first))

    # -- gathering -----------------------------------------------------------------------------------------------

    def _images(self, steps: list[_Step | None]) -> dict[str, np.ndarray]:
        """What is seen in a row's steps, name -> [up to T, ...]; steps of one episode are asked for together."""
        parts: list[dict[str, np.ndarray]] = []
        present = [step for step in steps if step is not None]
        begin = 0
        for end in range(1, len(present) + 1):
            if end == len(present) or present[end].begins:
                indices = np.array([step.frame for step in present[begin:end]], np.int64)
                parts.append(self._source.frames(present[begin].episode, indices))
                begin = end
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}

    def _segment(self, steps: list[list[_Step | None]], images: list[dict[str, np.ndarray]]) -> Segment:
        rows, length, chunk = self._config.rows, self._config.steps, self._config.chunk
        one = self._demonstrations.actions(self._episodes[0]), self._demonstrations.states(self._episodes[0])
        segment = Segment(
            images={
                name: np.zeros((rows, length, *example.shape[1:]), example.dtype)
                for name, example in next(seen for seen in images if seen).items()
            },
            state=np.zeros((rows, length, one[1].shape[1]), np.float32),
            times=np.zeros((rows, length), np.float64),
            resets=np.zeros((rows, length), bool),
            mask=np.zeros((rows, length), bool),
            actions=np.zeros((rows, length, chunk, one[0].shape[1]), np.float32),
            action_mask=np.zeros((rows, length, chunk), bool),
            instructions=[[""] * length for _ in range(rows)],
            episodes=np.full((rows, length), -1, np.int64),
            frames=np.full((rows, length), -1, np.int64),
        )
        for b, row in enumerate(steps):
            for name, seen in images[b].items():
                segment.images[name][b, : len(seen)] = seen
            for t, step in enumerate(row):
                if step is None:
                    continue
                following = self._demonstrations.actions(step.episode)[step.frame : step.frame + chunk]
                segment.state[b, t] = self._demonstrations.states(step.episode)[step.frame]
                segment.times[b, t] = step.frame / self._demonstrations.fps
                segment.resets[b, t], segment.mask[b, t] = step.begins, True
                segment.actions[b, t, : len(following)] = following
                segment.action_mask[b, t, : len(following)] = True
                segment.instructions[b][t] = self._demonstrations.instructions(step.episode)[step.frame]
                segment.episodes[b, t], segment.frames[b, t] = step.episode, step.frame
        return segment
