"""One register and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from memory_bank.long_term.base import Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.strategies.base import Operation, Strategy, active, add, joined, update
from memory_bank.long_term.tail import unit


class ConstantRegister(Strategy):
    """The memory is one entry, M(t) = f(M(t - 1), o(t)), whatever the length (MEM1, arXiv 2506.15841).

    There f is a language model that rewrites its own state and is trained for it; here it is a running mean of rate
    `rate` over unit embeddings, with the newest four captions.
    """

    name: ClassVar[str] = "register"

    def __init__(self, capacity: int = 1, seed: int = 0, rate: float = 0.3) -> None:
        super().__init__(capacity, seed)
        self.rate = rate

    def write(self, store: Store, entry: Entry) -> list[Operation]:
        kept = active(store)
        if not kept:
            return [add(store, replace(entry, kind="register"))]
        assert entry.embedding is not None
        old = kept[-1]
        assert old.embedding is not None
        mean = (1 - self.rate) * unit(old.embedding) + self.rate * unit(entry.embedding)
        new = joined([old, replace(entry, kind="register")], kind="register")
        if np.any(mean):
            new = replace(new, embedding=mean.astype(np.float32))
        return [update(store, [old], replace(new, id=entry.id), "rewritten as")]
