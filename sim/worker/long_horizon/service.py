"""The long-horizon service: a generated house in which a scripted robot walks, looks, picks and places.

The client (`sim.long_horizon`) decides what is done; here it is done, and what the camera saw is handed back. A frame
is kept at every `every`-th step and at every pick and place. Positions: metres, Y up, the scene's frame; yaw: rad about
+Y, 0 looks along -Z.
"""

import math
import os
from typing import Any, Dict, List, Optional, Tuple

import cv2
import habitat_sim
import magnum
import numpy as np

from ..generate import HouseRefused, Survey
from ..server import TaskError
from .body import CAMERA_M, HEIGHT, HFOV_DEG, TILT_RAD, WIDTH, gripper_at
from .walker import Walker

STEP_S, HAND_S = 1.0, 5.0
"""What a step, and what a pick or place takes on the simulated clock."""
_JPEG_QUALITY = 85
_VIEWS_TRIED = 9
_VIEWS_KEPT = 3
_STANDS = 3
_UP = magnum.Vector3(0.0, 1.0, 0.0)


class LongHorizonWorker:
    """Answers the calls in `_calls`; `config` keys: `lab_config` (whose simulator is used)."""

    def __init__(self, config: Dict[str, Any]) -> None:
        import habitat

        from .. import configs, simulator, tasks  # noqa: F401  (they register what they define)

        sensors = "habitat.simulator.agents.main_agent.sim_sensors"
        overrides = [
            "+habitat/simulator/sim_sensors@{}.semantic_sensor=semantic_sensor".format(sensors),
            "~{}.depth_sensor".format(sensors),
        ]
        for camera in ("rgb_sensor", "semantic_sensor"):
            overrides += [
                "{}.{}.width={}".format(sensors, camera, WIDTH),
                "{}.{}.height={}".format(sensors, camera, HEIGHT),
                "{}.{}.hfov={}".format(sensors, camera, HFOV_DEG),
                "{}.{}.position=[0.0,{},0.0]".format(sensors, camera, CAMERA_M),
                "{}.{}.orientation=[{},0.0,0.0]".format(sensors, camera, TILT_RAD),
            ]
        self._config = habitat.get_config(config["lab_config"], overrides).habitat
        self._sim: Any = None
        self._path = ""
        self._calls = {
            "open": self._open,
            "survey": self._survey,
            "probe": self._probe,
            "run": self._run,
            "look": self._look,
            "follow": self._follow,
            "distances": self._distances,
            "arrange": self._arrange,
            "lengths": self._lengths,
        }

    def hello(self) -> Tuple[Dict[str, Any], Optional[int]]:
        return {"habitat_sim": str(habitat_sim.__version__)}, None

    def call(self, name: str, arguments: Dict[str, Any]) -> Tuple[Dict[str, Any], bytes]:
        if name not in self._calls:
            raise TaskError("the long-horizon service answers {}, not '{}'".format(", ".join(self._calls), name))
        return self._calls[name](**arguments)

    def step(self) -> Dict[str, Any]:
        raise TaskError("the long-horizon service holds no environment to step")

    def reset(self, body: Dict[str, Any]) -> Dict[str, Any]:
        raise TaskError("the long-horizon service holds no environment to reset")

    def close(self) -> None:
        if self._sim is not None:
            self._sim.close()

    # -- calls ---------------------------------------------------------------------------------------------------

    def _open(self, root: str, scene: str) -> Tuple[Dict[str, Any], bytes]:
        """Loads a house, everything in its first place. Returns the free ground that is one island: [n, 3] float32."""
        from habitat.config import read_write
        from habitat.sims import make_sim

        from ..checks import check_instance

        path = os.path.join(root, scene)
        check_instance(path)
        if self._sim is not None and path == self._path:
            for key in self._moved:  # the same house again is not loaded anew
                self._bodies[key].translation, self._bodies[key].rotation = self._first[key]
        with read_write(self._config):
            self._config.simulator.scene = path
            self._config.simulator.scene_dataset = os.path.join(root, "engram.scene_dataset_config.json")
        if self._sim is None:
            self._sim = make_sim(self._config.simulator.type, config=self._config.simulator)
        else:
            self._sim.reconfigure(self._config.simulator)
        if self._sim.catalogue is None:
            raise TaskError("{} is no generated house: it has no catalogue".format(path))
        try:
            survey = Survey(self._sim, [])
        except HouseRefused as refused:
            raise TaskError("{}: {}".format(scene, refused)) from refused
        self._points = survey.points
        self._instances = {int(i["semantic_id"]): i for i in self._sim.catalogue["instances"]}
        manager = self._sim.get_rigid_object_manager()
        self._bodies = {key: manager.get_object_by_handle(i["handle"]) for key, i in self._instances.items()}
        self._moved: Dict[int, bool] = {}
        self._at = {key: np.array(i["position"], dtype=np.float32) for key, i in self._instances.items()}
        if path != self._path:
            self._first = {key: (body.translation, body.rotation) for key, body in self._bodies.items()}
        self._path = path
        self._held: Optional[int] = None
        self._step_count, self._clock_s = 0, 0.0
        self._walker = Walker(self._sim.pathfinder, self._points[0], 0.0)
        return {"shape": list(self._points.shape)}, self._points.astype(np.float32).tobytes()

    def _survey(self, ids: List[int], farthest_m: float) -> Tuple[Dict[str, Any], bytes]:
        """For each instance up to three places that see it well: [x, y, z, yaw, share of the picture], best first."""
        return {"views": [self._views(int(key), farthest_m) for key in ids]}, b""

    def _probe(self, key: int, spots: List[List[float]], least: float) -> Tuple[Dict[str, Any], bytes]:
        """The first of `spots` [x, y, z, yaw] at which an instance would be seen well (`least` of the picture).

        Returns `spot` (its index, -1 if none) and its best `view`, as in `survey`. Nothing is moved.
        """
        was_moved = key in self._moved
        before = self._bodies[key].translation, self._bodies[key].rotation, self._at[key]
        found: Dict[str, Any] = {"spot": -1, "view": []}
        for index, (x, y, z, yaw) in enumerate(spots):
            self._set(key, [x, y, z], yaw)
            views = self._views(key, 1.9)
            if views and views[0][4] >= least:
                found = {"spot": index, "view": views[0]}
                break
        self._bodies[key].translation, self._bodies[key].rotation, self._at[key] = before
        if not was_moved:
            del self._moved[key]
        return found, b""

    def _arrange(self, positions: Dict[str, List[float]]) -> Tuple[Dict[str, Any], bytes]:
        """Puts instances where they are to be ([x, y, z] m), all others in their first places."""
        for key in list(self._moved):
            if str(key) not in positions:
                self._set(key, self._instances[key]["position"], float(self._instances[key]["yaw"]))
        for name, position in positions.items():
            self._set(int(name), position, float(self._instances[int(name)]["yaw"]))
        return {}, b""

    def _distances(self, start: List[float]) -> Tuple[Dict[str, Any], bytes]:
        """Metres by path from a place to every instance where it is now."""
        at = np.array(start, dtype=np.float32)
        return {"metres": {str(key): self._metres(at, self._stands(key)) for key in self._instances}}, b""

    def _run(self, commands: List[Dict[str, Any]], every: int) -> Tuple[Dict[str, Any], bytes]:
        """Does as told. `frames`: one mapping each, their JPEG pictures one after another in the blob.

        Commands: {do: start, position, yaw, clock_s}, {do: go_to, position}, {do: turn_to, yaw}, {do: look_around},
        {do: pick, id}, {do: place, id, position, yaw}, {do: wait, seconds}, {do: clock, seconds}.
        """
        self._frames: List[Dict[str, Any]] = []
        self._pictures: List[bytes] = []
        self._steps: List[List[float]] = []
        for command in commands:
            self._obey(command, every)
        return {"frames": self._frames, "steps": self._steps}, b"".join(self._pictures)

    def _look(self, poses: List[List[float]]) -> Tuple[Dict[str, Any], bytes]:
        """What each pose [x, y, z, yaw] sees of the house as it is now: rows [pose, id, pixels, metres by path]."""
        rows = []
        stands: Dict[int, Any] = {}
        for index, (x, y, z, yaw) in enumerate(poses):
            position = np.array([x, y, z], dtype=np.float32)
            for key, pixels in self._seen(position, yaw):
                if key not in stands:
                    stands[key] = self._stands(key)
                rows.append([index, key, pixels, self._metres(position, stands[key])])
        return {"rows": rows}, b""

    def _follow(self, start: List[float], goals: List[List[float]], max_steps: int) -> Tuple[Dict[str, Any], bytes]:
        """The shortest-path follower from `start` to each goal pose in turn: steps, metres, end; `rows` as `look`."""
        walker = Walker(self._sim.pathfinder, start[:3], start[3])
        legs, left = [], max_steps
        for x, y, z, yaw in goals:
            steps, metres, before = 0, 0.0, walker.position
            for moves in (walker.go_to([x, y, z]), walker.turn_to(yaw)):
                for _ in moves:
                    steps += 1
                    metres += float(np.linalg.norm(walker.position - before))
                    before = walker.position
                    if steps >= left:
                        break
                if steps >= left:
                    break
            left -= steps
            pose = [float(v) for v in walker.position] + [walker.yaw]
            legs.append({"steps": steps, "metres": metres, "pose": pose, "timeout": left <= 0})
            if left <= 0:
                break
        seen, _ = self._look([leg["pose"] for leg in legs])
        return {"legs": legs, "rows": seen["rows"]}, b""

    def _lengths(self, pairs: List[List[List[float]]]) -> Tuple[Dict[str, Any], bytes]:
        """Metres along the shortest path between the two places of each pair."""
        found = []
        for start, end in pairs:
            path = habitat_sim.ShortestPath()
            path.requested_start = np.array(start, dtype=np.float32)
            path.requested_end = np.array(end, dtype=np.float32)
            reached = self._sim.pathfinder.find_path(path)
            found.append(round(float(path.geodesic_distance), 4) if reached else 1e6)
        return {"metres": found}, b""

    # -- acting --------------------------------------------------------------------------------------------------

    def _obey(self, command: Dict[str, Any], every: int) -> None:
        do, walker = command["do"], self._walker
        if do == "start":
            self._walker = Walker(self._sim.pathfinder, command["position"], command["yaw"])
            self._clock_s = float(command["clock_s"])
            self._keep("start")
        elif do == "clock":
            self._clock_s = float(command["seconds"])
            self._keep("wait")
        elif do == "wait":
            self._clock_s += float(command["seconds"])
            self._keep("wait")
        elif do == "pick":
            self._held = int(command["id"])
            self._clock_s += HAND_S
            self._keep("pick")
        elif do == "place":
            self._set(int(command["id"]), command["position"], float(command["yaw"]))
            self._held = None
            self._clock_s += HAND_S
            self._keep("place")
        else:
            moves = {
                "go_to": lambda: walker.go_to(command["position"]),
                "turn_to": lambda: walker.turn_to(command["yaw"]),
                "look_around": walker.look_around,
            }
            for action in moves[do]():
                self._step_count += 1
                self._clock_s += STEP_S
                x, _, z = (float(v) for v in walker.position)
                self._steps.append([self._step_count, round(x, 3), round(z, 3), round(walker.yaw, 4), self._clock_s])
                if self._step_count % every == 0:
                    self._keep(action)

    def _carry(self) -> None:
        if self._held is None:
            return
        x, y, z = (float(v) for v in self._walker.position)
        at = gripper_at(x, y, z, self._walker.yaw)
        self._set(self._held, at, self._walker.yaw)

    def _set(self, key: int, position: Any, yaw: float) -> None:
        body = self._bodies[key]
        if key not in self._moved:
            body.motion_type = habitat_sim.physics.MotionType.KINEMATIC
            self._moved[key] = True
        body.translation = magnum.Vector3(*[float(v) for v in position])
        body.rotation = magnum.Quaternion.rotation(magnum.Rad(yaw), _UP)
        self._at[key] = np.array(position, dtype=np.float32)

    def _keep(self, action: str) -> None:
        """Takes a frame."""
        walker = self._walker
        self._carry()
        visible = self._seen(walker.position, walker.yaw)
        camera = self._sim._sensors["rgb"]
        camera.draw_observation()
        picture = np.asarray(camera.get_observation())[..., 2::-1]
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        self._pictures.append(data.tobytes())
        self._frames.append(
            {
                "step": self._step_count,
                "clock_s": self._clock_s,
                "pose": [round(float(v), 4) for v in walker.position] + [round(walker.yaw, 5)],
                "action": action,
                "held": self._held or 0,
                "held_at": [] if self._held is None else [round(float(v), 3) for v in self._at[self._held]],
                "moved": {str(key): [round(float(v), 4) for v in self._at[key]] for key in self._moved},
                "visible": [[key, pixels] for key, pixels in visible],
                "bytes": len(data),
            }
        )

    # -- seeing --------------------------------------------------------------------------------------------------

    def _seen(self, position: Any, yaw: float) -> List[Tuple[int, int]]:
        """(id, pixels) of every instance in the picture from a pose, the largest first."""
        node = self._sim.get_agent(0).scene_node
        node.translation = magnum.Vector3(*[float(v) for v in position])
        node.rotation = magnum.Quaternion.rotation(magnum.Rad(float(yaw)), _UP)
        sensor = self._sim._sensors["semantic"]
        sensor.draw_observation()
        counts = np.bincount(np.asarray(sensor.get_observation()).ravel())
        found = [(int(key), int(counts[key])) for key in np.flatnonzero(counts) if key > 0]
        return sorted(found, key=lambda pair: -pair[1])

    def _views(self, key: int, farthest_m: float) -> List[List[float]]:
        centre = self._at[key]
        offset = self._points[:, [0, 2]] - centre[[0, 2]]
        away_m = np.hypot(*offset.T)
        near = np.flatnonzero((away_m < farthest_m) & (away_m > 0.3))
        if not len(near):
            return []
        # Spread over directions and distances: the n-th candidate is the point farthest from those before it.
        chosen = [int(near[np.argmin(np.abs(away_m[near] - 0.9))])]
        gaps = np.linalg.norm(self._points[near] - self._points[chosen[0]], axis=1)
        while len(chosen) < min(_VIEWS_TRIED, len(near)):
            index = int(near[int(np.argmax(gaps))])
            chosen.append(index)
            gaps = np.minimum(gaps, np.linalg.norm(self._points[near] - self._points[index], axis=1))
        views = []
        for index in chosen:
            position = self._points[index]
            yaw = math.atan2(position[0] - centre[0], position[2] - centre[2])
            pixels = dict(self._seen(position, yaw)).get(key, 0)
            if pixels:
                share = pixels / float(WIDTH * HEIGHT)
                views.append([float(v) for v in position] + [yaw, share])
        return sorted(views, key=lambda view: -view[4])[:_VIEWS_KEPT]

    def _stands(self, key: int) -> List[Tuple[np.ndarray, float]]:
        """Free ground beside an instance, in its own room, and how far from its middle that is (m, on the ground)."""
        x, _, z = (float(v) for v in self._at[key])
        points = self._points
        for room in self._sim.catalogue["rooms"]:
            x0, z0, x1, z1 = room["box"]
            if x0 <= x <= x1 and z0 <= z <= z1:
                inside = (points[:, 0] > x0) & (points[:, 0] < x1) & (points[:, 2] > z0) & (points[:, 2] < z1)
                points = points[inside] if inside.any() else points
                break
        gaps = np.hypot(points[:, 0] - x, points[:, 2] - z)
        near = np.flatnonzero(gaps < gaps.min() + 0.5)
        chosen = near[np.linspace(0, len(near) - 1, min(_STANDS, len(near))).astype(int)]
        return [(points[i], float(gaps[i])) for i in [int(np.argmin(gaps)), *(int(i) for i in chosen)]]

    def _metres(self, start: np.ndarray, stands: List[Tuple[np.ndarray, float]]) -> float:
        """By path to beside an instance and straight on to its middle."""
        least = 1e6
        for stand, gap_m in stands:
            path = habitat_sim.ShortestPath()
            path.requested_start, path.requested_end = start, stand
            if self._sim.pathfinder.find_path(path):
                least = min(least, float(path.geodesic_distance) + gap_m)
        return round(least, 3)
