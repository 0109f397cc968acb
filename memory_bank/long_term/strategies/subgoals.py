"""A subgoal is a chunk: what happened under it becomes a summary when the next begins."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from memory_bank.long_term.base import Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.strategies.base import Operation, Strategy, active, add, delete, joined, update

SUMMARY = "summary"


class SubgoalChunks(Strategy):
    """Entries of the subgoal under way (`provenance["subgoal"]`) stay as they are; when another begins, or the
    episode ends, they are archived behind one summary, which `expand` opens again (HiAgent, arXiv 2408.09559).

    There a language model sets subgoals, writes summaries and asks for details; here subgoals come with the entries,
    a summary is the subgoal with the first and last caption, and whoever reads may expand it. A subgoal too long for
    the memory is summarised in parts.
    """

    name: ClassVar[str] = "subgoals"
    least: ClassVar[int] = 2

    def write(self, store: Store, entry: Entry) -> list[Operation]:
        done = []
        open_now = [kept for kept in active(store) if kept.kind != SUMMARY]
        another = bool(open_now) and _subgoal(open_now[-1]) != _subgoal(entry)
        if another or len(open_now) >= max(1, self.capacity // 2):
            done += self._close(store, open_now)
        done.append(add(store, entry))
        kept = active(store)
        summaries = [entry for entry in kept if entry.kind == SUMMARY]
        return done + delete(store, summaries[: max(0, len(kept) - self.capacity)], "oldest summary of a full memory")

    def finish(self, store: Store, outcome: float | None = None) -> list[Operation]:
        open_now = [kept for kept in active(store) if kept.kind != SUMMARY]
        return self._close(store, open_now) if open_now else []

    def _close(self, store: Store, entries: list[Entry]) -> list[Operation]:
        first, last = entries[0].caption, entries[-1].caption
        caption = f"{_subgoal(entries[-1]) or 'on the way'}: {first}" + (f" ... {last}" if last != first else "")
        summary = replace(joined(entries, kind=SUMMARY, caption=caption))
        return [update(store, entries, summary, "archived in")]

    @staticmethod
    def expand(store: Store, summary: Entry) -> list[Entry]:
        """What a summary stands for, whole, in the order of writing."""
        return store.get(summary.parents)


def _subgoal(entry: Entry) -> str:
    return str(entry.provenance.get("subgoal", ""))
