"""What single memories promise beyond what all policies do."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.base import without_caches
from policies.config import PolicyConfig
from policies.memories import MEMORIES, make_memory
from policies.memories.memo import _bank
from policies.memories.segments import cut

WIDTH, TOKEN = 16, 5
CPU = torch.device("cpu")
BATTERY = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


def memory_of(name, training=True, seed=0, **fields):
    torch.manual_seed(seed)
    sizes = {
        **{"segment": 4, "segment_spread": 0.5, "summaries": 2, "summary_cap": 6, "context": 8},
        **{"chunk": 3, "chunks": 3, "top_k": 2, "registers": 3, "layers": 2, "heads": 2},
    }
    config = PolicyConfig(memory=name, memory_size=WIDTH, **{**sizes, **fields})
    config.validate()
    return make_memory(config, TOKEN).train(training)


def history(steps, rows, seed, share_of_resets):
    generator = torch.Generator().manual_seed(seed)
    resets = torch.rand(steps, rows, generator=generator) < share_of_resets
    resets[0] = True
    return torch.randn(steps, rows, TOKEN, generator=generator), resets


def stepped(memory, tokens, resets, state, in_place=False):
    outputs = []
    with torch.inference_mode():
        for token, reset in zip(tokens, resets, strict=True):
            out, state = memory.step(token, state, reset, in_place)
            outputs.append(out)
    return torch.stack(outputs), state


def alike(one, other):
    """Two states, without what follows from the rest."""
    one, other = without_caches(one), without_caches(other)
    assert one.keys() == other.keys()
    for name, values in one.items():
        torch.testing.assert_close(values, other[name], atol=1e-4, rtol=1e-4, msg=name)


CASES = [(name, {}) for name in MEMORIES]
CASES += [("memo", {"consolidation": strategy}) for strategy in ("merge", "reservoir", "none")]


@pytest.mark.parametrize(("name", "fields"), CASES, ids=[f"{n} {''.join(f.values())}" for n, f in CASES])
@BATTERY
@given(
    seed=st.integers(0, 2**16),
    share=st.sampled_from([0.0, 0.03, 0.3]),
    cuts=st.lists(st.integers(1, 39), max_size=3),
    training=st.booleans(),
)
def test_whatever_the_history_steps_and_unrolls_in_any_order_agree(name, fields, seed, share, cuts, training):
    """40 steps of 3 rows, cut anywhere: stretches are stepped and unrolled in turns, each from what the last left."""
    memory = memory_of(name, training, **fields)
    tokens, resets = history(40, 3, seed, share)
    whole, state_of_whole = memory(tokens, memory.initial_state(3, CPU), resets)
    state, parts = memory.initial_state(3, CPU), []
    places = sorted({0, 40, *cuts})
    for number, (begin, end) in enumerate(pairwise(places)):
        if (number + seed) % 2:
            out, state = stepped(memory, tokens[begin:end], resets[begin:end], state, in_place=number > 1)
        else:
            out, state = memory(tokens[begin:end], without_caches(state), resets[begin:end])
        parts.append(out.detach())
        state = {name: values.detach().clone() for name, values in state.items()}
    torch.testing.assert_close(torch.cat(parts), whole.detach(), atol=1e-4, rtol=1e-4)
    alike(state, {name: values.detach() for name, values in state_of_whole.items()})


@pytest.mark.parametrize("name", ["memo", "rmt"])
def test_gradients_flow_through_summaries_to_the_steps_they_stand_for(name):
    memory = memory_of(name, training=False)
    tokens, resets = history(16, 2, 0, 0.0)
    tokens.requires_grad_()
    features, _ = memory(tokens, memory.initial_state(2, CPU), resets)
    features[-1, 0].square().sum().backward()
    # Segments of 4: the last step can know of the first 12 through summaries alone.
    assert (tokens.grad[:12, 0].abs().amax(dim=-1) > 0).all()
    assert (tokens.grad[:, 1] == 0).all()
    assert memory._queries.grad.abs().min() > 0


def test_a_border_between_unrolls_still_teaches_the_queries():
    """The segment was full when the unroll before ended: it is summed up in the one that reads the summary."""
    memory = memory_of("memo", training=False)
    tokens, resets = history(6, 2, 0, 0.0)
    _, state = memory(tokens[:4], memory.initial_state(2, CPU), resets[:4])
    assert state["used"].tolist() == [4, 4]
    features, _ = memory(tokens[4:], state, resets[4:])
    features.square().sum().backward()
    assert memory._queries.grad.abs().max() > 0


def test_what_lies_many_segments_back_still_matters():
    def sway(steps, **fields):
        """By how much the first token changes the last output."""
        memory = memory_of("memo", training=False, **fields)
        tokens, resets = history(steps, 1, 0, 0.0)
        changed = tokens.clone()
        changed[0] += 1.0
        outputs = [memory(each, memory.initial_state(1, CPU), resets)[0][-1] for each in (tokens, changed)]
        return float((outputs[0] - outputs[1]).detach().abs().max())

    assert sway(40, summary_cap=20) > 1e-6
    assert sway(40, summary_cap=6, consolidation="none") > 1e-6
    assert sway(40, summary_cap=6, consolidation="merge") > 1e-6
    assert sway(16, summary_cap=2) > 1e-9  # an overwriter hands it on from segment to segment
    assert memory_of("memo", summary_cap=6)._groups == 3


@pytest.mark.parametrize("consolidation", ["fifo", "merge", "reservoir"])
def test_memory_stays_bounded_for_ever(consolidation):
    memory = memory_of("memo", training=False, consolidation=consolidation)
    state = memory.initial_state(2, CPU)
    sizes = {name: values.shape for name, values in state.items()}
    tokens, resets = history(400, 2, 0, 0.0)
    _, state = stepped(memory, tokens, resets, state, in_place=True)
    assert {name: values.shape for name, values in without_caches(state).items()} == sizes
    assert state["summary.size"].tolist() == [3, 3]
    assert state["cache.keys_values"].shape[-2] <= 64 + 2 * (6 + 4)
    if consolidation == "merge":  # every segment that has ended is in one of them
        assert state["summary.counts"].sum(dim=1).tolist() == [99, 99]
    else:
        assert state["summary.counts"].sum(dim=1).tolist() == [3, 3]


def test_merged_summaries_are_weighted_by_the_segments_in_them():
    memory = memory_of("memo", consolidation="merge", summary_cap=2)
    bank, summary = _bank(memory.initial_state(1, CPU)), torch.randn(4, 1, 2, WIDTH)
    for each in summary:
        bank = memory._written(bank, each, torch.tensor([True]))
    assert bank.counts.tolist() == [[4]]
    torch.testing.assert_close(bank.tokens[:, 0], summary.mean(dim=0))


def test_keys_are_not_stale_after_the_weights_have_changed():
    memory = memory_of("memo", training=False)
    tokens, resets = history(7, 2, 0, 0.0)
    _, state = stepped(memory, tokens[:6], resets[:6], memory.initial_state(2, CPU))
    with torch.no_grad():
        for parameter in memory._decoder.parameters():
            parameter.add_(0.1)
    stale, _ = stepped(memory, tokens[6:], resets[6:], state)
    fresh, _ = stepped(memory, tokens[6:], resets[6:], without_caches(state))
    unrolled, _ = memory(tokens[6:], state, resets[6:])
    torch.testing.assert_close(unrolled.detach(), fresh, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(stale, fresh, atol=1e-3)


def test_segment_lengths_vary_in_states_of_training_alone():
    memory = memory_of("memo", segment=20, segment_spread=0.2, summary_cap=200)
    limits = memory._limits(memory.initial_state(50, CPU), 20)
    assert limits.min() == 16
    assert limits.max() == 24
    assert abs(limits.double().mean() - 20.0) < 0.3
    trained = memory.initial_state(50, CPU)
    assert (memory.eval()._limits(memory.initial_state(50, CPU), 20) == 20).all()
    assert (memory._limits(trained, 20) == limits).all()  # what was experienced so is learnt from so


@pytest.mark.parametrize("name", ["fct", "gtrxl", "hcam", "memo", "rmt", "register"])
def test_no_row_waits_for_another(name):
    """Rows whose episodes begin at different steps say what each says alone."""
    memory = memory_of(name)
    tokens, _ = history(30, 3, 0, 0.0)
    resets = torch.zeros(30, 3, dtype=torch.bool)
    resets[0], resets[7, 1], resets[8, 2], resets[23, 2] = True, True, True, True
    start = memory.initial_state(3, CPU)
    together, _ = memory(tokens, start, resets)
    for row in range(3):
        one = {name: values[row : row + 1] for name, values in start.items()}
        alone, _ = memory(tokens[:, row : row + 1], one, resets[:, row : row + 1])
        torch.testing.assert_close(alone[:, 0], together[:, row], atol=1e-5, rtol=1e-5)


@BATTERY
@given(seed=st.integers(0, 2**16), steps=st.integers(1, 30), kept=st.integers(0, 2))
def test_spans_cover_every_step_once_and_keep_to_the_limit(seed, steps, kept):
    generator = np.random.default_rng(seed)
    resets = torch.from_numpy(generator.random((steps, 4)) < 0.15)
    used = generator.integers(0, 7, 4).tolist()
    depths, _ = cut(resets, used, lambda row, number: 5, kept)
    covered = np.zeros((steps, 4), int)
    for depth, spans in enumerate(depths):
        for index, span in enumerate(spans):
            covered[span.start : span.end, span.row] += 1
            assert span.index == index
            assert span.continues == (depth == 0)
            held = used[span.row] if span.continues else kept if span.before else 0
            assert held + span.length <= max(5, held)
            assert not resets[span.start + 1 : span.end, span.row].any()
            assert span.before is None or span.before.end == span.start
    assert (covered == 1).all()
