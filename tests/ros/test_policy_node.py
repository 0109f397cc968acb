"""The policy node as a process of its own, over DDS, driving a robot that this process plays."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rclpy")

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.action import ActionClient
from robots import (
    Driver,
    parameters,
    policy_contract,
    private_domain,
    process,
    save_checkpoint,
    save_vla,
    spinning,
    until,
)
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from ros import contract, interfaces, messages, qos
from ros.messages import Pose

private_domain()
TYPES = interfaces.load()
Navigate = TYPES.action.Navigate


PATIENT = "['camera.deadline_s=0.8', 'depth.deadline_s=0.8', 'odometry.deadline_s=0.8']"
"""On a machine that is busy with other tests, this one's robot is late now and then."""


class World:
    """The robot, a client of the policy, and what the policy says of itself."""

    def __init__(self, node) -> None:
        self.node, self.robot = node, contract.load()
        self.driver = Driver(node, self.robot)
        self.client = ActionClient(node, Navigate, "policy/navigate")
        self.status, self.decisions, self.feedback = [], [], []
        node.create_subscription(DiagnosticStatus, "policy/status", self.status.append, qos.LATCHED)
        node.create_subscription(TYPES.msg.Decision, "policy/decision", self.decisions.append, 10)

    def said(self, text: str):
        return any(text in status.message for status in self.status)

    def ready(self) -> None:
        until(lambda: any(status.message == "active" for status in self.status), 400.0, "activation")
        until(self.client.server_is_ready, 30.0)

    def send(self, goal):
        future = self.client.send_goal_async(goal, feedback_callback=self.feedback.append)
        until(future.done, what="an answer to the goal")
        return future.result()

    def result(self, handle, timeout_s: float = 30.0):
        future = handle.get_result_async()
        until(future.done, timeout_s, "a result")
        return future.result().result


@pytest.fixture
def world():
    rclpy.init()
    node = rclpy.create_node("world")
    try:
        world = World(node)
        with spinning(node):
            yield world
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def pose_goal(x: float, y: float, frame: str = "odom"):
    stamp = messages.stamp_of(0)
    return Navigate.Goal(kind=Navigate.Goal.POSE, pose=messages.pose_stamped(Pose(x, y, 0.0), stamp, frame))


def policy_node(checkpoint, folder):
    """The node with that checkpoint, activating itself."""
    settings = parameters(checkpoint=checkpoint, autostart=True, contract_overrides=PATIENT)
    return process("ros.policy_node", *settings, log=folder / "log")


def moving(driver) -> bool:
    return bool(driver.commands) and abs(driver.commands[-1][1].linear_m_s) > 0.01


def still(driver) -> bool:
    return bool(driver.commands) and driver.commands[-1][1] == (0.0, 0.0)


def test_a_goal_moves_the_robot_and_cancel_or_a_blind_robot_or_a_bad_goal_stops_it(world, tmp_path):
    path = save_checkpoint(tmp_path / "checkpoint", bias=(0.0, 0.3))
    with process(
        "ros.policy_node",
        *parameters(checkpoint=path, autostart=True, contract_overrides=PATIENT),
        log=tmp_path / "log",
    ) as child:
        world.ready()
        driver = world.driver

        handle = world.send(pose_goal(5.0, 5.0))
        assert handle.accepted
        until(lambda: moving(driver), what="motion")
        until(lambda: len(world.decisions) > 10)
        decision = world.decisions[-1]
        assert decision.action[0] == pytest.approx(0.0, abs=1e-3)
        assert decision.action[1] == pytest.approx(math.tanh(0.3), abs=1e-3)
        v, w = world.robot.actions.velocity(decision.action)
        assert driver.commands[-1][1] == pytest.approx((v, w))
        assert decision.distance_m == pytest.approx(math.hypot(4.0, 3.0), abs=2.0)
        assert world.feedback
        handle.cancel_goal_async()
        assert world.result(handle).outcome == Navigate.Result.CANCELED
        until(lambda: still(driver), 1.0, "standing still")

        for goal, said in (
            (pose_goal(5.0, 5.0, "moon"), "its frame is 'moon'"),
            (pose_goal(math.nan, 5.0), "NaN"),
            (Navigate.Goal(kind=Navigate.Goal.NAME, text="unicorn"), "no memory is there to ask for 'unicorn'"),
        ):
            result = world.result(world.send(goal))
            assert result.outcome == Navigate.Result.REJECTED
            assert said in result.message
        assert still(driver)

        handle = world.send(pose_goal(5.0, 5.0))
        until(lambda: moving(driver), what="motion")
        driver.camera_on = False
        until(lambda: still(driver), 2.0, "standing still without a camera")
        until(lambda: world.said("no motion: camera"), 5.0)
        driver.camera_on = True
        until(lambda: moving(driver), what="motion again")

        def wrong_encoding(image):
            image.encoding = "yuv422"
            return image

        def unstamped(image):
            image.header.stamp = messages.stamp_of(0)
            return image

        def another_size(image):
            return messages.image(image_of(32), "rgb8", image.header.stamp, image.header.frame_id)

        for bend, said in ((wrong_encoding, "yuv422"), (unstamped, "stamp is zero"), (another_size, "32x32")):
            driver.bend = bend
            until(lambda: still(driver), 2.0, "standing still on bad pictures")
            until(lambda said=said: world.said(said), 5.0, f"a diagnostic of {said}")
            driver.bend = lambda image: image
            until(lambda: moving(driver), what="motion again")
        assert child.poll() is None

        world.client.send_goal_async(pose_goal(3.0, 3.0))
        assert world.result(handle).message == "replaced by a newer goal"


