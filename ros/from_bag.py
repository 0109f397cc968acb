"""Bags as a LeRobot data set: a goal is an episode, what the policy saw and did is a frame.

Of a bag without decisions (a person drove) the whole recording is one episode: a frame for each period of the
contract's actions, with the velocity that the base was given then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embodied.data.recorder import Recorder
from ros import contract, messages
from ros.bag import BagError, read
from ros.contract import RobotContract
from ros.frames import Frame
from ros.messages import MessageError, Pose
from ros.run_of_bag import Run

STATE_NAMES = ["x_m", "y_m", "yaw_rad", "goal_distance_m", "goal_bearing_rad"]
"""The base in the frame of the episode's start, and the goal from the base; the last two are 0 without a goal."""
ACTION_NAMES = ["linear_m_s", "angular_rad_s"]
_POSE = 0


@dataclass
class FromBagConfig:
    """`embodied data from-bag BAG...`."""

    bags: list[str] = field(default_factory=list, metadata={"help": "bags: .mcap files, or folders with them"})
    output: str = field(default="data/bags", metadata={"help": "the data set's new folder"})
    contract: str = field(default="robot.yaml", metadata={"help": "the robot's contract they were recorded under"})
    prefix: str = field(default="", metadata={"help": "the robot's namespace in the bags, like /robot1"})
    instruction: str = field(default="go to the goal", metadata={"help": "of episodes whose goal has no text"})
    images: bool = field(default=False, metadata={"help": "lossless images instead of videos"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        if not self.bags:
            raise ValueError("bags must name one bag or more")
        if not self.instruction.strip():
            raise ValueError("instruction must be some text")


@dataclass(frozen=True)
class _Shown:
    """One frame of an episode."""

    frame: Frame
    state: np.ndarray
    action: np.ndarray
    text: str
    episode: int


def from_bag(config: FromBagConfig, say: Callable[[str], object] = print) -> Path:
    """Writes the data set; its folder.

    Raises:
        BagError: a bag cannot be read, or holds no frame.
        DataError, FileError: the data set cannot be written.
    """
    robot = contract.load(config.contract)
    fps = round(robot.actions.rate_hz)
    size = {"front": (robot.camera.height, robot.camera.width)}
    root = Path(config.output)
    with Recorder.create(root, fps, size, STATE_NAMES, ACTION_NAMES, robot.robot, images=config.images) as recorder:
        for path in map(Path, config.bags):
            run = Run(path, robot, config.prefix)
            episode, frames = -1, 0
            for shown in _shown(run, robot, config.prefix):
                if shown.episode != episode and frames:
                    recorder.save_episode(facts={"bag": str(path), "goal": episode})
                episode, frames = shown.episode, frames + 1
                images = {"front": shown.frame.color}
                recorder.add(images, shown.state, shown.action, shown.text or config.instruction)
            if not frames:
                raise BagError(f"{path} holds no picture with odometry on the contract's topics")
            recorder.save_episode(facts={"bag": str(path), "goal": episode})
            say(f"{path}: {frames} frames")
    return root


def _shown(run: Run, robot: RobotContract, prefix: str) -> Iterator[_Shown]:
    found = False
    try:
        for step in run.steps():
            found = True
            decision = step.decision
            here = step.frame.pose
            goal = step.goal.relative_to(here) if decision.goal_kind == _POSE else None
            command = decision.command
            action = np.array([command.linear.x, command.angular.z], np.float32)
            yield _Shown(
                step.frame, _state(here.relative_to(step.start), goal), action, decision.goal_text, decision.goal_number
            )
    except BagError:
        if found:
            raise
        yield from _driven(run, robot, prefix)


def _driven(run: Run, robot: RobotContract, prefix: str) -> Iterator[_Shown]:
    """Frames with the command that was in force, of a bag without decisions."""
    times, velocities = _commands(run, robot, prefix)
    start, due_ns = None, 0
    for frame in run.frames():
        if frame.stamp_ns < due_ns:
            continue
        due_ns = frame.stamp_ns + int(0.9e9 / robot.actions.rate_hz)
        start = start or frame.pose
        # What was commanded on what this frame shows comes after it: the last within the period.
        place = int(np.searchsorted(times, frame.stamp_ns + 1e9 / robot.actions.rate_hz)) - 1
        fresh = place >= 0 and frame.stamp_ns - times[place] < robot.base.deadline_s * 1e9
        action = velocities[place] if fresh else np.zeros(2, np.float32)
        yield _Shown(frame, _state(frame.pose.relative_to(start), None), action, "", 1)


def _commands(run: Run, robot: RobotContract, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    times, velocities = [], []
    for message in read(run.path, {f"{prefix}/{robot.base.topic}"}):
        body: Any = message.decoded()
        try:
            velocity = messages.command_of(body, robot.frames.name("base"))
        except MessageError:
            continue
        header = getattr(body, "header", None)
        times.append(messages.nanoseconds(header.stamp) if header is not None else message.received_ns)
        velocities.append(np.array(velocity, np.float32))
    return np.array(times), np.array(velocities).reshape(-1, 2)


def _state(moved: Pose, goal: Pose | None) -> np.ndarray:
    distance = 0.0 if goal is None else float(np.hypot(goal.x_m, goal.y_m))
    bearing = 0.0 if goal is None else float(np.arctan2(goal.y_m, goal.x_m))
    return np.array([*moved, distance, bearing], np.float32)
