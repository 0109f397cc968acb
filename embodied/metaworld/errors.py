"""What is wrong with how Meta-World is used."""

from __future__ import annotations


class MetaWorldError(ValueError):
    """Meta-World cannot run as asked; the message is one line that says what to do."""
