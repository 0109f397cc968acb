"""The robot's contract: its topics, frames, rates, cameras and actions, in one YAML file that every part reads.

::

    configs/robot.yaml --- habitat_robot_node, or the robot's own driver      camera, depth, odometry
                      +--- policy_node                                        command
                      +--- safety_node                                        base, limits
                      +--- recorder, `embodied data from-bag`
                      +--- trainer (`RobotContract.sim_fields`: a simulator with this robot's cameras and actions)

An unknown key, a wrong type or an impossible value is an error of one line at start, never a fallback. This module
imports neither ROS nor torch.

Names of topics are relative: a node's namespace and remappings hold for them, so robots share a graph.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embodied import config as configs

if TYPE_CHECKING:
    from policies.contract import Contract

IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO, ODOMETRY = "sensor_msgs/msg/CameraInfo", "nav_msgs/msg/Odometry"
TWIST, TWIST_STAMPED = "geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped"
JOINT_STATE, JOINT_TRAJECTORY = "sensor_msgs/msg/JointState", "trajectory_msgs/msg/JointTrajectory"

COLOR_ENCODINGS = ("rgb8", "bgr8", "mono8", "mono16")
DEPTH_ENCODINGS = ("16UC1", "32FC1")
"""REP 118: 16UC1 holds millimetres and 0 for nothing seen, 32FC1 metres and NaN or infinity for nothing seen."""
COMPRESSED_FORMATS = ("jpeg", "png")

GOAL_SENSORS = ("pointgoal_with_gps_compass", "objectgoal", "instruction")
"""A policy's sensors that come with the goal, not from a topic."""
MOTIONS = ("stop", "move_forward", "turn_left", "turn_right")
"""Discrete actions that a base with velocities can do."""

_TOPIC = re.compile(r"[A-Za-z_~][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_FRAME = re.compile(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*")


class ContractMismatch(configs.ConfigError):
    """A policy or a message does not fit the robot's contract; the message is one line that says what."""


@dataclass
class Frames:
    """Coordinate frames (REP 105): map -> odom -> base -> camera."""

    prefix: str = field(
        default="", metadata={"help": "put before every frame, to tell robots of one graph apart, e.g. robot1/"}
    )
    map: str = field(default="map", metadata={"help": "the world, fixed; X east or along the house, Z up"})
    odom: str = field(default="odom", metadata={"help": "where odometry starts; continuous, may drift"})
    base: str = field(default="base_link", metadata={"help": "the robot; X ahead, Y left, Z up (REP 103)"})
    camera: str = field(
        default="camera_optical_frame", metadata={"help": "both cameras; Z ahead, X right, Y down (REP 103)"}
    )

    def name(self, which: str) -> str:
        """The frame_id of map, odom, base or camera."""
        return self.prefix + str(getattr(self, which))


@dataclass
class Camera:
    """The colour camera."""

    topic: str = field(default="camera/image_raw", metadata={"help": "pictures"})
    info_topic: str = field(default="camera/camera_info", metadata={"help": "sensor_msgs/msg/CameraInfo of them"})
    type: str = field(default=IMAGE, metadata={"help": f"{IMAGE} or {COMPRESSED_IMAGE}"})
    encoding: str = field(
        default="rgb8", metadata={"help": "rgb8, bgr8, mono8, mono16; of compressed pictures: jpeg, png"}
    )
    width: int = field(default=64, metadata={"help": "pixels"})
    height: int = field(default=64, metadata={"help": "pixels"})
    hfov_deg: float = field(default=90.0, metadata={"help": "horizontal field of view, degrees"})
    position_m: list[float] = field(
        default_factory=lambda: [0.0, 0.0, 0.88],
        metadata={"help": "[x, y, z] in the base's frame, metres; the camera looks along the base's X"},
    )
    rate_hz: float = field(default=10.0, metadata={"help": "pictures a second"})
    deadline_s: float = field(default=0.17, metadata={"help": "without a new one for so long, the camera is stale"})


