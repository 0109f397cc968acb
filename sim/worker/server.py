"""The worker's main loop: one habitat-lab environment, driven over `protocol`."""

import faulthandler
import gc
import json
import os
import random
import socket
import traceback
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from . import protocol
from .episodes import EpisodeStream

_STATUS_BYTES = 1024
_POSE = ("agent.x", "agent.y", "agent.z", "agent.yaw")


class TaskError(Exception):
    """Something the user gave is wrong; the message is the one line they read."""


def main(descriptor: int) -> int:
    """Serves the peer at socket `descriptor` until it closes; returns the exit status."""
    faulthandler.enable()
    channel = protocol.Channel(socket.socket(fileno=descriptor))
    try:
        return _serve(channel)
    except protocol.PeerGone:
        return 0  # the learning process has gone: so does its simulator


def _serve(channel: protocol.Channel) -> int:
    worker: Any = None
    while True:
        message = channel.receive(timeout_s=None)
        try:
            if message.kind == protocol.CLOSE:
                if worker is not None:
                    worker.close()
                return 0
            if message.kind == protocol.HELLO:
                worker = _start(message.body, channel)
                body, descriptor = worker.hello()
                channel.send(protocol.READY, body)
                if descriptor is not None:
                    channel.send_descriptor(descriptor)
            elif message.kind == protocol.STEP:
                channel.send(protocol.DONE, worker.step())
            elif message.kind == protocol.RESET:
                channel.send(protocol.DONE, worker.reset(message.body))
            elif message.kind == protocol.CALL:
                body, blob = worker.call(message.body["name"], message.body.get("arguments", {}))
                channel.send(protocol.DONE, body, blob)
            else:
                raise TaskError("the worker got a message of kind {} that only a client gets".format(message.kind))
        except protocol.PeerGone:
            raise
        except Exception as error:
            channel.send(protocol.ERROR, _describe(error))


def _start(config: Dict[str, Any], channel: protocol.Channel) -> Any:
    from . import compat

    compat.prepare()
    if config.get("service", "environment") == "episodes":
        from .generate import EpisodeGenerator

        return EpisodeGenerator(config)
    if config.get("service") == "challenge":
        from .challenge import ChallengeWorker

        return ChallengeWorker(config, channel)
    if config.get("service") == "long_horizon":
        from .long_horizon.service import LongHorizonWorker

        return LongHorizonWorker(config)
    return EnvironmentWorker(config, lambda status: channel.send(protocol.LOADING, status))


def _describe(error: Exception) -> Dict[str, Any]:
    """One line for the user, and the traceback for a bug report."""
    text = str(error).strip() or repr(error)
    line = text if isinstance(error, TaskError) else "{}: {}".format(type(error).__name__, text)
    return {
        "message": " ".join(line.split()),
        "is_task_error": isinstance(error, TaskError),
        "traceback": traceback.format_exc(),
    }


def load_config(config: Dict[str, Any]) -> Any:
    """habitat-lab's config from the YAML `config["lab_config"]` and the Hydra `config["overrides"]`."""
    import habitat

    if not os.path.exists(config["lab_config"]) and not config["lab_config"].startswith("benchmark/"):
        raise TaskError("no task config at {}".format(config["lab_config"]))
    try:
        lab_config = habitat.get_config(config["lab_config"], list(config["overrides"]))
    except Exception as error:
        line = str(error).strip().splitlines()[0]
        raise TaskError("task config {}: {}".format(config["lab_config"], line)) from error
    if lab_config.habitat.simulator.type == "Sim-v0":  # habitat-lab's own tasks name its simulator
        with habitat.config.read_write(lab_config):
            lab_config.habitat.simulator.type = "EngramSim-v0"
    return lab_config


