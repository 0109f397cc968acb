"""MemoryVLA as a whole: what training and acting see is the same, nothing is dead, nothing is lost."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from embodied.agents.registry import agent_class
from embodied.checkpoint import CheckpointError, load
from embodied.config import ConfigError
from embodied.data import DataError, Recorder
from embodied.memory_vla import MemoryVla
from embodied.player import VlaPlayer, load_vla
from embodied.training import vla
from embodied.training.registry import load_config, train
from embodied.training.vla import Learner

pytest.importorskip("lerobot", reason="lerobot needs Python 3.12")

SIZE = 32
SETTINGS = [
    "algorithm=vla",
    "updates=6",
    "policy.encoder.name=small_cnn",
    f"policy.encoder.image_size={SIZE}",
    "policy.encoder.small_cnn.channels=[8,16,16]",
    "policy.encoder.small_cnn.cognitive_size=24",
    "policy.perceptual_dim=16",
    "policy.memory.capacity=3",
    "policy.expert={size: custom, layers: 2, width: 32, heads: 2, horizon: 4, noise_draws: 2}",
    "segments={rows: 2, steps: 5, stride_min: 1, stride_max: 3}",
    "held_out=0.2",
    "learning_rate=1e-3",
    "validate_every=3",
    "torch_threads=1",
]
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vla") / "data"
    rng = np.random.default_rng(0)
    names = [f"a{number}" for number in range(7)]
    with Recorder.create(root, 10, {"front": (SIZE, SIZE)}, ["x", "y"], names, images=True) as recorder:
        for episode in range(5):
            for frame in range(12):
                picture = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
                action = np.sin(np.arange(7) + frame / 3.0 + episode).astype(np.float32)
                recorder.add({"front": picture}, [frame / 12.0, episode / 5.0], action, f"do {episode % 2}")
            recorder.save_episode(success=True)
    return root


def config(demonstrations: Path, output: Path, *overrides: str) -> Any:
    return load_config(None, [*SETTINGS, f"data.root={demonstrations}", f"output={output}", *overrides])


@pytest.fixture(scope="module")
def trained(demonstrations: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("vla_run") / "run"
    assert train(config(demonstrations, output), QUIET).completed
    return output


def episode(policy: MemoryVla, rows: int, steps: int) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """What an encoder would give for random episodes, with states and times."""
    generator = torch.Generator().manual_seed(3)
    encoder = policy.encoder
    perceptual = torch.randn(rows, steps, encoder.tokens, encoder.perceptual_dim, generator=generator)
    cognitive = torch.randn(rows, steps, encoder.cognitive_dim, generator=generator)
    times = torch.arange(steps).double().expand(rows, -1) * 0.3
    return (perceptual, cognitive), torch.rand(rows, steps, 2, generator=generator), times


@pytest.mark.parametrize("memory", [[], ["policy.memory.write=raw"], ["policy.memory.streams=[cognitive]"]])
def test_acting_step_by_step_sees_what_the_training_pass_saw(
    demonstrations: Path, tmp_path: Path, memory: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over an episode past the bank's capacity, to 1e-5."""
    settings = config(demonstrations, tmp_path, *memory).policy
    torch.manual_seed(0)
    policy = MemoryVla(settings, ["front"], 2, 7).eval()
    (perceptual, cognitive), state, times = episode(policy, rows=2, steps=9)
    resets = torch.zeros(2, 9, dtype=torch.bool)
    resets[1, 4] = True  # the second row begins another episode
    seen: list[tuple[torch.Tensor, dict[str, torch.Tensor]]] = []

    def note_loss(actions: Any, mask: Any, cognitive: torch.Tensor, tokens: Any, **_: Any) -> torch.Tensor:
        seen.append((cognitive, dict(tokens)))
        return cognitive.sum()

    def note_act(noise: torch.Tensor, cognitive: torch.Tensor, tokens: Any) -> torch.Tensor:
        seen.append((cognitive, dict(tokens)))
        return noise

    monkeypatch.setattr(policy.expert, "loss", note_loss)
    monkeypatch.setattr(policy.expert, "act", note_act)
    actions, mask = torch.zeros(2, 9, 4, 7), torch.ones(2, 9, 4, dtype=torch.bool)
    _, after = policy.loss(
        vla.Encoded(perceptual, cognitive), state, times, actions, mask, policy.initial_memory(2), resets
    )
    trained_on, memory_state = seen.pop(), policy.initial_memory(2)
    for t in range(9):
        now = vla.Encoded(perceptual[:, t], cognitive[:, t])
        noise = torch.zeros(2, 4, 7)
        _, memory_state = policy.act(now, state[:, t], times[:, t], memory_state, noise, resets[:, t])
        acted_on = seen.pop()
        torch.testing.assert_close(acted_on[0], trained_on[0].unflatten(0, (2, 9))[:, t], atol=1e-5, rtol=1e-5)
        for name, tokens in acted_on[1].items():
            expected = trained_on[1][name].unflatten(0, (2, 9))[:, t]
            torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=1e-5)
    for name, bank in memory_state.items():
        torch.testing.assert_close(bank.tidy().tokens, after[name].tidy().tokens, atol=1e-5, rtol=1e-5)
        assert bank.written.tolist() == [9, 5]


