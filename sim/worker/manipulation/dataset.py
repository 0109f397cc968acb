"""`Tabletop-v0`: the data set type of tabletop episodes, and the checks on what an episode says."""

import gzip
import json
import os
from typing import Any, Dict, List, Optional

import attr
import numpy as np
from habitat.core.dataset import Dataset, Episode
from habitat.core.registry import registry

FIELDS = {
    "press_in_order": ("buttons", "order"),
    "put_back": ("pads", "tray", "home", "colour", "signal_delay"),
    "pick_shown_colour": ("cubes", "target", "cue_steps"),
    "press_n_times": ("button", "count"),
}
"""What `info` holds beside task, gripper and wait_steps; sim/manipulation/episodes.py says what each is."""

MOST_PRESSES = 4
"""Of `press_n_times`, whose display has as many marks."""


@attr.s(auto_attribs=True, kw_only=True)
class TabletopEpisode(Episode):
    """An episode with a text that says what to do."""

    instruction: str = ""


@registry.register_dataset(name="Tabletop-v0")
class TabletopDataset(Dataset):
    """Reads an episode file; raises ValueError, with the episode's id, where one cannot be run."""

    episodes: List[TabletopEpisode]

    def __init__(self, config: Optional[Any] = None) -> None:
        self.episodes = []
        if config is None:
            return
        with gzip.open(config.data_path.format(split=config.split), "rt", encoding="utf-8") as file:
            self.from_json(file.read(), config.scenes_dir)

    def from_json(self, text: str, scenes_dir: Optional[str] = None) -> None:
        for described in json.loads(text)["episodes"]:
            episode = TabletopEpisode(**described)
            _check(episode)
            if scenes_dir:
                episode.scene_id = os.path.join(scenes_dir, episode.scene_id)
            self.episodes.append(episode)


def _check(episode: TabletopEpisode) -> None:
    info: Dict[str, Any] = episode.info or {}
    task = info.get("task")
    if task not in FIELDS:
        raise ValueError(
            "episode {} is of task '{}'; known: {}".format(episode.episode_id, task, ", ".join(sorted(FIELDS)))
        )
    missing = [name for name in ("gripper", "wait_steps", *FIELDS[task]) if name not in info]
    if missing:
        raise ValueError("episode {} has no info.{}".format(episode.episode_id, missing[0]))
    for name in FIELDS[task]:
        if not _fits(name, info):
            raise ValueError(
                "episode {}: info.{} is {}, which does not fit".format(episode.episode_id, name, json.dumps(info[name]))
            )
    if not _is_place(info["gripper"], 3):
        raise ValueError("episode {}: info.gripper is no position".format(episode.episode_id))


def _fits(name: str, info: Dict[str, Any]) -> bool:
    value = info[name]
    if name in ("buttons", "cubes"):
        return bool(value) and all(_is_coloured(thing) for thing in value)
    if name == "button":
        return _is_coloured(value)
    if name == "pads":
        return bool(value) and all(_is_place(pad, 2) for pad in value)
    if name == "tray":
        return _is_place(value, 2)
    if name == "colour":
        return isinstance(value, str)
    if name == "order":
        return sorted(value) == list(range(len(info["buttons"])))
    if name in ("home", "target"):
        return isinstance(value, int) and 0 <= value < len(info["pads" if name == "home" else "cubes"])
    if name == "count":
        return isinstance(value, int) and 1 <= value <= MOST_PRESSES
    return isinstance(value, int) and value > 0  # steps


def _is_coloured(thing: Any) -> bool:
    return isinstance(thing, dict) and isinstance(thing.get("colour"), str) and _is_place(thing.get("position"), 2)


def _is_place(value: Any, size: int) -> bool:
    return isinstance(value, list) and len(value) == size and bool(np.isfinite(np.array(value, dtype=float)).all())
