"""The contract is strict: what is wrong is named at start."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embodied.config import ConfigError
from policies.contract import Actions, Contract, Sensor
from ros import contract
from ros.contract import ContractMismatch, RobotContract


def test_the_file_that_comes_with_engram_is_the_habitat_robot():
    assert contract.load() == RobotContract(limits=contract.load().limits)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("camera.topik=a", "did you mean camera.topic"),
        ("camera.width=wide", "camera.width must be an integer"),
        ("camera.topic=''", "camera.topic: '' is no relative topic name"),
        ("camera.topic=/camera", "is no relative topic name"),
        ("base.topic=policy/cmd_vel", "is also command.topic"),
        ("camera.type=sensor_msgs/msg/PointCloud2", "camera.type must be one of"),
        ("depth.encoding=rgb8", "depth.encoding must be one of 16UC1, 32FC1"),
        ("camera.rate_hz=0", "camera.rate_hz must be above 0"),
        ("limits.linear_m_s=.nan", "limits.linear_m_s must be above 0"),
        ("command.deadline_s=0.02", "it would always be missed"),
        ("actions.linear_m_s=[0.5, 1.0]", "leaves out 0"),
        ("frames.base='base link'", "is no frame name"),
    ],
)
def test_what_cannot_be_right_is_named(override, words):
    with pytest.raises(ConfigError) as raised:
        contract.load("", [override])
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_clearance_needs_a_depth_camera():
    with pytest.raises(ConfigError, match="depth.topic is empty"):
        contract.load("", ["limits.clearance_m=0.3", "depth.topic=''"])


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_an_actions_velocity_leads_back_to_the_action(a, b):
    actions = contract.Actions(linear_m_s=[-0.2, 0.7])
    assert actions.action(*actions.velocity((a, b))) == pytest.approx((a, b), abs=1e-9)


def policy(actions=None, **sensors):
    given = actions or Actions("velocity", size=2, stop=(-1.0, 0.0))
    return Contract({name: Sensor(*sensor) for name, sensor in sensors.items()}, given)


RGB, DEPTH = ((32, 32, 3), "uint8", 0, 255), ((32, 32, 1), "float32", 0, 1)
GPS, POINT = ((2,), "float32", -np.inf, np.inf), ((2,), "float32", -np.inf, np.inf)


def test_a_policy_that_the_topics_can_feed_fits():
    robot = contract.load()
    robot.require(policy(rgb=RGB, depth=DEPTH, gps=GPS, pointgoal_with_gps_compass=POINT))
    robot.require(policy(Actions("discrete", ("stop", "move_forward", "turn_left", "turn_right")), rgb=RGB))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (policy(rgb=RGB, oracle_action=((1,), "int64", 0, 3)), "the sensor oracle_action, which no topic"),
        (policy(rgb=((32, 32, 4), "uint8", 0, 255)), "rgb as uint8"),
        (policy(Actions("velocity", size=7, stop=(0.0,) * 7), rgb=RGB), "7 velocities"),
        (policy(Actions("velocity", size=2, stop=(0.0, 0.0)), rgb=RGB), "actions.linear_m_s"),
        (policy(Actions("discrete", ("stop", "look_up")), rgb=RGB), "look_up"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused_by_what_is_missing(wanted, words):
    with pytest.raises(ContractMismatch, match=words):
        contract.load().require(wanted)


def test_a_robot_without_depth_refuses_a_policy_that_reads_it():
    with pytest.raises(ContractMismatch, match="sensor depth, which no topic"):
        contract.load("", ["depth.topic=''"]).require(policy(rgb=RGB, depth=DEPTH))


def test_depth_is_what_habitat_would_give():
    unit = contract.load().depth_unit(np.array([0.0, 5.0, 25.0, np.nan, np.inf], np.float32))
    assert unit.tolist() == [0.0, 0.5, 1.0, 0.0, 1.0]
