"""A Habitat house as a robot, as processes over real DDS: what it publishes, how it moves, and when it stands."""

import json
import math
import subprocess
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from graph import Graph, wait_for
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

from ros import contract, messages, qos
from ros.safety import FreeWay
from sim.env import HabitatEnv

pytestmark = pytest.mark.sim

ROBOT = contract.load()
CAMERA = ROBOT.frames.name("camera")
STAND_S = 0.3
"""The gate lets go within 0.2 s, and what the robot was told then it does for one period of 0.1 s."""


def episodes(houses):
    return str(houses / "episodes" / "pointnav_train.json.gz")


class House:
    """The robot, its safety gate, a commander, and ears on all that the robot says."""

    def __init__(self, graph, houses):
        self.graph = graph
        ears = graph.ears
        self.pictures = ears(Image, ROBOT.camera.topic, qos.SENSOR_READER)
        self.depths = ears(Image, ROBOT.depth.topic, qos.SENSOR_READER)
        self.infos = ears(CameraInfo, ROBOT.camera.info_topic, qos.SENSOR_READER)
        self.odometry = ears(Odometry, ROBOT.odometry.topic, qos.SENSOR_READER)
        self.base = ears(TwistStamped, ROBOT.base.topic, qos.COMMAND)
        self.goals = ears(PoseStamped, "habitat_robot/goal", qos.LATCHED)
        self.episodes = ears(String, "habitat_robot/episode", qos.LATCHED)
        self.robot = graph.node_process("ros.habitat_robot_node", "-p", f"episodes:={episodes(houses)}")
        self.safety = graph.node_process("ros.safety_node")
        self.commander = graph.actor("commander")
        wait_for(lambda: self.pictures and self.odometry, "the robot")

    def reset(self, episode):
        request = SetParameters.Request()
        value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=episode)
        request.parameters = [Parameter(name="episode", value=value)]
        assert self.graph.call(SetParameters, "habitat_robot/set_parameters", request).results[0].successful
        return json.loads(self.graph.call(Trigger, "habitat_robot/reset").message)

    def arm(self):
        wait_for(lambda: self.graph.call(Trigger, "safety/arm").success, "arming", 20.0)

    def pose(self):
        return messages.pose_of(self.odometry[-1][1], ROBOT)

    def is_moving(self):
        twist = self.odometry[-1][1].twist.twist
        return bool(twist.linear.x or twist.angular.z)

    def drive(self, command, until, timeout_s=20.0):
        """Commands until a condition holds, arming again where a loaded machine held a picture up; then stands."""
        self.commander.do(command=None)
        end = time.monotonic() + timeout_s
        while not until():
            assert time.monotonic() < end, f"no end of driving {command}"
            self.arm()
            self.commander.do(command=command)
            pause = time.monotonic() + 2.0
            while not until() and time.monotonic() < pause:
                time.sleep(0.02)
        self.commander.do(command=[0.0, 0.0])
        time.sleep(0.4)


@pytest.fixture(scope="module")
def house(houses):
    with Graph() as graph:
        yield House(graph, houses)


def test_it_publishes_what_the_contract_says(house):
    house.reset(0)
    time.sleep(0.5)
    color = messages.color_of(house.pictures[-1][1], ROBOT.camera, CAMERA)
    assert len(np.unique(color)) > 30
    metres = messages.depth_m_of(house.depths[-1][1], ROBOT.depth, CAMERA)
    assert 0.1 < np.nanmedian(metres) <= 10.0
    messages.check_camera_info(house.infos[-1][1], ROBOT.camera, CAMERA)
    assert house.pose() == pytest.approx((0.0, 0.0, 0.0), abs=1e-5)
    assert house.pictures[-1][1].header.stamp == house.infos[-1][1].header.stamp


def test_its_goal_is_where_habitat_says_it_is(house, houses):
    """The point goal in odom against habitat-lab's own polar sensor, which looks from the start."""
    fields = ROBOT.sim_fields()
    env = HabitatEnv(task="pointnav", episodes=episodes(houses), order="sequential", **fields)
    for number in (0, 3):
        observation, info = env.reset(options={"counts": [number]})
        about = house.reset(number)
        assert about["episode_id"] == info["episode"]["episode_id"]
        distance_m, bearing = observation["pointgoal_with_gps_compass"]
        x_m, y_m = about["goal_m"]
        assert math.hypot(x_m, y_m) == pytest.approx(distance_m, abs=1e-3)
        assert math.atan2(y_m, x_m) == pytest.approx(bearing, abs=1e-3)
        wait_for(lambda x_m=x_m: math.isclose(house.goals[-1][1].pose.position.x, x_m, abs_tol=1e-6), "the goal")
        assert house.goals[-1][1].header.frame_id == "odom"
    env.close()


def test_it_turns_and_drives_as_commanded_and_is_judged_where_it_stands(house):
    about = house.reset(1)
    house.drive([0.0, 0.6], lambda: house.pose().yaw_rad > 0.8)
    yaw = house.pose().yaw_rad
    assert 0.8 < yaw < 1.3
    assert math.hypot(*house.pose()[:2]) < 1e-3
    house.drive([0.5, 0.0], lambda: math.hypot(*house.pose()[:2]) > 0.3)
    x_m, y_m, _ = house.pose()
    assert messages.wrapped(math.atan2(y_m, x_m) - yaw) == pytest.approx(0.0, abs=0.6)  # it may have slid along a wall
    answer = house.graph.call(Trigger, "habitat_robot/stop")
    result = json.loads(answer.message)["result"]
    assert answer.success
    assert result["success"] == 0.0
    straight_m = math.hypot(about["goal_m"][0] - x_m, about["goal_m"][1] - y_m)
    assert result["distance_to_goal"] >= straight_m - 0.05
    assert result["steps"] >= 3
    assert not self_moves(house)
    assert not house.graph.call(Trigger, "habitat_robot/stop").success


