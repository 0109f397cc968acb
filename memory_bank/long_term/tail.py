"""The newest entries, which are in the journal but not yet in the table: held in memory and searched exactly."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from memory_bank.long_term.entry import Entry
from memory_bank.long_term.query import Query, words_of

_T0, _T1, _X, _Y, _Z, _ACTIVE = range(6)


class Tail:
    """Entries in the order of writing, and what has been retired since the table was last written."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.entries: list[Entry] = []
        self.size_bytes = 0
        self.retired: dict[str, tuple[int, str]] = {}
        """(seq, reason) by the ids of entries that are in the table."""
        self._place: dict[str, int] = {}
        self._words: dict[str, list[int]] = defaultdict(list)
        self._unit = np.empty((64, dim), np.float32)
        self._columns = np.empty((64, 6))

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, entry: Entry) -> None:
        assert entry.embedding is not None
        place = len(self.entries)
        if place == len(self._unit):
            self._unit, self._columns = _doubled(self._unit), _doubled(self._columns)
        self._unit[place] = unit(entry.embedding)
        xyz = (entry.pose.x_m, entry.pose.y_m, entry.pose.z_m) if entry.pose else (math.nan,) * 3
        self._columns[place] = (entry.t0, entry.t1, *xyz, entry.active)
        self.entries.append(entry)
        self.size_bytes += entry.size_bytes
        self._place[entry.id] = place
        for word in set(words_of(entry.caption)):
            self._words[word].append(place)

    def get(self, id: str) -> Entry | None:
        place = self._place.get(id)
        return None if place is None else self.entries[place]

    def retire(self, id: str, reason: str, seq: int) -> None:
        """Retires an entry, here or in the table."""
        place = self._place.get(id)
        if place is None:
            self.retired[id] = (seq, reason)
        else:
            self.entries[place] = replace(self.entries[place], retired=reason)
            self._columns[place, _ACTIVE] = False

    def after(self, seq: int, folded: dict[str, str]) -> Tail:
        """What is left when all up to `seq` is in the table, where entries came with the reasons of `folded`, by id."""
        rest = Tail(self.dim)
        rest.retired = {id: change for id, change in self.retired.items() if change[0] > seq}
        for entry in self.entries:
            if entry.seq > seq:
                rest.add(entry)
            elif entry.retired != folded.get(entry.id, entry.retired):  # retired while the table was being written
                rest.retired[entry.id] = (seq + 1, entry.retired)
        return rest

    def matching(self, query: Query, among: list[int] | None = None) -> np.ndarray:
        """Places of the entries that meet the query's conditions, ascending."""
        if not self.entries:
            return np.empty(0, np.int64)
        columns = self._columns[: len(self.entries)]
        keep = np.ones(len(columns), bool) if query.retired else columns[:, _ACTIVE] > 0
        if query.time is not None:
            keep &= (columns[:, _T1] >= query.time[0]) & (columns[:, _T0] <= query.time[1])
        if query.place is not None:
            away = columns[:, _X : _Z + 1] - np.array(query.place[:3])
            keep &= (away * away).sum(1) <= query.place[3] ** 2
        if among is not None:
            chosen = np.zeros_like(keep)
            chosen[among] = True
            keep &= chosen
        places = np.flatnonzero(keep)
        if query.room or query.kind or query.instance:
            places = np.array([place for place in places if query.accepts(self.entries[place])], np.int64)
        return places

    def nearest(self, query: Query, vector: np.ndarray, count: int) -> list[tuple[Entry, float]]:
        """Up to `count` entries by cosine similarity, exact."""
        places = self.matching(query)
        if not len(places):
            return []
        rows = self._unit[: len(self.entries)]
        similarity = (rows if len(places) == len(rows) else rows[places]) @ unit(vector)
        if count < len(places):
            best = np.argpartition(-similarity, count - 1)[:count]
            places, similarity = places[best], similarity[best]
        return [(self.entries[place], float(score)) for place, score in zip(places, similarity, strict=True)]

    def with_words(self, query: Query, words: Iterable[str]) -> list[Entry]:
        """The entries whose captions hold any of the words."""
        places = sorted({place for word in words for place in self._words.get(word, ())})
        return [self.entries[place] for place in self.matching(query, places)] if places else []

    def all(self, query: Query) -> list[Entry]:
        """The entries that meet the conditions."""
        return [self.entries[place] for place in self.matching(query)]


def unit(vector: np.ndarray) -> np.ndarray:
    """The vector at length 1."""
    return vector / np.linalg.norm(vector)


def _doubled(rows: np.ndarray) -> np.ndarray:
    grown = np.empty((2 * len(rows), *rows.shape[1:]), rows.dtype)
    grown[: len(rows)] = rows
    return grown
