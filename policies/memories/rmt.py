"""Recurrent memory transformer (Bulatov et al., arXiv 2207.06881): Memo, but each segment overwrites the summaries."""

from __future__ import annotations

from dataclasses import replace

from policies.config import PolicyConfig
from policies.memories.memo import MemoMemory


class RecurrentMemoryTransformer(MemoMemory):
    """`summaries` memory tokens are read at the beginning of each segment and written anew at its end."""

    def __init__(self, config: PolicyConfig, token_size: int) -> None:
        super().__init__(replace(config, summary_cap=config.summaries, consolidation="fifo"), token_size)
