"""Core, semantic and episodic memory."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from memory_bank.long_term.base import Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.strategies.base import Operation, Strategy, active, add, delete, joined, update

CORE, SEMANTIC, EPISODIC = "core", "semantic", "episodic"
CORE_WORDS = 512


class CoreSemanticEpisodic(Strategy):
    """Three parts (Mem-alpha, arXiv 2509.25911): a core of at most 512 words that is only ever replaced, semantic
    facts that are inserted and updated, and episodic entries that are inserted and deleted.

    There a language model is trained by RL to call the tools of the three parts; here rules call them. A fact is what
    is known of one object (`instance_ids`): where and when it was seen last, so that the newest wins when it has
    moved. The core is the goal (`provenance["goal"]`) and the rooms seen. Facts take half of the memory, the least
    recently seen leave.
    """

    name: ClassVar[str] = "parts"
    least: ClassVar[int] = 4

    def write(self, store: Store, entry: Entry) -> list[Operation]:
        done = [add(store, replace(entry, kind=EPISODIC))]
        (written,) = store.get([done[0].id])
        for instance in written.instance_ids:
            fact = replace(
                written,
                id="",
                kind=SEMANTIC,
                caption=f"{instance}: {written.caption}" if written.caption else instance,
                instance_ids=(instance,),
                tokens=None,
                parents=(written.id,),
            )
            old = [kept for kept in active(store, SEMANTIC) if kept.instance_ids == (instance,)]
            done.append(update(store, old, fact, "superseded by") if old else add(store, fact))
        done += self._renew_core(store, written)
        facts = active(store, SEMANTIC)
        most = (self.capacity - 1) // 2
        done += delete(store, facts[: max(0, len(facts) - most)], "least recently seen of full facts")
        episodes = active(store, EPISODIC)
        room = self.capacity - 1 - min(len(facts), most)
        return done + delete(store, episodes[: max(0, len(episodes) - room)], "oldest of full episodes")

    def _renew_core(self, store: Store, entry: Entry) -> list[Operation]:
        old = active(store, CORE)
        goal = str(entry.provenance.get("goal", ""))
        known = old[-1].caption if old else ""
        lines = dict.fromkeys([*known.split("; "), goal, f"room {entry.room}" if entry.room else ""])
        caption = " ".join("; ".join(line for line in lines if line).split()[-CORE_WORDS:])
        if not caption or caption == known:
            return []
        core = replace(joined([*old, entry], kind=CORE, caption=caption), tokens=None, instance_ids=())
        return [update(store, old, core, "replaced by") if old else add(store, core)]
