"""Long short-term memory (Hochreiter and Schmidhuber, 1997), with a forget gate that is open at first."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policies.base import State
from policies.config import PolicyConfig
from policies.memories.base import Memory, spans
from policies.memories.gru import initialise_recurrent


class LSTMMemory(Memory):
    """One layer of `memory_size` units."""

    def __init__(self, config: PolicyConfig, token_size: int) -> None:
        super().__init__()
        self.size = config.memory_size
        self._lstm = nn.LSTM(token_size, self.size)
        initialise_recurrent(self._lstm, gates=4)
        with torch.no_grad():  # torch's order of gates: in, forget, cell, out
            dict(self._lstm.named_parameters())["bias_ih_l0"][self.size : 2 * self.size] = 1.0

    def initial_state(self, rows: int, device: torch.device) -> State:
        return {name: torch.zeros(rows, self.size, device=device) for name in ("hidden", "cell")}

    def forward(self, tokens: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        hidden, cell, outputs = state["hidden"], state["cell"], []
        for start, end in spans(resets):
            keep = ~resets[start].unsqueeze(-1)
            before = (hidden * keep).unsqueeze(0), (cell * keep).unsqueeze(0)
            out, (hidden, cell) = self._lstm(tokens[start:end], before)
            hidden, cell = hidden.squeeze(0), cell.squeeze(0)
            outputs.append(out)
        return torch.cat(outputs), {"hidden": hidden, "cell": cell}
