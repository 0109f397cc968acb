"""What a strategy of long-term consolidation is: what becomes of a working memory's entries, and how they are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from memory_bank.long_term.base import Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.errors import StoreError
from memory_bank.long_term.query import Hit, Query
from memory_bank.long_term.tail import unit

ADD, UPDATE, DELETE, NOOP = "add", "update", "delete", "noop"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that was done to the store. The list of them replays a memory."""

    kind: str
    """add: `id` came; update: `id` came in the place of `ids`; delete: `ids` were retired; noop: nothing."""
    id: str = ""
    ids: tuple[str, ...] = ()
    reason: str = ""


class Strategy:
    """Decides what of a stream of entries stays in use, within `capacity`, and how it is read.

    A strategy keeps nothing of its own that is not in the store: another instance, over the same store, goes on where
    this one was. Nothing is erased: what goes is retired, with a reason, and what takes its place names it in
    `parents`. What random there is comes from `seed` and from entries' numbers.
    """

    name: ClassVar[str]

    def __init__(self, capacity: int = 64, seed: int = 0) -> None:
        """
        Args:
            capacity: entries in use, at most.
            seed: of what is random.

        Raises:
            StoreError: capacity is too small.
        """
        if capacity < self.least:
            raise StoreError(f"strategy {self.name}: capacity is {capacity}; at least {self.least}")
        self.capacity, self.seed = capacity, seed

    least: ClassVar[int] = 1
    """The smallest capacity."""

    def write(self, store: Store, entry: Entry) -> list[Operation]:
        """Takes one entry of working memory; gives what was done."""
        raise NotImplementedError

    def finish(self, store: Store, outcome: float | None = None) -> list[Operation]:
        """The end of an episode, with its outcome in 0..1 where there is one; gives what was done."""
        return []

    def read(self, store: Store, query: Query) -> list[Hit]:
        """What the query finds, best first."""
        return store.query(query)


def active(store: Store, kind: str = "") -> list[Entry]:
    """The entries in use, whole, in the order of writing."""
    hits = store.query(kind=kind, k=1 << 20)
    return sorted(store.get([hit.entry.id for hit in hits]), key=lambda entry: entry.seq)


def add(store: Store, entry: Entry) -> Operation:
    (stored,) = store.append(entry)
    return Operation(ADD, stored.id)


def update(store: Store, olds: Sequence[Entry], entry: Entry, reason: str) -> Operation:
    """Puts an entry in the place of others."""
    (stored,) = store.append(replace(entry, parents=tuple(old.id for old in olds)))
    store.retire([old.id for old in olds], f"{reason} {stored.id}")
    return Operation(UPDATE, stored.id, stored.parents, reason)


def delete(store: Store, entries: Iterable[Entry], reason: str) -> list[Operation]:
    ids = tuple(entry.id for entry in entries)
    if not ids:
        return []
    store.retire(ids, reason)
    return [Operation(DELETE, "", ids, reason)]


def weight(entry: Entry) -> float:
    """How many entries of working memory it stands for."""
    return float(entry.provenance.get("weight", 1))


def joined(entries: Sequence[Entry], kind: str = "", caption: str = "") -> Entry:
    """One entry for several: the weighted mean of unit embeddings, the span of all, the newest's place."""
    weights = np.array([weight(entry) for entry in entries])
    mean = np.average([unit(_vector(entry)) for entry in entries], axis=0, weights=weights).astype(np.float32)
    newest = max(entries, key=lambda entry: (entry.t1, entry.seq))
    captions = dict.fromkeys(part for entry in entries for part in entry.caption.split("; ") if part)
    return Entry(
        embedding=mean if mean.any() else _vector(newest),
        t0=min(entry.t0 for entry in entries),
        t1=newest.t1,
        caption=caption or "; ".join(list(captions)[-4:]),
        pose=newest.pose,
        room=newest.room,
        instance_ids=tuple(dict.fromkeys(id for entry in entries for id in entry.instance_ids)),
        kind=kind or newest.kind,
        importance=max(entry.importance for entry in entries),
        provenance={**newest.provenance, "weight": float(weights.sum())},
        parents=tuple(entry.id for entry in entries),
    )


def similarity(a: Entry, b: Entry) -> float:
    """Cosine similarity."""
    return float(unit(_vector(a)) @ unit(_vector(b)))


def _vector(entry: Entry) -> np.ndarray:
    assert entry.embedding is not None
    return entry.embedding


def reachable(store: Store, ids: Iterable[str]) -> set[str]:
    """The entries and all that they were made of, and so on."""
    found: set[str] = set()
    ahead = list(ids)
    while ahead:
        new = [id for id in dict.fromkeys(ahead) if id not in found]
        found.update(new)
        ahead = [parent for entry in store.get(new) for parent in entry.parents]
    return found
