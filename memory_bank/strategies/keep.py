"""No consolidation: a full bank takes nothing more."""

from __future__ import annotations

from typing import ClassVar

import torch

from memory_bank.strategies.base import Candidates, Decision


class KeepFirst:
    """The first L writes stay; later ones are forgotten."""

    reads_similarity: ClassVar[bool] = False

    def choose(self, candidates: Candidates) -> Decision:
        newest = torch.full_like(candidates.written, candidates.counts.shape[1] - 1)
        return Decision(remove=newest, merge=torch.zeros_like(newest, dtype=torch.bool))
