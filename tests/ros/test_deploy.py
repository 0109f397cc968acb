"""`embodied deploy` starts, watches and ends processes; robots of one graph keep apart."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from geometry_msgs.msg import TwistStamped
from graph import Graph, wait_for
from std_srvs.srv import Trigger

from embodied import config as configs
from embodied.config import ConfigError
from ros import qos
from ros.deploy import DeployConfig


def config_file(tmp_path, text):
    path = tmp_path / "deploy.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nodes: {}", "nothing to start"),
        ("nodes: {safety: {modul: ros.safety_node}}", "nodes.safety: no setting 'modul'; did you mean module?"),
        ("nodes: {safety: {module: ros.safety_node, restart: maybe}}", "must be always or never"),
        ("nodes: {safety: ros.safety_node}", "nodes.safety must be a mapping"),
        ("contract_overrides: [camera.width=wide]\nnodes: {safety: {module: a}}", "camera.width must be an integer"),
        ("namespace: 'my robot'\nnodes: {safety: {module: a}}", "is no ROS namespace"),
        ("nodes: {policy: {module: a, parameters: {checkpoint: '${checkpoint}'}}}", "checkpoint is empty"),
    ],
)
def test_what_cannot_be_right_is_named(tmp_path, text, words):
    with pytest.raises(ConfigError) as raised:
        configs.load(DeployConfig, config_file(tmp_path, text))
    assert words in str(raised.value)


def test_the_config_that_comes_with_engram_takes_a_checkpoint_and_episodes():
    path = configs.CONFIGS_DIR / "habitat_robot.yaml"
    config = configs.load(DeployConfig, path, ["checkpoint=runs/a", "episodes=b.json.gz"])
    nodes = config.node_configs()
    assert nodes["policy"].parameters["checkpoint"] == "runs/a"
    assert nodes["robot"].parameters["episodes"] == "b.json.gz"
    with pytest.raises(ConfigError, match="checkpoint"):
        configs.load(DeployConfig, path, ["episodes=b.json.gz"])


class Deployed:
    def __init__(self, graph, path, *overrides):
        command = ("-m", "embodied.cli", "deploy", str(path), *overrides)
        self.process = graph.run(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []

    def wait_for_line(self, words):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if words in line:
                return line
        raise AssertionError(f"no line with {words!r} in {self.lines}")

    def child(self, module):
        """The process id of the node that runs `module`."""
        command = ["pgrep", "-P", str(self.process.pid), "-f", module]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])


SAFETY = "nodes: {safety: {module: ros.safety_node}}"


def test_a_killed_node_is_started_again_and_ctrl_c_ends_all_with_the_base_at_zero(tmp_path):
    with Graph() as graph:
        base = graph.ears(TwistStamped, "cmd_vel", qos.COMMAND)
        robot = graph.actor("robot")
        robot.do(camera="good", odometry="good", command=[0.5, 0.0])
        deployed = Deployed(graph, config_file(tmp_path, SAFETY), f"logs={tmp_path / 'logs'}")
        assert deployed.wait_for_line("not armed yet").startswith("[safety] ")
        os.kill(deployed.child("ros.safety_node"), signal.SIGKILL)
        deployed.wait_for_line("was ended by SIGKILL; it starts again in")
        deployed.wait_for_line("not armed yet")
        armed = subprocess.run([sys.executable, "-m", "ros.arm"], env=graph.environment, capture_output=True, text=True)
        assert armed.stdout.strip() == "armed"
        wait_for(lambda: base[-1][1].twist.linear.x > 0, "motion", 10.0)
        safety = deployed.child("ros.safety_node")
        deployed.process.send_signal(signal.SIGINT)
        assert deployed.process.wait(timeout=30.0) == 0
        time.sleep(0.1)
        assert base[-1][1].twist.linear.x == 0
        assert not Path(f"/proc/{safety}").exists()
        assert "not armed yet" in (tmp_path / "logs" / "safety.log").read_text()


def test_a_node_given_something_wrong_ends_all(tmp_path):
    text = "nodes: {safety: {module: ros.safety_node, parameters: {contract: nowhere.yaml}}}"
    with Graph() as graph:
        deployed = Deployed(graph, config_file(tmp_path, text))
        line = deployed.wait_for_line("ended with status 2")
        assert "nowhere.yaml" in line
        assert deployed.process.wait(timeout=30.0) == 1


def test_two_robots_in_one_graph_keep_apart():
    with Graph() as graph:
        bases, actors = [], []
        for name in ("robot1", "robot2"):
            bases.append(graph.ears(TwistStamped, f"/{name}/cmd_vel", qos.COMMAND))
            graph.node_process("ros.safety_node", "-r", f"__ns:=/{name}")
            actors.append(graph.actor("everything", "--ros-args", "-r", f"__ns:=/{name}"))
        for actor in actors:
            actor.do(camera="good", odometry="good", command=[0.5, 0.0])
        wait_for(lambda: graph.call(Trigger, "/robot2/safety/arm").success, "arming")
        wait_for(lambda: bases[1] and bases[1][-1][1].twist.linear.x > 0, "robot2's motion", 20.0)
        wait_for(lambda: len(bases[0]) > 20, "robot1's gate")
        assert all(message.twist.linear.x == 0 for _, message in bases[0])
