"""One bank for many callers: each session is an episode of its own, in a row of its own.

For a server whose callers come and go. No session sees what another remembers, calls from several threads do not mix,
and a bank that is full of sessions says so instead of forgetting one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import torch
from torch import Tensor

from memory_bank.bank import MemoryBank
from memory_bank.errors import BankError
from memory_bank.state import MemoryState


class Sessions:
    """Sessions by name, at most `rows` at a time. All methods may be called from any thread.

    Args:
        bank: in evaluation mode; no gradient is kept.
        rows: sessions that can be open at once.
    """

    def __init__(self, bank: MemoryBank, rows: int) -> None:
        self.bank = bank
        self._state = bank.cached(bank.empty_state(rows))
        self._row_of: dict[str, int] = {}
        self._free = list(range(rows))[::-1]
        self._lock = threading.Lock()

    def open(self, session: str, seed: int = 0) -> None:
        """Begins an episode; `seed` is of strategies that draw random numbers.

        Raises:
            BankError: the session is open already, or no row is free.
        """
        with self._lock:
            if session in self._row_of:
                raise BankError(f"session '{session}' is open already: close it first, or reset it")
            if not self._free:
                raise BankError(f"all {len(self._row_of)} sessions are taken: close one, or serve more rows")
            self._row_of[session] = self._free.pop()
            self._forget([session], [seed])

    def reset(self, session: str, seed: int = 0) -> None:
        """Begins a new episode in an open session.

        Raises:
            BankError: there is no such session.
        """
        with self._lock:
            self._rows([session])
            self._forget([session], [seed])

    def close(self, session: str) -> None:
        """Forgets a session and frees its row.

        Raises:
            BankError: there is no such session.
        """
        with self._lock:
            self._rows([session])
            self._forget([session], [0])
            self._free.append(self._row_of.pop(session))

    @property
    def names(self) -> list[str]:
        with self._lock:
            return list(self._row_of)

    @torch.no_grad()
    def step(self, sessions: list[str], tokens: Mapping[str, Tensor], times: Tensor) -> dict[str, Tensor]:
        """One step of K sessions, together.

        Args:
            sessions: K different names.
            tokens: {stream: [K, N, dim]}.
            times: [K] seconds, on each session's own clock.

        Returns:
            {stream: [K, N, D]}.

        Raises:
            BankError: a session is not open or named twice, or a shape is wrong; nothing was remembered then.
        """
        with self._lock:
            rows = self._rows(sessions)
            out = self.bank.step(tokens, times, {name: stream.select(rows) for name, stream in self._state.items()})
            for name, stream in self._state.items():
                for mine, theirs in zip(stream, out.state[name], strict=True):
                    mine.index_copy_(0, rows, theirs)
            return out.tokens

    def state(self, session: str) -> MemoryState:
        """A copy of what a session remembers, one row.

        Raises:
            BankError: there is no such session.
        """
        with self._lock:
            rows = self._rows([session])
            return {name: stream.select(rows) for name, stream in self._state.items()}

    def _rows(self, sessions: list[str]) -> Tensor:
        for session in sessions:
            if session not in self._row_of:
                raise BankError(f"no session '{session}' is open: open it first")
        if len(set(sessions)) < len(sessions):
            raise BankError(f"a session is named twice in one step: {', '.join(sessions)}")
        return torch.tensor([self._row_of[session] for session in sessions], device=self._device)

    @property
    def _device(self) -> torch.device:
        return next(iter(self._state.values())).tokens.device

    def _forget(self, sessions: list[str], seeds: list[int]) -> None:
        rows = self._rows(sessions)
        for name, stream in self._state.items():
            marked = torch.zeros(stream.rows, dtype=torch.bool, device=self._device)
            marked[rows] = True
            seed = stream.seed.index_copy(0, rows, torch.tensor(seeds, device=self._device))
            self._state[name] = stream.reset(marked, seed).tidy()
