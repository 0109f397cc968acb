"""Makes the report: reads an evaluation's folder (and a training log), writes one HTML file."""

from __future__ import annotations

import base64
import datetime
import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from embodied.evaluation.config import MIN_HOUSES, slug
from embodied.evaluation.episodes import EpisodeResult
from embodied.evaluation.evaluate import cluster_words, load
from embodied.evaluation.film import FloorMap, first_frame, read_map
from embodied.files import write_atomically
from embodied.report import plots
from embodied.report.config import ReportConfig

_TASKS = {"pointnav": "PointNav", "objectnav": "ObjectNav", "ext_objectnav": "ExtObjectNav"}
_LOG_NAME = "train.jsonl"
_X_KEY = "steps"
_CURVES = ("loss", "accuracy", "success", "return", "reward", "spl")
_MAX_CURVES = 4
#: Table columns: metric, heading, unit, digits.
_COLUMNS = (
    ("success", "Success", "%", 1),
    ("spl", "SPL", "%", 1),
    ("soft_spl", "SoftSPL", "%", 1),
    ("distance_to_goal_m", "Distance to goal", "m", 2),
    ("steps", "Steps a goal", "", 0),
    ("collisions", "Collisions", "", 1),
    ("reward", "Reward", "", 2),
)


def write_report(config: ReportConfig) -> Path:
    """Writes the report and returns its path.

    Raises:
        ValueError: the evaluation or the training log cannot be read.
        FileError: the report cannot be written; an earlier one is unchanged.
    """
    folder = Path(config.evaluation)
    body, episodes = load(folder)
    path = Path(config.output) if config.output else folder / "report.html"
    write_atomically(path, render(config, body, episodes))
    return path


