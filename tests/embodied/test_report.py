"""The report: one file, complete, offline; an earlier one survives a full disk."""

from __future__ import annotations

import base64
import json
import os
import re
import resource
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embodied.evaluation import load
from embodied.evaluation.config import EvalConfig
from embodied.evaluation.episodes import EpisodeResult, GoalResult, finite, write_parquet
from embodied.evaluation.evaluate import summarise
from embodied.evaluation.film import FloorMap, write_map, write_video
from embodied.report import ReportConfig, write_report
from embodied.report.build import render
from sim.config import SimConfig

_ODD = 'mine <b>&"'


def episode(agent: str, index: int, goals: int, rate: float) -> EpisodeResult:
    rng = np.random.default_rng([index, goals, int(100 * rate)])
    results = []
    for number in range(goals):
        success = float(rng.random() < rate)
        results.append(GoalResult(f"thing_{number}", success, 0.8 * success, 0.5, 0.3 if success else 4.0, 5.0, 30))
    results[-1].finished = goals == 1
    path = np.stack([np.linspace(1, 6, 50), np.zeros(50), 3 + np.sin(np.linspace(0, 3, 50)), np.zeros(50)], axis=1)
    steps = 30 * goals
    return EpisodeResult(agent, index, str(index), f"house_{index % 3:06d}", results, 2, steps, 1.5, path.tolist(), [1])


def make_evaluation(folder: Path, goals: int) -> Path:
    """A finished evaluation's folder, as `evaluate` leaves it, of two agents in nine episodes; the first is filmed."""
    config = EvalConfig(
        agents=["random", f"{_ODD}=oracle"],
        sim=SimConfig(task="ext_objectnav" if goals > 1 else "objectnav", episodes="somewhere/val.json.gz"),
        output=str(folder),
        bootstrap_samples=200,
    )
    results = {
        "random": [episode("random", index, goals, 0.1) for index in range(9)],
        _ODD: [episode(_ODD, index, goals, 0.8) for index in range(9)],
    }
    results[_ODD][3].error = "simulator worker 7 was ended by SIGKILL"
    navigable = np.zeros((120, 160), bool)
    navigable[20:100, 20:140] = True
    floor = FloorMap(navigable, (0.0, 0.0), 0.05, [{"category": "thing_0", "positions": [[5.0, 0.5, 3.0]]}])
    write_map(folder / "maps" / "0", floor)
    films = []
    for name in ("random", "mine"):
        (folder / "videos").mkdir(exist_ok=True)
        frames = (np.full((64, 128, 3), 20 * k, np.uint8) for k in range(12))
        write_video(folder / "videos" / f"{name}_0.mp4", frames)
    films.append({"agent": "random", "index": 0, "video": "videos/random_0.mp4", "faithful": True})
    films.append({"agent": _ODD, "index": 0, "video": "videos/mine_0.mp4", "faithful": False})
    body = summarise(config, results) | {
        "versions": {"python": "3.13"},
        "commit": "abc",
        "wall_s": 61.0,
        "resumed": False,
        "films": films,
    }
    (folder / "results.json").write_text(json.dumps(finite(body)))
    write_parquet(folder / "episodes.parquet", [result for agent in results.values() for result in agent])
    return folder


@pytest.fixture(scope="module", params=[1, 4], ids=["one goal", "a stream of goals"])
def evaluation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_evaluation(tmp_path_factory.mktemp("evaluation"), request.param)


