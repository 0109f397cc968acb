"""An Engram agent as a `habitat.Agent`: one environment, `reset()` and `act(observations)`.

habitat-lab need not be importable where this runs: its loops call the two methods and look at no base class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from embodied.agents.base import Agent, SeededAgent

_ALL = np.ones(1, bool)


class HabitatAgent:
    """Wraps an agent made for one environment.

    Args:
        agent: the agent.
        action_space: how the environment takes actions: {"kind": "discrete", "names": [...]}, or {"kind": "box",
            "name", "arguments": {name: width}} for one action with real arguments.
        seed: with the number of the episode, of the agent's random choices.
    """

    def __init__(self, agent: Agent, action_space: Mapping[str, Any], seed: int = 0) -> None:
        self._agent = agent
        self._action_space = action_space
        self._seed = seed
        self._episodes = 0

    def reset(self) -> None:
        """A new episode begins."""
        if isinstance(self._agent, SeededAgent):
            self._agent.seed(_ALL, np.array([self._seed + self._episodes]))
        self._agent.reset(_ALL)
        self._episodes += 1

    def act(self, observations: Mapping[str, Any]) -> dict[str, Any]:
        """Chooses an action for one environment's observations (name -> array, without a batch dimension).

        Returns:
            {"action": name, "action_args": {...}}, as `habitat.Env.step` takes it.
        """
        action = self._agent.act({name: np.asarray(value)[None] for name, value in observations.items()})[0]
        if self._action_space["kind"] == "discrete":
            return {"action": self._action_space["names"][int(action)], "action_args": {}}
        arguments: dict[str, Any] = {}
        values = np.clip(action, -1.0, 1.0).tolist()
        for name, width in self._action_space["arguments"].items():
            part, values = values[:width], values[width:]
            arguments[name] = part[0] if width == 1 else part
        return {"action": self._action_space["name"], "action_args": arguments}
