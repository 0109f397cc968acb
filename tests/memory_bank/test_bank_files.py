"""Banks on disk: whole or not at all, and one clear line for every file that cannot be read."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest
import torch
from banks import make_bank, small_config
from safetensors.torch import load_file, save_file

from embodied.files import FileError
from memory_bank import BankFileError, StreamConfig
from memory_bank.files import load_bank, load_state, save_bank


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "kept" / "bank.safetensors"
    save_bank(path, *_bank_with_memory())
    return path


def _bank_with_memory():
    bank = make_bank(small_config(strategy="reservoir", merge_weight="count"), dtype=torch.float64)
    tokens, times = bank.config.fake_episodes(3, 7, dtype=torch.float64)
    with torch.no_grad():
        mask = torch.arange(7) < torch.tensor([[7], [2], [0]])
        return bank, bank.unroll(tokens, times, bank.empty_state(3, torch.tensor([5, 6, 7])), mask).state


def test_a_bank_comes_back_as_it_was(saved):
    bank, state = _bank_with_memory()
    again, memory = load_bank(saved)
    assert again.config == bank.config
    tokens, times = bank.config.fake_episodes(3, 4, seed=1, dtype=torch.float64)
    a, b = bank.unroll(tokens, times + 7, state), again.unroll(tokens, times + 7, memory)
    for name in tokens:
        assert torch.equal(a.tokens[name], b.tokens[name])
        assert all(torch.equal(x, y) for x, y in zip(a.state[name].tidy(), b.state[name].tidy(), strict=True))


def test_what_is_beyond_a_rows_entries_is_not_written(tmp_path):
    """A row that was reset still holds old tokens in memory; a file must not give them away."""
    bank, state = _bank_with_memory()
    forgot = {name: stream.reset(torch.ones(3, dtype=torch.bool)) for name, stream in state.items()}
    save_bank(tmp_path / "bank.safetensors", bank, forgot)
    tensors = load_file(tmp_path / "bank.safetensors")
    assert forgot["perceptual"].tokens.any()
    assert not tensors["state/perceptual/tokens"].any()


def test_weights_and_memory_can_be_left_out(tmp_path):
    bank, state = _bank_with_memory()
    path = tmp_path / "bank.safetensors"
    save_bank(path, bank, state, weights=False)
    assert load_state(path, bank)["cognitive"].size.tolist() == [3, 2, 0]
    with pytest.raises(BankFileError, match="holds no weights"):
        load_bank(path)
    save_bank(path, bank)
    assert load_bank(path)[1] is None
    with pytest.raises(BankFileError, match="holds no state"):
        load_state(path, bank)


def test_a_cached_state_is_saved_without_its_cache(tmp_path):
    streams = {"perceptual": StreamConfig(tokens=24, dim=8, heads=4)}
    bank = make_bank(small_config(streams=streams))
    state = bank.cached(bank.empty_state(2))
    save_bank(tmp_path / "bank.safetensors", bank, state)
    assert state["perceptual"].projected.shape[-1] > 0
    assert load_state(tmp_path / "bank.safetensors", bank)["perceptual"].projected.shape[-1] == 0


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, -1])
def test_a_truncated_file_is_damaged(saved, keep):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(BankFileError, match=rf"{re.escape(str(saved))} is damaged"):
        load_bank(saved)


def test_a_flipped_bit_is_found(saved):
    data = bytearray(saved.read_bytes())
    data[-100] ^= 4
    saved.write_bytes(data)
    with pytest.raises(BankFileError, match="its tensors are not the ones that were written"):
        load_bank(saved)


def test_files_of_others_are_told_apart(tmp_path):
    path = tmp_path / "other.safetensors"
    with pytest.raises(BankFileError, match="no file at"):
        load_bank(path)
    path.write_text("a text")
    with pytest.raises(BankFileError, match="damaged, or no safetensors file"):
        load_bank(path)
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(BankFileError, match="but not of a memory bank"):
        load_bank(path)
    save_file({"x": torch.zeros(2)}, path, metadata={"engram": "no JSON"})
    with pytest.raises(BankFileError, match="header is no JSON object"):
        load_bank(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header, tensors: header.update(version=2), "is of version 2; this Engram reads version 1"),
        (lambda header, tensors: header["config"].update(capacity=0), "bank.capacity must be at least 1"),
        (lambda header, tensors: header["config"].update(depth=3), "unexpected keyword argument 'depth'"),
        (
            lambda header, tensors: header["config"].update(capacity=4),
            r"has the shape \[3, 3, 4, 8\], not \[3, 4, 4, 8\]",
        ),
        (lambda header, tensors: tensors.pop("state/cognitive/time"), "the state of 'cognitive' lacks 'time'"),
        (lambda header, tensors: tensors.pop("weights/streams.cognitive.fuse.proj.bias"), "weights lacks"),
        (lambda header, tensors: tensors.update({"state/cognitive/mood": torch.zeros(3)}), "has an unknown 'mood'"),
        (lambda header, tensors: tensors["state/cognitive/size"].fill_(9), "has rows of more than 3 entries"),
    ],
)
def test_a_file_that_does_not_add_up_is_named(saved, change, message):
    header, tensors = _open(saved)
    change(header, tensors)
    _close(saved, header, tensors)
    with pytest.raises(BankFileError, match=message):
        load_bank(saved)


def test_a_state_of_another_shape_is_refused(saved):
    with pytest.raises(BankFileError, match="of a bank whose capacity is 3; this one's is 5"):
        load_state(saved, make_bank(small_config(capacity=5)))
    with pytest.raises(BankFileError, match="of a bank whose streams"):
        load_state(saved, make_bank(small_config(streams={"cognitive": StreamConfig(1, 12)})))


def test_a_full_disk_leaves_what_was_there(saved, monkeypatch):
    bank, state = _bank_with_memory()
    before = saved.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("memory_bank.files.save_file", full)
    with pytest.raises(FileError, match="No space left on device"):
        save_bank(saved, bank, state)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def _open(path: Path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["engram"]), load_file(path)


def _close(path: Path, header, tensors) -> None:
    from memory_bank.files import _digest

    save_file(tensors, path, metadata={"engram": json.dumps({**header, "sha256": _digest(tensors)})})
