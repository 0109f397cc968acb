"""The same checkpoint on the robot and in the simulator: N episodes over DDS, and the same N evaluated directly.

Starts the Habitat robot, the safety gate, the policy and (with `memory`) the memory as processes of their own, gives
the robot one episode after the other and its goal to the policy, says "I am there" where the policy does, and takes the
simulator's word for what came of it. Before that the policy is played in the same episodes in lock-step, without ROS.

    python -m ros.evaluate checkpoint=runs/a episodes=data/demo/episodes/pointnav_val.json.gz count=50
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embodied import config as configs
from embodied.files import write_atomically
from ros import contract
from ros.contract import RobotContract
from sim.config import SimConfig

_Z = 1.96


@dataclass
class EvaluateConfig:
    """`python -m ros.evaluate`."""

    checkpoint: str = field(default="", metadata={"help": "a navigation policy: a checkpoint's folder, or a run's"})
    episodes: str = field(default="", metadata={"help": "episode file (.json.gz), of houses that it did not train in"})
    task: str = field(default="pointnav", metadata={"help": "pointnav or objectnav"})
    count: int = field(default=50, metadata={"help": "episodes, the first of the file"})
    contract: str = field(default="robot.yaml", metadata={"help": "the robot"})
    seed: int = field(default=0, metadata={"help": "of drawn actions: episode k draws from seed + k"})
    goal_timeout_s: float = field(default=90.0, metadata={"help": "an episode that takes longer has failed, seconds"})
    memory: bool = field(default=True, metadata={"help": "run the memory node beside"})
    record: bool = field(default=False, metadata={"help": "record the run as a bag, output/run.mcap"})
    direct: bool = field(default=True, metadata={"help": "also evaluate directly in Habitat"})
    over_ros: bool = field(default=True, metadata={"help": "evaluate over ROS"})
    output: str = field(default="runs/ros", metadata={"help": "folder for logs and results.json"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        if not self.checkpoint:
            raise ValueError("checkpoint must name a checkpoint's or a run's folder")
        if not Path(self.episodes).is_file():
            raise ValueError(f"episodes: no file at '{self.episodes}'")
        if self.task not in ("pointnav", "objectnav"):
            raise ValueError(f"task must be pointnav or objectnav, not '{self.task}'")
        if self.count < 1:
            raise ValueError(f"count must be at least 1, not {self.count}")


@dataclass
class EpisodeOutcome:
    """One episode, either way."""

    episode: int
    success: float
    spl: float
    distance_to_goal_m: float
    steps: int
    said: str
    """How it ended, by the policy's word."""
    seconds: float
    rearmed: int = 0
    """Times that the safety gate stopped the robot on the way and the pilot armed it again."""


def evaluate(config: EvaluateConfig, say: Callable[[str], object] = print) -> dict[str, Any]:
    """Runs both and compares them; the body of results.json."""
    robot = contract.load(config.contract)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    ways: dict[str, list[EpisodeOutcome]] = {}
    if config.direct:
        ways["direct"] = _each(_direct(config, robot), "direct", say)
    if config.over_ros:
        ways["ros"] = _each(_over_ros(config, output), "ros", say)
    result: dict[str, Any] = {"config": configs.to_dict(config)}
    for way, outcomes in ways.items():
        success = [outcome.success for outcome in outcomes]
        result[way] = {
            "success": float(np.mean(success)),
            "success_95": _wilson(sum(success), len(success)),
            "spl": float(np.mean([outcome.spl for outcome in outcomes])),
            "episodes": [asdict(outcome) for outcome in outcomes],
        }
    if len(ways) == 2:
        result["difference_points"] = 100.0 * (result["ros"]["success"] - result["direct"]["success"])
    write_atomically(output / "results.json", json.dumps(result, indent=1) + "\n")
    return result


def _each(outcomes: Iterator[EpisodeOutcome], way: str, say: Callable[[str], object]) -> list[EpisodeOutcome]:
    found = []
    for outcome in outcomes:
        found.append(outcome)
        rate = sum(each.success for each in found) / len(found)
        say(
            f"{way} {outcome.episode}: success {outcome.success:.0f}, {outcome.distance_to_goal_m:.2f} m from the goal "
            f"after {outcome.steps} steps, {outcome.said}, armed again {outcome.rearmed} times; so far {rate:.0%}"
        )
    return found


def _wilson(successes: float, count: int) -> list[float]:
    """Wilson's 95 % interval of a share."""
    share, spread = successes / count, _Z**2 / count
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return [centre - half, centre + half]


# -- directly --------------------------------------------------------------------------------------------------------


