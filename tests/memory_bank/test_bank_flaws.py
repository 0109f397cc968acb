"""What was found wrong in public code of this mechanism, a test each that would have caught it.

(That a reset isolates episodes, that gradients stop at what is stored, and that padding changes no state are in the
battery of `test_bank_strategies.py`; that nothing loops over rows or waits for the host, in `test_bank_compiled.py`.)
"""

from __future__ import annotations

import math
import threading

import pytest
import torch
import torch.nn.functional as F
from banks import make_bank, small_config
from torch.utils.flop_counter import FlopCounterMode

from memory_bank import BankConfig, BankError, MemoryBank, StreamConfig, Trace
from memory_bank.sessions import Sessions

# ---- dead query and key projections ---------------------------------------------------------------------------------


def test_every_query_and_key_projection_learns_and_attention_finds_what_is_asked():
    """Recall: four steps show a key and a value each, the fifth shows one of the keys again and is asked for its value.

    With queries and keys at zero together neither would have a gradient, attention would stay uniform (ln 4), and the
    error at that of a guess (1).
    """
    torch.manual_seed(0)
    episodes, pairs, half = 64, 4, 8
    streams = {"perceptual": StreamConfig(tokens=1, dim=2 * half)}
    bank = MemoryBank(BankConfig(streams=streams, capacity=8, clock="none", write="raw"))
    optimizer = torch.optim.Adam(bank.parameters(), lr=2e-2)
    rows, times = torch.arange(episodes), torch.arange(pairs + 1).expand(episodes, -1)
    asking = {name: 0.0 for name, _ in bank.named_parameters() if "q_proj" in name or "k_proj.weight" in name}
    errors, entropies = [], []
    for _ in range(45):
        keys = 3 * F.normalize(torch.randn(episodes, pairs, half), dim=-1)
        values = torch.randn(episodes, pairs, half)
        asked = torch.randint(pairs, (episodes,))
        question = torch.cat([keys[rows, asked], torch.zeros(episodes, half)], dim=-1)
        steps = torch.cat([torch.cat([keys, values], dim=-1), question[:, None]], dim=1)
        out = bank.unroll({"perceptual": steps[:, :, None]}, times, trace=True)
        error = (out.tokens["perceptual"][:, -1, 0, half:] - values[rows, asked]).square().mean()
        optimizer.zero_grad()
        error.backward()
        for name, weight in bank.named_parameters():
            if name in asking:
                asking[name] = max(asking[name], float(weight.grad.abs().max()))
        optimizer.step()
        attention = out.trace[-1]["perceptual"].attention[:, 0, :pairs]
        errors.append(float(error.detach()))
        entropies.append(float(-(attention * attention.clamp(min=1e-9).log()).sum(dim=-1).mean()))
    assert len(asking) == 2 * 3
    assert all(gradient > 1e-4 for gradient in asking.values()), asking
    assert errors[0] > 0.9
    assert errors[-1] < 0.3
    assert entropies[0] > math.log(pairs) - 0.1
    assert entropies[-1] < math.log(pairs) / 2


# ---- consolidation that only happens at test time -------------------------------------------------------------------


def test_training_meets_consolidation():
    """In a sequence longer than the capacity later steps read what merging left, and learn from it."""
    config = small_config(capacity=3)
    bank = make_bank(config)
    tokens, times = config.fake_episodes(2, 8)
    out = bank.unroll(tokens, times, trace=True)
    assert out.trace is not None
    for name in config.streams:
        assert [bool(step[name].merged.all()) for step in out.trace] == [False] * 3 + [True] * 5
        read = out.trace[-1][name]
        assert (read.counts[:, :3].amax(dim=1) > 1).all()
        merged = (read.attention * (read.counts > 1)[:, None]).sum(dim=-1)
        assert (merged > 0.05).all(), "no attention on merged entries"
    bank.zero_grad()
    sum(value[:, -1].square().sum() for value in out.tokens.values()).backward()
    assert all(
        weight.grad is not None and weight.grad.abs().max() > 0
        for n, weight in bank.named_parameters()
        if "k_proj" in n
    )


def test_a_long_episode_can_be_trained_in_pieces():
    """Memory is carried from one sequence to the next, so that short sequences meet a full bank too."""
    bank = make_bank()
    tokens, times = bank.config.fake_episodes(2, 9)
    whole = bank.unroll(tokens, times)
    state, pieces = None, []
    for piece in (slice(0, 2), slice(2, 3), slice(3, 9)):
        out = bank.unroll({name: value[:, piece] for name, value in tokens.items()}, times[:, piece], state)
        state = out.state
        pieces.append(out.tokens)
    for name in tokens:
        together = torch.cat([piece[name] for piece in pieces], dim=1)
        torch.testing.assert_close(together, whole.tokens[name], rtol=1e-5, atol=1e-5)


