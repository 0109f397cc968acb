"""A trained policy as a managed ROS 2 node: goals in, velocities or joint trajectories out.

::

    camera, depth, odometry --> frames --> policy (own thread) --> chunk queue --> command.topic, at command.rate_hz
    ~/navigate (action), goal_pose ------------^                        |
                                                                       +--> ~/decision, ~/status, /diagnostics

Lifecycle: `configure` loads the checkpoint, holds it against the robot's contract and warms it up; `activate` wants the
contract's topics in the graph, with their types. Only an active node takes goals. With the parameter `autostart` it
goes through both by itself.

A goal in words, for a policy that goes to places, is looked up in the memory (~/query of the memory node): the goal is
where the robot stood when it saw the best entry.

No motion without a goal, without a fresh frame, or without an action that is a number: the command is zero. A policy
with discrete actions is carried out as motions closed on odometry, one decision at the end of each. A MemoryVLA that
moves joints is given instructions, and its chunks go to joints.command_topic: the next is inferred while one is carried
out, and each trajectory is what is to come of both, blended.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ros import interfaces, messages, qos
from ros.chunks import NEWEST, ChunkConfig, ChunkError, ChunkQueue
from ros.contract import IMAGE, ContractMismatch
from ros.deciders import Decider, VlaDecider, load_decider
from ros.diagnostics import ERROR, OK, WARN, Diagnostics
from ros.frames import Frame, FrameSync
from ros.messages import MessageError, Pose, Velocity
from ros.motions import Motion, MotionConfig
from ros.running import declare, declared_contract, run
from ros.sensors import POINT_GOAL

TYPES = interfaces.load()
Navigate, Decision = TYPES.action.Navigate, TYPES.msg.Decision
QueryMemory = TYPES.srv.QueryMemory
_MEMORY_TIMEOUT_S = 3.0
_ZERO = Velocity(0.0, 0.0)
_PARTING_ZEROS = 10
"""Zero commands after a goal's end, then silence."""
_BAD_SHOWN_S = 5.0
"""How long a bad message stays in the diagnostics, seconds."""


class _Goal:
    """A goal under way."""

    def __init__(self, number: int, request: Any, start: Pose, place: Pose | None, began_ns: int) -> None:
        self.number, self.request, self.start, self.place, self.began_ns = number, request, start, place, began_ns
        self.decisions = 0
        self.done: Future | None = None
        """Of the action's client, if it has one: gets (outcome, message)."""


