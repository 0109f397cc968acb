"""What one policy succeeds at more than another, over the same episodes of Meta-World.

Episodes are drawn with replacement, each with both outcomes: the comparison is paired, so what is hard for both does
not widen the interval.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from embodied.evaluation.statistics import Clusters
from embodied.metaworld.errors import MetaWorldError
from embodied.metaworld.evaluate import CONFIDENCE, RESULTS

_SAMPLES, _SEED = 10_000, 0


def compare(folder: Path, reference: Path) -> dict[str, Any]:
    """Differences in success with 95 % bootstrap intervals: of each task, and of "all".

    Args:
        folder, reference: of two finished evaluations.

    Raises:
        MetaWorldError: one is not finished, or they are not of the same episodes.
    """
    one, other = _results(folder), _results(reference)
    for key in ("tasks", "episodes", "seed"):
        if one["settings"][key] != other["settings"][key]:
            raise MetaWorldError(f"{folder} and {reference} are not of the same episodes: they differ in {key}")
    differences = {task: _difference(one, other, [task]) for task in one["tasks"]}
    return {"tasks": differences, "all": _difference(one, other, list(one["tasks"]))}


def print_differences(body: dict[str, Any], console: Console | None = None) -> None:
    """The differences in points, for people."""
    table = Table("task", "episodes", "difference", "95 %", box=None)
    for name, task in (*body["tasks"].items(), ("all", body["all"])):
        low, mean, high = (f"{100 * task[key]:+.0f}" for key in ("low", "mean", "high"))
        table.add_row(name, str(task["clusters"]), mean, f"{low} to {high}")
    (console or Console()).print(table)


def _difference(one: dict[str, Any], other: dict[str, Any], tasks: list[str]) -> dict[str, Any]:
    values, reference = (
        {f"{task}/{i}": [float(v)] for task in tasks for i, v in enumerate(body["tasks"][task]["outcomes"])}
        for body in (one, other)
    )
    clusters = Clusters(list(values), _SAMPLES, CONFIDENCE, _SEED)
    return asdict(clusters.difference(values, reference))


def _results(folder: Path) -> dict[str, Any]:
    try:
        body: dict[str, Any] = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        return body
    except (OSError, ValueError) as error:
        raise MetaWorldError(
            f"no finished evaluation in {folder} ({error}): run embodied metaworld evaluate"
        ) from error
