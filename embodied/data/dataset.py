"""Reads any LeRobot data set (v3) as whole episodes.

lerobot reads what describes the data set; actions and states are read once, and checked; frames are decoded in order.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embodied.data.errors import DataError
from embodied.data.library import lerobot_datasets
from embodied.data.reading import ImageReader, Reader, VideoReader, incomplete, remedy
from embodied.data.recorder import FACTS, INFO, RECORDING
from embodied.data.segments import Episode
from embodied.data.stats import Statistics, statistics

_OPEN_READERS = 128
"""Videos that are kept open, each where it was read last."""


@dataclass
class DataConfig:
    """A data set, and which of its columns are what."""

    root: str = field(default="", metadata={"help": "folder of the data set: the one that holds meta/info.json"})
    cameras: dict[str, str] = field(
        default_factory=dict,
        metadata={
            "help": "camera name -> column, e.g. {wrist: observation.images.cam_high}; empty: every colour camera, "
            "named by what follows the last dot"
        },
    )
    state: list[str] = field(
        default_factory=lambda: ["observation.state"],
        metadata={"help": "columns that make up the state, one behind the other; []: no state"},
    )
    action: list[str] = field(
        default_factory=lambda: ["action"], metadata={"help": "columns that make up the action, one behind the other"}
    )
    skip: list[int] = field(default_factory=list, metadata={"help": "episodes to leave out, e.g. damaged ones"})
    cache_mb: int = field(
        default=2048,
        metadata={"help": "memory for decoded frames, MB; episodes that fit are decoded once, the others every round"},
    )


class DemonstrationSet:
    """The episodes of a data set. Can be read from several threads.

    Raises:
        DataError: there is no data set, it is damaged or of another version, a column is missing or no vector, an
            action or state is not finite; or lerobot is not installed.
    """

    def __init__(self, config: DataConfig) -> None:
        self._config, self.root = config, Path(config.root)
        _check_finished(self.root)
        metadata = _metadata(self.root)
        self.fps = float(metadata.fps)
        """Frames a second."""
        features: dict[str, dict[str, Any]] = metadata.features
        self._keys = _camera_keys(config, features, set(metadata.depth_keys))
        self.cameras = {name: _image_size(key, features[key]) for name, key in self._keys.items()}
        """Name -> (height, width), pixels."""
        self._videos = set(metadata.video_keys)
        self._rows = _episode_rows(metadata, self.root, set(config.skip))
        sizes = {key: _vector_size(key, features, self.root) for key in (*config.state, *config.action)}
        self.state_size = sum(sizes[key] for key in config.state)
        self.action_size = sum(sizes[key] for key in config.action)
        if not self.action_size:
            raise DataError(f"action: name one column at least; {self.root} has {_vectors_of(features)}")
        self._states: dict[int, np.ndarray] = {}
        self._actions: dict[int, np.ndarray] = {}
        self._instructions: dict[int, list[str]] = {}
        tasks = {int(number): str(text) for text, number in metadata.tasks["task_index"].items()}
        for path in sorted({row.data for row in self._rows.values()}):
            self._load(path, sizes, tasks)
        facts = _facts(self.root)
        self.episodes = {
            index: Episode(
                index,
                row.length,
                tuple(dict.fromkeys(self._instructions[index])),
                facts.get(index, {}).get("success"),
                facts.get(index, {}).get("facts", {}),
            )
            for index, row in self._rows.items()
        }
        """By their index in the data set, without those that are left out."""
        self._frames = _Frames(self._reader, list(self._keys), config.cache_mb)

    @classmethod
    def open(cls, root: Path | str, **settings: Any) -> DemonstrationSet:
        """The data set in `root`; `settings` as in DataConfig."""
        return cls(DataConfig(root=str(root), **settings))

    def actions(self, episode: int) -> np.ndarray:
        """float32 [frames, action_size]: what was done upon seeing each frame."""
        return self._actions[self._known(episode)]

    def states(self, episode: int) -> np.ndarray:
        """float32 [frames, state_size]."""
        return self._states[self._known(episode)]

    def instructions(self, episode: int) -> list[str]:
        """One for each frame."""
        return self._instructions[self._known(episode)]

    def frames(self, episode: int, indices: np.ndarray | Iterable[int]) -> dict[str, np.ndarray]:
        """Images, camera -> uint8 [n, height, width, 3].

        Fastest when indices ascend, from call to call too: then every frame is decoded once.

        Raises:
            DataError: there is no such frame, or its file is damaged.
        """
        length = self._rows[self._known(episode)].length
        wanted = np.asarray(indices if isinstance(indices, np.ndarray) else list(indices), np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < length:
            raise DataError(f"episode {episode} has frames 0 to {length - 1}, not {wanted.min()} to {wanted.max()}")
        return self._frames.get(episode, length, wanted, self.cameras)

    def stats(self, episodes: Iterable[int] | None = None) -> dict[str, Statistics]:
        """Figures of "action" and "state" over some episodes (None: all), e.g. those that train."""
        chosen = list(self.episodes if episodes is None else episodes)
        return {
            "action": statistics(self.actions(episode) for episode in chosen),
            "state": statistics(self.states(episode) for episode in chosen),
        }

    def close(self) -> None:
        """Lets go of files and frames."""
        self._frames.close()

    def _known(self, episode: int) -> int:
        if episode not in self._rows:
            raise DataError(f"{self.root} has no episode {episode}; it has {len(self._rows)}")
        return episode

    def _reader(self, episode: int, camera: str) -> Reader:
        row, key, size = self._rows[episode], self._keys[camera], self.cameras[camera]
        where = f"{self.root}: episode {episode}"
        if key in self._videos:
            path, begin_s = row.videos[key]
            return VideoReader(path, begin_s, self.fps, row.length, size, where)
        return ImageReader(row.data, key, episode, size, where)

    def _load(self, path: Path, sizes: Mapping[str, int], tasks: Mapping[int, str]) -> None:
        """Reads the vectors of a Parquet file, and keeps those of the episodes that say they are in it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path, columns=["episode_index", "frame_index", "task_index", *dict.fromkeys(sizes)])
        except FileNotFoundError:
            raise DataError(f"{path} is missing. {remedy('', self._in(path))}") from None
        except (OSError, pa.ArrowException, KeyError) as error:
            said = " ".join(str(error).split())[:200]
            raise DataError(f"{path} cannot be read: {said}. {remedy('', self._in(path))}") from error
        numbers = table["episode_index"].to_numpy()
        frame_numbers, task_numbers = table["frame_index"].to_numpy(), table["task_index"].to_numpy()
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        columns = {key: _Column(table[key], size, key, path) for key, size in sizes.items()}
        for index, row in self._rows.items():
            if row.data != path:
                continue
            rows = order[np.searchsorted(ordered, index) : np.searchsorted(ordered, index + 1)]
            where = f"{self.root}: episode {index}"
            if len(rows) != row.length or not np.array_equal(frame_numbers[rows], np.arange(row.length)):
                raise DataError(
                    f"{where} has {len(rows)} frames in {path}, and {row.length} by meta/episodes. {remedy(where)}"
                )
            self._states[index] = _joined([columns[key].of(rows, where) for key in self._config.state], row.length)
            self._actions[index] = _joined([columns[key].of(rows, where) for key in self._config.action], row.length)
            try:
                self._instructions[index] = [tasks[int(number)] for number in task_numbers[rows]]
            except KeyError as error:
                raise DataError(f"{where} has task {error}, which meta/tasks.parquet lacks. {remedy(where)}") from error

    def _in(self, path: Path) -> list[int]:
        return [index for index, row in self._rows.items() if row.data == path]