@dataclass
class Depth:
    """The depth camera. It stands where the colour camera does."""

    topic: str = field(default="camera/depth/image_raw", metadata={"help": "pictures; empty: there is none"})
    info_topic: str = field(default="camera/depth/camera_info", metadata={"help": "sensor_msgs/msg/CameraInfo of them"})
    type: str = field(default=IMAGE, metadata={"help": IMAGE})
    encoding: str = field(default="32FC1", metadata={"help": "32FC1 (metres) or 16UC1 (millimetres), REP 118"})
    width: int = field(default=64, metadata={"help": "pixels"})
    height: int = field(default=64, metadata={"help": "pixels"})
    hfov_deg: float = field(default=90.0, metadata={"help": "horizontal field of view, degrees"})
    max_m: float = field(
        default=10.0, metadata={"help": "what policies see as 1.0 and cannot see beyond, metres; see `depth_unit`"}
    )
    rate_hz: float = field(default=10.0, metadata={"help": "pictures a second"})
    deadline_s: float = field(default=0.17, metadata={"help": "without a new one for so long, the camera is stale"})


@dataclass
class Odometry:
    """Pose of the base in odom, and its twist in its own frame."""

    topic: str = field(default="odom", metadata={"help": ODOMETRY})
    type: str = field(default=ODOMETRY, metadata={"help": ODOMETRY})
    rate_hz: float = field(default=10.0, metadata={"help": "poses a second"})
    deadline_s: float = field(default=0.17, metadata={"help": "without a new one for so long, odometry is stale"})


@dataclass
class Joints:
    """Joint states of an arm, for policies that read them."""

    topic: str = field(default="", metadata={"help": f"{JOINT_STATE}; empty: there are none"})
    command_topic: str = field(default="policy/joint_trajectory", metadata={"help": JOINT_TRAJECTORY})
    names: list[str] = field(default_factory=list, metadata={"help": "joints in the order that policies know"})
    rate_hz: float = field(default=50.0, metadata={"help": "states a second"})
    deadline_s: float = field(default=0.2, metadata={"help": "without a new one for so long, joints are stale"})


@dataclass
class Command:
    """Velocity commands: `command` is what the policy asks for, `base` is what the base gets from the safety gate."""

    topic: str = field(default="policy/cmd_vel", metadata={"help": "velocities (v along X, w about Z)"})
    type: str = field(default=TWIST_STAMPED, metadata={"help": f"{TWIST_STAMPED} or {TWIST}"})
    rate_hz: float = field(default=20.0, metadata={"help": "commands a second"})
    deadline_s: float = field(default=0.15, metadata={"help": "a command older than this is stale: the base stops"})


@dataclass
class Actions:
    """What the numbers of a policy's velocity action, each in [-1, 1], mean: -1 the first bound, 1 the second.

    Both speeds below their `still_` bound say "I am there" (habitat-lab's VelocityAction). A discrete checkpoint's
    actions are motions: `forward_m` ahead, `turn_deg` to a side.
    """

    linear_m_s: list[float] = field(default_factory=lambda: [0.0, 1.0], metadata={"help": "[low, high] of v, m/s"})
    angular_rad_s: list[float] = field(
        default_factory=lambda: [-math.pi / 2, math.pi / 2], metadata={"help": "[low, high] of w, rad/s"}
    )
    still_m_s: float = field(default=0.025, metadata={"help": "slower than this is standing still, m/s"})
    still_rad_s: float = field(default=math.radians(1.0), metadata={"help": "slower than this is no turning, rad/s"})
    rate_hz: float = field(default=10.0, metadata={"help": "actions a second that policies were trained at"})
    forward_m: float = field(default=0.25, metadata={"help": "one discrete step ahead, metres"})
    turn_deg: float = field(default=30.0, metadata={"help": "one discrete turn, degrees"})

    def velocity(self, action: Sequence[float]) -> tuple[float, float]:
        """(v m/s, w rad/s) of an action; components beyond [-1, 1] are cut, as habitat-lab does."""
        v, w = (
            low + (min(1.0, max(-1.0, float(a))) + 1.0) / 2.0 * (high - low)
            for a, (low, high) in zip(action, (self.linear_m_s, self.angular_rad_s), strict=True)
        )
        return v, w

    def action(self, v_m_s: float, w_rad_s: float) -> tuple[float, float]:
        """The action in [-1, 1]^2 whose velocity is nearest to (v, w): the inverse of `velocity`."""
        v, w = (
            min(1.0, max(-1.0, 2.0 * (x - low) / (high - low) - 1.0))
            for x, (low, high) in zip((v_m_s, w_rad_s), (self.linear_m_s, self.angular_rad_s), strict=True)
        )
        return v, w

    def is_still(self, v_m_s: float, w_rad_s: float) -> bool:
        return abs(v_m_s) < self.still_m_s and abs(w_rad_s) < self.still_rad_s


