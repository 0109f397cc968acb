"""The one thread that owns the policy: it gathers requests into batches and decides them.

A timeline, batch_wait_ms = 5, three sessions::

    ms        0        3     5                    25                   45
    arrive    A        B                C, A'
    passes                   [A, B] ------------> [C, A'] -----------> ...

A pass begins when every session's request is there, or when the first of them has waited so long; whatever arrives
during a pass is in the next one. Nothing waits for longer than the wait and two passes.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from embodied.checkpoint import CheckpointError
from embodied.player import VlaPlayer
from embodied.serve.config import ServeConfig
from embodied.serve.contract import Contract, Observation
from policies.action_expert.actions import ActionError


class PolicyFailed(RuntimeError):
    """There is no action for a request; the message is one line.

    `damaging`: what the session remembers may be damaged by what was computed; reset it.
    """

    def __init__(self, message: str, damaging: bool = False) -> None:
        super().__init__(message)
        self.damaging = damaging


class Decision(NamedTuple):
    """The answer to one observation."""

    actions: np.ndarray
    """float32 [H, A], in their units and within their limits."""
    batch: int
    """How many sessions were decided in the same pass."""


@dataclass
class _Request:
    row: int
    observation: Observation
    answer: Future[Decision] = field(default_factory=Future)


@dataclass
class _Task:
    """Something else that the policy's thread is to do."""

    work: Callable[[], None]
    answer: Future[None] = field(default_factory=Future)


