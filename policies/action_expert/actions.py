"""What the numbers of an action mean on a robot, and how they are brought to [-1, 1] and back.

Four kinds (a new one is one function and one line in `KINDS`):

    end_effector      7: dx, dy, dz (m), droll, dpitch, dyaw (rad), gripper
    gripper_position  4: dx, dy, dz (m), gripper
    joints            targets of n joints (rad), perhaps a gripper
    base              v (m/s, forward), w (rad/s, left): REP 103
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class ActionError(ValueError):
    """Actions or their statistics cannot be used; the message is one line."""


@dataclass(frozen=True)
class ActionSpec:
    """One step's action: `names` and `units` of its numbers, the finite `low` and `high` that a robot may be sent.

    `gripper` is the index of a gripper command, -1 without. It is open or closed, nothing between: what is predicted
    goes to whichever of `low` (open) and `high` (closed) is nearer.
    """

    kind: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    gripper: int = -1

    @property
    def size(self) -> int:
        return len(self.names)

    def finish(self, actions: Tensor) -> Tensor:
        """Actions [..., A] as a robot may be sent them: inside the limits, the gripper decided.

        Raises:
            ActionError: a number is not finite, or there are not A.
        """
        if actions.shape[-1] != self.size:
            raise ActionError(f"an action has {self.size} numbers ({', '.join(self.names)}), not {actions.shape[-1]}")
        if not bool(actions.isfinite().all()):
            raise ActionError("the policy's action is not finite; nothing is sent")
        low, high = actions.new_tensor(self.low), actions.new_tensor(self.high)
        actions = torch.minimum(torch.maximum(actions, low), high)
        if self.gripper >= 0:
            middle = 0.5 * (low + high)[self.gripper]
            closes = actions[..., self.gripper] > middle
            actions[..., self.gripper] = torch.where(closes, high[self.gripper], low[self.gripper])
        return actions

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> ActionSpec:
        """Raises ActionError if `body` is not of a spec."""
        try:
            fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in body.items()}
            return cls(**fields)
        except TypeError as error:
            raise ActionError(f"not an action spec: {error}") from error


def end_effector(limit: float = 1.0) -> ActionSpec:
    """7-DoF deltas of the hand with gripper, each in [-limit, limit], in the robot's base frame (REP 103)."""
    names = ("dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper")
    units = ("m", "m", "m", "rad", "rad", "rad", "open to closed")
    return ActionSpec("end_effector", names, units, (-limit,) * 7, (limit,) * 7, gripper=6)


def gripper_position(limit: float = 1.0) -> ActionSpec:
    """Deltas of a hand that keeps its orientation, with gripper, each in [-limit, limit] (Meta-World's)."""
    names = ("dx", "dy", "dz", "gripper")
    return ActionSpec("gripper_position", names, ("m", "m", "m", "open to closed"), (-limit,) * 4, (limit,) * 4)


def joints(names: Sequence[str], low: Sequence[float], high: Sequence[float], gripper: int = -1) -> ActionSpec:
    """Targets of joints (rad), within their limits."""
    units = tuple("open to closed" if index == gripper else "rad" for index in range(len(names)))
    return ActionSpec("joints", tuple(names), units, tuple(low), tuple(high), gripper)


def base(max_v: float = 0.5, max_w: float = 1.0) -> ActionSpec:
    """Velocities of a base: v forward (m/s), w to the left (rad/s)."""
    return ActionSpec("base", ("v", "w"), ("m/s", "rad/s"), (-max_v, -max_w), (max_v, max_w))


KINDS: dict[str, Callable[..., ActionSpec]] = {
    "end_effector": end_effector,
    "gripper_position": gripper_position,
    "joints": joints,
    "base": base,
}


class Normalizer(nn.Module):
    """Numbers to [-1, 1] between their 1 % and 99 % quantiles, and back (section 4.1).

    The quantiles are buffers: they travel with the weights. What lies outside is cut. A number that hardly varies is
    left at 0, and comes back as its mean.
    """

    low: Tensor
    high: Tensor
    LEAST_SPAN = 1e-6

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("low", torch.full((size,), -1.0))
        self.register_buffer("high", torch.ones(size))

    def fit(self, low: np.ndarray | Sequence[float], high: np.ndarray | Sequence[float]) -> None:
        """Takes the quantiles `low` and `high`, [size] each. Raises ActionError if they cannot be some."""
        lows, highs = (torch.as_tensor(np.asarray(each, np.float32)) for each in (low, high))
        if lows.shape != self.low.shape or highs.shape != self.low.shape:
            raise ActionError(f"statistics of {list(lows.shape)} numbers do not fit {list(self.low.shape)}")
        if not bool((lows.isfinite() & highs.isfinite() & (lows <= highs)).all()):
            raise ActionError("statistics must be finite, and the 1 % quantile not above the 99 % quantile")
        self.low.copy_(lows)
        self.high.copy_(highs)

    def forward(self, values: Tensor) -> Tensor:
        """[..., size] in their units -> [-1, 1]."""
        scaled = 2.0 * (values - self.low) / self._span() - 1.0
        return torch.where(self._varies(), scaled.clamp(-1.0, 1.0), torch.zeros_like(scaled))

    def invert(self, scaled: Tensor) -> Tensor:
        """[..., size] in [-1, 1] -> their units."""
        values = self.low + 0.5 * (scaled + 1.0) * self._span()
        return torch.where(self._varies(), values, 0.5 * (self.low + self.high))

    def _varies(self) -> Tensor:
        return self.high - self.low > self.LEAST_SPAN

    def _span(self) -> Tensor:
        return torch.clamp(self.high - self.low, min=self.LEAST_SPAN)
