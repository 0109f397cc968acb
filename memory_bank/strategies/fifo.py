"""First in, first out: the last L writes (the paper's ablation)."""

from __future__ import annotations

from typing import ClassVar

import torch

from memory_bank.strategies.base import Candidates, Decision


class Fifo:
    """The oldest entry is forgotten."""

    reads_similarity: ClassVar[bool] = False

    def choose(self, candidates: Candidates) -> Decision:
        oldest = torch.zeros_like(candidates.written)
        return Decision(remove=oldest, merge=torch.zeros_like(oldest, dtype=torch.bool))
