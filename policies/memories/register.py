"""A constant register: M_t = f(M_{t-1}, o_t) and nothing else is kept (MEM1, arXiv 2506.15841).

The rule is MEM1's; f, there a language model, is a transformer over the registers and the token of the step, and a gate
between what a register held and what it is to hold (as in a GRU), so that something can be kept for long.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.base import State
from policies.config import PolicyConfig
from policies.memories.base import Memory


class Register(Memory):
    """`registers` vectors of width `memory_size`, `layers` layers of `heads` heads."""

    def __init__(self, config: PolicyConfig, token_size: int) -> None:
        super().__init__()
        self.size = config.memory_size
        self._embed = nn.Linear(token_size, self.size)
        self._first = nn.Parameter(torch.randn(config.registers, self.size) * 0.5)
        self._layers = nn.ModuleList(_Layer(self.size, config.heads) for _ in range(config.layers))
        self._norm = nn.RMSNorm(self.size)
        self._gate, self._update = (nn.Linear(2 * self.size, self.size) for _ in range(2))
        nn.init.constant_(self._gate.bias, -1.0)  # keep rather than overwrite, at first

    def initial_state(self, rows: int, device: torch.device) -> State:
        """What the registers hold beyond what is learnt that they begin with."""
        return {"registers": torch.zeros(rows, *self._first.shape, device=device)}

    def forward(self, tokens: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        embedded, outputs = self._embed(tokens).unsqueeze(2), []
        registers = state["registers"] + self._first
        keep = ~resets[..., None, None]
        for token, kept in zip(embedded, keep, strict=True):
            registers = torch.where(kept, registers, self._first)
            x = torch.cat([registers, token], dim=1)
            for layer in self._layers:
                x = layer(x)
            x = self._norm(x)
            read = torch.cat([registers, x[:, :-1]], dim=-1)
            gate = torch.sigmoid(self._gate(read))
            registers = registers + gate * (torch.tanh(self._update(read)) - registers)
            outputs.append(x[:, -1])
        return torch.stack(outputs), {"registers": registers - self._first}


class _Layer(nn.Module):
    """All registers and the token attend to each other; then an MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self._before_attention, self._before_mlp = nn.RMSNorm(width), nn.RMSNorm(width)
        self._qkv, self._out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self._up, self._down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self._qkv(self._before_attention(x)).unflatten(-1, (3, self._heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + self._out(attended)
        return x + self._down(F.gelu(self._up(self._before_mlp(x))))
