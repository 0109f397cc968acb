"""What is kept of an evaluated episode, and how it is stored."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from embodied.files import FileError, replacing

NAN = float("nan")


@dataclass
class GoalResult:
    """One goal of an episode: the only one of PointNav and ObjectNav, one of the stream of ExtObjectNav.

    `finished` is false for a goal still sought when the episode ended; it counts as failed.
    """

    category: str = ""
    success: float = 0.0
    spl: float = 0.0
    soft_spl: float = 0.0
    distance_to_goal_m: float = NAN
    start_distance_m: float = NAN
    steps: int = 0
    finished: bool = True

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> GoalResult:
        fields: dict[str, Any] = {key: NAN if value is None else value for key, value in body.items()}
        return cls(**fields)


@dataclass
class EpisodeResult:
    """One episode of one agent.

    `path` is [steps + 1][x, y, z, yaw] (m, rad, scene frame, Y up); `actions` are as they were taken. `attempts` is 2
    where a simulator worker died in the first; `error` names its death where the second died too, and then nothing else
    counts.
    """

    agent: str
    index: int
    episode_id: str
    scene: str
    goals: list[GoalResult] = field(default_factory=list)
    collisions: int = 0
    steps: int = 0
    reward: float = 0.0
    path: list[list[float]] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    attempts: int = 1
    error: str = ""

    @property
    def success(self) -> float:
        """Share of its goals that succeeded."""
        return sum(goal.success for goal in self.goals) / len(self.goals) if self.goals else 0.0

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> EpisodeResult:
        body = dict(body)
        return cls(goals=[GoalResult.from_json(goal) for goal in body.pop("goals")], **body)

    def to_json(self) -> dict[str, Any]:
        return finite(dataclasses.asdict(self))


def finite(value: Any) -> Any:
    """`value` with NaN and infinity, which JSON does not have, as null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Journal:
    """Results as they come, one JSON object a line, so that an evaluation that is cut off can go on.

    The first line holds the evaluation's settings; a journal of other settings is put aside. A last line that a crash
    cut short is dropped.

    Raises:
        FileError: the folder cannot be written.
    """

    def __init__(self, path: Path, settings: dict[str, Any], resume: bool) -> None:
        self.path = path
        self.results: dict[int, EpisodeResult] = {}
        lines = _whole_lines(path) if resume else []
        settings = json.loads(json.dumps(settings))
        if lines and lines[0] == {"settings": settings}:
            self.results = {line["index"]: EpisodeResult.from_json(line) for line in lines[1:]}
        with replacing(path) as draft:
            kept = [{"settings": settings}, *(result.to_json() for result in self.results.values())]
            draft.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115  (open as long as the journal)

    def add(self, result: EpisodeResult) -> None:
        self.results[result.index] = result
        try:
            self._file.write(json.dumps(result.to_json()) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise FileError(
                f"cannot write {self.path}: {error.strerror or error}. Free some space and run again to go on"
            ) from error

    def close(self) -> None:
        self._file.close()

    def remove(self) -> None:
        """Forgets the journal: the results are stored elsewhere."""
        self.close()
        self.path.unlink(missing_ok=True)


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
    return lines


_GOAL = pa.struct(
    [
        ("category", pa.string()),
        *((name, pa.float64()) for name in ("success", "spl", "soft_spl", "distance_to_goal_m", "start_distance_m")),
        ("steps", pa.int32()),
        ("finished", pa.bool_()),
    ]
)
_SCHEMA = pa.schema(
    [
        ("agent", pa.string()),
        ("index", pa.int32()),
        ("episode_id", pa.string()),
        ("scene", pa.string()),
        ("goals", pa.list_(_GOAL)),
        ("collisions", pa.int32()),
        ("steps", pa.int32()),
        ("reward", pa.float64()),
        ("path", pa.list_(pa.list_(pa.float32(), 4))),
        ("actions", pa.list_(pa.list_(pa.float32()))),
        ("attempts", pa.int8()),
        ("error", pa.string()),
    ]
)


def write_parquet(path: Path, results: list[EpisodeResult]) -> None:
    """Stores all results in one Parquet file, a row an episode, whole or not at all."""
    rows = []
    for result in results:
        row = dataclasses.asdict(result)
        row["actions"] = [action if isinstance(action, list) else [action] for action in result.actions]
        rows.append(row)
    with replacing(path) as draft:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), draft, compression="zstd")


def read_parquet(path: Path) -> list[EpisodeResult]:
    """Raises ValueError if there is no such file, or it is no file of episodes."""
    try:
        rows = pq.read_table(path, schema=_SCHEMA).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"cannot read the episodes in {path}: {error}") from error
    for row in rows:
        row["goals"] = [GoalResult(**goal) for goal in row["goals"]]
        row["actions"] = [int(action[0]) if len(action) == 1 else action for action in row["actions"]]
    return [EpisodeResult(**row) for row in rows]
