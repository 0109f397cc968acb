"""Vision-language models of three families, tiny and random, loaded as real ones are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from tiny_models import FAMILIES, pictures, save_language_model, save_vlm
from torch import Tensor

from embodied.encoders import Encoded, Encoder, EncoderConfig, EncoderError, make_encoder
from embodied.encoders.config import LoraConfig, VlmConfig

TEXTS = ["pick red", "press the green button then put it back where it was", "pick the blue button"]
TOKENS = {"smolvlm": 4, "qwen2_5_vl": 4, "paligemma": 16}
"""A camera's, at 56 px."""

# PaliGemma's processor makes arrays of tensors in a way that NumPy wants changed.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    """Family -> where its tiny model lies."""
    root = tmp_path_factory.mktemp("vlms")
    return {family: str(save_vlm(family, root / family)) for family in FAMILIES}


@pytest.fixture
def make(folders, kept):
    """Makes an encoder of a family; settings of `VlmConfig` by keyword."""

    def build(family: str, cameras=("front",), freeze="all", lora=None, image_size=56, **vlm):
        config = EncoderConfig(
            name="vlm",
            image_size=image_size,
            freeze=freeze,
            lora=lora or LoraConfig(),
            vlm=VlmConfig(model=folders[family], **vlm),
        )
        key = repr((config, cameras))
        if key not in kept or freeze != "all" or lora:  # others are not changed by their tests
            torch.manual_seed(0)
            kept[key] = make_encoder(config, cameras)
        return kept[key].eval()

    return build


@pytest.fixture(scope="module")
def kept() -> dict[str, Encoder]:
    """Encoders that were made."""
    return {}


def _encode(encoder, rows=slice(None), texts=TEXTS, seed=0, side=48) -> Encoded:
    images = {camera: pictures(3, side, seed + i)[rows] for i, camera in enumerate(encoder.cameras)}
    with torch.no_grad():
        return encoder(images, texts[rows])


def _difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


@every_family
@pytest.mark.parametrize("perceptual", ["vision", "projector", "hidden"])
def test_shapes_for_every_source_of_perceptual_tokens(make, family, perceptual):
    for cameras in (("front",), ("front", "wrist")):
        encoder = make(family, cameras, perceptual=perceptual)
        encoded = _encode(encoder)
        assert encoded.perceptual.shape == (3, encoder.tokens, encoder.perceptual_dim)
        assert encoded.cognitive.shape == (3, 32)
        assert encoder.perceptual_dim == (24 if perceptual == "vision" else 32)
        assert encoder.tokens == len(cameras) * (16 if perceptual == "vision" else TOKENS[family])
        assert encoded.perceptual.isfinite().all()
        assert encoded.cognitive.isfinite().all()


@every_family
@pytest.mark.parametrize("perceptual", ["vision", "projector", "hidden"])
def test_padding_does_not_change_a_row(make, family, perceptual):
    encoder = make(family, ("front", "wrist"), perceptual=perceptual)
    together = _encode(encoder)
    for row in range(3):
        alone = _encode(encoder, slice(row, row + 1))
        assert _difference(alone.perceptual[0], together.perceptual[row]) < 1e-4
        assert _difference(alone.cognitive[0], together.cognitive[row]) < 1e-4


@every_family
def test_the_number_of_tokens_does_not_depend_on_the_pictures(make, family):
    encoder = make(family)
    for height, width in ((48, 48), (200, 90), (33, 120)):
        with torch.no_grad():
            encoded = encoder({"front": pictures(1, 200)[:, :height, :width]}, ["pick"])
        assert encoded.perceptual.shape[1] == encoder.tokens


@every_family
def test_the_whole_model_learns_and_in_seconds(make, family):
    encoder = make(family, ("front", "wrist"), freeze="none", perceptual="projector").train()
    encoded = encoder({"front": pictures(3), "wrist": pictures(3, seed=1)}, TEXTS)
    (encoded.perceptual.square().mean() + encoded.cognitive.square().mean()).backward()
    without = {key for key, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().max() > 0}
    # A bias of the keys shifts all scores of a query alike: its gradient is zero but for rounding.
    assert all(re.search(r"k_proj\.bias|probe|head", key) for key in without), without


@every_family
def test_adapters_alone_learn_in_a_frozen_model(make, family):
    encoder = make(family, lora=LoraConfig(rank=2)).train()
    encoded = encoder({"front": pictures(3)}, TEXTS)
    encoded.cognitive.square().mean().backward()
    learning = {key for key, p in encoder.named_parameters() if p.grad is not None}
    assert learning
    assert all("lora_" in key and key.startswith(encoder._parts["language"]) for key in learning)
    assert set(encoder.trained_state()) == {key for key in encoder.state_dict() if "lora_" in key}
    assert sum(value.numel() for value in encoder.trained_state().values()) < 1000


