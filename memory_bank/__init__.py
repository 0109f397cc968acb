"""The perceptual-cognitive memory bank of MemoryVLA: batched, with state that is a value (docs/memory_bank.md)."""

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
