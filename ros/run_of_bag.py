"""A bag as a run: the frames that the policy decided on, each with its decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped

from ros import messages
from ros.bag import BagError, BagMessage, read
from ros.contract import RobotContract
from ros.frames import Frame, FrameSync
from ros.interfaces import PACKAGE
from ros.messages import MessageError, Pose

_WAIT_NS = 5_000_000_000
"""A decision whose picture has not come by then never gets one."""


@dataclass(frozen=True)
class Step:
    """One decision, and what it was made on."""

    frame: Frame
    decision: Any
    """engram_interfaces/msg/Decision."""

    @property
    def start(self) -> Pose:
        return _pose(self.decision.start)

    @property
    def goal(self) -> Pose:
        return _pose(self.decision.goal)

    @property
    def action(self) -> np.ndarray:
        return np.array(self.decision.action, np.float64)


class Run:
    """Reads a bag.

    Args:
        path: the bag.
        robot: the contract that it was recorded under.
        prefix: the namespace of the robot in the bag, like /robot1.
    """

    def __init__(self, path: Path, robot: RobotContract, prefix: str = "") -> None:
        self.path, self._robot = path, robot
        self._topics = {key: f"{prefix}/{topic}" for key, topic in robot.topics().items()}
        self._decision = f"{prefix}/policy/decision"
        self.bad = 0
        """Messages that break the contract."""

    def frames(self) -> Iterator[Frame]:
        """All frames, in the order of their recording."""
        sync = FrameSync(bool(self._robot.depth.topic), 0.5 / self._robot.camera.rate_hz)
        for message in read(self.path, self._sensor_topics()):
            frame = self._feed(sync, message)
            if frame is not None:
                yield frame

    def steps(self) -> Iterator[Step]:
        """The decisions, each with its frame. Raises BagError if the bag holds none."""
        sync = FrameSync(bool(self._robot.depth.topic), 0.5 / self._robot.camera.rate_hz)
        frames: dict[int, Frame] = {}
        waiting: dict[int, Any] = {}
        found = 0
        for message in read(self.path, {*self._sensor_topics(), self._decision}):
            if message.topic == self._decision:
                if message.type != f"{PACKAGE}/msg/Decision":
                    raise BagError(f"{self.path}: {message.topic} is of type {message.type}")
                decision = message.decoded()
                waiting[messages.nanoseconds(decision.header.stamp)] = decision
            else:
                frame = self._feed(sync, message)
                if frame is None:
                    continue
                frames[frame.stamp_ns] = frame
            for stamp_ns in sorted(frames.keys() & waiting.keys()):
                found += 1
                decision = waiting.pop(stamp_ns)
                # The odometry that the node had joined; the one recorded nearest may be another.
                yield Step(replace(frames.pop(stamp_ns), pose=_pose(decision.pose)), decision)
            if frames:
                oldest = max(frames) - _WAIT_NS
                frames = {stamp_ns: frame for stamp_ns, frame in frames.items() if stamp_ns > oldest}
        if not found:
            raise BagError(f"{self.path} holds no decision of a policy with its pictures ({self._decision})")

    def _sensor_topics(self) -> set[str]:
        keys = ("camera.topic", "depth.topic", "odometry.topic")
        return {self._topics[key] for key in keys if key in self._topics}

    def _feed(self, sync: FrameSync, message: BagMessage) -> Frame | None:
        robot, body = self._robot, message.decoded()
        camera_frame = robot.frames.name("camera")
        try:
            stamp_ns = messages.nanoseconds(body.header.stamp)
            if message.topic == self._topics["camera.topic"]:
                return sync.color(stamp_ns, messages.color_of(body, robot.camera, camera_frame))
            if message.topic == self._topics["odometry.topic"]:
                return sync.pose(stamp_ns, messages.pose_of(body, robot))
            return sync.depth(stamp_ns, messages.depth_m_of(body, robot.depth, camera_frame))
        except MessageError:
            self.bad += 1
            return None


def _pose(pose: Any) -> Pose:
    return messages.goal_of(PoseStamped(pose=pose), "")
