"""How far an evaluation is: episodes, steps a second, time left."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_EVERY_S = 10.0


class EvaluationProgress:
    """On a terminal a bar for each agent and the filming; elsewhere a plain line every ten seconds, for log files."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._bars: Progress | None = None
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:>14}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[unit]}  {task.fields[rate]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self._console,
            )
        self._stage = ""

    def __enter__(self) -> EvaluationProgress:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def begin(self, stage: str, total: int, done: int = 0, unit: str = "episodes") -> None:
        """A new stage of `total` pieces of work, `done` of which are there already."""
        self._stage, self._total, self._done, self._first_done, self._unit = stage, total, done, done, unit
        self._steps, self._started_s = 0, time.monotonic()
        self._last_line_s = self._started_s
        if self._bars is not None:
            self._task: Any = self._bars.add_task(stage, total=total, completed=done, unit=unit, rate="")

    def stepped(self, steps: int) -> None:
        """The simulators took `steps` steps."""
        self._steps += steps
        if self._bars is not None:
            self._bars.update(self._task, rate=self._rate())
        elif time.monotonic() - self._last_line_s >= _LINE_EVERY_S:
            self._print_line()

    def advance(self) -> None:
        """One piece of work is done."""
        self._done += 1
        if self._bars is not None:
            self._bars.update(self._task, completed=self._done)
        elif self._done == self._total:
            self._print_line()

    def _print_line(self) -> None:
        self._last_line_s = time.monotonic()
        took_s = self._last_line_s - self._started_s
        ran = self._done - self._first_done
        left = f"  {_clock(took_s / ran * (self._total - self._done))} left" if ran else ""
        line = f"{self._stage}  {self._done}/{self._total} {self._unit}  {self._rate()}  {_clock(took_s)} so far{left}"
        self._console.print(line, highlight=False, soft_wrap=True)

    def _rate(self) -> str:
        took_s = time.monotonic() - self._started_s
        return f"{self._steps / took_s:.0f} steps/s" if self._steps and took_s > 0.0 else ""


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
