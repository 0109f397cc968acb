"""What every agent gets of a history: a percept a frame. No identities, no events, no truth.

Images go through a *simulated detector*: boxes in space with category, colour, material and size words, as an RGB-D
detector with open vocabulary would give them. It is made from the simulator's semantic picture, so it is better than
any real one; `DetectorConfig` makes it worse. A place recogniser says what kind of room the robot is in. All agents
get the same percepts; those that read pictures may load them beside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from sim.long_horizon.history import PICTURE_PIXELS, History
from sim.long_horizon.scene import Thing
from sim.long_horizon.story import SEEN_SHARE
from sim.worker.long_horizon.body import gripper_at

_HELD_M = 0.3


@dataclass
class DetectorConfig:
    """How far the simulated detector is from perfect."""

    miss: float = field(default=0.1, metadata={"help": "share of the things in view that it does not report"})
    noise_m: float = field(default=0.05, metadata={"help": "standard deviation of a position's error in each axis"})
    seed: int = field(default=0, metadata={"help": "of both"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        if not 0.0 <= self.miss < 1.0 or self.noise_m < 0.0:
            raise ValueError("detector.miss must lie in 0..1 and detector.noise_m must not be negative")


@dataclass(frozen=True)
class Percept:
    """One frame: clock (s), pose [x, y, z, yaw] (m, rad; scene frame), the action before it, the kind of room ("" in a
    doorway), and what is detected: things with id 0, and their shares of the picture."""

    frame: int
    clock_s: float
    pose: tuple[float, float, float, float]
    action: str
    room: str
    detections: tuple[tuple[Thing, float], ...]

    @property
    def held(self) -> Thing | None:
        """What is in the gripper: a small thing seen just where the gripper is."""
        gripper = gripper_at(*self.pose)
        near = [(math.dist(gripper, thing.position), thing) for thing, _ in self.detections]
        distance_m, thing = min(near, key=lambda pair: pair[0], default=(math.inf, None))
        return thing if distance_m < _HELD_M else None


@dataclass(frozen=True)
class Past:
    """A history as agents get it."""

    name: str
    days: int
    percepts: tuple[Percept, ...]


def perceive(history: History, detector: DetectorConfig) -> Past:
    """Runs the simulated detector over a history."""
    rng = np.random.default_rng([detector.seed, history.meta["seed"], len(history)])
    percepts = []
    for frame in range(len(history)):
        detections = []
        for key, pixels in history.visible[frame].items():
            share = pixels / PICTURE_PIXELS
            if share < SEEN_SHARE or rng.uniform() < detector.miss or key not in history.scene.things:
                continue
            thing = history.scene.things[key]
            at = np.array(history.position_at(key, frame)) + rng.normal(0.0, detector.noise_m, 3)
            position = (float(at[0]), float(at[1]), float(at[2]))
            words = (thing.category, thing.colour, thing.material, thing.size)
            detections.append((Thing(0, *words, position, thing.yaw, thing.dimensions), share))
        x, y, z, yaw = (float(v) for v in history.poses[frame])
        room = history.scene.room_at(x, z)
        kind = history.scene.rooms[room].kind if room else ""
        percepts.append(
            Percept(
                frame, float(history.clock_s[frame]), (x, y, z, yaw), history.actions[frame], kind, tuple(detections)
            )
        )
    return Past(history.name, history.days, tuple(percepts))
