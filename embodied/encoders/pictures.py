"""From what sensors give to what networks take, and from the networks' maps to rows of tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def resize(pictures: Tensor, side: int) -> Tensor:
    """Pictures as squares; what is not square is stretched, so that nothing at the border is lost.

    Args:
        pictures: uint8 [B, H, W, 3].
        side: pixels.

    Returns:
        float32 [B, 3, side, side], from 0 to 255
    """
    floats = pictures.permute(0, 3, 1, 2).float()
    if floats.shape[-2:] == (side, side):
        return floats
    return F.interpolate(floats, size=(side, side), mode="bilinear", antialias=True)


class Normalise(nn.Module):
    """The cameras' pictures as one batch: resized, from [0, 255] to what a network was trained on."""

    mean: Tensor
    std: Tensor

    def __init__(self, side: int, mean: Sequence[float], std: Sequence[float]) -> None:
        """`mean` and `std`: of red, green and blue, for pictures from 0 to 1."""
        super().__init__()
        self.side = side
        self.register_buffer("mean", 255 * torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, pictures: Sequence[Tensor]) -> Tensor:
        """K uint8 [B, H, W, 3] -> float32 [K * B, 3, side, side], all rows of the first camera before the second's."""
        return (torch.cat([resize(picture, self.side) for picture in pictures]) - self.mean) / self.std


def to_tokens(features: Tensor, cameras: int) -> Tensor:
    """Maps [K * B, C, h, w] of K cameras as tokens [B, K * h * w, C], row by row of each map."""
    tokens = features.flatten(2).transpose(1, 2)
    return tokens.unflatten(0, (cameras, -1)).transpose(0, 1).flatten(1, 2)


def gist(tokens: Tensor, cameras: int, text: Tensor) -> Tensor:
    """A cognitive token without training: the mean features of each camera beside the instruction's embedding.

    Each is brought to a mean square of 1, so that none drowns the others.

    Args:
        tokens: [B, K * n, C] of K cameras.
        text: [B, E].

    Returns:
        [B, K * C + E]
    """
    pooled = tokens.unflatten(1, (cameras, -1)).mean(dim=2).float()
    pooled = F.rms_norm(pooled, pooled.shape[-1:], eps=1e-6).flatten(1)
    return torch.cat([pooled, F.rms_norm(text.float(), text.shape[-1:], eps=1e-12)], dim=1)
