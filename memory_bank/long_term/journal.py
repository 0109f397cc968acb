"""The journal: an append-only log whose records are on the disk before an append returns.

A folder of segments, 000000001.log and so on. A record is

    magic "EnRc" | length u32 | kind u8 | seq u64 | crc32 u32 of kind, seq and payload | payload      (little-endian)

A crash can leave an unfinished record at the very end of the last segment only: it was never acknowledged, and opening
drops it. A record that cannot be read anywhere else is damage, and opening says so.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from memory_bank.long_term.errors import StoreError

_MAGIC = b"EnRc"
_HEAD = struct.Struct("<4sIBQI")

PUT = 1
"""The payload is an entry."""
RETIRE = 2
"""The payload is JSON: {"ids": [...], "reason": "..."}; an empty reason takes them into use again."""


class Record(NamedTuple):
    kind: int
    seq: int
    payload: bytes

    def framed(self) -> bytes:
        body = struct.pack("<BQ", self.kind, self.seq)
        check = zlib.crc32(self.payload, zlib.crc32(body))
        return _HEAD.pack(_MAGIC, len(self.payload), self.kind, self.seq, check) + self.payload


def segments(folder: Path) -> list[int]:
    """The numbers of the segments in the folder, ascending."""
    return sorted(int(path.stem) for path in folder.glob("*.log"))


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:09d}.log"


def read(path: Path, start: int = 0) -> Iterator[tuple[Record, int]]:
    """The records from byte `start` on, each with the byte where it ends, up to the first that is not whole."""
    with open(path, "rb") as file:
        file.seek(start)
        while True:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            magic, length, kind, seq, check = _HEAD.unpack(head)
            if magic != _MAGIC:
                return
            payload = file.read(length)
            if len(payload) < length:
                return
            if zlib.crc32(payload, zlib.crc32(struct.pack("<BQ", kind, seq))) != check:
                return
            start += _HEAD.size + length
            yield Record(kind, seq, payload), start


def next_record(path: Path, start: int) -> int | None:
    """Where the first whole record behind byte `start` begins; None: what is at `start` is a torn end."""
    data = path.read_bytes()
    at = data.find(_MAGIC, start + 1)
    while at >= 0 and next(read(path, at), None) is None:
        at = data.find(_MAGIC, at + 1)
    return at if at >= 0 else None


class Journal:
    """The open segment of a store's only writer."""

    def __init__(self, folder: Path, number: int) -> None:
        """Opens segment `number` to append to, or begins it."""
        self.folder = folder
        self.number = number
        self._written_lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        path = segment_path(self.folder, self.number)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        sync_folder(self.folder)
        self._written = self._synced = os.fstat(self._file).st_size
        self._failed: str | None = None

    def write(self, records: list[Record]) -> int:
        """Hands records to the system, whole or not at all, and tells up to where to `sync`.

        Raises:
            StoreError: they could not be written (a full disk); what was there before is unchanged.
        """
        data = memoryview(b"".join(record.framed() for record in records))
        with self._written_lock:
            if self._failed:
                raise StoreError(self._failed)
            at = 0
            try:
                while at < len(data):
                    at += os.write(self._file, data[at:])
            except OSError as error:
                self._take_back(self._written, error)
                raise StoreError(
                    f"cannot write {segment_path(self.folder, self.number)}: {error.strerror}. Nothing of this append "
                    "is stored; what was acknowledged before is safe. Free some space, then append it again"
                ) from error
            self._written += len(data)
            return self._written

    def _take_back(self, size: int, cause: OSError) -> None:
        try:
            os.ftruncate(self._file, size)
        except OSError:
            self._failed = (
                f"the journal in {self.folder} could not be written ({cause.strerror}), nor cut back to what was "
                "acknowledged: open the store again"
            )

    def sync(self, number: int, written: int) -> None:
        """Returns when the first `written` bytes of that segment are on the disk. One sync serves all who wait.

        Raises:
            StoreError: the system could not do it. Whether the records survive is not known, so that the journal
                takes no more until the store is opened again.
        """
        with self._sync_lock:
            if self._failed:
                raise StoreError(self._failed)
            if number < self.number or self._synced >= written:  # ending a segment syncs it
                return
            upto = self._written
            try:
                os.fdatasync(self._file)
            except OSError as error:
                self._failed = (
                    f"cannot bring {segment_path(self.folder, self.number)} onto the disk ({error.strerror}): this "
                    "append is not acknowledged. Free some space or see to the disk, then open the store again"
                )
                raise StoreError(self._failed) from error
            self._synced = upto

    def rotate(self) -> int:
        """Ends the segment and begins the next; gives the ended one's number. No `write` may be under way."""
        self.sync(self.number, self._written)
        with self._sync_lock:
            os.close(self._file)
            self.number += 1
            self._open()
        return self.number - 1

    @property
    def empty(self) -> bool:
        return self._written == 0

    def close(self) -> None:
        os.close(self._file)


def cut(path: Path, end: int) -> int:
    """Drops what follows byte `end`, an unfinished record; gives the number of bytes dropped."""
    extra = path.stat().st_size - end
    if extra > 0:
        with open(path, "r+b") as file:
            file.truncate(end)
            os.fsync(file.fileno())
    return extra


def sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