def _direct(config: EvaluateConfig, robot: RobotContract) -> Iterator[EpisodeOutcome]:
    from embodied.agents.policy import PolicyAgent
    from sim.env import HabitatEnv

    agent = PolicyAgent(Path(config.checkpoint), None, config.seed)
    robot.require(agent.contract)
    discrete = agent.contract.actions.kind == "discrete"
    fields = robot.sim_fields()
    if discrete:
        kept = [override for override in fields["overrides"] if "velocity_control" not in override]
        fields = {"control": "discrete", "image_size": 0, "turn_degrees": round(robot.actions.turn_deg)}
        fields["overrides"] = [*kept, f"habitat.simulator.forward_step_size={robot.actions.forward_m:g}"]
    env = HabitatEnv(SimConfig(task=config.task, episodes=config.episodes, num_envs=1, order="sequential", **fields))
    one = np.ones(1, bool)
    try:
        for episode in range(config.count):
            observation, info = env.reset(options={"counts": [episode]})
            # As the node does: goal k of its life draws from seed + k - 1.
            agent.seed(one, np.array([config.seed + episode]))
            agent.reset(one)
            steps, over, began = 0, False, time.monotonic()
            while not over:
                action = agent.act({name: np.asarray(value)[None] for name, value in observation.items()})[0]
                observation, _, terminated, truncated, info = env.step(action)
                steps, over = steps + 1, terminated or truncated
            yield _outcome(episode, info["metrics"], steps, "stopped" if terminated else "limit", began)
    finally:
        env.close()


def _outcome(episode: int, metrics: dict[str, Any], steps: int, said: str, began: float) -> EpisodeOutcome:
    def number(name: str) -> float:
        value = metrics.get(name)
        return math.nan if value is None else float(value)

    distance = number("distance_to_goal")
    return EpisodeOutcome(episode, number("success"), number("spl"), distance, steps, said, time.monotonic() - began)


# -- over ROS --------------------------------------------------------------------------------------------------------


def _over_ros(config: EvaluateConfig, output: Path) -> Iterator[EpisodeOutcome]:
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randint(120, 229)))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    shared = {"contract": config.contract}
    nodes: dict[str, dict[str, Any]] = {
        "habitat_robot_node": {"task": config.task, "episodes": str(Path(config.episodes).absolute()), "episode": 0},
        "safety_node": {},
        "policy_node": {
            "checkpoint": str(Path(config.checkpoint).absolute()),
            "autostart": True,
            "seed": config.seed,
            "goal_timeout_s": config.goal_timeout_s,
        },
    }
    if config.memory:
        nodes["memory_node"] = {"store": str(output / "memory")}
    if config.record:
        nodes["record_node"] = {"bag": str(output / "run.mcap")}
    with contextlib.ExitStack() as stack:
        children = {name: stack.enter_context(_process(name, {**shared, **nodes[name]}, output)) for name in nodes}
        with Pilot(children) as pilot:
            for episode in range(config.count):
                yield pilot.episode(episode, config.goal_timeout_s)


