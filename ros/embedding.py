"""Pictures as vectors, for the memory node; torch is imported only when the first is asked for."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

DIM = 1280
"""Channels of EfficientNet-Lite0's last map, whose mean is the vector."""


class PictureEmbedding:
    """The packaged, frozen EfficientNet-Lite0 of `embodied.encoders`. Safe to use from threads.

    Args:
        side: pixels that pictures are scaled to; smaller is faster and coarser.
    """

    def __init__(self, side: int = 128) -> None:
        self._side = side
        self._lock = threading.Lock()
        self._model: Any = None

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] RGB to float32 [1280], of length 1.

        Raises:
            EncoderError: the weights cannot be loaded.
        """
        with self._lock:
            if self._model is None:
                self._load()
            import torch

            with torch.inference_mode():
                pictures = [torch.from_numpy(np.array(picture)[None])]
                features = self._model.extract_features(self._normalise(pictures))
                vector = features.mean(dim=(2, 3))[0].numpy()
        return vector / max(float(np.linalg.norm(vector)), 1e-9)

    def _load(self) -> None:
        import torch

        from embodied.encoders.embedded import load_efficientnet
        from embodied.encoders.pictures import Normalise

        torch.set_num_threads(1)  # it shares two cores with a policy that must not wait
        self._normalise = Normalise(self._side, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
        self._model = load_efficientnet(self._side).eval().requires_grad_(False)
