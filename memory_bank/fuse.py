"""Memory gate fusion (section 3.3, equations 7 and 8): how much of the present, how much of the past.

    g = sigmoid(W [current; retrieved] + b)        per channel
    fused = g * current + (1 - g) * retrieved

The paper writes the two shares the other way round; W and b start near zero with either sign, so it is the same layer.
Here g is the share of the present, and 1 - g what memory contributes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GateFusion(nn.Module):
    """A learned gate, per token and channel. It starts at one half: W, b ~ N(0, 1e-3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(2 * width, width)
        nn.init.normal_(self.proj.weight, std=1e-3)
        nn.init.normal_(self.proj.bias, std=1e-3)

    def forward(self, current: Tensor, retrieved: Tensor) -> tuple[Tensor, Tensor]:
        """[B, N, D], [B, N, D] -> fused [B, N, D], g [B, N, D]."""
        gate = torch.sigmoid(self.proj(torch.cat([current, retrieved], dim=-1)))
        return gate * current + (1 - gate) * retrieved, gate


class MeanFusion(nn.Module):
    """The ablation: half of each."""

    def forward(self, current: Tensor, retrieved: Tensor) -> tuple[Tensor, Tensor]:
        """[B, N, D], [B, N, D] -> fused [B, N, D], 0.5 everywhere [B, N, D]."""
        return 0.5 * (current + retrieved), torch.full_like(current, 0.5)
