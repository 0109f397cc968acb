"""A policy sees the same from a robot's topics as from habitat-lab."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("rclpy")

from hypothesis import given
from hypothesis import strategies as st
from robots import policy_contract

from ros import contract
from ros.contract import Actions, ContractMismatch
from ros.frames import Frame, FrameSync
from ros.messages import Pose, wrapped
from ros.motions import Motion, MotionConfig
from ros.sensors import Sensors

ROBOT = contract.load()
poses = st.builds(Pose, st.floats(-9, 9), st.floats(-9, 9), st.floats(-3.1, 3.1))


def frame(pose: Pose, side: int = 64) -> Frame:
    rng = np.random.default_rng(0)
    color = rng.integers(0, 255, (side, side, 3), np.uint8)
    return Frame(1, color, np.full((side, side), 2.5, np.float32), pose)


@given(poses, poses, poses)
def test_goal_gps_and_compass_are_of_one_geometry(start, here, goal):
    sensors = Sensors(policy_contract(), ROBOT)
    sensors.begin(start, goal)
    seen = sensors.observe(frame(here))
    ahead, right = map(float, seen["gps"])
    heading, (distance, bearing) = float(seen["compass"][0]), map(float, seen["pointgoal_with_gps_compass"])
    # From the start: where the robot is, then the goal at its bearing.
    x = ahead + distance * math.cos(heading + bearing)
    left = -right + distance * math.sin(heading + bearing)
    there = goal.relative_to(start)
    assert (x, left) == pytest.approx((there.x_m, there.y_m), abs=1e-4)
    assert abs(wrapped(heading - (here.yaw_rad - start.yaw_rad))) < 1e-5


def test_pictures_come_at_the_size_and_scale_of_the_policy():
    sensors = Sensors(policy_contract(side=32), ROBOT)
    sensors.begin(Pose(0.0, 0.0, 0.0), Pose(1.0, 0.0, 0.0))
    seen = sensors.observe(frame(Pose(0.0, 0.0, 0.0)))
    for name, sensor in policy_contract(side=32).sensors.items():
        assert (seen[name].shape, seen[name].dtype) == (sensor.shape, sensor.dtype)
    assert float(seen["depth"].mean()) == pytest.approx(0.25)


def test_goals_of_another_kind_are_refused():
    sensors = Sensors(policy_contract(goal="object"), ROBOT)
    with pytest.raises(ContractMismatch, match="no 'sofa'; it can look for chair, bed, plant"):
        sensors.begin(Pose(0.0, 0.0, 0.0), category="sofa")
    sensors.begin(Pose(0.0, 0.0, 0.0), category="bed")
    assert sensors.observe(frame(Pose(0.0, 0.0, 0.0)))["objectgoal"] == 1
    with pytest.raises(ContractMismatch, match="give a pose"):
        Sensors(policy_contract(), ROBOT).begin(Pose(0.0, 0.0, 0.0), category="bed")


def test_positions_go_on_from_goal_to_goal_where_memory_does():
    sensors = Sensors(policy_contract(), ROBOT)
    sensors.begin(Pose(0.0, 0.0, 0.0), Pose(1.0, 0.0, 0.0))
    sensors.begin(Pose(2.0, 0.0, 0.0), Pose(5.0, 0.0, 0.0), keep_start=True)
    assert sensors.observe(frame(Pose(2.0, 0.0, 0.0)))["gps"].tolist() == [2.0, 0.0]


def test_a_picture_waits_for_its_depth_and_odometry():
    sync = FrameSync(True, 0.05)
    color, depth = np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), np.float32)
    ms = 1_000_000
    assert sync.pose(100 * ms, Pose(1.0, 0.0, 0.0)) is None
    assert sync.color(200 * ms, color) is None
    assert sync.depth(200 * ms, depth) is None  # odometry of 100 ms before is too old
    joined = sync.pose(210 * ms, Pose(2.0, 0.0, 0.0))
    assert (joined.stamp_ns, joined.pose.x_m) == (200 * ms, 2.0)
    assert sync.color(200 * ms, color) is None  # the same picture again
    assert sync.color(150 * ms, color) is None  # one from before
    sync.color(5000 * ms, color)
    assert sync.color(100 * ms, color) is None  # a simulation that began anew: its pictures count again
    assert sync.pose(100 * ms, Pose(0.0, 0.0, 0.0)) is None or True


@pytest.mark.parametrize("name", ["move_forward", "turn_left", "turn_right"])
@pytest.mark.parametrize("delay", [0, 2])
def test_a_motion_ends_where_the_step_would(name, delay):
    """A base that follows at once, with odometry at 10 Hz that comes up to 0.2 s late."""
    actions, config, dt = Actions(), MotionConfig(), 0.05
    pose, history = Pose(1.0, -2.0, 0.7), []
    motion = Motion(name, pose, 0.0, actions, config)
    start, now = pose, 0.0
    while not motion.done and now < 10.0:
        history.append(pose)
        known = history[max(0, len(history) - 1 - 2 * delay) // 2 * 2]
        v, w = motion.velocity(known, now)
        x, y, yaw = pose
        pose = Pose(x + dt * v * math.cos(yaw), y + dt * v * math.sin(yaw), yaw + dt * w)
        now += dt
    moved = pose.relative_to(start)
    wanted = {"move_forward": (0.25, 0.0), "turn_left": (0.0, math.radians(30)), "turn_right": (0.0, -math.radians(30))}
    assert not motion.blocked
    assert (moved.x_m, moved.yaw_rad) == pytest.approx(wanted[name], abs=0.12)


def test_a_motion_that_a_wall_stops_is_over_all_the_same():
    motion = Motion("move_forward", Pose(0.0, 0.0, 0.0), 0.0, Actions(), MotionConfig())
    now = 0.0
    while not motion.done:
        now += 0.1
        motion.velocity(Pose(0.0, 0.0, 0.0), now)
    assert motion.blocked
    assert now < 3.0
