"""What can go wrong with a bank; every message is one line that names the cause and the remedy."""

from __future__ import annotations


class BankError(ValueError):
    """The bank was configured or called with something it cannot use."""


class BankFileError(BankError):
    """A saved bank cannot be read: it is damaged, of another program, or of another shape or version."""
