"""What can go wrong with a long-term store; every message is one line that names the file and the remedy."""

from __future__ import annotations

from memory_bank.errors import BankError


class StoreError(BankError):
    """The store was asked for something it cannot do, is in use by another writer, or its disk is full."""


class StoreDamaged(StoreError):
    """A file of the store is not what was written. Nothing has been changed; the message says how to go on."""
