"""The assets that houses are furnished with, category by category."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from sim.houses.assets import Asset, build
from sim.houses.categories import CATEGORIES


class Library:
    """Procedural assets, with other assets in the place of some categories' own.

    Args:
        counts: how many assets `load` has for a category; categories it does not name are procedural.
        load: (category, index) -> asset.
    """

    def __init__(
        self, counts: Mapping[str, int] | None = None, load: Callable[[str, int], Asset] | None = None
    ) -> None:
        self._counts = counts or {}
        self._load = cache(load) if load is not None else procedural

    def count(self, category: str) -> int:
        return self._counts.get(category, CATEGORIES[category].variants)

    def asset(self, category: str, index: int) -> Asset:
        return self._load(category, index) if category in self._counts else procedural(category, index)


@cache
def procedural(category: str, variant: int) -> Asset:
    """A variant of a category, built once a process."""
    return build(CATEGORIES[category], variant)
