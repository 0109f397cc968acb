"""The bank in plain loops, as the paper's section 3.3 reads: the measure of the fast one.

Rows, streams, entries and pairs one after the other, an episode's memory a Python list; keys and values projected for
every query, time added to the keys, a softmax written out. It shares nothing with `memory_bank` but the weights, which
it takes from a `MemoryBank`, and the names of the config.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from memory_bank import MemoryBank, MemoryState


@dataclass
class Entry:
    tokens: Tensor
    """[N, D]"""
    time: float
    start: float
    end: float
    count: int
    writes: list[int]
    """Which writes of the episode are merged into it."""


@dataclass
class Row:
    """One episode."""

    seed: int
    written: int = 0
    memory: dict[str, list[Entry]] = field(default_factory=dict)


class ReferenceBank:
    """B rows of memory.

    Args:
        bank: whose weights and config are used.
        seeds: of the rows.
    """

    def __init__(self, bank: MemoryBank, seeds: list[int]) -> None:
        self.bank = bank
        self.config = bank.config
        self.rows = [Row(seed, memory={name: [] for name in self.config.streams}) for seed in seeds]
        self.decisions: list[list[dict[str, tuple[str, int]]]] = []
        """Of each step and row, what each stream did: (grew, merged, forgot or idle; which entry left)."""

    def step(
        self, tokens: dict[str, Tensor], times: Tensor, write: Tensor | None = None, reset: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The same as `MemoryBank.step`: {stream: [B, N, dim]}, [B] -> {stream: [B, N, D]}."""
        fused: dict[str, list[Tensor]] = {name: [] for name in self.config.streams}
        self.decisions.append([])
        for index, row in enumerate(self.rows):
            if reset is not None and reset[index]:
                row.written = 0
                row.memory = {name: [] for name in self.config.streams}
            now = float(times[index])
            new = {}
            for name in self.config.streams:
                current = self.bank.streams[name].down(tokens[name][index])
                came_out = self.fuse(name, current, self.retrieve(name, current, row.memory[name], now))
                fused[name].append(came_out)
                new[name] = current if self.config.write == "raw" else came_out
            finite = all(bool(value.isfinite().all()) for value in new.values())
            if finite and (write is None or write[index]):
                self.decisions[-1].append(self.write(row, new, now))
            else:
                self.decisions[-1].append(dict.fromkeys(new, ("idle", -1)))
        return {name: torch.stack(each) for name, each in fused.items()}

    def retrieve(self, name: str, current: Tensor, memory: list[Entry], now: float) -> Tensor:
        """[N, D] -> [N, D]."""
        if not memory:
            return current
        retrieval = self.bank.streams[name].retrieve
        width = current.shape[1]
        value = torch.stack([entry.tokens for entry in memory])  # [L, N, D]
        key = value
        if self.config.clock != "none":
            seconds = [now - entry.time if self.config.clock == "age" else entry.time for entry in memory]
            key = value + self.embed(retrieval.time, seconds)[:, None]
        key, value = key.flatten(0, 1), value.flatten(0, 1)
        query = current
        for block in retrieval.blocks:
            q, k, v = block.q_proj(query), block.k_proj(key), block.v_proj(value)
            head = width // block.heads
            heads = []
            for h in range(block.heads):
                part = slice(h * head, (h + 1) * head)
                scores = q[:, part] @ k[:, part].T / math.sqrt(head)
                heads.append(torch.softmax(scores, dim=-1) @ v[:, part])
            found = block.attn_norm(query + torch.cat(heads, dim=-1))
            query = block.ffn_norm(found + block.ffn(found))
        return query

    def embed(self, embedding: torch.nn.Module, seconds: list[float]) -> Tensor:
        """TE: seconds of L entries -> [L, D]."""
        half = self.config.time_features // 2
        waves = []
        for each in seconds:
            angles = [each / self.config.time_unit_s * 10_000.0 ** (-i / half) for i in range(half)]
            waves.append([math.cos(angle) for angle in angles] + [math.sin(angle) for angle in angles])
        return embedding.mlp(torch.tensor(waves, dtype=embedding.mlp[0].weight.dtype))

    def fuse(self, name: str, current: Tensor, retrieved: Tensor) -> Tensor:
        """[N, D], [N, D] -> [N, D]."""
        if self.config.fuse == "mean":
            return (current + retrieved) / 2
        gate = torch.sigmoid(self.bank.streams[name].fuse.proj(torch.cat([current, retrieved], dim=-1)))
        return gate * current + (1 - gate) * retrieved

    def write(self, row: Row, new: dict[str, Tensor], now: float) -> dict[str, tuple[str, int]]:
        """Appends, and consolidates what is over capacity; says what was done in each stream."""
        done = {}
        for name, tokens in new.items():
            tokens = tokens.detach().clone() if self.config.detach else tokens
            row.memory[name].append(Entry(tokens, now, now, now, 1, [row.written]))
            done[name] = ("grew", -1)
        if len(next(iter(row.memory.values()))) > self.config.capacity:
            for name in row.memory:
                index = self.choose(row, list(row.memory) if self.config.joint else [name])
                done[name] = ("merged" if self.config.strategy == "merge" else "forgot", index)
            for name, memory in row.memory.items():
                kind, index = done[name]
                if kind == "merged":
                    memory[index - 1 : index + 1] = [self.merge(memory[index - 1], memory[index])]
                else:
                    del memory[index]
        row.written += 1
        return done

    def choose(self, row: Row, streams: list[str]) -> int:
        """Which of L + 1 entries leaves; for merging, the later one of the pair."""
        memory = row.memory[streams[0]]
        if self.config.strategy == "fifo":
            return 0
        if self.config.strategy == "none":
            return len(memory) - 1
        if self.config.strategy == "reservoir":
            return min(hash_below(row.seed, row.written, row.written + 1), len(memory) - 1)
        similarities = []
        for k in range(1, len(memory)):
            pairs = [(row.memory[name][k - 1].tokens, row.memory[name][k].tokens) for name in streams]
            each = [float(F.cosine_similarity(a.detach(), b.detach(), dim=-1).mean()) for a, b in pairs]
            similarities.append(sum(each) / len(each))
        return similarities.index(max(similarities)) + 1

    def merge(self, a: Entry, b: Entry) -> Entry:
        total = a.count + b.count
        share = a.count / total if self.config.merge_weight == "count" else 0.5
        return Entry(
            tokens=share * a.tokens + (1 - share) * b.tokens,
            time=a.time if self.config.merged_time == "earlier" else share * a.time + (1 - share) * b.time,
            start=min(a.start, b.start),
            end=max(a.end, b.end),
            count=total,
            writes=a.writes + b.writes,
        )

    def load(self, state: MemoryState) -> None:
        """Takes over the memory of a fast bank; what is merged into what is known by its ends alone."""
        for index, row in enumerate(self.rows):
            for name, stream in state.items():
                row.written = int(stream.written[index])
                row.seed = int(stream.seed[index])
                row.memory[name] = [
                    Entry(
                        stream.tokens[index, k],
                        float(stream.time[index, k]),
                        float(stream.start[index, k]),
                        float(stream.end[index, k]),
                        int(stream.counts[index, k]),
                        list(range(int(stream.first[index, k]), int(stream.last[index, k]) + 1)),
                    )
                    for k in range(int(stream.size[index]))
                ]


def hash_below(seed: int, number: int, below: int) -> int:
    """The reservoir's draw, with Python's unbounded integers."""

    def mix(word: int) -> int:
        word = (word + 0x9E3779B9) % 2**32
        word = (word ^ (word >> 16)) * 0x21F0AAAD % 2**32
        word = (word ^ (word >> 15)) * 0x735A2D97 % 2**32
        return word ^ (word >> 15)

    seed %= 2**64
    word = mix(mix(mix(seed % 2**32) ^ (seed >> 32)) ^ (number % 2**32))
    return word * below >> 32
