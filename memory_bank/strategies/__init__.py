"""Strategies by name: which entry leaves a full bank. A new one is a file beside these and a line here."""

from __future__ import annotations

import difflib

from memory_bank.errors import BankError
from memory_bank.strategies.base import Candidates, Decision, Strategy
from memory_bank.strategies.fifo import Fifo
from memory_bank.strategies.keep import KeepFirst
from memory_bank.strategies.merge import MergeMostSimilar
from memory_bank.strategies.reservoir import Reservoir

STRATEGIES: dict[str, type[Strategy]] = {
    "merge": MergeMostSimilar,
    "fifo": Fifo,
    "reservoir": Reservoir,
    "none": KeepFirst,
}


def strategy_class(name: str) -> type[Strategy]:
    """The class of that name.

    Raises:
        BankError: there is none.
    """
    if name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise BankError(f"bank.strategy: no strategy '{name}': choose one of {', '.join(STRATEGIES)}{hint}")
    return STRATEGIES[name]


__all__ = ["STRATEGIES", "Candidates", "Decision", "Strategy", "strategy_class"]