class Engine:
    """A policy with `config.max_sessions` rows, each an episode. Methods may be called from any thread.

    `loaded` is done when the policy is loaded and has decided once at the smallest and the largest batch; it raises
    what went wrong: CheckpointError (also where its action is no number), EncoderError, ValueError (the device).
    `ended` is done when the thread is, and raises what should not have been.
    """

    def __init__(self, config: ServeConfig) -> None:
        self.loaded: Future[Contract] = Future()
        self.ended: Future[None] = Future()
        self._config = config
        self._queue: queue.SimpleQueue[_Request | _Task | None] = queue.SimpleQueue()
        self._open: set[int] = set()
        self._player: VlaPlayer
        self._thread = threading.Thread(target=self._run, name="policy", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Ends the thread after the pass it is in; whether it did within `timeout_s`."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def begin(self, row: int, seed: int | None = None) -> Future[None]:
        """An episode begins in `row`, which has seen nothing. Without a seed its noise goes on as it was."""
        return self._later(lambda: self._begin(row, seed))

    def end(self, row: int) -> Future[None]:
        """`row` is free, and forgets."""
        return self._later(lambda: self._end(row))

    def decide(self, row: int, observation: Observation) -> Future[Decision]:
        """The next chunk of the episode in `row`, one request at a time; a cancelled one is left out.

        The future raises PolicyFailed.
        """
        request = _Request(row, observation)
        self._queue.put(request)
        return request.answer

    # -- within the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            contract = self._load()
        except BaseException as error:
            self.loaded.set_exception(error)
            return
        self.loaded.set_result(contract)
        try:
            self._work()
        except BaseException as error:
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)

    def _work(self) -> None:
        while True:
            job = self._queue.get()
            if isinstance(job, _Request):
                batch, stopped = self._gather(job)
                self._answer(batch)
                if stopped:
                    return
            elif job is None:
                return
            else:
                _do(job)

    def _load(self) -> Contract:
        config = self._config
        if config.torch_threads:
            torch.set_num_threads(config.torch_threads)
        device = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).split("\n")[0]
            raise ValueError(f"device: cannot compute on '{device}': {reason}") from error
        path = Path(config.checkpoint)
        self._player = player = VlaPlayer(path, config.max_sessions, seed=config.seed, device=device)
        contract = Contract(
            policy=f"{player.checkpoint.folder} (step {player.checkpoint.steps})",
            cameras={name: [int(size) for size in sizes] for name, sizes in player.cameras.items()},
            state_size=player.policy.state_size,
            action=player.spec.to_json(),
            fps=player.fps,
            horizon=player.horizon,
            execute=player.execute,
        )
        self._warm_up(contract)
        return contract

    def _warm_up(self, contract: Contract) -> None:
        images = {name: np.zeros((*size, 3), np.uint8) for name, size in contract.cameras.items()}
        nothing = Observation(images, np.zeros(contract.state_size, np.float32), "warm up", 0.0)
        for rows in {1, self._config.max_sessions}:
            for decided in self._decide([_Request(row, nothing) for row in range(rows)]):
                if isinstance(decided, PolicyFailed):
                    raise CheckpointError(f"{contract.policy} cannot be served: {decided}")
        for row in range(self._config.max_sessions):
            self._forget(row)

    def _gather(self, first: _Request) -> tuple[list[_Request], bool]:
        """The requests to decide together, and whether the thread is to end after them."""
        batch = [first]
        until_s = time.monotonic() + self._config.batch_wait_ms / 1e3
        while len(batch) < len(self._open):
            try:
                job = self._queue.get(timeout=max(0.0, until_s - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                return batch, True
            if isinstance(job, _Request):
                batch.append(job)
            else:
                _do(job)
        return batch, False

    def _answer(self, batch: list[_Request]) -> None:
        # A session that was closed in the meantime has taken its request back.
        batch = [request for request in batch if request.answer.set_running_or_notify_cancel()]
        if not batch:
            return
        try:
            decided = self._decide(batch)
        except Exception as error:
            traceback.print_exception(error)
            # Whose fault was it? Nothing has been remembered yet, so each can be tried alone.
            decided = [self._decide_alone(each) for each in batch] if len(batch) > 1 else [_failed(error)]
        for request, each in zip(batch, decided, strict=True):
            if isinstance(each, PolicyFailed):
                request.answer.set_exception(each)
            else:
                request.answer.set_result(each)

    def _decide_alone(self, request: _Request) -> Decision | PolicyFailed:
        try:
            return self._decide([request])[0]
        except Exception as error:
            return _failed(error)

    def _decide(self, batch: list[_Request]) -> list[Decision | PolicyFailed]:
        """One forward pass."""
        player = self._player
        observed = [request.observation for request in batch]
        chunks = player.decide(
            np.array([request.row for request in batch]),
            {name: np.stack([each.images[name] for each in observed]) for name in player.cameras},
            np.stack([each.state for each in observed]),
            [each.instruction for each in observed],
            np.array([each.time_s for each in observed]),
        )
        decided: list[Decision | PolicyFailed] = []
        for chunk in chunks:
            try:
                decided.append(Decision(player.spec.finish(torch.from_numpy(chunk)).numpy(), len(batch)))
            except ActionError as error:
                decided.append(PolicyFailed(f"{error}; reset the session: its memory may be damaged", damaging=True))
        return decided

    def _begin(self, row: int, seed: int | None) -> None:
        self._open.add(row)
        self._forget(row, seed)

    def _end(self, row: int) -> None:
        self._open.discard(row)
        self._forget(row)

    def _forget(self, row: int, seed: int | None = None) -> None:
        """Wipes a row: nothing of an episode is left for the next one, not even a NaN where no one looks."""
        player = self._player
        marked = np.zeros(player.rows, bool)
        marked[row] = True
        seeds = None if seed is None else np.full(player.rows, seed)
        player.reset(marked, seeds)
        index = torch.tensor([row], device=player.device)
        every = torch.ones(1, dtype=torch.bool, device=player.device)
        # A bank that draws random numbers draws them by the session's seed, whichever row it lies in.
        own = None if seed is None else torch.tensor([seed], device=player.device)
        with torch.no_grad():
            player.memory = {
                name: each.put(index, each.select(index).reset(every, own).tidy())
                for name, each in player.memory.items()
            }

    def _later(self, work: Callable[[], None]) -> Future[Any]:
        task = _Task(work)
        self._queue.put(task)
        return task.answer


def _do(task: _Task) -> None:
    if not task.answer.set_running_or_notify_cancel():
        return  # who wanted it has gone, and ends what he began
    try:
        task.work()
    except Exception as error:
        task.answer.set_exception(error)
    else:
        task.answer.set_result(None)


def _failed(error: Exception) -> PolicyFailed:
    """What a client reads of an error that should not be; the log has it whole."""
    line = " ".join(str(error).split())
    print(f"the policy failed: {type(error).__name__}: {line}", file=sys.stderr, flush=True)
    return PolicyFailed(f"the policy failed ({type(error).__name__}: {line}); the session is as it was before")
