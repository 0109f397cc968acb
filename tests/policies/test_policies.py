"""The policy with every memory of the registry, over sensors and actions that tasks offer: one battery, held by all."""

import numpy as np
import pytest
import torch

from policies.base import without_caches
from policies.config import PolicyConfig
from policies.contract import Actions, Contract, ContractError, Sensor
from policies.memories import MEMORIES
from policies.registry import make_policy

STEPS, ROWS = 24, 4
CAMERAS = {"rgb": Sensor((64, 64, 3), "uint8", 0, 255), "depth": Sensor((64, 64, 1), "float32", 0, 1)}
POSE = {"gps": Sensor((2,), "float32", -3e38, 3e38), "compass": Sensor((1,), "float32", -np.pi, np.pi)}
OBJECT = {"objectgoal": Sensor((1,), "int64", 0, 5)}
POINT = {"pointgoal_with_gps_compass": Sensor((2,), "float32", -3e38, 3e38)}
MAZE = {"position": Sensor((), "int64", -2, 6), "view": Sensor((3,), "float32", -1, 1)}
DISCRETE = Actions("discrete", ("stop", "move_forward", "turn_left", "turn_right"))
VELOCITY = Actions("velocity", size=2, stop=(-1.0, 0.0))
CONTRACTS = {
    "object goal, discrete": Contract({**CAMERAS, **POSE, **OBJECT}, DISCRETE, tuple("abcdef")),
    "object goal, velocity": Contract({**CAMERAS, **POSE, **OBJECT}, VELOCITY, tuple("abcdef")),
    "point goal, discrete": Contract({**CAMERAS, **POSE, **POINT}, DISCRETE),
    "depth alone, without a pose": Contract({"depth": CAMERAS["depth"], **POINT}, VELOCITY),
    "a picture by another name": Contract({"image": CAMERAS["rgb"], "word": Sensor((2,), "int64", 0, 3)}, DISCRETE),
    "vectors alone": Contract(MAZE, DISCRETE),
}
EVERY_MEMORY_IN = ("object goal, velocity", "vectors alone")
CASES = [("gru", contract) for contract in CONTRACTS]
CASES += [(memory, contract) for memory in MEMORIES if memory != "gru" for contract in EVERY_MEMORY_IN]
SMALL = {"channels": [8, 8, 8], "vision_size": 32, "embedding_size": 8, "memory_size": 24}
SHORT = {
    "segment": 4,
    "segment_spread": 0.3,
    "summaries": 2,
    "summary_cap": 6,
    "context": 8,
    "registers": 3,
    "chunk": 3,
    "chunks": 3,
    "top_k": 2,
}  # borders within these histories


def tensors(arrays):
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


@pytest.fixture(params=CASES, ids=[f"{memory}, {contract}" for memory, contract in CASES])
def case(request):
    return request.param


@pytest.fixture
def config(case):
    return PolicyConfig(memory=case[0], **SMALL, **SHORT)


@pytest.fixture
def contract(case):
    return CONTRACTS[case[1]]


@pytest.fixture
def policy(config, contract):
    torch.manual_seed(3)
    made = make_policy(config, contract)
    with torch.no_grad():  # fresh heads hardly say anything: make them speak up
        for name, parameter in made.head.named_parameters():
            if name != "log_std":  # it is clamped, and has no gradient beyond
                parameter.normal_()
    return made


