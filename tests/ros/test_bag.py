"""Bags: a run is recorded as it was, any reader opens it, and the policy does the same again on it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from nav_msgs.msg import Odometry
from rclpy.action import ActionClient
from rclpy.serialization import serialize_message
from robots import Driver, parameters, private_domain, process, save_checkpoint, spinning, until

from ros import contract, interfaces, messages
from ros.bag import BagError, BagWriter, definition, read
from ros.from_bag import ACTION_NAMES, FromBagConfig, from_bag
from ros.messages import Pose, Velocity
from ros.replay import ReplayConfig, replay
from ros.run_of_bag import Run

private_domain()
TYPES = interfaces.load()
Navigate = TYPES.action.Navigate


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A bag of two short goals, and the checkpoint that drove."""
    folder = tmp_path_factory.mktemp("run")
    checkpoint, bag = save_checkpoint(folder / "checkpoint"), folder / "run.mcap"
    rclpy.init()
    node = rclpy.create_node("world")
    driver = Driver(node, contract.load())
    decisions = []
    node.create_subscription(TYPES.msg.Decision, "policy/decision", decisions.append, 100)
    client = ActionClient(node, Navigate, "policy/navigate")

    def send(x, y):
        pose = messages.pose_stamped(Pose(x, y, 0.0), messages.stamp_of(0), "odom")
        sending = client.send_goal_async(Navigate.Goal(kind=Navigate.Goal.POSE, pose=pose))
        until(sending.done, 200.0, "an answer")
        return sending.result()

    try:
        with (
            spinning(node),
            process("ros.record_node", *parameters(bag=bag), log=folder / "log") as recorder,
            process("ros.policy_node", *parameters(checkpoint=checkpoint, autostart=True), log=folder / "log"),
        ):
            until(client.server_is_ready, 200.0, "the policy")
            until(lambda: bag.exists(), 200.0, "the recorder")
            until(lambda: send(4.0, 4.0).accepted, 200.0, "a goal")
            until(lambda: len(decisions) >= 12, 60.0, "decisions")
            assert send(0.0, 4.0).accepted
            until(lambda: sum(decision.goal_number == 2 for decision in decisions) >= 12, 60.0, "decisions")
            driver.camera_on = False
            recorder.terminate()
            recorder.wait(timeout=20.0)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return bag, checkpoint


def test_an_independent_reader_opens_it_by_the_definitions_inside(recorded):
    from rosbags.highlevel import AnyReader

    bag, _ = recorded
    seen: dict[str, int] = {}
    with AnyReader([bag]) as reader:
        for connection, _, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            seen[connection.msgtype] = seen.get(connection.msgtype, 0) + 1
            if connection.msgtype == "sensor_msgs/msg/Image" and message.encoding == "rgb8":
                assert message.data.size == 64 * 64 * 3
    assert seen["sensor_msgs/msg/Image"] > 20
    assert seen["engram_interfaces/msg/Decision"] >= 24


def test_replayed_with_its_checkpoint_every_action_is_the_recorded_one(recorded, tmp_path):
    bag, checkpoint = recorded
    out = tmp_path / "steps.jsonl"
    result = replay(ReplayConfig(bag=str(bag), checkpoint=str(checkpoint), output=str(out)), say=lambda _: None)
    steps = [json.loads(line) for line in out.read_text().splitlines()]
    assert result["goals"] == 2
    assert result["steps"] == len(steps) >= 24
    if result["not_recorded"] == 0:  # best effort: a loaded machine may lose a picture
        assert result["same_share"] == 1.0
    assert len({tuple(step["recorded"]) for step in steps}) > 12  # and they are not all alike
    other = save_checkpoint(tmp_path / "other", bias=(0.5, -0.5))
    assert replay(ReplayConfig(bag=str(bag), checkpoint=str(other)), say=lambda _: None)["same_share"] == 0.0


def test_it_becomes_a_data_set(recorded, tmp_path):
    bag, _ = recorded
    root = from_bag(FromBagConfig(bags=[str(bag)], output=str(tmp_path / "set"), images=True), say=lambda _: None)
    from embodied.data.library import lerobot_datasets

    data = lerobot_datasets().LeRobotDataset("set", root=root)
    assert data.num_episodes == 2
    steps = list(Run(bag, contract.load()).steps())
    assert data.num_frames == len(steps)
    first = data[0]
    command = steps[0].decision.command
    np.testing.assert_allclose(first["action"], [command.linear.x, command.angular.z], atol=1e-6)
    pixels = (first["observation.images.front"].permute(1, 2, 0).numpy() * 255.0).round()
    np.testing.assert_array_equal(pixels, steps[0].frame.color)
    assert list(data.meta.features["action"]["names"]) == ACTION_NAMES


def test_a_bag_that_a_crash_cut_off_is_read_as_far_as_it_goes(tmp_path, capsys):
    path = tmp_path / "cut.mcap"
    robot = contract.load()
    writer = BagWriter(path)
    for number in range(3000):
        pose = messages.odometry(Pose(number, 0.0, 0.0), Velocity(0.0, 0.0), messages.stamp_of(number + 1), robot)
        writer.write("/odom", "nav_msgs/msg/Odometry", serialize_message(pose), number)
    writer.flush()
    whole = path.read_bytes()  # as a killed recorder leaves it: without an end
    path.write_bytes(whole[: len(whole) * 2 // 3])
    found = list(read(path))
    assert found
    assert [message.received_ns for message in found] == list(range(len(found)))
    assert isinstance(found[-1].decoded(), Odometry)
    assert "ends early" in capsys.readouterr().err


def test_what_is_no_bag_is_one_clear_line(tmp_path):
    wrong = tmp_path / "wrong.mcap"
    wrong.write_bytes(b"no bag at all" * 100)
    with pytest.raises(BagError, match="wrong.mcap is no MCAP file"):
        list(read(wrong))
    with pytest.raises(BagError, match="cannot read the bag"):
        list(read(tmp_path / "none.mcap"))
    empty = tmp_path / "empty.mcap"
    BagWriter(empty).close()
    with pytest.raises(BagError, match="holds no decision"):
        list(Run(empty, contract.load()).steps())
    with pytest.raises(BagError, match="exists"):
        BagWriter(empty)


def test_definitions_hold_all_types_inside():
    text = definition("nav_msgs/msg/Odometry")
    for name in (
        "std_msgs/Header",
        "geometry_msgs/PoseWithCovariance",
        "geometry_msgs/Vector3",
        "builtin_interfaces/Time",
    ):
        assert f"MSG: {name}\n" in text
    with pytest.raises(BagError, match="no_such_msgs"):
        definition("no_such_msgs/msg/Thing")


def test_state_and_goal_are_in_the_frame_of_the_start():
    from ros.from_bag import _state

    here, goal = Pose(1.0, 2.0, math.pi / 2), Pose(1.0, 5.0, 0.0)
    np.testing.assert_allclose(_state(here, goal.relative_to(here)), [1.0, 2.0, math.pi / 2, 3.0, 0.0], atol=1e-6)
