"""How much better an action was than expected, from rewards and values."""

from __future__ import annotations

import numpy as np


def generalized_advantages(
    rewards: np.ndarray,
    values: np.ndarray,
    ended: np.ndarray,
    beyond: np.ndarray,
    last_values: np.ndarray,
    gamma: float,
    lambda_: float,
) -> np.ndarray:
    """Generalised advantage estimation (Schulman et al., arXiv 1506.02438), [T, N].

    An episode that was cut short (truncated) would have gone on: what its last observation promised, `beyond`, stands
    for the rewards that were not seen. One that ended of itself (terminated) promises nothing. Nothing flows back over
    the border of an episode, whether or not the policy remembers across it.

    Args:
        rewards: [T, N], of the step taken at t.
        values: [T, N], of the observation at t.
        ended: bool [T, N], the step at t was its episode's last.
        beyond: [T, N], where a step was truncated the value of the observation that followed; 0 elsewhere.
        last_values: [N], of the observations after the last step.
        gamma: discount a step.
        lambda_: of the exponential average over lengths of look-ahead.
    """
    advantages = np.empty_like(values)
    following, carried = last_values, np.zeros_like(last_values)
    for t in range(len(rewards) - 1, -1, -1):
        alive = ~ended[t]
        error = rewards[t] + gamma * np.where(alive, following, beyond[t]) - values[t]
        carried = error + gamma * lambda_ * alive * carried
        advantages[t] = carried
        following = values[t]
    return advantages
