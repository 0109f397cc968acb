"""Recording histories, checking their questions, and evaluating agents on them. All three go on where they stopped."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from embodied import config as configs
from embodied.evaluation.statistics import Clusters
from embodied.files import write_atomically
from embodied.long_horizon.agents import AGENTS, Tools, make_agents
from embodied.long_horizon.config import BuildConfig, EvalConfig
from embodied.long_horizon.metrics import Ground, Result, judge
from embodied.long_horizon.percepts import perceive
from sim.houses import HouseDatasetConfig
from sim.long_horizon.check import check_history, check_question
from sim.long_horizon.experience import ExperienceError, histories, record, start_worker
from sim.long_horizon.history import History
from sim.long_horizon.suites import COMPETENCIES, EARLIER, EXTRA, lag
from sim.long_horizon.tasks import Question, Truth
from sim.long_horizon.templates import FAMILIES, MULTI_GOAL, TEMPLATES, THEIRS

_PAIRS = 8
"""Questions of order recall about one history."""
METRICS = ("hl", "dtg", "sc", "count_right", "hl_spl", "ll", "ll_spl")


def build(config: BuildConfig) -> Path:
    """Records what is missing of a split's histories; a house that has too little to carry about is left out.

    Returns:
        The folder of the histories.

    Raises:
        ValueError: the config cannot be right, or there are no such houses.
        SimulatorError: the simulator failed.
    """
    config.validate()
    root, out = Path(config.houses), Path(config.out) / config.split
    names = split_houses(root, config.split)[: config.limit or None]
    wanted = list(histories(root, names, config.per_house, config.seed))
    worker = start_worker(config.python)
    try:
        with _bar() as bar:
            task = bar.add_task("histories", total=len(wanted))
            for house, seed, name in wanted:
                try:
                    record(worker, root.absolute(), house, config.experience, seed, out / name)
                except ExperienceError as error:
                    bar.console.print(f"left out: {error}")
                bar.advance(task)
    finally:
        worker.close()
    return out


def split_houses(root: Path, split: str) -> list[str]:
    """Names of a split's houses. Raises ValueError where there is no such data set."""
    try:
        stamp = json.loads((root / "dataset.json").read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"no data set of houses in {root} ({error}): make one with `embodied houses`") from error
    known = {field.name for field in dataclasses.fields(HouseDatasetConfig)}
    dataset = HouseDatasetConfig(**{key: value for key, value in stamp.items() if key in known})
    return [f"house_{seed:06d}" for seed in dataset.seeds(split)]


def load_histories(folder: Path, houses: Path) -> list[History]:
    """All histories of a folder, by name. Raises ValueError where there are none, HistoryError where one is damaged."""
    found = sorted(path.parent for path in folder.glob("*/history.json"))
    if not found:
        raise ValueError(f"no histories in {folder}: record some with `embodied long-horizon build`")
    return [History(path, houses) for path in found]


# -- the sixty, checked -----------------------------------------------------------------------------------------------


def check(config: EvalConfig) -> dict[str, dict[str, Any]]:
    """Draws every template's questions in every history and has the checker prove each.

    Returns:
        Template -> family, `houses` in which it can be asked, `questions`, `frames` and `chance` on average.

    Raises:
        CheckError: a question is not solvable or not unique, or a recording is not what it says.
    """
    rows: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for history in load_histories(Path(config.histories), Path(config.houses)):
        truth = Truth(history)
        replayed = check_history(history)
        for question in truth.draw(config.seed, config.per_template, config.held_out):
            check_question(truth, question, replayed)
            rows[question.template.id].append((history.meta["house"], question.chance))
    return {
        template.id: {
            "family": template.family,
            "houses": len({house for house, _ in rows[template.id]}),
            "questions": len(rows[template.id]),
            "chance": sum(c for _, c in rows[template.id]) / max(1, len(rows[template.id])),
        }
        for template in TEMPLATES
    }


