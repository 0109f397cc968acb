"""The learning rate over a training."""

from __future__ import annotations

import math


def warm_up_then_cosine(highest: float, done: float, warm_up: float, final: float) -> float:
    """The rate when a share `done` of the training is over: a short linear rise, then half a cosine.

    Args:
        highest: the rate at the end of the rise.
        done: 0 to 1.
        warm_up: share of the training in which it rises.
        final: share of `highest` left at the end.
    """
    if done < warm_up:
        return highest * max(done / warm_up, 0.01)
    fallen = (done - warm_up) / max(1.0 - warm_up, 1e-9)
    return highest * (final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, fallen))))
