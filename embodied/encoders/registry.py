"""Encoders by name. A new one is one file and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import cast

from embodied.encoders.base import Encoder
from embodied.encoders.config import EncoderConfig

ENCODERS = {
    "embedded": "embodied.encoders.embedded:EmbeddedEncoder",
    "towers": "embodied.encoders.towers:TowersEncoder",
    "vlm": "embodied.encoders.vlm:VlmEncoder",
    "small_cnn": "embodied.encoders.small_cnn:SmallCnnEncoder",
}


def make_encoder(config: EncoderConfig, cameras: Sequence[str]) -> Encoder:
    """A fresh encoder for these cameras; seed torch before where it has weights that are not pretrained.

    Raises:
        EncoderError: there is no such encoder, a setting cannot be right, or weights cannot be loaded.
    """
    config.validate()
    module, name = ENCODERS[config.name].split(":")
    return cast(Encoder, getattr(importlib.import_module(module), name)(config, cameras))
