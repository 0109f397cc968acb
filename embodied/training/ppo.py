"""PPO (Schulman et al., arXiv 1707.06347) for policies with memory.

One round, with T = `rollout_steps` steps of N environments::

    collect    T steps with the policy as it is; its memory goes on from the round before
    learn      `epochs` times over the N sequences of T steps, in `minibatches`; each is unrolled from the memory that
               the policy had before it, with resets where episodes begin, and gradients flow through all T steps
    refresh    the memory after the rollout is made anew by the new weights, so that what is remembered fits them
    then       figures, perhaps a checkpoint

With the same config the result is the same, however often it was killed and resumed (on a CPU).
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from embodied import config as configs
from embodied.checkpoint import TrainingState, load, load_optimizer_tensors, load_weights, optimizer_tensors
from embodied.environments import EnvConfig, make_env, num_envs
from embodied.training.advantages import generalized_advantages
from embodied.training.group_advantages import GROUP, LEAVE_ONE_OUT, group_advantages
from embodied.training.intrinsic import EpisodicNovelty
from embodied.training.progress import TrainingProgress
from embodied.training.rollout import Collector, Rollout
from embodied.training.run import Run, TrainResult, stop_on_signals
from embodied.training.schedule import warm_up_then_cosine
from policies.base import SequencePolicy
from policies.config import PolicyConfig
from policies.contract import Contract
from policies.registry import make_policy
from sim.config import SimConfig


@dataclass
class PpoConfig:
    """Reinforcement learning of a policy with memory."""

    algorithm: str = field(default="ppo", metadata={"help": "which algorithm this config is of"})
    output: str = field(default="runs/ppo", metadata={"help": "the run's folder; a run that is there goes on"})
    seed: int = field(default=0, metadata={"help": "of weights, drawn actions and batches"})
    env: EnvConfig = field(default_factory=EnvConfig, metadata={"help": "which environment"})
    sim: SimConfig = field(default_factory=SimConfig, metadata={"help": "task, episodes, simulators (Habitat)"})
    policy: PolicyConfig = field(default_factory=PolicyConfig, metadata={"help": "architecture"})
    begin_from: str = field(
        default="", metadata={"help": "a checkpoint or run whose policy's weights to begin from, e.g. of imitation"}
    )
    steps: int = field(default=1_000_000, metadata={"help": "environment steps in all, over all environments"})
    rollout_steps: int = field(
        default=64, metadata={"help": "steps of each environment in a round; gradients end there"}
    )
    context_episodes: int = field(
        default=1, metadata={"help": "episodes after which memory begins anew; a new scene always ends it"}
    )
    critic_rounds: int = field(
        default=0,
        metadata={"help": "first rounds in which values alone are learnt: a good policy begun from stays good"},
    )
    epochs: int = field(default=4, metadata={"help": "times that each rollout is learnt from"})
    minibatches: int = field(default=4, metadata={"help": "parts of the environments, a gradient step each"})
    gamma: float = field(default=0.99, metadata={"help": "discount a step"})
    gae_lambda: float = field(default=0.95, metadata={"help": "of generalised advantage estimation"})
    advantages: str = field(
        default="gae",
        metadata={"help": "gae, with a critic; leave_one_out or group (GRPO), without: see group_advantages.py"},
    )
    novelty: float = field(
        default=0.0, metadata={"help": "weight of a reward for observations new to the episode (intrinsic.py); 0: none"}
    )
    novelty_neighbours: int = field(default=10, metadata={"help": "nearest observations that novelty is measured by"})
    novelty_capacity: int = field(default=512, metadata={"help": "an episode's observations kept for that, the newest"})
    clip: float = field(default=0.2, metadata={"help": "how far a likelihood ratio counts, beside 1"})
    value_clip: float = field(
        default=0.2, metadata={"help": "how far a value may move in a round; 0: as far as it likes"}
    )
    value_weight: float = field(default=0.5, metadata={"help": "of the values' error in the loss"})
    entropy: float = field(default=0.01, metadata={"help": "weight of the entropy bonus at first"})
    final_entropy: float = field(default=0.01, metadata={"help": "weight of the entropy bonus at the end (linear)"})
    learning_rate: float = field(default=1e-3, metadata={"help": "Adam's, at its highest"})
    warm_up: float = field(default=0.0, metadata={"help": "share of the training in which the rate rises"})
    final_rate: float = field(default=0.05, metadata={"help": "share of the learning rate left at the end (cosine)"})
    max_grad_norm: float = field(default=0.5, metadata={"help": "longer gradients are cut to this"})
    refresh: bool = field(default=True, metadata={"help": "make the memory anew with the new weights each round"})
    device: str = field(default="auto", metadata={"help": "auto, cpu, or cuda (then in bfloat16 where that is enough)"})
    torch_threads: int = field(default=1, metadata={"help": "of torch on the CPU"})
    checkpoint_s: float = field(default=60.0, metadata={"help": "seconds between checkpoints"})
    keep_checkpoints: int = field(default=2, metadata={"help": "how many of the newest to keep"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        self.env.validate()
        if self.env.is_habitat:
            self.sim.validate()
        self.policy.validate()
        positive: tuple[str, ...] = ("steps", "rollout_steps", "context_episodes", "epochs", "minibatches")
        positive += ("novelty_neighbours", "novelty_capacity")
        for name in (*positive, "torch_threads", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("gamma", "gae_lambda", "warm_up", "final_rate"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")
        for name in ("critic_rounds", "value_clip", "value_weight", "entropy", "final_entropy", "novelty"):
            if getattr(self, name) < 0.0:
                raise ValueError(f"{name} must not be negative, and is {getattr(self, name)}")
        for name in ("learning_rate", "max_grad_norm", "clip"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.advantages not in ("gae", LEAVE_ONE_OUT, GROUP):
            raise ValueError(f"advantages must be gae, {LEAVE_ONE_OUT} or {GROUP}, not '{self.advantages}'")
        if self.minibatches > self.num_envs:
            raise ValueError(
                f"minibatches must be at most the number of environments, {self.num_envs}, and is {self.minibatches}"
            )
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device must be auto, cpu or cuda, not '{self.device}'")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device is cuda, and torch finds no CUDA device")

    @property
    def num_envs(self) -> int:
        return num_envs(self.env, self.sim)

    @property
    def round_steps(self) -> int:
        """Environment steps a round."""
        return self.rollout_steps * self.num_envs

    @property
    def rounds(self) -> int:
        return math.ceil(self.steps / self.round_steps)


_FREE = frozenset(
    {"output", "checkpoint_s", "keep_checkpoints", "sim.python", "sim.max_deaths_per_scene"}
    | {f"sim.{name}_timeout_s" for name in ("start", "reset", "step")}
)
"""Settings that do not decide the result: a run may go on with others."""


def train(config: PpoConfig, console: Console | None = None) -> TrainResult:
    """Trains, or goes on with, the run in `config.output`; returns when it is finished or asked to stop by a signal.

    Killed at any moment and started again, it ends with the weights of an undisturbed run (on a CPU, with as many
    threads, if no simulator died).

    Raises:
        ConfigError: a setting is wrong, or the folder is another run's.
        ContractError: the policy cannot do with the task's sensors or actions.
        CheckpointError: what is stored in the folder, or in `begin_from`, cannot be read.
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
        stored = resumed.training() if resumed is not None else None
        torch.set_num_threads(config.torch_threads)
        stack.enter_context(torch.random.fork_rng(devices=[]))
        torch.manual_seed(config.seed)
        env = make_env(config.env, config.sim, None if stored is None else stored.values["env"])
        stack.callback(env.close)
        learner = Learner(config, Contract.of_env(env))
        rounds_done = 0
        if resumed is not None and stored is not None:
            rounds_done = int(resumed.meta["round"])
            load_weights(learner.policy, resumed)
            learner.restore(stored)
        elif config.begin_from:
            load_weights(learner.policy, load(Path(config.begin_from)))
        collector = Collector(
            env,
            learner.policy,
            learner.value,
            config.seed,
            config.context_episodes,
            learner.device,
            _novelty(config, learner.policy.contract),
            config.novelty,
        )
        if stored is not None:
            collector.restore(stored)
            torch.set_rng_state(stored.tensors["torch_rng"])
        progress = stack.enter_context(
            TrainingProgress(run.folder, config.rounds * config.round_steps, rounds_done * config.round_steps, console)
        )
        stop = stack.enter_context(stop_on_signals())
        saved_s = time.monotonic()
        while rounds_done < config.rounds and not stop:
            rollout = collector.collect(config.rollout_steps)
            critic_only = rounds_done < config.critic_rounds
            figures = learner.learn(rollout, rounds_done / config.rounds, critic_only)
            if config.refresh:
                collector.state = learner.memory_after(rollout)
            rounds_done += 1
            progress.update(rounds_done * config.round_steps, {**figures, **collector.figures()})
            if stop or rounds_done == config.rounds or time.monotonic() - saved_s > config.checkpoint_s:
                _save(config, run, rounds_done, learner, collector, progress.figures)
                saved_s = time.monotonic()
        steps, checkpoint = rounds_done * config.round_steps, run.checkpoints.stored()[-1]
        return TrainResult(run.folder, checkpoint, steps, rounds_done == config.rounds, progress.figures)


