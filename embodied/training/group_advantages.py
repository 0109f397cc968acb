"""Advantages without a critic: an episode is judged by how others of its kind went.

- leave-one-out (RLOO; Kool et al., 2019; LOOP, arXiv 2502.01600): the return less the mean of the other episodes'.
- group (GRPO, arXiv 2402.03300): the return less the group's mean, over the group's standard deviation.

The group are the episodes that ended in the rollout. Every step of an episode has its episode's advantage, and steps
of episodes that have not ended yet have none: choose `rollout_steps` several episodes long. An episode's return is
discounted to the episode's part that lies in the rollout.
"""

from __future__ import annotations

import numpy as np

LEAVE_ONE_OUT, GROUP = "leave_one_out", "group"


def group_advantages(rewards: np.ndarray, ended: np.ndarray, gamma: float, kind: str) -> np.ndarray:
    """Advantages [T, N].

    Args:
        rewards: [T, N], of the step taken at t.
        ended: bool [T, N], the step at t was its episode's last.
        gamma: discount a step.
        kind: LEAVE_ONE_OUT or GROUP.
    """
    steps, rows = rewards.shape
    # Which episode each step is of: counted along each row; those after a row's last end are not finished.
    number = np.concatenate([np.zeros((1, rows), np.int64), np.cumsum(ended[:-1], axis=0)])
    finished = number < ended.sum(axis=0)
    returns = np.zeros((steps, rows))
    carried = np.zeros(rows)
    for t in range(steps - 1, -1, -1):
        carried = rewards[t] + gamma * carried * ~ended[t]
        returns[t] = carried
    begins = np.concatenate([np.ones((1, rows), bool), ended[:-1]]) & finished
    group = returns[begins]
    if len(group) < 2:
        return np.zeros((steps, rows))
    # Each step's episode's return: that of the last beginning before it.
    first = np.maximum.accumulate(np.where(begins, np.arange(steps)[:, None], 0), axis=0)
    of_episode = returns[first, np.arange(rows)]
    if kind == LEAVE_ONE_OUT:
        advantages = (of_episode - group.mean()) * len(group) / (len(group) - 1)
    else:
        advantages = (of_episode - group.mean()) / (group.std() + 1e-8)
    return np.where(finished, advantages, 0.0)
