"""What an evaluation is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from embodied.agents.registry import AGENTS, agent_class
from sim.config import SimConfig

HOUSE, TRIAL, AUTO = "house", "trial", "auto"
#: The fewest houses whose resampling says something.
MIN_HOUSES = 8


@dataclass
class EvalConfig:
    """Which agents run which episodes, and where the results go."""

    agents: list[str] = field(
        default_factory=lambda: ["random", "oracle"],
        metadata={"help": "baselines by name, checkpoints by path, or LABEL=NAME_OR_PATH"},
    )
    sim: SimConfig = field(
        default_factory=SimConfig, metadata={"help": "task, episode file, workers; the order is always sequential"}
    )
    episodes: int = field(default=0, metadata={"help": "how many episodes, spread evenly over the file; 0: all"})
    memory: str = field(
        default="intact",
        metadata={
            "help": "how a policy's memory bank is damaged before each decision: intact (not), zero, shuffle (in time) "
            "or swap (with another environment's)"
        },
    )
    reference: str = field(default="random", metadata={"help": "the agent that margins are measured against"})
    seed: int = field(default=0, metadata={"help": "of agents that draw random numbers, and of the bootstrap"})
    output: str = field(
        default="runs/evaluation", metadata={"help": "folder for results.json, episodes.parquet, maps and videos"}
    )
    resume: bool = field(
        default=True, metadata={"help": "go on with an evaluation of the same settings that was cut off"}
    )
    cluster: str = field(
        default=AUTO,
        metadata={
            "help": "what the bootstrap resamples: house (how far results carry to other houses), trial (one episode), "
            f"or auto (house if there are at least {MIN_HOUSES}, else trial)"
        },
    )
    confidence: float = field(default=0.95, metadata={"help": "of the intervals"})
    bootstrap_samples: int = field(default=10_000, metadata={"help": "resamplings for an interval"})
    videos: int = field(
        default=3, metadata={"help": "episodes to film and map, spread over the file; each agent in each"}
    )
    video_steps: int = field(default=300, metadata={"help": "steps of an episode that are filmed, from its first"})
    video_pixels: int = field(default=256, metadata={"help": "height and width of the filming camera"})

    def validate(self) -> None:
        """Raises ValueError (AgentError for an agent) where a value cannot be right."""
        if not self.agents:
            raise ValueError("agents is empty: name at least one agent")
        labels = [label_of(entry) for entry in self.agents]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"agents has '{label}' twice: give each its own name as LABEL=NAME_OR_PATH")
        for entry in self.agents:
            agent_class(source_of(entry))
        if self.cluster not in (HOUSE, TRIAL, AUTO):
            raise ValueError(f"cluster must be {HOUSE}, {TRIAL} or {AUTO}, not '{self.cluster}'")
        if not 0.0 < self.confidence < 1.0:
            raise ValueError(f"confidence must lie between 0 and 1, not {self.confidence}")
        if self.episodes < 0:
            raise ValueError(f"episodes must be 0 (all) or more, not {self.episodes}")
        self.sim.validate()


def label_of(entry: str) -> str:
    """The label of an agent's entry: what stands before `=`, a baseline's name, or the checkpoint's folder or file."""
    if "=" in entry:
        return entry.split("=", 1)[0]
    if entry in AGENTS:
        return entry
    path = Path(entry)
    return path.stem if path.suffix else path.name


def source_of(entry: str) -> str:
    """The baseline's name or the checkpoint's path in an entry of `EvalConfig.agents`."""
    return entry.split("=", 1)[1] if "=" in entry else entry


def slug(label: str) -> str:
    """A label as a file name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", label)
