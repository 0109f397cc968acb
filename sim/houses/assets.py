"""What one kind of object looks like: the frame in which categories are described (`furniture`, `things`) and built.

An asset is a pure function of (category, variant), so that all houses of a data set share one folder of object files.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sim.houses import textures
from sim.houses.palette import MATERIALS, accent_of, shade_of
from sim.houses.shapes import Mesh, Sculptor

FLOOR, WALL, SURFACE = "floor", "wall", "surface"


@dataclass(frozen=True)
class Surface:
    """A horizontal place on an object where others can stand: a rectangle (m), y above the object's base.

    The frame is the object's, its origin in the middle of its bounding box.

    `room_above` is the free height over it (m).
    """

    x0: float
    z0: float
    x1: float
    z1: float
    y: float
    room_above: float = 1.0


@dataclass(frozen=True)
class Credit:
    """Who made a mesh, under which licence (SPDX), and where it is from."""

    author: str
    licence: str
    source: str


@dataclass(frozen=True)
class Asset:
    """A finished object. The mesh's frame: metres, Y up, front towards +Z, origin in the middle of its bounding box."""

    name: str
    category: str
    colour: str
    material: str
    size: str
    mesh: Mesh
    image: bytes
    metallic: float
    roughness: float
    dimensions: tuple[float, float, float]
    surfaces: tuple[Surface, ...]
    credit: Credit | None = None


@dataclass(frozen=True)
class Category:
    """How to build the variants of one kind of object, and where it goes: the floor, a wall, or another's surface."""

    name: str
    build: Callable[[Maker], None]
    mount: str
    colours: tuple[str, ...]
    materials: tuple[str, ...]
    variants: int = 8


@dataclass
class Maker:
    """What a category's builder works with."""

    rng: np.random.Generator
    colour: str
    material: str
    sculptor: Sculptor = field(default_factory=Sculptor)
    surfaces: list[Surface] = field(default_factory=list)
    size: str = "medium"
    _swatches: list[np.ndarray] = field(default_factory=list)

    def vary(self, low: float, high: float) -> float:
        """The dimension (m) or factor that makes this variant small, medium or large."""
        place = float(self.rng.uniform())
        self.size = size_word(place)
        return low + (high - low) * place

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.uniform() < probability)

    def choose(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def main(self, pattern: str | None = None) -> int:
        """The swatch of the object's own colour and material."""
        return self.paint(self.material, self.colour, pattern)

    def paint(self, material: str, colour: str, pattern: str | None = None) -> int:
        """A new swatch of the object's atlas (at most four); returns its index."""
        if len(self._swatches) == textures.ATLAS_CELLS**2:
            raise ValueError("an object has at most four swatches")
        base = shade_of(colour, self.rng)
        chosen = pattern or self.choose(MATERIALS[material].patterns)
        self._swatches.append(textures.swatch(chosen, base, accent_of(base, self.rng), self.rng))
        return len(self._swatches) - 1

    def surface(self, x0: float, z0: float, x1: float, z1: float, y: float, room_above: float = 1.0) -> None:
        self.surfaces.append(Surface(x0, z0, x1, z1, y, room_above))

    def legs(
        self, width: float, depth: float, height: float, swatch: int, thick: float = 0.05, inset: float = 0.02
    ) -> None:
        """Four square legs under a rectangle centred on the origin."""
        for x in (-1, 1):
            for z in (-1, 1):
                cx, cz = x * (width / 2 - inset - thick / 2), z * (depth / 2 - inset - thick / 2)
                low = (cx - thick / 2, 0.0, cz - thick / 2)
                self.sculptor.box(low, (cx + thick / 2, height, cz + thick / 2), swatch, top=False)

    def plinth(self, width: float, depth: float, height: float, swatch: int, inset: float = 0.04) -> None:
        """A recessed base under a rectangle centred on the origin."""
        x, z = width / 2 - inset, depth / 2 - inset
        self.sculptor.box((-x, 0.0, -z), (x, height, z), swatch, top=False)


def asset_name(category: str, which: str) -> str:
    """An object's file name. habitat-sim finds templates by part of their name: "chair_07" would find "armchair_07"."""
    return f"object_{category.replace(' ', '_')}_{which}"


def size_word(place: float) -> str:
    """small, medium or large, for a place in 0..1 between a category's extremes."""
    return "small" if place < 1.0 / 3.0 else "large" if place > 2.0 / 3.0 else "medium"


def build(category: Category, variant: int) -> Asset:
    """Variant `variant` (from 0) of a category."""
    rng = np.random.default_rng([zlib.crc32(category.name.encode()), variant])
    colour = category.colours[variant % len(category.colours)]
    material = category.materials[int(rng.integers(len(category.materials)))]
    maker = Maker(rng, colour, material)
    category.build(maker)
    mesh = maker.sculptor.finish()
    low, high = mesh.bounds
    middle = (low + high) / 2.0
    look = MATERIALS[material]
    surfaces = tuple(
        Surface(s.x0 - middle[0], s.z0 - middle[2], s.x1 - middle[0], s.z1 - middle[2], s.y - low[1], s.room_above)
        for s in maker.surfaces
    )
    width, height, depth = (float(value) for value in high - low)
    return Asset(
        name=asset_name(category.name, f"{variant:02d}"),
        category=category.name,
        colour=colour,
        material=material if material != "skin" else "food",
        size=maker.size,
        mesh=mesh.moved(-middle),
        image=textures.encode_png(textures.atlas(maker._swatches)),
        metallic=look.metallic,
        roughness=look.roughness,
        dimensions=(width, height, depth),
        surfaces=surfaces,
    )
