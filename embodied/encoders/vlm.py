"""Any vision-language model of Hugging Face, by name or local folder.

Which hidden state is the cognitive token and which features are perceptual is configured: nothing here knows a family.
A model has to be what transformers calls image-text-to-text and mark the places of pictures by a token of their own, as
nearly all do (SmolVLM, Qwen-VL, PaliGemma, LLaVA, InternVL, Gemma 3, ...).

A row::

    chat template or <image> ...   pictures' places     the prompt     padding
    input_ids                      x x x x x x x x      y y y y y      0 0 0
    hidden state of a layer        perceptual: these          ^ cognitive: this one

Padding is on the right and masked, so that a row's tokens are the same in whatever batch it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from embodied.encoders.base import Encoded, Encoder, EncoderError, Pictures, loading
from embodied.encoders.config import HIDDEN, LANGUAGE, LAST, VISION, EncoderConfig
from embodied.encoders.pictures import resize

_REMEDY = "give a local folder with config, processor and safetensors weights in encoder.vlm.model"


class VlmEncoder(Encoder):
    """Perceptual: the vision tower's output, what the projector makes of it, or hidden states at the pictures' places.
    Cognitive: a hidden state at one position, by default the last of the prompt."""

    lora_targets: ClassVar[dict[str, list[str]]] = {
        VISION: ["q_proj", "v_proj", "qkv"],
        LANGUAGE: ["q_proj", "v_proj"],
    }

    def __init__(self, config: EncoderConfig, cameras: Sequence[str]) -> None:
        super().__init__(config, cameras)
        self._settings = config.vlm
        self._processor, self.vlm = _load(config)
        self._image_token_id: int = self.vlm.config.image_token_id
        vision = self._vision_name()
        language = _name_of(self.vlm, self.vlm.get_decoder())
        self._adapt(f"vlm.{vision}", f"vlm.{language}", shipped=("vlm",), whole="vlm")
        self._stop = self._stop_token()

        blank = torch.full((1, config.side, config.side, 3), 127, dtype=torch.uint8)
        inputs = self._inputs([blank] * len(self.cameras), [""])
        text = self.vlm.config.get_text_config()
        layers = text.num_hidden_layers
        for key in ("cognitive_layer", "perceptual_layer"):
            if not -layers - 1 <= getattr(self._settings, key) <= layers:
                raise EncoderError(f"encoder.vlm.{key} must be from {-layers - 1} to {layers}: it has {layers} layers")
        self.cognitive_dim = text.hidden_size
        if self._settings.perceptual == VISION:
            with torch.no_grad():
                features = self._see(inputs)
            self.tokens, self.perceptual_dim = features.shape[1:]
        else:
            self.tokens = int((inputs["input_ids"] == self._image_token_id).sum())
            self.perceptual_dim = text.hidden_size

    def encode(self, pictures: Pictures, instructions: list[str]) -> Encoded:
        inputs = self._inputs(pictures, instructions)
        seen: list[Any] = []
        hook = self._vision.register_forward_hook(lambda module, args, output: seen.append(output))
        try:
            states = self.vlm(**inputs, output_hidden_states=True, use_cache=False).hidden_states
        finally:
            hook.remove()
        if self._settings.perceptual == VISION:
            perceptual = _rows(seen, len(instructions))
        else:
            # The first hidden state is the input of the language model: the projector's output at these places.
            layer = self._settings.perceptual_layer if self._settings.perceptual == HIDDEN else 0
            places = inputs["input_ids"] == self._image_token_id
            perceptual = states[layer][places].unflatten(0, (len(instructions), -1))
        rows = torch.arange(len(instructions), device=self.device)
        return Encoded(perceptual, states[self._settings.cognitive_layer][rows, self._position(inputs)])

    # -- in ---------------------------------------------------------------------------------------------------------

    def _inputs(self, pictures: Pictures, instructions: list[str]) -> dict[str, Tensor]:
        """What the model takes, on its device."""
        # Squares of one size, so that the number of tokens is the same for every camera and picture.
        squares = [resize(each, self.config.side).round().clamp(0, 255).to(torch.uint8) for each in pictures]
        texts = [self._text(instruction) for instruction in instructions]
        bos = self._processor.tokenizer.bos_token
        inputs = self._processor(
            text=texts,
            images=[[square[row] for square in squares] for row in range(len(texts))],
            return_tensors="pt",
            padding=True,
            add_special_tokens=not (bos and texts[0].startswith(bos)),  # a chat template writes them itself
            **self._settings.processor_options,
        )
        dtype = self.vlm.dtype
        return {
            name: value.to(self.device, dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
            if name != "labels"
        }

    def _text(self, instruction: str) -> str:
        """The prompt with its places for pictures, as the processor takes it."""
        token = self._processor.image_token
        if token in instruction:
            raise EncoderError(
                f"the instruction '{instruction}' holds {token}, which stands for a picture; leave it out"
            )
        prompt = self._settings.prompt.replace("{instruction}", instruction)
        if not getattr(self._processor, "chat_template", None):
            return token * len(self.cameras) + prompt
        content = [{"type": "image"} for _ in self.cameras] + [{"type": "text", "text": prompt}]
        return self._processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )

    # -- out --------------------------------------------------------------------------------------------------------

    def _position(self, inputs: dict[str, Tensor]) -> Tensor:
        """[B]: where the cognitive token is read."""
        there = inputs["attention_mask"].bool()
        if self._stop is not None:
            there = there & (inputs["input_ids"] == self._stop)
            if not there.any(dim=1).all():
                raise EncoderError(
                    f"encoder.vlm.cognitive_token: '{self._settings.cognitive_token}' is not in every prompt; "
                    "put it into encoder.vlm.prompt"
                )
        return (there * torch.arange(1, there.shape[1] + 1, device=there.device)).argmax(dim=1)

    def _stop_token(self) -> int | None:
        name = self._settings.cognitive_token
        if name == LAST:
            return None
        tokenizer = self._processor.tokenizer
        known = tokenizer.get_vocab()
        token = known.get(name, int(name) if name.isdigit() else -1)
        if not 0 <= token < len(tokenizer):
            raise EncoderError(
                f"encoder.vlm.cognitive_token: the model's vocabulary has no '{name}'; name a token or its id"
            )
        return token

    # -- the tower ----------------------------------------------------------------------------------------------------

    @property
    def _vision(self) -> nn.Module:
        return self.get_submodule(self._parts[VISION])

    def _vision_name(self) -> str:
        given = self._settings.vision_module
        if given:
            try:
                self.vlm.get_submodule(given)
            except AttributeError:
                names = ", ".join(name for name, _ in self.vlm.named_children())
                raise EncoderError(f"encoder.vlm.vision_module: no module '{given}'; the model has {names}") from None
            return given
        found = self.vlm.get_encoder(modality="image")
        if found is self.vlm:
            raise EncoderError(
                f"no vision tower was found in '{self._settings.model}': name it in encoder.vlm.vision_module"
            )
        return _name_of(self.vlm, found)

    def _see(self, inputs: dict[str, Tensor]) -> Tensor:
        """The vision tower's output alone, [B, N, C], without the cost of the language model."""
        takes = inspect.signature(self.vlm.get_image_features).parameters
        seen: list[Any] = []
        hook = self._vision.register_forward_hook(lambda module, args, output: seen.append(output))
        try:
            self.vlm.get_image_features(**{name: value for name, value in inputs.items() if name in takes})
        finally:
            hook.remove()
        return _rows(seen, len(inputs["input_ids"]))


