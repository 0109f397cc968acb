"""A queue of action chunks that are carried out while the next is being inferred; plain Python, no clock of its own.

A chunk holds actions for H moments from the observation that it was decided on::

    time        0.0   0.1   0.2   0.3   0.4   0.5   0.6
    chunk A     a0    a1    a2    a3    (hold)                observed at 0.0
    chunk B                 b0    b1    b2    b3              observed at 0.2, inferred by 0.35
    executed    a0    a1    a2    a3|b  b2    b3    stop      late parts of B are skipped, never replayed

At any time only the actions meant for that time count, so a slow policy skips, it does not lag. Where several chunks
speak for one time they are blended:

- newest: the newest observation's action.
- ensemble: ACT's temporal ensembling (arXiv 2304.13705, section 4.2): weights exp(-m i), i = 0 the oldest chunk.
- real_time: what was under way goes on while the new chunk is inferred and then fades into it, by the soft mask of
  Real-Time Chunking (arXiv 2506.07339). The paper guides the denoising with that mask; here finished actions are mixed
  with it, so that any policy will do.

No action for now (nothing came in time, or all is over) is None: the robot stops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

NEWEST, ENSEMBLE, REAL_TIME = "newest", "ensemble", "real_time"


class ChunkError(ValueError):
    """A chunk that must not be carried out; the message is one line."""


@dataclass
class ChunkConfig:
    """How chunks are carried out."""

    blend: str = field(
        default=REAL_TIME, metadata={"help": "newest, ensemble (ACT) or real_time (as Real-Time Chunking fades)"}
    )
    decay: float = field(default=0.01, metadata={"help": "m of ensemble's weights exp(-m i); larger trusts older more"})
    hold_s: float = field(
        default=0.12, metadata={"help": "how long a chunk's last action goes on when nothing newer has come, seconds"}
    )

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        if self.blend not in (NEWEST, ENSEMBLE, REAL_TIME):
            raise ValueError(f"blend must be {NEWEST}, {ENSEMBLE} or {REAL_TIME}, not '{self.blend}'")
        if not self.hold_s >= 0.0:
            raise ValueError(f"hold_s must be 0 or more, not {self.hold_s}")
        if not math.isfinite(self.decay):
            raise ValueError(f"decay must be a finite number, not {self.decay}")


@dataclass(frozen=True)
class _Chunk:
    actions: np.ndarray
    observed_s: float
    period_s: float
    added_s: float
    """When it came: real_time lets what was under way go on until then."""

    def index(self, now_s: float) -> int:
        """Which of its actions is meant for now; negative before it begins, H or more when it is over."""
        return math.floor((now_s - self.observed_s) / self.period_s + 1e-9)

    @property
    def end_s(self) -> float:
        return self.observed_s + len(self.actions) * self.period_s


class ChunkQueue:
    """Chunks by the time of their observation. Times are seconds of one clock, whichever the caller uses.

    Args:
        config: how they are blended.
    """

    def __init__(self, config: ChunkConfig | None = None) -> None:
        self._config = config or ChunkConfig()
        self._config.validate()
        self._chunks: list[_Chunk] = []
        self.dropped = 0
        """Chunks that came too late to be carried out."""

    def add(self, actions: np.ndarray, observed_s: float, period_s: float, now_s: float) -> bool:
        """Takes a chunk.

        Args:
            actions: [H, A]; action i is meant for `observed_s + i period_s`.
            observed_s: stamp of the observation that it was decided on.
            period_s: from one action to the next.
            now_s: the time.

        Returns:
            Whether any of it can still be carried out; False: it was dropped.

        Raises:
            ChunkError: an action is not finite, or the shape is wrong. The queue is as it was.
        """
        actions = np.array(actions, np.float64)
        if actions.ndim != 2 or not actions.size:
            raise ChunkError(f"a chunk is an array [H, A], not one of shape {list(actions.shape)}")
        if not np.isfinite(actions).all():
            step, number = np.argwhere(~np.isfinite(actions))[0]
            raise ChunkError(f"action {step} of the chunk is {actions[step, number]} in dimension {number}")
        if not (period_s > 0.0 and math.isfinite(observed_s)):
            raise ChunkError(f"a chunk needs a time and a period above 0, not {observed_s} and {period_s}")
        chunk = _Chunk(actions, observed_s, period_s, now_s)
        if now_s >= chunk.end_s + self._config.hold_s:
            self.dropped += 1
            return False
        if self._chunks and len(self._chunks[0].actions[0]) != actions.shape[1]:
            raise ChunkError(f"actions of {actions.shape[1]} numbers among such of {len(self._chunks[0].actions[0])}")
        self._chunks = [
            kept for kept in self._chunks if kept.observed_s != observed_s and not self._is_over(kept, now_s)
        ]
        self._chunks = sorted([*self._chunks, chunk], key=lambda kept: kept.observed_s)
        return True

    def at(self, now_s: float) -> np.ndarray | None:
        """The action [A] for now; None: there is none, stop. What is over is forgotten."""
        self._chunks = [kept for kept in self._chunks if not self._is_over(kept, now_s)]
        return self.peek(now_s)

    def peek(self, now_s: float) -> np.ndarray | None:
        """As `at`, for a time to come: nothing is forgotten."""
        chunks = [kept for kept in self._chunks if not self._is_over(kept, now_s)]
        speaking = [kept for kept in chunks if 0 <= kept.index(now_s) < len(kept.actions)]
        if not speaking:  # between chunks: the last action goes on for a moment
            held = [kept for kept in chunks if kept.index(now_s) >= len(kept.actions)]
            return held[-1].actions[-1].copy() if held else None
        actions = np.stack([kept.actions[kept.index(now_s)] for kept in speaking])
        if self._config.blend == NEWEST:
            return actions[-1]
        if self._config.blend == ENSEMBLE:
            weights = np.exp(-self._config.decay * np.arange(len(actions)))
            return weights @ actions / weights.sum()
        action = actions[0]
        for older, newer, wanted in zip(speaking[:-1], speaking[1:], actions[1:], strict=True):
            share = _share_of_older(older, newer, now_s)
            action = share * action + (1.0 - share) * wanted
        return action

    def remaining_s(self, now_s: float) -> float:
        """For how long there are actions, without holding the last."""
        return max((kept.end_s - now_s for kept in self._chunks), default=0.0)

    def clear(self) -> None:
        """Forgets everything: the robot stops."""
        self._chunks = []

    def __len__(self) -> int:
        return len(self._chunks)

    def _is_over(self, chunk: _Chunk, now_s: float) -> bool:
        return now_s >= chunk.end_s + self._config.hold_s


def _share_of_older(older: _Chunk, newer: _Chunk, now_s: float) -> float:
    """The soft mask: 1 until the newer chunk had come, then falling to 0 where the older one ends."""
    if now_s <= newer.added_s:
        return 1.0
    overlap_s = older.end_s - newer.added_s
    if overlap_s <= 0.0:
        return 0.0
    left = min(1.0, max(0.0, (older.end_s - now_s) / overlap_s))
    return left * math.expm1(left) / math.expm1(1.0)
