"""The wire between the learning process and a simulator worker, version 1.

Commands travel over one end of a `socketpair` that the parent hands to the worker as an inherited file
descriptor: it has no name in the file system, so nobody else can open it. Observations, rewards, metrics and
actions live in one anonymous shared-memory file (`memfd`) whose descriptor the worker passes back; it vanishes
with the two processes, also when both are killed.

A message is a fixed header, a JSON object (may be absent) and raw bytes (may be absent)::

    magic 'EN' | version u8 | kind u8 | json length u32 | blob length u32

Nothing is pickled. This file runs on Python 3.9 (a user's conda Habitat) and imports only numpy beyond the
standard library.

Timeline of one environment (a worker holds exactly one simulator)::

    client                              worker
    ------                              ------
    HELLO {config}            ------->  builds task and episode stream
                              <-------  LOADING {scene, episode, count}    (whom to blame if it dies now)
                                        builds simulator, loads scene, renders
                              <-------  READY {spaces, fields, ...} + memfd
    RESET {seed?, episode?}   ------->  loads scene, renders (the first one shows what READY rendered)
                              <-------  DONE {episode}            observation in shared memory
    action -> memory, STEP    ------->  acts, renders, measures
                              <-------  DONE {} or, at an episode's end,
                                        DONE {episode, final}     final observation in `final/*`, the next
                                                                  episode's first observation in `obs/*`
"""

from __future__ import annotations

import json
import mmap
import os
import select
import socket
import struct
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

VERSION = 1

HELLO = 1
READY = 2
RESET = 3
STEP = 4
DONE = 5
CALL = 6
ERROR = 7
CLOSE = 8
LOADING = 9

_KINDS = range(HELLO, LOADING + 1)
_HEADER = struct.Struct("<2sBBII")
_MAGIC = b"EN"
_EMPTY = {kind: _HEADER.pack(_MAGIC, VERSION, kind, 0, 0) for kind in _KINDS}
"""Messages that are nothing but their kind: a step's are."""
_MAX_JSON_BYTES = 64 << 20
_MAX_BLOB_BYTES = 1 << 30
_ALIGNMENT_BYTES = 64


class ProtocolError(RuntimeError):
    """The peer sent something that is not this protocol, or another version of it."""


class PeerGone(RuntimeError):
    """The peer closed the connection: the process at the other end is dead or has exited."""


class DeadlinePassed(RuntimeError):
    """The peer did not answer within its deadline."""


class Message(NamedTuple):
    """One decoded message: `kind` is one of the constants above, `body` its JSON object, `blob` its raw bytes."""

    kind: int
    body: Dict[str, Any]
    blob: bytes


