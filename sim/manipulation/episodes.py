"""Draws episodes of the tabletop tasks and writes them as habitat-lab data sets.

An episode's `info` says everything that differs between episodes: what stands where, what the cue shows, when. Nothing
is drawn in the simulator. Positions are in the table's frame: metres from the tabletop's middle, x forward (from the
gripper's side towards the camera), y left, z up. Times are steps of 0.1 s.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sim.houses.files import DATASET_CONFIG, write_bytes
from sim.manipulation.assets import COLOURS, SCENE, write_assets

INSTRUCTIONS = {
    "press_in_order": "press the buttons in the order in which they lit up",
    "put_back": "move the cube to the tray and, when the lamp turns green, put it back on the pad where it was",
    "pick_shown_colour": "pick up the cube of the colour that the card showed",
    "press_n_times": "press the button as many times as the amber lamp blinked, then return to the home position",
}
TASKS = tuple(INSTRUCTIONS)
SPLITS = ("train", "val", "test")
MAX_EPISODES = 1 << 20
"""Of one file: the numbers that episodes are drawn from are disjoint between splits and between a split's seeds."""
_MAX_SEED = 1 << 20


def write_episodes(root: str | Path, task: str, split: str, count: int, seed: int = 0) -> Path:
    """Writes `root/episodes/TASK_SPLIT.json.gz` with `count` episodes, and the assets beside it.

    The same arguments give the same bytes. A task and its `_visible` twin run the same file.

    Raises:
        ValueError: an unknown task or split, or a number out of range.
    """
    if count < 1 or count > MAX_EPISODES:
        raise ValueError(f"count must be in 1..{MAX_EPISODES}, not {count}")
    root = Path(root)
    episodes = [draw_episode(task, split, seed, index) for index in range(count)]
    write_assets(root)
    path = root / "episodes" / f"{task}_{split}.json.gz"
    text = json.dumps({"episodes": episodes}, separators=(",", ":"))
    write_bytes(path, gzip.compress(text.encode(), mtime=0))
    return path


def draw_episode(task: str, split: str, seed: int, index: int) -> dict[str, Any]:
    """Episode `index` of a split, a pure function of the arguments.

    Raises:
        ValueError: an unknown task or split, or a number out of range.
    """
    if task not in TASKS:
        raise ValueError(f"no manipulation task '{task}'; choose one of {', '.join(TASKS)}")
    if split not in SPLITS:
        raise ValueError(f"no split '{split}'; choose one of {', '.join(SPLITS)}")
    if not 0 <= seed < _MAX_SEED or not 0 <= index < MAX_EPISODES:
        raise ValueError(f"seed and index must be in 0..{_MAX_SEED - 1}, not {seed} and {index}")
    number = (SPLITS.index(split) * _MAX_SEED + seed) * MAX_EPISODES + index
    rng = np.random.default_rng([number, zlib.crc32(task.encode())])
    return {
        "episode_id": str(index),
        "scene_id": SCENE,
        "scene_dataset_config": DATASET_CONFIG,
        "start_position": [0.0, 0.0, 0.0],
        "start_rotation": [0.0, 1.0, 0.0, 0.0],  # the camera looks back, towards the gripper
        "instruction": INSTRUCTIONS[task],
        "info": {
            "task": task,
            "seed": number,
            "gripper": _near((-0.17, 0.0, 0.16), (0.03, 0.06, 0.03), rng),
            "wait_steps": int(rng.integers(3, 9)),
            **_DRAW[task](rng),
        },
    }


def _press_in_order(rng: np.random.Generator) -> dict[str, Any]:
    """Three or four buttons of different colours, and the order in which they light up (indices into `buttons`)."""
    count = int(rng.integers(3, 5))
    places = np.sort(rng.permutation(4)[:count])
    colours = _colours(count, rng)
    buttons = [
        {"colour": colour, "position": _near((0.03, 0.225 - 0.15 * place), (0.055, 0.015), rng)}
        for colour, place in zip(colours, places.tolist(), strict=True)
    ]
    return {"buttons": buttons, "order": rng.permutation(count).tolist()}


def _put_back(rng: np.random.Generator) -> dict[str, Any]:
    """Four pads round a tray; `home` is the pad that the cube stands on, `signal_delay` how long it lies in the tray
    before the lamp turns green.
    """
    corners = [(0.11, 0.19), (0.11, -0.19), (-0.07, 0.19), (-0.07, -0.19)]
    return {
        "pads": [_near(corner, (0.02, 0.03), rng) for corner in corners],
        "tray": _near((0.03, 0.0), (0.02, 0.02), rng),
        "home": int(rng.integers(4)),
        "colour": _colours(1, rng)[0],
        "signal_delay": int(rng.integers(8, 17)),
    }


def _pick_shown_colour(rng: np.random.Generator) -> dict[str, Any]:
    """Four cubes of different colours; the card shows the colour of cube `target` for `cue_steps`."""
    colours = _colours(4, rng)
    cubes = [
        {"colour": colour, "position": _near((0.0, 0.21 - 0.14 * place), (0.055, 0.02), rng)}
        for place, colour in enumerate(colours)
    ]
    return {"cubes": cubes, "target": int(rng.integers(4)), "cue_steps": int(rng.integers(15, 26))}


def _press_n_times(rng: np.random.Generator) -> dict[str, Any]:
    """One button, and how many times the lamp blinks."""
    button = {"colour": _colours(1, rng)[0], "position": _near((0.04, 0.0), (0.05, 0.12), rng)}
    return {"button": button, "count": int(rng.integers(1, 5))}


_DRAW: dict[str, Callable[[np.random.Generator], dict[str, Any]]] = {
    "press_in_order": _press_in_order,
    "put_back": _put_back,
    "pick_shown_colour": _pick_shown_colour,
    "press_n_times": _press_n_times,
}


def _near(middle: tuple[float, ...], spread: tuple[float, ...], rng: np.random.Generator) -> list[float]:
    return [round(float(m + s * rng.uniform(-1.0, 1.0)), 4) for m, s in zip(middle, spread, strict=True)]


def _colours(count: int, rng: np.random.Generator) -> list[str]:
    names = list(COLOURS)
    return [names[i] for i in rng.permutation(len(names))[:count]]
