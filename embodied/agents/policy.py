"""A trained policy as an agent: a checkpoint, played."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from embodied import config as configs
from embodied.agents.base import AgentEnv, AgentError
from embodied.checkpoint import load, load_weights
from policies.chance import HeldNoise
from policies.config import PolicyConfig
from policies.contract import DISCRETE, Contract, ContractError
from policies.registry import make_policy


class PolicyAgent:
    """Plays the policy of a checkpoint on one CPU core, one recurrent state a row.

    Actions are drawn from random numbers of the episode's seed, at the `temperature` of the checkpoint's config, a draw
    for `hold_steps`; at temperature 0 it does what is likeliest.

    Args:
        path: a checkpoint's folder, or a run's (its newest checkpoint).
        env: the environment it will act in; None: one row of something that holds itself against `contract`, as a
            robot does.
        seed: of drawn actions.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        AgentError: the environment's sensors or actions are not those that the policy was trained on.
    """

    title: ClassVar[str] = "policy"

    def __init__(self, path: Path, env: AgentEnv | None, seed: int = 0) -> None:
        checkpoint = load(path)
        trained = Contract.from_json(checkpoint.meta["contract"])
        config = configs.from_dict(PolicyConfig, checkpoint.meta["config"]["policy"], str(checkpoint.folder))
        try:
            if env is not None:
                trained.require(Contract.of_env(env))
            self._policy = make_policy(config, trained).eval().requires_grad_(False)
        except ContractError as error:
            raise AgentError(f"{checkpoint.folder}: {error}") from error
        load_weights(self._policy, checkpoint)
        # A few rows are too little to share out: torch's threads would only wait for cores that simulators use.
        torch.set_num_threads(1)
        rows = 1 if env is None else env.num_envs
        self._temperature = config.temperature
        self._seed = seed
        self._actions = trained.actions
        self._noise = HeldNoise(rows, config.hold_steps)
        self._generators = [np.random.default_rng([seed, row]) for row in range(rows)]
        self._state = self._policy.initial_state(rows)
        self._resets = np.ones(rows, bool)
        dtype = np.int64 if self._actions.kind == DISCRETE else np.float32
        self._previous = np.zeros((rows, self._actions.width), dtype)

    @property
    def contract(self) -> Contract:
        """What it reads and does."""
        return self._policy.contract

    def seed(self, rows: np.ndarray, seeds: np.ndarray) -> None:
        for row in np.flatnonzero(rows):
            self._generators[row] = np.random.default_rng([self._seed, int(seeds[row])])

    def reset(self, rows: np.ndarray) -> None:
        self._resets |= np.asarray(rows, bool)
        if self._resets.all():  # whatever was remembered, be it no number
            self._state = self._policy.initial_state(len(self._resets))

    def act(self, observations: Mapping[str, Any]) -> np.ndarray:
        seen = {name: torch.from_numpy(np.asarray(observations[name])) for name in self._policy.contract.sensors}
        output, self._state = self._policy.step(
            seen, torch.from_numpy(self._previous), self._state, torch.from_numpy(self._resets), in_place=True
        )
        draws = self._noise.draws(output.actions.noise_size)
        drawn = np.stack([rng.random(draws, dtype=np.float32) for rng in self._generators])
        noise = self._noise(drawn, self._resets)
        self._previous = output.actions.choose(torch.from_numpy(noise), self._temperature).numpy()
        self._resets = np.zeros_like(self._resets)
        return self._previous[:, 0] if self._actions.kind == DISCRETE else self._previous
