"""First in, first out."""

from __future__ import annotations

from typing import ClassVar

from memory_bank.long_term.base import Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.strategies.base import Operation, Strategy, active, add, delete


class Fifo(Strategy):
    """The newest `capacity` entries stay (MemoryVLA, arXiv 2508.19236, an ablation), here of entries with
    captions and places instead of tokens."""

    name: ClassVar[str] = "fifo"

    def write(self, store: Store, entry: Entry) -> list[Operation]:
        done = [add(store, entry)]
        kept = active(store)
        return done + delete(store, kept[: max(0, len(kept) - self.capacity)], "oldest of a full memory")
