"""What was tried before, with how it ended."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from memory_bank.long_term.base import Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.query import Hit, Query
from memory_bank.long_term.strategies.base import Operation, Strategy, active, add, delete, joined, update

EXPERIENCE = "experience"


class ExperienceReuse(Strategy):
    """An episode becomes one experience, keyed by its goal and scene, with its outcome; reading puts experiences of
    good outcome before others as relevant, and refining keeps them few (Evo-Memory, arXiv 2511.20857: ExpRAG and
    ReMem).

    There a language model writes experiences and decides when to think, act or refine; here an experience is the
    episode's mean embedding and its last captions, and refining runs at an episode's end with a budget of `budget`
    operations: of experiences of one goal and scene the better is kept, and the worst go first when the memory is
    full. Entries of the episode under way are kept as by FIFO in half of the memory.
    """

    name: ClassVar[str] = "experience"
    least: ClassVar[int] = 2

    def __init__(self, capacity: int = 64, seed: int = 0, budget: int = 8) -> None:
        super().__init__(capacity, seed)
        self.budget = budget

    def write(self, store: Store, entry: Entry) -> list[Operation]:
        done = [add(store, entry)]
        steps = [kept for kept in active(store) if kept.kind != EXPERIENCE]
        room = self.capacity - len(active(store, EXPERIENCE))
        return done + delete(store, steps[: max(0, len(steps) - max(1, room))], "oldest of the episode under way")

    def finish(self, store: Store, outcome: float | None = None) -> list[Operation]:
        steps = [kept for kept in active(store) if kept.kind != EXPERIENCE]
        if not steps:
            return []
        goal = str(steps[-1].provenance.get("goal", ""))
        told = "; ".join(dict.fromkeys(step.caption for step in steps[-4:] if step.caption))
        value = 0.5 if outcome is None else outcome
        made = joined(steps, kind=EXPERIENCE, caption=f"{goal}: {told}" if goal else told)
        made = replace(made, importance=value, provenance={**made.provenance, "outcome": value})
        done = [update(store, steps, made, "became experience")]
        budget = self.budget
        for kept in self._worse(store):
            if budget == 0:
                break
            done += delete(store, [kept], "a better experience of the same goal and scene is kept")
            budget -= 1
        most = max(1, self.capacity // 2)
        ranked = sorted(active(store, EXPERIENCE), key=lambda entry: (entry.importance, entry.seq))
        return done + delete(store, ranked[: max(0, len(ranked) - most)], "worst of full experiences")

    @staticmethod
    def _worse(store: Store) -> list[Entry]:
        """Experiences that another one of the same goal and scene outdoes, oldest first."""
        best: dict[tuple[str, str], Entry] = {}
        worse = []
        for kept in active(store, EXPERIENCE):
            key = (str(kept.provenance.get("goal", "")), str(kept.provenance.get("scene", "")))
            if key == ("", ""):
                continue
            other = best.get(key)
            if other is None or kept.importance >= other.importance:
                best[key] = kept
                worse += [other] if other is not None else []
            else:
                worse.append(kept)
        return worse

    def read(self, store: Store, query: Query) -> list[Hit]:
        hits = store.query(query, k=4 * query.k)
        if query.vector is None and not query.text:
            return hits[: query.k]
        valued = [replace(hit, score=hit.score * (1 + (hit.entry.importance - 0.5))) for hit in hits]
        return sorted(valued, key=lambda hit: -hit.score)[: query.k]
