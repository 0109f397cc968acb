"""The same interface on a server or an object store, for fleets: what LanceDB connects to by a URI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memory_bank.long_term.base import EmbedText, Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.errors import StoreError
from memory_bank.long_term.table import Table


class SharedStore(Store):
    """A table behind a URI. Every append is a commit of LanceDB's, durable when it returns as the service promises;
    there is no journal here, so append in batches. Several robots may append; entries are numbered by each on its
    own, so that only times order those of different robots.
    """

    def __init__(
        self,
        uri: str,
        dim: int,
        *,
        embed_text: EmbedText | None = None,
        cache_bytes: int = 1 << 30,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Args:
            uri: s3://BUCKET/PATH, gs://..., az://..., db://NAME or memory://.
            dim: length of the embeddings.
            embed_text: makes vectors of query texts, in the space of the embeddings.
            cache_bytes: of indices in memory, at most.
            options: storage options or credentials, passed to LanceDB.

        Raises:
            StoreError: no URI, or the table there is for embeddings of another length.
        """
        super().__init__(dim, embed_text)
        if "://" not in uri:
            raise StoreError(f"'{uri}' is no URI like s3://BUCKET/PATH: open a folder with LongTermStore.open")
        self.uri = uri
        table = Table(uri, dim, cache_bytes, options)
        if table.exists:
            table.open()
            if table.width != dim:
                raise StoreError(f"the store at {uri} is for embeddings of length {table.width}, not {dim}")
        else:
            table.create()
            table.pin()
        self._table: Table = table
        self._seq = table.last_seq()

    @property
    def name(self) -> str:
        return self.uri

    def append(self, entries: Sequence[Entry] | Entry) -> list[Entry]:
        given = [entries] if isinstance(entries, Entry) else list(entries)
        if not given:
            return []
        with self._lock:
            stored = [entry.checked(self.dim, self._seq + 1 + i) for i, entry in enumerate(given)]
            ids = [entry.id for entry in stored]
            taken = self._table.known([entry.id for entry in given if entry.id])
            if taken or len(set(ids)) < len(ids):
                raise StoreError("there is an entry of that id already, and entries are never replaced")
            self._table.add(stored)
            self._table.pin()
            self._seq += len(stored)
        return stored

    def retire(self, ids: Sequence[str] | str, reason: str) -> None:
        given = [ids] if isinstance(ids, str) else list(dict.fromkeys(ids))
        if not reason:
            raise StoreError("retire: say why, in `reason`")
        self.get(given)
        with self._lock:
            self._table.retire(dict.fromkeys(given, reason))
            self._table.pin()

    def compact(self, purge: bool = False) -> None:
        """Makes the indices anew; without that, queries compare every vector, and words are not found."""
        with self._lock:
            if purge:
                self._table.purge()
            self._table.maintain(7 * 86400.0, anew=True)
            self._table.pin()

    def _refresh(self) -> None:
        with self._lock:
            self._table.pin()

    def close(self) -> None:
        pass