def test_nothing_is_dead_after_some_steps(demonstrations: Path, tmp_path: Path) -> None:
    """Every query and key projection has a gradient, and perceptual attention is not uniform."""
    settings = config(demonstrations, tmp_path, "updates=30", "validate_every=0")
    accelerator = vla.Accelerator(cpu=True)
    learner = Learner(settings, vla.DemonstrationSet(settings.data), accelerator, QUIET)
    for _ in range(8):
        learner.update()
    policy = learner.policy
    segment = learner._tensors(next(learner._stream))
    loss, _ = vla._Objective(policy)(segment, learner._memory, torch.Generator().manual_seed(0))
    loss.backward()
    learner.close()
    assert policy.bank is not None
    for name, parameter in policy.named_parameters():
        asks = any(part in name for part in ("q_proj", "k_proj", "cross_attention.q.", "cross_attention.kv.", "qkv"))
        if asks and parameter.dim() > 1:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0.0, name
    for block in policy.expert.dit.blocks:
        keys, _ = block.cross_attention.kv.weight.grad.chunk(2)
        assert keys.abs().max() > 0.0
    condition = policy.expert.dit.condition(
        torch.randn(1, 24), {"perceptual": torch.randn(1, 16, 16), "state": torch.zeros(1, 1, 2)}
    )
    query = policy.expert.dit.blocks[0].cross_attention.queries(torch.randn(1, 5, 32))
    weights = (query @ condition.layers[0][0].mT / math.sqrt(16)).softmax(dim=-1)
    entropy = -(weights * weights.log()).sum(-1).mean()
    assert entropy < math.log(17) - 1e-3


