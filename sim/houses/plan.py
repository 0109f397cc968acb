"""Floor plans: rectangular rooms that tile a rectangle, and the openings between them.

Frame: metres; x to the east, z to the south, the plan's first corner at (0, 0). Rooms are given by the centre lines of
their walls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np

WALL_M = 0.12
"""Thickness of every wall."""
DOOR_M = 0.95
DOOR_HEIGHT_M = 2.05

#: Area (m2) that rooms of a kind like to have; kinds that only connect others are left out.
_AREAS = {
    "living room": 24.0,
    "kitchen": 13.0,
    "bedroom": 14.0,
    "bathroom": 7.5,
    "dining room": 13.0,
    "study": 10.0,
    "playroom": 12.0,
    "laundry": 7.0,
}
#: Rooms in the order that houses get them as they grow, with choices.
_WANTED: tuple[tuple[str, ...], ...] = (
    ("living room",),
    ("bedroom",),
    ("kitchen",),
    ("bathroom",),
    ("bedroom", "study"),
    ("dining room", "study"),
    ("playroom", "laundry", "study"),
    ("bedroom", "bathroom"),
    ("laundry", "dining room", "playroom"),
)
_MIN_SIDE_M = {"living room": 3.2, "bedroom": 2.7, "kitchen": 2.3, "dining room": 2.6, "bathroom": 1.8, "laundry": 1.8}
_HALLWAY_FROM_ROOMS = 5
_MAX_ASPECT = 2.0


@dataclass(frozen=True)
class Rect:
    """An axis-aligned rectangle on the floor (m)."""

    x0: float
    z0: float
    x1: float
    z1: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def depth(self) -> float:
        return self.z1 - self.z0

    @property
    def area(self) -> float:
        return self.width * self.depth

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2.0, (self.z0 + self.z1) / 2.0

    def grown(self, margin: float) -> Rect:
        return Rect(self.x0 - margin, self.z0 - margin, self.x1 + margin, self.z1 + margin)

    def overlaps(self, other: Rect) -> bool:
        return self.x0 < other.x1 and other.x0 < self.x1 and self.z0 < other.z1 and other.z0 < self.z1

    def holds(self, other: Rect, slack: float = 1e-6) -> bool:
        return (
            other.x0 >= self.x0 - slack
            and other.x1 <= self.x1 + slack
            and other.z0 >= self.z0 - slack
            and other.z1 <= self.z1 + slack
        )


@dataclass(frozen=True)
class Room:
    """A room. `name` is unique in its house ("bedroom 2"); `rect` runs along the walls' centre lines."""

    name: str
    kind: str
    rect: Rect

    @property
    def inner(self) -> Rect:
        """The floor between the walls' faces."""
        return self.rect.grown(-WALL_M / 2.0)


@dataclass(frozen=True)
class Opening:
    """A gap in the wall between two rooms: a door, or a wide passage.

    `along` is "x" for a wall that runs east-west at z = `at`, "z" for one that runs north-south at x = `at`; the gap
    reaches from `start` to `end` along it, and up to `height`.
    """

    rooms: tuple[int, int]
    along: str
    at: float
    start: float
    end: float
    height: float

    def rect(self, reach: float) -> Rect:
        """The gap's ground, reaching `reach` metres into both rooms."""
        if self.along == "x":
            return Rect(self.start, self.at - reach, self.end, self.at + reach)
        return Rect(self.at - reach, self.start, self.at + reach, self.end)


@dataclass(frozen=True)
class Window:
    """A window in the outer wall of a room; `side` is the wall of that room it is in (north is -Z)."""

    room: int
    side: str
    start: float
    end: float
    sill: float
    top: float


@dataclass(frozen=True)
class Plan:
    """Rooms, openings between them, windows. All indices are into `rooms`."""

    rooms: tuple[Room, ...]
    openings: tuple[Opening, ...]
    windows: tuple[Window, ...]
    front_door: Opening
    """In the outer wall, always shut: both its rooms are the one it leads into."""

    @property
    def bounds(self) -> Rect:
        rects = [room.rect for room in self.rooms]
        return Rect(
            min(r.x0 for r in rects), min(r.z0 for r in rects), max(r.x1 for r in rects), max(r.z1 for r in rects)
        )


