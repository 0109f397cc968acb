"""What a policy sees and does, as data: the seam between environments, checkpoints and robots.

A checkpoint carries the contract that it was trained under, so that another environment, or a robot's node, can say
before the first step what does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from typing import Any

import gymnasium as gym
import numpy as np

DISCRETE, VELOCITY = "discrete", "velocity"


class ContractError(ValueError):
    """A policy and an environment do not fit; the message is one line that names the sensor or the action."""


@dataclass(frozen=True)
class Sensor:
    """One observation without its leading axes. `low` and `high` bound all of its values."""

    shape: tuple[int, ...]
    dtype: str
    low: float
    high: float


@dataclass(frozen=True)
class Actions:
    """One step's action.

    discrete: an index into `names`.
    velocity: `size` numbers in [-1, 1]; `stop` is the one that means "I am there".
    """

    kind: str
    names: tuple[str, ...] = ()
    size: int = 0
    stop: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Numbers in one action."""
        return 1 if self.kind == DISCRETE else self.size

    @property
    def stop_index(self) -> int:
        """The discrete action that says "I am there"; -1 if there is none."""
        return self.names.index("stop") if "stop" in self.names else -1

    def describe(self) -> str:
        return ", ".join(self.names) if self.kind == DISCRETE else f"{self.size} velocities"


@dataclass(frozen=True)
class Contract:
    """Sensors by name, the actions, and what the numbers of object goals mean (empty where goals are points)."""

    sensors: Mapping[str, Sensor]
    actions: Actions
    categories: tuple[str, ...] = ()

    @classmethod
    def of_env(cls, env: Any) -> Contract:
        """The contract of a vector environment (`sim.vector_env.HabitatVectorEnv`, or one with its attributes).

        Raises:
            ContractError: its observations or actions are of no kind that policies know.
        """
        sensors = {}
        for name, space in env.single_observation_space.spaces.items():
            if isinstance(space, gym.spaces.Discrete):
                sensors[name] = Sensor((), np.dtype(space.dtype).name, int(space.start), int(space.start + space.n - 1))
                continue
            if not isinstance(space, gym.spaces.Box):
                raise ContractError(f"the sensor {name} gives {space}; policies read arrays and indices only")
            low, high = float(np.min(space.low)), float(np.max(space.high))
            sensors[name] = Sensor(tuple(map(int, space.shape)), np.dtype(space.dtype).name, low, high)
        categories = env.call(0, "goal_categories")[0]["categories"]
        return cls(sensors, _actions_of(env), tuple(categories))

    def only(self, names: tuple[str, ...]) -> Contract:
        """The same without the sensors that are not in `names`."""
        sensors = {name: sensor for name, sensor in self.sensors.items() if name in names}
        return replace(self, sensors=sensors)

    def require(self, offered: Contract) -> None:
        """Raises ContractError if `offered` lacks a sensor of this contract, or differs in one, or in the actions.

        Bounds may be narrower there, not wider: an index beyond them would have no meaning.
        """
        for name, wanted in self.sensors.items():
            found = offered.sensors.get(name)
            if found is None:
                raise ContractError(
                    f"the policy reads the sensor {name}, which this task does not have "
                    f"(it has {', '.join(sorted(offered.sensors))})"
                )
            if found.shape != wanted.shape or found.dtype != wanted.dtype:
                raise ContractError(
                    f"the policy reads {name} as {wanted.dtype} {list(wanted.shape)}, and this task gives it as "
                    f"{found.dtype} {list(found.shape)}"
                )
            if found.low < wanted.low or found.high > wanted.high:
                raise ContractError(
                    f"the policy knows {name} from {wanted.low:g} to {wanted.high:g}, and this task gives "
                    f"{found.low:g} to {found.high:g}"
                )
        for number, (known, given) in enumerate(zip_longest(self.categories, offered.categories)):
            if known != given:
                raise ContractError(
                    f"the policy learnt goal {number} as {known or 'nothing'}, and in this task it is "
                    f"{given or 'nothing'}: the episodes are of another set of goal categories"
                )
        if self.actions != offered.actions:
            raise ContractError(
                f"the policy acts by {self.actions.describe()}, and this task by {offered.actions.describe()}"
            )

    def draw(self, generator: np.random.Generator, *leading: int) -> dict[str, np.ndarray]:
        """Random observations [*leading, ...] that keep to the contract, to try a policy out or to warm it up."""
        drawn = {}
        for name, sensor in self.sensors.items():
            shape, dtype = (*leading, *sensor.shape), np.dtype(sensor.dtype)
            if np.issubdtype(dtype, np.integer):
                drawn[name] = generator.integers(int(sensor.low), int(sensor.high), shape, dtype, endpoint=True)
            else:  # unbounded sensors (a position) within some metres
                drawn[name] = generator.uniform(max(sensor.low, -9.0), min(sensor.high, 9.0), shape).astype(dtype)
        return drawn

    def to_json(self) -> dict[str, Any]:
        return {
            "sensors": {name: asdict(sensor) for name, sensor in self.sensors.items()},
            "actions": asdict(self.actions),
            "categories": list(self.categories),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Contract:
        """Raises KeyError or TypeError if `body` is no contract."""
        sensors = {n: Sensor(**{**s, "shape": tuple(s["shape"])}) for n, s in body["sensors"].items()}
        actions = body["actions"]
        spec = Actions(actions["kind"], tuple(actions["names"]), int(actions["size"]), tuple(actions["stop"]))
        return cls(sensors, spec, tuple(body["categories"]))


def _actions_of(env: Any) -> Actions:
    space = env.single_action_space
    if isinstance(space, gym.spaces.Discrete):
        return Actions(DISCRETE, tuple(env.action_names))
    if not (isinstance(space, gym.spaces.Box) and len(space.shape) == 1):
        raise ContractError(f"policies choose among actions or give velocities; this task's actions are {space}")
    velocity = env.call(0, "robot")[0]["velocity"]
    limits = [velocity["linear_m_s"], velocity["angular_deg_s"]]
    # Standing still is habitat-lab's stop; zero lies where the range says.
    stop = tuple(float(np.clip(-2.0 * low / (high - low) - 1.0, -1.0, 1.0)) for low, high in limits)
    if len(stop) != space.shape[0]:
        raise ContractError(f"a velocity action has {len(stop)} numbers (v, w), this task's has {space.shape[0]}")
    return Actions(VELOCITY, size=len(stop), stop=stop)
