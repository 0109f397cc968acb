"""Distributions over actions: what is drawn is what the likelihood says."""

import numpy as np
import torch

from policies.contract import Actions
from policies.heads import Categorical, Velocities, VelocityHead

STOP = torch.tensor([-1.0, 0.0])


def uniform(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_categories_are_drawn_as_often_as_they_are_likely():
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0])
    head = Categorical(logits.expand(40_000, 4))
    for temperature in (1.0, 0.5):
        counts = torch.bincount(head.choose(uniform(40_000, 4), temperature)[:, 0], minlength=4)
        expected = torch.softmax(logits / temperature, dim=-1)
        np.testing.assert_allclose(counts / 40_000, expected, atol=0.01)
    np.testing.assert_allclose(
        head.log_prob(torch.full((40_000, 1), 3))[0], torch.log_softmax(logits, -1)[3], rtol=1e-6
    )


def test_velocities_are_drawn_as_the_likelihood_says():
    n = 40_000
    head = Velocities(torch.full((n,), -1.0), torch.tensor([0.1, -0.2]).expand(n, 2), torch.tensor([-2.0, -1.5]), STOP)
    drawn = head.choose(uniform(n, 3))
    stops = head.is_stop(drawn)
    np.testing.assert_allclose(stops.float().mean(), torch.sigmoid(torch.tensor(-1.0)), atol=0.01)
    moving = drawn[~stops]
    np.testing.assert_allclose(moving.mean(dim=0), [0.1, -0.2], atol=0.01)
    np.testing.assert_allclose(moving.std(dim=0), np.exp([-2.0, -1.5]), rtol=0.03)
    gaussian = torch.distributions.Normal(torch.tensor([0.1, -0.2]), torch.tensor([-2.0, -1.5]).exp())
    expected = torch.where(
        stops,
        torch.nn.functional.logsigmoid(torch.tensor(-1.0)),
        torch.nn.functional.logsigmoid(torch.tensor(1.0)) + gaussian.log_prob(drawn).sum(-1),
    )
    torch.testing.assert_close(head.log_prob(drawn), expected)


def test_the_likeliest_velocity_stops_only_when_stopping_is_likelier_than_not():
    head = Velocities(torch.tensor([2.0, -2.0]), torch.tensor([[0.5, 0.5], [0.5, 0.5]]), torch.zeros(2), STOP)
    assert head.choose().tolist() == [[-1.0, 0.0], [0.5, 0.5]]


def test_entropy_agrees_with_a_draw():
    n = 200_000
    head = Velocities(torch.full((n,), -0.5), torch.zeros(n, 2), torch.tensor([-2.0, -2.5]), STOP)
    sampled = -head.log_prob(head.choose(uniform(n, 3))).mean()
    torch.testing.assert_close(sampled, head.entropy()[0], atol=0.02, rtol=0.0)


def test_a_fresh_velocity_head_hardly_stops():
    head = VelocityHead(16, Actions("velocity", size=2, stop=(-1.0, 0.0)))
    output = head(torch.randn(100, 16, generator=torch.Generator().manual_seed(0)))
    assert not output.is_stop(output.choose()).any()
