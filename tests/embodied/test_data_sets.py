"""Data sets on the disk: recorded here and read by lerobot, written by lerobot and read here, crashed and damaged."""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embodied.data import DataConfig, DataError, DemonstrationSet, Recorder, SegmentConfig, SegmentStream, recover
from embodied.data import recorder as recorder_module
from embodied.files import FileError

pytest.importorskip("lerobot", reason="lerobot needs Python 3.12")

import pyarrow as pa
import pyarrow.parquet as pq

SIZE = (32, 48)
STATE, ACTION = ["x", "y", "grip"], ["dx", "dy"]
LENGTHS = (12, 7, 9)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The library's cache of tables goes away with the tests."""
    import datasets

    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("cache")


def picture(episode: int, frame: int, camera: int = 0) -> np.ndarray:
    """A grey slope whose brightness tells the frame, smooth so that compression keeps it."""
    slope = np.linspace(0, 40, SIZE[1])[None, :, None]
    level = 20 + 15 * (frame % 12) + 5 * episode + 10 * camera
    return np.broadcast_to(slope + level, (*SIZE, 3)).clip(0, 255).astype(np.uint8)


def state(episode: int, frame: int) -> np.ndarray:
    return np.array([episode, frame, 0.5], np.float32)


def action(episode: int, frame: int) -> np.ndarray:
    return np.array([frame / 10, -episode], np.float32)


def add(recorder: Recorder, episode: int, frame: int, cameras: tuple[str, ...] = ("front", "wrist")) -> None:
    recorder.add(
        {camera: picture(episode, frame, i) for i, camera in enumerate(cameras)},
        state(episode, frame),
        action(episode, frame),
        f"task {episode % 2}",
    )


def create(root: Path, cameras: tuple[str, ...] = ("front", "wrist"), **settings: Any) -> Recorder:
    return Recorder.create(root, 10, dict.fromkeys(cameras, SIZE), STATE, ACTION, "tester", **settings)


def record(recorder: Recorder, lengths: tuple[int, ...], cameras: tuple[str, ...] = ("front", "wrist")) -> None:
    for length in lengths:
        episode = recorder.episodes
        for frame in range(length):
            add(recorder, episode, frame, cameras)
        recorder.save_episode(success=episode != 1, facts={"seed": 100 + episode, "task": "press"})


def holds(data: DemonstrationSet, lengths: tuple[int, ...]) -> None:
    """Every episode is there, with all that was recorded."""
    assert [data.episodes[i].length for i in range(len(data.episodes))] == list(lengths)
    for episode, length in enumerate(lengths):
        assert np.array_equal(data.states(episode), [state(episode, f) for f in range(length)])
        assert np.array_equal(data.actions(episode), [action(episode, f) for f in range(length)])
        assert data.instructions(episode) == [f"task {episode % 2}"] * length
        assert data.episodes[episode].facts == {"seed": 100 + episode, "task": "press"}
        frames = data.frames(episode, np.arange(length))
        for number, camera in enumerate(data.cameras):
            for frame in range(length):
                off = np.abs(frames[camera][frame].astype(int) - picture(episode, frame, number)).mean()
                assert off < 4.0, f"episode {episode} frame {frame} {camera}"


