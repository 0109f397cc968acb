"""A bag as a run: the frames that the policy decided on, each with its decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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

_WAIT_NS = 1_000_000_000
"""What belongs to a decision has been recorded by then, or never."""


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
        self.missing = 0
        """Decisions whose picture was not recorded."""

    def frames(self) -> Iterator[Frame]:
        """All frames, in the order of their recording."""
        sync = FrameSync(bool(self._robot.depth.topic), 0.5 / self._robot.camera.rate_hz)
        for message in read(self.path, self._sensor_topics()):
            frame = self._feed(sync, message)
            if frame is not None:
                yield frame

    def steps(self) -> Iterator[Step]:
        """The decisions, each with its picture, depth and odometry; one whose picture was not recorded is left out.

        Raises:
            BagError: the bag holds none.
        """
        colors: dict[int, np.ndarray] = {}
        depths: dict[int, np.ndarray] = {}
        waiting: list[Any] = []
        found = 0
        for message in read(self.path, {*self._sensor_topics(), self._decision}):
            if message.topic == self._decision:
                if message.type != f"{PACKAGE}/msg/Decision":
                    raise BagError(f"{self.path}: {message.topic} is of type {message.type}")
                waiting.append(message.decoded())
                continue
            self._keep(message, colors, depths)
            newest = max(colors, default=0)
            while waiting and messages.nanoseconds(waiting[0].header.stamp) < newest - _WAIT_NS:
                step = self._step(waiting.pop(0), colors, depths)
                if step is not None:
                    found += 1
                    yield step
            for kept in (colors, depths):
                for stamp_ns in [each for each in kept if each < newest - 2 * _WAIT_NS]:
                    del kept[stamp_ns]
        for decision in waiting:
            step = self._step(decision, colors, depths)
            if step is not None:
                found += 1
                yield step
        if not found:
            raise BagError(f"{self.path} holds no decision of a policy with its pictures ({self._decision})")

    def _step(self, decision: Any, colors: dict[int, np.ndarray], depths: dict[int, np.ndarray]) -> Step | None:
        stamp_ns = messages.nanoseconds(decision.header.stamp)
        nearest = min(depths, key=lambda each: abs(each - stamp_ns), default=None)
        if stamp_ns not in colors or (self._robot.depth.topic and nearest is None):
            self.missing += 1
            return None
        depth_m = None if nearest is None else depths[nearest]
        return Step(Frame(stamp_ns, colors[stamp_ns], depth_m, _pose(decision.pose)), decision)

    def _keep(self, message: BagMessage, colors: dict[int, np.ndarray], depths: dict[int, np.ndarray]) -> None:
        robot, frame = self._robot, self._robot.frames.name("camera")
        body = message.decoded()
        try:
            stamp_ns = messages.nanoseconds(body.header.stamp)
            if message.topic == self._topics["camera.topic"]:
                colors[stamp_ns] = messages.color_of(body, robot.camera, frame)
            elif message.topic == self._topics.get("depth.topic"):
                depths[stamp_ns] = messages.depth_m_of(body, robot.depth, frame)
        except MessageError:
            self.bad += 1

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
