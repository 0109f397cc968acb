"""Pictures of generated houses, for people: one from above, and views from where an agent could stand."""

import math
import os
from typing import Any, List, Tuple

import habitat_sim
import magnum
import numpy as np

_EYE_M = 1.25
_ABOVE_HFOV_DEG = 24.0
_LOOKS_PER_ROOM = 10
_MARGIN = 1.06


def take(root: str, scene: str, catalogue: Any, points: np.ndarray, pixels: int, count: int, seed: int) -> np.ndarray:
    """Renders a house: [1 + count, pixels, pixels, 3] uint8, first the view from above, then views into its rooms.

    Args:
        root, scene: the data set's folder and the scene instance file in it.
        catalogue: the house's.
        points: free floor ([n, 3] m) to stand on.
        pixels: side of each picture.
        count: views into rooms, the largest rooms first; each is the fullest of a few that `seed` draws.
    """
    sim = _open(root, os.path.join(root, scene), pixels)
    try:
        _name(sim, catalogue)
        pictures = [_from_above(sim, catalogue)]
        rng = np.random.default_rng(seed)
        rooms = sorted(catalogue["rooms"], key=lambda room: (room["kind"] == "hallway", -_area(room["box"])))
        for index in range(count):
            box = rooms[index % len(rooms)]["box"]
            inside = points[
                (points[:, 0] > box[0]) & (points[:, 0] < box[2]) & (points[:, 2] > box[1]) & (points[:, 2] < box[3])
            ]
            pictures.append(_best_view(sim, inside, box, rng))
        return np.stack(pictures)
    finally:
        sim.close()


def _open(root: str, path: str, pixels: int) -> Any:
    backend = habitat_sim.SimulatorConfiguration()
    backend.scene_dataset_config_file = os.path.join(root, "engram.scene_dataset_config.json")
    backend.scene_id = path
    backend.enable_physics = True
    agent = habitat_sim.AgentConfiguration()
    kinds = habitat_sim.SensorType
    for uuid, kind, height, hfov in (
        ("view", kinds.COLOR, _EYE_M, 80.0),
        ("ids", kinds.SEMANTIC, _EYE_M, 80.0),
        ("above", kinds.COLOR, 0.0, _ABOVE_HFOV_DEG),
    ):
        camera = habitat_sim.CameraSensorSpec()
        camera.uuid, camera.sensor_type, camera.hfov = uuid, kind, hfov
        camera.resolution = [64, 64] if uuid == "ids" else [pixels, pixels]
        camera.position = [0.0, height, 0.0]
        if uuid == "above":
            camera.orientation = [-math.pi / 2.0, 0.0, 0.0]
            camera.near = 1.0
        agent.sensor_specifications = [*agent.sensor_specifications, camera] if uuid != "view" else [camera]
    return habitat_sim.Simulator(habitat_sim.Configuration(backend, [agent]))


def _name(sim: Any, catalogue: Any) -> None:
    manager = sim.get_rigid_object_manager()
    handles = sorted(manager.get_object_handles(), key=manager.get_object_id_by_handle)
    for handle, instance in zip(handles, catalogue["instances"]):
        manager.get_object_by_handle(handle).semantic_id = int(instance["semantic_id"])


def _look(sim: Any, sensor: str, position: Any, yaw: float) -> np.ndarray:
    node = sim.get_agent(0).scene_node
    node.translation = magnum.Vector3(*[float(v) for v in position])
    node.rotation = magnum.Quaternion.rotation(magnum.Rad(yaw), magnum.Vector3(0.0, 1.0, 0.0))
    sim._sensors[sensor].draw_observation()
    return np.array(sim._sensors[sensor].get_observation())


def _from_above(sim: Any, catalogue: Any) -> np.ndarray:
    boxes = [room["box"] for room in catalogue["rooms"]]
    x0, z0 = min(b[0] for b in boxes), min(b[1] for b in boxes)
    x1, z1 = max(b[2] for b in boxes), max(b[3] for b in boxes)
    height = max(x1 - x0, z1 - z0) / 2.0 * _MARGIN / math.tan(math.radians(_ABOVE_HFOV_DEG / 2.0))
    return _look(sim, "above", ((x0 + x1) / 2.0, height + 1.5, (z0 + z1) / 2.0), 0.0)[..., :3]


def _best_view(sim: Any, points: np.ndarray, box: List[float], rng: np.random.Generator) -> np.ndarray:
    """From near a wall across the room: the look that shows the most of the most objects."""
    middle = np.array([(box[0] + box[2]) / 2.0, (box[1] + box[3]) / 2.0])
    best: Tuple[float, Any, float] = (-1.0, points[0], 0.0)
    for _ in range(_LOOKS_PER_ROOM):
        point = max(points[rng.integers(len(points), size=4)], key=lambda p: np.hypot(*(p[[0, 2]] - middle)))
        away = point[[0, 2]] - middle
        yaw = math.atan2(away[0], away[1]) + float(rng.uniform(-0.5, 0.5))
        ids, pixels = np.unique(_look(sim, "ids", point, yaw), return_counts=True)
        score = float(np.sqrt(pixels[(ids > 0)]).sum()) - 2.0 * float(np.sqrt(pixels[ids > 0].max(initial=0)))
        if score > best[0]:
            best = (score, point, yaw)
    return _look(sim, "view", best[1], best[2])[..., :3]


def _area(box: List[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