def lerobot_frames(root: Path) -> list[dict[str, Any]]:
    from lerobot.datasets import LeRobotDataset

    data = LeRobotDataset("local/x", root=root, video_backend="pyav", return_uint8=True)
    return [data[i] for i in range(len(data))]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes in two commits; not to be changed."""
    root = tmp_path_factory.mktemp("sets") / "recorded"
    with create(root) as recorder:
        record(recorder, LENGTHS[:2])
    with Recorder.open(root) as recorder:
        record(recorder, LENGTHS[2:])
    return root


@pytest.fixture
def copy(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "copy"))


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by lerobot alone, with its own codec, another layout of images, and names of its own."""
    from lerobot.datasets import LeRobotDataset

    root = tmp_path_factory.mktemp("sets") / "foreign"
    features = {
        "observation.images.cam_high": {
            "dtype": "video",
            "shape": (3, 64, 64),
            "names": ["channels", "height", "width"],
        },
        "pixels": {"dtype": "image", "shape": (16, 16, 3), "names": ["height", "width", "channels"]},
        "arm": {"dtype": "float64", "shape": (2,), "names": None},
        "gripper": {"dtype": "float32", "shape": (1,), "names": None},
        "command": {"dtype": "float32", "shape": (2,), "names": None},
        "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
    }
    data = LeRobotDataset.create("local/foreign", 30, features, root=root, video_backend="pyav")
    for episode, length in enumerate((6, 5)):
        for frame in range(length):
            data.add_frame(
                {
                    "observation.images.cam_high": np.full((3, 64, 64), 20 * frame + episode, np.uint8),
                    "pixels": np.full((16, 16, 3), 20 * frame + episode, np.uint8),
                    "arm": np.array([frame, episode], np.float64),
                    "gripper": np.array([0.1 * frame], np.float32),
                    "command": np.array([frame, -frame], np.float32),
                    "next.reward": np.array([0.0], np.float32),
                    "task": "first half" if frame < 3 else "second half",
                }
            )
        data.save_episode(parallel_encoding=False)
    data.finalize()
    return root


FOREIGN = {"state": ["arm", "gripper"], "action": ["command"]}


# -- recorded here, written by lerobot ---------------------------------------------------------------------------


def test_a_recorded_set_holds_what_was_added(recorded: Path):
    data = DemonstrationSet.open(recorded)
    assert data.fps == 10
    assert data.cameras == {"front": SIZE, "wrist": SIZE}
    assert (data.state_size, data.action_size) == (3, 2)
    assert [data.episodes[i].success for i in range(3)] == [True, False, True]
    holds(data, LENGTHS)
    assert not (recorded / "recording").exists()


def test_lerobots_own_loader_reads_a_recorded_set_alike(recorded: Path):
    data, items = DemonstrationSet.open(recorded), lerobot_frames(recorded)
    assert len(items) == sum(LENGTHS)
    for item in items:
        episode, frame = int(item["episode_index"]), int(item["frame_index"])
        assert np.array_equal(item["action"], data.actions(episode)[frame])
        assert np.array_equal(item["observation.state"], data.states(episode)[frame])
        assert item["task"] == data.instructions(episode)[frame]
        assert float(item["timestamp"]) == pytest.approx(frame / data.fps)
        for camera in data.cameras:
            theirs = item[f"observation.images.{camera}"].permute(1, 2, 0).numpy()
            assert np.array_equal(theirs, data.frames(episode, [frame])[camera][0])


def test_images_are_stored_without_loss(tmp_path: Path):
    with create(tmp_path / "set", images=True) as recorder:
        record(recorder, (4, 3))
    data = DemonstrationSet.open(tmp_path / "set")
    for episode, length in enumerate((4, 3)):
        for frame in range(length):
            assert np.array_equal(data.frames(episode, [frame])["front"][0], picture(episode, frame))
    assert len(lerobot_frames(tmp_path / "set")) == 7


def test_one_frame_is_an_episode_and_nothing_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    told: list[tuple[int, int]] = []
    with create(tmp_path / "set", progress=lambda done, total: told.append((done, total))) as recorder:
        record(recorder, (1, 2))
    holds(DemonstrationSet.open(tmp_path / "set"), (1, 2))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert capfd.readouterr() == ("", "")


# -- written by lerobot, read here -------------------------------------------------------------------------------


