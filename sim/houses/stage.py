"""The house's shell as one file: floors with baked shadows, walls, ceilings, door frames, windows, the front door.

Two materials, so two draw calls, and few triangles: a software renderer pays for both. Light, skirting boards,
wallpaper and window frames are therefore painted, not modelled. Ceilings face down only: seen from above they are
culled, and no roof exists that could be walked on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from sim.houses import glb, textures
from sim.houses.furnish import Placement
from sim.houses.plan import WALL_M, Opening, Plan, Rect, Room
from sim.houses.shapes import Mesh, merge

HEIGHT_M = 2.5
_FLOOR_PIXELS = 1024
_MAX_PIXELS_PER_M = 96.0
_FOUNDATION_M = 0.035
_SIDES = ("north", "south", "west", "east")
_NORMALS = {"north": (0, 0, 1), "south": (0, 0, -1), "west": (1, 0, 0), "east": (-1, 0, 0)}

_CELL_PIXELS = 128
_CELLS = 4
"""The shell's atlas has so many cells a side: one a room (at most nine), then these."""
_CEILING, _TRIM, _SKY, _DOOR, _DARK = 9, 10, 11, 12, 13
_INSET_PIXELS = 2.0

_WALL_TINTS = (
    (0.93, 0.91, 0.86),
    (0.90, 0.90, 0.91),
    (0.82, 0.88, 0.89),
    (0.87, 0.91, 0.82),
    (0.95, 0.88, 0.77),
    (0.91, 0.81, 0.78),
    (0.74, 0.81, 0.89),
    (0.85, 0.80, 0.90),
    (0.72, 0.80, 0.72),
    (0.89, 0.77, 0.62),
)
_WHITE = np.array([0.95, 0.95, 0.94])
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
    shell = _Shell()
    for index in range(len(plan.rooms)):
        _room(plan, index, shell)
    for opening in plan.openings:
        _doorway(opening, shell)
    for window in plan.windows:
        inner = plan.rooms[window.room].inner
        shell.wall(inner, window.side, (window.start, window.end, window.sill, window.top), _SKY, out=0.012)
    _front_door(plan, shell)
    # Recast rounds heights up to its cells, counted from the lowest point of the scene: a face a little below the
    # floor, seen by nobody, makes the navmesh lie at the floor's own height rather than one cell above it.
    shell.flat(plan.bounds, -_FOUNDATION_M, up=False, cell=_DARK)
    thresholds = [_floor_mesh(plan, opening.rect(WALL_M / 2)) for opening in plan.openings]
    floor = merge([_floor_mesh(plan, room.inner) for room in plan.rooms] + thresholds)
    floor_picture = textures.encode_jpeg(_floor_picture(plan, placements, rng))
    shell_picture = textures.encode_png(_shell_picture(plan, rng))
    parts = [
        (floor, glb.Material("floor", floor_picture, roughness=0.6, smooth=True)),
        (shell.finish(), glb.Material("shell", shell_picture, roughness=0.9)),
    ]
    return glb.encode(parts, name)


