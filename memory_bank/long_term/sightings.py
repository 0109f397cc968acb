"""A small task that rewards a memory: where is each thing now?

A robot sees `objects` things over and over, among clutter that nobody will ask about. Some things are moved, and are
then seen elsewhere. At the end every thing is asked for by its looks; an answer is right if the first entry found is
a sighting of that thing at the place where it is now. What is worth keeping shows in an entry's importance, noisily.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from memory_bank.long_term.entry import Entry, Pose
from memory_bank.long_term.query import Query
from memory_bank.long_term.strategies.base import Strategy
from memory_bank.long_term.volatile import VolatileStore

NEAR_M = 0.5


class Question(NamedTuple):
    vector: np.ndarray
    """[D] the thing's looks."""
    x_m: float
    y_m: float
    """Where it is."""


@dataclass(frozen=True)
class Sightings:
    """The task's knobs."""

    objects: int = 5
    steps: int = 40
    clutter: float = 0.5
    """Share of sightings that nobody will ask about."""
    moves: float = 0.3
    """Chance that a thing is elsewhere when it is seen again."""
    dim: int = 16
    noise: float = 0.15
    """Of looks, against unit length."""

    def episode(self, seed: int) -> tuple[list[Entry], list[Question]]:
        """What is seen, in the order of time, and what is asked then."""
        rng = np.random.default_rng(seed)
        looks = rng.standard_normal((self.objects, self.dim))
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        places = rng.uniform(-5, 5, (self.objects, 2))
        seen: dict[int, bool] = {}
        entries = []
        for step in range(self.steps):
            if rng.random() < self.clutter:
                look, place = rng.standard_normal(self.dim), rng.uniform(-5, 5, 2)
                importance = rng.normal(0.3, 0.15)
                name = f"clutter_{step}"
            else:
                which = int(rng.integers(self.objects))
                if which in seen and rng.random() < self.moves:
                    places[which] = rng.uniform(-5, 5, 2)
                seen[which] = True
                look, place = looks[which], places[which].copy()
                importance = rng.normal(0.7, 0.15)
                name = f"thing_{which}"
            look = look / np.linalg.norm(look) + self.noise * rng.standard_normal(self.dim) / np.sqrt(self.dim)
            pose = Pose(float(place[0]), float(place[1]))
            entries.append(
                Entry(
                    look.astype(np.float32),
                    float(step),
                    step + 1.0,
                    id=f"{seed}_{step}",
                    caption=name,
                    pose=pose,
                    importance=float(importance),
                )
            )
        questions = [Question(looks[which].astype(np.float32), *map(float, places[which])) for which in sorted(seen)]
        return entries, questions


def right(question: Question, entry: Entry) -> bool:
    """Whether the entry tells where the thing is."""
    if entry.pose is None:
        return False
    return float(np.hypot(entry.pose.x_m - question.x_m, entry.pose.y_m - question.y_m)) <= NEAR_M


def score(strategy: Strategy, task: Sightings, seed: int) -> float:
    """The share of questions of one episode that are answered right, by the first entry read."""
    entries, questions = task.episode(seed)
    store = VolatileStore(task.dim)
    for entry in entries:
        strategy.write(store, entry)
    answers = [strategy.read(store, Query(vector=question.vector, k=1)) for question in questions]
    good = [bool(hits) and right(question, hits[0].entry) for question, hits in zip(questions, answers, strict=True)]
    return sum(good) / max(1, len(good))
