"""How a bank is made. The defaults are the paper's (MemoryVLA, section 3.3 and its ablations)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from memory_bank.errors import BankError

RAW, FUSED = "raw", "fused"
EARLIER, MEAN = "earlier", "mean"
EQUAL, COUNT = "equal", "count"
GATE = "gate"
EPISODE, AGE, NONE = "episode", "age", "none"

_CHOICES = {
    "fuse": (GATE, MEAN),
    "write": (FUSED, RAW),
    "merged_time": (EARLIER, MEAN),
    "merge_weight": (EQUAL, COUNT),
    "clock": (EPISODE, AGE, NONE),
}


@dataclass(frozen=True)
class StreamConfig:
    """One kind of token that is remembered."""

    tokens: int = field(metadata={"help": "tokens a step (N)"})
    dim: int = field(metadata={"help": "width of the tokens that come in"})
    width: int | None = field(
        default=None,
        metadata={
            "help": "width inside the bank and of the tokens that come out (D), where a learned projection brings wide "
            "tokens down first; empty: dim, no projection"
        },
    )
    heads: int = field(default=1, metadata={"help": "attention heads of retrieval (the paper: 1; a public variant: 4)"})

    @property
    def bank_width(self) -> int:
        """D: the width of entries and of the tokens that come out."""
        return self.dim if self.width is None else self.width


def _paper_streams() -> dict[str, StreamConfig]:
    return {"perceptual": StreamConfig(tokens=256, dim=256), "cognitive": StreamConfig(tokens=1, dim=4096)}


@dataclass(frozen=True)
class BankConfig:
    """A bank of one or more streams that share a clock and a capacity."""

    streams: dict[str, StreamConfig] = field(
        default_factory=_paper_streams, metadata={"help": "stream name -> its tokens; leave one out to ablate it"}
    )
    capacity: int = field(default=16, metadata={"help": "entries a row holds at most (L)"})
    blocks: int = field(default=2, metadata={"help": "cross-attention blocks of retrieval"})
    fuse: str = field(default=GATE, metadata={"help": "gate (learned, per channel) or mean of current and retrieved"})
    write: str = field(
        default=FUSED,
        metadata={
            "help": "what is stored: fused (the paper: what comes out) or raw (what came in; trains in parallel)"
        },
    )
    strategy: str = field(
        default="merge", metadata={"help": "what a full bank does: merge, fifo, reservoir, none (see strategies/)"}
    )
    merge_weight: str = field(
        default=EQUAL,
        metadata={"help": "weights of a merge: equal (the paper) or count (every observation counts the same)"},
    )
    merged_time: str = field(
        default=EARLIER, metadata={"help": "time of a merged entry: earlier (of the two) or mean (weighted as tokens)"}
    )
    joint: bool = field(
        default=False, metadata={"help": "all streams merge or drop the same entry, by their mean similarity"}
    )
    clock: str = field(
        default=EPISODE,
        metadata={"help": "time that keys carry: episode (since its start), age (before now), none (ablation)"},
    )
    time_unit_s: float = field(
        default=0.1, metadata={"help": "seconds of one unit of the time embedding (fastest wave: 2 pi units)"}
    )
    time_features: int = field(default=256, metadata={"help": "sines and cosines before the time embedding's MLP"})
    detach: bool = field(
        default=True,
        metadata={"help": "stored entries carry no gradient: only the read path learns; false: it flows through time"},
    )

    def validate(self) -> None:
        """Raises BankError, naming the field, where a value cannot be right."""
        from memory_bank.strategies import strategy_class

        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise BankError(f"bank.{name} must be {' or '.join(choices)}, not '{getattr(self, name)}'")
        if not self.streams:
            raise BankError("bank.streams is empty: name at least one stream")
        for name in ("capacity", "blocks"):
            if getattr(self, name) < 1:
                raise BankError(f"bank.{name} must be at least 1, not {getattr(self, name)}")
        if not self.time_unit_s > 0:
            raise BankError(f"bank.time_unit_s must be above 0, not {self.time_unit_s}")
        if self.time_features < 2 or self.time_features % 2:
            raise BankError(f"bank.time_features must be even and at least 2, not {self.time_features}")
        for name, stream in self.streams.items():
            if not name.isidentifier():
                raise BankError(f"bank.streams: '{name}' cannot name a stream; use letters, digits and underscores")
            if min(stream.tokens, stream.dim, stream.bank_width, stream.heads) < 1:
                raise BankError(f"bank.streams.{name}: tokens, dim, width and heads must be at least 1")
            if stream.bank_width % stream.heads:
                raise BankError(
                    f"bank.streams.{name}.heads: {stream.heads} heads do not divide a width of {stream.bank_width}"
                )
        strategy_class(self.strategy)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BankConfig:
        """The config that `to_dict` wrote.

        Raises:
            BankError: a key is missing or unknown, or a value cannot be right.
        """
        try:
            streams = {name: StreamConfig(**stream) for name, stream in values["streams"].items()}
            config = cls(**{**values, "streams": streams})
            config.validate()
        except (KeyError, TypeError, AttributeError) as error:
            raise BankError(f"not a bank's config: {error}") from error
        return config

    def fake_episodes(
        self, rows: int, steps: int, seed: int = 0, step_s: float = 0.1, dtype: torch.dtype = torch.float32
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Random tokens and their times, as `MemoryBank.unroll` takes them: for tests, benchmarks and examples.

        Returns:
            ({stream: [rows, steps, N, dim]}, times [rows, steps], seconds)
        """
        generator = torch.Generator().manual_seed(seed)
        tokens = {
            name: torch.randn(rows, steps, stream.tokens, stream.dim, generator=generator, dtype=torch.float64).to(
                dtype
            )
            for name, stream in self.streams.items()
        }
        times = torch.arange(steps, dtype=torch.float64).mul(step_s).expand(rows, steps).clone()
        return tokens, times