class Learner:
    """The policy that is trained, the values of its features, and their optimiser.

    Args:
        config: the training's.
        offered: sensors and actions of the environment.

    Raises:
        ContractError: the policy cannot do with them.
    """

    policy: SequencePolicy

    def __init__(self, config: PpoConfig, offered: Contract) -> None:
        self._config = config
        wanted = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
        self.device = torch.device(wanted)
        self.policy = make_policy(config.policy, offered).to(self.device)
        self.value = nn.Linear(self.policy.feature_size, 1).to(self.device)
        nn.init.orthogonal_(self.value.weight)
        nn.init.zeros_(self.value.bias)
        self._parameters = [*self.policy.parameters(), *self.value.parameters()]
        self._optimizer = torch.optim.Adam(self._parameters, lr=config.learning_rate, eps=1e-5)
        self._generator = np.random.default_rng([config.seed, 2])

    def learn(self, rollout: Rollout, done: float, critic_only: bool = False) -> dict[str, float]:
        """The gradient steps of a round; figures are their means.

        Args:
            done: the share of the training that is over.
            critic_only: learn values alone, and leave the policy as it is.
        """
        config = self._config
        rate = warm_up_then_cosine(config.learning_rate, done, config.warm_up, config.final_rate)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        entropy_weight = config.entropy + (config.final_entropy - config.entropy) * done
        values = rollout.values.numpy()
        advantages, normal = self._advantages(rollout)
        targets = torch.from_numpy(advantages + values)
        self.policy.train()
        updates = []
        rows = rollout.rewards.shape[1]
        for _ in range(config.epochs):
            for part in np.array_split(self._generator.permutation(rows), config.minibatches):
                rows_of_part = torch.from_numpy(part)
                updates.append(self._update(rollout, rows_of_part, normal, targets, entropy_weight, critic_only))
        figures = {name: float(np.mean([update[name] for update in updates])) for name in updates[0]}
        variance = float(np.var(advantages + values))
        figures["explained_variance"] = 1.0 - float(np.var(advantages)) / variance if variance > 0.0 else 0.0
        return {**figures, "learning_rate": rate}

    def _advantages(self, rollout: Rollout) -> tuple[np.ndarray, Tensor]:
        """Advantages [T, N], and what stands for them in the loss."""
        config = self._config
        if config.advantages != "gae":
            found = group_advantages(rollout.rewards, rollout.ended, config.gamma, config.advantages)
            return found.astype(np.float32), torch.from_numpy(found.astype(np.float32))
        found = generalized_advantages(
            rollout.rewards,
            rollout.values.numpy(),
            rollout.ended,
            rollout.beyond,
            rollout.last_values,
            config.gamma,
            config.gae_lambda,
        )
        return found, torch.from_numpy((found - found.mean()) / (found.std() + 1e-8))

    def memory_after(self, rollout: Rollout) -> dict[str, Tensor]:
        """The memory that the policy, as it is now, has after a rollout."""
        self.policy.eval()
        with torch.inference_mode(), self._autocast():
            _, state = self.policy.unroll(*self._inputs(rollout, slice(None)))
        return state

    def _update(
        self,
        rollout: Rollout,
        rows: Tensor,
        advantages: Tensor,
        targets: Tensor,
        entropy_weight: float,
        critic_only: bool,
    ) -> dict[str, float]:
        config = self._config
        with self._autocast():
            output, _ = self.policy(*self._inputs(rollout, rows))
        features = output.features.detach() if critic_only else output.features
        values = self.value(features.float())[..., 0]
        log_probs = output.actions.log_prob(self._part(rollout.actions, rows))
        before, advantages = self._part(rollout.log_probs, rows), self._part(advantages, rows)
        ratio = (log_probs - before).exp()
        clipped = ratio.clamp(1.0 - config.clip, 1.0 + config.clip)
        policy_loss = -torch.minimum(ratio * advantages, clipped * advantages).mean()
        targets, values_before = self._part(targets, rows), self._part(rollout.values, rows)
        errors = (values - targets) ** 2
        if config.value_clip:
            near = values_before + (values - values_before).clamp(-config.value_clip, config.value_clip)
            errors = torch.maximum(errors, (near - targets) ** 2)
        value_loss = 0.5 * errors.mean()
        entropy = output.actions.entropy().mean()
        loss = (config.value_weight if config.advantages == "gae" else 0.0) * value_loss
        if not critic_only:
            loss = loss + policy_loss - entropy_weight * entropy
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._parameters, config.max_grad_norm)
        self._optimizer.step()
        with torch.no_grad():
            divergence = ((ratio - 1.0) - (log_probs - before)).mean()
            outside = ((ratio - 1.0).abs() > config.clip).float().mean()
            figures = torch.stack([loss, policy_loss, value_loss, entropy, divergence, outside, norm]).tolist()
        return dict(zip(_FIGURES, figures, strict=True))

    def _inputs(
        self, rollout: Rollout, rows: Tensor | slice
    ) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor], Tensor]:
        """What `unroll` takes, of these rows."""
        return (
            {name: self._part(each, rows) for name, each in rollout.observations.items()},
            self._part(rollout.previous_actions, rows),
            {name: each[rows].to(self.device) for name, each in rollout.state.items()},
            self._part(rollout.resets, rows),
        )

    def _part(self, values: Tensor, rows: Tensor | slice) -> Tensor:
        return values[:, rows].to(self.device)

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda")

    # -- resuming ------------------------------------------------------------------------------------------------

    def training_state(self) -> TrainingState:
        tensors = {f"value.{name}": each for name, each in self.value.state_dict().items()}
        return TrainingState(
            {**tensors, **optimizer_tensors(self._optimizer)}, {"learner": self._generator.bit_generator.state}
        )

    def restore(self, stored: TrainingState) -> None:
        prefix = "value."
        self.value.load_state_dict(
            {name.removeprefix(prefix): v for name, v in stored.tensors.items() if name.startswith(prefix)}
        )
        load_optimizer_tensors(self._optimizer, stored.tensors)
        self._generator.bit_generator.state = stored.values["learner"]


def _novelty(config: PpoConfig, contract: Contract) -> EpisodicNovelty | None:
    if not config.novelty:
        return None
    sizes = {name: math.prod(sensor.shape) for name, sensor in contract.sensors.items()}
    return EpisodicNovelty(config.num_envs, sizes, config.novelty_neighbours, config.novelty_capacity, seed=config.seed)


_FIGURES = ("loss", "policy_loss", "value_loss", "entropy", "kl", "clipped", "grad_norm")


def _save(
    config: PpoConfig,
    run: Run,
    rounds_done: int,
    learner: Learner,
    collector: Collector,
    figures: dict[str, float],
) -> None:
    """A checkpoint from which `train` goes on as if it had never ended. Raises FileError."""
    parts = [learner.training_state(), collector.training_state()]
    training = TrainingState(
        {**parts[0].tensors, **parts[1].tensors, "torch_rng": torch.get_rng_state()},
        {**parts[0].values, **parts[1].values},
    )
    meta = {
        "round": rounds_done,
        "figures": figures,
        "config": configs.to_dict(config),
        "contract": learner.policy.contract.to_json(),
    }
    run.checkpoints.save(rounds_done * config.round_steps, learner.policy.state_dict(), meta, training)
