"""`embodied serve`: a real checkpoint of a tiny policy, in real server processes."""

import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from embodied import checkpoint
from embodied import config as configs
from embodied.cli import main
from embodied.memory_vla import MemoryVla, VlaConfig
from embodied.player import VlaPlayer
from embodied.serve import wire
from embodied.serve.client import DeadlinePassed, PolicyClient, Refused, ServerGone, _chunk
from embodied.serve.config import ServeConfig
from embodied.serve.contract import Observation
from embodied.serve.endpoints import EndpointError, UnixEndpoint, token
from embodied.serve.engine import Engine
from policies.action_expert.actions import end_effector

CAMERAS = {"rgb": [32, 48], "wrist": [16, 16]}
STATE_SIZE, MAX_SESSIONS, WAIT_S = 3, 8, 120.0
POISON = "poison"
"""A word that makes the policy's action NaN."""
PATIENCE = {"timeout_s": 60.0, "wait_s": WAIT_S}


def make_checkpoint(folder, seed=0, spoil=False, **memory):
    """A policy that has not been trained, but whose actions depend on everything that it is given."""
    config = VlaConfig(perceptual_dim=16, cognitive_dim=32)
    config.encoder.name, config.encoder.image_size, config.encoder.small_cnn.channels = "small_cnn", 16, [8, 16]
    config.memory.capacity = 3
    config.expert.size, config.expert.width, config.expert.layers, config.expert.horizon = "custom", 32, 1, 4
    config.expert.inference_steps, config.expert.guidance = 4, 1.0
    for name, value in memory.items():
        setattr(config.memory, name, value)
    torch.manual_seed(seed)
    policy = MemoryVla(config, list(CAMERAS), STATE_SIZE, 7)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.15 * torch.randn_like(parameter)
        table = policy.encoder.words.table.weight
        table[zlib.crc32(POISON.encode()) % len(table)] = torch.nan
        if spoil:
            table[:] = torch.nan
    contract = {"cameras": CAMERAS, "state_size": STATE_SIZE, "action": end_effector().to_json(), "fps": 10}
    meta = {"kind": "vla", "steps": 7, "config": {"policy": configs.to_dict(config)}}
    checkpoint.save(folder, policy.trained_state(), {**meta, "contract": {**contract, "stride": [2, 3]}})
    return folder


class Served:
    """A server process."""

    def __init__(self, folder, checkpoint):
        self.socket, self.token, self.log = folder / "own" / "policy.sock", folder / "token", folder / "log"
        settings = {"checkpoint": checkpoint, "socket": self.socket, "tcp_port": 0, "token_file": self.token}
        settings |= {
            "max_sessions": MAX_SESSIONS,
            "batch_wait_ms": 60,
            "report_s": 0.5,
            "io_timeout_s": 1,
            "idle_s": 3,
        }
        arguments = [f"{key}={value}" for key, value in settings.items()]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "embodied.cli", "serve", *arguments],
                stdout=log,
                stderr=log,
            )

    def client(self, **options):
        return PolicyClient(self.socket, **{**PATIENCE, **options})

    def stranger(self):
        """A raw connection."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30.0)
        connection.connect(str(self.socket))
        return connection

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def server(policy, tmp_path_factory):
    """A server that is quick to lose patience, in the place of one that was killed."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "own").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "own" / "policy.sock"))
    server = Served(folder, policy)
    with server.client():  # it is ready
        yield server
    server.end()


@pytest.fixture
def client(server):
    """A connection to a server without sessions."""
    with server.client() as client:
        until_none_is_open(client)
        yield client


def episode(seed, steps):
    """Random observations, 0.3 s apart."""
    rng = np.random.default_rng(seed)
    return [
        Observation(
            {name: rng.integers(0, 256, (*size, 3), dtype=np.uint8) for name, size in CAMERAS.items()},
            rng.uniform(-1, 1, STATE_SIZE).astype(np.float32),
            f"do number {seed}",
            0.3 * step,
        )
        for step in range(steps)
    ]


def alone(policy, observations, seed):
    """What the policy decides in an episode when nobody else is there: chunks [H, A]."""
    player = VlaPlayer(policy, rows=1)
    player.reset(np.array([True]), np.array([seed]))
    chunks = []
    for each in observations:
        images = {name: image[None] for name, image in each.images.items()}
        chunk = player.decide(np.array([0]), images, each.state[None], [each.instruction], np.array([each.time_s]))
        chunks.append(player.spec.finish(torch.from_numpy(chunk[0])).numpy())
    return chunks


