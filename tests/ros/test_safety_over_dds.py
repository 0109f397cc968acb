"""The safety node as a process between processes, over real DDS: whatever the others do, the base stands in 200 ms."""

import math
import signal
import subprocess
import time

import pytest
from bench import Bench
from graph import Graph, wait_for
from std_srvs.srv import SetBool, Trigger

LIMIT_S = 0.2


@pytest.fixture(scope="module")
def bench():
    with Graph() as graph:
        yield Bench(graph)


def test_a_killed_policy(bench):
    bench.ready()
    assert bench.stop_time_s(bench.commander.kill()) <= LIMIT_S
    bench.assert_reason("stale command")
    bench.commander = bench.graph.actor("commander")
    bench.assert_stays_stopped()


@pytest.mark.parametrize("camera", ["off", "repeat"])
def test_a_frozen_camera(bench, camera):
    bench.ready()
    assert bench.stop_time_s(bench.robot.do(camera=camera)) <= LIMIT_S
    bench.assert_reason("camera")
    bench.assert_stays_stopped()


@pytest.mark.parametrize("command", [[math.nan, 0.0], [0.5, -math.inf]])
def test_a_command_that_is_no_number(bench, command):
    bench.ready()
    assert bench.stop_time_s(bench.commander.do(command=command)) <= LIMIT_S
    bench.assert_reason("NaN")
    bench.assert_stays_stopped()


def test_a_thousand_commands_a_second(bench):
    bench.ready()
    assert bench.stop_time_s(bench.commander.do(rate_hz=1000.0)) <= LIMIT_S
    bench.assert_reason("flood")
    time.sleep(1.0)
    late = [b[0] - a[0] for a, b in zip(bench.base[-40:], bench.base[-39:], strict=False)]
    assert max(late) < LIMIT_S  # the gate keeps its rate under it
    bench.assert_stays_stopped()


def test_a_lossy_link_of_the_policy(bench):
    bench.ready()
    start = bench.commander.do(drop=0.3)
    time.sleep(2.0)
    bench.commander.do(drop=1.0)
    time.sleep(0.5)
    sent = bench.commander.sent()
    for at, message in bench.base:
        if at > start + LIMIT_S and (message.twist.linear.x or message.twist.angular.z):
            assert any(at - LIMIT_S <= when <= at for when in sent)
    assert not bench.is_moving()
    bench.assert_reason("stale command")
    bench.assert_stays_stopped()


def test_a_lossy_link_of_the_camera(bench):
    bench.ready()
    start = bench.robot.do(drop=0.3)
    wait_for(lambda: not bench.is_moving(), "a gap of two pictures", 30.0)
    assert bench.base[-1][0] > start
    bench.assert_reason("camera")
    bench.assert_stays_stopped()


def test_a_restarted_policy_finds_the_base_stopped(bench):
    bench.ready()
    bench.commander.kill()
    bench.commander = bench.graph.actor("commander")
    bench.assert_stays_stopped()


def test_a_restarted_driver_finds_the_base_stopped(bench):
    bench.ready()
    assert bench.stop_time_s(bench.robot.kill()) <= LIMIT_S
    bench.robot = bench.graph.actor("robot")
    bench.assert_stays_stopped()


def test_the_emergency_stop(bench):
    bench.ready()
    since = time.monotonic()
    assert bench.graph.call(SetBool, "safety/estop", SetBool.Request(data=True)).success
    assert bench.stop_time_s(since) <= LIMIT_S
    answer = bench.graph.call(Trigger, "safety/arm")
    assert not answer.success
    assert "release" in answer.message
    bench.graph.call(SetBool, "safety/estop", SetBool.Request(data=False))
    bench.assert_stays_stopped()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"camera": "encoding"}, "its encoding is 'yuv422', and the contract says 'rgb8'"),
        ({"camera": "size"}, "64x32 pixels"),
        ({"camera": "stamp"}, "stamp is zero"),
        ({"camera": "frame"}, "its frame is 'left_camera'"),
        ({"camera": "short"}, "100 bytes"),
        ({"odometry": "nan"}, "NaN"),
        ({"odometry": "frame"}, "wheel"),
    ],
)
def test_a_driver_that_breaks_the_contract(bench, bad, words):
    bench.ready()
    assert bench.stop_time_s(bench.robot.do(**bad)) <= LIMIT_S
    bench.assert_reason(words)
    assert bench.safety.poll() is None
    bench.assert_stays_stopped()


@pytest.mark.parametrize(
    ("bad", "words"), [({"stamp": "zero"}, "stamp is zero"), ({"stamp": "old"}, "stale"), ({"frame": "moon"}, "moon")]
)
def test_a_policy_that_breaks_the_contract(bench, bad, words):
    bench.ready()
    assert bench.stop_time_s(bench.commander.do(**bad)) <= LIMIT_S
    bench.assert_reason(words)
    bench.assert_stays_stopped()


def test_a_restarted_gate_is_stopped(bench):
    bench.ready()
    bench.safety.send_signal(signal.SIGKILL)
    bench.safety.wait()
    time.sleep(0.1)
    heard = len(bench.base)
    bench.safety = bench.graph.node_process("ros.safety_node")
    wait_for(lambda: len(bench.base) > heard + 20, "the new gate")
    assert all(message.twist.linear.x == 0 for _, message in bench.base[heard:])
    bench.assert_stays_stopped()


def test_an_ended_gate_leaves_the_base_at_zero(bench):
    bench.ready()
    bench.safety.send_signal(signal.SIGTERM)
    assert bench.safety.wait(timeout=20.0) == 0
    assert not bench.is_moving()


def test_a_wrong_contract_ends_the_gate_with_one_line(bench):
    process = bench.graph.node_process(
        "ros.safety_node", "-p", "contract_overrides:=['camera.widht=32']", stderr=subprocess.PIPE, text=True
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.strip().splitlines() == [
        "safety_node: override camera.widht=32: no setting 'camera.widht'; did you mean camera.width?"
    ]
