"""Training the learned strategies on what a memory is for: the reward of a task."""

from __future__ import annotations

from collections.abc import Callable

import torch

from memory_bank.long_term.query import Query
from memory_bank.long_term.sightings import Sightings, right, score
from memory_bank.long_term.strategies.manager import LearnedManager
from memory_bank.long_term.strategies.ranker import SHOWN, LearnedRanker, ablation_reward, features, sample_ranking
from memory_bank.long_term.volatile import VolatileStore

Tick = Callable[[float], None]
"""Called with the mean reward after each step."""


def train_manager(
    manager: LearnedManager,
    task: Sightings,
    steps: int = 60,
    group: int = 8,
    learning_rate: float = 1e-2,
    seed: int = 0,
    tick: Tick = lambda reward: None,
) -> None:
    """GRPO without clipping: `group` rollouts of one episode, advantage against the group's mean over its deviation,
    one step of Adam; episodes of seeds from `seed` on."""
    optimiser = torch.optim.Adam(manager.network.parameters(), lr=learning_rate)
    manager.explore = torch.Generator().manual_seed(seed)
    try:
        for step in range(steps):
            rewards, logs = [], []
            for _ in range(group):
                manager.chosen = []
                rewards.append(score(manager, task, seed + step))
                logs.append(torch.stack(manager.chosen).sum())
            gained = torch.tensor(rewards)
            if float(gained.std()) > 0:
                advantage = (gained - gained.mean()) / (gained.std() + 1e-6)
                loss = -(advantage * torch.stack(logs)).mean() / task.steps
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            tick(float(gained.mean()))
    finally:
        manager.explore, manager.chosen = None, []


def train_ranker(
    ranker: LearnedRanker,
    task: Sightings,
    steps: int = 60,
    group: int = 8,
    learning_rate: float = 1e-2,
    seed: int = 0,
    tick: Tick = lambda reward: None,
) -> None:
    """As `train_manager`, with rankings drawn for every question of an episode and rewarded by ablation. The outcome
    with n entries shown is 1 / (rank of the first right one) if it is among them: a user who looks one by one."""
    optimiser = torch.optim.Adam(ranker.network.parameters(), lr=learning_rate)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        entries, questions = task.episode(seed + step)
        store = VolatileStore(task.dim)
        for entry in entries:
            ranker.write(store, entry)
        losses, total = [], []
        for question in questions:
            hits = ranker.pool(store, Query(vector=question.vector))
            scores = ranker.network(features(hits)).squeeze(-1)
            rewards, logs = [], []
            for _ in range(group):
                order, log = sample_ranking(scores, generator)
                good = [right(question, hits[place].entry) for place in order]
                gains = [0.0] + [1.0 / (1 + good.index(True)) if True in good[:shown] else 0.0 for shown in SHOWN]
                rewards.append(ablation_reward(gains))
                logs.append(log)
            gained = torch.tensor(rewards)
            total.append(float(gained.mean()))
            if float(gained.std()) > 0:
                losses.append(-((gained - gained.mean()) / (gained.std() + 1e-6) * torch.stack(logs)).mean())
        if losses:
            optimiser.zero_grad()
            (torch.stack(losses).mean() / ranker.candidates).backward()
            optimiser.step()
        tick(sum(total) / max(1, len(total)))
