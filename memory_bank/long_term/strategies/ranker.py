"""A small learned ranker of what was retrieved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from embodied.files import replacing
from memory_bank.long_term.base import Store
from memory_bank.long_term.query import Hit, Query
from memory_bank.long_term.strategies.fifo import Fifo

FEATURES = 6
SHOWN = (1, 2, 3, 5, 8)
"""How many entries the user of a memory is shown when a ranking is rewarded; none is the base line."""


class LearnedRanker(Fifo):
    """A small network ranks the candidates before anyone reads them; it learns from outcomes (MemSifter, arXiv
    2603.03379).

    There the proxy is a language model that reasons about the task, and the outcome is the answer of a large one;
    here it is a network of two layers over six features of a candidate (similarity, its difference to the best, age
    among the candidates, rank by age, importance, weight), and the outcome is any reward of a list of entries. As
    there, a ranking is rewarded by ablation: what is gained by showing its first 1, 2, 3, 5, 8 entries over fewer,
    gains weighted by 1 / log2(1 + k), so that what helps should come first. Writing is FIFO.
    """

    name: ClassVar[str] = "ranker"

    def __init__(self, capacity: int = 64, seed: int = 0, candidates: int = 16, weights: str = "") -> None:
        super().__init__(capacity, seed)
        self.candidates = candidates
        self.network = _network(seed)
        if weights:
            load(self.network, weights)

    def read(self, store: Store, query: Query) -> list[Hit]:
        hits = self.pool(store, query)
        if not hits:
            return []
        with torch.no_grad():
            scores = self.network(features(hits)).squeeze(-1).tolist()
        ranked = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
        return sorted(ranked, key=lambda hit: -hit.score)[: query.k]

    def pool(self, store: Store, query: Query) -> list[Hit]:
        """The candidates, by the store's own order."""
        return store.query(query, k=max(query.k, self.candidates))

    def save(self, path: Path) -> None:
        save(self.network, path)


def features(hits: list[Hit]) -> Tensor:
    """[N, FEATURES] of N candidates of one query."""
    alike = np.array([hit.similarity if hit.similarity is not None else hit.score for hit in hits])
    times = np.array([hit.entry.t1 for hit in hits])
    span = max(float(times.max() - times.min()), 1e-9)
    by_age = np.argsort(np.argsort(-times)) / max(1, len(hits) - 1)
    weights = [float(hit.entry.provenance.get("weight", 1)) for hit in hits]
    columns = [
        alike,
        alike.max() - alike,
        (times.max() - times) / span,
        by_age,
        [hit.entry.importance for hit in hits],
        np.log1p(weights),
    ]
    return torch.tensor(np.stack(columns, axis=1), dtype=torch.float32)


def ablation_reward(gains: list[float]) -> float:
    """From the outcome with the first 0, 1, 2, 3, 5, 8 entries of a ranking shown, in that order."""
    steps = zip(gains, gains[1:], SHOWN, strict=False)
    return sum((after - before) / np.log2(1 + shown) for before, after, shown in steps)


def sample_ranking(scores: Tensor, generator: torch.Generator) -> tuple[list[int], Tensor]:
    """A ranking drawn by Plackett and Luce's model, and its log probability."""
    uniform = torch.rand(len(scores), generator=generator).clamp(1e-9, 1 - 1e-9)
    order = (scores.detach() - torch.log(-torch.log(uniform))).argsort(descending=True)
    ordered = scores[order]
    return order.tolist(), (ordered - ordered.flip(0).logcumsumexp(0).flip(0)).sum()


def _network(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(FEATURES, 32), nn.Tanh(), nn.Linear(32, 1))


def save(network: nn.Module, path: Path) -> None:
    """Writes weights, whole or not at all."""
    from safetensors.torch import save_file

    with replacing(Path(path)) as draft:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, draft)


def load(network: nn.Module, path: str) -> None:
    """Reads what `save` wrote. Raises StoreError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from memory_bank.long_term.errors import StoreError

    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise StoreError(f"weights {path} cannot be used: {' '.join(str(error).split())[:200]}") from error
