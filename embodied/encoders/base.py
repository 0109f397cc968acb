"""What every encoder is: pictures and an instruction in, perceptual and cognitive tokens out (MemoryVLA, section 3.2).

Letters: B rows (with time, callers flatten [B, T] to B * T), N perceptual tokens over all cameras, C and D widths.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from embodied.encoders.adapt import PARTS, add_lora, set_training
from embodied.encoders.config import EncoderConfig
from embodied.encoders.errors import EncoderError

Pictures = list[Tensor]
"""One uint8 [B, H, W, 3] a camera, in the order of `Encoder.cameras`, on the encoder's device. H and W may differ."""


class Encoded(NamedTuple):
    """What an encoder gives."""

    perceptual: Tensor
    """[B, N, C] float32: visual features, the detail. All tokens of the first camera, then those of the second, ..."""
    cognitive: Tensor
    """[B, D] float32: one vector, the gist: what the scene and the instruction come to."""


class Encoder(nn.Module, ABC):
    """A vision-language encoder for a fixed set of cameras.

    A subclass loads its weights, names its parts with `_adapt`, sets `tokens`, `perceptual_dim` and `cognitive_dim`,
    and implements `encode`. Frozen parts stay in eval mode whatever `train()` says: neither gradients nor the running
    statistics of a BatchNorm nor dropout change what they give.
    """

    tokens: int
    """N, over all cameras; the same for every picture."""
    perceptual_dim: int
    """C."""
    cognitive_dim: int
    """D."""
    lora_targets: ClassVar[dict[str, list[str]]] = {}
    """Part -> ends of the names of the layers that low-rank adapters go to, where the config names none."""

    def __init__(self, config: EncoderConfig, cameras: Sequence[str]) -> None:
        """
        Args:
            config: what `make_encoder` was given.
            cameras: names of the cameras; their order is that of the tokens.

        Raises:
            EncoderError: no camera, or one twice.
        """
        super().__init__()
        if not cameras or len(set(cameras)) != len(cameras):
            raise EncoderError(f"an encoder needs one or more cameras, each once, not {list(cameras)}")
        self.config = config
        self.cameras = tuple(cameras)
        self._parts: dict[str, str] = {}
        self._shipped: list[str] = []
        self._still: list[str] = []

    @abstractmethod
    def encode(self, pictures: Pictures, instructions: list[str]) -> Encoded:
        """As `forward`, with inputs that have been checked."""

    def forward(self, images: Mapping[str, Tensor], instructions: Sequence[str]) -> Encoded:
        """Encodes B rows.

        Args:
            images: camera -> uint8 [B, H, W, 3], RGB, as sensors give them: resized and normalised here. Cameras that
                the encoder was not made for are left aside.
            instructions: B texts.

        Raises:
            EncoderError: a camera is missing, or a shape or type is wrong.
        """
        pictures = self._checked(images, instructions)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            perceptual, cognitive = self.encode(pictures, list(instructions))
        return Encoded(perceptual.float(), cognitive.float())

    @property
    def frozen(self) -> bool:
        """Whether nothing of it learns; it then runs without gradients."""
        return not any(parameter.requires_grad for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where it computes; pictures are brought there."""
        return next(self.parameters()).device

    def train(self, mode: bool = True) -> Encoder:
        """Training mode for what learns; frozen parts stay as they are."""
        super().train(mode)
        for name in self._still:
            set_training(self.get_submodule(name), mode)
        return self

    def trained_state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold: all weights but the frozen ones that come with a package, a file or the hub."""
        left_out = self._left_out()
        return {name: value for name, value in self.state_dict().items() if name not in left_out}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Takes back what `trained_state` gave, of an encoder made with the same config and cameras.

        Raises:
            EncoderError: it is of another encoder.
        """
        own = self.trained_state()
        for name in sorted(own.keys() ^ state.keys()):
            lacks = "lacks" if name in own else "has"
            raise EncoderError(
                f"this is another encoder's state: it {lacks} '{name}'; use the config it was saved with"
            )
        for name, value in own.items():
            if value.shape != state[name].shape:
                raise EncoderError(
                    f"this is another encoder's state: '{name}' is {list(state[name].shape)}, not {list(value.shape)}; "
                    "use the config and the cameras it was saved with"
                )
        self.load_state_dict(dict(state), strict=False)

    # -- for subclasses -------------------------------------------------------------------------------------------

    def _adapt(self, vision: str, language: str, shipped: Sequence[str], whole: str = "") -> None:
        """Freezes and adds adapters as the config says. Call it once, when all weights are loaded.

        Args:
            vision, language: names of the submodules that are these parts.
            shipped: names of submodules whose weights need not be in a checkpoint as long as they are frozen.
            whole: the submodule that holds both and more, to be frozen with `freeze: all`. "": there is none.
        """
        self._parts = dict(zip(PARTS, (vision, language), strict=True))
        self._shipped = list(shipped)
        freeze, lora = self.config.freeze, self.config.lora
        self._still = [name for part, name in self._parts.items() if freeze in (part, "all")]
        if freeze == "all" and whole:
            self._still = [whole]
        for name in self._still:
            self.get_submodule(name).requires_grad_(False)
        if lora.rank:
            for part, name in self._parts.items():
                if lora.part in (part, "all"):
                    add_lora(self.get_submodule(name), part, lora, self.lora_targets.get(part, []))
                    self._still.append(name)
        self.train(self.training)

    # -- within ---------------------------------------------------------------------------------------------------

    def _left_out(self) -> set[str]:
        """Names in `state_dict` that are as they were shipped: of parameters and buffers that do not learn."""
        names: set[str] = set()
        for root in self._shipped:
            for prefix, module in self.get_submodule(root).named_modules(prefix=root):
                own = list(module.named_parameters(recurse=False))
                names |= {f"{prefix}.{name}" for name, parameter in own if not parameter.requires_grad}
                if not any(parameter.requires_grad for _, parameter in own):
                    names |= {f"{prefix}.{name}" for name, _ in module.named_buffers(recurse=False)}
        return names

    def _checked(self, images: Mapping[str, Tensor], instructions: Sequence[str]) -> Pictures:
        if isinstance(instructions, str) or not all(isinstance(text, str) for text in instructions):
            raise EncoderError("instructions must be a list of texts, one a row")
        pictures = []
        for camera in self.cameras:
            if camera not in images:
                have = ", ".join(images) or "none"
                raise EncoderError(
                    f"no pictures of camera '{camera}': "
                    f"the encoder was made for {', '.join(self.cameras)} and got {have}"
                )
            picture = images[camera]
            if picture.dtype != torch.uint8:
                raise EncoderError(
                    f"pictures of '{camera}' are {picture.dtype}: give uint8 from 0 to 255, it normalises them itself"
                )
            if picture.dim() != 4 or picture.shape[-1] != 3 or not picture.numel():
                raise EncoderError(
                    f"pictures of '{camera}' have the shape {list(picture.shape)}, not [B, H, W, 3] (channels last)"
                )
            if len(picture) != len(instructions):
                raise EncoderError(
                    f"{len(picture)} pictures of '{camera}' and {len(instructions)} instructions: one a row"
                )
            pictures.append(picture.to(self.device, non_blocking=True))
        return pictures


@contextmanager
def loading(what: str, remedy: str) -> Iterator[None]:
    """Makes one line of whatever goes wrong while a foreign library loads weights."""
    try:
        yield
    except EncoderError:
        raise
    except Exception as error:  # hub, network, file and config errors have no common base
        cause = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise EncoderError(f"cannot load {what}: {remedy} ({cause})") from error


__all__ = ["Encoded", "Encoder", "EncoderError", "Pictures", "loading"]
