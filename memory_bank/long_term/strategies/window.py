"""First the time, then the relevance."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

from memory_bank.long_term.base import Store
from memory_bank.long_term.query import Hit, Query
from memory_bank.long_term.strategies.fifo import Fifo

_LAST = re.compile(r"\blast (\d+(?:\.\d+)?) ?(s|seconds?|min|minutes?|h|hours?)\b")
_AGO = re.compile(r"\b(\d+(?:\.\d+)?) ?(s|seconds?|min|minutes?|h|hours?) ago\b")


class TimeWindow(Fifo):
    """Reading takes the candidates of a time window, ranks those by relevance, and chooses among them by relevance
    and nearness in time together (Memory-T1, arXiv 2512.20092). Writing is FIFO.

    There a language model predicts the window and an RL-trained one selects sessions, rewarded densely for temporal
    consistency; here the window is the query's `time`, or what "last 5 minutes" and "2 hours ago" in its text say,
    counted from the newest entry, and the selection is fixed: relevance times (1 - 0.5 x distance in time from the
    window's middle).
    """

    name: ClassVar[str] = "window"

    def read(self, store: Store, query: Query) -> list[Hit]:
        if query.time is None and query.text:
            query = self._windowed(store, query)
        hits = store.query(query, k=4 * query.k)
        if query.time is None or (query.vector is None and not query.text):
            return hits[: query.k]
        middle, half = sum(query.time) / 2, max((query.time[1] - query.time[0]) / 2, 1e-9)

        def near(hit: Hit) -> float:
            return 1 - 0.5 * min(1.0, abs((hit.entry.t0 + hit.entry.t1) / 2 - middle) / half)

        chosen = [replace(hit, score=hit.score * near(hit)) for hit in hits]
        return sorted(chosen, key=lambda hit: -hit.score)[: query.k]

    @staticmethod
    def _windowed(store: Store, query: Query) -> Query:
        newest = store.query(k=1)
        if not newest:
            return query
        now = newest[0].entry.t1
        if found := _LAST.search(query.text):
            return replace(query, time=(now - _seconds(found), now), text=_LAST.sub("", query.text).strip() or "seen")
        if found := _AGO.search(query.text):
            then, slack = now - _seconds(found), 0.25 * _seconds(found)
            return replace(query, time=(then - slack, then + slack), text=_AGO.sub("", query.text).strip() or "seen")
        return query


def _seconds(found: re.Match[str]) -> float:
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2][0]]
