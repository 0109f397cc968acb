"""Checkpoints: whole or not at all, and what is wrong with one is said in a line."""

import json

import pytest
import torch

from embodied.checkpoint import (
    CheckpointError,
    Checkpoints,
    TrainingState,
    load,
    load_optimizer_tensors,
    load_weights,
    optimizer_tensors,
)
from embodied.files import FileError, replacing_folder

META = {"config": {"a": 1}, "contract": {}}


def module(width=4):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.Linear(width, 2))


def store(checkpoints, steps, **values):
    state = TrainingState({"x": torch.full((2,), float(steps))}, {"steps": steps, **values})
    return checkpoints.save(steps, module().state_dict(), META, state)


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "run", keep=2)


def test_what_is_stored_comes_back(checkpoints):
    folder = store(checkpoints, 100, rng={"state": 2**100})
    found = load(folder)
    assert found.steps == 100
    assert found.meta["config"] == {"a": 1}
    training = found.training()
    assert training.values == {"steps": 100, "rng": {"state": 2**100}}
    assert torch.equal(training.tensors["x"], torch.tensor([100.0, 100.0]))
    other = module()
    for parameter in other.parameters():
        parameter.data.zero_()
    load_weights(other, found)
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), module().parameters(), strict=True))


def test_a_runs_folder_means_its_newest(checkpoints, tmp_path):
    store(checkpoints, 100)
    store(checkpoints, 1_000_000_000_000)
    assert load(tmp_path / "run").steps == 1_000_000_000_000
    assert load(checkpoints.folder).steps == 1_000_000_000_000


def test_only_the_newest_are_kept(checkpoints):
    for steps in (100, 200, 300):
        store(checkpoints, steps)
    assert [path.name for path in checkpoints.stored()] == ["step_000000200", "step_000000300"]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "policy.safetensors").write_bytes(b"junk"), "policy.safetensors is not as it was written"),
        (lambda f: (f / "training.json").unlink(), "incomplete: training.json is missing"),
        (lambda f: (f / "checkpoint.json").write_text("{"), "checkpoint.json is damaged"),
        (lambda f: (f / "checkpoint.json").write_text('{"steps": 3}'), "is no checkpoint of Engram"),
        (lambda f: (f / "checkpoint.json").unlink(), "a checkpoint is a folder with checkpoint.json"),
    ],
)
def test_a_damaged_one_is_named_and_the_one_before_it_taken(checkpoints, harm, message):
    store(checkpoints, 100)
    folder = store(checkpoints, 200)
    harm(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    said = []
    found = checkpoints.newest(said.append)
    assert found.steps == 100
    assert len(said) == 1
    assert "step_000000200" in said[0]


def test_one_flipped_bit_is_noticed(checkpoints):
    folder = store(checkpoints, 100)
    path = folder / "policy.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="not as it was written"):
        load(folder)


def test_if_all_are_damaged_there_is_an_error_not_a_new_start(checkpoints):
    for steps in (100, 200):
        (store(checkpoints, steps) / "policy.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="no earlier checkpoint is left"):
        checkpoints.newest([].append)
    assert Checkpoints(checkpoints.folder / "elsewhere").newest() is None


def test_one_of_a_later_format_is_refused(checkpoints):
    folder = store(checkpoints, 100)
    meta = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps({**meta, "format": 99}))
    with pytest.raises(CheckpointError, match="is of format 99, this version reads format 1"):
        load(folder)


def test_a_missing_one_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint at .*nowhere"):
        load(tmp_path / "nowhere")


def test_weights_of_another_policy_are_refused(checkpoints):
    found = load(store(checkpoints, 100))
    with pytest.raises(CheckpointError, match=r"0.bias has shape \[4\], the policy needs \[5\]"):
        load_weights(module(5), found)
    with pytest.raises(CheckpointError, match="has no tensor 2.bias"):
        load_weights(torch.nn.Sequential(*module(), torch.nn.Linear(2, 2)), found)
    with pytest.raises(CheckpointError, match=r"has the tensor 1.bias, the policy does not"):
        load_weights(torch.nn.Sequential(module()[0]), found)


def test_what_breaks_off_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="power cut"), replacing_folder(tmp_path / "kept") as draft:
        (draft / "half").write_text("x")
        raise RuntimeError("power cut")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write .*file/run"), replacing_folder(tmp_path / "file" / "run"):
        pass


def test_an_optimiser_goes_on_as_if_it_had_never_stopped(checkpoints):
    def train(model, optimizer, steps):
        for step in range(steps):
            torch.manual_seed(step)
            optimizer.zero_grad()
            model(torch.randn(8, 3)).pow(2).mean().backward()
            optimizer.step()

    straight, cut = module(), module()
    optimizers = [torch.optim.Adam(m.parameters(), 0.01) for m in (straight, cut)]
    train(straight, optimizers[0], 3)
    train(cut, optimizers[1], 3)
    state = TrainingState(optimizer_tensors(optimizers[1]))
    found = load(checkpoints.save(3, cut.state_dict(), META, state))
    again = module()
    load_weights(again, found)
    optimizer = torch.optim.Adam(again.parameters(), 0.01)
    load_optimizer_tensors(optimizer, found.training().tensors)
    train(straight, optimizers[0], 2)
    train(again, optimizer, 2)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), again.parameters(), strict=True))
