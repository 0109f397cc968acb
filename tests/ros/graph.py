"""A private ROS graph for tests: processes of its own domain on this machine alone, and ears in the test."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

ROOT = Path(__file__).resolve().parents[2]
ACTOR = Path(__file__).with_name("actor.py")
START_S = 60.0
"""The most that a process may take to start, on a machine that does much else."""
_CYCLONE = """<CycloneDDS><Domain>
<General><Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces></General>
<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>60</MaxAutoParticipantIndex>
<Peers><Peer Address="127.0.0.1"/></Peers></Discovery>
<Compatibility><IgnoreTypeInformation>1.15</IgnoreTypeInformation></Compatibility>
</Domain></CycloneDDS>"""
"""On this machine alone, as ROS_AUTOMATIC_DISCOVERY_RANGE says it to Fast DDS, whose descriptions of types (its vendor
id is 1.15) Cyclone finds invalid: then types match by name, as between all older DDS."""


def free_domain():
    """A domain that no other test run on this machine uses, and the lock that keeps it so."""
    for domain in range(10, 100):
        lock = open(Path(tempfile.gettempdir()) / f"engram_ros_domain_{domain}.lock", "w")  # noqa: SIM115
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return domain, lock
        lock.close()
    raise RuntimeError("no ROS domain is free")


class Graph:
    """Use as a context manager: all its processes are gone at the end."""

    def __init__(self):
        self.domain, self._lock = free_domain()
        self.environment = {
            **os.environ,
            "ROS_DOMAIN_ID": str(self.domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "CYCLONEDDS_URI": _CYCLONE,
            "PYTHONPATH": str(ROOT),
        }
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.context = Context()
        rclpy.init(context=self.context, domain_id=self.domain)
        self.node = rclpy.create_node("test", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._processes = []
        self._clients = {}
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            if process.poll() is None:
                process.kill() if process.stdin else process.terminate()  # actors hold nothing that must be ended well
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15.0)
            if process.poll() is None:
                process.kill()
                process.wait()
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(timeout=5.0)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)
        self._lock.close()

    def run(self, *command, **options):
        """A process of this graph: `run("-m", "ros.safety_node", ...)`."""
        process = subprocess.Popen([sys.executable, *command], env=self.environment, cwd=ROOT, **options)
        self._processes.append(process)
        return process

    def node_process(self, module, *ros_arguments, **options):
        return self.run("-m", module, *(["--ros-args", *ros_arguments] if ros_arguments else []), **options)

    def actor(self, name, *arguments):
        return Actor(self.run(str(ACTOR), name, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))

    def ears(self, kind, topic, profile):
        """A list that grows by (time.monotonic(), message)."""
        heard = []
        self.node.create_subscription(kind, topic, lambda m: heard.append((time.monotonic(), m)), profile)
        return heard

    def call(self, kind, service, request=None, timeout_s=START_S):
        """A service's answer. Asks again after a while: a question put to a server that was killed gets none."""
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        client = self._clients[service]
        assert client.wait_for_service(timeout_sec=timeout_s), f"no service {service}"
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            future = client.call_async(request or kind.Request())
            pause = time.monotonic() + 8.0
            while not future.done() and time.monotonic() < pause:
                time.sleep(0.01)
            if future.done():
                return future.result()
            client.remove_pending_request(future)
        raise AssertionError(f"{service} does not answer")


class Actor:
    """A small process that plays robot or commander (`actor.py`), told what to do line by line."""

    def __init__(self, process):
        self.process = process
        assert self.process.stdout.readline().strip() == "ready"

    def do(self, **settings):
        """Changes what it does; returns time.monotonic() of the change."""
        self.process.stdin.write(json.dumps(settings) + "\n")
        self.process.stdin.flush()
        return float(json.loads(self.process.stdout.readline()))

    def sent(self):
        """time.monotonic() of each command sent since the last time this was asked."""
        self.process.stdin.write('"sent"\n')
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def kill(self):
        """kill -9; returns time.monotonic()."""
        now = time.monotonic()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        return now


def wait_for(condition, what, timeout_s=START_S):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.01)
