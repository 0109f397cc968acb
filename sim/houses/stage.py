"""The house's shell as one mesh file: floors with baked shadows, walls, ceilings, trim, windows, the front door.

Four materials, so four draw calls. Ceilings face down only: seen from above they are culled, and no roof exists that could be walked on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from sim.houses import glb, textures
from sim.houses.furnish import Placement
from sim.houses.plan import WALL_M, Opening, Plan, Rect, Room
from sim.houses.shapes import Mesh, Sculptor, merge

HEIGHT_M = 2.5
_FLOOR_PIXELS = 1024
_MAX_PIXELS_PER_M = 96.0
_FOUNDATION_M = 0.035
_PLASTER_M = 1.6
"""The plaster picture repeats after so many metres, the wall tiles' after `_TILES_M`."""
_TILES_M = 0.8

_WALL_TINTS = (
    (0.93, 0.91, 0.86),
    (0.90, 0.90, 0.91),
    (0.84, 0.89, 0.90),
    (0.88, 0.91, 0.84),
    (0.95, 0.89, 0.80),
    (0.92, 0.84, 0.82),
    (0.78, 0.84, 0.90),
    (0.86, 0.82, 0.90),
    (0.76, 0.82, 0.76),
    (0.90, 0.80, 0.66),
)
_TRIM = (0.97, 0.97, 0.96)
_CEILING = (0.96, 0.96, 0.95)
_CAP = (0.25, 0.25, 0.27)
_TILED = ("bathroom", "laundry")
_FLOORS = {
    "bathroom": ("tiles",),
    "laundry": ("tiles",),
    "kitchen": ("tiles", "tiles", "planks"),
    "bedroom": ("planks", "carpet"),
    "playroom": ("planks", "carpet"),
}
_WOODS = ((0.62, 0.43, 0.27), (0.47, 0.31, 0.19), (0.75, 0.59, 0.41), (0.55, 0.47, 0.39), (0.38, 0.25, 0.17))
_TILE_COLOURS = ((0.86, 0.85, 0.82), (0.60, 0.62, 0.64), (0.80, 0.72, 0.62), (0.45, 0.52, 0.56), (0.72, 0.80, 0.78))
_CARPETS = ((0.55, 0.55, 0.58), (0.70, 0.62, 0.52), (0.42, 0.50, 0.60), (0.60, 0.45, 0.42), (0.48, 0.55, 0.45))


def build_stage(plan: Plan, placements: Sequence[Placement], rng: np.random.Generator, name: str) -> bytes:
    """The GLB of a house's shell; `placements` throw the shadows on its floors."""
    plaster, tiles, fittings = _Walls(_PLASTER_M), _Walls(_TILES_M), Sculptor()
    for index, room in enumerate(plan.rooms):
        tint = np.array(_WALL_TINTS[int(rng.integers(len(_WALL_TINTS)))])
        _room_walls(plan, index, tiles if room.kind in _TILED else plaster, tint)
        plaster.ceiling(room)
        plaster.cap(room)
        _skirting(plan, index, plaster)
    for opening in plan.openings:
        plaster.reveal(opening)
        for side in (-1.0, 1.0):
            plaster.frame(opening, side)
    _windows(plan, plaster, fittings)
    _front_door(plan, plaster, fittings)
    _foundation(plan, plaster)
    floor = merge(
        [_floor_mesh(plan, room.inner) for room in plan.rooms]
        + [_floor_mesh(plan, o.rect(WALL_M / 2)) for o in plan.openings]
    )
    picture = textures.encode_jpeg(_floor_picture(plan, placements, rng))
    wall = textures.encode_png(_grey(textures.swatch("plain", (0.97, 0.97, 0.97), (1.0, 1.0, 1.0), rng, 64)))
    accent = (0.70, 0.72, 0.74)
    tile = textures.encode_png(textures.swatch("tiles", (0.97, 0.97, 0.98), accent, rng, 128))
    wood = _WOODS[int(rng.integers(len(_WOODS)))]
    cells = [
        _sky(rng),
        textures.swatch("wood", wood, tuple(0.7 * c for c in wood), rng),
        textures.swatch("plain", (0.6, 0.6, 0.62), (1, 1, 1), rng),
    ]
    parts = [
        (floor, glb.Material("floor", picture, roughness=0.6)),
        (plaster.finish(), glb.Material("plaster", wall, roughness=0.95, repeat=True)),
        (fittings.finish(), glb.Material("fittings", textures.encode_png(textures.atlas(cells)), roughness=0.4)),
    ]
    if not tiles.empty:
        parts.append((tiles.finish(), glb.Material("tiles", tile, roughness=0.3, repeat=True)))
    return glb.encode(parts, name)


