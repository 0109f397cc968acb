"""Bad input, found before it reaches C++: one line that names the file and the cause."""

import difflib
import gzip
import json
import os
import struct
from typing import Any, Iterable

import numpy as np

from .server import TaskError

HOUSES_CONFIG = "engram.scene_dataset_config.json"
"""The scene dataset config of generated houses, as their episodes name it (sim/houses/files.py writes it)."""
_MAX_START_HEIGHT_M = 0.5


def load_dataset(config: Any) -> Any:
    """Loads the task's episode file through habitat-lab; a missing, cut or foreign file raises TaskError."""
    from habitat.datasets import make_dataset

    path = config.dataset.data_path.format(split=config.dataset.split)
    if not os.path.exists(path):
        raise TaskError("no episode file at {}".format(path))
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            json.load(file)
    except (OSError, EOFError, ValueError) as error:
        raise TaskError("episode file {} cannot be read: {}".format(path, error)) from error
    try:
        dataset = make_dataset(id_dataset=config.dataset.type, config=config.dataset)
    except Exception as error:
        raise TaskError("episode file {} is no {} data set: {}".format(path, config.dataset.type, error)) from error
    if not dataset.episodes:
        raise TaskError("episode file {} holds no episodes".format(path))
    _resolve_houses(dataset.episodes, path, config.dataset.scenes_dir)
    return dataset


def _resolve_houses(episodes: Iterable[Any], path: str, scenes_dir: str) -> None:
    """Generated houses: `ROOT/episodes/FILE` names scenes and the scene dataset config relative to ROOT, so that ROOT
    can move. `scenes_dir` is ROOT where the houses lie there; habitat-lab has put it before the scenes' names already.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(path)))
    if scenes_dir and os.path.exists(os.path.join(scenes_dir, HOUSES_CONFIG)):
        root = scenes_dir
    for episode in episodes:
        if episode.scene_dataset_config == HOUSES_CONFIG:
            episode.scene_dataset_config = os.path.join(root, HOUSES_CONFIG)
            episode.scene_id = os.path.join(root, os.path.relpath(episode.scene_id, scenes_dir or "."))


def check_scenes(episodes: Iterable[Any]) -> None:
    """Every scene that the episodes name as a file must exist and be whole."""
    for scene in sorted({episode.scene_id for episode in episodes}):
        if scene.endswith((".glb", ".gltf", ".ply", ".scene_instance.json")) and not os.path.exists(scene):
            raise TaskError("no scene at {} (named by an episode)".format(scene))
        if scene.endswith(".glb"):
            check_glb(scene)
        elif scene.endswith(".scene_instance.json"):
            check_instance(scene)


def check_instance(path: str) -> None:
    """A scene instance file of a generated house and its stage must be whole."""
    try:
        with open(path, encoding="utf-8") as file:
            stage = json.load(file)["stage_instance"]["template_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise TaskError("scene {} is damaged: {!r}".format(path, error)) from error
    root = os.path.dirname(os.path.dirname(path))
    glb = os.path.join(root, "stages", os.path.basename(stage) + ".glb")
    if os.path.exists(os.path.join(root, "stages")) and os.path.exists(glb):
        check_glb(glb)
    elif os.path.exists(os.path.join(root, HOUSES_CONFIG)):
        remedy = (
            "generate the houses again" if os.path.exists(os.path.join(root, "houses")) else "write the assets again"
        )
        raise TaskError("scene {} needs {}, which is missing: {}".format(path, glb, remedy))


def check_glb(path: str) -> None:
    """A binary glTF file's header and JSON: a a cut one is named before the simulator aborts on it."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        header = file.read(20)
        if len(header) < 20 or header[:4] != b"glTF":
            raise TaskError("{} is no binary glTF file".format(path))
        _, length, json_length = struct.unpack("<III", header[4:16])
        if length != size:
            raise TaskError("{} is cut: {} bytes of {}".format(path, size, length))
        try:
            json.loads(file.read(json_length))
        except ValueError as error:
            raise TaskError("{} is damaged: its JSON chunk cannot be read".format(path)) from error


def check_entities(config: Any) -> None:
    """Every sensor, measure, action and task type must be in habitat-lab's registry."""
    from habitat.core.registry import registry

    kinds = [
        ("sensor", registry.get_sensor, [s for a in config.simulator.agents.values() for s in a.sim_sensors.values()]),
        ("sensor", registry.get_sensor, list(config.task.lab_sensors.values())),
        ("measure", registry.get_measure, list(config.task.measurements.values())),
        ("action", registry.get_task_action, list(config.task.actions.values())),
        ("task", registry.get_task, [config.task]),
        ("simulator", registry.get_simulator, [config.simulator]),
    ]
    for kind, find, entries in kinds:
        for entry in entries:
            try:
                found = find(entry.type)
            except (AssertionError, KeyError):
                found = None
            if found is None:
                known = [name for names in registry.mapping.values() for name in names]
                near = difflib.get_close_matches(entry.type, known, n=1)
                hint = "; did you mean {}?".format(near[0]) if near else ""
                raise TaskError("unknown {} type '{}'{}".format(kind, entry.type, hint))


def check_start(env: Any) -> None:
    """The episode's start must lie on the navmesh, where the agent can move; a tabletop task has no navmesh."""
    if not getattr(env.task, "needs_navmesh", True):
        return
    episode = env.current_episode
    pathfinder = env.sim.pathfinder
    if not pathfinder.is_loaded:
        raise TaskError("scene {} has no navmesh and none could be computed".format(episode.scene_id))
    start = np.array(episode.start_position, dtype=np.float32)
    if not np.isfinite(start).all() or not pathfinder.is_navigable(start, _MAX_START_HEIGHT_M):
        raise TaskError(
            "episode {} starts at {} outside the navmesh of {}".format(
                episode.episode_id, [round(float(x), 2) for x in start], episode.scene_id
            )
        )
