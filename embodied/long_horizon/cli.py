"""The commands `embodied long-horizon ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Long-horizon memory tasks: record pasts, check questions, ask agents.")

Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings, as in other parts.")]


@app.command()
def build(overrides: Overrides = None) -> None:
    """Record histories: an oracle's days in each house of a split; what is there already is kept."""
    from embodied.config import load
    from embodied.long_horizon.config import BuildConfig
    from embodied.long_horizon.run import build as run_build

    print(run_build(load(BuildConfig, None, overrides or [])))


@app.command()
def table(
    overrides: Overrides = None,
    out: Annotated[str, typer.Option(help="A Markdown file to write; empty: print it.")] = "",
) -> None:
    """Check every question of every history, and list the sixty templates with the houses they can be asked in."""
    from embodied.config import load
    from embodied.files import write_atomically
    from embodied.long_horizon.config import EvalConfig
    from embodied.long_horizon.run import check
    from embodied.long_horizon.run import table as as_markdown

    text = as_markdown(check(load(EvalConfig, None, overrides or [])))
    if out:
        write_atomically(Path(out), text)
    print(out or text)


@app.command(name="eval")
def evaluate(overrides: Overrides = None) -> None:
    """Ask agents; an evaluation that is there goes on."""
    from embodied.config import load
    from embodied.long_horizon.config import EvalConfig
    from embodied.long_horizon.run import evaluate as run_evaluation

    config = load(EvalConfig, None, overrides or [])
    print_results(run_evaluation(config))
    print(config.output)


@app.command()
def suites(overrides: Overrides = None) -> None:
    """The two short suites: competencies of a memory, and order recall by lag."""
    from rich.console import Console
    from rich.table import Table

    from embodied.config import load
    from embodied.long_horizon.config import EvalConfig
    from embodied.long_horizon.run import suites as run_suites

    config = load(EvalConfig, None, overrides or [])
    agents = run_suites(config)["agents"]
    table = Table("HL-SR", *agents, box=None)
    for suite in next(iter(agents.values())):
        table.add_row(suite, *(_interval(agent[suite]) for agent in agents.values()))
    Console(width=200).print(table)
    print(config.output)


def print_results(body: dict[str, Any]) -> None:
    """An evaluation's tables, for people."""
    from rich.console import Console
    from rich.table import Table

    names = {"hl": "HL-SR", "dtg": "DTG-SR", "sc": "SC-SR", "count_right": "count", "hl_spl": "HL-SPL"}
    names |= {"ll": "LL-SR", "ll_spl": "LL-SPL", "chance": "chance"}
    overall = Table("agent", *names.values(), box=None)
    for name, agent in body["agents"].items():
        overall.add_row(name, *(_interval(agent["all"][metric]) for metric in names))
    families = Table("HL-SR by family", *body["agents"], box=None)
    for family in next(iter(body["agents"].values()))["family"]:
        families.add_row(family, *(_interval(a["family"][family]["hl"]) for a in body["agents"].values()))
    console = Console(width=200)
    console.print(f"{body['questions']} questions about {body['histories']} histories")
    console.print(overall)
    console.print(families)


def _interval(estimate: dict[str, float]) -> str:
    return f"{estimate['mean']:.3f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"
