"""Questions a client may ask of a running environment, besides stepping it."""

import os
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np

from .server import TaskError

Answer = Tuple[Dict[str, Any], bytes]


def top_down_map(env: Any, metres_per_cell: float = 0.05) -> Answer:
    """Navigable cells at the agent's height: a [rows (z), columns (x)] bool array and where its corner lies (m)."""
    pathfinder = env.sim.pathfinder
    height_m = float(env.sim.get_agent(0).scene_node.translation[1])
    cells = np.ascontiguousarray(pathfinder.get_topdown_view(metres_per_cell, height_m), dtype=np.uint8)
    lower, _ = pathfinder.get_bounds()
    origin = [float(lower[0]), float(lower[2])]
    return {"shape": list(cells.shape), "origin_xz": origin, "metres_per_cell": metres_per_cell}, cells.tobytes()


def goals(env: Any, category: Optional[str] = None) -> Answer:
    """Category and position (m, scene frame) of every instance of the current goal, or of another category here."""
    episode = env.current_episode
    found = getattr(episode, "goals", None) or []  # of tabletop tasks the instruction says what to do
    if category is None:
        category = getattr(episode, "object_category", None)
    else:
        key = "{}_{}".format(os.path.basename(episode.scene_id), category)
        found = env.task._dataset.goals_by_category.get(key, [])
    return {"category": category, "positions": [[float(x) for x in goal.position] for goal in found]}, b""


def goal_categories(env: Any) -> Answer:
    """What the numbers of the `objectgoal` observation mean: categories by number; empty where goals are points."""
    ids = getattr(env._dataset, "category_to_task_category_id", {})
    names = [""] * (max(ids.values()) + 1 if ids else 0)
    for category, number in ids.items():
        names[number] = category
    return {"categories": names}, b""


def geodesic_distance(env: Any, start: Any, end: Any) -> Answer:
    """Metres along the shortest path between two points; infinite where there is none."""
    return {"metres": float(env.sim.geodesic_distance(np.array(start), np.array(end)))}, b""


def robot(env: Any) -> Answer:
    """The robot's body (m), cameras (degrees, m), motion, and how near a goal it must stop (m).

    `cameras`: by observation, {hfov_deg, position ([x, y, z], agent frame), orientation (Euler, rad), width, height}
    and for depth {min_m, max_m, normalized}. `velocity`: {linear_m_s, angular_deg_s: [low, high], time_step_s}, null
    under discrete control.
    """
    config = env._config
    agent = next(iter(config.simulator.agents.values()))
    velocity = next((action for action in config.task.actions.values() if "lin_vel_range" in action), None)
    success = config.task.measurements.get("success")
    body = {
        "radius_m": float(agent.radius),
        "height_m": float(agent.height),
        "cameras": {name: _camera(sensor.config) for name, sensor in env.sim.sensor_suite.sensors.items()},
        "forward_step_m": float(config.simulator.forward_step_size),
        "turn_deg": float(config.simulator.turn_angle),
        "velocity": None
        if velocity is None
        else {
            "linear_m_s": [float(x) for x in velocity.lin_vel_range],
            "angular_deg_s": [float(x) for x in velocity.ang_vel_range],
            "time_step_s": float(velocity.time_step),
        },
        "success_distance_m": float(success.success_distance) if success is not None else 0.0,
    }
    return body, b""


def _camera(config: Any) -> Dict[str, Any]:
    camera: Dict[str, Any] = {
        "hfov_deg": float(config.get("hfov", 90)),
        "position": [float(x) for x in config.position],
        "orientation": [float(x) for x in config.orientation],
        "width": int(config.width),
        "height": int(config.height),
    }
    if "max_depth" in config:
        camera.update(
            min_m=float(config.min_depth), max_m=float(config.max_depth), normalized=bool(config.normalize_depth)
        )
    return camera


def abort(env: Any) -> Answer:
    """Ends this process as a failed C++ assertion does. For fault tests."""
    os.abort()


_CALLS: Dict[str, Callable[..., Answer]] = {
    "top_down_map": top_down_map,
    "goals": goals,
    "goal_categories": goal_categories,
    "geodesic_distance": geodesic_distance,
    "robot": robot,
    "abort": abort,
}


def answer(env: Any, name: str, arguments: Dict[str, Any]) -> Answer:
    if name not in _CALLS:
        raise TaskError("unknown call '{}'; known: {}".format(name, ", ".join(_CALLS)))
    return _CALLS[name](env, **arguments)
