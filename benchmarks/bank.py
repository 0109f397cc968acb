"""Speed of the memory bank against the plain loops of tests/memory_bank/reference.py, at equal outputs.

Training: one step, forward and backward, of a full perceptual bank (256 tokens of width 256) and a full cognitive one
(1 token of width 1024), 16 entries, 32 episodes side by side, the paper's configuration, float32. The two take turns in
rounds; a ratio is taken within a round and the median over rounds is printed. Outputs and gradients are compared in the
same run. Processor time is told beside the clock's, for a machine that does other things too, and work is counted: a
CPU is busy with matrix products all the time at this size, so no ratio of times can lie far above that of work.

Acting: the same for one episode, forward alone. The action expert: a chunk of 16 actions by DiT-B in 10 DDIM steps with
guidance, for one episode, against an implementation that projects the condition in every step and runs the network with
and without it one after the other. Growth: steps of a small bank at ages far apart.

Usage: python benchmarks/bank.py [--quick] [--compile]
Last line: {"ratio_train", "ratio_act", "ratio_work", "ratio_act_step", "growth", ...}.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# For both: without huge pages a CPU spends a quarter of the time on handing out large tensors page by page.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from memory_bank import BankConfig, MemoryBank, MemoryState, StreamConfig
from memory_bank.consolidate import token_similarity
from policies.action_expert import ActionExpert, ExpertConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "memory_bank"))
from reference import ReferenceBank

STREAMS = {"perceptual": StreamConfig(tokens=256, dim=256), "cognitive": StreamConfig(tokens=1, dim=1024)}
CAPACITY = 16
AGES = (CAPACITY, 64, 256, 1024)
STEP_S = 0.1

Inputs = tuple[dict[str, Tensor], Tensor, MemoryState]
"""Tokens and times of a step, and the bank it goes on with."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round, under a minute on two idle cores")
    parser.add_argument("--compile", action="store_true", help="the bank through torch.compile (takes minutes)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=32, help="episodes side by side in training")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    torch.manual_seed(arguments.seed)

    both, cognitive = make_bank("perceptual", "cognitive"), make_bank("cognitive")
    with Progress(transient=True) as progress:
        task = progress.add_task("measuring", total=3 * rounds + 3)

        def advance() -> None:
            progress.advance(task)

        train = compare_training(both, arguments.rows, rounds, arguments.compile, advance)
        alone = compare_training(cognitive, arguments.rows, rounds, arguments.compile, advance)
        act = compare_acting(both, 5 * rounds, arguments.compile)
        advance()
        chunk = compare_chunks(2 * rounds + 1)
        advance()
        growth = measure_growth(40 if arguments.quick else 200)
        work = [count_work(both, which) for which in (reference_step, bank_step)]
        advance()

    console = Console()
    table = Table("", "plain loops", "bank", "ratio")
    for title, result in (
        (f"training step, {arguments.rows} episodes", train),
        ("  of it the cognitive bank", alone),
        ("acting step, 1 episode", act),
        ("a chunk by DiT-B, 1 episode", chunk),
    ):
        table.add_row(
            title, *(f"{1e3 * result[key]:,.1f} ms" for key in ("reference", "bank")), f"{result['ratio']:.2f}"
        )
    table.add_row(
        "matrix products, 1 episode", *(f"{each / 1e9:.2f} GFLOP" for each in work), f"{work[0] / work[1]:.2f}"
    )
    console.print(table)
    ages = Table("age, steps", *map(str, AGES), title="a step of a small bank")
    ages.add_row("", *(f"{1e3 * growth[age]:.2f} ms" for age in AGES))
    console.print(ages)
    console.print(
        f"largest differences: outputs {train['error']:.1e}, gradients {train['gradient_error']:.1e} of the largest"
    )
    figures = {
        "ratio_train": train["ratio"],
        "ratio_act": chunk["ratio"],
        "ratio_train_cpu_time": train["ratio_cpu"],
        "ratio_train_cognitive": alone["ratio"],
        "ratio_work": work[0] / work[1],
        "ratio_act_step": act["ratio"],
        "growth": growth[AGES[-1]] / growth[AGES[0]],
        "seconds_train": train["bank"],
        "seconds_train_reference": train["reference"],
        "seconds_act_step": act["bank"],
        "seconds_act": chunk["bank"],
        "error_outputs": train["error"],
        "error_act": chunk["error"],
        "error_gradients": train["gradient_error"],
        "rows": arguments.rows,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "compiled": arguments.compile,
        "seed": arguments.seed,
    }
    print(json.dumps({key: float(f"{x:.4g}") if isinstance(x, float) else x for key, x in figures.items()}))


def make_bank(*streams: str) -> MemoryBank:
    return MemoryBank(BankConfig(streams={name: STREAMS[name] for name in streams}, capacity=CAPACITY))


def make_inputs(bank: MemoryBank, rows: int, needs_gradient: bool) -> Inputs:
    """A step for `rows` episodes whose banks are full."""
    steps, times = bank.config.fake_episodes(rows, CAPACITY + 1, step_s=STEP_S)
    past = torch.arange(CAPACITY).expand(rows, -1).clone()
    state = bank.empty_state(rows)
    for name, stream in state.items():
        tokens = steps[name][:, :CAPACITY].clone()
        similarity = torch.zeros_like(stream.similarity)
        similarity[:, 1:] = token_similarity(tokens[:, :-1], tokens[:, 1:])
        state[name] = stream._replace(
            tokens=tokens,
            time=times[:, :CAPACITY],
            start=times[:, :CAPACITY],
            end=times[:, :CAPACITY],
            counts=torch.ones_like(past),
            first=past,
            last=past,
            similarity=similarity,
            size=torch.full_like(stream.size, CAPACITY),
            written=torch.full_like(stream.written, CAPACITY),
        )
    tokens = {name: value[:, CAPACITY].clone().requires_grad_(needs_gradient) for name, value in steps.items()}
    return tokens, times[:, CAPACITY], state


def bank_step(bank: MemoryBank, inputs: Inputs, compiled: Callable[..., Any] | None = None) -> Callable[[], Any]:
    """A step of the bank, to be called."""
    return lambda: (compiled or bank.step)(*inputs).tokens


def reference_step(bank: MemoryBank, inputs: Inputs) -> Callable[[], Any]:
    """The same step in plain loops, to be called once: it changes its memory."""
    tokens, times, state = inputs
    reference = ReferenceBank(bank, list(range(len(times))))
    reference.load(state)
    return lambda: reference.step(tokens, times)


def run_training(bank: MemoryBank, inputs: Inputs, step: Callable[[], Any]) -> tuple[float, float, dict[str, Tensor]]:
    """Forward and backward: seconds, seconds of processor time, and {name: outputs and gradients}."""
    learned = {**dict(bank.named_parameters()), **{f"tokens of {name}": value for name, value in inputs[0].items()}}
    for value in learned.values():
        value.grad = None
    start, start_cpu = time.perf_counter(), time.process_time()
    outputs = step()
    sum(value.square().mean() for value in outputs.values()).backward()
    spent, spent_cpu = time.perf_counter() - start, time.process_time() - start_cpu
    results = {f"output of {name}": value.detach() for name, value in outputs.items()}
    return (
        spent,
        spent_cpu,
        results | {name: value.grad.clone() for name, value in learned.items() if value.grad is not None},
    )


def compare_training(
    bank: MemoryBank, rows: int, rounds: int, compiles: bool, advance: Callable[[], None]
) -> dict[str, float]:
    """Seconds of a training step each, their ratio, and how far apart their results are."""
    compiled = torch.compile(bank.step, fullgraph=True) if compiles else None
    inputs = make_inputs(bank, rows, needs_gradient=True)
    run_training(bank, inputs, bank_step(bank, inputs, compiled))  # compiles, and fills the allocator
    spent: dict[str, list[float]] = {"reference": [], "bank": []}
    ratios_cpu = []
    for _ in range(rounds):
        fast, fast_cpu, mine = run_training(bank, inputs, bank_step(bank, inputs, compiled))
        slow, slow_cpu, theirs = run_training(bank, inputs, reference_step(bank, inputs))
        spent["bank"].append(fast)
        spent["reference"].append(slow)
        ratios_cpu.append(slow_cpu / fast_cpu)
        advance()
    differences = {name: float((mine[name] - value).abs().max()) for name, value in theirs.items()}
    largest = max(float(value.abs().max()) for name, value in theirs.items() if not name.startswith("output"))
    return {
        **{name: statistics.median(each) for name, each in spent.items()},
        "ratio": statistics.median(a / b for a, b in zip(*spent.values(), strict=True)),
        "ratio_cpu": statistics.median(ratios_cpu),
        "error": max(each for name, each in differences.items() if name.startswith("output")),
        "gradient_error": max(each for name, each in differences.items() if not name.startswith("output")) / largest,
    }


def compare_acting(bank: MemoryBank, rounds: int, compiles: bool) -> dict[str, float]:
    """Seconds of a step of one episode each, without gradients, and their ratio."""
    compiled = torch.compile(bank.step, fullgraph=True) if compiles else None
    inputs = make_inputs(bank, 1, needs_gradient=False)
    spent: dict[str, list[float]] = {"reference": [], "bank": []}
    with torch.no_grad():
        bank_step(bank, inputs, compiled)()
        for _ in range(rounds):
            for name, step in (
                ("reference", reference_step(bank, inputs)),
                ("bank", bank_step(bank, inputs, compiled)),
            ):
                start = time.perf_counter()
                step()
                spent[name].append(time.perf_counter() - start)
    ratios = (a / b for a, b in zip(*spent.values(), strict=True))
    return {**{name: statistics.median(each) for name, each in spent.items()}, "ratio": statistics.median(ratios)}


def compare_chunks(rounds: int) -> dict[str, float]:
    """Seconds of a chunk by DiT-B each, their ratio, and how far apart the chunks are."""
    config = ExpertConfig(size="B")
    expert = ActionExpert(config, 7, 1024, {"perceptual": 256}).eval()
    for parameter in expert.parameters():  # what begins at zero is not to be skipped
        torch.nn.init.normal_(parameter, std=0.02) if not parameter.any() else None
    cognitive, tokens = torch.randn(1, 1024), {"perceptual": torch.randn(1, 256, 256)}
    noise, drop = torch.randn(1, config.horizon, 7), torch.ones(1, dtype=torch.bool)

    def straightforward(noisy: Tensor, step: Tensor) -> Tensor:
        one, dit = step.view(1, 1), expert.dit
        given = dit.denoise(noisy[:, None], one, dit.condition(cognitive, tokens))[:, 0]
        without = dit.denoise(noisy[:, None], one, dit.condition(cognitive, tokens, drop=drop))[:, 0]
        return without + config.guidance * (given - without)

    spent: dict[str, list[float]] = {"reference": [], "bank": []}
    with torch.no_grad():
        expert.act(noise, cognitive, tokens)
        for _ in range(rounds):
            start = time.perf_counter()
            slow = expert.normalizer.invert(expert.process.restore(noise, straightforward).clamp(-1.0, 1.0))
            spent["reference"].append(time.perf_counter() - start)
            start = time.perf_counter()
            fast = expert.act(noise, cognitive, tokens)
            spent["bank"].append(time.perf_counter() - start)
    ratio = statistics.median(a / b for a, b in zip(*spent.values(), strict=True))
    error = float((fast - slow).abs().max())
    return {**{name: statistics.median(each) for name, each in spent.items()}, "ratio": ratio, "error": error}


def measure_growth(repeats: int) -> dict[int, float]:
    """Seconds of a step at each of AGES, of one small episode: the least of many, the ages taking turns."""
    config = BankConfig(streams={"perceptual": StreamConfig(tokens=16, dim=32)}, capacity=CAPACITY)
    bank = MemoryBank(config)
    generator = torch.Generator().manual_seed(0)
    state, states = bank.empty_state(1), {}

    def step(age: int, state: MemoryState) -> MemoryState:
        tokens = {"perceptual": torch.randn(1, 16, 32, generator=generator)}
        return bank.step(tokens, torch.tensor([STEP_S * age]), state).state

    spent: dict[int, list[float]] = {age: [] for age in AGES}
    with torch.no_grad():
        for age in range(AGES[-1] + 1):
            if age in AGES:
                states[age] = state
            state = step(age, state)
        for _ in range(repeats):
            for age in AGES:
                start = time.perf_counter()
                step(age, states[age])
                spent[age].append(time.perf_counter() - start)
    return {age: min(each) for age, each in spent.items()}


def count_work(bank: MemoryBank, which: Callable[[MemoryBank, Inputs], Callable[[], Any]]) -> float:
    """Floating-point operations of the matrix products in a training step of one episode."""
    inputs = make_inputs(bank, 1, needs_gradient=True)
    with FlopCounterMode(display=False) as counter:
        run_training(bank, inputs, which(bank, inputs))
    return float(counter.get_total_flops())


if __name__ == "__main__":
    main()