def assert_same(chunks, expected):
    assert len(chunks) == len(expected)
    for chunk, each in zip(chunks, expected, strict=True):
        np.testing.assert_allclose(chunk, each, rtol=0, atol=1e-5)


class refused:
    """Within, one request is refused with this code."""

    def __init__(self, code):
        self.code = code

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert isinstance(error, Refused), f"not refused: {error!r}"
        assert error.code == self.code, f"{error.code}: {error}"
        self.message = str(error)
        assert "\n" not in self.message
        return True


def open_all(client):
    return [client.open() for _ in range(MAX_SESSIONS)]


def until_none_is_open(client):
    until_s = time.monotonic() + 10
    while client.hello()["sessions"] and time.monotonic() < until_s:
        time.sleep(0.01)
    assert client.hello()["sessions"] == 0


def begin_deciding(client, session, observation):
    """Sends a request and does not wait; its number."""
    images = {f"images/{name}": image for name, image in observation.images.items()}
    body = {"type": wire.DECIDE, "session": session, "instruction": observation.instruction}
    return client._send({**body, "time_s": observation.time_s}, {**images, "state": observation.state})


# -- what it is for -----------------------------------------------------------------------------------------------


def test_the_contract_says_what_goes_in_and_what_comes_out(client):
    contract = client.contract
    assert contract.cameras == CAMERAS
    assert (contract.state_size, contract.fps, contract.horizon, contract.execute) == (STATE_SIZE, 10, 4, 3)
    assert contract.action == json.loads(json.dumps(end_effector().to_json()))
    assert "step 7" in contract.policy
    chunk = client.decide(client.open(), episode(0, 1)[0])
    assert chunk.actions.shape == (contract.horizon, contract.action_size)
    assert chunk.actions.dtype == np.float32
    assert 0 < chunk.took_ms < 60_000


def test_each_session_gets_what_it_gets_alone(server, policy):
    """Seven episodes on three connections, in random order, in batches of random size; one ends and another begins."""
    rng = np.random.default_rng(0)
    lengths = [9, 5, 1, 7, 6, 8, 6]
    episodes = [episode(100 + number, length) for number, length in enumerate(lengths)]
    chunks = [[] for _ in episodes]
    with server.client() as a, server.client() as b, server.client() as c:
        clients = [a, b, c]
        waiting = list(range(len(episodes)))[::-1]
        running = {}  # session -> client, episode
        while waiting or running:
            while waiting and len(running) < 5:
                owner = clients[int(rng.integers(3))]
                number = waiting.pop()
                running[owner.open(seed=number)] = owner, number
            chosen = rng.permutation(list(running))[: int(rng.integers(1, 6))].tolist()
            asked = {}
            for session in chosen:
                owner, number = running[session]
                asked[session] = begin_deciding(owner, session, episodes[number][len(chunks[number])])
            for session, request in asked.items():
                owner, number = running[session]
                chunks[number].append(_chunk(owner._answer(request, time.monotonic() + 60)).actions)
                if len(chunks[number]) < lengths[number]:
                    continue
                if waiting:  # the session goes on with another episode
                    number = waiting.pop()
                    owner.reset(session, seed=number)
                    running[session] = owner, number
                else:
                    owner.end(session)
                    del running[session]
    for number, observations in enumerate(episodes):
        assert_same(chunks[number], alone(policy, observations, number))


def test_what_a_session_has_seen_matters(client):
    """Or else the isolation of sessions would mean nothing."""
    history, now = episode(1, 4), episode(2, 1)[0]._replace(time_s=2.0)
    fresh, seasoned = client.open(seed=5), client.open(seed=5)
    for each in history:
        client.decide(seasoned, each)
    noise_used = client.open(seed=5)
    for _ in history:
        client.decide(noise_used, now)
    with_history, without = client.decide(seasoned, now), client.decide(fresh, now)
    assert np.abs(with_history.actions - client.decide(noise_used, now).actions).max() > 1e-3
    assert np.abs(with_history.actions - without.actions).max() > 1e-3


