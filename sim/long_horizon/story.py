"""What happened in a history, as questions ask about it.

A `Story` is made in two ways: from the recording's own record of events (the truth), and by an agent from what it
perceived. Templates ask either in the same words: a phrase such as "small red cup" stands for whatever it describes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from sim.houses.categories import CATEGORIES
from sim.houses.palette import COLOURS, MATERIALS
from sim.long_horizon.history import DAY_S, PICTURE_PIXELS, History, Interaction
from sim.long_horizon.scene import Thing

SEEN_SHARE = 0.001
SIZES = ("small", "medium", "large")
_MATERIALS = (*MATERIALS, "food")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_DAYS = ("today", "yesterday", "two days ago", "three days ago", "four days ago", "five days ago", "six days ago")


@dataclass
class Story:
    """Objects, receptacles and rooms by id, things where they are now, and what was done, in order.

    `visits`: (clock s, room) at every entry. `metres_now`: from where the robot stands now. `margin_m`, `margin_s`:
    how much better than the next the farthest, longest ... must be to count alone: above 0 for the truth, so that no
    answer hangs by a hair.
    """

    objects: dict[int, Thing]
    receptacles: dict[int, Thing]
    rooms: dict[int, str]
    interactions: list[Interaction]
    visits: list[tuple[float, int]]
    days: int
    metres_now: dict[int, float]
    seen: set[int] = field(default_factory=set)
    margin_m: float = 0.0
    margin_s: float = 0.0

    @property
    def handled(self) -> dict[int, Thing]:
        return {i.object: self.objects[i.object] for i in self.interactions if i.object in self.objects}

    @property
    def sources(self) -> dict[int, Thing]:
        return {i.source: self.receptacles[i.source] for i in self.interactions if i.source in self.receptacles}

    @property
    def targets(self) -> dict[int, Thing]:
        return {i.target: self.receptacles[i.target] for i in self.interactions if i.target in self.receptacles}

    @property
    def used(self) -> dict[int, Thing]:
        return {**self.sources, **self.targets}

    def on_day(self, day: int) -> list[Interaction]:
        return [i for i in self.interactions if i.day == day]

    @property
    def yesterday(self) -> int:
        return self.days - 1

    def rooms_entered(self, day: int | None = None) -> set[int]:
        """Rooms the robot was in, on one day or ever."""
        return {room for clock_s, room in self.visits if day is None or int(clock_s // DAY_S) == day} - {0}

    def best(self, values: dict[int, float], highest: bool, margin: float) -> set[int]:
        """The keys of the best value and of all that come within `margin` of it."""
        if not values:
            return set()
        top = max(values.values()) if highest else min(values.values())
        return {key for key, value in values.items() if abs(value - top) <= margin}


def true_story(history: History, interactions: list[Interaction] | None = None) -> Story:
    """The story of a recording; `interactions` instead of its own where a checker found them itself."""
    scene = history.scene
    now = {key: _moved(scene.things[key], history) for key in scene.movables}
    visits: list[tuple[float, int]] = []
    for _, x, z, _, clock_s in history.steps:
        room = scene.room_at(float(x), float(z))
        if room and (not visits or visits[-1][1] != room or int(visits[-1][0] // DAY_S) != int(clock_s // DAY_S)):
            visits.append((float(clock_s), room))
    seen = {k for frame in history.visible for k, pixels in frame.items() if pixels >= SEEN_SHARE * PICTURE_PIXELS}
    return Story(
        objects=now,
        receptacles=scene.receptacles,
        rooms={key: room.kind for key, room in scene.rooms.items()},
        interactions=history.interactions if interactions is None else interactions,
        visits=visits,
        days=history.days,
        metres_now={int(k): float(v) for k, v in history.meta["metres_now"].items()},
        seen=seen,
        margin_m=0.75,
        margin_s=10.0,
    )


def _moved(thing: Thing, history: History) -> Thing:
    return Thing(**{**thing.__dict__, "position": history.position_now(thing.id)})


# -- words ------------------------------------------------------------------------------------------------------------


def describe(thing: Thing, among: Iterable[Thing]) -> str | None:
    """The shortest phrase that describes `thing` and nothing else in `among`; None if there is none."""
    others = [other for other in among if other.id != thing.id]
    full = (thing.size, thing.colour, thing.material, thing.category)
    for used in ((3,), (1, 3), (0, 3), (1, 2, 3), (0, 1, 3), (0, 1, 2, 3)):
        words = [full[i] for i in used]
        if not any([(o.size, o.colour, o.material, o.category)[i] for i in used] == words for o in others):
            return " ".join(words)
    return None


def matching(phrase: str, among: dict[int, Thing]) -> set[int]:
    """What a phrase of `describe` stands for."""
    words = phrase.split()
    category = next((" ".join(words[i:]) for i in range(len(words)) if " ".join(words[i:]) in CATEGORIES), "")
    before = words[: len(words) - len(category.split())]
    found = set()
    for key, thing in among.items():
        has = (thing.size, thing.colour, thing.material)
        if thing.category == category and all(word in has for word in before):
            found.add(key)
    return found


def find_phrases(text: str) -> list[tuple[int, int, str, str]]:
    """Every thing that a text names: (start, end, phrase, category), in order. Plurals are not looked for."""
    lower = text.lower()
    found: list[tuple[int, int, str, str]] = []
    adjectives = (*SIZES, *COLOURS, *_MATERIALS)
    for category in sorted(CATEGORIES, key=len, reverse=True):
        start = lower.find(category)
        while start >= 0:
            end = start + len(category)
            whole = (start == 0 or not lower[start - 1].isalpha()) and not lower[end : end + 1].isalpha()
            if whole and not any(a < end and start < b for a, b, _, _ in found):
                words, first = [category], start
                head = lower[:start].rstrip().split()
                while head and head[-1] in adjectives:
                    words.insert(0, head.pop())
                    first = lower.rfind(words[0], 0, first)
                found.append((first, end, " ".join(words), category))
            start = lower.find(category, end)
    return sorted(found)


def clock_word(clock_s: float) -> str:
    """HH:MM of the clock."""
    minutes = int(clock_s % DAY_S) // 60
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def seconds_of(word: str) -> float:
    """Seconds from midnight of HH:MM."""
    hours, minutes = word.split(":")
    return 3600.0 * int(hours) + 60.0 * int(minutes)


def day_word(day: int, days: int) -> str:
    """Of day 0, 1 ... of `days`, the last of which is yesterday."""
    return _DAYS[days - day]


def day_of(word: str, days: int) -> int:
    return days - _DAYS.index(word)


def day_in(text: str) -> str:
    """The day that a text names; yesterday if none."""
    return next((word for word in reversed(_DAYS) if word in text.lower() and word != "today"), "yesterday")


def euclidean_m(thing: Thing, x: float, z: float) -> float:
    return math.hypot(thing.position[0] - x, thing.position[2] - z)
