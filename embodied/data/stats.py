"""Figures of actions and states, to normalise them with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from embodied.data.errors import DataError


@dataclass(frozen=True)
class Statistics:
    """Of each dimension of a vector over many frames; all float64 [D].

    `q01` and `q99` are the 1 % and the 99 % quantile, which MemoryVLA (2508.19236) maps to -1 and 1.
    """

    mean: np.ndarray
    std: np.ndarray
    min: np.ndarray
    max: np.ndarray
    q01: np.ndarray
    q99: np.ndarray
    count: int
    """Frames that they were taken over."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            f.name: value.tolist() if isinstance(value := getattr(self, f.name), np.ndarray) else value
            for f in fields(self)
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Statistics:
        """From what `to_dict` gave."""
        arrays = {f.name: np.array(body[f.name], np.float64) for f in fields(cls) if f.name != "count"}
        return cls(**arrays, count=int(body["count"]))


def statistics(episodes: Iterable[np.ndarray]) -> Statistics:
    """Exact figures over all frames of some episodes, each [frames, D].

    Raises:
        DataError: there is no frame.
    """
    parts = [np.asarray(values, np.float64) for values in episodes]
    if not sum(len(values) for values in parts):
        raise DataError("statistics need one frame at least: choose some episodes")
    values = np.concatenate(parts)
    q01, q99 = np.quantile(values, [0.01, 0.99], axis=0)
    return Statistics(
        mean=values.mean(0),
        std=values.std(0),
        min=values.min(0),
        max=values.max(0),
        q01=q01,
        q99=q99,
        count=len(values),
    )
