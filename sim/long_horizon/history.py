"""A recorded past on disk: simulated once, then read by every question and every agent.

A history is a folder that appears whole or not at all::

    history.json     house, config, seed, what the oracle did, where things are now, the version
    frames.parquet   a row a frame: step, clock_s, x, y, z (m), yaw (rad), action, held, visible, pixels, picture (JPEG)
    moves.parquet    where an object was from a frame on, one row a change: frame, id, x, y, z
    steps.parquet    the pose after every step, also those without a frame
    today.parquet    what each frame's pose would see now: frame, id, pixels, metres (by path)

Frame numbers count from 0. The clock counts seconds from midnight of the first day.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embodied.files import replacing_folder
from sim.long_horizon.scene import Scene

VERSION = 1
"""Of what is recorded. A change here makes all histories be recorded anew."""
DAY_S = 86_400.0
PICTURE_PIXELS = 160 * 120


@dataclass(frozen=True)
class Interaction:
    """One pick and place: which object, from and to which receptacle, the rooms, the clock (s), and the frames."""

    object: int
    source: int
    target: int
    source_room: int
    target_room: int
    start_s: float
    end_s: float
    pick_frame: int = -1
    place_frame: int = -1

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s

    @property
    def day(self) -> int:
        return int(self.start_s // DAY_S)


class HistoryError(ValueError):
    """A history cannot be read; the message is one line that names the file and the remedy."""


class History:
    """A recorded past, read from its folder. Arrays are by frame.

    Raises:
        HistoryError: the folder is missing, damaged, or of another version.
    """

    def __init__(self, folder: Path, houses: Path) -> None:
        self.folder = folder
        try:
            self.meta: dict[str, Any] = json.loads((folder / "history.json").read_text(encoding="utf-8"))
            frames = pq.read_table(folder / "frames.parquet", columns=[n for n in _FRAMES.names if n != "picture"])
            today = pq.read_table(folder / "today.parquet").to_pydict()
            self._moves = pq.read_table(folder / "moves.parquet").to_pydict()
        except (OSError, ValueError, pa.ArrowException) as error:
            line = str(error).splitlines()[0]
            raise HistoryError(f"history {folder} cannot be read ({line}): delete it and record it again") from error
        if self.meta.get("version") != VERSION:
            raise HistoryError(f"history {folder} is of version {self.meta.get('version')}: record it again")
        self.scene = Scene(houses, self.meta["house"])
        self.name = folder.name
        columns = frames.to_pydict()
        self.clock_s = np.array(columns["clock_s"])
        self.step = np.array(columns["step"])
        self.poses = np.stack([np.array(columns[name]) for name in ("x", "y", "z", "yaw")], axis=1)
        self.actions: list[str] = columns["action"]
        self.held: list[int] = columns["held"]
        self.visible: list[dict[int, int]] = [
            dict(zip(ids, pixels, strict=True))
            for ids, pixels in zip(columns["visible"], columns["pixels"], strict=True)
        ]
        self.interactions = [Interaction(**fields) for fields in self.meta["interactions"]]
        self.today: list[dict[int, tuple[int, float]]] = [{} for _ in range(len(self.step))]
        """Frame -> thing -> (pixels, metres by path), of the house as it is now."""
        for frame, key, pixels, metres in zip(*(today[n] for n in _TODAY.names), strict=True):
            self.today[frame][key] = (pixels, metres)

    def __len__(self) -> int:
        return len(self.step)

    @property
    def days(self) -> int:
        return int(self.meta["config"]["days"])

    @cached_property
    def steps(self) -> np.ndarray:
        """Every step's [step, x, z, yaw, clock_s]."""
        table = pq.read_table(self.folder / "steps.parquet").to_pydict()
        return np.stack([np.array(table[name]) for name in _STEPS.names], axis=1)

    @cached_property
    def moves(self) -> dict[int, list[tuple[int, tuple[float, float, float]]]]:
        """Object -> (frame, position from there on), in order."""
        found: dict[int, list[tuple[int, tuple[float, float, float]]]] = {}
        for frame, key, x, y, z in zip(*(self._moves[n] for n in _MOVES.names), strict=True):
            found.setdefault(key, []).append((frame, (x, y, z)))
        return found

    def pictures(self, frames: list[int]) -> list[bytes]:
        """JPEG data of some frames."""
        column = pq.read_table(self.folder / "frames.parquet", columns=["picture"])["picture"]
        return [column[frame].as_py() for frame in frames]

    def position_at(self, key: int, frame: int) -> tuple[float, float, float]:
        """Where a thing was at a frame (m)."""
        at = self.scene.things[key].position
        for since, position in self.moves.get(key, ()):
            if since > frame:
                break
            at = position
        return at

    def position_now(self, key: int) -> tuple[float, float, float]:
        return self.position_at(key, len(self))


