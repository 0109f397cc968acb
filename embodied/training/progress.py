"""How a training is going: a bar or plain lines, TensorBoard, and a log of JSON lines."""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from torch.utils.tensorboard import SummaryWriter

from embodied.files import FileError, write_atomically

LOG_NAME = "train.jsonl"
_LINE_EVERY_S = 10.0
_RATE_WINDOW = 20
"""Updates over which the rate is averaged."""


class TrainingProgress:
    """Shows and stores figures.

    On a terminal a bar; elsewhere a plain line every ten seconds, so that a log file stays readable.

    Args:
        run: the run's folder. Figures that a killed process logged beyond `steps` are taken back.
        total: steps of the whole training.
        steps: where it begins.
    """

    def __init__(self, run: Path, total: int, steps: int, console: Console | None = None) -> None:
        self._console = console or Console()
        self._total, self._steps = total, steps
        self._log_path = run / LOG_NAME
        kept = [line for line in _lines(self._log_path) if line.get("steps", 0) <= steps]
        write_atomically(self._log_path, "".join(json.dumps(line) + "\n" for line in kept))
        self._log = open(self._log_path, "a", encoding="utf-8")  # noqa: SIM115  (open as long as the training)
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=steps + 1)
        self._recent: deque[tuple[float, int]] = deque([(time.monotonic(), steps)], maxlen=_RATE_WINDOW)
        self._last_line_s = time.monotonic()
        self.figures: dict[str, float] = {}
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("train"),
                BarColumn(bar_width=24),
                TaskProgressColumn(),
                TextColumn("{task.fields[said]}"),
                TimeElapsedColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task("train", total=total, completed=steps, said="")
            self._bar.start()

    def update(self, steps: int, figures: Mapping[str, float]) -> None:
        """Figures after `steps` steps. Raises FileError if they cannot be stored."""
        now = time.monotonic()
        self._recent.append((now, steps))
        (begin_s, begin_steps), self._steps = self._recent[0], steps
        rate = (steps - begin_steps) / max(now - begin_s, 1e-9)
        self.figures = {"steps_per_s": round(rate, 1), **figures}
        try:
            self._log.write(json.dumps({"steps": steps, **self.figures}) + "\n")
            self._log.flush()
        except OSError as error:
            raise FileError(f"cannot write {self._log_path}: {error.strerror or error}. Free some space") from error
        for name, value in self.figures.items():
            self._board.add_scalar(name, value, steps)
        said = self._said(rate)
        if self._bar is not None:
            self._bar.update(self._task, completed=steps, said=said)
        elif now - self._last_line_s >= _LINE_EVERY_S or steps >= self._total:
            self._last_line_s = now
            self._console.print(f"train  {steps}/{self._total} steps  {said}", highlight=False, soft_wrap=True)

    def say(self, message: str) -> None:
        """A line of its own, above the bar."""
        self._console.print(message, highlight=False, soft_wrap=True)

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._log.close()
        with contextlib.suppress(OSError):
            self._board.close()

    def _said(self, rate: float) -> str:
        left_s = (self._total - self._steps) / rate if rate > 0.0 else 0.0
        shown = [f"{rate:.0f} steps/s", f"{int(left_s) // 60}:{int(left_s) % 60:02d} left"]
        for name in ("loss", "accuracy", "success"):
            if name in self.figures:
                shown.append(
                    f"{name} {self.figures[name]:.3f}" if name == "loss" else f"{name} {self.figures[name]:.0%}"
                )
        return "  ".join(shown)


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; a last one that a crash cut short is dropped."""
    lines = []
    if path.exists():
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(text))
    return lines
