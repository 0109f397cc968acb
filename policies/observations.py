"""What is seen at one step, as one token.

::

    rgb, depth, other pictures --- vision, scaled by the goal ---------------\
    goal --------------------------- embedding ------------------------------+
    gps, compass ------------------- pose, own motion since the last step ---+--- token
    other vectors and indices ------ embedding each -------------------------+
    previous action ---------------- embedding ------------------------------/

    where the goal is: its point, or the parts of the picture that show it ------ whereabouts

Each part is there if the task has its sensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.base import State
from policies.config import PolicyConfig
from policies.contract import DISCRETE, Actions, Contract, ContractError, Sensor
from policies.vision import DEPTH, OBJECT_GOAL, RGB, Vision, object_count

POINT_GOAL = "pointgoal_with_gps_compass"
GPS, COMPASS = "gps", "compass"
_KNOWN = (RGB, DEPTH, OBJECT_GOAL, POINT_GOAL, GPS, COMPASS)
_PRIVILEGED = "oracle"
"""Sensors whose names begin so tell what no robot knows."""
_ROOM_M = 5.0
"""Positions are divided by this, to be of the order of one."""
_STEP_M = 0.25
"""Motions between steps are divided by this."""


class Encoded(NamedTuple):
    """What `ObservationEncoder` gives."""

    tokens: Tensor
    """[T, N, token_size]."""
    whereabouts: Tensor
    """[T, N, whereabouts_size]: where the goal is, for the head to read past the memory: "it is here, on the left" is
    then a matter of a few weights."""
    seen: Tensor | None
    """See `policies.base.Output`."""
    state: State
    """The pose at the last step, of tasks that have one."""


class ObservationEncoder(nn.Module):
    """Turns the sensors of a task into tokens.

    It reads those of `policy.sensors`. If none are named, it reads rgb, depth, objectgoal, pointgoal_with_gps_compass,
    gps and compass, whichever the task has; and of a task that has none of them, all that are no oracle's.

    Raises:
        ContractError: there is nothing to read, or a sensor is of a kind that cannot be read.
    """

    def __init__(self, config: PolicyConfig, offered: Contract) -> None:
        super().__init__()
        self.contract = offered.only(_chosen(config, offered))
        sensors, size = self.contract.sensors, config.embedding_size
        self.goal = GoalEncoder(self.contract, size) if {OBJECT_GOAL, POINT_GOAL} & sensors.keys() else None
        pictures = [name for name, sensor in sensors.items() if len(sensor.shape) == 3]
        self.vision = Vision(self.contract, pictures, config, size if self.goal else 0) if pictures else None
        self.has_pose = GPS in sensors and COMPASS in sensors
        self.pose = nn.Linear(_POSE_FEATURES, size) if self.has_pose else None
        self.previous_action = PreviousAction(self.contract.actions, size)
        read = {OBJECT_GOAL, POINT_GOAL, *pictures} | ({GPS, COMPASS} if self.has_pose else set())
        self.vectors = nn.ModuleDict(
            {name: make_vector_encoder(name, sensor, size) for name, sensor in sensors.items() if name not in read}
        )
        embedded = 1 + (self.goal is not None) + self.has_pose + len(self.vectors)
        self.token_size = embedded * size + (config.vision_size if self.vision else 0)
        self.seen_shape = self.vision.seen_shape if self.vision else None
        self.whereabouts_size = self.vision.sighting_size if self.vision else 0
        if self.seen_shape is None and self.goal is not None:
            self.whereabouts_size = self.goal.point_features

    def initial_state(self, rows: int, device: torch.device) -> State:
        return {"pose": torch.zeros(rows, 3, device=device)} if self.has_pose else {}

    def forward(
        self, observations: Mapping[str, Tensor], previous_actions: Tensor, state: State, resets: Tensor
    ) -> Encoded:
        """Arguments as of `SequencePolicy.unroll`."""
        goal = self.goal(observations) if self.goal is not None else None
        whereabouts = torch.zeros(*resets.shape, 0, device=resets.device)
        parts, seen, after = [], None, {}
        if self.vision is not None:
            summary, whereabouts, seen = self.vision(observations, goal)
            parts.append(summary)
        if self.goal is not None:
            parts.append(goal)
            if seen is None and self.goal.point_features:
                whereabouts = self.goal.point(observations)
        parts.append(self.previous_action(previous_actions, resets))
        if self.pose is not None:
            # habitat-lab's gps is (ahead, right) of the start, its compass counts leftwards: one sense for both.
            ahead, right = observations[GPS].float().unbind(-1)
            pose = torch.stack([ahead, -right, observations[COMPASS].squeeze(-1).float()], dim=-1)
            before = torch.cat([state["pose"].unsqueeze(0), pose[:-1]])
            parts.append(F.relu(self.pose(_pose_features(pose, before, resets))))
            after["pose"] = pose[-1]
        parts += [encode(observations[name]) for name, encode in self.vectors.items()]
        return Encoded(torch.cat(parts, dim=-1), whereabouts, seen, after)


def _chosen(config: PolicyConfig, offered: Contract) -> tuple[str, ...]:
    """Names of the sensors to read."""
    if config.sensors:
        for name in config.sensors:
            if name not in offered.sensors:
                raise ContractError(
                    f"policy.sensors: the task has no sensor {name}; it has {', '.join(sorted(offered.sensors))}"
                )
        return tuple(config.sensors)
    chosen = [name for name in offered.sensors if name in _KNOWN]
    chosen = chosen or [name for name in offered.sensors if not name.startswith(_PRIVILEGED)]
    if not set(chosen) - {OBJECT_GOAL}:
        raise ContractError(
            f"the policy has nothing to see: the task offers {', '.join(sorted(offered.sensors)) or 'no sensor'}"
        )
    return tuple(chosen)


def make_vector_encoder(name: str, sensor: Sensor, size: int) -> nn.Module:
    """The encoder of a sensor of rank 0 or 1: numbers, or indices if it is of integers."""
    if len(sensor.shape) > 1:
        raise ContractError(f"the policy reads pictures, vectors and indices, and {name} is {list(sensor.shape)}")
    if sensor.dtype.startswith(("int", "uint")):
        return Indices(name, sensor, size)
    return Numbers(sensor, size)


class Numbers(nn.Module):
    """A vector of numbers [T, N, F] or [T, N], taken to be of the order of one, to [T, N, size]."""

    def __init__(self, sensor: Sensor, size: int) -> None:
        super().__init__()
        self._is_scalar = not sensor.shape
        self._linear = nn.Linear(sensor.shape[0] if sensor.shape else 1, size)

    def forward(self, numbers: Tensor) -> Tensor:
        numbers = numbers.unsqueeze(-1) if self._is_scalar else numbers
        return F.relu(self._linear(numbers.float()))


class Indices(nn.Module):
    """One index or several [T, N, F] or [T, N], an embedding each, summed: [T, N, size]."""

    first: Tensor

    def __init__(self, name: str, sensor: Sensor, size: int) -> None:
        super().__init__()
        choices = sensor.high - sensor.low + 1
        if not 1 <= choices <= _MAX_INDICES:
            raise ContractError(f"{name} counts from {sensor.low:g} to {sensor.high:g}: too many to embed each")
        self._is_scalar = not sensor.shape
        places = sensor.shape[0] if sensor.shape else 1
        self._embedding = nn.Embedding(places * int(choices), size)
        first = torch.arange(places) * int(choices) - int(sensor.low)
        self.register_buffer("first", first, persistent=False)

    def forward(self, indices: Tensor) -> Tensor:
        indices = indices.unsqueeze(-1) if self._is_scalar else indices
        return self._embedding(indices.long() + self.first).sum(dim=-2)


_MAX_INDICES = 4096


_POINT_FEATURES = 5


class GoalEncoder(nn.Module):
    """The goal [T, N, size]: an object's category, or a point in the agent's frame."""

    def __init__(self, contract: Contract, size: int) -> None:
        super().__init__()
        self._category: nn.Module | None = None
        self._point: nn.Module | None = None
        if OBJECT_GOAL in contract.sensors:
            self._category = nn.Embedding(object_count(contract), size)
        elif POINT_GOAL in contract.sensors:
            self._point = nn.Linear(_POINT_FEATURES, size)
        else:
            raise ContractError(f"the policy needs a goal, {OBJECT_GOAL} or {POINT_GOAL}, and the task has none")

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        if self._category is not None:
            return self._category(observations[OBJECT_GOAL].squeeze(-1).long())
        assert self._point is not None
        return F.relu(self._point(self.point(observations)))

    @property
    def point_features(self) -> int:
        """The width of `point`: 0 where goals are no points."""
        return _POINT_FEATURES if self._point is not None else 0

    def point(self, observations: Mapping[str, Tensor]) -> Tensor:
        """How far and on which side the goal is, [T, N, 5]: the distance in rooms, in steps and on a logarithmic scale.

        An episode is decided within one step of its goal, where the distance alone hardly changes.
        """
        distance_m, angle = observations[POINT_GOAL].float().unbind(-1)
        scales = [
            distance_m / _ROOM_M,
            torch.exp(-distance_m / _STEP_M),
            torch.log(distance_m.clamp(min=0.0) + 0.1 * _STEP_M),
        ]
        return torch.stack([*scales, angle.cos(), angle.sin()], dim=-1)


class PreviousAction(nn.Module):
    """What was done one step ago [T, N, size]; "nothing yet" at an episode's beginning."""

    def __init__(self, actions: Actions, size: int) -> None:
        super().__init__()
        self._is_discrete = actions.kind == DISCRETE
        self._embedding: nn.Module
        if self._is_discrete:
            self._embedding = nn.Embedding(len(actions.names) + 1, size)
        else:
            self._embedding = nn.Linear(actions.size + 1, size)

    def forward(self, previous: Tensor, resets: Tensor) -> Tensor:
        if self._is_discrete:
            return self._embedding((previous.squeeze(-1) + 1) * ~resets)
        known = (~resets).unsqueeze(-1).to(previous.dtype)
        return self._embedding(torch.cat([previous * known, known], dim=-1))


_POSE_FEATURES = 8


def _pose_features(pose: Tensor, before: Tensor, resets: Tensor) -> Tensor:
    """Where the agent is relative to its start, and how it moved since the last step, in its frame then.

    A step forward that moved nothing is a collision: the motion tells what no picture does.

    Args:
        pose, before: [T, N, 3], ahead (m), left (m) and heading (rad, leftwards) in the start's frame, now and one step
            ago.
        resets: bool [T, N]; no motion there.

    Returns:
        [T, N, 8].
    """
    before = torch.where(resets.unsqueeze(-1), pose, before)
    x, y, heading = pose.unbind(-1)
    dx, dy, turn = (pose - before).unbind(-1)
    cos, sin = before[..., 2].cos(), before[..., 2].sin()
    ahead, aside = cos * dx + sin * dy, cos * dy - sin * dx
    return torch.stack(
        [
            *(x / _ROOM_M, y / _ROOM_M, heading.cos(), heading.sin()),
            *(ahead / _STEP_M, aside / _STEP_M, turn.sin(), 1.0 - turn.cos()),
        ],
        dim=-1,
    )
