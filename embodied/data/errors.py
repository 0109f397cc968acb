"""What is wrong with a data set or with what is to go into it."""

from __future__ import annotations


class DataError(ValueError):
    """Demonstrations cannot be recorded or read; the message is one line that names the place and the remedy."""
