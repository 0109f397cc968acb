"""What a robot remembers, on disk: the long-term store with the pictures beside it; no ROS in here.

    ROOT/CURRENT.json            which of the stores below is the memory
    ROOT/memory_000001/store     memory_bank.long_term: vectors, poses, times, captions
    ROOT/memory_000001/frames    a JPEG for each entry

Clearing and loading begin a new store and then name it in CURRENT.json, so that a crash leaves the one or the other.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import batched
from pathlib import Path

import numpy as np

from embodied.files import replacing_folder, write_atomically
from memory_bank.long_term import Entry, Hit, LongTermStore, Query, StoreConfig, StoreError

_CURRENT = "CURRENT.json"
_COPIED_AT_ONCE = 500
_CONFIG = StoreConfig(fold_entries=32_768, fold_bytes=256 << 20)
"""So many entries are searched one by one in a few milliseconds, and read at start without importing LanceDB."""


class Memory:
    """Entries and their pictures. One process a folder.

    Args:
        root: its folder; made if it is not there.
        dim: length of the vectors.

    Raises:
        StoreError: another process has it, or it is damaged.
        FileError: the folder cannot be written.
    """

    def __init__(self, root: Path, dim: int) -> None:
        self._root, self._dim = root, dim
        name = self._current()
        if name is None:
            name = "memory_000001"
            self._open(name)
            self._point_at(name)
        else:
            self._open(name)
        for other in root.glob("memory_*"):  # of a clearing or a loading that a crash cut off
            if other.name != name:
                shutil.rmtree(other, ignore_errors=True)

    @property
    def recovery(self) -> list[str]:
        """What opening had to drop or mend."""
        return self._store.recovery

    def __len__(self) -> int:
        return len(self._store)

    def add(self, entry: Entry, picture: np.ndarray, quality: int = 85) -> Entry:
        """Stores an entry and its picture (uint8 [H, W, 3] RGB); when it returns both are stored for good.

        Raises:
            StoreError, FileError: it could not be stored, and is not.
        """
        from PIL import Image

        entry = replace(entry, id=entry.id or uuid.uuid4().hex)
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
        path = self._frames / f"{entry.id}.jpg"
        with open(path, "wb") as file:  # a name of its own, and nothing speaks of it before the entry does
            file.write(buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())
        return self._store.append(entry)[0]

    def query(self, query: Query) -> list[Hit]:
        """See `LongTermStore.query`. Raises StoreError."""
        return self._store.query(query)

    def page(self, offset: int, limit: int) -> list[Entry]:
        """Entries from number `offset` on, oldest first."""
        hits = self._store.query(Query(k=max(1, len(self._store))))
        return [hit.entry for hit in reversed(hits)][offset : offset + limit]

    def jpeg(self, id: str) -> bytes:
        """The picture of an entry; empty if it has none."""
        try:
            return (self._frames / f"{id}.jpg").read_bytes()
        except OSError:
            return b""

    def clear(self) -> int:
        """Forgets everything, for good; how many entries that were."""
        forgotten = len(self)
        self._begin_with(())
        return forgotten

    def save(self, folder: Path) -> int:
        """Writes all of it to a folder that does not exist yet, whole or not at all; how many entries.

        Raises:
            StoreError: the folder exists.
            FileError: it cannot be written.
        """
        if folder.exists():
            raise StoreError(f"{folder} exists: save to a new folder")
        with replacing_folder(folder) as draft:
            return _copy(self._store.scan(), self._frames, draft, self._dim)

    def load(self, folder: Path) -> int:
        """Takes what `save` wrote in the place of all that is remembered; how many entries.

        Raises:
            StoreError: there is no saved memory, or it is of another kind. What is remembered stays.
        """
        if not (folder / "store").is_dir():
            raise StoreError(f"no saved memory at {folder}")
        with LongTermStore.open(folder / "store", read_only=True) as saved:
            if saved.dim != self._dim:
                raise StoreError(f"the memory at {folder} has vectors of {saved.dim} numbers, this one of {self._dim}")
            return self._begin_with(saved.scan(), folder / "frames")

    def close(self) -> None:
        self._store.close()

    # -- the folder ----------------------------------------------------------------------------------------------

    def _current(self) -> str | None:
        try:
            return str(json.loads((self._root / _CURRENT).read_text(encoding="utf-8"))["memory"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self._root / _CURRENT} is damaged ({error}): write the newest memory_* there"
            ) from error

    def _point_at(self, name: str) -> None:
        write_atomically(self._root / _CURRENT, json.dumps({"memory": name}) + "\n")
        self._name = name

    def _open(self, name: str) -> None:
        self._frames = self._root / name / "frames"
        self._frames.mkdir(parents=True, exist_ok=True)
        self._store = LongTermStore.open(self._root / name / "store", self._dim, config=_CONFIG)

    def _begin_with(self, entries: Iterator[Entry] | Sequence[Entry], frames: Path | None = None) -> int:
        name = f"memory_{int(self._name.rpartition('_')[2]) + 1:06d}"
        shutil.rmtree(self._root / name, ignore_errors=True)
        (self._root / name).mkdir(parents=True)
        count = _copy(entries, frames, self._root / name, self._dim)
        old = self._root / self._name
        self._store.close()
        self._open(name)
        self._point_at(name)
        shutil.rmtree(old, ignore_errors=True)
        return count


def _copy(entries: Iterator[Entry] | Sequence[Entry], frames: Path | None, into: Path, dim: int) -> int:
    """Writes a store and its pictures into a folder that nobody reads yet; how many entries are in use there."""
    (into / "frames").mkdir(parents=True, exist_ok=True)
    with LongTermStore.open(into / "store", dim, config=_CONFIG) as store:
        for some in batched((entry for entry in entries if entry.active), _COPIED_AT_ONCE):
            for entry in some:
                if frames is not None:
                    with contextlib.suppress(FileNotFoundError):
                        shutil.copyfile(frames / f"{entry.id}.jpg", into / "frames" / f"{entry.id}.jpg")
            store.append(list(some))
        return len(store)
