"""The safety gate, under every order of events that hypothesis finds, with a clock of its own."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros import contract
from ros.safety import ZERO, FreeWay, NotReady, SafetyGate, Velocity

TICK_S = 0.02
ROBOT = contract.load("", ["limits.linear_m_s2=2.0", "limits.angular_rad_s2=4.0"])


class World:
    """A gate, its clock, and healthy inputs unless told otherwise."""

    def __init__(self, robot=ROBOT):
        self.now = 100.0
        self.gate = SafetyGate(robot, lambda: self.now)
        self.outputs = []
        self.sent_at = {"camera": 0.0, "odometry": 0.0, "command": 0.0}

    def tick(self, command=None, camera=True, odometry=True):
        """20 ms: inputs, then what the base gets."""
        self.now += TICK_S
        for name, alive in (("camera", camera), ("odometry", odometry)):
            if alive:
                self.gate.seen(name, round(self.now * 1e9))
        if command is not None:
            self.gate.command(Velocity(*command), round(self.now * 1e9))
        output = self.gate.output()
        self.outputs.append((self.now, output))
        return output

    def armed(self):
        for _ in range(3):
            self.tick()
        self.gate.arm()
        return self

    def moving(self, command=(0.5, 0.3)):
        self.armed()
        for _ in range(50):
            self.tick(command)
        assert self.gate.armed
        assert self.outputs[-1][1] == command
        return self

    def stop_time_s(self, **tick):
        """Runs on until the base stands; how long that took."""
        start = self.now
        while self.tick(**tick) != ZERO:
            assert self.now - start < 1.0
        return self.now - start


def test_it_starts_stopped_and_needs_its_inputs_to_be_armed():
    world = World()
    with pytest.raises(NotReady, match="camera: never seen; odometry: never seen|camera"):
        world.gate.arm()
    for _ in range(5):
        assert world.tick((1.0, 0.0)) == ZERO
    world.gate.arm()
    assert world.tick((1.0, 0.0)).linear_m_s > 0


def assert_stays_stopped(world, words):
    assert words in world.gate.reason
    for _ in range(100):
        assert world.tick((1.0, 1.0)) == ZERO
    world.gate.arm()
    assert world.tick((1.0, 1.0)) != ZERO


def test_a_silent_policy_stops_the_base_for_good():
    world = World().moving()
    assert world.stop_time_s() <= 0.2
    assert_stays_stopped(world, "stale command")


@pytest.mark.parametrize("name", ["camera", "odometry"])
def test_a_silent_input_stops_the_base_for_good(name):
    world = World().moving()
    assert world.stop_time_s(command=(0.5, 0.3), **{name: False}) <= 0.2
    assert_stays_stopped(world, name)


def test_a_frozen_camera_that_repeats_its_picture_is_stale():
    world = World().moving()
    stamp, start = round(world.now * 1e9), world.now
    while world.tick((0.5, 0.3), camera=False) != ZERO:
        world.gate.seen("camera", stamp)
        assert world.now - start <= 0.2
    assert "stamps do not rise" in world.gate.reason


@pytest.mark.parametrize("bad", [(math.nan, 0.0), (0.0, math.inf), (-math.inf, math.nan)])
def test_a_command_that_is_no_number_stops_at_once(bad):
    world = World().moving()
    assert world.tick(bad) == ZERO
    assert_stays_stopped(world, "NaN")


def test_a_flood_of_commands_stops():
    world = World().moving()
    for _ in range(20):
        world.now += 0.001
        world.gate.command(Velocity(0.5, 0.3), round(world.now * 1e9))
    assert world.gate.output() == ZERO
    assert "flood" in world.gate.reason


def test_the_estop_holds_until_it_is_released_and_armed():
    world = World().moving()
    world.gate.estop(True)
    assert world.tick((0.5, 0.3)) == ZERO
    with pytest.raises(NotReady, match="e-stop"):
        world.gate.arm()
    world.gate.estop(False)
    assert_stays_stopped(world, "e-stop")


def test_a_policy_that_ends_with_a_zero_may_fall_silent():
    world = World().moving()
    world.tick((0.0, 0.0))
    for _ in range(100):
        assert world.tick() == ZERO
    assert world.gate.armed
    assert world.tick((0.5, 0.3)) != ZERO


def test_a_camera_may_restart_at_rest_and_motion_without_it_is_a_fault():
    world = World().armed()
    for _ in range(50):
        world.tick(camera=False)
    assert world.gate.armed
    assert world.tick((0.5, 0.0), camera=False) == ZERO
    assert not world.gate.armed


def test_late_and_disordered_commands_do_not_count():
    world = World().moving((0.5, 0.0))
    stamp = round(world.now * 1e9)
    world.gate.command(Velocity(0.9, 0.9), stamp - 10_000_000)
    world.gate.command(Velocity(0.9, 0.9), stamp + 1, age_s=0.4)
    assert world.tick() == (0.5, 0.0)


def test_motion_commanded_before_arming_does_not_begin_with_it():
    world = World()
    for _ in range(5):
        world.tick((1.0, 1.0))
    world.gate.arm()
    assert world.tick() == ZERO


events = st.one_of(
    st.tuples(st.just("command"), st.floats(allow_nan=True, width=32), st.floats(allow_nan=True, width=32)),
    st.tuples(st.just("command"), st.floats(-2, 2), st.floats(-3, 3)),
    st.sampled_from(
        [("camera",), ("odometry",), ("arm",), ("estop",), ("release",), ("bad",), ("late",), ("all",), ("go",)]
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(events, st.integers(0, 12)), max_size=60))
def test_whatever_happens_the_base_is_safe(history):
    """Limits hold; no motion while not armed; none on a command, camera or odometry older than its deadline."""
    world = World()
    gate, robot = world.gate, ROBOT
    heard = dict.fromkeys(("command", "camera", "odometry"), -math.inf)
    before, allowed = ZERO, False
    for (event, *arguments), ticks in history:
        stamp = round(world.now * 1e9)
        if event == "command" and all(map(math.isfinite, arguments)):
            gate.command(Velocity(*arguments), stamp)
            heard["command"] = world.now
        elif event == "command":
            gate.command(Velocity(*arguments), stamp)
            allowed = False
        elif event == "arm":
            try:
                gate.arm()
                allowed = True
                heard["command"] = -math.inf
            except NotReady:
                pass
        elif event in ("estop", "release"):
            gate.estop(event == "estop")
            allowed = allowed and event == "release"
        elif event == "bad":
            gate.bad("command", "it asks for motion that the base cannot make")
            allowed = False
        elif event == "go" and allowed is False and not gate._estopped:
            for _ in range(2):
                world.now += TICK_S
                for name in ("camera", "odometry"):
                    gate.seen(name, round(world.now * 1e9))
                before = gate.output()
                assert before == ZERO
            gate.arm()
            gate.command(Velocity(0.6, -0.4), round(world.now * 1e9))
            heard = dict.fromkeys(heard, world.now)
            allowed = True
        elif event == "late":
            gate.command(Velocity(1.0, 1.0), stamp, age_s=1.0)
        elif event in ("camera", "odometry", "all"):
            for name in ("camera", "odometry") if event == "all" else (event,):
                gate.seen(name, stamp)
                heard[name] = world.now
        for _ in range(ticks):
            world.now += TICK_S
            output = gate.output()
            assert abs(output.linear_m_s) <= robot.limits.linear_m_s
            assert abs(output.angular_rad_s) <= robot.limits.angular_rad_s
            assert abs(output.linear_m_s) <= abs(before.linear_m_s) + robot.limits.linear_m_s2 * TICK_S + 1e-6
            assert abs(output.angular_rad_s) <= abs(before.angular_rad_s) + robot.limits.angular_rad_s2 * TICK_S + 1e-6
            allowed = allowed and gate.armed
            if output != ZERO:
                assert allowed
                assert world.now - heard["command"] <= robot.command.deadline_s + 1e-6
                assert world.now - heard["camera"] <= robot.camera.deadline_s + 1e-6
                assert world.now - heard["odometry"] <= robot.odometry.deadline_s + 1e-6
            before = output


# -- clearance ------------------------------------------------------------------------------------------------------

WATCHFUL = contract.load("", ["limits.clearance_m=0.3"])


def wall(distance_m):
    """What the depth camera sees of a wall across the way: the floor before it, too."""
    rows = (np.arange(64) - 31.5) / 32.0
    floor_m = np.where(rows > 0, 0.88 / np.maximum(rows, 1e-6), np.inf)
    return np.repeat(np.minimum(floor_m, distance_m)[:, None], 64, axis=1).astype(np.float32)


@pytest.mark.parametrize("distance_m", [0.4, 1.0, 3.0])
def test_the_way_ahead_is_free_up_to_a_wall_and_the_floor_is_none(distance_m):
    free_m = FreeWay(WATCHFUL).free_m(wall(distance_m))
    assert free_m == pytest.approx(distance_m - WATCHFUL.limits.robot_width_m / 2, abs=0.01)
    assert FreeWay(WATCHFUL).free_m(wall(np.inf)) > 5.0


def test_what_stands_beside_the_way_is_no_obstacle():
    picture = wall(4.0)
    picture[:, :12] = 0.6  # 0.37 m and more to the left
    assert FreeWay(WATCHFUL).free_m(picture) > 3.0
    picture[:, 30:34] = 0.6
    assert FreeWay(WATCHFUL).free_m(picture) < 0.5


def test_a_blind_depth_camera_sees_no_free_way():
    assert FreeWay(WATCHFUL).free_m(np.full((64, 64), np.nan, np.float32)) == 0.0


def test_an_obstacle_stops_motion_ahead_and_turning_away_needs_an_arm():
    world = World(WATCHFUL)

    def tick(command, distance_m):
        world.gate.depth(wall(distance_m), round(world.now * 1e9))
        return world.tick(command)

    for _ in range(3):
        tick(None, 3.0)
    world.gate.arm()
    for _ in range(30):
        assert tick((0.5, 0.0), 3.0) != ZERO
    assert tick((0.5, 0.0), 0.4) == ZERO
    assert "clearance" in world.gate.reason
    for _ in range(5):
        assert tick((0.0, 0.5), 0.4) == ZERO
    world.gate.arm()
    assert tick((0.0, 0.5), 0.4) != ZERO
    assert tick((0.5, 0.0), 0.4) == ZERO
