"""What every strategy must hold: a new one is tested by being registered. Then each one's own sense."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from banks import make_bank, small_config
from torch import Tensor

from memory_bank import BankError, MemoryBank, MemoryState, Unrolled
from memory_bank.files import load_state, save_bank
from memory_bank.strategies import STRATEGIES, Candidates, Decision, strategy_class

ROWS, STEPS, CAPACITY = 3, 9, 3

every_strategy = pytest.mark.parametrize("strategy", sorted(STRATEGIES))


def _bank(strategy: str, **changes) -> MemoryBank:
    return make_bank(small_config(strategy=strategy, capacity=CAPACITY, **changes))


def _episodes(
    bank: MemoryBank, seed: int = 0, rows: int = ROWS, steps: int = STEPS
) -> tuple[dict[str, Tensor], Tensor]:
    return bank.config.fake_episodes(rows, steps, seed)


def _run(bank: MemoryBank, tokens, times, state=None, **kwargs) -> Unrolled:
    with torch.no_grad():
        return bank.unroll(tokens, times, bank.empty_state(len(times)) if state is None else state, **kwargs)


def _at(tokens: dict[str, Tensor], row=slice(None), step=slice(None)) -> dict[str, Tensor]:
    return {name: value[row, step] for name, value in tokens.items()}


def _assert_same_state(a: MemoryState, b: MemoryState, rows=slice(None)) -> None:
    for name in a:
        for field, mine, theirs in zip(a[name]._fields, a[name].tidy(), b[name].tidy(), strict=True):
            assert torch.equal(mine[rows], theirs[rows]), f"{name}.{field}"


# ---- the battery ----------------------------------------------------------------------------------------------------


@every_strategy
def test_what_was_written_is_read(strategy):
    bank = _bank(strategy)
    tokens, times = _episodes(bank)
    out = _run(bank, _at(tokens, step=slice(0, 2)), times[:, :2], trace=True)
    assert out.trace is not None
    for name in tokens:
        first, second = (step[name].attention for step in out.trace)
        assert torch.equal(first, torch.zeros_like(first))
        torch.testing.assert_close(second[..., 0], torch.ones_like(second[..., 0]))
        alone = _run(bank, _at(tokens, step=slice(1, 2)), times[:, 1:2]).tokens[name][:, 0]
        assert (out.tokens[name][:, 1] - alone).abs().amax(dim=(1, 2)).min() > 1e-3, "memory changed nothing"


@every_strategy
@pytest.mark.parametrize("joint", [False, True])
def test_capacity_bounds_what_is_kept_in_the_order_of_time(strategy, joint):
    bank = _bank(strategy, joint=joint)
    tokens, times = _episodes(bank)
    state = bank.empty_state(ROWS)
    shapes = {name: [value.shape for value in stream] for name, stream in state.items()}
    for t in range(STEPS):
        state = _run(bank, _at(tokens, step=slice(t, t + 1)), times[:, t : t + 1], state).state
        for name, stream in state.items():
            assert [value.shape for value in stream] == shapes[name]
            assert stream.size.tolist() == [min(t + 1, CAPACITY)] * ROWS
            assert stream.written.tolist() == [t + 1] * ROWS
            for row in range(ROWS):
                held = slice(0, int(stream.size[row]))
                assert (stream.counts[row, held] >= 1).all()
                assert stream.counts[row, held].sum() <= t + 1
                assert (stream.start[row, held] <= stream.end[row, held]).all()
                assert (stream.end[row, held][:-1] < stream.start[row, held][1:]).all()
                assert (stream.last[row, held][:-1] < stream.first[row, held][1:]).all()


@every_strategy
def test_reset_isolates_rows_and_episodes(strategy):
    bank = _bank(strategy)
    tokens, times = _episodes(bank)
    resets = torch.zeros(ROWS, STEPS, dtype=torch.bool)
    resets[1, 5] = True
    whole, cut = _run(bank, tokens, times), _run(bank, tokens, times, resets=resets)
    fresh = _run(bank, _at(tokens, step=slice(5, None)), times[:, 5:])
    for name in tokens:
        assert torch.equal(cut.tokens[name][[0, 2]], whole.tokens[name][[0, 2]])
        assert torch.equal(cut.tokens[name][1, :5], whole.tokens[name][1, :5])
        assert torch.equal(cut.tokens[name][1, 5:], fresh.tokens[name][1])
        assert not torch.equal(cut.tokens[name][1, 6:], whole.tokens[name][1, 6:])
    _assert_same_state(cut.state, whole.state, rows=[0, 2])
    _assert_same_state(cut.state, fresh.state, rows=[1])


@every_strategy
def test_a_row_does_not_depend_on_the_others(strategy):
    bank = _bank(strategy)
    tokens, times = _episodes(bank)
    others = {name: value.clone() for name, value in tokens.items()}
    for value in others.values():
        value[[0, 2]] = 100 * torch.randn(value[[0, 2]].shape)
    a, b = _run(bank, tokens, times), _run(bank, others, times)
    for name in tokens:
        assert torch.equal(a.tokens[name][1], b.tokens[name][1])
    _assert_same_state(a.state, b.state, rows=[1])
    alone = bank.unroll(_at(tokens, row=[1]), times[[1]], bank.empty_state(1, seeds=torch.tensor([1])))
    for name in tokens:
        torch.testing.assert_close(alone.tokens[name][0], a.tokens[name][1], rtol=1e-5, atol=1e-5)


@every_strategy
def test_its_state_goes_to_disk_and_back(strategy, tmp_path: Path):
    bank = _bank(strategy)
    tokens, times = _episodes(bank)
    half = _run(bank, _at(tokens, step=slice(0, 5)), times[:, :5]).state
    save_bank(tmp_path / "bank.safetensors", bank, half)
    back = load_state(tmp_path / "bank.safetensors", bank)
    _assert_same_state(half, back)
    rest = _at(tokens, step=slice(5, None)), times[:, 5:]
    a, b = _run(bank, *rest, state=half), _run(bank, *rest, state=back)
    for name in tokens:
        assert torch.equal(a.tokens[name], b.tokens[name])
    _assert_same_state(a.state, b.state)


@every_strategy
@pytest.mark.parametrize("write", ["fused", "raw"])
def test_what_comes_later_changes_nothing_that_came_out_earlier(strategy, write):
    bank = _bank(strategy, write=write)
    tokens, times = _episodes(bank)
    for k in (1, 4, STEPS - 1):
        later = {name: value.clone() for name, value in tokens.items()}
        for value in later.values():
            value[:, k:] += 1
        a, b = _run(bank, tokens, times), _run(bank, later, times)
        for name in tokens:
            assert torch.equal(a.tokens[name][:, :k], b.tokens[name][:, :k])
            assert not torch.equal(a.tokens[name][:, k], b.tokens[name][:, k])


@every_strategy
def test_the_same_seed_gives_the_same_memory(strategy):
    bank = _bank(strategy)
    tokens, times = _episodes(bank)
    seeds = torch.tensor([7, 7, 8])
    same = {name: value[[0, 0, 0]] for name, value in tokens.items()}
    a = _run(bank, same, times, bank.empty_state(ROWS, seeds))
    b = _run(bank, same, times, bank.empty_state(ROWS, seeds))
    _assert_same_state(a.state, b.state)
    for stream in a.state.values():
        assert torch.equal(stream.first[0], stream.first[1]), "rows of one seed and one episode differ"


@every_strategy
@pytest.mark.parametrize("write", ["fused", "raw"])
def test_gradients_stop_at_what_is_stored_or_flow_as_the_config_says(strategy, write):
    for detach in (True, False):
        bank = _bank(strategy, detach=detach, write=write)
        tokens, times = _episodes(bank)
        for value in tokens.values():
            value.requires_grad_()
        out = bank.unroll(tokens, times)
        for name in tokens:
            (gradient,) = torch.autograd.grad(out.tokens[name][:, -1].square().sum(), tokens[name], retain_graph=True)
            assert gradient[:, -1].abs().sum() > 0
            past = gradient[:, :-1].abs().sum(dim=(0, 2, 3))
            assert bool(past.any()) != detach
            assert out.state[name].tokens.requires_grad != detach


@every_strategy
def test_padding_and_broken_tokens_are_not_stored(strategy):
    bank = _bank(strategy)
    tokens, times = _episodes(bank)
    state = _run(bank, tokens, times).state
    more, later = _episodes(bank, seed=1, steps=1)
    padded = _run(bank, more, later + 1, state, mask=torch.tensor([[False], [True], [False]])).state
    _assert_same_state(padded, state, rows=[0, 2])
    assert padded["cognitive"].written.tolist() == [STEPS, STEPS + 1, STEPS]
    more["cognitive"][1, 0, 0, 3] = torch.nan
    _assert_same_state(_run(bank, more, later + 1, state, mask=torch.tensor([[False], [True], [False]])).state, state)


@every_strategy
def test_joint_consolidation_keeps_the_streams_in_step(strategy):
    tokens, times = _episodes(_bank(strategy))
    first = {joint: [] for joint in (True, False)}
    for joint in first:
        state = _run(_bank(strategy, joint=joint, write="raw"), tokens, times).state
        first[joint] = [stream.first.tolist() for stream in state.values()]
    assert first[True][0] == first[True][1]
    if strategy == "merge":
        assert first[False][0] != first[False][1], "this episode would not have told the difference"


def test_the_guides_own_strategy_needs_what_the_guide_says(monkeypatch):
    """docs/memory_bank.md shows a strategy in one file: it is registered here as it stands there, and runs."""
    guide = (Path(__file__).parents[2] / "docs" / "memory_bank.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "class OldestPair" in block]
    names = {"ClassVar": ClassVar, "Candidates": Candidates, "Decision": Decision, "torch": torch}
    exec(code, names)
    monkeypatch.setitem(STRATEGIES, "oldest_pair", names["OldestPair"])
    bank = _bank("oldest_pair")
    state = _run(bank, *_episodes(bank)).state["perceptual"]
    assert state.counts.tolist() == [[7, 1, 1]] * ROWS
    assert state.last.tolist() == [[6, 7, 8]] * ROWS


def test_an_unknown_strategy_is_named_with_the_nearest():
    with pytest.raises(BankError, match="no strategy 'fifi'.*did you mean fifo"):
        strategy_class("fifi")


# ---- each one's own sense -------------------------------------------------------------------------------------------


def test_fifo_keeps_the_last_and_none_the_first():
    for strategy, kept in (("fifo", [6, 7, 8]), ("none", [0, 1, 2])):
        bank = _bank(strategy, write="raw")
        tokens, times = _episodes(bank)
        state = _run(bank, tokens, times).state["perceptual"]
        assert state.first.tolist() == [kept] * ROWS
        assert torch.equal(state.tokens, tokens["perceptual"][:, kept])
        assert torch.equal(state.time, times[:, kept])


def test_the_reservoir_is_a_uniform_sample_of_the_whole_episode():
    """2,000 episodes of 12 writes into 3 places: each write is kept in a quarter of them, 500 give or take 19.4 (one
    standard deviation). The statistic below is chi-square with 11 degrees of freedom, whose 99.9 % quantile is 31.3.
    """
    rows, steps = 2000, 12
    bank = make_bank(small_config(strategy="reservoir", capacity=CAPACITY, write="raw"))
    tokens, times = _episodes(bank, rows=rows, steps=steps)
    state = _run(bank, tokens, times).state["cognitive"]
    kept = torch.bincount(state.first.flatten(), minlength=steps).double()
    expected = rows * CAPACITY / steps
    assert kept.sum() == rows * CAPACITY
    assert ((kept - expected).square() / (expected * (1 - CAPACITY / steps))).sum() * (1 - 1 / steps) < 31.3
    assert (kept - expected).abs().max() < 4.5 * math.sqrt(expected * (1 - CAPACITY / steps))


def test_merge_takes_the_pair_most_alike():
    bank = _bank("merge", write="raw")
    tokens, times = _episodes(bank)
    twin = tokens["perceptual"][:, 1] + 0.01 * tokens["perceptual"][:, 5]
    tokens["perceptual"][:, 2] = twin
    state = _run(bank, _at(tokens, step=slice(0, 4)), times[:, :4]).state["perceptual"]
    assert state.first.tolist() == [[0, 1, 3]] * ROWS
    assert state.last.tolist() == [[0, 2, 3]] * ROWS
    torch.testing.assert_close(state.tokens[:, 1], (tokens["perceptual"][:, 1] + twin) / 2)


def test_all_that_merged_in_counts_the_same_with_count_weights_and_less_and_less_without():
    for weight in ("count", "equal"):
        bank = make_bank(small_config(capacity=1, write="raw", merge_weight=weight, merged_time="mean"))
        tokens, times = _episodes(bank)
        state = _run(bank, tokens, times).state["cognitive"]
        mean = tokens["cognitive"].mean(dim=1)
        decayed = tokens["cognitive"][:, 0]
        for t in range(1, STEPS):
            decayed = (decayed + tokens["cognitive"][:, t]) / 2
        torch.testing.assert_close(state.tokens[:, 0], mean if weight == "count" else decayed)
        assert state.counts.tolist() == [[STEPS]] * ROWS
        assert state.start[:, 0].tolist() == times[:, 0].tolist()
        assert state.end[:, 0].tolist() == times[:, -1].tolist()
        if weight == "count":
            torch.testing.assert_close(state.time[:, 0], times.mean(dim=1))
