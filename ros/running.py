"""What all nodes share: parameters with descriptions and ranges, the contract at start, and an orderly end."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterException, InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from ros import contract
from ros.contract import RobotContract

WRONG_INPUT = 2
_WRONG_PARAMETER = (InvalidParameterException, InvalidParameterTypeException, InvalidParameterValueException)


def declare(
    node: Node,
    name: str,
    default: Any,
    help: str,
    low: float | None = None,
    high: float | None = None,
    read_only: bool = True,
) -> Any:
    """Declares a parameter and gives its value.

    Args:
        low, high: the range of a number; ROS refuses what lies outside.
        read_only: it does not change while the node runs.
    """
    descriptor = ParameterDescriptor(description=help, read_only=read_only)
    if low is not None and high is not None:
        if isinstance(default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
    return node.declare_parameter(name, default, descriptor).value


def declared_contract(node: Node) -> RobotContract:
    """The contract that the parameters `contract` and `contract_overrides` name. Raises ConfigError."""
    path = declare(node, "contract", "robot.yaml", "the robot's contract: a YAML file, or the name of one in configs/")
    overrides = declare(node, "contract_overrides", [""], "changes to it, key.sub=value, e.g. frames.prefix=robot1/")
    return contract.load(path, [override for override in overrides if override])


def run(make: Callable[[], Node], arguments: list[str] | None = None) -> int:
    """Runs one node until SIGINT or SIGTERM; returns the exit status.

    A node that cannot start, or go on (ValueError, OSError, RuntimeError), says why in one line; the status is
    WRONG_INPUT if it did not start, since then starting it again would not help. Its `close`, if it has one, is called
    while it can still publish.
    """
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    node = None
    try:
        node = make()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not ending.is_set() and rclpy.ok():
            executor.spin_once(timeout_sec=0.2)
        return 0
    except (ExternalShutdownException, KeyboardInterrupt):
        return 0
    except (ValueError, OSError, RuntimeError, *_WRONG_PARAMETER) as error:
        print(f"{Path(sys.argv[0]).stem}: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return WRONG_INPUT if node is None else 1
    finally:
        if node is not None:
            with contextlib.suppress(Exception):
                getattr(node, "close", lambda: None)()
            node.destroy_node()
        rclpy.try_shutdown()
