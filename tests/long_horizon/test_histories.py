"""Recording a past: what really moved, what is kept, what is refused."""

import dataclasses
import json
import math
import shutil

import pyarrow.parquet as pq
import pytest

from sim.long_horizon.check import CheckError, check_history
from sim.long_horizon.config import ExperienceConfig
from sim.long_horizon.experience import recipe_of, record
from sim.long_horizon.history import DAY_S, PICTURE_PIXELS, History, HistoryError
from sim.worker.long_horizon.body import gripper_at

EXPERIENCE = ExperienceConfig(interactions=(4, 4), days=2, distractors=2, min_frames=60, every=5)


def test_a_replay_of_the_poses_finds_the_recorded_interactions(truth):
    assert check_history(truth.history).interactions == truth.history.interactions
    assert len(truth.history.interactions) == 4


def test_objects_really_move(truth):
    """Seen on its new receptacle at the end, and no longer where it was picked."""
    history = truth.history
    last = {i.object: i for i in history.interactions}
    for key, interaction in last.items():
        assert history.today[interaction.place_frame][key][0] > 0.001 * PICTURE_PIXELS
        assert math.dist(history.position_now(key), history.scene.things[key].position) > 0.3
        assert key in history.visible[interaction.place_frame]
    first = history.interactions[0]
    if first.target_room != first.source_room:
        assert first.object not in history.today[first.pick_frame]


def test_a_held_object_is_in_the_gripper_in_every_frame(truth):
    history = truth.history
    for interaction in history.interactions:
        for frame in range(interaction.pick_frame, interaction.place_frame):
            gripper = gripper_at(*(float(v) for v in history.poses[frame]))
            assert math.dist(history.position_at(interaction.object, frame), gripper) < 0.03
            assert history.held[frame] == interaction.object


def test_the_clock_runs_over_days_and_never_back(truth):
    history = truth.history
    assert (history.clock_s[1:] >= history.clock_s[:-1]).all()
    assert {int(c // DAY_S) for c in history.clock_s} == {0, 1}
    assert {i.day for i in history.interactions} == {0, 1}


def test_pictures_are_kept(truth):
    first, last = truth.history.pictures([0, len(truth.history) - 1])
    assert first[:2] == last[:2] == b"\xff\xd8"
    assert first != last


def test_the_same_seed_records_the_same_and_a_finished_recording_is_kept(worker, houses, folder, tmp_path):
    assert not record(worker, houses, "house_000000", EXPERIENCE, 0, folder)
    again = tmp_path / "again"
    assert record(worker, houses, "house_000000", EXPERIENCE, 0, again)
    for name in ("frames", "moves", "steps", "today"):
        assert pq.read_table(again / f"{name}.parquet").equals(pq.read_table(folder / f"{name}.parquet")), name
    assert (again / "history.json").read_text() == (folder / "history.json").read_text()


def test_the_recipe_depends_on_config_seed_and_house():
    recipes = {
        recipe_of("house_0", EXPERIENCE, 0, b"a"),
        recipe_of("house_0", EXPERIENCE, 1, b"a"),
        recipe_of("house_0", EXPERIENCE, 0, b"b"),
        recipe_of("house_0", dataclasses.replace(EXPERIENCE, every=6), 0, b"a"),
    }
    assert len(recipes) == 4


def test_a_recording_that_says_what_did_not_happen_is_found_out(houses, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    meta = json.loads((copy / "history.json").read_text())
    meta["interactions"][0], meta["interactions"][1] = meta["interactions"][1], meta["interactions"][0]
    (copy / "history.json").write_text(json.dumps(meta))
    with pytest.raises(CheckError, match="other interactions"):
        check_history(History(copy, houses))


@pytest.mark.parametrize("name", ["frames.parquet", "today.parquet", "history.json"])
def test_a_damaged_history_is_one_line_that_names_it(houses, folder, tmp_path, name):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / name).write_bytes((copy / name).read_bytes()[:40])
    with pytest.raises(HistoryError, match=f"{copy}.*record it again") as raised:
        History(copy, houses)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"interactions": (1, 4)}, "interactions"),
        ({"interactions": (5, 4)}, "interactions"),
        ({"days": 0}, "days"),
        ({"days": 5, "interactions": (4, 6)}, "days"),
        ({"every": 0}, "every"),
        ({"distractors": -1}, "distractors"),
    ],
)
def test_impossible_knobs_are_named(fields, named):
    with pytest.raises(ValueError, match=f"experience.{named}"):
        ExperienceConfig(**fields).validate()
