"""Puts furniture into rooms: the rules of what stands where, and the search for free places.

`ROOMS` says, room kind by room kind, what is wanted; `Furnisher` knows how to set a piece against a wall, in the
middle, beside another or on top of it, so that doors stay free, fronts reachable, and nothing overlaps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sim.houses.assets import Asset, Surface
from sim.houses.floor import REACH_M, Floor
from sim.houses.library import Library
from sim.houses.plan import WALL_M, Opening, Plan, Rect, Room

#: Yaw (rad) of a piece whose back is against the wall on that side: its front looks into the room.
FACING = {"north": 0.0, "south": np.pi, "west": np.pi / 2.0, "east": -np.pi / 2.0}
_OPPOSITE = {"north": "south", "south": "north", "west": "east", "east": "west"}
_DOOR_CLEAR_M = 0.75
_GAP_M = 0.03
_FLAT = ("rug",)
"""Categories that one walks over."""
_FURNISHED_SHARE = 0.2
"""Rooms with less of their floor under furniture are filled up."""
_M2_PER_THING = 22.0
_LEAST_THINGS = 0.5
"""Things on a room's floor, on average: one on so many m2, and not less than this."""

T = TypeVar("T")


@dataclass(frozen=True)
class Placement:
    """One object in a house.

    x, y, z is the middle of its bounding box (m), yaw its turn about +Y (rad; 0: its front looks towards +Z).
    """

    asset: Asset
    room: int
    x: float
    y: float
    z: float
    yaw: float
    on: int | None
    """Index of the placement it stands on; None for the floor or a wall."""
    mount: str

    @property
    def base_y(self) -> float:
        return self.y - self.asset.dimensions[1] / 2.0

    @property
    def top_y(self) -> float:
        return self.y + self.asset.dimensions[1] / 2.0

    @property
    def footprint(self) -> Rect:
        return footprint(self.asset, self.x, self.z, self.yaw)


def footprint(piece: Asset, x: float, z: float, yaw: float) -> Rect:
    """The rectangle of floor under a piece that stands at (x, z), turned by `yaw` (m)."""
    width, _, depth = piece.dimensions
    c, s = abs(np.cos(yaw)), abs(np.sin(yaw))
    half_x, half_z = float(c * width + s * depth) / 2.0, float(s * width + c * depth) / 2.0
    return Rect(x - half_x, z - half_z, x + half_x, z + half_z)


def furnish(plan: Plan, rng: np.random.Generator, library: Library) -> list[Placement]:
    """Objects of a library for every room of a plan."""
    placements: list[Placement] = []
    for index in range(len(plan.rooms)):
        furnisher = Furnisher(plan, index, rng, library, placements)
        ROOMS[plan.rooms[index].kind](furnisher)
        furnisher.fill()
        furnisher.decorate()
    return placements


