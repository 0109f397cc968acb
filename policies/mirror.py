"""The same experience with left and right exchanged.

A body that is the same on both sides could have lived it, in the mirror image of the house: what is learnt from a step
is learnt twice (Laskin et al., NeurIPS 2020, of augmentation in reinforcement learning).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from policies.contract import DISCRETE, Actions, Contract, ContractError
from policies.observations import COMPASS, GPS, POINT_GOAL
from policies.vision import OBJECT_GOAL

_LEFT, _RIGHT = "left", "right"


class Mirror:
    """Exchanges left and right in what a contract names (frames of REP 103: x ahead, y left, angles leftwards).

    Args:
        contract: of what the policy reads and does.

    Raises:
        ContractError: it has a sensor or an action whose mirror image is not known here.
    """

    def __init__(self, contract: Contract) -> None:
        self._pictures = {name for name, sensor in contract.sensors.items() if len(sensor.shape) == 3}
        known = self._pictures | {POINT_GOAL, GPS, COMPASS, OBJECT_GOAL}
        for name in contract.sensors:
            if name not in known:
                raise ContractError(f"mirror: it is not known what {name} looks like in a mirror; set mirror=false")
        self._is_discrete = contract.actions.kind == DISCRETE
        self._exchanged = torch.tensor(_exchanged(contract.actions))

    def observations(self, observations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Observations by name, [..., H, W, C] or [..., F], of any leading axes."""
        return {name: self._observation(name, values) for name, values in observations.items()}

    def _observation(self, name: str, values: Tensor) -> Tensor:
        if name in self._pictures:
            return values.flip(-2)
        if name in (POINT_GOAL, GPS):  # (distance m, angle) and habitat-lab's (ahead m, right m)
            return values * torch.tensor([1.0, -1.0], dtype=values.dtype, device=values.device)
        return -values if name == COMPASS else values

    def actions(self, actions: Tensor) -> Tensor:
        """Actions [..., width]: turns to the left for turns to the right; of velocities (v, w) the second's sign."""
        exchanged = self._exchanged.to(actions.device)
        return exchanged[actions] if self._is_discrete else actions * exchanged.to(actions.dtype)


def _exchanged(actions: Actions) -> list[int]:
    """Discrete: which action each becomes. Velocities: the sign of each."""
    if actions.kind != DISCRETE:
        if actions.size != 2:
            raise ContractError(f"mirror: velocities are (v, w), and these actions have {actions.size} numbers")
        return [1, -1]
    others = [name.replace(_LEFT, _RIGHT) if _LEFT in name else name.replace(_RIGHT, _LEFT) for name in actions.names]
    for name, other in zip(actions.names, others, strict=True):
        if other not in actions.names:
            raise ContractError(f"mirror: the action {name} has no counterpart {other}; set mirror=false")
    return [actions.names.index(other) for other in others]
