"""The diffusion transformer (section 3.4): one prefix token and a chunk of noisy actions, conditioned on memory.

One row, one of its S noisy chunks::

    step t ---------> sinusoid, MLP --+
    cognitive token -> projection ----+--> prefix     a1 + n1   a2 + n2  ...  aH + nH     (embedded, with positions)
                                             |           |         |             |
         each layer:    self-attention      [+-----------+---------+-------------+]
                        cross-attention     to the perceptual tokens (and those of further streams), projected
                        MLP
                                                         |         |             |
                                                      what was predicted of each action

The condition does not depend on the diffusion step. So the keys and values of cross-attention are made once a chunk
(`condition`), not once a denoising step, and the S chunks of a row, be they draws of noise in training or the two
sides of guidance, ask them together: nothing is copied.

Only output projections begin at zero. Were queries' and keys' projections zero together, as in the public code, either
would have no gradient for ever, and attention would stay uniform.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.action_expert.config import BOTH, ExpertConfig


class Condition(NamedTuple):
    """What denoising is conditioned on, for B rows."""

    prefix: Tensor
    """[B, S or 1, D]: of the cognitive token, projected."""
    layers: list[tuple[Tensor, Tensor]]
    """Of each layer, keys and values [B, heads, N, D / heads]."""
    valid: Tensor | None
    """[B, 1, 1, N] bool: tokens that may be attended to; None: all."""


class SelfAttention(nn.Module):
    """Among the prefix and the actions of one chunk."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Q, D] -> [B, Q, D]."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """From the chunk to the condition's tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, heads, N, D / heads] of tokens [B, N, D]."""
        k, v = self.kv(tokens).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return k, v

    def queries(self, x: Tensor) -> Tensor:
        """[B, Q, D] -> [B, heads, Q, D / heads]."""
        return self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, valid: Tensor | None) -> Tensor:
        """[B, Q, D] -> [B, Q, D]."""
        read = F.scaled_dot_product_attention(self.queries(x), keys, values, attn_mask=valid)
        return self.out(read.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Self-attention, cross-attention, MLP, each pre-norm with a residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(width)
        self.self_attention = SelfAttention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.cross_attention = CrossAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, valid: Tensor | None) -> Tensor:
        """x [B, S, Q, D]: S chunks a row, which share its keys and values."""
        rows, chunks = x.shape[:2]
        x = x.flatten(0, 1)
        x = x + self.self_attention(self.self_norm(x))
        x = x.unflatten(0, (rows, chunks)).flatten(1, 2)
        x = x + self.cross_attention(self.cross_norm(x), keys, values, valid)
        x = x + self.mlp(self.mlp_norm(x))
        return x.unflatten(1, (chunks, -1))


class StepEmbedding(nn.Module):
    """The diffusion step: a sinusoid through a two-layer SiLU MLP."""

    FEATURES = 256

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(self.FEATURES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, step: Tensor) -> Tensor:
        """[...] -> [..., D]."""
        half = self.FEATURES // 2
        exponents = torch.arange(half, dtype=torch.float32, device=step.device) / half
        phase = step.float()[..., None] * torch.exp(-math.log(10_000.0) * exponents)
        return self.mlp(torch.cat([torch.cos(phase), torch.sin(phase)], dim=-1).to(next(self.mlp.parameters()).dtype))


class ActionDiT(nn.Module):
    """Predicts the noise (or, with flow matching, the velocity) in chunks of actions.

    Args:
        config: layers, width, heads, horizon H, what guidance drops.
        action_size: A.
        cognitive_dim: of the cognitive token.
        streams: name -> width of each stream of tokens that is attended to; "perceptual", and any further ones.
    """

    def __init__(self, config: ExpertConfig, action_size: int, cognitive_dim: int, streams: Mapping[str, int]) -> None:
        super().__init__()
        layers, width, heads = config.shape
        self.drops_tokens = config.guide == BOTH
        self.cognitive = nn.Linear(cognitive_dim, width)
        self.no_cognitive = nn.Parameter(0.02 * torch.randn(width))
        self.tokens = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(dim, width), nn.LayerNorm(width)) for name, dim in streams.items()}
        )
        self.no_token = nn.ParameterDict({name: nn.Parameter(0.02 * torch.randn(width)) for name in streams})
        self.step = StepEmbedding(width)
        self.action = nn.Linear(action_size, width)
        self.position = nn.Parameter(0.02 * torch.randn(1 + config.horizon, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, action_size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def condition(
        self,
        cognitive: Tensor,
        tokens: Mapping[str, Tensor],
        valid: Mapping[str, Tensor] | None = None,
        drop: Tensor | None = None,
    ) -> Condition:
        """What does not depend on the diffusion step.

        Args:
            cognitive: [B, cognitive_dim].
            tokens: {stream: [B, N, dim]}.
            valid: {stream: [B, N] bool}, of streams in which not all tokens are real.
            drop: [B] bool: rows without condition (what `guide` names); None: none.
        """
        prefix = self.cognitive(cognitive)
        projected = {name: self.tokens[name](tokens[name]) for name in self.tokens}
        if drop is not None:
            prefix = torch.where(drop[:, None], self.no_cognitive, prefix)
            if self.drops_tokens:
                projected = {
                    name: torch.where(drop[:, None, None], self.no_token[name], each)
                    for name, each in projected.items()
                }
        together = torch.cat(list(projected.values()), dim=1)
        mask = None
        if valid:
            parts = [
                valid.get(name, torch.ones(each.shape[:2], dtype=torch.bool, device=each.device))
                for name, each in projected.items()
            ]
            mask = torch.cat(parts, dim=1)[:, None, None]
        layers = [block.cross_attention.project(together) for block in self.blocks]  # type: ignore[union-attr, operator]
        return Condition(prefix[:, None], layers, mask)

    def guided(self, cognitive: Tensor, tokens: Mapping[str, Tensor], valid: Mapping[str, Tensor] | None) -> Condition:
        """The condition and its absence: `denoise` then takes two chunks a row, or twice the rows if tokens drop."""
        if self.drops_tokens:
            rows = len(cognitive)
            twice = {name: torch.cat([each, each]) for name, each in tokens.items()}
            valid = None if valid is None else {name: torch.cat([each, each]) for name, each in valid.items()}
            drop = torch.arange(2 * rows, device=cognitive.device) >= rows
            return self.condition(torch.cat([cognitive, cognitive]), twice, valid, drop)
        condition = self.condition(cognitive, tokens, valid)
        without = self.no_cognitive.expand_as(condition.prefix)
        return condition._replace(prefix=torch.cat([condition.prefix, without], dim=1))

    def denoise(self, noisy: Tensor, step: Tensor, condition: Condition) -> Tensor:
        """What is predicted of `noisy`.

        Args:
            noisy: [B, S, H, A], S chunks a row.
            step: [B, S] or broadcastable: the diffusion step of each.
            condition: of the B rows.

        Returns:
            [B, S, H, A].
        """
        prefix = (self.step(step) + condition.prefix).expand(*noisy.shape[:2], -1)
        x = torch.cat([prefix[:, :, None], self.action(noisy)], dim=2) + self.position
        for block, (keys, values) in zip(self.blocks, condition.layers, strict=True):
            x = block(x, keys, values, condition.valid)
        return self.out(self.norm(x[:, :, 1:]))