@pytest.fixture
def history(contract):
    """Observations, previous actions and resets [STEPS, ROWS, ...]; rows begin episodes at different steps."""
    generator = np.random.default_rng(7)
    observations = tensors(contract.draw(generator, STEPS, ROWS))
    if contract.actions.kind == "discrete":
        actions = torch.from_numpy(generator.integers(0, 4, (STEPS, ROWS, 1)))
    else:
        actions = torch.from_numpy(generator.uniform(-1, 1, (STEPS, ROWS, 2)).astype(np.float32))
    resets = torch.from_numpy(generator.random((STEPS, ROWS)) < 0.1)
    resets[0] = True
    resets[STEPS // 2, 0] = True
    return observations, actions, resets


def said(output):
    """What an output's distribution is made of, as one tensor."""
    actions = output.actions
    if hasattr(actions, "logits"):
        return actions.logits
    return torch.cat([actions.stop_logit.unsqueeze(-1), actions.mean], dim=-1)


def play(policy, history, rows=slice(None), steps=STEPS):
    observations, actions, resets = history
    state = {name: values[rows] for name, values in policy.initial_state(ROWS).items()}
    outputs = []
    for t in range(steps):
        seen = {name: values[t, rows] for name, values in observations.items()}
        output, state = policy.step(seen, actions[t, rows], state, resets[t, rows])
        outputs.append(said(output))
    return torch.stack(outputs), state


def with_change(observations, step):
    """The same but for one sensor at one step."""
    name = next(name for name in ("depth", "view", "image") if name in observations)
    changed = {each: values.clone() for each, values in observations.items()}
    changed[name][step] = 255 - changed[name][step] if name == "image" else 1.0 - changed[name][step]
    return changed


def test_steps_and_unroll_say_the_same_with_resets_in_the_middle(policy, history):
    observations, actions, resets = history
    assert resets[1:].any(dim=0).sum() >= 2
    stepped, state = play(policy, history)
    output, unrolled_state = policy.unroll(observations, actions, policy.initial_state(ROWS), resets)
    torch.testing.assert_close(said(output).detach(), stepped, atol=1e-5, rtol=1e-5)
    state = without_caches(state)
    assert state.keys() == without_caches(unrolled_state).keys()
    for name in state:
        torch.testing.assert_close(unrolled_state[name].detach(), state[name], atol=1e-5, rtol=1e-5)


def test_an_unroll_cut_in_two_is_the_same_unroll(policy, history):
    observations, actions, resets = history
    whole, _ = policy.unroll(observations, actions, policy.initial_state(ROWS), resets)
    state, parts = policy.initial_state(ROWS), []
    for cut in (slice(0, 10), slice(10, STEPS)):
        seen = {name: values[cut] for name, values in observations.items()}
        output, state = policy.unroll(seen, actions[cut], state, resets[cut])
        parts.append(said(output))
    torch.testing.assert_close(torch.cat(parts), said(whole), atol=1e-5, rtol=1e-5)


def test_a_reset_forgets_all_that_was_before(policy, history):
    observations, actions, resets = history
    begin = STEPS // 2
    whole, _ = play(policy, history)
    seen = {name: values[begin:] for name, values in observations.items()}
    fresh, _ = policy.unroll(seen, actions[begin:] * 0, policy.initial_state(ROWS), resets[begin:])
    # Row 0 begins an episode there; its first step reads no previous action either.
    torch.testing.assert_close(said(fresh)[0, 0].detach(), whole[begin, 0], atol=1e-5, rtol=1e-5)


def test_what_was_seen_before_matters_without_a_reset_to_all_that_remember(policy, history, case):
    observations, actions, resets = history
    resets = resets.clone()
    resets[1:] = False
    changed = with_change(observations, -4)
    before, _ = policy.unroll(observations, actions, policy.initial_state(ROWS), resets)
    after, _ = policy.unroll(changed, actions, policy.initial_state(ROWS), resets)
    assert torch.equal(said(before)[-1], said(after)[-1]) == (case[0] == "memoryless")


def test_rows_do_not_see_each_other(policy, history):
    together, _ = play(policy, history)
    alone, _ = play(policy, history, rows=slice(1, 2))
    torch.testing.assert_close(alone[:, 0], together[:, 1], atol=1e-5, rtol=1e-5)


def test_later_observations_do_not_change_earlier_outputs(policy, history):
    observations, actions, resets = history
    changed = with_change(observations, -1)
    before, _ = policy.unroll(observations, actions, policy.initial_state(ROWS), resets)
    after, _ = policy.unroll(changed, actions, policy.initial_state(ROWS), resets)
    torch.testing.assert_close(said(before)[:-1], said(after)[:-1], atol=1e-6, rtol=1e-6)


def test_the_state_does_not_grow(policy, history):
    states = [without_caches(play(policy, history, steps=steps)[1]) for steps in (1, STEPS)]
    sizes = [{name: values.shape for name, values in state.items()} for state in states]
    assert sizes[0] == sizes[1] == {name: values.shape for name, values in policy.initial_state(ROWS).items()}
    assert all(shape[0] == ROWS for shape in sizes[0].values())


def test_every_parameter_learns(policy, history):
    observations, actions, resets = history
    output, _ = policy(observations, actions, policy.initial_state(ROWS), resets)
    labels = actions.clone()
    if policy.contract.actions.kind == "velocity":
        labels[::3] = torch.tensor(policy.contract.actions.stop)
    output.actions.log_prob(labels).mean().backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_a_strong_picture_does_not_shut_the_memory():
    """Maps that grow with training once drove all gates of the GRU to their ends: it never learnt anything again."""
    contract = CONTRACTS["object goal, discrete"]
    torch.manual_seed(3)
    policy = make_policy(PolicyConfig(**SMALL), contract)
    with torch.no_grad():
        for name, parameter in policy.encoder.vision.named_parameters():
            if "_body" in name:
                parameter.mul_(20.0)
    observations = tensors(contract.draw(np.random.default_rng(7), STEPS, ROWS))
    previous, resets = torch.zeros(STEPS, ROWS, 1, dtype=torch.int64), torch.zeros(STEPS, ROWS, dtype=torch.bool)
    output, _ = policy.unroll(observations, previous, policy.initial_state(ROWS), resets)
    memory = output.features[..., :24]
    assert (memory.abs() > 0.95).float().mean() < 0.2
    assert memory.flatten(0, 1).std(dim=0).mean() > 0.05


def test_choices_are_a_function_of_the_noise(policy, history):
    observations, actions, resets = history
    output, _ = policy.unroll(observations, actions, policy.initial_state(ROWS), resets)
    noise = torch.rand(STEPS, ROWS, output.actions.noise_size, generator=torch.Generator().manual_seed(1))
    first, again = output.actions.choose(noise), output.actions.choose(noise)
    assert torch.equal(first, again)
    assert not torch.equal(first, output.actions.choose(1.0 - noise))
    assert torch.equal(output.actions.choose(noise, temperature=0.0), output.actions.choose())
    assert first.shape == actions.shape


def test_it_reads_only_the_sensors_of_its_contract(config, contract, history):
    more = Contract({**contract.sensors, "oracle_action": Sensor((1,), "int64", 0, 3)}, contract.actions)
    assert "oracle_action" not in make_policy(config, more).contract.sensors


def test_a_step_may_write_into_its_state_only_if_told_so(policy, history):
    observations, actions, resets = history
    kept = policy.initial_state(ROWS)
    running = policy.initial_state(ROWS)
    for t in range(STEPS):
        seen = {name: values[t] for name, values in observations.items()}
        before = {name: values.clone() for name, values in kept.items()}
        output, after = policy.step(seen, actions[t], kept, resets[t])
        assert all(torch.equal(kept[name], before[name]) for name in before)
        fast, running = policy.step(seen, actions[t], running, resets[t], in_place=True)
        torch.testing.assert_close(said(fast), said(output))
        kept = after


BACKBONES = {
    "resnet": {"vision": "resnet"},
    "timm": {"vision": "timm/test_resnet"},
    "frozen timm": {"vision": "timm/test_resnet", "vision_frozen": True},
    "timm, attention": {"vision": "timm/test_vit"},
}


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_backbones_act_as_they_are_trained(name):
    torch.manual_seed(3)
    contract = CONTRACTS["object goal, discrete"]
    policy = make_policy(PolicyConfig(**SMALL, **BACKBONES[name]), contract).train()
    observations = tensors(contract.draw(np.random.default_rng(7), 4, 2))
    actions, resets = torch.zeros(4, 2, 1, dtype=torch.int64), torch.zeros(4, 2, dtype=torch.bool)
    output, _ = policy.unroll(observations, actions, policy.initial_state(2), resets)
    assert output.seen.shape[2:] == (1 + policy.seen_shape[0], *policy.seen_shape[1:])
    state = policy.initial_state(2)
    for t in range(4):
        step, state = policy.step({n: values[t] for n, values in observations.items()}, actions[t], state, resets[t])
        torch.testing.assert_close(step.features, output.features[t].detach(), atol=1e-4, rtol=1e-4)
    (output.features.square().sum() + output.seen.square().sum()).backward()
    body = dict(policy.encoder.vision._body.named_parameters())
    assert all((weights.grad is None) == ("frozen" in name) for weights in body.values())
    learns = [weights for weights in policy.parameters() if weights.requires_grad]
    assert all(weights.grad is not None for weights in learns if weights not in set(policy.head.parameters()))


def test_pictures_of_ids_are_read_when_chosen():
    contract = Contract({**CAMERAS, "semantic": Sensor((64, 64, 1), "int32", 0, 40), **OBJECT}, DISCRETE)
    assert "semantic" not in make_policy(PolicyConfig(**SMALL), contract).contract.sensors
    policy = make_policy(PolicyConfig(**SMALL, sensors=["semantic", "objectgoal"]), contract)
    observations = tensors(policy.contract.draw(np.random.default_rng(7), 2, 1))
    resets = torch.zeros(2, 1, dtype=torch.bool)
    outputs = []
    for shown in (observations["semantic"], observations["semantic"] * 0):
        seen = {**observations, "semantic": shown}
        previous = torch.zeros(2, 1, 1, dtype=torch.int64)
        outputs.append(policy.unroll(seen, previous, policy.initial_state(1), resets)[0].features)
    assert not torch.allclose(*outputs)


def test_an_unknown_backbone_is_named():
    with pytest.raises(ValueError, match=r"policy\.vision: no backbone 'vgg'; choose one of cnn, resnet, timm/NAME"):
        make_policy(PolicyConfig(vision="vgg"), CONTRACTS["object goal, discrete"])
    with pytest.raises(ValueError, match=r"policy\.vision: timm has no model 'resnet1'; did you mean"):
        make_policy(PolicyConfig(vision="timm/resnet1"), CONTRACTS["object goal, discrete"])


def test_a_task_with_nothing_to_see_is_refused():
    for sensors in (OBJECT, {"oracle_action": Sensor((1,), "int64", 0, 3)}):
        with pytest.raises(ContractError, match="nothing to see"):
            make_policy(PolicyConfig(), Contract(sensors, DISCRETE))


def test_sensors_can_be_chosen():
    contract = Contract({**MAZE, "oracle_action": Sensor((1,), "int64", 0, 3)}, DISCRETE)
    assert make_policy(PolicyConfig(), contract).contract.sensors.keys() == MAZE.keys()
    chosen = make_policy(PolicyConfig(sensors=["oracle_action"]), contract)
    assert chosen.contract.sensors.keys() == {"oracle_action"}
    with pytest.raises(ContractError, match=r"policy\.sensors: the task has no sensor views; it has oracle"):
        make_policy(PolicyConfig(sensors=["views"]), contract)


def test_an_unknown_policy_or_memory_is_named():
    with pytest.raises(ValueError, match="no policy 'memory'; choose one of memory_policy"):
        make_policy(PolicyConfig(name="memory"), CONTRACTS["vectors alone"])
    with pytest.raises(ValueError, match="no memory 'lstmm'; choose one of gru, .*; did you mean lstm"):
        make_policy(PolicyConfig(memory="lstmm"), CONTRACTS["vectors alone"])
