"""A small recurrent navigator for training from pixels on a CPU.

::

    rgb, depth --- convolutions -- scaled by the goal -- flat --\
    goal ------------------------ embedding --------------------+
    gps, compass -- pose, own motion since the last step -------+-- token -- GRU --+-- features -- action head
    previous action ------------- embedding --------------------/                  |
    where the goal is: its point, or the parts of the picture that show it -------/
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.base import SequencePolicy, State
from policies.config import PolicyConfig
from policies.contract import DISCRETE, Actions, Contract, ContractError
from policies.gru import GRUMemory
from policies.heads import make_head

RGB, DEPTH = "rgb", "depth"
OBJECT_GOAL, POINT_GOAL = "objectgoal", "pointgoal_with_gps_compass"
GPS, COMPASS = "gps", "compass"
_ROOM_M = 5.0
"""Positions are divided by this, to be of the order of one."""
_STEP_M = 0.25
"""Motions between steps are divided by this."""


class CnnGruPolicy(SequencePolicy):
    """Reads whichever of rgb, depth, objectgoal, pointgoal_with_gps_compass, gps and compass the task has.

    Raises:
        ContractError: there is no picture, or no goal, or the pictures differ in size.
    """

    def __init__(self, config: PolicyConfig, offered: Contract) -> None:
        super().__init__()
        self.contract = offered.only((RGB, DEPTH, OBJECT_GOAL, POINT_GOAL, GPS, COMPASS))
        size = config.embedding_size
        self.goal = GoalEncoder(self.contract, size)
        self.vision = Vision(self.contract, config, size)
        self.seen_shape = self.vision.seen_shape
        self.has_pose = GPS in self.contract.sensors and COMPASS in self.contract.sensors
        self.pose = nn.Linear(_POSE_FEATURES, size) if self.has_pose else None
        self.previous_action = PreviousAction(self.contract.actions, size)
        token_size = config.vision_size + size * (3 if self.has_pose else 2)
        self.memory = GRUMemory(token_size, config.memory_size)
        self.feature_size = config.memory_size + (_SIGHTING_FEATURES if self.seen_shape else self.goal.point_features)
        self.head = make_head(self.feature_size, self.contract.actions)

    def initial_state(self, rows: int) -> State:
        device = next(self.parameters()).device
        state = {"memory": torch.zeros(rows, self.memory.size, device=device)}
        if self.has_pose:
            state["pose"] = torch.zeros(rows, 3, device=device)
        return state

    def remember(
        self, observations: Mapping[str, Tensor], previous_actions: Tensor, state: State, resets: Tensor
    ) -> tuple[Tensor, State, Tensor | None]:
        goal = self.goal(observations)
        summary, whereabouts, seen = self.vision(observations, goal)
        if seen is None:
            whereabouts = self.goal.point(observations)
        parts = [summary, goal, self.previous_action(previous_actions, resets)]
        after = {}
        if self.pose is not None:
            # habitat-lab's gps is (ahead, right) of the start, its compass counts leftwards: one sense for both.
            ahead, right = observations[GPS].float().unbind(-1)
            pose = torch.stack([ahead, -right, observations[COMPASS].squeeze(-1).float()], dim=-1)
            before = torch.cat([state["pose"].unsqueeze(0), pose[:-1]])
            parts.append(F.relu(self.pose(_pose_features(pose, before, resets))))
            after["pose"] = pose[-1]
        features, after["memory"] = self.memory(torch.cat(parts, dim=-1), state["memory"], resets)
        # Past the memory: "it is here, on the left" is then a matter of a few weights.
        return torch.cat([features, whereabouts], dim=-1), after, seen


class Vision(nn.Module):
    """Pictures [T, N, H, W, C] and a goal [T, N, G] to a summary [T, N, vision_size].

    Large strides first: at 64x64 most of a convolution's cost lies in its first maps. No batch normalisation: steps of
    one episode are far from independent. The goal scales and shifts the last map's channels (FiLM, arXiv 1709.07871),
    so what the picture is searched for decides what is seen in it. Where goals are objects, each cell of the map is
    also taken for one of them or none (`Output.seen`). Where the goal is among them is told in five numbers that the
    action head reads past the memory: "it is here, near, on the left" is then a matter of a few weights, where it would
    have to be found among thousands.
    """

    def __init__(self, contract: Contract, config: PolicyConfig, goal_size: int) -> None:
        super().__init__()
        self._names = [name for name in (RGB, DEPTH) if name in contract.sensors]
        shapes = {name: contract.sensors[name].shape for name in self._names}
        if not shapes:
            raise ContractError("the policy needs a camera, rgb or depth, and the task has none")
        if len({shape[:2] for shape in shapes.values()}) > 1:
            raise ContractError(f"the policy needs cameras of one size, not {shapes}")
        height, width = next(iter(shapes.values()))[:2]
        if min(height, width) < 16:
            raise ContractError(f"the policy needs pictures of 16x16 pixels at least, not {height}x{width}")
        first, second, third = config.channels
        self._body = nn.Sequential(
            nn.Conv2d(sum(shape[2] for shape in shapes.values()), first, 8, stride=4, padding=2),
            nn.ReLU(),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, padding=1),
        )
        self._film = nn.Linear(goal_size, 2 * third)
        cells = (height // 8, width // 8)
        self._objects: nn.Module | None = None
        self.seen_shape: tuple[int, int, int] | None = None
        if OBJECT_GOAL in contract.sensors:
            self._objects = nn.Conv2d(third, 1 + object_count(contract), 1)
            self.seen_shape = (object_count(contract), *cells)
        self._summary = nn.Linear(third * cells[0] * cells[1], config.vision_size)
        # Its inputs grow with what the maps learn to tell apart; unnormalised they drive every gate of the GRU shut.
        self._norm = nn.LayerNorm(config.vision_size)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, observations: Mapping[str, Tensor], goal: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """The summary, where the goal is in sight [T, N, 5 or 0] (`_sighting`), and `Output.seen`."""
        steps, rows = goal.shape[:2]
        pictures = torch.cat([_unit(observations[name]) for name in self._names], dim=-1).flatten(0, 1)
        # [T * N, H, W, C] seen as [T * N, C, H, W] is what channels_last means: no copy.
        maps = self._body(pictures.permute(0, 3, 1, 2))
        scale, shift = self._film(goal).flatten(0, 1)[..., None, None].chunk(2, dim=1)
        maps_for_goal = F.relu(maps * (1.0 + scale) + shift)
        summary = F.relu(self._norm(self._summary(maps_for_goal.flatten(1)))).view(steps, rows, -1)
        if self._objects is None:
            return summary, summary[..., :0], None
        seen = self._objects(F.relu(maps))
        wanted = observations[OBJECT_GOAL].flatten().long() + 1
        goal_map = seen.softmax(dim=1)[torch.arange(len(wanted)), wanted]
        sighting = self._sighting(goal_map, observations)
        return summary, sighting.view(steps, rows, -1), seen.unflatten(0, (steps, rows))

    def _sighting(self, goal_map: Tensor, observations: Mapping[str, Tensor]) -> Tensor:
        """Whether the goal is in the picture, how large, on which side, how near there, and both: [T * N, 5].

        Args:
            goal_map: probability that a part of the picture shows the goal, [T * N, rows, columns].
        """
        rows, columns = goal_map.shape[1:]
        present = goal_map.amax(dim=(1, 2))
        share = goal_map / (goal_map.sum(dim=(1, 2), keepdim=True) + 0.05)
        side = (share.sum(dim=1) * torch.linspace(-1.0, 1.0, columns, device=share.device)).sum(dim=1)
        near = torch.zeros_like(present)
        if DEPTH in self._names:
            depth = observations[DEPTH].flatten(0, 1).float().squeeze(-1)
            near = (share * F.adaptive_avg_pool2d(1.0 - depth, (rows, columns))).sum(dim=(1, 2))
        return torch.stack([present, goal_map.mean(dim=(1, 2)) * 8.0, side, near, present * near], dim=-1)


_SIGHTING_FEATURES = 5


def object_count(contract: Contract) -> int:
    """How many categories the goals are of."""
    return int(contract.sensors[OBJECT_GOAL].high) + 1


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
        scales = [distance_m / _ROOM_M, torch.exp(-distance_m / _STEP_M), torch.log(distance_m + 0.1 * _STEP_M)]
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


def _unit(picture: Tensor) -> Tensor:
    """A picture around zero: uint8 colours from [-0.5, 0.5], depth (1.0 is the far limit) likewise."""
    if picture.dtype == torch.uint8:
        return picture.float().div_(255.0).sub_(0.5)
    return picture.float() - 0.5