class _Shell:
    """Flat faces, painted with cells of the atlas that `_shell_picture` draws."""

    def __init__(self) -> None:
        self._meshes: list[Mesh] = []

    def finish(self) -> Mesh:
        return merge(self._meshes)

    def wall(
        self,
        room: Rect,
        side: str,
        box: tuple[float, float, float, float],
        cell: int,
        out: float = 0.0,
        whole: bool = True,
    ) -> None:
        """A face `out` metres before a room's wall. `box` is (start, end, low, high): along the wall, and up.

        It shows the whole cell or, if not `whole`, the part of it that `box` is of the wall from corner to corner.
        """
        start, end, low, high = box
        first, last = (room.x0, room.x1) if side in ("north", "south") else (room.z0, room.z1)
        across = {"north": room.z0 + out, "south": room.z1 - out, "west": room.x0 + out, "east": room.x1 - out}[side]
        span, rise = ((start, end), (low, high)) if whole else ((first, last), (0.0, HEIGHT_M))
        corners, uvs = [], []
        for along, y in ((start, low), (end, low), (end, high), (start, high)):
            corners.append((along, y, across) if side in ("north", "south") else (across, y, along))
            u, v = (along - span[0]) / (span[1] - span[0]), (y - rise[0]) / (rise[1] - rise[0])
            # South and west walls run to the left as seen from inside.
            uvs.append((u if side in ("north", "east") else 1.0 - u, 1.0 - v))
        light = 1.0 if whole else {"north": 1.0, "south": 0.93, "west": 0.97, "east": 0.95}[side]
        self._face(corners, uvs, _NORMALS[side], cell, light)

    def flat(self, rect: Rect, y: float, up: bool, cell: int, light: float = 1.0) -> None:
        """A horizontal face."""
        corners = [(rect.x0, y, rect.z1), (rect.x1, y, rect.z1), (rect.x1, y, rect.z0), (rect.x0, y, rect.z0)]
        self._face(corners, [(0, 1), (1, 1), (1, 0), (0, 0)], (0, 1 if up else -1, 0), cell, light)

    def upright(
        self, a: Sequence[float], b: Sequence[float], low: float, high: float, normal: Sequence[float], light: float
    ) -> None:
        """A vertical face of trim between two points (x, z) of the floor."""
        corners = [(a[0], low, a[1]), (b[0], low, b[1]), (b[0], high, b[1]), (a[0], high, a[1])]
        self._face(corners, [(0, 1), (1, 1), (1, 0), (0, 0)], normal, _TRIM, light)

    def _face(
        self,
        corners: Sequence[Sequence[float]],
        uvs: Sequence[Sequence[float]],
        normal: Sequence[float],
        cell: int,
        light: float,
    ) -> None:
        points = np.array(corners, dtype=float)
        triangles = np.array([[0, 1, 2], [0, 2, 3]])
        if float(np.cross(points[1] - points[0], points[2] - points[0]) @ np.asarray(normal, dtype=float)) < 0.0:
            triangles = triangles[:, ::-1]
        row, column = divmod(cell, _CELLS)
        inset = _INSET_PIXELS / _CELL_PIXELS
        inside = (np.array([column, row]) + inset + np.array(uvs, dtype=float) * (1.0 - 2.0 * inset)) / _CELLS
        normals = np.tile(np.asarray(normal, dtype=float), (4, 1))
        self._meshes.append(Mesh(points, normals, inside, np.full((4, 3), light), triangles))


# -- parts -----------------------------------------------------------------------------------------------------------


def _room(plan: Plan, index: int, shell: _Shell) -> None:
    """Walls, ceiling, and the walls' upper ends, which only a view from above shows."""
    room = plan.rooms[index]
    inner, rect = room.inner, room.rect
    for side in _SIDES:
        position, last = (inner.x0, inner.x1) if side in ("north", "south") else (inner.z0, inner.z1)
        for gap in _gaps(plan, index, side):
            shell.wall(inner, side, (position, gap.start, 0.0, HEIGHT_M), index, whole=False)
            shell.wall(inner, side, (gap.start, gap.end, gap.height, HEIGHT_M), index, whole=False)
            position = gap.end
        shell.wall(inner, side, (position, last, 0.0, HEIGHT_M), index, whole=False)
    shell.flat(inner, HEIGHT_M, up=False, cell=_CEILING)
    for strip in (
        Rect(rect.x0, rect.z0, rect.x1, inner.z0),
        Rect(rect.x0, inner.z1, rect.x1, rect.z1),
        Rect(rect.x0, inner.z0, inner.x0, inner.z1),
        Rect(inner.x1, inner.z0, rect.x1, inner.z1),
    ):
        shell.flat(strip, HEIGHT_M, up=True, cell=_DARK)


def _gaps(plan: Plan, index: int, side: str) -> list[Opening]:
    """Openings in one wall of a room, in order along it."""
    rect = plan.rooms[index].rect
    along = "x" if side in ("north", "south") else "z"
    at = {"north": rect.z0, "south": rect.z1, "west": rect.x0, "east": rect.x1}[side]
    mine = [o for o in plan.openings if index in o.rooms and o.along == along and abs(o.at - at) < 1e-6]
    return sorted(mine, key=lambda o: o.start)