_FRAMES = pa.schema(
    [
        ("step", pa.int32()),
        ("clock_s", pa.float64()),
        *((name, pa.float32()) for name in ("x", "y", "z", "yaw")),
        ("action", pa.string()),
        ("held", pa.int32()),
        ("visible", pa.list_(pa.int32())),
        ("pixels", pa.list_(pa.int32())),
        ("picture", pa.binary()),
    ]
)
_MOVES = pa.schema([("frame", pa.int32()), ("id", pa.int32()), *((n, pa.float32()) for n in ("x", "y", "z"))])
_STEPS = pa.schema([("step", pa.int32()), *((n, pa.float32()) for n in ("x", "z", "yaw")), ("clock_s", pa.float64())])
_TODAY = pa.schema([("frame", pa.int32()), ("id", pa.int32()), ("pixels", pa.int32()), ("metres", pa.float32())])


def is_recorded(folder: Path, recipe: str) -> bool:
    """Whether a whole history of this recipe and version lies there."""
    try:
        meta = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return meta.get("version") == VERSION and meta.get("recipe") == recipe


def write(
    folder: Path,
    meta: dict[str, Any],
    frames: list[dict[str, Any]],
    pictures: list[bytes],
    steps: list[list[float]],
    today: list[list[float]],
    interactions: list[Interaction],
) -> None:
    """Writes a history whole or not at all. `frames`, `steps`, `today`: as the worker gives them.

    Raises:
        FileError: the folder cannot be written.
    """
    rows: dict[str, list[Any]] = {name: [] for name in _FRAMES.names}
    moves: list[tuple[int, int, float, float, float]] = []
    last: dict[str, list[float]] = {}
    for index, (frame, picture) in enumerate(zip(frames, pictures, strict=True)):
        x, y, z, yaw = frame["pose"]
        values = [frame["step"], frame["clock_s"], x, y, z, yaw, frame["action"], frame["held"]]
        values += [[pair[0] for pair in frame["visible"]], [pair[1] for pair in frame["visible"]], picture]
        for name, value in zip(_FRAMES.names, values, strict=True):
            rows[name].append(value)
        for key, position in frame["moved"].items():
            if last.get(key) != position:
                last[key] = position
                moves.append((index, int(key), *position))
    with replacing_folder(folder) as draft:
        pq.write_table(pa.table(rows, schema=_FRAMES), draft / "frames.parquet")
        _write_rows(draft / "moves.parquet", moves, _MOVES)
        _write_rows(draft / "steps.parquet", steps, _STEPS)
        _write_rows(draft / "today.parquet", today, _TODAY)
        body = {"version": VERSION, **meta, "interactions": [dataclasses.asdict(i) for i in interactions]}
        (draft / "history.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def _write_rows(path: Path, rows: Any, schema: pa.Schema) -> None:
    columns: list[tuple[Any, ...]] = list(zip(*rows, strict=True)) if rows else [() for _ in schema.names]
    arrays = [
        pa.array(list(column), type=field.type)
        if not pa.types.is_integer(field.type)
        else pa.array([int(v) for v in column], type=field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    pq.write_table(pa.table(arrays, schema=schema), path)