class PolicyNode(LifecycleNode):
    """See the module. Raises ConfigError if the contract is wrong."""

    def __init__(self) -> None:
        super().__init__("policy")
        self._robot = robot = declared_contract(self)
        say = functools.partial(declare, self)
        self._checkpoint = say("checkpoint", "", "a checkpoint's folder, or a run's (then its newest)")
        self._seed = say("seed", 0, "of drawn actions; goal k draws from seed + k - 1", 0, 2**31 - 1)
        self._timeout_s = say("goal_timeout_s", 120.0, "a goal that takes longer is given up, seconds", 0.1, 1e6)
        self._keeps_start = say("keep_memory", False, "memory and positions go on from goal to goal")
        self._start_timeout_s = say("start_timeout_s", 5.0, "activation waits so long for topics, seconds", 0.0, 600.0)
        blend = say("chunks.blend", NEWEST, "how chunks are blended: newest, ensemble or real_time")
        hold_s = say("chunks.hold_s", 0.12, "how long a last action goes on without a newer one, seconds", 0.0, 2.0)
        self._motions = MotionConfig()
        self._queue = ChunkQueue(ChunkConfig(blend=blend, hold_s=hold_s))
        self._decider: Decider | None = None
        self._active = False
        self._goal: _Goal | None = None
        self._motion: Motion | None = None
        self._goals = 0
        self._zeros = 0
        self._lock = threading.RLock()
        self._frames = FrameSync(bool(robot.depth.topic), 0.5 / robot.camera.rate_hz)
        self._joints: np.ndarray | None = None
        self._arrived: dict[str, float] = {}
        self._bad: dict[str, tuple[float, str]] = {}
        self._latencies_s: deque[float] = deque(maxlen=500)
        self._next_frame: Frame | None = None
        self._decided_ns = 0
        self._arrived_ns = 0
        """When the last motion ended, ROS time: what was seen before then shows the robot on its way."""
        self._wake = threading.Condition(self._lock)
        self._ending = False
        self._diagnostics = Diagnostics(self, robot.robot)
        self._commands = self.create_publisher(messages.twist_type(robot.command), robot.command.topic, qos.COMMAND)
        self._decisions = self.create_publisher(Decision, "~/decision", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / robot.command.rate_hz, self._tick, clock=steady)
        self.create_timer(1.0, self._report, clock=steady)
        self._server = ActionServer(
            self,
            Navigate,
            "~/navigate",
            execute_callback=self._execute,
            goal_callback=lambda _: GoalResponse.ACCEPT if self._active else GoalResponse.REJECT,
            cancel_callback=self._cancel,
        )
        self.create_subscription(PoseStamped, "goal_pose", self._goal_pose, qos.COMMAND)
        self._memory: Any = self.create_client(QueryMemory, "memory/query")
        self._odom_in_map = Pose(0.0, 0.0, 0.0)
        self.create_subscription(PoseStamped, "odom_in_map", self._localised, qos.LATCHED)
        self._listen_to_robot()
        self._thread = threading.Thread(target=self._work, name="policy", daemon=True)
        self._thread.start()
        if say("autostart", False, "configure and activate without being asked to"):
            self._starter = self.create_timer(0.2, self._start, clock=steady)

    def close(self) -> None:
        """Leaves the base at zero."""
        self._finish(Navigate.Result.FAULT, "the policy node ends")
        with self._lock:
            self._ending = True
            self._wake.notify()
        self._thread.join(timeout=2.0)
        self._send(_ZERO)

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            if not self._checkpoint:
                raise ContractMismatch("no checkpoint: set the parameter checkpoint to its folder")
            decider = load_decider(Path(self._checkpoint), self._robot, self._seed)
            took_s = decider.warm_up()
        except (ValueError, OSError) as error:
            return self._refuse(" ".join(str(error).split()))
        with self._lock:
            self._decider = decider
        gc.collect()
        gc.freeze()
        reads = ", ".join(decider.reads)
        self._diagnostics.publish(OK, f"configured: reads {reads}; {1e3 * took_s:.0f} ms a decision", {})
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        deadline = time.monotonic() + self._start_timeout_s
        while problem := self._graph_problem():
            if time.monotonic() >= deadline:
                return self._refuse(problem)
            time.sleep(0.05)
        with self._lock:
            self._active = True
        self._report()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._finish(Navigate.Result.FAULT, "the policy was deactivated")
        with self._lock:
            self._active = False
        self._report()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        with self._lock:
            self._decider = None
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._finish(Navigate.Result.FAULT, "the policy node shuts down")
        with self._lock:
            self._active = False
        return TransitionCallbackReturn.SUCCESS

    def _start(self) -> None:
        if self._decider is None:
            self._starter.cancel()
            if self.trigger_configure() != TransitionCallbackReturn.SUCCESS:
                return  # what is wrong with a checkpoint does not mend itself
            self._starter.reset()
        elif not self._active and not self._graph_problem():
            self._starter.cancel()
            self.trigger_activate()
        elif not self._active:
            self._diagnostics.publish(WARN, f"waiting: {self._graph_problem()}", {}, only_if_changed=True)

    def _refuse(self, why: str) -> TransitionCallbackReturn:
        self._diagnostics.publish(ERROR, why, {})
        return TransitionCallbackReturn.FAILURE

    def _graph_problem(self) -> str:
        """Which topic that the policy needs is missing or of another type; empty if none."""
        wanted = ["camera.topic", "camera.info_topic", "odometry.topic"]
        wanted += ["depth.topic"] if self._robot.depth.topic else []
        wanted += ["joints.topic"] if self._robot.joints.topic else []
        topics, types = self._robot.topics(), self._robot.types()
        for key in wanted:
            topic = topics[key]
            found = {info.topic_type for info in self.get_publishers_info_by_topic(topic)}
            if not found:
                return f"nothing publishes {self.resolve_topic_name(topic)} ({key} of the contract)"
            if found != {types[topic]}:
                others = ", ".join(sorted(found - {types[topic]}))
                return f"{self.resolve_topic_name(topic)} is published as {others}; {key} is {types[topic]}"
        return ""

    # -- what the robot sees -------------------------------------------------------------------------------------

    def _listen_to_robot(self) -> None:
        robot = self._robot
        camera_type = Image if robot.camera.type == IMAGE else CompressedImage
        self._listen(camera_type, robot.camera.topic, "camera", self._color)
        self._listen(CameraInfo, robot.camera.info_topic, "camera_info", self._camera_info)
        self._listen(Odometry, robot.odometry.topic, "odometry", self._odometry)
        if robot.depth.topic:
            self._listen(Image, robot.depth.topic, "depth", self._depth)
        if robot.joints.topic:
            self._listen(JointState, robot.joints.topic, "joints", self._joint_state)
            self._trajectories = self.create_publisher(JointTrajectory, robot.joints.command_topic, qos.COMMAND)

    def _listen(self, kind: type, topic: str, name: str, use: Callable[[Any], None]) -> None:
        self.create_subscription(kind, topic, functools.partial(self._received, name, use), qos.SENSOR_READER)

    def _received(self, name: str, use: Callable[[Any], None], message: Any) -> None:
        try:
            use(message)
        except MessageError as error:
            with self._lock:
                first = name not in self._bad
                self._bad[name] = time.monotonic(), str(error)
            if first:
                self._report()
        else:
            with self._lock:
                self._arrived[name] = time.monotonic()

    def _color(self, message: Any) -> None:
        picture = messages.color_of(message, self._robot.camera, self._robot.frames.name("camera"))
        stamp_ns = messages.nanoseconds(message.header.stamp)
        self._complete(lambda: self._frames.color(stamp_ns, picture))

    def _depth(self, message: Image) -> None:
        metres = messages.depth_m_of(message, self._robot.depth, self._robot.frames.name("camera"))
        stamp_ns = messages.nanoseconds(message.header.stamp)
        self._complete(lambda: self._frames.depth(stamp_ns, metres))

    def _odometry(self, message: Odometry) -> None:
        pose = messages.pose_of(message, self._robot)
        stamp_ns = messages.nanoseconds(message.header.stamp)
        self._complete(lambda: self._frames.pose(stamp_ns, pose))

    def _joint_state(self, message: JointState) -> None:
        self._joints = messages.joints_of(message, self._robot.joints)

    def _camera_info(self, message: CameraInfo) -> None:
        messages.check_camera_info(message, self._robot.camera, self._robot.frames.name("camera"))
        with self._lock:
            self._bad.pop("camera_info", None)

    def _complete(self, add: Callable[[], Frame | None]) -> None:
        with self._lock:
            frame = add()
            if frame is None or self._goal is None or not self._wants(frame):
                return
            self._next_frame = replace(frame, joints=self._joints)
            self._wake.notify()

    def _wants(self, frame: Frame) -> bool:
        """Whether this frame is to be decided on."""
        decider = self._decider
        if decider is None or decider.motions:
            return self._motion is None and frame.stamp_ns >= self._arrived_ns
        if self._queue.remaining_s(frame.stamp_ns / 1e9) > decider.lead_s:
            return False
        due_ns = self._decided_ns + 0.8e9 * decider.period_s
        return not self._decided_ns <= frame.stamp_ns < due_ns

    def _blind(self) -> str:
        """Why the robot must not move by what it sees; empty if it may."""
        robot, now = self._robot, time.monotonic()
        inputs = {"camera": robot.camera.deadline_s, "odometry": robot.odometry.deadline_s}
        if robot.depth.topic:
            inputs["depth"] = robot.depth.deadline_s
        if robot.joints.topic:
            inputs["joints"] = robot.joints.deadline_s
        for name, deadline_s in inputs.items():
            age_s = now - self._arrived.get(name, -math.inf)
            if age_s > deadline_s:
                problem = f"; {self._bad[name][1]}" if name in self._bad else ""
                return f"{name}: " + (f"nothing good for {age_s:.2f} s" if age_s < 1e6 else "never seen") + problem
        if "camera_info" in self._bad:
            return f"camera_info: {self._bad['camera_info'][1]}"
        return ""

    # -- goals ---------------------------------------------------------------------------------------------------

    def _goal_pose(self, message: PoseStamped) -> None:
        request = Navigate.Goal(kind=Navigate.Goal.POSE, pose=message)
        problem = self._begin(request, None) if self._active else "the policy is not active"
        if problem:
            self._diagnostics.publish(WARN, f"goal refused: {problem}", {})

    async def _execute(self, handle: Any) -> Any:
        result = Navigate.Result()
        done: Any = Future(executor=self.executor)
        began = time.monotonic()
        problem = await self._look_up(handle.request) or self._begin(handle.request, done, handle)
        if problem:
            self._diagnostics.publish(WARN, f"goal refused: {problem}", {})
            handle.abort()
            result.outcome, result.message, result.distance_m = Navigate.Result.REJECTED, problem, math.nan
            return result
        outcome, message, goal, distance_m = await done
        result.outcome, result.message, result.distance_m = outcome, message, distance_m
        result.duration_s, result.decisions = time.monotonic() - began, goal.decisions
        if outcome == Navigate.Result.STOPPED:
            handle.succeed()
        elif handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return result

    async def _look_up(self, request: Any) -> str:
        """Turns words into the place where the memory has seen what they say, for a policy that goes to places; what is
        wrong, or nothing.
        """
        decider = self._decider
        drives = decider is not None and decider.sensors is not None and POINT_GOAL in decider.reads
        if request.kind == Navigate.Goal.POSE or not drives:
            return ""
        if not self._memory.service_is_ready():
            return f"the policy goes to places, and no memory is there to ask for '{request.text}': give a pose"
        future = self._memory.call_async(QueryMemory.Request(text=request.text, limit=1))

        def give_up() -> None:
            if not future.done():
                future.set_result(None)

        patience = self.create_timer(_MEMORY_TIMEOUT_S, give_up)
        answer = await future
        self.destroy_timer(patience)
        if answer is None or not answer.success:
            return f"the memory says nothing of '{request.text}'" + (f": {answer.message}" if answer else " in time")
        if not answer.entries:
            return f"the memory has seen no '{request.text}'"
        seen = messages.goal_of(PoseStamped(pose=answer.entries[0].pose), "").relative_to(self._odom_in_map)
        request.kind = Navigate.Goal.POSE
        request.pose = messages.pose_stamped(seen, messages.stamp_of(0), self._robot.frames.name("odom"))
        return ""

    def _localised(self, message: PoseStamped) -> None:
        with contextlib.suppress(MessageError):
            self._odom_in_map = messages.goal_of(message, self._robot.frames.name("map"))

    def _cancel(self, handle: Any) -> CancelResponse:
        self._finish(Navigate.Result.CANCELED, "canceled")
        return CancelResponse.ACCEPT

    def _begin(self, request: Any, done: Future | None, handle: Any = None) -> str:
        """Takes a goal; what is wrong with it, or nothing."""
        self._finish(Navigate.Result.CANCELED, "replaced by a newer goal")
        with self._lock:
            if self._decider is None or not self._active:
                return "the policy is not active"
            start = self._frames.newest_pose
            if start is None:
                return f"no odometry yet: {self._blind()}"
            place = None
            try:
                if self._decider.sensors is None:
                    if request.kind != Navigate.Goal.INSTRUCTION or not request.text.strip():
                        raise ContractMismatch("the policy does what it is told in words: give an instruction")
                else:
                    if request.kind == Navigate.Goal.POSE:
                        place = self._place_of(request.pose, start)
                    elif request.kind != Navigate.Goal.NAME:
                        raise ContractMismatch("the policy does not follow instructions: give a pose or a name")
                    self._decider.sensors.begin(start, place, request.text, self._keeps_start and self._goals > 0)
            except (ValueError, MessageError) as error:
                return str(error)
            self._goals += 1
            if not self._keeps_start or self._goals == 1:
                self._decider.begin(self._seed + self._goals - 1, request.text)
            goal = _Goal(self._goals, request, start, place, self.get_clock().now().nanoseconds)
            goal.done = done
            self._queue.clear()
            self._motion, self._decided_ns, self._arrived_ns = None, 0, 0
            self._goal, self._handle = goal, handle
        self._report()
        return ""

    def _place_of(self, message: PoseStamped, here: Pose) -> Pose:
        """A goal's pose in odom. Raises MessageError."""
        frames = self._robot.frames
        if message.header.frame_id == frames.name("base"):
            there = messages.goal_of(message, frames.name("base"))
            cos, sin = math.cos(here.yaw_rad), math.sin(here.yaw_rad)
            x = here.x_m + cos * there.x_m - sin * there.y_m
            return Pose(x, here.y_m + sin * there.x_m + cos * there.y_m, here.yaw_rad + there.yaw_rad)
        return messages.goal_of(message, frames.name("odom"))

    def _finish(self, outcome: int, message: str) -> None:
        """Ends the goal under way, if there is one, and stands still."""
        with self._lock:
            goal, self._goal = self._goal, None
            self._queue.clear()
            self._motion = self._next_frame = None
            self._zeros = _PARTING_ZEROS
            if goal is None:
                return
            pose = self._frames.newest_pose
            distance_m = self._distance_m(goal, pose) if pose is not None else math.nan
        self._send(_ZERO)
        self._send_trajectory()
        if goal.done is not None and not goal.done.done():
            goal.done.set_result((outcome, message, goal, distance_m))
        self._report()
        self.get_logger().info(f"goal {goal.number}: {message}")

    def _distance_m(self, goal: _Goal, pose: Pose) -> float:
        if goal.place is None:
            return math.nan
        return math.hypot(goal.place.x_m - pose.x_m, goal.place.y_m - pose.y_m)

    # -- deciding, in a thread of its own ------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._lock:
                while self._next_frame is None and not self._ending:
                    self._wake.wait()
                if self._ending:
                    return
                frame, goal, decider = self._next_frame, self._goal, self._decider
                self._next_frame = None
            if goal is None or decider is None or frame is None:
                continue
            began = time.perf_counter()
            try:
                chunk = decider.decide(frame)
            except Exception as error:
                self._finish(Navigate.Result.FAULT, f"the policy failed: {' '.join(str(error).split())}")
                continue
            self._decided(goal, decider, frame, np.asarray(chunk, np.float64), time.perf_counter() - began)

    def _decided(self, goal: _Goal, decider: Decider, frame: Frame, chunk: np.ndarray, took_s: float) -> None:
        outcome: tuple[int, str] | None = None
        with self._lock:
            if self._goal is not goal:
                return
            self._decided_ns = frame.stamp_ns
            now_s = self.get_clock().now().nanoseconds / 1e9
            velocity = _ZERO
            try:
                if decider.motions:
                    outcome = self._begin_motion(decider.motions[int(chunk[0, 0])], frame, now_s)
                else:
                    self._queue.add(chunk, frame.stamp_ns / 1e9, decider.period_s, now_s)
                    drives = decider.sensors is not None
                    if drives and self._robot.actions.is_still(*self._robot.actions.velocity(chunk[0])):
                        outcome = Navigate.Result.STOPPED, "the policy says that it is there"
            except ChunkError as error:
                outcome = Navigate.Result.FAULT, f"the policy's action is no number: {error}"
            if outcome is None:
                velocity = self._velocity_now()
            sent_ns = self._send(velocity) if decider.sensors is not None else self._send_trajectory()
            latency_s = (sent_ns - frame.stamp_ns) / 1e9
            self._latencies_s.append(latency_s)
            decision = self._described(goal, frame, chunk, velocity)
            goal.decisions += 1
        decision.commanded, decision.inference_s = messages.stamp_of(sent_ns), took_s
        decision.latency_s = latency_s
        self._decisions.publish(decision)
        if self._handle is not None and outcome is None:
            feedback = Navigate.Feedback(distance_m=decision.distance_m, decisions=goal.decisions, latency_s=latency_s)
            feedback.elapsed_s, feedback.status = (sent_ns - goal.began_ns) / 1e9, self._blind() or "moving"
            self._handle.publish_feedback(feedback)
        if outcome is not None:
            self._finish(*outcome)

    def _begin_motion(self, name: str, frame: Frame, now_s: float) -> tuple[int, str] | None:
        if name == "stop":
            return Navigate.Result.STOPPED, "the policy says that it is there"
        self._motion = Motion(name, frame.pose, now_s, self._robot.actions, self._motions)
        return None

    def _described(self, goal: _Goal, frame: Frame, chunk: np.ndarray, velocity: Velocity) -> Any:
        decision = Decision(goal_number=goal.number, number=goal.decisions, goal_kind=goal.request.kind)
        decision.header.stamp = messages.stamp_of(frame.stamp_ns)
        decision.header.frame_id = self._robot.frames.name("odom")
        decision.goal_text, decision.action = goal.request.text, [float(number) for number in chunk.flat]
        for name, pose in (("start", goal.start), ("pose", frame.pose), ("goal", goal.place)):
            if pose is not None:
                setattr(decision, name, messages.pose_stamped(pose, decision.header.stamp, "").pose)
        decision.command.linear.x, decision.command.angular.z = velocity
        decision.distance_m = self._distance_m(goal, frame.pose)
        return decision

    # -- commanding ----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        with self._lock:
            if self._goal is None:
                if self._zeros > 0:
                    self._zeros -= 1
                    self._send(_ZERO)
                return
            self._send(self._velocity_now())
            if self._blind() and len(self._queue):  # the joints hold, too
                self._queue.clear()
                self._send_trajectory()
            timed_out = self.get_clock().now().nanoseconds - self._goal.began_ns > self._timeout_s * 1e9
        if timed_out:
            self._finish(Navigate.Result.TIMEOUT, f"not there after {self._timeout_s:g} s")

    def _velocity_now(self) -> Velocity:
        """What the base is to do now; the lock is held."""
        if self._blind():
            return _ZERO
        now_s = self.get_clock().now().nanoseconds / 1e9
        if self._motion is not None:
            pose = self._frames.newest_pose
            velocity = self._motion.velocity(pose, now_s) if pose is not None else _ZERO
            if self._motion.done:
                self._motion, self._arrived_ns = None, round(now_s * 1e9)
            return velocity
        if self._decider is None or self._decider.sensors is None:
            return _ZERO
        action = self._queue.at(now_s)
        return _ZERO if action is None else Velocity(*self._robot.actions.velocity(action.tolist()))

    def _send_trajectory(self) -> int:
        """Publishes what is to come of the joints' chunks, blended; nothing to come is an empty trajectory, which means
        hold. Its stamp, nanoseconds.
        """
        now = self.get_clock().now()
        decider = self._decider
        if not isinstance(decider, VlaDecider):
            return now.nanoseconds
        message = JointTrajectory(joint_names=list(decider.names))
        message.header.stamp, now_s = now.to_msg(), now.nanoseconds / 1e9
        left_s = 0.0 if self._blind() else self._queue.remaining_s(now_s)
        for number in range(1, 1 + int(left_s / decider.period_s)):
            after_s = number * decider.period_s
            positions = self._queue.peek(now_s + after_s)
            if positions is None:
                break
            point = JointTrajectoryPoint(positions=positions.tolist())
            point.time_from_start.sec, point.time_from_start.nanosec = int(after_s), int(1e9 * (after_s % 1.0))
            message.points.append(point)
        self._trajectories.publish(message)
        return now.nanoseconds

    def _send(self, velocity: Velocity) -> int:
        """Publishes a command; its stamp, nanoseconds."""
        now = self.get_clock().now()
        self._commands.publish(
            messages.twist(velocity, self._robot.command, now.to_msg(), self._robot.frames.name("base"))
        )
        return now.nanoseconds

    # -- diagnostics ---------------------------------------------------------------------------------------------

    def _report(self) -> None:
        with self._lock:
            now = time.monotonic()
            self._bad = {
                name: bad for name, bad in self._bad.items() if name == "camera_info" or now - bad[0] < _BAD_SHOWN_S
            }
            bad = {name: problem for name, (_, problem) in self._bad.items()}
            blind, goal, active = self._blind(), self._goal, self._active
            latencies = sorted(self._latencies_s)
        values: dict[str, Any] = {"active": active, "goals": self._goals, "late_chunks": self._queue.dropped}
        values |= {f"bad {name}": problem for name, problem in bad.items()}
        if latencies:
            values["latency_p50_ms"] = f"{1e3 * latencies[len(latencies) // 2]:.1f}"
            values["latency_p99_ms"] = f"{1e3 * latencies[min(len(latencies) - 1, int(0.99 * len(latencies)))]:.1f}"
        if goal is not None:
            values |= {"goal": goal.number, "decisions": goal.decisions}
        if not active:
            if bad or self._decider is None:  # what a transition said stays said
                return
            self._diagnostics.publish(OK, "inactive", values, only_if_changed=True)
        elif bad:
            name, problem = next(iter(bad.items()))
            self._diagnostics.publish(ERROR, f"bad {name}: {problem}", values)
        elif blind:
            self._diagnostics.publish(WARN if goal is None else ERROR, f"no motion: {blind.split(':')[0]}", values)
        else:
            self._diagnostics.publish(OK, "active" if goal is None else f"on goal {goal.number}", values)


def main() -> int:
    return run(PolicyNode)


if __name__ == "__main__":
    raise SystemExit(main())
