"""Two short suites beside the sixty: competencies of a memory (MemoryAgentBench), and order recall by lag (SORT).

Competencies: accurate retrieval and long-range understanding are asked with templates of the sixty; conflict resolution
asks for things that were moved, where a memory that does not let the newest win leads to where they were. Test-time
learning is not among them: the histories teach nothing that a question could ask to be applied.

Order recall: which of two things was moved earlier, by the number of interactions from one to the other. Who finds the
things and guesses is right half the time.
"""

from __future__ import annotations

from collections.abc import Iterable

from sim.long_horizon.story import Story, describe, matching
from sim.long_horizon.templates import BY_ID, OBJECT, Template, Words


def _moved(story: Story) -> Iterable[Words]:
    handled = story.handled
    found = [describe(thing, story.objects.values()) for thing in handled.values()]
    return [{"object": phrase} for phrase in found if phrase]


def _pairs(story: Story) -> Iterable[Words]:
    """Both orders of every two things that were moved once each."""
    order = [i.object for i in story.interactions]
    once = [key for key in order if order.count(key) == 1]
    handled = story.handled
    name = {key: describe(handled[key], handled.values()) for key in once}
    return [
        {"object": a, "other": b}
        for first in once
        for second in once
        if first != second and (a := name[first]) and (b := name[second])
    ]


def _earlier(story: Story, words: Words) -> list[set[int]]:
    wanted = matching(words["object"], story.handled) | matching(words["other"], story.handled)
    order = [i.object for i in story.interactions if i.object in wanted]
    return [set(order[:1])]


MOVED_NOW = Template(
    "moved_now",
    "conflict resolution",
    OBJECT,
    ("Go to where the {object} is now.", "Go to the present place of the {object}."),
    "Find the {object} at the spot where it currently is.",
    _moved,
    lambda s, w: [matching(w["object"], s.objects)],
)
EARLIER = Template(
    "earlier_of",
    "order recall",
    OBJECT,
    (
        "Go to the one that you moved earlier, the {object} or the {other}.",
        "Of the {object} and the {other}, go to the one that you interacted with first.",
    ),
    "Find whichever you handled sooner: the {object} or the {other}.",
    _pairs,
    _earlier,
)
COMPETENCIES: dict[str, tuple[Template, ...]] = {
    "accurate retrieval": tuple(
        BY_ID[key] for key in ("source_of", "target_of", "object_placed_on", "object_picked_from")
    ),
    "long-range understanding": tuple(
        BY_ID[key] for key in ("object_nth_last", "longest", "about_minutes", "all_handled", "objects_in_order")
    ),
    "conflict resolution": (MOVED_NOW,),
}
EXTRA = (MOVED_NOW, EARLIER)


def lag(story: Story, words: Words) -> int:
    """Interactions from the one to the other."""
    order = [i.object for i in story.interactions]
    first, second = (matching(words[slot], story.handled) for slot in ("object", "other"))
    places = [next(n for n, key in enumerate(order) if key in group) for group in (first, second)]
    return abs(places[0] - places[1])
