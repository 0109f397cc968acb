"""A store in memory alone: for training, tests, and episodes that leave nothing behind."""

from __future__ import annotations

from collections.abc import Sequence

from memory_bank.long_term.base import EmbedText, Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.errors import StoreError


class VolatileStore(Store):
    """As `LongTermStore`, but nothing outlives the process."""

    name = "memory"

    def __init__(self, dim: int, embed_text: EmbedText | None = None) -> None:
        super().__init__(dim, embed_text)
        self._seq = -1

    def append(self, entries: Sequence[Entry] | Entry) -> list[Entry]:
        given = [entries] if isinstance(entries, Entry) else list(entries)
        with self._lock:
            stored = [entry.checked(self.dim, self._seq + 1 + i) for i, entry in enumerate(given)]
            ids = [entry.id for entry in stored]
            if len(set(ids)) < len(ids) or any(self._tail.get(id) is not None for id in ids):
                raise StoreError("there is an entry of that id already, and entries are never replaced")
            for entry in stored:
                self._tail.add(entry)
            self._seq += len(stored)
        return stored

    def retire(self, ids: Sequence[str] | str, reason: str) -> None:
        given = [ids] if isinstance(ids, str) else list(ids)
        if not reason:
            raise StoreError("retire: say why, in `reason`")
        self.get(given)
        with self._lock:
            self._seq += 1  # numbered as in a journal, so that strategies decide the same over either
            for id in given:
                self._tail.retire(id, reason, self._seq)

    def compact(self, purge: bool = False) -> None:
        """Drops retired entries, with `purge`."""
        if purge:
            with self._lock:
                kept = [entry for entry in self._tail.entries if entry.active]
                self._tail = type(self._tail)(self.dim)
                for entry in kept:
                    self._tail.add(entry)

    def close(self) -> None:
        pass