@contextlib.contextmanager
def _process(name: str, parameters: dict[str, Any], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    arguments = ["--ros-args"]
    for key, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        arguments += ["-p", f"{key}:={text}"]
    with open(output / f"{name}.log", "wb") as log:
        child = subprocess.Popen([sys.executable, "-m", f"ros.{name}", *arguments], stdout=log, stderr=log)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


class Pilot:
    """Takes the robot from episode to episode as a person with the command line would: by services and an action.

    Args:
        children: the processes; one that dies ends it all.
    """

    def __init__(self, children: dict[str, subprocess.Popen[bytes]]) -> None:
        self._children = children

    def __enter__(self) -> Pilot:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticStatus
        from rcl_interfaces.srv import SetParameters
        from rclpy.action import ActionClient
        from rclpy.executors import SingleThreadedExecutor
        from std_srvs.srv import Trigger

        from ros import interfaces, qos

        self._types = interfaces.load()
        rclpy.init()
        self._node = rclpy.create_node("pilot")
        create: Any = self._node.create_client
        self._set = create(SetParameters, "habitat_robot/set_parameters")
        self._reset, self._there = create(Trigger, "habitat_robot/reset"), create(Trigger, "habitat_robot/stop")
        self._arm, self._trigger = create(Trigger, "safety/arm"), Trigger.Request
        self._arming: Any = None
        self._stopped, self._rearmed = False, 0
        self._node.create_subscription(DiagnosticStatus, "safety/status", self._watch, qos.LATCHED)
        self._policy: Any = ActionClient(self._node, self._types.action.Navigate, "policy/navigate")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        import rclpy

        self._ending.set()
        self._thread.join(timeout=5.0)
        self._node.destroy_node()
        rclpy.try_shutdown()

    def episode(self, number: int, timeout_s: float) -> EpisodeOutcome:
        """One episode.

        Raises:
            RuntimeError: a process died, or does not answer.
        """
        from geometry_msgs.msg import PoseStamped
        from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
        from rcl_interfaces.srv import SetParameters
        from std_srvs.srv import Trigger

        value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=number)
        self._call(self._set, SetParameters.Request(parameters=[Parameter(name="episode", value=value)]))
        about = json.loads(self._call(self._reset, Trigger.Request()).message)
        time.sleep(0.5)  # odometry begins anew at the episode's start; what is under way must have come
        self._until_armed()
        began = time.monotonic()
        Navigate = self._types.action.Navigate
        if about["goal_m"] is not None:
            pose = PoseStamped()
            pose.header.frame_id = "odom"
            pose.pose.position.x, pose.pose.position.y = map(float, about["goal_m"])
            goal = Navigate.Goal(kind=Navigate.Goal.POSE, pose=pose)
        else:
            goal = Navigate.Goal(kind=Navigate.Goal.NAME, text=about["category"])
        result = self._go(goal, timeout_s)
        found = self._judged(result.outcome == Navigate.Result.STOPPED)
        outcome = _outcome(number, found, int(found.get("steps", 0)), result.message, began)
        outcome.rearmed = self._rearmed
        return outcome

    def _judged(self, arrived: bool) -> dict[str, Any]:
        """Says "I am there" and gives the simulator's metrics; where the policy never said so, it has failed."""
        from std_srvs.srv import Trigger

        answer = self._call(self._there, Trigger.Request())
        if not answer.success:  # the limit of steps came first
            return {"success": 0.0, "spl": 0.0}
        found: dict[str, Any] = json.loads(answer.message)["result"]
        return found if arrived else {**found, "success": 0.0, "spl": 0.0}

    def _until_armed(self) -> None:
        from std_srvs.srv import Trigger

        deadline = time.monotonic() + 60.0
        while not (answer := self._call(self._arm, Trigger.Request())).success:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the safety gate cannot be armed: {answer.message}")
            time.sleep(0.2)

    def _go(self, goal: Any, timeout_s: float) -> Any:
        deadline = time.monotonic() + 180.0
        while True:
            self._wait(lambda: self._policy.server_is_ready(), 180.0, "the policy's action")
            sending = self._policy.send_goal_async(goal)
            self._wait(sending.done, 180.0, "the policy's answer")  # it may be loading
            if sending.result().accepted:
                break
            if time.monotonic() > deadline:
                raise RuntimeError("the policy takes no goals: see policy_node.log")
            time.sleep(1.0)
        result = sending.result().get_result_async()
        self._rearmed = 0
        self._wait(lambda: self._armed() and result.done(), timeout_s + 60.0, "the goal's end")
        return result.result().result

    def _armed(self) -> bool:
        """Arms again, as a person who watches would, where the gate has stopped the robot; True, to go on waiting."""
        if self._stopped and (self._arming is None or self._arming.done()):
            self._stopped = False
            self._rearmed += 1
            self._arming = self._arm.call_async(self._trigger())
        return True

    def _watch(self, status: Any) -> None:
        self._stopped = status.message.startswith("stopped")

    def _call(self, client: Any, request: Any) -> Any:
        self._wait(client.service_is_ready, 180.0, client.srv_name)
        future = client.call_async(request)
        self._wait(future.done, 60.0, client.srv_name)
        return future.result()

    def _wait(self, done: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            for name, child in self._children.items():
                if child.poll() is not None:
                    raise RuntimeError(f"{name} ended with status {child.returncode}: see {name}.log")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not come within {timeout_s:g} s")
            time.sleep(0.01)

    def _spin(self) -> None:
        while not self._ending.is_set():
            self._executor.spin_once(timeout_sec=0.1)


def main() -> None:
    arguments = sys.argv[1:]
    path = Path(arguments.pop(0)) if arguments and "=" not in arguments[0] else None
    try:
        result = evaluate(configs.load(EvaluateConfig, path, arguments), lambda line: print(line, flush=True))
    except (ValueError, OSError, RuntimeError) as error:
        print(f"evaluate: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    for way in ("direct", "ros"):
        result.get(way, {}).pop("episodes", None)  # they are in the file
    print(json.dumps({key: value for key, value in result.items() if key != "config"}))


if __name__ == "__main__":
    main()
