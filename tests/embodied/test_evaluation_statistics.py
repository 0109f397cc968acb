"""Intervals: right on cases with a known answer, paired, clustered, repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from embodied.evaluation.episodes import EpisodeResult, GoalResult
from embodied.evaluation.statistics import Clusters, by_cluster, by_goal_index


def episode(index: int, scene: str, *successes: float, error: str = "") -> EpisodeResult:
    goals = [GoalResult("chair", success, 0.5 * success, distance_to_goal_m=1.0, steps=10) for success in successes]
    return EpisodeResult("someone", index, str(index), scene, goals, error=error)


def test_interval_of_independent_values_matches_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    names = [str(i) for i in range(400)]
    estimate = Clusters(names, 4000, 0.95, seed=0).estimate({name: [x] for name, x in zip(names, values, strict=True)})
    half = 1.96 * values.std(ddof=1) / 20
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert (estimate.count, estimate.clusters) == (400, 400)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    names = [str(i) for i in range(40)]
    covered = 0
    for trial in range(300):
        levels = np.clip(rng.normal(0.5, 0.2, size=40), 0, 1)
        values = {
            name: list(rng.binomial(1, level, size=5).astype(float)) for name, level in zip(names, levels, strict=True)
        }
        estimate = Clusters(names, 500, 0.95, seed=trial).estimate(values)
        covered += estimate.low <= 0.5 <= estimate.high
    assert 0.90 < covered / 300 < 0.98


def test_values_of_one_house_that_agree_widen_the_interval() -> None:
    houses = [str(i) for i in range(10)]
    alike = {house: [float(int(house) % 2)] * 20 for house in houses}
    mixed = {house: [0.0, 1.0] * 10 for house in houses}
    clusters = Clusters(houses, 2000, 0.95, seed=0)
    assert clusters.estimate(alike).high - clusters.estimate(alike).low > 0.4
    assert clusters.estimate(mixed).high - clusters.estimate(mixed).low == 0.0


def test_difference_is_paired() -> None:
    rng = np.random.default_rng(2)
    names = [str(i) for i in range(50)]
    hard = rng.normal(0.0, 10.0, size=50)
    better = {name: [level + 1.0 + rng.normal(0, 0.1)] for name, level in zip(names, hard, strict=True)}
    worse = {name: [level] for name, level in zip(names, hard, strict=True)}
    margin = Clusters(names, 2000, 0.95, seed=0).difference(better, worse)
    assert margin.mean == pytest.approx(1.0, abs=0.05)
    assert 0.9 < margin.low < margin.high < 1.1


def test_no_difference_between_equals_and_repeatable_draws() -> None:
    names = [str(i) for i in range(20)]
    values = {name: [float(i) ** 1.5] for i, name in enumerate(names)}
    clusters = Clusters(names, 1000, 0.9, seed=5)
    margin = clusters.difference(values, values)
    assert (margin.mean, margin.low, margin.high) == (0.0, 0.0, 0.0)
    assert clusters.estimate(values) == Clusters(names, 1000, 0.9, seed=5).estimate(values)
    assert clusters.estimate(values) != Clusters(names, 1000, 0.9, seed=6).estimate(values)


def test_grouping_by_house_by_trial_and_by_goal() -> None:
    results = [
        episode(0, "a", 1.0, 0.0),
        episode(1, "a", 1.0),
        episode(2, "b", 0.0, 1.0, 1.0),
        episode(3, "b", 1.0, error="the worker died twice"),
    ]
    assert by_cluster(results, "house", "success") == {"a": [1.0, 0.0, 1.0], "b": [0.0, 1.0, 1.0]}
    assert by_cluster(results, "trial", "spl") == {"0": [0.5, 0.0], "1": [0.5], "2": [0.0, 0.5, 0.5]}
    assert by_cluster(results, "trial", "collisions") == {"0": [0.0], "1": [0.0], "2": [0.0]}
    assert by_goal_index(results, "house", "success", 1) == {"a": [0.0], "b": [1.0]}


def test_missing_values_are_left_out_and_nothing_gives_no_number() -> None:
    clusters = Clusters(["a", "b"], 100, 0.95, seed=0)
    assert clusters.estimate({"a": [1.0, float("nan")], "b": [float("inf"), 3.0]}).mean == 2.0
    empty = clusters.estimate({})
    assert np.isnan([empty.mean, empty.low, empty.high]).all()
    assert empty.count == 0
