"""A reward for seeing what has not been seen in this episode (NGU's episodic part, arXiv 2002.06038).

::

    observation -- fixed random projection -- distance to its k nearest of the episode -- kernel -- bonus

Observations that lie near to many of the episode's earlier ones pay little, new ones much. Nothing is learnt, and what
is remembered ends with the episode.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_EPSILON, _CLUSTER, _SMALL, _MOST = 1e-3, 8e-3, 1e-3, 8.0
"""Constants of the paper (table 5): kernel's, the distance within which two are the same, and of the similarity."""


class EpisodicNovelty:
    """kNN novelty of n environments, each against its own episode.

    Args:
        rows: n.
        sizes: name -> numbers in one observation, of the sensors that are looked at.
        neighbours: k.
        capacity: observations of an episode that are kept, the newest.
        width: of the projection.
        seed: of the projection.
    """

    def __init__(
        self, rows: int, sizes: Mapping[str, int], neighbours: int, capacity: int, width: int = 16, seed: int = 0
    ) -> None:
        generator = np.random.default_rng([seed, 3])
        self._projections = {
            name: generator.normal(size=(size, width)) / np.sqrt(size) for name, size in sorted(sizes.items())
        }
        self._neighbours = neighbours
        self.points = np.zeros((rows, capacity, width), np.float32)
        self.counts = np.zeros(rows, np.int64)
        self.scale = np.zeros(1)
        """Running mean of squared distances to the k nearest."""
        self.seen = np.zeros(1)

    def bonus(self, observations: Mapping[str, np.ndarray], resets: np.ndarray) -> np.ndarray:
        """How new each row's observation is, float64 [n], from 0; and remembers it.

        Args:
            observations: name -> [n, ...].
            resets: bool [n], rows whose episode begins with this observation; their bonus is 0.
        """
        self.counts[resets] = 0
        now = sum(
            np.asarray(observations[name], np.float64).reshape(len(resets), -1) @ projection
            for name, projection in self._projections.items()
        )
        capacity = self.points.shape[1]
        squared = ((self.points - now[:, None]) ** 2).sum(axis=2)
        squared[np.arange(capacity) >= np.minimum(self.counts, capacity)[:, None]] = np.inf
        k = min(self._neighbours, capacity)
        nearest = np.partition(squared, k - 1, axis=1)[:, :k]
        known = np.isfinite(nearest)
        if known.any():
            self.seen += 1
            self.scale += (nearest[known].mean() - self.scale) / self.seen
        relative = np.where(known, nearest / max(float(self.scale[0]), 1e-12), np.inf)
        relative = np.maximum(relative - _CLUSTER, 0.0)
        similarity = np.sqrt((_EPSILON / (relative + _EPSILON)).sum(axis=1)) + _SMALL
        bonus = np.where((self.counts > 0) & (similarity < _MOST), 1.0 / similarity, 0.0)
        self.points[np.arange(len(now)), self.counts % capacity] = now
        self.counts += 1
        # Against nothing remembered 1 / similarity is 1000; a first-ever sight pays at most 10.
        return np.minimum(bonus, 10.0)
