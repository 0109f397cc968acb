"""The oracle's days in a house: it tours the rooms, carries things about, looks at others, and it is all recorded.

Everything is a function of the house, the config and the seed. A day::

    day 1 begins with a tour: every room, once round
    each errand: go to the object, pick, go to the receptacle, perhaps wait with it in the hand, place; then a pause
    between errands: a look at something that is not touched
    the last day ends with a walk of random length, so that a frame's place in the recording tells little

All seconds are of a simulated clock: nothing depends on how fast the machine is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sim.client import Worker
from sim.config import TASKS_DIR, SimConfig
from sim.long_horizon import history
from sim.long_horizon.config import ExperienceConfig
from sim.long_horizon.history import DAY_S, Interaction
from sim.long_horizon.scene import Scene, Thing

_LEAST_SHARE = 0.003
"""Of the picture: what is picked or placed must be seen this well from where the robot stands."""
_TIMEOUT_S = 300.0


class ExperienceError(RuntimeError):
    """A house does not allow the experience asked for; the message is one line."""


def start_worker(python: str = "") -> Worker:
    """A simulator that answers the long-horizon calls. Close it. Raises SimulatorError."""
    hello = {"service": "long_horizon", "lab_config": str(TASKS_DIR / "objectnav.yaml")}
    return Worker(SimConfig(python=python), hello)


def recipe_of(house: str, config: ExperienceConfig, seed: int, catalogue: bytes) -> str:
    """What a recording depends on, as a digest."""
    body = json.dumps([house, dataclasses.asdict(config), seed, hashlib.sha256(catalogue).hexdigest()])
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def record(worker: Worker, houses: Path, house: str, config: ExperienceConfig, seed: int, folder: Path) -> bool:
    """Records a history, or does nothing where the same one is there already.

    Returns:
        Whether it was recorded now.

    Raises:
        ExperienceError: the house has too little to carry about.
        SimulatorError: the simulator failed.
    """
    config.validate()
    recipe = recipe_of(house, config, seed, (houses / "houses" / f"{house}.json").read_bytes())
    if history.is_recorded(folder, recipe):
        return False
    oracle = _Oracle(worker, Scene(houses, house), config, np.random.default_rng([seed, 7]))
    oracle.live()
    poses = [frame["pose"] for frame in oracle.frames]
    today, _ = worker.call("look", timeout_s=_TIMEOUT_S, poses=poses)
    distances, _ = worker.call("distances", start=poses[-1][:3])
    meta = {
        "recipe": recipe,
        "house": house,
        "seed": seed,
        "config": dataclasses.asdict(config),
        "metres_now": distances["metres"],
        "failed_errands": oracle.failed,
    }
    history.write(folder, meta, oracle.frames, oracle.pictures, oracle.steps, today["rows"], oracle.interactions)
    return True


class _Oracle:
    def __init__(self, worker: Worker, scene: Scene, config: ExperienceConfig, rng: np.random.Generator) -> None:
        self._worker, self._scene, self._config, self._rng = worker, scene, config, rng
        self.frames: list[dict[str, Any]] = []
        self.pictures: list[bytes] = []
        self.steps: list[list[float]] = []
        self.interactions: list[Interaction] = []
        self.failed = 0
        body, blob = worker.call(
            "open", timeout_s=_TIMEOUT_S, root=str(scene.root), scene=f"scenes/{scene.name}.scene_instance.json"
        )
        self._ground = np.frombuffer(blob, dtype=np.float32).reshape(body["shape"])
        self._at: dict[int, Thing] = dict(scene.movables)
        self._on = {key: scene.on[key] for key in scene.movables if key in scene.on}
        self._free_again: dict[int, float] = {}

    def live(self) -> None:
        """All days."""
        rng, config = self._rng, self._config
        count = int(rng.integers(config.interactions[0], config.interactions[1] + 1))
        objects = self._choose_objects()
        if len(objects) < 2:
            raise ExperienceError(f"{self._scene.name}: only {len(objects)} objects can be carried about")
        per_day = _split(count, config.days)
        shunned = self._room_to_shun()
        carries = _spread_minutes(count, rng)
        visits = _split(config.distractors, config.days) if config.distractors else [0] * config.days
        start = self._ground[int(rng.integers(len(self._ground)))]
        clock_s = 3600.0 * float(rng.uniform(7.0, 9.0))
        self._do({"do": "start", "position": _floats(start), "yaw": float(rng.uniform(-3, 3)), "clock_s": clock_s})
        self._tour()
        for day in range(config.days):
            if day:
                self._do({"do": "clock", "seconds": day * DAY_S + 3600.0 * float(rng.uniform(7.0, 9.5))})
            avoid = shunned if day == config.days - 1 and day else 0
            for index in range(per_day[day]):
                if visits[day] * (index + 1) // per_day[day] > visits[day] * index // per_day[day]:
                    self._look_at_something(avoid)
                for _ in range(6):
                    if self._errand(objects, avoid, carries):
                        break
                    self.failed += 1
                self._do({"do": "wait", "seconds": 60.0 * float(rng.integers(5, 75))})
        if len(self.interactions) < 2:
            raise ExperienceError(f"{self._scene.name}: only {len(self.interactions)} errands could be done")
        for _ in range(int(rng.integers(1, 5))):
            self._wander(avoid)
        while len(self.frames) < config.min_frames:
            self._wander(avoid)

    # -- parts of a day ------------------------------------------------------------------------------------------

    def _tour(self) -> None:
        for key in self._scene.rooms:
            inside = self._inside(key)
            if len(inside):
                middle = inside.mean(axis=0)
                point = inside[int(np.argmin(np.linalg.norm(inside - middle, axis=1)))]
                self._do({"do": "go_to", "position": _floats(point)}, {"do": "look_around"})

    def _errand(self, objects: list[int], avoid: int, carries: list[float]) -> bool:
        rng = self._rng
        used = {i.object for i in self.interactions}
        again = [key for key in used if self._free_again.get(key, 0) < len(self.interactions)]
        fresh = [key for key in objects if key not in used]
        options = again if (again and (not fresh or rng.uniform() < 0.15)) else fresh
        options = [key for key in options if self._room_now(key) != avoid]
        if not options:
            return False
        key = options[int(rng.integers(len(options)))]
        views, _ = self._worker.call("survey", ids=[key], farthest_m=1.9)
        source_view = next((view for view in views["views"][0] if view[4] >= _LEAST_SHARE), None)
        if source_view is None:
            return False
        source, source_room = self._on[key], self._room_now(key)
        found = self._destination(key, avoid)
        if found is None:
            return False
        target, spot, view = found
        go_to = [{"do": "go_to", "position": source_view[:3]}, {"do": "turn_to", "yaw": source_view[3]}]
        self._do(*go_to, {"do": "pick", "id": key})
        picked = len(self.frames) - 1
        start_s = self.frames[-1]["clock_s"]
        carry_s = carries.pop() if carries else 60.0 * float(rng.uniform(1, 20))
        self._do({"do": "go_to", "position": view[:3]}, {"do": "wait", "seconds": carry_s})
        self._do({"do": "turn_to", "yaw": view[3]})
        self._do({"do": "place", "id": key, "position": list(spot[:3]), "yaw": spot[3]})
        self._at[key] = dataclasses.replace(self._at[key], position=spot[:3], yaw=spot[3])
        self._on[key] = target
        self._free_again[key] = len(self.interactions) + 2
        self.interactions.append(
            Interaction(
                *(key, source, target, source_room, self._room_now(key)),
                *(start_s, self.frames[-1]["clock_s"], picked, len(self.frames) - 1),
            )
        )
        return True

    def _destination(self, key: int, avoid: int) -> tuple[int, tuple[float, float, float, float], list[float]] | None:
        """A receptacle, a free place on it and a place to stand, for an object."""
        scene, rng = self._scene, self._rng
        here = self._room_now(key)
        options = [r for r in scene.receptacles if r != self._on[key] and scene.room_of(r) != avoid]
        busy = {i.target for i in self.interactions}
        weights = np.array([(1.0 if scene.room_of(r) == here else 3.0) * (0.5 if r in busy else 1.0) for r in options])
        for r in rng.choice(options, size=min(5, len(options)), replace=False, p=weights / weights.sum()):
            others = [thing for other, thing in self._at.items() if other != key]
            spots = scene.spots(self._at[key], int(r), others, rng, 3)
            if not spots:
                continue
            body, _ = self._worker.call("probe", key=key, spots=[list(s) for s in spots], least=_LEAST_SHARE)
            if body["spot"] >= 0:
                return int(r), spots[body["spot"]], body["view"]
        return None

    def _look_at_something(self, avoid: int) -> None:
        touched = {i.object for i in self.interactions}
        options = [k for k in self._on if k not in touched and self._room_now(k) != avoid]
        if not options:
            return
        key = options[int(self._rng.integers(len(options)))]
        views, _ = self._worker.call("survey", ids=[key], farthest_m=1.9)
        if views["views"][0]:
            view = views["views"][0][0]
            seconds = float(self._rng.integers(20, 200))
            go_to = [{"do": "go_to", "position": view[:3]}, {"do": "turn_to", "yaw": view[3]}]
            self._do(*go_to, {"do": "wait", "seconds": seconds})

    def _wander(self, avoid: int) -> None:
        rooms = [key for key in self._scene.rooms if key != avoid and len(self._inside(key))]
        inside = self._inside(rooms[int(self._rng.integers(len(rooms)))])
        point = inside[int(self._rng.integers(len(inside)))]
        self._do({"do": "go_to", "position": _floats(point)})
        self._do({"do": "turn_to", "yaw": float(self._rng.uniform(-math.pi, math.pi))})

    # -- helpers -------------------------------------------------------------------------------------------------

    def _choose_objects(self) -> list[int]:
        """What may be carried about, in random order. Of categories with twins, one at least is left alone."""
        keys = [int(k) for k in self._rng.permutation(sorted(self._on))]
        views, _ = self._worker.call("survey", timeout_s=_TIMEOUT_S, ids=keys, farthest_m=1.9)
        seen = [k for k, v in zip(keys, views["views"], strict=True) if v and v[0][4] >= _LEAST_SHARE]
        kept: dict[str, int] = {}
        for key in seen:
            kept.setdefault(self._at[key].category, key)
        twins = [k for k in seen if sum(self._at[o].category == self._at[k].category for o in seen) > 1]
        left_alone = {kept[self._at[k].category] for k in twins}
        return [k for k in seen if k not in left_alone]

    def _room_to_shun(self) -> int:
        """A room that is not entered on the last day, the smallest that is no hallway; 0 with one day."""
        rooms = [room for room in self._scene.rooms.values() if room.kind not in ("hallway", "living room")]
        if self._config.days < 2 or len(self._scene.rooms) < 4:
            return 0
        return rooms[int(self._rng.integers(len(rooms)))].id

    def _room_now(self, key: int) -> int:
        return self._scene.room_of(self._on[key])

    def _inside(self, room: int) -> np.ndarray:
        x0, z0, x1, z1 = self._scene.rooms[room].box
        ground = self._ground
        return ground[
            (ground[:, 0] > x0 + 0.2)
            & (ground[:, 0] < x1 - 0.2)
            & (ground[:, 2] > z0 + 0.2)
            & (ground[:, 2] < z1 - 0.2)
        ]

    def _do(self, *commands: dict[str, Any]) -> None:
        body, blob = self._worker.call("run", timeout_s=_TIMEOUT_S, commands=list(commands), every=self._config.every)
        offset = 0
        for frame in body["frames"]:
            self.pictures.append(blob[offset : offset + frame["bytes"]])
            offset += frame["bytes"]
            self.frames.append(frame)
        self.steps += body["steps"]


def _split(count: int, days: int) -> list[int]:
    """So many things over so many days; later days get what is left over."""
    return [(count * (day + 1)) // days - (count * day) // days for day in range(days)]


def _spread_minutes(count: int, rng: np.random.Generator) -> list[float]:
    """Seconds for which objects are held: no two alike, each a third longer than the one before it."""
    seconds = 40.0 * 1.45 ** np.arange(count) % 5400.0 + 15.0 * np.arange(count)
    return [float(s) for s in rng.permutation(seconds)]


def _floats(values: Any) -> list[float]:
    return [float(value) for value in values]


def histories(houses: Path, names: list[str], per_house: int, seed: int) -> Iterator[tuple[str, int, str]]:
    """(house, seed, folder name) of the histories of some houses."""
    for name in names:
        for index in range(per_house):
            yield name, seed + index, f"{name}_{seed + index}"
