"""A small vision-language model of one's own: any timm vision towers side by side, and any text encoder.

The paper's encoder takes DINOv2 and SigLIP like that (Prismatic, 2402.07865). What a language model would make of them
is left to the policy: the cognitive token is the towers' mean features beside the text's embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodied.encoders.base import Encoded, Encoder, EncoderError, Pictures, loading
from embodied.encoders.config import LANGUAGE, VISION, EncoderConfig, TowersConfig
from embodied.encoders.pictures import Normalise, gist, to_tokens
from embodied.encoders.text import load_text_encoder


class TowersEncoder(Encoder):
    """Patch features of all towers, side by side in channels, on the grid of the first tower."""

    lora_targets: ClassVar[dict[str, list[str]]] = {
        VISION: ["qkv"],
        LANGUAGE: ["query", "value", "q_proj", "v_proj"],
    }

    def __init__(self, config: EncoderConfig, cameras: Sequence[str]) -> None:
        super().__init__(config, cameras)
        towers = config.towers
        self.towers = nn.ModuleList(Tower(towers, i, config.side) for i in range(len(towers.vision)))
        self.text = load_text_encoder(towers.text, "encoder.towers.text", towers.text_pooling, config.text_cache)
        shipped = ("towers", "text") if towers.pretrained else ("text",)
        self._adapt(vision="towers", language="text", shipped=shipped)

        with torch.no_grad():
            maps = [tower([torch.zeros(1, 8, 8, 3, dtype=torch.uint8)]) for tower in self.towers]
        self.grid = maps[0].shape[-2:]
        self.tokens = len(self.cameras) * self.grid.numel()
        self.perceptual_dim = sum(features.shape[1] for features in maps)
        self.cognitive_dim = len(self.cameras) * self.perceptual_dim + self.text.dim

    def encode(self, pictures: Pictures, instructions: list[str]) -> Encoded:
        maps = [self._on_grid(tower(pictures)) for tower in self.towers]
        tokens = to_tokens(torch.cat(maps, dim=1), len(pictures))
        return Encoded(tokens, gist(tokens, len(pictures), self.text(instructions)))

    def _on_grid(self, features: Tensor) -> Tensor:
        if features.shape[-2:] == self.grid:
            return features
        return F.interpolate(features, size=self.grid, mode="bilinear", antialias=True)


class Tower(nn.Module):
    """One timm model with its own size and normalisation: pictures in, a map of patch features out."""

    def __init__(self, config: TowersConfig, index: int, side: int) -> None:
        """`index`: which of the config's towers; `side`: pixels, where the config names no size of its own.

        Raises:
            EncoderError: timm does not know the model, or its weights cannot be loaded.
        """
        super().__init__()
        name = config.vision[index]
        side = config.sizes[index] if config.sizes else side
        self.model = _create(name, config, config.weights[index] if config.weights else "", side)
        self._norm = config.layer == -1
        depth = len(self.model.feature_info)
        if -config.layer > depth:
            raise EncoderError(f"encoder.towers.layer is {config.layer}, and '{name}' has only {depth} layers")
        # Later blocks, the pooling head and an unused last norm would be weights that never learn.
        self._indices = self.model.prune_intermediate_layers([config.layer], prune_norm=not self._norm, prune_head=True)
        trained_on = self.model.pretrained_cfg
        self.normalise = Normalise(side, trained_on["mean"], trained_on["std"])

    def forward(self, pictures: Pictures) -> Tensor:
        """K uint8 [B, H, W, 3] -> [K * B, C, h, w]; class and register tokens are left out."""
        maps = self.model.forward_intermediates(
            self.normalise(pictures), indices=self._indices, norm=self._norm, intermediates_only=True, output_fmt="NCHW"
        )
        return maps[-1]


def _create(name: str, config: TowersConfig, weights: str, side: int) -> Any:
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('.')[0]}*")[:3]
        hint = f"; did you mean {' or '.join(near)}?" if near else "; timm.list_models() names them"
        raise EncoderError(f"encoder.towers.vision: timm has no model '{name}'{hint}")
    options = dict(config.options)
    trained = timm.get_pretrained_cfg(name)
    if trained is not None and trained.fixed_input_size:
        options.setdefault("img_size", side)
    overlay = None
    if weights:
        # Other formats are pickles.
        if not weights.endswith(".safetensors") or not Path(weights).is_file():
            raise EncoderError(f"encoder.towers.weights: no .safetensors file at {weights}; give one for '{name}'")
        overlay = {"file": weights}
    with loading(f"the vision tower '{name}'", "give a local .safetensors file in encoder.towers.weights"):
        return timm.create_model(
            name, pretrained=config.pretrained, pretrained_cfg_overlay=overlay, num_classes=0, **options
        )
