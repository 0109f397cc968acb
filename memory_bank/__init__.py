"""The perceptual-cognitive memory bank of MemoryVLA: batched, with state that is a value (docs/memory_bank.md).

The names are looked up when they are first used: who wants the long-term store alone, as a robot's memory node that
must be back within two seconds, does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memory_bank.bank import MemoryBank, Step, Unrolled
    from memory_bank.config import BankConfig, StreamConfig
    from memory_bank.errors import BankError, BankFileError
    from memory_bank.state import BankState, MemoryState
    from memory_bank.trace import Trace

__all__ = [
    "BankConfig",
    "BankError",
    "BankFileError",
    "BankState",
    "MemoryBank",
    "MemoryState",
    "Step",
    "StreamConfig",
    "Trace",
    "Unrolled",
]

_HOMES = {
    "bank": ("MemoryBank", "Step", "Unrolled"),
    "config": ("BankConfig", "StreamConfig"),
    "errors": ("BankError", "BankFileError"),
    "state": ("BankState", "MemoryState"),
    "trace": ("Trace",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
