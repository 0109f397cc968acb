"""Runs the cells of a study: each once, in any order, over as many processes as wanted; what is done is skipped.

::

    OUTPUT/cells/POLICY/CONFIGURATION/seed_S/      the cell's runs, and result.json once it is finished
    OUTPUT/results.jsonl                           one line a finished cell
    OUTPUT/table.md                                what the study makes of them
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from embodied.files import write_atomically

RESULT_NAME, RESULTS_NAME, TABLE_NAME = "result.json", "results.jsonl", "table.md"


@dataclass(frozen=True)
class Cell:
    """One training: what it is called, and where it lies."""

    policy: str
    configuration: str
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.policy} {self.configuration} seed {self.seed}"

    def result(self) -> dict[str, Any] | None:
        """What it came to, or None if it is not finished."""
        path = self.folder / RESULT_NAME
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def keep(self, result: dict[str, Any]) -> None:
        """Marks it finished. Raises FileError."""
        body = {"policy": self.policy, "configuration": self.configuration, "seed": self.seed, **result}
        write_atomically(self.folder / RESULT_NAME, json.dumps(body) + "\n")


def cell(output: Path, policy: str, configuration: str, seed: int) -> Cell:
    return Cell(policy, configuration, seed, output / "cells" / policy / configuration / f"seed_{seed}")


Run = Callable[[Any, Cell], bool]
"""Trains and evaluates a cell and keeps its result, given the study's config; False if it was asked to stop before. A
function of a module, so that another process can call it."""


def run_cells(config: Any, cells: Iterable[Cell], run: Run, workers: int, console: Console) -> bool:
    """Runs those that are not finished. Returns False if a signal stopped it; the same call goes on.

    Args:
        config: the study's, handed to `run`.
        workers: processes; 1 runs them in this one.
    """
    todo = [each for each in cells if each.result() is None]
    if not todo:
        return True
    columns = (
        TextColumn("study"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("study", total=len(todo), said="")
        begin_s = time.monotonic()

        def note(done: int, name: str) -> None:
            bar.update(task, completed=done, said=name)
            if not console.is_terminal:
                each_s = (time.monotonic() - begin_s) / done
                left_min = each_s * (len(todo) - done) / 60.0
                said = f"study  {done}/{len(todo)} cells  {each_s:.0f} s each  {left_min:.0f} min left  {name}"
                console.print(said, highlight=False, soft_wrap=True)

        if workers == 1:
            for number, each in enumerate(todo):
                if not run(config, each):
                    return False
                note(number + 1, each.name)
            return True
        return _in_processes(config, todo, run, workers, note)


def _in_processes(config: Any, todo: list[Cell], run: Run, workers: int, note: Callable[[int, str], None]) -> bool:
    # Started anew rather than forked: torch's threads do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        running: dict[Future[bool], Cell] = {pool.submit(run, config, each): each for each in todo}
        done = 0
        while running:
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                each = running.pop(future)
                if not future.result():
                    pool.shutdown(cancel_futures=True)
                    return False
                done += 1
                note(done, each.name)
    return True


def collect(output: Path, cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """The results of the finished cells, which are also written to OUTPUT/results.jsonl. Raises FileError."""
    results = [result for each in cells if (result := each.result()) is not None]
    write_atomically(output / RESULTS_NAME, "".join(json.dumps(result) + "\n" for result in results))
    return results


def quiet() -> Console:
    """A console for the trainings inside a study: their progress is in their logs."""
    return Console(quiet=True)
