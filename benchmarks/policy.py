"""What it costs to remember: time and state of one act() after 100, 1,000 and 10,000 steps, for every memory.

One row, float32, one thread, an episode that never ends, the policy of `policies/navigation.py` over a vector of 16
numbers, so that hardly anything but the memory is measured. Widths are chosen so that all policies have about as many
parameters. Times are medians of processor time; ages of one policy take turns, so that a ratio of ages is one of the
same minutes.

memo has 256 steps a segment, 32 summary tokens each and at most 1,024 of them (the paper's streaming mode); "memo,
merged" keeps 512, merging the most alike; "memo, all" forgets none. fct is the full context. A step with which a
segment of Memo ends also sums it up: that step is told separately, and the average over a segment with it.

Usage: python benchmarks/policy.py [--quick] [--parameters N] [--plot docs/img/policy_cost.png]
Last line: {"growth": Memo's time at 10,000 over that at 100, "token_ratio": cached tokens of the full context over
Memo's at 10,000, ...}.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from policies.base import SequencePolicy, State
from policies.config import PolicyConfig
from policies.contract import Actions, Contract, Sensor
from policies.registry import make_policy

AGES = (100, 1_000, 10_000)
SEGMENT, SUMMARIES = 256, 32
CONTRACT = Contract(
    {"seen": Sensor((16,), "float32", -1.0, 1.0)},
    Actions("discrete", ("stop", "move_forward", "turn_left", "turn_right")),
)
SHARED = PolicyConfig(embedding_size=64, layers=2, heads=8, segment=SEGMENT, summaries=SUMMARIES)
CASES = {
    "memoryless": replace(SHARED, memory="memoryless"),
    "gru": replace(SHARED, memory="gru"),
    "lstm": replace(SHARED, memory="lstm"),
    "register": replace(SHARED, memory="register"),
    "rmt": replace(SHARED, memory="rmt"),
    "hcam": replace(SHARED, memory="hcam"),
    "gtrxl": replace(SHARED, memory="gtrxl", context=512),
    "memo, merged": replace(SHARED, memory="memo", summary_cap=512, consolidation="merge"),
    "memo": replace(SHARED, memory="memo"),
    "memo, all": replace(SHARED, memory="memo", summary_cap=4096),
    "fct": replace(SHARED, memory="fct", context=12_288),
}
STRETCH = {"gtrxl": 1_000, "hcam": 250}
"""Steps that are played through at once on the way to an age, where the whole would take too much memory."""


@dataclass
class Cost:
    """Of one memory; a value an age."""

    width: int
    parameters: int
    ms: list[float]
    tokens: list[int]
    megabytes: list[float]
    border_ms: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer acts a median")
    parser.add_argument("--parameters", type=int, default=2_000_000, help="of every policy, about")
    parser.add_argument("--only", nargs="*", choices=list(CASES), help="some of the memories")
    parser.add_argument("--plot", type=Path, help="where to draw the figure")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # it is one thread's time that is measured
    acts = 15 if arguments.quick else 60
    names = arguments.only or list(CASES)
    costs = {}
    with Progress(transient=True) as progress:
        task = progress.add_task("measuring", total=len(names))
        for name in names:
            costs[name] = measure(CASES[name], arguments.parameters, acts)
            progress.advance(task)
    show(costs)
    if arguments.plot:
        plot(costs, arguments.plot)
    print(json.dumps(summary(costs)))


def measure(config: PolicyConfig, parameters: int, acts: int) -> Cost:
    config = replace(config, memory_size=fitting_width(config, parameters))
    torch.manual_seed(0)
    policy = make_policy(config, CONTRACT).eval()
    states = [state_at(policy, config, age - 1) for age in AGES]
    times: list[list[float]] = [[] for _ in AGES]
    with torch.inference_mode():
        for repeat in range(acts + 3):
            for index, state in enumerate(states):
                taken, states[index] = act(policy, state)
                if repeat >= 3:  # the first ones make caches
                    times[index].append(taken)
    border = None
    if config.memory in ("memo", "rmt"):
        border = statistics.median(border_time(policy, config) for _ in range(3))
    return Cost(
        config.memory_size,
        count(policy),
        [1e3 * statistics.median(each) for each in times],
        [tokens_held(config, state) - acts - 2 for state in states],
        [sum(values.nbytes for values in state.values()) / 1e6 for state in states],
        border,
    )


def act(policy: SequencePolicy, state: State) -> tuple[float, State]:
    """Processor seconds of one act, and the state after it."""
    seen, previous = {"seen": torch.rand(1, 16)}, torch.zeros(1, 1, dtype=torch.int64)
    resets = torch.zeros(1, dtype=torch.bool)
    begin = time.thread_time()
    output, state = policy.step(seen, previous, state, resets, in_place=True)
    output.actions.choose()
    return time.thread_time() - begin, state


def border_time(policy: SequencePolicy, config: PolicyConfig) -> float:
    """Milliseconds of the act that sums a segment up, as near to the last age as there is one."""
    state = state_at(policy, config, (AGES[-1] // config.segment) * config.segment - 1)
    _, state = act(policy, state)
    assert int(state["used"]) == config.segment
    return 1e3 * act(policy, state)[0]


@torch.no_grad()
def state_at(policy: SequencePolicy, config: PolicyConfig, steps: int) -> State:
    """The state after so many steps of one episode."""
    state = policy.initial_state(1)
    stretch = STRETCH.get(config.memory, steps)
    for begin in range(0, steps, stretch):
        size = min(stretch, steps - begin)
        resets = torch.zeros(size, 1, dtype=torch.bool)
        resets[0] = begin == 0
        seen = {"seen": torch.rand(size, 1, 16)}
        _, state = policy.unroll(seen, torch.zeros(size, 1, 1, dtype=torch.int64), state, resets)
    return state


def tokens_held(config: PolicyConfig, state: State) -> int:
    """Tokens that the next step can attend to."""
    if config.memory == "gtrxl":
        return min(int(state["seen"]), config.context)
    if config.memory == "hcam":
        return min(int(state["seen"]), config.chunk * config.chunks)
    if config.memory == "register":
        return config.registers
    summaries: Tensor | int = state.get("summary.size", 0)
    return int(state.get("used", 0)) + int(summaries) * config.summaries


def fitting_width(config: PolicyConfig, parameters: int) -> int:
    """The memory size, of multiples of 32, that comes nearest to so many parameters."""

    def size_of(width: int) -> int:
        return count(make_policy(replace(config, memory_size=width), CONTRACT))

    low, high = 2, 40
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size_of(32 * middle) < parameters else (low, middle)
    return 32 * min((low, high), key=lambda width: abs(size_of(32 * width) - parameters))


def count(policy: SequencePolicy) -> int:
    return sum(parameter.numel() for parameter in policy.parameters())


def show(costs: dict[str, Cost]) -> None:
    table = Table("memory", "width", "parameters", title="one act() of one row, by steps before it")
    for what in ("ms", "tokens", "state MB"):
        for age in AGES:
            table.add_column(f"{what} at {age:,}", justify="right")
    table.add_column("ms at a border", justify="right")
    table.add_column("ms on average", justify="right")
    for name, cost in costs.items():
        average = cost.ms[-1]
        if cost.border_ms is not None:
            average += (cost.border_ms - average) / SEGMENT
        table.add_row(
            name,
            str(cost.width),
            f"{cost.parameters / 1e6:.2f} M",
            *(f"{ms:.2f}" for ms in cost.ms),
            *(f"{tokens:,}" for tokens in cost.tokens),
            *(f"{size:.2f}" for size in cost.megabytes),
            "" if cost.border_ms is None else f"{cost.border_ms:.1f}",
            f"{average:.2f}",
        )
    Console(width=200).print(table)


def summary(costs: dict[str, Cost]) -> dict[str, float | str]:
    """The keys of the last line, of what was measured."""
    found: dict[str, float | str] = {"torch": torch.__version__}
    for name, cost in costs.items():
        found[f"growth_{name}"] = round(cost.ms[-1] / cost.ms[0], 2)
    if "memo" in costs:
        found["growth"] = found["growth_memo"]
        if "fct" in costs:
            found["token_ratio"] = round(costs["fct"].tokens[-1] / costs["memo"].tokens[-1], 2)
    return found


def plot(costs: dict[str, Cost], path: Path) -> None:
    """Time and tokens by age."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    for panel, what, title in zip(
        panels, ("ms", "tokens"), ("time of one act() (ms)", "tokens attended to"), strict=True
    ):
        for name, cost in costs.items():
            values = getattr(cost, what)
            style = {"linewidth": 2.5} if name.startswith(("memo,", "fct")) or name == "memo" else {"linewidth": 1.0}
            panel.plot(AGES, values, marker="o", markersize=3, label=name, **style)
        panel.set(xscale="log", yscale="log" if what == "ms" else "symlog", xlabel="steps so far", title=title)
        panel.grid(alpha=0.3)
    panels[1].set_ylim(bottom=0)
    panels[1].legend(fontsize=8, loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
