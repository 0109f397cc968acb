"""A small encoder that is trained from scratch: for simulation, on a CPU, at 64 to 128 px. No weights are loaded."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from embodied.encoders.base import Encoded, Encoder, Pictures
from embodied.encoders.config import EncoderConfig
from embodied.encoders.pictures import Normalise, to_tokens


class SmallCnnEncoder(Encoder):
    """Strided convolutions, one set for all cameras, with a learned place for each token; and the instruction's words.

    The cognitive token is what the instruction, asking as the query of one attention layer, finds among the tokens,
    and the instruction itself.
    """

    def __init__(self, config: EncoderConfig, cameras: Sequence[str]) -> None:
        super().__init__(config, cameras)
        cnn = config.small_cnn
        width = cnn.channels[-1]
        grid = config.side // 2 ** len(cnn.channels)
        self.tokens = len(self.cameras) * grid**2
        self.perceptual_dim = width
        self.cognitive_dim = cnn.cognitive_size

        self.normalise = Normalise(config.side, mean=(0.5,) * 3, std=(0.5,) * 3)
        blocks: list[nn.Module] = []
        before = 3
        for channels in cnn.channels:
            # GroupNorm, not BatchNorm: the frames of a batch are neighbours in time, and acting is a batch of one.
            blocks += [nn.Conv2d(before, channels, 3, stride=2, padding=1), nn.GroupNorm(8, channels), nn.SiLU()]
            before = channels
        self.convolutions = nn.Sequential(*blocks)
        self.places = nn.Parameter(0.02 * torch.randn(self.tokens, width))
        self.words = HashedWords(cnn.words, width)
        self.attention = nn.MultiheadAttention(width, cnn.heads, batch_first=True)
        self.cognitive = nn.Sequential(
            nn.Linear(2 * width, cnn.cognitive_size), nn.SiLU(), nn.Linear(cnn.cognitive_size, cnn.cognitive_size)
        )

    def encode(self, pictures: Pictures, instructions: list[str]) -> Encoded:
        tokens = to_tokens(self.convolutions(self.normalise(pictures)), len(pictures)) + self.places
        text = self.words(instructions)
        found, _ = self.attention(text.unsqueeze(1), tokens, tokens, need_weights=False)
        return Encoded(tokens, self.cognitive(torch.cat([found.squeeze(1), text], dim=1)))


class HashedWords(nn.Module):
    """Texts [B] -> vectors [B, dim]: the normalised mean of learned vectors of their words and pairs of neighbours.

    Pairs keep "red then blue" apart from "blue then red". Words are hashed into the rows of a table, so that there is
    no vocabulary to collect first; two of them may share a row.
    """

    def __init__(self, rows: int, dim: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(rows, dim, mode="mean")
        self.norm = nn.LayerNorm(dim)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """[B, dim]."""
        rows = [self._rows(text) for text in texts]
        starts = torch.tensor([0, *(len(each) for each in rows[:-1])]).cumsum(0)
        flat = torch.tensor([row for each in rows for row in each])
        device = self.table.weight.device
        return self.norm(self.table(flat.to(device), starts.to(device)))

    def _rows(self, text: str) -> list[int]:
        words = ["<", *re.findall(r"\w+", text.lower())]  # a beginning, so that there is a word in an empty text
        terms = words + [f"{a} {b}" for a, b in pairwise(words)]
        return [zlib.crc32(term.encode()) % self.table.num_embeddings for term in terms]  # hash() differs between runs
