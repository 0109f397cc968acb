"""The bank against the plain loops of `reference.py`: outputs, gradients, decisions, memory, over random episodes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from banks import make_bank, small_config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import Entry, ReferenceBank, hash_below
from torch import Tensor

from memory_bank import BankConfig, BankError, MemoryBank, StreamConfig, Unrolled
from memory_bank.strategies import STRATEGIES
from memory_bank.strategies.reservoir import draw

_BOUND = {torch.float32: 1e-5, torch.float64: 1e-11}


@st.composite
def configs(draw: st.DrawFn) -> BankConfig:
    streams = {
        "perceptual": StreamConfig(tokens=draw(st.integers(1, 24)), dim=8, heads=draw(st.sampled_from([1, 2, 4]))),
        "cognitive": StreamConfig(
            tokens=1, dim=12, width=draw(st.sampled_from([None, 8])), heads=draw(st.sampled_from([1, 2, 4]))
        ),
        "further": StreamConfig(tokens=2, dim=8),
    }
    for name in draw(st.sets(st.sampled_from(sorted(streams)), max_size=2)):
        del streams[name]
    return BankConfig(
        streams=streams,
        capacity=draw(st.integers(1, 5)),
        blocks=draw(st.integers(1, 2)),
        fuse=draw(st.sampled_from(["gate", "mean"])),
        write=draw(st.sampled_from(["fused", "raw"])),
        strategy=draw(st.sampled_from(sorted(STRATEGIES))),
        merge_weight=draw(st.sampled_from(["equal", "count"])),
        merged_time=draw(st.sampled_from(["earlier", "mean"])),
        joint=draw(st.booleans()),
        clock=draw(st.sampled_from(["episode", "age", "none"])),
        time_features=8,
        detach=draw(st.booleans()),
    )


@settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
@given(
    config=configs(),
    rows=st.integers(1, 4),
    steps=st.integers(1, 12),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    masked=st.booleans(),
    resets=st.booleans(),
    recompute=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_it_equals_plain_loops(config, rows, steps, dtype, masked, resets, recompute, seed):
    bank = make_bank(config, seed, dtype)
    tokens, times, mask, reset = _episodes(config, rows, steps, dtype, masked, resets, seed)
    seeds = torch.randint(0, 2**40, (rows,), generator=torch.Generator().manual_seed(seed))
    # `state` is given and empty for half of the cases: then no place may be left out of the reading.
    state = bank.empty_state(rows, seeds) if seed % 2 or config.strategy == "reservoir" else None
    fast = bank.unroll(tokens, times, state, mask, reset, trace=True, recompute=recompute)
    reference = ReferenceBank(bank, seeds.tolist())
    slow = _unroll_reference(reference, tokens, times, mask, reset)

    bound = _BOUND[dtype]
    for name in config.streams:
        torch.testing.assert_close(fast.tokens[name], slow[name], rtol=bound, atol=bound)
    _assert_same_memory(fast, reference, bound)
    _assert_same_decisions(fast, reference)
    _assert_same_gradients(bank, tokens, fast.tokens, slow, bound)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_long_episode_equals_plain_loops(strategy):
    """Far past the capacity, where errors of the kept similarities or of merges of merges would have added up."""
    config = small_config(strategy=strategy, capacity=4, merge_weight="count", merged_time="mean")
    bank = make_bank(config, seed=5)
    tokens, times, mask, reset = _episodes(config, 2, 150, torch.float32, masked=True, resets=False, seed=5)
    with torch.no_grad():
        fast = bank.unroll(tokens, times, bank.empty_state(2), mask, reset, trace=True)
        reference = ReferenceBank(bank, [0, 1])
        slow = _unroll_reference(reference, tokens, times, mask, reset)
    for name in config.streams:
        torch.testing.assert_close(fast.tokens[name], slow[name], rtol=1e-5, atol=1e-5)
    _assert_same_memory(fast, reference, 1e-5)
    _assert_same_decisions(fast, reference)


def test_in_bfloat16_it_stays_within_a_few_roundings_of_plain_loops_in_float32():
    """bfloat16 keeps 8 bits: a rounding is 2^-9 of a value, and two post-norm blocks make some twenty of them in a row,
    on values of about 1. So the bound is 2^-5 for the worst and 2^-8 for the root mean square; 1e-5 is not to be had.
    FIFO, because a merge may rightly pick another pair when similarities are rounded.
    """
    config = small_config(strategy="fifo")
    coarse = make_bank(config, seed=2, dtype=torch.bfloat16)
    fine = make_bank(config, seed=2)
    fine.load_state_dict(coarse.state_dict())
    tokens, times, _, _ = _episodes(config, 3, 8, torch.bfloat16, masked=False, resets=False, seed=2)
    with torch.no_grad():
        fast = coarse.unroll(tokens, times)
        exact = {name: value.float() for name, value in tokens.items()}
        slow = _unroll_reference(ReferenceBank(fine, [0, 1, 2]), exact, times, None, None)
    for name in config.streams:
        error = fast.tokens[name].float() - slow[name]
        assert error.abs().max() < 2**-5 * slow[name].abs().max()
        assert error.square().mean().sqrt() < 2**-8 * slow[name].square().mean().sqrt()


def test_step_by_step_equals_the_training_pass():
    """As a robot runs it: one row, one step at a time, no gradient. As it is trained: rows of different age side by
    side, padded and reset, all steps in one call."""
    for write in ("fused", "raw"):
        config = small_config(write=write)
        bank = make_bank(config)
        tokens, times, mask, reset = _episodes(config, 4, 14, torch.float32, masked=True, resets=True, seed=3)
        trained = bank.unroll(tokens, times, None, mask, reset)
        for row in range(4):
            state = bank.empty_state(1)
            for t in range(14):
                with torch.inference_mode():
                    out = bank.step(
                        {name: value[row : row + 1, t] for name, value in tokens.items()},
                        times[row : row + 1, t],
                        state,
                        mask[row : row + 1, t],
                        reset[row : row + 1, t],
                    )
                state = out.state
                for name in config.streams:
                    torch.testing.assert_close(out.tokens[name][0], trained.tokens[name][row, t], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_projecting_an_entry_once_equals_projecting_it_in_every_step(strategy):
    """With four heads and many tokens entries are projected; a cached state keeps that through moves and merges."""
    streams = {"perceptual": StreamConfig(tokens=24, dim=8, heads=4), "cognitive": StreamConfig(1, 12, heads=4)}
    bank = make_bank(small_config(streams=streams, strategy=strategy, merge_weight="count"))
    tokens, times, mask, reset = _episodes(bank.config, 3, 20, torch.float32, masked=True, resets=True, seed=1)
    with torch.no_grad():
        plain = bank.unroll(tokens, times, bank.empty_state(3), mask, reset)
        kept = bank.unroll(tokens, times, bank.cached(bank.empty_state(3)), mask, reset)
    assert kept.state["perceptual"].projected.shape == (3, 3, 24, 2 * 2 * 8)
    assert kept.state["cognitive"].projected.shape[-1] == 0
    for name in streams:
        torch.testing.assert_close(kept.tokens[name], plain.tokens[name], rtol=1e-5, atol=1e-5)
    again = bank.cached(plain.state)["perceptual"]
    torch.testing.assert_close(kept.state["perceptual"].tidy().projected, again.tidy().projected, rtol=1e-5, atol=1e-5)
    with pytest.raises(BankError, match="for inference"):
        bank.unroll(tokens, times, kept.state)


def test_the_reservoirs_draw_is_the_same_hash_in_tensors():
    seeds = torch.tensor([0, 1, 2**31, 2**32 + 5, 2**62, -3])
    for number in (0, 1, 17, 100_000):
        drawn = draw(seeds, torch.full_like(seeds, number), torch.full_like(seeds, number + 1))
        assert drawn.tolist() == [hash_below(seed, number, number + 1) for seed in seeds.tolist()]


def _episodes(
    config: BankConfig, rows: int, steps: int, dtype: torch.dtype, masked: bool, resets: bool, seed: int
) -> tuple[dict[str, Tensor], Tensor, Tensor | None, Tensor | None]:
    """Random tokens that need a gradient, times with uneven steps, and masks."""
    generator = torch.Generator().manual_seed(seed)
    tokens, times = config.fake_episodes(rows, steps, seed, dtype=dtype)
    for value in tokens.values():
        value.requires_grad_()
    times = times + torch.rand(times.shape, generator=generator, dtype=torch.float64).cumsum(dim=1)
    mask = torch.rand(rows, steps, generator=generator) < 0.7 if masked else None
    reset = torch.rand(rows, steps, generator=generator) < 0.15 if resets else None
    return tokens, times, mask, reset


def _unroll_reference(reference: ReferenceBank, tokens: Any, times: Tensor, mask: Any, reset: Any) -> dict[str, Tensor]:
    outputs = []
    for t in range(times.shape[1]):
        now = {name: value[:, t] for name, value in tokens.items()}
        outputs.append(
            reference.step(
                now, times[:, t], None if mask is None else mask[:, t], None if reset is None else reset[:, t]
            )
        )
    return {name: torch.stack([output[name] for output in outputs], dim=1) for name in tokens}


def _assert_same_memory(fast: Unrolled, reference: ReferenceBank, bound: float) -> None:
    for name, state in fast.state.items():
        for index, row in enumerate(reference.rows):
            memory: list[Entry] = row.memory[name]
            assert state.size[index] == len(memory)
            assert state.written[index] == row.written
            for k, entry in enumerate(memory):
                torch.testing.assert_close(state.tokens[index, k], entry.tokens, rtol=bound, atol=bound)
                for field, value in (("time", entry.time), ("start", entry.start), ("end", entry.end)):
                    assert float(getattr(state, field)[index, k]) == pytest.approx(value, abs=1e-9)
                assert state.counts[index, k] == entry.count
                assert state.first[index, k] == min(entry.writes)
                assert state.last[index, k] == max(entry.writes)


def _assert_same_decisions(fast: Unrolled, reference: ReferenceBank) -> None:
    assert fast.trace is not None
    for step, decisions in zip(fast.trace, reference.decisions, strict=True):
        for row, decision in enumerate(decisions):
            for name, (kind, entry) in decision.items():
                traced = step[name]
                assert bool(traced.grew[row]) == (kind == "grew")
                assert bool(traced.merged[row]) == (kind == "merged")
                assert int(traced.removed[row]) == entry


def _assert_same_gradients(bank: MemoryBank, tokens: Any, fast: Any, slow: Any, bound: float) -> None:
    weights = {name: torch.randn(value.shape, dtype=value.dtype) for name, value in slow.items()}
    learned = [*bank.parameters(), *tokens.values()]
    gradients = [
        torch.autograd.grad(sum((out[name] * weights[name]).sum() for name in weights), learned, allow_unused=True)
        for out in (fast, slow)
    ]
    names = [*(name for name, _ in bank.named_parameters()), *tokens]
    for name, mine, theirs in zip(names, *gradients, strict=True):
        mine, theirs = (torch.zeros(1) if each is None else each for each in (mine, theirs))
        mine, theirs = torch.broadcast_tensors(mine, theirs)
        scale = max(1.0, float(theirs.abs().max()))
        torch.testing.assert_close(
            mine, theirs, rtol=bound, atol=bound * scale, check_dtype=False, msg=lambda m, n=name: f"{n}: {m}"
        )
