"""A memory that lasts: entries in an indexed store, and what goes there (docs/long_term_memory.md)."""

from memory_bank.long_term.entry import Entry, Pose
from memory_bank.long_term.errors import StoreDamaged, StoreError
from memory_bank.long_term.query import Hit, Place, Query
from memory_bank.long_term.shared import SharedStore
from memory_bank.long_term.store import LongTermStore, StoreConfig, repair
from memory_bank.long_term.volatile import VolatileStore

__all__ = [
    "Entry",
    "Hit",
    "LongTermStore",
    "Place",
    "Pose",
    "Query",
    "SharedStore",
    "StoreConfig",
    "StoreDamaged",
    "StoreError",
    "VolatileStore",
    "repair",
]
