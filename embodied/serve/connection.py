"""One client of the service: its messages, its sessions, its deadlines."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from embodied.serve import wire
from embodied.serve.contract import ACTIONS, ObservationError
from embodied.serve.engine import PolicyFailed

if TYPE_CHECKING:
    from embodied.serve.server import PolicyServer

GRACE_S = 5.0
"""What is being decided when the server is told to stop has so long to be answered."""
_DRAIN_BYTES = 1 << 16


class Refusal(Exception):
    """The answer to a request that is not done: a code of `wire` and one line."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Session:
    """An episode of a client's."""

    name: str
    row: int
    owner: Connection
    time_s: float = 0.0
    """Of its last decision, since its episode began."""
    used_s: float = field(default_factory=time.monotonic)
    deciding: asyncio.Future[Any] | None = None
    broken: str = ""
    """Why it has to be reset before it can go on."""


class Connection:
    """One client, from its first byte to its last.

    Args:
        local: whether it came over the Unix socket. Over TCP it must say hello first, with the token.
    """

    def __init__(
        self, server: PolicyServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, local: bool
    ) -> None:
        self.sessions: dict[str, Session] = {}
        self.used_s = time.monotonic()
        self._server = server
        self._reader, self._writer = reader, writer
        self.local = self._greeted = local
        self._timeout_s = server.config.io_timeout_s
        self._writing = asyncio.Lock()
        self._answers: set[asyncio.Task[None]] = set()
        self._task = asyncio.current_task()
        writer.transport.set_write_buffer_limits(high=0)  # so that drain() waits until all is taken

    async def run(self) -> None:
        """Answers requests until the client goes, or breaks the rules of the wire."""
        try:
            while True:
                await self._one()
        except TimeoutError:
            self._writer.write(_error(None, wire.BAD_REQUEST, f"too slow: a message has {self._timeout_s:g} s"))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # it has gone
        except asyncio.CancelledError:  # from this side, see `end`
            if self._task is not None:
                self._task.uncancel()
            if self._answers:
                await asyncio.wait(self._answers, timeout=GRACE_S)
            with contextlib.suppress(ConnectionError, TimeoutError):
                await self._send(_error(None, wire.STOPPING, "the server stops, or this connection was idle for long"))

    def end(self) -> None:
        """Ends it from this side."""
        if self._task is not None:
            self._task.cancel()

    def abandon(self) -> None:
        """Closes what it had."""
        for session in list(self.sessions.values()):
            self._server.close(session)
        for answer in self._answers:
            answer.cancel()
        self._writer.transport.abort()  # close() would wait for a client that does not read

    async def turn_away(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self._send(_error(None, wire.FULL, "too many connections: close some"))
        self._writer.close()

    # -- one message ----------------------------------------------------------------------------------------------

    async def _one(self) -> None:
        async with asyncio.timeout(None if self._greeted else self._timeout_s):
            first = await self._reader.readexactly(1)  # however long it takes
        number: Any = None
        try:
            async with asyncio.timeout(self._timeout_s):
                began_s = time.monotonic()
                lengths = wire.unpack_header(first + await self._reader.readexactly(wire.HEADER.size - 1))
                payload, blob = await self._read(lengths)
            body = wire.unpack_body(payload)
            number = body.get("id")
            self.used_s = time.monotonic()
            if not self._greeted:
                self._greet(body)
            if blob is None and self._server.contract is not None:
                came = str(body.get("arrays"))[:200]
                raise Refusal(wire.BAD_REQUEST, f"an observation is {self._server.contract.arrays()}; {came} came")
            arrays = {} if blob is None else wire.unpack_arrays(body, blob)
            answer = await self._handle(number, body, arrays, began_s)
        except wire.HeaderError as error:  # where the next message begins, nobody knows
            self._writer.write(_error(None, wire.BAD_REQUEST, str(error)))
            raise ConnectionAbortedError from error
        except wire.WireError as error:
            await self._send(_error(number, wire.BAD_REQUEST, str(error)))
        except Refusal as refusal:
            await self._send(_error(number, refusal.code, str(refusal)))
            if not self._greeted:
                raise ConnectionAbortedError from refusal
        else:
            if answer is not None:
                await self._send(wire.pack({"id": number, **answer}))

    async def _read(self, lengths: wire.Lengths) -> tuple[bytes, bytes | None]:
        """The message's parts; arrays that are too large are read and not kept (None), so that others can follow."""
        contract = self._server.contract
        most = contract.blob_bytes if contract is not None and self._greeted else 0
        if lengths.json > wire.MAX_JSON_BYTES or (lengths.blob > most and not self._greeted):
            if self._greeted:
                await self._drain(sum(lengths))
            raise Refusal(wire.TOO_LARGE, f"the message is too large: {lengths.json} + {lengths.blob} bytes")
        payload = await self._reader.readexactly(lengths.json)
        if lengths.blob > most:
            await self._drain(lengths.blob)
            return payload, None
        return payload, await self._reader.readexactly(lengths.blob)

    async def _drain(self, count: int) -> None:
        while count:
            count -= len(await self._reader.readexactly(min(count, _DRAIN_BYTES)))

    def _greet(self, body: dict[str, Any]) -> None:
        """Lets a stranger in who says hello with the token. Raises Refusal, in the same time for every wrong one."""
        given = body.get("token") if body.get("type") == wire.HELLO else None
        right = self._server.token.encode()
        if not isinstance(given, str) or not hmac.compare_digest(given.encode("utf-8", "replace"), right):
            raise Refusal(wire.UNAUTHORISED, "say hello with the token that is in this server's token_file")
        self._greeted = True

    async def _handle(
        self, number: Any, body: dict[str, Any], arrays: dict[str, np.ndarray], began_s: float
    ) -> dict[str, Any] | None:
        """The answer; None if it follows later. Raises Refusal."""
        kind = str(body.get("type"))
        others = {wire.OPEN: self._open, wire.RESET: self._reset, wire.CLOSE: self._close}
        if type(number) is not int:
            raise Refusal(wire.BAD_REQUEST, "id: a request has a number that its answer repeats")
        if kind == wire.HELLO:
            return self._hello()
        if kind != wire.DECIDE and kind not in others:
            known = ", ".join((wire.HELLO, wire.DECIDE, *others))
            raise Refusal(wire.BAD_REQUEST, f"type must be one of {known}, not {kind[:40]!r}")
        if self._server.stopping:
            raise Refusal(wire.STOPPING, "the server is stopping")
        if self._server.contract is None:
            raise Refusal(wire.NOT_READY, "the policy is being loaded: say hello until it is ready")
        if kind == wire.DECIDE:
            self._decide(number, body, arrays, began_s)
            return None
        return await others[kind](body)

    # -- requests -------------------------------------------------------------------------------------------------

    def _hello(self) -> dict[str, Any]:
        server = self._server
        return {
            "ready": server.contract is not None and not server.stopping,
            "sessions": len(server.sessions),
            "max_sessions": server.config.max_sessions,
            "contract": None if server.contract is None else server.contract.to_json(),
        }

    async def _open(self, body: dict[str, Any]) -> dict[str, Any]:
        session = await self._server.open(self, _seed(body) or 0)
        return {"session": session.name}

    async def _reset(self, body: dict[str, Any]) -> dict[str, Any]:
        session, seed = self._session(body), _seed(body)
        await asyncio.wrap_future(self._server.engine.begin(session.row, seed))
        session.time_s, session.broken, session.used_s = 0.0, "", time.monotonic()
        return {}

    async def _close(self, body: dict[str, Any]) -> dict[str, Any]:
        self._server.close(self._session(body))
        return {}

    def _decide(self, number: int, body: dict[str, Any], arrays: dict[str, np.ndarray], began_s: float) -> None:
        """Hands an observation to the engine. The answer follows; meanwhile others may be asked."""
        server = self._server
        session = self._session(body)
        if session.broken:
            raise Refusal(wire.POLICY_FAILED, session.broken)
        assert server.contract is not None
        try:
            observation = server.contract.check(arrays, body.get("instruction"), body.get("time_s"))
        except ObservationError as error:
            raise Refusal(wire.BAD_REQUEST, str(error)) from error
        if observation.time_s < session.time_s:
            raise Refusal(
                wire.BAD_REQUEST,
                f"time_s runs backwards, from {session.time_s} to {observation.time_s}: reset the session where an "
                "episode begins",
            )
        session.deciding = asyncio.wrap_future(server.engine.decide(session.row, observation))
        task = asyncio.create_task(self._answer(number, session, observation.time_s, began_s))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, number: int, session: Session, time_s: float, began_s: float) -> None:
        server = self._server
        assert session.deciding is not None
        try:
            decision = await session.deciding
        except PolicyFailed as error:
            session.broken = str(error) if error.damaging else ""
            message = _error(number, wire.POLICY_FAILED, str(error))
        else:
            session.time_s = time_s
            took_ms = 1e3 * (time.monotonic() - began_s)
            server.load.note(took_ms, decision.batch)
            message = wire.pack(
                {"id": number, "took_ms": round(took_ms, 3), "batch": decision.batch}, {ACTIONS: decision.actions}
            )
        session.deciding, session.used_s = None, time.monotonic()
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self._send(message)

    def _session(self, body: dict[str, Any]) -> Session:
        name = body.get("session")
        session = self.sessions.get(name) if isinstance(name, str) else None
        if session is None:
            raise Refusal(
                wire.UNKNOWN_SESSION,
                f"this connection has no session {str(name)[:40]!r}: it was closed, or not used for "
                f"{self._server.config.idle_s:g} s; open one",
            )
        if session.deciding is not None:
            raise Refusal(wire.BUSY, "the session is being decided: wait for the answer")
        return session

    # -- writing --------------------------------------------------------------------------------------------------

    async def _send(self, message: bytes) -> None:
        """Raises TimeoutError, and drops the connection, if the client does not take it in time."""
        try:
            async with asyncio.timeout(self._timeout_s), self._writing:
                self._writer.write(message)
                await self._writer.drain()
        except TimeoutError:
            self._writer.transport.abort()
            raise


def _error(number: Any, code: str, message: str) -> bytes:
    return wire.pack({"id": number if type(number) is int else None, "error": {"code": code, "message": message}})


def _seed(body: dict[str, Any]) -> int | None:
    seed = body.get("seed")
    if seed is not None and not (type(seed) is int and 0 <= seed < 1 << 63):
        raise Refusal(wire.BAD_REQUEST, "seed must be an integer from 0 to 2^63 - 1")
    return seed
