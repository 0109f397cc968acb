"""Plays a bag to a policy again, step by step, without a robot and without DDS.

The policy's inputs are rebuilt from the bag's pictures, odometry and goals by the code that the node runs, and its
memory by deciding on every step from the goal's beginning. With the recording's checkpoint and seed its actions are
those of the recording; with another checkpoint they show where it would have acted otherwise, on what the robot saw.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embodied.files import replacing
from ros import contract, messages
from ros.bag import BagError
from ros.contract import RobotContract
from ros.deciders import NavigationDecider
from ros.run_of_bag import Run, Step

_SAME = 1e-6
_POSE = 0
"""Navigate.Goal.POSE."""


@dataclass
class ReplayConfig:
    """`embodied replay BAG`."""

    bag: str = field(default="", metadata={"help": "the bag: an .mcap file, or a folder with one"})
    checkpoint: str = field(default="", metadata={"help": "a checkpoint's folder, or a run's"})
    contract: str = field(default="robot.yaml", metadata={"help": "the robot's contract it was recorded under"})
    prefix: str = field(default="", metadata={"help": "the robot's namespace in the bag, like /robot1"})
    seed: int = field(default=0, metadata={"help": "of drawn actions, as the node's parameter seed"})
    keep_memory: bool = field(default=False, metadata={"help": "as the node's parameter keep_memory"})
    output: str = field(default="", metadata={"help": "a JSON line for each step goes to this file; empty: none"})
    memory: str = field(default="", metadata={"help": "rebuild the long-term memory from the bag in this new folder"})
    memory_every_s: float = field(default=0.5, metadata={"help": "seconds of the bag from one memory to the next"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        if not self.bag:
            raise ValueError("bag must name a bag: embodied replay RUN.mcap checkpoint=...")
        if not self.checkpoint and not self.memory:
            raise ValueError("checkpoint must name a checkpoint to play the bag to (or memory a folder)")
        if self.memory_every_s <= 0:
            raise ValueError(f"memory_every_s must be above 0, not {self.memory_every_s}")


@dataclass(frozen=True)
class Replayed:
    """One step: what was done, and what the policy does now."""

    step: Step
    action: np.ndarray
    inference_s: float
    gap: int
    """Steps before it that were not recorded: the policy remembers less than it did."""

    @property
    def difference(self) -> float:
        """Largest difference of a number of the action."""
        if self.action.shape != self.step.action.shape:
            return math.inf
        return float(np.abs(self.action - self.step.action).max())

    def to_json(self) -> dict[str, Any]:
        decision = self.step.decision
        return {
            "stamp_ns": self.step.frame.stamp_ns,
            "goal": decision.goal_number,
            "step": decision.number,
            "distance_m": decision.distance_m if math.isfinite(decision.distance_m) else None,
            "recorded": self.step.action.tolist(),
            "replayed": self.action.tolist(),
            "difference": self.difference if math.isfinite(self.difference) else None,
            "inference_s": self.inference_s,
            "gap": self.gap,
        }


def replayed(run: Run, checkpoint: Path, robot: RobotContract, seed: int, keep_memory: bool) -> Iterator[Replayed]:
    """Every step of a bag, decided again.

    Raises:
        CheckpointError, ContractMismatch: the policy cannot be played on this robot.
        BagError: the bag holds no decisions.
    """
    import time

    decider = NavigationDecider(checkpoint, robot, seed)
    sensors = decider.sensors
    assert sensors is not None  # it drives
    goal, due = 0, 0
    for step in run.steps():
        decision = step.decision
        if decision.goal_number != goal:
            first, goal, due = goal == 0, decision.goal_number, 0
            place = step.goal if decision.goal_kind == _POSE else None
            sensors.begin(step.start, place, decision.goal_text, keep_memory and not first)
            if first or not keep_memory:
                decider.begin(seed + goal - 1)
        gap, due = decision.number - due, decision.number + 1
        began = time.perf_counter()
        action = np.asarray(decider.decide(step.frame)[0], np.float64)
        yield Replayed(step, action, time.perf_counter() - began, gap)


def replay(config: ReplayConfig, say: Callable[[str], object] = print) -> dict[str, Any]:
    """Plays a bag and sums it up: {steps, goals, not_recorded, same_share, mean_difference, ...}.

    Raises:
        BagError, CheckpointError, ContractMismatch, StoreError: one line each.
    """
    robot = contract.load(config.contract)
    run = Run(Path(config.bag), robot, config.prefix)
    result: dict[str, Any] = {}
    if config.memory:
        result["memories"] = _remember(run, Path(config.memory), config.memory_every_s)
        say(f"{result['memories']} memories in {config.memory}")
    if not config.checkpoint:
        return result
    steps = []
    for each in replayed(run, Path(config.checkpoint), robot, config.seed, config.keep_memory):
        steps.append(each.to_json())
        numbers = " ".join(f"{number:+.3f}" for number in each.action)
        recorded = " ".join(f"{number:+.3f}" for number in each.step.action)
        say(f"goal {steps[-1]['goal']} step {steps[-1]['step']:4d}  recorded {recorded}  now {numbers}")
    if config.output:
        with replacing(Path(config.output)) as draft:
            draft.write_text("".join(json.dumps(step) + "\n" for step in steps), encoding="utf-8")
    differences = [step["difference"] for step in steps if step["difference"] is not None]
    result |= {"steps": len(steps), "goals": len({step["goal"] for step in steps}), "bad_messages": run.bad}
    result["not_recorded"] = sum(step["gap"] for step in steps)
    result["same_share"] = sum(difference <= _SAME for difference in differences) / len(steps)
    result["mean_difference"] = float(np.mean(differences)) if differences else None
    result["inference_p50_ms"] = 1e3 * float(np.median([step["inference_s"] for step in steps]))
    return result


def _remember(run: Run, root: Path, every_s: float) -> int:
    """The memory that a memory node would have of these frames, without its choice of what is new."""
    from memory_bank.long_term import Entry
    from memory_bank.long_term import Pose as MapPose
    from ros.embedding import DIM, PictureEmbedding
    from ros.memory import Memory

    if root.exists():
        raise BagError(f"memory: {root} exists: name a new folder")
    embed, due_ns = PictureEmbedding(), 0
    memory = Memory(root, DIM)
    try:
        for frame in run.frames():
            if frame.stamp_ns < due_ns:
                continue
            due_ns = frame.stamp_ns + int(every_s * 1e9)
            pose, stamp_s = frame.pose, frame.stamp_ns / 1e9
            at = MapPose(pose.x_m, pose.y_m, 0.0, messages.wrapped(pose.yaw_rad))
            about = {"bag": str(run.path), "stamp_ns": frame.stamp_ns}
            entry = Entry(embedding=embed(frame.color), t0=stamp_s, t1=stamp_s, pose=at, provenance=about)
            memory.add(entry, frame.color)
        return len(memory)
    finally:
        memory.close()
