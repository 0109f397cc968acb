"""From features to actions: one head for each kind of action space."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policies.contract import DISCRETE, Actions

_LOG_SQRT_2_PI = 0.5 * math.log(2.0 * math.pi)
_NOISE_MARGIN = 1e-6
_STOP_MARGIN = 1e-3
"""Labels come as float32 from ranges in other units."""


class Categorical:
    """One of K named actions; `logits` [..., K]."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.noise_size = logits.shape[-1]

    def choose(self, noise: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        scores = self.logits
        if noise is not None and temperature > 0.0:
            gumbel = -torch.log(-torch.log(noise.clamp(_NOISE_MARGIN, 1.0 - _NOISE_MARGIN)))
            scores = scores / temperature + gumbel
        return scores.argmax(dim=-1, keepdim=True)

    def log_prob(self, actions: Tensor) -> Tensor:
        return F.log_softmax(self.logits, dim=-1).gather(-1, actions).squeeze(-1)

    def entropy(self) -> Tensor:
        log_p = F.log_softmax(self.logits, dim=-1)
        return -(log_p.exp() * log_p).sum(dim=-1)


class Velocities:
    """Stop or not, and if not, a Gaussian over A velocities.

    Stopping is a decision, not a small velocity: a regressed mean would hardly ever fall into the stop region.

    Args:
        stop_logit: [...].
        mean: [..., A], in [-1, 1].
        log_std: [A].
        stop: [A], the action that means stop.
    """

    def __init__(self, stop_logit: Tensor, mean: Tensor, log_std: Tensor, stop: Tensor) -> None:
        self.stop_logit, self.mean, self.log_std, self.stop = stop_logit, mean, log_std, stop
        self.noise_size = 1 + mean.shape[-1]

    def choose(self, noise: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        logit, velocities = self.stop_logit, self.mean
        if noise is not None and temperature > 0.0:
            noise = noise.clamp(_NOISE_MARGIN, 1.0 - _NOISE_MARGIN)
            logit = logit / temperature - torch.logit(noise[..., 0])
            normal = math.sqrt(2.0) * torch.erfinv(2.0 * noise[..., 1:] - 1.0)
            velocities = velocities + self.log_std.exp() * math.sqrt(temperature) * normal
        return torch.where((logit > 0.0).unsqueeze(-1), self.stop, velocities.clamp(-1.0, 1.0))

    def log_prob(self, actions: Tensor) -> Tensor:
        stops = self.is_stop(actions)
        deviation = (actions - self.mean) / self.log_std.exp()
        density = (-0.5 * deviation**2 - self.log_std - _LOG_SQRT_2_PI).sum(dim=-1)
        return torch.where(stops, F.logsigmoid(self.stop_logit), F.logsigmoid(-self.stop_logit) + density)

    def entropy(self) -> Tensor:
        p = torch.sigmoid(self.stop_logit)
        of_choice = F.softplus(self.stop_logit) - p * self.stop_logit
        of_velocity = (self.log_std + 0.5 + _LOG_SQRT_2_PI).sum()
        return of_choice + (1.0 - p) * of_velocity

    def is_stop(self, actions: Tensor) -> Tensor:
        return ((actions - self.stop).abs() < _STOP_MARGIN).all(dim=-1)


class CategoricalHead(nn.Module):
    """Features [..., D] to a `Categorical`."""

    def __init__(self, feature_size: int, actions: Actions) -> None:
        super().__init__()
        self.logits = nn.Linear(feature_size, len(actions.names))
        nn.init.orthogonal_(self.logits.weight, 0.01)  # all actions alike at first

    def forward(self, features: Tensor) -> Categorical:
        return Categorical(self.logits(features))


class VelocityHead(nn.Module):
    """Features [..., D] to `Velocities`."""

    stop: Tensor
    MIN_LOG_STD, MAX_LOG_STD = -3.0, 0.5

    def __init__(self, feature_size: int, actions: Actions) -> None:
        super().__init__()
        self.mean = nn.Linear(feature_size, actions.size)
        self.stop_logit = nn.Linear(feature_size, 1)
        self.log_std = nn.Parameter(torch.full((actions.size,), -0.5))
        self.register_buffer("stop", torch.tensor(actions.stop), persistent=False)
        nn.init.orthogonal_(self.mean.weight, 0.01)
        nn.init.orthogonal_(self.stop_logit.weight, 0.01)
        nn.init.constant_(self.stop_logit.bias, -3.0)  # stopping is rare

    def forward(self, features: Tensor) -> Velocities:
        log_std = self.log_std.clamp(self.MIN_LOG_STD, self.MAX_LOG_STD)
        return Velocities(self.stop_logit(features).squeeze(-1), torch.tanh(self.mean(features)), log_std, self.stop)


def make_head(feature_size: int, actions: Actions) -> nn.Module:
    """The head for these actions."""
    return (CategoricalHead if actions.kind == DISCRETE else VelocityHead)(feature_size, actions)
