"""The robot's side of `embodied serve`: synchronous, and NumPy is all that it imports.

::

    with PolicyClient() as policy:
        session = policy.open(seed=1)
        chunk = policy.decide(session, Observation({"rgb": picture}, state, "put it back", time_s=0.0))
        for action in chunk.actions[: policy.contract.execute]: ...
        policy.reset(session)  # where the next episode begins
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from embodied.serve import wire
from embodied.serve.config import default_socket
from embodied.serve.contract import ACTIONS, IMAGES, STATE, Contract, Observation

_POLL_S = 0.1
_MAX_ANSWER_BYTES = 64 << 20


class ServiceError(RuntimeError):
    """Base of what can go wrong with a policy service; the message is one line."""


class Refused(ServiceError):
    """The server said no to one request; others go on. `code` is one of `embodied.serve.wire`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ServerGone(ServiceError):
    """There is no server, or the connection has ended, and its sessions with it: make a new client."""


class DeadlinePassed(ServiceError):
    """No answer in time. The connection and its sessions live; an answer that comes late is dropped."""


class Chunk(NamedTuple):
    """What to do next."""

    actions: np.ndarray
    """float32 [H, A], 1 / fps seconds apart, in the units and within the limits of `contract.action`."""
    took_ms: float
    """From the arrival of the request at the server to its answer."""
    batch: int
    """How many sessions were decided together."""


