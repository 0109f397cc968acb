"""The protocol of a policy that acts in time.

Timeline of one row; r marks the step that begins an episode::

    observation     o0(r)   o1      o2      o3(r)   o4
    previous action  -      a0      a1       -      a3
    action           a0     a1      a2      a3      a4
    state         s -> s0 -> s1  ->  s2 | 0 -> s3 -> s4        (a reset forgets before its observation is seen)

`step` plays this one observation at a time, `unroll` all at once for training; the same history gives the same outputs.

Axes: T steps, N rows (environments or stored sequences, each its own episode).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from policies.contract import Contract

State = dict[str, Tensor]
"""What a policy remembers: tensors [N, ...], a row each. Its size does not grow with the episode.

Entries whose names begin with CACHE are the exception: they follow from the others and the weights, may be left out at
any time (`without_caches`) and grow to their bounds as they are needed.
"""

CACHE = "cache."


def without_caches(state: State) -> State:
    """What has to be kept of a state, to store it, or to go on with other weights: the next step makes the rest anew.

    A policy that has learnt in between should be given no caches: they hold what the old weights made of the past.
    """
    return {name: values for name, values in state.items() if not name.startswith(CACHE)}


class ActionDistribution(Protocol):
    """A policy's choice. Leading axes are those of the outputs ([T, N] or [N])."""

    noise_size: int
    """Uniform random numbers that one choice takes."""

    def choose(self, noise: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """Actions [..., width]: drawn with `noise` (uniform in (0, 1), [..., noise_size]), or the likeliest if None.

        A function of the noise alone, so a caller seeds it as it likes. Temperatures below 1 sharpen the choice.
        """

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-likelihood [...] of actions [..., width]."""

    def entropy(self) -> Tensor:
        """Nats [...]."""


@dataclass
class Output:
    """What `step` ([N, ...]) and `unroll` ([T, N, ...]) return."""

    actions: ActionDistribution
    features: Tensor
    """What the choice was made from, [..., feature_size]: further heads (values, auxiliary losses) build on it."""
    seen: Tensor | None = None
    """Of policies that look for objects: logits [..., 1 + objects, rows, columns] of what each part of the picture
    shows, nothing or an object's category. An auxiliary loss can teach it."""


class SequencePolicy(nn.Module):
    """Base of all policies.

    A subclass sets `contract` (the sensors that it reads, and the actions), `feature_size` and `head` (features to an
    ActionDistribution), perhaps `seen_shape`, and implements `initial_state` and `remember`.
    """

    contract: Contract
    feature_size: int
    head: nn.Module
    seen_shape: tuple[int, int, int] | None = None
    """(objects, rows, columns) of `Output.seen`, of a policy that has it."""

    def initial_state(self, rows: int) -> State:
        """The state of `rows` rows that have seen nothing."""
        raise NotImplementedError

    def remember(
        self, observations: Mapping[str, Tensor], previous_actions: Tensor, state: State, resets: Tensor
    ) -> tuple[Tensor, State, Tensor | None]:
        """Features [T, N, feature_size], the state after the last step, and `Output.seen`; arguments as of `unroll`."""
        raise NotImplementedError

    def remember_step(
        self,
        observations: Mapping[str, Tensor],
        previous_actions: Tensor,
        state: State,
        resets: Tensor,
        in_place: bool,
    ) -> tuple[Tensor, State]:
        """Features [N, feature_size] and the state after one step; arguments as of `step`."""
        now = {name: values.unsqueeze(0) for name, values in observations.items()}
        features, state, _ = self.remember(now, previous_actions.unsqueeze(0), state, resets.unsqueeze(0))
        return features[0], state

    def unroll(
        self, observations: Mapping[str, Tensor], previous_actions: Tensor, state: State, resets: Tensor
    ) -> tuple[Output, State]:
        """T steps of N rows.

        Args:
            observations: name -> [T, N, ...], raw as the sensors give them (uint8 images stay uint8).
            previous_actions: [T, N, width]; int64 indices (discrete) or float32. Ignored where `resets` is set.
            state: before the first step. Gradients may flow into it: detach it where they should end.
            resets: bool [T, N], the steps that begin an episode.

        Returns:
            Outputs [T, N, ...], and the state after the last step.
        """
        features, state, seen = self.remember(observations, previous_actions, state, resets)
        return Output(self.head(features), features, seen), state

    def step(
        self,
        observations: Mapping[str, Tensor],
        previous_actions: Tensor,
        state: State,
        resets: Tensor,
        in_place: bool = False,
    ) -> tuple[Output, State]:
        """One step of N rows: as `unroll`, without the axis T and without gradients.

        With `in_place` the new state may be written into the tensors of `state`, which is then not to be read again:
        what acts has no use for the state before, and copying a long memory costs more than the step.
        """
        with torch.inference_mode():
            features, state = self.remember_step(observations, previous_actions, state, resets, in_place)
            return Output(self.head(features), features), state

    def __call__(self, *arguments: Any) -> tuple[Output, State]:
        """`unroll`, by the way that wrappers (data parallel, compiled) see."""
        return super().__call__(*arguments)

    forward = unroll