def test_a_set_of_lerobots_own_opens_by_naming_its_columns(foreign: Path):
    data, items = DemonstrationSet(DataConfig(str(foreign), **FOREIGN)), lerobot_frames(foreign)
    assert data.cameras == {"cam_high": (64, 64), "pixels": (16, 16)}
    assert (data.state_size, data.action_size, data.fps) == (3, 2, 30)
    for item in items:
        episode, frame = int(item["episode_index"]), int(item["frame_index"])
        seen = data.frames(episode, [frame])
        theirs = item["observation.images.cam_high"].permute(1, 2, 0).numpy()
        assert np.array_equal(seen["cam_high"][0], theirs)
        assert (seen["pixels"][0] == 20 * frame + episode).all()
        assert np.allclose(data.states(episode)[frame], [frame, episode, 0.1 * frame])
        assert np.array_equal(data.actions(episode)[frame], [frame, -frame])
        assert data.instructions(episode)[frame] == ("first half" if frame < 3 else "second half")
    assert data.episodes[0].instructions == ("first half", "second half")
    assert data.episodes[0].success is None


def test_cameras_can_be_named_and_chosen(foreign: Path):
    data = DemonstrationSet.open(foreign, cameras={"eye": "observation.images.cam_high"}, **FOREIGN)
    assert data.cameras == {"eye": (64, 64)}
    assert list(data.frames(0, [0])) == ["eye"]


def test_a_foreign_set_streams(foreign: Path):
    data = DemonstrationSet.open(foreign, **FOREIGN)
    segment = next(SegmentStream(data, SegmentConfig(rows=2, steps=4, chunk=3), repeat=False))
    assert segment.images["cam_high"].shape == (2, 4, 64, 64, 3)
    for b, t in zip(*np.nonzero(segment.mask), strict=True):
        level = 20 * segment.frames[b, t] + segment.episodes[b, t]
        assert abs(segment.images["cam_high"][b, t].mean() - level) < 4
        assert segment.actions[b, t, 0, 0] == segment.frames[b, t]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no column 'observation.state' for state or action; there are arm, gripper, command"),
        ({**FOREIGN, "cameras": {"eye": "cam"}}, "cameras.eye: no colour images 'cam'; there are observation.images.c"),
        ({**FOREIGN, "action": []}, "action: name one column at least"),
        ({**FOREIGN, "skip": [0, 1]}, "skip leaves out all 2 episodes"),
    ],
)
def test_a_wrong_mapping_is_named(foreign: Path, settings: dict[str, Any], message: str):
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        DemonstrationSet.open(foreign, **settings)


# -- frames ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache_mb", [0, 100])
def test_frames_come_in_any_order(recorded: Path, cache_mb: int):
    whole = DemonstrationSet.open(recorded).frames(0, range(12))["front"]
    data = DemonstrationSet.open(recorded, cache_mb=cache_mb)
    for indices in ([0, 1, 2], [5, 9], [3], [11, 0, 11, 4], [], [2, 3]):
        assert np.array_equal(data.frames(0, indices)["front"], whole[indices])
    with pytest.raises(DataError, match="episode 0 has frames 0 to 11"):
        data.frames(0, [12])
    with pytest.raises(DataError, match="has no episode 3"):
        data.frames(3, [0])


def test_a_walk_through_an_episode_decodes_each_frame_once(recorded: Path, monkeypatch: pytest.MonkeyPatch):
    from embodied.data.reading import VideoReader

    decoded: list[int] = []
    index = VideoReader._index

    def counted(self: VideoReader, frame: Any) -> int:
        decoded.append(index(self, frame))
        return decoded[-1]

    monkeypatch.setattr(VideoReader, "_index", counted)
    data = DemonstrationSet.open(recorded, cache_mb=0, cameras={"front": "observation.images.front"})
    for begin in range(0, 12, 3):
        data.frames(0, [begin, begin + 2])
    assert sorted(f for f in decoded if f >= 0) == list(range(12))
    decoded.clear()
    data = DemonstrationSet.open(recorded, cache_mb=100, cameras={"front": "observation.images.front"})
    for _ in range(3):
        data.frames(0, [4, 7])
    assert sorted(f for f in decoded if f >= 0) == list(range(12))