class EnvironmentWorker:
    """One `habitat.Env` with autoreset, its observations in shared memory.

    `config` keys: `lab_config` (a habitat-lab YAML), `overrides` (Hydra's), `order`, `seed`, `env_index`, `num_envs`,
    `scene_run`, `first_episode` (the count to start from). `announce` is told of the first scene before it is loaded.
    """

    def __init__(self, config: Dict[str, Any], announce: Callable[[Dict[str, Any]], None]) -> None:
        from . import checks, configs, manipulation, oracle, simulator, tasks  # noqa: F401  (they register what they define)

        self._checks = checks
        lab_config = load_config(config)
        self._config = lab_config.habitat
        dataset = checks.load_dataset(self._config)
        checks.check_scenes(dataset.episodes)
        self._stream = EpisodeStream(
            dataset.episodes,
            order=config["order"],
            seed=config["seed"],
            env_index=config["env_index"],
            num_envs=config["num_envs"],
            scene_run=config["scene_run"],
        )
        self._stream.seek(config["first_episode"])
        self._memory: Optional[protocol.SharedArrays] = None
        self._status: Optional[np.ndarray] = None
        checks.check_entities(self._config)
        first = dataset.episodes[self._stream.index_of(self._stream.count)]
        announce(_status(first, self._stream.count))
        self._env = _StreamedEnv(lab_config, dataset, self._stream)
        task = self._config.task  # its fields are read once: an OmegaConf look-up a step is felt
        self._slack_reward, self._success_reward = float(task.slack_reward), float(task.success_reward)
        self._reward_measure, self._success_measure = task.reward_measure, task.success_measure
        self._fresh = False
        self._actions = action_decoder(self._env.task)

    # -- protocol ------------------------------------------------------------------------------------------------

    def hello(self) -> Tuple[Dict[str, Any], Optional[int]]:
        """Resets once, since only then all metrics are known, and lays out the shared memory."""
        observations = self._reset_env()
        spaces = {name: describe_space(name, space) for name, space in self._env.observation_space.spaces.items()}
        scalars, _ = _flatten(self._env.get_metrics())
        self._metric_names = sorted(scalars) + list(_POSE)
        arrays: List[Tuple[str, str, Any]] = [
            ("action", self._actions.dtype, self._actions.shape),
            ("reward", "float64", (1,)),
            ("ended", "uint8", (2,)),
            ("metrics", "float64", (len(self._metric_names),)),
            ("final_metrics", "float64", (len(self._metric_names),)),
            ("status", "uint8", (_STATUS_BYTES,)),
        ]
        for prefix in ("obs", "final"):
            arrays += [("{}/{}".format(prefix, name), s["dtype"], s["shape"]) for name, s in spaces.items()]
        fields, size = protocol.lay_out(arrays)
        descriptor = protocol.create_memory(size)
        self._memory = protocol.SharedArrays(os.dup(descriptor), fields)
        self._status = self._memory["status"]
        self._obs, self._final = self._memory.group("obs"), self._memory.group("final")
        self._set_status()
        self._store(observations, self._obs, self._memory["metrics"])
        self._fresh = True
        gc.collect()
        gc.freeze()  # what is there now stays: collections need not look at it again
        body = {
            "observation_spaces": spaces,
            "action_space": self._actions.describe(),
            "metrics": self._metric_names,
            "fields": [list(field) for field in fields],
            "num_episodes": len(self._env.episodes),
            "habitat_sim": _version("habitat_sim"),
            "habitat_lab": _version("habitat"),
            "episode": self._episode_info(),
        }
        return body, descriptor

    def reset(self, body: Dict[str, Any]) -> Dict[str, Any]:
        if "seed" in body:
            self._stream.reseed(int(body["seed"]))
            self._fresh = False
        if "episode" in body:
            self._stream.seek(int(body["episode"]))
            self._fresh = False
        if not self._fresh:
            self._store(self._reset_env(), self._obs, self._memory["metrics"])
        self._fresh = False
        return {"episode": self._episode_info()}

    def step(self) -> Optional[Dict[str, Any]]:
        memory = self._memory
        observations = self._env.step(self._actions.decode(memory["action"]))
        self._fresh = False
        terminated = not self._env.task.is_episode_active
        over = self._env.episode_over
        ended = memory["ended"]
        ended[0] = terminated
        ended[1] = over and not terminated
        if not over:
            memory["reward"][0] = self._store(observations, self._obs, memory["metrics"])
            return None
        memory["reward"][0] = self._store(observations, self._final, memory["final_metrics"])
        final = self._episode_info()
        final["measures"] = _flatten(self._env.get_metrics())[1]
        self._store(self._reset_env(), self._obs, memory["metrics"])
        return {"final": final, "episode": self._episode_info()}

    def call(self, name: str, arguments: Dict[str, Any]) -> Tuple[Dict[str, Any], bytes]:
        from . import calls

        return calls.answer(self._env, name, arguments)

    def close(self) -> None:
        self._env.close()

    # -- one episode ---------------------------------------------------------------------------------------------

    def _reset_env(self) -> Dict[str, Any]:
        count = self._stream.count
        seed = self._stream.episode_seed(count)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  (habitat-lab draws from the global generator)
        self._env.sim.seed(seed)
        self._running = _status(self._env.episodes[self._stream.index_of(count)], count)
        self._set_status()
        observations = self._env.reset()
        self._checks.check_start(self._env)
        return observations

    def _set_status(self) -> None:
        """Leaves what is being worked on where the client finds it if this process dies."""
        if self._status is not None:
            protocol.write_text(self._status, json.dumps(self._running))

    def _episode_info(self) -> Dict[str, Any]:
        episode = self._env.current_episode
        info = {
            "episode_id": str(episode.episode_id),
            "scene_id": episode.scene_id,
            "count": self._stream.count - 1,
            "index": self._stream.index_of(self._stream.count - 1),
        }
        instruction = getattr(episode, "instruction", None)
        if instruction is not None:  # a text, or habitat-lab's InstructionData of vision-and-language navigation
            info["instruction"] = str(getattr(instruction, "instruction_text", instruction))
        return info

    def _store(self, observations: Dict[str, Any], into: Dict[str, np.ndarray], metrics_into: np.ndarray) -> float:
        """Copies one step's observations and metrics to shared memory; returns its reward."""
        for name, array in into.items():
            np.copyto(array, observations[name], casting="unsafe")
        metrics = self._env.get_metrics()
        scalars, _ = _flatten(metrics)
        get = scalars.get
        metrics_into[:-4] = [get(name, np.nan) for name in self._metric_names[:-4]]
        node = self._env.sim.get_agent(0).scene_node
        metrics_into[-4:-1] = node.translation
        rotation = node.rotation
        metrics_into[-1] = 2.0 * np.arctan2(rotation.vector[1], rotation.scalar)
        return self._reward(scalars)

    def _reward(self, scalars: Dict[str, float]) -> float:
        """habitat-lab's RLTaskEnv reward: slack + reward measure + bonus while the success measure holds."""
        reward = self._slack_reward + scalars.get(self._reward_measure, 0.0)
        if self._success_measure and scalars.get(self._success_measure, 0.0):
            reward += self._success_reward
        return reward