class Furnisher:
    """Sets things down in one room. Methods return the new placement's index, or None where no place was found."""

    def __init__(
        self, plan: Plan, room: int, rng: np.random.Generator, library: Library, placements: list[Placement]
    ) -> None:
        self._library = library
        self.plan = plan
        self.index = room
        self.room: Room = plan.rooms[room]
        self.rng = rng
        self.placements = placements
        self._mine: list[int] = []
        self._openings: list[Opening] = [o for o in plan.openings if room in o.rooms]
        self._all_openings = [*self._openings, *([plan.front_door] if plan.front_door.rooms[0] == room else [])]
        self._doors = [o.rect(_DOOR_CLEAR_M + WALL_M / 2.0) for o in self._all_openings]
        self._floor = Floor(self.room.inner, [o.rect(0.4) for o in self._openings])
        self._kept_clear: list[Rect] = []

    # -- choosing ------------------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        return bool(self.rng.uniform() < probability)

    def pick(self, category: str) -> Asset:
        """A random variant of a category."""
        return self._library.asset(category, int(self.rng.integers(self._library.count(category))))

    def one_of(self, options: Sequence[T]) -> T:
        return options[int(self.rng.integers(len(options)))]

    # -- the floor -----------------------------------------------------------------------------------------------

    def against_wall(
        self, piece: Asset | str, front_m: float = 0.55, sides: Sequence[str] | None = None, middle: bool = False
    ) -> int | None:
        """With its back to a wall and `front_m` metres kept free before it; `middle` tries a wall's middle first."""
        piece = self.pick(piece) if isinstance(piece, str) else piece
        for _ in range(14):
            side = self.one_of(list(sides or FACING))
            found = self._at_wall(piece, side, 0.5 if middle else float(self.rng.uniform()), front_m)
            middle = False
            if found is not None:
                return found
        return None

    def run(self, pieces: Sequence[Asset], front_m: float = 0.7) -> list[int]:
        """Side by side along one wall, as kitchen units are; as many as fit."""
        inner = self.room.inner
        best: list[Placement] = []
        sides = list(FACING)
        self.rng.shuffle(sides)
        for side in sides:
            length = inner.width if side in ("north", "south") else inner.depth
            for start in (0.0, float(self.rng.uniform(0.0, 0.3)) * length):
                if len(best) >= len(pieces) - 1:
                    break
                tried = self._try_run(pieces, side, start, length, front_m)
                if len(tried) > len(best):
                    best = tried
        again = (self.put(p.asset, p.x, p.z, p.yaw, front_m, 0.0) for p in best)
        return [index for index in again if index is not None]

    def _try_run(
        self, pieces: Sequence[Asset], side: str, start: float, length: float, front_m: float
    ) -> list[Placement]:
        """One attempt of `run`; leaves nothing standing."""
        kept_clear, first = list(self._kept_clear), len(self.placements)
        offset = start
        for piece in pieces:
            width = piece.dimensions[0]
            while offset + width <= length:
                if self._at_wall(piece, side, (offset, width, length), front_m) is not None:
                    offset += width
                    break
                offset += 0.15
        tried = self.placements[first:]
        del self.placements[first:]
        self._mine = [index for index in self._mine if index < first]
        self._kept_clear = kept_clear
        self._floor = Floor(self.room.inner, [o.rect(0.4) for o in self._openings])
        for index in self._mine:
            placement = self.placements[index]
            if placement.mount == "floor" and placement.asset.category not in _FLAT:
                self._floor.block(placement.footprint)
        return tried

    def _at_wall(
        self, piece: Asset, side: str, place: float | tuple[float, float, float], front_m: float
    ) -> int | None:
        """`place`: 0..1 along the wall, or (offset, width, length) in metres."""
        inner, yaw = self.room.inner, FACING[side]
        width, height, depth = piece.dimensions
        along_x = side in ("north", "south")
        length = inner.width if along_x else inner.depth
        if width > length:
            return None
        in_run = isinstance(place, tuple)
        along = place[0] + place[1] / 2.0 if isinstance(place, tuple) else width / 2.0 + (length - width) * place
        away = depth / 2.0 + 0.005
        x, z = {
            "north": (inner.x0 + along, inner.z0 + away),
            "south": (inner.x0 + along, inner.z1 - away),
            "west": (inner.x0 + away, inner.z0 + along),
            "east": (inner.x1 - away, inner.z0 + along),
        }[side]
        ground = footprint(piece, x, z, yaw)
        start, end = (ground.x0, ground.x1) if along_x else (ground.z0, ground.z1)
        for window in self.plan.windows:
            same = window.room == self.index and window.side == side
            if same and window.start < end and start < window.end and height > window.sill:
                return None
        return self.put(piece, x, z, yaw, front_m, 0.0 if in_run else _GAP_M)

    def in_middle(self, piece: Asset | str, yaw: float | None = None) -> int | None:
        """Somewhere free of the walls, nearest the room's middle first."""
        piece = self.pick(piece) if isinstance(piece, str) else piece
        inner = self.room.inner
        for attempt in range(12):
            spread = attempt / 12.0
            turn = (0.0 if inner.width > inner.depth else np.pi / 2.0) if yaw is None else yaw
            cx, cz = inner.centre
            x = cx + float(self.rng.uniform(-spread, spread)) * inner.width / 2.0
            z = cz + float(self.rng.uniform(-spread, spread)) * inner.depth / 2.0
            found = self.put(piece, x, z, turn, None)
            if found is not None:
                return found
        return None

    def beside(
        self,
        other: int,
        piece: Asset | str,
        right: float,
        forward: float,
        yaw: float = 0.0,
        under: int | None = None,
    ) -> int | None:
        """At an offset from another object, in that object's own directions (m), turned from it by `yaw`.

        It may reach `under` an object, as a chair reaches under a table.
        """
        piece = self.pick(piece) if isinstance(piece, str) else piece
        anchor = self.placements[other]
        c, s = float(np.cos(anchor.yaw)), float(np.sin(anchor.yaw))
        x, z = anchor.x + right * c + forward * s, anchor.z - right * s + forward * c
        turn = anchor.yaw + yaw
        return self.put(piece, x, z, turn, None, under=under)

    def put(
        self,
        piece: Asset,
        x: float,
        z: float,
        yaw: float,
        front_m: float | None,
        gap_m: float = _GAP_M,
        under: int | None = None,
    ) -> int | None:
        """On the floor at (x, z), if that is inside the room, overlaps nothing, and leaves all doors connected."""
        ground = footprint(piece, x, z, yaw)
        inner = self.room.inner
        if not inner.holds(ground):
            return None
        flat = piece.category in _FLAT
        if not flat:
            if any(ground.overlaps(door) for door in self._doors):
                return None
            if any(ground.overlaps(zone) for zone in self._kept_clear):
                return None
        for i in self._mine:
            other = self.placements[i]
            if (
                i != under
                and other.mount == "floor"
                and (other.asset.category in _FLAT) == flat
                and other.footprint.grown(gap_m - 1e-3).overlaps(ground)
            ):
                return None
        front = None
        if front_m is not None:
            front = _in_front(piece, x, z, yaw, front_m)
            solid = (self.placements[i] for i in self._mine)
            if any(p.mount == "floor" and p.asset.category not in _FLAT and p.footprint.overlaps(front) for p in solid):
                return None
        if not flat:
            # Where the agent's centre can be is further off than what must be kept clear.
            stand = None if front_m is None else _in_front(piece, x, z, yaw, max(front_m, REACH_M + 0.15))
            if not self._floor.accepts(ground, stand):
                return None
            self._floor.block(ground)
        if front is not None:
            self._kept_clear.append(front.grown(-0.02))
        return self._add(Placement(piece, self.index, x, piece.dimensions[1] / 2.0, z, yaw, None, "floor"))

    def at_foot_of(self, other: int, piece: Asset | str) -> int | None:
        """Beside or before a piece of furniture, within a hand's breadth."""
        piece = self.pick(piece) if isinstance(piece, str) else piece
        anchor = self.placements[other]
        width, _, depth = anchor.asset.dimensions
        half = max(piece.dimensions[0], piece.dimensions[2]) / 2.0
        for _ in range(6):
            side = float(self.rng.choice([-1.0, 1.0]))
            right = side * (width / 2.0 + half + float(self.rng.uniform(0.05, 0.15)))
            forward = float(self.rng.uniform(-0.5, 0.5)) * max(0.0, depth - 2 * half)
            found = self.beside(other, piece, right, forward, float(self.rng.uniform(-0.5, 0.5)))
            if found is not None:
                return found
        return None

    def open_front(self) -> None:
        """Lets other pieces stand before the one set down last: a coffee table before a sofa, a chair before a desk."""
        self._kept_clear.pop()

    def wall_behind(self, index: int) -> str:
        """The wall that a piece has its back to."""
        return min(FACING, key=lambda side: abs(FACING[side] - self.placements[index].yaw))

    # -- surfaces and walls ----------------------------------------------------------------------------------------

    def on_top(self, other: int, piece: Asset | str, centred: bool = False, loose: bool = True) -> int | None:
        """On one of another object's surfaces; `centred` in its middle, `loose` turned at random."""
        piece = self.pick(piece) if isinstance(piece, str) else piece
        anchor = self.placements[other]
        surfaces = [s for s in anchor.asset.surfaces if s.room_above >= piece.dimensions[1]]
        for attempt in range(8 if surfaces else 0):
            surface = surfaces[int(self.rng.integers(len(surfaces)))]
            turn = float(self.rng.uniform(-0.5, 0.5)) if loose else 0.0
            local = footprint(piece, 0.0, 0.0, turn)
            spare_x = (surface.x1 - surface.x0) - local.width
            spare_z = (surface.z1 - surface.z0) - local.depth
            if min(spare_x, spare_z) < 0.0:
                continue
            u, v = (0.5, 0.4) if centred and attempt == 0 else (float(self.rng.uniform()), float(self.rng.uniform()))
            lx = surface.x0 + local.width / 2.0 + spare_x * u
            lz = surface.z0 + local.depth / 2.0 + spare_z * v
            found = self._set_on(other, piece, surface, lx, lz, turn)
            if found is not None:
                return found
        return None

    def _set_on(self, other: int, piece: Asset, surface: Surface, lx: float, lz: float, turn: float) -> int | None:
        anchor = self.placements[other]
        c, s = float(np.cos(anchor.yaw)), float(np.sin(anchor.yaw))
        x, z = anchor.x + lx * c + lz * s, anchor.z - lx * s + lz * c
        ground = footprint(piece, x, z, anchor.yaw + turn)
        neighbours = (self.placements[i] for i in self._mine)
        if any(p.on == other and p.footprint.grown(0.015).overlaps(ground) for p in neighbours):
            return None
        y = anchor.base_y + surface.y + piece.dimensions[1] / 2.0
        return self._add(Placement(piece, self.index, x, y, z, anchor.yaw + turn, other, "surface"))

    def on_wall(self, piece: Asset | str, base_y: float, above: int | None = None) -> int | None:
        """Hung on a wall with its lower edge at `base_y` (m); `above` centres it over another object."""
        piece = self.pick(piece) if isinstance(piece, str) else piece
        for _ in range(8):
            side = self.one_of(list(FACING))
            if above is not None:
                side = next(name for name, yaw in FACING.items() if abs(yaw - self.placements[above].yaw) < 0.1)
            place = self._wall_place(piece, side, base_y, above)
            if place is not None:
                x, z = place
                y = base_y + piece.dimensions[1] / 2.0
                return self._add(Placement(piece, self.index, x, y, z, FACING[side], None, "wall"))
        return None

    def _wall_place(self, piece: Asset, side: str, base_y: float, above: int | None) -> tuple[float, float] | None:
        inner = self.room.inner
        width, height, depth = piece.dimensions
        along_x = side in ("north", "south")
        low, high = (inner.x0, inner.x1) if along_x else (inner.z0, inner.z1)
        if high - low < width + 0.2:
            return None
        along = float(self.rng.uniform(low + width / 2 + 0.1, high - width / 2 - 0.1))
        if above is not None:
            along = self.placements[above].x if along_x else self.placements[above].z
        start, end = along - width / 2.0 - 0.06, along + width / 2.0 + 0.06
        away = depth / 2.0 + 0.002
        x, z = {
            "north": (along, inner.z0 + away),
            "south": (along, inner.z1 - away),
            "west": (inner.x0 + away, along),
            "east": (inner.x1 - away, along),
        }[side]
        at = {
            "north": self.room.rect.z0,
            "south": self.room.rect.z1,
            "west": self.room.rect.x0,
            "east": self.room.rect.x1,
        }
        for opening in self._all_openings:
            same = opening.along == ("x" if along_x else "z") and abs(opening.at - at[side]) < 1e-6
            if same and opening.start - 0.1 < end and start < opening.end + 0.1:
                return None
        for window in self.plan.windows:
            same = window.room == self.index and window.side == side
            if same and window.start - 0.1 < end and start < window.end + 0.1 and base_y + height > window.sill - 0.1:
                return None
        ground = footprint(piece, x, z, FACING[side]).grown(0.04)
        for i in self._mine:
            other = self.placements[i]
            if (
                other.footprint.overlaps(ground)
                and other.top_y > base_y - 0.03
                and other.base_y < base_y + height + 0.03
            ):
                return None
        return x, z

    # -- finishing -------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """More furniture where a room is still empty, and things on its floor, beside furniture or along the walls."""
        furniture, things = FILLERS[self.room.kind]
        area = self.room.inner.area
        for _ in range(3):
            if self._furnished_m2() > _FURNISHED_SHARE * area:
                break
            self.against_wall(self.one_of(furniture), 0.5)
        solid = [i for i in self._mine if self.placements[i].mount == "floor" and not self._is_flat(i)]
        for _ in range(int(self.rng.poisson(max(_LEAST_THINGS, area / _M2_PER_THING)))):
            thing = self.one_of(things)
            if not solid or self.chance(0.4) or self.at_foot_of(self.one_of(solid), thing) is None:
                self.against_wall(thing, 0.2)

    def _furnished_m2(self) -> float:
        return sum(self.placements[i].footprint.area for i in self._mine if not self._is_flat(i))

    def _is_flat(self, index: int) -> bool:
        return self.placements[index].asset.category in _FLAT

    def decorate(self) -> None:
        """Small objects on what stands in the room."""
        for index in list(self._mine):
            wanted = ON_TOP.get(self.placements[index].asset.category)
            if wanted is None:
                continue
            options, least, most = wanted
            for _ in range(int(self.rng.integers(least, most + 1))):
                self.on_top(index, self.one_of(options))

    def _add(self, placement: Placement) -> int:
        self.placements.append(placement)
        self._mine.append(len(self.placements) - 1)
        return len(self.placements) - 1


