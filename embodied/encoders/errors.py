"""What can go wrong with an encoder; every message is one line that names the cause and the remedy."""

from __future__ import annotations


class EncoderError(ValueError):
    """An encoder cannot be made, or was called with something it cannot use."""
