"""Plots as inline SVG that follow the page's colours, light or dark.

matplotlib draws with placeholder colours, which are then replaced by the page's CSS variables.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("svg")

from matplotlib import pyplot

_INK, _GRID = "#010101", "#020202"
_MAX_AGENTS = 8
#: Placeholder of the k-th agent's colour.
_AGENT = [f"#0300{k:02d}" for k in range(_MAX_AGENTS)]
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _GRID,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
}


@dataclass
class Band:
    """One agent's line with its interval; `agent` is its place in the report's order."""

    label: str
    agent: int
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def plot_bands(bands: Sequence[Band], x_label: str, y_label: str, name: str) -> str:
    """Means in [0, 1] with intervals over a whole-numbered axis. `name`: of the plot, for its ids."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure, axes = pyplot.subplots(figsize=(5.4, 3.0), layout="constrained")
        for band in bands:
            colour = _AGENT[band.agent % _MAX_AGENTS]
            axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(band.x, band.mean, color=colour, marker="o", markersize=4, linewidth=1.8, label=band.label)
        axes.set(xlabel=x_label, ylabel=y_label, ylim=(-0.03, 1.03))
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
        return _svg(figure, name)


def plot_curve(x: Sequence[float], values: Sequence[float | None], x_label: str, name: str) -> str:
    """A training curve: the values, and their running mean where they are many. None and NaN are left out."""
    known = [(a, b) for a, b in zip(x, values, strict=True) if b is not None and np.isfinite(b)]
    xs, ys = np.array(known, dtype=float).reshape(-1, 2).T
    window = max(1, len(ys) // 40)
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure, axes = pyplot.subplots(figsize=(5.4, 2.6), layout="constrained")
        if window > 1:
            axes.plot(xs, ys, color=_AGENT[0], alpha=0.25, linewidth=0.8)
            xs, ys = xs[window - 1 :], np.convolve(ys, np.ones(window) / window, mode="valid")
        axes.plot(xs, ys, color=_AGENT[0], linewidth=1.8, marker="o" if len(ys) < 20 else None, markersize=3)
        axes.set(xlabel=x_label)
        axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
        return _svg(figure, name)


def _svg(figure: Any, name: str) -> str:
    """The figure as an SVG element that scales with the page, placeholders replaced."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    pyplot.close(figure)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace("font: 10px 'sans-serif'", "font-size: 10px").replace("sans-serif", "inherit")
    for placeholder, variable in [
        (_INK, "--ink"),
        (_GRID, "--line"),
        *((c, f"--agent-{k}") for k, c in enumerate(_AGENT)),
    ]:
        text = text.replace(placeholder, f"var({variable})")
    for mark in (' id="', "url(#", 'href="#'):  # ids are of the whole page
        text = text.replace(mark, f"{mark}{name}-")
    return text.strip()
