"""Building a data set: splits, resuming after a kill, nothing to do twice, one clear line when it cannot be done."""

import dataclasses
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.errors import SimulatorError
from sim.houses import HouseDatasetConfig, HouseError, build_dataset

pytestmark = pytest.mark.sim

ROOT = Path(__file__).resolve().parents[2]
FIELDS = {
    **{"train": 2, "val": 1, "test": 1, "train_seed": 40, "max_rooms": 4},
    **{"pointnav": 3, "objectnav": 3, "ext_objectnav": 1, "goals_per_trial": 4},
}
BUILD = """
import json, sys
from sim.houses import HouseDatasetConfig, build_dataset
if __name__ == "__main__":
    build_dataset(HouseDatasetConfig(**json.loads(sys.argv[1])), progress=False)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A data set built without interruption by one worker."""
    root = tmp_path_factory.mktemp("whole")
    build_dataset(HouseDatasetConfig(out=str(root), workers=1, **FIELDS), progress=False)
    return root


def contents(root):
    """All files but navmeshes, whose bytes habitat-sim does not promise."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "navmeshes" not in path.parts
    }


def test_splits_hold_their_own_houses(built):
    scenes = {}
    for task in ("pointnav", "objectnav", "ext_objectnav"):
        for split, seeds in {"train": (40, 41), "val": (100_000,), "test": (200_000,)}.items():
            content = json.loads(gzip.decompress((built / "episodes" / f"{task}_{split}.json.gz").read_bytes()))
            scenes[task, split] = {episode["scene_id"] for episode in content["episodes"]}
            assert scenes[task, split] == {f"scenes/house_{seed:06d}.scene_instance.json" for seed in seeds}
            assert len(content["episodes"]) == len(seeds) * FIELDS[task]
    assert len(list((built / "navmeshes").glob("*.navmesh"))) == 4


def test_fewer_episodes_can_be_kept_to_evaluate_on(built, tmp_path):
    root = tmp_path / "fewer"
    shutil.copytree(built, root)
    build_dataset(HouseDatasetConfig(out=str(root), workers=1, eval_episodes=2, **FIELDS), progress=False)
    for split, count in {"train": 6, "val": 2, "test": 2}.items():
        before, after = (
            json.loads(gzip.decompress((folder / "episodes" / f"pointnav_{split}.json.gz").read_bytes()))["episodes"]
            for folder in (built, root)
        )
        assert after == before[:count]


def test_a_finished_data_set_is_left_alone(built):
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*") if path.is_file()}
    started = time.monotonic()
    build_dataset(HouseDatasetConfig(out=str(built), workers=1, **FIELDS), progress=False)
    assert time.monotonic() - started < 2.0  # no simulator was started
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*") if path.is_file()} == before


def test_a_killed_build_goes_on_and_ends_with_the_same_bytes(built, tmp_path):
    root = tmp_path / "killed"
    fields = {"out": str(root), "workers": 2, **FIELDS}
    process = subprocess.Popen([sys.executable, "-c", BUILD, json.dumps(fields)], cwd=ROOT, start_new_session=True)
    parts = root / "episodes" / "parts"
    deadline = time.monotonic() + 200.0
    while not list(parts.glob("*.json.gz")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((root / "episodes").glob("*.json.gz")), "killed too late to test anything"
    kept = {path: path.stat().st_mtime_ns for path in parts.glob("*.json.gz")}
    assert kept
    build_dataset(HouseDatasetConfig(**fields), progress=False)
    assert contents(root) == contents(built)
    for path, written in kept.items():
        assert path.stat().st_mtime_ns == written, "a finished house was made again"


def test_what_is_missing_or_changed_is_made_again(built, tmp_path):
    config = HouseDatasetConfig(out=str(built), workers=1, **FIELDS)
    whole = contents(built)
    (built / "stages" / "house_000041.glb").unlink()
    (built / "episodes" / "parts" / "house_100000.json.gz").write_bytes(b"cut")
    untouched = (built / "houses" / "house_000040.json").stat().st_mtime_ns
    build_dataset(config, progress=False)
    assert contents(built) == whole
    assert (built / "houses" / "house_000040.json").stat().st_mtime_ns == untouched

    more = dataclasses.replace(config, val=0, test=0, train=1, pointnav=4)
    build_dataset(more, progress=False)
    content = json.loads(gzip.decompress((built / "episodes" / "pointnav_train.json.gz").read_bytes()))
    assert len(content["episodes"]) == 4
    build_dataset(config, progress=False)
    assert contents(built) == whole


def test_a_seed_without_a_house_that_passes_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("sim.houses.house.MAX_ATTEMPTS", 2)
    config = HouseDatasetConfig(
        out=str(tmp_path), train=1, val=0, test=0, workers=1, max_rooms=3, pointnav=2, pointnav_metres=(400.0, 500.0)
    )
    with pytest.raises(
        HouseError, match=r"seed 0: none of 2 drafts passed the checks; the last one: only 0 of 2 pointnav"
    ):
        build_dataset(config, progress=False)


def test_a_missing_simulator_is_one_clear_line(tmp_path):
    config = HouseDatasetConfig(out=str(tmp_path), train=1, val=0, test=0, workers=1, python=str(tmp_path / "nowhere"))
    with pytest.raises(SimulatorError, match="nowhere"):
        build_dataset(config, progress=False)
