"""habitat-lab's challenge evaluation, run on an Engram agent.

The loop is `habitat.Benchmark.evaluate` in the simulator's process (`sim.worker.challenge`); the agent answers from
here.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console

from embodied.agents.habitat_agent import HabitatAgent
from embodied.agents.registry import make_agent, prepare_sim
from embodied.evaluation.config import label_of, source_of
from embodied.evaluation.progress import EvaluationProgress
from sim.client import Worker
from sim.config import SimConfig
from sim.errors import SimulatorError
from sim.vector_env import action_space_of, observation_space_of
from sim.worker import protocol


class ChallengeEnv:
    """What an agent is told of the environment in a challenge worker; one row."""

    num_envs = 1

    def __init__(self, ready: Mapping[str, Any]) -> None:
        self.single_observation_space = observation_space_of(ready["observation_spaces"])
        self.single_action_space = action_space_of(ready["action_space"])
        self.action_names = tuple(ready["action_space"].get("names", ()))
        self._robot = dict(ready["robot"])

    def call(self, index: int, name: str, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """Answers `robot` alone: while habitat-lab's loop runs, the worker takes no questions."""
        if (index, name, arguments) != (0, "robot", {}):
            raise SimulatorError(f"the challenge loop answers no call '{name}'")
        return self._robot, b""


def challenge(
    agent: str, sim: SimConfig, episodes: int = 0, seed: int = 0, console: Console | None = None
) -> dict[str, float]:
    """Evaluates an agent with habitat-lab's own loop; returns the averages that the loop returns.

    Args:
        agent: a baseline's name, a checkpoint's path, or LABEL=NAME_OR_PATH.
        sim: task and episode file; habitat-lab's iterator chooses the order, `num_envs` and `order` do not matter.
        episodes: how many; 0: all.
        seed: of the episodes' order and the agent's random choices.

    Raises:
        AgentError: the agent cannot run this task.
        SimulatorError: see `sim.client.Worker`.
    """
    source = source_of(agent)
    sim = dataclasses.replace(prepare_sim(source, sim), seed=seed)
    sim.validate()
    hello = {"service": "challenge", "lab_config": sim.lab_config(), "overrides": sim.lab_overrides()}
    with contextlib.closing(Worker(sim, hello)) as worker, EvaluationProgress(console) as progress:
        env = ChallengeEnv(worker.ready)
        answering = HabitatAgent(make_agent(source, env, seed), worker.ready["action_space"], seed)
        progress.begin(label_of(agent), episodes or worker.ready["num_episodes"])
        worker.send(protocol.CALL, {"name": "evaluate", "arguments": {"episodes": episodes}})
        started = 0
        while True:
            message = worker.receive(sim.reset_timeout_s)
            if message.kind in (protocol.RESET, protocol.DONE) and started:
                progress.advance()
            if message.kind == protocol.DONE:
                return {name: float(value) for name, value in message.body["metrics"].items()}
            if message.kind == protocol.RESET:
                started += 1
                answering.reset()
                worker.send(protocol.DONE)
            elif message.kind == protocol.STEP:
                progress.stepped(1)
                action = answering.act(unpack(message.body["observations"], message.blob))
                worker.send(protocol.DONE, {"action": action})
            else:
                raise SimulatorError(f"the challenge worker sent a message of kind {message.kind}")


def unpack(layout: list[Any], blob: bytes) -> dict[str, np.ndarray]:
    """Arrays that lie one after the other in `blob`, from their [name, dtype, shape]."""
    arrays = {}
    start = 0
    for name, dtype, shape in layout:
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(blob, dtype, count, start).reshape(shape)
        start += count * np.dtype(dtype).itemsize
    return arrays
