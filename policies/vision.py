"""Pictures to a summary of them, by way of a map whose channels the goal scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.backbones import make_backbone
from policies.config import PolicyConfig
from policies.contract import Contract, ContractError, Sensor

RGB, DEPTH, OBJECT_GOAL = "rgb", "depth", "objectgoal"


class Vision(nn.Module):
    """Pictures [T, N, H, W, C] and a goal [T, N, G], if there is one, to a summary [T, N, vision_size].

    A backbone (`policies.backbones`) makes a map of them. The goal scales and shifts its channels (FiLM, arXiv
    1709.07871), so what the picture is searched for decides what is seen in it. Where goals are objects, each cell of
    the map is also taken for one of them or none (`Output.seen`). Where the goal is among them is told in five numbers
    that the action head reads past the memory: "it is here, near, on the left" is then a matter of a few weights, where
    it would have to be found among thousands.

    Pictures of uint8 are colours, of floats distances up to 1, of other integers (semantic) ids, which are embedded.
    """

    def __init__(self, contract: Contract, names: Sequence[str], config: PolicyConfig, goal_size: int) -> None:
        super().__init__()
        self._names = sorted(names, reverse=True)  # rgb before depth, whatever the task's order
        shapes = {name: contract.sensors[name].shape for name in self._names}
        if len({shape[:2] for shape in shapes.values()}) > 1:
            raise ContractError(f"the policy needs cameras of one size, not {shapes}")
        height, width = next(iter(shapes.values()))[:2]
        numbers_of_ids = {
            name: int(contract.sensors[name].high) + 1 for name in self._names if _holds_ids(contract.sensors[name])
        }
        for name, count in numbers_of_ids.items():
            if shapes[name][2] != 1 or not 1 < count <= _MAX_IDS:
                raise ContractError(f"the policy embeds ids up to {_MAX_IDS}, one a pixel; {name} has others")
        self._ids = nn.ModuleDict({name: nn.Embedding(count, _ID_SIZE) for name, count in numbers_of_ids.items()})
        colours = sum(_channels(contract.sensors[name]) for name in self._names)
        self._body = make_backbone(config, colours, (height, width))
        third, cells = self._body.channels, self._body.cells
        self._film = nn.Linear(goal_size, 2 * third) if goal_size else None
        self._objects: nn.Module | None = None
        self.seen_shape: tuple[int, int, int] | None = None
        if OBJECT_GOAL in contract.sensors:
            self._objects = nn.Conv2d(third, 1 + object_count(contract), 1)
            self.seen_shape = (object_count(contract), *cells)
        self.sighting_size = _SIGHTING_FEATURES if self._objects else 0
        self._summary = nn.Linear(third * cells[0] * cells[1], config.vision_size)
        # Its inputs grow with what the maps learn to tell apart; unnormalised they drive every gate of the GRU shut.
        self._norm = nn.LayerNorm(config.vision_size)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, observations: Mapping[str, Tensor], goal: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """The summary, where the goal is in sight [T, N, sighting_size] (`_sighting`), and `Output.seen`."""
        steps, rows = observations[self._names[0]].shape[:2]
        pictures = torch.cat([self._unit(name, observations[name]) for name in self._names], dim=-1).flatten(0, 1)
        # [T * N, H, W, C] seen as [T * N, C, H, W] is what channels_last means: no copy.
        maps = self._body(pictures.permute(0, 3, 1, 2))
        maps_for_goal = maps
        if self._film is not None:
            scale, shift = self._film(goal).flatten(0, 1)[..., None, None].chunk(2, dim=1)
            maps_for_goal = maps * (1.0 + scale) + shift
        summary = F.relu(self._norm(self._summary(F.relu(maps_for_goal).flatten(1)))).view(steps, rows, -1)
        if self._objects is None:
            return summary, summary[..., :0], None
        seen = self._objects(F.relu(maps))
        wanted = observations[OBJECT_GOAL].flatten().long() + 1
        goal_map = seen.softmax(dim=1)[torch.arange(len(wanted)), wanted]
        sighting = self._sighting(goal_map, observations)
        return summary, sighting.view(steps, rows, -1), seen.unflatten(0, (steps, rows))

    def _unit(self, name: str, picture: Tensor) -> Tensor:
        """A picture around zero: uint8 colours from [-0.5, 0.5]; depth (1.0 is the far limit) likewise, and nearness.

        Whether there is room to pass is decided within a step or two, a tenth of the range: there nearness is steep.
        """
        if name in self._ids:
            return self._ids[name](picture.squeeze(-1).long())
        if picture.dtype == torch.uint8:
            return picture.float().div_(255.0).sub_(0.5)
        distance = picture.float()
        return torch.cat([distance, torch.exp(-distance / _NEAR)], dim=-1).sub_(0.5)

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


def _holds_ids(sensor: Sensor) -> bool:
    return sensor.dtype != "uint8" and not sensor.dtype.startswith("float")


def _channels(sensor: Sensor) -> int:
    """How many channels `Vision._unit` makes of a picture."""
    if _holds_ids(sensor):
        return _ID_SIZE
    return sensor.shape[2] * (2 if sensor.dtype.startswith("float") else 1)


_ID_SIZE, _MAX_IDS = 4, 4096
_NEAR = 0.1
"""Share of the range (Habitat: 10 m) over which nearness falls to a third."""
