"""Writes demonstrations as a LeRobot data set (v3), so that a crash costs the running episode at most.

LeRobot's writer keeps files open and unfinished until it is closed: a process that dies before has lost them. So an
episode is first stored here, whole, and given to that writer together with others::

    add          -> ROOT/recording/draft/            frames as they come
    save_episode -> ROOT/recording/episode_000012/   in one rename: from here on it survives
    commit       -> ROOT/recording/undo/             how the data set was before
                    ROOT/data, videos, meta          written by lerobot, in new files
                    undo is removed                  in one rename: from here on they are part of the data set

Opening a data set after a crash removes the draft, takes an unfinished commit back, and commits again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from embodied.data.errors import DataError
from embodied.data.library import lerobot_datasets, quiet_libraries
from embodied.files import FileError, replacing_folder, sync, write_atomically

STATE_KEY, ACTION_KEY, IMAGE_PREFIX = "observation.state", "action", "observation.images."
INFO = "meta/info.json"
FACTS = "meta/engram_episodes.jsonl"
"""What is known of each episode beyond LeRobot's columns, one JSON object a line, in order."""
RECORDING = "recording"
_REWRITTEN = (INFO, "meta/stats.json", "meta/tasks.parquet", FACTS)
"""Files that a commit changes; all others it only adds."""
_AUTOMATIC = ("timestamp", "frame_index", "episode_index", "index", "task_index")


@dataclass
class VideoConfig:
    """How cameras are compressed."""

    codec: str = field(
        default="h264",
        metadata={"help": "h264, hevc, libsvtav1 (smallest), or another that lerobot knows"},
    )
    crf: int = field(default=20, metadata={"help": "loss: 0 is none, 20 hardly visible, 30 small files"})
    key_every: int = field(
        default=2, metadata={"help": "frames from one key frame to the next: few for random access, many for size"}
    )


Progress = Callable[[int, int], None]
"""Told, while lerobot writes: frames that it has, frames in all."""


def recover(root: Path | str, progress: Progress | None = None) -> int:
    """Finishes what a killed recorder left in `root`; how many episodes the data set has then. Raises as `open`."""
    with Recorder.open(root, progress=progress) as recorder:
        return recorder.episodes


