"""Colour and material words, and what they look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.houses.textures import RGB

#: Every colour word with a few shades of it.
COLOURS: dict[str, tuple[RGB, ...]] = {
    "white": ((0.93, 0.92, 0.90), (0.88, 0.88, 0.89)),
    "grey": ((0.52, 0.53, 0.55), (0.66, 0.66, 0.66), (0.40, 0.42, 0.45)),
    "black": ((0.11, 0.11, 0.12), (0.16, 0.16, 0.18)),
    "red": ((0.76, 0.13, 0.14), (0.62, 0.10, 0.16), (0.85, 0.25, 0.20)),
    "orange": ((0.93, 0.49, 0.12), (0.86, 0.40, 0.18)),
    "yellow": ((0.95, 0.80, 0.22), (0.90, 0.72, 0.30)),
    "green": ((0.22, 0.52, 0.26), (0.36, 0.60, 0.34), (0.16, 0.38, 0.26)),
    "teal": ((0.10, 0.52, 0.53), (0.24, 0.62, 0.62)),
    "blue": ((0.16, 0.33, 0.68), (0.28, 0.48, 0.80), (0.13, 0.22, 0.47)),
    "purple": ((0.44, 0.24, 0.58), (0.56, 0.38, 0.68)),
    "pink": ((0.91, 0.55, 0.66), (0.94, 0.70, 0.76)),
    "brown": ((0.42, 0.26, 0.15), (0.52, 0.34, 0.20), (0.34, 0.20, 0.12)),
    "beige": ((0.80, 0.71, 0.57), (0.86, 0.79, 0.68)),
}


@dataclass(frozen=True)
class Look:
    """How a material word is painted and how it reflects."""

    patterns: tuple[str, ...]
    metallic: float
    roughness: float


MATERIALS: dict[str, Look] = {
    "wood": Look(("wood",), 0.0, 0.65),
    "metal": Look(("metal",), 0.9, 0.35),
    "plastic": Look(("plain",), 0.0, 0.5),
    "fabric": Look(("fabric", "fabric", "stripes", "checks", "dots"), 0.0, 0.95),
    "leather": Look(("gloss",), 0.0, 0.55),
    "ceramic": Look(("gloss", "gloss", "dots"), 0.0, 0.2),
    "glass": Look(("gloss",), 0.1, 0.05),
    "stone": Look(("marble",), 0.0, 0.4),
    "wicker": Look(("wicker",), 0.0, 0.9),
    "paper": Look(("plain",), 0.0, 0.9),
    "plush": Look(("fur",), 0.0, 1.0),
    "leaf": Look(("leaves",), 0.0, 0.8),
    "rubber": Look(("plain", "stripes"), 0.0, 0.9),
    "wax": Look(("gloss",), 0.0, 0.6),
    "skin": Look(("gloss",), 0.0, 0.5),  # of fruit
}


def shade_of(colour: str, rng: np.random.Generator) -> RGB:
    """One of a colour word's shades, a little off."""
    shades = COLOURS[colour]
    base = np.asarray(shades[int(rng.integers(len(shades)))])
    red, green, blue = (float(value) for value in np.clip(base + rng.normal(0.0, 0.012, size=3), 0.03, 0.97))
    return red, green, blue


def accent_of(colour: RGB, rng: np.random.Generator) -> RGB:
    """A second colour for the pattern: clearly lighter on dark, darker on light."""
    base = np.asarray(colour)
    light = float(base.mean()) < 0.5
    accent = base + (1.0 - base) * rng.uniform(0.35, 0.6) if light else base * rng.uniform(0.5, 0.7)
    red, green, blue = (float(value) for value in accent)
    return red, green, blue
