"""Questions about a history with their true answers, and what counts as an answer.

An answer is a list of frame numbers, one a goal. A frame answers a goal if, from its pose and in the house as it is
now (FindingDory's predicates; what differs is in docs/long_horizon.md):

- object: at most 2.0 m away by path, heading within 45 degrees of it, at least 0.1 % of the picture
- receptacle: at most 1.1 m from its footprint (0.1 m from a place a metre before it), within 90 degrees, 0.1 %
- room: inside
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sim.long_horizon.history import PICTURE_PIXELS, History
from sim.long_horizon.story import SEEN_SHARE, Story, true_story
from sim.long_horizon.templates import OBJECT, ORDER, ROOM, TEMPLATES, Template, Words

OBJECT_M, OBJECT_RAD = 2.0, math.radians(45.0)
RECEPTACLE_M, RECEPTACLE_RAD = 1.1, math.radians(90.0)
MOST_CHANCE = 0.5
"""A question that a random frame would answer more often than this is not asked."""
MOST_GOALS = 12


@dataclass(frozen=True)
class Question:
    """An instruction with its truth: `goals`, each the ids any of which will do; `chance`: of one random frame."""

    template: Template
    history: str
    text: str
    words: Words
    goals: tuple[tuple[int, ...], ...]
    chance: float

    @property
    def ordered(self) -> bool:
        return self.template.shape == ORDER


@dataclass(frozen=True)
class View:
    """A pose with what it sees of the house as it is now: thing -> (pixels, metres by path)."""

    pose: tuple[float, float, float, float]
    today: dict[int, tuple[int, float]]


class Truth:
    """What a history's frames show of the house as it is now."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.story: Story = true_story(history)

    def view(self, frame: int) -> View:
        x, y, z, yaw = (float(v) for v in self.history.poses[frame])
        return View((x, y, z, yaw), self.history.today[frame])

    def is_near(self, view: View, key: int, kind: str) -> bool:
        """The goal's condition on distance."""
        x, _, z, _ = view.pose
        if kind == ROOM:
            return self.history.scene.rooms[key].holds(x, z)
        if kind == OBJECT:
            return view.today.get(key, (0, math.inf))[1] <= OBJECT_M
        return self.story.receptacles[key].gap_m(x, z) <= RECEPTACLE_M

    def is_seen(self, view: View, key: int, kind: str) -> bool:
        """The goal's conditions on heading and picture."""
        if kind == ROOM:
            return self.is_near(view, key, kind)
        thing = (self.story.objects if kind == OBJECT else self.story.receptacles)[key]
        x, _, z, yaw = view.pose
        bearing = math.atan2(x - thing.position[0], z - thing.position[2])
        off = abs((bearing - yaw + math.pi) % (2 * math.pi) - math.pi)
        within = off <= (OBJECT_RAD if kind == OBJECT else RECEPTACLE_RAD)
        return within and view.today.get(key, (0, 0.0))[0] >= SEEN_SHARE * PICTURE_PIXELS

    def meets(self, view: View, key: int, kind: str) -> bool:
        return self.is_near(view, key, kind) and self.is_seen(view, key, kind)

    def frames(self, key: int, kind: str) -> frozenset[int]:
        """All frames that answer a goal."""
        table = self._frames
        if (key, kind) not in table:
            showing = range(len(self.history)) if kind == ROOM else self._showing.get(key, ())
            table[key, kind] = frozenset(f for f in showing if self.meets(self.view(f), key, kind))
        return table[key, kind]

    @cached_property
    def _showing(self) -> dict[int, list[int]]:
        """Thing -> the frames from whose poses it would be seen at all."""
        found: dict[int, list[int]] = {}
        for frame, today in enumerate(self.history.today):
            for key in today:
                found.setdefault(key, []).append(frame)
        return found

    @cached_property
    def _frames(self) -> dict[tuple[int, str], frozenset[int]]:
        return {}

    def question(self, template: Template, words: Words, text: str) -> Question | None:
        """A question with its truth; None if it cannot be solved, means nothing definite, or is too easy."""
        goals = template.find(self.story, words)
        if not goals or not all(goals) or len(goals) > MOST_GOALS or (template.shape != "one" and len(goals) < 2):
            return None
        if template.shape == "one" and template.definite and len(goals[0]) != 1:
            return None
        shown = [frozenset().union(*(self.frames(key, template.kind) for key in goal)) for goal in goals]
        if not all(shown):
            return None
        chance = float(np.mean([len(frames) / len(self.history) for frames in shown]))
        if chance > MOST_CHANCE:
            return None
        return Question(template, self.history.name, text, words, tuple(tuple(sorted(g)) for g in goals), chance)

    def draw(
        self, seed: int, per_template: int = 1, held_out: bool = True, templates: Iterable[Template] = TEMPLATES
    ) -> list[Question]:
        """Questions of every template that this history allows, `per_template` each at most.

        Args:
            held_out: whether they are put as never in training.
        """
        questions = []
        for index, template in enumerate(templates):
            rng = np.random.default_rng([seed, index])
            options = list(template.draw(self.story))
            found = 0
            for choice in rng.permutation(len(options)):
                words = options[int(choice)]
                phrasing = template.held_out if held_out else template.phrasings[int(rng.integers(2))]
                question = self.question(template, words, phrasing.format(**words))
                if question is not None:
                    questions.append(question)
                    found += 1
                    if found == per_template:
                        break
        return questions


def matches(shown: list[frozenset[int]], answer: list[int], ordered: bool) -> bool:
    """Whether the frames answer the goals, one each; in order, or in any (a perfect matching)."""
    if len(answer) != len(shown):
        return False
    if ordered:
        return all(frame in frames for frame, frames in zip(answer, shown, strict=True))
    taken: dict[int, int] = {}

    def place(goal: int, tried: set[int]) -> bool:
        for index, frame in enumerate(answer):
            if frame in shown[goal] and index not in tried:
                tried.add(index)
                if index not in taken or place(taken[index], tried):
                    taken[index] = goal
                    return True
        return False

    return all(place(goal, set()) for goal in range(len(shown)))
