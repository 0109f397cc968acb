"""The safety gate between policy and base, in plain Python: no ROS, no torch, an injected clock.

::

    command (20 Hz) ----+                          zero, whatever is asked, until `arm`
    camera  (10 Hz) ----+--> gate --> output (50 Hz): the command within the limits
    depth, odometry ----+      |
    e-stop, arm --------+      +--> stopped, and why

    t     0.00   0.05   0.10   0.15   0.20   0.25   0.27   ...   5.00  5.02
    cmd   0.5    0.5    (kill -9)
    out   0.5    0.5    0.5    0.5    0.0    0.0    0.0    ...   arm   new commands count
                               last command at 0.05 + deadline_s 0.15: stopped, and it stays so

The rules:

- It starts stopped. Only `arm` lets motion through, and `arm` is refused while anything that it watches is missing.
- A fault that meets motion stops it for good: a stale command, camera, odometry, or depth (where clearance is watched),
  something nearer than the clearance in the way, a flood of commands. A command that is no command (NaN, a motion that
  the base cannot make) and the e-stop stop it also at rest.
- At rest, with nothing asked for, a missing input is no fault: a policy that has ended its goal with a zero may fall
  silent, and a camera may restart. Motion asked for while it is missing is one.
- A message that breaks the contract counts as none, so its sender goes stale.
- Speeds and accelerations are cut to the limits. Braking is not: the base brakes as hard as it can.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ros.contract import RobotContract

_FLOOD_FACTOR = 5.0
"""Commands that come so many times faster than the contract's rate are a flood."""
_FLOOD_WINDOW_S = 0.1
_FLOOD_FEWEST = 10
_LONGEST_TICK_S = 0.1
"""A loop that was held up may not catch up on acceleration for longer than this."""
_OBSTACLE_PIXELS = 3
"""One or two near pixels are noise."""
_BLIND_SHARE = 0.5
"""Depth that sees nothing in more than this share of the way ahead is blind, which is a reason to stop."""


class Velocity(NamedTuple):
    """Along the base's X (m/s), and about its Z (rad/s)."""

    linear_m_s: float
    angular_rad_s: float


ZERO = Velocity(0.0, 0.0)


class NotReady(RuntimeError):
    """Arming is refused; the message says what is missing."""


class _Freshness:
    """When an input was last seen to go on: its stamps must rise, since a frozen driver may repeat its last picture."""

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        self.problem = ""
        """What is wrong with the newest message that did not count."""
        self._seen_at: float | None = None
        self._newest: int | None = None

    def see(self, now: float, stamp_ns: int) -> None:
        if self._newest is not None and stamp_ns > self._newest:
            self._seen_at, self.problem = now, ""
        elif self._newest is not None:
            self.problem = "its stamps do not rise"
            return
        self._newest = stamp_ns

    def forget(self) -> None:
        """Takes whatever stamp comes next as the first: after a restart, time may have begun anew."""
        self._newest = None

    def is_stale(self, now: float) -> bool:
        return self._seen_at is None or now - self._seen_at > self.deadline_s

    def describe(self, now: float) -> str:
        since = "never seen" if self._seen_at is None else f"nothing new for {now - self._seen_at:.2f} s"
        return f"{since}; {self.problem}" if self.problem else since


