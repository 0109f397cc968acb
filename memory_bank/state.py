"""What a bank holds: a value, not an object with a life of its own. `step` takes one and gives back the next.

Letters of shapes, here and in the other files:
    B rows: episodes side by side, each with its own age
    L capacity: entries a row holds at most
    N tokens of a step (256 perceptual, 1 cognitive)
    D width of a token
    T steps of a sequence

Entries lie in the order of their time, without gaps: of a row, entry 0 is the oldest and entry `size - 1` the newest;
behind it lies nothing that anything reads. All shapes are fixed for the bank's life, so a step can be compiled and
captured in a CUDA graph.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

N = TypeVar("N", bound=NamedTuple)


class BankState(NamedTuple):
    """The memory of one stream, for B rows.

    Fields of entries are [B, L]; times are seconds on the clock of the caller (since the episode's start, for the
    paper's time embedding), in float64 so that a wall clock's would do.
    """

    tokens: Tensor
    """[B, L, N, D] what is remembered."""
    projected: Tensor
    """[B, L, N, P] the keys and values of `tokens`, for inference with frozen weights: see `MemoryBank.cached`. P is 0
    where none are kept."""
    time: Tensor
    """[B, L] float64, seconds: the time an entry's keys carry."""
    start: Tensor
    """[B, L] float64, seconds: the oldest observation in it."""
    end: Tensor
    """[B, L] float64, seconds: the newest observation in it."""
    counts: Tensor
    """[B, L] int64: observations merged into it."""
    first: Tensor
    """[B, L] int64: which write of its episode the oldest observation was (from 0)."""
    last: Tensor
    """[B, L] int64: which write the newest was."""
    similarity: Tensor
    """[B, L] mean token-wise cosine similarity to the entry before; kept because a step changes two of them at most.
    Zero where there is none before, or where the strategy does not read it."""
    size: Tensor
    """[B] int64: valid entries."""
    written: Tensor
    """[B] int64: writes since the episode began, kept or not."""
    seed: Tensor
    """[B] int64: of strategies that draw random numbers."""

    @property
    def rows(self) -> int:
        return self.tokens.shape[0]

    @property
    def capacity(self) -> int:
        return self.tokens.shape[1]

    @property
    def valid(self) -> Tensor:
        """[B, L] bool: which entries there are."""
        return torch.arange(self.capacity, device=self.size.device) < self.size[:, None]

    @classmethod
    def empty(
        cls,
        rows: int,
        capacity: int,
        tokens: int,
        width: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        seeds: Tensor | None = None,
    ) -> BankState:
        """A state that remembers nothing. `seeds` is int64 [B]; without it row b has seed b."""

        def entries(of: torch.dtype) -> Tensor:
            return torch.zeros(rows, capacity, dtype=of, device=device)

        numbers = torch.zeros(rows, dtype=torch.int64, device=device)
        if seeds is None:
            seeds = torch.arange(rows, device=device)
        return cls(
            tokens=torch.zeros(rows, capacity, tokens, width, dtype=dtype, device=device),
            projected=torch.zeros(rows, capacity, tokens, 0, dtype=dtype, device=device),
            time=entries(torch.float64),
            start=entries(torch.float64),
            end=entries(torch.float64),
            counts=entries(torch.int64),
            first=entries(torch.int64),
            last=entries(torch.int64),
            similarity=entries(similarity_dtype(dtype)),
            size=numbers,
            written=numbers.clone(),
            seed=seeds.to(device=device, dtype=torch.int64),
        )

    def reset(self, rows: Tensor, seeds: Tensor | None = None) -> BankState:
        """Forgets the rows marked in `rows` (bool [B]); marked rows take their seed from `seeds` (int64 [B]) if given.

        What they held stays in the tensors until it is overwritten, but nothing reads it: see `tidy`.
        """
        seed = self.seed if seeds is None else torch.where(rows, seeds, self.seed)
        return replaced(self, size=self.size * ~rows, written=self.written * ~rows, seed=seed)

    def tidy(self) -> BankState:
        """The same memory, with zeros wherever there is no entry: for files and comparisons."""
        fields: dict[str, Tensor] = {}
        for name in ENTRY_FIELDS:
            value = getattr(self, name)
            mask = self.valid.reshape(self.rows, self.capacity, *[1] * (value.dim() - 2))
            fields[name] = torch.where(mask, value, torch.zeros((), dtype=value.dtype, device=value.device))
        return replaced(self, **fields)

    def head(self, entries: int) -> BankState:
        """The first places of every row alone, as a view, for rows known to hold no more than `entries`."""
        if entries == self.capacity:
            return self
        return replaced(self, **{name: getattr(self, name)[:, :entries] for name in ENTRY_FIELDS})

    def select(self, rows: Tensor) -> BankState:
        """The rows numbered in `rows` (int64 [K]), in that order, as a state of K rows."""
        return BankState(*(value.index_select(0, rows) for value in self))

    def put(self, rows: Tensor, source: BankState) -> BankState:
        """The same memory with row `rows[k]` (int64 [K]) replaced by row k of `source`."""
        return BankState(*(mine.index_copy(0, rows, theirs) for mine, theirs in zip(self, source, strict=True)))

    def to(self, device: torch.device | str) -> BankState:
        return BankState(*(value.to(device) for value in self))

    def detach(self) -> BankState:
        return BankState(*(value.detach() for value in self))

    def copy_(self, source: BankState) -> None:
        """Writes `source` into these very tensors, as the static inputs of a CUDA graph need it."""
        for mine, theirs in zip(self, source, strict=True):
            mine.copy_(theirs)


ENTRY_FIELDS = ("tokens", "projected", "time", "start", "end", "counts", "first", "last", "similarity")
"""Fields of `BankState` with one value (or one set of tokens) an entry."""

MemoryState = dict[str, BankState]
"""Stream name -> its state."""


def replaced(value: N, /, **fields: Any) -> N:
    """A named tuple with other values in some fields: `_replace`, which torch 2.11 cannot compile."""
    return type(value)(*(fields.get(name, old) for name, old in zip(value._fields, value, strict=True)))


def similarity_dtype(tokens: torch.dtype) -> torch.dtype:
    """Similarities decide what is merged, so they are never coarser than float32."""
    return torch.promote_types(tokens, torch.float32)


def stack_states(states: list[BankState]) -> BankState:
    """T states of B rows -> one of B * T rows, row b at step t being row b * T + t."""

    def fold(values: tuple[Any, ...]) -> Tensor:
        return torch.stack(values, dim=1).flatten(0, 1)

    return BankState(*map(fold, zip(*states, strict=True)))
