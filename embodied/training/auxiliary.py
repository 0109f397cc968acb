"""What a policy should see in its pictures, taught by the simulator's ground truth.

The oracle's action says little about what an object looks like: mostly it depends on walls that are not in view. Where
in the picture which object stands says more with every step. It is a label, used while training only: the policy that
is trained reads cameras alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from embodied.agents.frontier import DETECTIONS
from embodied.agents.registry import prepare_sim
from sim.config import SimConfig

_LEAST_SHARE = 0.05
"""Share of a part of the picture that an object covers at least, to be what that part shows."""


def with_detector(sim: SimConfig) -> SimConfig:
    """`sim` with the sensors that `object_map` reads; the frontier agent reads the same."""
    return prepare_sim("frontier", sim)


def object_map(observations: Mapping[str, np.ndarray], shape: tuple[int, int, int]) -> np.ndarray:
    """Which object each part of the picture shows, uint8 [N, rows, columns]: 0 none, else its category id plus 1.

    Args:
        observations: with `detections` [N, H, W, 1].
        shape: (objects, rows, columns), how many categories there are and into which parts the picture is divided.
    """
    objects, rows, columns = shape
    shown = observations[DETECTIONS][..., 0]
    height, width = shown.shape[1] // rows, shown.shape[2] // columns
    tiles = shown[:, : rows * height, : columns * width].reshape(-1, rows, height, columns, width)
    shares = np.stack([(tiles == category).mean(axis=(2, 4)) for category in range(1, objects + 1)])
    return np.where(shares.max(axis=0) < _LEAST_SHARE, 0, shares.argmax(axis=0) + 1).astype(np.uint8)


def seeing_loss(seen: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of what a policy sees against what the picture shows, and the share of objects that it sees.

    Parts that show an object count as much together as those that show none, of which there are ten times as many.

    Args:
        seen: logits [..., 1 + objects, rows, columns] (`policies.base.Output.seen`).
        shown: `object_map` [..., rows, columns].
    """
    logits, labels = seen.flatten(0, -4).float(), shown.flatten(0, -3).long()
    is_object = (labels > 0).float()
    objects, others = is_object.sum().clamp(min=1.0), (1.0 - is_object).sum().clamp(min=1.0)
    errors = F.cross_entropy(logits, labels, reduction="none")
    loss = 0.5 * ((errors * is_object).sum() / objects + (errors * (1.0 - is_object)).sum() / others)
    hits = (logits.detach().argmax(dim=1) == labels).float() * is_object
    return loss, hits.sum() / objects
