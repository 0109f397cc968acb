"""A bank can be looked into: what was asked, what was merged into what, how much memory contributed; and drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from banks import make_bank, small_config

from memory_bank import BankError, Trace
from memory_bank.draw import draw_trace, save_drawing
from memory_bank.strategies import STRATEGIES


def _traced(steps: int = 9, resets=None, mask=None, **changes):
    bank = make_bank(small_config(**changes))
    tokens, times = bank.config.fake_episodes(2, steps)
    trace = Trace()
    out = bank.unroll(tokens, times, None, mask, resets, trace=True)
    trace.record(*out.trace)
    return bank, trace, out, tokens, times


@pytest.mark.parametrize("write", ["fused", "raw"])
def test_tracing_changes_nothing_and_steps_tell_the_same_as_sequences(write):
    bank, trace, out, tokens, times = _traced(write=write)
    silent = bank.unroll(tokens, times)
    steps, state = Trace(), bank.empty_state(2)
    for t in range(9):
        with torch.no_grad():
            step = bank.step({n: v[:, t] for n, v in tokens.items()}, times[:, t], state, trace=True)
        state = step.state
        steps.record(step.trace)
    for name in tokens:
        assert torch.equal(silent.tokens[name], out.tokens[name])
        a, b = trace.arrays(name), steps.arrays(name)
        assert a.keys() == b.keys()
        for field in a:
            np.testing.assert_allclose(a[field].astype(float), b[field].astype(float), atol=1e-5, err_msg=field)


def test_attention_on_the_entries_of_a_row_sums_to_one():
    _, trace, *_ = _traced(mask=torch.rand(2, 9, generator=torch.Generator().manual_seed(0)) < 0.7)
    for name in trace.streams:
        fields = trace.arrays(name)
        total = fields["attention"].sum(axis=-1)
        np.testing.assert_allclose(total, np.repeat((fields["size"] > 0)[..., None], 2, axis=-1), atol=1e-6)
        assert ((fields["gate"] > 0) & (fields["gate"] < 1)).all()


def test_attention_is_where_a_plain_softmax_puts_it():
    """One block, one head, no time: compared with the projections and the softmax written out."""
    bank, trace, _, tokens, _ = _traced(steps=3, blocks=1, clock="none", write="raw", capacity=4)
    block = bank.stream("perceptual").retrieve.blocks[0]
    query, memory = tokens["perceptual"][0, 2], tokens["perceptual"][0, :2].flatten(0, 1)
    weights = torch.softmax(block.q_proj(query) @ block.k_proj(memory).T / 8**0.5, dim=-1)
    expected = weights.view(4, 2, 4).sum(dim=-1).mean(dim=0)
    (told,) = trace.episodes("perceptual", row=0)
    found = [entry.attention[0] for entry in told.entries[2]]
    np.testing.assert_allclose(found, expected.detach(), atol=1e-6)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_events_of_an_episode_lead_to_its_memory(strategy):
    """Replaying what the trace says was merged and forgotten, in plain lists, ends in the entries of the state."""
    _, trace, out, _, times = _traced(steps=12, strategy=strategy)
    for name in trace.streams:
        (told,) = trace.episodes(name, row=1)
        memory: list[tuple[int, int]] = []
        for t, event in enumerate(told.events):
            assert event.time_s == pytest.approx(float(times[1, t]))
            assert [(entry.first, entry.last) for entry in told.entries[t]] == memory
            memory.append((t, t))
            if event.kind == "merged":
                into = memory.index(event.into)
                assert memory[into + 1] == event.left
                memory[into : into + 2] = [(event.into[0], event.left[1])]
            elif event.kind == "forgot":
                memory.remove(event.left)
            else:
                assert event.kind == "grew"
        state = out.state[name]
        held = int(state.size[1])
        assert memory == list(zip(state.first[1, :held].tolist(), state.last[1, :held].tolist(), strict=True))


def test_episodes_are_told_apart_and_padding_is_idle():
    resets, mask = torch.zeros(2, 9, dtype=torch.bool), torch.ones(2, 9, dtype=torch.bool)
    resets[1, 4], mask[1, 7:] = True, False
    _, trace, *_ = _traced(resets=resets, mask=mask)
    assert [len(told.events) for told in trace.episodes("cognitive", row=0)] == [9]
    first, second = trace.episodes("cognitive", row=1)
    assert [event.kind for event in first.events] == ["grew"] * 3 + ["merged"]
    assert [event.kind for event in second.events] == ["grew"] * 3 + ["idle"] * 2
    assert second.entries[0] == []
    image = first.attention_on_writes()
    np.testing.assert_array_equal(np.isnan(image), np.triu(np.ones((4, 4))))
    np.testing.assert_allclose(np.nansum(image, axis=1), [0, 1, 1, 1], atol=1e-6)
    assert first.write_times().tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_is_drawn(strategy, tmp_path):
    resets = torch.zeros(2, 9, dtype=torch.bool)
    resets[0, 8] = True
    _, trace, *_ = _traced(resets=resets, strategy=strategy, mask=torch.arange(9).expand(2, 9) != 2)
    for row, episode in ((0, 0), (0, -1), (1, -1)):
        figure = draw_trace(trace, row, episode)
        (attention, gate), length = figure.axes[:2], (8 if (row, episode) == (0, 0) else 1 if row == 0 else 9)
        (line,) = gate.get_lines()
        assert len(line.get_xdata()) == length
        told = trace.episodes("perceptual", row)[episode]
        changed = [event for event in told.events if event.kind in ("merged", "forgot")]
        assert len(attention.get_lines()) == len(changed)
        shown = np.ma.filled(attention.collections[0].get_array(), 0.0)
        shares = [entry.attention[-1] * entry.observations for entries in told.entries for entry in entries]
        np.testing.assert_allclose(shown.sum(), sum(shares), atol=1e-5)
    save_drawing(figure, tmp_path / "trace.png")
    assert (tmp_path / "trace.png").read_bytes().startswith(b"\x89PNG")


def test_a_wrong_stream_or_an_empty_trace_is_named():
    _, trace, *_ = _traced(steps=1)
    with pytest.raises(BankError, match="no stream 'perception': it has perceptual, cognitive"):
        trace.episodes("perception", 0)
    with pytest.raises(BankError, match="holds no steps"):
        draw_trace(Trace())