class PolicyClient:
    """One connection to a policy service. Its sessions end with it. Use it from one thread.

    Args:
        address: path of the Unix socket, or 127.0.0.1:PORT; empty: where `embodied serve` listens by default.
        token: what is in the server's token_file, for TCP.
        timeout_s: deadline of each request.
        wait_s: how long to wait for a server that is starting; 0: it must be ready.

    Raises:
        ServerGone: there is none.
        DeadlinePassed: it was not ready in time.
        Refused: the token is wrong, or there are too many connections.
    """

    def __init__(
        self, address: str | Path = "", token: str = "", timeout_s: float = 10.0, wait_s: float = 60.0
    ) -> None:
        self._timeout_s = timeout_s
        self._numbers = itertools.count()
        self._received = bytearray()
        self._awaited: set[int] = set()
        self._early: dict[int, tuple[dict[str, Any], bytes]] = {}
        """Answers that came before those that were waited for."""
        until_s = time.monotonic() + wait_s
        self._address = str(address or default_socket())
        self._socket = self._connect(until_s)
        try:
            hello = self.hello(token)
            while not hello["ready"]:
                if time.monotonic() > until_s:
                    raise DeadlinePassed(f"the server at {self._address} was not ready within {wait_s:g} s")
                time.sleep(_POLL_S)
                hello = self.hello(token)
        except BaseException:
            self.close()
            raise
        self.contract = Contract(**hello["contract"])
        """What the policy takes and gives."""

    def __enter__(self) -> PolicyClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection, and its sessions with it."""
        self._socket.close()

    def hello(self, token: str = "") -> dict[str, Any]:
        """How the server is: ready, sessions, max_sessions, contract."""
        return self._ask({"type": wire.HELLO, **({"token": token} if token else {})})[0]

    def open(self, seed: int = 0) -> str:
        """Begins an episode and gives the session's name. What is random in it follows from `seed` (and the server's).

        Raises Refused with `wire.FULL` where all sessions are taken.
        """
        return str(self._ask({"type": wire.OPEN, "seed": seed})[0]["session"])

    def reset(self, session: str, seed: int | None = None) -> None:
        """Begins a new episode in the session; without a seed its noise goes on."""
        self._ask({"type": wire.RESET, "session": session, **({} if seed is None else {"seed": seed})})

    def end(self, session: str) -> None:
        """Closes a session, so that somebody else can have its place."""
        self._ask({"type": wire.CLOSE, "session": session})

    def decide(self, session: str, observation: Observation) -> Chunk:
        """The next chunk of an episode.

        Raises:
            Refused: `wire.BAD_REQUEST`: the observation is not what the contract says, or time runs backwards;
                `wire.POLICY_FAILED`: there is no action; `wire.UNKNOWN_SESSION`: it has expired.
            DeadlinePassed, ServerGone.
        """
        return _chunk(self._answer(self._send(*_request(session, observation)), self._deadline()))

    def decide_many(self, observations: Mapping[str, Observation]) -> dict[str, Chunk | Refused]:
        """The next chunks of several sessions, decided together; where one is refused, its refusal is in its place."""
        numbers = {session: self._send(*_request(session, each)) for session, each in observations.items()}
        chunks: dict[str, Chunk | Refused] = {}
        deadline_s = self._deadline()
        try:
            for session, number in numbers.items():
                try:
                    chunks[session] = _chunk(self._answer(number, deadline_s))
                except Refused as refusal:
                    chunks[session] = refusal
        finally:
            self._forget(numbers.values())
        return chunks

    # -- within ---------------------------------------------------------------------------------------------------

    def _connect(self, until_s: float) -> socket.socket:
        host, _, port = self._address.rpartition(":")
        tcp = host == "127.0.0.1" and port.isdigit()
        while True:
            connection = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self._timeout_s)
            try:
                connection.connect((host, int(port)) if tcp else self._address)
                if tcp:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
            except OSError as error:
                connection.close()
                starting = isinstance(error, FileNotFoundError | ConnectionRefusedError)
                if not starting or time.monotonic() > until_s:
                    reason = error.strerror or error
                    raise ServerGone(
                        f"no policy service at {self._address} ({reason}): run `embodied serve`"
                    ) from error
            time.sleep(_POLL_S)

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout_s

    def _ask(self, body: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        return self._answer(self._send(body), self._deadline())

    def _send(self, body: dict[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> int:
        number = next(self._numbers)
        message = wire.pack({**body, "id": number}, arrays)
        try:
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(message)
        except OSError as error:  # half a message may have gone: nothing can follow it
            reason = self._last_words() or error.strerror or str(error)
            self.close()
            raise ServerGone(f"the connection to {self._address} has ended: {reason}") from error
        self._awaited.add(number)
        return number

    def _answer(self, number: int, deadline_s: float) -> tuple[dict[str, Any], bytes]:
        """The answer to request `number`."""
        try:
            while number not in self._early:
                body, blob = self._message(deadline_s)
                if body.get("id") is None:
                    error = body.get("error", {})
                    raise ServerGone(f"the server ended the connection: {error.get('message', 'it did not say why')}")
                if body["id"] in self._awaited:  # one that is not was given up on
                    self._early[body["id"]] = body, blob
            body, blob = self._early[number]
        finally:
            self._forget([number])
        if "error" in body:
            raise Refused(body["error"]["code"], body["error"]["message"])
        return body, blob

    def _last_words(self) -> str:
        """Why the server ended the connection, if it said so."""
        with contextlib.suppress(ServiceError):
            until_s = time.monotonic() + _POLL_S
            while True:
                body, _ = self._message(until_s)
                if body.get("id") is None:
                    return str(body["error"]["message"])
        return ""

    def _forget(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._awaited.discard(number)
            self._early.pop(number, None)

    def _message(self, deadline_s: float) -> tuple[dict[str, Any], bytes]:
        """The next message. What has arrived of one is kept where the deadline passes."""
        size = wire.HEADER.size
        while True:
            if len(self._received) >= size:
                try:
                    lengths = wire.unpack_header(bytes(self._received[:size]))
                except wire.WireError as error:
                    raise ServerGone(f"no policy service at {self._address}: {error}") from error
                end = size + sum(lengths)
                if end > _MAX_ANSWER_BYTES:
                    raise ServerGone(f"the server at {self._address} sent a message of {end} bytes")
                if len(self._received) >= end:
                    payload = bytes(self._received[size : size + lengths.json])
                    blob = bytes(self._received[size + lengths.json : end])
                    del self._received[:end]
                    return wire.unpack_body(payload), blob
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0:
                raise DeadlinePassed(f"no answer from {self._address} in time")
            try:
                self._socket.settimeout(remaining_s)
                more = self._socket.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError as error:
                raise ServerGone(f"the connection to {self._address} has ended: {error.strerror or error}") from error
            if not more:
                raise ServerGone(f"the server at {self._address} closed the connection")
            self._received += more


def _request(session: str, observation: Observation) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    arrays = {IMAGES + camera: np.asarray(image) for camera, image in observation.images.items()}
    state = np.asarray(observation.state, np.float32)
    if state.size:
        arrays[STATE] = state
    body = {"type": wire.DECIDE, "session": session, "instruction": observation.instruction}
    return {**body, "time_s": float(observation.time_s)}, arrays


def _chunk(answer: tuple[dict[str, Any], bytes]) -> Chunk:
    body, blob = answer
    return Chunk(wire.unpack_arrays(body, blob)[ACTIONS].copy(), float(body["took_ms"]), int(body["batch"]))