class _Frames:
    """Decoded frames. Episodes are decoded whole and kept while there is room, which is best when all are used equally.

    What has no room is decoded in order as it is asked for, by readers that stay open where they stopped.
    """

    def __init__(self, make: Any, cameras: list[str], cache_mb: float) -> None:
        self._make, self._cameras = make, cameras
        self._room = cache_mb * 1e6
        self._kept: dict[tuple[int, str], np.ndarray] = {}
        self._readers: OrderedDict[tuple[int, str], tuple[Reader, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, episode: int, length: int, indices: np.ndarray, sizes: Mapping[str, tuple[int, int]]
    ) -> dict[str, np.ndarray]:
        frames = {}
        for camera in self._cameras:
            height, width = sizes[camera]
            if not len(indices):
                frames[camera] = np.zeros((0, height, width, 3), np.uint8)
                continue
            kept = self._kept.get((episode, camera))
            if kept is None:
                reader, busy = self._reader(episode, camera)
                with busy:
                    kept = self._kept.get((episode, camera))
                    if kept is None and self._reserve(length * height * width * 3):
                        kept = reader.read(np.arange(length))
                        self._kept[episode, camera] = kept
                        self._drop(episode, camera)
                    elif kept is None:
                        frames[camera] = reader.read(indices)
            if kept is not None:
                frames[camera] = kept[indices]
        return frames

    def close(self) -> None:
        with self._lock:
            for reader, _ in self._readers.values():
                reader.close()
            self._readers.clear()
            self._kept.clear()

    def _reserve(self, size: int) -> bool:
        with self._lock:
            if size > self._room:
                return False
            self._room -= size
            return True

    def _reader(self, episode: int, camera: str) -> tuple[Reader, threading.Lock]:
        with self._lock:
            if (episode, camera) not in self._readers:
                self._readers[episode, camera] = self._make(episode, camera), threading.Lock()
            self._readers.move_to_end((episode, camera))
            while len(self._readers) > _OPEN_READERS:
                self._readers.popitem(last=False)  # closed when whoever reads with it lets go
            return self._readers[episode, camera]

    def _drop(self, episode: int, camera: str) -> None:
        with self._lock:
            reader, _ = self._readers.pop((episode, camera), (None, None))
        if reader is not None:
            reader.close()


# -- what describes a data set -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """Where an episode lies: `videos` column -> (file, seconds at which it begins there)."""

    length: int
    data: Path
    videos: dict[str, tuple[Path, float]]


def _check_finished(root: Path) -> None:
    if (root / RECORDING / "undo").exists() or any((root / RECORDING).glob("episode_*")):
        raise DataError(
            f"{root} is being recorded, or its recorder was killed: close the recorder, or run "
            f"embodied.data.recover('{root}')"
        )


def _metadata(root: Path) -> Any:
    """lerobot's description of the data set. It would ask the Hub for what is missing, so that is looked for before."""
    if not (root / INFO).is_file():
        raise DataError(f"there is no LeRobot data set in '{root}': no {INFO}; name the folder that holds meta/")
    try:
        info = json.loads((root / INFO).read_text(encoding="utf-8"))
        version, total = str(info["codebase_version"]), int(info["total_episodes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{root / INFO} is damaged ({error!r}): fetch it again") from error
    if not version.startswith("v3."):
        raise DataError(
            f"{root} is in LeRobot's format {version}, and v3.0 is read: convert it with "
            "python -m lerobot.scripts.convert_dataset_v21_to_v30"
        )
    if not total:
        raise DataError(f"{root} holds no episode yet: record some")
    library = lerobot_datasets()
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = sorted((root / "meta" / "episodes").glob("*/*.parquet"))
    if not tables:
        raise DataError(f"{root / 'meta' / 'episodes'} holds no Parquet file: fetch the data set again")
    for path in (root / "meta" / "tasks.parquet", *tables):
        try:
            pq.read_metadata(path)
        except (OSError, pa.ArrowException) as error:
            said = "it is missing" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())[:200]
            raise DataError(f"{path} cannot be read: {said}. Fetch it again") from error
    try:
        return library.LeRobotDatasetMetadata(repo_id=f"local/{root.name}", root=root)
    except Exception as error:  # whatever lerobot and the libraries below it raise
        raise DataError(f"lerobot cannot open {root}: {' '.join(str(error).split())[:300]}") from error


def _episode_rows(metadata: Any, root: Path, skip: set[int]) -> dict[int, _Row]:
    videos = metadata.video_keys
    columns = ["episode_index", "length", "data/chunk_index", "data/file_index"]
    for key in videos:
        columns += [f"videos/{key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")]
    try:
        table = metadata.episodes.select_columns(columns).with_format(None)[:]
    except (KeyError, ValueError) as error:
        raise DataError(f"{root / 'meta' / 'episodes'} lacks a column ({error}): fetch the data set again") from error
    rows = {}
    for place, index in enumerate(table["episode_index"]):
        if index in skip:
            continue
        data = root / metadata.data_path.format(
            chunk_index=table["data/chunk_index"][place], file_index=table["data/file_index"][place]
        )
        files = {}
        for key in videos:
            path = root / metadata.video_path.format(
                video_key=key,
                chunk_index=table[f"videos/{key}/chunk_index"][place],
                file_index=table[f"videos/{key}/file_index"][place],
            )
            files[key] = path, float(table[f"videos/{key}/from_timestamp"][place])
        rows[int(index)] = _Row(int(table["length"][place]), data, files)
    missing = sorted(set(range(metadata.total_episodes)) - set(rows) - skip)
    if missing:
        where = f"{root}: episode {missing[0]}"
        raise DataError(f"{where} is missing in meta/episodes. {remedy(where)}")
    _check_videos(rows, root)
    if not rows:
        raise DataError(f"{root}: skip leaves out all {metadata.total_episodes} episodes")
    return rows


