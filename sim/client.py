"""One simulator worker, seen from the learning process: started, spoken to, and ended."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from sim.config import SimConfig
from sim.errors import SimulatorError, TaskError, WorkerDied, WorkerTimeout
from sim.runtime import default_sim_python
from sim.worker import protocol

_LAUNCHER = Path(__file__).parent / "worker" / "launch.py"
_STDERR_TAIL_BYTES = 4000
ONE_CORE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "LP_NUM_THREADS": "0",  # Mesa's CPU renderer: it draws in the calling thread
}
"""A simulator is one core's work: more threads only fight over the cores, and small pictures take longer to draw."""


class Worker:
    """A simulator process and the shared memory it writes to.

    Args:
        config: interpreter, deadlines.
        hello: what the worker is to be (see `sim.worker.server`).
        wait: whether to return only when it is ready; False starts several side by side (then `wait_ready` each).

    Raises:
        TaskError: the worker started but the task's input is wrong.
        WorkerDied: it could not be started, or died; the message ends with its last words.
        WorkerTimeout: it did not answer in time. The worker is killed.
    """

    def __init__(self, config: SimConfig, hello: dict[str, Any], wait: bool = True) -> None:
        try:
            python = config.python or str(default_sim_python())
        except FileNotFoundError as error:
            raise SimulatorError(str(error)) from error
        self._config = config
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed in kill)
        ours, theirs = socket.socketpair()
        self.channel = protocol.Channel(ours)
        try:
            self.process = subprocess.Popen(
                [python, str(_LAUNCHER), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=worker_environment(),
                start_new_session=True,  # Ctrl-C reaches the trainer, which then ends its workers in order
            )
        except OSError as error:
            ours.close()
            raise WorkerDied(f"cannot start the simulator interpreter {python}: {error.strerror or error}") from error
        finally:
            theirs.close()
        self.arrays: protocol.SharedArrays | None = None
        self.ready: dict[str, Any] = {}
        self._loading: dict[str, Any] = {}
        self.death: SimulatorError | None = None
        """How it ended, once it has."""
        self._words = ""
        self.send(protocol.HELLO, hello)
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Waits for READY and maps the shared memory. Whatever goes wrong, the process is ended."""
        timeout_s = self._config.start_timeout_s
        try:
            message = self.receive(timeout_s)
            while message.kind == protocol.LOADING:
                self._loading = message.body
                message = self.receive(timeout_s)
            self.ready = message.body
            if "fields" in self.ready:
                descriptor = self.channel.receive_descriptor(timeout_s)
                fields = [protocol.Field(n, d, tuple(s), o) for n, d, s, o in self.ready["fields"]]
                self.arrays = protocol.SharedArrays(descriptor, fields)
        except (protocol.PeerGone, protocol.DeadlinePassed) as error:
            raise self._translate(error, "start") from error
        except BaseException:
            self.kill()
            raise

    @property
    def memory(self) -> protocol.SharedArrays:
        """The arrays shared with the worker (`sim.worker.server.EnvironmentWorker.hello` lists them)."""
        if self.arrays is None:
            raise SimulatorError("this worker shares no memory: it is no environment, or not ready yet")
        return self.arrays

    @functools.cached_property
    def observations(self) -> dict[str, np.ndarray]:
        """The current observation, by sensor: views of shared memory."""
        return self.memory.group("obs")

    @functools.cached_property
    def final_observations(self) -> dict[str, np.ndarray]:
        """The last observation of the episode that ended last: views of shared memory."""
        return self.memory.group("final")

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, kind: int, body: dict[str, Any] | None = None) -> None:
        if self.death is not None:
            raise self.death
        try:
            self.channel.send(kind, body, timeout_s=self._config.step_timeout_s)
        except (protocol.PeerGone, protocol.DeadlinePassed) as error:
            raise self._translate(error, "send") from error

    def receive(self, timeout_s: float, loading_timeout_s: float = 0.0) -> protocol.Message:
        """The next message. A step that ends its episode loads the next scene and gets `loading_timeout_s` more."""
        before = self._status_bytes() if loading_timeout_s else b""
        try:
            try:
                message = self.channel.receive(timeout_s)
            except protocol.DeadlinePassed:
                if not loading_timeout_s or self._status_bytes() == before:
                    raise
                message = self.channel.receive(loading_timeout_s)
        except (protocol.PeerGone, protocol.DeadlinePassed) as error:
            raise self._translate(error, "answer") from error
        if message.kind == protocol.ERROR:
            kind = TaskError if message.body.get("is_task_error") else SimulatorError
            reported = kind(message.body.get("message", "the worker reported an error without a message"))
            reported.add_note(message.body.get("traceback", ""))
            raise reported
        return message

    def call(self, name: str, timeout_s: float = 60.0, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """Asks one of the worker's named questions (`sim.worker.calls`)."""
        self.send(protocol.CALL, {"name": name, "arguments": arguments})
        message = self.receive(timeout_s)
        return message.body, message.blob

    def status(self) -> dict[str, Any]:
        """Scene, episode and count the worker was at, also after its death; empty if it never got so far."""
        if self.arrays is None:
            return self._loading
        try:
            return dict(json.loads(protocol.read_text(self.arrays["status"])))
        except ValueError:
            return {}

    def _status_bytes(self) -> bytes:
        return b"" if self.arrays is None else self.arrays["status"].tobytes()

    def last_words(self) -> str:
        """The end of what the process printed."""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - _STDERR_TAIL_BYTES))
        text = self._log.read().decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        telling = [
            line for line in lines if not line.startswith(("File ", "Thread ", "Current thread", "Extension modules"))
        ]
        return " | ".join(telling[-3:])

    def ask_to_close(self) -> None:
        """Asks the worker to end, and returns at once: several end side by side."""
        if self.process.poll() is None:
            with contextlib.suppress(protocol.PeerGone, protocol.DeadlinePassed, OSError):
                self.channel.send(protocol.CLOSE, timeout_s=1.0)

    def close(self) -> None:
        """Ends the worker: asks it to, and kills it if it does not within two seconds."""
        self.ask_to_close()
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=2.0)
        self.kill()

    def kill(self) -> None:
        """Ends the process at once, frozen or not, and releases its descriptors."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.channel.close()
        if not self._log.closed:
            self._words = self.last_words()
            self._log.close()

    def _translate(self, error: Exception, doing: str) -> SimulatorError:
        """Kills the worker and says in one line how it ended."""
        timed_out = isinstance(error, protocol.DeadlinePassed)
        if not timed_out:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5.0)
        code = self.process.poll()
        self.kill()
        scene = self.status().get("scene")
        where = f" on scene {scene}" if scene else ""
        words = f": {self._words}" if self._words else ""
        if timed_out:
            self.death = WorkerTimeout(f"simulator worker {self.pid} did not {doing} in time{where}; it was killed")
        else:
            self.death = WorkerDied(f"simulator worker {self.pid} {_how_it_ended(code)}{where}{words}")
        return self.death


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "closed its connection"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"exited with status {code}"


def worker_environment() -> dict[str, str]:
    """The worker's environment: ours, less what would lead its interpreter to our packages."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    return {**ONE_CORE, **environment}


def as_array(body: dict[str, Any], blob: bytes, dtype: str) -> np.ndarray:
    """An array that a call returned as `shape` and raw bytes."""
    return np.frombuffer(blob, dtype=dtype).reshape(body["shape"])
