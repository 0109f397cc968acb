"""Walks along shortest paths in steps and turns, on the navmesh, without drawing anything."""

import math
from typing import Any, Iterator, List

import habitat_sim
import numpy as np

STEP_M = 0.25
TURN_RAD = math.radians(15.0)
ARRIVED_M = 0.2
_BLOCKED_SHARE = 0.4
_PATIENCE = 60
"""Steps without coming nearer after which the walker gives up."""


class Walker:
    """A pose on the navmesh: position ([3] m, Y up), yaw (rad about +Y, 0 looks along -Z)."""

    def __init__(self, finder: Any, position: Any, yaw: float) -> None:
        self._finder = finder
        self.position = np.asarray(position, dtype=np.float32)
        self.yaw = float(yaw)

    def go_to(self, goal: Any) -> Iterator[str]:
        """Moves, and yields after each move its action; ends within ARRIVED_M of `goal`, or where it is stuck."""
        goal = np.asarray(goal, dtype=np.float32)
        best_m, age = math.inf, 0
        while True:
            path = habitat_sim.ShortestPath()
            path.requested_start, path.requested_end = self.position, goal
            if not self._finder.find_path(path) or path.geodesic_distance < ARRIVED_M:
                return
            if path.geodesic_distance < best_m - 0.05:
                best_m, age = path.geodesic_distance, 0
            age += 1
            if age > _PATIENCE:
                return
            yield self._towards(path.points)

    def turn_to(self, yaw: float) -> Iterator[str]:
        """Turns until `yaw` is less than half a turn away; yields after each."""
        while True:
            turns = round(wrapped(yaw - self.yaw) / TURN_RAD)
            if turns == 0:
                return
            yield self._turn(1 if turns > 0 else -1)

    def look_around(self) -> Iterator[str]:
        for _ in range(round(2.0 * math.pi / TURN_RAD)):
            yield self._turn(1)

    def _towards(self, points: List[Any]) -> str:
        error_rad = wrapped(_bearing(self.position, points) - self.yaw)
        towards = round(error_rad / TURN_RAD)
        side = 1 if error_rad > towards * TURN_RAD else -1
        turns = towards
        for detour in (
            0,
            side,
            -side,
            2 * side,
            -2 * side,
            3 * side,
            -3 * side,
            4 * side,
            -4 * side,
            5 * side,
            -5 * side,
        ):
            if self._step(self.yaw + (towards + detour) * TURN_RAD) is not None:
                turns = towards + detour
                break
        if turns == 0:
            end = self._step(self.yaw)
            self.position = end if end is not None else self.position
            return "forward"
        return self._turn(1 if turns > 0 else -1)

    def _turn(self, side: int) -> str:
        self.yaw = wrapped(self.yaw + side * TURN_RAD)
        return "left" if side > 0 else "right"

    def _step(self, yaw: float) -> Any:
        """Where a step ahead ends; None where it is blocked."""
        ahead = np.array([-math.sin(yaw), 0.0, -math.cos(yaw)], dtype=np.float32) * STEP_M
        end = np.asarray(self._finder.try_step(self.position, self.position + ahead), dtype=np.float32)
        moved_m = float(np.hypot(end[0] - self.position[0], end[2] - self.position[2]))
        return end if moved_m >= _BLOCKED_SHARE * STEP_M else None


def wrapped(angle: float) -> float:
    """The same angle in -pi..pi (rad)."""
    return (angle + math.pi) % (2.0 * math.pi) - math.pi


def _bearing(position: np.ndarray, points: List[Any]) -> float:
    """Yaw towards the path's first corner that is not underfoot."""
    ahead = np.zeros(3)
    for point in points[1:]:
        ahead = np.asarray(point) - position
        if math.hypot(ahead[0], ahead[2]) > 0.05:
            break
    return math.atan2(-ahead[0], -ahead[2])