def draw_plan(rng: np.random.Generator, num_rooms: int) -> Plan | None:
    """A plan with `num_rooms` rooms, or None where this draw gave none that fits."""
    kinds = _choose_kinds(rng, num_rooms)
    rooms = _with_hallway(rng, kinds) if "hallway" in kinds else _split(rng, kinds)
    if rooms is None or _aspect(rooms) > _MAX_ASPECT:
        return None
    rooms = _turned(rng, rooms)
    openings = _connect(rng, rooms)
    if openings is None:
        return None
    front_door = _front_door(rng, rooms)
    if front_door is None:
        return None
    windows = _windows(rng, rooms, front_door)
    return Plan(tuple(_named(rooms)), tuple(openings), tuple(windows), front_door)


def shared_wall(a: Rect, b: Rect) -> tuple[str, float, float, float] | None:
    """(along, at, start, end) of the wall two rooms share, None if they do not touch."""
    for along, (a0, a1, b0, b1, s0, s1, t0, t1) in {
        "z": (a.x0, a.x1, b.x0, b.x1, a.z0, a.z1, b.z0, b.z1),
        "x": (a.z0, a.z1, b.z0, b.z1, a.x0, a.x1, b.x0, b.x1),
    }.items():
        start, end = max(s0, t0), min(s1, t1)
        if end - start < 1e-6:
            continue
        if abs(a1 - b0) < 1e-6:
            return along, a1, start, end
        if abs(b1 - a0) < 1e-6:
            return along, a0, start, end
    return None


def outer_sides(rect: Rect, bounds: Rect) -> list[str]:
    """Which walls of a room are outer walls."""
    tests = {
        "north": abs(rect.z0 - bounds.z0),
        "south": abs(rect.z1 - bounds.z1),
        "west": abs(rect.x0 - bounds.x0),
        "east": abs(rect.x1 - bounds.x1),
    }
    return [side for side, gap in tests.items() if gap < 1e-6]


# -- rooms -----------------------------------------------------------------------------------------------------------


def _aspect(rooms: Sequence[tuple[str, Rect]]) -> float:
    width, depth = max(rect.x1 for _, rect in rooms), max(rect.z1 for _, rect in rooms)
    return max(width / depth, depth / width)


def _choose_kinds(rng: np.random.Generator, count: int) -> list[str]:
    hallway = count >= _HALLWAY_FROM_ROOMS and bool(rng.uniform() < (0.5 if count < 7 else 0.85))
    wanted = _WANTED[: count - hallway]
    if count == 3:
        wanted = (("living room",), ("bedroom",), ("kitchen", "bathroom"))
    kinds = [options[int(rng.integers(len(options)))] for options in wanted]
    return [*kinds, "hallway"] if hallway else kinds


def _area(rng: np.random.Generator, kind: str) -> float:
    return _AREAS[kind] * float(rng.uniform(0.85, 1.25))


def _with_hallway(rng: np.random.Generator, kinds: Sequence[str]) -> list[tuple[str, Rect]] | None:
    """Rooms on both sides of a corridor; half of the time the living room takes its end, over the full depth.

    A side is one row of rooms or, deeper, cut up freely, so that some rooms are reached through others.
    """
    rest = [kind for kind in kinds if kind != "hallway"]
    rng.shuffle(rest)
    end = rng.uniform() < 0.5
    if end:
        rest.remove("living room")
    areas = [_area(rng, kind) for kind in rest]
    sides: tuple[list[int], list[int]] = ([], [])
    for i in sorted(range(len(rest)), key=lambda i: -areas[i]):  # the emptier side gets the next largest room
        min(sides, key=lambda side: sum(areas[j] for j in side)).append(i)
    if not sides[0] or not sides[1]:
        return None
    corridor = float(rng.uniform(1.3, 1.8))
    deep = [len(side) > 2 and rng.uniform() < 0.6 for side in sides]
    depths = [float(rng.uniform(4.4, 6.4) if is_deep else rng.uniform(3.0, 4.2)) for is_deep in deep]
    width = float(np.mean([sum(areas[i] for i in side) / depth for side, depth in zip(sides, depths, strict=True)]))
    rooms: list[tuple[str, Rect]] = []
    for side, depth, z0, is_deep in zip(sides, depths, (0.0, depths[0] + corridor), deep, strict=True):
        rng.shuffle(side)
        strip = Rect(0.0, z0, width, z0 + depth)
        rooms += _cut([rest[i] for i in side], [areas[i] for i in side], strip, in_row=not is_deep)
    rooms.append(("hallway", Rect(0.0, depths[0], width, depths[0] + corridor)))
    if end:
        total_depth = sum(depths) + corridor
        length = max(3.4, _area(rng, "living room") / total_depth)
        rooms.append(("living room", Rect(width, 0.0, width + length, total_depth)))
    return rooms if all(_fits(kind, rect) for kind, rect in rooms) else None


