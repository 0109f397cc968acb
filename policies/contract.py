"""What a policy sees and does, as data: the seam between environments, checkpoints and robots.

A checkpoint carries the contract that it was trained under, so that another environment, or a robot's node, can say
before the first step what does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
    """Sensors by name, and the actions."""

    sensors: Mapping[str, Sensor]
    actions: Actions

    @classmethod
    def of_env(cls, env: Any) -> Contract:
        """The contract of a vector environment (`sim.vector_env.HabitatVectorEnv`, or one with its attributes).

        Raises:
            ContractError: its observations or actions are of no kind that policies know.
        """
        sensors = {}
        for name, space in env.single_observation_space.spaces.items():
            if not isinstance(space, gym.spaces.Box):
                raise ContractError(f"the sensor {name} gives {space}; policies read arrays only")
            low, high = float(np.min(space.low)), float(np.max(space.high))
            sensors[name] = Sensor(tuple(map(int, space.shape)), np.dtype(space.dtype).name, low, high)
        return cls(sensors, _actions_of(env))

    def only(self, names: tuple[str, ...]) -> Contract:
        """The same without the sensors that are not in `names`."""
        return Contract({name: sensor for name, sensor in self.sensors.items() if name in names}, self.actions)

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
        if self.actions != offered.actions:
            raise ContractError(
                f"the policy acts by {self.actions.describe()}, and this task by {offered.actions.describe()}"
            )

    def to_json(self) -> dict[str, Any]:
        return {"sensors": {n: asdict(s) for n, s in self.sensors.items()}, "actions": asdict(self.actions)}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Contract:
        """Raises KeyError or TypeError if `body` is no contract."""
        sensors = {n: Sensor(**{**s, "shape": tuple(s["shape"])}) for n, s in body["sensors"].items()}
        actions = body["actions"]
        return cls(
            sensors, Actions(actions["kind"], tuple(actions["names"]), int(actions["size"]), tuple(actions["stop"]))
        )


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
