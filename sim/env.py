"""The plain Gymnasium `Env`: one simulator, one episode at a time, and its registration with Gymnasium.

`import sim.env` registers `Engram/PointNav-v1`, `Engram/ObjectNav-v1`, `Engram/ExtObjectNav-v1` and the tabletop tasks
(`Engram/PutBack-v1`, `Engram/PutBackVisible-v1` ...); `gymnasium.make` and `gymnasium.make_vec` take SimConfig's fields
as keyword arguments::

    env = gymnasium.make("sim.env:Engram/PointNav-v1", episodes="data/houses/episodes/pointnav_train.json.gz")
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from sim.config import MANIPULATION_TASKS, SimConfig
from sim.vector_env import HabitatVectorEnv

TASK_IDS = {
    "Engram/PointNav-v1": "pointnav",
    "Engram/ObjectNav-v1": "objectnav",
    "Engram/ExtObjectNav-v1": "ext_objectnav",
    **{
        f"Engram/{name.title().replace('_', '')}-v1": name
        for task in MANIPULATION_TASKS
        for name in (task, f"{task}_visible")
    },
}


class HabitatEnv(gym.Env):
    """One environment of `HabitatVectorEnv`, without its leading axis and without autoreset.

    `info`: metrics (name -> float), episode {episode_id, scene_id, index, count}; at an episode's end also measures
    (lists), worker_restarted and worker_error.

    Raises: as `HabitatVectorEnv`; RuntimeError if stepped after an episode's end.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, config: SimConfig | None = None, render_mode: str | None = None, **fields: Any) -> None:
        config = SimConfig(**{**fields, "num_envs": 1}) if config is None else config
        if config.num_envs != 1:
            raise ValueError(f"HabitatEnv is one environment; sim.num_envs is {config.num_envs}")
        self.render_mode = render_mode
        self._vector = HabitatVectorEnv(config)
        self.observation_space = self._vector.single_observation_space
        self.action_space = self._vector.single_action_space
        self.action_names = self._vector.action_names
        self._observation: dict[str, np.ndarray] = {}
        self._next: tuple[dict[str, np.ndarray], dict[str, Any]] | None = None
        self._stepping = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begins the next episode; after an episode's end that is the one the worker has already loaded."""
        super().reset(seed=seed)
        if self._next is not None and seed is None and not options:
            observations, infos = self._next
        else:
            observations, infos = self._vector.reset(seed=seed, options=options)
        self._next = None
        self._stepping = True
        self._observation = {name: array[0] for name, array in observations.items()}
        return self._observation, _first(infos)

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        if not self._stepping:
            raise RuntimeError("the episode is over: call reset before step")
        observations, rewards, terminated, truncated, infos = self._vector.step(np.asarray(action)[None])
        if "final_info" in infos:
            self._next = observations, {key: infos[key] for key in ("metrics", "episode")}
            self._stepping = False
            self._observation, info = infos["final_obs"][0], infos["final_info"][0]
        else:
            self._observation, info = {name: array[0] for name, array in observations.items()}, _first(infos)
        return self._observation, float(rewards[0]), bool(terminated[0]), bool(truncated[0]), info

    def call(self, name: str, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """Asks the simulator one of `sim.worker.calls`; returns a JSON object and raw bytes."""
        return self._vector.call(0, name, **arguments)

    def render(self) -> np.ndarray:
        """The colour camera's picture, [height, width, 3] uint8."""
        return self._observation["rgb"]

    def close(self) -> None:
        self._vector.close()


def _first(infos: dict[str, Any]) -> dict[str, Any]:
    metrics = {name: float(values[0]) for name, values in infos["metrics"].items()}
    return {"metrics": metrics, "episode": infos["episode"][0]}


def _make_vector(num_envs: int = 1, **fields: Any) -> HabitatVectorEnv:
    return HabitatVectorEnv(SimConfig(num_envs=num_envs, **fields))


for _id, _task in TASK_IDS.items():
    gym.register(_id, entry_point=HabitatEnv, vector_entry_point=_make_vector, kwargs={"task": _task})
