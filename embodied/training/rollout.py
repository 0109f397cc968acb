"""Experience of a policy in a vector environment: rollouts of T steps of N environments.

Timeline of one row; E marks a step that ends an episode, c a step at which the memory begins anew::

    observation     o0(c)  o1   o2   o3      o4        ...
    action          a0     a1   a2E  a3      a4
    reset of memory  c              (c)                 with context_episodes=1 at o3, with more only at every k-th

The environment shows the next episode's first observation in the step that ends the one before. Where that was a
truncation, the value of the observation that would have followed is kept for the advantages (`beyond`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from embodied.checkpoint import TrainingState
from embodied.training.intrinsic import EpisodicNovelty
from embodied.training.outcomes import Outcomes
from policies.base import SequencePolicy, State, without_caches
from policies.contract import DISCRETE

_WINDOW = 200


@dataclass
class Rollout:
    """T steps of N environments. Tensors are on the CPU."""

    observations: dict[str, Tensor]
    """name -> [T, N, ...]."""
    previous_actions: Tensor
    """[T, N, width]."""
    resets: Tensor
    """bool [T, N], where memory begins anew."""
    actions: Tensor
    """[T, N, width]."""
    log_probs: Tensor
    """[T, N], of the actions when they were drawn."""
    values: Tensor
    """[T, N]."""
    rewards: np.ndarray
    """float32 [T, N]."""
    ended: np.ndarray
    """bool [T, N]."""
    beyond: np.ndarray
    """float32 [T, N], value of the observation after a truncated step; 0 elsewhere."""
    last_values: np.ndarray
    """float32 [N], of the observations after the last step."""
    state: State
    """The policy's, before the first step; [N, ...]."""


