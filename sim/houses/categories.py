"""All categories of objects, in the fixed order that their ids follow."""

from __future__ import annotations

from sim.houses.assets import Category
from sim.houses.furniture import FURNITURE
from sim.houses.things import THINGS

CATEGORIES: dict[str, Category] = {category.name: category for category in (*FURNITURE, *THINGS)}

#: Goal sets by name. `challenge` is the ObjectNav challenge's six; `furniture` is what is large.
GOAL_SETS: dict[str, tuple[str, ...]] = {
    "all": tuple(CATEGORIES),
    "furniture": tuple(category.name for category in FURNITURE if category.name not in ("rug", "clock", "picture")),
    "challenge": ("chair", "bed", "plant", "toilet", "tv", "sofa"),
}


def goal_categories(name: str) -> tuple[str, ...]:
    """The categories of a goal set.

    Args:
        name: a key of `GOAL_SETS`, or categories separated by commas.

    Raises:
        ValueError: a category that does not exist.
    """
    if name in GOAL_SETS:
        return GOAL_SETS[name]
    chosen = tuple(part.strip() for part in name.split(",") if part.strip())
    unknown = [category for category in chosen if category not in CATEGORIES]
    if unknown or not chosen:
        sets = ", ".join(GOAL_SETS)
        raise ValueError(
            f"goal_categories: no category {unknown[0] if unknown else name!r}; give one of {sets}, or categories"
        )
    return chosen