def _doorway(opening: Opening, shell: _Shell) -> None:
    """The inner faces of a gap in a wall, and the trim round it on both sides."""
    rect, top = opening.rect(WALL_M / 2.0), opening.height
    shell.flat(rect, top, up=False, cell=_TRIM, light=0.75)
    west, east, north, south = (1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1)
    if opening.along == "x":
        shell.upright((rect.x0, rect.z0), (rect.x0, rect.z1), 0.0, top, west, 0.86)
        shell.upright((rect.x1, rect.z0), (rect.x1, rect.z1), 0.0, top, east, 0.84)
    else:
        shell.upright((rect.x0, rect.z0), (rect.x1, rect.z0), 0.0, top, north, 0.88)
        shell.upright((rect.x0, rect.z1), (rect.x1, rect.z1), 0.0, top, south, 0.82)
    for side in (-1.0, 1.0):
        face = opening.at + side * (WALL_M / 2.0 + 0.012)
        for start, end, low, high in (
            (opening.start - 0.07, opening.start, 0.0, top),
            (opening.end, opening.end + 0.07, 0.0, top),
            (opening.start - 0.07, opening.end + 0.07, top, top + 0.07),
        ):
            if opening.along == "x":
                shell.upright((start, face), (end, face), low, high, (0, 0, side), 0.98)
            else:
                shell.upright((face, start), (face, end), low, high, (side, 0, 0), 0.96)


def _front_door(plan: Plan, shell: _Shell) -> None:
    door = plan.front_door
    room = plan.rooms[door.rooms[0]]
    if door.along == "x":
        side = "north" if abs(door.at - room.rect.z0) < 1e-6 else "south"
    else:
        side = "west" if abs(door.at - room.rect.x0) < 1e-6 else "east"
    shell.wall(room.inner, side, (door.start, door.end, 0.0, door.height), _DOOR, out=0.015)


def _floor_mesh(plan: Plan, rect: Rect) -> Mesh:
    bounds = plan.bounds
    points = np.array([[rect.x0, 0, rect.z1], [rect.x1, 0, rect.z1], [rect.x1, 0, rect.z0], [rect.x0, 0, rect.z0]])
    uvs = np.stack([(points[:, 0] - bounds.x0) / bounds.width, (points[:, 2] - bounds.z0) / bounds.depth], axis=1)
    return Mesh(points, np.tile([0.0, 1.0, 0.0], (4, 1)), uvs, np.ones((4, 3)), np.array([[0, 1, 2], [0, 2, 3]]))


# -- pictures --------------------------------------------------------------------------------------------------------


