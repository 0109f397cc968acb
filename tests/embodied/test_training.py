"""DAgger on real simulators, at tiny sizes: what it leaves, how it stops, and that a killed run loses nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from embodied.checkpoint import load
from embodied.config import ConfigError
from embodied.training import train
from embodied.training.dagger import DaggerConfig, beta_at, rate_at
from embodied.training.progress import LOG_NAME
from policies.config import PolicyConfig
from sim.config import SimConfig

pytestmark = pytest.mark.sim
ROUNDS, ROUND_STEPS = 12, 16
_CHILD = """
import sys
from pathlib import Path
from embodied.training import load_config, train
result = train(load_config(Path(sys.argv[1])))
print("completed" if result.completed else "stopped", result.steps)
"""


def tiny(houses, output, **fields):
    settings = {
        "output": str(output),
        "steps": ROUNDS * ROUND_STEPS,
        "segment_steps": ROUND_STEPS // 2,
        "updates_per_segment": 2,
        "batch_rows": 3,
        "replay_steps": 5 * ROUND_STEPS,
        "checkpoint_s": 0.0,
        "auxiliary_weight": 0.5,
        "mirror": True,
        "sim": SimConfig(
            task="ext_objectnav", episodes=str(houses / "episodes" / "ext_objectnav_train.json.gz"), num_envs=2, seed=3
        ),
        "policy": PolicyConfig(channels=[4, 4, 4], vision_size=16, embedding_size=4, memory_size=16, hold_steps=3.0),
        **fields,
    }
    return DaggerConfig(**settings)


@pytest.fixture(scope="module")
def straight(houses, tmp_path_factory):
    """An undisturbed run."""
    config = tiny(houses, tmp_path_factory.mktemp("straight") / "run")
    return config, train(config)


def start(config, tmp_path):
    from embodied import config as configs

    path = tmp_path / "config.yaml"
    path.write_text(configs.to_yaml(config))
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_checkpoint(process, output, rounds):
    deadline = time.monotonic() + 240
    while not list(Path(output).glob(f"checkpoints/step_{rounds * ROUND_STEPS:09d}")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_same_weights(one, other):
    first, second = load(one.checkpoint).weights(), load(other.checkpoint).weights()
    assert first.keys() == second.keys()
    for name, values in first.items():
        assert torch.equal(values, second[name]), name


def logged(run):
    return [json.loads(line) for line in (Path(run) / LOG_NAME).read_text().splitlines()]


def test_a_run_leaves_a_policy_a_log_and_no_experience(straight):
    config, result = straight
    assert (result.completed, result.steps) == (True, ROUNDS * ROUND_STEPS)
    assert load(Path(config.output)).steps == result.steps
    lines = logged(config.output)
    assert [line["steps"] for line in lines] == [ROUND_STEPS * (i + 1) for i in range(ROUNDS)]
    assert all(line["loss"] > 0.0 for line in lines[1:])
    assert list((Path(config.output) / "tensorboard").glob("events*"))
    assert not list((Path(config.output) / "replay").glob("*"))


def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(straight, houses, tmp_path):
    _, undisturbed = straight
    config = tiny(houses, tmp_path / "run")
    process = start(config, tmp_path)
    wait_for_checkpoint(process, config.output, 7)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = train(config)
    assert resumed.completed
    assert_same_weights(undisturbed, resumed)
    # What the killed process logged after its last checkpoint is not there twice.
    assert [line["steps"] for line in logged(config.output)] == [ROUND_STEPS * (i + 1) for i in range(ROUNDS)]


def test_a_run_asked_to_end_saves_and_goes_on_later(straight, houses, tmp_path):
    _, undisturbed = straight
    config = tiny(houses, tmp_path / "run", checkpoint_s=3600.0)
    process = start(config, tmp_path)
    while not (Path(config.output) / LOG_NAME).exists() or len(logged(config.output)) < 3:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "stopped" in out.splitlines()[-1]
    steps = load(Path(config.output)).steps
    assert 3 * ROUND_STEPS <= steps < ROUNDS * ROUND_STEPS
    assert_same_weights(undisturbed, train(config))


def test_a_damaged_newest_checkpoint_costs_only_time(straight, houses, tmp_path, capsys):
    _, undisturbed = straight
    config = tiny(houses, tmp_path / "run")
    process = start(config, tmp_path)
    wait_for_checkpoint(process, config.output, 6)
    process.send_signal(signal.SIGKILL)
    process.wait()
    newest = sorted(Path(config.output).glob("checkpoints/step_*"))[-1]
    (newest / "training.safetensors").write_bytes(b"half a fi")
    assert_same_weights(undisturbed, train(config))
    assert f"going on from the one before it, step_{int(newest.name[5:]) - ROUND_STEPS:09d}" in " ".join(
        capsys.readouterr().out.split()
    )


def test_simulating_and_learning_at_once_changes_nothing(straight, houses, tmp_path):
    _, undisturbed = straight
    assert_same_weights(undisturbed, train(tiny(houses, tmp_path / "run", overlap=False)))


def test_a_finished_run_is_not_run_again(straight):
    config, result = straight
    before = os.stat(result.checkpoint / "policy.safetensors").st_mtime_ns
    again = train(config)
    assert (again.completed, again.checkpoint) == (True, result.checkpoint)
    assert os.stat(result.checkpoint / "policy.safetensors").st_mtime_ns == before


def test_other_settings_are_refused_by_name(straight, houses):
    config, _ = straight
    with pytest.raises(ConfigError, match=r"holds a run with learning_rate=0.001, and now it is 0.01"):
        train(tiny(houses, config.output, learning_rate=0.01))


def test_velocity_control_trains_and_plays(houses, tmp_path):
    from embodied.agents.policy import PolicyAgent
    from sim.vector_env import HabitatVectorEnv

    sim = SimConfig(
        task="pointnav",
        control="velocity",
        episodes=str(houses / "episodes" / "pointnav_train.json.gz"),
        num_envs=2,
        order="sequential",
    )
    result = train(tiny(houses, tmp_path / "run", sim=sim, steps=3 * ROUND_STEPS, auxiliary_weight=0.0))
    env = HabitatVectorEnv(sim)
    try:
        agent = PolicyAgent(result.run, env)
        observations, _ = env.reset()
        for _ in range(3):
            actions = agent.act(observations)
            assert actions.shape == (2, 2)
            assert (abs(actions) <= 1.0).all()
            observations, *_ = env.step(actions)
    finally:
        env.close()


def test_the_oracle_hands_over_the_wheel(houses, tmp_path):
    config = tiny(houses, tmp_path, beta_start=1.0, beta_end=0.2, beta_until=0.5)
    assert [round(beta_at(config, done), 3) for done in (0.0, 0.25, 0.5, 1.0)] == [1.0, 0.6, 0.2, 0.2]


def test_the_learning_rate_rises_and_falls(houses, tmp_path):
    config = tiny(houses, tmp_path, learning_rate=1.0, warm_up=0.1, final_rate=0.1)
    rates = [rate_at(config, done) for done in (0.0, 0.05, 0.1, 0.55, 1.0)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 0.55, 0.1])
