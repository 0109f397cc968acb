"""Memory rewriting: every policy in the sixteen configurations of Endless T-Maze (arXiv 2601.15086).

Trained at one number of corridors, validated at 1, 3, 5 and 10, at an equal budget of environment steps. The table has
the published columns beside ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from embodied.checkpoint import load
from embodied.environments import EnvConfig
from embodied.evaluation.memory_tasks import play, policy_of
from embodied.files import write_atomically
from embodied.studies.grid import TABLE_NAME, Cell, cell, collect, quiet, run_cells
from embodied.studies.policies import policy_config
from embodied.training.ppo import PpoConfig, train
from policies.config import PolicyConfig
from sim.memory_tasks.t_maze import FIXED, UNIFORM

VALIDATED_AT = (1, 3, 5, 10)
PUBLISHED_POLICIES = ("PPO-LSTM", "FFM", "GTrXL", "SHM", "MLP")
PUBLISHED = {
    "fixed_l5_n3": ("1.00/1.00/.96/.96", "1.00/.99/.87/.68", ".40/.17/.09/.03", ".38/.18/.04/.00", ".40/.11/.04/.00"),
    "fixed_l10_n3": (
        "1.00/1.00/1.00/1.00",
        "1.00/.95/.80/.54",
        ".37/.12/.05/.01",
        ".12/.05/.01/.00",
        ".40/.16/.06/.01",
    ),
    "fixed_l5_n5": ("1.00/1.00/1.00/.96", ".95/.91/.90/.89", ".35/.10/.05/.01", ".50/.45/.34/.06", ".45/.15/.06/.00"),
    "fixed_l10_n5": (".83/.76/.69/.67", ".80/.72/.67/.58", ".49/.25/.19/.13", ".12/.00/.00/.00", ".25/.06/.01/.00"),
    "fixed_l5_n10": ("1.00/1.00/1.00/1.00", ".95/.78/.72/.68", ".89/.77/.69/.61", ".38/.24/.11/.01", ".30/.08/.02/.00"),
    "fixed_l10_n10": (".83/.83/.83/.83", ".80/.47/.35/.30", ".78/.64/.64/.62", ".00/.00/.00/.00", ".15/.05/.02/.00"),
}
"""Success validated at 1/3/5/10 corridors, read off the paper's figures (+-.02)."""


