"""The paper's consolidation (equation 9): the two neighbours most alike become one."""

from __future__ import annotations

from typing import ClassVar

import torch

from memory_bank.strategies.base import Candidates, Decision


class MergeMostSimilar:
    """Of all neighbours the pair of the highest similarity is merged, the earlier pair where two are equal."""

    reads_similarity: ClassVar[bool] = True

    def choose(self, candidates: Candidates) -> Decision:
        remove = candidates.similarity[:, 1:].argmax(dim=1) + 1
        return Decision(remove=remove, merge=torch.ones_like(remove, dtype=torch.bool))
