"""Pictures to maps, by name (`policy.vision`): small networks for training from pixels on a CPU, or any timm model.

A backbone takes float pictures around zero [B, C, H, W], colours first, and has `channels` and `cells` (rows, columns)
of the map that it gives. A new one is a class here and a line in BACKBONES.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.config import PolicyConfig
from policies.contract import ContractError

Size = tuple[int, int]
"""Rows and columns."""


class SmallCnn(nn.Sequential):
    """Three convolutions, with large strides first: at 64x64 most of a convolution's cost lies in its first maps."""

    def __init__(self, config: PolicyConfig, colours: int, size: Size) -> None:
        _require(size, 16)
        first, second, third = config.channels
        super().__init__(
            nn.Conv2d(colours, first, 8, stride=4, padding=2),
            nn.ReLU(),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, padding=1),
        )
        self.channels, self.cells = third, (size[0] // 8, size[1] // 8)


class SmallResNet(nn.Module):
    """A stem and two residual blocks a width of `channels`, pictures to an eighth (He et al., CVPR 2016).

    Groups are normalised, not batches: steps of one episode are far from independent.
    """

    def __init__(self, config: PolicyConfig, colours: int, size: Size) -> None:
        super().__init__()
        _require(size, 16)
        first, second, third = config.channels
        self._layers = nn.Sequential(
            nn.Conv2d(colours, first, 8, stride=4, padding=2),
            _Residual(first, first, stride=1),
            _Residual(first, second, stride=2),
            _Residual(second, third, stride=1),
        )
        self.channels, self.cells = third, (size[0] // 8, size[1] // 8)

    def forward(self, pictures: Tensor) -> Tensor:
        return self._layers(pictures)


class _Residual(nn.Module):
    """Norm and ReLU before each of two convolutions (He et al., ECCV 2016)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self._norms = nn.ModuleList(nn.GroupNorm(_groups(width), width) for width in (before, after))
        # Halving takes an even kernel, so that a map of odd size loses its last row as the small CNN's does.
        kernel = 4 if stride == 2 else 3
        self._first = nn.Conv2d(before, after, kernel, stride=stride, padding=1, bias=False)
        self._second = nn.Conv2d(after, after, 3, padding=1)
        self._past = nn.Conv2d(before, after, stride, stride=stride) if stride > 1 or before != after else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        inner = self._first(F.relu(self._norms[0](maps)))
        return self._past(maps) + self._second(F.relu(self._norms[1](inner)))


class TimmBackbone(nn.Module):
    """The last map of a timm model. Statistics of batch norms are kept as they are: an act is a batch of one."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: PolicyConfig, colours: int, size: Size) -> None:
        super().__init__()
        self.frozen = config.vision_frozen
        self.model, trained_on = _timm_model(config, colours, size)
        self._index = self.model.prune_intermediate_layers([-1], prune_norm=False, prune_head=True)
        mean, std = torch.full((colours,), 0.5), torch.full((colours,), 0.25)
        if colours >= 3:  # what is not a colour (depth) is scaled alike
            mean[:3], std[:3] = torch.tensor(trained_on["mean"]), torch.tensor(trained_on["std"])
        self.register_buffer("mean", mean[:, None, None], persistent=False)
        self.register_buffer("std", std[:, None, None], persistent=False)
        self.requires_grad_(not self.frozen)
        self.eval()
        with torch.no_grad():
            self.channels, *cells = self(torch.zeros(1, colours, *size)).shape[1:]
        self.cells = (int(cells[0]), int(cells[1]))

    def forward(self, pictures: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            pictures = (pictures + 0.5 - self.mean) / self.std
            maps = self.model.forward_intermediates(
                pictures, indices=self._index, intermediates_only=True, output_fmt="NCHW", norm=True
            )
            return maps[-1]

    def train(self, mode: bool = True) -> TimmBackbone:
        """Stays in eval mode: dropout and batch statistics would make acting and training differ."""
        return super().train(False)


BACKBONES: dict[str, Callable[[PolicyConfig, int, Size], nn.Module]] = {
    "cnn": SmallCnn,
    "resnet": SmallResNet,
}
TIMM = "timm/"
"""What the names of timm's models begin with here: timm/resnet18."""


def make_backbone(config: PolicyConfig, colours: int, size: Size) -> Any:
    """The backbone that `config` names, for pictures of `size` with so many channels.

    Raises:
        ContractError: it cannot do with such pictures.
        ValueError: there is no such model, or no weights.
    """
    if config.vision.startswith(TIMM):
        return TimmBackbone(config, colours, size)
    return BACKBONES[config.vision](config, colours, size)


def _timm_model(config: PolicyConfig, colours: int, size: Size) -> tuple[Any, dict[str, Any]]:
    """The model, and what its pictures are scaled by."""
    import timm

    name = config.vision.removeprefix(TIMM)
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('.')[0]}*")[:3]
        hint = f"; did you mean {' or '.join(near)}?" if near else "; timm.list_models() names them"
        raise ValueError(f"policy.vision: timm has no model '{name}'{hint}")
    options: dict[str, Any] = {"in_chans": colours, "num_classes": 0}
    known = timm.get_pretrained_cfg(name)
    if known is not None and known.fixed_input_size:
        options["img_size"] = size
    if config.vision_weights and config.vision_weights != PRETRAINED:
        # Other formats are pickles.
        if not config.vision_weights.endswith(".safetensors") or not Path(config.vision_weights).is_file():
            raise ValueError(f"policy.vision_weights: no .safetensors file at {config.vision_weights}")
        options["pretrained_cfg_overlay"] = {"file": config.vision_weights}
    model: Any = timm.create_model(name, pretrained=bool(config.vision_weights), **options)
    return model, model.pretrained_cfg


PRETRAINED = "pretrained"


def _require(size: Size, least: int) -> None:
    if min(size) < least:
        raise ContractError(f"the policy needs pictures of {least}x{least} pixels at least, not {size[0]}x{size[1]}")


def _groups(width: int) -> int:
    """The most groups of 4 channels or more that divide `width`, at most 8."""
    return next(groups for groups in range(min(8, max(1, width // 4)), 0, -1) if width % groups == 0)