@dataclass
class RewritingConfig:
    """The study's grid and budget."""

    output: str = field(default="runs/rewriting", metadata={"help": "folder; what is finished there is not run again"})
    policies: list[str] = field(
        default_factory=lambda: ["memoryless", "gru", "lstm", "fct", "rmt", "hcam", "memo"],
        metadata={"help": "of embodied/studies/policies.py"},
    )
    modes: list[str] = field(default_factory=lambda: ["fixed", "uniform"], metadata={"help": "fixed, uniform lengths"})
    lengths: list[int] = field(default_factory=lambda: [5, 10], metadata={"help": "longest corridor"})
    corridors: list[int] = field(default_factory=lambda: [1, 3, 5, 10], metadata={"help": "in training"})
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2], metadata={"help": "of a training each"})
    steps: int = field(default=500_000, metadata={"help": "environment steps of each training"})
    episodes: int = field(default=100, metadata={"help": "of each validation"})
    rewards: str = field(default="repository", metadata={"help": "paper or repository (docs/memory_tasks.md)"})
    junction_flag: bool = field(default=False, metadata={"help": "show the junction"})
    num_envs: int = field(default=128, metadata={"help": "environments side by side"})
    rollout_steps: int = field(default=32, metadata={"help": "steps of each environment in a round"})
    epochs: int = field(default=4, metadata={"help": "of PPO"})
    minibatches: int = field(default=4, metadata={"help": "of PPO"})
    learning_rate: float = field(default=3e-3, metadata={"help": "of PPO, at its highest"})
    entropy: float = field(default=0.03, metadata={"help": "weight of the entropy bonus at first; it falls to 0.001"})
    gamma: float = field(default=0.98, metadata={"help": "discount a step"})
    segment: int = field(
        default=6,
        metadata={"help": "memo, rmt: steps that are summed up together; the shortest mazes must have several"},
    )
    summaries: int = field(default=2, metadata={"help": "memo, rmt: summary tokens a segment"})
    summary_cap: int = field(default=4, metadata={"help": "memo: summary tokens kept in all"})
    context: int = field(default=128, metadata={"help": "fct: steps attended to at most"})
    chunk: int = field(default=16, metadata={"help": "hcam: steps of a chunk"})
    chunks: int = field(default=8, metadata={"help": "hcam: chunks kept"})
    top_k: int = field(default=2, metadata={"help": "hcam: chunks attended to in detail"})
    workers: int = field(default=1, metadata={"help": "trainings at a time, a process each"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        for name in self.policies:
            self.policy(name).validate()
        for name in ("policies", "modes", "lengths", "corridors", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"{name} must name at least one")
        for name in ("steps", "episodes", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for mode in self.modes:
            if mode not in (FIXED, UNIFORM):
                raise ValueError(f"modes: no mode '{mode}', choose among {FIXED}, {UNIFORM}")
        for configuration in configurations(self):
            self.training(self.policies[0], configuration, 0, Path()).validate()

    def policy(self, name: str) -> PolicyConfig:
        sizes = ("segment", "summaries", "summary_cap", "context", "chunk", "chunks", "top_k")
        return policy_config(name, **{size: getattr(self, size) for size in sizes})

    def training(self, policy: str, configuration: str, seed: int, output: Path) -> PpoConfig:
        """The training of one cell."""
        mode, length, corridors = parse(configuration)
        options = {
            "mode": mode,
            "length": length,
            "corridors": corridors,
            "rewards": self.rewards,
            "junction_flag": self.junction_flag,
        }
        return PpoConfig(
            output=str(output),
            seed=seed,
            env=EnvConfig("t_maze", self.num_envs, seed, options=options),
            policy=self.policy(policy),
            steps=self.steps,
            rollout_steps=self.rollout_steps,
            epochs=self.epochs,
            minibatches=self.minibatches,
            learning_rate=self.learning_rate,
            entropy=self.entropy,
            final_entropy=0.001,
            gamma=self.gamma,
            device="cpu",
        )


def configurations(config: RewritingConfig) -> list[str]:
    """Names of the T-Maze configurations, as fixed_l5_n3."""
    return [f"{m}_l{length}_n{n}" for m in config.modes for length in config.lengths for n in config.corridors]


def parse(configuration: str) -> tuple[str, int, int]:
    """(mode, longest corridor, corridors) of a configuration's name."""
    mode, length, corridors = configuration.split("_")
    return mode, int(length[1:]), int(corridors[1:])


def run(config: RewritingConfig, console: Console | None = None) -> tuple[Path, bool]:
    """Runs what is not finished, and writes the table of what is. Returns its path, and whether all is finished.

    Raises: as `embodied.training.ppo.train`.
    """
    config.validate()
    output = Path(config.output)
    cells = [
        cell(output, policy, configuration, seed)
        for seed in config.seeds  # one seed of everything first: the table fills evenly
        for configuration in configurations(config)
        for policy in config.policies
    ]
    completed = run_cells(config, cells, run_cell, config.workers, console or Console())
    path = output / TABLE_NAME
    write_atomically(path, table(collect(output, cells)))
    return path, completed


def run_cell(config: RewritingConfig, each: Cell) -> bool:
    """Trains and validates one cell; False if it was asked to stop."""
    training = config.training(each.policy, each.configuration, each.seed, each.folder / "ppo")
    result = train(training, quiet())
    if not result.completed:
        return False
    policy = policy_of(load(result.checkpoint))
    success = {}
    for corridors in VALIDATED_AT:
        env = replace(training.env, options={**training.env.options, "corridors": corridors})
        # The likeliest action: what is asked is what the memory knows, not how much the policy still tries out.
        episodes = play(policy, env, config.episodes, 100, seed=1_000_000 + each.seed, temperature=0.0)
        success[str(corridors)] = float(episodes.metrics["success"].mean())
    each.keep(
        {
            "success": success,
            "steps": result.steps,
            "steps_per_s": result.figures["steps_per_s"],
            "parameters": sum(p.numel() for p in policy.parameters()),
        }
    )
    return True


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: success at 1/3/5/10 corridors, the mean over seeds, and the published columns."""
    policies = list(dict.fromkeys(result["policy"] for result in results))
    names = list(dict.fromkeys(result["configuration"] for result in results))
    names.sort(key=lambda name: (parse(name)[0], parse(name)[2], parse(name)[1]))
    lines = [
        "Success validated at 1/3/5/10 corridors, mean over seeds (their number in brackets if not all are done).",
        "Published columns are read off the paper's figures (+-.02).",
        "",
        "| trained on | " + " | ".join([*policies, *(f"published {name}" for name in PUBLISHED_POLICIES)]) + " |",
        "|---" * (1 + len(policies) + len(PUBLISHED_POLICIES)) + "|",
    ]
    seeds = len({result["seed"] for result in results})
    for name in names:
        row = [name]
        for policy in policies:
            of_cell = [r["success"] for r in results if r["policy"] == policy and r["configuration"] == name]
            row.append(_joined([_mean(of_cell, n) for n in VALIDATED_AT]) if of_cell else "")
            row[-1] += f" ({len(of_cell)})" if 0 < len(of_cell) < seeds else ""
        lines.append("| " + " | ".join([*row, *PUBLISHED.get(name, ("",) * len(PUBLISHED_POLICIES))]) + " |")
    lines += ["", *_averages(results, policies, names), "", f"A guess: {_joined([0.5**n for n in VALIDATED_AT])}.", ""]
    return "\n".join(lines)


def _averages(results: list[dict[str, Any]], policies: list[str], names: list[str]) -> list[str]:
    """Over the configurations that the paper has columns for, and over each mode."""
    lines = ["| mean over cells | " + " | ".join([*policies, *(f"published {n}" for n in PUBLISHED_POLICIES)]) + " |"]
    lines.append("|---" * (1 + len(policies) + len(PUBLISHED_POLICIES)) + "|")
    groups = {"published configurations": [name for name in names if name in PUBLISHED]}
    groups |= {mode: [name for name in names if parse(name)[0] == mode] for mode in ("fixed", "uniform")}
    for title, group in groups.items():
        if not group:
            continue
        row = [title]
        for policy in policies:
            cells = [r["success"] for r in results if r["policy"] == policy and r["configuration"] in group]
            row.append(f"{np.mean([_mean(cells, n) for n in VALIDATED_AT]):.2f}" if cells else "")
        for number in range(len(PUBLISHED_POLICIES)):
            known = [float(v) for n in group if n in PUBLISHED for v in PUBLISHED[n][number].split("/")]
            row.append(f"{np.mean(known):.2f}" if known and title == "published configurations" else "")
        lines.append("| " + " | ".join(row) + " |")
    return lines


def _mean(of_cell: list[dict[str, float]], corridors: int) -> float:
    return float(np.mean([success[str(corridors)] for success in of_cell])) if of_cell else math.nan


def _joined(values: list[float]) -> str:
    return "/".join(f"{value:.2f}" for value in values)