# ---- frames in training, calls at inference -------------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["episode", "age"])
def test_time_is_seconds_however_many_calls_have_passed(clock):
    """A robot that looks every 0.1 s and one that runs chunks of 8 actions see the same three moments: the first is
    called at all 17, but remembers three. Counting calls, it would take them for other times."""
    bank = make_bank(small_config(clock=clock))
    tokens, times = bank.config.fake_episodes(1, 17, step_s=0.1)
    looked = torch.zeros(1, 17, dtype=torch.bool)
    looked[:, [0, 8, 16]] = True
    dense = bank.unroll(tokens, times, mask=looked)
    sparse = bank.unroll({name: value[:, ::8] for name, value in tokens.items()}, times[:, ::8])
    for name in tokens:
        torch.testing.assert_close(dense.tokens[name][:, 16], sparse.tokens[name][:, 2], rtol=1e-5, atol=1e-5)
    # And time matters: the same moments, twice as far apart, are not the same memory.
    slower = bank.unroll({name: value[:, ::8] for name, value in tokens.items()}, 2 * times[:, ::8])
    for name in tokens:
        assert (slower.tokens[name][:, 2] - sparse.tokens[name][:, 2]).abs().max() > 1e-3


def test_age_is_the_same_on_any_clock():
    """With `clock="age"` the caller may give wall-clock seconds (1.8e9, where float32 would know minutes only)."""
    bank = make_bank(small_config(clock="age"))
    tokens, times = bank.config.fake_episodes(1, 6)
    a, b = bank.unroll(tokens, times), bank.unroll(tokens, times + 1_800_000_000.0)
    for name in tokens:
        torch.testing.assert_close(a.tokens[name], b.tokens[name], rtol=1e-5, atol=1e-5)


# ---- content that decays and streams that drift apart ---------------------------------------------------------------


def test_merging_keeps_the_span_of_time():
    bank = make_bank(small_config(capacity=2))
    tokens, times = bank.config.fake_episodes(3, 9)
    for stream in bank.unroll(tokens, times).state.values():
        assert torch.equal(stream.start[:, 0], times[:, 0])
        assert torch.equal(stream.end[:, 1], times[:, -1])
        assert stream.counts.sum(dim=1).tolist() == [9] * 3
        assert torch.equal(stream.start, times.gather(1, stream.first))
        assert torch.equal(stream.end, times.gather(1, stream.last))


# ---- padding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", ["fused", "raw"])
def test_a_short_episode_padded_with_its_last_frame_remembers_no_more_than_the_short_one(write):
    bank = make_bank(small_config(write=write))
    tokens, times = bank.config.fake_episodes(2, 5)
    short = bank.unroll(tokens, times)
    repeat = [0, 1, 2, 3, 4, 4, 4, 4]
    mask = torch.tensor([[True] * 5 + [False] * 3] * 2)
    padded = bank.unroll({name: value[:, repeat] for name, value in tokens.items()}, times[:, repeat], mask=mask)
    for name in tokens:
        torch.testing.assert_close(padded.tokens[name][:, :5], short.tokens[name], rtol=1e-5, atol=1e-5)
        assert torch.equal(padded.state[name].counts, short.state[name].counts)
        torch.testing.assert_close(padded.state[name].tidy().tokens, short.state[name].tidy().tokens)


# ---- work done again and again --------------------------------------------------------------------------------------


def test_entries_are_not_projected_in_a_step():
    """The multiplications of a step, counted: were keys and values projected, 4 * L * N * D * D more would be done."""
    tokens, width, capacity, features = 32, 16, 8, 8
    streams = {"perceptual": StreamConfig(tokens=tokens, dim=width)}
    bank = make_bank(BankConfig(streams=streams, capacity=capacity, blocks=1, time_features=features))
    inputs, times = bank.config.fake_episodes(1, 1)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        bank.step({"perceptual": inputs["perceptual"][:, 0]}, times[:, 0], bank.empty_state(1))
    attention = 2 * tokens * capacity * tokens * width
    projections = 3 * tokens * width * width  # the query, twice, and what was found
    feed_forward, gate = 8 * tokens * width * width, 2 * tokens * width * width
    time = capacity * (features * width + width * width + tokens * width)
    assert counter.get_total_flops() == 2 * (attention + projections + feed_forward + gate + time)


def test_a_wide_token_can_be_projected_down_first():
    """Retrieval and gate for one cognitive token of width 4096: 424 million parameters; brought down to 512: 9."""
    counts = {}
    for width in (None, 512):
        with torch.device("meta"):
            stream = {"cognitive": StreamConfig(tokens=1, dim=4096, width=width)}
            bank = MemoryBank(BankConfig(streams=stream, time_features=1024))
        counts[width] = sum(weight.numel() for weight in bank.parameters())
    assert counts[None] == pytest.approx(424e6, rel=0.01)
    assert counts[512] < 10e6


