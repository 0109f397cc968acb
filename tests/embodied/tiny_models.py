"""Tiny random models and their processors, made on the spot and saved, so that tests take the path of real ones."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    SiglipImageProcessor,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

WORDS = [
    "what",
    "action",
    "should",
    "the",
    "robot",
    "take",
    "to",
    "pick",
    "press",
    "red",
    "blue",
    "green",
    "button",
    "then",
    "put",
    "it",
    "back",
    "where",
    "was",
    "?",
]
IMAGE_SIDE = 56
FAMILIES = ("smolvlm", "qwen2_5_vl", "paligemma")
CHAT = (
    "{% for message in messages %}<s> {% for part in message['content'] %}{% if part['type'] == 'image' %}PICTURE "
    "{% else %}{{ part['text'] }} {% endif %}{% endfor %}</s>{% endfor %}"
)


def make_tokenizer(extra: dict[str, str] | None = None, more: list[str] | None = None) -> PreTrainedTokenizerFast:
    """One token a word. `extra`: attributes of the tokenizer, each a special token; `more`: further special tokens."""
    special = ["<pad>", "<s>", "</s>", "<unk>", *(extra or {}).values(), *(more or [])]
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
        extra_special_tokens=extra or {},
    )
    wrapped.add_tokens(more or [], special_tokens=True)
    return wrapped


_LANGUAGE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "max_position_embeddings": 256,
}
_VISION = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 14,
    "image_size": IMAGE_SIDE,
}


def save_vlm(family: str, folder: Path) -> Path:
    """A vision-language model of a family, with its processor; seeded."""
    torch.manual_seed(0)
    model, processor = {"smolvlm": _smolvlm, "qwen2_5_vl": _qwen2_5_vl, "paligemma": _paligemma}[family]()
    for parameter in model.parameters():  # as initialised all tokens are nearly the same
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _smolvlm():
    more = ["<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    tokenizer = make_tokenizer({"image_token": "<image>"}, more)
    config = SmolVLMConfig(
        vision_config=_VISION,
        text_config={"model_type": "llama", "vocab_size": len(tokenizer), **_LANGUAGE},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    images = SmolVLMImageProcessor(
        size={"longest_edge": IMAGE_SIDE}, max_image_size={"longest_edge": IMAGE_SIDE}, do_image_splitting=False
    )
    processor = SmolVLMProcessor(
        images,
        tokenizer,
        SmolVLMVideoProcessor(),
        image_seq_len=4,
        chat_template=CHAT.replace("PICTURE", "<image>"),
    )
    return SmolVLMForConditionalGeneration(config), processor


def _qwen2_5_vl():
    pictures = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    tokenizer = make_tokenizer(pictures, ["<|vision_start|>", "<|vision_end|>"])
    token = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 32,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        text_config={
            "vocab_size": len(tokenizer),
            **_LANGUAGE,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(),
        tokenizer,
        Qwen2VLVideoProcessor(),
        chat_template=CHAT.replace("PICTURE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return Qwen2_5_VLForConditionalGeneration(config), processor


def _paligemma():
    images = SiglipImageProcessor(size={"height": IMAGE_SIDE, "width": IMAGE_SIDE})
    images.image_seq_length = 16
    processor = PaliGemmaProcessor(images, make_tokenizer({"image_token": "<image>"}))  # adds its own tokens
    tokenizer = processor.tokenizer
    config = PaliGemmaConfig(
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, "projection_dim": 32, **_VISION},
        text_config={"model_type": "gemma", "vocab_size": len(tokenizer), "head_dim": 16, **_LANGUAGE},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=32,
        hidden_size=32,
        vocab_size=len(tokenizer),
        pad_token_id=0,
    )
    return PaliGemmaForConditionalGeneration(config), processor


def save_text_encoder(folder: Path) -> Path:
    """A BERT."""
    torch.manual_seed(1)
    tokenizer = make_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    model = BertModel(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_language_model(folder: Path) -> Path:
    """A model that cannot see."""
    GPT2LMHeadModel(GPT2Config(vocab_size=8, n_embd=8, n_layer=1, n_head=1)).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def pictures(rows: int, side: int = 48, seed: int = 0) -> Tensor:
    """Random uint8 [rows, side, side, 3]: coarse blocks, so that resizing leaves something to see."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (rows, 3, 6, 6), generator=generator).float()
    return torch.nn.functional.interpolate(coarse, size=(side, side)).permute(0, 2, 3, 1).to(torch.uint8)
