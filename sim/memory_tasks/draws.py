"""Random numbers that belong to an episode, not to the order in which they are asked for.

A number is a hash (splitmix64, Steele et al., OOPSLA 2014) of the environment's seed, its row, the episode's count in
that row and a slot. So every policy meets the same episodes whatever it does, and a position to resume from holds no
generator.
"""

from __future__ import annotations

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_TO_UNIT = 2.0**-53


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))


def episode_keys(seed: int, rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """One key for each episode, uint64 [k].

    Args:
        seed: of the environments.
        rows, counts: int64 [k], which environment, and which of its episodes.
    """
    key = _mix(np.array([seed % 2**64], np.uint64) + _STEP)
    key = _mix(key + rows.astype(np.uint64) * _STEP + np.uint64(1))
    return _mix(key + counts.astype(np.uint64) * _STEP + np.uint64(2))


def uniform(keys: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1), float64 [k, s].

    Args:
        keys: uint64 [k].
        slots: non-negative ints [s] or [k, s]; the same slot of the same episode gives the same number.
    """
    mixed = _mix(keys[:, None] + np.asarray(slots).astype(np.uint64) * _STEP + _STEP)
    return (mixed >> np.uint64(11)).astype(np.float64) * _TO_UNIT


def integers(keys: np.ndarray, slots: np.ndarray, below: int | np.ndarray) -> np.ndarray:
    """As `uniform`, int64 in [0, below)."""
    return np.floor(uniform(keys, slots) * below).astype(np.int64)


def permutations(keys: np.ndarray, first_slot: int, size: int) -> np.ndarray:
    """A random order of `size` things for each episode, int64 [k, size]; takes `size` slots."""
    return np.argsort(uniform(keys, np.arange(first_slot, first_slot + size)), axis=1, kind="stable")
