"""Encoders: what the cameras see and what is asked, as perceptual and cognitive tokens (docs/encoders.md)."""

from embodied.encoders.base import Encoded, Encoder, EncoderError
from embodied.encoders.config import EncoderConfig
from embodied.encoders.registry import ENCODERS, make_encoder

__all__ = ["ENCODERS", "Encoded", "Encoder", "EncoderConfig", "EncoderError", "make_encoder"]