def _status(episode: Any, count: int) -> Dict[str, Any]:
    return {"scene": episode.scene_id, "episode": str(episode.episode_id), "count": count}


def _streamed_env_class() -> Any:
    import habitat

    class StreamedEnv(habitat.Env):
        """`habitat.Env` whose episodes come from an EpisodeStream."""

        def __init__(self, config: Any, dataset: Any, stream: EpisodeStream) -> None:
            self._stream = stream
            super().__init__(config, dataset)
            stream.seek(stream.count - 1)  # the constructor takes an episode to know the first scene
            self._episode_from_iter_on_reset = True

        def _setup_episode_iterator(self) -> None:
            self._episode_iterator = self._stream

    return StreamedEnv


def _StreamedEnv(config: Any, dataset: Any, stream: EpisodeStream) -> Any:
    return _streamed_env_class()(config, dataset, stream)


class _DiscreteActions:
    """Index of one of the task's parameterless actions."""

    dtype = "int64"
    shape: Tuple[int, ...] = (1,)

    def __init__(self, names: List[str]) -> None:
        self._names = names

    def describe(self) -> Dict[str, Any]:
        return {"kind": "discrete", "names": self._names}

    def decode(self, action: np.ndarray) -> Dict[str, Any]:
        index = int(action[0])
        if not 0 <= index < len(self._names):
            raise TaskError("action {} is outside 0..{}".format(index, len(self._names) - 1))
        return {"action": self._names[index], "action_args": {}}


