"""A causal decoder with rotary positions, as LLaMA (arXiv 2302.13971) has it: norms first, SwiGLU, no biases.

The norms are LayerNorms without bias, not RMSNorms: torch has them as one operation on a CPU, the others as five.

Letters of shapes: B sequences, Q new tokens, P past ones, C places of a cache, L layers, H heads, E width of a head, W
width of the decoder.

Positions count from the beginning of what a sequence attends to, so a position is also the place in the cache.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, bias=False)


class Block(nn.Module):
    """Self-attention and a gated MLP, each beside the residual stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self._before_attention, self._before_mlp = norm(width), norm(width)
        self._qkv = nn.Linear(width, 3 * width, bias=False)
        self._out = nn.Linear(width, width, bias=False)
        self._gate_up = nn.Linear(width, 8 * width, bias=False)
        self._down = nn.Linear(4 * width, width, bias=False)

    def project(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """x [B, Q, W] to queries [B, H, Q, E] and keys with values [B, 2, H, Q, E], by positions of `rotary`."""
        qkv = self._qkv(self._before_attention(x)).unflatten(-1, (3, self._heads, -1)).permute(0, 2, 3, 1, 4)
        rotated = rotate(qkv[:, :2], rotation)
        return rotated[:, 0], torch.stack([rotated[:, 1], qkv[:, 2]], dim=1)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """x [B, Q, W] and what its queries found [B, H, Q, E] to the block's output [B, Q, W]."""
        x = x + self._out(attended.transpose(1, 2).flatten(2))
        gate, up = self._gate_up(self._before_mlp(x)).chunk(2, dim=-1)
        return x + self._down(F.silu(gate) * up)


class Decoder(nn.Module):
    """`layers` blocks and a last norm."""

    frequencies: Tensor
    blocks: list[Block]

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_size = heads, width // heads
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))  # type: ignore[assignment]
        self._norm = norm(width)
        self.register_buffer("frequencies", rotary_frequencies(self.head_size), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:  # GPT-2's: what is added to the residual stream is small at first
                scale = (2 * layers) ** -0.5 if name.endswith(("_out.weight", "_down.weight")) else 1.0
                nn.init.normal_(parameter, std=scale * width**-0.5)

    def forward(self, x: Tensor, past: Tensor | None = None, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Many tokens at once.

        Args:
            x: [B, Q, W]; rows shorter than Q are padded behind, which nothing before sees.
            past: keys and values that all of x may attend to, [B, L, 2, H, P, E]; None for none.
            lengths: int64 [B], how many places of `past` there are in each row; the others are not read.

        Returns:
            [B, Q, W], and the keys and values of x [B, L, 2, H, Q, E].
        """
        new = torch.arange(x.shape[1], device=x.device)
        if past is None or lengths is None or not past.shape[-2]:
            past, mask = None, None
            rotation = rotary(new, self.frequencies)
        else:
            places = torch.arange(past.shape[-2], device=x.device)
            readable = (places < lengths[:, None])[:, None, :].expand(-1, len(new), -1)
            causal = (new <= new[:, None]).expand(len(x), -1, -1)
            mask = torch.cat([readable, causal], dim=-1).unsqueeze(1)
            rotation = rotary((lengths[:, None] + new)[:, None, None], self.frequencies)
        keys_values = []
        for number, block in enumerate(self.blocks):
            query, kv = block.project(x, rotation)
            keys_values.append(kv)
            if past is not None:
                kv = torch.cat([past[:, number].to(kv.dtype), kv], dim=-2)
            query = query.to(kv.dtype)
            attended = F.scaled_dot_product_attention(query, kv[:, 0], kv[:, 1], mask, is_causal=mask is None)
            x = block.finish(x, attended)
        return self._norm(x), torch.stack(keys_values, dim=1)

    def step(self, x: Tensor, cache: Tensor, lengths: Tensor) -> Tensor:
        """One token a row; its keys and values are written into `cache`.

        Args:
            x: [B, W].
            cache: [B, L, 2, H, C, E], C above all lengths.
            lengths: int64 [B], how many places of it are in use; the token takes the next.

        Returns:
            [B, W].
        """
        longest = int(lengths.max())
        alike = len(lengths) == 1 or bool((lengths == longest).all())
        read = cache[..., : longest + 1, :]
        if alike:
            mask = None
            rotation = rotary(lengths[:1], self.frequencies)
        else:
            rows = torch.arange(len(x), device=x.device)
            mask = (torch.arange(longest + 1, device=x.device) <= lengths[:, None])[:, None, None]
            rotation = rotary(lengths[:, None, None, None], self.frequencies)
        x = x.unsqueeze(1)
        for number, block in enumerate(self.blocks):
            query, kv = block.project(x, rotation)
            if alike:
                read[:, number, ..., longest, :] = kv[..., 0, :]
            else:
                read[rows, number, :, :, lengths] = kv[..., 0, :].to(read.dtype)
            query = query.to(read.dtype)
            attended = F.scaled_dot_product_attention(query, read[:, number, 0], read[:, number, 1], mask)
            x = block.finish(x, attended)
        return self._norm(x).squeeze(1)

    def empty_cache(self, rows: int, places: int) -> Tensor:
        """[rows, L, 2, H, places, E]."""
        shape = (rows, len(self.blocks), 2, self.heads, places, self.head_size)
        return torch.zeros(shape, device=self.frequencies.device)


def with_room(cache: Tensor, places: int) -> Tensor:
    """The cache [B, L, 2, H, C, E], or a copy of twice the places if it has less than `places`."""
    held = cache.shape[-2]
    if held >= places:
        return cache
    grown = cache.new_zeros(*cache.shape[:-2], max(places, 2 * held), cache.shape[-1])
    grown[..., :held, :] = cache
    return grown


def put(cache: Tensor, rows: Tensor, start: Tensor, new: Tensor) -> None:
    """Writes keys and values [R, L, 2, H, Q, E] into the rows numbered `rows` [R], from place `start` [R] on."""
    places = start[:, None] + torch.arange(new.shape[-2], device=start.device)
    cache[rows[:, None], :, :, :, places] = new.permute(0, 4, 1, 2, 3, 5).to(cache.dtype)


def rotary_frequencies(head_size: int) -> Tensor:
    """Radians a position, [head_size / 2]."""
    return 10_000.0 ** (-torch.arange(0, head_size, 2) / head_size)


def rotary(positions: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines [..., E / 2] of positions [...] (RoPE, arXiv 2104.09864)."""
    angles = positions.unsqueeze(-1) * frequencies.double()  # a difference of two late positions has to be exact too
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turns each pair (i, i + E / 2) of x [..., E] by its angle."""
    cos, sin = (each.to(x.dtype) for each in rotation)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
