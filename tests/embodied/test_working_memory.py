"""Working memory: what it gives the memory bank, and that it is the paper's bottleneck."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from embodied.encoders import Encoded, EncoderConfig, make_encoder
from embodied.working_memory import WorkingMemory
from memory_bank import BankConfig, MemoryBank, StreamConfig


class _Widths:
    tokens, perceptual_dim, cognitive_dim = 16, 48, 24


def _encoded(rows: int = 3) -> Encoded:
    generator = torch.Generator().manual_seed(0)
    return Encoded(torch.randn(rows, 16, 48, generator=generator), torch.randn(rows, 24, generator=generator))


def test_the_cognitive_token_goes_as_it_comes_or_projected():
    encoded = _encoded()
    plain, projected = WorkingMemory(_Widths()), WorkingMemory(_Widths(), perceptual_dim=32, cognitive_dim=8)
    assert torch.equal(plain(encoded)["cognitive"], encoded.cognitive.unsqueeze(1))
    assert plain(encoded)["perceptual"].shape == (3, 16, 256)
    tokens = projected(encoded)
    assert (tokens["perceptual"].shape, tokens["cognitive"].shape) == ((3, 16, 32), (3, 1, 8))
    assert (plain.cognitive_dim, projected.cognitive_dim, projected.perceptual_dim) == (24, 8, 32)


def test_the_bottleneck_is_the_papers():
    """Against 1x1 convolutions over the map, as the paper writes it."""
    torch.manual_seed(0)
    memory, encoded = WorkingMemory(_Widths(), places=False), _encoded()

    def conv(x, linear):
        return F.conv2d(x, linear.weight[..., None, None], linear.bias)

    picture = encoded.perceptual.transpose(1, 2).unflatten(2, (4, 4))
    wide = conv(picture, memory.widen[0]).relu()
    gate = conv(conv(F.adaptive_avg_pool2d(wide, 1), memory.gate[0]).relu(), memory.gate[2]).sigmoid()
    expected = conv(wide * gate, memory.narrow).flatten(2).transpose(1, 2)
    torch.testing.assert_close(memory(encoded)["perceptual"], expected, atol=1e-5, rtol=1e-5)
    assert (memory.gate[0].out_features, memory.narrow.in_features, memory.narrow.out_features) == (32, 512, 256)


def test_places_change_nothing_at_first_and_then_tell_tokens_apart():
    torch.manual_seed(0)
    memory = WorkingMemory(_Widths())
    same = Encoded(_encoded().perceptual[:, :1].expand(-1, 16, -1), _encoded().cognitive)
    tokens = memory(same)["perceptual"]
    torch.testing.assert_close(tokens, tokens[:, :1].expand(-1, 16, -1))
    (tokens * torch.arange(16.0).view(16, 1)).sum().backward()
    assert memory.places.grad[1:].abs().min() > 0
    with torch.no_grad():
        memory.places -= 0.01 * memory.places.grad
    assert memory(same)["perceptual"].var(dim=1).mean() > 1e-4


def test_everything_in_it_learns():
    memory = WorkingMemory(_Widths(), cognitive_dim=8)
    tokens = memory(_encoded())
    (tokens["perceptual"].square().mean() + tokens["cognitive"].square().mean()).backward()
    for key, parameter in memory.named_parameters():
        assert parameter.grad.abs().max() > 0, key


def test_an_encoders_tokens_go_through_to_the_bank():
    torch.manual_seed(0)
    encoder = make_encoder(EncoderConfig(name="small_cnn"), ["front", "wrist"])
    memory = WorkingMemory(encoder, perceptual_dim=32, cognitive_dim=16)
    streams = {
        "perceptual": StreamConfig(tokens=memory.tokens, dim=memory.perceptual_dim),
        "cognitive": StreamConfig(tokens=1, dim=memory.cognitive_dim),
    }
    bank = MemoryBank(BankConfig(streams=streams, capacity=2))
    frames = torch.randint(0, 256, (2 * 3, 64, 64, 3), dtype=torch.uint8)  # two rows of three steps
    tokens = memory(encoder({"front": frames, "wrist": frames.flip(2)}, ["pick red"] * 6))
    unrolled = bank.unroll(
        {name: value.unflatten(0, (2, 3)) for name, value in tokens.items()}, torch.arange(3.0).expand(2, 3)
    )
    sum(value.square().mean() for value in unrolled.tokens.values()).backward()
    assert encoder.convolutions[0].weight.grad.abs().max() > 0
    assert encoder.words.table.weight.grad.abs().max() > 0


def test_widths_below_one_are_refused():
    with pytest.raises(ValueError, match="must be at least 1"):
        WorkingMemory(_Widths(), perceptual_dim=0)