def _check_videos(rows: Mapping[int, _Row], root: Path) -> None:
    holds: dict[Path, list[int]] = {}
    for index, row in rows.items():
        for path, _ in row.videos.values():
            holds.setdefault(path, []).append(index)
    for path, episodes in holds.items():
        try:
            wrong = incomplete(path)
        except FileNotFoundError:
            wrong = "it is missing"
        except OSError as error:
            wrong = str(error.strerror)
        if wrong:
            where = f"{root}: episode {episodes[0]}"
            raise DataError(f"{where}: the video {path} cannot be used: {wrong}. {remedy(where, episodes)}")


def _camera_keys(config: DataConfig, features: Mapping[str, Any], depth: set[str]) -> dict[str, str]:
    colour = [key for key, f in features.items() if f["dtype"] in ("video", "image") and key not in depth]
    if config.cameras:
        for name, key in config.cameras.items():
            if key not in colour:
                raise DataError(f"cameras.{name}: no colour images '{key}'; there are {', '.join(colour) or 'none'}")
        return dict(config.cameras)
    keys = {key.rpartition(".")[2]: key for key in colour}
    if len(keys) != len(colour):
        raise DataError(f"cameras: {', '.join(colour)} end alike: give each a name, like cameras={{left: {colour[0]}}}")
    return keys


