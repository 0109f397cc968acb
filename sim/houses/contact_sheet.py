"""Draws a sheet of a data set's houses: each from above, with two views inside.

python -m sim.houses.contact_sheet data/houses docs/img/houses.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sim.client import Worker, as_array
from sim.config import TASKS_DIR, SimConfig
from sim.houses import files

_PIXELS = 256
_COLUMNS = 4
_CAPTION_PIXELS = 18
_GAP_PIXELS = 8


def draw_sheet(root: Path, count: int, python: str = "") -> Image.Image:
    """A sheet of the first `count` houses of a data set.

    Raises:
        ValueError: the folder holds no houses.
        SimulatorError: the simulator could not be run.
    """
    names = sorted(path.stem for path in (root / "houses").glob("house_*.json"))[:count]
    if not names:
        raise ValueError(f"no houses in {root}: make some with sim.houses.build_dataset")
    width, height = _PIXELS * 3 // 2 + _GAP_PIXELS, _PIXELS + _CAPTION_PIXELS + _GAP_PIXELS
    rows = -(-len(names) // _COLUMNS)
    sheet = Image.new("RGB", (width * _COLUMNS + _GAP_PIXELS, height * rows + _GAP_PIXELS), "white")
    hello = {"service": "episodes", "lab_config": str(TASKS_DIR / "objectnav.yaml"), "overrides": []}
    worker = Worker(SimConfig(python=python), hello)
    try:
        for index, name in enumerate(names):
            scene = f"scenes/{name}.scene_instance.json"
            body, blob = worker.call("pictures", root=str(root.absolute()), scene=scene, pixels=2 * _PIXELS, count=2)
            catalogue = files.read_json(root / "houses" / f"{name}.json")
            caption = f"{name}: {len(catalogue['rooms'])} rooms, {len(catalogue['instances'])} objects"
            row, column = divmod(index, _COLUMNS)
            sheet.paste(_tile(as_array(body, blob, "uint8"), caption), (_GAP_PIXELS + column * width, row * height))
    finally:
        worker.close()
    return sheet


def _tile(pictures: np.ndarray, caption: str) -> Image.Image:
    """One house: the view from above on the left, two views inside on the right."""
    half = _PIXELS // 2
    tile = Image.new("RGB", (_PIXELS + half, _PIXELS + _CAPTION_PIXELS), "white")
    ImageDraw.Draw(tile).text((2, 4), caption, fill="black")
    places = [(0, _CAPTION_PIXELS, _PIXELS), (_PIXELS, _CAPTION_PIXELS, half), (_PIXELS, _CAPTION_PIXELS + half, half)]
    above = np.where(
        pictures[:1].any(axis=-1, keepdims=True), pictures[:1], 255
    )  # nothing lies outside the house: no black
    for picture, (x, y, pixels) in zip((*above, *pictures[1:]), places, strict=True):
        tile.paste(Image.fromarray(picture).resize((pixels, pixels), Image.Resampling.LANCZOS), (x, y))
    return tile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("houses", type=Path, help="folder of the data set")
    parser.add_argument("picture", type=Path, help="file to write (.jpg or .png)")
    parser.add_argument("--count", type=int, default=20, help="how many houses")
    parser.add_argument("--python", default="", help="the simulator's interpreter; empty: the built one")
    arguments = parser.parse_args()
    sheet = draw_sheet(arguments.houses, arguments.count, arguments.python)
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.picture, quality=82)


if __name__ == "__main__":
    main()