def image_of(side):
    import numpy as np

    return np.zeros((side, side, 3), np.uint8)


def test_an_action_that_is_no_number_ends_the_goal_without_motion(world, tmp_path):
    path = save_checkpoint(tmp_path / "checkpoint", poison=True)
    with process(
        "ros.policy_node",
        *parameters(checkpoint=path, autostart=True, contract_overrides=PATIENT),
        log=tmp_path / "log",
    ) as child:
        world.ready()
        result = world.result(world.send(pose_goal(5.0, 5.0)))
        assert result.outcome == Navigate.Result.FAULT
        assert "nan" in result.message
        assert all(velocity == (0.0, 0.0) for _, velocity in world.driver.commands)
        assert child.poll() is None


def test_a_policy_that_says_it_is_there_ends_its_goal(world, tmp_path):
    path = save_checkpoint(tmp_path / "checkpoint", stop_bias=20.0)
    with process(
        "ros.policy_node",
        *parameters(checkpoint=path, autostart=True, contract_overrides=PATIENT),
        log=tmp_path / "log",
    ):
        world.ready()
        result = world.result(world.send(pose_goal(1.0, 5.0)))
        assert (result.outcome, result.decisions) == (Navigate.Result.STOPPED, 1), result.message
        assert result.distance_m == pytest.approx(3.0, abs=0.1)


def test_a_checkpoint_that_the_robot_cannot_feed_is_refused_by_name(world, tmp_path):
    offered = policy_contract()
    sensors = {**offered.sensors, "rgb": offered.sensors["rgb"]}
    sensors["rgb"] = type(sensors["rgb"])((64, 64, 4), "uint8", 0.0, 255.0)
    path = save_checkpoint(tmp_path / "checkpoint", type(offered)(sensors, offered.actions))
    with process(
        "ros.policy_node",
        *parameters(checkpoint=path, autostart=True, contract_overrides=PATIENT),
        log=tmp_path / "log",
    ):
        until(lambda: world.said("the policy reads rgb as uint8 [64, 64, 4]"), 200.0, "the refusal")
        until(world.client.server_is_ready, 30.0)
        assert not world.send(pose_goal(1.0, 5.0)).accepted


def test_discrete_actions_are_motions_closed_on_odometry(world, tmp_path):
    offered = policy_contract("discrete")
    path = save_checkpoint(tmp_path / "checkpoint", offered)
    with process(
        "ros.policy_node",
        *parameters(checkpoint=path, autostart=True, contract_overrides=PATIENT),
        log=tmp_path / "log",
    ):
        world.ready()
        world.send(pose_goal(5.0, 5.0))
        until(lambda: len(world.decisions) >= 4, 60.0, "four decisions")
    names = offered.actions.names
    for before, after in zip(world.decisions, world.decisions[1:], strict=False):
        moved = pose_of(after).relative_to(pose_of(before))
        name = names[int(before.action[0])]
        if name == "move_forward":
            assert moved.x_m == pytest.approx(0.25, abs=0.08)
        else:
            assert moved.yaw_rad == pytest.approx({"turn_left": 1, "turn_right": -1}[name] * math.radians(30), abs=0.12)


@pytest.mark.timeout(600)  # its imports alone take a loaded machine minutes
def test_a_memory_vla_moves_joints_chunk_by_chunk_and_holds_without_their_states(world, tmp_path):
    joints = ("shoulder", "elbow")
    path = save_vla(tmp_path / "checkpoint", joints)
    overrides = "['joints.topic=joint_states', 'joints.names=[shoulder, elbow]', 'joints.deadline_s=0.5']"
    settings = parameters(checkpoint=path, autostart=True, contract_overrides=overrides, chunks__blend="real_time")
    trajectories, node = [], world.node
    node.create_subscription(JointTrajectory, "policy/joint_trajectory", trajectories.append, 10)
    states = node.create_publisher(JointState, "joint_states", qos.SENSOR_WRITER)
    on = [True]

    def publish():
        if on[0]:
            state = JointState(name=["elbow", "wrist", "shoulder"], position=[0.1, 9.0, 0.2])
            state.header.stamp = node.get_clock().now().to_msg()
            states.publish(state)

    node.create_timer(0.05, publish)
    with process("ros.policy_node", *settings, log=tmp_path / "log"):
        world.ready()
        result = world.result(world.send(pose_goal(1.0, 1.0)))
        assert "give an instruction" in result.message
        handle = world.send(Navigate.Goal(kind=Navigate.Goal.INSTRUCTION, text="press the red button"))
        until(lambda: sum(bool(each.points) for each in trajectories) >= 4, 60.0, "four trajectories")
        for trajectory in [each for each in trajectories if each.points]:
            assert trajectory.joint_names == list(joints)
            times = [point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec for point in trajectory.points]
            assert times == sorted(set(times))
            assert len(times) <= 8
            assert all(abs(number) <= 1.5 for point in trajectory.points for number in point.positions)
        on[0] = False
        until(lambda: not trajectories[-1].points, 10.0, "holding without joint states")
        on[0] = True
        until(lambda: trajectories[-1].points, 20.0, "motion again")
        handle.cancel_goal_async()
        assert world.result(handle).outcome == Navigate.Result.CANCELED
        until(lambda: not trajectories[-1].points, 5.0, "holding after the goal")
    assert all(velocity == (0.0, 0.0) for _, velocity in world.driver.commands)


def pose_of(decision) -> Pose:
    place, q = decision.pose.position, decision.pose.orientation
    return Pose(place.x, place.y, 2.0 * math.atan2(q.z, q.w))
