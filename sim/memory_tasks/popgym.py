"""POPGym (Morad et al., arXiv 2303.01859) in the form of the memory tasks: a benchmark that we did not write.

Its environments are plain Gymnasium ones, stepped one by one, so this is much slower than the tasks beside it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from sim.memory_tasks import draws
from sim.memory_tasks.base import Observations

NUMBERS, INDICES = "state", "indices"


class PopgymVectorEnv(VectorEnv):
    """n environments of one POPGym task, as `MemoryVectorEnv` has them.

    Observations: a dict with `state` float32 (numbers, unbounded ones as they are) or `indices` int64 (one or several
    categories), or both where the task has both. Actions are discrete; a task's MultiDiscrete action is one index over
    all combinations. Tasks with continuous actions are refused: the policies' velocities are a robot's.

    `infos` as of `MemoryVectorEnv`. POPGym's returns lie in [-1, 1]; `success` is 1 for an episode of return above 0.5,
    our convention, for progress bars only: report the return (POPGym's own measure, MMER, is its highest mean).

    Episodes: row i's k-th episode is begun with a seed that is a function of (seed, i, k).

    Args:
        task: the name of a class of `popgym.envs`, such as RepeatFirstEasy.
        state: position to start from, as `state()` gave it; it is reached by replaying the running episodes.

    Raises:
        ValueError: popgym is not installed, or there is no such task, or it has actions of another kind.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        task: str = "RepeatFirstEasy",
        seed: int = 0,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        make = _task_class(task)
        self.num_envs, self.closed, self._seed = num_envs, False, seed
        self._envs = [make() for _ in range(num_envs)]
        self._parts = _parts(self._envs[0].observation_space)
        spaces: dict[str, gym.Space[Any]] = {
            name: _joined(name, self._envs[0].observation_space) for name in self._parts
        }
        self._sizes = _action_sizes(task, self._envs[0].action_space)
        count = int(np.prod(self._sizes))
        self.action_names = tuple(str(index) for index in range(count))
        self.single_observation_space = gym.spaces.Dict(spaces)
        self.single_action_space = gym.spaces.Discrete(count)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._counts: np.ndarray = np.full(num_envs, -1)
        self._actions: list[list[int]] = [[] for _ in range(num_envs)]
        self._returns = np.zeros(num_envs)
        self._now: list[Any] = [None] * num_envs
        self._is_restored = state is not None
        if state is not None:
            self._restore(state)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begins a new episode everywhere; the first call after a `state` shows that position."""
        if seed is not None:
            if not isinstance(seed, int | np.integer):
                raise ValueError("reset takes one seed for all environments: each derives its own from it")
            self._seed, self._counts[:] = int(seed), -1
        if seed is not None or not self._is_restored:
            for row in range(self.num_envs):
                self._begin(row)
        self._is_restored = False
        return self._observe(), {"metrics": self._metrics()}

    def step(self, actions: Any) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        final_obs, final_info = np.full(self.num_envs, None, object), np.full(self.num_envs, None, object)
        for row, action in enumerate(np.asarray(actions).tolist()):
            rewards[row], terminated[row], truncated[row] = self._take(row, action)
            if terminated[row] or truncated[row]:
                final_obs[row] = self._flat(self._now[row])
                metrics = {name: float(values[row]) for name, values in self._metrics().items()}
                final_info[row] = {
                    "episode": {"index": int(self._counts[row]), "length": len(self._actions[row])},
                    "metrics": metrics,
                    "measures": {},
                    "worker_restarted": False,
                    "worker_error": "",
                }
                self._begin(row)
        infos: dict[str, Any] = {"metrics": self._metrics()}
        ended = terminated | truncated
        if ended.any():
            infos |= {"final_obs": final_obs, "final_info": final_info, "_final_obs": ended, "_final_info": ended}
        return self._observe(), rewards, terminated, truncated, infos

    def step_async(self, actions: Any) -> None:
        self._taken = self.step(actions)

    def step_wait(self) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        return self._taken

    def call(self, index: int, name: str, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """What a contract asks of an environment: these tasks have no goal categories."""
        if name != "goal_categories":
            raise ValueError(f"POPGym's tasks do not answer the call '{name}'")
        return {"categories": []}, b""

    def close_extras(self, **kwargs: Any) -> None:
        for env in self._envs:
            env.close()

    def state(self) -> dict[str, Any]:
        """Which episode each environment runs, and the actions taken in it. JSON."""
        return {"seed": self._seed, "counts": self._counts.tolist(), "actions": [list(a) for a in self._actions]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        if len(state["counts"]) != self.num_envs:
            raise ValueError(f"the state is of {len(state['counts'])} environments, num_envs is {self.num_envs}")
        self._seed, self._counts = int(state["seed"]), np.array(state["counts"]) - 1
        for row, actions in enumerate(state["actions"]):
            self._begin(row)
            for action in actions:
                self._take(row, action)

    def _begin(self, row: int) -> None:
        self._counts[row] += 1
        key = draws.episode_keys(self._seed, np.array([row]), self._counts[row : row + 1])
        seed = int(key[0] >> np.uint64(33))
        self._now[row], _ = self._envs[row].reset(seed=seed)
        self._actions[row], self._returns[row] = [], 0.0

    def _take(self, row: int, action: int) -> tuple[float, bool, bool]:
        self._actions[row].append(action)
        chosen: Any = action
        if len(self._sizes) > 1:
            chosen = np.array(np.unravel_index(action, self._sizes))
        self._now[row], reward, terminated, truncated, _ = self._envs[row].step(chosen)
        self._returns[row] += reward
        return float(reward), bool(terminated), bool(truncated and not terminated)

    def _flat(self, observation: Any) -> Observations:
        """One environment's observation by our names."""
        pieces = observation if isinstance(observation, tuple) else (observation,)
        made: Observations = {}
        for name, places in self._parts.items():
            dtype = np.float32 if name == NUMBERS else np.int64
            made[name] = np.concatenate([np.asarray(pieces[place], dtype).reshape(-1) for place in places])
        return made

    def _observe(self) -> Observations:
        flat = [self._flat(observation) for observation in self._now]
        return {name: np.stack([each[name] for each in flat]) for name in self._parts}

    def _metrics(self) -> dict[str, np.ndarray]:
        return {"success": (self._returns > 0.5).astype(np.float64), "return": self._returns.copy()}


def _task_class(name: str) -> Any:
    try:
        import popgym.envs as envs
    except ImportError as error:
        raise ValueError(f"POPGym's tasks need the package popgym, which is not there ({error})") from error
    known = [made.__name__ for made in envs.ALL]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
        raise ValueError(f"popgym has no task '{name}'{hint}")
    return getattr(envs, name)


def _pieces(space: gym.Space) -> list[gym.Space]:
    return list(space.spaces) if isinstance(space, gym.spaces.Tuple) else [space]


def _parts(space: gym.Space) -> dict[str, list[int]]:
    """Which pieces of an observation are numbers, and which categories."""
    parts: dict[str, list[int]] = {}
    for place, piece in enumerate(_pieces(space)):
        parts.setdefault(NUMBERS if isinstance(piece, gym.spaces.Box) else INDICES, []).append(place)
    return parts


def _joined(name: str, space: gym.Space) -> gym.spaces.Box:
    low: list[np.ndarray] = []
    high: list[np.ndarray] = []
    for piece in _pieces(space):
        if isinstance(piece, gym.spaces.Box) == (name == NUMBERS):
            if isinstance(piece, gym.spaces.Box):
                low.append(piece.low.reshape(-1))
                high.append(piece.high.reshape(-1))
            else:
                sizes = np.array([piece.n]) if isinstance(piece, gym.spaces.Discrete) else piece.nvec.reshape(-1)  # type: ignore[attr-defined]
                low.append(np.zeros(len(sizes)))
                high.append(sizes - 1)
    dtype = np.float32 if name == NUMBERS else np.int64
    return gym.spaces.Box(np.concatenate(low).astype(dtype), np.concatenate(high).astype(dtype), dtype=dtype)


def _action_sizes(task: str, space: gym.Space) -> tuple[int, ...]:
    if isinstance(space, gym.spaces.Discrete):
        return (int(space.n),)
    if isinstance(space, gym.spaces.MultiDiscrete):
        return tuple(int(size) for size in space.nvec)
    raise ValueError(f"popgym's {task} has the actions {space}; policies here choose among discrete ones")
