"""A training run's folder: its settings, its lock, its checkpoints, and how it is stopped and resumed.

::

    RUN/config.yaml         settings
    RUN/checkpoints/        see `embodied.checkpoint`
    RUN/train.jsonl         one line of figures each so often; RUN/tensorboard/ has the same
    RUN/replay/             (imitation) stored experience, until the run is finished
    RUN/lock                held while a process trains here
"""

from __future__ import annotations

import contextlib
import fcntl
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from embodied import config as configs
from embodied.checkpoint import Checkpoint, Checkpoints
from embodied.config import ConfigError
from embodied.files import FileError, write_atomically


@dataclass(frozen=True)
class TrainResult:
    """How a training went. `checkpoint` is its newest; `completed` is false if it was asked to stop before its end."""

    run: Path
    checkpoint: Path
    steps: int
    completed: bool
    figures: dict[str, float]


class Run:
    """One run's folder, opened for training.

    Args:
        folder: where. A run that is there already goes on, if its settings are these.
        config: the settings, a dataclass.
        free: dotted settings that may differ when a run goes on, since they do not decide its results.
        keep: checkpoints to keep.
        say: told of a damaged checkpoint that is passed over.

    Raises:
        ConfigError: the folder has a run of other settings, or another process trains there.
        CheckpointError: none of the checkpoints there can be read.
        FileError: the folder cannot be written.
    """

    def __init__(
        self, folder: Path, config: Any, free: frozenset[str], keep: int, say: Callable[[str], object]
    ) -> None:
        self.folder = folder
        self.checkpoints = Checkpoints(folder, keep)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] = open(folder / "lock", "w")  # noqa: SIM115  (held as long as the run)
        except OSError as error:
            raise FileError(f"cannot write {folder}: {error.strerror or error}; choose another output") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"output: another process is training in {folder}; choose another output") from None
        try:
            self.resumed: Checkpoint | None = self.checkpoints.newest(say)
            if self.resumed is not None:
                _same_settings(folder, config, free)
            write_atomically(folder / "config.yaml", configs.to_yaml(config))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._lock.close()


def _same_settings(folder: Path, config: Any, free: frozenset[str]) -> None:
    path = folder / "config.yaml"
    before = dict(_flat(configs.read_yaml(path)[0]))
    now = dict(_flat(configs.to_dict(config)))
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key) and key not in free:
            raise ConfigError(
                f"output: {folder} holds a run with {key}={before.get(key)}, and now it is {now.get(key)}; "
                "choose another output, or remove that folder"
            )


def _flat(body: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in body.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


class StopRequest:
    """Whether the user (Ctrl-C) or the system (SIGTERM) has asked the process to end."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the block the first SIGINT or SIGTERM is noted for the loop to act on; a second one acts as ever."""
    request = StopRequest()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: Any) -> None:
        request.signal = number
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