def test_a_batch_decides_what_one_by_one_does(client):
    together, apart = ([client.open(seed=seed) for seed in range(4)] for _ in range(2))
    for step in range(4):
        seen = [episode(seed, 4)[step] for seed in range(4)]
        batch = client.decide_many(dict(zip(together, seen, strict=True)))
        single = [client.decide(session, each) for session, each in zip(apart, seen, strict=True)]
        assert [chunk.batch for chunk in batch.values()] == [4] * 4
        assert [chunk.batch for chunk in single] == [1] * 4
        assert_same([chunk.actions for chunk in batch.values()], [chunk.actions for chunk in single])


def test_requests_of_several_connections_are_decided_together(server):
    begin = threading.Barrier(3)
    batches = []

    def play(seed):
        with server.client() as client:
            session = client.open(seed)
            begin.wait()
            batches.extend(client.decide(session, each).batch for each in episode(seed, 4))

    threads = [threading.Thread(target=play, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(batches) == 12
    assert max(batches) == 3


def test_one_session_does_not_wait_for_others_that_are_not_there(client):
    def quickest_ms():
        return min(client.decide(session, each).took_ms for each in episode(0, 6)[-1:] * 6)

    session = client.open()
    by_itself_ms = quickest_ms()
    client.open()
    beside_another_ms = quickest_ms()
    assert beside_another_ms - by_itself_ms > 25  # of the 60 ms that this server waits for others


# -- sessions -----------------------------------------------------------------------------------------------------


def test_sessions_belong_to_the_connection_that_opened_them(server, client):
    with server.client() as other:
        session = other.open()
        for ask in (client.reset, client.end, lambda each: client.decide(each, episode(0, 1)[0])):
            with refused(wire.UNKNOWN_SESSION):
                ask(session)
        other.decide(session, episode(0, 1)[0])
        assert client.hello()["sessions"] == 1
    until_none_is_open(client)


def test_one_session_too_many_is_refused_and_a_closed_one_makes_room(client):
    sessions = open_all(client)
    with refused(wire.FULL) as refusal:
        client.open()
    assert "max_sessions" in refusal.message
    client.decide(sessions[0], episode(0, 1)[0])
    for session in sessions:
        client.end(session)
    open_all(client)


def test_sessions_that_nobody_uses_expire(server):
    with server.client() as client, server.client() as watch:
        session = client.open()
        watch.open()
        until_none_is_open(watch)
        with refused(wire.UNKNOWN_SESSION) as refusal:
            client.decide(session, episode(0, 1)[0])
        assert "3 s" in refusal.message
        client.decide(client.open(), episode(0, 1)[0])


# -- requests that are wrong ----------------------------------------------------------------------------------------

GOOD = episode(3, 1)[0]
WRONG = {
    "a picture of another size": GOOD._replace(images={**GOOD.images, "rgb": np.zeros((32, 32, 3), np.uint8)}),
    "a larger picture": GOOD._replace(images={**GOOD.images, "rgb": np.zeros((480, 640, 3), np.uint8)}),
    "a picture of another type": GOOD._replace(images={**GOOD.images, "rgb": np.zeros((8, 8, 3), np.float32)}),
    "a camera too few": GOOD._replace(images={"rgb": GOOD.images["rgb"]}),
    "a camera too many": GOOD._replace(images={**GOOD.images, "top": np.zeros((2, 2, 3), np.uint8)}),
    "no state": GOOD._replace(state=np.zeros(0)),
    "a longer state": GOOD._replace(state=np.zeros(STATE_SIZE + 1)),
    "NaN in the state": GOOD._replace(state=np.array([0, np.nan, 0])),
    "infinity in the state": GOOD._replace(state=np.array([np.inf, 0, 0])),
    "time before the episode": GOOD._replace(time_s=-0.1),
    "time that runs backwards": GOOD._replace(time_s=0.5),
    "no text": GOOD._replace(instruction=["do", "it"]),
    "half a character": GOOD._replace(instruction="do \ud800"),
}


def test_a_wrong_observation_is_one_clear_error_and_the_episode_goes_on(client, policy):
    session = client.open(seed=9)
    seen = [*episode(3, 3), *(each._replace(time_s=1.0 + each.time_s) for each in episode(3, 2))]
    chunks = [client.decide(session, each).actions for each in seen[:3]]
    for name, observation in WRONG.items():
        with refused(wire.BAD_REQUEST) as refusal:
            client.decide(session, observation)
        if "picture" in name:
            assert "uint8 [32, 48, 3]" in refusal.message
    chunks += [client.decide(session, each).actions for each in seen[3:]]
    assert_same(chunks, alone(policy, seen, 9))


def test_what_cannot_travel_is_said_before_it_is_sent(client):
    session = client.open()
    with pytest.raises(wire.WireError, match="images/rgb is float64"):
        client.decide(session, GOOD._replace(images={**GOOD.images, "rgb": np.zeros((32, 48, 3))}))
    with pytest.raises(wire.WireError, match="JSON compliant"):
        client.decide(session, GOOD._replace(time_s=float("nan")))
    with pytest.raises(wire.WireError, match="texts are too long"):
        client.decide(session, GOOD._replace(instruction="do " * 50_000))
    client.decide(session, GOOD)


def frame(payload, blob=b""):
    return struct.pack("<2sBBII", b"EP", wire.VERSION, 0, len(payload), len(blob)) + payload + blob


def answer(connection):
    """The next message, as a dict; None where the connection has ended."""
    data = b""
    while len(data) < wire.HEADER.size or len(data) < wire.HEADER.size + sum(wire.unpack_header(data[:12])):
        try:
            more = connection.recv(1)
        except ConnectionResetError:
            more = b""
        if not more:
            return None
        data += more
    return json.loads(data[12 : 12 + wire.unpack_header(data[:12]).json])


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (frame(b"[]"), wire.BAD_REQUEST),
        (frame(b"{"), wire.BAD_REQUEST),
        (frame(b"\xff\xfe"), wire.BAD_REQUEST),
        (frame(b"[" * 60_000), wire.BAD_REQUEST),
        (frame(b'{"id":1,"type":"shutdown"}'), wire.BAD_REQUEST),
        (frame(b'{"id":1,"type":["open"]}'), wire.BAD_REQUEST),
        (frame(b'{"id":"1","type":"open"}'), wire.BAD_REQUEST),
        (frame(b'{"id":1,"type":"open","seed":-1}'), wire.BAD_REQUEST),
        (frame(b'{"id":1,"type":"open","seed":1e3}'), wire.BAD_REQUEST),
        (frame(b'{"id":1,"type":"decide","session":7}'), wire.UNKNOWN_SESSION),
        (frame(b'{"id":1,"type":"open","arrays":[["a","uint8",[9]]]}', b"12"), wire.BAD_REQUEST),
        (frame(b'{"id":1,"type":"open","arrays":[["a","object",[1]]]}', b"12345678"), wire.BAD_REQUEST),
        (frame(b'{"id":1,"type":"open","arrays":[["a","uint8",[-1]]]}', b"1"), wire.BAD_REQUEST),
        (frame(b'{"id":1,"type":"open","arrays":7}'), wire.BAD_REQUEST),
        (frame(b'{"id":1,"type":"open"}', b"12"), wire.BAD_REQUEST),
        (frame(b'{"id":1,"type":"decide","time_s":NaN}'), wire.BAD_REQUEST),
        (frame(b'{"id":1,"type":"open"}', bytes(1_000_000)), wire.BAD_REQUEST),
        (frame(b" " * 100_000), wire.TOO_LARGE),
    ],
)
def test_a_malformed_message_is_one_error_and_the_connection_goes_on(server, client, message, code):
    with server.stranger() as connection:
        connection.sendall(message)
        assert answer(connection)["error"]["code"] == code
        connection.sendall(frame(b'{"id":2,"type":"hello"}'))
        assert answer(connection)["ready"] is True


