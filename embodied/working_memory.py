"""Working memory: an encoder's tokens as the memory bank keeps them (MemoryVLA, section 3.2).

Perceptual tokens go through a squeeze-and-excitation bottleneck (1709.01507), which narrows the channels and leaves
the number of tokens; the cognitive token goes as it comes, or through a projection::

    perceptual [B, N, C] -> 1x1 C -> 512, ReLU -> * gate [B, 512] -> 1x1 512 -> 256 -> [B, N, 256]
                                        mean over tokens -> 32, ReLU -> 512, sigmoid
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from embodied.encoders.base import Encoded


class Widths(Protocol):
    """What is needed of an encoder: how its tokens are shaped."""

    tokens: int
    perceptual_dim: int
    cognitive_dim: int


class WorkingMemory(nn.Module):
    """Encoded -> {"perceptual": [B, N, P], "cognitive": [B, 1, D]}, which `memory_bank.MemoryBank` takes."""

    def __init__(
        self,
        encoder: Widths,
        perceptual_dim: int = 256,
        cognitive_dim: int | None = None,
        hidden: int = 512,
        squeeze: int = 32,
        places: bool = True,
    ) -> None:
        """
        Args:
            encoder: an encoder, or anything that has its three widths. It is not kept.
            perceptual_dim: P, width of the perceptual tokens that come out.
            cognitive_dim: width that the cognitive token is projected to. None: it goes as it comes.
            hidden: channels within the bottleneck.
            squeeze: channels within its gate.
            places: adds a learned vector for each of the N places, zero at first. A transformer's patch features
                know where they are, a convolution's hardly. The paper has none: false.

        Raises:
            ValueError: a width is below 1.
        """
        super().__init__()
        self.tokens = encoder.tokens
        self.perceptual_dim = perceptual_dim
        self.cognitive_dim = encoder.cognitive_dim if cognitive_dim is None else cognitive_dim
        if min(self.perceptual_dim, self.cognitive_dim, hidden, squeeze) < 1:
            raise ValueError("working memory: perceptual_dim, cognitive_dim, hidden and squeeze must be at least 1")
        # A 1x1 convolution over a map is a linear layer over its tokens.
        self.widen = nn.Sequential(nn.Linear(encoder.perceptual_dim, hidden), nn.ReLU())
        self.gate = nn.Sequential(nn.Linear(hidden, squeeze), nn.ReLU(), nn.Linear(squeeze, hidden), nn.Sigmoid())
        self.narrow = nn.Linear(hidden, perceptual_dim)
        self.places = nn.Parameter(torch.zeros(self.tokens, perceptual_dim)) if places else None
        self.project = nn.Identity() if cognitive_dim is None else nn.Linear(encoder.cognitive_dim, cognitive_dim)

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        """Of B rows; with time, B * T."""
        wide = self.widen(encoded.perceptual)
        perceptual = self.narrow(wide * self.gate(wide.mean(dim=1, keepdim=True)))
        if self.places is not None:
            perceptual = perceptual + self.places
        return {"perceptual": perceptual, "cognitive": self.project(encoded.cognitive).unsqueeze(1)}