def _split(rng: np.random.Generator, kinds: Sequence[str]) -> list[tuple[str, Rect]] | None:
    """A rectangle cut up into rooms, without a hallway."""
    order = list(kinds)
    rng.shuffle(order)
    areas = [_area(rng, kind) for kind in order]
    aspect = float(rng.uniform(1.0, 1.7))
    width = float(np.sqrt(sum(areas) * aspect))
    rooms = _cut(order, areas, Rect(0.0, 0.0, width, width / aspect), in_row=False)
    return rooms if all(_fits(kind, rect) for kind, rect in rooms) else None


def _cut(kinds: Sequence[str], areas: Sequence[float], rect: Rect, in_row: bool) -> list[tuple[str, Rect]]:
    """Rooms that fill `rect` in proportion to their areas: it is cut in two across its longer side (x if `in_row`)."""
    if len(kinds) == 1:
        return [(kinds[0], rect)]
    shares = np.cumsum(areas) / sum(areas)
    middle = 1 + int(np.argmin(np.abs(shares[:-1] - 0.5)))
    share = float(shares[middle - 1])
    if in_row or rect.width >= rect.depth:
        x = rect.x0 + rect.width * share
        halves = Rect(rect.x0, rect.z0, x, rect.z1), Rect(x, rect.z0, rect.x1, rect.z1)
    else:
        z = rect.z0 + rect.depth * share
        halves = Rect(rect.x0, rect.z0, rect.x1, z), Rect(rect.x0, z, rect.x1, rect.z1)
    return [
        *_cut(kinds[:middle], areas[:middle], halves[0], in_row),
        *_cut(kinds[middle:], areas[middle:], halves[1], in_row),
    ]


def _fits(kind: str, rect: Rect) -> bool:
    if kind == "hallway":
        return rect.width > 2.5 and rect.depth > 1.2
    short, long = sorted((rect.width, rect.depth))
    return short >= _MIN_SIDE_M.get(kind, 2.3) and long <= 2.6 * short


def _turned(rng: np.random.Generator, rooms: list[tuple[str, Rect]]) -> list[tuple[str, Rect]]:
    """Mirrored or transposed at random."""
    width = max(rect.x1 for _, rect in rooms)
    if rng.uniform() < 0.5:
        rooms = [(kind, Rect(width - r.x1, r.z0, width - r.x0, r.z1)) for kind, r in rooms]
    if rng.uniform() < 0.5:
        rooms = [(kind, Rect(r.z0, r.x0, r.z1, r.x1)) for kind, r in rooms]
    return [(kind, Rect(*(round(v, 3) for v in (r.x0, r.z0, r.x1, r.z1)))) for kind, r in rooms]


def _named(rooms: Sequence[tuple[str, Rect]]) -> list[Room]:
    seen: dict[str, int] = {}
    named = []
    for kind, rect in rooms:
        seen[kind] = seen.get(kind, 0) + 1
        alone = sum(other == kind for other, _ in rooms) == 1
        named.append(Room(kind if alone else f"{kind} {seen[kind]}", kind, rect))
    return named


# -- openings --------------------------------------------------------------------------------------------------------

#: How unwilling two kinds are to be joined by a door; what is not listed is 4. Bathrooms are nobody's way through.
_RELUCTANCE: dict[frozenset[str], float] = {
    frozenset(("living room", "kitchen")): 1.0,
    frozenset(("living room", "dining room")): 0.8,
    frozenset(("kitchen", "dining room")): 0.6,
    frozenset(("bathroom", "bedroom")): 3.0,
    frozenset(("bathroom", "kitchen")): 9.0,
    frozenset(("bathroom", "dining room")): 9.0,
    frozenset(("bedroom", "kitchen")): 8.0,
    frozenset(("bedroom",)): 7.0,
    frozenset(("bathroom", "living room")): 4.0,
}
_LEAVES = ("bathroom", "laundry")
_OPEN_PAIRS = (
    frozenset(("living room", "kitchen")),
    frozenset(("living room", "dining room")),
    frozenset(("kitchen", "dining room")),
    frozenset(("living room", "hallway")),
)


