"""Diagnostics (diagnostic_msgs): what a node is doing, at its own topic for who comes later, and at /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from ros import qos

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE


class Diagnostics:
    """Publishes one status: at once when it changes, and else when asked to.

    `~/status` (diagnostic_msgs/msg/DiagnosticStatus) keeps the last one for late readers; `/diagnostics` is the
    aggregator's.
    """

    def __init__(self, node: Node, hardware: str) -> None:
        self._node = node
        self._name = node.get_fully_qualified_name().lstrip("/")
        self._hardware = hardware
        self._status = node.create_publisher(DiagnosticStatus, "~/status", qos.LATCHED)
        self._array = node.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        self._last: tuple[bytes, str] | None = None

    def publish(self, level: bytes, message: str, values: Mapping[str, Any], only_if_changed: bool = False) -> None:
        """`values` are shown as text. A change of level or message is also logged."""
        changed = self._last != (level, message)
        if only_if_changed and not changed:
            return
        if changed and level == OK:
            self._node.get_logger().info(message)
        elif changed and level == WARN:  # rclpy takes one severity from each line of code
            self._node.get_logger().warning(message)
        elif changed:
            self._node.get_logger().error(message)
        self._last = level, message
        status = DiagnosticStatus(level=level, name=self._name, message=message, hardware_id=self._hardware)
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._status.publish(status)
        self._array.publish(array)