# ---- one memory for all callers -------------------------------------------------------------------------------------


def test_sessions_are_isolated_whatever_the_threads():
    """Eight callers in threads of their own, on one bank: each gets what it would have got alone."""
    bank = make_bank(small_config(strategy="reservoir")).eval()
    tokens, times = bank.config.fake_episodes(8, 12)
    seeds = torch.arange(8) * 1000
    alone = bank.unroll(tokens, times, bank.empty_state(8, seeds))
    sessions = Sessions(bank, rows=8)
    results: dict[int, list[dict[str, torch.Tensor]]] = {row: [] for row in range(8)}

    def call(row: int) -> None:
        sessions.open(f"robot {row}", seed=int(seeds[row]))
        for t in range(12):
            now = {name: value[row : row + 1, t] for name, value in tokens.items()}
            results[row].append(sessions.step([f"robot {row}"], now, times[row : row + 1, t]))

    threads = [threading.Thread(target=call, args=(row,)) for row in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for row in range(8):
        for t in range(12):
            for name in tokens:
                torch.testing.assert_close(results[row][t][name][0], alone.tokens[name][row, t], rtol=1e-5, atol=1e-5)


def test_sessions_are_served_together_end_and_begin_anew():
    bank = make_bank().eval()
    tokens, times = bank.config.fake_episodes(2, 6)
    sessions = Sessions(bank, rows=2)
    sessions.open("a")
    sessions.open("b")
    with pytest.raises(BankError, match="all 2 sessions are taken"):
        sessions.open("c")
    with pytest.raises(BankError, match="'a' is open already"):
        sessions.open("a")
    for t in range(5):
        sessions.step(["b", "a"], {name: value[:, t] for name, value in tokens.items()}, times[:, t])
    sessions.reset("b")
    assert sessions.state("b")["cognitive"].size.item() == 0
    assert sessions.state("a")["cognitive"].size.item() == 3
    sessions.close("a")
    assert sessions.names == ["b"]
    with pytest.raises(BankError, match="no session 'a'"):
        sessions.state("a")
    sessions.open("c")
    assert not sessions.state("c")["perceptual"].tokens.any(), "the row still holds what another session remembered"
    now = {name: value[:, 0] for name, value in tokens.items()}
    first = sessions.step(["c", "b"], now, times[:, 0])
    for name, value in bank.unroll({n: v[:, :1] for n, v in tokens.items()}, times[:, :1]).tokens.items():
        torch.testing.assert_close(first[name], value[:, 0])
    before = sessions.state("c")
    for broken in (["c", "c"], ["c", "gone"]):
        with pytest.raises(BankError):
            sessions.step(broken, now, times[:, 0])
    with pytest.raises(BankError, match="shape"):
        sessions.step(["c"], now, times[:, 0])
    after = sessions.state("c")
    assert all(torch.equal(x, y) for name in before for x, y in zip(before[name], after[name], strict=True))


def test_wrong_streams_and_shapes_are_named():
    bank = make_bank()
    tokens, times = bank.config.fake_episodes(2, 4)
    now = {name: value[:, 0] for name, value in tokens.items()}
    state = bank.empty_state(2)
    with pytest.raises(BankError, match="must have the streams"):
        bank.step({"perceptual": now["perceptual"]}, times[:, 0], state)
    with pytest.raises(BankError, match=r"tokens\['perceptual'\] has the shape \[2, 4, 7\], not \[2, 4, 8\]"):
        bank.step({**now, "perceptual": now["perceptual"][..., :7]}, times[:, 0], state)
    with pytest.raises(BankError, match="times has the shape"):
        bank.step(now, times[:1, 0], state)
    with pytest.raises(BankError, match="at least one step"):
        bank.unroll({name: value[:, :0] for name, value in tokens.items()}, times[:, :0])
    with pytest.raises(BankError, match="trace=True"):
        Trace().record(bank.step(now, times[:, 0], state).trace)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"capacity": 0}, "bank.capacity must be at least 1"),
        ({"fuse": "sum"}, "bank.fuse must be gate or mean"),
        ({"strategy": "merg"}, "did you mean merge"),
        ({"streams": {}}, "name at least one stream"),
        ({"streams": {"cognitive": StreamConfig(1, 12, heads=5)}}, "5 heads do not divide a width of 12"),
        ({"streams": {"my stream": StreamConfig(1, 12)}}, "cannot name a stream"),
        ({"time_features": 7}, "must be even"),
        ({"time_unit_s": 0.0}, "must be above 0"),
    ],
)
def test_a_wrong_config_is_named(changes, message):
    with pytest.raises(BankError, match=message):
        MemoryBank(small_config(**changes))