@dataclass
class Limits:
    """What the safety gate lets through to the base, whatever the policy asks for. See `ros.safety`."""

    linear_m_s: float = field(default=1.0, metadata={"help": "largest speed ahead or back, m/s"})
    angular_rad_s: float = field(default=math.pi / 2, metadata={"help": "largest turning speed, rad/s"})
    linear_m_s2: float = field(default=2.5, metadata={"help": "largest acceleration, m/s2; braking is not limited"})
    angular_rad_s2: float = field(default=6.0, metadata={"help": "largest angular acceleration, rad/s2"})
    clearance_m: float = field(
        default=0.0, metadata={"help": "no motion ahead with something nearer than this in the way, metres; 0: off"}
    )
    robot_width_m: float = field(default=0.36, metadata={"help": "width of the way that must be free, metres"})
    robot_height_m: float = field(default=1.0, metadata={"help": "height of the way that must be free, metres"})
    floor_m: float = field(default=0.10, metadata={"help": "what is lower than this counts as floor, metres"})


@dataclass
class RobotContract:
    """One robot. Every setting is in the robot's YAML file; see the module."""

    robot: str = field(default="habitat", metadata={"help": "name of the kind of robot, for people"})
    frames: Frames = field(default_factory=Frames)
    camera: Camera = field(default_factory=Camera)
    depth: Depth = field(default_factory=Depth)
    odometry: Odometry = field(default_factory=Odometry)
    joints: Joints = field(default_factory=Joints)
    command: Command = field(default_factory=Command)
    base: Command = field(default_factory=lambda: Command(topic="cmd_vel", rate_hz=50.0, deadline_s=0.1))
    actions: Actions = field(default_factory=Actions)
    limits: Limits = field(default_factory=Limits)

    def validate(self) -> None:
        """Raises ValueError, naming the key, where a value cannot be right."""
        for key, topic in self.topics().items():
            if not _TOPIC.fullmatch(topic):
                raise ValueError(f"{key}: '{topic}' is no relative topic name, like camera/image_raw")
        seen: dict[str, str] = {}
        for key, topic in self.topics().items():
            if topic in seen:
                raise ValueError(f"{key}: '{topic}' is also {seen[topic]}; give each its own topic")
            seen[topic] = key
        for which in ("map", "odom", "base", "camera"):
            if not _FRAME.fullmatch(self.frames.name(which)):
                raise ValueError(f"frames.{which}: '{self.frames.name(which)}' is no frame name, like base_link")
        _choice("camera.type", self.camera.type, (IMAGE, COMPRESSED_IMAGE))
        known = COLOR_ENCODINGS if self.camera.type == IMAGE else COMPRESSED_FORMATS
        _choice("camera.encoding", self.camera.encoding, known)
        _choice("depth.type", self.depth.type, (IMAGE,))
        _choice("depth.encoding", self.depth.encoding, DEPTH_ENCODINGS)
        _choice("odometry.type", self.odometry.type, (ODOMETRY,))
        for key, command in (("command", self.command), ("base", self.base)):
            _choice(f"{key}.type", command.type, (TWIST_STAMPED, TWIST))
        if len(self.camera.position_m) != 3:
            raise ValueError(f"camera.position_m must be [x, y, z], not {self.camera.position_m}")
        for key, value in self._positive():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{key} must be above 0, not {value}")
        for key in ("camera", "depth"):
            if not getattr(self, key).hfov_deg < 180:
                raise ValueError(f"{key}.hfov_deg must be below 180, not {getattr(self, key).hfov_deg}")
        for key in ("camera", "depth", "odometry", "joints", "command", "base"):
            part = getattr(self, key)
            if part.deadline_s <= 1.0 / part.rate_hz:
                raise ValueError(
                    f"{key}.deadline_s: {part.deadline_s} s is not longer than a period of {part.rate_hz} Hz: it would "
                    "always be missed"
                )
        for key in ("linear_m_s", "angular_rad_s"):
            bounds = getattr(self.actions, key)
            if len(bounds) != 2 or not all(map(math.isfinite, bounds)) or bounds[0] >= bounds[1]:
                raise ValueError(f"actions.{key} must be [low, high], not {bounds}")
            if bounds[0] > 0 or bounds[1] < 0:
                raise ValueError(f"actions.{key}: {bounds} leaves out 0, and a base must be able to stand still")
        if self.limits.clearance_m < 0:
            raise ValueError(f"limits.clearance_m must be 0 (off) or above, not {self.limits.clearance_m}")
        if self.limits.clearance_m > 0 and not self.depth.topic:
            raise ValueError("limits.clearance_m needs a depth camera, and depth.topic is empty")

    def _positive(self) -> list[tuple[str, float]]:
        keys = [f"{part}.{name}" for part in ("camera", "depth") for name in ("width", "height", "hfov_deg")]
        keys += [f"{part}.rate_hz" for part in ("camera", "depth", "odometry", "joints", "command", "base", "actions")]
        keys += ["depth.max_m", "actions.still_m_s", "actions.still_rad_s", "actions.forward_m", "actions.turn_deg"]
        keys += [f"limits.{name}" for name in ("linear_m_s", "angular_rad_s", "linear_m_s2", "angular_rad_s2")]
        keys += ["limits.robot_width_m", "limits.robot_height_m"]
        return [(key, float(_at(self, key))) for key in keys]

    def topics(self) -> dict[str, str]:
        """Topic by key, of what this robot has."""
        topics = {"camera.topic": self.camera.topic, "camera.info_topic": self.camera.info_topic}
        if self.depth.topic:
            topics |= {"depth.topic": self.depth.topic, "depth.info_topic": self.depth.info_topic}
        topics |= {"odometry.topic": self.odometry.topic}
        if self.joints.topic:
            topics |= {"joints.topic": self.joints.topic, "joints.command_topic": self.joints.command_topic}
        return topics | {"command.topic": self.command.topic, "base.topic": self.base.topic}

    def types(self) -> dict[str, str]:
        """Message type by topic: what a graph or a bag is held against."""
        types = {"camera.topic": self.camera.type, "depth.topic": self.depth.type}
        types |= {"camera.info_topic": CAMERA_INFO, "depth.info_topic": CAMERA_INFO, "joints.topic": JOINT_STATE}
        types |= {"odometry.topic": self.odometry.type, "command.topic": self.command.type}
        types |= {"base.topic": self.base.type, "joints.command_topic": JOINT_TRAJECTORY}
        return {topic: types[key] for key, topic in self.topics().items()}

    def depth_unit(self, metres: np.ndarray) -> np.ndarray:
        """Depth as policies see it, an array in [0, 1] (1 = `depth.max_m` and beyond), from metres.

        Where nothing was seen (NaN) is 0, as in Habitat.
        """
        return np.nan_to_num(np.asarray(metres) / self.depth.max_m, nan=0.0).clip(0.0, 1.0).astype(np.float32)

    def require(self, policy: Contract) -> None:
        """Holds a policy's contract against this robot.

        Pictures of another size are no mismatch: nodes cut and scale them (`ros.messages.fit`).

        Raises:
            ContractMismatch: the policy reads a sensor that no topic here provides, or acts in a way that this base
                cannot.
        """
        offered = self.offers()
        for name, sensor in policy.sensors.items():
            if name not in offered:
                raise ContractMismatch(
                    f"the policy reads the sensor {name}, which no topic of this robot provides "
                    f"(they provide {', '.join(sorted(offered))})"
                )
            if name in _PICTURES and (len(sensor.shape) != 3 or (sensor.dtype, sensor.shape[2]) != _PICTURES[name]):
                raise ContractMismatch(
                    f"the policy reads {name} as {sensor.dtype} {list(sensor.shape)}, and this robot's camera gives "
                    f"{_PICTURES[name][0]} [height, width, {_PICTURES[name][1]}]"
                )
        actions = policy.actions
        if actions.kind == "velocity":
            still = self.actions.action(0.0, 0.0)
            if actions.size != 2:
                raise ContractMismatch(f"the policy gives {actions.size} velocities, and this base takes 2 (v, w)")
            if any(abs(a - b) > 1e-3 for a, b in zip(actions.stop, still, strict=False)):
                raise ContractMismatch(
                    f"the policy stands still at the action {list(actions.stop)}, and this robot at {list(still)}: "
                    "actions.linear_m_s or actions.angular_rad_s are not those that it was trained with"
                )
        elif actions.kind == "discrete":
            unknown = [name for name in actions.names if name not in MOTIONS]
            if unknown:
                raise ContractMismatch(f"the policy can {', '.join(unknown)}, which this base cannot")
        else:
            raise ContractMismatch(f"the policy acts by {actions.kind}, and this base takes velocities")

    def offers(self) -> tuple[str, ...]:
        """The sensors of policies that this robot's topics, and goals, can provide."""
        depth = ("depth",) if self.depth.topic else ()
        joints = ("joint_positions",) if self.joints.topic else ()
        return ("rgb", *depth, "gps", "compass", *joints, *GOAL_SENSORS)

    def sim_fields(self) -> dict[str, Any]:
        """SimConfig fields for a simulator of this robot: train in it what is to run on the robot.

        `image_size` is 0, so cameras keep their own width and height; the rest are habitat-lab's overrides.

        Raises:
            ContractMismatch: Habitat cannot be this robot.
        """
        if (self.camera.width, self.camera.height, self.camera.hfov_deg) != (
            *(self.depth.width, self.depth.height),
            self.depth.hfov_deg,
        ):
            raise ContractMismatch("camera and depth must have one size and field of view in a Habitat robot")
        x, y, z = self.camera.position_m
        overrides = []
        for sensor in ("rgb_sensor", "depth_sensor"):
            key = f"habitat.simulator.agents.main_agent.sim_sensors.{sensor}"
            overrides += [f"{key}.width={self.camera.width}", f"{key}.height={self.camera.height}"]
            overrides += [f"{key}.hfov={self.camera.hfov_deg:g}"]
            overrides += [f"{key}.position=[{-y + 0.0:g},{z + 0.0:g},{-x + 0.0:g}]"]  # X right, Y up, Z back there
        overrides.append(f"{key}.max_depth={self.depth.max_m:g}")
        action = "habitat.task.actions.velocity_control"
        degrees = [math.degrees(w) for w in self.actions.angular_rad_s]
        overrides += [
            f"{action}.lin_vel_range=[{self.actions.linear_m_s[0]:.6g},{self.actions.linear_m_s[1]:.6g}]",
            f"{action}.ang_vel_range=[{degrees[0]:.6g},{degrees[1]:.6g}]",
            f"{action}.min_abs_lin_speed={self.actions.still_m_s:.6g}",
            f"{action}.min_abs_ang_speed={math.degrees(self.actions.still_rad_s):.6g}",
            f"{action}.time_step={1.0 / self.actions.rate_hz:.6g}",
        ]
        return {"control": "velocity", "image_size": 0, "overrides": overrides}


_PICTURES = {"rgb": ("uint8", 3), "depth": ("float32", 1)}


def load(path: str | Path = "", overrides: Sequence[str] = ()) -> RobotContract:
    """A robot's contract.

    Args:
        path: its YAML file, or the name of one in configs/; empty: configs/robot.yaml, the Habitat robot.
        overrides: `key.sub=value`, e.g. frames.prefix=robot1/ .

    Raises:
        ConfigError: one line that names the file, the key and what would be right.
    """
    return configs.load(RobotContract, configs.find(str(path or "robot.yaml")), overrides)


def _choice(key: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{key} must be one of {', '.join(known)}, not '{value}'")


def _at(value: Any, key: str) -> Any:
    for name in key.split("."):
        value = getattr(value, name)
    return value
