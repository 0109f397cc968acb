"""Records a run as an MCAP bag: the contract's topics, the policy's decisions and goals, what the memory stored.

Messages are written as they come, without being decoded. The parameter `topics` adds further ones.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from ros import interfaces, qos
from ros.bag import BagWriter, message_class
from ros.diagnostics import OK, Diagnostics
from ros.interfaces import PACKAGE
from ros.running import declare, declared_contract, run

_OWN = {"policy/decision": f"{PACKAGE}/msg/Decision", "memory/stored": f"{PACKAGE}/msg/MemoryEntry"}
_KEPT = {
    "habitat_robot/goal": "geometry_msgs/msg/PoseStamped",
    "habitat_robot/episode": "std_msgs/msg/String",
    "odom_in_map": "geometry_msgs/msg/PoseStamped",
}
"""Said once: to be read with the profile of those who come late."""


class RecordNode(Node):
    """See the module. Raises ConfigError if the contract is wrong, BagError if the file exists."""

    def __init__(self) -> None:
        super().__init__("recorder")
        robot = declared_contract(self)
        path = declare(self, "bag", "", "the file to write; empty: bags/TIME.mcap")
        more = declare(self, "topics", [""], "further topics, each as topic:package/msg/Type")
        interfaces.load()
        self._bag = BagWriter(Path(path or f"bags/{time.strftime('%Y%m%d_%H%M%S')}.mcap"))
        many = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
        topics = robot.types() | _OWN | dict(each.rsplit(":", 1) for each in more if ":" in each)
        for topic, kind in topics.items():
            self._listen(topic, kind, many)
        for topic, kind in _KEPT.items():
            self._listen(topic, kind, qos.LATCHED)
        self._diagnostics = Diagnostics(self, robot.robot)
        self.create_timer(1.0, self._flush, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        self._bag.close()

    def _listen(self, topic: str, kind: str, profile: QoSProfile) -> None:
        name = self.resolve_topic_name(topic)
        self.create_subscription(
            message_class(kind), topic, functools.partial(self._received, name, kind), profile, raw=True
        )

    def _received(self, topic: str, kind: str, data: Any) -> None:
        self._bag.write(topic, kind, bytes(data), self.get_clock().now().nanoseconds)

    def _flush(self) -> None:
        self._bag.flush()
        self._diagnostics.publish(OK, f"recording to {self._bag.path}", {"messages": self._bag.messages})


def main() -> int:
    return run(RecordNode)


if __name__ == "__main__":
    raise SystemExit(main())
