"""What every strategy of long-term consolidation must hold: a new one is tested by being registered. Then each one's
own sense."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from memory_bank.long_term import Entry, LongTermStore, Pose, Query, StoreConfig, StoreError
from memory_bank.long_term.sightings import Sightings, score
from memory_bank.long_term.strategies import STRATEGIES, Strategy, make_strategy
from memory_bank.long_term.strategies.base import Operation, active, reachable
from memory_bank.long_term.strategies.chunks import CHUNK
from memory_bank.long_term.strategies.manager import LearnedManager
from memory_bank.long_term.strategies.ranker import LearnedRanker, ablation_reward, sample_ranking
from memory_bank.long_term.strategies.subgoals import SUMMARY
from memory_bank.long_term.train import train_manager, train_ranker
from memory_bank.long_term.volatile import VolatileStore

DIM, STEPS, CAPACITY = 8, 40, 9

every_strategy = pytest.mark.parametrize("name", sorted(STRATEGIES))


def made(name: str, **settings) -> Strategy:
    return make_strategy(name, **{"capacity": 1 if name == "register" else CAPACITY, "seed": 3, **settings})


def entry(number: int, **changes) -> Entry:
    rng = np.random.default_rng(number)
    x, y = rng.uniform(-5, 5, 2)
    return replace(
        Entry(
            rng.standard_normal(DIM).astype(np.float32),
            float(number),
            number + 1.0,
            id=f"e{number}",
            caption=f"mug number {number}",
            pose=Pose(float(x), float(y)),
            room="kitchen",
            instance_ids=(f"mug_{number % 7}",),
            importance=float(rng.random()),
            provenance={"goal": "tidy up", "subgoal": f"part {number // 6}", "scene": "house"},
        ),
        **changes,
    )


def run(strategy: Strategy, store, numbers=range(STEPS), check=lambda: None) -> list[Operation]:
    done = []
    for number in numbers:
        done += strategy.write(store, entry(number))
        check()
    return done


def content(store) -> list[tuple]:
    """What is in use, without ids that the store has made."""
    return [(e.t0, e.t1, e.kind, e.caption, e.embedding.tobytes()) for e in active(store)]


# ---- the battery ----------------------------------------------------------------------------------------------------


@every_strategy
def test_what_was_written_first_is_read_or_stands_behind_what_is_read(name):
    store = VolatileStore(DIM)
    strategy = made(name)
    strategy.write(store, entry(0))
    hits = strategy.read(store, Query(vector=entry(0).embedding, k=3))
    assert "e0" in reachable(store, [hit.entry.id for hit in hits])


@every_strategy
def test_capacity_bounds_what_is_in_use_at_every_step(name):
    store = VolatileStore(DIM)
    strategy = made(name)

    def bounded():
        assert len(store) <= strategy.capacity

    run(strategy, store, check=bounded)
    for outcome in (0.9, 0.1, None):
        strategy.finish(store, outcome)
        bounded()
        run(
            strategy,
            store,
            range(STEPS * (2 + round(10 * (outcome or 0))), STEPS * (3 + round(10 * (outcome or 0)))),
            bounded,
        )
    assert len(store) > 0


@every_strategy
def test_reading_gives_at_most_k_of_what_is_in_use_and_meets_the_conditions(name):
    store = VolatileStore(DIM)
    strategy = made(name)
    run(strategy, store)
    used = {e.id for e in active(store)}
    for query in (
        Query(vector=entry(30).embedding, k=4),
        Query(text="the mug", k=4),
        Query(time=(30.0, 36.0), k=4),
        Query(vector=entry(30).embedding, time=(30.0, 39.0), k=4),
    ):
        hits = strategy.read(store, query)
        assert len(hits) <= 4
        assert {hit.entry.id for hit in hits} <= used
        assert len({hit.entry.id for hit in hits}) == len(hits)
        assert all(query.accepts(hit.entry) for hit in hits)
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)


@every_strategy
def test_operations_replay_what_is_in_use_and_nothing_is_erased(name):
    store = VolatileStore(DIM)
    strategy = made(name)
    done = run(strategy, store) + strategy.finish(store, 0.9)
    used: set[str] = set()
    for operation in done:
        assert operation.kind in ("add", "update", "delete", "noop")
        used -= set(operation.ids)
        used |= {operation.id} if operation.id else set()
    assert used == {e.id for e in active(store)}
    everything = {e.id: e for e in store.scan()}
    for e in everything.values():
        assert e.active or e.retired
        for parent in e.parents:
            assert parent in everything
            assert everything[parent].t0 >= e.t0 - 1e-9
            assert everything[parent].t1 <= e.t1 + 1e-9


@every_strategy
def test_another_instance_over_the_reopened_store_goes_on_the_same(name, tmp_path):
    config = StoreConfig(background=False)
    whole = VolatileStore(DIM)
    run(made(name), whole, range(24))
    with LongTermStore.open(tmp_path / "store", DIM, config=config) as store:
        run(made(name), store, range(15))
    with LongTermStore.open(tmp_path / "store", config=config) as store:
        run(made(name), store, range(15, 24))
        assert content(store) == content(whole)


@every_strategy
def test_a_seed_determines_everything(name):
    first, second = VolatileStore(DIM), VolatileStore(DIM)
    run(made(name), first)
    run(made(name), second)
    assert content(first) == content(second)


@every_strategy
def test_a_later_write_does_not_change_what_was_read(name):
    store = VolatileStore(DIM)
    strategy = made(name)
    run(strategy, store, range(10))
    query = Query(vector=entry(4).embedding, k=3)
    before = strategy.read(store, query)
    seen = [(hit.entry.id, hit.entry.caption, hit.score) for hit in before]
    run(strategy, store, range(10, 30))
    assert [(hit.entry.id, hit.entry.caption, hit.score) for hit in before] == seen


@every_strategy
def test_a_docstring_tells_the_paper_and_the_difference(name):
    text = STRATEGIES[name].__doc__ or ""
    assert "arXiv" in text
    assert "here" in text


def test_a_wrong_name_or_setting_is_told():
    with pytest.raises(StoreError, match="no strategy 'chunk': .* did you mean chunks"):
        make_strategy("chunk")
    with pytest.raises(StoreError, match="strategy fifo: .*speed"):
        make_strategy("fifo", speed=1)
    with pytest.raises(StoreError, match="strategy fifo: capacity is 0; at least 1"):
        make_strategy("fifo", capacity=0)


# ---- each one's own sense -------------------------------------------------------------------------------------------


def test_fifo_keeps_the_newest():
    store = VolatileStore(DIM)
    run(made("fifo"), store)
    assert [e.id for e in active(store)] == [f"e{i}" for i in range(STEPS - CAPACITY, STEPS)]


def test_merging_keeps_the_whole_span_and_counts():
    store = VolatileStore(DIM)
    run(made("merge"), store)
    kept = sorted(active(store), key=lambda e: e.t0)
    assert (kept[0].t0, kept[-1].t1) == (0.0, float(STEPS))
    assert all(a.t1 <= b.t0 for a, b in pairwise(kept))
    assert sum(e.provenance.get("weight", 1) for e in kept) == STEPS


def test_the_reservoir_is_a_uniform_sample_beside_the_newest():
    kept = np.zeros(STEPS)
    for seed in range(60):
        store = VolatileStore(DIM)
        run(made("reservoir", seed=seed), store)
        ids = [int(e.id[1:]) for e in active(store)]
        assert set(range(STEPS - CAPACITY // 2, STEPS)) <= set(ids)
        kept[ids] += 1
    early, late = kept[:18].mean(), kept[18:36].mean()
    assert abs(early - late) < 4 * np.sqrt(60 * 0.14 * 0.86 / 18 * 2)


def test_chunks_are_found_by_their_means_and_then_looked_into():
    store = VolatileStore(DIM)
    strategy = make_strategy("chunks", capacity=40, length=4, chosen=2)
    for number in range(16):
        base = np.zeros(DIM)
        base[number // 4] = 1.0
        vector = (base + 0.1 * entry(number).embedding).astype(np.float32)
        strategy.write(store, entry(number, embedding=vector))
    chunks = [e for e in active(store) if e.kind == CHUNK]
    assert [c.parents for c in chunks] == [tuple(f"e{i}" for i in range(s, s + 4)) for s in range(0, 16, 4)]
    asked = np.zeros(DIM, np.float32)
    asked[2] = 1.0
    hits = strategy.read(store, Query(vector=asked, k=4))
    assert {hit.entry.id for hit in hits} == {"e8", "e9", "e10", "e11"}


def test_a_subgoal_closes_to_a_summary_that_can_be_expanded():
    store = VolatileStore(DIM)
    strategy = make_strategy("subgoals", capacity=20)
    run(strategy, store, range(8))
    summary, *rest = active(store)
    assert (summary.kind, summary.caption) == (SUMMARY, "part 0: mug number 0 ... mug number 5")
    assert [e.id for e in rest] == ["e6", "e7"]
    assert [e.id for e in strategy.expand(store, summary)] == [f"e{i}" for i in range(6)]


def test_facts_of_a_moved_object_are_superseded():
    store = VolatileStore(DIM)
    strategy = make_strategy("parts", capacity=12)
    strategy.write(store, entry(0, instance_ids=("cup",), room="kitchen", pose=Pose(0, 0)))
    strategy.write(store, entry(1, instance_ids=("cup",), room="bath", pose=Pose(3, 0)))
    (fact,) = active(store, "semantic")
    assert (fact.room, fact.pose) == ("bath", Pose(3, 0))
    (core,) = active(store, "core")
    assert core.caption == "tidy up; room kitchen; room bath"


def test_the_graph_confirms_contradicts_and_learns_procedures():
    store = VolatileStore(DIM)
    strategy = make_strategy("graph", capacity=12)
    strategy.write(store, entry(0, instance_ids=("cup",), pose=Pose(0, 0)))
    strategy.write(store, entry(1, embedding=entry(0).embedding, instance_ids=("cup",), pose=Pose(0.1, 0)))
    (node,) = active(store)
    assert (node.kind, node.provenance["credibility"]) == ("semantic", 0.75)
    strategy.write(store, entry(2, instance_ids=("cup",), pose=Pose(4, 0)))
    assert [e.id for e in active(store)] == ["e2"]
    assert store.get([node.id])[0].retired == "deactivated: contradicted by e2"
    strategy.finish(store, 1.0)
    assert [e.kind for e in active(store)] == ["episodic", "procedural"]


def test_a_time_in_words_narrows_to_its_window():
    store = VolatileStore(DIM)
    strategy = make_strategy("window", capacity=400)
    for number in range(0, 400, 4):
        strategy.write(store, entry(number))
    found = [hit.entry.t0 for hit in strategy.read(store, Query(text="mugs of the last 1 minute", k=50))]
    assert min(found) >= 397 - 60 - 1
    found = [hit.entry.t0 for hit in strategy.read(store, Query(text="the mug 2 minutes ago", k=3))]
    assert all(abs(t - (397 - 120)) <= 30 for t in found)


def test_experiences_of_good_outcome_come_first_and_the_worse_of_one_goal_goes():
    store = VolatileStore(DIM)
    strategy = make_strategy("experience", capacity=8)
    for number, (scene, outcome) in enumerate([("a", 0.1), ("b", 1.0), ("a", 0.8), ("b", 0.0)]):
        changed = {"provenance": {"goal": "find the cup", "scene": scene}, "embedding": np.ones(DIM, np.float32)}
        strategy.write(store, entry(number, **changed))
        strategy.finish(store, outcome)
    hits = strategy.read(store, Query(vector=np.ones(DIM), k=5))
    assert [(hit.entry.provenance["scene"], hit.entry.importance) for hit in hits] == [("b", 1.0), ("a", 0.8)]


# ---- what learns ----------------------------------------------------------------------------------------------------

TASK = Sightings(objects=4, steps=24)
HELD_OUT = range(10_000, 10_020)


def mean_score(strategy: Strategy) -> float:
    return float(np.mean([score(strategy, TASK, seed) for seed in HELD_OUT]))


def test_the_manager_learns_what_to_keep():
    strategy = LearnedManager(capacity=6)
    before = mean_score(strategy)
    train_manager(strategy, TASK, steps=25, group=6, learning_rate=2e-2)
    after = mean_score(strategy)
    assert after > before + 0.2
    assert after > mean_score(make_strategy("fifo", capacity=6)) + 0.05


def test_the_ranker_learns_to_put_first_what_helps(tmp_path):
    strategy = LearnedRanker(capacity=24)
    before = mean_score(strategy)
    train_ranker(strategy, TASK, steps=40, group=6, learning_rate=2e-2)
    after = mean_score(strategy)
    assert after > before + 0.2
    assert after > mean_score(make_strategy("fifo", capacity=24)) + 0.05
    strategy.save(tmp_path / "ranker.safetensors")
    assert mean_score(LearnedRanker(capacity=24, seed=9, weights=str(tmp_path / "ranker.safetensors"))) == after
    with pytest.raises(StoreError, match=r"nothing\.safetensors cannot be used"):
        LearnedRanker(weights=str(tmp_path / "nothing.safetensors"))


def test_a_ranking_is_rewarded_for_early_help_and_drawn_with_its_probability():
    assert ablation_reward([0, 1, 1, 1, 1, 1]) > ablation_reward([0, 0, 1, 1, 1, 1]) > ablation_reward([0] * 6) == 0
    scores = torch.tensor([1.0, 0.0, -1.0])
    generator = torch.Generator().manual_seed(0)
    drawn = [sample_ranking(scores, generator) for _ in range(3000)]
    share = sum(order == [0, 1, 2] for order, _ in drawn) / len(drawn)
    told = next(log for order, log in drawn if order == [0, 1, 2]).exp()
    assert share == pytest.approx(float(told), abs=0.03)
