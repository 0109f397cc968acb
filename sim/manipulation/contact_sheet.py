"""Draws a sheet of the tabletop tasks: a row of frames of one episode of each, the expert at work.

python -m sim.manipulation.contact_sheet docs/img/manipulation.png
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sim.config import SimConfig
from sim.manipulation.episodes import TASKS, write_episodes
from sim.vector_env import HabitatVectorEnv

_PIXELS = 128
_COLUMNS = 8
_CAPTION_PIXELS = 16
_GAP_PIXELS = 4
_SECONDS_PER_STEP = 0.1


def draw_sheet(root: Path, tasks: tuple[str, ...] = TASKS, seed: int = 2, python: str = "") -> Image.Image:
    """A sheet with a row for each task; its episode files are written under `root`.

    Raises:
        SimulatorError: the simulator could not be run.
    """
    width = _COLUMNS * (_PIXELS + _GAP_PIXELS) + _GAP_PIXELS
    height = _PIXELS + _CAPTION_PIXELS + _GAP_PIXELS
    sheet = Image.new("RGB", (width, height * len(tasks) + _GAP_PIXELS), "white")
    draw = ImageDraw.Draw(sheet)
    for row, task in enumerate(tasks):
        instruction, frames = _episode(
            write_episodes(root, task.removesuffix("_visible"), "test", 1, seed), task, python
        )
        draw.text((_GAP_PIXELS, row * height + 2), f"{task}: {instruction}", fill="black")
        for column, step in enumerate(np.linspace(_first(frames), len(frames) - 1, _COLUMNS).round().astype(int)):
            place = (_GAP_PIXELS + column * (_PIXELS + _GAP_PIXELS), row * height + _CAPTION_PIXELS)
            sheet.paste(Image.fromarray(frames[step]), place)
            draw.text((place[0] + 4, place[1] + 2), f"{step * _SECONDS_PER_STEP:.1f} s", fill="white")
    return sheet


def _episode(episodes: Path, task: str, python: str) -> tuple[str, list[np.ndarray]]:
    """The instruction and every frame ([size, size, 3] uint8) of an episode that the expert runs."""
    config = SimConfig(
        task=task, episodes=str(episodes), num_envs=1, order="sequential", image_size=_PIXELS, python=python
    )
    env = HabitatVectorEnv(config)
    try:
        observations, infos = env.reset()
        instruction = infos["episode"][0]["instruction"]
        frames = [observations["rgb"][0]]
        while "final_obs" not in infos:
            observations, _, _, _, infos = env.step(observations["expert_action"])
            frames.append(observations["rgb"][0])
        frames[-1] = infos["final_obs"][0]["rgb"]
    finally:
        env.close()
    return instruction, frames


def _first(frames: list[np.ndarray]) -> int:
    """The last step before anything changes: the sheet need not show the wait for the cue."""
    changed = [step for step, frame in enumerate(frames) if (frame != frames[0]).any()]
    return max(0, changed[0] - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, help="file to write (.png)")
    parser.add_argument("--visible", action="store_true", help="the twins whose cue stays in view")
    parser.add_argument("--python", default="", help="the simulator's interpreter; empty: the built one")
    arguments = parser.parse_args()
    tasks = tuple(f"{task}_visible" for task in TASKS) if arguments.visible else TASKS
    with tempfile.TemporaryDirectory() as folder:
        sheet = draw_sheet(Path(folder), tasks, python=arguments.python)
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(256, Image.Quantize.MAXCOVERAGE).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
