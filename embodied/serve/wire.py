"""The wire between `embodied serve` and its clients, version 1.

A message is a fixed header, a JSON object and raw bytes (may be absent)::

    magic 'EP' | version u8 | 0 u8 | json length u32 | blob length u32        little-endian

The raw bytes are arrays one after the other, C order, little-endian; `arrays` in the JSON object lists them as
[name, dtype, shape]. Nothing is pickled. This file imports only numpy beyond the standard library.

Requests carry `type` and an `id`, a number that the answer repeats; answers come in the order in which they are ready.
An answer has `error` {code, message} or what was asked for::

    hello  {token?}                                             -> {ready, sessions, max_sessions, contract}
    open   {seed?}                                              -> {session}
    decide {session, instruction, time_s} + images/*, state     -> {took_ms, batch} + actions float32 [H, A]
    reset  {session, seed?}                                     -> {}
    close  {session}                                            -> {}

`contract` (see `embodied.serve.contract`) is null until the policy is loaded and warm, that is while `ready` is false.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

VERSION = 1

HELLO, OPEN, DECIDE, RESET, CLOSE = "hello", "open", "decide", "reset", "close"

# Codes of errors: what a program decides by. The message is for people.
BAD_REQUEST = "bad_request"  # this can never work: mend the client
TOO_LARGE = "too_large"  # the same; what was asked has not been read
UNAUTHORISED = "unauthorised"
NOT_READY = "not_ready"  # try again later
FULL = "full"
BUSY = "busy"
UNKNOWN_SESSION = "unknown_session"  # open one
POLICY_FAILED = "policy_failed"  # no action: stop the robot; the message says what the session needs
STOPPING = "stopping"

HEADER = struct.Struct("<2sBBII")
MAX_JSON_BYTES = 1 << 16
_MAGIC = b"EP"
_DTYPES: dict[str, np.dtype[Any]] = {"uint8": np.dtype("u1"), "float32": np.dtype("<f4")}


class WireError(ValueError):
    """Bytes that are not a message of this version, or a value that has no place in one; the message is one line."""


class HeaderError(WireError):
    """A header that is none: what comes after it cannot be understood."""


class Lengths(NamedTuple):
    """What follows a header, in bytes."""

    json: int
    blob: int


def pack(body: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> bytes:
    """A message.

    Raises:
        WireError: an array is neither uint8 nor float32, a number is not finite, or the texts are too long.
    """
    described, blobs = [], []
    for name, array in (arrays or {}).items():
        if array.dtype.name not in _DTYPES:
            raise WireError(f"{name} is {array.dtype}: only {' and '.join(_DTYPES)} travel")
        described.append([name, array.dtype.name, list(array.shape)])
        blobs.append(np.ascontiguousarray(array, _DTYPES[array.dtype.name]).tobytes())
    try:
        text = json.dumps({**body, "arrays": described} if described else body, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise WireError(f"cannot be sent: {error}") from error
    payload = text.encode()
    if len(payload) > MAX_JSON_BYTES:
        raise WireError(f"its texts are too long: {len(payload)} bytes, {MAX_JSON_BYTES} are the most")
    return b"".join([HEADER.pack(_MAGIC, VERSION, 0, len(payload), sum(map(len, blobs))), payload, *blobs])


def unpack_header(header: bytes) -> Lengths:
    """What follows. Raises HeaderError."""
    magic, version, _, json_bytes, blob_bytes = HEADER.unpack(header)
    if magic != _MAGIC:
        raise HeaderError("received bytes that are no message of an Engram policy service")
    if version != VERSION:
        raise HeaderError(f"the peer speaks version {version} of the policy service, this side version {VERSION}")
    return Lengths(json_bytes, blob_bytes)


def unpack_body(payload: bytes) -> dict[str, Any]:
    """The JSON object. Raises WireError."""
    try:
        body = json.loads(payload, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise WireError(f"the body is no JSON: {str(error) or type(error).__name__}") from error
    if not isinstance(body, dict):
        raise WireError("the body is no JSON object")
    return body


def unpack_arrays(body: Mapping[str, Any], blob: bytes) -> dict[str, np.ndarray]:
    """The arrays that `body` lists, as views of `blob`. Raises WireError."""
    described = body.get("arrays", [])
    if not isinstance(described, list):
        raise WireError("arrays must be a list of [name, dtype, shape]")
    arrays: dict[str, np.ndarray] = {}
    offset = 0
    for each in described:
        name, dtype, shape = _description(each)
        if name in arrays:
            raise WireError(f"array '{name}' is there twice")
        size = math.prod(shape) * dtype.itemsize
        if offset + size > len(blob):
            raise WireError(f"array '{name}' of shape {shape} ends beyond the {len(blob)} bytes that were sent")
        arrays[name] = np.frombuffer(blob, dtype, math.prod(shape), offset).reshape(shape)
        offset += size
    if offset != len(blob):
        raise WireError(f"{len(blob)} bytes were sent, and arrays of {offset} are listed")
    return arrays


def _description(each: Any) -> tuple[str, np.dtype, list[int]]:
    if not (isinstance(each, list) and len(each) == 3 and isinstance(each[0], str) and isinstance(each[2], list)):
        raise WireError("arrays must be a list of [name, dtype, shape]")
    name, dtype, shape = each
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise WireError(f"array '{name}' must be {' or '.join(_DTYPES)}")
    if len(shape) > 4 or not all(type(size) is int and 0 <= size < 1 << 31 for size in shape):
        raise WireError(f"array '{name}' has no possible shape")
    return name, _DTYPES[dtype], shape


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
