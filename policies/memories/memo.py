"""Memo (arXiv 2510.19732): segments, each summed up in a few tokens that all later segments begin with.

::

    segment 1          [ s s s s s s s | q q ]         queries at its end read it; what comes out are summaries,
    segment 2    [ m m | s s s s s s s | q q ]         vectors that go through all layers again before the next
    segment 3  [ m m m m | s s s ...                   segment; its steps are dropped, summaries accumulate

Summaries first, positions anew in each segment, causal attention. Gradients flow through the summaries that an unroll
makes, back into the steps of the segments they stand for.

Beyond the paper: at most `summary_cap` summary tokens are kept. What leaves is decided by a strategy of the memory
bank over the summaries of whole segments: `fifo` forgets the oldest segment's (the paper's streaming mode), `merge`
makes one of the two neighbours most alike, each weighted by the segments in it, `reservoir` keeps a uniform sample of
all segments. So the memory is bounded, and with `merge` none of it is forgotten at once.

What a state holds: the tokens of the segment under way, as they came; the summaries; and, as a cache, keys and values
of both. An unroll does not read the cache. It encodes tokens and summaries of its state with the present weights, as
constants: keys are never stale. Summaries made before the unroll began are those of older weights, and so are tokens of
an observation encoder that learns; an unroll from the beginning of a trial has neither.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from memory_bank.config import COUNT, EARLIER
from memory_bank.consolidate import consolidate, propose
from memory_bank.state import BankState, replaced
from memory_bank.strategies import strategy_class
from memory_bank.strategies.reservoir import draw
from policies.base import CACHE, State
from policies.config import PolicyConfig
from policies.memories.base import Memory
from policies.memories.segments import Span, cut, in_order, numbers, rectangle
from policies.memories.transformer import Decoder, put, with_room

_KEYS_VALUES = CACHE + "keys_values"
_SUMMARY = "summary."
_ROOM = 64
"""Places that a new cache has beyond what it needs."""


class MemoMemory(Memory):
    """A decoder of `layers` layers, `heads` heads and width `memory_size` over segments of `segment` steps.

    States made in training mode (`initial_state`) have segments of lengths drawn anew, `segment` times
    1 - `segment_spread` to 1 + `segment_spread`, as a function of the row's seed and the number of segments it has
    begun. So what such a state went through is learnt from with the borders that it had, whatever the mode then is.
    """

    def __init__(self, config: PolicyConfig, token_size: int) -> None:
        super().__init__()
        self.size = config.memory_size
        self._segment, self._spread = config.segment, config.segment_spread
        self._queries_count = config.summaries
        self._groups = max(1, config.summary_cap // config.summaries)
        self._strategy = strategy_class(config.consolidation)()
        self._longest = round(config.segment * (1.0 + config.segment_spread))
        self._token_size = token_size
        self._embed = nn.Linear(token_size, self.size)
        self._queries = nn.Parameter(torch.randn(config.summaries, self.size) * 0.5)
        self._is_summary = nn.Parameter(torch.zeros(self.size))
        self._decoder = Decoder(self.size, config.layers, config.heads)

    def initial_state(self, rows: int, device: torch.device) -> State:
        bank = BankState.empty(rows, self._groups, self._queries_count, self.size, device=device)
        none = torch.zeros(rows, dtype=torch.int64, device=device)
        return {
            "tokens": torch.zeros(rows, self._longest, self._token_size, device=device),
            "used": none,
            "segments": none.clone(),
            "varies": torch.full((rows,), self.training, device=device),
        } | _stored(bank)

    # -- training ------------------------------------------------------------------------------------------------

    def forward(self, tokens: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        steps, rows = tokens.shape[:2]
        device = tokens.device
        limits = self._limits(state, steps + 2).tolist()
        depths, begun = cut(resets.cpu(), state["used"].tolist(), lambda row, number: limits[row][number])
        embedded = self._embed(tokens).flatten(0, 1)
        after = BankState.empty(0, self._groups, self._queries_count, self.size, device=device)
        outputs, slots, ended, ended_banks = [], [], [], []
        for depth, spans in enumerate(depths):
            if not spans:  # all rows begin anew
                continue
            past = None
            if depth == 0:
                continuing = [span.row for span in spans]
                banks = _bank(state).select(numbers(continuing, device))
                past = self._context(state, continuing)
            else:
                banks = self._handed_over(spans, after, state)
            out, after = self._encode(spans, banks, embedded, rows, past)
            outputs.append(out)
            slots += [torch.arange(span.start, span.end) * rows + span.row for span in spans]
            last = [span for span in spans if span.end == steps]
            ended += last
            ended_banks.append(banks.select(numbers([span.index for span in last], device)))
        features = in_order(torch.cat(outputs), torch.cat(slots)).unflatten(0, (steps, rows))
        bank = BankState(*map(torch.cat, zip(*ended_banks, strict=True)))
        bank = bank.select(torch.argsort(torch.tensor([span.row for span in ended])).to(device)).tidy().detach()
        ended.sort(key=lambda span: span.row)
        kept, used = self._under_way(ended, tokens.detach(), state)
        segments = state["segments"] + numbers(begun, device)
        under_way = {"tokens": kept, "used": used, "segments": segments, "varies": state["varies"]}
        return features, under_way | _stored(bank)

    def _encode(
        self, spans: list[Span], banks: BankState, embedded: Tensor, rows: int, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, BankState]:
        """The spans of one depth.

        Args:
            spans: B of them.
            banks: their summaries.
            embedded: all tokens of the unroll, [T * N, W].
            rows: N.
            past: keys and values of their contexts, and how many (depth 0); elsewhere the context is the summaries
                alone, which are encoded here, with gradients.

        Returns:
            What came out at the spans' steps, one after the other; and the summaries of those that a span follows.
        """
        device, count = embedded.device, self._queries_count
        held = [0] * len(spans) if past is not None else (banks.size * count).tolist()
        summaries = self._as_tokens(banks.tokens[:, : max(held) // count])
        source = torch.cat([embedded, self._queries, summaries.flatten(0, 1)])
        query_places = len(embedded) + torch.arange(count)
        sequences, at_steps, at_queries = [], [], torch.zeros(len(spans), count, dtype=torch.int64)
        for number, (span, before) in enumerate(zip(spans, held, strict=True)):
            own = len(embedded) + count + number * summaries.shape[1] + torch.arange(before)
            steps = torch.arange(span.start, span.end) * rows + span.row
            sequences.append(torch.cat([own, steps, query_places] if span.followed else [own, steps]))
            at_steps.append(before + torch.arange(span.length))
            at_queries[number] = before + span.length + torch.arange(count) if span.followed else 0
        index = rectangle(sequences, device)
        out, _ = self._decoder(source[index], *(past or ()))
        flat, width = out.flatten(0, 1), index.shape[1]
        at_steps = [number * width + places for number, places in enumerate(at_steps)]
        features = flat[torch.cat(at_steps).to(device)]
        followed = torch.tensor([span.followed for span in spans], device=device)
        if not any(span.followed for span in spans):
            return features, banks
        new = flat[(torch.arange(len(spans))[:, None] * width + at_queries).to(device)]
        return features, self._written(banks, new, followed)

    def _handed_over(self, spans: list[Span], after: BankState, state: State) -> BankState:
        """The summaries that spans of depth 1 and more begin with: those after the span before, or none."""
        device = state["used"].device
        none = BankState.empty(1, self._groups, self._queries_count, self.size, device=device)
        origin = [len(after.size) if span.before is None else span.before.index for span in spans]
        banks = BankState(*(torch.cat(both) for both in zip(after, none, strict=True)))
        seeds = state[_SUMMARY + "seed"][numbers([span.row for span in spans], device)]
        return replaced(banks.select(numbers(origin, device)), seed=seeds)

    def _under_way(self, ended: list[Span], tokens: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """The tokens of each row's segment under way after an unroll that ended with these spans, and how many."""
        rows, longest = state["tokens"].shape[:2]
        held = state["used"].tolist()
        source = torch.cat([state["tokens"].flatten(0, 1), tokens.flatten(0, 1), tokens.new_zeros(1, self._token_size)])
        index = torch.full((rows, longest), len(source) - 1)
        used = []
        for row, span in enumerate(ended):
            before = held[row] if span.continues else 0
            index[row, :before] = row * longest + torch.arange(before)
            new = rows * longest + torch.arange(span.start, span.end) * rows + row
            index[row, before : before + span.length] = new
            used.append(before + span.length)
        return source[index.to(tokens.device)], numbers(used, tokens.device)

    # -- acting --------------------------------------------------------------------------------------------------

    def step(self, token: Tensor, state: State, resets: Tensor, in_place: bool) -> tuple[Tensor, State]:
        state = dict(state) if in_place else {name: values.clone() for name, values in state.items()}
        if _KEYS_VALUES not in state:
            state[_KEYS_VALUES], _ = self._context(state, list(range(len(resets))), _ROOM)
        if resets.any():
            self._forget(state, resets)
        full = ~resets & (state["used"] >= self._limits(state, 1)[:, 0])
        if full.any():
            self._close(state, full.nonzero().flatten())
        used = state["used"]
        state["tokens"][torch.arange(len(used), device=used.device), used] = token
        lengths = used + state[_SUMMARY + "size"] * self._queries_count
        state[_KEYS_VALUES] = with_room(state[_KEYS_VALUES], int(lengths.max()) + 1)
        out = self._decoder.step(self._embed(token), state[_KEYS_VALUES], lengths)
        state["used"] = used + 1
        return out, state

    def _forget(self, state: State, resets: Tensor) -> None:
        for name, values in state.items():
            if name not in ("segments", "varies", _SUMMARY + "seed", _KEYS_VALUES):
                values[resets] = 0
        state["segments"] = state["segments"] + resets

    def _close(self, state: State, rows: Tensor) -> None:
        """Sums up the segments of these rows, and begins new ones. Writes into `state`."""
        bank, cache = _bank(state).select(rows), state[_KEYS_VALUES]
        held = bank.size * self._queries_count
        lengths = held + state["used"][rows]
        read = cache[rows][..., : int(lengths.max()), :]
        new, _ = self._decoder(self._queries.expand(len(rows), -1, -1), read, lengths)
        after = self._written(bank, new, torch.ones_like(rows, dtype=torch.bool))
        cache = state[_KEYS_VALUES] = with_room(cache, int((after.size * self._queries_count).max()) + 1)
        if bool((after.size > bank.size).all()):  # the summaries before are as they were, and so are their keys
            _, keys_values = self._decoder(self._as_tokens(new), read[..., : int(held.max()), :], held)
            put(cache, rows, held, keys_values)
        else:
            _, keys_values = self._decoder(
                self._as_tokens(after.tokens)[:, : int(after.size.max()) * self._queries_count]
            )
            put(cache, rows, torch.zeros_like(rows), keys_values)
        for name, values in _stored(after.tidy()).items():
            state[name] = state[name].index_copy(0, rows, values)
        state["tokens"][rows] = 0
        state["used"] = state["used"].index_fill(0, rows, 0)
        state["segments"] = state["segments"].index_add(0, rows, torch.ones_like(rows))

    # -- both ----------------------------------------------------------------------------------------------------

    def _limits(self, state: State, count: int) -> Tensor:
        """How many steps the segment under way and the next ones may have, int64 [N, count]."""
        segments = state["segments"][:, None] + torch.arange(count, device=state["segments"].device)
        if not self._spread or not state["varies"].any():
            return torch.full_like(segments, self._segment)
        shortest = max(1, round(self._segment * (1.0 - self._spread)))
        choices = torch.full_like(segments, self._longest - shortest + 1)
        drawn = shortest + draw(state[_SUMMARY + "seed"][:, None].expand_as(segments), segments, choices)
        return torch.where(state["varies"][:, None], drawn, self._segment)

    def _written(self, bank: BankState, new: Tensor, write: Tensor) -> BankState:
        """The summaries `bank` with `new` [B, k, W] beside them in the rows marked in `write` (bool [B])."""
        reads_similarity = self._strategy.reads_similarity
        new = new.to(bank.tokens.dtype)
        candidates = propose(bank, new, bank.written.double(), reads_similarity)
        decision = self._strategy.choose(candidates)
        after, _ = consolidate(bank, {"tokens": new}, candidates, decision, write, COUNT, EARLIER, reads_similarity)
        return after

    def _as_tokens(self, summaries: Tensor) -> Tensor:
        """Summaries [B, G, k, W], or those of one segment [B, k, W], as the decoder reads them: [B, G * k, W]."""
        return summaries.flatten(1, -2) + self._is_summary

    @torch.no_grad()
    def _context(self, state: State, rows: list[int], room: int = 0) -> tuple[Tensor, Tensor]:
        """Keys and values [R, L, 2, H, P, E] of what these rows' states hold, by the present weights, and how many [R].

        P is the longest plus `room`.
        """
        width = self._groups * self._queries_count
        index = numbers(rows, state["used"].device)
        used, held = state["used"][index].tolist(), (state[_SUMMARY + "size"][index] * self._queries_count).tolist()
        lengths = numbers(used, index.device) + numbers(held, index.device)
        source = torch.cat(
            [
                self._as_tokens(state[_SUMMARY + "tokens"][index]),
                self._embed(state["tokens"][index][:, : max(used, default=0)]),
            ],
            dim=1,
        )
        sequences = [
            torch.cat([torch.arange(summaries), width + torch.arange(steps)])
            for summaries, steps in zip(held, used, strict=True)
        ]
        places = rectangle(sequences, index.device)
        cache = self._decoder.empty_cache(len(rows), places.shape[1] + room)
        if places.shape[1]:
            x = source.gather(1, places.unsqueeze(-1).expand(-1, -1, self.size))
            _, keys_values = self._decoder(x)
            cache[..., : places.shape[1], :] = keys_values
        return cache, lengths


def _bank(state: State) -> BankState:
    """The summaries in a state, an entry a segment."""
    fields: dict[str, Any] = {name: state[_SUMMARY + name] for name in BankState._fields if name != "projected"}
    return BankState(projected=fields["tokens"][..., :0], **fields)


def _stored(bank: BankState) -> State:
    return {_SUMMARY + name: getattr(bank, name) for name in BankState._fields if name != "projected"}
