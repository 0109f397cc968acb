"""Pictures and odometry of one moment, put together from topics that come when they like."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np

from ros.messages import Pose

_KEPT = 20
"""Odometry and depth that wait for their picture, messages."""


@dataclass(frozen=True)
class Frame:
    """One moment. Stamps are nanoseconds of ROS time."""

    stamp_ns: int
    color: np.ndarray
    """uint8 [H, W, 3] RGB."""
    depth_m: np.ndarray | None
    """float32 [H, W], NaN where nothing was seen."""
    pose: Pose
    """Of the base in odom."""
    joints: np.ndarray | None = None
    """[J] positions, in the contract's order: m or rad."""


class FrameSync:
    """Joins each picture with the depth and the odometry nearest to it in time.

    Args:
        needs_depth: whether a frame waits for its depth.
        slop_s: how far apart in time they may be.
    """

    def __init__(self, needs_depth: bool, slop_s: float) -> None:
        self._needs_depth, self._slop_ns = needs_depth, int(slop_s * 1e9)
        self._color: tuple[int, np.ndarray] | None = None
        self._depth: list[tuple[int, np.ndarray]] = []
        self._poses: list[tuple[int, Pose]] = []
        self._newest_ns = 0

    def color(self, stamp_ns: int, picture: np.ndarray) -> Frame | None:
        """A picture came; the frame that it completes, if any. Pictures that go back in time begin anew."""
        if stamp_ns < self._newest_ns - 1_000_000_000:  # a simulation that was reset
            self.clear()
        if stamp_ns <= self._newest_ns:
            return None
        self._color = stamp_ns, picture
        return self._complete()

    def depth(self, stamp_ns: int, depth_m: np.ndarray) -> Frame | None:
        """Depth came; the frame that it completes, if any."""
        self._depth = [*self._depth[1 - _KEPT :], (stamp_ns, depth_m)]
        return self._complete()

    def pose(self, stamp_ns: int, pose: Pose) -> Frame | None:
        """Odometry came; the frame that it completes, if any."""
        self._poses = [*self._poses[1 - _KEPT :], (stamp_ns, pose)]
        return self._complete()

    def clear(self) -> None:
        """Forgets everything."""
        self._color, self._depth, self._poses, self._newest_ns = None, [], [], 0

    @property
    def newest_pose(self) -> Pose | None:
        return self._poses[-1][1] if self._poses else None

    def _complete(self) -> Frame | None:
        if self._color is None:
            return None
        stamp_ns, picture = self._color
        pose = _nearest(self._poses, stamp_ns, self._slop_ns)
        depth = _nearest(self._depth, stamp_ns, self._slop_ns) if self._needs_depth else None
        if pose is None or (self._needs_depth and depth is None):
            return None
        self._color, self._newest_ns = None, stamp_ns
        return Frame(stamp_ns, picture, depth, pose)


def _nearest(among: list[Any], stamp_ns: int, slop_ns: int) -> Any:
    """The value nearest in time, if it is near enough; `among` is in the order of arrival."""
    ordered = sorted(among, key=lambda each: each[0])
    place = bisect_left(ordered, stamp_ns, key=lambda each: each[0])
    near = [each for each in ordered[max(0, place - 1) : place + 1] if abs(each[0] - stamp_ns) <= slop_ns]
    return min(near, key=lambda each: abs(each[0] - stamp_ns))[1] if near else None