def _in_front(piece: Asset, x: float, z: float, yaw: float, reach: float) -> Rect:
    """The ground before a piece of furniture, `reach` metres deep."""
    width, _, depth = piece.dimensions
    s, c = float(np.sin(yaw)), float(np.cos(yaw))
    away = depth / 2.0 + reach / 2.0
    half_x = (abs(c) * width + abs(s) * reach) / 2.0
    half_z = (abs(s) * width + abs(c) * reach) / 2.0
    cx, cz = x + s * away, z + c * away
    return Rect(cx - half_x, cz - half_z, cx + half_x, cz + half_z)


# -- rooms -----------------------------------------------------------------------------------------------------------


def _living_room(f: Furnisher) -> None:
    sofa = f.against_wall("sofa", 1.1, middle=True)
    if sofa is not None:
        f.open_front()
        width, _, depth = f.placements[sofa].asset.dimensions
        table = f.pick("coffee table")
        f.beside(sofa, table, 0.0, depth / 2 + 0.42 + table.dimensions[2] / 2)
        if f.chance(0.75):
            rug = f.pick("rug")
            f.beside(sofa, rug, 0.0, depth / 2 + 0.2 + rug.dimensions[2] / 2)
        if f.chance(0.6):
            end = f.pick("side table")
            f.beside(sofa, end, width / 2 + 0.06 + end.dimensions[0] / 2, 0.0)
        if f.chance(0.6):
            lamp = f.pick("floor lamp")
            f.beside(sofa, lamp, -width / 2 - 0.08 - lamp.dimensions[0] / 2, -0.15)
    stand = None
    if sofa is not None:
        stand = f.against_wall("tv stand", 0.6, [_OPPOSITE[f.wall_behind(sofa)]], middle=True)
    if stand is None:
        stand = f.against_wall("tv stand", 0.6)
    if stand is not None:
        f.on_top(stand, "tv", centred=True, loose=False)
    for category, probability in (("armchair", 0.8), ("plant", 0.9), ("bookshelf", 0.6), ("armchair", 0.4)):
        if f.chance(probability):
            f.against_wall(category, 0.5)
    if f.chance(0.2):
        f.against_wall("guitar", 0.25)
    _hang(f, ("picture", "picture", "picture", "clock", "wall shelf"), 3)


