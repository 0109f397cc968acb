"""What a strategy of consolidation is."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol

from torch import Tensor


class Candidates(NamedTuple):
    """What a strategy sees of B rows: L + 1 entries each, of which L may stay.

    In the order of time; entry L is the one being written. Meaningful for full rows only: what is decided for the
    others is not used.
    """

    similarity: Tensor
    """[B, L + 1] mean token-wise cosine similarity to the entry before (0 for entry 0). Zeros unless the strategy
    `reads_similarity`. With joint consolidation the mean over streams."""
    time: Tensor
    """[B, L + 1] float64, seconds."""
    start: Tensor
    """[B, L + 1] float64, seconds."""
    end: Tensor
    """[B, L + 1] float64, seconds."""
    counts: Tensor
    """[B, L + 1] int64: observations merged into an entry."""
    written: Tensor
    """[B] int64: writes since the episode began, this one not counted."""
    seed: Tensor
    """[B] int64."""


class Decision(NamedTuple):
    """Which entry leaves, and whether its content stays."""

    remove: Tensor
    """[B] int64 in 0..L: the entry that leaves; L is the one being written."""
    merge: Tensor
    """[B] bool: it is merged with the entry before it (then `remove` is at least 1), so that an entry remains a span of
    time; otherwise it is forgotten."""


class Strategy(Protocol):
    """Decides which entry leaves a full bank.

    A decision depends on a row's own candidates and nothing else: not on other rows, nor on random state outside
    `Candidates.seed`. It is made of tensor operations of fixed shape, without asking the host (no `.item()`, no
    `nonzero`, no `if` on a tensor).
    """

    reads_similarity: ClassVar[bool]
    """Whether `Candidates.similarity` has to be computed."""

    def choose(self, candidates: Candidates) -> Decision:
        """One decision a row, as if every row were full."""