class Collector:
    """Steps the environments with a policy.

    Args:
        env: a vector environment (`embodied.environments`).
        policy: drives. It is the learner's own: nothing is copied.
        value: features to their value, [..., 1].
        seed: of drawn actions.
        context_episodes: after so many episodes of a row its memory begins anew; earlier where the scene changes.
        device: of the policy.
        novelty: gives a reward for what is new in an episode, or None.
        novelty_weight: of that in the rewards learnt from; returns that are reported are without.
    """

    def __init__(
        self,
        env: Any,
        policy: SequencePolicy,
        value: nn.Module,
        seed: int,
        context_episodes: int,
        device: torch.device,
        novelty: EpisodicNovelty | None = None,
        novelty_weight: float = 0.0,
    ) -> None:
        self._env, self._policy, self._value, self._device = env, policy, value, device
        self._context_episodes = context_episodes
        self._novelty, self._novelty_weight = novelty, novelty_weight
        self._actions = policy.contract.actions
        rows = env.num_envs
        self._generator = np.random.default_rng([seed, 1])
        dtype = np.int64 if self._actions.kind == DISCRETE else np.float32
        self._previous = np.zeros((rows, self._actions.width), dtype)
        self._resets = np.ones(rows, bool)
        self._episodes_in_context = np.zeros(rows, np.int64)
        self.state = policy.initial_state(rows)
        self.outcomes = Outcomes(rows)
        self._returns: deque[float] = deque(maxlen=_WINDOW)
        self._return_so_far = np.zeros(rows)
        self._observations, infos = env.reset()
        self._scenes = _scenes(infos, rows)
        self._new(np.ones(rows, bool))

    def collect(self, steps: int) -> Rollout:
        """The next `steps` steps."""
        self._policy.eval()
        self.state = without_caches(self.state)  # the policy may have learnt since
        begin = {name: values.clone() for name, values in self.state.items()}
        names = list(self._policy.contract.sensors)
        kept: dict[str, list[np.ndarray]] = {name: [] for name in names}
        previous, resets, taken, rewards, ended, beyond = [], [], [], [], [], []
        features: list[Tensor] = []
        for _ in range(steps):
            seen = {name: np.asarray(self._observations[name]) for name in names}
            output, self.state = self._step(seen, self._previous, self.state, self._resets, in_place=True)
            noise = self._generator.random((len(self._resets), output.actions.noise_size), dtype=np.float32)
            actions = output.actions.choose(self._to_device(noise)).cpu().numpy()
            features.append(output.features)
            for name in names:
                kept[name].append(seen[name])
            previous.append(self._previous)
            resets.append(self._resets)
            taken.append(actions)
            self._env.step_async(actions[:, 0] if self._actions.kind == DISCRETE else actions)
            self._observations, reward, terminated, truncated, infos = self._env.step_wait()
            self._note(reward, terminated | truncated, infos)
            ended.append(terminated | truncated)
            rewards.append(reward + self._new(ended[-1]))
            beyond.append(self._beyond(truncated, actions, infos))
            self._previous, self._resets = actions, self._forgets(ended[-1], infos)
        with torch.inference_mode():
            seen = {name: np.asarray(self._observations[name]) for name in names}
            last, _ = self._step(seen, self._previous, self.state, self._resets)
            last_values = self._value(last.features.float())[..., 0].cpu().numpy()
            stacked, chosen = torch.stack(features), torch.from_numpy(np.stack(taken))
            log_probs = self._policy.head(stacked).log_prob(chosen.to(self._device)).cpu()
            values = self._value(stacked.float())[..., 0].cpu()
        return Rollout(
            {name: torch.from_numpy(np.stack(each)) for name, each in kept.items()},
            torch.from_numpy(np.stack(previous)),
            torch.from_numpy(np.stack(resets)),
            chosen,
            log_probs.clone(),  # of tensors that inference mode has marked: they must take part in learning
            values.clone(),
            np.stack(rewards).astype(np.float32),
            np.stack(ended),
            np.stack(beyond),
            last_values,
            begin,
        )

    def figures(self) -> dict[str, float]:
        """Success and mean return of the episodes that ended last."""
        figures = self.outcomes.figures()
        if self._returns:
            figures["return"] = float(np.mean(self._returns))
        return figures

    def _new(self, begins: np.ndarray) -> np.ndarray | float:
        """The reward for what is new in the present observations [N]."""
        if self._novelty is None:
            return 0.0
        seen = {name: self._observations[name] for name in self._policy.contract.sensors}
        return self._novelty_weight * self._novelty.bonus(seen, begins)

    def _step(
        self,
        seen: dict[str, np.ndarray],
        previous: np.ndarray,
        state: State,
        resets: np.ndarray,
        in_place: bool = False,
    ) -> tuple[Any, State]:
        observations = {name: self._to_device(values) for name, values in seen.items()}
        return self._policy.step(
            observations, self._to_device(previous), state, self._to_device(resets), in_place=in_place
        )

    def _beyond(self, truncated: np.ndarray, actions: np.ndarray, infos: dict[str, Any]) -> np.ndarray:
        """Values [N] of what truncated episodes would have gone on from."""
        values = np.zeros(len(truncated), np.float32)
        rows = np.flatnonzero(truncated)
        if rows.size:
            final = infos["final_obs"][rows]
            seen = {name: np.stack([each[name] for each in final]) for name in self._policy.contract.sensors}
            index = torch.from_numpy(rows).to(self._device)
            state = {name: each[index] for name, each in self.state.items()}
            output, _ = self._step(seen, actions[rows], state, np.zeros(len(rows), bool))
            with torch.inference_mode():
                values[rows] = self._value(output.features.float())[..., 0].cpu().numpy()
        return values

    def _forgets(self, ended: np.ndarray, infos: dict[str, Any]) -> np.ndarray:
        """Where memory begins anew at the next observation."""
        self._episodes_in_context += ended
        scenes = _scenes(infos, len(ended))
        anew = ended & ((self._episodes_in_context >= self._context_episodes) | (scenes != self._scenes))
        self._episodes_in_context[anew] = 0
        self._scenes = scenes
        return anew

    def _note(self, rewards: np.ndarray, ended: np.ndarray, infos: dict[str, Any]) -> None:
        self.outcomes.update(infos)
        self._return_so_far += rewards
        self._returns.extend(self._return_so_far[ended].tolist())
        self._return_so_far[ended] = 0.0

    def _to_device(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self._device)

    # -- resuming ------------------------------------------------------------------------------------------------

    def training_state(self) -> TrainingState:
        tensors = {f"collector.state.{name}": values for name, values in without_caches(self.state).items()}
        for name in _ARRAYS:
            tensors[f"collector.{name}"] = torch.from_numpy(getattr(self, f"_{name}"))
        if self._novelty is not None:
            for name in _NOVELTY:
                tensors[f"novelty.{name}"] = torch.from_numpy(getattr(self._novelty, name))
        values = {
            "collector": self._generator.bit_generator.state,
            "outcomes": self.outcomes.state(),
            "returns": list(self._returns),
            "env": self._env.state(),
        }
        return TrainingState(tensors, values)

    def restore(self, stored: TrainingState) -> None:
        """Goes on from what `training_state` gave; the environment was made from its `env`."""
        prefix = "collector.state."
        found = {name.removeprefix(prefix): v for name, v in stored.tensors.items() if name.startswith(prefix)}
        self.state = {name: found[name].to(self._device) for name in self.state}
        for name in _ARRAYS:
            setattr(self, f"_{name}", stored.tensors[f"collector.{name}"].numpy())
        if self._novelty is not None:
            for name in _NOVELTY:
                setattr(self._novelty, name, stored.tensors[f"novelty.{name}"].numpy())
        self._generator.bit_generator.state = stored.values["collector"]
        self.outcomes.restore(stored.values["outcomes"])
        self._returns.extend(stored.values["returns"])


_NOVELTY = ("points", "counts", "scale", "seen")
_ARRAYS = ("previous", "resets", "episodes_in_context", "return_so_far")


def _scenes(infos: dict[str, Any], rows: int) -> np.ndarray:
    """What each environment is set in, object [N]; memory tasks have no scenes."""
    episodes = infos.get("episode")
    if episodes is None:
        return np.full(rows, "", object)
    return np.array([episode["scene_id"] for episode in episodes], object)
