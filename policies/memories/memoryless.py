"""No memory: what any memory has to beat."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policies.base import State
from policies.config import PolicyConfig
from policies.memories.base import Memory


class Memoryless(Memory):
    """Two layers of `memory_size` units over the token of the present step alone."""

    def __init__(self, config: PolicyConfig, token_size: int) -> None:
        super().__init__()
        self.size = config.memory_size
        self._layers = nn.Sequential(
            nn.Linear(token_size, self.size), nn.Tanh(), nn.Linear(self.size, self.size), nn.Tanh()
        )

    def initial_state(self, rows: int, device: torch.device) -> State:
        return {}

    def forward(self, tokens: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        return self._layers(tokens), {}
