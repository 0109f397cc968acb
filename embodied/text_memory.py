"""Long-term stores whose embeddings are of captions, by the MiniLM that a package carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from memory_bank.long_term import LongTermStore, StoreError

SPACE = "all-MiniLM-L6-v2"
DIM = 384


class EmbedText:
    """Texts as vectors [384] of length 1; the model is loaded with the first."""

    def __init__(self) -> None:
        self._encoder: Any = None

    def __call__(self, text: str) -> np.ndarray:
        return self.all([text])[0]

    def all(self, texts: list[str]) -> np.ndarray:
        """[N, 384]."""
        import torch

        if self._encoder is None:
            from embodied.encoders.config import MEAN
            from embodied.encoders.text import load_text_encoder

            self._encoder = load_text_encoder("", "", MEAN, 4096).eval().requires_grad_(False)
        with torch.no_grad():
            vectors = self._encoder(texts).float().numpy()
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def open_caption_store(path: Path | str, **settings: Any) -> LongTermStore:
    """Opens or begins a store of caption embeddings; see `LongTermStore.open` for settings and errors."""
    return LongTermStore.open(path, DIM, space=SPACE, embed_text=EmbedText(), **settings)


def open_any_store(path: Path | str, **settings: Any) -> LongTermStore:
    """Opens a store that is there; text is looked for by meaning too where its embeddings are of captions."""
    try:
        return LongTermStore.open(path, space=SPACE, embed_text=EmbedText(), **settings)
    except StoreError as error:
        if "is of embeddings" not in str(error):
            raise
    return LongTermStore.open(path, **settings)