def _kitchen(f: Furnisher) -> None:
    units = [f.pick("refrigerator"), f.pick("counter"), f.pick("kitchen sink"), f.pick("stove")]
    if f.chance(0.6):
        units.append(f.pick("counter"))
    if f.chance(0.5):
        units = units[::-1]
    placed = f.run(units)
    have = {f.placements[i].asset.category for i in placed}
    for unit in units:
        if unit.category not in have:
            f.against_wall(unit, 0.6)
    if f.room.inner.area > 9.0 and f.chance(0.85):
        _table_with_chairs(f, 4)
    if f.chance(0.4):
        f.against_wall("counter", 0.6)
    _hang(f, ("clock", "picture", "wall shelf"), 2)


def _table_with_chairs(f: Furnisher, most: int) -> None:
    """A table in the middle of the room, else one against a wall, with chairs where they fit."""
    table = f.in_middle("dining table")
    if table is None:
        table = f.against_wall("dining table", 0.9)
        if table is None:
            return
        f.open_front()
    width, _, depth = f.placements[table].asset.dimensions
    chair = min((f.pick("chair") for _ in range(3)), key=lambda c: c.dimensions[2])  # no office chairs round a table
    out = depth / 2 + chair.dimensions[2] / 2 - 0.08
    side = width / 2 + chair.dimensions[2] / 2 - 0.06
    places = [(-width / 4, out, np.pi), (width / 4, -out, 0.0), (width / 4, out, np.pi), (-width / 4, -out, 0.0)]
    places += [(side, 0.0, -np.pi / 2), (-side, 0.0, np.pi / 2)]
    seated = 0
    for right, forward, yaw in places:
        pulled = float(f.rng.uniform(0.0, 0.1))
        right, forward = right + np.sign(right) * pulled * (abs(forward) < 1e-6), forward + np.sign(forward) * pulled
        if seated < most and f.beside(table, chair, right, forward, yaw, under=table) is not None:
            seated += 1


