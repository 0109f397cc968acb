"""The perceptual-cognitive memory bank (section 3.3): retrieve, fuse, consolidate, in every step and stream.

Timeline of one row, capacity 3, the paper's defaults (what is written is what comes out; neighbours merge)::

    step                     0       1        2          3                  4
    comes in                 x0      x1       x2         x3                 x4
    entries that are read    none    y0       y0 y1      y0 y1 y2           y0 y1+2 y3
    comes out                y0      y1       y2         y3                 y4
    is written               y0      y1       y2         y3                 y4
    merged, most alike                                   y1 and y2          y3 and y4
    entries afterwards       y0      y0 y1    y0 y1 y2   y0 y1+2 y3         y0 y1+2 y3+4

A step does not read what it writes, so nothing later can change what came out earlier. In an empty bank the present is
its own memory. A reset acts before the read: the first step of an episode finds the bank empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from memory_bank.config import GATE, RAW, BankConfig, StreamConfig
from memory_bank.consolidate import Written, consolidate, propose
from memory_bank.errors import BankError
from memory_bank.fuse import GateFusion, MeanFusion
from memory_bank.retrieve import Retrieval
from memory_bank.state import BankState, MemoryState, replaced, stack_states
from memory_bank.strategies import Candidates, Decision, strategy_class
from memory_bank.trace import StreamTrace

Tokens = Mapping[str, Tensor]
"""Stream name -> tokens."""


class Step(NamedTuple):
    """What a step gives."""

    tokens: dict[str, Tensor]
    """{stream: [B, N, D]}: the present, with what memory had to say."""
    state: MemoryState
    """The bank afterwards."""
    trace: dict[str, StreamTrace] | None
    """What was done, if asked for."""


class Unrolled(NamedTuple):
    """What T steps give."""

    tokens: dict[str, Tensor]
    """{stream: [B, T, N, D]}."""
    state: MemoryState
    """The bank afterwards."""
    trace: list[dict[str, StreamTrace]] | None
    """What each step did, if asked for."""


class Present(NamedTuple):
    """What comes in: one step, or with a further dimension T after B a sequence of them."""

    tokens: dict[str, Tensor]
    """{stream: [B, N, D]}, at the width of the bank."""
    times: Tensor
    """[B] float64, seconds."""
    write: Tensor | None
    """[B] bool; None: all."""
    reset: Tensor | None
    """[B] bool; None: none."""

    def at(self, t: int) -> Present:
        """Step t of a sequence."""
        return Present(
            {name: tokens[:, t] for name, tokens in self.tokens.items()},
            self.times[:, t],
            None if self.write is None else self.write[:, t],
            None if self.reset is None else self.reset[:, t],
        )


class Reading(NamedTuple):
    """What reading one stream gives."""

    fused: Tensor
    """[B, N, D]."""
    attention: Tensor | None
    """[B, blocks, L], if asked for."""
    gate: Tensor | None
    """[B], if asked for."""

    def unfold(self, rows: int, steps: int) -> list[Reading]:
        """A reading of B * T rows as T readings of B."""

        def at(field: Tensor | None, t: int) -> Tensor | None:
            return None if field is None else field.unflatten(0, (rows, steps))[:, t]

        return [
            Reading(self.fused.unflatten(0, (rows, steps))[:, t], at(self.attention, t), at(self.gate, t))
            for t in range(steps)
        ]


class Stream(nn.Module):
    """What is learned of one stream: the way in, retrieval, fusion."""

    def __init__(self, config: StreamConfig, bank: BankConfig) -> None:
        super().__init__()
        width = config.bank_width
        self.down = nn.Identity() if config.width is None else nn.Linear(config.dim, width)
        self.retrieve = Retrieval(width, config.heads, bank.blocks, bank.clock, bank.time_features, bank.time_unit_s)
        self.fuse = GateFusion(width) if bank.fuse == GATE else MeanFusion()

    def read(self, current: Tensor, state: BankState, now: Tensor, trace: bool = False) -> Reading:
        """What comes out for what came in: current [B, N, D] (after `down`), now [B] float64 seconds."""
        retrieved, attention = self.retrieve(current, state, now, trace)
        fused, gate = self.fuse(current, retrieved)
        return Reading(fused, attention, gate.detach().mean(dim=(1, 2)) if trace else None)


class MemoryBank(nn.Module):
    """The bank of all streams. It holds what is learned; what is remembered is a value that goes in and comes out.

    Args:
        config: see `BankConfig`.

    Raises:
        BankError: the config cannot be right.
    """

    def __init__(self, config: BankConfig) -> None:
        super().__init__()
        config.validate()
        self.config = config
        self.strategy = strategy_class(config.strategy)()
        self.streams = nn.ModuleDict({name: Stream(stream, config) for name, stream in config.streams.items()})

    def stream(self, name: str) -> Stream:
        return cast(Stream, self.streams[name])

    def empty_state(
        self,
        rows: int,
        seeds: Tensor | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> MemoryState:
        """A state of `rows` rows that remember nothing.

        Args:
            rows: B.
            seeds: int64 [B], of strategies that draw random numbers; None: 0 to B - 1.
            dtype, device: of the stored tokens; None: those of the weights.
        """
        like = next(self.parameters())
        return {
            name: BankState.empty(
                rows,
                self.config.capacity,
                stream.tokens,
                stream.bank_width,
                dtype=dtype or like.dtype,
                device=device or like.device,
                seeds=seeds,
            )
            for name, stream in self.config.streams.items()
        }

    def cached(self, state: MemoryState) -> MemoryState:
        """The same memory for inference with frozen weights: keys and values are projected once an entry.

        Only where they are projected at all: with several heads and many tokens (see `retrieve`). Steps go on with
        what is kept, through merges too. Call it again on a state from a file, or after the weights have changed.
        """
        with torch.no_grad():
            return {
                name: replaced(
                    stream, projected=self.stream(name).retrieve.project(stream.tokens, stream.tokens.shape[2])
                )
                for name, stream in state.items()
            }

    def step(
        self,
        tokens: Tokens,
        times: Tensor,
        state: MemoryState,
        write: Tensor | None = None,
        reset: Tensor | None = None,
        trace: bool = False,
    ) -> Step:
        """One step of B rows, each at its own age.

        Args:
            tokens: {stream: [B, N, dim]}.
            times: [B] seconds, on one clock for an episode; with `clock="episode"` since it began.
            state: of the rows.
            write: [B] bool: false where the present is not to be remembered (padding). None: all. A row whose tokens
                are not finite is never written, so that it cannot spoil the rest of the episode.
            reset: [B] bool: rows that begin an episode with this step. None: none.
            trace: whether to say what was done.

        Raises:
            BankError: a stream is missing or unknown, or a shape is wrong.
        """
        self._check(tokens, times, state)
        return self._turn(self._present(tokens, times, write, reset), state, self.config.capacity, trace)

    def unroll(
        self,
        tokens: Tokens,
        times: Tensor,
        state: MemoryState | None = None,
        mask: Tensor | None = None,
        resets: Tensor | None = None,
        trace: bool = False,
        recompute: bool = False,
    ) -> Unrolled:
        """T steps in a row; the same numbers as T calls of `step`.

        Consolidation is learned with only if it is met: let T exceed the capacity, or go on from the state of the
        sequence before. With `write="raw"` all steps are read at once, since what is stored does not depend on it.

        Args:
            tokens: {stream: [B, T, N, dim]}.
            times: [B, T] seconds.
            state: of the rows before the first step. None: they begin an episode.
            mask: [B, T] bool: false at padding, which is not written. None: none is padded.
            resets: [B, T] bool: steps that begin an episode. None: none does.
            trace: whether to say what was done.
            recompute: keep no attention for the backward pass but compute it again: less memory, more time.

        Raises:
            BankError: see `step`; or there is no step.
        """
        if times.dim() != 2 or not times.shape[1]:
            raise BankError(f"unroll takes times of [B, T] with at least one step, not {list(times.shape)}")
        held = 0 if state is None else self.config.capacity
        state = self.empty_state(len(times), device=times.device) if state is None else state
        self._check({name: value.select(1, 0) for name, value in tokens.items()}, times[:, 0], state)
        run = self._run_at_once if self.config.write == RAW else self._run_in_turn
        return run(self._present(tokens, times, mask, resets), state, held, trace, recompute)

    def _run_in_turn(self, present: Present, state: MemoryState, held: int, trace: bool, recompute: bool) -> Unrolled:
        """Read, write, read, write: what is stored depends on what was read. `held`: see `_turn`; at the first step."""
        fused: list[dict[str, Tensor]] = []
        traces: list[dict[str, StreamTrace]] = []
        for t in range(present.times.shape[1]):
            tokens, state, traced = self._turn(present.at(t), state, held, trace, recompute)
            fused.append(tokens)
            traces += [traced] if traced else []
            held = min(held + 1, self.config.capacity)
        together = {name: torch.stack([each[name] for each in fused], dim=1) for name in fused[0]}
        return Unrolled(together, state, traces if trace else None)

    def _run_at_once(self, present: Present, state: MemoryState, held: int, trace: bool, recompute: bool) -> Unrolled:
        """Write, write, ...; then read all T steps as if they were rows: what is stored does not depend on it."""
        rows, steps = present.times.shape
        before: list[MemoryState] = []
        written: list[dict[str, Written]] = []
        for t in range(steps):
            now = present.at(t)
            state = _reset(state, now.reset)
            before.append(state)
            state, done = self._write(now.tokens, state, now)
            written.append(done)
        held = min(held + steps - 1, self.config.capacity)
        readings = {
            name: self._read(
                name,
                tokens.flatten(0, 1),
                stack_states([each[name].head(held) for each in before]),
                present.times.flatten(),
                trace,
                recompute,
            )
            for name, tokens in present.tokens.items()
        }
        fused = {name: reading.fused.unflatten(0, (rows, steps)) for name, reading in readings.items()}
        if not trace:
            return Unrolled(fused, state, None)
        unfolded = {name: reading.unfold(rows, steps) for name, reading in readings.items()}
        traces = [
            _trace({name: each[t] for name, each in unfolded.items()}, before[t], written[t], present.at(t))
            for t in range(steps)
        ]
        return Unrolled(fused, state, traces)

    def _turn(self, now: Present, state: MemoryState, held: int, trace: bool, recompute: bool = False) -> Step:
        """One step: reset, read, write.

        Args:
            held: no row holds more entries than this, so that later places need not be read.
            now, state, trace, recompute: as in `step` and `unroll`.
        """
        before = _reset(state, now.reset)
        readings = {
            name: self._read(name, tokens, before[name].head(held), now.times, trace, recompute)
            for name, tokens in now.tokens.items()
        }
        fused = {name: reading.fused for name, reading in readings.items()}
        after, written = self._write(now.tokens if self.config.write == RAW else fused, before, now)
        return Step(fused, after, _trace(readings, before, written, now) if trace else None)

    def _present(self, tokens: Tokens, times: Tensor, write: Tensor | None, reset: Tensor | None) -> Present:
        return Present(
            {name: self.stream(name).down(tokens[name]) for name in self.streams}, times.double(), write, reset
        )

    def _read(self, name: str, current: Tensor, state: BankState, now: Tensor, trace: bool, recompute: bool) -> Reading:
        read = self.stream(name).read
        if recompute:
            return checkpoint(read, current, state, now, trace, use_reentrant=False)
        return read(current, state, now, trace)

    def _write(
        self, new: dict[str, Tensor], state: MemoryState, now: Present
    ) -> tuple[MemoryState, dict[str, Written]]:
        """Stores `new` ({stream: [B, N, D]}) in the rows that write, the same rows in all streams."""
        new = {name: tokens.to(state[name].tokens.dtype) for name, tokens in new.items()}
        if self.config.detach:
            new = {name: tokens.detach() for name, tokens in new.items()}
        write = torch.stack([tokens.isfinite().all(dim=2).all(dim=1) for tokens in new.values()]).all(dim=0)
        write = write if now.write is None else write & now.write

        similar = self.strategy.reads_similarity
        candidates = {name: propose(state[name], tokens, now.times, similar) for name, tokens in new.items()}
        decisions = self._decide(candidates)
        after: MemoryState = {}
        written: dict[str, Written] = {}
        for name, tokens in new.items():
            after[name], written[name] = consolidate(
                state[name],
                self._stored(name, tokens, state[name]),
                candidates[name],
                decisions[name],
                write,
                self.config.merge_weight,
                self.config.merged_time,
                similar,
            )
        return after, written

    def _decide(self, candidates: dict[str, Candidates]) -> dict[str, Decision]:
        """Each stream by itself, or with `joint` all together by their mean similarity."""
        if not self.config.joint:
            return {name: self.strategy.choose(each) for name, each in candidates.items()}
        mean = torch.stack([each.similarity.double() for each in candidates.values()]).mean(dim=0)
        one = self.strategy.choose(replaced(next(iter(candidates.values())), similarity=mean))
        return dict.fromkeys(candidates, one)

    def _stored(self, name: str, tokens: Tensor, state: BankState) -> dict[str, Tensor]:
        """What is written of `tokens` [B, N, D]: themselves, and their projections where the state keeps them."""
        if not state.projected.shape[-1]:
            return {"tokens": tokens}
        return {"tokens": tokens, "projected": self.stream(name).retrieve.project(tokens, tokens.shape[1])}

    def _check(self, tokens: Tokens, times: Tensor, state: MemoryState) -> None:
        """Raises BankError where a stream or a shape is not the config's."""
        expected = set(self.config.streams)
        for what, streams in (("tokens", tokens), ("the state", state)):
            if set(streams) != expected:
                raise BankError(f"{what} must have the streams {sorted(expected)}, not {sorted(streams)}")
        for name, stream in self.config.streams.items():
            rows = state[name].rows
            held = (rows, self.config.capacity, stream.tokens, stream.bank_width)
            for what, shape, wanted in (
                (f"tokens['{name}']", tokens[name].shape, (rows, stream.tokens, stream.dim)),
                (f"state['{name}'].tokens", state[name].tokens.shape, held),
                ("times", times.shape, (rows,)),
            ):
                if tuple(shape) != wanted:
                    raise BankError(f"{what} has the shape {list(shape)}, not {list(wanted)}")
            if state[name].projected.shape[-1] and torch.is_grad_enabled():
                raise BankError("a cached state is for inference: use torch.no_grad(), or a state that is not cached")


def _reset(state: MemoryState, rows: Tensor | None) -> MemoryState:
    return state if rows is None else {name: stream.reset(rows) for name, stream in state.items()}


def _trace(
    readings: dict[str, Reading], before: MemoryState, written: dict[str, Written], now: Present
) -> dict[str, StreamTrace]:
    """What a step did, from what it had at hand; attention is filled up to L places."""
    traces = {}
    for name, reading in readings.items():
        state = before[name]
        assert reading.attention is not None
        assert reading.gate is not None
        traces[name] = StreamTrace(
            now=now.times,
            reset=torch.zeros_like(now.times, dtype=torch.bool) if now.reset is None else now.reset,
            attention=F.pad(reading.attention, (0, state.capacity - reading.attention.shape[-1])),
            gate=reading.gate,
            size=state.size,
            start=state.start,
            end=state.end,
            counts=state.counts,
            first=state.first,
            last=state.last,
            written=state.written,
            grew=written[name].grew,
            removed=written[name].removed,
            merged=written[name].merged,
        )
    return traces