class _Walls:
    """Vertical and horizontal faces with their own light: darker in corners, at the floor and under the ceiling."""

    def __init__(self, repeat_m: float) -> None:
        self._repeat_m = repeat_m
        self._meshes: list[Mesh] = []

    @property
    def empty(self) -> bool:
        return not self._meshes

    def finish(self) -> Mesh:
        return merge(self._meshes)

    def wall(self, room: Rect, side: str, start: float, end: float, low: float, high: float, tint: np.ndarray) -> None:
        """The part of a room's wall between `start` and `end` along it and heights `low` and `high`."""
        first, last = (room.x0, room.x1) if side in ("north", "south") else (room.z0, room.z1)
        cuts = [first + 0.15, first + 0.6, last - 0.6, last - 0.15]
        along = np.array(sorted({start, end, *(c for c in cuts if start < c < end)}))
        up = np.array(sorted({low, high, *(y for y in (0.25, 1.0, 2.1, 2.35) if low < y < high)}))
        if side in ("south", "west"):  # seen from inside, `along` runs to the left there
            along = along[::-1]
        grid_a, grid_y = np.meshgrid(along, up)
        a, y = grid_a.ravel(), grid_y.ravel()
        to_corner = np.minimum(a - first, last - a)
        light = 1.0 - 0.17 * np.exp(-to_corner / 0.3) - 0.14 * np.exp(-y / 0.25) - 0.08 * np.exp(-(HEIGHT_M - y) / 0.3)
        light *= {"north": 1.0, "south": 0.92, "west": 0.97, "east": 0.94}[side]
        across = np.full_like(a, {"north": room.z0, "south": room.z1, "west": room.x0, "east": room.x1}[side])
        points = np.stack([a, y, across] if side in ("north", "south") else [across, y, a], axis=1)
        normal = {"north": (0, 0, 1), "south": (0, 0, -1), "west": (1, 0, 0), "east": (-1, 0, 0)}[side]
        self._grid(points, (len(up), len(along)), normal, np.stack([a, HEIGHT_M - y], 1), light[:, None] * tint)

    def ceiling(self, room: Room) -> None:
        inner = room.inner
        xs = np.array([inner.x0, inner.x0 + 0.3, inner.x1 - 0.3, inner.x1])
        zs = np.array([inner.z0, inner.z0 + 0.3, inner.z1 - 0.3, inner.z1])
        grid_x, grid_z = np.meshgrid(xs, zs)
        x, z = grid_x.ravel(), grid_z.ravel()
        gap = np.minimum(np.minimum(x - inner.x0, inner.x1 - x), np.minimum(z - inner.z0, inner.z1 - z))
        light = 0.9 - 0.14 * np.exp(-gap / 0.15)
        points = np.stack([x, np.full_like(x, HEIGHT_M), z], axis=1)
        self._grid(points, (4, 4), (0, -1, 0), np.stack([x, z], 1), light[:, None] * np.array(_CEILING))

    def cap(self, room: Room) -> None:
        """The walls' upper ends, which only a view from above shows."""
        r, i = room.rect, room.inner
        for rect in (
            Rect(r.x0, r.z0, r.x1, i.z0),
            Rect(r.x0, i.z1, r.x1, r.z1),
            Rect(r.x0, i.z0, i.x0, i.z1),
            Rect(i.x1, i.z0, r.x1, i.z1),
        ):
            self.flat(rect, HEIGHT_M, up=True, colour=_CAP)

    def flat(self, rect: Rect, y: float, up: bool, colour: Sequence[float]) -> None:
        """A horizontal face."""
        points = np.array([[rect.x0, y, rect.z1], [rect.x1, y, rect.z1], [rect.x0, y, rect.z0], [rect.x1, y, rect.z0]])
        if not up:
            points = points[[2, 3, 0, 1]]
        self._grid(points, (2, 2), (0, 1 if up else -1, 0), points[:, [0, 2]], np.tile(colour, (4, 1)))

    def board(self, low: Sequence[float], high: Sequence[float], colour: Sequence[float] = _TRIM) -> None:
        """A piece of trim: a box without its underside."""
        sculptor = Sculptor()
        sculptor.box(low, high)
        mesh = sculptor.finish()
        uvs = np.zeros((len(mesh.positions), 2))
        self._meshes.append(Mesh(mesh.positions, mesh.normals, uvs, mesh.colours * np.asarray(colour), mesh.triangles))

    def reveal(self, opening: Opening) -> None:
        """The three inner faces of a gap in a wall."""
        rect = opening.rect(WALL_M / 2.0)
        self.flat(rect, opening.height, up=False, colour=0.8 * np.array(_TRIM))
        corners = {
            "x": (
                ((rect.x0, rect.z1), (rect.x0, rect.z0), (1, 0, 0)),
                ((rect.x1, rect.z0), (rect.x1, rect.z1), (-1, 0, 0)),
            ),
            "z": (
                ((rect.x0, rect.z0), (rect.x1, rect.z0), (0, 0, 1)),
                ((rect.x1, rect.z1), (rect.x0, rect.z1), (0, 0, -1)),
            ),
        }[opening.along]
        for (xa, za), (xb, zb), normal in corners:
            points = np.array([[xa, 0, za], [xb, 0, zb], [xa, opening.height, za], [xb, opening.height, zb]])
            self._grid(points, (2, 2), normal, np.zeros((4, 2)), np.tile(0.86 * np.array(_TRIM), (4, 1)))

    def frame(self, opening: Opening, side: float) -> None:
        """Trim round a gap on one side of its wall (-1: the side of smaller coordinates)."""
        face = opening.at + side * WALL_M / 2.0
        near, far = sorted((face, face + side * 0.015))
        top = opening.height
        for start, end, low, high in (
            (opening.start - 0.06, opening.start, 0.0, top),
            (opening.end, opening.end + 0.06, 0.0, top),
            (opening.start - 0.06, opening.end + 0.06, top, top + 0.06),
        ):
            if opening.along == "x":
                self.board((start, low, near), (end, high, far))
            else:
                self.board((near, low, start), (far, high, end))

    def _grid(
        self,
        points: np.ndarray,
        shape: tuple[int, int],
        normal: Sequence[float],
        metres: np.ndarray,
        colours: np.ndarray,
    ) -> None:
        """Quads between rows of points; `normal` says which side they face, `metres` where the texture lies."""
        rows, columns = shape
        index = np.arange(rows * columns).reshape(rows, columns)
        a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, 1:].ravel(), index[1:, :-1].ravel()
        triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
        first = np.cross(
            points[triangles[0, 1]] - points[triangles[0, 0]], points[triangles[0, 2]] - points[triangles[0, 0]]
        )
        if float(first @ np.asarray(normal, dtype=float)) < 0.0:
            triangles = triangles[:, ::-1]
        normals = np.tile(np.asarray(normal, dtype=float), (len(points), 1))
        self._meshes.append(Mesh(points, normals, metres / self._repeat_m, np.clip(colours, 0.0, 1.0), triangles))


