"""The episode service: loads a generated house, checks it, and makes episodes for it.

It runs the simulator that the tasks run (same navmesh, same semantic ids), so that what it calls reachable and visible
is so in the tasks. Everything is a function of the house and the seed given with each request.
"""

import math
import os
import zlib
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import magnum
import numpy as np

from .server import TaskError

GRID_M = 0.1
_GROUND_M = 0.35
"""Navmesh points above this are on furniture."""
_ROOF_M = 2.3
_POCKET_M2 = 1.0
"""Free floor that nothing reaches may not be larger than this: gaps between pieces of furniture are smaller."""
_ROOM_FREE_M2 = 0.6
_UNSEEN_SHARE = 0.1
_CAMERA_M = 0.88
_VISIBLE_PIXELS = 4
_VIEWS_TRIED = 10
_VIEWS_KEPT = 6
_MAX_DRAWS = 400
_STRAIGHT_RATIO = 1.1


class HouseRefused(Exception):
    """The house fails a check; the message is the reason."""


class EpisodeGenerator:
    """Answers the call `house`; `config` keys: `lab_config` (of the task whose simulator is used) and `overrides`."""

    def __init__(self, config: Dict[str, Any]) -> None:
        import habitat

        from . import configs, simulator, tasks  # noqa: F401  (they register what they define)

        sensors = "habitat.simulator.agents.main_agent.sim_sensors"
        overrides = [
            "+habitat/simulator/sim_sensors@{}.semantic_sensor=semantic_sensor".format(sensors),
            "~{}.rgb_sensor".format(sensors),
            "~{}.depth_sensor".format(sensors),
            "{}.semantic_sensor.width=64".format(sensors),
            "{}.semantic_sensor.height=64".format(sensors),
            "{}.semantic_sensor.hfov=90".format(sensors),
            "{0}.semantic_sensor.position=[0.0,{1},0.0]".format(sensors, _CAMERA_M),
        ]
        self._config = habitat.get_config(config["lab_config"], overrides + list(config.get("overrides", []))).habitat
        self._sim: Any = None

    def hello(self) -> Tuple[Dict[str, Any], Optional[int]]:
        import habitat_sim

        return {"habitat_sim": str(habitat_sim.__version__)}, None

    def call(self, name: str, arguments: Dict[str, Any]) -> Tuple[Dict[str, Any], bytes]:
        if name == "house":
            return self._house(**arguments), b""
        if name == "reload":  # habitat-sim reads a data set's configs once
            self.close()
            self._sim = None
            return {}, b""
        if name == "pictures":
            return self._pictures(**arguments)
        raise TaskError("the episode service answers 'house', 'pictures' and 'reload', not '{}'".format(name))

    def step(self) -> Dict[str, Any]:
        raise TaskError("the episode service holds no environment to step")

    def reset(self, body: Dict[str, Any]) -> Dict[str, Any]:
        raise TaskError("the episode service holds no environment to reset")

    def close(self) -> None:
        if self._sim is not None:
            self._sim.close()

    def _house(
        self, root: str, scene: str, seed: int, categories: List[str], counts: Dict[str, int], limits: Dict[str, Any]
    ) -> Dict[str, Any]:
        """Episodes of one house.

        Args:
            root: the data set's folder; `scene` (the scene instance file) is relative to it.
            seed: of everything drawn.
            categories: what may be a goal, in the order of their task ids.
            counts: how many episodes of pointnav, objectnav and ext_objectnav.
            limits: `pointnav` and `objectnav`: [least, most] geodesic metres to the goal; `goals_per_trial`.

        Returns:
            `refused`: why the house fails its checks, else None; then also `report` (free area, instances seen),
            `pointnav`, `objectnav`, `ext_objectnav` (episodes) and `goals` (category -> goals, habitat-lab's format).
        """
        self._load(root, scene)
        try:
            survey = Survey(self._sim, categories)
            maker = _EpisodeMaker(self._sim, survey, scene, seed, limits)
            episodes = {
                "pointnav": maker.pointnav(counts.get("pointnav", 0)),
                "objectnav": maker.objectnav(counts.get("objectnav", 0)),
                "ext_objectnav": maker.ext_objectnav(counts.get("ext_objectnav", 0)),
            }
        except HouseRefused as refused:
            return {"refused": str(refused)}
        return dict(episodes, refused=None, goals=survey.goals, report=survey.report)

    def _pictures(self, root: str, scene: str, pixels: int, count: int) -> Tuple[Dict[str, Any], bytes]:
        """Pictures of a house (`pictures.take`), as bytes and their shape."""
        from . import pictures

        self._load(root, scene)
        survey = Survey(self._sim, [])
        taken = pictures.take(root, scene, survey.catalogue, survey.points, pixels, count, survey.catalogue["seed"])
        return {"shape": list(taken.shape)}, taken.tobytes()

    def _load(self, root: str, scene: str) -> None:
        from habitat.config import read_write
        from habitat.sims import make_sim

        from .checks import check_instance

        path = os.path.join(root, scene)
        check_instance(path)
        with read_write(self._config):
            self._config.simulator.scene = path
            self._config.simulator.scene_dataset = os.path.join(root, "engram.scene_dataset_config.json")
        if self._sim is None:
            self._sim = make_sim(self._config.simulator.type, config=self._config.simulator)
        else:
            self._sim.reconfigure(self._config.simulator)


