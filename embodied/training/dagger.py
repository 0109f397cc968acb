"""DAgger (Ross et al., AISTATS 2011): imitation of the shortest-path oracle on the learner's own paths.

The learner drives, the oracle says at every step what it would have done, and the learner is trained on that. So it
learns to get out of the places that its own mistakes lead to, which copying the oracle's paths alone does not teach.

One round, with T = `segment_steps` steps of N environments::

    simulators   |step|step|step| ... T        a copy of the policy, as of the last round's end, drives them
    learner      |update|update| ...           on the segments of the rounds before
    then         the new segment joins the replay, the copy takes the new weights, figures, perhaps a checkpoint

Both halves run at the same time: the simulators' work is in their processes, torch's outside Python's lock. Neither
reads what the other writes within a round, so the result is the same as one after the other, and it is a function of
the config alone.
"""

from __future__ import annotations

import copy
import math
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from embodied import config as configs
from embodied.checkpoint import TrainingState, load_optimizer_tensors, load_weights, optimizer_tensors
from embodied.config import ConfigError
from embodied.environments import EnvConfig, make_env, num_envs
from embodied.training.auxiliary import object_map, seeing_loss, with_detector
from embodied.training.outcomes import Outcomes
from embodied.training.progress import TrainingProgress
from embodied.training.replay import Arrays, Replay
from embodied.training.run import Run, TrainResult, stop_on_signals
from embodied.training.schedule import warm_up_then_cosine
from policies.base import SequencePolicy, without_caches
from policies.chance import HeldNoise
from policies.config import PolicyConfig
from policies.contract import DISCRETE, Actions, Contract
from policies.mirror import Mirror
from policies.registry import make_policy
from sim.config import SimConfig

ORACLE = "oracle_action"


