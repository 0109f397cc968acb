"""The wire between client and worker.

Runs under Python 3.9 too (test_python39.py), so it imports protocol.py by path.
"""

import importlib.util
import json
import os
import random
import socket
import struct
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

_PATH = Path(__file__).resolve().parents[2] / "sim" / "worker" / "protocol.py"
_SPEC = importlib.util.spec_from_file_location("engram_protocol", _PATH)
protocol = importlib.util.module_from_spec(_SPEC)
sys.modules["engram_protocol"] = protocol
_SPEC.loader.exec_module(protocol)


@pytest.fixture
def ends():
    left, right = socket.socketpair()
    channels = protocol.Channel(left), protocol.Channel(right)
    yield channels
    for channel in channels:
        channel.close()


@pytest.fixture
def raw():
    """A channel, and the bare socket that feeds it."""
    left, right = socket.socketpair()
    channel = protocol.Channel(left)
    yield channel, right
    channel.close()
    right.close()


def random_body(generator):
    def value(depth):
        kind = generator.randrange(6 if depth else 4)
        if kind == 0:
            return generator.randrange(-(10**12), 10**12)
        if kind == 1:
            return generator.random()
        if kind == 2:
            return "".join(chr(generator.choice([10, 34, 92, 228, 0x1F600])) for _ in range(generator.randrange(9)))
        if kind == 3:
            return generator.choice([None, True, False])
        if kind == 4:
            return [value(depth - 1) for _ in range(generator.randrange(4))]
        return {str(i): value(depth - 1) for i in range(generator.randrange(4))}

    return {f"key {i}": value(3) for i in range(generator.randrange(1, 5))}


@pytest.mark.parametrize("seed", range(20))
def test_what_is_sent_arrives(ends, seed):
    generator = random.Random(seed)
    client, worker = ends
    sent = []
    for _ in range(10):
        body = random_body(generator)
        blob = bytes(generator.randrange(256) for _ in range(generator.choice([0, 1, 7, 5000])))
        sent.append((generator.randrange(1, 9), body, blob))
    for kind, body, blob in sent:
        client.send(kind, body, blob)
    assert [tuple(worker.receive(5.0)) for _ in sent] == sent


def test_a_message_larger_than_the_socket_buffer_arrives(ends):
    client, worker = ends
    blob = os.urandom(5 << 20)
    sender = threading.Thread(target=client.send, args=(protocol.DONE, {"a": 1}, blob))
    sender.start()
    assert worker.receive(20.0).blob == blob
    sender.join()


def test_silence_ends_at_the_deadline(ends):
    client, _ = ends
    start = time.monotonic()
    with pytest.raises(protocol.DeadlinePassed):
        client.receive(0.2)
    assert 0.15 < time.monotonic() - start < 2.0


def test_half_a_message_ends_at_the_deadline(raw):
    channel, peer = raw
    peer.send(b"EN\x01")
    with pytest.raises(protocol.DeadlinePassed):
        channel.receive(0.2)


def test_sending_to_a_peer_that_never_reads_ends_at_the_deadline(ends):
    client, _ = ends
    with pytest.raises(protocol.DeadlinePassed):
        client.send(protocol.DONE, None, bytes(32 << 20), timeout_s=0.2)


def test_a_closed_peer_is_noticed_on_both_ways(ends):
    client, worker = ends
    worker.close()
    with pytest.raises(protocol.PeerGone):
        client.receive(5.0)
    with pytest.raises(protocol.PeerGone):
        client.send(protocol.STEP)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "no Engram message"),
        (struct.pack("<2sBBII", b"EN", 1, 99, 0, 0), "no Engram message"),
        (struct.pack("<2sBBII", b"EN", 7, 4, 0, 0), "version 7, this side version 1"),
        (struct.pack("<2sBBII", b"EN", 1, 4, 1 << 31, 0), "refused a message"),
        (struct.pack("<2sBBII", b"EN", 1, 4, 0, (1 << 30) + 1), "refused a message"),
        (struct.pack("<2sBBII", b"EN", 1, 4, 4, 0) + b"{nan", "no JSON"),
        (struct.pack("<2sBBII", b"EN", 1, 4, 2, 0) + b"[]", "no JSON object"),
    ],
)
def test_foreign_bytes_are_refused_by_name(raw, data, says):
    channel, peer = raw
    peer.sendall(data)
    with pytest.raises(protocol.ProtocolError, match=says):
        channel.receive(1.0)


def test_arrays_are_shared_between_processes(ends):
    client, worker = ends
    wanted = [("action", "int64", (1,)), ("obs/rgb", "uint8", (4, 5, 3)), ("obs/depth", "float32", (4, 5, 1))]
    fields, size = protocol.lay_out(wanted)
    child = os.fork()
    if child == 0:
        descriptor = protocol.create_memory(size)
        arrays = protocol.SharedArrays(os.dup(descriptor), fields)
        worker.send_descriptor(descriptor)
        worker.receive(10.0)
        arrays["obs/rgb"][...] = 7 * arrays["action"][0]
        worker.send(protocol.DONE)
        worker.receive(10.0)
        os._exit(0)
    arrays = protocol.SharedArrays(client.receive_descriptor(10.0), fields)
    arrays["action"][0] = 3
    client.send(protocol.STEP)
    client.receive(10.0)
    assert (arrays["obs/rgb"] == 21).all()
    assert set(arrays.group("obs")) == {"rgb", "depth"}
    client.send(protocol.CLOSE)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("seed", range(10))
def test_fields_never_overlap(seed):
    generator = random.Random(seed)
    wanted = []
    for i in range(generator.randrange(1, 12)):
        shape = tuple(generator.randrange(0, 6) for _ in range(generator.randrange(4)))
        wanted.append((f"f{i}", generator.choice(["uint8", "float32", "float64", "int64"]), shape))
    fields, size = protocol.lay_out(wanted)
    end = 0
    for field in fields:
        assert field.offset >= end
        assert field.offset % 64 == 0
        end = field.offset + np.dtype(field.dtype).itemsize * int(np.prod(field.shape))
    assert end <= size


def test_a_field_outside_the_memory_is_refused():
    descriptor = protocol.create_memory(64)
    with pytest.raises(protocol.ProtocolError, match="ends at byte 128"):
        protocol.SharedArrays(descriptor, [protocol.Field("big", "uint8", (64,), 64)])
    os.close(descriptor)


@pytest.mark.parametrize("text", ["", "scene.glb", "x" * 500, "ü" * 40, json.dumps({"scene": "a/b", "count": 3})])
def test_status_text_is_cut_to_fit_and_read_back(text):
    array = np.full(64, 255, dtype=np.uint8)
    protocol.write_text(array, text)
    read = protocol.read_text(array)
    assert text.startswith(read.rstrip("\ufffd"))
    assert len(read) >= min(len(text), 30)
