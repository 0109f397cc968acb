"""Memories by name (`policy.memory`). A new one is a file beside these and a line here."""

from __future__ import annotations

import importlib
from typing import cast

from policies.config import PolicyConfig
from policies.memories.base import Memory

MEMORIES = {
    "gru": "policies.memories.gru:GRUMemory",
    "lstm": "policies.memories.lstm:LSTMMemory",
    "register": "policies.memories.register:Register",
    "fct": "policies.memories.full_context:FullContext",
    "gtrxl": "policies.memories.gtrxl:GatedTransformerXL",
    "hcam": "policies.memories.hcam:HierarchicalChunkMemory",
    "rmt": "policies.memories.rmt:RecurrentMemoryTransformer",
    "memo": "policies.memories.memo:MemoMemory",
    "memoryless": "policies.memories.memoryless:Memoryless",
}


def make_memory(config: PolicyConfig, token_size: int) -> Memory:
    """A fresh memory for tokens of that width. `config` is valid."""
    module, name = MEMORIES[config.memory].split(":")
    return cast(Memory, getattr(importlib.import_module(module), name)(config, token_size))
