"""What is seen and done, with left and right exchanged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policies.contract import VELOCITY, Actions, Contract, ContractError, Sensor
from policies.mirror import Mirror

MOVES = Actions("discrete", ("stop", "move_forward", "turn_left", "turn_right"))
SENSORS = {
    "rgb": Sensor((6, 8, 3), "uint8", 0, 255),
    "depth": Sensor((6, 8, 1), "float32", 0.0, 1.0),
    "pointgoal_with_gps_compass": Sensor((2,), "float32", -np.inf, np.inf),
    "gps": Sensor((2,), "float32", -np.inf, np.inf),
    "compass": Sensor((1,), "float32", -np.pi, np.pi),
}


def drawn(contract: Contract) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(v) for name, v in contract.draw(np.random.default_rng(0), 5, 3).items()}


@pytest.mark.parametrize("actions", [MOVES, Actions(VELOCITY, size=2, stop=(0.0, 0.0))], ids=["discrete", "velocity"])
def test_a_mirror_image_of_a_mirror_image_is_what_was_there(actions):
    mirror = Mirror(Contract(SENSORS, actions))
    seen = drawn(Contract(SENSORS, actions))
    done = torch.randint(0, 4, (5, 3, 1)) if actions is MOVES else torch.rand(5, 3, 2) * 2 - 1
    twice = mirror.observations(mirror.observations(seen))
    assert all(torch.equal(twice[name], seen[name]) for name in SENSORS)
    assert torch.equal(mirror.actions(mirror.actions(done)), done)


def test_left_is_right_in_the_mirror_and_ahead_is_ahead():
    mirror = Mirror(Contract(SENSORS, MOVES))
    assert mirror.actions(torch.tensor([[0], [1], [2], [3]])).tolist() == [[0], [1], [3], [2]]
    seen = mirror.observations(
        {
            "pointgoal_with_gps_compass": torch.tensor([2.0, 0.5]),  # 2 m away, half a radian to the left
            "gps": torch.tensor([3.0, 1.0]),  # 3 m ahead and 1 m right of the start
            "compass": torch.tensor([0.25]),
            "depth": torch.arange(4.0).view(1, 4, 1),
        }
    )
    assert seen["pointgoal_with_gps_compass"].tolist() == [2.0, -0.5]
    assert seen["gps"].tolist() == [3.0, -1.0]
    assert seen["compass"].tolist() == [-0.25]
    assert seen["depth"].flatten().tolist() == [3.0, 2.0, 1.0, 0.0]


def test_velocities_turn_the_other_way():
    mirror = Mirror(Contract(SENSORS, Actions(VELOCITY, size=2, stop=(0.0, 0.0))))
    assert mirror.actions(torch.tensor([0.5, -0.25])).tolist() == [0.5, 0.25]


def test_what_has_no_known_mirror_image_is_refused():
    with pytest.raises(ContractError, match="what state looks like in a mirror"):
        Mirror(Contract({**SENSORS, "state": Sensor((4,), "float32", -1, 1)}, MOVES))
    with pytest.raises(ContractError, match="action turn_left has no counterpart turn_right"):
        Mirror(Contract(SENSORS, Actions("discrete", ("stop", "turn_left"))))
