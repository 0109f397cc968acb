"""What a policy sees, from what a robot sees: habitat-lab's sensors from pictures, odometry and a goal.

habitat-lab's conventions, against REP 103 (x ahead, y left, counterclockwise):

- rgb: uint8 [H, W, 3]; depth: float32 [H, W, 1], 1.0 at the contract's `depth.max_m`.
- gps [2]: metres (ahead, right) of the episode's start, in the frame of the start.
- compass [1]: rad counterclockwise from the heading at the start, in (-pi, pi].
- pointgoal_with_gps_compass [2]: metres to the goal, and its bearing, rad counterclockwise from ahead.
- objectgoal [1]: the category's number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from policies.contract import Contract
from ros.contract import ContractMismatch, RobotContract
from ros.frames import Frame
from ros.messages import Pose, fit

POINT_GOAL, OBJECT_GOAL = "pointgoal_with_gps_compass", "objectgoal"


class Sensors:
    """The sensors that a policy reads, for one robot.

    Args:
        policy: what it reads, already held against the robot (`RobotContract.require`).
        robot: how depth is scaled.
    """

    def __init__(self, policy: Contract, robot: RobotContract) -> None:
        self._policy, self._robot = policy, robot
        self._start: Pose | None = None
        self._goal: Pose | None = None
        self._category = -1

    def begin(self, start: Pose, goal: Pose | None = None, category: str = "", keep_start: bool = False) -> None:
        """A goal is given.

        Args:
            start: where the robot is, in odom.
            goal: a place to go to, in odom.
            category: or an object to find.
            keep_start: positions go on from the start of the goal before.

        Raises:
            ContractMismatch: the policy does not look for goals of this kind.
        """
        if POINT_GOAL in self._policy.sensors and goal is None:
            raise ContractMismatch("the policy goes to places, and the goal is none: give a pose")
        if OBJECT_GOAL in self._policy.sensors and category not in self._policy.categories:
            known = ", ".join(self._policy.categories)
            raise ContractMismatch(f"the policy knows no '{category}'; it can look for {known}")
        self._goal = goal
        self._category = self._policy.categories.index(category) if category in self._policy.categories else -1
        if self._start is None or not keep_start:
            self._start = start

    def observe(self, frame: Frame) -> dict[str, np.ndarray]:
        """One observation for the policy, without leading axes. `begin` must have been called."""
        assert self._start is not None
        seen: dict[str, np.ndarray] = {}
        here = frame.pose.relative_to(self._start)
        for name, sensor in self._policy.sensors.items():
            if name == "rgb":
                seen[name] = fit(frame.color, *sensor.shape[:2])
            elif name == "depth":
                assert frame.depth_m is not None
                seen[name] = self._robot.depth_unit(fit(frame.depth_m, *sensor.shape[:2]))[..., None]
            elif name == "gps":
                seen[name] = np.array([here.x_m, -here.y_m], np.float32)
            elif name == "compass":
                seen[name] = np.array([here.yaw_rad], np.float32)
            elif name == POINT_GOAL:
                seen[name] = np.array(self.polar_goal(frame.pose), np.float32)
            elif name == OBJECT_GOAL:
                seen[name] = np.array([self._category], np.dtype(sensor.dtype))
        return seen

    def polar_goal(self, pose: Pose) -> tuple[float, float]:
        """(distance m, bearing rad) of the goal from `pose`; NaN where it is no place."""
        if self._goal is None:
            return math.nan, math.nan
        there = self._goal.relative_to(pose)
        return math.hypot(there.x_m, there.y_m), math.atan2(there.y_m, there.x_m)


def batched(observation: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same with a leading axis of one row."""
    return {name: values[None] for name, values in observation.items()}