@pytest.mark.parametrize(
    ("header", "says"), [(b"GET / HTTP/1.1\r\n\r\n", "no message"), (struct.pack("<2sBBII", b"EP", 99, 0, 0, 0), "99")]
)
def test_what_is_no_message_ends_the_connection_with_one_word(server, client, header, says):
    with server.stranger() as connection:
        connection.sendall(header)
        said = answer(connection)
        assert said["error"]["code"] == wire.BAD_REQUEST
        assert says in said["error"]["message"]
        assert answer(connection) is None
    client.hello()


def test_one_session_is_asked_one_thing_at_a_time(server):
    with server.client() as client:
        session, _idle = client.open(), client.open()  # the idle one makes the server wait for it a little
        numbers = [begin_deciding(client, session, GOOD) for _ in range(2)]
        with refused(wire.BUSY):
            client._answer(numbers[1], time.monotonic() + 60)
        assert "batch" in client._answer(numbers[0], time.monotonic() + 60)[0]


# -- clients that are slow or dead ----------------------------------------------------------------------------------


def test_slow_and_dead_clients_cost_nobody_anything(server):
    with server.client() as client:
        half, deaf = server.stranger(), server.stranger()
        half.sendall(frame(b'{"id":1,"type":"open"}')[:20])
        deaf.setblocking(False)
        hello = frame(b'{"id":1,"type":"hello"}')
        sent = 0
        until_s = time.monotonic() + 20
        ended = False
        while not ended and time.monotonic() < until_s:  # never reads an answer
            try:
                sent += deaf.send(hello * 100)
            except BlockingIOError:
                time.sleep(0.02)
            except (BrokenPipeError, ConnectionResetError):
                ended = True
            assert client.hello()["ready"]
        assert ended, f"{sent} bytes sent by a client that does not read"
        client.decide(client.open(), GOOD)
        assert "too slow" in answer(half)["error"]["message"]
        assert answer(half) is None
        half.close()
        deaf.close()


