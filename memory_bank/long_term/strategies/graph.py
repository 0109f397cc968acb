"""A graph of what was experienced and what is held to be true, in which nothing is erased."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

from memory_bank.long_term.base import Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.query import Hit, Query
from memory_bank.long_term.strategies.base import Operation, Strategy, active, add, delete, joined, similarity, update

EPISODIC, SEMANTIC, PROCEDURAL = "episodic", "semantic", "procedural"
SAME = 0.9
_WEIGHTS = {"relevance": 1.0, "recency": 0.2, "importance": 0.2, "outcome": 0.2, "credibility": 0.3}


class KnowledgeGraph(Strategy):
    """Episodic nodes are merged into semantic ones at a similarity of 0.9 and more; what is contradicted or of little
    credit is deactivated, never erased; reading scores relevance, recency, importance, return and credibility
    (PlugMem, arXiv 2603.03296).

    There a language model extracts propositions and prescriptions and judges contradictions; here two sightings
    contradict each other if they are of the same object more than `moved_m` apart: the newer is right, the older
    is deactivated. A procedural node is an episode that ended with an outcome over 0.5, made
    of the goal and what was done. Edges are `parents`. When the memory is full, the node of the lowest credibility
    and age goes out of use.
    """

    name: ClassVar[str] = "graph"
    least: ClassVar[int] = 2

    def __init__(self, capacity: int = 64, seed: int = 0, moved_m: float = 1.0) -> None:
        super().__init__(capacity, seed)
        self.moved_m = moved_m

    def write(self, store: Store, entry: Entry) -> list[Operation]:
        nodes = [node for node in active(store) if node.kind != PROCEDURAL]
        contradicted = [node for node in nodes if self._contradicts(node, entry)]
        done = [add(store, entry)]
        done += delete(store, contradicted, f"deactivated: contradicted by {done[0].id}")
        left = [node for node in nodes if node not in contradicted]
        same = max(left, key=lambda node: similarity(node, entry), default=None)
        if same is not None and similarity(same, entry) >= SAME:
            (written,) = store.get([done[0].id])
            merged = joined([same, written], kind=SEMANTIC)
            credit = 1 - (1 - credibility(same)) * 0.5
            merged = replace(merged, provenance={**merged.provenance, "credibility": credit})
            done.append(update(store, [same, written], merged, "merged into"))
        return done + self._bound(store)

    def _bound(self, store: Store) -> list[Operation]:
        kept = active(store)
        if len(kept) <= self.capacity:
            return []
        worst = sorted(kept[:-1], key=lambda node: (credibility(node), node.seq))[: len(kept) - self.capacity]
        return delete(store, worst, "deactivated: least credible of a full memory")

    def _contradicts(self, node: Entry, entry: Entry) -> bool:
        if node.pose is None or entry.pose is None or node.instance_ids != entry.instance_ids or not entry.instance_ids:
            return False
        a, b = node.pose, entry.pose
        return math.dist((a.x_m, a.y_m, a.z_m), (b.x_m, b.y_m, b.z_m)) > self.moved_m

    def finish(self, store: Store, outcome: float | None = None) -> list[Operation]:
        if outcome is None or outcome <= 0.5:
            return []
        kept = active(store)
        used = {id for node in kept if node.kind == PROCEDURAL for id in node.parents}
        episode = [node for node in kept if node.kind != PROCEDURAL and node.id not in used]
        if not episode:
            return []
        goal = str(episode[-1].provenance.get("goal", "the episode"))
        steps = " then ".join(dict.fromkeys(node.caption for node in episode[-4:] if node.caption))
        made = joined(episode, kind=PROCEDURAL, caption=f"{goal}: {steps}")
        made = replace(made, provenance={**made.provenance, "outcome": outcome})
        return [add(store, made), *self._bound(store)]

    def read(self, store: Store, query: Query) -> list[Hit]:
        hits = store.query(query, k=max(4 * query.k, 32))
        newest = max((hit.entry.t1 for hit in hits), default=0.0)
        span = max((newest - hit.entry.t1 for hit in hits), default=0.0) or 1.0
        top = max((hit.score for hit in hits), default=1.0)
        ranked = (query.vector is not None or bool(query.text)) and top > 0
        scored = []
        for hit in hits:
            terms = {
                "relevance": hit.score / top if ranked else 0.0,
                "recency": 1 - (newest - hit.entry.t1) / span,
                "importance": hit.entry.importance,
                "outcome": float(hit.entry.provenance.get("outcome", 0.0)),
                "credibility": credibility(hit.entry),
            }
            scored.append(replace(hit, score=sum(_WEIGHTS[name] * value for name, value in terms.items())))
        return sorted(scored, key=lambda hit: -hit.score)[: query.k]


def credibility(entry: Entry) -> float:
    """In 0..1: 0.5 of what was seen once, nearer to 1 the oftener it was confirmed."""
    return float(entry.provenance.get("credibility", 0.5))
