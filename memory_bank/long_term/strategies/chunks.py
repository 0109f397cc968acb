"""Chunks of a fixed length, found by their means and then looked into."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from memory_bank.long_term.base import Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.query import Hit, Query
from memory_bank.long_term.strategies.base import Operation, Strategy, active, add, delete, joined
from memory_bank.long_term.tail import unit

CHUNK = "chunk"


class HierarchicalChunks(Strategy):
    """Every `length` entries become a chunk whose key is their mean; a query attends to the keys, takes the best
    `chosen` chunks, attends inside each, and weighs what it finds by the chunk's relevance (HCAM, arXiv 2105.14039).

    There keys and queries are learned and both attentions are layers of a network; here they are cosine similarities
    under a softmax of temperature 0.1. The oldest chunk is retired whole when the memory is full.
    """

    name: ClassVar[str] = "chunks"
    least: ClassVar[int] = 4

    def __init__(self, capacity: int = 64, seed: int = 0, length: int = 8, chosen: int = 4) -> None:
        super().__init__(capacity, seed)
        self.length, self.chosen = min(length, max(1, capacity // 2 - 1)), chosen

    def write(self, store: Store, entry: Entry) -> list[Operation]:
        done = [add(store, entry)]
        kept = active(store)
        chunks = [entry for entry in kept if entry.kind == CHUNK]
        held = {id for chunk in chunks for id in chunk.parents}
        loose = [entry for entry in kept if entry.kind != CHUNK and entry.id not in held]
        if len(loose) >= self.length:
            done.append(add(store, joined(loose, kind=CHUNK)))
            kept = active(store)
        while len(kept) > self.capacity:
            oldest = next(entry for entry in kept if entry.kind == CHUNK)
            gone = [entry for entry in kept if entry.id in (oldest.id, *oldest.parents)]
            done += delete(store, gone, "oldest chunk of a full memory")
            kept = active(store)
        return done

    def read(self, store: Store, query: Query) -> list[Hit]:
        if query.vector is None:
            return [hit for hit in store.query(query, k=query.k + self.capacity) if hit.entry.kind != CHUNK][: query.k]
        vector = unit(query.vector)
        kept = active(store)
        chunks = [entry for entry in kept if entry.kind == CHUNK]
        held = {id for chunk in chunks for id in chunk.parents}
        inside = {chunk.id: [entry for entry in kept if entry.id in chunk.parents] for chunk in chunks}
        keys = [(chunk.id, unit(chunk.embedding)) for chunk in chunks if chunk.embedding is not None]
        loose = [entry for entry in kept if entry.kind != CHUNK and entry.id not in held]
        if loose:
            inside[""] = loose
            keys.append(
                ("", unit(np.mean([unit(entry.embedding) for entry in loose if entry.embedding is not None], 0)))
            )
        best = sorted(((float(key @ vector), id) for id, key in keys), reverse=True)[: self.chosen]
        relevance = _softmax([score for score, _ in best])
        hits = []
        for share, (_, id) in zip(relevance, best, strict=True):
            members = [entry for entry in inside[id] if query.accepts(entry)]
            alike = [float(unit(entry.embedding) @ vector) for entry in members if entry.embedding is not None]
            for entry, within, score in zip(members, _softmax(alike), alike, strict=True):
                hits.append(Hit(replace(entry, embedding=None, tokens=None), float(share * within), similarity=score))
        return sorted(hits, key=lambda hit: -hit.score)[: query.k]


def _softmax(scores: list[float], temperature: float = 0.1) -> np.ndarray:
    if not scores:
        return np.empty(0)
    raised = np.exp((np.array(scores) - max(scores)) / temperature)
    return raised / raised.sum()
