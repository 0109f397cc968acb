"""Which episodes train, and which are held out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def split_episodes(episodes: Iterable[int], held_out: float = 0.1, seed: int = 0) -> tuple[list[int], list[int]]:
    """Draws the held-out episodes; the same set and seed give the same split.

    Args:
        episodes: indices.
        held_out: share of them, 0 to below 1. Any share above 0 holds out one at least; one always stays to train.

    Returns:
        Training episodes and held-out episodes, both in order.

    Raises:
        ValueError: there are no episodes, or only one although some are to be held out, or the share is out of range.
    """
    chosen = np.array(sorted(set(episodes)), np.int64)
    if not 0.0 <= held_out < 1.0:
        raise ValueError(f"held_out must be from 0 to below 1, not {held_out}")
    if not len(chosen):
        raise ValueError("there are no episodes to split")
    count = 0
    if held_out > 0.0:
        if len(chosen) < 2:
            raise ValueError("one episode cannot be split: record more, or set held_out to 0")
        count = min(max(round(held_out * len(chosen)), 1), len(chosen) - 1)
    order = np.random.default_rng(seed).permutation(chosen)
    return sorted(order[count:].tolist()), sorted(order[:count].tolist())
