"""Memory consolidation (section 3.3, equation 9): what has been seen is written, and a full bank makes room for it.

    i* = argmax_i cos(m_i, m_{i+1})        m_{i*} <- (m_{i*} + m_{i*+1}) / 2

With the new one a full row has L + 1 entries, in the order of time. The strategy names the one that leaves, and whether
it is merged with the entry before it. Then the gap is closed:

    entries      0   1   2   3  |  new              remove 2, merge
    become       0  1+2  3  new                     the seam is at 1

A row that is not full grows by the new entry, and a row that does not write stays as it is. All rows take the same path
with different numbers: nothing is asked of the host, and no shape depends on what happens.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from memory_bank.config import COUNT, MEAN
from memory_bank.state import BankState, replaced, similarity_dtype
from memory_bank.strategies import Candidates, Decision


class Written(NamedTuple):
    """What a write did to each row, for inspection."""

    grew: Tensor
    """[B] bool: the new entry was added to a row with room."""
    removed: Tensor
    """[B] int64: of a full row, the entry (of L + 1) that left; otherwise -1."""
    merged: Tensor
    """[B] bool: it was merged with the entry before it."""


def propose(state: BankState, new: Tensor, now: Tensor, reads_similarity: bool) -> Candidates:
    """The L stored entries and the new one, as strategies see them.

    Args:
        state: B rows.
        new: [B, N, D] the tokens to write, of the state's dtype.
        now: [B] float64, seconds.
        reads_similarity: of the strategy; if false, similarities are zeros.
    """
    similarity = torch.zeros_like(state.similarity[:, 0])
    if reads_similarity:
        newest = _take(state.tokens, torch.clamp(state.size - 1, min=0))
        similarity = torch.where(state.size > 0, token_similarity(newest, new), similarity)
    return Candidates(
        similarity=_append(state.similarity, similarity),
        time=_append(state.time, now),
        start=_append(state.start, now),
        end=_append(state.end, now),
        counts=_append(state.counts, torch.ones_like(state.size)),
        written=state.written,
        seed=state.seed,
    )


def consolidate(
    state: BankState,
    new: dict[str, Tensor],
    candidates: Candidates,
    decision: Decision,
    write: Tensor,
    merge_weight: str,
    merged_time: str,
    reads_similarity: bool,
) -> tuple[BankState, Written]:
    """Writes `new`, and carries `decision` out in the rows that are full.

    Args:
        state: B rows.
        new: what to write: {"tokens": [B, N, D]} and, where the state keeps them, {"projected": [B, N, P]}, which being
            linear in the tokens moves and merges as they do.
        candidates: of `state` and `new`, from `propose`.
        decision: of the strategy.
        write: [B] bool: the rows that write.
        merge_weight, merged_time: see `BankConfig`.
        reads_similarity: of the strategy.
    """
    full = state.size == state.capacity
    grows, consolidates = write & ~full, write & full
    merges = consolidates & decision.merge
    # A row that is not full has its last of L + 1 places empty: that is the one which leaves.
    remove = torch.where(consolidates, decision.remove, state.capacity)
    seam = torch.where(merges, remove - 1, 0)

    # Where each of the L places takes its entry from: one further on behind the gap, and the new one where a row grows.
    place = torch.arange(state.capacity, device=state.size.device)
    source = place + (place >= remove[:, None])
    source = torch.where(grows[:, None] & (place == state.size[:, None]), state.capacity, source)

    # The two on either side of the seam become one, weighted equally or by the observations in them.
    counts, time = _pair(candidates.counts, seam), _pair(candidates.time, seam)
    weight = counts.double() / counts.sum(dim=1, keepdim=True) if merge_weight == COUNT else torch.full_like(time, 0.5)
    first, last = _append(state.first, state.written), _append(state.last, state.written)
    merged = {
        "time": (candidates.time, (weight * time).sum(dim=1) if merged_time == MEAN else time[:, 0]),
        "start": (candidates.start, _pair(candidates.start, seam).amin(dim=1)),
        "end": (candidates.end, _pair(candidates.end, seam).amax(dim=1)),
        "counts": (candidates.counts, counts.sum(dim=1)),
        "first": (first, _pair(first, seam)[:, 0]),
        "last": (last, _pair(last, seam)[:, 1]),
    }
    at_seam = merges[:, None] & (place == seam[:, None])
    fields = {name: torch.where(at_seam, one[:, None], each.gather(1, source)) for name, (each, one) in merged.items()}

    for name, value in new.items():
        stored = getattr(state, name)
        fields[name] = _put(_move(stored, value, source), seam, _merge(stored, value, seam, weight), merges)
    fields["similarity"] = candidates.similarity.gather(1, source)
    if reads_similarity:
        fields["similarity"] = _mend_similarity(
            fields["similarity"], fields["tokens"], torch.where(merges, seam, remove), consolidates
        )
    state = replaced(state, size=state.size + grows, written=state.written + write, **fields)
    return state, Written(grew=grows, removed=torch.where(consolidates, remove, -1), merged=merges)


def token_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Mean over tokens of their cosine similarity: [..., N, D], [..., N, D] -> [...], at least float32, no gradient."""
    a, b = (x.detach().to(similarity_dtype(x.dtype)) for x in (a, b))
    norms = [torch.linalg.vector_norm(x, dim=-1).clamp(min=1e-8) for x in (a, b)]
    return ((a * b).sum(dim=-1) / (norms[0] * norms[1])).mean(dim=-1)


