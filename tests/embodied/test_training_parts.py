"""The parts of training that need no simulator: stored experience, counted goals, logs, the run's folder."""

import json

import numpy as np
import pytest
import torch
from rich.console import Console

from embodied.checkpoint import CheckpointError
from embodied.config import ConfigError
from embodied.training.auxiliary import object_map, seeing_loss
from embodied.training.dagger import DaggerConfig
from embodied.training.outcomes import Outcomes
from embodied.training.progress import LOG_NAME, TrainingProgress
from embodied.training.registry import load_config
from embodied.training.replay import Place, Replay
from embodied.training.run import Run
from policies.config import PolicyConfig
from policies.contract import Actions, Contract, Sensor
from policies.registry import make_policy

STEPS, ROWS = 4, 2


def fill(replay, count):
    """Segment k holds 100 k + 10 t + row at step t, and begins with the state k."""
    for k in range(replay.end, replay.end + count):
        values = 100 * k + 10 * np.arange(STEPS)[:, None] + np.arange(ROWS)
        replay.append({"value": values, "resets": np.zeros((STEPS, ROWS), bool)}, {"h": np.full((ROWS, 1), float(k))})


def test_replay_keeps_the_newest_and_always_learns_from_the_last(tmp_path):
    replay = Replay(tmp_path / "replay", capacity=3)
    fill(replay, 5)
    assert (len(replay), replay.first, replay.end) == (3, 2, 5)
    batch = replay.sample(np.random.default_rng(0), 200)
    assert batch.places[:ROWS] == [Place(4, 0), Place(4, 1)]
    assert set(batch.places) == {Place(k, row) for k in (2, 3, 4) for row in range(ROWS)}
    for place, (k, row, _) in enumerate(batch.places):
        np.testing.assert_array_equal(batch.arrays["value"][:, place], 100 * k + 10 * np.arange(STEPS) + row)
        assert batch.state["h"][place] == k


def test_refreshed_states_go_to_the_segment_after(tmp_path):
    replay = Replay(tmp_path / "replay", capacity=3)
    fill(replay, 3)
    batch = replay.sample(np.random.default_rng(0), 200)
    assert len(set(batch.places)) == 3 * ROWS
    replay.refresh(batch, {"h": np.array([[1000.0 + place.segment] for place in batch.places])})
    states = replay.states()["h"][..., 0]
    assert states[0].tolist() == [0.0, 0.0]
    assert states[1].tolist() == [1000.0, 1000.0]
    assert states[2].tolist() == [1001.0, 1001.0]


def test_mirror_images_have_states_of_their_own_and_pass_them_on(tmp_path):
    replay = Replay(tmp_path / "replay", capacity=3)
    fill(replay, 1)
    for k in (1, 2):
        batch = replay.sample(np.random.default_rng(k), ROWS, mirror=True)  # the newest alone
        assert batch.places == [Place(k - 1, row, True) for row in range(ROWS)]
        replay.refresh(batch, {"h": np.array([[1000.0 * k], [1000.0 * k + 1]])})
        fill(replay, 1)
    states = replay.states()
    assert states["h"][..., 0].tolist() == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
    assert states["mirrored.h"][..., 0].tolist() == [[0.0, 0.0], [1000.0, 1001.0], [2000.0, 2001.0]]
    again = Replay(tmp_path / "replay", capacity=3)
    again.restore(replay.first, replay.end, states)
    for one in (replay, again):  # also what comes next
        fill(one, 1)
        assert one.states()["mirrored.h"][-1, :, 0].tolist() == [2000.0, 2001.0]


def test_mirror_images_are_drawn_as_often_as_what_was_there(tmp_path):
    replay = Replay(tmp_path / "replay", capacity=3)
    fill(replay, 3)
    batch = replay.sample(np.random.default_rng(0), 400, mirror=False)
    assert not batch.mirrored[:ROWS].any()
    assert 0.4 < batch.mirrored[ROWS:].mean() < 0.6
    for number, place in enumerate(batch.places):
        assert batch.state["h"][number] == place.segment


def test_replay_comes_back_from_disk_as_of_a_checkpoint(tmp_path):
    replay = Replay(tmp_path / "replay", capacity=3)
    fill(replay, 4)
    first, end, states = replay.first, replay.end, replay.states()
    fill(replay, 2)  # after the checkpoint
    again = Replay(tmp_path / "replay", capacity=3)
    again.restore(first, end, states)
    assert (again.first, again.end) == (1, 4)
    assert again.sample(np.random.default_rng(1), 9).arrays["value"].tolist() == _sampled(tmp_path, first, end, states)
    assert sorted(path.name for path in (tmp_path / "replay").iterdir())[-1] == "segment_00000003.safetensors"


def _sampled(tmp_path, first, end, states):
    fresh = Replay(tmp_path / "other", capacity=3)
    fill(fresh, end)
    assert (fresh.first, fresh.end) == (first, end)
    np.testing.assert_array_equal(fresh.states()["h"], states["h"])
    return fresh.sample(np.random.default_rng(1), 9).arrays["value"].tolist()


def test_damaged_experience_is_named(tmp_path):
    replay = Replay(tmp_path / "replay", capacity=3)
    fill(replay, 2)
    (tmp_path / "replay" / "segment_00000001.safetensors").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="segment_00000001.safetensors cannot be read .*to start anew"):
        Replay(tmp_path / "replay", 3).restore(0, 2, replay.states())


