"""One house from one seed: plan, furniture, checks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.houses.furnish import Placement, furnish
from sim.houses.library import Library
from sim.houses.plan import Plan, draw_plan

VERSION = 7
"""Of everything that decides what a seed gives. A change here makes `build_dataset` generate all houses anew."""

MAX_ATTEMPTS = 8
_MAX_DRAWS = 3000


class HouseError(RuntimeError):
    """A seed gave no house that passes its checks."""


@dataclass(frozen=True)
class House:
    """A furnished house. `attempt` counts the drafts that failed their checks before it."""

    seed: int
    attempt: int
    plan: Plan
    placements: tuple[Placement, ...]

    @property
    def name(self) -> str:
        return f"house_{self.seed:06d}"


def generate_house(
    seed: int, min_rooms: int = 3, max_rooms: int = 9, attempt: int = 0, library: Library | None = None
) -> House:
    """The house of a seed: the same for ever, on every machine, for one VERSION.

    Args:
        seed: from 0 up.
        min_rooms, max_rooms: bounds on the number of rooms, hallways included (3 to 9).
        attempt: which draft; the next is taken where one fails a check.
        library: what it is furnished with; procedural shapes if None.

    Raises:
        ValueError: bounds outside 3..9.
        HouseError: no plan could be drawn.
    """
    if not 3 <= min_rooms <= max_rooms <= 9:
        raise ValueError(f"rooms must lie in 3..9, not {min_rooms}..{max_rooms}")
    rng = np.random.default_rng([seed, attempt])
    num_rooms = int(rng.integers(min_rooms, max_rooms + 1))
    for _ in range(_MAX_DRAWS):
        plan = draw_plan(rng, num_rooms)
        if plan is not None:
            return House(seed, attempt, plan, tuple(furnish(plan, rng, library or Library())))
    raise HouseError(f"seed {seed}: no plan with {num_rooms} rooms in {_MAX_DRAWS} draws")
