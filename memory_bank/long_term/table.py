"""The part of a store that is indexed: a LanceDB table, in a folder or behind a URI.

Lance writes a new version of a table by adding files and naming them in a manifest, but brings none of them onto the
disk: after a power failure its newest manifest can be empty, and the table does not open. So the store notes which
version is complete (store.py) only when `persist` has synced every file, and `open` drops what lies beyond it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from memory_bank.long_term.entry import Entry, from_meta, meta_of
from memory_bank.long_term.errors import StoreDamaged, StoreError
from memory_bank.long_term.journal import sync_folder
from memory_bank.long_term.query import Query, quoted, words_of

NAME = "entries"
INDEX_FROM_ROWS = 8192
"""Below, every vector is compared."""
PARTITION_ROWS = 2048
PROBES = 8
"""Partitions that a query looks into."""
REFINE = 2
"""k times as many candidates by their quantised vectors are compared again by the true ones."""
MAX_DELTAS = 5
"""Parts of the vector index, of which every fold adds one and each costs a query about a millisecond, before it is made
anew."""
MATCHES = 1024
"""Entries with a query's words that are looked at, by BM25."""

_META = ["seq", "retired", "meta"]
"""What an entry is made of without its arrays. One column of JSON: every column that is fetched costs a query time."""
_ALL = [*_META, "embedding", "tokens"]
_LAST = 2**64 - 1
"""A manifest is named by this minus its version."""


