"""Low-polygon solids with baked shading: the raw material of furniture and walls.

Frame: metres, Y up, right-handed; a piece of furniture has its back at -Z and looks towards +Z. Faces wind
counter-clockwise seen from outside. Light is baked into vertex colours: a lit shader costs a software renderer more
than everything else.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

#: Directions a face may look, and how bright it is: light from above, a little more from +X and +Z than from -X and -Z.
_SKY = np.array([0.0, 1.0, 0.0])
_SIDE = np.array([0.45, 0.0, 0.9])


Point = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Mesh:
    """Triangles as a renderer takes them.

    positions [n, 3] m, normals [n, 3], uvs [n, 2], colours [n, 3] in 0..1 (times the texture), triangles [m, 3].
    """

    positions: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    colours: np.ndarray
    triangles: np.ndarray

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner of the axis-aligned box around it (m)."""
        return self.positions.min(axis=0), self.positions.max(axis=0)

    def moved(self, offset: Point) -> Mesh:
        return Mesh(self.positions + np.asarray(offset), self.normals, self.uvs, self.colours, self.triangles)

    def stretched(self, factors: Point) -> Mesh:
        """Scaled along X, Y, Z by positive factors; normals follow."""
        scale = np.asarray(factors, dtype=float)
        return Mesh(self.positions * scale, _unit(self.normals / scale), self.uvs, self.colours, self.triangles)


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh out of several."""
    offsets = np.cumsum([0] + [len(mesh.positions) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.positions for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.uvs for mesh in meshes]),
        np.concatenate([mesh.colours for mesh in meshes]),
        np.concatenate([mesh.triangles + offset for mesh, offset in zip(meshes, offsets, strict=True)]),
    )


def shade(normals: np.ndarray) -> np.ndarray:
    """Brightness in 0..1 of surfaces with these normals ([n, 3]), [n]."""
    up = normals @ _SKY
    return 0.78 + 0.2 * np.clip(up, 0.0, 1.0) - 0.22 * np.clip(-up, 0.0, 1.0) + 0.07 * (normals @ _SIDE)


@dataclass
class Sculptor:
    """Collects solids; `swatch` says which cell of the object's texture atlas (see textures) paints a solid."""

    metres_per_swatch: float = 0.5
    _meshes: list[Mesh] = field(default_factory=list)

    def finish(self) -> Mesh:
        """Everything as one mesh."""
        return merge(self._meshes)

    # -- solids --------------------------------------------------------------------------------------------------

    def box(self, low: Point, high: Point, swatch: int = 0, bottom: bool = False, top: bool = True) -> None:
        """An axis-aligned box between two corners; its underside is left out unless `bottom`, its top unless `top`."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        self.quad((x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1), swatch)  # front, +Z
        self.quad((x1, y0, z0), (x0, y0, z0), (x0, y1, z0), (x1, y1, z0), swatch)  # back
        self.quad((x1, y0, z1), (x1, y0, z0), (x1, y1, z0), (x1, y1, z1), swatch)  # right, +X
        self.quad((x0, y0, z0), (x0, y0, z1), (x0, y1, z1), (x0, y1, z0), swatch)  # left
        if top:
            self.quad((x0, y1, z1), (x1, y1, z1), (x1, y1, z0), (x0, y1, z0), swatch)
        if bottom:
            self.quad((x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1), swatch)

    def relief(self, low: Point, high: Point, swatch: int = 0) -> None:
        """Something flat on the front of something else (a drawer, a handle): only its front and top are made."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        self.quad((x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1), swatch)
        self.quad((x0, y1, z1), (x1, y1, z1), (x1, y1, z0), (x0, y1, z0), swatch)

    def cushion(self, low: Point, high: Point, swatch: int = 0, round_m: float = 0.04) -> None:
        """A box with its upper edges chamfered: upholstery, pillows, appliances."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        r = min(round_m, 0.45 * (x1 - x0), 0.45 * (z1 - z0), 0.9 * (y1 - y0))
        rings = [
            [(x0, y0, z1), (x1, y0, z1), (x1, y0, z0), (x0, y0, z0)],
            [(x0, y1 - r, z1), (x1, y1 - r, z1), (x1, y1 - r, z0), (x0, y1 - r, z0)],
            [(x0 + r, y1, z1 - r), (x1 - r, y1, z1 - r), (x1 - r, y1, z0 + r), (x0 + r, y1, z0 + r)],
        ]
        for lower, upper in itertools.pairwise(rings):
            for i in range(4):
                j = (i + 1) % 4
                self.quad(lower[i], lower[j], upper[j], upper[i], swatch)
        self.quad(rings[2][0], rings[2][1], rings[2][2], rings[2][3], swatch)

    def lathe(
        self,
        profile: Sequence[tuple[float, float]],
        swatch: int = 0,
        centre: Point = (0.0, 0.0, 0.0),
        sides: int = 8,
        stretch_z: float = 1.0,
        turn: float = 0.0,
        ends: bool = True,
    ) -> None:
        """Turns (radius, height) points, listed from below, about the vertical through `centre`: cups, lamps, vases.

        The top is closed where its radius is not zero (unless not `ends`); the bottom is left open. `stretch_z` makes
        the section an ellipse, `turn` (rad) rotates it.
        """
        angles = turn + 2.0 * np.pi * np.arange(sides) / sides
        circle = np.stack([np.sin(angles), np.zeros(sides), np.cos(angles) * stretch_z], axis=1)
        rings = [np.asarray(centre) + circle * radius + [0.0, height, 0.0] for radius, height in profile]
        around = np.arange(sides)
        after = (around + 1) % sides
        for (r0, y0), (r1, y1), lower, upper in zip(profile[:-1], profile[1:], rings[:-1], rings[1:], strict=True):
            slope = np.array([y1 - y0, r0 - r1])
            slope = slope / (np.hypot(*slope) or 1.0)
            normals = _unit(
                np.stack(
                    [np.sin(angles) * slope[0], np.full(sides, slope[1]), np.cos(angles) * slope[0] / stretch_z], 1
                )
            )
            u = np.abs(2.0 * around / sides - 1.0)
            uvs = np.concatenate([np.stack([u, np.zeros(sides)], 1), np.stack([u, np.ones(sides)], 1)])
            halves = [np.stack([around, after, after + sides], 1), np.stack([around, after + sides, around + sides], 1)]
            quads = np.concatenate([half for half, r in zip(halves, (r0, r1), strict=True) if r > 0.0])
            self._add(np.concatenate([lower, upper]), np.concatenate([normals, normals]), uvs, quads, swatch)
        if ends and profile[-1][0] > 0.0:
            self._cap(rings[-1], swatch=swatch)

    def cylinder(
        self, centre: Point, radius: float, height: float, swatch: int = 0, sides: int = 8, top: float | None = None
    ) -> None:
        """Upright, standing on `centre`; `top` is the upper radius if another."""
        self.lathe([(radius, 0.0), (radius if top is None else top, height)], swatch, centre, sides)

    def ball(self, centre: Point, radii: Point, swatch: int = 0, sides: int = 7, rings: int = 4) -> None:
        """An ellipsoid."""
        angles = np.pi * np.arange(rings + 1) / rings
        profile = [(float(np.sin(a)), float(-np.cos(a))) for a in angles]
        profile[0], profile[-1] = (0.0, -1.0), (0.0, 1.0)
        part = Sculptor(self.metres_per_swatch)
        part.lathe(profile, swatch, sides=sides)
        self._meshes.append(part.finish().stretched(radii).moved(centre))

    def rod(self, start: Point, end: Point, radius: float, swatch: int = 0, sides: int = 4) -> None:
        """A round bar between two points."""
        a, b = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
        axis = b - a
        length = float(np.linalg.norm(axis))
        part = Sculptor(self.metres_per_swatch)
        part.lathe([(radius, 0.0), (radius, length)], swatch, sides=sides, ends=False)
        self._meshes.append(_aligned(part.finish(), axis / length).moved(a))

    def drum(self, centre: Point, radius: float, depth: float, swatch: int = 0, sides: int = 10) -> None:
        """A short cylinder whose flat face looks towards +Z, standing out from `centre` by `depth`: clocks, guitars."""
        part = Sculptor(self.metres_per_swatch)
        part.lathe([(radius, 0.0), (radius, depth)], swatch, sides=sides)
        self._meshes.append(_aligned(part.finish(), np.array([0.0, 0.0, 1.0])).moved(centre))

    def scale(self, factor: float) -> None:
        """Makes everything so far larger or smaller."""
        self._meshes = [mesh.stretched((factor, factor, factor)) for mesh in self._meshes]

    def disc(self, centre: Point, radius: float, normal: Point, swatch: int = 0, sides: int = 12) -> None:
        """A flat round face."""
        part = Sculptor(self.metres_per_swatch)
        angles = 2.0 * np.pi * np.arange(sides) / sides
        part._cap(np.stack([np.sin(angles), np.zeros(sides), np.cos(angles)], 1) * radius, swatch)
        self._meshes.append(_aligned(part.finish(), np.asarray(normal, dtype=float)).moved(centre))

    def quad(self, a: Point, b: Point, c: Point, d: Point, swatch: int = 0) -> None:
        """A flat four-cornered face, corners counter-clockwise; its texture keeps its scale up to one swatch."""
        points = np.array([a, b, c, d], dtype=float)
        width = float(np.linalg.norm(points[1] - points[0]))
        height = float(np.linalg.norm(points[3] - points[0]))
        self._face(points, min(1.0, width / self.metres_per_swatch), min(1.0, height / self.metres_per_swatch), swatch)

    def panel(self, a: Point, b: Point, c: Point, d: Point, swatch: int = 0) -> None:
        """Like `quad`, with the whole swatch stretched over it: screens, pictures, dials."""
        self._face(np.array([a, b, c, d], dtype=float), 1.0, 1.0, swatch)

    def add(self, mesh: Mesh) -> None:
        """Another sculptor's finished work."""
        self._meshes.append(mesh)

    # -- helpers -------------------------------------------------------------------------------------------------

    def _face(self, points: np.ndarray, u: float, v: float, swatch: int) -> None:
        normal = _unit(np.cross(points[1] - points[0], points[2] - points[0])[None])
        uvs = np.array([[0, v], [u, v], [u, 0], [0, 0]], dtype=float)
        self._add(points, np.repeat(normal, 4, axis=0), uvs, np.array([[0, 1, 2], [0, 2, 3]]), swatch)

    def _cap(self, ring: np.ndarray, swatch: int) -> None:
        """A flat polygon that looks up."""
        count = len(ring)
        fan = np.arange(1, count - 1)
        triangles = np.stack([np.zeros_like(fan), fan, fan + 1], axis=1)
        normals = np.tile([0.0, 1.0, 0.0], (count, 1))
        middle = ring.mean(axis=0)
        span = np.abs(ring - middle).max() or 1.0
        uvs = 0.5 + 0.5 * (ring[:, [0, 2]] - middle[[0, 2]]) / span
        self._add(ring, normals, uvs, triangles, swatch)

    def _add(
        self, points: np.ndarray, normals: np.ndarray, uvs: np.ndarray, triangles: np.ndarray, swatch: int
    ) -> None:
        colours = np.repeat(np.clip(shade(normals), 0.0, 1.0)[:, None], 3, axis=1)
        self._meshes.append(Mesh(points, normals, atlas_uv(uvs, swatch), colours, triangles))


ATLAS_CELLS = 2
"""The atlas of an object's texture has this many cells a side."""

_INSET = 0.03


def atlas_uv(uvs: np.ndarray, swatch: int) -> np.ndarray:
    """Texture coordinates inside cell `swatch` of the atlas, kept off its border so that mip levels do not bleed."""
    column, row = swatch % ATLAS_CELLS, swatch // ATLAS_CELLS
    return (np.array([column, row]) + _INSET + uvs * (1.0 - 2.0 * _INSET)) / ATLAS_CELLS


def _aligned(mesh: Mesh, axis: np.ndarray) -> Mesh:
    """The mesh turned so that its Y axis points along unit vector `axis`."""
    helper = np.array([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    x = _unit(np.cross(axis, helper)[None])[0]
    rotation = np.stack([x, axis, np.cross(x, axis)], axis=1)
    normals = mesh.normals @ rotation.T
    colours = np.repeat(np.clip(shade(normals), 0.0, 1.0)[:, None], 3, axis=1)
    return Mesh(mesh.positions @ rotation.T, normals, mesh.uvs, colours, mesh.triangles)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths == 0.0, 1.0, lengths)