class Channel:
    """Framed messages over a stream socket, with a deadline on every read and write.

    Raises:
        PeerGone: the other process closed its end.
        DeadlinePassed: nothing complete arrived in time.
        ProtocolError: bytes that are not a message of this version.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(False)
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(sock, select.POLLOUT)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def send(
        self, kind: int, body: Optional[Mapping[str, Any]] = None, blob: bytes = b"", timeout_s: float = 60.0
    ) -> None:
        if not body and not blob:
            frame = _EMPTY[kind]
        else:
            payload = json.dumps(body, separators=(",", ":")).encode() if body else b""
            frame = _HEADER.pack(_MAGIC, VERSION, kind, len(payload), len(blob)) + payload + blob
        data = memoryview(frame)
        deadline = time.monotonic() + timeout_s
        while data:
            try:
                data = data[self._sock.send(data, socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                self._wait(self._writable, deadline)
            except (BrokenPipeError, ConnectionResetError) as error:
                raise PeerGone("the connection was closed while sending") from error

    def receive(self, timeout_s: Optional[float] = 60.0) -> Message:
        """Reads one message; `timeout_s=None` waits for ever (a worker waiting for its next command)."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        magic, version, kind, json_bytes, blob_bytes = _HEADER.unpack(self._read(_HEADER.size, deadline))
        if magic != _MAGIC or kind not in _KINDS:
            raise ProtocolError("received bytes that are no Engram message")
        if version != VERSION:
            raise ProtocolError(f"the peer speaks protocol version {version}, this side version {VERSION}")
        if json_bytes > _MAX_JSON_BYTES or blob_bytes > _MAX_BLOB_BYTES:
            raise ProtocolError(f"refused a message of {json_bytes} + {blob_bytes} bytes")
        if not json_bytes and not blob_bytes:
            return Message(kind, {}, b"")
        body: Dict[str, Any] = {}
        if json_bytes:
            try:
                body = json.loads(self._read(json_bytes, deadline))
            except ValueError as error:
                raise ProtocolError("received a message whose body is no JSON") from error
            if not isinstance(body, dict):
                raise ProtocolError("received a message whose body is no JSON object")
        return Message(kind, body, self._read(blob_bytes, deadline) if blob_bytes else b"")

    def send_descriptor(self, descriptor: int) -> None:
        """Passes an open file descriptor to the peer (SCM_RIGHTS)."""
        socket.send_fds(self._sock, [b"F"], [descriptor])

    def receive_descriptor(self, timeout_s: float = 60.0) -> int:
        self._wait(self._readable, time.monotonic() + timeout_s)
        data, descriptors, _, _ = socket.recv_fds(self._sock, 1, 1)
        if data != b"F" or len(descriptors) != 1:
            raise ProtocolError("expected a file descriptor")
        return descriptors[0]

    def _read(self, count: int, deadline: Optional[float]) -> bytes:
        chunks: List[bytes] = []
        while count:
            try:
                chunk = self._sock.recv(min(count, 1 << 20))
            except BlockingIOError:
                self._wait(self._readable, deadline)
                continue
            except ConnectionResetError as error:
                raise PeerGone("the connection was reset") from error
            if not chunk:
                raise PeerGone("the connection was closed")
            chunks.append(chunk)
            count -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    @staticmethod
    def _wait(poller: select.poll, deadline: Optional[float]) -> None:
        if deadline is None:
            poller.poll()
            return
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0 or not poller.poll(max(1, int(remaining_s * 1000))):
            raise DeadlinePassed("no answer before the deadline")


class Field(NamedTuple):
    """One array in shared memory: NumPy `dtype` name, `shape`, byte `offset`."""

    name: str
    dtype: str
    shape: Tuple[int, ...]
    offset: int


def lay_out(arrays: Sequence[Tuple[str, str, Sequence[int]]]) -> Tuple[List[Field], int]:
    """Places (name, dtype, shape) arrays one after the other, cache-line aligned; returns fields and total bytes."""
    fields = []
    offset = 0
    for name, dtype, shape in arrays:
        fields.append(Field(name, dtype, tuple(int(n) for n in shape), offset))
        size = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
        offset += -(-size // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
    return fields, max(offset, _ALIGNMENT_BYTES)


def create_memory(num_bytes: int) -> int:
    """Creates an anonymous shared-memory file of `num_bytes` and returns its descriptor."""
    descriptor = os.memfd_create("engram-sim", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, num_bytes)
    return descriptor


class SharedArrays:
    """NumPy views of every field in a shared-memory file; writing to a view writes to the file."""

    def __init__(self, descriptor: int, fields: Sequence[Field]) -> None:
        size = os.fstat(descriptor).st_size
        for field in fields:
            end = field.offset + np.dtype(field.dtype).itemsize * int(np.prod(field.shape, dtype=np.int64))
            if end > size:
                raise ProtocolError(f"field {field.name} ends at byte {end} of a memory of {size}")
        self._map = mmap.mmap(descriptor, size)
        os.close(descriptor)
        self._arrays = {
            field.name: np.frombuffer(
                self._map,
                dtype=field.dtype,
                count=int(np.prod(field.shape, dtype=np.int64)),
                offset=field.offset,
            ).reshape(field.shape)
            for field in fields
        }

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def group(self, prefix: str) -> Dict[str, np.ndarray]:
        """The fields below `prefix/`, by their name without it."""
        start = prefix + "/"
        return {name[len(start) :]: array for name, array in self._arrays.items() if name.startswith(start)}


def write_text(array: np.ndarray, text: str) -> None:
    """Stores `text` (cut to fit) in a uint8 array, zero-terminated."""
    data = text.encode("utf-8", "replace")[: array.size - 1]
    array[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    array[len(data)] = 0


def read_text(array: np.ndarray) -> str:
    """Reads what `write_text` stored, also while the writer died in the middle of it."""
    return bytes(array).split(b"\0", 1)[0].decode("utf-8", "replace")
