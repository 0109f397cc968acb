"""Draws that last for some steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policies.chance import HeldNoise
from policies.heads import Categorical

ROWS, STEPS = 64, 400


def played(hold: float, resets: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """Actions [STEPS, ROWS] of a policy that cannot tell two ways apart: probabilities 0.5, 0.5."""
    generator, noise = np.random.default_rng(seed), HeldNoise(ROWS, hold)
    choice = Categorical(torch.zeros(ROWS, 2))
    actions = []
    for step in range(STEPS):
        at = np.zeros(ROWS, bool) if resets is None else resets[step]
        drawn = noise(generator.random((ROWS, noise.draws(choice.noise_size)), dtype=np.float32), at)
        actions.append(choice.choose(torch.from_numpy(drawn)).numpy()[:, 0])
    return np.stack(actions)


@pytest.mark.parametrize("hold", [1.0, 8.0])
def test_each_action_is_as_likely_as_the_policy_says_however_long_a_draw_lasts(hold):
    assert played(hold).mean() == pytest.approx(0.5, abs=0.03)


def test_a_draw_lasts_for_as_many_steps_as_asked_on_average():
    for hold in (1.0, 2.0, 8.0):
        actions = played(hold)
        changes = (actions[1:] != actions[:-1]).mean()
        assert changes == pytest.approx(0.5 / hold, rel=0.15)  # of two new draws one is another action


def test_an_episode_begins_with_a_draw_of_its_own():
    resets = np.zeros((STEPS, ROWS), bool)
    resets[1::2] = True
    actions = played(1e9, resets)
    assert (actions[1:-1:2] == actions[2::2]).all()
    assert (actions[1::2] != actions[::2]).mean() == pytest.approx(0.5, abs=0.05)


def test_what_changes_the_noise_of_one_row_leaves_the_others():
    noise = HeldNoise(3, 1e9)
    first = noise(np.full((3, 3), 0.25, np.float32), np.ones(3, bool)).copy()
    second = noise(np.full((3, 3), 0.75, np.float32), np.array([False, True, False]))
    assert (second[1] == 0.75).all()
    np.testing.assert_array_equal(second[[0, 2]], first[[0, 2]])
