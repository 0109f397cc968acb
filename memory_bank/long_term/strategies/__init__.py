"""Strategies by name: what becomes of a working memory's entries. A new one is a file beside these and a line here."""

from __future__ import annotations

import difflib
from typing import Any

from memory_bank.long_term.errors import StoreError
from memory_bank.long_term.strategies.base import Operation, Strategy
from memory_bank.long_term.strategies.chunks import HierarchicalChunks
from memory_bank.long_term.strategies.experience import ExperienceReuse
from memory_bank.long_term.strategies.fifo import Fifo
from memory_bank.long_term.strategies.graph import KnowledgeGraph
from memory_bank.long_term.strategies.manager import LearnedManager
from memory_bank.long_term.strategies.merge import MergeMostSimilar
from memory_bank.long_term.strategies.parts import CoreSemanticEpisodic
from memory_bank.long_term.strategies.ranker import LearnedRanker
from memory_bank.long_term.strategies.register import ConstantRegister
from memory_bank.long_term.strategies.reservoir import Reservoir
from memory_bank.long_term.strategies.subgoals import SubgoalChunks
from memory_bank.long_term.strategies.window import TimeWindow

STRATEGIES: dict[str, type[Strategy]] = {
    "merge": MergeMostSimilar,
    "fifo": Fifo,
    "reservoir": Reservoir,
    "chunks": HierarchicalChunks,
    "subgoals": SubgoalChunks,
    "register": ConstantRegister,
    "parts": CoreSemanticEpisodic,
    "graph": KnowledgeGraph,
    "window": TimeWindow,
    "ranker": LearnedRanker,
    "manager": LearnedManager,
    "experience": ExperienceReuse,
}


def make_strategy(name: str, **settings: Any) -> Strategy:
    """A strategy of that name, with its own settings.

    Raises:
        StoreError: there is none of that name, or it cannot be made so.
    """
    if name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise StoreError(f"no strategy '{name}': choose one of {', '.join(STRATEGIES)}{hint}")
    try:
        return STRATEGIES[name](**settings)
    except TypeError as error:
        raise StoreError(f"strategy {name}: {error}") from error


__all__ = ["STRATEGIES", "Operation", "Strategy", "make_strategy"]
