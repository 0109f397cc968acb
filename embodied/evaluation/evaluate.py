"""One evaluation: agents over episodes, intervals, margins, maps and videos, in one folder.

::

    OUTPUT/results.json        settings, versions, every mean with its interval, margins, what was filmed
    OUTPUT/episodes.parquet    every episode of every agent: goals, path, actions
    OUTPUT/maps/, videos/      of the filmed episodes
    OUTPUT/*.journal.jsonl     only while it runs: what a run that is cut off goes on from
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from embodied.agents.registry import describe_agent
from embodied.evaluation import film as filming
from embodied.evaluation.config import AUTO, HOUSE, EvalConfig, label_of, source_of
from embodied.evaluation.episodes import EpisodeResult, finite, read_parquet, write_parquet
from embodied.evaluation.progress import EvaluationProgress
from embodied.evaluation.runner import run_agents
from embodied.evaluation.statistics import (
    EPISODE_METRICS,
    METRICS,
    Clusters,
    by_cluster,
    by_goal_index,
    choose_cluster,
    cluster_of,
)
from embodied.files import write_atomically
from sim.runtime import ROOT

FORMAT = 1
_MARGIN_METRICS = ("success", "spl", "soft_spl")
_INDEX_METRICS = ("success", "spl")
_PACKAGES = ("torch", "numpy", "gymnasium")


def evaluate(config: EvalConfig, console: Console | None = None) -> dict[str, Any]:
    """Runs an evaluation and stores it in `config.output`; returns what `results.json` holds.

    A run that was cut off goes on where it was when it is started again with the same settings.

    Raises:
        ValueError: a setting is wrong.
        SimulatorError: the simulator cannot run the episodes.
        FileError: the folder cannot be written.
    """
    config.validate()
    started = time.monotonic()
    folder = Path(config.output)
    runs = run_agents(config, console)
    results = runs.results
    chosen = filming.choose(results, config.videos)
    films: list[dict[str, Any]] = []
    if chosen:
        with EvaluationProgress(console) as progress:
            progress.begin("videos", len(chosen) * len(results), unit="videos")
            films = filming.film(config, results, progress.advance)
    body = summarise(config, results)
    body.update(
        versions=versions() | runs.versions,
        commit=commit(),
        wall_s=round(time.monotonic() - started, 1),
        resumed=runs.resumed,
        films=films,
    )
    for label, count in runs.restarts.items():
        body["agents"][label]["worker_restarts"] = count
    write_parquet(folder / "episodes.parquet", [result for agent in results.values() for result in agent])
    write_atomically(folder / "results.json", json.dumps(finite(body), indent=1) + "\n")
    for journal in runs.journals:
        journal.remove()
    return body


def summarise(config: EvalConfig, results: dict[str, list[EpisodeResult]]) -> dict[str, Any]:
    """Every agent's means with intervals, by goal index too, and its margin over the reference agent."""
    ran = [result for agent in results.values() for result in agent if not result.error]
    cluster = choose_cluster(config.cluster, len({result.scene for result in ran}))
    names = sorted({cluster_of(result, cluster) for result in ran})
    clusters = Clusters(names, config.bootstrap_samples, config.confidence, config.seed)
    reference = results.get(config.reference)
    agents = {}
    for entry in config.agents:
        label = label_of(entry)
        title, privileges = describe_agent(source_of(entry), config.sim)
        own = results[label]
        agents[label] = {
            "source": Path(source_of(entry)).name,
            "title": title if label == source_of(entry) else label,
            "privileges": privileges,
            "episodes": sum(not result.error for result in own),
            "goals": sum(len(result.goals) for result in own if not result.error),
            "unfinished_goals": sum(not goal.finished for result in own if not result.error for goal in result.goals),
            "not_run": {str(result.index): result.error for result in own if result.error},
            "run_again": [result.index for result in own if result.attempts > 1 and not result.error],
            "metrics": {
                metric: asdict(clusters.estimate(by_cluster(own, cluster, metric)))
                for metric in (*METRICS, *EPISODE_METRICS)
            },
            "by_goal_index": _by_goal_index(own, cluster, clusters),
            "margin": {}
            if reference is None or label == config.reference
            else {
                metric: asdict(
                    clusters.difference(by_cluster(own, cluster, metric), by_cluster(reference, cluster, metric))
                )
                for metric in _MARGIN_METRICS
            },
        }
    return {
        "format": FORMAT,
        "config": asdict(config),
        "reference": config.reference if reference is not None else "",
        "cluster": cluster,
        "clusters": len(names),
        "houses": len({result.scene for result in ran}),
        "confidence": config.confidence,
        "agents": agents,
    }


def load(folder: Path) -> tuple[dict[str, Any], list[EpisodeResult]]:
    """What a finished evaluation left in its folder.

    Raises:
        ValueError: there is none, or it is of another format.
    """
    path = folder / "results.json"
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"no finished evaluation in {folder}: {path.name} cannot be read ({error})") from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise ValueError(f"{path} is of another format than {FORMAT}: evaluate again")
    return body, read_parquet(folder / "episodes.parquet")


def _by_goal_index(results: list[EpisodeResult], cluster: str, clusters: Clusters) -> list[dict[str, Any]]:
    """Per place in the trials' goal streams: {metric: estimate}; empty where every episode has one goal."""
    longest = max((len(result.goals) for result in results if not result.error), default=0)
    if longest < 2:
        return []
    return [
        {metric: asdict(clusters.estimate(by_goal_index(results, cluster, metric, index))) for metric in _INDEX_METRICS}
        for index in range(longest)
    ]


def versions() -> dict[str, str]:
    """Of what the results depend on, on the learning side."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The checkout's commit, with `+` where files differ from it; empty outside a checkout."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+" if git("status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return ""


def cluster_words(body: dict[str, Any]) -> str:
    """How the intervals came about, for people."""
    kind = "house" if body["cluster"] == HOUSE else "episode"
    unit = kind if body["clusters"] == 1 else f"{kind}s"
    words = f"{body['confidence']:.0%} intervals: bootstrap over {body['clusters']} {unit}"
    if kind == "episode" and body["config"]["cluster"] == AUTO:
        words += f" ({body['houses']} houses are too few to resample)"
    return words
