"""Checkpoints as deciders: what a robot saw in, actions out; no ROS in here."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ros.contract import ContractMismatch, RobotContract
from ros.frames import Frame
from ros.messages import Pose, fit
from ros.sensors import Sensors, batched

_ONE = np.ones(1, bool)


class Decider(Protocol):
    """One policy for one robot, one goal after the other."""

    reads: tuple[str, ...]
    """Its sensors, for people."""
    sensors: Sensors | None
    """Of a policy that drives; None: it moves joints, and is told what to do in words."""
    motions: tuple[str, ...]
    """Names of discrete actions; empty: its actions are numbers."""
    period_s: float
    """From one action of a chunk to the next."""
    lead_s: float
    """It decides again when no more than this is left of what it has decided."""

    def warm_up(self) -> float:
        """Decides on invented observations until it is as fast as it gets; seconds of the last one."""

    def begin(self, seed: int, text: str = "") -> None:
        """A new goal, perhaps in words: forgets the one before, draws from `seed`."""

    def decide(self, frame: Frame) -> np.ndarray:
        """A chunk [H, A] from this frame on."""


def load_decider(path: Path, robot: RobotContract, seed: int = 0) -> Decider:
    """The policy of any checkpoint, for a robot.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ContractMismatch: the robot lacks a sensor that it reads, or cannot do what it does.
    """
    from embodied.checkpoint import load

    kind = load(path).meta.get("kind")
    return VlaDecider(path, robot, seed) if kind == "vla" else NavigationDecider(path, robot, seed)


class NavigationDecider:
    """A navigation policy's checkpoint.

    Args:
        path: its folder, or a run's.
        robot: what it is to drive.
        seed: of drawn actions.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ContractMismatch: the robot lacks a sensor that it reads, or cannot do what it does.
    """

    def __init__(self, path: Path, robot: RobotContract, seed: int = 0) -> None:
        from embodied.agents.policy import PolicyAgent

        self._agent = PolicyAgent(path, None, seed)
        self.contract, self._robot = self._agent.contract, robot
        robot.require(self.contract)
        self.reads = tuple(self.contract.sensors)
        self._sensors = Sensors(self.contract, robot)
        self.sensors: Sensors | None = self._sensors
        self.motions: tuple[str, ...] = self.contract.actions.names
        self.period_s = 1.0 / robot.actions.rate_hz
        self.lead_s = math.inf

    def warm_up(self) -> float:
        self._sensors.begin(Pose(0.0, 0.0, 0.0), Pose(3.0, 1.0, 0.0), next(iter(self.contract.categories), ""))
        return _timed(self, _invented(self._robot), 10)

    def begin(self, seed: int, text: str = "") -> None:
        self._agent.seed(_ONE, np.array([seed]))
        self._agent.reset(_ONE)

    def decide(self, frame: Frame) -> np.ndarray:
        return np.reshape(self._agent.act(batched(self._sensors.observe(frame)))[0], (1, -1))


class VlaDecider:
    """A MemoryVLA whose actions are joint positions, and whose state is that of the contract's joints.

    Time is the frames' stamps, as it was the recording's in training.

    Args, Raises: as of `NavigationDecider`; EncoderError: its encoder's weights are not there.
    """

    def __init__(self, path: Path, robot: RobotContract, seed: int = 0) -> None:
        import torch

        from embodied.player import VlaPlayer

        torch.set_num_threads(1)
        self._player = player = VlaPlayer(path, 1, seed=seed)
        self._robot, joints = robot, robot.joints.names if robot.joints.topic else []
        if len(player.cameras) != 1:
            raise ContractMismatch(
                f"the policy looks at the cameras {', '.join(player.cameras)}, and this robot has one, camera.topic"
            )
        if player.state_size not in (0, len(joints)):
            raise ContractMismatch(
                f"the policy reads a state of {player.state_size} numbers, and this robot has the joints "
                f"{', '.join(joints) or 'none'} (joints.topic, joints.names)"
            )
        unknown = [name for name in player.spec.names if name not in joints]
        if unknown:
            raise ContractMismatch(
                f"the policy acts by {', '.join(unknown)} ({player.spec.kind}), and this robot takes the joints "
                f"{', '.join(joints) or 'none'} (joints.names)"
            )
        self.sensors: Sensors | None = None
        self.motions: tuple[str, ...] = ()
        self.names = player.spec.names
        self.reads = (*player.cameras, *(("joints",) if player.state_size else ()), "instruction")
        self.period_s = 1.0 / player.fps
        self.lead_s = (player.horizon - player.execute) * self.period_s
        self._text, self._first_ns = "", 0

    def warm_up(self) -> float:
        return _timed(self, _invented(self._robot), 3)

    def begin(self, seed: int, text: str = "") -> None:
        self._player.reset(_ONE, np.array([seed]))
        self._text, self._first_ns = text, 0

    def decide(self, frame: Frame) -> np.ndarray:
        import torch

        self._first_ns = self._first_ns or frame.stamp_ns
        (camera, (height, width)), *_ = self._player.cameras.items()
        images = {camera: fit(frame.color, height, width)[None]}
        joints = frame.joints if self._player.state_size and frame.joints is not None else np.zeros(0)
        state = np.asarray(joints, np.float32).reshape(1, self._player.state_size)
        seconds = np.array([(frame.stamp_ns - self._first_ns) / 1e9])
        chunk = self._player.decide(np.zeros(1, np.int64), images, state, [self._text], seconds)[0]
        return self._player.spec.finish(torch.from_numpy(chunk)).numpy()


def _invented(robot: RobotContract) -> Frame:
    """A frame of noise, as large as the robot's."""
    random = np.random.default_rng(0)
    color = random.integers(0, 255, (robot.camera.height, robot.camera.width, 3), np.uint8)
    depth_m = random.uniform(0.5, 5.0, (robot.depth.height, robot.depth.width)).astype(np.float32)
    return Frame(1, color, depth_m, Pose(0.5, 0.0, 0.1), np.zeros(len(robot.joints.names), np.float32))


def _timed(decider: Decider, frame: Frame, times: int) -> float:
    """Decides so many times and forgets it; seconds of the last one."""
    took_s = 0.0
    for number in range(times):
        began = time.perf_counter()
        decider.decide(replace(frame, stamp_ns=1 + number * 100_000_000))
        took_s = time.perf_counter() - began
    decider.begin(0)
    return took_s
