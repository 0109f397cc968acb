"""Rows cut into stretches that attend to one context each, so that rows of any age go through a network side by side.

::

    row 0     s s s s s|s s s s s s s|s s          a border (|) wherever the context is full
    depth     0         1             2
    row 1     s s s r r r r r r r r r r r|r r      r: an episode begins, nothing is left of the one before
    depth     0     1                     2

Stretches of equal depth need nothing of each other, and are one batch. At depth 0 are those that go on with the context
of the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass
class Span:
    """Steps start..end-1 of one row, which share a context."""

    row: int
    start: int
    end: int
    continues: bool
    """It goes on with the context that the state held (depth 0)."""
    before: Span | None = None
    """The span that ended at the border before this one; None after a reset."""
    followed: bool = False
    """Another span comes after a border: what is handed over it has to be computed."""
    index: int = 0
    """Place among the spans of its depth."""

    @property
    def length(self) -> int:
        return self.end - self.start


def cut(
    resets: Tensor, used: list[int], limit: Callable[[int, int], int], kept: int = 0
) -> tuple[list[list[Span]], list[int]]:
    """The spans of an unroll.

    A border lies before a token that finds as many in the context as the limit says, not behind the last that fits: so
    what is handed over a border is computed in the unroll that reads it, which is how it learns.

    Args:
        resets: bool [T, N].
        used: tokens that each row's context holds already.
        limit: (row, segments begun in this unroll) -> how many it may hold.
        kept: how many tokens are left in it after a border.

    Returns:
        The spans by depth, and how many segments each row has begun.
    """
    steps, rows = resets.shape
    depths: list[list[Span]] = []
    begun = []
    episodes = [(resets[:, row].nonzero().flatten().tolist()) for row in range(rows)]
    for row in range(rows):
        ends = [*(t for t in episodes[row] if t > 0), steps]
        starts = [0, *ends[:-1]]
        segments = 0
        for start, end in zip(starts, ends, strict=True):
            fresh = start > 0 or bool(episodes[row] and episodes[row][0] == 0)
            segments += fresh
            held, before, depth, t = (0, None, 1, start) if fresh else (used[row], None, 0, start)
            while t < end:
                room = limit(row, segments) - held
                last = min(end, t + max(room, 0))
                span = Span(row, t, last, continues=depth == 0, before=before)
                if before is not None:
                    before.followed = True
                while len(depths) <= depth:
                    depths.append([])
                span.index = len(depths[depth])
                depths[depth].append(span)
                segments += last < end
                before, held, depth, t = span, kept, depth + 1, last
        begun.append(segments)
    return depths, begun


def rectangle(sequences: list[Tensor], device: torch.device) -> Tensor:
    """Indices (int64), a sequence a row, padded behind with 0: [B, longest]."""
    return pad_sequence(sequences, batch_first=True).to(device)


def numbers(values: list[int], device: torch.device) -> Tensor:
    """int64 [len(values)], empty or not."""
    return torch.tensor(values, dtype=torch.int64, device=device)


def in_order(outputs: Tensor, places: Tensor) -> Tensor:
    """`outputs` [K, ...] sorted by `places`, which are the numbers 0 to K - 1."""
    return outputs[torch.argsort(places).to(outputs.device)]
