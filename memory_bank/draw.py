"""A trace as a picture: where each step's attention went, what was merged or forgotten, how much memory contributed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from embodied.files import replacing
from memory_bank.errors import BankError
from memory_bank.trace import FORGOT, MERGED, EpisodeTrace, Trace


def draw_trace(trace: Trace, row: int = 0, episode: int = -1, block: int = -1) -> Figure:
    """One episode of one row, a pair of panels a stream.

    Above, over the time of each step: the moments that are remembered, in the colour of the attention on the entry that
    holds them (a merged entry holds many); a line joins the two entries that a step merged, a cross marks one that it
    forgot. Below: the share of memory in what came out.

    Args:
        trace: the recording.
        row: of the batch.
        episode: which of the row's episodes in the recording.
        block: whose attention.

    Raises:
        BankError: nothing was recorded.
    """
    if not len(trace):
        raise BankError("nothing to draw: the trace holds no steps")
    streams = trace.streams
    figure = Figure(figsize=(7.5, 4.2 * len(streams)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2 * len(streams), 1, squeeze=False, sharex=True, height_ratios=[3, 1] * len(streams))[:, 0]
    for (above, below), name in zip(grid.reshape(-1, 2), streams, strict=True):
        told = trace.episodes(name, row)[episode]
        _draw_attention(figure, above, told, block)
        below.plot(told.times_s, 1 - told.gates, linewidth=1.5)
        below.set(ylim=(0, 1), ylabel="share of\nmemory")
        below.grid(alpha=0.3)
    grid[-1].set_xlabel("step, s")
    return figure


def save_drawing(figure: Figure, path: Path) -> None:
    """Writes a figure, in the format of the path's suffix, whole or not at all.

    Raises:
        embodied.files.FileError: the file cannot be written.
    """
    with replacing(Path(path)) as draft:
        figure.savefig(draft, dpi=120)


def _draw_attention(figure: Figure, axes: Any, told: EpisodeTrace, block: int) -> None:
    image, moments = told.attention_on_writes(block), told.write_times()
    known = np.isfinite(moments)
    mesh = axes.pcolormesh(
        _edges(told.times_s), _edges(moments[known]), image[:, known].T, cmap="viridis", vmin=0, shading="flat"
    )
    figure.colorbar(mesh, ax=axes, label="attention")
    for event in told.events:
        left = _centre(moments, event.left)
        if event.kind == MERGED:
            axes.plot(
                [event.time_s] * 2, [left, _centre(moments, event.into)], color="tab:red", linewidth=1, marker="."
            )
        elif event.kind == FORGOT:
            axes.plot(event.time_s, left, color="tab:red", marker="x", markersize=4)
    axes.set(ylabel="remembered moment, s", title=f"{told.stream}: attention, merged (lines), forgotten (crosses)")


def _centre(moments: np.ndarray, writes: tuple[int, int] | None) -> float:
    """The middle of a span of writes, seconds."""
    return float("nan") if writes is None else float(np.mean(moments[list(writes)]))


def _edges(centres: np.ndarray) -> np.ndarray:
    """[K] centres -> [K + 1] borders halfway between them."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]])
