"""Settings of the encoders. They travel with the checkpoint."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

from embodied.encoders.errors import EncoderError

VISION, LANGUAGE, ALL, NONE = "vision", "language", "all", "none"
PROJECTOR, HIDDEN = "projector", "hidden"
LAST = "last"
MEAN, FIRST = "mean", "first"

_CHOICES = {
    "freeze": (ALL, NONE, VISION, LANGUAGE),
    "lora.part": (LANGUAGE, VISION, ALL),
    "towers.text_pooling": (MEAN, FIRST, LAST),
    "vlm.perceptual": (VISION, PROJECTOR, HIDDEN),
    "vlm.dtype": ("float32", "bfloat16", "float16", "auto"),
}


@dataclass
class LoraConfig:
    """Low-rank adapters in frozen parts (by peft)."""

    rank: int = field(default=0, metadata={"help": "rank of the adapters; 0: none"})
    alpha: int = field(default=16, metadata={"help": "their scale is alpha / rank"})
    dropout: float = field(default=0.0, metadata={"help": "dropout before the adapters, in training"})
    part: str = field(default=LANGUAGE, metadata={"help": "which part gets them: language, vision or all"})
    targets: list[str] = field(
        default_factory=list,
        metadata={"help": "ends of the names of the layers that get one, like [q_proj, v_proj]; empty: the encoder's"},
    )


@dataclass
class TowersConfig:
    """Vision towers of timm side by side, and a text encoder."""

    vision: list[str] = field(
        default_factory=lambda: ["vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_224.webli"],
        metadata={"help": "timm models, of which the first sets the grid of the tokens (the paper's pair)"},
    )
    weights: list[str] = field(
        default_factory=list,
        metadata={"help": "a local .safetensors file for each tower, in their order; empty: the hub's"},
    )
    pretrained: bool = field(default=True, metadata={"help": "false: towers begin with random weights"})
    sizes: list[int] = field(
        default_factory=list, metadata={"help": "side in pixels for each tower; empty: image_size for all"}
    )
    layer: int = field(
        default=-2, metadata={"help": "block whose features are taken, from the end (the paper's model: -2)"}
    )
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "further arguments of timm.create_model, for all towers"}
    )
    text: str = field(
        default="", metadata={"help": "a text encoder of Hugging Face, by name or folder; empty: the packaged MiniLM"}
    )
    text_pooling: str = field(
        default=MEAN, metadata={"help": "of the text's tokens: mean, first (a class token), last (a language model)"}
    )


@dataclass
class VlmConfig:
    """A vision-language model of Hugging Face."""

    model: str = field(default="", metadata={"help": "its name on the hub, or a local folder"})
    cognitive_layer: int = field(
        default=-1,
        metadata={"help": "hidden state the cognitive token is read from: -1 the last (normalised), 0 the embeddings"},
    )
    cognitive_token: str = field(
        default=LAST,
        metadata={"help": "where it is read: last (token that is no padding), or a token or its id: the last such one"},
    )
    perceptual: str = field(
        default=PROJECTOR,
        metadata={
            "help": "perceptual tokens: vision (the tower's output), projector (what the language model is given for "
            "the pictures) or hidden (states of a layer at the pictures' places)"
        },
    )
    perceptual_layer: int = field(default=-1, metadata={"help": "the layer of perceptual: hidden"})
    prompt: str = field(
        default="What action should the robot take to {instruction}?",
        metadata={"help": "what the model is asked; {instruction} is filled in"},
    )
    processor_options: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "given to the processor with every picture, like {do_image_splitting: false}"},
    )
    vision_module: str = field(
        default="", metadata={"help": "name of the vision tower within the model; empty: transformers finds it"}
    )
    dtype: str = field(default="float32", metadata={"help": "of its weights: float32, bfloat16, float16, auto"})


@dataclass
class SmallCnnConfig:
    """A few convolutions, trained from scratch."""

    channels: list[int] = field(
        default_factory=lambda: [32, 64, 128],
        metadata={"help": "of the convolutions, each halving the side: three make 64 px an 8x8 grid, four 4x4"},
    )
    words: int = field(default=4096, metadata={"help": "rows of the table that words are hashed into"})
    cognitive_size: int = field(default=256, metadata={"help": "width of the cognitive token"})
    heads: int = field(default=4, metadata={"help": "attention heads with which the instruction looks at the pictures"})


@dataclass
class EncoderConfig:
    """How pictures and instructions become tokens."""

    name: str = field(default="embedded", metadata={"help": "an encoder of embodied/encoders/registry.py"})
    image_size: int | None = field(
        default=None,
        metadata={"help": "side in pixels that pictures are resized to; empty: 224, for small_cnn 64"},
    )
    freeze: str = field(
        default=ALL, metadata={"help": "pretrained parts that do not learn: all, vision, language, none"}
    )
    text_cache: int = field(default=4096, metadata={"help": "instructions whose embedding is kept, if it is frozen"})
    lora: LoraConfig = field(default_factory=LoraConfig)
    towers: TowersConfig = field(default_factory=TowersConfig)
    vlm: VlmConfig = field(default_factory=VlmConfig)
    small_cnn: SmallCnnConfig = field(default_factory=SmallCnnConfig)

    @property
    def side(self) -> int:
        """Side in pixels that pictures are resized to."""
        return self.image_size or (64 if self.name == "small_cnn" else 224)

    def validate(self) -> None:
        """Raises EncoderError, naming the field, where a value cannot be right."""
        from embodied.encoders.registry import ENCODERS

        if self.name not in ENCODERS:
            near = difflib.get_close_matches(self.name, ENCODERS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise EncoderError(f"encoder.name: no encoder '{self.name}': choose one of {', '.join(ENCODERS)}{hint}")
        for key, choices in _CHOICES.items():
            value = _at(self, key)
            if value not in choices:
                raise EncoderError(f"encoder.{key} must be one of {', '.join(choices)}, not '{value}'")
        for key in ("text_cache", "small_cnn.words", "small_cnn.cognitive_size", "small_cnn.heads"):
            if _at(self, key) < 1:
                raise EncoderError(f"encoder.{key} must be at least 1, not {_at(self, key)}")
        if self.image_size is not None and self.image_size < 8:
            raise EncoderError(f"encoder.image_size must be at least 8 pixels, not {self.image_size}")
        if self.lora.rank < 0 or self.lora.alpha < 1 or not 0 <= self.lora.dropout < 1:
            raise EncoderError("encoder.lora: rank must not be negative, alpha above 0, dropout from 0 to below 1")
        getattr(self, f"_validate_{self.name}", lambda: None)()

    def _validate_towers(self) -> None:
        towers = self.towers
        if not towers.vision:
            raise EncoderError("encoder.towers.vision is empty: name at least one timm model")
        for key in ("weights", "sizes"):
            given = len(getattr(towers, key))
            if given not in (0, len(towers.vision)):
                raise EncoderError(f"encoder.towers.{key} has {given} entries for {len(towers.vision)} towers")
        if towers.layer >= 0:
            raise EncoderError(f"encoder.towers.layer counts from the end, like -1 or -2, and is {towers.layer}")

    def _validate_vlm(self) -> None:
        if not self.vlm.model:
            raise EncoderError("encoder.vlm.model is empty: give a name on the hub or a local folder")
        if "{instruction}" not in self.vlm.prompt:
            raise EncoderError("encoder.vlm.prompt must have the place {instruction}")

    def _validate_small_cnn(self) -> None:
        cnn = self.small_cnn
        if not cnn.channels or min(cnn.channels) < 8 or any(width % 8 for width in cnn.channels):
            raise EncoderError(f"encoder.small_cnn.channels must be widths that 8 divides, not {list(cnn.channels)}")
        if self.side % 2 ** len(cnn.channels):
            raise EncoderError(
                f"encoder.image_size: {self.side} pixels cannot be halved {len(cnn.channels)} times "
                "(once a width of encoder.small_cnn.channels)"
            )
        if cnn.channels[-1] % cnn.heads:
            raise EncoderError(f"encoder.small_cnn.heads: {cnn.heads} heads do not divide {cnn.channels[-1]} channels")
        if self.lora.rank:
            raise EncoderError(
                "encoder.lora.rank: small_cnn is trained from scratch and takes no adapters; set it to 0"
            )


def _at(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = getattr(config, name)
    return config