def table(checked: dict[str, dict[str, Any]]) -> str:
    """Markdown, one row a template, none left out."""
    lines = [
        "| | ours | instruction (in training) | family | theirs, where public | houses | chance |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, template in enumerate(TEMPLATES, 1):
        row = checked[template.id]
        cells = [str(number), template.id, template.phrasings[0], template.family, THEIRS.get(template.id, "")]
        lines.append("| " + " | ".join([*cells, str(row["houses"]), f"{row['chance']:.3f}"]) + " |")
    return "\n".join(lines) + "\n"


# -- evaluation -------------------------------------------------------------------------------------------------------


def evaluate(config: EvalConfig) -> dict[str, Any]:
    """Asks every agent every question; writes `OUTPUT/results.json` and `answers/HISTORY.json`, one history at a time.

    A history whose answers are there, by the same config, is not asked again. Limits are steps, never time.

    Raises:
        ValueError: an unknown agent, no histories, or a config that cannot be right.
        SimulatorError: the simulator failed.
    """
    config.validate()
    output, houses = Path(config.output), Path(config.houses)
    tools = Tools(seed=config.seed)
    agents = make_agents(config.agents, tools)
    pasts = load_histories(Path(config.histories), houses)
    stamp = _stamp(config)
    kept = {history.name: _kept(output / "answers" / f"{history.name}.json", stamp) for history in pasts}
    if any(answers is None for answers in kept.values()):
        if "blind" in agents:
            agents["blind"].learn([(t, t.draw(config.seed, 2)) for t in map(Truth, _training(config))])
        worker = start_worker(config.python) if config.low_level else None
        try:
            with _bar() as bar:
                task = bar.add_task("histories", total=len(pasts))
                for history in pasts:
                    path = output / "answers" / f"{history.name}.json"
                    kept[history.name] = _kept(path, stamp)  # another process may have asked meanwhile
                    if kept[history.name] is None:
                        found = _ask(config, history, agents, Ground(worker) if worker else None)
                        rows = {name: [dataclasses.asdict(r) for r in results] for name, results in found.items()}
                        write_atomically(path, json.dumps({"stamp": stamp, "agents": rows}, indent=1))
                        kept[history.name] = found
                    bar.advance(task)
        finally:
            if worker is not None:
                worker.close()
    results = {name: [r for found in kept.values() if found for r in found[name]] for name in agents}
    body = {"config": configs.to_dict(config), **summarise(results, config.samples, config.seed)}
    write_atomically(output / "results.json", json.dumps(body, indent=1))
    return body


def _ask(
    config: EvalConfig, history: History, agents: dict[str, Any], ground: Ground | None
) -> dict[str, list[Result]]:
    truth = Truth(history)
    questions = truth.draw(config.seed, config.per_template, config.held_out)
    past = perceive(history, config.detector)
    if ground is not None:
        ground.enter(truth)
    found: dict[str, list[Result]] = {}
    for name, agent in agents.items():
        agent.read(past, truth)
        found[name] = [judge(truth, question, agent.answer(question)) for question in questions]
        if ground is not None:
            for question, result in zip(questions, found[name], strict=True):
                ground.finish(question, result, config.max_steps)
    return found


def suites(config: EvalConfig) -> dict[str, Any]:
    """The two short suites: HL-SR by competency, and order recall by lag; writes `OUTPUT/suites.json`.

    Raises:
        ValueError: an unknown agent, an agent that must learn first, no histories.
    """
    config.validate()
    if "blind" in config.agents:
        raise ValueError("agents: the suites have no training questions for 'blind'; leave it out")
    tools = Tools(seed=config.seed, templates=(*TEMPLATES, *EXTRA))
    agents = make_agents(config.agents, tools)
    pasts = load_histories(Path(config.histories), Path(config.houses))
    rows: dict[str, dict[str, list[tuple[str, float]]]] = {name: defaultdict(list) for name in agents}
    with _bar() as bar:
        task = bar.add_task("histories", total=len(pasts))
        for history in pasts:
            truth, past = Truth(history), perceive(history, config.detector)
            asked: list[tuple[str, Question]] = []
            for competency, templates in COMPETENCIES.items():
                drawn = truth.draw(config.seed, config.per_template, config.held_out, templates)
                asked += [(competency, question) for question in drawn]
            for question in truth.draw(config.seed, _PAIRS, config.held_out, [EARLIER]):
                asked.append((f"order recall, lag {_lag_word(lag(truth.story, question.words))}", question))
            for name, agent in agents.items():
                agent.read(past, truth)
                for suite, question in asked:
                    value = judge(truth, question, agent.answer(question)).hl
                    rows[name][suite].append((history.meta["house"], value))
            bar.advance(task)
    clusters = Clusters(sorted({history.meta["house"] for history in pasts}), config.samples, 0.95, config.seed)
    body: dict[str, Any] = {"config": configs.to_dict(config), "agents": {}}
    for name, by_suite in rows.items():
        body["agents"][name] = {}
        for suite, values in sorted(by_suite.items()):
            grouped: dict[str, list[float]] = {}
            for house, value in values:
                grouped.setdefault(house, []).append(value)
            body["agents"][name][suite] = dataclasses.asdict(clusters.estimate(grouped))
    write_atomically(Path(config.output) / "suites.json", json.dumps(body, indent=1))
    return body


def _lag_word(value: int) -> str:
    return str(value) if value <= 2 else "3 to 4" if value <= 4 else "5 and more"


def _training(config: EvalConfig) -> list[History]:
    asked = {path.name for path in Path(config.histories).glob("*")}
    found = load_histories(Path(config.train_histories), Path(config.houses))
    both = sorted(asked & {history.name for history in found})
    if both:
        raise ValueError(f"train_histories: {both[0]} is asked about too: an agent may not learn from it")
    return found


def _stamp(config: EvalConfig) -> dict[str, Any]:
    left_out = ("output", "samples", "python", "houses")
    return {key: value for key, value in configs.to_dict(config).items() if key not in left_out}


def _kept(path: Path, stamp: dict[str, Any]) -> dict[str, list[Result]] | None:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if body.get("stamp") != stamp:
        return None
    return {name: [Result(**row) for row in rows] for name, rows in body["agents"].items()}


def summarise(results: dict[str, list[Result]], samples: int, seed: int) -> dict[str, Any]:
    """Means with 95 % intervals (houses drawn with replacement), overall, by family, by length of history, by template,
    differences of `bank` to each other agent, and why answers failed."""
    first = next(iter(results.values()))
    clusters = Clusters(sorted({r.house for r in first}), samples, 0.95, seed)
    lengths = sorted({(r.history, r.frames) for r in first}, key=lambda pair: pair[1])
    cuts = [lengths[len(lengths) * part // 3][1] for part in (1, 2)]

    def group(rows: list[Result], metric: str) -> dict[str, list[float]]:
        grouped: dict[str, list[float]] = {}
        for row in rows:
            grouped.setdefault(row.house, []).append(float(getattr(row, metric)))
        return grouped

    def estimates(rows: list[Result], metrics: tuple[str, ...]) -> dict[str, Any]:
        return {metric: dataclasses.asdict(clusters.estimate(group(rows, metric))) for metric in metrics}

    body: dict[str, Any] = {"histories": len(lengths), "questions": len(first), "length_cuts": cuts, "agents": {}}
    for name, rows in results.items():
        by_length = defaultdict(list)
        for row in rows:
            by_length[sum(row.frames >= cut for cut in cuts)].append(row)
        body["agents"][name] = {
            "privileged": bool(getattr(AGENTS[name], "privileged", False)),
            "all": estimates(rows, (*METRICS, "chance")),
            "single_goal": estimates([r for r in rows if r.family not in MULTI_GOAL], ("hl", "chance")),
            "multi_goal": estimates([r for r in rows if r.family in MULTI_GOAL], ("hl", "count_right")),
            "family": {f: estimates([r for r in rows if r.family == f], ("hl", "chance")) for f in FAMILIES},
            "length": {str(part): estimates(found, ("hl", "chance")) for part, found in sorted(by_length.items())},
            "template": {t.id: _plain_mean([r.hl for r in rows if r.template == t.id]) for t in TEMPLATES},
            "failures": dict(Counter(r.failure for r in rows if r.failure)),
            "low_level_failures": dict(Counter(r.ll_failure for r in rows if r.ll_failure)),
        }
    if "bank" in results:
        ours = group(results["bank"], "hl")
        body["bank_over"] = {
            name: dataclasses.asdict(clusters.difference(ours, group(rows, "hl")))
            for name, rows in results.items()
            if name != "bank"
        }
    return body


def _plain_mean(values: list[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else None


def _bar() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
