"""What every store answers, wherever its entries lie."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from memory_bank.long_term.entry import Entry
from memory_bank.long_term.errors import StoreError
from memory_bank.long_term.query import RANK_CONSTANT, Hit, Query, distance_m, words_of
from memory_bank.long_term.table import Table
from memory_bank.long_term.tail import Tail, unit

EmbedText = Callable[[str], np.ndarray]
"""Text to a vector [D] in the same space as the store's embeddings."""

_POOL = 50
"""Candidates of each ranking, at least, when several are fused."""


class Store:
    """Queries over a table and, where there is one, the tail of newer entries before it. Safe to use from threads."""

    def __init__(self, dim: int, embed_text: EmbedText | None = None) -> None:
        self.dim = dim
        self._embed_text = embed_text
        self._lock = threading.RLock()
        self._table: Table | None = None
        self._tail = Tail(dim)

    # To be written by every kind of store

    def append(self, entries: Sequence[Entry] | Entry) -> list[Entry]:
        """Stores entries; when it returns they are stored for good. Gives them with their ids and numbers.

        Raises:
            StoreError: an entry is not what it should be, its id is taken, or it could not be written. None is stored.
        """
        raise NotImplementedError

    def retire(self, ids: Sequence[str] | str, reason: str) -> None:
        """Takes entries out of use, for good, saying why; they stay to be asked about. Durable as `append`.

        Raises:
            StoreError: there is no such entry, or it could not be written.
        """
        raise NotImplementedError

    def compact(self, purge: bool = False) -> None:
        """Brings everything into the table and its indices anew; with `purge` retired entries are deleted from it."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def _refresh(self) -> None:
        """Called before every reading."""

    # Reading

    def query(self, query: Query | None = None, /, **conditions: Any) -> list[Hit]:
        """What is looked for, best first, at most k. Either a `Query`, or its fields by name.

        Raises:
            StoreError: a field of the query is not what it should be.
        """
        if query is None:
            query = Query(**conditions)
        elif conditions:
            query = replace(query, **conditions)
        query = query.checked(self.dim)
        self._refresh()
        words = list(dict.fromkeys(words_of(query.text)))
        meant = query.vector
        if meant is None and words and self._embed_text is not None:
            meant = np.asarray(self._embed_text(query.text), np.float32)
        if meant is None and not words:
            if query.text:
                raise StoreError(f"query: text '{query.text}' has no word to look for")
            return self._in_order(query)
        fused = meant is not None and bool(words)
        pool = max(4 * query.k, _POOL) if fused or words else query.k
        rankings: dict[str, list[Entry]] = {}
        similarity: dict[str, float] = {}
        shared: dict[str, tuple[str, ...]] = {}
        if meant is not None:
            pairs = self._nearest(query, meant, pool)
            similarity = {entry.id: score for entry, score in pairs}
            rankings["vector"] = [entry for entry, _ in pairs]
        if words:
            found = self._with_words(query, words, pool)
            shared = {entry.id: _common(words, entry) for entry in found}
            found.sort(key=lambda entry: (-len(shared[entry.id]), -entry.t1, -entry.seq))
            rankings["text"] = found[:pool]
        scores: dict[str, float] = {}
        ranks: dict[str, dict[str, int]] = {}
        entries: dict[str, Entry] = {}
        for name, ranking in rankings.items():
            for rank, entry in enumerate(ranking, 1):
                entries.setdefault(entry.id, entry)
                ranks.setdefault(entry.id, {})[name] = rank
                scores[entry.id] = scores.get(entry.id, 0.0) + 1 / (RANK_CONSTANT + rank)
        if not fused:
            scores = similarity if meant is not None else {id: len(have) / len(words) for id, have in shared.items()}
        best = sorted(entries.values(), key=lambda entry: (-scores[entry.id], sum(ranks[entry.id].values())))
        return [
            Hit(
                entry=replace(entry, embedding=None, tokens=None),
                score=scores[entry.id],
                similarity=similarity.get(entry.id),
                words=shared.get(entry.id, ()),
                distance_m=distance_m(query.place, entry) if query.place is not None else None,
                ranks=ranks[entry.id],
            )
            for entry in best[: query.k]
        ]

    def _in_order(self, query: Query) -> list[Hit]:
        """By place or time alone."""
        with self._lock:
            table, newest = self._table, self._tail.all(query)
            fetched = self._outdated()
        older = fetched(table.ordered, query, query.k) if table is not None else []
        merged = list({entry.id: entry for entry in (*older, *newest)}.values())
        if query.place is not None:
            away = {entry.id: distance_m(query.place, entry) for entry in merged}
            merged.sort(key=lambda entry: (away[entry.id], -entry.seq))
            return [
                Hit(replace(entry, embedding=None, tokens=None), -away[entry.id], distance_m=away[entry.id])
                for entry in merged[: query.k]
            ]
        merged.sort(key=lambda entry: (-entry.t1, -entry.seq))
        return [
            Hit(replace(entry, embedding=None, tokens=None), entry.t1, ranks={"time": rank})
            for rank, entry in enumerate(merged[: query.k], 1)
        ]

    def _nearest(self, query: Query, vector: np.ndarray, count: int) -> list[tuple[Entry, float]]:
        with self._lock:  # the tail first: what moves to the table in between is then seen twice rather than not at all
            table, pairs = self._table, self._tail.nearest(query, vector, count)
            fetched = self._outdated()
        if table is not None:
            scores: dict[str, float] = {}

            def find(query: Query, count: int) -> list[Entry]:
                found = table.nearest(query, vector, count)
                scores.update((entry.id, score) for entry, score in found)
                return [entry for entry, _ in found]

            pairs += [(entry, scores[entry.id]) for entry in fetched(find, query, count)]
        best = {entry.id: (entry, score) for entry, score in reversed(pairs)}
        return sorted(best.values(), key=lambda pair: (-pair[1], -pair[0].seq))[:count]

    def _with_words(self, query: Query, words: list[str], count: int) -> list[Entry]:
        with self._lock:
            table, newest = self._table, self._tail.with_words(query, words)
            fetched = self._outdated()
        older: list[Entry] = []
        if table is not None:
            older = fetched(lambda query, count: table.with_words(query, words, count), query, count)
        return list({entry.id: entry for entry in (*older, *newest)}.values())

    def _outdated(self) -> Callable[[Callable[[Query, int], list[Entry]], Query, int], list[Entry]]:
        """How to read from the table what the tail knows to have been retired since."""
        retired = {id: reason for id, (_, reason) in self._tail.retired.items()}

        def fetch(find: Callable[[Query, int], list[Entry]], query: Query, count: int) -> list[Entry]:
            ask = count + min(len(retired), _POOL)
            while True:
                found = find(query, ask)
                kept = [
                    replace(entry, retired=retired[entry.id]) if entry.id in retired else entry
                    for entry in found
                    if query.retired or entry.id not in retired
                ]
                if len(kept) >= count or len(found) < ask:
                    return kept[:count]
                ask *= 4

        return fetch

    def get(self, ids: Sequence[str]) -> list[Entry]:
        """The entries of those ids, whole, retired ones too, in that order.

        Raises:
            StoreError: there is no such entry; the message names it.
        """
        self._refresh()
        with self._lock:
            table = self._table
            have = {id: entry for id in ids if (entry := self._tail.get(id)) is not None}
            retired = {id: reason for id, (_, reason) in self._tail.retired.items()}
        if table is not None:
            for entry in table.get([id for id in ids if id not in have]):
                have[entry.id] = replace(entry, retired=retired.get(entry.id, entry.retired))
        for id in ids:
            if id not in have:
                raise StoreError(f"no entry '{id}' in {self.name}")
        return [have[id] for id in ids]

    def timeline(self, query: Query | None = None, /, **conditions: Any) -> list[Entry]:
        """What meets the conditions (the newest k of it), from the earliest to the latest; not whole."""
        return sorted((hit.entry for hit in self.query(query, **conditions)), key=lambda entry: (entry.t0, entry.seq))

    def scan(self) -> Iterator[Entry]:
        """All entries, whole, retired ones too, in the order of writing."""
        self._refresh()
        with self._lock:
            table, newest = self._table, list(self._tail.entries)
            retired = {id: reason for id, (_, reason) in self._tail.retired.items()}
        seen = set()
        if table is not None:
            for batch in table.batches():
                for entry in batch:
                    seen.add(entry.seq)
                    yield replace(entry, retired=retired.get(entry.id, entry.retired))
        yield from (entry for entry in newest if entry.seq not in seen)

    def explain(self, id: str, query: Query) -> list[str]:
        """Why a query finds an entry, or does not, in a few lines.

        Raises:
            StoreError: there is no such entry.
        """
        entry = self.get([id])[0]
        query = query.checked(self.dim)
        if refusal := query.refusal(entry):
            return [f"not retrieved: {refusal}"]
        hits = self.query(replace(query, k=max(query.k, 1000)))
        place = next((i for i, hit in enumerate(hits) if hit.entry.id == id), None)
        if place is not None:
            hit = hits[place]
            within = "retrieved" if place < query.k else f"not retrieved with k {query.k}"
            lines = [f"{within}: rank {place + 1} of {len(hits)}, score {hit.score:.4f}", f"because: {hit.reason}"]
        else:
            lines = [f"not retrieved: it meets the conditions, but {len(hits)} others come first"]
            if words := words_of(query.text):
                lines.append(f"its caption has {', '.join(_common(words, entry)) or 'none'} of {', '.join(words)}")
            if query.vector is not None and entry.embedding is not None:
                lines.append(f"similarity {float(unit(entry.embedding) @ unit(query.vector)):.3f}")
        if entry.parents:
            lines.append(f"made of: {', '.join(entry.parents)}")
        if entry.provenance:
            lines.append("from: " + ", ".join(f"{key} {value}" for key, value in entry.provenance.items()))
        return lines

    def count(self, query: Query | None = None) -> int:
        """How many entries there are in use, or meet a query's conditions."""
        query = (query or Query()).checked(self.dim)
        self._refresh()
        with self._lock:
            table, seen = self._table, len(self._tail.matching(query))
            retired = list(self._tail.retired)
        if table is None:
            return seen
        pending = 0
        if not query.retired and retired:
            pending = sum(query.accepts(entry) for entry in table.get(retired))
        return seen + table.count(query) - pending

    def __len__(self) -> int:
        return self.count()

    @property
    def name(self) -> str:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _common(words: list[str], entry: Entry) -> tuple[str, ...]:
    have = set(words_of(entry.caption))
    return tuple(word for word in words if word in have)
