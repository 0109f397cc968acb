"""Discrete actions as motions of a base with velocities, closed on odometry; plain Python."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ros.contract import Actions
from ros.messages import Pose, Velocity, wrapped

_ZERO = Velocity(0.0, 0.0)
_LONGEST_TICK_S = 0.1
"""A robot that was not let move for longer between two commands was not held up by a wall."""


@dataclass
class MotionConfig:
    """How a base makes the steps of a policy that was trained with discrete actions."""

    speed_m_s: float = field(default=0.5, metadata={"help": "fastest, m/s"})
    turn_rad_s: float = field(default=1.0, metadata={"help": "fastest, rad/s"})
    gain_1_s: float = field(default=2.5, metadata={"help": "speed for each metre or radian that is left, 1/s"})
    tolerance_m: float = field(default=0.015, metadata={"help": "near enough, metres"})
    tolerance_rad: float = field(default=0.03, metadata={"help": "near enough, radians"})
    patience_s: float = field(
        default=1.5, metadata={"help": "beyond the time it should take, after which it counts as blocked, seconds"}
    )


class Motion:
    """One step, from where the robot stands; ends where it should, or when the robot has been held up for too long.

    A motion that a wall ends counts as done, as in Habitat, where a step into a wall moves nothing.

    Args:
        name: move_forward, turn_left or turn_right.
        start: where the robot stands.
        now_s: when it begins.
    """

    def __init__(self, name: str, start: Pose, now_s: float, actions: Actions, config: MotionConfig) -> None:
        self._config, self._start = config, start
        self._forward_m = actions.forward_m if name == "move_forward" else 0.0
        sign = {"turn_left": 1.0, "turn_right": -1.0}.get(name, 0.0)
        self._turn_rad = sign * math.radians(actions.turn_deg)
        takes_s = self._forward_m / config.speed_m_s + abs(self._turn_rad) / config.turn_rad_s
        self._patience_s = 2.0 * takes_s + config.patience_s
        self._asked_s = now_s
        self.done = False
        self.blocked = False

    def velocity(self, pose: Pose, now_s: float) -> Velocity:
        """What to do now; zero once it is done."""
        moved = pose.relative_to(self._start)
        left_m, left_rad = self._forward_m - moved.x_m, wrapped(self._turn_rad - moved.yaw_rad)
        if self._forward_m:
            left_rad = 0.0
            self.done = self.done or left_m <= self._config.tolerance_m
        else:
            left_m = 0.0
            self.done = self.done or abs(left_rad) <= self._config.tolerance_rad
        self._patience_s -= min(_LONGEST_TICK_S, max(0.0, now_s - self._asked_s))
        self._asked_s = now_s
        if self._patience_s <= 0.0 and not self.done:
            self.done = self.blocked = True
        if self.done:
            return _ZERO
        cut_rad = min(self._config.turn_rad_s, max(0.1, self._config.gain_1_s * abs(left_rad)))
        return Velocity(
            min(self._config.speed_m_s, max(0.03, self._config.gain_1_s * left_m)) if left_m else 0.0,
            math.copysign(cut_rad, left_rad) if left_rad else 0.0,
        )
