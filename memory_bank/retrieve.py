"""Memory retrieval (section 3.3, equations 5 and 6): the present asks, what is remembered answers.

    K = [m_1 + TE(t_1); ...; m_L + TE(t_L)]        keys carry the time
    V = [m_1; ...; m_L]                            values do not
    H = softmax(q K^T / sqrt(D)) V

then a feed-forward network; two such blocks, each post-norm, and the second asks with what the first found. A row that
remembers nothing retrieves the present itself.

Keys and values are not projected in every step, as the equations read, nor once an entry, but not at all. Projections
are linear, so that the query can be brought to the entries instead:

    (W_q x) . (W_k (m + TE))  =  (W_k^T W_q x) . m  +  (W_k^T W_q x) . TE
    sum_i p_i (W_v m_i + b_v)  =  W_v (sum_i p_i m_i) + b_v

N queries are projected in place of L * N keys and L * N values, time adds one number an entry to the scores, and
entries, being detached, ask for no gradient. With several heads every head brings its own query, which is dearer than
projecting the entries where queries are many: there they are projected, in inference once (`MemoryBank.cached`).
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memory_bank.config import AGE, NONE
from memory_bank.state import BankState


class TimeEmbedding(nn.Module):
    """TE: seconds -> [D], a sinusoid through a two-layer SiLU MLP.

    The waves' angular frequencies run from 1 to nearly 1e-4 a `unit_s`, geometrically.
    """

    def __init__(self, width: int, features: int = 256, unit_s: float = 0.1) -> None:
        super().__init__()
        self.features = features
        self.unit_s = unit_s
        self.mlp = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, seconds: Tensor) -> Tensor:
        """[...] float64 seconds -> [..., D]. The waves are computed in float64, whatever the weights are."""
        half = self.features // 2
        exponents = torch.arange(half, dtype=torch.float64, device=seconds.device) / half
        phase = (seconds / self.unit_s)[..., None] * torch.exp(-math.log(10_000.0) * exponents)
        waves = torch.cat([torch.cos(phase), torch.sin(phase)], dim=-1)
        return self.mlp(waves.to(next(self.mlp.parameters()).dtype))


class RetrievalBlock(nn.Module):
    """Cross-attention from the present to the entries, and a feed-forward network, post-norm.

    Keys have no bias: it would shift all scores of a query alike, which softmax does not see.
    """

    def __init__(self, width: int, heads: int = 1) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.attn_norm = nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.ffn_norm = nn.LayerNorm(width)

    def forward(
        self, query: Tensor, memory: Tensor, projected: Tensor | None, time: Tensor | None, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One block.

        Args:
            query: [B, N, D].
            memory: [B, L, M, D] entries of M tokens.
            projected: [B, L, M, 2 D] their keys and values if they are at hand: see `project`.
            time: [B, L, D] their time embedding, or None.
            valid: [B, L] bool; at least one a row.

        Returns:
            what was found [B, N, D]; attention [B, heads * N, L, M], which sums to 1 over entries and tokens.
        """
        attended, attention = self.attend(query, memory, projected, time, valid)
        found = self.attn_norm(query + attended)
        return self.ffn_norm(found + self.ffn(found)), attention

    def attend(
        self, query: Tensor, memory: Tensor, projected: Tensor | None, time: Tensor | None, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """softmax(q K^T / sqrt(D / heads)) V, before the residual; arguments and results as in `forward`."""
        (rows, tokens, width), (entries, entry_tokens) = query.shape, memory.shape[1:3]
        head = width // self.heads
        q = self._split(self.q_proj(query)) / math.sqrt(head)  # [B, heads, N, D / heads]
        to_memory = not self.projects_entries(tokens)
        if to_memory:
            q = torch.einsum("bhne,hed->bhnd", q, self.k_proj.weight.view(self.heads, head, width))
            q = q.flatten(1, 2)[:, None]  # [B, 1, heads * N, D]
            keys = values = memory.flatten(1, 2)[:, None]
            time_keys = None if time is None else time[:, None]
        else:
            both = self.project(memory) if projected is None else projected
            keys, values = (self._split(each) for each in both.flatten(1, 2).chunk(2, dim=-1))
            time_keys = None if time is None else self._split(self.k_proj(time))

        scores = (q @ keys.mT).view(rows, self.heads * tokens, entries, entry_tokens)
        bias = torch.where(valid, 0.0, -torch.inf).to(scores.dtype)[:, None]  # [B, 1, L]
        if time_keys is not None:
            bias = bias + (q @ time_keys.mT).flatten(1, 2)  # [B, heads * N, L]
        attention = torch.softmax((scores + bias[..., None]).flatten(2), dim=-1)

        found = attention.view(*q.shape[:3], -1) @ values
        if to_memory:
            found = found.view(rows, self.heads, tokens, width)
            found = torch.einsum("bhnd,hed->bhne", found, self.v_proj.weight.view(self.heads, head, width))
        return found.transpose(1, 2).flatten(2) + self.v_proj.bias, attention.view_as(scores)

    def projects_entries(self, tokens: int) -> bool:
        """Whether projecting entries is cheaper than bringing N queries to them.

        The latter takes heads * N * D multiplications a stored token, the former N * D and D * D for the projection.
        """
        return self.heads * tokens > tokens + self.q_proj.in_features

    def project(self, stored: Tensor) -> Tensor:
        """[..., D] -> [..., 2 D]: keys without time, and values without their bias. Linear in what is stored."""
        return torch.cat([self.k_proj(stored), F.linear(stored, self.v_proj.weight)], dim=-1)

    def _split(self, x: Tensor) -> Tensor:
        """[B, S, D] -> [B, heads, S, D / heads]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Retrieval(nn.Module):
    """Blocks in a row over one memory: H of the equations above."""

    def __init__(self, width: int, heads: int, blocks: int, clock: str, time_features: int, time_unit_s: float) -> None:
        super().__init__()
        self.clock = clock
        self.time = None if clock == NONE else TimeEmbedding(width, time_features, time_unit_s)
        self.blocks = nn.ModuleList(RetrievalBlock(width, heads) for _ in range(blocks))

    def forward(
        self, current: Tensor, state: BankState, now: Tensor, trace: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Asks the memory.

        Args:
            current: [B, N, D] the present.
            state: B rows.
            now: [B] float64, seconds: the time of the present, on the clock of the entries.
            trace: whether to sum up where attention went.

        Returns:
            retrieved [B, N, D], for an empty row the present itself;
            attention [B, blocks, L] on entries, mean over queries and heads, zeros for an empty row; or None.
        """
        if state.capacity == 0:
            return current, current.new_zeros(len(current), len(self.blocks), 0) if trace else None
        empty = state.size == 0
        valid = state.valid | empty[:, None]  # softmax needs something to look at, even where it is not used
        memory = state.tokens.to(current.dtype)
        time = None
        if self.time is not None:
            time = self.time(now[:, None] - state.time if self.clock == AGE else state.time)
        kept = (
            state.projected.chunk(len(self.blocks), dim=-1) if state.projected.shape[-1] else [None] * len(self.blocks)
        )
        query, attentions = current, []
        for block, projected in zip(self.blocks, kept, strict=True):
            query, attention = block(query, memory, projected, time, valid)
            if trace:
                on_entries = attention.detach().sum(dim=-1).mean(dim=1)
                attentions.append(on_entries * ~empty[:, None])
        retrieved = torch.where(empty[:, None, None], current, query)
        return retrieved, torch.stack(attentions, dim=1) if trace else None

    def project(self, stored: Tensor, tokens: int) -> Tensor:
        """What `BankState.projected` keeps of entries that N queries will ask.

        Args:
            stored: [..., N, D].
            tokens: N.

        Returns:
            [..., N, P]: of all blocks, or with P = 0 if they do not project entries.
        """
        blocks = [cast(RetrievalBlock, block) for block in self.blocks]
        if not blocks[0].projects_entries(tokens):
            return stored[..., :0]
        return torch.cat([block.project(stored) for block in blocks], dim=-1)