def render(config: ReportConfig, body: dict[str, Any], episodes: list[EpisodeResult]) -> str:
    """The report's HTML. Everything is in it: no file or address is referred to."""
    folder = Path(config.evaluation)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("embodied.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    task = body["config"]["sim"]["task"]
    labels = list(body["agents"])
    by_agent = {label: {e.index: e for e in episodes if e.agent == label} for label in labels}
    return environment.get_template("report.html.j2").render(
        title=config.title or f"{_TASKS.get(task, task)} evaluation",
        facts=_facts(body),
        agents=[_agent(label, place, body) for place, label in enumerate(labels)],
        columns=_COLUMNS,
        reference=body["reference"],
        cluster_words=cluster_words(body),
        few_clusters=body["clusters"] < MIN_HOUSES,
        goal_plots=_goal_plots(body),
        training=_training(config.training),
        films=_films(folder, body, by_agent),
        table=_episode_table(body, by_agent, config.max_table_rows),
        settings=json.dumps(body["config"], indent=1),
        written=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _facts(body: dict[str, Any]) -> list[tuple[str, str]]:
    """The header: what ran."""
    sim = body["config"]["sim"]
    control = f"discrete, {sim['turn_degrees']}° turns" if sim["control"] == "discrete" else "velocity, 10 Hz"
    first = next(iter(body["agents"].values()))
    goals = f" ({first['goals']} goals)" if first["goals"] != first["episodes"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in body["versions"].items())
    facts = [
        ("Task", f"{_TASKS.get(sim['task'], sim['task'])} ({control})"),
        (
            "Episodes",
            f"{first['episodes']}{goals} in {_count(body['houses'], 'house')}, from {Path(sim['episodes']).name}",
        ),
        ("Camera", f"{sim['image_size']} × {sim['image_size']} pixels" if sim["image_size"] else "the task's own"),
        ("Seed", str(body["config"]["seed"])),
        ("Workers", str(sim["num_envs"])),
        ("Took", _minutes(body["wall_s"]) + (" since it was resumed" if body["resumed"] else "")),
        ("Commit", body["commit"] or "not in a checkout"),
        ("Versions", versions),
    ]
    return [(name, text) for name, text in facts if text]


def _agent(label: str, place: int, body: dict[str, Any]) -> dict[str, Any]:
    agent = body["agents"][label]
    notes = []
    if agent["unfinished_goals"]:
        notes.append(f"{agent['unfinished_goals']} goals still sought when their episode ended, counted as failed")
    if agent.get("worker_restarts"):
        notes.append(f"{agent['worker_restarts']} simulator workers replaced")
    if agent["run_again"]:
        notes.append(f"{len(agent['run_again'])} episodes run again after a worker's death")
    if agent["not_run"]:
        notes.append(f"{len(agent['not_run'])} episodes left out: the simulator died in them twice")
    return {
        **agent,
        "label": label,
        "colour": f"var(--agent-{place % 8})",
        "notes": notes,
        "cells": [_cell(agent["metrics"].get(metric), unit, digits) for metric, _, unit, digits in _COLUMNS],
        "margins": [
            (heading, _cell(agent["margin"].get(metric), "%", 1, signed=True))
            for metric, heading, _, _ in _COLUMNS
            if metric in agent["margin"]
        ],
    }


def _cell(estimate: dict[str, Any] | None, unit: str, digits: int, signed: bool = False) -> dict[str, Any] | None:
    """An estimate as text; shares also as a bar from 0 to 100."""
    if estimate is None or estimate["mean"] is None:
        return None
    scale = 100.0 if unit == "%" else 1.0
    mean, low, high = (
        scale * (estimate[key] if estimate[key] is not None else math.nan) for key in ("mean", "low", "high")
    )
    return {
        "mean": _number(mean, digits, signed),
        "low": _number(low, digits, signed),
        "high": _number(high, digits, signed),
        "unit": unit,
        "bar": (low, mean, high) if unit == "%" and not signed else None,
        "side": "above" if low > 0 else "below" if high < 0 else "around",
        "count": estimate["count"],
    }


def _number(value: float | None, digits: int = 2, signed: bool = False) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", "−")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


# -- plots -----------------------------------------------------------------------------------------------------------


def _goal_plots(body: dict[str, Any]) -> list[tuple[str, str]]:
    """(title, SVG) of success and SPL over the place in the goal stream; none where episodes have one goal."""
    found = []
    for metric, title in (("success", "Success by goal index"), ("spl", "SPL by goal index")):
        bands = [
            _band(agent["title"], place, [entry[metric] for entry in agent["by_goal_index"]])
            for place, agent in enumerate(body["agents"].values())
            if agent["by_goal_index"]
        ]
        if bands:
            label = "success" if metric == "success" else "SPL"
            found.append((title, plots.plot_bands(bands, "goal of the trial", label, metric)))
    return found


def _band(title: str, place: int, estimates: list[dict[str, Any]]) -> plots.Band:
    def column(key: str) -> list[float]:
        return [math.nan if entry[key] is None else entry[key] for entry in estimates]

    return plots.Band(title, place, range(1, len(estimates) + 1), column("mean"), column("low"), column("high"))


def _training(source: str) -> list[tuple[str, str]]:
    """(title, SVG) of the training curves; none without a log."""
    if not source:
        return []
    path = Path(source)
    if path.is_dir():
        path = path / _LOG_NAME
    lines = [line for line in _read_log(path) if _X_KEY in line]
    keys = list(dict.fromkeys(key for line in lines for key, value in line.items() if isinstance(value, int | float)))
    chosen = [key for wanted in _CURVES for key in keys if wanted in key.lower()]
    chosen = list(dict.fromkeys(chosen))[:_MAX_CURVES]
    x = [line[_X_KEY] for line in lines]
    return [
        (
            key.replace("_", " "),
            plots.plot_curve(x, [line.get(key) for line in lines], _X_KEY, f"training-{slug(key)}"),
        )
        for key in chosen
    ]


def _read_log(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot read the training log {path}: {error.strerror or error}") from error
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            if number == len(text.splitlines()):  # a line that is being written, or was cut by a crash
                break
            raise ValueError(f"{path}:{number} is no JSON") from error
        if isinstance(entry, dict):
            lines.append(entry)
    return lines


# -- maps and videos -------------------------------------------------------------------------------------------------


def _films(folder: Path, body: dict[str, Any], by_agent: dict[str, dict[int, EpisodeResult]]) -> list[dict[str, Any]]:
    """The filmed episodes: a map with all agents' paths, and a video of each."""
    films = []
    places = {label: place for place, label in enumerate(body["agents"])}
    for index in dict.fromkeys(entry["index"] for entry in body["films"]):
        floor = read_map(folder, index)
        entries = [entry for entry in body["films"] if entry["index"] == index]
        results = {entry["agent"]: by_agent[entry["agent"]][index] for entry in entries}
        longest = max(results.values(), key=lambda result: len(result.goals))
        films.append(
            {
                "index": index,
                "scene": longest.scene,
                "goals": _goal_words(longest),
                "map": _map(floor, [(places[label], result) for label, result in results.items()]),
                "videos": [
                    {
                        "id": slug(f"{entry['agent']}-{index}"),
                        "title": body["agents"][entry["agent"]]["title"],
                        "colour": f"var(--agent-{places[entry['agent']] % 8})",
                        "data": _data_uri((folder / entry["video"]).read_bytes(), "video/mp4"),
                        "poster": _data_uri(_jpeg(first_frame(folder / entry["video"])), "image/jpeg"),
                        "words": _outcome(results[entry["agent"]]),
                        "faithful": entry["faithful"],
                    }
                    for entry in entries
                ],
            }
        )
    return films


def _map(floor: FloorMap, paths: Iterable[tuple[int, EpisodeResult]]) -> dict[str, Any]:
    """What the template draws as SVG, in cells of the floor map."""
    rows, columns = floor.navigable.shape
    picture = np.zeros((rows, columns, 4), np.uint8)
    picture[floor.navigable] = (128, 140, 160, 72)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    start = None
    lines = []
    for place, result in paths:
        points = floor.pixels(np.array(result.path)[:, :3])
        start = points[0]
        lines.append({"colour": f"var(--agent-{place % 8})", "points": _polyline(points)})
    goals = [
        {"x": round(float(x), 1), "y": round(float(y), 1), "number": number if len(floor.goals) > 1 else ""}
        for number, goal in enumerate(floor.goals, start=1)
        if goal["positions"]
        for x, y in floor.pixels(np.array(goal["positions"]))
    ]
    return {
        "rows": rows,
        "columns": columns,
        "image": _data_uri(buffer.getvalue(), "image/png"),
        "paths": lines,
        "start": None if start is None else (round(float(start[0]), 1), round(float(start[1]), 1)),
        "goals": goals,
        "metre": round(1.0 / floor.metres_per_cell, 2),
    }


def _polyline(points: np.ndarray) -> str:
    """SVG points; steps that moved less than half a cell are left out."""
    kept = [points[0]]
    for point in points[1:]:
        if np.hypot(*(point - kept[-1])) >= 0.5:
            kept.append(point)
    kept.append(points[-1])
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in kept)


def _goal_words(result: EpisodeResult, most: int = 12) -> str:
    names = [goal.category.replace("_", " ") for goal in result.goals if goal.category]
    if not names:
        return "a point"
    return ", ".join(names) if len(names) <= most else ", ".join(names[:most]) + f" and {len(names) - most} more"


def _outcome(result: EpisodeResult) -> str:
    if len(result.goals) == 1:
        goal = result.goals[0]
        ending = f"success, SPL {goal.spl:.2f}" if goal.success else f"failed {_number(goal.distance_to_goal_m)} m away"
        return f"{ending}, {result.steps} steps"
    reached = sum(goal.success > 0 for goal in result.goals)
    return f"{reached} of {len(result.goals)} goals, {result.steps} steps"


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=70)
    return buffer.getvalue()


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


# -- episodes --------------------------------------------------------------------------------------------------------


def _episode_table(
    body: dict[str, Any], by_agent: dict[str, dict[int, EpisodeResult]], max_rows: int
) -> dict[str, Any]:
    indices = sorted({index for results in by_agent.values() for index in results})
    rows = []
    for index in indices[:max_rows]:
        results = [by_agent[label].get(index) for label in by_agent]
        known = max((result for result in results if result is not None), key=lambda result: len(result.goals))
        rows.append(
            {
                "index": index,
                "scene": known.scene,
                "goals": _goal_words(known, most=3),
                "outcomes": [_table_cell(result) for result in results],
            }
        )
    return {"rows": rows, "left_out": len(indices) - len(rows)}


def _table_cell(result: EpisodeResult | None) -> dict[str, Any]:
    if result is None or result.error:
        return {"sort": -1.0, "mark": "?", "kind": "none", "words": "not run" if result is None else "simulator died"}
    spl = sum(goal.spl for goal in result.goals) / max(1, len(result.goals))
    if len(result.goals) == 1:
        goal = result.goals[0]
        words = f"SPL {spl:.2f}" if goal.success else f"{_number(goal.distance_to_goal_m, 1)} m off"
        kind, mark = ("good", "✓") if goal.success else ("bad", "✗")
    else:
        reached = sum(goal.success > 0 for goal in result.goals)
        words = f"SPL {spl:.2f}"
        kind, mark = ("good" if reached else "bad"), f"{reached}/{len(result.goals)}"
    return {"sort": result.success + 0.001 * spl, "mark": mark, "kind": kind, "words": f"{words}, {result.steps} steps"}