def _dining_room(f: Furnisher) -> None:
    if f.chance(0.5):
        f.in_middle("rug")
    _table_with_chairs(f, 6)
    f.against_wall("cabinet", 0.5)
    if f.chance(0.8):
        f.against_wall("plant", 0.4)
    _hang(f, ("picture", "picture", "clock", "mirror"), 3)


def _bedroom(f: Furnisher) -> None:
    bed = f.against_wall("bed", 0.5, middle=f.chance(0.6))
    if bed is not None:
        width, _, depth = f.placements[bed].asset.dimensions
        stand = f.pick("nightstand")
        across = width / 2 + stand.dimensions[0] / 2 + 0.05
        back = -depth / 2 + stand.dimensions[2] / 2
        for right in (-across, across):
            f.beside(bed, stand, right, back)
        if f.chance(0.6):
            rug = f.pick("rug")
            f.beside(bed, rug, 0.0, depth / 2 + rug.dimensions[2] / 2 - 0.35)
    f.against_wall("wardrobe", 0.6)
    if f.chance(0.6):
        f.against_wall("dresser", 0.5)
    if f.room.inner.area > 11.0 and f.chance(0.5):
        _desk(f)
    if f.chance(0.25):
        f.against_wall("suitcase", 0.25)
    _hang(f, ("picture", "picture", "mirror", "wall shelf"), 2)


