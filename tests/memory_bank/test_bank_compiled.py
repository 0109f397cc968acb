"""The step has no Python loop over rows, asks nothing of the host, and has one shape: it compiles into one graph.

There is no GPU here. What CUDA graphs forbid is trapped instead: on fake tensors that claim to lie on a GPU, whatever
needs a value (`.item()`, `if`), a shape that depends on one (`nonzero`, boolean indexing), or a tensor of the host
raises; and a captured step must not need another shape or another graph as the episode grows older.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from banks import make_bank, small_config
from reference import ReferenceBank
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from memory_bank import MemoryBank, StreamConfig
from memory_bank.strategies import STRATEGIES

pytestmark = pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")

every_strategy = pytest.mark.parametrize("strategy", sorted(STRATEGIES))


@every_strategy
def test_a_step_is_one_graph_at_any_age(strategy):
    torch._dynamo.reset()
    bank = make_bank(small_config(strategy=strategy, capacity=2, blocks=1))
    tokens, times = bank.config.fake_episodes(2, 6)
    counter = CompileCounterWithBackend("aot_eager")
    step = torch.compile(bank.step, backend=counter, fullgraph=True, dynamic=False)
    state = expected = bank.empty_state(2)
    for t in range(6):
        now = {name: value[:, t] for name, value in tokens.items()}
        write, reset = torch.tensor([t != 3, True]), torch.tensor([t == 4, False])
        with torch.no_grad():
            out = step(now, times[:, t], state, write, reset, trace=True)
            plain = bank.step(now, times[:, t], expected, write, reset, trace=True)
        state, expected = out.state, plain.state
        for name in tokens:
            torch.testing.assert_close(out.tokens[name], plain.tokens[name], rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(state[name], expected[name], rtol=1e-5, atol=1e-5)
    assert counter.frame_count == 1


def test_training_compiles_into_one_graph_with_its_backward_pass():
    torch._dynamo.reset()
    streams = {"perceptual": StreamConfig(tokens=4, dim=8)}
    bank = make_bank(small_config(streams=streams, capacity=1, blocks=1, merge_weight="count"))
    tokens, times = bank.config.fake_episodes(2, 3)
    compiled = torch.compile(bank.unroll, backend="aot_eager", fullgraph=True, dynamic=False)
    gradients = []
    for unroll in (compiled, bank.unroll):
        bank.zero_grad()
        out = unroll(tokens, times)
        out.tokens["perceptual"].square().sum().backward()
        gradients.append({name: weight.grad.clone() for name, weight in bank.named_parameters()})
    for name, gradient in gradients[1].items():
        scale = max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(gradients[0][name], gradient, rtol=1e-5, atol=1e-5 * scale)


@every_strategy
@pytest.mark.parametrize(("heads", "write"), [(1, "fused"), (4, "raw")])
def test_a_step_on_the_device_needs_nothing_of_the_host(strategy, heads, write):
    streams = {"perceptual": StreamConfig(tokens=32, dim=8, heads=heads), "cognitive": StreamConfig(1, 12, width=8)}
    config = small_config(strategy=strategy, streams=streams, write=write, merge_weight="count", joint=True)
    with FakeTensorMode():
        with torch.device("cuda"):
            bank = MemoryBank(config)
        tokens = {name: torch.empty(2, s.tokens, s.dim, device="cuda") for name, s in config.streams.items()}
        times, mask = torch.empty(2, device="cuda"), torch.empty(2, dtype=torch.bool, device="cuda")
        out = bank.step(tokens, times, bank.empty_state(2), write=mask, reset=mask, trace=True)
        together = {name: value[:, None].expand(-1, 3, -1, -1) for name, value in tokens.items()}
        sequence = bank.unroll(together, times[:, None].expand(-1, 3), mask=mask[:, None].expand(-1, 3))
        for stream in (*out.state.values(), *sequence.state.values()):
            assert {value.device.type for value in stream} == {"cuda"}


def test_the_trap_catches_what_the_plain_loops_do():
    """The same trap on the reference, which asks the host for every similarity: it is caught, so the trap works."""
    bank = make_bank(small_config())
    tokens, times = bank.config.fake_episodes(1, 1)
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode, pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
        ReferenceBank(bank, [0]).step(
            {name: mode.from_tensor(value[:, 0]) for name, value in tokens.items()}, mode.from_tensor(times[:, 0])
        )


class _Operations(TorchDispatchMode):
    """Counts the operations that reach the device."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[str(function)] += 1
        return function(*args, **(kwargs or {}))


def test_a_step_does_the_same_work_for_one_row_and_for_many_and_at_any_age():
    """Neither rows nor age add an operation (a loop over either would), and a step's work stays flat once the bank is
    full; here it is flat from the first step on, since its shape is."""
    bank = make_bank(small_config())
    counts, flops = [], []
    for rows in (2, 6):
        tokens, times = bank.config.fake_episodes(rows, 8)
        state = bank.empty_state(rows)
        for t in range(8):
            with torch.no_grad(), _Operations() as operations, FlopCounterMode(display=False) as counter:
                state = bank.step({name: value[:, t] for name, value in tokens.items()}, times[:, t], state).state
            counts.append(operations.counts)
            flops.append(counter.get_total_flops() / rows)
    assert all(each == counts[0] for each in counts)
    assert len(set(flops)) == 1
