"""habitat-lab's own evaluation loop, with an agent that lives in the learning process.

`habitat.Benchmark.evaluate` (what `habitat.Challenge` submits with) runs here, unchanged, over `habitat.Env`. Its
agent's `reset` and `act` are asked of the learning process, over the same connection::

    client                              worker
    ------                              ------
    HELLO {service: challenge}  ----->  builds habitat.Benchmark
                                <-----  READY {spaces, actions, robot, num_episodes}
    CALL evaluate {episodes}    ----->  Benchmark.evaluate(agent, episodes)
                                <-----  RESET {episode}              agent.reset()
    DONE {}                     ----->
                                <-----  STEP {observations} + bytes  agent.act(observations)
    DONE {action}               ----->
                                        ...
                                <-----  DONE {metrics}               the averages that evaluate returned
"""

from typing import Any, Dict, List, Optional, Tuple

import habitat
import numpy as np

from . import (  # noqa: F401  (they register what they define)
    calls,
    checks,
    configs,
    manipulation,
    oracle,
    protocol,
    simulator,
    tasks,
)
from .server import TaskError, action_decoder, describe_space, load_config


class ChallengeWorker:
    """One evaluation. `config` keys: `lab_config` (a habitat-lab YAML) and `overrides` (Hydra's)."""

    def __init__(self, config: Dict[str, Any], channel: protocol.Channel) -> None:
        self._channel = channel
        lab_config = load_config(config)
        dataset = checks.load_dataset(lab_config.habitat)
        checks.check_scenes(dataset.episodes)
        checks.check_entities(lab_config.habitat)
        self._benchmark = _Benchmark(lab_config, dataset)
        self._env = self._benchmark.env
        self._actions = action_decoder(self._env.task)

    def hello(self) -> Tuple[Dict[str, Any], Optional[int]]:
        spaces = self._env.observation_space.spaces
        body = {
            "observation_spaces": {name: describe_space(name, space) for name, space in spaces.items()},
            "action_space": self._actions.describe(),
            "robot": calls.robot(self._env)[0],
            "num_episodes": len(self._env.episodes),
        }
        return body, None

    def call(self, name: str, arguments: Dict[str, Any]) -> calls.Answer:
        if name != "evaluate":
            raise TaskError("a challenge worker answers evaluate alone, not {}".format(name))
        episodes = int(arguments["episodes"]) or len(self._env.episodes)
        if episodes > len(self._env.episodes):
            raise TaskError("{} episodes asked, the data set has {}".format(episodes, len(self._env.episodes)))
        agent = _RemoteAgent(self._channel, self._env)
        metrics = self._benchmark.evaluate(agent, num_episodes=episodes)
        return {"metrics": {name: float(value) for name, value in metrics.items()}, "episodes": agent.episodes}, b""

    def close(self) -> None:
        self._env.close()


class _Benchmark(habitat.Benchmark):
    """`habitat.Benchmark` whose constructor takes a config with overrides and a data set that has been checked."""

    def __init__(self, config: Any, dataset: Any) -> None:
        self._eval_remote = False
        self._env = _NumericEnv(config, dataset)

    @property
    def env(self) -> habitat.Env:
        return self._env


class _NumericEnv(habitat.Env):
    """`habitat.Env` without the metrics that `Benchmark.evaluate` cannot average (ExtObjectNav lists its goals)."""

    def get_metrics(self) -> Any:
        return _numeric(super().get_metrics())


class _RemoteAgent(habitat.Agent):
    """Asks the learning process. `episodes` are the ids of the episodes it was reset for."""

    def __init__(self, channel: protocol.Channel, env: habitat.Env) -> None:
        self._channel = channel
        self._env = env
        self.episodes: List[str] = []

    def reset(self) -> None:
        self.episodes.append(str(self._env.current_episode.episode_id))
        self._ask(protocol.RESET, {"episode": self.episodes[-1]})

    def act(self, observations: Any) -> Any:
        arrays = {name: np.ascontiguousarray(value) for name, value in observations.items()}
        layout = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
        answer = self._ask(protocol.STEP, {"observations": layout}, b"".join(a.tobytes() for a in arrays.values()))
        return answer["action"]

    def _ask(self, kind: int, body: Dict[str, Any], blob: bytes = b"") -> Dict[str, Any]:
        self._channel.send(kind, body, blob)
        answer = self._channel.receive(timeout_s=None)
        if answer.kind != protocol.DONE:
            raise TaskError("the agent answered with a message of kind {}".format(answer.kind))
        return answer.body


def _numeric(metrics: Dict[str, Any]) -> Dict[str, Any]:
    kept: Dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            kept[name] = _numeric(value)
        elif isinstance(value, (bool, int, float, np.number, np.bool_)):
            kept[name] = value
    return kept