def _rows(outputs: list[Any], rows: int) -> Tensor:
    """A vision tower's outputs ([pictures, patches, C], or [all patches, C]) as [rows, N, C]."""
    tensors = [output if isinstance(output, Tensor) else output[0] for output in outputs]
    features = torch.cat([tensor.flatten(0, -2) for tensor in tensors])
    return features.unflatten(0, (rows, -1))


def _name_of(model: nn.Module, wanted: nn.Module) -> str:
    return next(name for name, module in model.named_modules() if module is wanted)


def _load(config: EncoderConfig) -> tuple[Any, Any]:
    """Processor, and model without its head. Raises EncoderError, as `VlmEncoder`."""
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    source = config.vlm.model
    local = Path(source).is_dir()
    with loading(f"the model '{source}'", _REMEDY):
        kind = AutoConfig.from_pretrained(source, local_files_only=local)
        if kind.model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
            raise EncoderError(
                f"encoder.vlm.model: '{source}' is a {kind.model_type}, which does not take pictures and text; "
                "name a vision-language model, or use it as encoder.towers.text"
            )
        if getattr(kind, "image_token_id", None) is None:
            raise EncoderError(
                f"encoder.vlm.model: '{source}' ({kind.model_type}) does not mark the places of pictures with a token; "
                "name another model"
            )
        processor = AutoProcessor.from_pretrained(source, local_files_only=local)
        model = AutoModelForImageTextToText.from_pretrained(
            source, local_files_only=local, use_safetensors=True, dtype=config.vlm.dtype
        )
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor, model.base_model
