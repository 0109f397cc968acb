"""How well a trained policy does in a memory task: success and return with intervals.

Every environment runs the same number of episodes, so that short ones do not count more often than long ones, and
which episodes those are depends on the seed alone: policies are compared on the same ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embodied import config as configs
from embodied.checkpoint import Checkpoint, load, load_weights
from embodied.config import ConfigError
from embodied.environments import EnvConfig, make_env
from embodied.evaluation.statistics import Clusters
from policies.base import SequencePolicy
from policies.config import PolicyConfig
from policies.contract import DISCRETE, Contract
from policies.registry import make_policy
from sim.config import SimConfig

_Z_95 = 1.959964
_RESAMPLINGS = 1000


@dataclass
class MemoryEvalConfig:
    """Evaluation of a trained run in its memory task, or in one that differs."""

    run: str = field(default="runs/ppo", metadata={"help": "a run's folder, or a checkpoint's"})
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "of the task, where they differ from training: options.corridors=10"}
    )
    episodes: int = field(default=1000, metadata={"help": "how many; a trial of Key-to-Door is one"})
    num_envs: int = field(default=100, metadata={"help": "environments side by side"})
    seed: int = field(default=1_000_000, metadata={"help": "of episodes and drawn actions; training's is small"})
    temperature: float = field(default=1.0, metadata={"help": "of drawing actions: 1 as trained, 0 the likeliest"})

    def validate(self) -> None:
        """Raises ValueError, naming the field, where a value cannot be right."""
        for name in ("episodes", "num_envs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.temperature < 0.0:
            raise ValueError(f"temperature must not be negative, and is {self.temperature}")


@dataclass
class Episodes:
    """What was measured: name -> [episodes], in the order of rows and of each row's episodes."""

    metrics: dict[str, np.ndarray]

    def summary(self) -> dict[str, Any]:
        """Mean, median and 95 % interval of each metric; Wilson's for success, a bootstrap's otherwise. JSON."""
        body: dict[str, Any] = {}
        for name, values in self.metrics.items():
            low, high = wilson(values) if name == "success" else _bootstrap(values)
            body[name] = {
                "mean": float(values.mean()),
                "median": float(np.median(values)),
                "low": low,
                "high": high,
                "episodes": len(values),
            }
        return body


def evaluate_run(config: MemoryEvalConfig) -> dict[str, Any]:
    """Plays a run's newest checkpoint. Returns `Episodes.summary`, the task's options and the steps trained for.

    Raises:
        CheckpointError: there is none that can be read.
        ConfigError: it was not trained in a memory task.
        ContractError: the task's observations are others than it was trained on.
    """
    config.validate()
    checkpoint = load(Path(config.run))
    body = checkpoint.meta["config"].get("env")
    if body is None:
        raise ConfigError(f"run: {checkpoint.folder} was not trained in a memory task; `embodied eval` plays Habitat")
    env = configs.from_dict(EnvConfig, body, str(checkpoint.folder))
    if env.is_habitat:
        raise ConfigError(f"run: {checkpoint.folder} was trained in Habitat; `embodied eval` plays that")
    env = replace(env, options={**env.options, **config.options}, teacher="")
    policy = policy_of(checkpoint)
    episodes = play(policy, env, config.episodes, config.num_envs, config.seed, config.temperature)
    return {"task": env.name, "options": env.options, "steps": checkpoint.steps, **episodes.summary()}


def policy_of(checkpoint: Checkpoint) -> SequencePolicy:
    """The policy in a checkpoint, ready to act. Raises CheckpointError."""
    config = configs.from_dict(PolicyConfig, checkpoint.meta["config"]["policy"], str(checkpoint.folder))
    policy = make_policy(config, Contract.from_json(checkpoint.meta["contract"])).eval().requires_grad_(False)
    load_weights(policy, checkpoint)
    return policy


def play(
    policy: SequencePolicy, env: EnvConfig, episodes: int, num_envs: int, seed: int, temperature: float
) -> Episodes:
    """Runs `episodes` episodes of a memory task. Raises ContractError if the policy is of other observations."""
    num_envs = min(num_envs, episodes)
    each = math.ceil(episodes / num_envs)
    vector = make_env(replace(env, num_envs=num_envs, seed=seed), SimConfig())
    policy.contract.require(Contract.of_env(vector))
    generator = np.random.default_rng(seed)
    discrete = policy.contract.actions.kind == DISCRETE
    state, resets = policy.initial_state(num_envs), np.ones(num_envs, bool)
    previous = np.zeros((num_envs, policy.contract.actions.width), np.int64 if discrete else np.float32)
    observations, _ = vector.reset()
    measured: list[list[dict[str, float]]] = [[] for _ in range(num_envs)]
    while min(len(of_row) for of_row in measured) < each:
        seen = {name: torch.from_numpy(observations[name]) for name in policy.contract.sensors}
        output, state = policy.step(seen, torch.from_numpy(previous), state, torch.from_numpy(resets), in_place=True)
        noise = generator.random((num_envs, output.actions.noise_size), dtype=np.float32)
        previous = output.actions.choose(torch.from_numpy(noise), temperature).numpy()
        observations, _, terminated, truncated, infos = vector.step(previous[:, 0] if discrete else previous)
        resets = terminated | truncated
        for row in np.flatnonzero(resets):
            if len(measured[row]) < each:
                measured[row].append(infos["final_info"][row]["metrics"])
    vector.close()
    flat = [metrics for of_row in measured for metrics in of_row][:episodes]
    return Episodes({name: np.array([metrics[name] for metrics in flat]) for name in flat[0]})


def wilson(values: np.ndarray) -> tuple[float, float]:
    """A 95 % interval of a share, from zeros and ones (Wilson, 1927): right also where all are alike."""
    count, mean = len(values), float(values.mean())
    spread = _Z_95**2 / count
    centre = (mean + spread / 2.0) / (1.0 + spread)
    half = math.sqrt(spread * (mean * (1.0 - mean) + spread / 4.0)) / (1.0 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def _bootstrap(values: np.ndarray) -> tuple[float, float]:
    names = [str(index) for index in range(len(values))]
    clusters = Clusters(names, _RESAMPLINGS, 0.95, seed=0)
    found = clusters.estimate({name: [float(value)] for name, value in zip(names, values, strict=True)})
    return found.low, found.high
