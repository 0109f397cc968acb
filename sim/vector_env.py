"""A Gymnasium vector environment over simulator workers, one habitat-lab environment each."""

from __future__ import annotations

import contextlib
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from sim.client import Worker
from sim.config import SimConfig
from sim.errors import SimulatorError, WorkerDied, WorkerTimeout
from sim.worker import protocol

Observations = dict[str, np.ndarray]


class HabitatVectorEnv(VectorEnv):
    """N simulator processes stepped side by side; an episode that ends is followed by the next in the same step.

    Observations: a dict of arrays [n, ...], copies of the workers' shared memory. Actions: [n] indices into
    `action_names`, or [n, k] float32 in [-1, 1] for velocity tasks. Rewards: habitat-lab's (slack + reward measure +
    success bonus), float64 [n].

    `infos` (of `reset` and `step`):
        metrics: name -> float64 [n], the measures of the observation returned (after an episode's end: of the next
            one), with the agent's pose as `agent.x`, `agent.y`, `agent.z` (m, scene frame, Y up) and `agent.yaw` (rad
            about Y).
        episode: object [n], dicts {episode_id, scene_id, index (in the data set), count (of this environment)}.
        final_obs, final_info: object [n] with masks `_final_obs`, `_final_info`, only when an episode ended in this
            step. final_info[i] = {episode, metrics (name -> float), measures (lists), worker_restarted, worker_error}.

    A worker that dies, aborts or does not answer in time is replaced. Its episode ends truncated, with reward 0, the
    last observation it gave as the final one, and `worker_restarted` set; the replacement goes on with the next episode
    of its stream.

    Timeline of one step::

        step_async(actions)   actions -> shared memory, STEP to every worker     (all simulate at once)
        step_wait()           DONE of every worker, then observations are copied out

    Args:
        config: what to run.
        state: position to start from, as `state()` gave it.

    Raises (constructor and steps):
        TaskError: the task's input is wrong (scene, episode file, sensor, action).
        WorkerDied: workers kept dying on one scene; the message names it.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(self, config: SimConfig, state: dict[str, Any] | None = None) -> None:
        config.validate()
        self.config = config
        self.num_envs = config.num_envs
        self.closed = False
        self._seed = config.seed
        counts = [0] * self.num_envs if state is None else [int(env["count"]) for env in state["envs"]]
        if len(counts) != self.num_envs:
            raise ValueError(f"the state is of {len(counts)} environments, sim.num_envs is {self.num_envs}")
        if state is not None:
            self._seed = int(state["seed"])
        self._workers: list[Worker] = []
        try:
            for index, count in enumerate(counts):
                self._workers.append(Worker(config, self._hello(index, count), wait=False))
            for worker in self._workers:
                worker.wait_ready()
        except BaseException:
            self._kill_all()
            raise
        ready = self._workers[0].ready
        self._metric_names: list[str] = ready["metrics"]
        self.num_episodes: int = ready["num_episodes"]
        self.versions = {"habitat_sim": ready["habitat_sim"], "habitat_lab": ready["habitat_lab"]}
        self.action_names: tuple[str, ...] = tuple(ready["action_space"].get("names", ()))
        self.single_observation_space = observation_space_of(ready["observation_spaces"])
        self.single_action_space = action_space_of(ready["action_space"])
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._batch = {
            name: ((self.num_envs, *array.shape), array.dtype) for name, array in self._workers[0].observations.items()
        }
        self.restarts = 0
        """Workers replaced so far."""
        self._deaths: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = [worker.ready["episode"] for worker in self._workers]
        # The actions of the running episodes, which `state` gives for replay.
        self._actions: list[list[Any]] = [[] for _ in range(self.num_envs)]
        self._waiting: list[bool] = [False] * self.num_envs
        self._lost: dict[int, SimulatorError] = {}
        self._replay = None if state is None else [env["actions"] for env in state["envs"]]

    # -- Gymnasium -----------------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Starts a new episode in every environment, or where `options["reset_mask"]` (bool [n]) is set.

        The first call shows the episodes that the workers started with (with a `state` given: replays them to where
        they were). `seed` (one number; environment i differs by its index) starts the streams anew. `options["counts"]`
        ([n] ints) sets which of its stream's episodes each environment runs.
        """
        options = options or {}
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, bool)), dtype=bool)
        bodies: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if seed is not None:
            if not isinstance(seed, int | np.integer):
                raise ValueError("reset takes one seed for all environments: each derives its own from it")
            self._seed = int(seed)
            for body in bodies:
                body.update(seed=self._seed, episode=0)
        for body, count in zip(bodies, options.get("counts", ()), strict=False):
            body["episode"] = int(count)
        ended: dict[int, dict[str, Any]] = {}
        rows = [int(i) for i in np.flatnonzero(mask)]
        for i in rows:
            with self._attempt(i):
                self._workers[i].send(protocol.RESET, bodies[i])
        for i in rows:
            if i not in self._lost:
                with self._attempt(i):
                    self._episodes[i] = self._workers[i].receive(self.config.reset_timeout_s).body["episode"]
            if i in self._lost:
                self._replace(i, self._lost.pop(i))
            self._actions[i] = []
        if self._replay is not None:
            replay, self._replay = self._replay, None
            self._replay_actions(replay)
        observations = self._empty()
        for i in range(self.num_envs):
            self._copy(i, observations)
        return observations, self._infos(ended)

    def step(self, actions: Any) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self.step_async(actions)
        return self.step_wait()

    def step_async(self, actions: Any) -> None:
        """Hands every worker its action; they simulate while the caller does something else."""
        if any(self._waiting):
            raise RuntimeError("step_async was called twice without step_wait")
        actions = self._checked(actions)
        for i, worker in enumerate(self._workers):
            worker.memory["action"][...] = actions[i]
            with self._attempt(i):
                worker.send(protocol.STEP)
            self._waiting[i] = True
        for taken, action in zip(self._actions, actions.tolist(), strict=True):  # while they simulate
            taken.append(action)

    def step_wait(self) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Waits for the step that `step_async` began."""
        if not all(self._waiting):
            raise RuntimeError("step_wait was called without step_async")
        rewards = np.zeros(self.num_envs)
        terminated = np.zeros(self.num_envs, bool)
        truncated = np.zeros(self.num_envs, bool)
        ended: dict[int, dict[str, Any]] = {}
        failure: SimulatorError | None = None
        observations = self._empty()
        for i, worker in enumerate(self._workers):
            self._waiting[i] = False
            body: dict[str, Any] = {}
            if i not in self._lost:
                try:
                    with self._attempt(i):
                        body = worker.receive(self.config.step_timeout_s, self.config.reset_timeout_s).body
                except SimulatorError as error:  # not a death: raised once every other worker has been heard
                    failure = failure or error
                    continue
            if i in self._lost:
                truncated[i] = True
                ended[i] = self._final(i, self._lost[i])
                self._replace(i, self._lost.pop(i))
                self._copy(i, observations)
                continue
            self._copy(i, observations)  # while the others still simulate
            rewards[i] = worker.memory["reward"][0]
            if "final" in body:
                terminated[i], truncated[i] = worker.memory["ended"].astype(bool)
                ended[i] = self._final(i, None, body["final"])
                self._deaths.pop(self._episodes[i]["scene_id"], None)
                self._episodes[i] = body["episode"]
                self._actions[i] = []
        if failure is not None:
            raise failure
        return observations, rewards, terminated, truncated, self._infos(ended)

    def call(self, index: int, name: str, timeout_s: float = 60.0, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """Asks worker `index` one of `sim.worker.calls`; returns a JSON object and raw bytes."""
        return self._workers[index].call(name, timeout_s, **arguments)

    def close_extras(self, **kwargs: Any) -> None:
        for worker in self._workers:
            worker.ask_to_close()
        for worker in self._workers:
            worker.close()

    # -- resuming ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Where every environment is: its episode's count and the actions taken in it. JSON.

        Simulation is deterministic, so a `HabitatVectorEnv(config, state)` whose `reset` has replayed them is where
        this one was.
        """
        envs = [
            {"count": int(episode["count"]), "actions": list(actions)}
            for episode, actions in zip(self._episodes, self._actions, strict=True)
        ]
        return {"seed": self._seed, "envs": envs}

    def _replay_actions(self, replay: list[list[Any]]) -> None:
        for t in range(max(len(actions) for actions in replay)):
            for i, actions in enumerate(replay):
                if t < len(actions):
                    self._workers[i].memory["action"][...] = actions[t]
                    self._workers[i].send(protocol.STEP)
            for i, actions in enumerate(replay):
                if t < len(actions):
                    self._workers[i].receive(self.config.step_timeout_s, self.config.reset_timeout_s)
        self._actions = [list(actions) for actions in replay]

    # -- workers -------------------------------------------------------------------------------------------------

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in self._workers]

    def _hello(self, index: int, count: int) -> dict[str, Any]:
        config = self.config
        return {
            "service": "environment",
            "lab_config": config.lab_config(),
            "overrides": config.lab_overrides(),
            "order": config.order,
            "seed": self._seed,
            "env_index": index,
            "num_envs": config.num_envs,
            "scene_run": config.scene_run,
            "first_episode": count,
        }

    @contextlib.contextmanager
    def _attempt(self, index: int) -> Any:
        """Notes a worker's death in `_lost` instead of raising it."""
        try:
            yield
        except (WorkerDied, WorkerTimeout) as error:
            self._lost[index] = error

    def _replace(self, index: int, error: SimulatorError) -> None:
        """Starts a worker in a dead one's place, at the episode after the one it died in."""
        while True:
            dead = self._workers[index]
            status = dead.status()
            scene = status.get("scene", "unknown")
            count = int(status.get("count", self._episodes[index]["count"])) + 1
            self._deaths[scene] = self._deaths.get(scene, 0) + 1
            if self._deaths[scene] >= self.config.max_deaths_per_scene:
                self._kill_all()
                raise WorkerDied(
                    f"{self._deaths[scene]} simulator workers in a row died on scene {scene}: check or leave out that "
                    f"scene (last: {error})"
                ) from error
            self.restarts += 1
            worker = Worker(self.config, self._hello(index, count), wait=False)
            self._workers[index] = worker
            try:
                worker.wait_ready()
            except (WorkerDied, WorkerTimeout) as again:
                error = again
                if not worker.status():  # it died before it could say where: count it on the scene that was tried
                    self._workers[index] = dead
                continue
            self._episodes[index] = worker.ready["episode"]
            self._actions[index] = []
            return

    def _kill_all(self) -> None:
        for worker in self._workers:
            worker.kill()
        self.closed = True

    # -- arrays --------------------------------------------------------------------------------------------------

    def _checked(self, actions: Any) -> np.ndarray:
        actions = np.asarray(actions)
        shape = self.action_space.shape
        if actions.shape != shape:
            raise ValueError(f"actions must have shape {shape}, got {actions.shape}")
        if isinstance(self.single_action_space, gym.spaces.Discrete):
            if not np.issubdtype(actions.dtype, np.integer):
                raise ValueError(f"actions must be integers, got {actions.dtype}")
            n = int(self.single_action_space.n)
            if not all(0 <= action < n for action in actions.tolist()):
                raise ValueError(
                    f"actions must be in 0..{n - 1} ({', '.join(self.action_names)}), got {actions.tolist()}"
                )
        elif not np.isfinite(actions).all():
            raise ValueError(f"actions hold NaN or infinity: {actions.tolist()}")
        return actions

    def _empty(self) -> Observations:
        return {name: np.empty(shape, dtype) for name, (shape, dtype) in self._batch.items()}

    def _copy(self, index: int, into: Observations) -> None:
        for name, observation in self._workers[index].observations.items():
            into[name][index] = observation

    def _infos(self, ended: dict[int, dict[str, Any]]) -> dict[str, Any]:
        table = np.stack([worker.memory["metrics"] for worker in self._workers])
        infos: dict[str, Any] = {
            "metrics": {name: table[:, column] for column, name in enumerate(self._metric_names)},
            "episode": _objects([dict(episode) for episode in self._episodes]),
        }
        if ended:
            mask = np.zeros(self.num_envs, bool)
            mask[list(ended)] = True
            rows = [ended.get(i, {}) for i in range(self.num_envs)]
            infos["final_obs"] = _objects([row.pop("observations", None) for row in rows])
            infos["final_info"] = _objects([row or None for row in rows])
            infos["_final_obs"] = infos["_final_info"] = mask
        return infos

    def _final(self, index: int, error: SimulatorError | None, final: dict[str, Any] | None = None) -> dict[str, Any]:
        """What is said of an ended episode; after a death, from what the worker last left in shared memory."""
        worker = self._workers[index]
        episode = dict(final or self._episodes[index])
        measures = episode.pop("measures", {})
        metrics = worker.memory["metrics" if error else "final_metrics"]
        source = worker.observations if error else worker.final_observations
        return {
            "observations": {name: array.copy() for name, array in source.items()},
            "episode": episode,
            "metrics": dict(zip(self._metric_names, metrics.tolist(), strict=True)),
            "measures": measures,
            "worker_restarted": error is not None,
            "worker_error": str(error) if error else "",
        }


def _objects(items: list[Any]) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def observation_space_of(described: dict[str, Any]) -> gym.spaces.Dict:
    """The space of one environment's observations, from a worker's READY."""
    spaces: dict[str, gym.spaces.Space[Any]] = {}
    for name, space in described.items():
        dtype = np.dtype(space["dtype"])
        low, high = space["low"], space["high"]
        if np.issubdtype(dtype, np.integer):
            bounds = np.iinfo(dtype)
            low, high = max(low, bounds.min), min(high, bounds.max)
        spaces[name] = gym.spaces.Box(low, high, tuple(space["shape"]), dtype.type)
    return gym.spaces.Dict(spaces)


def action_space_of(described: dict[str, Any]) -> gym.spaces.Discrete | gym.spaces.Box:
    """The space of one environment's actions, from a worker's READY."""
    if described["kind"] == "discrete":
        return gym.spaces.Discrete(len(described["names"]))
    return gym.spaces.Box(-1.0, 1.0, tuple(described["shape"]), np.float32)