def infos(rows, metrics):
    """Infos of one step; `rows` maps a row to its final_info."""
    body = {"metrics": {name: np.array(values, float) for name, values in metrics.items()}}
    if rows:
        final = np.empty(2, object)
        for row, info in rows.items():
            final[row] = {"worker_restarted": False, **info}
        body["final_info"] = final
    return body


def test_goals_of_a_stream_are_counted_as_they_end():
    outcomes = Outcomes(2)
    name = "goal_sequence."
    outcomes.update(infos({}, {f"{name}finished": [1, 0], f"{name}successes": [1, 0]}))
    outcomes.update(infos({}, {f"{name}finished": [1, 1], f"{name}successes": [1, 1]}))
    ended = {"metrics": {f"{name}finished": 1.0, f"{name}successes": 2.0}}
    outcomes.update(infos({0: ended}, {f"{name}finished": [0, 0], f"{name}successes": [0, 1]}))
    assert outcomes.figures() == {"goals": 4, "episodes": 1, "worker_restarts": 0, "success": 0.75}
    outcomes.update(infos({}, {f"{name}finished": [1, 0], f"{name}successes": [0, 1]}))
    assert outcomes.figures()["success"] == pytest.approx(3 / 5)


def test_an_episode_that_broke_off_is_counted_and_is_no_failure():
    outcomes = Outcomes(2)
    outcomes.update(infos({0: {"metrics": {"success": 1.0}}}, {"success": [0, 0]}))
    outcomes.update(infos({1: {"metrics": {"success": 0.0}, "worker_restarted": True}}, {"success": [0, 0]}))
    assert outcomes.figures() == {"goals": 1, "episodes": 2, "worker_restarts": 1, "success": 1.0}
    again = Outcomes(2)
    again.restore(json.loads(json.dumps(outcomes.state())))
    assert again.figures() == outcomes.figures()


def test_a_log_file_gets_plain_lines_and_a_resumed_log_no_line_twice(tmp_path):
    with open(tmp_path / "out.txt", "w") as file:
        console = Console(file=file)
        with TrainingProgress(tmp_path, 300, 0, console) as progress:
            for steps in (100, 200, 300):
                progress.update(steps, {"loss": 1.0 / steps, "success": 0.5})
    said = (tmp_path / "out.txt").read_text()
    assert "\x1b" not in said
    assert "train  300/300 steps" in said
    assert "success 50%" in said
    with open(tmp_path / LOG_NAME, "a") as file:
        file.write('{"steps": 400, "lo')  # cut short by a crash
    with TrainingProgress(tmp_path, 300, 200, Console(quiet=True)) as progress:
        progress.update(300, {"loss": 9.0})
    lines = [json.loads(line) for line in (tmp_path / LOG_NAME).read_text().splitlines()]
    assert [line["steps"] for line in lines] == [100, 200, 300]
    assert lines[-1]["loss"] == 9.0


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    run = Run(tmp_path, DaggerConfig(), frozenset(), 2, print)
    with pytest.raises(ConfigError, match="another process is training"):
        Run(tmp_path, DaggerConfig(), frozenset(), 2, print)
    run.close()
    Run(tmp_path, DaggerConfig(), frozenset(), 2, print).close()


def test_what_a_picture_shows_is_read_from_the_detector():
    detections = np.zeros((2, 16, 16, 1), np.int32)
    detections[0, 2:8, 9:14] = 3
    detections[0, 2:4, 8:10] = 1  # less of this one in the same part
    detections[1, 8, 0] = 2  # a single pixel of 64
    expected = np.zeros((2, 2, 2), np.uint8)
    expected[0, 0, 1] = 3
    np.testing.assert_array_equal(object_map({"detections": detections}, (6, 2, 2)), expected)


def test_what_a_picture_shows_can_be_learnt_by_a_policy_that_looks_for_objects():
    torch.manual_seed(0)
    sensors = {"rgb": Sensor((16, 16, 3), "uint8", 0, 255), "objectgoal": Sensor((1,), "int64", 0, 5)}
    policy = make_policy(PolicyConfig(channels=[8, 16, 16]), Contract(sensors, Actions("discrete", ("stop", "go"))))
    shown = torch.randint(0, 7, (3, 4, 2, 2), dtype=torch.uint8)
    pictures = (shown * 40).repeat_interleave(8, 2).repeat_interleave(8, 3).unsqueeze(-1).expand(3, 4, 16, 16, 3)
    observations = {"rgb": pictures, "objectgoal": torch.zeros(3, 4, 1, dtype=torch.int64)}
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    previous, resets = torch.zeros(3, 4, 1, dtype=torch.int64), torch.zeros(3, 4, dtype=torch.bool)
    for _ in range(150):
        output, _ = policy(observations, previous, policy.initial_state(4), resets)
        loss, recall = seeing_loss(output.seen, shown)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert recall > 0.9


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("algorithm=dager", "no algorithm 'dager', choose one of dagger, ppo, vla; did you mean dagger?"),
        ("batch_rows=1", "override batch_rows=1: batch_rows must be at least sim.num_envs"),
        ("beta_end=2", "override beta_end=2: beta_end is a share, 0 to 1, not 2.0"),
        ("auxiliary_weight=0.1", "auxiliary_weight is for object goals, and sim.task is pointnav: set it to 0"),
        ("device=tpu", "override device=tpu: device must be auto, cpu or cuda, not 'tpu'"),
        ("policy.name=resnet", "override policy.name=resnet: policy.name: no policy 'resnet'"),
        ("policy.channels=[1]", "policy.channels must be three widths"),
    ],
)
def test_wrong_training_settings_are_named(override, message):
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override])
    assert message in str(caught.value)