class _BoxActions:
    """One action with real-valued arguments, laid side by side in [-1, 1] (habitat-lab scales them to its ranges)."""

    dtype = "float32"

    def __init__(self, name: str, arguments: Dict[str, int]) -> None:
        self._name = name
        self._arguments = arguments
        self.shape = (sum(arguments.values()),)

    def describe(self) -> Dict[str, Any]:
        return {"kind": "box", "shape": list(self.shape), "name": self._name, "arguments": self._arguments}

    def decode(self, action: np.ndarray) -> Dict[str, Any]:
        if not np.isfinite(action).all():
            raise TaskError("the action holds NaN or infinity: {}".format(action.tolist()))
        values = np.clip(action, -1.0, 1.0)
        decoded: Dict[str, Any] = {}
        start = 0
        for name, width in self._arguments.items():
            part = values[start : start + width]
            decoded[name] = float(part[0]) if width == 1 else part.copy()
            start += width
        return {"action": self._name, "action_args": decoded}


def action_decoder(task: Any) -> Any:
    from gym import spaces
    from habitat.core.spaces import EmptySpace

    actions = {name: action.action_space for name, action in task.actions.items()}
    if all(isinstance(space, EmptySpace) for space in actions.values()):
        return _DiscreteActions(list(actions))
    if len(actions) == 1:
        name, space = next(iter(actions.items()))
        boxes = dict(space.spaces.items())
        if all(isinstance(box, spaces.Box) for box in boxes.values()):
            # habitat-lab's spaces sort their names; the field writes (v, w).
            order = sorted(boxes, key=lambda key: (key != "linear_velocity", list(boxes).index(key)))
            return _BoxActions(name, {key: int(np.prod(boxes[key].shape)) for key in order})
    raise TaskError(
        "actions {} mix kinds: a task needs parameterless actions only, or one action with real arguments".format(
            list(actions)
        )
    )


def describe_space(name: str, space: Any) -> Dict[str, Any]:
    if getattr(space, "shape", None) is None or getattr(space, "dtype", None) is None or not hasattr(space, "low"):
        raise TaskError(
            "sensor '{}' gives {}, not an array of fixed size, and cannot be shared".format(name, type(space).__name__)
        )
    low, high = float(np.min(space.low)), float(np.max(space.high))
    if low > high:  # habitat-lab's semantic sensor: uint32's bounds, put into int32
        low, high = float(np.iinfo(space.dtype).min), float(np.iinfo(space.dtype).max)
    return {"dtype": np.dtype(space.dtype).name, "shape": list(space.shape), "low": low, "high": high}


def _flatten(metrics: Dict[str, Any], prefix: str = "") -> Tuple[Dict[str, float], Dict[str, Any]]:
    """Splits habitat-lab's metrics into scalars by dotted name, and lists (of what JSON can hold)."""
    scalars: Dict[str, float] = {}
    lists: Dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            inner_scalars, inner_lists = _flatten(value, prefix + name + ".")
            scalars.update(inner_scalars)
            lists.update(inner_lists)
        elif isinstance(value, (bool, int, float, np.number, np.bool_)):
            scalars[prefix + name] = float(value)
        elif isinstance(value, list):
            lists[prefix + name] = value
    return scalars, lists


def _version(module: str) -> str:
    import importlib

    return str(getattr(importlib.import_module(module), "__version__", "unknown"))