# -- parts ---------------------------------------------------------------------------------------------------------------


def _gaps(plan: Plan, index: int, side: str) -> list[Opening]:
    """Openings in one wall of a room, in order along it."""
    rect = plan.rooms[index].rect
    along = "x" if side in ("north", "south") else "z"
    at = {"north": rect.z0, "south": rect.z1, "west": rect.x0, "east": rect.x1}[side]
    mine = [o for o in plan.openings if index in o.rooms and o.along == along and abs(o.at - at) < 1e-6]
    return sorted(mine, key=lambda o: o.start)


def _solid(plan: Plan, index: int, side: str) -> list[tuple[float, float]]:
    """The lengths of a room's wall between its gaps."""
    inner = plan.rooms[index].inner
    position, end = (inner.x0, inner.x1) if side in ("north", "south") else (inner.z0, inner.z1)
    parts = []
    for gap in _gaps(plan, index, side):
        parts.append((position, gap.start))
        position = gap.end
    parts.append((position, end))
    return [(a, b) for a, b in parts if b - a > 1e-6]


def _room_walls(plan: Plan, index: int, walls: _Walls, tint: np.ndarray) -> None:
    inner = plan.rooms[index].inner
    for side in ("north", "south", "west", "east"):
        for start, end in _solid(plan, index, side):
            walls.wall(inner, side, start, end, 0.0, HEIGHT_M, tint)
        for gap in _gaps(plan, index, side):
            walls.wall(inner, side, gap.start, gap.end, gap.height, HEIGHT_M, tint)