def test_figures_are_of_the_chosen_episodes(recorded: Path):
    data = DemonstrationSet.open(recorded)
    figures = data.stats([0, 2])
    assert figures["action"].count == LENGTHS[0] + LENGTHS[2]
    assert figures["action"].min.tolist() == [0.0, -2.0]
    assert figures["state"].mean.shape == (3,)


# -- what may not be recorded ------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {
    "images": {"front": picture(0, 0)},
    "state": state(0, 0),
    "action": action(0, 0),
    "instruction": "go",
}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"action": [0.0, np.nan]}, r"action: expected finite numbers, got nan in 'dy' \(dimension 1\)"),
        ({"action": [0.0] * 3}, r"action: expected shape \(2,\), got \(3,\)"),
        ({"state": np.full(3, np.inf)}, "state: expected finite numbers, got inf in 'x'"),
        ({"state": [0.0]}, r"state: expected shape \(3,\), got \(1,\)"),
        ({"images": {"front": np.zeros((32, 32, 3), np.uint8)}}, r"front: expected uint8 \(32, 48, 3\), got .*32, 32"),
        ({"images": {"front": np.zeros((32, 48, 3))}}, "front: expected uint8 .*, got float64"),
        ({"images": {}}, "camera 'front' is missing"),
        ({"images": {"front": picture(0, 0), "back": picture(0, 0)}}, "camera 'back' is unknown: expected front"),
        ({"instruction": " "}, "instruction: expected some text"),
    ],
)
def test_a_wrong_frame_is_refused_and_the_episode_goes_on(single: Recorder, wrong: dict[str, Any], message: str):
    before = single.frames
    with pytest.raises(DataError, match=message) as caught:
        single.add(**{**GOOD, **wrong})
    assert "\n" not in str(caught.value)
    assert single.frames == before
    single.add(**GOOD)
    assert single.frames == before + 1


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    with create(tmp_path_factory.mktemp("single") / "set", ("front",)) as recorder:
        yield recorder


def test_wrong_beginnings_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="fps: expected a whole number"):
        Recorder.create(tmp_path / "a", 0, {"front": SIZE}, STATE, ACTION)
    with pytest.raises(DataError, match=r"cameras.front: video needs an even height and width, got 31 x 48"):
        Recorder.create(tmp_path / "a", 10, {"front": (31, 48)}, STATE, ACTION)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        create(tmp_path / "full")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write .*file/set"):
        create(tmp_path / "file" / "set")
    with pytest.raises(DataError, match="no data set in"):
        Recorder.open(tmp_path / "nowhere")


def test_only_one_recorder_writes(tmp_path: Path):
    with create(tmp_path / "set") as recorder:
        with pytest.raises(DataError, match="another process records"):
            Recorder.open(tmp_path / "set")
        with pytest.raises(DataError, match="no frame"):
            recorder.save_episode()
        add(recorder, 0, 0)
        with pytest.raises(DataError, match="facts: expected JSON values"):
            recorder.save_episode(facts={"x": object()})
        recorder.discard_episode()
    with pytest.raises(DataError, match="is closed"):
        add(recorder, 0, 0)


# -- crashes -----------------------------------------------------------------------------------------------------


def dies(work: Callable[[], None]) -> None:
    """Does `work` in a copy of this process, which must kill itself on the way."""
    child = os.fork()
    if child == 0:
        try:
            # What was garbage in the parent may own threads, which did not come along: freeing it here waits for ever.
            gc.disable()
            work()
        finally:
            os._exit(1)
    deadline = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError("it did not end")
        time.sleep(0.01)
    assert os.WIFSIGNALED(ended[1])
    assert os.WTERMSIG(ended[1]) == signal.SIGKILL


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_recorder_killed_within_an_episode_loses_only_that(tmp_path: Path):
    root = tmp_path / "set"

    def works() -> None:
        recorder = create(root, ("front",))
        record(recorder, (4, 5), ("front",))
        for frame in range(3):
            add(recorder, 2, frame, ("front",))
        os.kill(os.getpid(), signal.SIGKILL)

    dies(works)
    with pytest.raises(DataError, match="its recorder was killed: .* run embodied.data.recover"):
        DemonstrationSet.open(root)
    with Recorder.open(root) as recorder:
        assert recorder.episodes == 2
        assert recorder.frames == 0
        record(recorder, (3,), ("front",))
    holds(DemonstrationSet.open(root), (4, 5, 3))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("where", ["begun", "half", "written", "ended", "taken back"])
