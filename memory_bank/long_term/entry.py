"""One memory of a robot, as the long-term store keeps it."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from memory_bank.long_term.errors import StoreError

TOKEN_TYPES = ("float16", "float32")


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the robot stood, in the map frame (REP 105), axes as in REP 103: x forward, y left, z up."""

    x_m: float
    y_m: float
    z_m: float = 0.0
    yaw_rad: float = 0.0
    """About z, counterclockwise from x."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One memory: what was perceived over a span of time, and where.

    An entry is never edited. What takes its place is a new entry that names it in `parents`; the old one is retired and
    stays to be asked about.
    """

    embedding: np.ndarray | None
    """[D] float32, not all zero: what a vector query is compared with (cosine). None only in what a query gives back
    without its vectors."""
    t0: float
    """Begin of the span, seconds of the robot's clock."""
    t1: float
    """End of the span, seconds, not before t0."""
    id: str = ""
    """Unique in the store; empty: the store makes one."""
    caption: str = ""
    pose: Pose | None = None
    room: str = ""
    instance_ids: tuple[str, ...] = ()
    """Objects seen, by whatever names the tracker gives."""
    tokens: np.ndarray | None = None
    """[N, W] float16 or float32, e.g. a bank's perceptual tokens."""
    kind: str = "episodic"
    """What part of the memory it belongs to: episodic, semantic, core, summary, ..."""
    importance: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where it came from (episode, topic, frame, strategy, ...): anything that JSON holds."""
    parents: tuple[str, ...] = ()
    """The entries that this one was made of."""
    retired: str = ""
    """Why it is no longer in use (a tombstone); empty while it is."""
    seq: int = -1
    """Its number in the order of writing, from 0; the store gives it."""

    @property
    def active(self) -> bool:
        return not self.retired

    @property
    def size_bytes(self) -> int:
        arrays = sum(array.nbytes for array in (self.embedding, self.tokens) if array is not None)
        return arrays + len(self.caption) + 200

    def checked(self, dim: int, seq: int) -> Entry:
        """The entry as it is stored: with its number, an id, and contiguous arrays.

        Raises:
            StoreError: a field is not what it should be; the message names it.
        """
        name = f"entry '{self.id}'" if self.id else "entry"
        embedding = np.ascontiguousarray(self.embedding, dtype=np.float32)
        if embedding.shape != (dim,):
            raise StoreError(f"{name}: embedding has the shape {list(embedding.shape)}; this store's is [{dim}]")
        if not np.isfinite(embedding).all() or not embedding.any():
            raise StoreError(f"{name}: embedding is zero or not finite, so it is like nothing; leave the entry out")
        if not (math.isfinite(self.t0) and math.isfinite(self.t1) and self.t0 <= self.t1):
            raise StoreError(f"{name}: t0 {self.t0} and t1 {self.t1} are no span of time in seconds")
        if self.pose is not None and not all(map(math.isfinite, _numbers(self.pose))):
            raise StoreError(f"{name}: pose is not finite")
        tokens = self.tokens
        if tokens is not None:
            tokens = np.ascontiguousarray(tokens)
            if tokens.ndim != 2 or tokens.dtype.name not in TOKEN_TYPES:
                raise StoreError(f"{name}: tokens are {tokens.dtype} {list(tokens.shape)}; float16 or float32 [N, W]")
        return replace(self, embedding=embedding, tokens=tokens, id=self.id or uuid.uuid4().hex, seq=seq)


def meta_of(entry: Entry) -> str:
    """All but its arrays, its number and why it is retired, as JSON.

    Raises:
        StoreError: its provenance is nothing that JSON holds.
    """
    meta = {
        "id": entry.id,
        "t": [entry.t0, entry.t1],
        "caption": entry.caption,
        "pose": _numbers(entry.pose) if entry.pose else None,
        "room": entry.room,
        "instances": entry.instance_ids,
        "kind": entry.kind,
        "importance": entry.importance,
        "provenance": entry.provenance,
        "parents": entry.parents,
        "tokens": [*entry.tokens.shape, entry.tokens.dtype.name] if entry.tokens is not None else None,
    }
    try:
        return json.dumps(meta, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise StoreError(f"entry '{entry.id}': provenance is nothing that JSON holds ({error})") from error


def from_meta(meta: str | bytes, seq: int, retired: str, embedding: np.ndarray | None, tokens: bytes | None) -> Entry:
    """The entry that `meta_of` described; `tokens` as in memory."""
    have = json.loads(meta)
    array = None
    if tokens is not None and have["tokens"] is not None:
        rows, width, kind = have["tokens"]
        array = np.frombuffer(tokens, kind).reshape(rows, width)
    return Entry(
        embedding=embedding,
        t0=have["t"][0],
        t1=have["t"][1],
        id=have["id"],
        caption=have["caption"],
        pose=Pose(*have["pose"]) if have["pose"] else None,
        room=have["room"],
        instance_ids=tuple(have["instances"]),
        tokens=array,
        kind=have["kind"],
        importance=have["importance"],
        provenance=have["provenance"],
        parents=tuple(have["parents"]),
        retired=retired,
        seq=seq,
    )


def to_bytes(entry: Entry) -> bytes:
    """The entry as the journal keeps it: lengths of meta, retired and embedding (4 bytes each, little-endian), then
    these and the tokens."""
    assert entry.embedding is not None
    parts = [meta_of(entry).encode(), entry.retired.encode(), entry.embedding.tobytes()]
    tokens = entry.tokens.tobytes() if entry.tokens is not None else b""
    return b"".join((*(len(part).to_bytes(4, "little") for part in parts), *parts, tokens))


def from_bytes(data: bytes, seq: int) -> Entry:
    """The entry that `to_bytes` wrote."""
    parts, start = [], 12
    for place in range(0, 12, 4):
        end = start + int.from_bytes(data[place : place + 4], "little")
        parts.append(data[start:end])
        start = end
    return from_meta(parts[0], seq, parts[1].decode(), np.frombuffer(parts[2], np.float32), data[start:])


def _numbers(pose: Pose) -> tuple[float, float, float, float]:
    return pose.x_m, pose.y_m, pose.z_m, pose.yaw_rad
