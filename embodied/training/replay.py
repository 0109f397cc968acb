"""Stored experience for training recurrent policies: the newest segments, in memory and, for resuming, on disk.

A segment is what all environments did in T steps. It is written once, as a file of its own, so that a checkpoint need
only say which segments it knows: after a kill the very same experience is read back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from embodied.checkpoint import CheckpointError
from embodied.files import replacing

Arrays = dict[str, np.ndarray]
_MIRRORED, _NEXT = "mirrored.", "next."


@dataclass
class Segment:
    """`arrays`: name -> [T, N, ...]. `state`: the recurrent state before the first step, name -> [N, ...].

    `mirrored`: that of a policy which lived the mirror image of all that came before.
    """

    index: int
    arrays: Arrays
    state: Arrays
    mirrored: Arrays


class Place(NamedTuple):
    """A sequence: row `row` of the segment of that index, as it was or its mirror image."""

    segment: int
    row: int
    mirrored: bool = False


@dataclass
class Batch:
    """B sequences side by side: `arrays` name -> [T, B, ...], `state` name -> [B, ...]; `places` says whence.

    Those to be mirrored (`mirrored`, bool [B]) are so in `state` alone: who learns from them knows what is to exchange.
    """

    arrays: Arrays
    state: Arrays
    places: list[Place]

    @property
    def mirrored(self) -> np.ndarray:
        return np.array([place.mirrored for place in self.places])


class Replay:
    """The newest `capacity` segments.

    Args:
        folder: of the segments' files.
        capacity: how many to keep.
    """

    def __init__(self, folder: Path, capacity: int) -> None:
        self._folder = folder
        self._segments: deque[Segment] = deque(maxlen=capacity)
        self._next_mirrored: Arrays = {}
        """The mirror image's state after the newest segment, where it has been learnt."""

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def first(self) -> int:
        """Index of the oldest segment that is kept."""
        return self._segments[0].index if self._segments else 0

    @property
    def end(self) -> int:
        """Index of the segment that will come next."""
        return self._segments[-1].index + 1 if self._segments else 0

    def append(self, arrays: Arrays, state: Arrays) -> None:
        """Keeps a segment, in memory and on disk; the oldest leaves. Raises FileError."""
        mirrored = {name: self._next_mirrored.get(name, values).copy() for name, values in state.items()}
        segment = Segment(self.end, arrays, state, mirrored)
        with replacing(self._path(segment.index)) as draft:
            safetensors.numpy.save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, draft)
        self._segments.append(segment)

    def sample(self, generator: np.random.Generator, rows: int, mirror: bool | None = None) -> Batch:
        """All sequences of the newest segment and, up to `rows`, others drawn evenly from all segments.

        Args:
            mirror: whether the newest come as their mirror images; of the others, either way, a random half does. None:
                no mirror images at all.
        """
        newest = self._segments[-1]
        width = newest.arrays["resets"].shape[1]
        places = [Place(newest.index, row, bool(mirror)) for row in range(min(width, rows))]
        drawn = generator.integers(0, len(self._segments) * width, size=rows - len(places))
        tossed = generator.random(len(drawn)) < 0.5 if mirror is not None else np.zeros(len(drawn), bool)
        places += [
            Place(self.first + int(number) // width, int(number) % width, bool(mirrored))
            for number, mirrored in zip(drawn, tossed, strict=True)
        ]
        chosen = [(self._segments[place.segment - self.first], place) for place in places]
        return Batch(
            {name: np.stack([s.arrays[name][:, p.row] for s, p in chosen], axis=1) for name in newest.arrays},
            {
                name: np.stack([(s.mirrored if p.mirrored else s.state)[name][p.row] for s, p in chosen])
                for name in newest.state
            },
            places,
        )

    def refresh(self, batch: Batch, state: Mapping[str, np.ndarray]) -> None:
        """Gives the segments that follow those of `batch` the state that the newer policy ends them with ([B, ...]).

        So stored states do not grow stale, which costs recurrent replay dear (R2D2, Kapturowski et al., ICLR 2019).
        """
        for number, place in enumerate(batch.places):
            if place.segment + 1 < self.end:
                following = self._segments[place.segment + 1 - self.first]
                kept = following.mirrored if place.mirrored else following.state
            elif place.mirrored:  # what comes next begins with it
                newest = self._segments[-1].mirrored
                kept = self._next_mirrored = self._next_mirrored or {n: v.copy() for n, v in newest.items()}
            else:
                continue  # what comes next begins with the state of who drove
            for name, values in state.items():
                kept[name][place.row] = values[number]

    # -- resuming ------------------------------------------------------------------------------------------------

    def states(self) -> Arrays:
        """The states before all segments, name -> [segments, N, ...]; the mirror images', and their next, [N, ...]."""
        if not self._segments:
            return {}
        names = self._segments[0].state
        return {
            **{name: np.stack([segment.state[name] for segment in self._segments]) for name in names},
            **{_MIRRORED + name: np.stack([segment.mirrored[name] for segment in self._segments]) for name in names},
            **{_NEXT + name: values for name, values in self._next_mirrored.items()},
        }

    def restore(self, first: int, end: int, states: Arrays) -> None:
        """Reads segments `first` to `end` back, and removes those that came after.

        Raises:
            CheckpointError: one of them is missing or damaged.
        """
        self._segments.clear()
        self._next_mirrored = {n.removeprefix(_NEXT): np.array(v) for n, v in states.items() if n.startswith(_NEXT)}
        for index in range(first, end):
            path = self._path(index)
            try:
                arrays = safetensors.numpy.load_file(path)
            except (OSError, SafetensorError) as error:
                raise CheckpointError(
                    f"the stored experience {path} cannot be read ({error}); remove {self._folder.parent} to start anew"
                ) from error
            at = {name: np.array(values[index - first]) for name, values in states.items() if _NEXT not in name}
            mirrored = {name: at.pop(_MIRRORED + name, at[name].copy()) for name in list(at) if _MIRRORED not in name}
            self._segments.append(Segment(index, arrays, at, mirrored))
        self.forget(index for index in self._on_disk() if index >= end)

    def forget_before(self, index: int) -> None:
        """Removes the files of segments that no checkpoint needs any more."""
        self.forget(i for i in self._on_disk() if i < index)

    def forget(self, indices: Iterable[int]) -> None:
        for index in list(indices):
            self._path(index).unlink(missing_ok=True)

    def _on_disk(self) -> list[int]:
        return sorted(int(path.stem.rpartition("_")[2]) for path in self._folder.glob("segment_*.safetensors"))

    def _path(self, index: int) -> Path:
        return self._folder / f"segment_{index:08d}.safetensors"
