"""What the memory tasks have in common: many environments as arrays, episodes that follow each other, exact resume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from sim.memory_tasks import draws

Observations = dict[str, np.ndarray]


class MemoryVectorEnv(VectorEnv):
    """n environments stepped as arrays; an episode that ends is followed by the next in the same step.

    Observations are a dict of arrays [n, ...], actions int64 [n], rewards float64 [n]. `infos` is as of
    `sim.vector_env.HabitatVectorEnv`, as far as it has a meaning here:

        metrics: name -> float64 [n], of the running episode so far (after an episode's end: of the next one).
        final_obs, final_info: object [n] with masks `_final_obs`, `_final_info`, only when an episode ended in this
            step. final_info[i] = {episode: {index, length}, metrics (name -> float), measures, worker_restarted
            (False), worker_error ("")}. `success` (0 or 1) and `return` are among the metrics of every task.

    Which episode a row runs is a function of seed, row and count alone (`sim.memory_tasks.draws`).

    A subclass sets the class attributes, gives its single spaces, and implements `_begin`, `_advance` and `_observe`.

    Args:
        num_envs: n.
        seed: of the episodes.
        state: position to start from, as `state()` gave it; the first `reset` then shows that position.

    Raises:
        ValueError: an argument cannot be right, or the state is of other environments.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012
    action_names: ClassVar[tuple[str, ...]]
    kept: ClassVar[tuple[str, ...]]
    """Names of the attributes, arrays [n, ...], that make up an environment's position."""

    def __init__(
        self, num_envs: int, observation_space: gym.spaces.Dict, seed: int = 0, state: Mapping[str, Any] | None = None
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, not {num_envs}")
        self.num_envs = num_envs
        self.closed = False
        self.observations = observation_space
        self.single_observation_space = observation_space
        self.single_action_space = gym.spaces.Discrete(len(self.action_names))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seed = seed
        self._rows = np.arange(num_envs)
        self.counts = np.full(num_envs, -1)
        """Which episode of its stream each environment runs."""
        self.steps = np.zeros(num_envs, np.int64)
        """Steps taken in the running episode."""
        self.keys = np.zeros(num_envs, np.uint64)
        self.returns = np.zeros(num_envs)
        self.success = np.zeros(num_envs)
        self._is_restored = state is not None
        if state is not None:
            self._restore(state)

    # -- of the task ---------------------------------------------------------------------------------------------

    def _begin(self, rows: np.ndarray) -> None:
        """Sets up a new episode in `rows` (int64 [k]); `keys` is theirs already, `steps` is 0."""
        raise NotImplementedError

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One step of all; sets `success` where it is reached. Returns rewards, terminated, truncated [n]."""
        raise NotImplementedError

    def _observe(self) -> Observations:
        """Fresh arrays [n, ...]."""
        raise NotImplementedError

    def _measure(self) -> dict[str, np.ndarray]:
        """Further metrics, float64 [n]."""
        return {}

    # -- Gymnasium -----------------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Starts a new episode in every environment, or where `options["reset_mask"]` (bool [n]) is set.

        `seed` starts the streams of episodes anew. The first call after a `state` shows that position.
        """
        if seed is not None:
            if not isinstance(seed, int | np.integer):
                raise ValueError("reset takes one seed for all environments: each derives its own from it")
            self._seed = int(seed)
            self.counts[:] = -1
        elif self._is_restored:
            self._is_restored = False
            return self._observe(), {"metrics": self._metrics()}
        self._is_restored = False
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)), dtype=bool)
        self._next_episodes(np.flatnonzero(mask))
        return self._observe(), {"metrics": self._metrics()}

    def step(self, actions: Any) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        if self.counts.min() < 0:
            raise RuntimeError("step was called before reset")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.min() < 0 or actions.max() >= len(self.action_names):
            raise ValueError(f"actions must be {self.num_envs} numbers from 0 to {len(self.action_names) - 1}")
        self.steps += 1
        rewards, terminated, truncated = self._advance(actions)
        truncated &= ~terminated
        self.returns += rewards
        rows = np.flatnonzero(terminated | truncated)
        if not rows.size:
            return self._observe(), rewards, terminated, truncated, {"metrics": self._metrics()}
        ended = self._ended(rows)
        self._next_episodes(rows)
        return self._observe(), rewards, terminated, truncated, {"metrics": self._metrics(), **ended}

    def step_async(self, actions: Any) -> None:
        """As of `HabitatVectorEnv`; here the step is taken at once."""
        self._taken = self.step(actions)

    def step_wait(self) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        return self._taken

    def call(self, index: int, name: str, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """What a contract asks of an environment: these tasks have no goal categories."""
        if name != "goal_categories":
            raise ValueError(f"memory tasks do not answer the call '{name}'")
        return {"categories": []}, b""

    def close_extras(self, **kwargs: Any) -> None:
        """Nothing is held."""

    # -- resuming ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Where every environment is. JSON."""
        arrays = {name: getattr(self, name).tolist() for name in (*_COMMON, *self.kept)}
        return {"seed": self._seed, "arrays": arrays}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._seed = int(state["seed"])
        arrays = state["arrays"]
        if len(arrays["counts"]) != self.num_envs:
            raise ValueError(f"the state is of {len(arrays['counts'])} environments, num_envs is {self.num_envs}")
        for name in _COMMON:
            setattr(self, name, np.array(arrays[name], getattr(self, name).dtype))
        self.keys = draws.episode_keys(self._seed, self._rows, self.counts)
        self._begin(self._rows)  # gives the task's arrays their types and shapes
        for name in self.kept:
            setattr(self, name, np.array(arrays[name], getattr(self, name).dtype))

    def _next_episodes(self, rows: np.ndarray) -> None:
        self.counts[rows] += 1
        for array in (self.steps, self.returns, self.success):
            array[rows] = 0
        self.keys[rows] = draws.episode_keys(self._seed, rows, self.counts[rows])
        self._begin(rows)

    def _metrics(self) -> dict[str, np.ndarray]:
        return {"success": self.success.copy(), "return": self.returns.copy(), **self._measure()}

    def _ended(self, rows: np.ndarray) -> dict[str, Any]:
        observations, metrics = self._observe(), self._metrics()
        mask = np.zeros(self.num_envs, bool)
        mask[rows] = True
        final_obs, final_info = np.full(self.num_envs, None, object), np.full(self.num_envs, None, object)
        for row in rows.tolist():
            final_obs[row] = {name: values[row] for name, values in observations.items()}
            final_info[row] = {
                "episode": {"index": int(self.counts[row]), "length": int(self.steps[row])},
                "metrics": {name: float(values[row]) for name, values in metrics.items()},
                "measures": {},
                "worker_restarted": False,
                "worker_error": "",
            }
        return {"final_obs": final_obs, "final_info": final_info, "_final_obs": mask, "_final_info": mask.copy()}


_COMMON = ("counts", "steps", "returns", "success")


class MemoryEnv(gym.Env):
    """One environment of a `MemoryVectorEnv`, without its leading axis and without autoreset.

    Args:
        vector: a vector environment of one.

    Raises:
        ValueError: it is of more.
        RuntimeError: stepped after an episode's end.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, vector: MemoryVectorEnv) -> None:
        if vector.num_envs != 1:
            raise ValueError(f"MemoryEnv is one environment, not {vector.num_envs}")
        self.vector = vector
        self.observation_space = vector.single_observation_space
        self.action_space = vector.single_action_space
        self.action_names = vector.action_names
        self._next: Observations | None = None
        self._stepping = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begins the next episode; after an episode's end that is the one which has been set up already."""
        super().reset(seed=seed)
        observations = self._next
        if observations is None or seed is not None:
            observations, _ = self.vector.reset(seed=seed)
        self._next, self._stepping = None, True
        return {name: values[0] for name, values in observations.items()}, {}

    def step(self, action: Any) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        if not self._stepping:
            raise RuntimeError("the episode is over: call reset before step")
        observations, rewards, terminated, truncated, infos = self.vector.step(np.asarray(action)[None])
        shown, info = {name: values[0] for name, values in observations.items()}, {}
        if "final_info" in infos:
            self._next, self._stepping = observations, False
            shown, info = infos["final_obs"][0], infos["final_info"][0]
        else:
            info = {"metrics": {name: float(values[0]) for name, values in infos["metrics"].items()}}
        return shown, float(rewards[0]), bool(terminated[0]), bool(truncated[0]), info


class ScriptedAgent:
    """Acts in a memory task by rule, or says at every step what it would do while another drives.

    Timeline::

        act(obs_0, all True, -) -> a_0    act(obs_1, ended, a_0 or what was done instead) -> a_1    ...
    """

    privileged: ClassVar[bool] = False
    """Whether it reads the environment's hidden state rather than its observations alone."""
    kept: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes, arrays, that it remembers by."""

    def __init__(self, env: Any, seed: int = 0) -> None:
        self.env = env
        self.generator = np.random.default_rng(seed)

    def act(self, observations: Mapping[str, np.ndarray], resets: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """Actions int64 [n].

        Args:
            observations: name -> [n, ...].
            resets: bool [n], rows whose episode begins with these observations.
            previous: int64 [n], what was done in the step before; without meaning where `resets` is set.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What it remembers, and its generator. JSON."""
        arrays = {name: getattr(self, name).tolist() for name in self.kept}
        return {"arrays": arrays, "generator": self.generator.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` gave."""
        for name in self.kept:
            setattr(self, name, np.array(state["arrays"][name], getattr(self, name).dtype))
        self.generator.bit_generator.state = state["generator"]


def box(low: Any, high: Any, shape: tuple[int, ...], dtype: Any = np.float32) -> gym.spaces.Box:
    """A Box without a warning about precision."""
    return gym.spaces.Box(np.full(shape, low, dtype), np.full(shape, high, dtype), shape, dtype)
