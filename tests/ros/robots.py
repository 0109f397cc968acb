"""Checkpoints and a robot's messages for the tests of the nodes."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embodied import checkpoint as checkpoints
from embodied import config as configs
from policies.config import PolicyConfig
from policies.contract import DISCRETE, VELOCITY, Actions, Contract, Sensor
from policies.registry import make_policy
from ros import contract, messages, qos
from ros.messages import Pose, Velocity

ROOT = Path(__file__).resolve().parents[2]


def policy_contract(kind: str = VELOCITY, goal: str = "point", side: int = 64) -> Contract:
    """What a navigation policy of the demo reads and does."""
    sensors = {
        "rgb": Sensor((side, side, 3), "uint8", 0.0, 255.0),
        "depth": Sensor((side, side, 1), "float32", 0.0, 1.0),
        "gps": Sensor((2,), "float32", -3.4e38, 3.4e38),
        "compass": Sensor((1,), "float32", -3.15, 3.15),
    }
    if goal == "point":
        sensors["pointgoal_with_gps_compass"] = Sensor((2,), "float32", -3.4e38, 3.4e38)
    else:
        sensors["objectgoal"] = Sensor((1,), "int64", 0.0, 2.0)
    if kind == DISCRETE:
        actions = Actions(DISCRETE, ("stop", "move_forward", "turn_left", "turn_right"))
    else:
        actions = Actions(VELOCITY, size=2, stop=(-1.0, 0.0))
    return Contract(sensors, actions, () if goal == "point" else ("chair", "bed", "plant"))


def save_checkpoint(
    folder: Path,
    offered: Contract | None = None,
    bias: tuple[float, float] | None = None,
    stop_bias: float = -20.0,
    poison: bool = False,
) -> Path:
    """An untrained policy as a checkpoint.

    Args:
        bias: the velocities it always gives, before tanh; None: as they come.
        stop_bias: how it likes to stop.
        poison: its actions are NaN.
    """
    torch.manual_seed(0)
    config = PolicyConfig(temperature=0.0)
    policy = make_policy(config, offered or policy_contract())
    with torch.no_grad():
        if hasattr(policy.head, "mean"):
            policy.head.stop_logit.bias.fill_(stop_bias)
            policy.head.stop_logit.weight.zero_()
            if bias is not None:
                policy.head.mean.weight.zero_()
                policy.head.mean.bias.copy_(torch.tensor(bias))
            if poison:
                policy.head.mean.bias.fill_(float("nan"))
    meta = {"steps": 0, "config": {"policy": configs.to_dict(config)}, "contract": policy.contract.to_json()}
    checkpoints.save(folder, policy.state_dict(), meta)
    return folder


def save_vla(folder: Path, joints: tuple[str, ...]) -> Path:
    """An untrained MemoryVLA that moves joints, and reads their positions, as a checkpoint: chunks of 4 at 10 Hz."""
    from embodied.memory_vla import MemoryVla, VlaConfig
    from policies.action_expert import ActionSpec

    config = VlaConfig(perceptual_dim=16, cognitive_dim=32)
    config.encoder.name, config.encoder.image_size, config.encoder.small_cnn.channels = "small_cnn", 16, [8, 16]
    config.memory.capacity = 3
    config.expert.size, config.expert.width, config.expert.layers, config.expert.horizon = "custom", 32, 1, 8
    config.expert.inference_steps, config.expert.guidance = 4, 1.0
    torch.manual_seed(0)
    policy = MemoryVla(config, ["front"], len(joints), len(joints))
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.15 * torch.randn_like(parameter)
    size = len(joints)
    spec = ActionSpec("joint_position", joints, ("rad",) * size, (-1.5,) * size, (1.5,) * size)
    contract = {"cameras": {"front": [32, 32]}, "state_size": size, "action": spec.to_json(), "fps": 10}
    meta = {"kind": "vla", "steps": 0, "config": {"policy": configs.to_dict(config)}}
    checkpoints.save(folder, policy.trained_state(), {**meta, "contract": {**contract, "stride": [2, 4]}})
    return folder


def private_domain() -> str:
    """A DDS domain that others on this machine hardly use, for the whole test process and its children."""
    domain = str(random.SystemRandom().randint(120, 229))
    os.environ["ROS_DOMAIN_ID"] = domain
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    return domain


class Driver:
    """A robot's driver in one room without walls: publishes what the contract says and follows its commands.

    What it publishes can be bent by the attributes, to send what a broken driver would.
    """

    def __init__(self, node: Any, robot: contract.RobotContract, commands: str = "command") -> None:
        from nav_msgs.msg import Odometry
        from sensor_msgs.msg import CameraInfo, Image

        self.node, self.robot = node, robot
        self.pose, self.velocity = Pose(1.0, 2.0, 0.5), Velocity(0.0, 0.0)
        self.commands: list[tuple[float, Velocity]] = []
        self.camera_on = True
        self.bend: Callable[[Any], Any] = lambda image: image
        self._random = np.random.default_rng(0)
        create = node.create_publisher
        self._color = create(Image, robot.camera.topic, qos.SENSOR_WRITER)
        self._depth = create(Image, robot.depth.topic, qos.SENSOR_WRITER)
        self._info = create(CameraInfo, robot.camera.info_topic, qos.SENSOR_WRITER)
        self._odometry = create(Odometry, robot.odometry.topic, qos.SENSOR_WRITER)
        wanted = getattr(robot, commands)
        node.create_subscription(messages.twist_type(wanted), wanted.topic, self._command, qos.COMMAND)
        node.create_timer(1.0 / robot.camera.rate_hz, self._step)

    def _command(self, message: Any) -> None:
        self.velocity = messages.command_of(message, self.robot.frames.name("base"))
        self.commands.append((time.monotonic(), self.velocity))

    def _step(self) -> None:
        dt, (v, w) = 1.0 / self.robot.camera.rate_hz, self.velocity
        x, y, yaw = self.pose
        self.pose = Pose(x + dt * v * np.cos(yaw), y + dt * v * np.sin(yaw), messages.wrapped(yaw + dt * w))
        stamp = self.node.get_clock().now().to_msg()
        frame = self.robot.frames.name("camera")
        if self.camera_on:
            camera, depth = self.robot.camera, self.robot.depth
            blocks = self._random.integers(0, 255, (4, 4, 3), np.uint8)  # to tell one from another, by JPEG too
            color = np.kron(blocks, np.ones((camera.height // 4, camera.width // 4, 1), np.uint8))
            self._color.publish(self.bend(messages.image(color, camera.encoding, stamp, frame)))
            metres = np.full((depth.height, depth.width), 3.0, np.float32)
            self._depth.publish(messages.image(metres, depth.encoding, stamp, frame))
            self._info.publish(messages.camera_info(camera, stamp, frame))
        self._odometry.publish(messages.odometry(self.pose, self.velocity, stamp, self.robot))


@contextlib.contextmanager
def spinning(*nodes: Any) -> Iterator[None]:
    """Nodes of this process, spun in a thread."""
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    ending = threading.Event()

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            while not ending.is_set():
                executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(timeout=5.0)
        executor.shutdown(timeout_sec=1.0)


@contextlib.contextmanager
def process(module: str, *arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A node as a process of its own."""
    environment = dict(os.environ, PYTHONPATH=f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with open(log, "ab") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdout=file, stderr=file, env=environment, cwd=ROOT
        )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=10.0)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def until(condition: Callable[[], Any], timeout_s: float = 30.0, what: str = "it") -> Any:
    """Waits until `condition` is true, and gives what it returned."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {timeout_s} s")


def answered(client: Any, request: Any, timeout_s: float = 60.0) -> Any:
    """A service's answer, asked for again every few seconds: a node that was killed goes on being seen for a while, and
    what is asked of it is lost.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if client.service_is_ready():
            future = client.call_async(request)
            patience = time.monotonic() + min(10.0, timeout_s)
            while time.monotonic() < patience:
                if future.done():
                    return future.result()
                time.sleep(0.01)
            client.remove_pending_request(future)
        time.sleep(0.02)
    raise AssertionError(f"no answer of {client.srv_name} within {timeout_s} s")


def parameters(**values: Any) -> list[str]:
    """`--ros-args -p name:=value`, a double underscore for a dot."""
    arguments = ["--ros-args"]
    for name, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        arguments += ["-p", f"{name.replace('__', '.')}:={text}"]
    return arguments
