"""Checkpoints as deciders: what a robot saw in, actions out; no ROS in here."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ros.contract import RobotContract
from ros.frames import Frame
from ros.messages import Pose
from ros.sensors import Sensors, batched

if TYPE_CHECKING:
    from policies.contract import Contract

_ONE = np.ones(1, bool)


class Decider(Protocol):
    """One policy for one robot, one goal after the other."""

    contract: Contract
    sensors: Sensors

    def warm_up(self) -> float:
        """Decides on invented observations until it is as fast as it gets; seconds of the last one."""

    def begin(self, seed: int) -> None:
        """A new goal: forgets the one before, draws from `seed`."""

    def decide(self, frame: Frame) -> np.ndarray:
        """The action [A] for this frame."""


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
        self.contract = self._agent.contract
        robot.require(self.contract)
        self.sensors, self._robot = Sensors(self.contract, robot), robot

    def warm_up(self) -> float:
        robot, random = self._robot, np.random.default_rng(0)
        color = random.integers(0, 255, (robot.camera.height, robot.camera.width, 3), np.uint8)
        depth_m = random.uniform(0.5, 5.0, (robot.depth.height, robot.depth.width)).astype(np.float32)
        frame = Frame(1, color, depth_m, Pose(0.5, 0.0, 0.1))
        self.sensors.begin(Pose(0.0, 0.0, 0.0), Pose(3.0, 1.0, 0.0), next(iter(self.contract.categories), ""))
        took_s = 0.0
        for _ in range(10):
            began = time.perf_counter()
            self.decide(frame)
            took_s = time.perf_counter() - began
        self.begin(0)
        return took_s

    def begin(self, seed: int) -> None:
        self._agent.seed(_ONE, np.array([seed]))
        self._agent.reset(_ONE)

    def decide(self, frame: Frame) -> np.ndarray:
        return np.atleast_1d(self._agent.act(batched(self.sensors.observe(frame)))[0])
