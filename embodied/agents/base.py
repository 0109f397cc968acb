"""What an embodied agent is: observations of n environments in, n actions out.

Timeline of one row::

    seed?(rows, seeds)   reset(rows)   act(obs_0) -> a_0   act(obs_1) -> a_1   ...   episode ends   seed?   reset  ...

`act` is called once a step with the observations of all rows; what an agent remembers of a row is cleared by `reset`
alone. In ExtObjectNav a trial of many goals is one episode, so memory lives across its goals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np

from sim.config import SimConfig

STOP, MOVE_FORWARD, TURN_LEFT, TURN_RIGHT = "stop", "move_forward", "turn_left", "turn_right"
POINT_GOAL = "pointgoal_with_gps_compass"
OBJECT_GOAL = "objectgoal"
INSTRUCTION = "instruction"
"""Beside the sensors: a text for each row, where the episode has one."""


class AgentError(ValueError):
    """An agent cannot run as asked; the message is one line that says what it needs."""


class Agent(Protocol):
    """The interface: a batch of rows, one environment each."""

    def reset(self, rows: np.ndarray) -> None:
        """Forgets the episode of the rows marked in `rows` (bool [n]), each of which begins a new one."""

    def act(self, observations: Mapping[str, np.ndarray]) -> np.ndarray:
        """Chooses every row's action.

        Args:
            observations: name -> [n, ...], as `HabitatVectorEnv` gives them.

        Returns:
            int64 [n] (discrete control) or float32 [n, k] in [-1, 1] (velocity control).
        """


@runtime_checkable
class SeededAgent(Protocol):
    """An agent that draws random numbers. Seeds come from the episode, so that results do not depend on the number of
    workers.
    """

    def seed(self, rows: np.ndarray, seeds: np.ndarray) -> None:
        """Called before `reset`: row i (where `rows`, bool [n]) draws from `seeds[i]` (int64 [n]) in its coming
        episode.
        """


class AgentEnv(Protocol):
    """What an agent may ask of the environment it is made for; `HabitatVectorEnv` is one."""

    num_envs: int
    single_observation_space: Any
    single_action_space: Any
    action_names: Any

    def call(self, index: int, name: str, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """Asks worker `index` one of `sim.worker.calls`."""


class Baseline:
    """Common part of the agents that learn nothing.

    Args:
        env: the environment it will act in.
        seed: of its random choices.

    Raises:
        AgentError: the environment lacks a sensor that the agent reads, or its actions are of no known kind.
    """

    title: ClassVar[str]
    """Its name in tables."""
    sensors: ClassVar[tuple[str, ...]] = ()
    """Observations it reads in every task."""

    def __init__(self, env: AgentEnv, seed: int = 0) -> None:
        self.num_envs = env.num_envs
        self._seed = seed
        self._observation_names = set(env.single_observation_space.spaces)
        self.require(*self.sensors)
        self.actions = Actions(env)

    @classmethod
    def privileges(cls, config: SimConfig) -> str:
        """What it is told in the task of `config` that a robot would not know; reports show it beside its name."""
        return ""

    @classmethod
    def sim_overrides(cls, config: SimConfig) -> list[str]:
        """habitat-lab overrides that add the sensors it needs to the task of `config`."""
        return []

    def reset(self, rows: np.ndarray) -> None:
        """Nothing to forget."""

    def require(self, *names: str) -> None:
        """Raises AgentError if one of the observations `names` is missing."""
        missing = [name for name in names if name not in self._observation_names]
        if missing:
            raise AgentError(
                f"the {self.title} agent needs the sensor {', '.join(missing)}, which the task does not have "
                f"(it has {', '.join(sorted(self._observation_names))})"
            )

    def has(self, name: str) -> bool:
        return name in self._observation_names


class Actions:
    """The environment's actions by meaning, whichever way it is controlled.

    Raises:
        AgentError: the environment has other actions than stop, move_forward, turn_left, turn_right, or [v, w].
    """

    def __init__(self, env: AgentEnv) -> None:
        space = env.single_action_space
        self.is_discrete = isinstance(space, gym.spaces.Discrete)
        self.names = list(env.action_names or [])
        if self.is_discrete:
            wanted = (STOP, MOVE_FORWARD, TURN_LEFT, TURN_RIGHT)
            if not set(wanted) <= set(self.names):
                raise AgentError(
                    f"the baselines need the actions {', '.join(wanted)}; the task has {', '.join(self.names)}"
                )
        elif not (isinstance(space, gym.spaces.Box) and space.shape == (2,)):
            raise AgentError(f"the baselines need discrete actions or [v, w], not {space}")
        self._velocity: dict[str, Any] = {} if self.is_discrete else describe_robot(env)["velocity"]

    def index(self, name: str) -> int:
        return self.names.index(name)

    def stop(self) -> Any:
        return self.index(STOP) if self.is_discrete else self.velocity(0.0, 0.0)

    def forward(self) -> Any:
        return self.index(MOVE_FORWARD) if self.is_discrete else self.velocity(self.max_speed_m_s, 0.0)

    @property
    def max_speed_m_s(self) -> float:
        return float(self._velocity["linear_m_s"][1])

    @property
    def max_turn_rate_deg_s(self) -> float:
        return float(self._velocity["angular_deg_s"][1])

    @property
    def time_step_s(self) -> float:
        return float(self._velocity["time_step_s"])

    def velocity(self, speed_m_s: float, turn_rate_deg_s: float) -> np.ndarray:
        """[v, w] in [-1, 1] for a speed and a turn rate (positive turns left), cut to what the robot can do."""
        pairs = ((speed_m_s, self._velocity["linear_m_s"]), (turn_rate_deg_s, self._velocity["angular_deg_s"]))
        unit = [2.0 * (value - low) / (high - low) - 1.0 for value, (low, high) in pairs]
        return np.clip(np.array(unit, dtype=np.float32), -1.0, 1.0)

    def stack(self, actions: list[Any]) -> np.ndarray:
        """One action a row -> what `act` returns."""
        return np.array(actions, dtype=np.int64 if self.is_discrete else np.float32)


def describe_robot(env: AgentEnv) -> dict[str, Any]:
    """The robot's body, cameras and motion, as the worker's call `robot` tells them."""
    body, _ = env.call(0, "robot")
    return body
