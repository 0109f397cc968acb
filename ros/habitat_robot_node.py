"""A Habitat house as a ROS 2 robot: what a robot's driver would publish, from a simulator process.

::

    base.topic (TwistStamped or Twist) --> habitat_robot --> camera, depth, their CameraInfo, odometry (the contract's)
    ~/reset, ~/stop ---------------------->      +---------> ~/goal, ~/episode, /clock

    t_k        the simulator moves by the newest command for 1 / actions.rate_hz s, and the camera shows where to
    ...        the policy sees it and answers within the period
    t_(k+1)    it moves by that answer: as in training, where every observation is answered by one action

It collides and slides as Habitat does. A command older than base.deadline_s is none, and without one it stands.
Velocities are cut to the contract's actions (the default Habitat robot does not drive back). Standing still costs no
step of the episode.

- `~/reset` (std_srvs/srv/Trigger) begins an episode: the one that the parameter `episode` numbers, or the next.
- `~/stop` (std_srvs/srv/Trigger) says "I am there": the episode ends and is judged where the robot stands. Without it,
  it ends at its limit of steps. Afterwards the robot stands and looks on until the next `~/reset`.
- `~/goal` (geometry_msgs/msg/PoseStamped, kept for late readers): a point goal, in odom.
- `~/episode` (std_msgs/msg/String, JSON, kept): {episode_id, scene_id, index, running, category, goal_m ([x, y] in
  odom), start ([x_m, y_m, yaw_rad] of odom in map), result (null, or {success, spl, distance_to_goal, ..., steps})}.

- `odom_in_map` (geometry_msgs/msg/PoseStamped, kept): where odom lies in map, for who remembers places.

Frames: odom lies where the episode began, X ahead. map is the scene: X is Habitat's -Z, Y its -X, Z its Y.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.clock import Clock as RosClock
from rclpy.clock import ClockType
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

from ros import messages, qos
from ros.contract import IMAGE
from ros.diagnostics import OK, WARN, Diagnostics
from ros.messages import MessageError, Pose
from ros.running import declare, declared_contract, run
from ros.safety import ZERO, Velocity
from sim.config import SimConfig
from sim.env import HabitatEnv

_CLOCK_HZ = 100.0
_FIRST_STAMP_NS = 1_000_000_000
"""Simulated time begins here: a stamp of zero means "not stamped"."""


class HabitatRobotNode(Node):
    """See the module.

    Raises:
        ConfigError: the contract or a parameter is wrong.
        SimulatorError: the simulator does not start, or cannot play these episodes.
    """

    def __init__(self) -> None:
        super().__init__("habitat_robot")
        self._contract = robot = declared_contract(self)
        fields = robot.sim_fields()
        config = SimConfig(
            task=declare(self, "task", "pointnav", "a task of sim/tasks: pointnav, objectnav, ext_objectnav"),
            episodes=declare(self, "episodes", "", "episode file (.json.gz) of houses that exist here"),
            seed=declare(self, "seed", 0, "of what is random in episodes", 0, 2**31 - 1),
            num_envs=1,
            order="sequential",
            control=fields["control"],
            image_size=fields["image_size"],
            overrides=fields["overrides"]
            + [o for o in declare(self, "sim_overrides", [""], "further habitat-lab overrides") if o],
        )
        if not config.episodes:
            raise ValueError(
                "the parameter episodes must name an episode file, like data/houses/episodes/pointnav_val.json.gz"
            )
        declare(self, "episode", -1, "what ~/reset begins; -1: the next", -1, 2**31 - 1, read_only=False)
        simulated = declare(self, "publish_clock", False, "stamp with simulated time and publish it at /clock")
        self._period_s = 1.0 / robot.actions.rate_hz
        self._simulated_ns: int | None = _FIRST_STAMP_NS if simulated else None
        self._ticked_at = time.monotonic()
        self._frame = robot.frames.name("camera")
        self._env = HabitatEnv(config)
        self._advertise()
        self._command, self._commanded_at, self._command_problem = ZERO, -math.inf, ""
        self._steps = 0
        self._reset_to(self.get_parameter("episode").value)
        self.create_subscription(messages.twist_type(robot.base), robot.base.topic, self._commanded, qos.COMMAND)
        self.create_service(Trigger, "~/reset", self._reset)
        self.create_service(Trigger, "~/stop", self._stop)
        # The simulator's pace is the wall's, whatever /clock says.
        wall = RosClock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(self._period_s, self._tick, clock=wall)
        self.create_timer(1.0, self._report, clock=wall)
        if simulated:
            self._clock_publisher = self.create_publisher(Clock, "/clock", qos.SENSOR_WRITER)
            self.create_timer(1.0 / _CLOCK_HZ, self._publish_clock, clock=wall)

    def close(self) -> None:
        self._env.close()

    def _advertise(self) -> None:
        robot, driver = self._contract, qos.SENSOR_WRITER
        picture = Image if robot.camera.type == IMAGE else CompressedImage
        self._camera = self.create_publisher(picture, robot.camera.topic, driver)
        self._camera_info = self.create_publisher(CameraInfo, robot.camera.info_topic, driver)
        self._depth = self._depth_info = None
        if robot.depth.topic:
            self._depth = self.create_publisher(Image, robot.depth.topic, driver)
            self._depth_info = self.create_publisher(CameraInfo, robot.depth.info_topic, driver)
        self._odometry = self.create_publisher(Odometry, robot.odometry.topic, driver)
        self._goal = self.create_publisher(PoseStamped, "~/goal", qos.LATCHED)
        self._odom_in_map = self.create_publisher(PoseStamped, "odom_in_map", qos.LATCHED)
        self._episode = self.create_publisher(String, "~/episode", qos.LATCHED)
        self._diagnostics = Diagnostics(self, robot.robot)

    # -- motion --------------------------------------------------------------------------------------------------

    def _commanded(self, message: Any) -> None:
        try:
            self._command = messages.command_of(message, self._contract.frames.name("base"))
            self._commanded_at, self._command_problem = time.monotonic(), ""
        except MessageError as error:
            self._command, self._command_problem = ZERO, str(error)
            self._report(only_if_changed=True)

    def _tick(self) -> None:
        """One period: move, then show."""
        before = self._pose
        if self._simulated_ns is not None:
            self._simulated_ns += round(self._period_s * 1e9)
        self._ticked_at = time.monotonic()
        fresh = self._ticked_at - self._commanded_at <= self._contract.base.deadline_s
        actions = self._contract.actions
        action = actions.action(*(self._command if fresh else ZERO))
        if self._running and not actions.is_still(*actions.velocity(action)):
            self._step(action)
        self._publish(before)

    def _step(self, action: tuple[float, float]) -> None:
        observation, _, terminated, truncated, info = self._env.step(np.array(action, np.float32))
        self._observation, self._metrics = observation, info["metrics"]
        self._steps += 1
        if terminated or truncated:
            self._end(info)
        else:
            self._pose = self._pose_now()

    def _end(self, info: dict[str, Any]) -> None:
        """The episode is over; the robot stands where it is, though the simulator has already gone on."""
        self._running = False
        if not info.get("worker_restarted"):  # else nobody knows where it was
            self._pose = self._pose_now()
        scalars = {name: value for name, value in info["metrics"].items() if not name.startswith("agent.")}
        result = {**scalars, "steps": self._steps, "worker_error": info.get("worker_error", "")}
        self._about["running"], self._about["result"] = False, result
        self._announce()

    # -- episodes ------------------------------------------------------------------------------------------------

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._reset_to(self.get_parameter("episode").value)
        response.success, response.message = True, json.dumps(self._about)
        return response

    def _stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if not self._running:
            response.message = "no episode is running: call ~/reset"
            return response
        self._step(self._contract.actions.action(0.0, 0.0))
        response.success, response.message = True, json.dumps(self._about)
        return response

    def _reset_to(self, episode: int) -> None:
        self._observation, info = self._env.reset(options={"counts": [episode]} if episode >= 0 else {})
        self._metrics = info["metrics"]
        self._command, self._commanded_at, self._steps, self._running = ZERO, -math.inf, 0, True
        self._start = _in_map(self._metrics["agent.x"], self._metrics["agent.z"], self._metrics["agent.yaw"])
        self._pose = Pose(0.0, 0.0, 0.0)
        goals = self._env.call("goals")[0]
        point = goals["positions"][0] if goals["positions"] and not goals["category"] else None
        self._about = {
            **{key: info["episode"][key] for key in ("episode_id", "scene_id", "index")},
            "running": True,
            "category": goals["category"],
            "goal_m": None if point is None else list(_in_map(point[0], point[2], 0.0).relative_to(self._start)[:2]),
            "start": list(self._start),
            "result": None,
        }
        self._announce()

    def _announce(self) -> None:
        map_frame = self._contract.frames.name("map")
        self._odom_in_map.publish(messages.pose_stamped(self._start, self._stamp(), map_frame))
        self._episode.publish(String(data=json.dumps(_finite(self._about))))
        if self._about["goal_m"] is not None and self._about["running"]:
            x_m, y_m = self._about["goal_m"]
            goal = Pose(x_m, y_m, 0.0)
            self._goal.publish(messages.pose_stamped(goal, self._stamp(), self._contract.frames.name("odom")))
        self._report()

    def _pose_now(self) -> Pose:
        metrics = self._metrics
        return _in_map(metrics["agent.x"], metrics["agent.z"], metrics["agent.yaw"]).relative_to(self._start)

    # -- publishing ----------------------------------------------------------------------------------------------

    def _stamp(self) -> Any:
        if self._simulated_ns is not None:
            return messages.stamp_of(self._simulated_ns)
        return self.get_clock().now().to_msg()

    def _publish(self, before: Pose) -> None:
        robot, stamp, frame = self._contract, self._stamp(), self._frame
        rgb = self._observation["rgb"]
        if robot.camera.type == IMAGE:
            self._camera.publish(messages.image(rgb, robot.camera.encoding, stamp, frame))
        else:
            self._camera.publish(messages.compressed_image(rgb, robot.camera.encoding, stamp, frame))
        self._camera_info.publish(messages.camera_info(robot.camera, stamp, frame))
        if self._depth is not None and self._depth_info is not None:
            metres = self._observation["depth"][..., 0] * np.float32(robot.depth.max_m)
            metres = np.where(metres > 0, metres, np.float32(np.nan))  # Habitat's 0: nothing there
            self._depth.publish(messages.image(metres, robot.depth.encoding, stamp, frame))
            self._depth_info.publish(messages.camera_info(robot.depth, stamp, frame))
        moved = self._pose.relative_to(before)
        velocity = Velocity(moved.x_m / self._period_s, moved.yaw_rad / self._period_s)
        self._odometry.publish(messages.odometry(self._pose, velocity, stamp, robot))

    def _publish_clock(self) -> None:
        """Time goes on between the ticks, too, and never beyond the next."""
        assert self._simulated_ns is not None
        since_s = min(time.monotonic() - self._ticked_at, 0.99 * self._period_s)
        self._clock_publisher.publish(Clock(clock=messages.stamp_of(self._simulated_ns + round(since_s * 1e9))))

    def _report(self, only_if_changed: bool = False) -> None:
        level, text = OK, f"episode {self._about['episode_id']} is {'running' if self._running else 'over'}"
        if self._command_problem:
            level, text = WARN, f"{self._contract.base.topic}: {self._command_problem}"
        values = {"scene": self._about["scene_id"], "steps": self._steps, "result": self._about["result"] or ""}
        self._diagnostics.publish(level, text, values, only_if_changed)


def _in_map(x: float, z: float, yaw: float) -> Pose:
    """A pose of Habitat's scene frame (Y up, ahead is -Z) in map."""
    return Pose(-z, -x, messages.wrapped(yaw))


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main() -> int:
    return run(HabitatRobotNode)


if __name__ == "__main__":
    raise SystemExit(main())
