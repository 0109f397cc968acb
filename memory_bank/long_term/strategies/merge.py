"""The two neighbours most alike become one."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from memory_bank.long_term.base import Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.strategies.base import Operation, Strategy, active, add, joined, similarity, update


class MergeMostSimilar(Strategy):
    """Of all neighbours in time the pair of the highest cosine similarity is merged (MemoryVLA, arXiv 2508.19236,
    equation 9). There the mean is plain and what was merged is gone; here it is weighted by how much each stands for,
    the span of time and all objects are kept, and the two stay to be asked about."""

    name: ClassVar[str] = "merge"

    def write(self, store: Store, entry: Entry) -> list[Operation]:
        done = [add(store, entry)]
        kept = sorted(active(store), key=lambda entry: (entry.t0, entry.seq))
        if len(kept) > self.capacity:
            pairs = list(pairwise(kept))
            first, second = max(pairs, key=lambda pair: similarity(*pair))
            done.append(update(store, [first, second], joined([first, second]), "merged into"))
        return done
