"""A gated recurrent unit (Cho et al., 2014, arXiv 1406.1078)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policies.base import State
from policies.config import PolicyConfig
from policies.memories.base import Memory, spans


class GRUMemory(Memory):
    """One layer of `memory_size` units."""

    def __init__(self, config: PolicyConfig, token_size: int) -> None:
        super().__init__()
        self.size = config.memory_size
        self._gru = nn.GRU(token_size, self.size)
        initialise_recurrent(self._gru, gates=3)

    def initial_state(self, rows: int, device: torch.device) -> State:
        return {"hidden": torch.zeros(rows, self.size, device=device)}

    def forward(self, tokens: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        hidden, outputs = state["hidden"], []
        for start, end in spans(resets):  # whole spans without a reset go through the fused layer at once
            hidden = hidden * ~resets[start].unsqueeze(-1)
            out, last = self._gru(tokens[start:end], hidden.unsqueeze(0))
            hidden = last.squeeze(0)
            outputs.append(out)
        return torch.cat(outputs), {"hidden": hidden}


def initialise_recurrent(layer: nn.Module, gates: int) -> None:
    """Orthogonal recurrent weights, gate by gate, and no biases."""
    for name, parameter in layer.named_parameters():
        if "weight_hh" in name:
            for gate in parameter.chunk(gates):
                nn.init.orthogonal_(gate)
        elif "bias" in name:
            nn.init.zeros_(parameter)