def _desk(f: Furnisher) -> int | None:
    desk = f.against_wall("desk", 0.75)
    if desk is None:
        return None
    f.open_front()
    depth = f.placements[desk].asset.dimensions[2]
    chair = f.pick("chair")
    right = float(f.rng.uniform(-0.1, 0.1))
    f.beside(desk, chair, right, depth / 2 + chair.dimensions[2] / 2 - 0.05, np.pi, under=desk)
    if f.chance(0.6):
        screen = f.on_top(desk, "monitor", centred=True, loose=False)
        if screen is not None:
            f.on_top(desk, "keyboard", loose=False)
    else:
        f.on_top(desk, "laptop", centred=True)
    if f.chance(0.5):
        f.on_top(desk, "table lamp")
    return desk


def _bathroom(f: Furnisher) -> None:
    tub = f.against_wall("bathtub", 0.45) if f.chance(0.6) else None
    if tub is None:
        f.against_wall("shower", 0.5)
    f.against_wall("toilet", 0.55)
    basin = f.against_wall("washbasin", 0.55)
    if basin is not None:
        f.on_wall("mirror", 1.1, above=basin)
    if f.chance(0.35):
        f.against_wall("washing machine", 0.5)
    if f.chance(0.35):
        f.against_wall("scale", 0.25)
    _hang(f, ("picture", "wall shelf"), 1)


