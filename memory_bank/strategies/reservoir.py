"""A reservoir (Vitter's algorithm R): a uniform sample of L of all writes so far, however many there were."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from memory_bank.strategies.base import Candidates, Decision

_BITS = 0xFFFFFFFF


class Reservoir:
    """Write n (from 0) of an episode stays with probability L / (n + 1), in the place of a random one.

    The draw is a function of the row's seed and of n alone, so that an episode comes out the same in whatever batch, on
    whatever device, and after a restart.
    """

    reads_similarity: ClassVar[bool] = False

    def choose(self, candidates: Candidates) -> Decision:
        newest = candidates.counts.shape[1] - 1
        drawn = draw(candidates.seed, candidates.written, candidates.written + 1)
        remove = torch.clamp(drawn, max=newest)
        return Decision(remove=remove, merge=torch.zeros_like(remove, dtype=torch.bool))


def draw(seed: Tensor, number: Tensor, below: Tensor) -> Tensor:
    """The `number`-th random integer of a seed, uniform in 0..below-1; all int64, below < 2^31."""
    word = _mix(_mix(_mix(seed & _BITS) ^ ((seed >> 32) & _BITS)) ^ (number & _BITS))
    return (word * below) >> 32


def _mix(word: Tensor) -> Tensor:
    """A bijection of 32-bit words in which every bit of the input sways every bit of the output."""
    word = (word + 0x9E3779B9) & _BITS
    word = _times(word ^ (word >> 16), 0x21F0AAAD)
    word = _times(word ^ (word >> 15), 0x735A2D97)
    return word ^ (word >> 15)


def _times(word: Tensor, factor: int) -> Tensor:
    """word * factor modulo 2^32, never near the end of int64."""
    return (word * (factor & 0xFFFF) + (((word * (factor >> 16)) & 0xFFFF) << 16)) & _BITS