def _skirting(plan: Plan, index: int, walls: _Walls) -> None:
    inner = plan.rooms[index].inner
    for side in ("north", "south", "west", "east"):
        for start, end in _solid(plan, index, side):
            near, far = {
                "north": (inner.z0, inner.z0 + 0.012),
                "south": (inner.z1 - 0.012, inner.z1),
                "west": (inner.x0, inner.x0 + 0.012),
                "east": (inner.x1 - 0.012, inner.x1),
            }[side]
            if side in ("north", "south"):
                walls.board((start, 0.0, near), (end, 0.07, far))
            else:
                walls.board((near, 0.0, start), (far, 0.07, end))


def _on_wall(
    sculptor: Sculptor, inner: Rect, side: str, box: tuple[float, float, float, float], out: float, swatch: int
) -> None:
    """A panel `out` metres before a wall; `box` is (start, end, low, high)."""
    start, end, low, high = box
    if side == "north":
        z = inner.z0 + out
        sculptor.panel((start, low, z), (end, low, z), (end, high, z), (start, high, z), swatch)
    elif side == "south":
        z = inner.z1 - out
        sculptor.panel((end, low, z), (start, low, z), (start, high, z), (end, high, z), swatch)
    elif side == "west":
        x = inner.x0 + out
        sculptor.panel((x, low, end), (x, low, start), (x, high, start), (x, high, end), swatch)
    else:
        x = inner.x1 - out
        sculptor.panel((x, low, start), (x, low, end), (x, high, end), (x, high, start), swatch)


def _framed(
    walls: _Walls, inner: Rect, side: str, box: tuple[float, float, float, float], wide: float, out: float
) -> None:
    start, end, low, high = box
    bars = [
        (start - wide, start, low, high),
        (end, end + wide, low, high),
        (start - wide, end + wide, high, high + wide),
    ]
    if low > 0.2:
        bars.append((start - wide, end + wide, low - wide, low))
        bars.append(((start + end) / 2 - 0.02, (start + end) / 2 + 0.02, low, high))
    for a, b, y0, y1 in bars:
        near, far = {
            "north": (inner.z0, inner.z0 + out),
            "south": (inner.z1 - out, inner.z1),
            "west": (inner.x0, inner.x0 + out),
            "east": (inner.x1 - out, inner.x1),
        }[side]
        if side in ("north", "south"):
            walls.board((a, y0, near), (b, y1, far))
        else:
            walls.board((near, y0, a), (far, y1, b))


