"""The long-term store in a folder: one writer, many readers, and nothing acknowledged is ever lost.

STORE/store.json        format, version, length of the embeddings, what they are of
STORE/lock              held by the writer
STORE/journal/*.log     every entry ever written (journal.py); with `keep_journal` also after it has gone to the table
STORE/table/            the table (table.py)
STORE/CURRENT.json      which version of the table is complete, and the first segment of the journal that is not in it

append    journal written and synced -> returns              (the tail in memory has it too)
fold      when the tail is long: segment ended -> table written, indexed, every file synced -> CURRENT.json replaced
          -> queries move to the new version, the tail forgets what is in it
open      the table at CURRENT.json's version, what a crash left beyond it dropped; then the journal from that segment
          on, an unfinished record at its end dropped
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embodied.files import FileError, write_atomically
from memory_bank.long_term import journal as log
from memory_bank.long_term.base import EmbedText, Store
from memory_bank.long_term.entry import Entry, from_bytes, to_bytes
from memory_bank.long_term.errors import StoreDamaged, StoreError
from memory_bank.long_term.journal import Journal, Record
from memory_bank.long_term.table import Table, checksum, drop
from memory_bank.long_term.tail import Tail

FORMAT = "engram long-term store"
VERSION = 1
_RETRY_S = 5.0
"""After a fold that failed."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoreConfig:
    """How a store in a folder is kept."""

    fold_entries: int = 8192
    """Entries in the tail before they go to the table; a larger table lets it grow to a 64th of itself."""
    fold_bytes: int = 64 << 20
    """The same, bytes."""
    cache_bytes: int = 1 << 30
    """Of indices in memory, at most."""
    keep_journal: bool = True
    """Keep what is in the table in the journal as well, so that a damaged table can be made anew: twice the disk."""
    keep_versions_s: float = 120.0
    """How long files of earlier versions of the table stay, for readers in the middle of a query."""
    background: bool = True
    """Fold in a thread; otherwise in the append that fills the tail."""


@dataclass
class _Current:
    table_version: int | None
    """None: there is no table yet."""
    segment: int
    """The first that is not in the table."""
    seq: int
    """The last record that is in the table."""
    began_s: float
    """When that version began to be written, seconds of the system's clock."""
    files: dict[str, list[int]]
    """[bytes, crc32] of the table's files, by path."""