def _shell_picture(plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """The atlas of everything but the floor, [pixels, pixels, 3] uint8."""
    n = _CELL_PIXELS
    sheet = np.zeros((_CELLS * n, _CELLS * n, 3))
    cells = {index: _wall_picture(room, rng) for index, room in enumerate(plan.rooms)}
    cells[_CEILING] = _ceiling_picture()
    cells[_TRIM] = np.tile(_WHITE, (n, n, 1))
    cells[_SKY] = _window_picture(rng)
    cells[_DOOR] = _door_picture(rng)
    cells[_DARK] = np.full((n, n, 3), 0.25)
    for cell, picture in cells.items():
        row, column = divmod(cell, _CELLS)
        sheet[row * n : (row + 1) * n, column * n : (column + 1) * n] = picture
    return np.round(np.clip(sheet, 0.0, 1.0) * 255.0).astype(np.uint8)


def _wall_picture(room: Room, rng: np.random.Generator) -> np.ndarray:
    """A wall from corner to corner, floor to ceiling: paint, paper or tiles, skirting board, and the light on it."""
    n = _CELL_PIXELS
    row, column = np.indices((n, n))
    up, along = HEIGHT_M * (1.0 - (row + 0.5) / n), (column + 0.5) / n
    length = (room.inner.width + room.inner.depth) / 2.0
    tint = np.array(_WALL_TINTS[int(rng.integers(len(_WALL_TINTS)))])
    kind = "tiles" if room.kind in _TILED else str(rng.choice(["paint", "paint", "stripes", "panels"]))
    picture = tint * (1.0 + 0.008 * textures.noise(rng, (n, n), 2.5).clip(-2, 2))[..., None]
    if kind == "stripes":
        count = max(6, round(length / 0.25))
        picture = picture * np.where(np.floor(along * 2 * count) % 2 == 0, 1.0, 0.94)[..., None]
    elif kind == "panels":  # a darker lower half with a rail
        picture = np.where((up < 0.95)[..., None], tint * np.array(rng.uniform(0.72, 0.9, size=3)), picture)
        picture[(up > 0.95) & (up < 1.01)] = _WHITE
    elif kind == "tiles":
        count = max(6, round(length / 0.3))
        joint = ((along * count) % 1.0 < count * 1.2 / n) | ((up / 0.3) % 1.0 < 0.085)
        tiled = up < (HEIGHT_M if rng.uniform() < 0.5 else 1.5)
        accent = np.array(_WALL_TINTS[int(rng.integers(len(_WALL_TINTS)))])
        band = tiled & (np.abs(up - 1.35) < 0.15)
        picture[band] = accent * 0.7
        picture = np.where((joint & tiled)[..., None], picture * 0.82, picture)
    if kind != "tiles":
        picture[up < 0.075] = _WHITE
        picture[(up >= 0.075) & (up < 0.1)] *= 0.8
    to_corner = np.minimum(along, 1.0 - along) * length
    light = 1.0 - 0.2 * np.exp(-to_corner / 0.35) - 0.14 * np.exp(-up / 0.3) - 0.1 * np.exp(-(HEIGHT_M - up) / 0.3)
    return picture * light[..., None]


def _ceiling_picture() -> np.ndarray:
    """White, darker at the edges, with a lamp in the middle."""
    n = _CELL_PIXELS
    row, column = (np.indices((n, n)) + 0.5) / n
    gap = np.minimum(np.minimum(row, 1.0 - row), np.minimum(column, 1.0 - column))
    from_middle = np.hypot(row - 0.5, column - 0.5)
    light = 0.88 - 0.16 * np.exp(-gap / 0.06) + 0.08 * np.exp(-((from_middle / 0.16) ** 2))
    light[from_middle < 0.042] = 0.7
    light[from_middle < 0.036] = 1.05
    return light[..., None] * _WHITE


def _window_picture(rng: np.random.Generator) -> np.ndarray:
    """A white frame with two panes: sky above, hills and trees below."""
    n = _CELL_PIXELS
    height = np.linspace(0.0, 1.0, n)[:, None, None]
    picture = np.array([0.55, 0.76, 0.97]) * (1.0 - height) + np.array([0.95, 0.98, 1.0]) * height + np.zeros((n, n, 3))
    picture += np.clip(textures.noise(rng, (n, n), (4.0, 12.0)), 0.0, 2.0)[..., None] * 0.1
    row = np.indices((n, n))[0] / n
    for base, tone in ((0.62, (0.62, 0.74, 0.62)), (0.74, (0.42, 0.58, 0.36))):
        skyline = base + 0.04 * textures.noise(rng, (1, n), 9.0)[0]
        below = row > skyline[None, :]
        picture[below] = (np.array(tone) * (1.0 + 0.1 * textures.noise(rng, (n, n), 2.0))[..., None])[below]
    frame = 5
    for part in (np.s_[:frame], np.s_[-frame:], np.s_[:, :frame], np.s_[:, -frame:], np.s_[:, n // 2 - 2 : n // 2 + 2]):
        picture[part] = _WHITE
    picture[-frame - 1] *= 0.8
    picture[frame] *= 0.8
    return picture


def _door_picture(rng: np.random.Generator) -> np.ndarray:
    """A wooden door with four panels, a handle and a white frame."""
    n = _CELL_PIXELS
    wood = np.array(_WOODS[int(rng.integers(len(_WOODS)))]) if rng.uniform() < 0.6 else np.array([0.35, 0.42, 0.40])
    grain = 1.0 + 0.06 * textures.noise(rng, (n, n), (9.0, 0.8)).clip(-2, 2)
    picture = wood * grain[..., None]
    for top, bottom in ((12, 62), (72, 118)):
        for left, right in ((20, 58), (70, 108)):
            picture[top:bottom, left:right] *= 0.85
            picture[top + 3 : bottom - 3, left + 3 : right - 3] *= 1.12
    picture[64:68, 102:112] = 0.75
    picture[:6] = picture[:, :8] = picture[:, -8:] = _WHITE * 0.97
    picture[6:7, 8:-8] *= 0.6
    return picture


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