def test_a_client_that_dies_while_it_is_decided_leaves_nothing(server, client):
    for _ in range(3 * MAX_SESSIONS):
        dying = server.client()
        session, _idle = dying.open(), dying.open()
        begin_deciding(dying, session, GOOD)
        dying.close()
        until_none_is_open(client)
    open_all(client)


# -- a policy that fails ----------------------------------------------------------------------------------------------


def test_nan_is_an_error_and_never_an_action(client, policy):
    sick, well = client.open(seed=1), client.open(seed=2)
    seen = episode(2, 4)
    chunks = [client.decide(well, seen[0]).actions]
    answers = client.decide_many({sick: GOOD._replace(instruction=f"do {POISON}"), well: seen[1]})
    assert isinstance(answers[sick], Refused)
    assert answers[sick].code == wire.POLICY_FAILED
    assert answers[well].batch == 2
    chunks.append(answers[well].actions)
    with refused(wire.POLICY_FAILED) as refusal:
        client.decide(sick, GOOD)
    assert "reset the session" in refusal.message
    client.reset(sick, seed=3)
    again = [client.decide(sick, each).actions for each in seen]
    assert_same(again, alone(policy, seen, 3))
    chunks += [client.decide(well, each).actions for each in seen[2:]]
    assert_same(chunks, alone(policy, seen, 2))