def test_a_recorder_killed_within_a_commit_loses_nothing(tmp_path: Path, where: str):
    """Killed before, amid and after what lerobot writes; and, in the last case, once more while it recovers."""
    root = tmp_path / "set"
    with create(root, ("front",)) as recorder:
        record(recorder, (4,), ("front",))

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def commits() -> None:
        recorder = Recorder.open(root)
        record(recorder, (5, 3), ("front",))
        if where == "begun":
            recorder_module._append = die
        elif where in ("half", "taken back"):
            checked: list[int] = []
            recorder_module._check_videos = lambda *_: die() if checked else checked.append(1)
        elif where == "written":
            recorder_module._end = die
        else:
            recorder_module._tidy = die
        recorder.close()

    def recovers() -> None:
        recorder_module._end = die
        recover(root)

    dies(commits)
    if where == "taken back":
        dies(recovers)
    assert recover(root) == 3
    holds(DemonstrationSet.open(root), (4, 5, 3))
    assert len(lerobot_frames(root)) == 12


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], None]]:
    """Sets the size beyond which files cannot grow, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_while_recording_keeps_saved_episodes(tmp_path: Path, small_disk: Callable[[int], None]):
    root = tmp_path / "set"
    with create(root, ("front",)) as recorder:
        record(recorder, (4,), ("front",))
        small_disk(20_000)
        with pytest.raises(FileError, match="Free some space; this episode is dropped, the 1 saved ones are kept"):
            record(recorder, (40,), ("front",))
        small_disk(resource.RLIM_INFINITY)
        record(recorder, (3,), ("front",))
    holds(DemonstrationSet.open(root), (4, 3))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a half-written table is let go of
@pytest.mark.parametrize("size", [500, 3_000, 6_000])
def test_a_full_disk_while_lerobot_writes_loses_nothing(tmp_path: Path, small_disk: Callable[[int], None], size: int):
    root = tmp_path / "set"
    recorder = create(root, ("front",))
    record(recorder, (4, 5), ("front",))
    small_disk(size)
    with pytest.raises(FileError, match="the 2 saved episodes are kept"):
        recorder.commit()
    small_disk(resource.RLIM_INFINITY)
    record(recorder, (3,), ("front",))
    recorder.close()
    holds(DemonstrationSet.open(root), (4, 5, 3))
    assert len(lerobot_frames(root)) == 12


# -- damage ------------------------------------------------------------------------------------------------------


def rewrite(path: Path, change: Callable[[dict[str, list[Any]]], None], **types: pa.DataType) -> None:
    """Changes columns of a Parquet file."""
    table = pq.read_table(path)
    columns = table.to_pydict()
    change(columns)
    arrays = {name: pa.array(values, types.get(name.replace(".", "_"))) for name, values in columns.items()}
    pq.write_table(pa.table(arrays), path)


def refused(root: Path, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        data = DemonstrationSet.open(root)
        for episode, about in data.episodes.items():
            data.frames(episode, range(about.length))
    assert "\n" not in str(caught.value)


def data_file(root: Path, number: int = 0) -> Path:
    return root / f"data/chunk-000/file-{number:03d}.parquet"


def video_file(root: Path, number: int = 0) -> Path:
    return root / f"videos/observation.images.front/chunk-000/file-{number:03d}.mp4"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_video_is_named_and_can_be_left_out(copy: Path, share: float):
    video = video_file(copy)
    video.write_bytes(video.read_bytes()[: int(share * video.stat().st_size)])
    with pytest.raises(DataError, match=rf"episode 0: the video {video} cannot be used: it is cut .* skip=\[0, 1\]"):
        DemonstrationSet.open(copy)
    data = DemonstrationSet.open(copy, skip=[0, 1])
    assert list(data.episodes) == [2]
    assert data.frames(2, range(LENGTHS[2]))["front"].shape == (LENGTHS[2], *SIZE, 3)


def test_a_video_that_is_whole_but_too_short_or_no_video_is_named(copy: Path):
    shutil.copy(video_file(copy, 1), video_file(copy))  # 9 frames where there should be 12 + 7
    refused(copy, r"episode 0: the video .*000.mp4 cannot be used: it ends before frame 9 of 12. .*skip=\[0\]")
    video_file(copy).write_bytes(b"no video at all, whatever its name")
    refused(copy, r"episode 0: the video .*000.mp4 cannot be used: it is no MP4 file. .*skip=\[0, 1\]")


def test_a_video_with_a_damaged_middle_is_named(copy: Path):
    content = bytearray(video_file(copy).read_bytes())
    begin = content.index(b"mdat") + 4
    content[begin:] = bytes(len(content) - begin)
    video_file(copy).write_bytes(content)
    refused(copy, rf"episode 0: the video {video_file(copy)} cannot be used: ")


def test_a_missing_video_is_named(copy: Path):
    video_file(copy, 1).unlink()
    refused(copy, rf"episode 2: the video {video_file(copy, 1)} cannot be used: it is missing. .* skip=\[2\]")


def test_a_missing_or_damaged_table_is_named(copy: Path):
    data_file(copy, 1).unlink()
    refused(copy, rf"{data_file(copy, 1)} is missing. Fetch the file again, or leave out what is in it with skip=\[2\]")
    assert list(DemonstrationSet.open(copy, skip=[2]).episodes) == [0, 1]
    data_file(copy, 1).write_bytes(b"PAR1 no table")
    refused(copy, f"{data_file(copy, 1)} cannot be read")


def test_an_episode_that_its_table_lacks_is_named(copy: Path):
    def remove(columns: dict[str, list[Any]]) -> None:
        keep = [i for i, episode in enumerate(columns["episode_index"]) if episode != 1]
        for name, values in columns.items():
            columns[name] = [values[i] for i in keep]

    rewrite(data_file(copy), remove)
    refused(copy, rf"episode 1 has 0 frames in {data_file(copy)}, and 7 by meta/episodes. .* skip=\[1\]")
    assert list(DemonstrationSet.open(copy, skip=[1]).episodes) == [0, 2]


def test_an_action_that_is_no_number_is_named(copy: Path):
    rewrite(data_file(copy), lambda columns: columns["action"].__setitem__(14, [0.0, float("nan")]))
    refused(copy, rf"episode 1: frame 2 of 'action' in {data_file(copy)} is not finite .* skip=\[1\]")
    assert list(DemonstrationSet.open(copy, skip=[1]).episodes) == [0, 2]


def test_an_action_of_another_width_is_named(copy: Path):
    rewrite(data_file(copy), lambda columns: columns["action"].__setitem__(3, [0.0]))
    refused(copy, rf"episode 0: frame 3 of 'action' in {data_file(copy)} has 1 numbers, and 2 by meta/info.json")


def test_what_is_no_data_set_is_named(copy: Path, tmp_path: Path):
    refused(tmp_path / "nowhere", "there is no LeRobot data set in")
    info = json.loads((copy / "meta/info.json").read_text())
    (copy / "meta/info.json").write_text(json.dumps({**info, "codebase_version": "v2.1"}))
    refused(copy, "in LeRobot's format v2.1, and v3.0 is read: convert it")
    (copy / "meta/info.json").write_text("{")
    refused(copy, "info.json is damaged")
    (copy / "meta/info.json").write_text(json.dumps(info))
    shutil.rmtree(copy / "meta/episodes")
    refused(copy, "holds no Parquet file")
    with create(tmp_path / "empty"):
        pass
    refused(tmp_path / "empty", "holds no episode yet")
