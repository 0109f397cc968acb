"""The safety gate (`ros.safety`) as a process of its own, between policy and base.

::

    command.topic (policy) --+
    camera, depth, odometry -+--> safety_node --> base.topic, at base.rate_hz whatever else happens
    ~/arm, ~/estop ----------+         +--------> ~/status, /diagnostics

Services: `~/arm` (std_srvs/srv/Trigger) lets motion through, or says what is missing; `~/estop`
(std_srvs/srv/SetBool) engages (true) or releases (false) the emergency stop.

The base's velocity is published by a thread of its own, so that no message, however large or many, holds it up. The
base must stop by itself when this process dies: base.deadline_s without a command.
"""

from __future__ import annotations

import functools
import gc
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from ros import messages, qos
from ros.contract import IMAGE
from ros.diagnostics import ERROR, OK, WARN, Diagnostics
from ros.messages import MessageError
from ros.running import declared_contract, run
from ros.safety import ZERO, NotReady, SafetyGate


class SafetyNode(Node):
    """See the module. Raises ConfigError if the contract is wrong."""

    def __init__(self) -> None:
        super().__init__("safety")
        self._contract = robot = declared_contract(self)
        self._gate = SafetyGate(robot, time.monotonic)
        self._lock = threading.Lock()
        self._base_frame, self._camera_frame = robot.frames.name("base"), robot.frames.name("camera")
        self._publisher = self.create_publisher(messages.twist_type(robot.base), robot.base.topic, qos.COMMAND)
        self._diagnostics = Diagnostics(self, robot.robot)
        camera_type = Image if robot.camera.type == IMAGE else CompressedImage
        self._listen(
            messages.twist_type(robot.command), robot.command.topic, "command", self._command, qos.COMMAND_READER
        )
        self._listen(camera_type, robot.camera.topic, "camera", self._camera)
        self._listen(Odometry, robot.odometry.topic, "odometry", self._odometry)
        if robot.limits.clearance_m > 0:
            self._listen(Image, robot.depth.topic, "depth", self._depth)
        self.create_service(Trigger, "~/arm", self._arm)
        self.create_service(SetBool, "~/estop", self._estop)
        self.create_timer(1.0, self._report)
        self.create_timer(0.05, functools.partial(self._report, only_if_changed=True))
        self._ending = threading.Event()
        self._ticks = self._late_ticks = 0
        self._thread = threading.Thread(target=self._drive, name="base", daemon=True)
        self._thread.start()
        self._report()

    def close(self) -> None:
        """Leaves the base at zero."""
        with self._lock:
            self._gate.stop("the safety node ends")
        self._ending.set()
        self._thread.join(timeout=1.0)
        self._send(ZERO)

    # -- the base ------------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        try:
            period_s = 1.0 / self._contract.base.rate_hz
            due = time.monotonic()
            while not self._ending.is_set():
                due += period_s
                wait_s = due - time.monotonic()
                if wait_s > 0:
                    time.sleep(wait_s)
                else:
                    due -= wait_s  # held up: go on from here, do not hurry after what was missed
                    self._late_ticks += 1
                with self._lock:
                    velocity = self._gate.output()
                self._ticks += 1
                self._send(velocity)
        except BaseException:
            # Without this loop nothing may live on that looks like a gate: the base stops by itself.
            if not self._ending.is_set():
                self.get_logger().fatal("the base's loop failed")
                os._exit(70)

    def _send(self, velocity: messages.Velocity) -> None:
        stamp = self.get_clock().now().to_msg()
        self._publisher.publish(messages.twist(velocity, self._contract.base, stamp, self._base_frame))

    # -- inputs --------------------------------------------------------------------------------------------------

    def _listen(
        self, kind: type, topic: str, name: str, use: Callable[[Any], None], profile: Any = qos.SENSOR_READER
    ) -> None:
        self.create_subscription(kind, topic, functools.partial(self._received, name, use), profile)

    def _received(self, name: str, use: Callable[[Any], None], message: Any) -> None:
        try:
            use(message)
        except MessageError as error:
            with self._lock:
                self._gate.bad(name, str(error))
            self._report(only_if_changed=True)

    def _command(self, message: Any) -> None:
        velocity = messages.command_of(message, self._base_frame)
        stamp = getattr(message, "header", None)
        stamp_ns = messages.nanoseconds(stamp.stamp) if stamp is not None else 0
        age_s = (self.get_clock().now().nanoseconds - stamp_ns) / 1e9 if stamp_ns else 0.0
        with self._lock:
            self._gate.command(velocity, stamp_ns, age_s)

    def _camera(self, message: Any) -> None:
        messages.check_picture(message, self._contract.camera, self._camera_frame)
        with self._lock:
            self._gate.seen("camera", messages.nanoseconds(message.header.stamp))

    def _odometry(self, message: Odometry) -> None:
        messages.pose_of(message, self._contract)
        with self._lock:
            self._gate.seen("odometry", messages.nanoseconds(message.header.stamp))

    def _depth(self, message: Image) -> None:
        metres = messages.depth_m_of(message, self._contract.depth, self._camera_frame)
        with self._lock:
            self._gate.depth(metres, messages.nanoseconds(message.header.stamp))

    # -- services ------------------------------------------------------------------------------------------------

    def _arm(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            with self._lock:
                self._gate.arm()
            response.success, response.message = True, "armed"
        except NotReady as error:
            response.message = str(error)
        self._report()
        return response

    def _estop(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        with self._lock:
            self._gate.estop(request.data)
        response.success = True
        response.message = "stopped" if request.data else "released; arm to let motion through"
        self._report()
        return response

    # -- diagnostics ---------------------------------------------------------------------------------------------

    def _report(self, only_if_changed: bool = False) -> None:
        with self._lock:
            gate = self._gate
            armed, reason, missing, stops, free_m = gate.armed, gate.reason, gate.missing(), gate.stops, gate.free_m
        values = {"armed": armed, "stops": stops, "missing": missing, "free_m": f"{free_m:.2f}"}
        values |= {"ticks": self._ticks, "late_ticks": self._late_ticks}
        values |= {"commanders": self.count_publishers(self._contract.command.topic)}
        level, text = (OK, "armed") if armed else (ERROR, f"stopped: {reason}")
        if armed and missing:
            level, text = WARN, "armed; motion would stop it: an input is missing"
        self._diagnostics.publish(level, text, values, only_if_changed)


def main() -> int:
    gc.freeze()  # what is imported stays: collections need not look at it again
    return run(SafetyNode)


if __name__ == "__main__":
    raise SystemExit(main())
