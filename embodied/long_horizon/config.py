"""Settings of `embodied long-horizon build` and `eval`."""

from __future__ import annotations

from dataclasses import dataclass, field

from embodied.long_horizon.percepts import DetectorConfig
from sim.houses.config import SPLITS
from sim.long_horizon.config import ExperienceConfig


@dataclass
class BuildConfig:
    """Which pasts to record."""

    houses: str = field(default="data/houses", metadata={"help": "folder of the data set of houses"})
    split: str = field(default="test", metadata={"help": "whose houses: train, val or test"})
    out: str = field(default="data/long_horizon", metadata={"help": "folder; histories go to OUT/SPLIT"})
    limit: int = field(default=0, metadata={"help": "houses at most; 0: all of the split"})
    per_house: int = field(default=1, metadata={"help": "histories a house, of seeds that follow on `seed`"})
    seed: int = field(default=0, metadata={"help": "of the first history of a house"})
    experience: ExperienceConfig = field(default_factory=ExperienceConfig)
    python: str = field(default="", metadata={"help": "the simulator's interpreter; empty: the built one"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not '{self.split}'")
        if self.per_house < 1 or self.limit < 0:
            raise ValueError("per_house must be at least 1 and limit not negative")
        self.experience.validate()


@dataclass
class EvalConfig:
    """Whom to ask what."""

    houses: str = field(default="data/houses", metadata={"help": "folder of the data set of houses"})
    histories: str = field(default="data/long_horizon/test", metadata={"help": "folder of the histories to ask about"})
    train_histories: str = field(
        default="data/long_horizon/train",
        metadata={"help": "histories of other houses, that agents may learn from; only `blind` does"},
    )
    agents: list[str] = field(
        default_factory=lambda: [
            *("oracle", "random", "blind", "recent", "text_log", "bank_text", "bank", "bank_known_meaning"),
        ],
        metadata={"help": "who answers (embodied/long_horizon/agents.py)"},
    )
    output: str = field(default="runs/long_horizon", metadata={"help": "folder for the results"})
    per_template: int = field(default=1, metadata={"help": "questions of a template about one history, at most"})
    held_out: bool = field(default=True, metadata={"help": "put questions in the held-out phrasings"})
    seed: int = field(default=0, metadata={"help": "of the choice of questions and of the random agent"})
    low_level: bool = field(
        default=True, metadata={"help": "walk to the answers with the shortest-path follower (LL metrics, SPL)"}
    )
    max_steps: int = field(default=1000, metadata={"help": "steps of the low level for one question"})
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    samples: int = field(default=2000, metadata={"help": "bootstrap samples"})
    python: str = field(default="", metadata={"help": "the simulator's interpreter; empty: the built one"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        if self.per_template < 1 or self.max_steps < 1 or self.samples < 1:
            raise ValueError("per_template, max_steps and samples must be at least 1")
        self.detector.validate()
