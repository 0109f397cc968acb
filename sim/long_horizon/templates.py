"""The sixty questions: FindingDory's families and counts (2506.15635, table of task categories), in our own words.

A template is one row of `TEMPLATES`. `draw` lists the words it could be asked with in a story, `find` what is meant
when it is asked with them. `find` sees only a story and words, never ids: so an agent can answer with the story it
made itself. The families that differ from the paper's (docs/long_horizon.md says how): "print" is size here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sim.long_horizon.history import DAY_S, Interaction
from sim.long_horizon.scene import Thing
from sim.long_horizon.story import (
    ORDINALS,
    Story,
    clock_word,
    day_of,
    day_word,
    describe,
    matching,
    seconds_of,
)

Words = dict[str, str]
OBJECT, RECEPTACLE, ROOM = "object", "receptacle", "room"
ONE, ALL, ORDER = "one", "all", "order"
MULTI_GOAL = ("unordered revisitation", "ordered revisitation")


@dataclass(frozen=True)
class Template:
    """One kind of question.

    Attributes:
        kind: what its goals are: object, receptacle or room.
        phrasings: to learn from. `held_out`: never seen in training. Braces name words.
        draw: the words it can be asked with.
        find: the goals, each a set of ids any of which will do.
        shape: one goal; all of several, in any order; several in order.
        definite: the question says "the": exactly one thing may be meant.
    """

    id: str
    family: str
    kind: str
    phrasings: tuple[str, ...]
    held_out: str
    draw: Callable[[Story], Iterable[Words]]
    find: Callable[[Story, Words], list[set[int]]]
    shape: str = ONE
    definite: bool = True


# -- words to ask with ------------------------------------------------------------------------------------------------


def _nothing(story: Story) -> Iterable[Words]:
    return [{}]


def _phrases(name: str, things: Callable[[Story], dict[int, Thing]]) -> Callable[[Story], Iterable[Words]]:
    def draw(story: Story) -> Iterable[Words]:
        group = things(story)
        found = [describe(thing, group.values()) for thing in group.values()]
        return [{name: phrase} for phrase in found if phrase]

    return draw


_object = _phrases("object", lambda s: s.handled)
_source = _phrases("receptacle", lambda s: s.sources)
_target = _phrases("receptacle", lambda s: s.targets)
_landmark = _phrases("receptacle", lambda s: s.receptacles)


def _categories(group: Callable[[Story], dict[int, Thing]]) -> Callable[[Story], Iterable[Words]]:
    return lambda s: [{"category": c} for c in sorted({t.category for k, t in group(s).items() if k in s.seen})]


def _part_moved(story: Story) -> Iterable[Words]:
    """Categories of which some were moved and some were not."""
    moved = Counter(t.category for t in story.handled.values())
    left = Counter(t.category for k, t in story.objects.items() if k in story.seen and k not in story.handled)
    return [{"category": c} for c in sorted(moved.keys() & left.keys())]


def _attribute(name: str) -> Callable[[Story], Iterable[Words]]:
    def draw(story: Story) -> Iterable[Words]:
        values = {getattr(t, name) for t in story.handled.values()} - {""}
        return [{name: value} for value in sorted(values)] if len(values) > 1 else []

    return draw


def _rooms(used: Callable[[Interaction], int]) -> Callable[[Story], Iterable[Words]]:
    """Kinds of which the house has one room."""

    def draw(story: Story) -> Iterable[Words]:
        counts = Counter(story.rooms.values())
        kinds = {story.rooms[used(i)] for i in story.interactions if used(i) in story.rooms}
        return [{"room": kind} for kind in sorted(kinds) if counts[kind] == 1]

    return draw


def _nth(story: Story) -> Iterable[Words]:
    return [{"n": word} for word in ORDINALS[1 : len(story.interactions) - 1]]


def _between(story: Story) -> Iterable[Words]:
    handled = story.handled
    name = {key: describe(thing, handled.values()) for key, thing in handled.items()}
    pairs = [
        (name.get(a.object), name.get(b.object))
        for a, b in zip(story.interactions, story.interactions[2:], strict=False)
    ]
    return [{"object": a, "other": b} for a, b in pairs if a and b and a != b]


def _while_handling(story: Story) -> Iterable[Words]:
    words = []
    for i in story.interactions:
        minute_s = 60.0 * round((i.start_s + i.end_s) / 120.0)
        if i.start_s < minute_s < i.end_s:
            words.append({"time": clock_word(minute_s), "day": day_word(i.day, story.days)})
    return words


def _soon_after(story: Story) -> Iterable[Words]:
    words = []
    for i in story.interactions:
        minute_s = 60.0 * (i.end_s // 60.0 + 3)
        if all(not i.end_s < other.end_s < minute_s + 60.0 for other in story.interactions):
            words.append({"time": clock_word(minute_s), "day": day_word(i.day, story.days)})
    return words


def _lengths(story: Story) -> Iterable[Words]:
    return [{"minutes": f"{max(1, round(i.seconds / 60.0))} minutes"} for i in story.interactions if i.seconds > 90.0]


# -- what is meant ----------------------------------------------------------------------------------------------------


def _one(found: Iterable[int]) -> list[set[int]]:
    return [set(found) - {0}]


def _each(found: Iterable[int]) -> list[set[int]]:
    """A goal for every one; empty where something comes twice, since then "all" and "in order" are not clear."""
    return [{key} for key in dict.fromkeys(found)]


def _once(found: list[int]) -> list[set[int]]:
    return [{key} for key in found] if len(set(found)) == len(found) else []


def _where(group: dict[int, Thing], **has: str) -> set[int]:
    return {k for k, t in group.items() if all(getattr(t, name) == value for name, value in has.items())}


def _around(story: Story, phrase: str, offset: int) -> list[Interaction]:
    """Interactions so many places after (before, if negative) those with what a phrase describes."""
    wanted = matching(phrase, story.handled)
    places = [n + offset for n, i in enumerate(story.interactions) if i.object in wanted]
    return [story.interactions[n] for n in places if 0 <= n < len(story.interactions)]


def _of(story: Story, phrase: str) -> list[Interaction]:
    return _around(story, phrase, 0)


def _at(story: Story, n: int) -> list[Interaction]:
    return [story.interactions[n]] if -len(story.interactions) <= n < len(story.interactions) else []


def _ordinal(words: Words) -> int:
    return ORDINALS.index(words["n"])


def _in_room(story: Story, words: Words) -> set[int]:
    return {key for key, kind in story.rooms.items() if kind == words["room"]}


def _extreme(story: Story, group: dict[int, Thing], farthest: bool) -> list[set[int]]:
    values = {key: story.metres_now[key] for key in group if key in story.metres_now}
    return _one(story.best(values, farthest, story.margin_m))


def _by_landmark(story: Story, words: Words) -> list[set[int]]:
    marks = matching(words["receptacle"], story.receptacles)
    if not marks:
        return [set()]
    mark = story.receptacles[min(marks)]
    metres = {
        key: ((t.position[0] - mark.position[0]) ** 2 + (t.position[2] - mark.position[2]) ** 2) ** 0.5
        for key, t in story.handled.items()
    }
    return _one(story.best(metres, False, story.margin_m))


def _untouched_rooms(story: Story) -> set[int]:
    busy = {i.source_room for i in story.interactions} | {i.target_room for i in story.interactions}
    return story.rooms_entered() - busy


def _handling_at(story: Story, words: Words) -> list[set[int]]:
    time_s = day_of(words["day"], story.days) * DAY_S + seconds_of(words["time"])
    gaps = {n: max(i.start_s - time_s, time_s - i.end_s, 0.0) for n, i in enumerate(story.interactions)}
    least = min(gaps.values(), default=0.0)
    return _one(story.interactions[n].object for n, gap in gaps.items() if gap == least)


def _last_used_before(story: Story, words: Words) -> list[set[int]]:
    time_s = day_of(words["day"], story.days) * DAY_S + seconds_of(words["time"])
    before = [i for i in story.interactions if i.end_s <= time_s]
    return _one([before[-1].target] if before else [])


def _longest(story: Story, longest: bool) -> list[set[int]]:
    seconds = {n: i.seconds for n, i in enumerate(story.interactions)}
    return _one(story.interactions[n].object for n in story.best(seconds, longest, story.margin_s))


def _about(story: Story, words: Words) -> list[set[int]]:
    wanted_s = 60.0 * float(words["minutes"].split()[0])
    off = {n: abs(i.seconds - wanted_s) for n, i in enumerate(story.interactions)}
    return _one(story.interactions[n].object for n in story.best(off, False, 3.0 * story.margin_s))


def _first_placed(story: Story, words: Words) -> list[set[int]]:
    rooms = _in_room(story, words)
    placed = [i.object for i in story.interactions if i.target_room in rooms]
    return _one(placed[:1])


TEMPLATES: tuple[Template, ...] = (
    # -- object recall (2)
    Template(
        "recall_object",
        "object recall",
        OBJECT,
        ("Go to a {category}.", "Find a {category} that you have seen in this house."),
        "Take me to any {category} you remember.",
        _categories(lambda s: s.objects),
        lambda s, w: _one(_where(s.objects, category=w["category"])),
        definite=False,
    ),
    Template(
        "recall_furniture",
        "object recall",
        RECEPTACLE,
        ("Go and stand in front of a {category}.", "Drive up to a {category}, the piece of furniture."),
        "Move over to any {category} that stands in the house.",
        _categories(lambda s: s.receptacles),
        lambda s, w: _one(_where(s.receptacles, category=w["category"])),
        definite=False,
    ),
    # -- interaction (6)
    Template(
        "any_handled",
        "interaction",
        OBJECT,
        ("Go to any object that you interacted with.", "Go back to one of the things that you moved."),
        "Return to some object you have picked up and put elsewhere.",
        _nothing,
        lambda s, w: _one(s.handled),
        definite=False,
    ),
    Template(
        "any_unhandled",
        "interaction",
        OBJECT,
        (
            "Go to any small object that you did not interact with.",
            "Go to one of the small things that you never moved.",
        ),
        "Find some small object you left untouched.",
        _nothing,
        lambda s, w: _one(set(s.objects) - set(s.handled)),
        definite=False,
    ),
    Template(
        "any_used",
        "interaction",
        RECEPTACLE,
        (
            "Go to any piece of furniture that you interacted with.",
            "Go to some furniture that you took something from or put something on.",
        ),
        "Drive to a piece of furniture you used when you moved things.",
        _nothing,
        lambda s, w: _one(s.used),
        definite=False,
    ),
    Template(
        "any_unused",
        "interaction",
        RECEPTACLE,
        (
            "Go to any piece of furniture that you did not interact with.",
            "Go to some furniture that you never took anything from nor put anything on.",
        ),
        "Drive to a piece of furniture you made no use of.",
        _nothing,
        lambda s, w: _one(set(s.receptacles) - set(s.used)),
        definite=False,
    ),
    Template(
        "category_handled",
        "interaction",
        OBJECT,
        ("Go to a {category} that you rearranged.", "Go to a {category} that you did move."),
        "Bring yourself to a {category} that you carried to a new place.",
        _part_moved,
        lambda s, w: _one(_where(s.handled, category=w["category"])),
        definite=False,
    ),
    Template(
        "category_unhandled",
        "interaction",
        OBJECT,
        ("Go to a {category} that you did not rearrange.", "Go to a {category} that you never moved."),
        "Bring yourself to a {category} that still is where it was at first.",
        _part_moved,
        lambda s, w: _one(_where(s.objects, category=w["category"]) - set(s.handled)),
        definite=False,
    ),
    # -- conditional interaction (7)
    Template(
        "source_of",
        "conditional interaction",
        RECEPTACLE,
        ("Go to the furniture that you picked the {object} from.", "Go to where you took the {object} from."),
        "Drive to the place the {object} was on before you picked it up.",
        _object,
        lambda s, w: _one(i.source for i in _of(s, w["object"])),
    ),
    Template(
        "target_of",
        "conditional interaction",
        RECEPTACLE,
        ("Go to the furniture that you placed the {object} on.", "Go to where you put the {object} down."),
        "Drive to the piece of furniture on which you set the {object}.",
        _object,
        lambda s, w: _one(i.target for i in _of(s, w["object"])),
    ),
    Template(
        "object_placed_on",
        "conditional interaction",
        OBJECT,
        ("Go to the object that you placed on the {receptacle}.", "Go to what you put on the {receptacle}."),
        "Find the thing you set down on the {receptacle}.",
        _target,
        lambda s, w: _one(i.object for i in s.interactions if i.target in matching(w["receptacle"], s.targets)),
    ),
    Template(
        "object_picked_from",
        "conditional interaction",
        OBJECT,
        ("Go to the object that you picked from the {receptacle}.", "Go to what you took from the {receptacle}."),
        "Find the thing you lifted off the {receptacle}.",
        _source,
        lambda s, w: _one(i.object for i in s.interactions if i.source in matching(w["receptacle"], s.sources)),
    ),
    Template(
        "object_picked_in",
        "conditional interaction",
        OBJECT,
        ("Go to an object that you picked up in the {room}.", "Go to something that you took out of the {room}."),
        "Find a thing that you collected in the {room}.",
        _rooms(lambda i: i.source_room),
        lambda s, w: _one(i.object for i in s.interactions if i.source_room in _in_room(s, w)),
        definite=False,
    ),
    Template(
        "object_placed_in",
        "conditional interaction",
        OBJECT,
        ("Go to an object that you placed in the {room}.", "Go to something that you put down in the {room}."),
        "Find a thing that you left in the {room}.",
        _rooms(lambda i: i.target_room),
        lambda s, w: _one(i.object for i in s.interactions if i.target_room in _in_room(s, w)),
        definite=False,
    ),
    Template(
        "target_in",
        "conditional interaction",
        RECEPTACLE,
        (
            "Go to some furniture in the {room} that you placed an object on.",
            "Go to a piece of furniture in the {room} on which you put something.",
        ),
        "Drive to furniture of the {room} that got an object from you.",
        _rooms(lambda i: i.target_room),
        lambda s, w: _one(i.target for i in s.interactions if i.target_room in _in_room(s, w)),
        definite=False,
    ),
    # -- object attribute (5)
    Template(
        "handled_colour",
        "object attribute",
        OBJECT,
        ("Go back to a {colour} object that you interacted with.", "Go to something {colour} that you moved."),
        "Return to a thing of {colour} colour you have handled.",
        _attribute("colour"),
        lambda s, w: _one(_where(s.handled, colour=w["colour"])),
        definite=False,
    ),
    Template(
        "handled_material",
        "object attribute",
        OBJECT,
        (
            "Go back to an object made of {material} that you interacted with.",
            "Go to something of {material} that you moved.",
        ),
        "Return to a thing you have handled whose material is {material}.",
        _attribute("material"),
        lambda s, w: _one(_where(s.handled, material=w["material"])),
        definite=False,
    ),
    Template(
        "handled_shape",
        "object attribute",
        OBJECT,
        ("Go back to an object of {shape} shape that you interacted with.", "Go to something {shape} that you moved."),
        "Return to a thing you have handled that is {shape} in form.",
        _attribute("shape"),
        lambda s, w: _one(_where(s.handled, shape=w["shape"])),
        definite=False,
    ),
    Template(
        "handled_function",
        "object attribute",
        OBJECT,
        (
            "Go back to an object for {function} that you interacted with.",
            "Go to something used for {function} that you moved.",
        ),
        "Return to a thing you have handled whose purpose is {function}.",
        _attribute("function"),
        lambda s, w: _one(_where(s.handled, function=w["function"])),
        definite=False,
    ),
    Template(
        "handled_size",
        "object attribute",
        OBJECT,
        (
            "Go back to an object that you interacted with and that is {size} for its kind.",
            "Go to something {size} among its kind that you moved.",
        ),
        "Return to a thing you have handled that is a {size} one of its sort.",
        _attribute("size"),
        lambda s, w: _one(_where(s.handled, size=w["size"])),
        definite=False,
    ),
    # -- spatial relationship (5)
    Template(
        "farthest_object",
        "spatial relationship",
        OBJECT,
        (
            "Go to the object you interacted with that is farthest from where you stand now.",
            "Of the things that you moved, go to the one farthest away from here.",
        ),
        "Find the moved object with the longest way from your present position.",
        _nothing,
        lambda s, w: _extreme(s, s.handled, True),
    ),
    Template(
        "nearest_object",
        "spatial relationship",
        OBJECT,
        (
            "Go to the object you interacted with that is nearest to where you stand now.",
            "Of the things that you moved, go to the one closest to here.",
        ),
        "Find the moved object with the shortest way from your present position.",
        _nothing,
        lambda s, w: _extreme(s, s.handled, False),
    ),
    Template(
        "farthest_receptacle",
        "spatial relationship",
        RECEPTACLE,
        (
            "Go to the furniture you interacted with that is farthest from where you stand now.",
            "Of the furniture that you used, go to the piece farthest away from here.",
        ),
        "Drive to the used piece of furniture with the longest way from your present position.",
        _nothing,
        lambda s, w: _extreme(s, s.used, True),
    ),
    Template(
        "nearest_receptacle",
        "spatial relationship",
        RECEPTACLE,
        (
            "Go to the furniture you interacted with that is nearest to where you stand now.",
            "Of the furniture that you used, go to the piece closest to here.",
        ),
        "Drive to the used piece of furniture with the shortest way from your present position.",
        _nothing,
        lambda s, w: _extreme(s, s.used, False),
    ),
    Template(
        "object_by_landmark",
        "spatial relationship",
        OBJECT,
        (
            "Go to the object you interacted with that is now nearest to the {receptacle}.",
            "Of the things that you moved, go to the one that now is closest to the {receptacle}.",
        ),
        "Find the moved object that ended up nearest the {receptacle}.",
        _landmark,
        _by_landmark,
    ),
    # -- room visitation (5)
    Template(
        "room_not_entered",
        "room visitation",
        ROOM,
        ("Go to a room that you did not visit yesterday.", "Go to a room that you were not in yesterday, only before."),
        "Enter some room you kept out of yesterday.",
        lambda s: [{}] if s.days > 1 else [],
        lambda s, w: _one(s.rooms_entered() - s.rooms_entered(s.yesterday)),
        definite=False,
    ),
    Template(
        "room_first_placed",
        "room visitation",
        ROOM,
        ("Go to the room where you placed the first object.", "Go to the room in which you put down the first thing."),
        "Enter the room that received the first of the objects.",
        _nothing,
        lambda s, w: _one(i.target_room for i in _at(s, 0)),
    ),
    Template(
        "room_last_placed",
        "room visitation",
        ROOM,
        ("Go to the room where you placed the last object.", "Go to the room in which you put down the last thing."),
        "Enter the room that received the last of the objects.",
        _nothing,
        lambda s, w: _one(i.target_room for i in _at(s, -1)),
    ),
    Template(
        "room_untouched",
        "room visitation",
        ROOM,
        (
            "Go to a room in which you touched nothing.",
            "Go to a room where you neither picked nor placed an object.",
        ),
        "Enter a room that you passed through without handling anything.",
        _nothing,
        lambda s, w: _one(_untouched_rooms(s)),
        definite=False,
    ),
    Template(
        "room_picked_object",
        "room visitation",
        ROOM,
        ("Go to the room where you picked up the {object}.", "Go to the room from which you took the {object}."),
        "Enter the room in which the {object} was collected.",
        _object,
        lambda s, w: _one(i.source_room for i in _of(s, w["object"])),
    ),
    # -- interaction order (16)
    Template(
        "object_after",
        "interaction order",
        OBJECT,
        (
            "Go to the object that you interacted with right after the {object}.",
            "Go to the thing that you moved next after the {object}.",
        ),
        "Find the object handled immediately after the {object}.",
        _object,
        lambda s, w: _one(i.object for i in _around(s, w["object"], 1)),
    ),
    Template(
        "object_before",
        "interaction order",
        OBJECT,
        (
            "Go to the object that you interacted with right before the {object}.",
            "Go to the thing that you moved just before the {object}.",
        ),
        "Find the object handled immediately prior to the {object}.",
        _object,
        lambda s, w: _one(i.object for i in _around(s, w["object"], -1)),
    ),
    Template(
        "object_first",
        "interaction order",
        OBJECT,
        ("Go to the first object that you interacted with.", "Go to the thing that you moved first of all."),
        "Find the object with which your work began.",
        _nothing,
        lambda s, w: _one(i.object for i in _at(s, 0)),
    ),
    Template(
        "object_last",
        "interaction order",
        OBJECT,
        ("Go to the last object that you interacted with.", "Go to the thing that you moved last of all."),
        "Find the object with which your work ended.",
        _nothing,
        lambda s, w: _one(i.object for i in _at(s, -1)),
    ),
    Template(
        "object_nth",
        "interaction order",
        OBJECT,
        ("Go to the {n} object that you interacted with.", "Go to the thing that you moved as the {n}."),
        "Find the {n} of the objects in the order you handled them.",
        _nth,
        lambda s, w: _one(i.object for i in _at(s, _ordinal(w))),
    ),
    Template(
        "object_nth_last",
        "interaction order",
        OBJECT,
        (
            "Go to the {n}-to-last object that you interacted with.",
            "Counted from the end, go to the {n} thing that you moved.",
        ),
        "Find the {n} object you handled, counting backwards from the most recent.",
        _nth,
        lambda s, w: _one(i.object for i in _at(s, -1 - _ordinal(w))),
    ),
    Template(
        "target_after",
        "interaction order",
        RECEPTACLE,
        (
            "Go to the furniture that you placed something on right after you had dealt with the {object}.",
            "After the {object} you moved another thing: go to the furniture that you put that on.",
        ),
        "Drive to the piece of furniture on which the next object after the {object} was set.",
        _object,
        lambda s, w: _one(i.target for i in _around(s, w["object"], 1)),
    ),
    Template(
        "target_before",
        "interaction order",
        RECEPTACLE,
        (
            "Go to the furniture that you placed something on right before you started with the {object}.",
            "Before the {object} you moved another thing: go to the furniture that you put that on.",
        ),
        "Drive to the piece of furniture on which the object just before the {object} was set.",
        _object,
        lambda s, w: _one(i.target for i in _around(s, w["object"], -1)),
    ),
    Template(
        "source_after",
        "interaction order",
        RECEPTACLE,
        (
            "Go to the furniture that you picked something from right after you had dealt with the {object}.",
            "After the {object} you moved another thing: go to the furniture that you took that from.",
        ),
        "Drive to the piece of furniture off which the next object after the {object} was lifted.",
        _object,
        lambda s, w: _one(i.source for i in _around(s, w["object"], 1)),
    ),
    Template(
        "source_before",
        "interaction order",
        RECEPTACLE,
        (
            "Go to the furniture that you picked something from right before you started with the {object}.",
            "Before the {object} you moved another thing: go to the furniture that you took that from.",
        ),
        "Drive to the piece of furniture off which the object just before the {object} was lifted.",
        _object,
        lambda s, w: _one(i.source for i in _around(s, w["object"], -1)),
    ),
    Template(
        "source_first",
        "interaction order",
        RECEPTACLE,
        (
            "Go to the first furniture that you picked an object from.",
            "Go to the furniture that you took the first thing from.",
        ),
        "Drive to where the very first object was lifted off.",
        _nothing,
        lambda s, w: _one(i.source for i in _at(s, 0)),
    ),
    Template(
        "target_last",
        "interaction order",
        RECEPTACLE,
        (
            "Go to the last furniture that you placed an object on.",
            "Go to the furniture that you put the last thing on.",
        ),
        "Drive to where the very last object was set down.",
        _nothing,
        lambda s, w: _one(i.target for i in _at(s, -1)),
    ),
    Template(
        "target_nth",
        "interaction order",
        RECEPTACLE,
        (
            "Go to the {n} furniture that you placed an object on.",
            "Go to the furniture that you put the {n} thing on.",
        ),
        "Drive to where the {n} of the objects was set down.",
        _nth,
        lambda s, w: _one(i.target for i in _at(s, _ordinal(w))),
    ),
    Template(
        "object_between",
        "interaction order",
        OBJECT,
        (
            "Go to the object that you interacted with between the {object} and the {other}.",
            "Go to the thing that you moved after the {object} and before the {other}.",
        ),
        "Find what you handled in between, once the {object} was done and until the {other} began.",
        _between,
        lambda s, w: _one(
            b.object
            for a, b, c in zip(s.interactions, s.interactions[1:], s.interactions[2:], strict=False)
            if a.object in matching(w["object"], s.handled) and c.object in matching(w["other"], s.handled)
        ),
    ),
    Template(
        "object_two_after",
        "interaction order",
        OBJECT,
        (
            "Go to the object that you interacted with two objects after the {object}.",
            "After the {object} you moved one thing, and then another: go to that other one.",
        ),
        "Find the second object handled after the {object}.",
        _object,
        lambda s, w: _one(i.object for i in _around(s, w["object"], 2)),
    ),
    Template(
        "first_placed_in",
        "interaction order",
        OBJECT,
        (
            "Go to the first object that you placed in the {room}.",
            "Go to the thing that you put down first in the {room}.",
        ),
        "Find the earliest of the objects you left in the {room}.",
        _rooms(lambda i: i.target_room),
        _first_placed,
    ),
    # -- time of day (2)
    Template(
        "handling_at",
        "time of day",
        OBJECT,
        ("Go to the object that you were handling at {time} {day}.", "What did you carry at {time} {day}? Go to it."),
        "Find the thing that was in your gripper at {time} {day}.",
        _while_handling,
        _handling_at,
    ),
    Template(
        "target_before_time",
        "time of day",
        RECEPTACLE,
        (
            "Go to the furniture that you last placed something on before {time} {day}.",
            "Where did you last put something down before {time} {day}? Go to that furniture.",
        ),
        "Drive to the piece of furniture that got its object most recently before {time} {day}.",
        _soon_after,
        _last_used_before,
    ),
    # -- duration (3)
    Template(
        "longest",
        "duration",
        OBJECT,
        (
            "Go to the object that took you longest to rearrange.",
            "Go to the thing that you carried for the longest time.",
        ),
        "Find the object that you held the longest between picking and placing.",
        _nothing,
        lambda s, w: _longest(s, True),
    ),
    Template(
        "shortest",
        "duration",
        OBJECT,
        (
            "Go to the object that took you least time to rearrange.",
            "Go to the thing that you carried for the shortest time.",
        ),
        "Find the object that you held most briefly between picking and placing.",
        _nothing,
        lambda s, w: _longest(s, False),
    ),
    Template(
        "about_minutes",
        "duration",
        OBJECT,
        (
            "Go to the object that took you about {minutes} to rearrange.",
            "Go to the thing that you carried for about {minutes}.",
        ),
        "Find the object that stayed in your gripper for roughly {minutes}.",
        _lengths,
        _about,
    ),
    # -- unordered revisitation (6)
    Template(
        "all_sources",
        "unordered revisitation",
        RECEPTACLE,
        (
            "Visit all furniture that you picked objects from.",
            "Go to every piece of furniture that you took something from.",
        ),
        "Drive to each place off which you lifted an object, in any order.",
        _nothing,
        lambda s, w: _each(s.sources),
        ALL,
    ),
    Template(
        "all_targets",
        "unordered revisitation",
        RECEPTACLE,
        (
            "Visit all furniture that you placed objects on.",
            "Go to every piece of furniture that you put something on.",
        ),
        "Drive to each place on which you set an object, in any order.",
        _nothing,
        lambda s, w: _each(s.targets),
        ALL,
    ),
    Template(
        "all_used",
        "unordered revisitation",
        RECEPTACLE,
        (
            "Visit all furniture that you picked objects from or placed objects on.",
            "Go to every piece of furniture that you interacted with in either way.",
        ),
        "Drive to each place that an object was lifted off or set on, in any order.",
        _nothing,
        lambda s, w: _each(s.used),
        ALL,
    ),
    Template(
        "all_handled",
        "unordered revisitation",
        OBJECT,
        ("Visit all objects that you interacted with.", "Go to every thing that you moved."),
        "Find each of the objects you handled, in any order.",
        _nothing,
        lambda s, w: _each(s.handled),
        ALL,
    ),
    Template(
        "all_placed_in",
        "unordered revisitation",
        OBJECT,
        ("Visit all objects that you placed in the {room}.", "Go to every thing that you put down in the {room}."),
        "Find each of the objects you left in the {room}, in any order.",
        _rooms(lambda i: i.target_room),
        lambda s, w: _each(i.object for i in s.interactions if i.target_room in _in_room(s, w)),
        ALL,
    ),
    Template(
        "all_yesterday",
        "unordered revisitation",
        OBJECT,
        ("Visit all objects that you interacted with yesterday.", "Go to every thing that you moved yesterday."),
        "Find each of the objects you handled during the day before today, yesterday, in any order.",
        lambda s: [{}] if s.days > 1 else [],
        lambda s, w: _each(i.object for i in s.on_day(s.yesterday)),
        ALL,
    ),
    # -- ordered revisitation (3)
    Template(
        "objects_in_order",
        "ordered revisitation",
        OBJECT,
        (
            "Visit all objects that you interacted with, in the order in which you did.",
            "Go to every thing that you moved, the first one first.",
        ),
        "Find each of the objects you handled, in the sequence of your work.",
        _nothing,
        lambda s, w: _once([i.object for i in s.interactions]),
        ORDER,
    ),
    Template(
        "targets_in_order",
        "ordered revisitation",
        RECEPTACLE,
        (
            "Visit all furniture that you placed objects on, in the order in which you did.",
            "Go to every piece of furniture that you put something on, the first one first.",
        ),
        "Drive to each place on which you set an object, in the sequence of your work.",
        _nothing,
        lambda s, w: _once([i.target for i in s.interactions]),
        ORDER,
    ),
    Template(
        "objects_in_reverse",
        "ordered revisitation",
        OBJECT,
        (
            "Visit all objects that you interacted with yesterday, from the last to the first.",
            "Go to every thing that you moved yesterday, the last one first.",
        ),
        "Find each of the objects you handled yesterday, backwards from the end of your work.",
        _nothing,
        lambda s, w: _once([i.object for i in reversed(s.on_day(s.yesterday))]),
        ORDER,
    ),
)
BY_ID = {template.id: template for template in TEMPLATES}
FAMILIES = tuple(dict.fromkeys(template.family for template in TEMPLATES))

THEIRS: dict[str, str] = {
    "recall_object": "go to a CATEGORY",
    "any_used": "any receptacle you interacted with",
    "any_unhandled": "any object you did not interact with",
    "category_unhandled": "a CATEGORY you did not rearrange",
    "source_of": "a receptacle you picked a CATEGORY from",
    "object_placed_on": "the object you placed on RECEPTACLE",
    "handled_colour": "back to a COLOUR object you interacted with",
    "handled_material": "back to a MATERIAL object you interacted with",
    "handled_shape": "back to a SHAPE object you interacted with",
    "handled_function": "back to an object of a FUNCTION you interacted with",
    "handled_size": "back to an object with a PRINT you interacted with (ours: size)",
    "farthest_object": "the object farthest from where you stand now",
    "farthest_receptacle": "the receptacle farthest from where you stand now",
    "room_not_entered": "a room you did not visit",
    "room_first_placed": "the room where you placed the first object",
    "object_after": "the object right after X",
    "target_before": "the receptacle you placed on right before you started with X",
    "object_first": "the first object",
    "object_last": "the last object",
    "object_nth": "the n-th object",
    "handling_at": "the object you were handling at HH:MM yesterday",
    "longest": "the object that took longest",
    "shortest": "the object that took shortest",
    "about_minutes": "the object that took about N seconds",
    "all_sources": "all receptacles you picked from",
    "all_targets": "all receptacles you placed on",
    "all_used": "all receptacles you picked from or placed on",
    "all_handled": "all objects you interacted with",
    "objects_in_order": "all objects you interacted with, in order",
}
"""FindingDory's own wording where it is public; of the other templates only the family and its count are."""
