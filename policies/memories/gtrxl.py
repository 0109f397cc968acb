"""Gated Transformer-XL (Parisotto et al., ICML 2020, arXiv 1910.06764).

Each layer attends to its own inputs at the last `context` steps, this one included (Transformer-XL, arXiv 1901.02860).
Norms lie on the inputs of attention and MLP alone, ReLUs behind them, and a GRU's gate, at first nearly shut, takes the
place of the residual sum. Rotary positions stand for Transformer-XL's relative ones, so that torch's fused attention
does.

A state holds each layer's inputs, at place p mod `context` of a ring the one of step p, and as a cache the keys and
values made of them. An unroll makes the keys of the state anew; the layers' inputs themselves are of the weights that
they were made with, and constants, as Transformer-XL has it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.base import CACHE, State
from policies.config import PolicyConfig
from policies.memories.base import Memory, steps_before
from policies.memories.transformer import rotary, rotary_frequencies, rotate

_KEYS_VALUES = CACHE + "keys_values"


class GatedTransformerXL(Memory):
    """`layers` layers of width `memory_size` and `heads` heads."""

    frequencies: Tensor
    _layers: list[_Layer]

    def __init__(self, config: PolicyConfig, token_size: int) -> None:
        super().__init__()
        self.size, self._context, self._heads = config.memory_size, config.context, config.heads
        self._embed = nn.Linear(token_size, self.size)
        layers = (_Layer(self.size, config.heads) for _ in range(config.layers))
        self._layers = nn.ModuleList(layers)  # type: ignore[assignment]
        self.register_buffer("frequencies", rotary_frequencies(self.size // config.heads), persistent=False)

    def initial_state(self, rows: int, device: torch.device) -> State:
        return {
            "inputs": torch.zeros(rows, len(self._layers), self._context, self.size, device=device),
            "seen": torch.zeros(rows, dtype=torch.int64, device=device),
        }

    def forward(self, tokens: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        steps, ring, seen = len(tokens), self._context, state["seen"]
        # What the rings hold, oldest first and newest last, as far back as any row's goes.
        kept = min(ring, int(seen.max()) if not resets[0].all() else 0)
        back = torch.arange(kept, 0, -1, device=seen.device)
        place = (seen[:, None] - back) % ring
        past = state["inputs"].gather(2, place[:, None, :, None].expand(-1, len(self._layers), -1, self.size))

        # A step attends to those of its episode (0: the state's) that are less than `context` steps before it.
        episode = resets.cumsum(dim=0).T
        of_past = torch.where(back <= seen[:, None], 0, -1)
        episodes = torch.cat([of_past, episode], dim=1)
        index = torch.arange(kept + steps, device=seen.device)
        distance = index[kept:, None] - index
        mask = (episode[:, :, None] == episodes[:, None, :]) & (distance >= 0) & (distance < ring)
        rotation = rotary(index, self.frequencies)

        x, inputs = self._embed(tokens).transpose(0, 1), []
        for number, layer in enumerate(self._layers):
            inputs.append(torch.cat([past[:, number].detach().to(x.dtype), x], dim=1))
            query, key, value = layer.project(inputs[-1], rotation)
            x = layer.finish(x, F.scaled_dot_product_attention(query[:, :, kept:], key, value, mask.unsqueeze(1)))
        after = steps_before(resets, seen)[-1] + 1
        return x.transpose(0, 1), {"inputs": self._ring(torch.stack(inputs, dim=1).detach(), after), "seen": after}

    def _ring(self, inputs: Tensor, seen: Tensor) -> Tensor:
        """Inputs [N, L, K, W], newest last, as the rings of rows that have `seen` so many steps."""
        back = (seen[:, None] - 1 - torch.arange(self._context, device=seen.device)) % self._context
        held = back < torch.clamp(seen, max=self._context)[:, None]
        place = torch.clamp(inputs.shape[2] - 1 - back, min=0)[:, None, :, None].expand(
            -1, inputs.shape[1], -1, self.size
        )
        return inputs.gather(2, place).float() * held[:, None, :, None]

    def step(self, token: Tensor, state: State, resets: Tensor, in_place: bool) -> tuple[Tensor, State]:
        state = dict(state) if in_place else {name: values.clone() for name, values in state.items()}
        if resets.any():
            state["inputs"][resets] = 0
            state["seen"] = state["seen"] * ~resets
        if _KEYS_VALUES not in state:
            state[_KEYS_VALUES] = self._keys_values(state)
        seen, cache = state["seen"], state[_KEYS_VALUES]
        rows, place = torch.arange(len(seen), device=seen.device), seen % self._context
        held = torch.clamp(seen + 1, max=self._context)
        longest = int(held.max())
        mask = None
        if not bool((held == longest).all()):
            mask = (torch.arange(longest, device=seen.device) < held[:, None])[:, None, None]
        rotation = rotary(seen[:, None, None], self.frequencies)
        x = self._embed(token).unsqueeze(1)
        for number, layer in enumerate(self._layers):
            state["inputs"][rows, number, place] = x[:, 0].to(state["inputs"].dtype)
            query, key, value = layer.project(x, rotation)
            cache[rows, number, 0, :, place] = key[:, :, 0].to(cache.dtype)
            cache[rows, number, 1, :, place] = value[:, :, 0].to(cache.dtype)
            keys, values = cache[:, number, :, :, :longest].unbind(1)
            x = layer.finish(x, F.scaled_dot_product_attention(query.to(keys.dtype), keys, values, mask))
        state["seen"] = seen + 1
        return x[:, 0], state

    def _keys_values(self, state: State) -> Tensor:
        """Of the inputs in the rings, by the present weights: [N, L, 2, H, context, E]."""
        seen = state["seen"][:, None]
        step = seen - 1 - (seen - 1 - torch.arange(self._context, device=seen.device)) % self._context
        rotation = rotary(step.unsqueeze(1), self.frequencies)
        made = [layer.project(state["inputs"][:, n], rotation)[1:] for n, layer in enumerate(self._layers)]
        return torch.stack([torch.stack(keys_values, dim=1) for keys_values in made], dim=1)


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self._before_attention, self._before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self._qkv, self._out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self._mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        self._attention_gate, self._mlp_gate = Gate(width), Gate(width)

    def project(self, inputs: Tensor, rotation: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs [N, K, W] to queries, keys and values [N, H, K, E]."""
        qkv = self._qkv(self._before_attention(inputs)).unflatten(-1, (3, self._heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        return rotate(query, rotation).to(value.dtype), rotate(key, rotation).to(value.dtype), value

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        x = self._attention_gate(x, F.relu(self._out(attended.transpose(1, 2).flatten(2))))
        return self._mlp_gate(x, F.relu(self._mlp(self._before_mlp(x))))


class Gate(nn.Module):
    """A GRU's gate between a stream x and what is to change it, y (the paper's section 3.2); at first it keeps x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._of_y = nn.Linear(width, 3 * width)
        self._of_x = nn.Linear(width, 2 * width, bias=False)
        self._of_reset = nn.Linear(width, width, bias=False)
        with torch.no_grad():
            self._of_y.bias.zero_()
            self._of_y.bias[width : 2 * width] = -2.0

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        reset_y, update_y, new_y = self._of_y(y).chunk(3, dim=-1)
        reset_x, update_x = self._of_x(x).chunk(2, dim=-1)
        update = torch.sigmoid(update_y + update_x)
        new = torch.tanh(new_y + self._of_reset(torch.sigmoid(reset_y + reset_x) * x))
        return (1.0 - update) * x + update * new
