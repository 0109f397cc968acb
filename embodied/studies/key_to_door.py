"""Dark Key-to-Door: who remembers a layout, at the trained length of a trial and at eight times that.

A policy is taught by the scripted explorer on its own paths (DAgger), then goes on by PPO. What it earns is given as a
share of what the explorer and the oracle earn in the same trials.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from embodied.checkpoint import load
from embodied.environments import EnvConfig
from embodied.evaluation.memory_tasks import Episodes, play, policy_of
from embodied.files import write_atomically
from embodied.studies.grid import TABLE_NAME, Cell, cell, collect, quiet, run_cells
from embodied.studies.policies import policy_config
from embodied.training import dagger, ppo
from policies.config import PolicyConfig
from sim.memory_tasks import make_memory_env, make_scripted

SCRIPTED = {"random": "reactive", "explorer": "explorer", "oracle": "oracle"}
ROOMS = {"5x5": (5, 20, 100), "9x9": (9, 50, 500)}
"""Size, horizon of an inner episode, steps of a trial."""


@dataclass
class KeyToDoorConfig:
    """The study's grid and budget."""

    output: str = field(
        default="runs/key_to_door", metadata={"help": "folder; what is finished there is not run again"}
    )
    policies: list[str] = field(
        default_factory=lambda: ["lstm", "fct", "fct_truncated", "rmt", "memo", "memo_bounded"],
        metadata={"help": "of embodied/studies/policies.py"},
    )
    rooms: list[str] = field(default_factory=lambda: ["5x5"], metadata={"help": "5x5, 9x9"})
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4], metadata={"help": "of a training each"})
    longer: int = field(default=8, metadata={"help": "times the trained trial, in the second evaluation"})
    trials: int = field(default=1000, metadata={"help": "of each evaluation"})
    imitation_steps: int = field(default=1_000_000, metadata={"help": "environment steps of DAgger; 0: none"})
    steps: int = field(default=1_000_000, metadata={"help": "environment steps of PPO; 0: none"})
    num_envs: int = field(default=32, metadata={"help": "environments side by side"})
    imitation_rate: float = field(default=2e-3, metadata={"help": "learning rate of DAgger, at its highest"})
    learning_rate: float = field(default=5e-4, metadata={"help": "of PPO, at its highest"})
    temperature: float = field(default=1.0, metadata={"help": "of drawing actions when evaluated"})
    memory_size: int = field(default=64, metadata={"help": "width of every memory"})
    segment: int = field(default=25, metadata={"help": "memo, rmt: steps that are summed up together"})
    summaries: int = field(default=4, metadata={"help": "memo, rmt: summary tokens a segment"})
    summary_cap: int = field(
        default=512, metadata={"help": "memo: summary tokens kept in all, above what a trial of any length makes"}
    )
    bounded_cap: int = field(default=16, metadata={"help": "memo_bounded: summary tokens kept in all"})
    context: int = field(default=1024, metadata={"help": "fct: steps attended to at most; 9x9 at 8x has 4000"})
    truncated_context: int = field(
        default=41, metadata={"help": "fct_truncated: as many tokens as memo_bounded holds, segment + bounded_cap"}
    )
    workers: int = field(default=1, metadata={"help": "trainings at a time, a process each"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        for room in self.rooms:
            if room not in ROOMS:
                raise ValueError(f"rooms: no room '{room}', choose among {', '.join(ROOMS)}")
        for name in ("trials", "longer", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.imitation_steps < 1 and self.steps < 1:
            raise ValueError("steps and imitation_steps are both 0: there is nothing to train")
        for name in self.policies:
            self.policy(name).validate()

    def policy(self, name: str) -> PolicyConfig:
        cap = self.bounded_cap if name == "memo_bounded" else self.summary_cap
        return policy_config(
            name,
            memory_size=self.memory_size,
            segment=self.segment,
            summaries=self.summaries,
            summary_cap=cap,
            context=self.truncated_context if name == "fct_truncated" else self.context,
        )

    def env(self, room: str, seed: int) -> EnvConfig:
        size, horizon, trial = ROOMS[room]
        return EnvConfig("key_to_door", self.num_envs, seed, options={"size": size, "horizon": horizon, "trial": trial})


def run(config: KeyToDoorConfig, console: Console | None = None) -> tuple[Path, bool]:
    """Runs what is not finished, and writes the table of what is. Returns its path, and whether all is finished.

    Raises: as `embodied.training.dagger.train` and `embodied.training.ppo.train`.
    """
    config.validate()
    output = Path(config.output)
    cells = [
        cell(output, policy, room, seed) for seed in config.seeds for room in config.rooms for policy in config.policies
    ]
    completed = run_cells(config, cells, run_cell, config.workers, console or Console())
    path = output / TABLE_NAME
    write_atomically(path, table(config, collect(output, cells)))
    return path, completed


def run_cell(config: KeyToDoorConfig, each: Cell) -> bool:
    """Trains and evaluates one cell; False if it was asked to stop."""
    env, policy = config.env(each.configuration, each.seed), config.policy(each.policy)
    trial = int(env.options["trial"])
    begin_from, checkpoint = "", None
    if config.imitation_steps:
        taught = dagger.train(
            dagger.DaggerConfig(
                output=str(each.folder / "dagger"),
                seed=each.seed,
                env=replace(env, teacher="explorer"),
                policy=policy,
                steps=config.imitation_steps,
                segment_steps=trial,  # a whole trial: what is to be remembered lies far back
                updates_per_segment=4,
                batch_rows=config.num_envs,
                replay_steps=8 * trial * config.num_envs,
                learning_rate=config.imitation_rate,
                device="cpu",
                overlap=False,
            ),
            quiet(),
        )
        if not taught.completed:
            return False
        begin_from, checkpoint = str(taught.checkpoint), taught.checkpoint
    if config.steps:
        result = ppo.train(
            ppo.PpoConfig(
                output=str(each.folder / "ppo"),
                seed=each.seed,
                env=env,
                policy=policy,
                begin_from=begin_from,
                steps=config.steps,
                rollout_steps=trial,
                critic_rounds=10 if begin_from else 0,
                epochs=3,
                learning_rate=config.learning_rate,
                entropy=0.003,
                final_entropy=0.0,
                value_clip=0.0,
                device="cpu",
            ),
            quiet(),
        )
        if not result.completed:
            return False
        checkpoint = result.checkpoint
    assert checkpoint is not None
    played = policy_of(load(checkpoint))
    returns = {}
    for times in (1, config.longer):
        longer = replace(env, options={**env.options, "trial": times * trial})
        episodes = play(played, longer, config.trials, 100, seed=1_000_000, temperature=config.temperature)
        returns[str(times)] = episodes.summary()["return"]
    each.keep({"return": returns, "parameters": sum(p.numel() for p in played.parameters())})
    return True


def scripted_returns(room: str, role: str, times: int, trials: int) -> dict[str, float]:
    """What a scripted agent earns in the trials that policies are evaluated in: mean, median, interval."""
    size, horizon, trial = ROOMS[room]
    rows = min(100, trials)
    env = make_memory_env("key_to_door", rows, 1_000_000, size=size, horizon=horizon, trial=times * trial)
    agent = make_scripted("key_to_door", role, env)
    observations, _ = env.reset()
    resets, actions = np.ones(rows, bool), np.zeros(rows, np.int64)
    found: list[float] = []
    while len(found) < trials:  # all trials are of one length, so they end together
        actions = agent.act(observations, resets, actions)
        observations, _, terminated, truncated, infos = env.step(actions)
        resets = terminated | truncated
        found += [infos["final_info"][row]["metrics"]["return"] for row in np.flatnonzero(resets)]
    summary: dict[str, float] = Episodes({"return": np.array(found[:trials])}).summary()["return"]
    return summary


def table(config: KeyToDoorConfig, results: list[dict[str, Any]]) -> str:
    """Markdown: mean and median return over trials, averaged over seeds, and their share of explorer and oracle."""
    lines = []
    for room in config.rooms:
        for times in (1, config.longer):
            scripted = {name: scripted_returns(room, role, times, config.trials) for name, role in SCRIPTED.items()}
            lines += [
                f"{room}, trials of {times} x the trained length, {config.trials} trials, returns over seeds "
                "(lowest to highest seed):",
                "",
                "| policy | seeds | mean | median | mean / explorer | mean / oracle |",
                "|---|---|---|---|---|---|",
            ]
            explorer, oracle = scripted["explorer"]["mean"], scripted["oracle"]["mean"]
            for name, found in scripted.items():
                mean = found["mean"]
                row = (
                    name,
                    "",
                    f"{mean:.1f}",
                    f"{found['median']:.1f}",
                    f"{mean / explorer:.2f}",
                    f"{mean / oracle:.2f}",
                )
                lines.append("| " + " | ".join(row) + " |")
            for policy in dict.fromkeys(result["policy"] for result in results):
                of_policy = [
                    r["return"][str(times)] for r in results if r["policy"] == policy and r["configuration"] == room
                ]
                if not of_policy:
                    continue
                means = [found["mean"] for found in of_policy]
                mean, median = np.mean(means), np.mean([found["median"] for found in of_policy])
                spread = f"{mean:.1f} ({min(means):.1f} to {max(means):.1f})"
                row = (
                    policy,
                    str(len(means)),
                    spread,
                    f"{median:.1f}",
                    f"{mean / explorer:.2f}",
                    f"{mean / oracle:.2f}",
                )
                lines.append("| " + " | ".join(row) + " |")
            lines.append("")
    return "\n".join(lines)