def _image_size(key: str, feature: Mapping[str, Any]) -> tuple[int, int]:
    shape, names = tuple(feature["shape"]), feature.get("names")
    channels = next((names.index(n) for n in ("channels", "channel") if n in names), None) if names else None
    if channels is None:
        channels = 2 if shape[-1] == 3 else 0
    if len(shape) != 3 or shape[channels] != 3:
        raise DataError(f"cameras: '{key}' has the shape {shape}, expected colour images, (height, width, 3)")
    height, width = (size for axis, size in enumerate(shape) if axis != channels)
    return int(height), int(width)


def _vector_size(key: str, features: Mapping[str, Any], root: Path) -> int:
    if key not in features:
        raise DataError(f"{root} has no column '{key}' for state or action; there are {_vectors_of(features)}")
    shape = tuple(features[key]["shape"])
    if len(shape) != 1:
        raise DataError(f"{root}: the column '{key}' has the shape {shape}, expected a vector")
    return int(shape[0])


def _vectors_of(features: Mapping[str, Any]) -> str:
    return ", ".join(k for k, f in features.items() if f["dtype"].startswith(("float", "int", "bool")))


class _Column:
    """A column of vectors: float32 [rows, size], checked where it is used."""

    def __init__(self, column: Any, size: int, key: str, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._key, self._path, self._size = key, path, size
        self._widths: np.ndarray | None = None
        if isinstance(column.type, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
            self._widths = np.nan_to_num(pc.list_value_length(column).to_numpy()).astype(np.int64)
            self._ends = np.cumsum(self._widths)
            self._values = pc.list_flatten(column).to_numpy().astype(np.float32)
        else:
            self._values = column.to_numpy().astype(np.float32)

    def of(self, rows: np.ndarray, where: str) -> np.ndarray:
        widths = np.ones(len(rows), np.int64) if self._widths is None else self._widths[rows]
        if wrong := np.flatnonzero(widths != self._size).tolist():
            raise DataError(
                f"{where}: frame {wrong[0]} of '{self._key}' in {self._path} has {widths[wrong[0]]} numbers, and "
                f"{self._size} by meta/info.json. {remedy(where)}"
            )
        if self._widths is None:
            values = self._values[rows][:, None]
        else:
            values = self._values[(self._ends[rows] - self._size)[:, None] + np.arange(self._size)]
        if wrong := np.flatnonzero(~np.isfinite(values).all(1)).tolist():
            raise DataError(
                f"{where}: frame {wrong[0]} of '{self._key}' in {self._path} is not finite "
                f"({values[wrong[0]].tolist()}). {remedy(where)}"
            )
        return values


def _joined(parts: list[np.ndarray], length: int) -> np.ndarray:
    return np.concatenate(parts, axis=1) if parts else np.zeros((length, 0), np.float32)


def _facts(root: Path) -> dict[int, dict[str, Any]]:
    path = root / FACTS
    if not path.exists():
        return {}
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {int(line["episode"]): line for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error!r}): fetch it again, or remove it to read without it") from error