class Recorder:
    """Records episodes into a data set folder; `create` or `open` one. One process a folder.

    Use it in a `with` block, or `close` it: only then are all episodes in LeRobot's files.
    """

    def __init__(self, root: Path, commit_mb: float, progress: Progress | None) -> None:
        self._root, self._spool, self._commit_mb, self._progress = root, root / RECORDING, commit_mb, progress
        self._draft: _Draft | None = None
        self._lock = _lock(root, self._spool)
        try:
            if (self._spool / "undo").exists():
                _take_back(root)
            self._layout = _Layout.read(root)
            _tidy(self._spool, self._layout.committed)
        except BaseException:
            self._lock.close()
            raise
        self._pending = sorted(self._spool.glob("episode_*"))

    @classmethod
    def create(
        cls,
        root: Path | str,
        fps: int,
        cameras: Mapping[str, tuple[int, int]],
        state_names: Sequence[str],
        action_names: Sequence[str],
        robot: str = "",
        *,
        video: VideoConfig | None = None,
        images: bool = False,
        commit_mb: float = 128.0,
        progress: Progress | None = None,
    ) -> Recorder:
        """Begins a new data set.

        Args:
            root: its folder, which must not exist or be empty.
            fps: frames a second, a whole number.
            cameras: name -> (height, width), pixels.
            state_names, action_names: of the dimensions.
            robot: what it was recorded with.
            video: compression; None: the defaults.
            images: store lossless images in the Parquet files instead of videos: exact, but many times larger.
            commit_mb: frames (raw size) that are gathered before lerobot writes them, which then takes a while. Fewer,
                larger files with more.
            progress: see `Progress`.

        Raises:
            DataError: the folder is in use, or a size cannot be stored; or lerobot is not installed.
            FileError: the folder cannot be written.
        """
        root = Path(root)
        features = _features(fps, cameras, state_names, action_names, None if images else video or VideoConfig())
        try:
            if root.exists() and any(root.iterdir()):
                raise DataError(f"{root} is not empty: choose another folder, or go on there with Recorder.open")
        except OSError as error:
            raise FileError(f"cannot write {root}: {error.strerror}. Choose another folder") from error
        metadata = lerobot_datasets().LeRobotDatasetMetadata
        with replacing_folder(root) as draft:
            try:
                metadata.create(
                    repo_id=root.name,
                    fps=fps,
                    features=features,
                    robot_type=robot or None,
                    root=draft / "new",
                    use_videos=not images,
                )
            except ValueError as error:
                raise DataError(f"LeRobot cannot store that: {_one_line(error)}") from error
            os.replace(draft / "new" / "meta", draft / "meta")
            (draft / "new").rmdir()
        return cls(root, commit_mb, progress)

    @classmethod
    def open(cls, root: Path | str, *, commit_mb: float = 128.0, progress: Progress | None = None) -> Recorder:
        """Goes on with a data set that a recorder made, also after a crash.

        Raises:
            DataError: there is no data set, another process records to it, or it has features that are not ours.
            FileError: the folder cannot be written.
        """
        root = Path(root)
        if not (root / INFO).exists() and not (root / RECORDING / "undo").exists():
            raise DataError(f"there is no data set in {root}: begin one with Recorder.create")
        return cls(root, commit_mb, progress)

    @property
    def root(self) -> Path:
        return self._root

    @property
    def episodes(self) -> int:
        """Saved episodes, all of which survive a crash."""
        return self._layout.committed + len(self._pending)

    @property
    def frames(self) -> int:
        """Frames of the running episode."""
        return len(self._draft.actions) if self._draft else 0

    def add(
        self,
        images: Mapping[str, np.ndarray],
        state: np.ndarray | Sequence[float],
        action: np.ndarray | Sequence[float],
        instruction: str,
    ) -> None:
        """Adds a frame to the running episode.

        Args:
            images: camera -> uint8 [height, width, 3], RGB.
            state: [S], what the robot is in as it sees them.
            action: [A], what it is told thereupon.
            instruction: what it is to do.

        Raises:
            DataError: one of them is not what the data set holds; the episode is as it was before.
            FileError: the disk is full; the running episode is dropped, all saved ones are kept.
        """
        self._check_open()
        layout = self._layout
        for name in sorted(set(images) ^ set(layout.cameras)):
            how = "is missing" if name in layout.cameras else "is unknown"
            raise DataError(f"images: camera '{name}' {how}: expected {', '.join(layout.cameras)}")
        for name, (height, width) in layout.cameras.items():
            image, wanted = np.asarray(images[name]), (height, width, 3)
            if image.shape != wanted or image.dtype != np.uint8:
                raise DataError(f"images.{name}: expected uint8 {wanted}, got {image.dtype} {image.shape}")
        vectors = {
            "state": _vector("state", state, layout.state_names),
            "action": _vector("action", action, layout.action_names),
        }
        if not isinstance(instruction, str) or not instruction.strip():
            raise DataError(f"instruction: expected some text, got {instruction!r}")
        try:
            if self._draft is None:
                self._draft = _Draft(self._spool / "draft", list(layout.cameras))
            self._draft.append(images, vectors["state"], vectors["action"], instruction)
        except OSError as error:
            self.discard_episode()
            raise FileError(
                f"cannot write {self._spool}: {error.strerror or error}. Free some space; this episode is dropped, "
                f"the {self.episodes} saved ones are kept"
            ) from error

    def save_episode(self, success: bool | None = None, facts: Mapping[str, Any] | None = None) -> int:
        """Ends the running episode and stores it; its index in the data set.

        Args:
            success: whether the task was done, None: not known.
            facts: what else to keep with it, as JSON values (seed, task, scene).

        Raises:
            DataError: there is no frame, or the facts are no JSON; the episode goes on.
            FileError: the disk is full. Saved episodes are kept; this one is dropped if it could not be stored.
        """
        self._check_open()
        if self._draft is None:
            raise DataError("the episode has no frame: add some before it is saved")
        index = self.episodes
        try:
            about = json.dumps({"episode": index, "success": success, "facts": dict(facts or {})}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise DataError(f"facts: expected JSON values, got {facts!r}: {error}") from error
        path = self._spool / f"episode_{index:06d}"
        try:
            self._draft.finish(about, path)
        except OSError as error:
            self.discard_episode()
            raise FileError(
                f"cannot write {path}: {error.strerror or error}. Free some space; this episode is dropped, the "
                f"{self.episodes} saved ones are kept"
            ) from error
        self._draft = None
        self._pending.append(path)
        if sum(_size(folder) for folder in self._pending) >= self._commit_mb * 1e6:
            self.commit()
        return index

    def discard_episode(self) -> None:
        """Drops the running episode."""
        if self._draft is not None:
            with contextlib.suppress(OSError):  # what a full disk did not take
                self._draft.close()
            shutil.rmtree(self._draft.folder, ignore_errors=True)
            self._draft = None

    def commit(self) -> None:
        """Puts all saved episodes into LeRobot's files. Happens by itself, at the latest in `close`.

        Raises:
            FileError: the disk is full; the data set is as it was before, and the episodes wait for the next commit.
        """
        self._check_open()
        if not self._pending:
            return
        try:
            before = _begin(self._root, self._spool)
            try:
                _append(self._root, self._layout, self._pending, self._progress)
                _sync_new(self._root, before)
            except BaseException:
                _take_back(self._root)
                raise
        except (OSError, RuntimeError) as error:
            raise FileError(
                f"cannot write {self._root}: {_one_line(error)}. Free some space and open the data set again; "
                f"the {self.episodes} saved episodes are kept in {self._spool}"
            ) from error
        _end(self._spool)
        self._layout = _Layout.read(self._root)
        _tidy(self._spool, self._layout.committed)
        self._pending = []

    def close(self) -> None:
        """Drops a running episode, commits, and lets the folder go. Raises FileError, see `commit`."""
        if self._lock.closed:
            return
        self.discard_episode()
        try:
            self.commit()
            shutil.rmtree(self._spool, ignore_errors=True)
        finally:
            self._lock.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._lock.closed:
            raise DataError(f"the recorder of {self._root} is closed: go on with Recorder.open")


# -- an episode that is recorded ---------------------------------------------------------------------------------


class _Draft:
    """The running episode: images go to files as they come, one a camera; the rest waits in memory."""

    def __init__(self, folder: Path, cameras: list[str]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self._files: dict[str, BinaryIO] = {}
        for camera in cameras:
            self._files[camera] = open(folder / f"{camera}.rgb", "wb")  # noqa: SIM115  (open as long as the episode)
        self._states: list[np.ndarray] = []
        self.actions: list[np.ndarray] = []
        self._instructions: list[str] = []

    def append(self, images: Mapping[str, np.ndarray], state: np.ndarray, action: np.ndarray, instruction: str) -> None:
        for camera, file in self._files.items():
            file.write(np.ascontiguousarray(images[camera]).data)
        self._states.append(state)
        self.actions.append(action)
        self._instructions.append(instruction)

    def finish(self, about: str, path: Path) -> None:
        """Makes it the folder `path`, in one step."""
        np.save(self.folder / "state.npy", np.stack(self._states))
        np.save(self.folder / "action.npy", np.stack(self.actions))
        (self.folder / "instructions.json").write_text(json.dumps(self._instructions), encoding="utf-8")
        (self.folder / "about.json").write_text(about, encoding="utf-8")
        self.close()
        for file in (*self.folder.iterdir(), self.folder):
            sync(file)
        os.replace(self.folder, path)
        sync(path.parent)

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def _saved_frames(folder: Path, layout: _Layout) -> Iterator[dict[str, Any]]:
    """The frames of a saved episode as lerobot takes them."""
    states, actions = np.load(folder / "state.npy"), np.load(folder / "action.npy")
    instructions = json.loads((folder / "instructions.json").read_text(encoding="utf-8"))
    images = {
        camera: np.memmap(folder / f"{camera}.rgb", np.uint8, "r", shape=(len(actions), *size, 3))
        for camera, size in layout.cameras.items()
    }
    for frame, instruction in enumerate(instructions):
        seen = {IMAGE_PREFIX + camera: np.array(pixels[frame]) for camera, pixels in images.items()}
        yield {STATE_KEY: states[frame], ACTION_KEY: actions[frame], "task": instruction, **seen}


# -- the data set ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """What a data set of ours holds, from its info.json."""

    cameras: dict[str, tuple[int, int]]
    state_names: list[str]
    action_names: list[str]
    fps: int
    video: dict[str, Any] | None
    """The compression as lerobot notes it, None: images."""
    committed: int
    """Episodes."""

    @classmethod
    def read(cls, root: Path) -> _Layout:
        path = root / INFO
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
            features, fps, committed = info["features"], int(info["fps"]), int(info["total_episodes"])
            cameras = {k.removeprefix(IMAGE_PREFIX): f for k, f in features.items() if k.startswith(IMAGE_PREFIX)}
            others = set(features) - {IMAGE_PREFIX + c for c in cameras} - {STATE_KEY, ACTION_KEY, *_AUTOMATIC}
            if others:
                raise DataError(f"{path}: a recorder cannot go on here, it does not write '{sorted(others)[0]}'")
            first = next(iter(cameras.values()))
            return cls(
                {name: (int(f["shape"][0]), int(f["shape"][1])) for name, f in cameras.items()},
                list(features[STATE_KEY]["names"]),
                list(features[ACTION_KEY]["names"]),
                fps,
                dict(first["info"]) if first["dtype"] == "video" else None,
                committed,
            )
        except (OSError, KeyError, IndexError, TypeError, StopIteration) as error:
            raise DataError(f"{path} is not that of a data set that a recorder made ({error!r})") from error
        except json.JSONDecodeError as error:
            raise DataError(f"{path} is damaged ({error}): restore it from a copy") from error


def _features(
    fps: int,
    cameras: Mapping[str, tuple[int, int]],
    state_names: Sequence[str],
    action_names: Sequence[str],
    video: VideoConfig | None,
) -> dict[str, dict[str, Any]]:
    if not isinstance(fps, int) or fps < 1:
        raise DataError(f"fps: expected a whole number of frames a second, got {fps!r}")
    features: dict[str, dict[str, Any]] = {}
    for key, names in ((STATE_KEY, state_names), (ACTION_KEY, action_names)):
        if isinstance(names, str) or not names:
            raise DataError(f"{key}: expected the names of its dimensions, got {names!r}")
        features[key] = {"dtype": "float32", "shape": (len(names),), "names": list(names)}
    if not cameras:
        raise DataError("cameras: expected one at least, name -> (height, width)")
    for name, (height, width) in cameras.items():
        if not re.fullmatch(r"[\w-]+", name):
            raise DataError(f"cameras: a name is of letters, digits, _ and -, not '{name}'")
        if video and (height % 2 or width % 2):
            raise DataError(f"cameras.{name}: video needs an even height and width, got {height} x {width}")
        feature: dict[str, Any] = {
            "dtype": "video" if video else "image",
            "shape": (height, width, 3),
            "names": ["height", "width", "channels"],
        }
        if video:  # so that a recorder that goes on compresses alike
            feature["info"] = {"video.codec": video.codec, "video.crf": video.crf, "video.g": video.key_every}
        features[IMAGE_PREFIX + name] = feature
    return features


def _append(root: Path, layout: _Layout, pending: Sequence[Path], progress: Progress | None) -> None:
    """Lets lerobot write episodes behind those that it has."""
    library = lerobot_datasets()
    done, total = 0, sum(len(np.load(folder / "action.npy", mmap_mode="r")) for folder in pending)
    data_set = library.LeRobotDataset.resume(
        repo_id=root.name, root=root, video_backend="pyav", rgb_encoder=_encoder(layout)
    )
    with quiet_libraries():
        try:
            for folder in pending:
                length = 0
                for length, frame in enumerate(_saved_frames(folder, layout), start=1):
                    data_set.add_frame(frame)
                    if progress is not None:
                        progress(done + length, total)
                done += length
                data_set.save_episode(parallel_encoding=False)
                _check_videos(data_set.meta, length)
            data_set.finalize()
        except BaseException:
            # Its destructor would go on writing, into a data set that has been put back in order by then.
            data_set.meta._metadata_buffer.clear()
            data_set.meta._finalized = data_set.writer._finalized = True
            raise
    shutil.rmtree(root / "images", ignore_errors=True)  # the folders that its frames went through
    old = (root / FACTS).read_text(encoding="utf-8") if (root / FACTS).exists() else ""
    new = "".join((folder / "about.json").read_text(encoding="utf-8") + "\n" for folder in pending)
    write_atomically(root / FACTS, old + new)


def _encoder(layout: _Layout) -> Any:
    if layout.video is None:
        return None
    from lerobot.configs import RGBEncoderConfig

    try:
        return RGBEncoderConfig.from_video_info(layout.video)
    except ValueError as error:
        raise DataError(f"video: {_one_line(error)}") from error


def _check_videos(metadata: Any, length: int) -> None:
    """lerobot only logs a frame that it could not write, so the video tells whether all are there."""
    for key in metadata.video_keys:
        latest = metadata.latest_episode
        seconds = latest[f"videos/{key}/to_timestamp"][0] - latest[f"videos/{key}/from_timestamp"][0]
        if round(seconds * metadata.fps) != length:
            raise OSError(f"the video {key} has {seconds * metadata.fps:.1f} frames of {length}")


# -- commits that can be taken back ------------------------------------------------------------------------------


def _stored(root: Path) -> set[str]:
    """All files of the data set proper."""
    folders = (root / name for name in ("data", "videos", "meta", "images"))
    return {path.relative_to(root).as_posix() for f in folders for path in f.rglob("*") if path.is_file()}


def _begin(root: Path, spool: Path) -> set[str]:
    """Notes how the data set is; its files."""
    files = _stored(root)
    with replacing_folder(spool / "undo") as draft:
        (draft / "files.json").write_text(json.dumps(sorted(files)), encoding="utf-8")
        for name in _REWRITTEN:
            if name in files:
                shutil.copy(root / name, draft / name.replace("/", "--"))
    return files


def _take_back(root: Path) -> None:
    """Makes the data set what it was when the commit began; may itself be interrupted and done again."""
    undo = root / RECORDING / "undo"
    try:
        before = set(json.loads((undo / "files.json").read_text(encoding="utf-8")))
        for name in _stored(root) - before:
            (root / name).unlink(missing_ok=True)
        for path in root.glob("tmp*"):  # where lerobot puts videos together
            if path.is_dir() and re.fullmatch(r"tmp[a-z0-9_]{8}", path.name):
                shutil.rmtree(path)
        for name in _REWRITTEN:
            if name in before:
                write_atomically(root / name, (undo / name.replace("/", "--")).read_bytes())
        shutil.rmtree(root / "images", ignore_errors=True)
    except OSError as error:
        raise FileError(
            f"cannot put {root} back in order: {error.strerror or error}. Free some space and open it again with "
            "Recorder.open; nothing is lost"
        ) from error
    _end(root / RECORDING)


def _end(spool: Path) -> None:
    """From here on the data set is what it is."""
    done = spool / "done"
    shutil.rmtree(done, ignore_errors=True)
    os.replace(spool / "undo", done)
    sync(spool)
    shutil.rmtree(done, ignore_errors=True)


def _tidy(spool: Path, committed: int) -> None:
    """Removes what was not finished, and saved episodes that the data set has by now."""
    for path in spool.iterdir():
        name = re.fullmatch(r"episode_(\d+)", path.name)
        if path.is_dir() and (name is None or int(name[1]) < committed):
            shutil.rmtree(path, ignore_errors=True)


def _sync_new(root: Path, before: set[str]) -> None:
    """Waits until what a commit wrote is on the disk."""
    new = {root / name for name in (_stored(root) - before) | set(_REWRITTEN) if (root / name).exists()}
    for path in new | {path.parent for path in new}:
        sync(path)


def _lock(root: Path, spool: Path) -> Any:
    """Keeps a second recorder out; the system lets go of it when the process ends, however it ends."""
    try:
        spool.mkdir(exist_ok=True)
        file = open(spool / "lock", "w")  # noqa: SIM115  (open as long as the recorder)
    except OSError as error:
        raise FileError(f"cannot write {spool}: {error.strerror}. Choose another folder") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise DataError(f"another process records to {root}: close it first") from None
    return file


# -- small things ------------------------------------------------------------------------------------------------


def _vector(what: str, given: Any, names: Sequence[str]) -> np.ndarray:
    """Finite float32 [len(names)]."""
    try:
        values = np.asarray(given, np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: expected {len(names)} numbers, got {given!r}") from error
    if values.shape != (len(names),):
        raise DataError(f"{what}: expected shape ({len(names)},), got {values.shape}")
    if not np.isfinite(values).all():
        wrong = int(np.flatnonzero(~np.isfinite(values))[0])
        raise DataError(f"{what}: expected finite numbers, got {values[wrong]} in '{names[wrong]}' (dimension {wrong})")
    return values


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _one_line(error: BaseException) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split()) or type(error).__name__
