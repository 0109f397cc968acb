"""A safety gate between a robot's driver and a policy, each a process, and ears at the base."""

import time

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from graph import wait_for
from std_srvs.srv import SetBool, Trigger

from ros import qos

COMMAND = [0.5, 0.3]
WATCH_S = 0.4
"""How long the base is watched for motion after it stopped."""


class Bench:
    """A safety node, a robot's driver, a commander, and the base's ears."""

    def __init__(self, graph):
        self.graph = graph
        self.base = graph.ears(TwistStamped, "cmd_vel", qos.COMMAND)
        self.status = graph.ears(DiagnosticStatus, "safety/status", qos.LATCHED)
        self.safety = graph.node_process("ros.safety_node")
        self.robot = graph.actor("robot")
        self.commander = graph.actor("commander")

    def ready(self):
        """Everything alive and well, the base moving as commanded."""
        if self.is_moving() and time.monotonic() - self.base[-1][0] < 0.1:
            return self  # as the test before left it
        if self.robot.process.poll() is not None:
            self.robot = self.graph.actor("robot")
        if self.commander.process.poll() is not None:
            self.commander = self.graph.actor("commander")
        self.robot.do(camera="good", odometry="good", drop=0.0)
        self.commander.do(command=None, rate_hz=20.0, drop=0.0, stamp="now", frame="base_link")
        self.graph.call(SetBool, "safety/estop", SetBool.Request(data=False))
        for _ in range(5):  # a loaded machine may hold a picture up for longer than its deadline
            self.arm()
            self.commander.do(command=COMMAND)
            end = time.monotonic() + 1.0
            while not self.is_moving() and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(0.2)
            if self.is_moving():
                return self
            self.commander.do(command=None)
        raise AssertionError(f"the base does not move: {self.reason()}")

    def arm(self):
        answers = []
        wait_for(lambda: answers.append(self.graph.call(Trigger, "safety/arm")) or answers[-1].success, "arming", 20)

    def is_moving(self):
        return bool(self.base) and self.base[-1][1].twist.linear.x > 0

    def reason(self):
        return self.status[-1][1].message if self.status else "no status"

    def assert_reason(self, words):
        wait_for(lambda: "stopped" in self.reason(), "the gate's status", 5.0)
        assert words in self.reason()

    def stop_time_s(self, since):
        """Seconds from `since` until the base got its last velocity other than zero."""
        wait_for(lambda: self.base[-1][0] > since and not self.is_moving(), "the base to stop", 5.0)
        time.sleep(0.1)
        moving = [at for at, message in self.base if message.twist.linear.x or message.twist.angular.z]
        return moving[-1] - since

    def assert_stays_stopped(self):
        """No motion, though all is well again and motion is asked for, until it is armed."""
        self.robot.do(camera="good", odometry="good", drop=0.0)
        self.commander.do(command=COMMAND, rate_hz=20.0, drop=0.0, stamp="now", frame="base_link")
        start = time.monotonic()
        time.sleep(WATCH_S)
        after = [message.twist for at, message in self.base if at > start]
        assert len(after) > 5
        assert all(twist.linear.x == 0 and twist.angular.z == 0 for twist in after)
        self.commander.do(command=None)
        self.ready()
