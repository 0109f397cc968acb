"""`Tabletop-v0`: the data set type of tabletop episodes, and the checks on what an episode says."""

import gzip
import json
import os
from typing import Any, Dict, List, Optional

import attr
from habitat.core.dataset import Dataset, Episode
from habitat.core.registry import registry

FIELDS = {
    "press_in_order": ("buttons", "order"),
    "put_back": ("pads", "tray", "home", "colour", "signal_delay"),
    "pick_shown_colour": ("cubes", "target", "cue_steps"),
    "press_n_times": ("button", "count"),
}
"""What `info` holds beside task, gripper and wait_steps; sim/manipulation/episodes.py says what each is."""


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
