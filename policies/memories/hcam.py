"""Hierarchical chunk attention memory (Lampinen et al., NeurIPS 2021, arXiv 2105.14039).

Past steps are kept in chunks of `chunk`. Each layer attends within the chunk under way, then recalls: a query is
compared with the mean of every chunk, the `top_k` chunks most alike are attended to in detail, and what is found in
them is summed up by how alike they are. No gradient goes into what is stored.

A state holds, for each layer, its inputs: the chunk under way, whole chunks (chunk c at place c mod `chunks` of a ring)
and their means. They are of the weights that they were made with.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.base import State
from policies.config import PolicyConfig
from policies.memories.base import Memory, steps_before


class HierarchicalChunkMemory(Memory):
    """`layers` layers of width `memory_size` and `heads` heads over the last `chunks` chunks."""

    _layers: list[_Layer]

    def __init__(self, config: PolicyConfig, token_size: int) -> None:
        super().__init__()
        self.size, self._chunk, self._chunks = config.memory_size, config.chunk, config.chunks
        self._embed = nn.Linear(token_size, self.size)
        self._layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))  # type: ignore[assignment]
        self._norm = nn.LayerNorm(self.size)

    def initial_state(self, rows: int, device: torch.device) -> State:
        layers, width = len(self._layers), self.size
        return {
            "contents": torch.zeros(rows, layers, self._chunks, self._chunk, width, device=device),
            "means": torch.zeros(rows, layers, self._chunks, width, device=device),
            "under_way": torch.zeros(rows, layers, self._chunk, width, device=device),
            "seen": torch.zeros(rows, dtype=torch.int64, device=device),
        }

    def forward(self, tokens: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        rows, size, kept = tokens.shape[1], self._chunk, self._chunks
        seen = state["seen"]
        before = steps_before(resets, seen).T
        place = before % size
        # A table of chunks: those of the ring, oldest first, then those that the unroll begins or goes on with.
        begins = (place == 0) & (torch.arange(len(tokens), device=seen.device) > 0)
        chunk = kept + begins.cumsum(dim=1)
        table = int(chunk.max()) + 1
        episode = resets.cumsum(dim=0).T
        of_chunk = torch.full((rows, table), -1, device=seen.device).scatter(1, chunk, episode)
        back = torch.arange(kept, 0, -1, device=seen.device)
        whole = seen[:, None] // size
        of_chunk[:, :kept] = torch.where(back <= whole, 0, -1)
        ordered = (whole - back) % kept
        rank = chunk[:, :, None] - 1 - torch.arange(table, device=seen.device)
        visible = (rank >= 0) & (rank < kept) & (of_chunk[:, None] == episode[:, :, None])
        rank = torch.where(visible, rank, -1)

        at = ((chunk - kept) * size + place).unsqueeze(-1).expand(-1, -1, self.size)
        x, tables = self._embed(tokens).transpose(0, 1), []
        goes_on = (torch.arange(size, device=seen.device) < seen[:, None] % size).unsqueeze(-1)
        for index, layer in enumerate(self._layers):
            old = state["contents"][:, index]
            old = old.gather(1, ordered[:, :, None, None].expand_as(old)).to(x.dtype)
            new = torch.zeros(rows, (table - kept) * size, self.size, dtype=x.dtype, device=x.device)
            new[:, :size] = (state["under_way"][:, index] * goes_on).to(x.dtype)
            new = new.scatter(1, at, x)
            contents = torch.cat([old, new.unflatten(1, (-1, size))], dim=1).detach()
            tables.append(contents)
            near = layer.attend_near(new.unflatten(1, (-1, size)).flatten(0, 1)).view_as(new).gather(1, at)
            x = layer.recall(x + near, contents.mean(dim=2), contents, rank)
        after = before[:, -1] + 1
        return self._norm(x).transpose(0, 1), self._after(torch.stack(tables, dim=1).float(), chunk[:, -1], after)

    def _after(self, tables: Tensor, last: Tensor, seen: Tensor) -> State:
        """The state of rows that have `seen` so many steps, the last in chunk `last` of `tables` [N, L, G, C, W]."""
        size, kept = self._chunk, self._chunks
        rows = torch.arange(len(seen), device=seen.device)
        under_way = (
            tables[rows, :, last] * (torch.arange(size, device=seen.device) < seen[:, None] % size)[:, None, :, None]
        )
        whole = seen[:, None] // size
        back = (whole - 1 - torch.arange(kept, device=seen.device)) % kept
        held = back < whole
        newest = last - (seen % size > 0).long()
        place = torch.clamp(newest[:, None] - back, min=0)[:, None, :, None, None].expand(
            -1, tables.shape[1], -1, *tables.shape[3:]
        )
        contents = tables.gather(2, place) * held[:, None, :, None, None]
        return {"contents": contents, "means": contents.mean(dim=3), "under_way": under_way, "seen": seen}

    def step(self, token: Tensor, state: State, resets: Tensor, in_place: bool) -> tuple[Tensor, State]:
        state = dict(state) if in_place else {name: values.clone() for name, values in state.items()}
        if resets.any():
            for values in state.values():
                values[resets] = 0
        seen, size, kept = state["seen"], self._chunk, self._chunks
        rows = torch.arange(len(seen), device=seen.device)
        place, whole = seen % size, seen // size
        rank = (whole[:, None] - 1 - torch.arange(kept, device=seen.device)) % kept
        rank = torch.where(rank < whole[:, None], rank, -1).unsqueeze(1)
        full = (place == size - 1).nonzero().flatten()
        x = self._embed(token).unsqueeze(1)
        for index, layer in enumerate(self._layers):
            under_way = state["under_way"][:, index]
            under_way[rows, place] = x[:, 0].to(under_way.dtype)
            near = layer.attend_near(under_way, place)
            means, contents = state["means"][:, index], state["contents"][:, index]
            x = layer.recall(x + near, means, contents, rank)
            if len(full):
                contents[full, whole[full] % kept] = under_way[full]
                means[full, whole[full] % kept] = under_way[full].mean(dim=1)
                under_way[full] = 0
        state["seen"] = seen + 1
        return self._norm(x)[:, 0], state


class _Layer(nn.Module):
    """Letters: N rows, T steps, G chunks of C steps, K of them chosen, H heads, W width."""

    positions: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        width = config.memory_size
        self._heads, self._top_k = config.heads, config.top_k
        self._before_near, self._before_recall, self._before_mlp = (nn.LayerNorm(width) for _ in range(3))
        self._qkv, self._near_out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self._near_place = nn.Parameter(torch.randn(config.chunk, width) * 0.1)
        self._what, self._which = nn.Linear(width, width), nn.Linear(width, width)
        self._query, self._out = nn.Linear(width, width), nn.Linear(width, width)
        # Of keys and values, kept by head: [H, W / H, W].
        self._key, self._value = (
            nn.Parameter(torch.randn(config.heads, width // config.heads, width) * width**-0.5) for _ in range(2)
        )
        self._mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.register_buffer("positions", sinusoids(config.chunks * config.chunk, width), persistent=False)

    def attend_near(self, chunks: Tensor, place: Tensor | None = None) -> Tensor:
        """Causal attention within chunks [B, C, W]; with `place` [B] only for the step at that place, [B, 1, W]."""
        qkv = self._qkv(self._before_near(chunks) + self._near_place).unflatten(-1, (3, self._heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        if place is None:
            attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            query = query[torch.arange(len(place), device=place.device), :, place].unsqueeze(2)
            before = torch.arange(chunks.shape[1], device=place.device) <= place[:, None]
            attended = F.scaled_dot_product_attention(query, key, value, before[:, None, None])
        return self._near_out(attended.transpose(1, 2).flatten(2))

    def recall(self, x: Tensor, means: Tensor, contents: Tensor, rank: Tensor) -> Tensor:
        """Attention to chunks, and the MLP.

        Args:
            x: [N, T, W].
            means: [N, G, W].
            contents: [N, G, C, W].
            rank: how many whole chunks lie between a step and a chunk, -1 where it is not to be seen, [N, T, G].
        """
        asked = self._before_recall(x)
        relevance = self._which(asked) @ self._what(means.to(x.dtype)).transpose(1, 2) / asked.shape[-1] ** 0.5
        relevance = relevance.masked_fill(rank < 0, float("-inf"))
        chosen = relevance.topk(min(self._top_k, relevance.shape[-1]), dim=-1)
        rank = rank.gather(-1, chosen.indices)
        share = torch.where(rank >= 0, chosen.values, -1e4).softmax(dim=-1) * (rank >= 0)

        rows = torch.arange(len(x), device=x.device)[:, None, None]
        size = contents.shape[2]
        age = rank.clamp(min=0).unsqueeze(-1) * size + torch.arange(size - 1, -1, -1, device=x.device)
        found = contents[rows, chosen.indices].to(x.dtype) + self.positions[age].to(x.dtype)  # [N, T, K, C, W]
        # The query is brought to the contents, not the contents to the query: far less work.
        query = self._query(asked).unflatten(-1, (self._heads, -1))
        query = torch.einsum("nthe,hew->nthw", query, self._key) * self._key.shape[1] ** -0.5
        attention = torch.einsum("nthw,ntkcw->nthkc", query, found).softmax(dim=-1) * share[:, :, None, :, None]
        recalled = torch.einsum("nthkc,ntkcw->nthw", attention, found)
        x = x + self._out(torch.einsum("nthw,hew->nthe", recalled, self._value).flatten(2))
        return x + self._mlp(self._before_mlp(x))


def sinusoids(count: int, width: int) -> Tensor:
    """Of positions 0 to count - 1, [count, width] (Vaswani et al., 2017)."""
    angles = torch.arange(count)[:, None] * 10_000.0 ** (-torch.arange(0, width, 2) / width)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :width]
