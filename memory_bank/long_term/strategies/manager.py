"""A learned manager that adds, updates, deletes or does nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from memory_bank.long_term.base import Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.strategies.base import (
    NOOP,
    Operation,
    Strategy,
    active,
    add,
    delete,
    joined,
    similarity,
    update,
)
from memory_bank.long_term.strategies.ranker import load, save

ACTIONS = ("add", "update", "delete", "noop")
FEATURES = 8


class LearnedManager(Strategy):
    """For each new entry and its nearest neighbour a policy chooses: add it; update, the new takes the neighbour's
    place; delete the neighbour and leave the new one out; or nothing (Memory-R1, arXiv 2508.19828). It is trained by
    reinforcement on how well the task then goes, the reader frozen (memory_bank/long_term/train.py).

    There the manager is a language model that sees texts and chooses among several neighbours; here it is a network
    of two layers over eight features: similarity to the nearest and to the second, their importance and the new
    one's, age of the nearest, distance between their places, how full the memory is. The reader takes the store's
    order. In a full memory an addition puts out the entry of least importance.
    """

    name: ClassVar[str] = "manager"

    def __init__(self, capacity: int = 64, seed: int = 0, weights: str = "") -> None:
        super().__init__(capacity, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = nn.Sequential(nn.Linear(FEATURES, 32), nn.Tanh(), nn.Linear(32, len(ACTIONS)))
        if weights:
            load(self.network, weights)
        self.explore: torch.Generator | None = None
        """Actions are drawn by it while training; None: the likeliest is taken."""
        self.chosen: list[Tensor] = []
        """Log probabilities of what was drawn."""

    def write(self, store: Store, entry: Entry) -> list[Operation]:
        kept = active(store)
        order = sorted(kept, key=lambda old: -similarity(old, entry))
        action = ACTIONS[self._decide(self._features(entry, order, len(kept)))]
        if action == "noop" and kept:
            return [Operation(NOOP, reason="the manager leaves it out")]
        if action == "update" and kept:
            merged = replace(joined([order[0], entry]), embedding=entry.embedding, id=entry.id, tokens=entry.tokens)
            merged = replace(merged, caption=entry.caption or merged.caption, importance=entry.importance)
            return [update(store, [order[0]], merged, "updated to")]
        if action == "delete" and kept:
            return delete(store, [order[0]], "the manager deletes it")
        done = [add(store, entry)]
        if len(kept) + 1 > self.capacity:
            least = min(kept, key=lambda old: (old.importance, old.seq))
            done += delete(store, [least], "least important of a full memory")
        return done

    def _decide(self, seen: Tensor) -> int:
        if self.explore is None:
            with torch.no_grad():
                return int(self.network(seen).argmax())
        logits = torch.log_softmax(self.network(seen), dim=-1)
        drawn = int(torch.multinomial(logits.detach().exp(), 1, generator=self.explore))
        self.chosen.append(logits[drawn])
        return drawn

    def _features(self, entry: Entry, order: list[Entry], count: int) -> Tensor:
        values = [0.0] * FEATURES
        values[7] = count / self.capacity
        values[0] = entry.importance
        if order:
            nearest = order[0]
            values[1], values[2] = similarity(nearest, entry), nearest.importance
            values[3] = similarity(order[1], entry) if len(order) > 1 else -1.0
            values[4] = min(1.0, (entry.t0 - nearest.t1) / 60)
            if nearest.pose is not None and entry.pose is not None:
                away = torch.tensor([nearest.pose.x_m - entry.pose.x_m, nearest.pose.y_m - entry.pose.y_m]).norm()
                values[5] = min(1.0, float(away) / 5)
            values[6] = 1.0
        return torch.tensor(values)

    def save(self, path: Path) -> None:
        save(self.network, path)