class Table:
    """All entries but the newest. Queries see the version that `pin` fixed last, whatever is being written."""

    def __init__(self, uri: str, dim: int, cache_bytes: int, options: Mapping[str, Any] | None = None) -> None:
        """
        Args:
            uri: a folder, or what LanceDB connects to: s3://BUCKET/PATH, gs://, az://, db://NAME.
            dim: length of the embeddings.
            cache_bytes: of indices in memory, at most.
            options: storage options or credentials, passed to LanceDB.
        """
        import lancedb  # seconds to import, and small stores never need it

        self.uri, self.dim = uri, dim
        self.local = "://" not in uri
        if uri.startswith("db://"):
            self._db = lancedb.connect(uri, **dict(options or {}))
        else:
            session = lancedb.Session(index_cache_size_bytes=cache_bytes, metadata_cache_size_bytes=cache_bytes // 8)
            self._db = lancedb.connect(uri, session=session, storage_options=dict(options) if options else None)
        self._writer: Any = None
        self._reader: Any = None
        self.rows = 0
        self.retired = 0
        self._indexed = False
        self._worded = False

    # Opening

    def create(self) -> None:
        """Begins an empty table."""
        self._writer = self._db.create_table(NAME, schema=_schema(self.dim))

    def open(self, version: int | None = None, write: bool = True) -> None:
        """Opens the table to read at `version` (None: the newest) and, with `write`, to go on from there: what is later
        is of a crash in the middle of writing.

        Raises:
            StoreDamaged: Lance cannot read it.
        """
        if write and version is not None:
            try:
                self._writer = self._db.open_table(NAME)
            except Exception:  # the newest manifest is empty or torn, which a power failure leaves
                rewind(Path(self.uri), version)
        with self._lance():
            if write:
                self._writer = self._db.open_table(NAME)
                if version is not None and self._writer.version > version:
                    self._writer.checkout(version)
                    self._writer.restore()  # as a new version: readers may have seen the number of the abandoned one
            self.pin(version)

    @property
    def exists(self) -> bool:
        return NAME in self._db.table_names()

    def pin(self, version: int | None = None) -> None:
        """Lets queries see that version, the newest if None."""
        with self._lance():
            reader = self._db.open_table(NAME)
            if version is not None:
                reader.checkout(version)
            rows, retired = reader.count_rows(), reader.count_rows("NOT active")
            indexed = {column for index in reader.list_indices() for column in index.columns}
            self._indexed, self._worded = "embedding" in indexed, "words" in indexed
            self.rows, self.retired = rows, retired
            self._reader = reader  # last: a query that is under way may filter in vain, but not too little

    @property
    def version(self) -> int:
        """The version last written."""
        return self._writer.version

    @contextlib.contextmanager
    def _lance(self) -> Iterator[None]:
        """Turns what Lance raises into one clear line."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            line = " ".join(str(error).split())
            if "No space left" in line or "os error 28" in line or "File too large" in line:
                raise StoreError(
                    f"cannot write the table at {self.uri}: the disk is full. What was acknowledged is safe in the "
                    "journal; free some space"
                ) from error
            raise StoreDamaged(
                f"the table at {self.uri} cannot be used ({line[:300]}): `embodied memory repair STORE` makes it anew "
                "from the journal, where that was kept"
            ) from error

    # Writing

    def add(self, entries: Iterable[Entry]) -> None:
        with self._lance():
            self._writer.add(_to_arrow(list(entries), self.dim))

    def retire(self, reasons: Mapping[str, str]) -> None:
        """Sets why entries are retired, by id."""
        import pyarrow as pa

        rows = pa.table({"id": list(reasons), "retired": list(reasons.values()), "active": [False] * len(reasons)})
        with self._lance():
            self._writer.merge_insert("id").when_matched_update_all().execute(rows)

    def purge(self) -> None:
        """Deletes the retired entries for good."""
        with self._lance():
            self._writer.delete("NOT active")

    def maintain(self, keep_s: float, anew: bool = False) -> None:
        """Brings the indices up to what was added, merges small files, drops old versions.

        Args:
            keep_s: age in seconds from which files of earlier versions go.
            anew: make the vector index anew, over all rows.
        """
        from lancedb.index import FTS, Bitmap, BTree

        with self._lance():
            have = {index.name: index for index in self._writer.list_indices()}
            if not have and self._writer.count_rows() > 0:
                for column in ("seq", "id", "t1", "x"):
                    self._writer.create_index(column, config=BTree())
                for column in ("room", "active"):
                    self._writer.create_index(column, config=Bitmap())
                words = FTS(base_tokenizer="whitespace", stem=False, remove_stop_words=False, ascii_folding=False)
                self._writer.create_index("words", config=words)
            elif have:
                self._writer.optimize(cleanup_older_than=timedelta(seconds=keep_s))
            rows = self._writer.count_rows()
            vectors = have.get("embedding_idx")
            if rows >= INDEX_FROM_ROWS and (anew or vectors is None or vectors.num_segments >= MAX_DELTAS):
                self._index_vectors(rows)

    def _index_vectors(self, rows: int) -> None:
        from lancedb.index import IvfSq

        partitions = max(1, rows // PARTITION_ROWS)
        config = IvfSq(distance_type="cosine", num_partitions=partitions, sample_rate=64, max_iterations=12)
        self._writer.create_index("embedding", config=config, replace=True)

    def persist(self, known: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
        """Brings every file onto the disk that is not `known` to be; gives all, as path: [bytes, crc32]."""
        root = Path(self.uri)
        files: dict[str, list[int]] = {}
        for folder, _, names in os.walk(root):
            fresh = False
            for name in names:
                if name == "latest_version_hint.json":  # rewritten in place; only a hint
                    continue
                path = Path(folder) / name
                key = str(path.relative_to(root))
                if key in known:
                    files[key] = list(known[key])
                    continue
                fresh = True
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
                    files[key] = [path.stat().st_size, checksum(path)]
            if fresh:
                sync_folder(Path(folder))
        sync_folder(root)
        return files

    # Reading

    def nearest(self, query: Query, vector: np.ndarray, count: int) -> list[Any]:
        """Up to `count` (entry, cosine similarity) by the index."""
        with self._lance():
            found = self._reader.search(vector, vector_column_name="embedding").distance_type("cosine").limit(count)
            if self._indexed:
                found = found.nprobes(PROBES).refine_factor(REFINE)
            condition = self._condition(query)
            if condition:
                found = found.where(condition, prefilter=True)
            rows = found.select([*_META, "_distance"]).to_arrow()
        return list(zip(_from_arrow(rows), (1.0 - rows["_distance"].to_numpy()).tolist(), strict=True))

    def with_words(self, query: Query, words: Sequence[str], count: int) -> list[Entry]:
        """Up to `count` entries whose captions hold the most of the words, the newest first among equals; of the first
        `MATCHES` by BM25."""
        if not self._worded:
            return []
        from lancedb.query import MatchQuery

        matching = MatchQuery(" ".join(words), "words")  # type: ignore[call-arg]  # the rest has defaults
        with self._lance():
            found = self._reader.search(matching, query_type="fts")
            condition = self._condition(query)
            if condition:
                found = found.where(condition, prefilter=True)
            rows = found.limit(max(MATCHES, count)).select(["seq", "t1", "words", "_score"]).to_arrow()
            shared = [len(set(words) & set(text.split())) for text in rows["words"].to_pylist()]
            seq = rows["seq"].to_numpy()
            order = np.lexsort((-seq, -rows["t1"].to_numpy(), -np.array(shared)))
            return self.rows_of(seq[order[:count]].tolist())

    def ordered(self, query: Query, count: int) -> list[Entry]:
        """Up to `count` entries that meet the conditions: the nearest to the place, else the newest."""
        with self._lance():
            found = self._reader.search().limit(max(1, self._reader.count_rows()))
            condition = self._condition(query)
            if condition:
                found = found.where(condition)
            columns = found.select(["seq", "t1", "x", "y", "z"]).to_arrow()
            seq = columns["seq"].to_numpy()
            if query.place is not None:
                xyz = np.stack([columns[name].to_numpy() for name in "xyz"], axis=1)
                order = np.lexsort((-seq, np.linalg.norm(xyz - np.array(query.place[:3]), axis=1)))
            else:
                order = np.lexsort((-seq, -columns["t1"].to_numpy()))
            return self.rows_of(seq[order[:count]].tolist())

    def rows_of(self, seqs: Sequence[int]) -> list[Entry]:
        """The entries of those numbers, in that order, without embeddings and tokens."""
        if not seqs:
            return []
        found = self._reader.search().where(_in("seq", seqs)).limit(len(seqs)).select(_META)
        place = {seq: i for i, seq in enumerate(seqs)}
        return sorted(_from_arrow(found.to_arrow()), key=lambda entry: place[entry.seq])

    def get(self, ids: Sequence[str]) -> list[Entry]:
        """The entries of those ids, whole; those it has."""
        if not ids:
            return []
        with self._lance():
            found = self._reader.search().where(_in("id", ids)).limit(len(ids)).select(_ALL)
            return _from_arrow(found.to_arrow())

    def known(self, ids: Sequence[str]) -> set[str]:
        """Which of the ids it has."""
        if not ids:
            return set()
        with self._lance():
            found = self._reader.search().where(_in("id", ids)).limit(len(ids)).select(["id"]).to_arrow()
        return set(found["id"].to_pylist())

    @property
    def width(self) -> int:
        """Length of the embeddings that it was made for."""
        return self._reader.schema.field("embedding").type.list_size

    def last_seq(self) -> int:
        """The highest number that is in it, -1 if it is empty."""
        with self._lance():
            found = self._reader.search().limit(max(1, self.rows)).select(["seq"]).to_arrow()["seq"].to_numpy()
        return int(found.max()) if len(found) else -1

    def count(self, query: Query) -> int:
        """How many entries meet the query's conditions."""
        with self._lance():
            return self._reader.count_rows(self._condition(query) or None)

    def batches(self, size: int = 1024) -> Iterator[list[Entry]]:
        """All entries, whole, in the order of writing."""
        with self._lance():
            seqs = np.sort(self._reader.search().limit(max(1, self.rows)).select(["seq"]).to_arrow()["seq"].to_numpy())
        for start in range(0, len(seqs), size):
            first, last = seqs[start], seqs[min(start + size, len(seqs)) - 1]
            with self._lance():
                found = self._reader.search().where(f"seq >= {first} AND seq <= {last}").limit(size).select(_ALL)
                rows = found.to_arrow()
            yield sorted(_from_arrow(rows), key=lambda entry: entry.seq)

    def _condition(self, query: Query) -> str:
        condition = query.sql()
        return "" if condition == "(active)" and not self.retired else condition  # where all are, a filter only costs


def rewind(root: Path, version: int) -> int:
    """Removes the manifests after `version` from the table's folder; gives how many there were."""
    dropped = 0
    folder = root / f"{NAME}.lance" / "_versions"
    for path in folder.glob("*.manifest"):
        number = int(path.stem) if path.stem.isdigit() else -1
        if number >= 0 and (_LAST - number if number > _LAST // 2 else number) > version:
            path.unlink()
            dropped += 1
    if dropped:
        (folder / "latest_version_hint.json").unlink(missing_ok=True)
        sync_folder(folder)
    return dropped


def drop(root: Path) -> None:
    """Removes a table's folder."""
    if root.exists():
        shutil.rmtree(root)


def checksum(path: Path) -> int:
    """crc32 of a file."""
    check = 0
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            check = zlib.crc32(part, check)
    return check


def _in(column: str, values: Sequence[Any]) -> str:
    return f"{column} IN ({', '.join(quoted(value) if isinstance(value, str) else str(value) for value in values)})"


def _schema(dim: int) -> Any:
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    return pa.schema(
        [
            ("seq", pa.int64()),
            ("id", text),
            ("t0", number),
            ("t1", number),
            ("x", number),
            ("y", number),
            ("z", number),
            ("room", text),
            ("kind", text),
            ("instances", pa.list_(text)),
            ("words", text),
            ("retired", text),
            ("active", pa.bool_()),
            ("meta", text),
            ("embedding", pa.list_(pa.float32(), dim)),
            ("tokens", pa.large_binary()),
        ]
    )


def _to_arrow(entries: list[Entry], dim: int) -> Any:
    import pyarrow as pa

    def poses(name: str) -> list[float | None]:
        return [getattr(entry.pose, name) if entry.pose else None for entry in entries]

    embeddings = np.concatenate([entry.embedding for entry in entries]) if entries else np.empty(0, np.float32)
    columns = {
        "seq": [entry.seq for entry in entries],
        "id": [entry.id for entry in entries],
        "t0": [entry.t0 for entry in entries],
        "t1": [entry.t1 for entry in entries],
        "x": poses("x_m"),
        "y": poses("y_m"),
        "z": poses("z_m"),
        "room": [entry.room for entry in entries],
        "kind": [entry.kind for entry in entries],
        "instances": [list(entry.instance_ids) for entry in entries],
        "words": [" ".join(words_of(entry.caption)) for entry in entries],
        "retired": [entry.retired for entry in entries],
        "active": [entry.active for entry in entries],
        "meta": [meta_of(entry) for entry in entries],
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(embeddings), dim),
        "tokens": [None if entry.tokens is None else entry.tokens.tobytes() for entry in entries],
    }
    return pa.table(columns, schema=_schema(dim))


def _from_arrow(rows: Any) -> list[Entry]:
    metas, seqs, retired = (rows[name].to_pylist() for name in ("meta", "seq", "retired"))
    if "embedding" not in rows.column_names:
        return [from_meta(*row, None, None) for row in zip(metas, seqs, retired, strict=True)]
    embeddings = rows["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1)
    tokens = rows["tokens"].to_pylist()
    return [from_meta(*row) for row in zip(metas, seqs, retired, embeddings, tokens, strict=True)]
