"""The main job: houses, training, evaluation on unseen houses, report. What is done already is not done again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from embodied import config as configs
from embodied.checkpoint import META_FILE
from embodied.evaluation import EvalConfig, evaluate, load
from embodied.files import write_atomically
from embodied.report import ReportConfig, write_report
from embodied.training.dagger import DaggerConfig, train
from sim.config import SimConfig
from sim.houses import HouseDatasetConfig, build_dataset

POLICY_LABEL = "policy"
_STAMP = "evaluated.json"


@dataclass
class DemoConfig:
    """The parts' settings. Where they meet, the demo fills them in: folders, episode files, the policy to evaluate."""

    output: str = field(default="runs/demo", metadata={"help": "folder of the run, the evaluation and the report"})
    split: str = field(default="val", metadata={"help": "unseen houses to evaluate on: val or test"})
    houses: HouseDatasetConfig = field(default_factory=HouseDatasetConfig, metadata={"help": "what to generate"})
    train: DaggerConfig = field(default_factory=DaggerConfig, metadata={"help": "how to train"})
    eval: EvalConfig = field(
        default_factory=EvalConfig, metadata={"help": "how to evaluate; the policy is added to the agents"}
    )

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        self.houses.validate()
        self.train.validate()
        self.eval.validate()
        if self.split not in ("val", "test"):
            raise ValueError(f"split must be val or test, not '{self.split}'")
        if getattr(self.houses, self.split) < 1:
            raise ValueError(f"houses.{self.split} must be at least 1: these are the houses to evaluate on")
        if self.train.sim.task != self.eval.sim.task:
            raise ValueError(
                f"eval.sim.task is {self.eval.sim.task}, the policy is trained on train.sim.task {self.train.sim.task}"
            )


def run_demo(config: DemoConfig, console: Console | None = None) -> tuple[Path, bool]:
    """Does what of the job is not done yet.

    Returns:
        The report, and whether the job was completed; if a signal stopped the training, (its folder, False).

    Raises:
        ValueError, SimulatorError, HouseError, FileError: as the parts raise them.
    """
    config.validate()
    console = console or Console()
    output = Path(config.output)
    clock = _Clock(console)

    clock.begin("1/4 houses")
    root = build_dataset(config.houses)
    training = replace(config.train, output=str(output / "train"), sim=_sim(config.train.sim, root, "train"))

    clock.begin("2/4 training")
    trained = train(training, console)
    if not trained.completed:
        return output, False

    clock.begin("3/4 evaluation")
    evaluation = replace(
        config.eval,
        output=str(output / "eval"),
        sim=_sim(config.eval.sim, root, config.split),
        agents=[f"{POLICY_LABEL}={trained.checkpoint}", *config.eval.agents],
    )
    _evaluate_once(evaluation, trained.checkpoint, console)

    clock.begin("4/4 report")
    report = write_report(
        ReportConfig(evaluation=evaluation.output, training=str(trained.run), output=str(output / "report.html"))
    )
    clock.end()
    return report.absolute(), True


def _sim(sim: SimConfig, root: Path, split: str) -> SimConfig:
    return replace(sim, episodes=str(root / "episodes" / f"{sim.task}_{split}.json.gz"))


def _evaluate_once(config: EvalConfig, checkpoint: Path, console: Console) -> None:
    """Evaluates, unless this very checkpoint has been evaluated with these settings."""
    stamp = _stamp(config, checkpoint)
    path = Path(config.output) / _STAMP
    try:
        done = json.loads(path.read_text(encoding="utf-8")) == stamp
        load(Path(config.output))
    except (OSError, ValueError):
        done = False
    if done:
        return
    evaluate(config, console)
    write_atomically(path, json.dumps(stamp, indent=1) + "\n")


def _stamp(config: EvalConfig, checkpoint: Path) -> dict[str, Any]:
    body = configs.to_dict(config)
    meta = json.loads((checkpoint / META_FILE).read_text(encoding="utf-8"))
    episodes = Path(config.sim.episodes).stat()
    return {"config": body, "checkpoint": meta["files"], "episodes": [episodes.st_size, episodes.st_mtime]}


class _Clock:
    """Says which part begins, and how long the last one took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._part = ""
        self._started_s = self._begun_s = time.monotonic()

    def begin(self, part: str) -> None:
        self._close()
        self._part = part
        self._console.print(part, style="bold", highlight=False)

    def end(self) -> None:
        self._close()
        total_s = time.monotonic() - self._started_s
        self._console.print(f"all of it took {total_s:.0f} s", highlight=False)

    def _close(self) -> None:
        now = time.monotonic()
        if self._part:
            self._console.print(f"{self._part} took {now - self._begun_s:.0f} s", highlight=False)
        self._begun_s = now
