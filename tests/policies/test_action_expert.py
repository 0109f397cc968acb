"""The action expert: what it learns, what guidance does, and that no part of it is dead."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.action_expert import ActionError, ActionExpert, ActionSpec, ExpertConfig, Normalizer
from policies.action_expert.actions import base, end_effector, joints
from policies.action_expert.diffusion import SCHEDULERS

HORIZON, ACTION, COGNITIVE, TOKENS, WIDTH = 4, 3, 12, 16, 8


def tiny(**fields: object) -> ExpertConfig:
    settings = {"size": "custom", "layers": 2, "width": 32, "heads": 2, "horizon": HORIZON, "inference_steps": 10}
    return ExpertConfig(**(settings | fields))  # type: ignore[arg-type]


def expert(streams: dict[str, int] | None = None, **fields: object) -> ActionExpert:
    torch.manual_seed(0)
    return ActionExpert(tiny(**fields), ACTION, COGNITIVE, streams or {"perceptual": WIDTH})


def condition(rows: int, seed: int = 0) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    cognitive = torch.randn(rows, COGNITIVE, generator=generator)
    return cognitive, {"perceptual": torch.randn(rows, TOKENS, WIDTH, generator=generator)}


def shake(module: torch.nn.Module) -> None:
    """Moves every weight, so that what begins at zero takes part."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_it_learns_which_chunk_goes_with_which_condition(scheduler: str) -> None:
    """Two conditions that differ in the cognitive token, two in a perceptual one: four chunks, all drawn again."""
    model = expert(scheduler=scheduler, guidance=1.5)
    cognitive, tokens = condition(1)
    cognitive = cognitive.expand(4, -1).clone()
    perceptual = tokens["perceptual"].expand(4, -1, -1).clone()
    cognitive[2:, 0] += 3.0
    perceptual[1::2, 5, 0] += 6.0
    chunks = 0.8 * torch.tensor([[1, -1, 1], [-1, 1, 1], [1, 1, -1], [-1, -1, -1]]).float()[:, None].expand(-1, 4, -1)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(2)
    mask = torch.ones(32, HORIZON, dtype=torch.bool)
    for _ in range(250):
        rows = torch.arange(32) % 4
        loss = model.loss(chunks[rows], mask, cognitive[rows], {"perceptual": perceptual[rows]}, generator=generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        drawn = model.act(torch.randn(4, HORIZON, ACTION, generator=generator), cognitive, {"perceptual": perceptual})
    assert (drawn - chunks).abs().max() < 0.25


def test_every_query_and_key_learns_and_attention_leaves_the_uniform() -> None:
    model = expert()
    cognitive, tokens = condition(8)
    actions = tokens["perceptual"][:, 3, :ACTION, None].transpose(1, 2).expand(-1, HORIZON, -1).tanh()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        loss = model.loss(actions, torch.ones(8, HORIZON, dtype=torch.bool), cognitive, tokens, generator=generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and "no_token" not in name:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0.0, name
    for block in model.dit.blocks:
        query, key = block.cross_attention.q.weight.grad, block.cross_attention.kv.weight.grad[:32]
        assert query.abs().max() > 0.0
        assert key.abs().max() > 0.0
    with torch.no_grad():
        projected = model.dit.tokens["perceptual"](tokens["perceptual"])
        attention = model.dit.blocks[0].cross_attention
        scores = attention.queries(torch.randn(8, 5, 32, generator=generator)) @ attention.project(projected)[0].mT
        weights = (scores / math.sqrt(16)).softmax(dim=-1)
        entropy = -(weights * weights.log()).sum(dim=-1).mean()
    assert entropy < math.log(TOKENS) - 0.01


@settings(max_examples=20, deadline=None)
@given(
    guide=st.sampled_from(["cognitive", "both"]),
    guidance=st.sampled_from([1.0, 1.5, 3.0]),
    rows=st.integers(1, 4),
    seed=st.integers(0, 100),
)
def test_acting_equals_a_straightforward_implementation(guide: str, guidance: float, rows: int, seed: int) -> None:
    """Keys made anew in every step and two passes for guidance give the same chunk."""
    model = expert(guide=guide, guidance=guidance)
    shake(model)
    cognitive, tokens = condition(rows, seed)
    noise = torch.randn(rows, HORIZON, ACTION, generator=torch.Generator().manual_seed(seed))

    def plain(noisy: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        one = step.view(1, 1)
        given = model.dit.denoise(noisy[:, None], one, model.dit.condition(cognitive, tokens))[:, 0]
        drop = torch.ones(rows, dtype=torch.bool)
        without = model.dit.denoise(noisy[:, None], one, model.dit.condition(cognitive, tokens, drop=drop))[:, 0]
        return without + guidance * (given - without)

    with torch.no_grad():
        fast = model.act(noise, cognitive, tokens)
        slow = model.normalizer.invert(model.process.restore(noise, plain).clamp(-1.0, 1.0))
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)


def test_padding_actions_and_tokens_that_are_not_real_change_nothing() -> None:
    model = expert({"perceptual": WIDTH, "state": 5})
    shake(model)
    cognitive, tokens = condition(2)
    tokens = {**tokens, "state": torch.randn(2, 3, 5)}
    valid = {"state": torch.tensor([[True, False, False]] * 2)}
    actions = torch.rand(2, HORIZON, ACTION)
    mask = torch.tensor([[True, True, False, False]] * 2)

    def loss(actions: torch.Tensor, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        return model.loss(actions, mask, cognitive, tokens, valid, torch.Generator().manual_seed(0))

    before = loss(actions, tokens)
    spoilt, other = actions.clone(), {**tokens, "state": tokens["state"].clone()}
    spoilt[:, 2:] = math.nan
    other["state"][:, 1:] = 100.0
    torch.testing.assert_close(loss(actions, other), before)
    torch.testing.assert_close(loss(spoilt, tokens), before)


def test_an_action_that_is_no_number_and_a_wrong_width_are_refused() -> None:
    model = expert()
    cognitive, tokens = condition(2)
    mask = torch.ones(2, HORIZON, dtype=torch.bool)
    broken = torch.zeros(2, HORIZON, ACTION)
    broken[0, 1, 2] = math.nan
    with pytest.raises(ActionError, match="not finite"):
        model.loss(broken, mask, cognitive, tokens)
    with pytest.raises(ActionError, match=r"chunks are \[4, 3\]"):
        model.loss(torch.zeros(2, HORIZON, 7), mask, cognitive, tokens)


def test_the_same_noise_draws_the_same_chunk_and_other_noise_another() -> None:
    model = expert()
    shake(model)
    cognitive, tokens = condition(1)
    noise = torch.randn(1, HORIZON, ACTION)
    with torch.no_grad():
        first, again = (model.act(noise, cognitive, tokens) for _ in range(2))
        other = model.act(-noise, cognitive, tokens)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@given(
    low=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
    span=st.lists(st.floats(0.01, 5), min_size=3, max_size=3),
    share=st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
def test_normalising_goes_there_and_back(low: list[float], span: list[float], share: list[float]) -> None:
    normalizer = Normalizer(3)
    high = [a + b for a, b in zip(low, span, strict=True)]
    normalizer.fit(low, high)
    values = torch.tensor([a + s * b for a, b, s in zip(low, span, share, strict=True)])
    scaled = normalizer(values)
    assert scaled.abs().max() <= 1.0
    torch.testing.assert_close(normalizer.invert(scaled), values, atol=1e-4, rtol=1e-4)


def test_a_number_that_never_varied_comes_back_as_it_was() -> None:
    normalizer = Normalizer(2)
    normalizer.fit([0.3, -1.0], [0.3, 1.0])
    assert normalizer(torch.tensor([7.0, 0.5])).tolist() == [0.0, 0.5]
    torch.testing.assert_close(normalizer.invert(torch.tensor([0.9, 0.5])), torch.tensor([0.3, 0.5]))
    with pytest.raises(ActionError, match="finite"):
        normalizer.fit([0.0, math.nan], [1.0, 1.0])
    with pytest.raises(ActionError, match="do not fit"):
        normalizer.fit(np.zeros(3), np.ones(3))


@pytest.mark.parametrize(
    "spec", [end_effector(), joints(["a", "b"], [-1.0, 0.0], [1.0, 0.04], gripper=1), base(0.4, 1.0)]
)
def test_a_robot_is_sent_nothing_outside_its_limits(spec: ActionSpec) -> None:
    wild = torch.full((2, spec.size), 100.0)
    wild[1] = -100.0
    sent = spec.finish(wild)
    assert sent[0].tolist() == pytest.approx(list(spec.high))
    assert sent[1].tolist() == pytest.approx(list(spec.low))
    with pytest.raises(ActionError, match="not finite"):
        spec.finish(torch.full((spec.size,), math.inf))
    with pytest.raises(ActionError, match="numbers"):
        spec.finish(torch.zeros(spec.size + 1))
    assert ActionSpec.from_json(spec.to_json()) == spec


def test_a_gripper_is_open_or_closed() -> None:
    sent = end_effector().finish(torch.tensor([0.0, 0, 0, 0, 0, 0, 0.2]))
    assert sent[6] == 1.0
    assert end_effector().finish(torch.tensor([0.0, 0, 0, 0, 0, 0, -0.2]))[6] == -1.0


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"size": "XL"}, "expert.size"),
        ({"width": 30}, "expert.width"),
        ({"scheduler": "euler"}, "expert.scheduler"),
        ({"guide": "all"}, "expert.guide"),
        ({"guidance": 0.5}, "expert.guidance"),
        ({"condition_dropout": 0.0}, "expert.guidance"),
        ({"inference_steps": 200}, "expert.inference_steps"),
    ],
)
def test_a_wrong_setting_is_named(fields: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        tiny(**fields).validate()