def _windows(plan: Plan, walls: _Walls, fittings: Sculptor) -> None:
    for window in plan.windows:
        inner = plan.rooms[window.room].inner
        box = (window.start, window.end, window.sill, window.top)
        _on_wall(fittings, inner, window.side, box, 0.006, 0)
        _framed(walls, inner, window.side, box, 0.05, 0.025)


def _front_door(plan: Plan, walls: _Walls, fittings: Sculptor) -> None:
    door = plan.front_door
    room = plan.rooms[door.rooms[0]]
    if door.along == "x":
        side = "north" if abs(door.at - room.rect.z0) < 1e-6 else "south"
    else:
        side = "west" if abs(door.at - room.rect.x0) < 1e-6 else "east"
    box = (door.start + 0.06, door.end - 0.06, 0.0, door.height)
    _on_wall(fittings, room.inner, side, box, 0.02, 1)
    _framed(walls, room.inner, side, box, 0.06, 0.03)
    _on_wall(fittings, room.inner, side, (door.end - 0.2, door.end - 0.14, 0.98, 1.04), 0.03, 2)


def _foundation(plan: Plan, walls: _Walls) -> None:
    """A face below the floor, seen by nobody.

    Recast rounds heights up to its cells, counted from the lowest point of the scene: so the floor comes out at its own height
    rather than one cell above it.
    """
    walls.flat(plan.bounds, -_FOUNDATION_M, up=False, colour=_CAP)


def _floor_mesh(plan: Plan, rect: Rect) -> Mesh:
    bounds = plan.bounds
    points = np.array([[rect.x0, 0, rect.z1], [rect.x1, 0, rect.z1], [rect.x1, 0, rect.z0], [rect.x0, 0, rect.z0]])
    uvs = np.stack([(points[:, 0] - bounds.x0) / bounds.width, (points[:, 2] - bounds.z0) / bounds.depth], axis=1)
    return Mesh(points, np.tile([0.0, 1.0, 0.0], (4, 1)), uvs, np.ones((4, 3)), np.array([[0, 1, 2], [0, 2, 3]]))


# -- pictures ------------------------------------------------------------------------------------------------------------


def _floor_picture(plan: Plan, placements: Sequence[Placement], rng: np.random.Generator) -> np.ndarray:
    """All floors of the house seen from above, with the shade of walls and furniture in them."""
    bounds = plan.bounds
    scale = min(_FLOOR_PIXELS / max(bounds.width, bounds.depth), _MAX_PIXELS_PER_M)
    shape = (int(bounds.depth * scale), int(bounds.width * scale))

    def window(rect: Rect) -> tuple[slice, slice]:
        rows = slice(max(0, round((rect.z0 - bounds.z0) * scale)), max(0, round((rect.z1 - bounds.z0) * scale)))
        return rows, slice(max(0, round((rect.x0 - bounds.x0) * scale)), max(0, round((rect.x1 - bounds.x0) * scale)))

    picture = np.full((*shape, 3), 0.3)
    light = np.ones(shape)
    wood = np.array(_WOODS[int(rng.integers(len(_WOODS)))])
    tile_colour = np.array(_TILE_COLOURS[int(rng.integers(len(_TILE_COLOURS)))])
    for room in plan.rooms:
        options = _FLOORS.get(room.kind, ("planks",))
        kind = options[int(rng.integers(len(options)))]
        area = window(room.rect)
        size = picture[area].shape[:2]
        if kind == "planks":
            picture[area] = _planks(rng, size, scale, wood)
        elif kind == "tiles":
            picture[area] = _floor_tiles(rng, size, scale, tile_colour)
        else:
            carpet = np.array(_CARPETS[int(rng.integers(len(_CARPETS)))])
            picture[area] = carpet * (1.0 + 0.07 * textures.noise(rng, size, 1.0).clip(-2, 2))[..., None]
        inner = window(room.inner)
        light[inner] *= _shade_of_walls(light[inner].shape, scale)
    shadow = np.zeros(shape)
    for placement in placements:
        if placement.mount == "floor" and placement.asset.dimensions[1] > 0.05:
            shadow[window(placement.footprint)] = 1.0
    for opening in plan.openings:
        area = window(opening.rect(WALL_M / 2.0))
        picture[area] = wood * 0.75
        light[area] = 0.88
    soft = 0.65 * ndimage.gaussian_filter(shadow, 0.07 * scale) + 0.35 * ndimage.gaussian_filter(shadow, 0.2 * scale)
    light *= 1.0 - 0.5 * np.clip(soft, 0.0, 1.0)
    return np.round(np.clip(picture * light[..., None], 0.0, 1.0) * 255.0).astype(np.uint8)


