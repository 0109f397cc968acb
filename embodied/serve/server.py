"""The service: connections, sessions, and what each request may do. One event loop; the policy has a thread of its own.

A session belongs to the connection that opened it, and ends with it. Each is a row of the engine: an episode with a
memory that no other session reads. Every read and write has a deadline, every queue an end: a client that is slow or
dead costs nobody else anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from embodied.serve import wire
from embodied.serve.config import ServeConfig
from embodied.serve.connection import GRACE_S, Connection, Refusal, Session
from embodied.serve.contract import Contract
from embodied.serve.endpoints import UnixEndpoint, listen_tcp, token
from embodied.serve.engine import Engine

_SPARE_CONNECTIONS = 16
"""Connections beyond `max_sessions`, for who only asks whether the server is ready."""
_MOST_SAMPLES = 100_000


def serve(config: ServeConfig) -> None:
    """Serves until SIGTERM or SIGINT, then removes its socket and returns.

    Raises:
        EndpointError: it cannot listen, or another server does.
        CheckpointError, EncoderError, ValueError: the policy cannot be served.
    """
    config.validate()
    server = PolicyServer(config)
    asyncio.run(server.run())
    if not server.engine.stop(GRACE_S):  # it is loading, or in a very long pass: nothing in it is worth waiting for
        sys.stdout.flush()
        os._exit(0)


class PolicyServer:
    """One policy at its sockets."""

    def __init__(self, config: ServeConfig) -> None:
        self.config = config
        self.engine = Engine(config)
        self.contract: Contract | None = None
        self.sessions: dict[str, Session] = {}
        self._free: asyncio.Queue[int] = asyncio.Queue()
        self._opening = 0
        for row in range(config.max_sessions):
            self._free.put_nowait(row)
        self.token = token(Path(config.token_file)) if config.token_file else ""
        self.load = Load()
        self.stopping = False
        self._connections: set[Connection] = set()

    async def run(self) -> None:
        config = self.config
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        endpoint = UnixEndpoint(config.socket_path())
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(endpoint.close)
            stack.push_async_callback(self._close)
            await self._listen(stack, endpoint.socket, local=True)
            places = str(endpoint.path)
            if config.tcp_port >= 0:
                listener = listen_tcp(config.tcp_port)
                await self._listen(stack, listener, local=False)
                places += f" and at 127.0.0.1:{listener.getsockname()[1]}"
            self.engine.start()
            stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
            loaded: asyncio.Future[Any] = asyncio.wrap_future(self.engine.loaded)
            await asyncio.wait([loaded, stopped], return_when=asyncio.FIRST_COMPLETED)
            if not loaded.done():
                return
            self.contract = loaded.result()
            print(f"ready: {self.contract.policy} at {places}, for {config.max_sessions} sessions", flush=True)
            chores = [asyncio.create_task(self._expire())]
            if config.report_s:
                chores.append(asyncio.create_task(self._report()))
            for chore in chores:
                stack.callback(chore.cancel)
            ended: asyncio.Future[Any] = asyncio.wrap_future(self.engine.ended)
            await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()

    async def _listen(self, stack: contextlib.AsyncExitStack, listener: socket.socket, local: bool) -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._accept(reader, writer, local)

        if local:
            server = await asyncio.start_unix_server(accept, sock=listener, limit=1 << 20)
        else:
            server = await asyncio.start_server(accept, sock=listener, limit=1 << 20)
        stack.callback(server.close)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, local: bool) -> None:
        connection = Connection(self, reader, writer, local)
        if sum(each.local == local for each in self._connections) >= self.config.max_sessions + _SPARE_CONNECTIONS:
            await connection.turn_away()
            return
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            connection.abandon()

    async def _close(self) -> None:
        self.stopping = True
        for connection in list(self._connections):
            connection.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * GRACE_S):
                while self._connections:
                    await asyncio.sleep(0.01)

    async def _expire(self) -> None:
        """Closes sessions, and connections without any, that have not been used for `idle_s`."""
        while True:
            await asyncio.sleep(min(1.0, self.config.idle_s / 4))
            before_s = time.monotonic() - self.config.idle_s
            for session in list(self.sessions.values()):
                if session.used_s < before_s and session.deciding is None:
                    session.owner.used_s = time.monotonic()  # the connection may open another one
                    self.close(session)
            for connection in list(self._connections):
                if connection.used_s < before_s and not connection.sessions:
                    connection.end()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(self.config.report_s)
            print(self.load.line(len(self.sessions)), flush=True)

    # -- sessions -------------------------------------------------------------------------------------------------

    async def open(self, owner: Connection, seed: int) -> Session:
        """Begins an episode. Raises Refusal where all places are taken."""
        if len(self.sessions) + self._opening >= self.config.max_sessions:
            raise Refusal(
                wire.FULL, f"all {self.config.max_sessions} sessions are taken: close one, or serve more (max_sessions)"
            )
        self._opening += 1
        try:
            row = await self._free.get()  # a place that was left may have to be cleared first
        finally:
            self._opening -= 1
        session = Session(secrets.token_hex(8), row, owner)
        self.sessions[session.name] = session
        owner.sessions[session.name] = session
        await asyncio.wrap_future(self.engine.begin(session.row, seed))
        return session

    def close(self, session: Session) -> None:
        """Ends a session; its row is free when the policy's thread is done with it."""
        del self.sessions[session.name]
        del session.owner.sessions[session.name]
        if session.deciding is not None:
            session.deciding.cancel()
        loop = asyncio.get_running_loop()

        def done(_: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: so has the server
                loop.call_soon_threadsafe(self._free.put_nowait, session.row)

        self.engine.end(session.row).add_done_callback(done)


class Load:
    """What has been done since the last line was printed."""

    def __init__(self) -> None:
        self._since_s = time.monotonic()
        self._took_ms: list[float] = []
        self._batches: list[int] = []

    def note(self, took_ms: float, batch: int) -> None:
        if len(self._took_ms) < _MOST_SAMPLES:
            self._took_ms.append(took_ms)
            self._batches.append(batch)

    def line(self, sessions: int) -> str:
        """The line; counting starts anew."""
        span_s, took, batches = time.monotonic() - self._since_s, self._took_ms, self._batches
        self._since_s, self._took_ms, self._batches = time.monotonic(), [], []
        if not took:
            return f"{sessions} sessions, no requests"
        p50, p95 = np.percentile(took, (50, 95))
        return (
            f"{sessions} sessions, {len(took) / span_s:.1f} requests/s, batch {np.mean(batches):.1f}, "
            f"p50 {p50:.1f} ms, p95 {p95:.1f} ms"
        )