def _move(tokens: Tensor, new: Tensor, source: Tensor) -> Tensor:
    """[B, L, N, D]: place l of row b takes entry `source[b, l]` of the L stored ones and, as the last, the new one."""
    rows, capacity = source.shape
    row = torch.arange(rows, device=source.device)[:, None]
    stored = (row * capacity + torch.clamp(source, max=capacity - 1)).flatten()
    moved = tokens.flatten(0, 1).index_select(0, stored).view_as(tokens)
    takes_new = source == capacity  # at most one place a row
    return _put(moved, takes_new.int().argmax(dim=1), new, takes_new.any(dim=1))


def _merge(tokens: Tensor, new: Tensor, seam: Tensor, weight: Tensor) -> Tensor:
    """[B, N, D]: entries `seam` and `seam + 1` of stored and new, in the shares `weight` (float64 [B, 2])."""
    last = tokens.shape[1] - 1
    earlier = _take(tokens, seam)
    later = torch.where((seam == last)[:, None, None], new, _take(tokens, torch.clamp(seam + 1, max=last)))
    share = weight.to(tokens.dtype)[:, :, None, None]
    return share[:, 0] * earlier + share[:, 1] * later


def _mend_similarity(similarity: Tensor, tokens: Tensor, seam: Tensor, rows: Tensor) -> Tensor:
    """Compares anew the two pairs of neighbours that a consolidation changes: [B, L] -> [B, L].

    Args:
        similarity: of each entry to the one before, as they were.
        tokens: [B, L, N, D] as they are.
        seam: [B] the first entry that has changed, or has another before it than it had.
        rows: [B] bool: the rows that consolidated.
    """
    last = tokens.shape[1] - 1
    place = torch.arange(last + 1, device=seam.device)
    before, here, behind = (_take(tokens, torch.clamp(seam + step, min=0, max=last)) for step in (-1, 0, 1))
    to_before = torch.where(seam > 0, token_similarity(before, here), 0.0)
    for value, at in ((to_before, seam), (token_similarity(here, behind), seam + 1)):
        similarity = torch.where(rows[:, None] & (place == at[:, None]), value[:, None], similarity)
    return similarity


def _append(entries: Tensor, new: Tensor) -> Tensor:
    """[B, L], [B] -> [B, L + 1]."""
    return torch.cat([entries, new[:, None].to(entries.dtype)], dim=1)


def _pair(values: Tensor, seam: Tensor) -> Tensor:
    """[B, L + 1], [B] -> [B, 2]: the values of entries `seam` and `seam + 1`."""
    return values.gather(1, torch.stack([seam, seam + 1], dim=1))


def _take(entries: Tensor, index: Tensor) -> Tensor:
    """[B, L, ...], int64 [B] -> [B, ...]: one entry of each row."""
    rows, capacity = entries.shape[:2]
    row = torch.arange(rows, device=index.device)
    return entries.flatten(0, 1).index_select(0, row * capacity + index)


def _put(entries: Tensor, index: Tensor, value: Tensor, rows: Tensor) -> Tensor:
    """Puts `value` [B, ...] at entry `index` [B] of the rows marked in `rows` (bool [B]). Changes `entries`."""
    row = torch.arange(len(index), device=index.device)
    value = torch.where(rows.view(-1, *[1] * (value.dim() - 1)), value, _take(entries, index))
    entries.flatten(0, 1).index_copy_(0, row * entries.shape[1] + index, value)
    return entries