@dataclass
class DaggerConfig:
    """Imitation of the oracle by a recurrent policy."""

    algorithm: str = field(default="dagger", metadata={"help": "which algorithm this config is of"})
    output: str = field(default="runs/dagger", metadata={"help": "the run's folder; a run that is there goes on"})
    seed: int = field(default=0, metadata={"help": "of weights, drawn actions and batches; sim.seed is of episodes"})
    env: EnvConfig = field(default_factory=EnvConfig, metadata={"help": "which environment"})
    sim: SimConfig = field(default_factory=SimConfig, metadata={"help": "task, episodes, simulators (Habitat)"})
    policy: PolicyConfig = field(default_factory=PolicyConfig, metadata={"help": "architecture"})
    steps: int = field(default=200_000, metadata={"help": "environment steps in all, over all environments"})
    segment_steps: int = field(
        default=64, metadata={"help": "steps of each environment in a round; gradients end there"}
    )
    updates_per_segment: int = field(default=4, metadata={"help": "gradient steps a round"})
    batch_rows: int = field(default=8, metadata={"help": "sequences of segment_steps in one gradient step"})
    replay_steps: int = field(
        default=60_000, metadata={"help": "environment steps kept to learn from; 20 kB each at 64x64 RGB-D"}
    )
    learning_rate: float = field(default=1e-3, metadata={"help": "Adam's, at its highest"})
    warm_up: float = field(default=0.02, metadata={"help": "share of the training in which the rate rises"})
    final_rate: float = field(default=0.1, metadata={"help": "share of the learning rate left at the end (cosine)"})
    max_grad_norm: float = field(default=1.0, metadata={"help": "longer gradients are cut to this"})
    beta_until: float = field(
        default=0.3,
        metadata={"help": "share of the training over which the oracle's share of driving falls to beta_end"},
    )
    beta_start: float = field(default=1.0, metadata={"help": "share of driving that the oracle does at first"})
    beta_end: float = field(default=0.0, metadata={"help": "share of driving that the oracle does from beta_until on"})
    beta_span: int = field(default=16, metadata={"help": "mean steps for which one of the two keeps the wheel"})
    stop_weight: float = field(default=1.0, metadata={"help": "weight in the loss of steps where the oracle stops"})
    change_weight: float = field(
        default=1.0, metadata={"help": "weight of steps where the oracle's action differs from its last (inflections)"}
    )
    mirror: bool = field(
        default=False,
        metadata={"help": "also learn from mirror images: of a round's updates every second is of its left for right"},
    )
    auxiliary_weight: float = field(
        default=0.0,
        metadata={"help": "of learning to see objects from the simulator's ground truth (object goals); 0: not"},
    )
    device: str = field(default="auto", metadata={"help": "auto, cpu, or cuda (then in bfloat16 where that is enough)"})
    torch_threads: int = field(default=1, metadata={"help": "of the learner; simulators need cores too"})
    overlap: bool = field(default=True, metadata={"help": "simulate and learn at once; the result is the same"})
    checkpoint_s: float = field(default=60.0, metadata={"help": "seconds between checkpoints"})
    keep_checkpoints: int = field(default=2, metadata={"help": "how many of the newest to keep"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        self.env.validate()
        if self.env.is_habitat:
            self.sim.validate()
        elif not self.env.teacher:
            raise ValueError(
                "env.teacher: a memory task has nothing to imitate without; docs/memory_tasks.md lists them"
            )
        self.policy.validate()
        positive = ("steps", "segment_steps", "updates_per_segment", "batch_rows", "replay_steps", "beta_span")
        for name in (*positive, "torch_threads", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("warm_up", "final_rate", "beta_until", "beta_start", "beta_end"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a share, 0 to 1, not {getattr(self, name)}")
        for name in ("learning_rate", "max_grad_norm", "stop_weight", "change_weight"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.mirror and self.updates_per_segment < 2:
            raise ValueError("mirror takes every second update of a round: set updates_per_segment to 2 or more")
        if self.auxiliary_weight < 0.0:
            raise ValueError(f"auxiliary_weight must not be negative, and is {self.auxiliary_weight}")
        if self.auxiliary_weight > 0.0 and self._task not in ("objectnav", "ext_objectnav"):
            raise ValueError(f"auxiliary_weight is for object goals, and {self._task_key} is {self._task}: set it to 0")
        if self.batch_rows < self.num_envs:
            raise ValueError(
                f"batch_rows must be at least {'sim' if self.env.is_habitat else 'env'}.num_envs ({self.num_envs}), so "
                f"that all new steps are learnt from, and is {self.batch_rows}"
            )
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device must be auto, cpu or cuda, not '{self.device}'")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device is cuda, and torch finds no CUDA device")

    @property
    def num_envs(self) -> int:
        return num_envs(self.env, self.sim)

    @property
    def _task_key(self) -> str:
        return "sim.task" if self.env.is_habitat else "env.name"

    @property
    def _task(self) -> str:
        return self.sim.task if self.env.is_habitat else self.env.name

    @property
    def round_steps(self) -> int:
        """Environment steps a round."""
        return self.segment_steps * self.num_envs

    @property
    def rounds(self) -> int:
        return math.ceil(self.steps / self.round_steps)


_FREE = frozenset(
    {"output", "overlap", "checkpoint_s", "keep_checkpoints", "sim.python", "sim.max_deaths_per_scene"}
    | {f"sim.{name}_timeout_s" for name in ("start", "reset", "step")}
)
"""Settings that do not decide the result: a run may go on with others."""


def train(config: DaggerConfig, console: Console | None = None) -> TrainResult:
    """Trains, or goes on with, the run in `config.output`; returns when it is finished or asked to stop by a signal.

    Killed at any moment and started again, it ends with the weights of an undisturbed run (on a CPU, with as many
    threads, if no simulator died).

    Raises:
        ConfigError: a setting is wrong, or the folder is another run's.
        ContractError: the policy cannot do with the task's sensors or actions.
        CheckpointError: what is stored in the folder cannot be read.
        SimulatorError: the simulators cannot run the task.
        FileError: the folder cannot be written.
    """
    config.validate()
    console = console or Console()
    with ExitStack() as stack:
        run = Run(Path(config.output), config, _FREE, config.keep_checkpoints, say=console.print)
        stack.callback(run.close)
        resumed = run.resumed
        if resumed is not None and resumed.meta["round"] >= config.rounds:
            return TrainResult(run.folder, resumed.folder, resumed.steps, True, resumed.meta["figures"])
        state = resumed.training() if resumed is not None else None
        torch.set_num_threads(config.torch_threads)
        sim = with_detector(config.sim) if config.auxiliary_weight else config.sim
        env = make_env(config.env, sim, None if state is None else state.values["env"])
        stack.callback(env.close)
        offered = Contract.of_env(env)
        if ORACLE not in offered.sensors:
            raise ConfigError(f"{config._task_key}: the task '{config._task}' has no {ORACLE} sensor to imitate")
        learner = Learner(config, offered)
        driver = Driver(config, env, learner.policy)
        replay = Replay(run.folder / "replay", max(1, config.replay_steps // config.round_steps))
        rounds_done = 0
        if resumed is not None and state is not None:
            rounds_done = int(resumed.meta["round"])
            load_weights(learner.policy, resumed)
            learner.restore(state)
            driver.restore(state)
            first, end = state.values["replay"]
            replay.restore(first, end, {name: v.numpy() for name, v in _tensors("replay.", state).items()})
        else:
            replay.restore(0, 0, {})
        progress = stack.enter_context(
            TrainingProgress(run.folder, config.rounds * config.round_steps, rounds_done * config.round_steps, console)
        )
        stop = stack.enter_context(stop_on_signals())
        thread = stack.enter_context(ThreadPoolExecutor(1, "learner"))
        saved_s = time.monotonic()
        while rounds_done < config.rounds and not stop:
            driver.take(learner.policy)
            learning = thread.submit(learner.learn, replay, rounds_done / config.rounds)
            if not config.overlap:
                wait([learning])
            beta = beta_at(config, rounds_done / config.rounds)
            arrays, begin = driver.drive(beta)
            figures = {**learning.result(), **driver.outcomes.figures(), "beta": beta}
            replay.append(arrays, begin)
            rounds_done += 1
            progress.update(rounds_done * config.round_steps, figures)
            if stop or rounds_done == config.rounds or time.monotonic() - saved_s > config.checkpoint_s:
                _save(config, run, rounds_done, env, learner, driver, replay, progress.figures)
                saved_s = time.monotonic()
        completed = rounds_done == config.rounds
        if completed:
            replay.forget_before(replay.end)  # a finished run has nothing left to resume
        steps, checkpoint = rounds_done * config.round_steps, run.checkpoints.stored()[-1]
        return TrainResult(run.folder, checkpoint, steps, completed, progress.figures)


def beta_at(config: DaggerConfig, done: float) -> float:
    """The oracle's share of the driving when a share `done` of the training is over."""
    fallen = min(1.0, done / config.beta_until) if config.beta_until > 0.0 else 1.0
    return config.beta_start + (config.beta_end - config.beta_start) * fallen


def rate_at(config: DaggerConfig, done: float) -> float:
    """The learning rate then."""
    return warm_up_then_cosine(config.learning_rate, done, config.warm_up, config.final_rate)


class Driver:
    """Steps the environments: a copy of the policy drives, and for stretches the oracle.

    Args:
        config: the training's.
        env: the environments.
        policy: what to make the copy of.
    """

    def __init__(self, config: DaggerConfig, env: Any, policy: SequencePolicy) -> None:
        self._config = config
        self._env = env
        self._policy = copy.deepcopy(policy).eval().requires_grad_(False)
        self._device = next(policy.parameters()).device
        self._actions = policy.contract.actions
        self._generator = np.random.default_rng([config.seed, 1])
        self._noise = HeldNoise(env.num_envs, config.policy.hold_steps)
        self._state = policy.initial_state(env.num_envs)  # of training mode
        dtype = np.int64 if self._actions.kind == DISCRETE else np.float32
        self._previous: np.ndarray = np.zeros((env.num_envs, self._actions.width), dtype)
        self._resets = np.ones(env.num_envs, bool)
        self._oracle_drives: np.ndarray = np.ones(env.num_envs, bool)
        self._observations, _ = env.reset()
        self.outcomes = Outcomes(env.num_envs)

    def take(self, policy: SequencePolicy) -> None:
        """Drives with these weights from now on."""
        self._policy.load_state_dict(policy.state_dict())
        self._state = without_caches(self._state)

    def drive(self, beta: float) -> tuple[Arrays, Arrays]:
        """One segment.

        Args:
            beta: the oracle's share of the driving.

        Returns:
            Arrays [T, N, ...]: `observations/NAME` as stored, `previous_actions`, `resets`, `labels` (the oracle's
            actions), `by_oracle` (who drove) and, if it is learnt, `shown` (what the pictures show); and the policy's
            state before the first step, [N, ...].
        """
        begin = {name: values.cpu().numpy().copy() for name, values in self._state.items()}
        steps: list[Arrays] = []
        for _ in range(self._config.segment_steps):
            seen = {name: _stored(self._observations[name]) for name in self._policy.contract.sensors}
            output, self._state = self._policy.step(
                {name: torch.from_numpy(values).to(self._device) for name, values in seen.items()},
                torch.from_numpy(self._previous).to(self._device),
                self._state,
                torch.from_numpy(self._resets).to(self._device),
                in_place=True,
            )
            draws = self._noise.draws(output.actions.noise_size)
            drawn = self._generator.random((self._env.num_envs, draws), dtype=np.float32)
            noise = torch.from_numpy(self._noise(drawn, self._resets)).to(self._device)
            chosen = output.actions.choose(noise).cpu().numpy()
            labels = self._observations[ORACLE].astype(self._previous.dtype)
            self._change_drivers(beta)
            actions = np.where(self._oracle_drives[:, None], labels, chosen)
            steps.append(
                {
                    **{f"observations/{name}": values for name, values in seen.items()},
                    "previous_actions": self._previous,
                    "resets": self._resets,
                    "labels": labels,
                    "by_oracle": self._oracle_drives.copy(),
                }
            )
            if self._config.auxiliary_weight and self._policy.seen_shape:
                steps[-1]["shown"] = object_map(self._observations, self._policy.seen_shape)
            self._env.step_async(actions[:, 0] if self._actions.kind == DISCRETE else actions)
            self._observations, _, terminated, truncated, infos = self._env.step_wait()
            self.outcomes.update(infos)
            self._previous, self._resets = actions, terminated | truncated
        return {name: np.stack([step[name] for step in steps]) for name in steps[0]}, begin

    def _change_drivers(self, beta: float) -> None:
        """Now and then, and at each episode's beginning, who drives is drawn anew."""
        draws = self._generator.random((2, self._env.num_envs))
        anew = self._resets | (draws[0] * self._config.beta_span < 1.0)
        self._oracle_drives = np.where(anew, draws[1] < beta, self._oracle_drives)

    # -- resuming ------------------------------------------------------------------------------------------------

    def state(self) -> TrainingState:
        tensors = {f"driver.state.{name}": values for name, values in without_caches(self._state).items()}
        for name in ("previous", "resets", "oracle_drives"):
            tensors[f"driver.{name}"] = torch.from_numpy(getattr(self, f"_{name}"))
        tensors["driver.noise"] = torch.from_numpy(self._noise.kept)
        values = {"driver": self._generator.bit_generator.state, "outcomes": self.outcomes.state()}
        return TrainingState(tensors, values)

    def restore(self, state: TrainingState) -> None:
        """Raises KeyError if `state` is not of a DAgger run."""
        self._state = {n: v.to(self._device) for n, v in _tensors("driver.state.", state).items()}
        self._previous = state.tensors["driver.previous"].numpy()
        self._resets = state.tensors["driver.resets"].numpy()
        self._noise.kept = state.tensors["driver.noise"].numpy()
        self._oracle_drives = state.tensors["driver.oracle_drives"].numpy()
        self._generator.bit_generator.state = state.values["driver"]
        self.outcomes.restore(state.values["outcomes"])


class Learner:
    """The policy that is trained, and its optimiser.

    Args:
        config: the training's.
        offered: sensors and actions of the environment.

    Raises:
        ContractError: the policy cannot do with them.
        ConfigError: an auxiliary loss is asked for that the policy does not have.
    """

    def __init__(self, config: DaggerConfig, offered: Contract) -> None:
        self._config = config
        self._device = torch.device(
            ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.policy = make_policy(config.policy, offered)
        if config.auxiliary_weight and self.policy.seen_shape is None:
            raise ConfigError(
                f"auxiliary_weight: the policy {config.policy.name} does not look for objects: set it to 0"
            )
        self.policy.to(self._device)
        self._optimizer = torch.optim.Adam(self.policy.parameters(), lr=config.learning_rate, eps=1e-5)
        self._generator = np.random.default_rng([config.seed, 2])
        self._mirror = Mirror(self.policy.contract) if config.mirror else None

    def learn(self, replay: Replay, done: float) -> dict[str, float]:
        """A round's gradient steps; figures are their means. Without any experience yet, nothing."""
        if not len(replay):
            return {}
        rate = rate_at(self._config, done)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        updates = [self._update(replay, number) for number in range(self._config.updates_per_segment)]
        figures = {}
        for name in updates[0]:
            known = [update[name] for update in updates if not math.isnan(update[name])]
            if known:  # a batch may hold no stop to recall
                figures[name] = sum(known) / len(known)
        return {**figures, "learning_rate": rate}

    def _update(self, replay: Replay, number: int) -> dict[str, float]:
        mirror = bool(number % 2) if self._mirror is not None else None
        batch = replay.sample(self._generator, self._config.batch_rows, mirror)
        arrays = {name: torch.from_numpy(values).to(self._device) for name, values in batch.arrays.items()}
        state = {name: torch.from_numpy(values).to(self._device) for name, values in batch.state.items()}
        observations = {n.removeprefix("observations/"): v for n, v in arrays.items() if n.startswith("observations/")}
        labels, previous = arrays["labels"], arrays["previous_actions"]
        if self._mirror is not None:
            exchanged = torch.from_numpy(batch.mirrored).to(self._device)
            for name, values in self._mirror.observations(observations).items():
                observations[name] = _where(exchanged, values, observations[name])
            labels = _where(exchanged, self._mirror.actions(labels), labels)
            previous = _where(exchanged, self._mirror.actions(previous), previous)
            if "shown" in arrays:
                arrays["shown"] = _where(exchanged, arrays["shown"].flip(-1), arrays["shown"])
        with torch.autocast("cuda", torch.bfloat16, enabled=self._device.type == "cuda"):
            output, after = self.policy(observations, previous, state, arrays["resets"])
        weights = self._weights(labels, arrays["resets"])
        loss = -(weights * output.actions.log_prob(labels)).sum() / weights.sum()
        figures = {"loss": float(loss.detach())}
        if self._config.auxiliary_weight and output.seen is not None:
            seeing, recall = seeing_loss(output.seen, arrays["shown"])
            figures["objects_seen"] = float(recall)
            loss = loss + self._config.auxiliary_weight * seeing
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self._config.max_grad_norm)
        self._optimizer.step()
        replay.refresh(batch, {name: values.detach().cpu().numpy() for name, values in after.items()})
        return {**figures, "grad_norm": float(norm), **self._agreement(output.actions, labels)}

    def _weights(self, labels: Tensor, resets: Tensor) -> Tensor:
        """How much each step [T, B] counts in the loss."""
        weights = torch.ones(labels.shape[:2], device=labels.device)
        weights[_stops(self.policy.contract.actions, labels)] = self._config.stop_weight
        changed = (labels[1:] != labels[:-1]).any(dim=-1) & ~resets[1:]
        weights[1:][changed] *= self._config.change_weight
        return weights

    @torch.no_grad()
    def _agreement(self, actions: Any, labels: Tensor) -> dict[str, float]:
        """How often the likeliest action is the oracle's, and, of the oracle's stops, how many it would make."""
        spec = self.policy.contract.actions
        likeliest = actions.choose()
        stops, would_stop = _stops(spec, labels), _stops(spec, likeliest)
        figures = {
            "stop_recall": float(would_stop[stops].float().mean()),
            "stop_precision": float(stops[would_stop].float().mean()),
        }
        if spec.kind == DISCRETE:
            return {"accuracy": float((likeliest == labels).float().mean()), **figures}
        return {"velocity_error": float((likeliest - labels)[~stops].abs().mean()), **figures}

    # -- resuming ------------------------------------------------------------------------------------------------

    def state(self) -> TrainingState:
        return TrainingState(optimizer_tensors(self._optimizer), {"learner": self._generator.bit_generator.state})

    def restore(self, state: TrainingState) -> None:
        load_optimizer_tensors(self._optimizer, state.tensors)
        self._generator.bit_generator.state = state.values["learner"]


def _save(
    config: DaggerConfig,
    run: Run,
    rounds_done: int,
    env: Any,
    learner: Learner,
    driver: Driver,
    replay: Replay,
    figures: dict[str, float],
) -> None:
    """A checkpoint from which `train` goes on as if it had never ended. Raises FileError."""
    parts = [learner.state(), driver.state()]
    states = {f"replay.{name}": torch.from_numpy(values) for name, values in replay.states().items()}
    training = TrainingState(
        {**parts[0].tensors, **parts[1].tensors, **states},
        {**parts[0].values, **parts[1].values, "env": env.state(), "replay": [replay.first, replay.end]},
    )
    meta = {
        "round": rounds_done,
        "first_segment": replay.first,
        "figures": figures,
        "config": configs.to_dict(config),
        "contract": learner.policy.contract.to_json(),
    }
    run.checkpoints.save(rounds_done * config.round_steps, learner.policy.state_dict(), meta, training)
    replay.forget_before(min(meta["first_segment"] for meta in run.checkpoints.metas()))


def _where(rows: Tensor, those: Tensor, others: Tensor) -> Tensor:
    """`those` in the rows (bool [B]) of [T, B, ...], `others` elsewhere."""
    return torch.where(rows.view(1, -1, *[1] * (those.dim() - 2)), those, others)


def _stored(observation: np.ndarray) -> np.ndarray:
    """An observation as it is kept: pictures of floats at half precision. What drives sees the same."""
    is_picture = observation.ndim == 4 and observation.dtype == np.float32
    return observation.astype(np.float16) if is_picture else observation


def _stops(actions: Actions, chosen: Tensor) -> Tensor:
    """Where [...] actions [..., width] say "I am there"."""
    if actions.kind == DISCRETE:
        return chosen[..., 0] == actions.stop_index
    return (chosen - torch.tensor(actions.stop, device=chosen.device)).abs().amax(dim=-1) < 1e-3


def _tensors(prefix: str, state: TrainingState) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.tensors.items() if name.startswith(prefix)}
