"""What a generated house offers to long-horizon tasks: things to carry, places to put them, rooms."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim.houses.assets import Surface
from sim.houses.categories import CATEGORIES
from sim.houses.library import Library

FUNCTIONS: dict[str, tuple[str, ...]] = {
    "drinking": ("cup", "bottle"),
    "serving food": ("bowl", "plate"),
    "cooking": ("pot", "pan", "kettle", "toaster", "coffee maker", "knife block"),
    "eating": ("fruit", "banana", "bread"),
    "reading or working": ("book", "laptop"),
    "lighting": ("candle", "table lamp"),
    "decoration": ("vase", "photo frame", "globe"),
    "playing": ("teddy bear", "toy car", "toy blocks", "ball"),
    "washing": ("towel", "soap dispenser", "toilet paper"),
    "sleeping or waking": ("pillow", "alarm clock"),
    "listening to music": ("speaker",),
    "watering plants": ("watering can",),
}
"""What categories of small things are for."""
MOVABLE = frozenset(category for group in FUNCTIONS.values() for category in group)
_LARGEST_M = 0.55
_TALL, _FLAT = 1.45, 0.5


@dataclass(frozen=True)
class Thing:
    """An object or a receptacle. `position`: middle of its box (m, Y up), `dimensions` along its own axes (m)."""

    id: int
    category: str
    colour: str
    material: str
    size: str
    position: tuple[float, float, float]
    yaw: float
    dimensions: tuple[float, float, float]
    name: str = ""

    @property
    def shape(self) -> str:
        """tall, flat or compact, by height against width."""
        width, height, depth = self.dimensions
        ratio = height / max(width, depth)
        return "tall" if ratio > _TALL else "flat" if ratio < _FLAT else "compact"

    @property
    def function(self) -> str:
        return next((use for use, group in FUNCTIONS.items() if self.category in group), "")

    def gap_m(self, x: float, z: float) -> float:
        """Metres on the ground from a point to the footprint; 0 inside."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        dx, dz = x - self.position[0], z - self.position[2]
        across, along = abs(dx * c - dz * s), abs(dx * s + dz * c)
        return math.hypot(max(across - self.dimensions[0] / 2, 0.0), max(along - self.dimensions[2] / 2, 0.0))


@dataclass(frozen=True)
class Room:
    """A room; `box` is [x0, z0, x1, z1] (m). Its id is negative: ids of things are positive."""

    id: int
    name: str
    kind: str
    box: tuple[float, float, float, float]

    def holds(self, x: float, z: float) -> bool:
        x0, z0, x1, z1 = self.box
        return x0 <= x <= x1 and z0 <= z <= z1


class Scene:
    """A house's catalogue, as the tasks use it.

    Raises:
        ValueError: there is no such house, or its catalogue cannot be read.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        path = root / "houses" / f"{name}.json"
        try:
            catalogue = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"no house at {path} ({error}): make houses first (embodied houses)") from error
        self.rooms = {
            -index - 1: Room(-index - 1, room["name"], room["kind"], tuple(room["box"]))
            for index, room in enumerate(catalogue["rooms"])
        }
        self._instances: list[dict[str, Any]] = catalogue["instances"]
        ids = {i["name"]: int(i["semantic_id"]) for i in self._instances}
        self.things = {int(i["semantic_id"]): _thing(i) for i in self._instances}
        library = Library()
        self.surfaces: dict[int, tuple[Surface, ...]] = {}
        self.on: dict[int, int] = {}
        """Receptacle of each thing that stands on one, in the beginning."""
        for instance in self._instances:
            key = int(instance["semantic_id"])
            if instance["on"] in ids:
                self.on[key] = ids[instance["on"]]
            variant = instance["object"].rsplit("_", 1)[-1]
            if instance["category"] not in MOVABLE and variant.isdigit():
                asset = library.asset(instance["category"], int(variant) % CATEGORIES[instance["category"]].variants)
                if asset.surfaces:
                    self.surfaces[key] = asset.surfaces
        self.receptacles = {key: self.things[key] for key in self.surfaces}
        self.movables = {
            key: thing
            for key, thing in self.things.items()
            if thing.category in MOVABLE and max(thing.dimensions) <= _LARGEST_M
        }

    def room_at(self, x: float, z: float) -> int:
        """The room's id; 0 in a doorway."""
        return next((key for key, room in self.rooms.items() if room.holds(x, z)), 0)

    def room_of(self, thing: int) -> int:
        """The room that a thing stood in at first."""
        name = self._instances[thing - 1]["room"]
        return next(key for key, room in self.rooms.items() if room.name == name)

    def below(self, position: tuple[float, float, float], height_m: float) -> int:
        """The receptacle that something stands on, by geometry alone: 0 if none.

        Args:
            position: middle of the thing's box (m).
            height_m: the box's height.
        """
        x, y, z = position
        base = y - height_m / 2.0
        best, least = 0, 0.06
        for key, surfaces in self.surfaces.items():
            anchor = self.things[key]
            c, s = math.cos(anchor.yaw), math.sin(anchor.yaw)
            dx, dz = x - anchor.position[0], z - anchor.position[2]
            across, along = dx * c - dz * s, dx * s + dz * c
            for surface in surfaces:
                off = abs(base - (anchor.position[1] - anchor.dimensions[1] / 2.0 + surface.y))
                if surface.x0 <= across <= surface.x1 and surface.z0 <= along <= surface.z1 and off < least:
                    best, least = key, off
        return best

    def spots(
        self, thing: Thing, receptacle: int, others: list[Thing], rng: np.random.Generator, count: int
    ) -> list[tuple[float, float, float, float]]:
        """Up to `count` free places for `thing` on a receptacle: (x, y, z, yaw), clear of `others`."""
        anchor, found = self.things[receptacle], []
        width, height, depth = thing.dimensions
        surfaces = [s for s in self.surfaces[receptacle] if s.room_above >= height + 0.02]
        for _ in range(20 * count if surfaces else 0):
            surface = surfaces[int(rng.integers(len(surfaces)))]
            spare_x, spare_z = surface.x1 - surface.x0 - width, surface.z1 - surface.z0 - depth
            if min(spare_x, spare_z) < 0.0:
                continue
            across = surface.x0 + width / 2 + spare_x * float(rng.uniform())
            along = surface.z0 + depth / 2 + spare_z * float(rng.uniform())
            c, s = math.cos(anchor.yaw), math.sin(anchor.yaw)
            x = anchor.position[0] + across * c + along * s
            z = anchor.position[2] - across * s + along * c
            y = anchor.position[1] - anchor.dimensions[1] / 2 + surface.y + height / 2
            reach = math.hypot(width, depth) / 2
            clear = all(
                math.hypot(x - o.position[0], z - o.position[2]) > reach + math.hypot(*o.dimensions[::2]) / 2
                for o in others
                if abs(o.position[1] - y) < (height + o.dimensions[1]) / 2
            )
            if clear:
                found.append((x, y, z, anchor.yaw))
                if len(found) == count:
                    break
        return found


def _thing(instance: dict[str, Any]) -> Thing:
    return Thing(
        int(instance["semantic_id"]),
        instance["category"],
        instance["colour"],
        instance["material"],
        instance["size"],
        tuple(instance["position"]),
        float(instance["yaw"]),
        tuple(instance["dimensions"]),
        instance["name"],
    )
