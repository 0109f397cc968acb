"""A contract says before the first step what does not fit, and names it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from policies.contract import Actions, Contract, ContractError, Sensor

CONTRACT = Contract(
    {"depth": Sensor((8, 8, 1), "float32", 0, 1), "objectgoal": Sensor((1,), "int64", 0, 2)},
    Actions("discrete", ("stop", "move_forward")),
    ("chair", "bed", "sofa"),
)


def with_sensor(name, **changes):
    return replace(CONTRACT, sensors={**CONTRACT.sensors, name: replace(CONTRACT.sensors[name], **changes)})


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        (replace(CONTRACT, sensors={"depth": CONTRACT.sensors["depth"]}), "reads the sensor objectgoal"),
        (with_sensor("depth", shape=(16, 16, 1)), r"depth as float32 \[8, 8, 1\].* \[16, 16, 1\]"),
        (with_sensor("depth", dtype="uint8"), "depth as float32"),
        (with_sensor("objectgoal", high=5), "objectgoal from 0 to 2, and this task gives 0 to 5"),
        (
            replace(CONTRACT, actions=Actions("discrete", ("stop",))),
            "acts by stop, move_forward, and this task by stop",
        ),
        (replace(CONTRACT, categories=("bed", "chair", "sofa")), "goal 0 as chair, and in this task it is bed"),
        (replace(CONTRACT, categories=("chair", "bed")), "goal 2 as sofa, and in this task it is nothing"),
    ],
)
def test_what_does_not_fit_is_named(offered, message):
    with pytest.raises(ContractError, match=message):
        CONTRACT.require(offered)


def test_more_sensors_and_narrower_bounds_fit():
    CONTRACT.require(replace(with_sensor("objectgoal", high=1), categories=CONTRACT.categories))
    CONTRACT.require(replace(CONTRACT, sensors={**CONTRACT.sensors, "gps": Sensor((2,), "float32", -1, 1)}))


def test_it_survives_json():
    assert Contract.from_json(json.loads(json.dumps(CONTRACT.to_json()))) == CONTRACT
    velocity = replace(CONTRACT, actions=Actions("velocity", size=2, stop=(-1.0, 0.0)), categories=())
    assert Contract.from_json(json.loads(json.dumps(velocity.to_json()))) == velocity


def test_drawn_observations_keep_to_it():
    drawn = CONTRACT.draw(np.random.default_rng(0), 50, 3)
    for name, sensor in CONTRACT.sensors.items():
        assert drawn[name].shape == (50, 3, *sensor.shape)
        assert drawn[name].dtype == sensor.dtype
        assert sensor.low <= drawn[name].min() <= drawn[name].max() <= sensor.high
    assert set(drawn["objectgoal"].ravel()) == {0, 1, 2}