@every_family
def test_a_frozen_tower_lets_the_rest_learn(make, family):
    encoder = make(family, freeze="vision").train()
    vision = encoder._parts["vision"] + "."
    _, cognitive = encoder({"front": pictures(3)}, TEXTS)
    cognitive.square().mean().backward()
    for key, parameter in encoder.named_parameters():
        assert (parameter.grad is None) == key.startswith(vision), key
    assert not any(key.startswith(vision) for key in encoder.trained_state())


@every_family
def test_the_cognitive_token_is_read_where_the_config_says(make, family):
    last, layer = _encode(make(family)), _encode(make(family, cognitive_layer=1))
    assert _difference(last.cognitive, layer.cognitive) > 1e-2
    # The word "take" comes before the instruction, so what is read there cannot depend on it (but for PaliGemma, in
    # whose prompt all words see each other).
    early = make(family, cognitive_token="take")
    number = early._processor.tokenizer.convert_tokens_to_ids("take")
    by_id = _encode(make(family, cognitive_token=str(number)))
    assert torch.equal(_encode(early).cognitive, by_id.cognitive)
    swapped = _encode(early, texts=["pick blue", *TEXTS[1:]])
    assert (_difference(by_id.cognitive[0], swapped.cognitive[0]) < 1e-5) == (family != "paligemma")
    assert (
        _difference(
            _encode(make(family)).cognitive[0],
            _encode(make(family), texts=["pick blue", *TEXTS[1:]]).cognitive[0],
        )
        > 1e-3
    )


@every_family
def test_the_projectors_tokens_are_what_the_language_model_is_given(make, family):
    """Read off the first hidden state; held against the model's own projector."""
    encoder = make(family, perceptual="projector")
    inputs = encoder._inputs([pictures(3)], TEXTS)
    takes = {"pixel_values", "pixel_attention_mask", "image_grid_thw"}
    with torch.no_grad():
        features = encoder.vlm.get_image_features(**{k: v for k, v in inputs.items() if k in takes}).pooler_output
    own = torch.stack(list(features)).view(3, encoder.tokens, 32)
    assert _difference(_encode(encoder).perceptual, own) < 1e-4


def test_options_reach_the_processor(make):
    split = {"do_image_splitting": True, "size": {"longest_edge": 112}}
    encoder = make("smolvlm", image_size=112, processor_options=split)
    assert encoder.tokens == 4 * 5  # four tiles and the whole
    assert _encode(encoder, side=112).perceptual.shape == (3, 20, 32)


def test_a_larger_picture_makes_more_tokens_where_the_model_allows(make):
    assert make("qwen2_5_vl", image_size=112).tokens == 16


def test_half_precision_comes_out_as_float32(make):
    encoded = _encode(make("smolvlm", dtype="bfloat16"))
    assert encoded.perceptual.dtype == encoded.cognitive.dtype == torch.float32
    assert encoded.cognitive.isfinite().all()


def test_a_named_vision_module_is_taken(make):
    encoder = make("smolvlm", vision_module="vision_model.encoder", perceptual="vision")
    assert encoder._parts["vision"] == "vlm.vision_model.encoder"
    assert _encode(encoder).perceptual.shape == (3, 16, 24)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cognitive_token": "<none>"}, "encoder.vlm.cognitive_token: the model's vocabulary has no '<none>'"),
        ({"cognitive_layer": 3}, "encoder.vlm.cognitive_layer must be from -3 to 2"),
        ({"vision_module": "eyes"}, "encoder.vlm.vision_module: no module 'eyes'; the model has vision_model"),
    ],
)
def test_wrong_settings_are_named(make, settings, message):
    with pytest.raises(EncoderError, match=message) as error:
        make("smolvlm", **settings)
    assert "\n" not in str(error.value)


def test_a_token_that_is_in_no_prompt_is_named(make):
    with pytest.raises(EncoderError, match="'where' is not in every prompt"):
        _encode(make("smolvlm", cognitive_token="where"))


def test_an_instruction_cannot_smuggle_in_a_picture(make):
    with pytest.raises(EncoderError, match="holds <image>"):
        _encode(make("smolvlm"), texts=["pick <image>", *TEXTS[1:]])


def test_a_model_that_cannot_see_is_refused(tmp_path):
    folder = save_language_model(tmp_path / "gpt")
    with pytest.raises(EncoderError, match="is a gpt2, which does not take pictures and text"):
        make_encoder(EncoderConfig(name="vlm", vlm=VlmConfig(model=str(folder))), ["front"])


def test_a_folder_without_weights_is_named(folders, tmp_path):
    for file in Path(folders["smolvlm"]).iterdir():
        if not file.name.endswith(".safetensors"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(EncoderError, match="give a local folder with config, processor and safetensors") as error:
        make_encoder(EncoderConfig(name="vlm", vlm=VlmConfig(model=str(tmp_path))), ["front"])
    assert "\n" not in str(error.value)


def test_without_a_network_the_remedy_is_a_local_folder(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match="give a local folder .* in encoder.vlm.model") as error:
        make_encoder(EncoderConfig(name="vlm", vlm=VlmConfig(model="nobody/nothing")), ["front"])
    assert "\n" not in str(error.value)