def test_a_policy_without_a_finite_action_is_not_served(tmp_path, capsys):
    spoiled = make_checkpoint(tmp_path / "policy", spoil=True)
    with pytest.raises(SystemExit) as ended:
        main(["serve", f"checkpoint={spoiled}", f"socket={tmp_path / 's' / 'p.sock'}"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("embodied: ")
    assert "cannot be served: the policy's action is not finite" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "s" / "p.sock").exists()


def test_what_is_random_in_a_bank_follows_from_the_session_and_not_from_its_row(tmp_path):
    policy = make_checkpoint(tmp_path, strategy="reservoir", capacity=2)
    engine = Engine(ServeConfig(checkpoint=str(policy), max_sessions=3, device="cpu"))
    engine.start()
    assert engine.loaded.result(60).horizon == 4
    chunks = {}
    for row, seed in ((0, 6), (2, 6), (1, 8)):
        engine.begin(row, seed).result(60)
        chunks[row] = [engine.decide(row, each).result(60).actions for each in episode(0, 8)]
    np.testing.assert_array_equal(chunks[0], chunks[2])
    assert np.abs(np.array(chunks[0]) - np.array(chunks[1])).max() > 1e-3
    assert engine.stop(60)
    engine.ended.result(0)


# -- where it listens -------------------------------------------------------------------------------------------------


def test_only_this_user_reaches_the_socket(server, tmp_path, monkeypatch):
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    endpoint = UnixEndpoint(ServeConfig().socket_path())
    assert endpoint.path == tmp_path / "engram" / "policy.sock"
    assert stat.S_IMODE(endpoint.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(endpoint.path.stat().st_mode) == 0o600
    endpoint.close()


def test_a_living_servers_socket_is_not_taken(server, policy, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["serve", f"checkpoint={policy}", f"socket={server.socket}"])
    assert ended.value.code == 2
    assert f"a server is listening at {server.socket} already" in capsys.readouterr().err
    with server.client() as client:
        client.decide(client.open(), GOOD)


def test_a_socket_of_a_dead_server_is_replaced_and_removed_at_the_end(tmp_path):
    path = tmp_path / "own" / "policy.sock"
    UnixEndpoint(path).socket.close()
    assert path.exists()
    first = UnixEndpoint(path)
    path.unlink()
    second = UnixEndpoint(path)
    first.close()  # the file is not its own any more
    assert path.exists()
    second.close()
    assert not path.exists()


def test_places_that_are_no_place_for_a_socket_are_refused(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(EndpointError, match="others can write to the folder"):
        UnixEndpoint(shared / "policy.sock")
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(EndpointError, match="is no socket"):
        UnixEndpoint(tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "mine"
    with pytest.raises(EndpointError, match="longer than 107 bytes"):
        UnixEndpoint(tmp_path / ("x" * 108))


def test_tcp_is_for_who_has_the_token(server):
    file = server.token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    address = re.search(r"127\.0\.0\.1:\d+", server.log.read_text()).group()
    with PolicyClient(address, token(file), **PATIENCE) as client:
        client.decide(client.open(), GOOD)
    for wrong in ("", "x" * 43, token(file)[:-1]):
        with refused(wire.UNAUTHORISED):
            PolicyClient(address, wrong, **PATIENCE)
    with socket.create_connection(address.split(":"), timeout=30) as stranger:
        stranger.sendall(frame(b'{"id":1,"type":"open"}'))
        assert answer(stranger)["error"]["code"] == wire.UNAUTHORISED
        assert answer(stranger) is None
    with socket.create_connection(address.split(":"), timeout=30) as silent:
        assert "too slow" in answer(silent)["error"]["message"]


def test_tcp_without_a_token_is_no_config(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["serve", "tcp_port=7777"])
    assert ended.value.code == 2
    assert "token_file: name a file" in capsys.readouterr().err


def test_a_token_that_others_can_read_is_refused(tmp_path):
    file = tmp_path / "token"
    assert token(file) == token(file)
    file.chmod(0o644)
    with pytest.raises(EndpointError, match="others can read"):
        token(file)


# -- the client and the log -------------------------------------------------------------------------------------------


def test_the_client_needs_numpy_alone(server):
    program = """
import sys
from embodied.serve.client import PolicyClient
with PolicyClient(sys.argv[1]) as policy:
    print(policy.contract.horizon)
heavy = {"torch", "omegaconf", "yaml", "scipy", "safetensors"} & set(sys.modules)
assert not heavy, heavy
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, str(server.socket)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert (ran.stdout, ran.stderr) == ("4\n", "")


def test_where_there_is_no_server_it_says_what_to_do(tmp_path):
    with pytest.raises(ServerGone, match="run `embodied serve`"):
        PolicyClient(tmp_path / "none.sock", wait_s=0)


def test_a_late_answer_is_dropped_and_the_session_lives(server):
    with server.client() as client:
        session, _idle = client.open(), client.open()
        client._timeout_s = 0.02  # the server waits 0.06 s for the idle one
        with pytest.raises(DeadlinePassed):
            client.decide(session, GOOD)
        client._timeout_s = 60.0
        with refused(wire.BUSY):
            client.reset(session)
        time.sleep(0.5)
        client.decide(session, GOOD)
        assert client.hello()["sessions"] == 2


def test_the_log_tells_when_it_is_ready_and_how_it_is_used(server, client):
    session = client.open()
    pattern = r"^\d+ sessions, [\d.]+ requests/s, batch [\d.]+, p50 [\d.]+ ms, p95 [\d.]+ ms$"
    until_s = time.monotonic() + 20
    while not re.search(pattern, server.log.read_text(), re.MULTILINE) and time.monotonic() < until_s:
        client.decide(session, GOOD)
    said = server.log.read_text()
    assert re.search(pattern, said, re.MULTILINE), said
    assert said.count("ready: ") == 1
    assert re.search(rf"at {server.socket} and at 127.0.0.1:\d+, for {MAX_SESSIONS} sessions", said)


def test_sigterm_ends_it_cleanly(server):
    """Last, as it ends the server of this file."""
    with server.client() as client:
        session, _idle = client.open(), client.open()
        number = begin_deciding(client, session, GOOD)
        client.hello()  # so the request has been taken
        server.process.send_signal(signal.SIGTERM)
        assert "batch" in client._answer(number, time.monotonic() + 30)[0]  # what was begun is finished
        with pytest.raises(ServerGone, match="the server stops"):
            for _ in range(1000):
                client.hello()
    assert server.process.wait(30) == 0
    assert not server.socket.exists()
    assert os.listdir(server.socket.parent) == []
    assert "Traceback" not in server.log.read_text()
