"""What a served policy takes and gives, and whether an observation is that. Imports only numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

IMAGES, STATE, ACTIONS = "images/", "state", "actions"
"""Names of arrays in messages: images/CAMERA, state, actions."""


class Observation(NamedTuple):
    """What one robot sees at one moment."""

    images: Mapping[str, np.ndarray]
    """Camera -> uint8 [H, W, 3] RGB, of the contract's size."""
    state: np.ndarray
    """float32 [S], in the units of the data that the policy was trained on."""
    instruction: str
    time_s: float
    """Since the episode began."""


class ObservationError(ValueError):
    """An observation is not what the contract says; the message is one line that names the part."""


@dataclass(frozen=True)
class Contract:
    """What goes in and what comes out."""

    policy: str
    """The checkpoint's folder and the steps it was trained for, for people."""
    cameras: dict[str, list[int]]
    """Name -> [H, W] pixels."""
    state_size: int
    """S; 0: the policy looks at no state."""
    action: dict[str, Any]
    """The action spec: kind, names, units, low, high, gripper (see `policies.action_expert.ActionSpec`)."""
    fps: float
    """Actions of a chunk are 1 / fps seconds apart."""
    horizon: int
    """H, actions of a chunk."""
    execute: int
    """How many of them were carried out between two decisions in training, at most."""

    @property
    def action_size(self) -> int:
        return len(self.action["names"])

    @property
    def blob_bytes(self) -> int:
        """Bytes of one observation's arrays."""
        return sum(3 * height * width for height, width in self.cameras.values()) + 4 * self.state_size

    def arrays(self) -> str:
        """The arrays of an observation, for messages."""
        images = [f"{IMAGES}{camera} uint8 {[*size, 3]}" for camera, size in self.cameras.items()]
        return ", ".join([*images, *([f"{STATE} float32 [{self.state_size}]"] if self.state_size else [])])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def check(self, arrays: Mapping[str, np.ndarray], instruction: Any, time_s: Any) -> Observation:
        """The observation that a request holds. Raises ObservationError."""
        wanted = [IMAGES + camera for camera in self.cameras] + ([STATE] if self.state_size else [])
        for name in (*wanted, *arrays):
            if name not in arrays or name not in wanted:
                have = ", ".join(arrays) or "nothing"
                raise ObservationError(f"an observation is {self.arrays()}; {have} came")
        images = {camera: arrays[IMAGES + camera] for camera in self.cameras}
        for camera, image in images.items():
            shape = (*self.cameras[camera], 3)
            if image.dtype != np.uint8 or image.shape != shape:
                raise ObservationError(
                    f"images of '{camera}' must be uint8 {list(shape)}, not {image.dtype} {list(image.shape)}"
                )
        state = arrays.get(STATE, np.zeros(0, np.float32))
        if state.dtype != np.float32 or state.shape != (self.state_size,):
            raise ObservationError(f"state must be float32 [{self.state_size}], not {state.dtype} {list(state.shape)}")
        if not np.isfinite(state).all():
            raise ObservationError(f"state holds NaN or infinity, at {np.flatnonzero(~np.isfinite(state)).tolist()}")
        if not isinstance(instruction, str) or not _is_text(instruction):
            raise ObservationError("instruction must be a text")
        if type(time_s) not in (int, float) or not math.isfinite(time_s) or time_s < 0:
            raise ObservationError("time_s must be the seconds since the episode began, 0 or more")
        return Observation(images, state, instruction, float(time_s))


def _is_text(value: str) -> bool:
    """Whether it is no half of a surrogate pair, which JSON lets through and tokenizers do not."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