def _study(f: Furnisher) -> None:
    if f.chance(0.5):
        f.in_middle("rug")
    _desk(f)
    for category, probability in (("bookshelf", 1.0), ("armchair", 0.6), ("cabinet", 0.5), ("plant", 0.6)):
        if f.chance(probability):
            f.against_wall(category, 0.5)
    _hang(f, ("picture", "picture", "clock", "wall shelf"), 2)


def _playroom(f: Furnisher) -> None:
    f.in_middle("rug")
    for category, probability in (("bookshelf", 0.9), ("cabinet", 0.7), ("bench", 0.5), ("sofa", 0.3), ("stool", 0.7)):
        if f.chance(probability):
            f.against_wall(category, 0.5)
    _hang(f, ("picture", "picture", "wall shelf"), 2)


def _laundry(f: Furnisher) -> None:
    f.against_wall("washing machine", 0.55)
    for category, probability in (("cabinet", 0.8), ("shoe rack", 0.4), ("stool", 0.4)):
        if f.chance(probability):
            f.against_wall(category, 0.4)
    _hang(f, ("wall shelf", "clock"), 1)


def _hallway(f: Furnisher) -> None:
    for category, probability in (("shoe rack", 0.8), ("coat rack", 0.7), ("bench", 0.4), ("cabinet", 0.4)):
        if f.chance(probability):
            f.against_wall(category, 0.4)
    if f.chance(0.35):
        f.against_wall("umbrella", 0.2)
    _hang(f, ("mirror", "picture", "picture", "clock"), 2)


def _hang(f: Furnisher, options: Sequence[str], most: int) -> None:
    heights = {"mirror": 0.9, "picture": 1.3, "clock": 1.75, "wall shelf": 1.25}
    for _ in range(int(f.rng.integers(1, most + 1))):
        category = f.one_of(options)
        f.on_wall(category, heights[category])


ROOMS: dict[str, Callable[[Furnisher], None]] = {
    "living room": _living_room,
    "kitchen": _kitchen,
    "dining room": _dining_room,
    "bedroom": _bedroom,
    "bathroom": _bathroom,
    "study": _study,
    "playroom": _playroom,
    "laundry": _laundry,
    "hallway": _hallway,
}

