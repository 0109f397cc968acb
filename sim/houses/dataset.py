"""Builds a data set of houses with navmeshes and episodes; run again, it goes on where it stopped."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import multiprocessing
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sim.client import Worker
from sim.config import TASKS_DIR, SimConfig
from sim.errors import SimulatorError
from sim.houses import files, house
from sim.houses.assets import Credit
from sim.houses.categories import goal_categories
from sim.houses.config import SPLITS, TASKS, HouseDatasetConfig
from sim.houses.house import HouseError, generate_house
from sim.houses.meshes import attribution, load_library

T = TypeVar("T")

EPISODES_VERSION = 1
"""Of what the episode service draws. A change here makes `build_dataset` draw all episodes anew."""

_PARTS = "parts"
_STAMP = "dataset.json"
_ATTRIBUTION = "ATTRIBUTION.txt"
_HOUSE_TIMEOUT_S = 300.0


def build_dataset(config: HouseDatasetConfig, progress: bool = True) -> Path:
    """Makes what is missing of a data set: houses, their navmeshes, and one episode file for each task and split.

    Every file appears whole or not at all, a house's catalogue and episodes after all else of it. So an interrupted
    build goes on where it stopped, a finished one returns at once, and a changed config redoes only what it changes.

    Args:
        config: see `HouseDatasetConfig`.
        progress: whether to show a bar with rate and time left.

    Returns:
        The data set's folder; episodes lie in `episodes/TASK_SPLIT.json.gz`.

    Raises:
        ValueError: the config cannot be right.
        HouseError: a seed gave no house that passes the checks.
        SimulatorError: the simulator could not be run.
    """
    config.validate()
    load_library(config.meshes, config.meshes_dir)  # missing meshes are named before anything is written
    root = Path(config.out).absolute()
    if files.read_json(root / files.DATASET_CONFIG) is None:
        files.write_dataset_config(root)
    objects = {path.name for path in (root / "objects").glob("*.json")}
    seeds = [seed for split in SPLITS for seed in config.seeds(split)]
    missing = [seed for seed in seeds if not _is_done(root, seed, config, objects)]
    if missing:
        with _Makers(config, root) as makers, _bars(progress) as bars:
            makers.make(missing, bars)
    stamp = _stamp(config)
    if files.read_json(root / _STAMP) != stamp or any(
        not _episode_file(root, t, s).exists() for t, s in _outputs(config)
    ):
        for task, split in _outputs(config):
            files.write_bytes(_episode_file(root, task, split), _merge(root, task, split, config))
        if config.meshes:
            files.write_bytes(root / _ATTRIBUTION, attribution(_credits(root, seeds)).encode())
        files.write_json(root / _STAMP, stamp)
    return root


class _Makers:
    """`workers` processes for geometry, and as many simulators for checks and episodes."""

    def __init__(self, config: HouseDatasetConfig, root: Path) -> None:
        self._config = config
        self._root = root

    def __enter__(self) -> _Makers:
        hello = {"service": "episodes", "lab_config": str(TASKS_DIR / "objectnav.yaml"), "overrides": []}
        self._simulators: list[Worker] = []
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._geometry = ProcessPoolExecutor(self._config.workers, mp_context=multiprocessing.get_context("spawn"))
        self._askers = ThreadPoolExecutor(self._config.workers)
        for _ in range(self._config.workers):  # they start while the geometry is made
            self._simulators.append(Worker(SimConfig(python=self._config.python), hello, wait=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._geometry.shutdown(cancel_futures=True)
        self._askers.shutdown(wait=False, cancel_futures=True)
        for simulator in self._simulators:
            simulator.close()

    def make(self, seeds: list[int], progress: Progress) -> None:
        """Drafts of houses until each passes its checks; leaves their files and, last, their episodes."""
        drafted, passed = (progress.add_task(name, total=len(seeds), rate="") for name in ("houses", "episodes"))
        reasons: dict[int, str] = {}
        for attempt in range(house.MAX_ATTEMPTS):
            drafts = [self._geometry.submit(_make_house, seed, attempt, self._config, self._root) for seed in seeds]
            _each(drafts, lambda: _advance(progress, drafted))
            # A simulator reads the data set's configs once: so all drafts are there before any is loaded.
            for simulator in self._simulators:
                if attempt == 0:
                    simulator.wait_ready()
                else:
                    simulator.call("reload")
                self._idle.put(simulator)
            answers = [self._askers.submit(self._inspect, seed) for seed in seeds]
            reasons = {
                s: r for s, r in zip(seeds, _each(answers, lambda: _advance(progress, passed)), strict=True) if r
            }
            self._idle = queue.SimpleQueue()
            seeds = list(reasons)
            if not seeds:
                return
            for bar in (drafted, passed):
                progress.advance(bar, -len(seeds))
        seed, reason = next(iter(reasons.items()))
        raise HouseError(f"seed {seed}: none of {house.MAX_ATTEMPTS} drafts passed the checks; the last one: {reason}")

    def _inspect(self, seed: int) -> str:
        """Has a simulator check a house and make its episodes; returns why it was refused, or ""."""
        config = self._config
        name = f"house_{seed:06d}"
        simulator = self._idle.get()
        try:
            body, _ = simulator.call(
                "house",
                timeout_s=_HOUSE_TIMEOUT_S,
                root=str(self._root),
                scene=f"scenes/{name}.scene_instance.json",
                seed=seed,
                categories=list(goal_categories(config.goal_categories)),
                counts=config.counts(),
                limits=_limits(config),
            )
        except SimulatorError as error:
            raise type(error)(f"{name}: {error}") from error
        finally:
            self._idle.put(simulator)
        reason = body.pop("refused")
        if reason is None:
            files.write_bytes(_part(self._root, seed), _pack({"recipe": _episode_recipe(config), **body}))
        return reason or ""


def _make_house(seed: int, attempt: int, config: HouseDatasetConfig, root: Path) -> None:
    """Runs in a geometry process."""
    library = load_library(config.meshes, config.meshes_dir)
    built = generate_house(seed, config.min_rooms, config.max_rooms, attempt, library)
    files.write_house(built, root, _house_recipe(config))


def _each(futures: Sequence[Future[T]], advance: Callable[[], None]) -> list[T]:
    """Results of all futures; `advance` is called as each ends, and the first error ends the wait."""
    for future in futures:
        future.add_done_callback(lambda _: advance())
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        future.result()
    return [future.result() for future in futures]


# -- what is done ----------------------------------------------------------------------------------------------------


def _is_done(root: Path, seed: int, config: HouseDatasetConfig, objects: set[str]) -> bool:
    """Whether a house, all that it refers to, and its episodes are there and made by this config and version."""
    name = f"house_{seed:06d}"
    catalogue = files.read_json(root / "houses" / f"{name}.json")
    if catalogue is None or catalogue.get("recipe") != _house_recipe(config):
        return False
    needed = (f"stages/{name}.glb", f"stages/{name}.stage_config.json", f"scenes/{name}.scene_instance.json")
    if not all((root / path).exists() for path in needed):
        return False
    if not {f"{instance['object']}.object_config.json" for instance in catalogue["instances"]} <= objects:
        return False
    part = _unpack(_part(root, seed))
    return part is not None and part["recipe"] == _episode_recipe(config)


def _house_recipe(config: HouseDatasetConfig) -> str:
    return _digest([house.VERSION, config.min_rooms, config.max_rooms, config.meshes])


def _episode_recipe(config: HouseDatasetConfig) -> str:
    categories = goal_categories(config.goal_categories)
    return _digest([EPISODES_VERSION, _house_recipe(config), config.counts(), categories, _limits(config)])


def _stamp(config: HouseDatasetConfig) -> dict[str, Any]:
    kept = {k: v for k, v in dataclasses.asdict(config).items() if k not in ("out", "workers", "python", "meshes_dir")}
    return json.loads(json.dumps({"version": house.VERSION, "episodes_version": EPISODES_VERSION, "config": kept}))


def _limits(config: HouseDatasetConfig) -> dict[str, Any]:
    return {
        "pointnav": list(config.pointnav_metres),
        "objectnav": list(config.objectnav_metres),
        "goals_per_trial": config.goals_per_trial,
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


# -- files -----------------------------------------------------------------------------------------------------------


def _outputs(config: HouseDatasetConfig) -> list[tuple[str, str]]:
    """(task, split) of every episode file that the config asks for."""
    return [(t, s) for t in TASKS for s in SPLITS if getattr(config, t) and len(config.seeds(s))]


def _episode_file(root: Path, task: str, split: str) -> Path:
    return root / "episodes" / f"{task}_{split}.json.gz"


def _part(root: Path, seed: int) -> Path:
    return root / "episodes" / _PARTS / f"house_{seed:06d}.json.gz"


def _merge(root: Path, task: str, split: str, config: HouseDatasetConfig) -> bytes:
    """A split's episode file in habitat-lab's format, from its houses' parts."""
    categories = goal_categories(config.goal_categories)
    ids = {category: index for index, category in enumerate(categories)}
    episodes: list[dict[str, Any]] = []
    goals: dict[str, Any] = {}
    for seed in config.seeds(split):
        part = _unpack(_part(root, seed))
        assert part is not None  # `build_dataset` has just made or checked it
        most = len(part[task]) if split == "train" else config.eval_episodes or len(part[task])
        for episode in part[task][:most]:
            episode["episode_id"] = str(len(episodes))
            episodes.append(episode)
        for category, instances in part["goals"].items():
            goals[f"house_{seed:06d}.scene_instance.json_{category}"] = instances
    if task == "pointnav":
        return _pack({"episodes": episodes})
    return _pack(
        {
            "episodes": episodes,
            "goals_by_category": goals,
            "category_to_task_category_id": ids,
            "category_to_scene_annotation_category_id": ids,
        }
    )


def _credits(root: Path, seeds: Sequence[int]) -> list[Credit]:
    """Credits of all meshes in these houses."""
    catalogues = [files.read_json(root / "houses" / f"house_{seed:06d}.json") for seed in seeds]
    return [Credit(**i["credit"]) for catalogue in catalogues for i in catalogue["instances"] if "credit" in i]


def _pack(value: Any) -> bytes:
    return gzip.compress(json.dumps(value, separators=(",", ":")).encode(), 6, mtime=0)


def _unpack(path: Path) -> Any:
    """What `_pack` wrote, None if it is missing or damaged."""
    try:
        return json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError):
        return None


def _bars(shown: bool) -> Progress:
    columns = (
        TextColumn("{task.description:8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, disable=not shown)


def _advance(progress: Progress, task: TaskID) -> None:
    progress.advance(task)
    speed = progress.tasks[task].speed
    progress.update(task, rate=f"{60.0 * speed:.0f}/min" if speed else "")