def test_a_killed_training_goes_on_as_if_it_had_not_been(
    demonstrations: Path, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = Learner.update

    def killed(learner: Learner) -> dict[str, float]:
        if learner.updates == 4:
            raise KeyboardInterrupt
        return update(learner)

    settings = config(demonstrations, tmp_path / "run", "checkpoint_s=0")
    monkeypatch.setattr(Learner, "update", killed)
    with pytest.raises(KeyboardInterrupt):
        train(settings, QUIET)
    assert load(tmp_path / "run").steps == 4
    monkeypatch.setattr(Learner, "update", update)
    result = train(settings, QUIET)
    assert result.completed
    undisturbed, resumed = load(trained).weights(), load(tmp_path / "run").weights()
    assert undisturbed.keys() == resumed.keys()
    for name, weights in undisturbed.items():
        assert torch.equal(weights, resumed[name]), name
    logged = [json.loads(line) for line in (tmp_path / "run" / "train.jsonl").read_text().splitlines()]
    assert [line["steps"] for line in logged] == [1, 2, 3, 4, 5, 6]
    assert "held_out_loss" in logged[2]


def test_rows_act_at_their_own_pace_each_with_its_own_memory(trained: Path) -> None:
    """A row beside another gives what it gives alone, whenever the other begins anew."""
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (2, 14, SIZE, SIZE, 3), dtype=np.uint8)
    states = rng.random((2, 14, 2)).astype(np.float32)

    def play(rows: list[int], player: VlaPlayer) -> np.ndarray:
        actions = []
        player.reset(np.ones(len(rows), bool), np.array(rows))
        began = np.zeros(len(rows), np.int64)
        for t in range(14):
            again = np.array([row == 1 and t == 4 for row in rows])
            player.reset(again, np.full(len(rows), 9))
            began[again] = t
            texts = [f"do {row}" for row in rows]
            times = (t - began) / 10.0
            actions.append(player.act({"front": pictures[rows, t]}, states[rows, t], texts, times))
        return np.stack(actions, axis=1)

    together = play([0, 1], VlaPlayer(trained, 2))
    for row in (0, 1):
        np.testing.assert_allclose(play([row], VlaPlayer(trained, 1))[0], together[row], atol=1e-5)
    assert together.shape == (2, 14, 7)
    low, high = (np.array(getattr(VlaPlayer(trained, 1).spec, side)) for side in ("low", "high"))
    assert (together >= low).all()
    assert (together <= high).all()


@pytest.mark.parametrize("damage", ["zero", "shuffle", "swap"])
def test_a_damaged_memory_changes_what_is_done_and_not_what_is_remembered(trained: Path, damage: str) -> None:
    rng = np.random.default_rng(2)
    players = [VlaPlayer(trained, 2, execute=1), VlaPlayer(trained, 2, execute=1, memory=damage)]
    differ = False
    for t in range(6):
        pictures = {"front": rng.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)}
        state, times = rng.random((2, 2)).astype(np.float32), np.full(2, t / 10.0)
        whole, damaged = (player.act(pictures, state, ["do 0", "do 1"], times) for player in players)
        differ |= bool(np.abs(whole - damaged).max() > 1e-6)
    assert differ
    for name, bank in players[0].memory.items():
        torch.testing.assert_close(bank.tidy().tokens, players[1].memory[name].tidy().tokens)
    with pytest.raises(ValueError, match="memory must be"):
        VlaPlayer(trained, 2, memory="lost")
    with pytest.raises(ValueError, match="none to swap"):
        VlaPlayer(trained, 1, memory="swap")


def test_a_checkpoint_says_what_it_is_of(trained: Path, tmp_path: Path) -> None:
    assert agent_class(str(trained)).title == "MemoryVLA"
    policy, spec, checkpoint = load_vla(trained)
    assert checkpoint.meta["contract"]["cameras"] == {"front": [SIZE, SIZE]}
    assert spec.size == 7
    assert not any(parameter.requires_grad for parameter in policy.parameters())
    meta = json.loads((checkpoint.folder / "checkpoint.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    for path in checkpoint.folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (other / "checkpoint.json").write_text(json.dumps({**meta, "kind": "gaze"}))
    with pytest.raises(CheckpointError, match="of a gaze policy"):
        load_vla(other)
    with pytest.raises(CheckpointError, match="plays navigation, vla"):
        agent_class(str(other))


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["action=base"], ConfigError, "2 numbers, the data's have 7"),
        (["gripper=7"], ConfigError, "gripper: actions have the numbers 0 to 6"),
        (["policy.memory.streams=[visual]"], ValueError, "memory.streams: no stream 'visual'"),
        (["policy.memory.strategy=lru"], ValueError, "lru"),
        (["data.root="], ValueError, "data.root"),
        (["data.root=/nowhere"], DataError, "/nowhere"),
    ],
)
def test_a_setting_that_cannot_be_is_named(
    demonstrations: Path, tmp_path: Path, overrides: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(config(demonstrations, tmp_path / "run", *overrides), QUIET)
