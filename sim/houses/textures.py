"""Small procedural pictures: what surfaces are made of."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from sim.houses.shapes import ATLAS_CELLS

SWATCH_PIXELS = 64

RGB = tuple[float, float, float]
"""Red, green, blue in 0..1, as displayed."""


def swatch(pattern: str, colour: RGB, accent: RGB, rng: np.random.Generator, pixels: int = SWATCH_PIXELS) -> np.ndarray:
    """A [pixels, pixels, 3] uint8 picture of `pattern` in two colours.

    Raises:
        KeyError: no such pattern.
    """
    amount = _PATTERNS[pattern](rng, pixels)
    if amount.ndim == 3:  # a picture with colours of its own
        image = amount
    else:
        base, other = np.asarray(colour), np.asarray(accent)
        mix = np.clip(amount, -1.0, 1.0)[..., None]
        image = np.where(mix >= 0.0, base + (other - base) * mix, base * (1.0 + mix))
    return np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)


def atlas(swatches: Sequence[np.ndarray]) -> np.ndarray:
    """Up to four swatches side by side, as `shapes.atlas_uv` addresses them; an empty cell repeats the first swatch."""
    pixels = swatches[0].shape[0]
    sheet = np.empty((ATLAS_CELLS * pixels, ATLAS_CELLS * pixels, 3), dtype=np.uint8)
    for cell in range(ATLAS_CELLS**2):
        row, column = divmod(cell, ATLAS_CELLS)
        part = swatches[cell] if cell < len(swatches) else swatches[0]
        sheet[row * pixels : (row + 1) * pixels, column * pixels : (column + 1) * pixels] = part
    return sheet


def encode_png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def encode_jpeg(image: np.ndarray, quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def noise(rng: np.random.Generator, shape: tuple[int, ...], blur: float | tuple[float, float]) -> np.ndarray:
    """Smooth seamless noise with mean 0 and standard deviation 1."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), blur, mode="wrap")
    return (field - field.mean()) / (field.std() or 1.0)


# -- patterns: each gives how much of the accent colour (0..1) or of darkness (-1..0) every pixel has ----------------


def _plain(rng: np.random.Generator, n: int) -> np.ndarray:
    return -0.03 - 0.02 * noise(rng, (n, n), 2.0).clip(-2, 2)


def _wood(rng: np.random.Generator, n: int) -> np.ndarray:
    return 0.12 + 0.1 * noise(rng, (n, n), (12.0, 0.8)).clip(-2, 2) + 0.08 * noise(rng, (n, n), (18.0, 3.0)).clip(-2, 2)


def _fabric(rng: np.random.Generator, n: int) -> np.ndarray:
    weave = (np.indices((n, n)).sum(axis=0) % 2) * 0.10
    return -0.06 - weave - 0.05 * noise(rng, (n, n), 1.0).clip(-2, 2)


def _metal(rng: np.random.Generator, n: int) -> np.ndarray:
    return 0.1 + 0.03 * noise(rng, (n, n), (0.5, 8.0)).clip(-2, 2) + 0.25 * np.linspace(1.0, -0.6, n)[:, None]


