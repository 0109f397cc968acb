"""PPO: advantages, what a rollout holds, that it learns, and that a killed run ends with the same weights."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied import config as configs
from embodied.checkpoint import load
from embodied.config import ConfigError
from embodied.environments import EnvConfig, make_env
from embodied.evaluation.memory_tasks import MemoryEvalConfig, evaluate_run, wilson
from embodied.training import train
from embodied.training.advantages import generalized_advantages
from embodied.training.dagger import DaggerConfig
from embodied.training.group_advantages import GROUP, LEAVE_ONE_OUT, group_advantages
from embodied.training.intrinsic import EpisodicNovelty
from embodied.training.ppo import Learner, PpoConfig
from embodied.training.rollout import Collector
from policies.base import without_caches
from policies.config import PolicyConfig
from policies.contract import Contract
from sim.config import SimConfig

_CHILD = """
import sys
from pathlib import Path
from embodied.training import load_config, train
train(load_config(Path(sys.argv[1])))
"""
TINY = PolicyConfig(embedding_size=8, memory_size=16, segment=6, summaries=2, summary_cap=8, heads=2, layers=1)


def tiny(output, memory="gru", **fields):
    settings = {
        "output": str(output),
        "env": EnvConfig("t_maze", 6, options={"corridors": 2, "length": 3}),
        "policy": PolicyConfig(**{**TINY.__dict__, "memory": memory}),
        "steps": 12 * 6 * 8,
        "rollout_steps": 8,
        "epochs": 2,
        "minibatches": 2,
        "checkpoint_s": 0.0,
        "device": "cpu",
        **fields,
    }
    return PpoConfig(**settings)


def collector(config):
    env = make_env(config.env, config.sim)
    learner = Learner(config, Contract.of_env(env))
    made = Collector(env, learner.policy, learner.value, config.seed, config.context_episodes, learner.device)
    return made, learner


# -- advantages ----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), gamma=st.floats(0.5, 1.0), lambda_=st.floats(0.0, 1.0))
def test_advantages_are_the_weighted_sum_of_errors_within_an_episode(seed, gamma, lambda_):
    generator = np.random.default_rng(seed)
    steps, rows = 9, 3
    rewards, values = generator.normal(size=(2, steps, rows))
    ended = generator.random((steps, rows)) < 0.3
    beyond = np.where(ended & (generator.random((steps, rows)) < 0.5), generator.normal(size=(steps, rows)), 0.0)
    last = generator.normal(size=rows)
    found = generalized_advantages(rewards, values, ended, beyond, last, gamma, lambda_)
    for row in range(rows):
        for t in range(steps):
            total, weight, k = 0.0, 1.0, t
            while True:
                following = beyond[k, row] if ended[k, row] else (values[k + 1, row] if k + 1 < steps else last[row])
                total += weight * (rewards[k, row] + gamma * following - values[k, row])
                if ended[k, row] or k + 1 == steps:
                    break
                weight, k = weight * gamma * lambda_, k + 1
            assert found[t, row] == pytest.approx(total, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from([LEAVE_ONE_OUT, GROUP]))
def test_without_a_critic_an_episode_is_judged_by_the_others(seed, kind):
    generator = np.random.default_rng(seed)
    steps, rows, gamma = 12, 3, 0.9
    rewards, ended = generator.normal(size=(steps, rows)), generator.random((steps, rows)) < 0.3
    found = group_advantages(rewards, ended, gamma, kind)
    episodes = []
    for row in range(rows):
        start = 0
        for end in np.flatnonzero(ended[:, row]):
            part = rewards[start : end + 1, row]
            episodes.append((row, start, end, float((part * gamma ** np.arange(len(part))).sum())))
            start = end + 1
    expected = np.zeros((steps, rows))
    for number, (row, start, end, value) in enumerate(episodes):
        if len(episodes) < 2:
            continue
        everyone = [episode[3] for episode in episodes]
        others = [other for place, other in enumerate(everyone) if place != number]
        one = value - np.mean(others)
        expected[start : end + 1, row] = (
            one if kind == LEAVE_ONE_OUT else (value - np.mean(everyone)) / (np.std(everyone) + 1e-8)
        )
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_what_is_new_in_an_episode_pays_more_than_what_is_not():
    novelty = EpisodicNovelty(2, {"state": 2}, neighbours=3, capacity=20)
    begins = np.array([True, True])
    paid = []
    for step in range(15):
        still, moving = [0.5, 0.5], [float(step), -0.3 * step]
        paid.append(novelty.bonus({"state": np.array([still, moving])}, begins))
        begins = np.array([False, False])
    assert paid[0].tolist() == [0.0, 0.0]
    assert np.mean(paid[5:], axis=0)[1] > 5 * np.mean(paid[5:], axis=0)[0]
    after = novelty.bonus({"state": np.array([[0.5, 0.5], [3.0, -0.9]])}, np.array([False, True]))
    assert after[1] == 0.0  # another episode: nothing is known of it


# -- rollouts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["gru", "memo", "fct", "memoryless"])
def test_learning_unrolls_what_acting_did(memory, tmp_path):
    """The likelihoods of a rollout's actions are the same when its sequences are unrolled from the stored memory."""
    made, learner = collector(tiny(tmp_path, memory, rollout_steps=11))
    for _ in range(3):
        rollout = made.collect(11)
        learner.policy.eval()
        with torch.no_grad():
            output, after = learner.policy.unroll(*learner._inputs(rollout, slice(None)))
            log_probs = output.actions.log_prob(rollout.actions)
            values = learner.value(output.features)[..., 0]
        torch.testing.assert_close(log_probs, rollout.log_probs, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(values, rollout.values, atol=1e-4, rtol=1e-4)
        for name, values in without_caches(after).items():
            torch.testing.assert_close(values, made.state[name], atol=1e-4, rtol=1e-4)


def test_a_truncated_step_keeps_what_would_have_followed_and_a_terminated_one_does_not(tmp_path):
    config = tiny(tmp_path, env=EnvConfig("key_to_door", 4, options={"size": 3, "horizon": 4, "trial": 7}))
    made, _ = collector(config)
    rollout = made.collect(20)
    assert rollout.ended.sum(axis=0).tolist() == [2] * 4
    assert ((rollout.beyond != 0.0) == rollout.ended).all()  # these trials are all cut short
    assert torch.equal(rollout.resets[1:], torch.from_numpy(rollout.ended[:-1]))
    maze, _ = collector(tiny(tmp_path))
    rollout = maze.collect(30)
    assert rollout.ended.any()
    assert (rollout.beyond[rollout.ended] == 0.0).mean() > 0.5  # most mazes end by a wrong turn


def test_memory_lasts_over_as_many_episodes_as_it_should(tmp_path):
    made, _ = collector(tiny(tmp_path, context_episodes=3))
    rollout = made.collect(60)
    for row in range(6):
        ends = np.flatnonzero(rollout.ended[:-1, row])
        resets = np.flatnonzero(rollout.resets[1:, row].numpy())
        np.testing.assert_array_equal(resets, ends[2::3])


# -- training ------------------------------------------------------------------------------------------------------


def test_it_learns_to_remember_a_cue(tmp_path):
    config = tiny(
        tmp_path / "run",
        env=EnvConfig("t_maze", 64, options={"length": 2}),
        policy=PolicyConfig(embedding_size=16, memory_size=32),
        steps=40_000,
        rollout_steps=16,
        epochs=4,
        minibatches=4,
        learning_rate=3e-3,
        checkpoint_s=3600.0,
    )
    result = train(config)
    found = evaluate_run(MemoryEvalConfig(run=config.output, episodes=200, temperature=0.0))
    assert found["success"]["mean"] > 0.95, result.figures
    assert found["success"]["low"] < found["success"]["mean"]
    guess = evaluate_run(MemoryEvalConfig(run=config.output, episodes=200, temperature=100.0))
    assert guess["success"]["mean"] < 0.6


def assert_same_weights(one, other):
    first, second = load(one.checkpoint).weights(), load(other.checkpoint).weights()
    assert first.keys() == second.keys()
    for name, values in first.items():
        assert torch.equal(values, second[name]), name


@pytest.mark.parametrize(
    ("memory", "fields"),
    [
        ("gru", {"novelty": 0.1, "advantages": GROUP}),
        ("memo", {"env": EnvConfig("key_to_door", 6, options={"size": 3, "horizon": 5, "trial": 13})}),
    ],
)
def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(memory, fields, tmp_path):
    undisturbed = train(tiny(tmp_path / "straight", memory, **fields))
    config = tiny(tmp_path / "run", memory, **fields)
    path = tmp_path / "config.yaml"
    path.write_text(configs.to_yaml(config))
    process = subprocess.Popen([sys.executable, "-c", _CHILD, str(path)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not list(Path(config.output).glob("checkpoints/step_*")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load(Path(config.output)).steps < config.rounds * config.round_steps
    resumed = train(config)
    assert resumed.completed
    assert_same_weights(undisturbed, resumed)
    assert_same_weights(undisturbed, train(config))  # and is not run again


def test_imitation_in_a_memory_task_then_reinforcement_from_its_weights(tmp_path):
    env = EnvConfig("key_to_door", 8, teacher="explorer", options={"size": 3, "horizon": 6, "trial": 24})
    taught = train(
        DaggerConfig(
            output=str(tmp_path / "dagger"),
            env=env,
            policy=TINY,
            steps=8 * 24 * 4,
            segment_steps=24,
            batch_rows=8,
            overlap=False,
            device="cpu",
        )
    )
    assert taught.completed
    assert 0.0 < taught.figures["accuracy"] <= 1.0
    config = tiny(
        tmp_path / "ppo", env=env, begin_from=str(taught.run), critic_rounds=2, rollout_steps=24, steps=2 * 8 * 24
    )
    after = load(train(config).checkpoint).weights()
    before = load(taught.checkpoint).weights()
    for name, values in before.items():  # two rounds of the critic alone leave the policy as it was
        assert torch.equal(values, after[name]), name


@pytest.mark.sim
def test_it_trains_in_habitat_and_resumes_there(houses, tmp_path):
    fields = {
        "env": EnvConfig(),
        "sim": SimConfig(episodes=str(houses / "episodes" / "pointnav_train.json.gz"), num_envs=1, seed=3),
        "minibatches": 1,
        "policy": PolicyConfig(channels=[4, 4, 4], vision_size=16, embedding_size=4, memory_size=16),
        "context_episodes": 2,
    }
    config = tiny(tmp_path / "run", **fields, steps=3 * 8, keep_checkpoints=3)
    undisturbed = train(config)
    assert undisturbed.figures["entropy"] > 0.0
    weights = load(undisturbed.checkpoint).weights()
    for newer in sorted(Path(config.output).glob("checkpoints/step_*"))[1:]:
        shutil.rmtree(newer)  # as if killed in the second round; simulators take too long to start for more processes
    again = load(train(config).checkpoint).weights()
    for name, values in weights.items():
        assert torch.equal(values, again[name]), name


def _written(config, folder):
    path = folder / "config.yaml"
    path.write_text(configs.to_yaml(config))
    return path


# -- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("env.name=t_mase", "did you mean t_maze"),
        ("minibatches=100", "minibatches must be at most the number of environments, 6"),
        ("gamma=1.5", "gamma must be from 0 to 1"),
        ("env.teacher=guru", "t_maze has no 'guru'"),
    ],
)
def test_wrong_settings_are_named(override, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        configs.load(PpoConfig, _written(tiny(tmp_path / "run"), tmp_path), [override])


def test_a_wrong_option_of_a_task_and_a_run_of_another_kind_are_named(tmp_path):
    with pytest.raises(ValueError, match="no option 'corridor'"):
        train(tiny(tmp_path / "run", env=EnvConfig("t_maze", 6, options={"corridor": 2})))


def test_an_interval_of_a_share_is_no_point():
    low, high = wilson(np.ones(100))
    assert (round(low, 3), high) == (0.963, 1.0)
    low, high = wilson(np.array([0.0, 1.0] * 50))
    assert (round(low, 3), round(high, 3)) == (0.404, 0.596)
