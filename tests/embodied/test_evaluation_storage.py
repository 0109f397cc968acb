"""Results on disk: whole or not at all, also on a full disk and after a kill."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embodied.evaluation.config import EvalConfig, label_of, source_of
from embodied.evaluation.episodes import EpisodeResult, GoalResult, Journal, read_parquet, write_parquet
from embodied.files import FileError, write_atomically


def result(index: int, **fields: object) -> EpisodeResult:
    goals = [GoalResult("chair", 1.0, 0.7, 0.8, 0.3, 4.0, 20), GoalResult("mug", finished=False)]
    path = [[0.0, 0.1, 1.0, 0.5], [0.25, 0.1, 1.0, 0.5]]
    return EpisodeResult("someone", index, f"e{index}", "house_000007", goals, 2, 40, 1.5, path, [1, 0], **fields)  # type: ignore[arg-type]


def same(first: EpisodeResult, second: EpisodeResult) -> bool:
    return json.dumps(first.to_json()) == json.dumps(second.to_json())


@pytest.mark.parametrize("actions", [[1, 3, 0], [[0.5, -1.0], [-1.0, 0.25]]])
def test_parquet_gives_back_what_was_written(tmp_path: Path, actions: list[object]) -> None:
    written = [result(0), result(1, attempts=2, error="a worker died")]
    for episode in written:
        episode.actions = actions
    write_parquet(tmp_path / "episodes.parquet", written)
    read = read_parquet(tmp_path / "episodes.parquet")
    for before, after in zip(written, read, strict=True):
        np.testing.assert_allclose(after.path, before.path, rtol=1e-6)
        after.path = before.path
        assert math.isnan(after.goals[1].distance_to_goal_m)
        assert same(before, after)


def test_a_foreign_file_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "episodes.parquet").write_text("hello")
    with pytest.raises(ValueError, match=r"cannot read the episodes in .*episodes\.parquet"):
        read_parquet(tmp_path / "episodes.parquet")


def test_journal_goes_on_after_a_kill_that_tore_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a.journal.jsonl"
    journal = Journal(path, {"seed": 1}, resume=True)
    journal.add(result(0))
    journal.add(result(3))
    journal.close()
    path.write_bytes(path.read_bytes()[:-20])
    again = Journal(path, {"seed": 1}, resume=True)
    assert list(again.results) == [0]
    assert same(again.results[0], result(0))
    again.add(result(3))
    again.close()
    assert list(Journal(path, {"seed": 1}, resume=True).results) == [0, 3]


def test_journal_of_other_settings_is_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "a.journal.jsonl"
    journal = Journal(path, {"seed": 1}, resume=True)
    journal.add(result(0))
    journal.close()
    assert Journal(path, {"seed": 2}, resume=True).results == {}
    journal = Journal(path, {"seed": 2}, resume=True)
    journal.add(result(0))
    journal.close()
    assert Journal(path, {"seed": 2}, resume=False).results == {}


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    """In a process whose files may not grow beyond 4 kB: the kernel refuses the write as a full disk does."""
    path = tmp_path / "results.json"
    write_atomically(path, "old")
    code = (
        "import sys; from pathlib import Path; from embodied.files import write_atomically\n"
        "try: write_atomically(Path(sys.argv[1]), 'x' * 100_000)\n"
        "except OSError as error: print(error); sys.exit(3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, preexec_fn=_small_files
    )
    assert done.returncode == 3, done.stderr
    assert "results.json" in done.stdout
    assert "Free some space" in done.stdout
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["results.json"]


def _small_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"cannot write .*file/results\.json"):
        write_atomically(tmp_path / "file" / "results.json", "x")


def test_labels_of_agents() -> None:
    assert (label_of("random"), source_of("random")) == ("random", "random")
    assert (label_of("mine=runs/a/last.safetensors"), source_of("mine=runs/a/last.safetensors")) == (
        "mine",
        "runs/a/last.safetensors",
    )
    assert label_of("runs/a/best") == "best"
    with pytest.raises(ValueError, match="has 'random' twice"):
        EvalConfig(agents=["random", "random"]).validate()
    with pytest.raises(ValueError, match="no agent and no checkpoint 'rnadom'"):
        EvalConfig(agents=["rnadom"]).validate()
    with pytest.raises(ValueError, match=r"cluster must be house, trial or auto"):
        EvalConfig(cluster="room").validate()
