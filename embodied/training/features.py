"""What a frozen encoder says of every frame, computed once: training then needs neither pictures nor the encoder.

::

    FOLDER/<key>/about.json                 what the key stands for: encoder, cameras, data set
    FOLDER/<key>/episode_000012.safetensors perceptual float16 [frames, N, C], cognitive float32 [frames, D]

An episode is written whole or not at all, so that a pass that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from rich.console import Console
from safetensors import SafetensorError

from embodied import config as configs
from embodied.data import DataError, DemonstrationSet
from embodied.encoders import Encoder
from embodied.evaluation.progress import EvaluationProgress
from embodied.files import replacing, write_atomically

_FRAMES_AT_ONCE = 64


class Features:
    """A `FrameSource` of encoded frames.

    Args:
        folder: where features of all encoders and data sets are kept.
        encoder: frozen, with shipped weights: see `can_be_kept`.
        demonstrations: the frames.
    """

    def __init__(self, folder: Path, encoder: Encoder, demonstrations: DemonstrationSet) -> None:
        self._encoder, self._demonstrations = encoder, demonstrations
        about = {
            "encoder": configs.to_dict(encoder.config),
            "cameras": {name: list(demonstrations.cameras[name]) for name in encoder.cameras},
            "data": _fingerprint(demonstrations),
        }
        key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = folder / key
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "about.json", json.dumps(about, indent=1) + "\n")

    def prepare(self, episodes: Iterable[int], console: Console | None = None) -> None:
        """Encodes the episodes that have not been, with a progress bar.

        Raises:
            DataError: an episode's pictures cannot be read.
            FileError: the folder cannot be written.
        """
        missing = [episode for episode in episodes if not self._path(episode).exists()]
        if not missing:
            return
        with EvaluationProgress(console) as progress:
            progress.begin("encode", len(missing))
            for episode in missing:
                self._encode(episode)
                progress.stepped(self._demonstrations.episodes[episode].length)
                progress.advance()

    def frames(self, episode: int, indices: np.ndarray) -> dict[str, np.ndarray]:
        """perceptual [n, N, C] and cognitive [n, D]. Raises DataError if they are missing or damaged."""
        path = self._path(episode)
        try:
            whole = safetensors.numpy.load_file(path)
        except (OSError, SafetensorError) as error:
            raise DataError(f"{path} cannot be read: {error}; remove it, and it is made anew") from error
        return {name: values[indices] for name, values in whole.items()}

    def _encode(self, episode: int) -> None:
        length = self._demonstrations.episodes[episode].length
        instructions = self._demonstrations.instructions(episode)
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        for begin in range(0, length, _FRAMES_AT_ONCE):
            indices = np.arange(begin, min(begin + _FRAMES_AT_ONCE, length))
            images = self._demonstrations.frames(episode, indices)
            with torch.inference_mode():
                encoded = self._encoder(
                    {name: torch.from_numpy(images[name]) for name in self._encoder.cameras},
                    [instructions[index] for index in indices],
                )
            parts.append((encoded.perceptual.half().cpu().numpy(), encoded.cognitive.float().cpu().numpy()))
        perceptual, cognitive = (np.concatenate(each) for each in zip(*parts, strict=True))
        with replacing(self._path(episode)) as draft:
            safetensors.numpy.save_file({"perceptual": perceptual, "cognitive": cognitive}, draft)

    def _path(self, episode: int) -> Path:
        return self.folder / f"episode_{episode:06d}.safetensors"


def can_be_kept(encoder: Encoder) -> bool:
    """Whether what an encoder gives follows from its config: nothing of it learns, all its weights are shipped."""
    return not encoder.trained_state() and not any(p.requires_grad for p in encoder.parameters())


def _fingerprint(demonstrations: DemonstrationSet) -> dict[str, object]:
    episodes = demonstrations.episodes
    digest = hashlib.sha256()
    for index in sorted(episodes):
        digest.update(f"{index} {episodes[index].instructions}".encode())
        digest.update(demonstrations.actions(index).tobytes())
    return {"root": str(demonstrations.root.resolve()), "episodes": len(episodes), "actions": digest.hexdigest()}
