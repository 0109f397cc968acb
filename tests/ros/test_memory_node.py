"""The memory node over DDS: it answers while it looks, and loses nothing that it acknowledged, however it ends."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from geometry_msgs.msg import Point, PoseStamped
from rclpy.action import ActionClient
from robots import Driver, answered, parameters, private_domain, process, save_checkpoint, spinning, until
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from ros import contract, interfaces, messages, qos

private_domain()
pytestmark = pytest.mark.timeout(900)  # the encoder's imports alone take a loaded machine minutes
TYPES = interfaces.load()


class World:
    """A robot that moves, and a client of its memory."""

    def __init__(self, node) -> None:
        self.node, self.driver = node, Driver(node, contract.load())
        self.stored, self.pictures, self.markers = [], [], []
        node.create_subscription(TYPES.msg.MemoryEntry, "memory/stored", self.stored.append, 50)
        node.create_subscription(Image, "memory/retrieved", self.pictures.append, qos.LATCHED)
        node.create_subscription(MarkerArray, "memory/markers", self.markers.append, qos.LATCHED)
        self.caption = node.create_publisher(String, "caption", 10)
        kinds = {"query": TYPES.srv.QueryMemory, "list": TYPES.srv.ListMemory, "clear": Trigger}
        kinds |= {"save": TYPES.srv.MemoryFile, "load": TYPES.srv.MemoryFile}
        self.clients = {name: node.create_client(kind, f"memory/{name}") for name, kind in kinds.items()}
        self.kinds = kinds

    def ask(self, name: str, timeout_s: float = 90.0, **fields):
        return answered(self.clients[name], self.kinds[name].Request(**fields), timeout_s)


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


def arguments(tmp_path, **more):
    settings = {"rate_hz": 10.0, "past_s": 0.5, "encoder_side": 64, "new_below": 1.0, "caption_s": 20.0} | more
    return parameters(store=tmp_path / "memory", **settings)


def test_it_is_asked_by_text_picture_place_and_time_while_it_looks(world, tmp_path):
    world.driver.velocity = messages.Velocity(0.5, 0.0)
    with process("ros.memory_node", *arguments(tmp_path), log=tmp_path / "log"):
        until(lambda: len(world.stored) >= 5, 300.0, "five memories")
        world.caption.publish(String(data="a red chair by the window"))
        until(lambda: any(entry.text for entry in world.stored), 60.0, "a memory with a caption")
        until(lambda: world.pictures and world.markers, 30.0, "something retrieved")

        found = world.ask("query", text="where is the chair", with_images=True)
        assert found.success
        assert "red chair" in found.entries[0].text
        assert bytes(found.entries[0].image.data[:3]) == b"\xff\xd8\xff"

        from PIL import Image as pillow

        jpeg = tmp_path / "seen.jpg"
        jpeg.write_bytes(bytes(found.entries[0].image.data))
        picture = np.array(pillow.open(jpeg))
        asked = messages.image(picture, "rgb8", messages.stamp_of(1), "camera")
        like = world.ask("query", image=asked, limit=3)
        assert like.success, like.message
        assert like.entries[0].id == found.entries[0].id
        assert like.entries[0].score > 0.9

        first = world.stored[0]
        near = world.ask("query", near=True, place=first.pose.position, radius_m=0.2)
        assert near.entries[0].id == first.id
        assert world.ask("query", near=True, place=Point(x=500.0), radius_m=1.0).entries == []
        assert [entry.id for entry in world.ask("query", until=first.header.stamp).entries] == [first.id]

        wrong = world.ask("query", text="the of a")
        assert not wrong.success
        assert "no word" in wrong.message
        asked.encoding = "yuv422"
        assert "yuv422" in world.ask("query", image=asked).message


def test_it_is_saved_cleared_and_loaded(world, tmp_path):
    with process("ros.memory_node", *arguments(tmp_path), log=tmp_path / "log"):
        until(lambda: len(world.stored) >= 5, 300.0, "five memories")
        world.driver.camera_on = False
        time.sleep(1.0)
        listed = world.ask("list")
        ids = [entry.id for entry in listed.entries]
        assert listed.total == len(ids) == len(world.stored)
        assert ids == [entry.id for entry in world.stored]
        saved = world.ask("save", path=str(tmp_path / "saved"))
        assert (saved.success, saved.entries) == (True, len(ids))
        assert "exists" in world.ask("save", path=str(tmp_path / "saved")).message
        assert world.ask("clear").success
        assert world.ask("list").total == 0
        assert "no saved memory" in world.ask("load", path=str(tmp_path / "nowhere")).message
        assert world.ask("load", path=str(tmp_path / "saved")).entries == len(ids)
        back = world.ask("list")
        assert [entry.id for entry in back.entries] == ids
        assert bytes(world.ask("query", limit=1, with_images=True).entries[0].image.data[:3]) == b"\xff\xd8\xff"


def test_a_goal_in_words_is_the_place_where_it_was_seen(world, tmp_path):
    node, Navigate = world.node, TYPES.action.Navigate
    client, decisions = ActionClient(node, Navigate, "policy/navigate"), []
    node.create_subscription(TYPES.msg.Decision, "policy/decision", decisions.append, 10)
    localised = node.create_publisher(PoseStamped, "odom_in_map", qos.LATCHED)
    odom_in_map = messages.Pose(10.0, 0.0, np.pi / 2)
    localised.publish(messages.pose_stamped(odom_in_map, messages.stamp_of(1), "map"))
    path = save_checkpoint(tmp_path / "checkpoint", bias=(0.0, 0.0))

    def go(text):
        sending = client.send_goal_async(Navigate.Goal(kind=Navigate.Goal.NAME, text=text))
        until(sending.done, 200.0, "an answer")
        return sending.result()

    with (
        process("ros.policy_node", *parameters(checkpoint=path, autostart=True), log=tmp_path / "log"),
        process("ros.memory_node", *arguments(tmp_path), log=tmp_path / "log"),
    ):
        until(lambda: world.stored, 300.0, "memories")
        world.caption.publish(String(data="a red chair"))
        chair = until(lambda: [entry for entry in world.stored if entry.text], 60.0, "a memory of the chair")[0]
        assert chair.pose.position.x == pytest.approx(10.0 - world.driver.pose.y_m, abs=0.5)
        until(client.server_is_ready, 200.0, "the policy")
        until(lambda: go("red chair").accepted, 200.0, "a goal")
        decision = until(lambda: decisions, 60.0, "decisions")[-1]
        there = messages.goal_of(PoseStamped(pose=chair.pose), "").relative_to(odom_in_map)
        assert (decision.goal.position.x, decision.goal.position.y) == pytest.approx(there[:2], abs=0.3)
        result = go("unicorn").get_result_async()
        until(result.done, 30.0, "a result")
        assert result.result().result.outcome == Navigate.Result.REJECTED
        assert "has seen no 'unicorn'" in result.result().result.message


def test_nothing_acknowledged_is_lost_by_kill_9(world, tmp_path):
    rng = random.Random(0)
    acknowledged: set[str] = set()
    for _ in range(3):
        with process("ros.memory_node", *arguments(tmp_path), log=tmp_path / "log") as child:
            before = len(world.stored)
            until(lambda before=before: len(world.stored) > before + 2, 300.0, "memories")
            time.sleep(rng.uniform(0.0, 0.5))
            child.kill()
            child.wait()
        time.sleep(0.3)
        acknowledged |= {entry.id for entry in world.stored}
    world.driver.camera_on = False
    with process("ros.memory_node", *arguments(tmp_path), log=tmp_path / "log"):
        kept = {entry.id for entry in world.ask("list", limit=100_000).entries}
    assert acknowledged
    assert not acknowledged - kept