#: Furniture that fills a large room up, and small things for its floor.
FILLERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "living room": (
        ("bookshelf", "cabinet", "piano", "armchair", "plant", "floor lamp", "stool", "bench"),
        ("basket", "guitar", "ball", "pet bowl", "toy car", "speaker", "box", "backpack"),
    ),
    "kitchen": (
        ("cabinet", "stool", "counter", "plant", "bench"),
        ("trash can", "pet bowl", "basket", "box", "watering can"),
    ),
    "dining room": (
        ("cabinet", "bookshelf", "piano", "bench", "floor lamp", "plant"),
        ("basket", "ball", "box", "toy car"),
    ),
    "bedroom": (
        ("dresser", "armchair", "bookshelf", "plant", "bench", "floor lamp", "cabinet"),
        ("suitcase", "backpack", "basket", "shoe", "box", "teddy bear", "guitar", "trash can", "ball"),
    ),
    "bathroom": (("cabinet", "stool", "plant", "bench"), ("scale", "basket", "trash can", "toilet paper", "shoe")),
    "study": (
        ("bookshelf", "cabinet", "floor lamp", "armchair", "plant"),
        ("trash can", "box", "backpack", "guitar", "suitcase", "globe"),
    ),
    "playroom": (
        ("bookshelf", "cabinet", "piano", "stool", "bench", "armchair", "desk"),
        ("ball", "box", "basket", "toy blocks", "toy car", "teddy bear", "backpack", "guitar"),
    ),
    "laundry": (("cabinet", "washing machine", "stool"), ("basket", "box", "umbrella", "suitcase", "shoe", "pet bowl")),
    "hallway": (("plant", "cabinet", "bench"), ("shoe", "umbrella", "backpack", "suitcase", "ball", "box", "pet bowl")),
}

#: What is set on a piece of furniture: (options, fewest, most).
ON_TOP: dict[str, tuple[tuple[str, ...], int, int]] = {
    "nightstand": (("table lamp", "alarm clock", "book", "cup", "photo frame", "bottle"), 0, 1),
    "dresser": (("vase", "photo frame", "speaker", "teddy bear", "table lamp", "candle"), 0, 2),
    "desk": (("cup", "book", "globe", "photo frame", "speaker", "bottle"), 0, 1),
    "dining table": (("plate", "cup", "bowl", "fruit", "vase", "bottle", "bread", "banana"), 1, 2),
    "coffee table": (("book", "cup", "bowl", "candle", "fruit", "laptop"), 1, 2),
    "side table": (("table lamp", "cup", "vase", "photo frame"), 1, 1),
    "counter": (
        (
            *("kettle", "toaster", "microwave", "coffee maker", "bottle", "knife block"),
            *("bread", "fruit", "banana", "bowl", "plate", "pot"),
        ),
        1,
        2,
    ),
    "stove": (("pot", "pan", "kettle"), 0, 1),
    "tv stand": (("speaker", "toy car"), 0, 1),
    "bookshelf": (("vase", "globe", "photo frame", "box"), 0, 1),
    "cabinet": (("vase", "candle", "table lamp", "speaker", "watering can", "globe", "toaster"), 0, 2),
    "bed": (("teddy bear", "book", "laptop", "towel", "pillow"), 0, 1),
    "sofa": (("pillow", "teddy bear", "book"), 0, 2),
    "armchair": (("pillow", "book"), 0, 1),
    "washbasin": (("soap dispenser", "cup"), 0, 1),
    "toilet": (("toilet paper",), 0, 1),
    "washing machine": (("towel", "bottle", "soap dispenser"), 0, 1),
    "bench": (("towel", "pillow", "book", "backpack"), 0, 1),
    "shoe rack": (("vase", "candle", "watering can"), 0, 1),
    "wall shelf": (("vase", "photo frame", "candle", "toy car", "book", "alarm clock"), 0, 2),
    "piano": (("photo frame", "candle", "book"), 0, 1),
}