class SafetyGate:
    """Decides what the base gets.

    Args:
        contract: deadlines, limits, and the geometry of the depth camera.
        clock: seconds that never go back (time.monotonic).
    """

    def __init__(self, contract: RobotContract, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._limits = contract.limits
        self._deadline_s = contract.command.deadline_s
        self._flood = max(_FLOOD_FEWEST, round(_FLOOD_FACTOR * contract.command.rate_hz * _FLOOD_WINDOW_S))
        self._inputs = {
            "camera": _Freshness(contract.camera.deadline_s),
            "odometry": _Freshness(contract.odometry.deadline_s),
        }
        self._way: FreeWay | None = None
        if contract.limits.clearance_m > 0:
            self._inputs["depth"] = _Freshness(contract.depth.deadline_s)
            self._way = FreeWay(contract)
        self.free_m = math.inf
        """How far the way ahead was free in the last depth picture, metres from the robot's front."""
        self.armed = False
        self.reason = "not armed yet"
        """Why it is stopped; empty when it is not."""
        self.stops = 0
        """Times that it stopped since it was made."""
        self._estopped = False
        self._wanted = ZERO
        self._commanded_at = -math.inf
        self._command_stamp: int | None = None
        self._arrivals: deque[float] = deque(maxlen=self._flood + 1)
        self._output = ZERO
        self._ticked_at = clock()

    # -- inputs --------------------------------------------------------------------------------------------------

    def command(self, velocity: Velocity, stamp_ns: int = 0, age_s: float = 0.0) -> None:
        """The policy asks for `velocity`.

        Args:
            stamp_ns: the message's stamp, 0 if it has none. Stamped commands must come in order: a late one is dropped.
            age_s: how long ago that was.
        """
        now = self._clock()
        self._arrivals.append(now)
        if len(self._arrivals) > self._flood and now - self._arrivals[0] < _FLOOD_WINDOW_S:
            self.stop(f"a flood of commands: more than {self._flood} in {_FLOOD_WINDOW_S} s")
        if not (math.isfinite(velocity[0]) and math.isfinite(velocity[1])):
            self.stop("the command holds NaN or infinity")
            return
        if stamp_ns:
            if not abs(age_s) <= self._deadline_s:
                return  # late, or of another clock: it counts as none, and so goes stale
            if self._command_stamp is not None and stamp_ns < self._command_stamp:
                return
            self._command_stamp = stamp_ns
        self._wanted, self._commanded_at = Velocity(*velocity), now

    def seen(self, name: str, stamp_ns: int) -> None:
        """A good message of an input: camera, odometry or depth (use `depth` for pictures)."""
        if name in self._inputs:
            self._inputs[name].see(self._clock(), stamp_ns)

    def depth(self, metres: np.ndarray, stamp_ns: int) -> None:
        """A depth picture, float32 [height, width], metres, NaN where nothing was seen."""
        if self._way is not None:
            self.free_m = self._way.free_m(metres)
            self.seen("depth", stamp_ns)

    def bad(self, name: str, problem: str) -> None:
        """A message of an input, or a command, that breaks the contract."""
        if name == "command":
            self.stop(f"bad command: {problem}")
        elif name in self._inputs:
            self._inputs[name].problem = problem

    def estop(self, engaged: bool) -> None:
        """The emergency stop. Releasing it does not arm."""
        self._estopped = engaged
        if engaged:
            self.stop("e-stop")

    def stop(self, reason: str) -> None:
        """Stops, and stays stopped until `arm`. The first reason is kept."""
        if self._estopped:
            reason = "e-stop"
        if self.armed:
            self.armed, self.reason = False, reason
            self.stops += 1
            for freshness in self._inputs.values():
                freshness.forget()
        elif self._estopped:
            self.reason = reason
        self._output = self._wanted = ZERO

    def arm(self) -> None:
        """Lets motion through from here on; what was commanded before does not count.

        Raises:
            NotReady: the e-stop is engaged, or an input is missing.
        """
        if self._estopped:
            raise NotReady("the e-stop is engaged: release it first")
        missing = self.missing()
        if missing:
            raise NotReady(missing)
        self._output = self._wanted = ZERO
        self._commanded_at, self._command_stamp = -math.inf, None
        self._arrivals.clear()
        self.armed, self.reason = True, ""

    # -- output --------------------------------------------------------------------------------------------------

    def missing(self) -> str:
        """Which inputs are stale, and for how long; empty if none."""
        now = self._clock()
        stale = [f"{name}: {f.describe(now)}" for name, f in self._inputs.items() if f.is_stale(now)]
        return "; ".join(stale)

    def output(self) -> Velocity:
        """What the base is to do now. To be asked at the base's rate."""
        now = self._clock()
        tick_s = min(max(0.0, now - self._ticked_at), _LONGEST_TICK_S)
        self._ticked_at = now
        if self.armed and (self._wanted != ZERO or self._output != ZERO):
            fault = self._fault(now)
            if fault:
                self.stop(fault)
        if not self.armed:
            self._output = ZERO
            return ZERO
        limits = self._limits
        v, w = self._wanted
        self._output = Velocity(
            _approach(self._output.linear_m_s, _cut(v, limits.linear_m_s), limits.linear_m_s2 * tick_s),
            _approach(self._output.angular_rad_s, _cut(w, limits.angular_rad_s), limits.angular_rad_s2 * tick_s),
        )
        return self._output

    def _fault(self, now: float) -> str:
        age_s = now - self._commanded_at
        if age_s > self._deadline_s:
            return f"stale command: none for {age_s:.2f} s"
        missing = self.missing()
        if missing:
            return missing
        if self._way is not None and self._wanted.linear_m_s > 0 and self.free_m < self._limits.clearance_m:
            return f"clearance: the way ahead is free for {self.free_m:.2f} m"
        return ""


class FreeWay:
    """How far the robot could go straight ahead, from a depth picture.

    The way is a corridor of the robot's width, from the floor's height up to the robot's. What lies below or beside the
    picture is not seen: a camera at 0.9 m that looks ahead misses a stool nearer than about half a metre.
    """

    def __init__(self, contract: RobotContract) -> None:
        depth, limits = contract.depth, contract.limits
        focal_px = depth.width / 2.0 / math.tan(math.radians(depth.hfov_deg) / 2.0)
        self._right = (np.arange(depth.width, dtype=np.float32) - (depth.width - 1) / 2.0) / focal_px
        self._down = ((np.arange(depth.height, dtype=np.float32) - (depth.height - 1) / 2.0) / focal_px)[:, None]
        x, y, self._camera_height_m = contract.camera.position_m
        self._left_m = y
        self._half_width_m = limits.robot_width_m / 2.0
        self._front_m = limits.robot_width_m / 2.0 - x  # the robot is round: its front, seen from the camera
        self._lowest_m, self._highest_m = limits.floor_m, limits.robot_height_m
        near_m = limits.clearance_m + self._front_m
        self._near_way = self._in_way(np.full((depth.height, depth.width), near_m, np.float32))

    def free_m(self, metres: np.ndarray) -> float:
        """Metres ahead of the robot's front; infinite where nothing is in the way, 0 where the camera is blind."""
        unseen = ~(metres > 0)
        if self._near_way.any() and unseen[self._near_way].mean() > _BLIND_SHARE:
            return 0.0
        in_way = metres[~unseen & self._in_way(metres)]
        if in_way.size < _OBSTACLE_PIXELS:
            return math.inf
        return float(np.partition(in_way, _OBSTACLE_PIXELS - 1)[_OBSTACLE_PIXELS - 1]) - self._front_m

    def _in_way(self, metres: np.ndarray) -> np.ndarray:
        """Which pixels [height, width] show a point of the corridor, at these distances along the optical axis."""
        with np.errstate(invalid="ignore"):
            aside = np.abs(self._right * metres - self._left_m) <= self._half_width_m
            height_m = self._camera_height_m - self._down * metres
            return aside & (height_m >= self._lowest_m) & (height_m <= self._highest_m)


def _cut(value: float, limit: float) -> float:
    return min(limit, max(-limit, value))


def _approach(now: float, wanted: float, step: float) -> float:
    """A step from `now` towards `wanted`: any towards zero, at most `step` away from it."""
    if now * wanted < 0:
        now = 0.0
    if abs(wanted) <= abs(now):
        return wanted
    return math.copysign(min(abs(wanted), abs(now) + step), wanted)