def _gloss(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.clip(np.linspace(0.35, -0.25, n)[:, None] + 0.02 * noise(rng, (n, n), 3.0), -1, 1)


def _stripes(rng: np.random.Generator, n: int) -> np.ndarray:
    period = int(rng.choice([8, 10, 16]))
    return np.tile(((np.arange(n) % period) < period // 2) * 0.9, (n, 1)) + _fabric(rng, n) * 0.5


def _checks(rng: np.random.Generator, n: int) -> np.ndarray:
    period = int(rng.choice([8, 16]))
    row, column = np.indices((n, n)) // (period // 2) % 2
    return 0.45 * (row + column)


def _dots(rng: np.random.Generator, n: int) -> np.ndarray:
    row, column = np.indices((n, n))
    return (((row % 16 - 7.5) ** 2 + (column % 16 - 7.5) ** 2) < 16.0) * 0.95


def _leaves(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.clip(0.5 * noise(rng, (n, n), 2.0), -0.5, 0.9)


def _marble(rng: np.random.Generator, n: int) -> np.ndarray:
    veins = np.abs(noise(rng, (n, n), 5.0) + 0.3 * noise(rng, (n, n), 1.5))
    return np.clip(0.5 - veins, 0.0, 0.5)


def _wicker(rng: np.random.Generator, n: int) -> np.ndarray:
    row, column = np.indices((n, n))
    phase = (row // 4 + column // 6) % 2
    return np.where(phase == 0, 0.35, -0.25) * (0.6 + 0.4 * np.sin(row * np.pi / 2.0))


def _fur(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.clip(0.25 * noise(rng, (n, n), (1.6, 0.7)), -0.5, 0.6)


def _tiles(rng: np.random.Generator, n: int) -> np.ndarray:
    row, column = np.indices((n, n)) % (n // 4)
    joint = (row == 0) | (column == 0)
    return np.where(joint, 0.8, -0.03 + 0.03 * noise(rng, (n, n), 3.0))


def _books(rng: np.random.Generator, n: int) -> np.ndarray:
    image = np.zeros((n, n, 3))
    left = 0
    while left < n:
        width = int(rng.integers(3, 8))
        colour = rng.uniform(0.1, 0.85) * 0.4 + 0.6 * rng.uniform(0.08, 0.9, size=3)
        top = int(rng.integers(0, n // 4))
        image[:, left : left + width] = 0.12
        image[top:, left : left + width - 1] = colour
        band = int(rng.integers(n // 2, n - 8))
        image[band : band + 3, left : left + width - 1] = colour * 0.4 + 0.55
        left += width
    return image


def _screen(rng: np.random.Generator, n: int) -> np.ndarray:
    glare = np.clip(np.indices((n, n)).sum(axis=0) / (2.0 * n) - 0.55, 0.0, 1.0)
    return (0.05 + 0.35 * glare)[..., None] * np.array([0.9, 1.0, 1.15])


def _desktop(rng: np.random.Generator, n: int) -> np.ndarray:
    sky = np.linspace(0.85, 0.35, n)[:, None, None] * rng.uniform(0.4, 1.0, size=3) + np.zeros((n, n, 3))
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.integers(4, n // 2, size=2)
        w, h = rng.integers(n // 5, n // 2, size=2)
        sky[y : y + h, x : x + w] = 0.93
        sky[y : y + 4, x : x + w] = rng.uniform(0.2, 0.7, size=3)
    sky[-5:] = 0.15
    return sky


def _painting(rng: np.random.Generator, n: int) -> np.ndarray:
    horizon = int(rng.integers(n // 3, 2 * n // 3))
    image = np.empty((n, n, 3))
    image[:horizon] = rng.uniform(0.45, 1.0, size=3)
    image[horizon:] = rng.uniform(0.1, 0.7, size=3)
    row, column = np.indices((n, n))
    for _ in range(int(rng.integers(2, 6))):
        y, x = rng.integers(0, n, size=2)
        radius = rng.uniform(0.08, 0.3) * n
        inside = (row - y) ** 2 + ((column - x) * rng.uniform(0.4, 1.6)) ** 2 < radius**2
        image[inside] = rng.uniform(0.05, 1.0, size=3)
    return image + 0.03 * noise(rng, (n, n), 1.0)[..., None]


def _keys(rng: np.random.Generator, n: int) -> np.ndarray:
    row, column = np.indices((n, n))
    return np.where((row % 12 < 9) & (column % 6 < 5), 0.5, -0.3).astype(float)


def _dial(rng: np.random.Generator, n: int) -> np.ndarray:
    row, column = (np.indices((n, n)) - (n - 1) / 2.0) / (n / 2.0)
    radius, angle = np.hypot(row, column), np.arctan2(column, -row)
    marks = (radius > 0.72) & (radius < 0.88) & (np.abs((angle * 6 / np.pi + 0.5) % 1.0 - 0.5) < 0.12)
    image = np.where(marks, 0.95, 0.0)
    for length, when in ((0.45, rng.uniform(0, 2 * np.pi)), (0.65, rng.uniform(0, 2 * np.pi))):
        along = row * -np.cos(when) + column * np.sin(when)
        across = row * np.sin(when) + column * np.cos(when)
        image[(np.abs(across) < 0.05) & (along > 0) & (along < length)] = 1.0
    return image


def _burners(rng: np.random.Generator, n: int) -> np.ndarray:
    row, column = np.indices((n, n)) / n
    image = np.full((n, n), -0.2)
    for y in (0.27, 0.73):
        for x in (0.27, 0.73):
            radius = np.hypot(row - y, column - x)
            image[(radius < 0.19) & (radius > 0.13)] = 0.8
            image[radius < 0.06] = 0.5
    return image


def _label(rng: np.random.Generator, n: int) -> np.ndarray:
    image = np.full((n, n), -0.05)
    image[n // 3 : 2 * n // 3 + 4] = 0.9
    return image


_PATTERNS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "plain": _plain,
    "wood": _wood,
    "fabric": _fabric,
    "metal": _metal,
    "gloss": _gloss,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "leaves": _leaves,
    "marble": _marble,
    "wicker": _wicker,
    "fur": _fur,
    "tiles": _tiles,
    "books": _books,
    "screen": _screen,
    "desktop": _desktop,
    "painting": _painting,
    "keys": _keys,
    "dial": _dial,
    "burners": _burners,
    "label": _label,
}