class LongTermStore(Store):
    """A store in a folder. Open it with `LongTermStore.open`, and close it, or use it in a `with` block."""

    recovery: list[str]
    """What opening had to drop or mend, a line each; empty after an orderly end."""

    @classmethod
    def open(
        cls,
        path: Path | str,
        dim: int | None = None,
        *,
        space: str | None = None,
        read_only: bool = False,
        embed_text: EmbedText | None = None,
        config: StoreConfig | None = None,
        skip_damaged: bool = False,
    ) -> LongTermStore:
        """Opens a store, or begins one.

        Args:
            path: its folder.
            dim: length of the embeddings; None: as it is. Needed to begin one.
            space: what the embeddings are of, such as the name of an encoder; None: as it is.
            read_only: no lock, no writing; every query sees what the writer has written by then.
            embed_text: makes vectors of query texts, in the space of the embeddings.
            config: how it is kept.
            skip_damaged: go on without records of the journal that cannot be read; `recovery` tells which.

        Raises:
            StoreError: no store there and none can be begun; another one writes it; or dim is another.
            StoreDamaged: a file is not what was written; the message says how to go on.
        """
        path = Path(path)
        head = path / "store.json"
        if not head.exists():
            if read_only or dim is None:
                raise StoreError(f"no store at {path}" + ("" if read_only else ": give dim to begin one"))
            if dim < 1:
                raise StoreError(f"dim is {dim}; an embedding has at least one number")
            (path / "journal").mkdir(parents=True, exist_ok=True)
            _write(head, json.dumps({"format": FORMAT, "version": VERSION, "dim": dim, "space": space or ""}))
        try:
            header = json.loads(head.read_text())
            form, version, have = header["format"], header["version"], int(header["dim"])
            of = str(header.get("space", ""))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreDamaged(f"{head} is damaged: put it back from a copy, or write it anew") from error
        if form != FORMAT or version != VERSION:
            raise StoreError(f"{head} is of format '{form}' {version}; this Engram reads '{FORMAT}' {VERSION}")
        if dim is not None and dim != have:
            raise StoreError(f"the store at {path} is for embeddings of length {have}, not {dim}")
        if space is not None and space != of:
            raise StoreError(f"the store at {path} is of embeddings '{of}', not '{space}'")
        return cls(path, have, of, read_only, embed_text, config or StoreConfig(), skip_damaged)

    def __init__(
        self,
        path: Path,
        dim: int,
        space: str,
        read_only: bool,
        embed_text: EmbedText | None,
        config: StoreConfig,
        skip_damaged: bool,
    ) -> None:
        super().__init__(dim, embed_text)
        self.path, self.space, self.read_only, self.config = path, space, read_only, config
        self.recovery = []
        self._skip_damaged = skip_damaged
        self._seen: tuple[int, int] | None = None
        self._at: dict[int, int] = {}
        self._journal: Journal | None = None
        self._folder: threading.Thread | None = None
        self._fold_lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._failure: Exception | None = None
        self._failed_at = 0.0
        self._unclean = False
        if read_only:
            self._current = _Current(None, 1, -1, 0.0, {})
            self._seq = -1
            self._refresh()
            return
        self._lock_file = _lock(path)
        try:
            self._open_to_write()
        except BaseException:
            os.close(self._lock_file)
            raise
        if config.background:
            self._folder = threading.Thread(target=self._fold_when_woken, name="memory-fold", daemon=True)
            self._folder.start()

    @property
    def name(self) -> str:
        return str(self.path)

    # Opening

    def _open_to_write(self) -> None:
        self._current = self._read_current()
        self._seq = self._current.seq
        if self._current.table_version is None:
            drop(self.path / "table")  # of a fold that did not end
        else:
            self._look_at_files()
            self._table = self._make_table()
            self._table.open(self._current.table_version)
        folder = self.path / "journal"
        live = self._live_segments()
        for number in live:
            self._replay(number)
            if self._is_long():
                if number == live[-1]:  # what is in the table must not be appended to
                    self._journal = Journal(folder, number)
                    self._journal.rotate()
                self._fold_through(number, self._seq)
        if self._journal is None:
            self._journal = Journal(folder, live[-1] if live else self._current.segment)
        for line in self.recovery:
            _logger.warning("%s: %s", self.path, line)

    def _live_segments(self) -> list[int]:
        numbers = [number for number in log.segments(self.path / "journal") if number >= self._current.segment]
        expected = list(range(self._current.segment, self._current.segment + len(numbers)))
        if numbers != expected:
            missing = next(number for number in expected if number not in numbers)
            raise StoreDamaged(
                f"{log.segment_path(self.path / 'journal', missing)} is missing: put it back from a copy; without it "
                "entries that were acknowledged are lost"
            )
        return numbers

    def _replay(self, number: int) -> None:
        """Reads a segment into the tail and mends its end."""
        path = log.segment_path(self.path / "journal", number)
        end = 0
        while True:
            for record, after in log.read(path, end):
                self._take(record)
                end = after
            self._at[number] = end
            extra = path.stat().st_size - end
            if extra == 0 or self.read_only:
                return
            further = log.next_record(path, end)
            if further is None and number == self._live_segments()[-1]:
                log.cut(path, end)
                self.recovery.append(
                    f"{path.name}: dropped {extra} bytes of an unfinished record at the end, never acknowledged"
                )
                return
            if not self._skip_damaged:
                raise StoreDamaged(
                    f"{path} is damaged at byte {end}: put the file back from a copy, or open the store with "
                    "skip_damaged=True (embodied memory repair --skip-damaged) to go on without what cannot be read"
                )
            lost = (path.stat().st_size if further is None else further) - end
            self.recovery.append(f"{path.name}: {lost} bytes at {end} cannot be read and were left out")
            if further is None:
                return
            end = further

    def _take(self, record: Record) -> None:
        if record.kind == log.PUT:
            self._tail.add(from_bytes(record.payload, record.seq))
        else:
            change = json.loads(record.payload)
            for id in change["ids"]:
                self._tail.retire(id, change["reason"], record.seq)
        self._seq = max(self._seq, record.seq)

    def _read_current(self) -> _Current:
        path = self.path / "CURRENT.json"
        try:
            return _Current(**json.loads(path.read_text()))
        except FileNotFoundError:
            if (self.path / "journal").is_dir() and 1 not in [*log.segments(self.path / "journal"), 1][:1]:
                raise StoreDamaged(f"{path} is missing: put it back from a copy") from None
            return _Current(None, 1, -1, 0.0, {})
        except (ValueError, TypeError) as error:
            raise StoreDamaged(f"{path} is damaged ({error}): `embodied memory repair {self.path}`") from error

    def _look_at_files(self) -> None:
        """Raises StoreDamaged, naming the file, where one of the table's has another size or is gone."""
        for name, (size, _) in self._current.files.items():
            path = self.path / "table" / name
            have = path.stat().st_size if path.exists() else None
            if have is None and self._has_newer_version():  # a fold that did not end may have dropped old files
                continue
            if have != size:
                raise StoreDamaged(
                    f"{path} is damaged: it has {'gone' if have is None else f'{have} bytes'}, not {size} bytes. "
                    f"`embodied memory repair {self.path}` makes the table anew from the journal"
                )

    def _has_newer_version(self) -> bool:
        known = {Path(name).name for name in self._current.files if name.endswith(".manifest")}
        return any(path.name not in known for path in (self.path / "table").glob("*/_versions/*.manifest"))

    def check(self) -> list[str]:
        """Compares every file with what was written; gives a line for each that is damaged. Reads all of them."""
        current = self._read_current()
        lines = []
        for name, (size, check) in current.files.items():
            path = self.path / "table" / name
            if not path.exists():
                if not self._has_newer_version():
                    lines.append(f"{path} is missing")
            elif path.stat().st_size != size or checksum(path) != check:
                lines.append(f"{path} is not what was written")
        numbers = log.segments(self.path / "journal")
        for number in numbers:
            path = log.segment_path(self.path / "journal", number)
            end = max((after for _, after in log.read(path)), default=0)
            whole = end == path.stat().st_size
            if not whole and (number != numbers[-1] or log.next_record(path, end) is not None):
                lines.append(f"{path} is damaged at byte {end}")
        return lines

    def _make_table(self) -> Table:
        return Table(str(self.path / "table"), self.dim, self.config.cache_bytes)

    # Writing

    def append(self, entries: Sequence[Entry] | Entry) -> list[Entry]:
        given = [entries] if isinstance(entries, Entry) else list(entries)
        if not given:
            return []
        self._fit_to_write()
        named = [entry.id for entry in given if entry.id]
        with self._lock:
            self._refuse_taken(named)
            stored = [entry.checked(self.dim, self._seq + 1 + i) for i, entry in enumerate(given)]
            records = [Record(log.PUT, entry.seq, to_bytes(entry)) for entry in stored]
            written, segment = self._write(records)
            for entry in stored:
                self._tail.add(entry)
        self._acknowledge(segment, written)
        return stored

    def _refuse_taken(self, ids: list[str]) -> None:
        if not ids:
            return
        taken = {id for id in ids if self._tail.get(id) is not None}
        if self._table is not None:
            taken |= self._table.known([id for id in ids if id not in taken])
        if len(set(ids)) < len(ids):
            taken |= {id for id in ids if ids.count(id) > 1}
        if taken:
            raise StoreError(
                f"there is an entry '{min(taken)}' already, and entries are never replaced: leave the id empty"
            )

    def retire(self, ids: Sequence[str] | str, reason: str) -> None:
        given = [ids] if isinstance(ids, str) else list(dict.fromkeys(ids))
        if not reason:
            raise StoreError("retire: say why, in `reason`")
        if not given:
            return
        self._fit_to_write()
        with self._lock:
            missing = [id for id in given if self._tail.get(id) is None]
            if missing:
                known = self._table.known(missing) if self._table is not None else set()
                for id in missing:
                    if id not in known:
                        raise StoreError(f"no entry '{id}' in {self.name}")
            payload = json.dumps({"ids": given, "reason": reason}).encode()
            written, segment = self._write([Record(log.RETIRE, self._seq + 1, payload)])
            for id in given:
                self._tail.retire(id, reason, self._seq)
        self._acknowledge(segment, written)

    def _write(self, records: list[Record]) -> tuple[int, int]:
        assert self._journal is not None
        written = self._journal.write(records)
        self._seq = records[-1].seq
        return written, self._journal.number

    def _acknowledge(self, segment: int, written: int) -> None:
        assert self._journal is not None
        self._journal.sync(segment, written)
        if not self._is_long():
            return
        if self._folder is None:
            self.fold()
        else:
            self._wake.set()

    def _fit_to_write(self) -> None:
        if self._closed or self.read_only:
            raise StoreError(f"the store at {self.path} is {'closed' if self._closed else 'open to read only'}")
        while self._is_long(times=4):  # appends outrun folding: wait for it
            if self._failure is not None and time.monotonic() - self._failed_at < _RETRY_S:
                raise StoreError(f"{self.path} takes no more entries until its table can be written: {self._failure}")
            if self._folder is None:
                return
            self._wake.set()
            time.sleep(0.01)

    def _is_long(self, times: int = 1) -> bool:
        rows = self._table.rows if self._table is not None else 0
        entries = max(self.config.fold_entries, min(rows // 64, 2 * self.config.fold_entries))
        changes = len(self._tail) + len(self._tail.retired)
        return changes >= times * entries or self._tail.size_bytes >= times * self.config.fold_bytes

    # Folding

    def _fold_when_woken(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._closed:
                return
            if self._failure is not None and time.monotonic() - self._failed_at < _RETRY_S:
                continue
            try:
                self.fold()
            except (StoreError, FileError, OSError) as error:
                _logger.warning("%s: %s", self.path, error)

    def fold(self) -> None:
        """Moves the tail to the table. Called as needed.

        Raises:
            StoreError: the table cannot be written. Nothing is lost: the entries are in the journal.
        """
        with self._fold_lock:
            assert self._journal is not None
            with self._lock:
                if not len(self._tail) and not self._tail.retired:
                    return
                ended, seq = self._journal.rotate(), self._seq
            self._fold_through(ended, seq)

    def wait(self) -> None:
        """Returns when no fold is due or under way. Raises StoreError if one fails."""
        while self._folder is not None and (self._is_long() or self._fold_lock.locked()):
            if self._failure is not None:
                raise self._failure
            self._wake.set()
            time.sleep(0.01)

    def _fold_through(self, segment: int, seq: int, anew: bool = False, purge: bool = False) -> None:
        """Brings the records up to `seq`, the last of `segment`, into the table."""
        began_s = time.time()
        with self._lock:
            entries = [entry for entry in self._tail.entries if entry.seq <= seq]
            retired = {id: reason for id, (at, reason) in self._tail.retired.items() if at <= seq}
        try:
            table = self._to_fold_into()
            self._unclean = True
            if entries:
                table.add(entries)
            if retired:
                table.retire(retired)
            if purge:
                table.purge()
            # The version that CURRENT.json names must outlive this fold, which may not come to its end.
            keep_s = max(self.config.keep_versions_s, began_s - self._current.began_s + 1.0)
            table.maintain(keep_s, anew)
            files = table.persist(self._current.files)
            current = _Current(table.version, segment + 1, seq, began_s, files)
            _write(self.path / "CURRENT.json", json.dumps(current.__dict__))
            self._unclean = False
            table.pin(current.table_version)
        except (StoreError, OSError) as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise
        with self._lock:
            self._current, self._failure = current, None
            self._table = table
            self._tail = self._tail.after(seq, {entry.id: entry.retired for entry in entries})
        if not self.config.keep_journal:
            self._drop_segments(current.segment)

    def _to_fold_into(self) -> Table:
        """The table, at the version that is known to be complete."""
        if self._table is not None and not self._unclean:
            return self._table
        table = self._make_table()
        if self._current.table_version is None:
            drop(self.path / "table")
            table.create()
        else:
            table.open(self._current.table_version)
        return table

    def _drop_segments(self, before: int) -> None:
        for number in log.segments(self.path / "journal"):
            if number < before:
                log.segment_path(self.path / "journal", number).unlink()

    def compact(self, purge: bool = False) -> None:
        """Brings everything into the table, makes its index anew; with `purge` deletes retired entries from it.

        The journal keeps purged entries, unless the store is kept without (`keep_journal`).
        """
        if self._closed or self.read_only:
            raise StoreError(f"the store at {self.path} is {'closed' if self._closed else 'open to read only'}")
        with self._fold_lock:
            assert self._journal is not None
            with self._lock:
                if self._table is None and not len(self._tail):
                    return
                ended, seq = self._journal.rotate(), self._seq
            self._fold_through(ended, seq, anew=True, purge=purge)

    def close(self) -> None:
        """Ends it; entries in the tail stay in the journal."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        if self._folder is not None:
            self._folder.join()
        if self._journal is not None:
            self._journal.close()
        if not self.read_only:
            os.close(self._lock_file)

    # Reading along with a writer

    def _refresh(self) -> None:
        if not self.read_only:
            return
        with self._lock:
            for _ in range(10):
                try:
                    if self._caught_up():
                        return
                except FileNotFoundError:  # the writer has just dropped a segment, or CURRENT.json names a newer one
                    continue
        raise StoreError(f"the store at {self.path} changes faster than it can be read; try again")

    def _caught_up(self) -> bool:
        path = self.path / "CURRENT.json"
        try:
            status = path.stat()
            seen = (status.st_ino, status.st_mtime_ns)
        except FileNotFoundError:
            seen = None
        if seen != self._seen or not self._at:
            current = self._read_current()
            if current.table_version is not None:
                if self._table is None:
                    self._table = self._make_table()
                    self._table.open(current.table_version, write=False)
                else:
                    self._table.pin(current.table_version)
            self._current, self._seen = current, seen
            self._tail, self._at = Tail(self.dim), {current.segment: 0}
        while True:
            number = max(self._at)
            path = log.segment_path(self.path / "journal", number)
            if not path.exists():
                return number == 1 or number == self._current.segment
            for record, end in log.read(path, self._at[number]):
                self._take(record)
                self._at[number] = end
            if not log.segment_path(self.path / "journal", number + 1).exists():
                return True
            self._at[number + 1] = 0


def repair(path: Path | str, skip_damaged: bool = False) -> list[str]:
    """Makes a store's table anew from its journal; gives what had to be left out.

    Raises:
        StoreError: the journal does not go back to the beginning, so that the table cannot be made from it.
    """
    path = Path(path)
    if not (path / "store.json").exists():
        raise StoreError(f"no store at {path}")
    lock = _lock(path)
    try:
        if 1 not in log.segments(path / "journal"):
            raise StoreError(
                f"the journal of {path} does not go back to the beginning (keep_journal was off): put the damaged file "
                "back from a copy"
            )
        (path / "CURRENT.json").unlink(missing_ok=True)
        log.sync_folder(path)
        drop(path / "table")
    finally:
        os.close(lock)
    with LongTermStore.open(path, skip_damaged=skip_damaged) as store:
        if skip_damaged:
            store.fold()  # so that the next opening does not come upon the same damage
        return store.recovery


def _lock(path: Path) -> int:
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        writer = os.read(descriptor, 32).decode(errors="replace").strip()
        os.close(descriptor)
        raise StoreError(
            f"the store at {path} is being written by process {writer or '?'}: end that first, or open it read_only"
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _write(path: Path, text: str) -> None:
    write_atomically(path, text)
    log.sync_folder(path.parent)