def _connect(rng: np.random.Generator, rooms: Sequence[tuple[str, Rect]]) -> list[Opening] | None:
    """Doors along a spanning tree that prefers the hallway and keeps bathrooms at its leaves; some more for loops."""
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from(range(len(rooms)))
    for i in range(len(rooms)):
        for j in range(i + 1, len(rooms)):
            wall = shared_wall(rooms[i][1], rooms[j][1])
            if wall is not None and wall[3] - wall[2] >= DOOR_M + 0.5:
                graph.add_edge(i, j, cost=_reluctance(rooms[i][0], rooms[j][0]) * rng.uniform(0.8, 1.2), wall=wall)
    leaves = [i for i, (kind, _) in enumerate(rooms) if kind in _LEAVES]
    inner = graph.subgraph([i for i in graph if i not in leaves])
    if not nx.is_connected(inner):
        return None
    chosen = list(nx.minimum_spanning_edges(inner, weight="cost", data=False))
    for leaf in leaves:
        ways = [(graph.edges[leaf, other]["cost"], other) for other in graph[leaf] if other not in leaves]
        if not ways:
            return None
        chosen.append((leaf, min(ways)[1]))
    taken = {frozenset(edge) for edge in chosen}
    for i, j, cost in graph.edges(data="cost"):
        extra = frozenset((i, j)) not in taken and i not in leaves and j not in leaves
        if extra and cost < 3.0 and rng.uniform() < 0.6:
            chosen.append((i, j))
    return [_opening(rng, rooms, i, j, graph.edges[i, j]["wall"]) for i, j in chosen]


def _reluctance(a: str, b: str) -> float:
    if "hallway" in (a, b):
        return 0.2
    return _RELUCTANCE.get(frozenset((a, b)), 4.0)


def _opening(
    rng: np.random.Generator, rooms: Sequence[tuple[str, Rect]], i: int, j: int, wall: tuple[str, float, float, float]
) -> Opening:
    along, at, start, end = wall
    room = end - start - 0.5
    width, height = DOOR_M, DOOR_HEIGHT_M
    if frozenset((rooms[i][0], rooms[j][0])) in _OPEN_PAIRS and rng.uniform() < 0.7:
        width = float(min(room, rng.uniform(1.3, 2.2)))
        height = float(rng.choice([2.05, 2.25]))
    free = room - width
    # Doors stand near a corner more often than in the middle, which leaves walls to furnish.
    place = rng.beta(0.6, 0.6)
    left = start + 0.25 + free * float(place)
    return Opening((min(i, j), max(i, j)), along, at, round(left, 3), round(left + width, 3), height)


def _front_door(rng: np.random.Generator, rooms: Sequence[tuple[str, Rect]]) -> Opening | None:
    """A shut door in an outer wall of the hallway, else of the living room, else of the kitchen."""
    bounds = Rect(0.0, 0.0, max(r.x1 for _, r in rooms), max(r.z1 for _, r in rooms))
    for wanted in ("hallway", "living room", "kitchen", "dining room"):
        for index, (kind, rect) in enumerate(rooms):
            if kind != wanted:
                continue
            for side in outer_sides(rect, bounds):
                along = "x" if side in ("north", "south") else "z"
                start, end = (rect.x0, rect.x1) if along == "x" else (rect.z0, rect.z1)
                if end - start < DOOR_M + 0.25:
                    continue
                at = {"north": rect.z0, "south": rect.z1, "west": rect.x0, "east": rect.x1}[side]
                left = round(start + 0.125 + (end - start - DOOR_M - 0.25) * float(rng.uniform()), 3)
                return Opening((index, index), along, at, left, round(left + DOOR_M, 3), DOOR_HEIGHT_M)
    return None


def _windows(rng: np.random.Generator, rooms: Sequence[tuple[str, Rect]], front_door: Opening) -> list[Window]:
    bounds = Rect(0.0, 0.0, max(r.x1 for _, r in rooms), max(r.z1 for _, r in rooms))
    windows = []
    for index, (kind, rect) in enumerate(rooms):
        for side in outer_sides(rect, bounds):
            start, end = (rect.x0, rect.x1) if side in ("north", "south") else (rect.z0, rect.z1)
            at = {"north": rect.z0, "south": rect.z1, "west": rect.x0, "east": rect.x1}[side]
            holds_door = front_door.rooms[0] == index and abs(front_door.at - at) < 1e-6
            holds_door = holds_door and (front_door.along == "x") == (side in ("north", "south"))
            if holds_door or end - start < 1.6 or rng.uniform() < 0.25:
                continue
            width = (
                float(rng.uniform(0.6, 0.9))
                if kind in _LEAVES
                else float(rng.uniform(1.0, min(2.0, end - start - 0.6)))
            )
            sill = 1.35 if kind in _LEAVES else 1.05 if kind == "kitchen" else 0.85
            middle = (start + end) / 2.0 + float(rng.uniform(-0.2, 0.2)) * (end - start - width - 0.5)
            windows.append(Window(index, side, round(middle - width / 2, 3), round(middle + width / 2, 3), sill, 2.05))
    return windows