def self_moves(house):
    """Whether it moves after its episode's end, though it is told to."""
    before = house.pose()
    house.arm()
    house.commander.do(command=[0.5, 0.5])
    time.sleep(0.5)
    house.commander.do(command=[0.0, 0.0])
    return house.pose() != before


def stand_time_s(house, since):
    """Seconds from `since` until the last odometry of a moving robot."""
    wait_for(lambda: house.odometry[-1][0] > since and not house.is_moving(), "the robot to stand", 5.0)
    time.sleep(0.4)
    moving = [at for at, m in house.odometry if m.twist.twist.linear.x or m.twist.twist.angular.z]
    return moving[-1] - since


def moving(house):
    house.reset(2)
    for _ in range(5):
        house.commander.do(command=None)
        house.arm()
        house.commander.do(command=[0.0, 0.5])
        time.sleep(0.6)
        if house.is_moving():
            return
    raise AssertionError("it does not move")


def test_it_stands_when_the_policy_is_killed(house):
    moving(house)
    assert stand_time_s(house, house.commander.kill()) <= STAND_S
    house.commander = house.graph.actor("commander")


def test_it_stands_when_the_gate_is_killed(house):
    moving(house)
    now = time.monotonic()
    house.safety.kill()
    house.safety.wait()
    assert stand_time_s(house, now) <= STAND_S
    house.safety = house.graph.node_process("ros.safety_node")


def test_a_stranger_drives_it_with_cyclone_dds(house):
    about = house.reset(2)
    house.commander.do(command=None)
    house.arm()  # the gate is there
    stranger = house.graph.run("tests/ros/cyclone_robot.py", "12", stdout=subprocess.PIPE, text=True)
    while stranger.poll() is None:
        house.graph.call(Trigger, "safety/arm")
        time.sleep(0.5)
    seen = json.loads(stranger.communicate(timeout=60)[0])
    assert about["running"]
    assert seen["pictures"] > 10
    assert (seen["encoding"], seen["size"], seen["frame"]) == ("rgb8", [64, 64], CAMERA)
    assert seen["bytes"] == 64 * 64 * 3
    assert seen["colours"] > 30
    assert 0.25 in seen["speeds"]
    assert house.pose() != (0.0, 0.0, 0.0)
    assert house.pose().yaw_rad != 0.0


def test_a_gate_that_watches_the_clearance_stops_before_the_wall(house):
    """Driven ahead in a real house until depth says that something is near; without the watch it would slide along."""
    house.safety.terminate()
    house.safety.wait(timeout=30.0)
    watchful = contract.load("", ["limits.clearance_m=0.4"])
    status = house.graph.ears(DiagnosticStatus, "safety/status", qos.LATCHED)
    house.safety = house.graph.node_process("ros.safety_node", "-p", "contract_overrides:=['limits.clearance_m=0.4']")
    house.reset(0)
    house.drive([0.5, 0.0], lambda: bool(status) and "clearance" in status[-1][1].message, 60.0)
    assert not house.is_moving()
    metres = messages.depth_m_of(house.depths[-1][1], ROBOT.depth, CAMERA)
    assert 0.1 < FreeWay(watchful).free_m(metres) <= 0.4
    place = house.pose()
    house.commander.do(command=[0.5, 0.0])
    time.sleep(0.5)
    assert house.pose() == place
    house.arm()
    time.sleep(0.5)
    assert house.pose() == place  # armed, and still nothing ahead: the first picture stops it again


def test_episodes_that_are_not_there_end_it_with_one_line(house):
    process = house.graph.node_process(
        "ros.habitat_robot_node", "-p", "episodes:=nowhere.json.gz", stderr=subprocess.PIPE, text=True
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.strip() == "habitat_robot_node: sim.episodes: no file at nowhere.json.gz"


def test_simulated_time_goes_at_the_walls_pace_and_moves_the_robot(houses):
    simulated = ("-p", "use_sim_time:=true")
    with Graph() as graph:
        clock = graph.ears(Clock, "/clock", qos.SENSOR_READER)
        odometry = graph.ears(Odometry, ROBOT.odometry.topic, qos.SENSOR_READER)
        graph.node_process("ros.habitat_robot_node", "-p", f"episodes:={episodes(houses)}", "-p", "publish_clock:=true")
        graph.node_process("ros.safety_node", *simulated)
        commander = graph.actor("commander", "--ros-args", *simulated)
        commander.do(command=[0.0, 0.5])
        wait_for(lambda: odometry and graph.call(Trigger, "safety/arm").success, "arming")
        wait_for(
            lambda: graph.call(Trigger, "safety/arm").success and odometry[-1][1].twist.twist.angular.z > 0, "motion"
        )
        (wall, first), (later, last) = clock[0], clock[-1]
        seconds = (messages.nanoseconds(last.clock) - messages.nanoseconds(first.clock)) / 1e9
        assert 0.7 * (later - wall) < seconds < 1.1 * (later - wall)
        assert messages.nanoseconds(odometry[-1][1].header.stamp) < 3600e9
