"""What a bank did, step by step: which entries were asked, what was merged into what, how much memory contributed.

A step that traces hands out tensors that it had anyway and leaves them where they are; the host is asked once, when a
`Trace` is read.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from memory_bank.errors import BankError

GREW, MERGED, FORGOT, IDLE = "grew", "merged", "forgot", "idle"


class StreamTrace(NamedTuple):
    """What one stream did in one step, for B rows; without gradients."""

    now: Tensor
    """[B] float64, seconds."""
    reset: Tensor
    """[B] bool: an episode began with this step."""
    attention: Tensor
    """[B, blocks, L]: share of each entry that was read, mean over query tokens and heads; zeros in an empty row."""
    gate: Tensor
    """[B]: share of the present in what came out, mean over tokens and channels."""
    size: Tensor
    """[B]: entries that were read; of these `start` to `last` [B, L], as in `BankState`."""
    start: Tensor
    end: Tensor
    counts: Tensor
    first: Tensor
    last: Tensor
    written: Tensor
    """[B]: writes of the episode before this one: the number that this one gets."""
    grew: Tensor
    """[B] bool: the new entry was added to a row with room. With neither this nor `removed`, nothing was written."""
    removed: Tensor
    """[B] int64: of a full row, the entry that left (L is the one being written); otherwise -1."""
    merged: Tensor
    """[B] bool: it was merged with the entry before it."""


class Entry(NamedTuple):
    """An entry as a step read it."""

    start_s: float
    end_s: float
    observations: int
    """Observations merged into it."""
    first: int
    """Which write of its episode the oldest of them was (from 0)."""
    last: int
    """Which write the newest was."""
    attention: tuple[float, ...]
    """Its share of each block's attention."""


class Event(NamedTuple):
    """What a step's write did."""

    time_s: float
    kind: str
    """grew; merged (`left` into `into`); forgot (`left`); idle: nothing was written."""
    left: tuple[int, int] | None = None
    """First and last write of the entry that left."""
    into: tuple[int, int] | None = None
    """First and last write of the entry that it was merged into."""


@dataclass
class EpisodeTrace:
    """One episode of one row and stream, on the host: S steps."""

    stream: str
    times_s: np.ndarray
    """[S] seconds."""
    gates: np.ndarray
    """[S] share of the present."""
    entries: list[list[Entry]]
    """What each step read."""
    events: list[Event]
    """What each step's write did."""
    written: np.ndarray
    """[S] writes before each step."""

    def attention_on_writes(self, block: int = -1) -> np.ndarray:
        """[S, W]: each step's attention on the entry that holds each write of the episode.

        NaN where nothing was remembered of a write. W is the number of writes.
        """
        image = np.full((len(self.entries), int(self.written.max(initial=0)) + 1), np.nan)
        for row, entries in zip(image, self.entries, strict=True):
            for entry in entries:
                row[entry.first : entry.last + 1] = entry.attention[block]
        return image

    def write_times(self) -> np.ndarray:
        """[W] seconds: when each write was; NaN for one that was not recorded."""
        times = np.full(int(self.written.max(initial=0)) + 1, np.nan)
        times[self.written] = self.times_s
        return times


class Trace:
    """A recording of steps.

    Usage::

        trace = Trace()
        out = bank.step(tokens, times, state, trace=True)
        trace.record(out.trace)
        ...
        trace.episodes("perceptual", row=0)[-1].events
    """

    def __init__(self) -> None:
        self._steps: list[dict[str, StreamTrace]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def record(self, *steps: dict[str, StreamTrace] | None) -> None:
        """Adds steps (of `Step.trace` or `Unrolled.trace`). Nothing is copied to the host yet.

        Raises:
            BankError: a step did not trace.
        """
        for step in steps:
            if step is None:
                raise BankError("nothing to record: call the bank with trace=True")
            self._steps.append(step)

    @property
    def streams(self) -> list[str]:
        return list(self._steps[0]) if self._steps else []

    def arrays(self, stream: str) -> dict[str, np.ndarray]:
        """The fields of `StreamTrace`, [S, B, ...] each, on the host.

        Raises:
            BankError: there is no such stream.
        """
        if stream not in self.streams:
            raise BankError(f"the trace has no stream '{stream}': it has {', '.join(self.streams) or 'no steps'}")
        fields = zip(StreamTrace._fields, zip(*(step[stream] for step in self._steps), strict=True), strict=True)
        return {name: _to_host(torch.stack(values)) for name, values in fields}

    def episodes(self, stream: str, row: int) -> list[EpisodeTrace]:
        """The episodes of a row that the recording holds, in order.

        Raises:
            BankError: there is no such stream.
            IndexError: there is no such row.
        """
        fields = {name: values[:, row] for name, values in self.arrays(stream).items()}
        begins = np.flatnonzero(fields["reset"])
        bounds = sorted({0, len(self), *begins.tolist()})
        return [
            _episode(stream, {name: values[begin:end] for name, values in fields.items()})
            for begin, end in itertools.pairwise(bounds)
        ]


def _to_host(values: Tensor) -> np.ndarray:
    return (values.float() if values.dtype == torch.bfloat16 else values).detach().cpu().numpy()


def _episode(stream: str, fields: dict[str, np.ndarray]) -> EpisodeTrace:
    entries = [
        [
            Entry(
                start_s=float(fields["start"][step, k]),
                end_s=float(fields["end"][step, k]),
                observations=int(fields["counts"][step, k]),
                first=int(fields["first"][step, k]),
                last=int(fields["last"][step, k]),
                attention=tuple(fields["attention"][step, :, k].tolist()),
            )
            for k in range(size)
        ]
        for step, size in enumerate(fields["size"])
    ]
    return EpisodeTrace(
        stream=stream,
        times_s=fields["now"],
        gates=fields["gate"],
        entries=entries,
        events=[_event(fields, step, entries[step]) for step in range(len(entries))],
        written=fields["written"],
    )


def _event(fields: dict[str, np.ndarray], step: int, read: list[Entry]) -> Event:
    now, written, removed = (fields[name][step].item() for name in ("now", "written", "removed"))
    if removed < 0:
        return Event(now, GREW if fields["grew"][step] else IDLE)
    spans = [*((entry.first, entry.last) for entry in read), (written, written)]
    if fields["merged"][step]:
        return Event(now, MERGED, left=spans[removed], into=spans[removed - 1])
    return Event(now, FORGOT, left=spans[removed])