class Page(HTMLParser):
    """What a page refers to, and its tags' nesting."""

    _VOID = ("meta", "br", "img", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "poster", "data"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in self._VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_is_whole_and_refers_to_nothing_outside(evaluation: Path, tmp_path: Path) -> None:
    log = tmp_path / "train.jsonl"
    log.write_text(
        "".join(json.dumps({"steps": 128 * k, "loss": 1 / (k + 1), "x": 1}) + "\n" for k in range(50)) + '{"st'
    )
    text = write_report(ReportConfig(evaluation=str(evaluation), training=str(tmp_path))).read_text()
    page = Page(text)
    assert page.open == []
    assert all(reference.startswith(("data:", "#")) for reference in page.references)
    # Names of XML formats are no addresses that anything loads.
    assert {url for url in re.findall(r"https?://[^\s\"'<>]+", text) if "www.w3.org/" not in url} == set()
    assert "url(" not in text.replace("url(#", "")
    assert len(page.ids) == len(set(page.ids))
    words = " ".join(page.words)
    assert "Margin over random" in words
    assert "loss" in words
    assert _ODD in words
    assert _ODD not in text
    assert "1 episodes left out: the simulator died in them twice" in words
    assert "the replay strayed" in words
    body, _ = load(evaluation)
    assert ("Along the stream of goals" in words) == (body["agents"]["random"]["goals"] > 9)


def test_numbers_of_the_table_are_those_of_the_results(evaluation: Path) -> None:
    body = json.loads((evaluation / "results.json").read_text())
    text = re.sub(r"\s+", " ", write_report(ReportConfig(evaluation=str(evaluation))).read_text())
    for agent in body["agents"].values():
        success = agent["metrics"]["success"]
        mean, low, high = (f"{100 * success[key]:.1f}" for key in ("mean", "low", "high"))
        assert f'{mean} % <span class="range">{low} to {high}</span>' in text
    margin = body["agents"][_ODD]["margin"]["success"]
    assert f"{100 * margin['mean']:+.1f}<span" in text
    assert ("excludes zero" in text) == (margin["low"] > 0)


def test_videos_are_inside_and_play(evaluation: Path, tmp_path: Path) -> None:
    page = Page(write_report(ReportConfig(evaluation=str(evaluation))).read_text())
    videos = [r for r in page.references if r.startswith("data:video/mp4;base64,")]
    assert len(videos) == 2
    for video, name in zip(videos, ("random_0", "mine_0"), strict=True):
        assert base64.b64decode(video.split(",", 1)[1]) == (evaluation / "videos" / f"{name}.mp4").read_bytes()
    assert sum(r.startswith("data:image/jpeg") for r in page.references) == 2


def _small_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))


_WRITE = (
    "import sys; from embodied.report import ReportConfig, write_report\n"
    "try: write_report(ReportConfig(evaluation=sys.argv[1], output=sys.argv[2]))\n"
    "except OSError as error: print(error); sys.exit(3)"
)


def test_a_file_that_may_not_grow_leaves_the_earlier_report(evaluation: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("the earlier report")
    command = [sys.executable, "-c", _WRITE, str(evaluation), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=_small_files)
    assert done.returncode == 3, done.stderr
    assert re.fullmatch(r"cannot write .*report\.html: File too large\. Free some space .* unchanged\n", done.stdout)
    assert path.read_text() == "the earlier report"
    assert os.listdir(tmp_path) == ["report.html"]


def _may_mount() -> bool:
    try:
        return (
            subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode
            == 0
        )
    except OSError:
        return False


@pytest.mark.skipif(not _may_mount(), reason="may not mount a small disk")
def test_a_full_disk_leaves_the_earlier_report(evaluation: Path, tmp_path: Path) -> None:
    """On a file system of 16 kB."""
    script = (
        'mount -t tmpfs -o size=16k none "$1" && echo earlier > "$1/report.html" && '
        '{ "$2" -c "$3" "$4" "$1/report.html"; echo "status $?"; ls -A "$1"; cat "$1/report.html"; }'
    )
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, _WRITE, str(evaluation)]
    done = subprocess.run(command, capture_output=True, text=True)
    error, *rest = done.stdout.splitlines()
    assert re.fullmatch(
        r"cannot write .*report\.html: No space left on device\. Free some space .* unchanged", error
    ), done
    assert rest == ["status 3", "report.html", "earlier"]


def test_wrong_input_is_named(tmp_path: Path, evaluation: Path) -> None:
    with pytest.raises(ValueError, match=r"no finished evaluation in .*nowhere: results\.json cannot be read"):
        write_report(ReportConfig(evaluation=str(tmp_path / "nowhere")))
    with pytest.raises(ValueError, match=r"cannot read the training log .*train\.jsonl"):
        write_report(ReportConfig(evaluation=str(evaluation), training=str(tmp_path)))
    (tmp_path / "train.jsonl").write_text('{"steps": 1}\noops\n{"steps": 2}\n')
    with pytest.raises(ValueError, match=r"train\.jsonl:2 is no JSON"):
        write_report(ReportConfig(evaluation=str(evaluation), training=str(tmp_path / "train.jsonl")))


def test_a_long_table_is_cut_and_says_so(evaluation: Path) -> None:
    body, episodes = load(evaluation)
    config = ReportConfig(evaluation=str(evaluation), max_table_rows=4)
    text: Any = render(config, body, episodes)
    assert "5 more are in episodes.parquet" in text
    assert text.count('<td class="goals">') == 4
