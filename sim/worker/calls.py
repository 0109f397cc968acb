"""Questions a client may ask of a running environment, besides stepping it."""

from typing import Any, Callable, Dict, Tuple

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


def goals(env: Any) -> Answer:
    """Category and position (m, scene frame) of every instance of the current goal."""
    episode = env.current_episode
    positions = [[float(x) for x in goal.position] for goal in episode.goals]
    return {"category": getattr(episode, "object_category", None), "positions": positions}, b""


def geodesic_distance(env: Any, start: Any, end: Any) -> Answer:
    """Metres along the shortest path between two points; infinite where there is none."""
    return {"metres": float(env.sim.geodesic_distance(np.array(start), np.array(end)))}, b""


def abort(env: Any) -> Answer:
    """Ends this process as a failed C++ assertion does. For fault tests."""
    import os

    os.abort()


_CALLS: Dict[str, Callable[..., Answer]] = {
    "top_down_map": top_down_map,
    "goals": goals,
    "geodesic_distance": geodesic_distance,
    "abort": abort,
}


def answer(env: Any, name: str, arguments: Dict[str, Any]) -> Answer:
    if name not in _CALLS:
        raise TaskError("unknown call '{}'; known: {}".format(name, ", ".join(_CALLS)))
    return _CALLS[name](env, **arguments)
