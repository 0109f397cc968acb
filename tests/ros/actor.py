"""A process that publishes what a robot's driver, or a policy, would: well, or badly in a way that it is told.

Standard input: one JSON object a line, settings to change; or "sent". Standard output: an answer to each.
"""

import json
import math
import random
import sys
import threading
import time

import numpy as np
import rclpy
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import Image

from ros import contract, messages, qos
from ros.messages import Pose
from ros.safety import Velocity

ROBOT = contract.load()
CAMERA_FRAME = ROBOT.frames.name("camera")


class ActorNode(Node):
    """Settings: camera, odometry ("off", "good", or a way to be bad), command ([v, w] or null), rate_hz (of commands),
    drop (share of all messages that is lost), stamp ("now", "zero" or "old"), frame (of commands)."""

    def __init__(self, name):
        super().__init__(name)
        self.settings = {"camera": "off", "odometry": "off", "command": None, "rate_hz": 20.0, "drop": 0.0}
        self.settings |= {"stamp": "now", "frame": "base_link"}
        self.sent = []
        self._random = random.Random(name)
        self._held = None
        self._camera = self.create_publisher(Image, ROBOT.camera.topic, qos.SENSOR_WRITER)
        self._odometry = self.create_publisher(Odometry, ROBOT.odometry.topic, qos.SENSOR_WRITER)
        self._command = self.create_publisher(TwistStamped, ROBOT.command.topic, qos.COMMAND)
        for loop in (self._sensors, self._commands):
            threading.Thread(target=self._repeat, args=(loop,), daemon=True).start()

    def _repeat(self, loop):
        due = time.monotonic()
        while rclpy.ok():
            due = max(due + loop(), time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def _lost(self):
        return self._random.random() < self.settings["drop"]

    def _now(self):
        return self.get_clock().now().to_msg()

    def _sensors(self):
        if self.settings["camera"] != "off":
            picture = np.zeros((64, 64, 3), np.uint8)
            message = messages.image(picture, "rgb8", self._now(), CAMERA_FRAME)
            how = self.settings["camera"]
            if how == "encoding":
                message.encoding = "yuv422"
            elif how == "size":
                message = messages.image(picture[:32], "rgb8", self._now(), CAMERA_FRAME)
            elif how == "stamp":
                message.header.stamp = messages.stamp_of(0)
            elif how == "frame":
                message.header.frame_id = "left_camera"
            elif how == "short":
                message.data = message.data[:100]
            elif how == "repeat":
                message = self._held
            if not self._lost():
                self._camera.publish(message)
            self._held = message
        if self.settings["odometry"] != "off":
            message = messages.odometry(Pose(0, 0, 0), Velocity(0, 0), self._now(), ROBOT)
            if self.settings["odometry"] == "nan":
                message.pose.pose.position.x = math.nan
            if self.settings["odometry"] == "frame":
                message.child_frame_id = "wheel"
            self._odometry.publish(message)
        return 1.0 / ROBOT.camera.rate_hz

    def _commands(self):
        command = self.settings["command"]
        if command is not None and not self._lost():
            message = messages.twist(Velocity(*command), ROBOT.command, self._now(), self.settings["frame"])
            if self.settings["stamp"] == "zero":
                message.header.stamp = messages.stamp_of(0)
            elif self.settings["stamp"] == "old":
                message.header.stamp.sec -= 5
            self.sent.append(time.monotonic())
            self._command.publish(message)
        return 1.0 / self.settings["rate_hz"]


def main():
    rclpy.init()
    node = ActorNode(sys.argv[1])
    threading.Thread(target=rclpy.spin, args=(node,), daemon=True).start()  # for /clock
    print("ready", flush=True)
    for line in sys.stdin:
        settings = json.loads(line)
        if settings == "sent":
            print(json.dumps(node.sent), flush=True)
            node.sent = []
        else:
            node.settings |= settings
            print(time.monotonic(), flush=True)


main()
