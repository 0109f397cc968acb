"""A Gymnasium vector environment over simulator workers, one habitat-lab environment each."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Sequence
from typing import Any, NamedTuple

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

    In a step all wait for the slowest. `send` and `receive` do not: an environment that is done gets its next action
    while others still simulate, which a collector of experience that acts for whoever is ready profits from::

        env.send(actions)                                                       all
        rows, observations, rewards, terminated, truncated, infos = env.receive()      those done first
        env.send(actions_for(observations), rows)                               only they; and so on

    What an environment sees does not depend on how it is driven.

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
        self._layout = {name: (array.shape, array.dtype) for name, array in self._workers[0].observations.items()}
        self.restarts = 0
        """Workers replaced so far."""
        self._deaths: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = [worker.ready["episode"] for worker in self._workers]
        # The actions of the running episodes, which `state` gives for replay.
        self._actions: list[list[Any]] = [[] for _ in range(self.num_envs)]
        self._waiting: list[bool] = [False] * self.num_envs
        self._batch = self._empty_batch(self.num_envs)
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
        batch = self._empty_batch(self.num_envs)
        for i in range(self.num_envs):
            self._copy(i, batch, i)
        return batch.observations, batch.infos

    def step(self, actions: Any) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self.step_async(actions)
        return self.step_wait()

    def step_async(self, actions: Any) -> None:
        """Hands every worker its action; they simulate while the caller does something else."""
        if any(self._waiting):
            raise RuntimeError("step_async was called twice without step_wait")
        self.send(actions)

    def step_wait(self) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Waits for the step that `step_async` began."""
        if not all(self._waiting):
            raise RuntimeError("step_wait was called without step_async")
        return self._collect(list(range(self.num_envs)))[1:]

    # -- pipelined -----------------------------------------------------------------------------------------------

    def send(self, actions: Any, rows: Sequence[int] | None = None) -> None:
        """Hands the workers of `rows` ([k], None: all) their actions ([k, ...]) and returns.

        Raises:
            ValueError: the actions are not k valid ones; nothing is sent.
            RuntimeError: a row's last step has not been received.
        """
        rows = range(self.num_envs) if rows is None else [int(row) for row in rows]
        if any(self._waiting[row] for row in rows):
            raise RuntimeError("an action was sent to an environment whose last step has not been received")
        actions = self._checked(actions, len(rows))
        for i, action in zip(rows, actions, strict=True):
            worker = self._workers[i]
            worker.memory["action"][...] = action
            try:
                worker.send(protocol.STEP)
            except (WorkerDied, WorkerTimeout) as error:
                self._lost[i] = error
            self._waiting[i] = True
        # From here on the workers simulate. What can be made ready meanwhile is: they wait while this process works.
        for i, action in zip(rows, actions.tolist(), strict=True):
            self._actions[i].append(action)
        self._batch = self._empty_batch(len(rows))

    def receive(
        self, at_least: int = 1
    ) -> tuple[np.ndarray, Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """The steps that are done: of the workers that have been sent an action, those that answer first.

        Args:
            at_least: waits for so many; those that are ready by then come along.

        Returns:
            rows: int64 [k], the environments; then what `step` returns, of these alone: k rows each.

        Raises:
            RuntimeError: fewer than `at_least` were sent an action.
        """
        waiting = [row for row in range(self.num_envs) if self._waiting[row]]
        if not 1 <= at_least <= len(waiting):
            raise RuntimeError(f"{at_least} steps were asked for, and {len(waiting)} are under way")
        poller = select.poll()
        row_of = {self._workers[row].channel.fileno(): row for row in waiting if row not in self._lost}
        for descriptor in row_of:
            poller.register(descriptor, select.POLLIN)
        ready = [row for row in waiting if row in self._lost]
        while len(ready) < at_least:
            answered = poller.poll(1000.0 * self.config.step_timeout_s)
            for descriptor, _ in answered:
                poller.unregister(descriptor)
                ready.append(row_of.pop(descriptor))
            if not answered:  # overdue: receiving from one says whether it is loading a scene, and replaces it if not
                ready.append(row_of.pop(next(iter(row_of))))
        return self._collect(ready)

    def _collect(
        self, rows: list[int]
    ) -> tuple[np.ndarray, Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Waits for each of `rows`, and copies out what their steps gave."""
        batch = self._batch if len(self._batch.table) == len(rows) else self._empty_batch(len(rows))
        rewards = np.zeros(len(rows))
        terminated = np.zeros(len(rows), bool)
        truncated = np.zeros(len(rows), bool)
        ended: dict[int, dict[str, Any]] = {}
        failure: SimulatorError | None = None
        for k, i in enumerate(rows):
            worker = self._workers[i]
            self._waiting[i] = False
            body: dict[str, Any] = {}
            if i not in self._lost:
                try:
                    body = worker.receive(self.config.step_timeout_s, self.config.reset_timeout_s).body
                except (WorkerDied, WorkerTimeout) as error:
                    self._lost[i] = error
                except SimulatorError as error:  # not a death: raised once every other worker has been heard
                    failure = failure or error
                    continue
            if i in self._lost:
                truncated[k] = True
                ended[k] = self._final(i, self._lost[i])
                self._replace(i, self._lost.pop(i))
            else:
                rewards[k] = worker.memory["reward"][0]
                if "final" in body:
                    terminated[k], truncated[k] = worker.memory["ended"].astype(bool)
                    ended[k] = self._final(i, None, body["final"])
                    self._deaths.pop(self._episodes[i]["scene_id"], None)
                    self._episodes[i] = body["episode"]
                    self._actions[i] = []
            self._copy(i, batch, k)  # while the others still simulate
        if failure is not None:
            raise failure
        infos = self._with_ends(batch.infos, ended, len(rows))
        return np.array(rows), batch.observations, rewards, terminated, truncated, infos

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

    def _checked(self, actions: Any, rows: int) -> np.ndarray:
        actions = np.asarray(actions)
        shape = (rows, *(self.single_action_space.shape or ()))
        if actions.shape != shape:
            raise ValueError(f"actions must have shape {shape}, got {actions.shape}")
        if isinstance(self.single_action_space, gym.spaces.Discrete):
            if actions.dtype.kind not in "iu":
                raise ValueError(f"actions must be integers, got {actions.dtype}")
            n = int(self.single_action_space.n)
            if not all(0 <= action < n for action in actions.tolist()):
                raise ValueError(
                    f"actions must be in 0..{n - 1} ({', '.join(self.action_names)}), got {actions.tolist()}"
                )
        elif not np.isfinite(actions).all():
            raise ValueError(f"actions hold NaN or infinity: {actions.tolist()}")
        return actions

    def _empty_batch(self, rows: int) -> _Batch:
        table = np.empty((rows, len(self._metric_names)))
        metrics = dict(zip(self._metric_names, table.T, strict=True))
        return _Batch(
            {name: np.empty((rows, *shape), dtype) for name, (shape, dtype) in self._layout.items()},
            table,
            {"metrics": metrics, "episode": np.empty(rows, dtype=object)},
        )

    def _copy(self, index: int, batch: _Batch, row: int) -> None:
        """What worker `index` left in shared memory, and the episode that it is in, into a row of `batch`."""
        worker = self._workers[index]
        for name, observation in worker.observations.items():
            batch.observations[name][row] = observation
        batch.table[row] = worker.memory["metrics"]
        batch.infos["episode"][row] = dict(self._episodes[index])

    def _with_ends(self, infos: dict[str, Any], ended: dict[int, dict[str, Any]], count: int) -> dict[str, Any]:
        if ended:
            mask = np.zeros(count, bool)
            mask[list(ended)] = True
            rows = [ended.get(k, {}) for k in range(count)]
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


class _Batch(NamedTuple):
    """What a step or a reset returns, being filled row by row."""

    observations: Observations
    table: np.ndarray
    """[n, metrics]; `infos["metrics"]` are its columns."""
    infos: dict[str, Any]


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