def _shade_of_walls(shape: tuple[int, ...], scale: float) -> np.ndarray:
    row = (np.minimum(np.arange(shape[0]), np.arange(shape[0])[::-1]) + 0.5) / scale
    column = (np.minimum(np.arange(shape[1]), np.arange(shape[1])[::-1]) + 0.5) / scale
    return (1.0 - 0.18 * np.exp(-row / 0.2))[:, None] * (1.0 - 0.18 * np.exp(-column / 0.2))[None, :]


def _planks(rng: np.random.Generator, size: tuple[int, ...], scale: float, colour: np.ndarray) -> np.ndarray:
    """Boards along the longer side of the room."""
    rows, columns = size[0], size[1]
    turned = rows > columns
    if turned:
        rows, columns = columns, rows
    wide, long = max(4, round(0.14 * scale)), max(8, round(1.1 * scale))
    row, column = np.indices((rows, columns))
    board = row // wide
    shift = rng.integers(0, long, size=rows // wide + 1)
    piece = (column + shift[board]) // long
    tone = rng.uniform(0.84, 1.1, size=(rows // wide + 1, columns // long + 3))[board, piece]
    grain = 1.0 + 0.05 * textures.noise(rng, (rows, columns), (0.7, 7.0)).clip(-2, 2)
    joint = (row % wide == 0) | ((column + shift[board]) % long == 0)
    image = colour * (tone * grain * np.where(joint, 0.72, 1.0))[..., None]
    return image.transpose(1, 0, 2) if turned else image


def _floor_tiles(rng: np.random.Generator, size: tuple[int, ...], scale: float, colour: np.ndarray) -> np.ndarray:
    side = max(6, round(0.33 * scale))
    row, column = np.indices((size[0], size[1]))
    tone = rng.uniform(0.95, 1.05, size=(size[0] // side + 1, size[1] // side + 1))[row // side, column // side]
    if rng.uniform() < 0.4:  # a chequered floor
        tone = tone * np.where((row // side + column // side) % 2 == 0, 1.0, 0.72)
    joint = (row % side == 0) | (column % side == 0)
    return colour * (tone * np.where(joint, 0.78, 1.0))[..., None]


def _sky(rng: np.random.Generator) -> np.ndarray:
    """What a window shows: sky above, a blurred green below."""
    n = textures.SWATCH_PIXELS
    height = np.linspace(0.0, 1.0, n)[:, None, None]
    sky = np.array([0.62, 0.80, 0.98]) * (1.0 - height) + np.array([0.93, 0.97, 1.0]) * height
    cloud = np.clip(textures.noise(rng, (n, n), (3.0, 8.0)), 0.0, 1.0)[..., None] * 0.12
    image = sky + cloud
    ground = int(n * 0.72)
    image[ground:] = np.array([0.55, 0.68, 0.48]) * (1.0 + 0.12 * textures.noise(rng, (n, n), 3.0)[ground:, :, None])
    return np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)


def _grey(image: np.ndarray) -> np.ndarray:
    return np.repeat(image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
