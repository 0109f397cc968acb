"""What training takes: stretches of episodes, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Episode:
    """One demonstration.

    `success`: whether the task was done, None where nobody said. `facts`: what else was recorded with it (seed, task).
    """

    index: int
    length: int
    instructions: tuple[str, ...]
    success: bool | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Segment:
    """T observations of B rows; every row goes through one episode after another, in order.

    A row's next segment goes on where this one ended. Letters: B rows, T steps, S state, A action, H chunk.
    """

    images: dict[str, np.ndarray]
    """Camera -> uint8 [B, T, height, width, 3]; or whatever else the `FrameSource` serves, [B, T, ...]."""
    state: np.ndarray
    """float32 [B, T, S]."""
    times: np.ndarray
    """float64 [B, T]: seconds since the episode began."""
    resets: np.ndarray
    """bool [B, T]: the first step of an episode in this row."""
    mask: np.ndarray
    """bool [B, T]: false is padding, which only a stream that ends has, after a row's last episode."""
    actions: np.ndarray
    """float32 [B, T, H, A]: the actions from each observation on, zero where `action_mask` is false."""
    action_mask: np.ndarray
    """bool [B, T, H]: false beyond the episode's end."""
    instructions: list[list[str]]
    """[B][T]."""
    episodes: np.ndarray
    """int64 [B, T]: -1 is padding."""
    frames: np.ndarray
    """int64 [B, T]: index of the frame in its episode, -1 is padding."""


class FrameSource(Protocol):
    """What a policy sees of a frame: images, or features that a frozen encoder made of them beforehand."""

    def frames(self, episode: int, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Frames of an episode, name -> [n, ...]; `indices`, int64 [n], count from the episode's beginning."""
        ...


class Demonstrations(FrameSource, Protocol):
    """Recorded episodes."""

    @property
    def fps(self) -> float:
        """Frames a second."""
        ...

    @property
    def episodes(self) -> Mapping[int, Episode]:
        """By their index in the data set."""
        ...

    def actions(self, episode: int) -> np.ndarray:
        """float32 [frames, A]: what was done upon seeing each frame."""
        ...

    def states(self, episode: int) -> np.ndarray:
        """float32 [frames, S]."""
        ...

    def instructions(self, episode: int) -> list[str]:
        """One for each frame."""
        ...
