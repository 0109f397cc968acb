"""Means with bootstrap intervals.

The unit of a mean is a goal (an episode has one; a trial of ExtObjectNav many). Goals of one house or one trial
resemble each other, so whole clusters are drawn, with replacement, and a resampled mean is the ratio of sums over the
drawn clusters (Cameron, Gelbach and Miller, 2008, "pairs cluster bootstrap"). Differences between agents draw the same
clusters for both: the comparison is paired. Intervals are percentiles of the resampled values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from embodied.evaluation.config import AUTO, HOUSE, MIN_HOUSES, TRIAL
from embodied.evaluation.episodes import EpisodeResult, GoalResult

#: Metrics of a goal: name -> its value, NaN where it has none.
METRICS: dict[str, Callable[[GoalResult], float]] = {
    "success": lambda goal: goal.success,
    "spl": lambda goal: goal.spl,
    "soft_spl": lambda goal: goal.soft_spl,
    "distance_to_goal_m": lambda goal: goal.distance_to_goal_m,
    "steps": lambda goal: float(goal.steps),
}
#: Metrics of an episode.
EPISODE_METRICS: dict[str, Callable[[EpisodeResult], float]] = {
    "collisions": lambda episode: float(episode.collisions),
    "reward": lambda episode: episode.reward,
}


@dataclass
class Estimate:
    """A mean with its confidence interval, over `count` values in `clusters` clusters."""

    mean: float
    low: float
    high: float
    count: int
    clusters: int


class Clusters:
    """The bootstrap's draws over a fixed set of clusters, shared by everything that is compared.

    Args:
        names: the clusters.
        samples: how many resamplings.
        confidence: of the intervals.
        seed: of the draws.
    """

    def __init__(self, names: list[str], samples: int, confidence: float, seed: int) -> None:
        self.names = names
        self._tail = 0.5 * (1.0 - confidence)
        draws = np.random.default_rng([seed, len(names)])
        share = np.full(len(names), 1.0 / max(1, len(names)))
        self._weights = draws.multinomial(len(names), share, size=samples).astype(np.float64)

    def estimate(self, values: dict[str, list[float]]) -> Estimate:
        """Mean of `values` (by cluster), NaN left out."""
        sums, counts = self._table(values)
        low, high = self._interval(self._ratios(sums, counts))
        total = counts.sum()
        mean = float(sums.sum() / total) if total else float("nan")
        return Estimate(mean, low, high, int(total), int((counts > 0).sum()))

    def difference(self, values: dict[str, list[float]], reference: dict[str, list[float]]) -> Estimate:
        """Mean of `values` less that of `reference`, both by the same clusters."""
        sums, counts = self._table(values)
        base_sums, base_counts = self._table(reference)
        low, high = self._interval(self._ratios(sums, counts) - self._ratios(base_sums, base_counts))
        both = (counts > 0) & (base_counts > 0)
        total, base_total = counts.sum(), base_counts.sum()
        mean = float(sums.sum() / total - base_sums.sum() / base_total) if total and base_total else float("nan")
        return Estimate(mean, low, high, int(total), int(both.sum()))

    def _table(self, values: dict[str, list[float]]) -> tuple[np.ndarray, np.ndarray]:
        columns = [np.array([value for value in values.get(name, ()) if np.isfinite(value)]) for name in self.names]
        return np.array([column.sum() for column in columns]), np.array([float(column.size) for column in columns])

    def _ratios(self, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self._weights @ sums) / (self._weights @ counts)

    def _interval(self, resampled: np.ndarray) -> tuple[float, float]:
        resampled = resampled[np.isfinite(resampled)]
        if not resampled.size:
            return float("nan"), float("nan")
        low, high = np.quantile(resampled, [self._tail, 1.0 - self._tail])
        return float(low), float(high)


def by_cluster(results: list[EpisodeResult], cluster: str, metric: str) -> dict[str, list[float]]:
    """The values of a metric, grouped by house or by trial; episodes that never ran to their end are left out."""
    grouped: dict[str, list[float]] = {}
    for result in results:
        if result.error:
            continue
        values = grouped.setdefault(cluster_of(result, cluster), [])
        if metric in METRICS:
            values += [METRICS[metric](goal) for goal in result.goals]
        else:
            values.append(EPISODE_METRICS[metric](result))
    return grouped


def by_goal_index(results: list[EpisodeResult], cluster: str, metric: str, index: int) -> dict[str, list[float]]:
    """As `by_cluster`, of the goal at one place in each trial's stream alone."""
    grouped: dict[str, list[float]] = {}
    for result in results:
        if not result.error and index < len(result.goals):
            grouped.setdefault(cluster_of(result, cluster), []).append(METRICS[metric](result.goals[index]))
    return grouped


def choose_cluster(asked: str, houses: int) -> str:
    """What to resample: as asked; `auto` takes houses where there are enough to resample."""
    if asked == AUTO:
        return HOUSE if houses >= MIN_HOUSES else TRIAL
    return asked


def cluster_of(result: EpisodeResult, cluster: str) -> str:
    return result.scene if cluster == HOUSE else str(result.index)