class _View(NamedTuple):
    position: np.ndarray
    yaw: float
    iou: float


class Survey:
    """What a loaded house offers: free ground that is one island, and which objects can be seen from where.

    Raises:
        HouseRefused: a check failed.
    """

    def __init__(self, sim: Any, categories: List[str]) -> None:
        self._sim = sim
        self._finder = sim.pathfinder
        self.catalogue = sim.catalogue
        if self.catalogue is None:
            raise TaskError("{} is no generated house: it has no catalogue".format(sim.habitat_config.scene))
        self._check_roof()
        self.points, pocket_m2 = self._free_ground()
        self.goals: Dict[str, List[Dict[str, Any]]] = {}
        unseen: List[str] = []
        wanted = [instance for instance in self.catalogue["instances"] if instance["category"] in categories]
        for instance in wanted:
            views = self._views(instance)
            if views:
                goal = _object_goal(instance, categories.index(instance["category"]), views)
                self.goals.setdefault(instance["category"], []).append(goal)
            else:
                unseen.append(instance["name"])
        if categories and len(self.goals) < 2:
            raise HouseRefused("only {} goal categories can be reached and seen".format(len(self.goals)))
        if len(unseen) > _UNSEEN_SHARE * len(wanted):
            raise HouseRefused("{} of {} objects can be seen from nowhere".format(len(unseen), len(wanted)))
        self.report = {
            "free_m2": round(len(self.points) * GRID_M**2, 2),
            "pocket_m2": round(pocket_m2, 2),
            "goal_instances": sum(len(goals) for goals in self.goals.values()),
            "unseen": unseen,
        }

    def distance(self, start: Any, ends: Any) -> float:
        """Metres along the shortest path from `start` to the nearest of `ends`; infinite where there is none."""
        import habitat_sim

        path = habitat_sim.MultiGoalShortestPath()
        path.requested_start = np.asarray(start, dtype=np.float32)
        path.requested_ends = np.asarray(ends, dtype=np.float32)
        self._finder.find_path(path)
        return float(path.geodesic_distance)

    def _check_roof(self) -> None:
        vertices = np.asarray(self._finder.build_navmesh_vertices())
        if len(vertices) == 0:
            raise HouseRefused("there is no free floor")
        top = float(vertices[:, 1].max())
        if top > _ROOF_M:
            raise HouseRefused("the navmesh reaches the roof ({:.1f} m)".format(top))

    def _free_ground(self) -> Tuple[np.ndarray, float]:
        """Points of the ground-floor island on a grid ([n, 3] m), and the free area cut off from it (m2)."""
        ground: Dict[Tuple[int, int], np.ndarray] = {}
        rooms = self.catalogue["rooms"]
        x0, z0 = min(r["box"][0] for r in rooms), min(r["box"][1] for r in rooms)
        x1, z1 = max(r["box"][2] for r in rooms), max(r["box"][3] for r in rooms)
        for i in range(int((x1 - x0) / GRID_M) + 1):
            for j in range(int((z1 - z0) / GRID_M) + 1):
                asked = np.array([x0 + i * GRID_M, 0.0, z0 + j * GRID_M], dtype=np.float32)
                if self._finder.is_navigable(asked, _GROUND_M):
                    point = np.array(self._finder.snap_point(asked), dtype=np.float32)
                    if point[1] < _GROUND_M and math.hypot(point[0] - asked[0], point[2] - asked[2]) < 0.02:
                        ground[i, j] = point
        if not ground:
            raise HouseRefused("there is no free floor")
        pieces = _pieces(ground)
        main = max(pieces, key=len)
        anchor = ground[main[len(main) // 2]]
        cut_off = 0.0
        for piece in pieces:
            # The grid may miss a passage that the navmesh has: ask the navmesh.
            if piece is not main and not math.isfinite(self.distance(anchor, [ground[piece[0]]])):
                cut_off += len(piece) * GRID_M**2
                for cell in piece:
                    del ground[cell]
        if cut_off > _POCKET_M2:
            raise HouseRefused("{:.1f} m2 of floor are cut off".format(cut_off))
        points = np.array([ground[cell] for cell in sorted(ground)], dtype=np.float32)
        for room in rooms:
            inside = _inside(points, room["box"])
            if inside.sum() * GRID_M**2 < _ROOM_FREE_M2:
                raise HouseRefused("the {} has no free floor that can be reached".format(room["name"]))
        return points, cut_off

    def _views(self, instance: Dict[str, Any]) -> List[_View]:
        """Places near an instance from which the agent's camera sees it."""
        centre = np.array(instance["position"])
        yaw = instance["yaw"]
        c, s = math.cos(yaw), math.sin(yaw)
        offset = self.points[:, [0, 2]] - centre[[0, 2]]
        local = np.abs(np.stack([offset[:, 0] * c - offset[:, 1] * s, offset[:, 0] * s + offset[:, 1] * c], axis=1))
        half = np.array([instance["dimensions"][0], instance["dimensions"][2]]) / 2.0
        gaps = np.hypot(*np.maximum(local - half, 0.0).T)
        # The camera looks straight ahead: what lies low or hangs high is seen from some way off only.
        least = max(0.0, abs(centre[1] - _CAMERA_M) - instance["dimensions"][1] / 2.0 - 0.15)
        near = np.flatnonzero((np.hypot(*offset.T) > least) & (gaps < max(1.0, least + 0.4)))
        views: List[_View] = []
        for index in _spread(self.points[near], gaps[near], _VIEWS_TRIED):
            position = self.points[near[index]]
            yaw = math.atan2(position[0] - centre[0], position[2] - centre[2])
            iou = self._look(position, yaw, int(instance["semantic_id"]))
            if iou is not None:
                views.append(_View(position, yaw, iou))
                if len(views) == _VIEWS_KEPT:
                    break
        return views

    def _look(self, position: np.ndarray, yaw: float, semantic_id: int) -> Optional[float]:
        """None where fewer than a few pixels of the instance are seen; else its overlap with the view's middle."""
        node = self._sim.get_agent(0).scene_node
        node.translation = magnum.Vector3(*[float(v) for v in position])
        node.rotation = magnum.Quaternion.rotation(magnum.Rad(yaw), magnum.Vector3(0.0, 1.0, 0.0))
        sensor = self._sim._sensors["semantic"]
        sensor.draw_observation()
        seen = np.asarray(sensor.get_observation()) == semantic_id
        if int(seen.sum()) < _VISIBLE_PIXELS:
            return None
        rows, columns = seen.shape
        middle = np.zeros_like(seen)
        middle[rows // 4 : 3 * rows // 4, columns // 4 : 3 * columns // 4] = True
        return float((seen & middle).sum() / (seen | middle).sum())


class _EpisodeMaker:
    """Draws episodes in a surveyed house."""

    def __init__(self, sim: Any, survey: Survey, scene: str, seed: int, limits: Dict[str, Any]) -> None:
        self._survey = survey
        self._scene = scene
        self._seed = seed
        self._limits = limits
        self._views = {
            category: np.array([v["agent_state"]["position"] for goal in goals for v in goal["view_points"]])
            for category, goals in survey.goals.items()
        }

    def pointnav(self, count: int) -> List[Dict[str, Any]]:
        """Start and goal on the island; near-straight ways are mostly refused, as habitat-lab's generator does."""
        rng = self._rng("pointnav")
        least, most = self._limits["pointnav"]
        episodes: List[Dict[str, Any]] = []
        for _ in range(count * _MAX_DRAWS):
            if len(episodes) == count:
                break
            start, goal = self._point(rng), self._point(rng)
            straight = float(np.linalg.norm(start - goal))
            if straight < 0.3:
                continue
            metres = self._survey.distance(start, [goal])
            if not least <= metres <= most:
                continue
            ratio = metres / straight
            if ratio < _STRAIGHT_RATIO and rng.uniform() > 20.0 * (ratio - 0.98) ** 2:
                continue
            episode = self._episode(len(episodes), start, rng)
            episode["goals"] = [{"position": _floats(goal), "radius": None}]
            episode["info"] = {"geodesic_distance": round(metres, 4), "euclidean_distance": round(straight, 4)}
            episodes.append(episode)
        return self._all(episodes, count, "pointnav")

    def objectnav(self, count: int) -> List[Dict[str, Any]]:
        rng = self._rng("objectnav")
        episodes: List[Dict[str, Any]] = []
        names = sorted(self._views)
        for _ in range(count * _MAX_DRAWS):
            if len(episodes) == count:
                break
            category, start = names[rng.integers(len(names))], self._point(rng)
            metres = self._survey.distance(start, self._views[category])
            if self._within(metres):
                episodes.append(self._object_episode(len(episodes), start, category, metres, rng))
        return self._all(episodes, count, "objectnav")

    def ext_objectnav(self, count: int) -> List[Dict[str, Any]]:
        """Trials of `goals_per_trial` goals, each some way from all instances of the last where the house allows it."""
        rng = self._rng("ext_objectnav")
        episodes: List[Dict[str, Any]] = []
        names = sorted(self._views)
        apart = self._apart(names) if count else {}
        for _ in range(count * _MAX_DRAWS):
            if len(episodes) == count:
                break
            start, first = self._point(rng), names[rng.integers(len(names))]
            metres = self._survey.distance(start, self._views[first])
            if not self._within(metres):
                continue
            sequence = [first]
            while len(sequence) < self._limits["goals_per_trial"]:
                following = apart[sequence[-1]]
                sequence.append(following[rng.integers(len(following))])
            episode = self._object_episode(len(episodes), start, first, metres, rng)
            episode["info"]["goal_sequence"] = sequence
            episodes.append(episode)
        return self._all(episodes, count, "ext_objectnav")

    # -- parts ---------------------------------------------------------------------------------------------------

    def _rng(self, task: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, zlib.crc32(task.encode())])

    def _point(self, rng: np.random.Generator) -> np.ndarray:
        """A point of the island, off the grid."""
        while True:
            point = self._survey.points[rng.integers(len(self._survey.points))]
            moved = point + np.array([rng.uniform(-0.05, 0.05), 0.0, rng.uniform(-0.05, 0.05)], dtype=np.float32)
            if self._survey._finder.is_navigable(moved, _GROUND_M):
                snapped = np.array(self._survey._finder.snap_point(moved), dtype=np.float32)
                if abs(float(snapped[1] - point[1])) < 0.1:
                    return snapped

    def _within(self, metres: float) -> bool:
        least, most = self._limits["objectnav"]
        return bool(least <= metres <= most)

    def _apart(self, names: List[str]) -> Dict[str, List[str]]:
        """For each category those others of which no instance is nearer to its instances than the least distance."""
        least = self._limits["objectnav"][0]
        result: Dict[str, List[str]] = {}
        for name in names:
            stands = [goal["view_points"][0]["agent_state"]["position"] for goal in self._survey.goals[name]]
            others = [other for other in names if other != name]
            far = [o for o in others if min(self._survey.distance(p, self._views[o]) for p in stands) >= least]
            result[name] = far or others
        return result

    def _episode(self, index: int, start: np.ndarray, rng: np.random.Generator) -> Dict[str, Any]:
        half = float(rng.uniform(0.0, math.pi))
        return {
            "episode_id": str(index),
            "scene_id": self._scene,
            "scene_dataset_config": "engram.scene_dataset_config.json",
            "start_position": _floats(start),
            "start_rotation": _floats([0.0, math.sin(half), 0.0, math.cos(half)], 6),
            "shortest_paths": None,
            "start_room": None,
        }

    def _object_episode(
        self, index: int, start: np.ndarray, category: str, metres: float, rng: np.random.Generator
    ) -> Dict[str, Any]:
        episode = self._episode(index, start, rng)
        goals = self._survey.goals[category]
        straight = [float(np.linalg.norm(np.array(goal["position"]) - start)) for goal in goals]
        closest = goals[int(np.argmin(straight))]
        episode.update(goals=[], object_category=category)
        episode["info"] = {
            "geodesic_distance": round(metres, 4),
            "euclidean_distance": round(min(straight), 4),
            "closest_goal_object_id": int(closest["object_id"]),
        }
        return episode

    def _all(self, episodes: List[Dict[str, Any]], count: int, task: str) -> List[Dict[str, Any]]:
        if len(episodes) < count:
            raise HouseRefused("only {} of {} {} episodes could be drawn".format(len(episodes), count, task))
        return episodes


def _object_goal(instance: Dict[str, Any], category_id: int, views: List[_View]) -> Dict[str, Any]:
    """habitat-lab's ObjectGoal as JSON."""
    return {
        "position": _floats(instance["position"]),
        "radius": None,
        "object_id": str(instance["semantic_id"]),
        "object_name": instance["name"],
        "object_name_id": category_id,
        "object_category": instance["category"],
        "room_id": None,
        "room_name": instance["room"],
        "view_points": [
            {
                "agent_state": {
                    "position": _floats(view.position),
                    "rotation": _floats([0.0, math.sin(view.yaw / 2.0), 0.0, math.cos(view.yaw / 2.0)]),
                },
                "iou": round(view.iou, 4),
            }
            for view in views
        ],
    }


def _pieces(ground: Dict[Tuple[int, int], Any]) -> List[List[Tuple[int, int]]]:
    """Connected sets of grid cells."""
    left = set(ground)
    pieces = []
    while left:
        stack = [min(left)]
        left.discard(stack[0])
        piece = []
        while stack:
            i, j = stack.pop()
            piece.append((i, j))
            for cell in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                if cell in left:
                    left.discard(cell)
                    stack.append(cell)
        pieces.append(piece)
    return pieces


def _spread(points: np.ndarray, gaps: np.ndarray, count: int) -> List[int]:
    """Indices of up to `count` points: the one nearest the object, then each time the one farthest from all chosen."""
    if len(points) == 0:
        return []
    chosen = [int(np.argmin(gaps))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmax(distance - 0.5 * gaps)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return list(dict.fromkeys(chosen))


def _inside(points: np.ndarray, box: List[float]) -> np.ndarray:
    x0, z0, x1, z1 = box
    return (points[:, 0] >= x0) & (points[:, 0] <= x1) & (points[:, 2] >= z0) & (points[:, 2] <= z1)


def _floats(values: Any, digits: int = 4) -> List[float]:
    return [round(float(value), digits) for value in values]
