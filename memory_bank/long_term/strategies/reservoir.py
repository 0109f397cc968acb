"""A uniform sample of all that was ever written, beside the newest."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from memory_bank.long_term.base import Store
from memory_bank.long_term.entry import Entry
from memory_bank.long_term.strategies.base import Operation, Strategy, active, add, delete


class Reservoir(Strategy):
    """Half of the memory is a short FIFO, half a uniform sample of all that has left it, by random keys of which the
    highest stay (WMAR, "Augmenting replay in world models for continual reinforcement learning", arXiv 2401.16650).

    There it is replay for training, in chunks of spliced rollouts; here it is what the robot remembers, an entry at a
    time, and a key is a function of the seed and the entry's number, so that it survives a restart.
    """

    name: ClassVar[str] = "reservoir"
    least: ClassVar[int] = 2

    def write(self, store: Store, entry: Entry) -> list[Operation]:
        done = [add(store, entry)]
        kept = active(store)
        if len(kept) > self.capacity:
            sampled = kept[: len(kept) - self.capacity // 2]
            done += delete(store, [min(sampled, key=self._key)], "not in the sample")
        return done

    def _key(self, entry: Entry) -> float:
        return float(np.random.default_rng([self.seed, entry.seq]).random())
