"""Agents asked about a past, their answers judged, and the walk to them."""

import json
import math

import numpy as np
import pytest

from embodied.long_horizon.agents import AGENTS, Tools, caption, make_agents
from embodied.long_horizon.config import EvalConfig
from embodied.long_horizon.language import read_words
from embodied.long_horizon.metrics import Ground, judge
from embodied.long_horizon.percepts import DetectorConfig, perceive
from embodied.long_horizon.run import evaluate, summarise
from embodied.long_horizon.tracks import Tracks


@pytest.fixture(scope="module")
def past(truth):
    return perceive(truth.history, DetectorConfig())


def answered(name, truth, past, questions):
    agent = make_agents([name], Tools())[name]
    agent.read(past, truth)
    return [judge(truth, question, agent.answer(question)) for question in questions]


def test_the_oracle_answers_everything(truth, past, questions):
    results = answered("oracle", truth, past, questions)
    assert [r.template for r in results if r.hl != 1.0 or r.failure] == []


def test_percepts_hold_no_identities(past):
    assert {thing.id for percept in past.percepts for thing, _ in percept.detections} == {0}
    assert {thing.name for percept in past.percepts for thing, _ in percept.detections} == {""}


def test_a_detector_that_misses_nothing_sees_more(truth, past):
    perfect = perceive(truth.history, DetectorConfig(miss=0.0, noise_m=0.0))
    counts = [sum(len(p.detections) for p in each.percepts) for each in (past, perfect)]
    assert 0.85 < counts[0] / counts[1] < 0.95


def test_the_bank_finds_what_was_done_from_percepts_alone(truth):
    perfect = perceive(truth.history, DetectorConfig(miss=0.0, noise_m=0.0))
    tracks = Tracks(perfect)
    things = truth.history.scene.things
    found = [tracks.tracks[i.object].thing for i in tracks.interactions]
    really = [things[i.object] for i in truth.history.interactions]
    assert [(t.category, t.colour) for t in found] == [(t.category, t.colour) for t in really]


def test_the_bank_that_knows_the_meaning_beats_a_random_agent_by_far(truth, past, questions):
    scores = {
        name: np.mean([r.hl for r in answered(name, truth, past, questions)])
        for name in ("random", "recent", "bank_known_meaning")
    }
    assert scores["bank_known_meaning"] > max(scores["random"], scores["recent"]) + 0.3


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ("one", "malformed"),
        ([1.5], "malformed"),
        ([-1], "out of bounds"),
        ([10**6], "out of bounds"),
        ([1, 2], "wrong count"),
        ([], "wrong count"),
    ],
)
def test_answers_fail_for_a_reason(truth, questions, answer, failure):
    question = next(q for q in questions if q.template.id == "object_first")
    result = judge(truth, question, answer)
    assert (result.hl, result.failure) == (0.0, failure)


def test_the_right_frames_in_the_wrong_order_fail(truth, past, questions):
    question = next(q for q in questions if q.ordered)
    right = answered("oracle", truth, past, [question])[0].answer
    assert judge(truth, question, right[::-1]).failure in ("wrong order", "wrong target")


def test_the_follower_walks_to_the_answer_and_stops_at_the_step_limit(truth, past, questions, worker):
    ground = Ground(worker)
    ground.enter(truth)
    far = [q for q in questions if q.template.shape == "one"][:12]
    results = answered("oracle", truth, past, far)
    for question, result in zip(far, results, strict=True):
        ground.finish(question, result, max_steps=1000)
        assert 0.0 <= result.hl_spl <= 1.0
        assert result.ll_spl <= result.ll
    assert np.mean([r.ll for r in results]) > 0.7
    walked = max(zip(far, results, strict=True), key=lambda pair: pair[1].extra["steps"])
    again = judge(truth, walked[0], walked[1].answer)
    ground.finish(walked[0], again, max_steps=2)
    assert (again.ll, again.ll_failure) == (0.0, "timeout")


def test_an_evaluation_is_written_goes_on_and_gives_the_same(houses, folder, tmp_path):
    config = EvalConfig(
        houses=str(houses),
        histories=str(folder.parent),
        agents=["oracle", "random", "recent"],
        output=str(tmp_path / "out"),
        low_level=False,
        samples=50,
    )
    first = evaluate(config)
    assert first["agents"]["oracle"]["all"]["hl"]["mean"] == 1.0
    assert math.isnan(first["agents"]["oracle"]["all"]["ll"]["mean"])
    kept = (tmp_path / "out" / "answers" / f"{folder.name}.json").stat().st_mtime_ns
    assert json.dumps(evaluate(config)) == json.dumps(first)
    assert (tmp_path / "out" / "answers" / f"{folder.name}.json").stat().st_mtime_ns == kept


def test_unknown_agents_and_missing_histories_are_named(houses, tmp_path):
    with pytest.raises(ValueError, match="no agent 'orcale'; choose from oracle"):
        evaluate(EvalConfig(houses=str(houses), histories=str(tmp_path), agents=["orcale"], output=str(tmp_path)))
    with pytest.raises(ValueError, match="no histories in"):
        evaluate(EvalConfig(houses=str(houses), histories=str(tmp_path), agents=["oracle"], output=str(tmp_path)))


def test_words_are_read_from_a_question():
    words, masked = read_words("Find the object handled after the small red cup and before the teddy bear.")
    assert (words["object"], words["other"]) == ("small red cup", "teddy bear")
    assert "teddy" not in masked
    assert "red" not in masked
    assert read_words("What did you carry at 10:16 two days ago?")[0] == {"time": "10:16", "day": "two days ago"}
    assert read_words("Enter the living room.")[0] == {"room": "living room"}


def test_a_caption_says_when_where_and_what(past):
    percept = next(p for p in past.percepts if p.action == "pick" and p.held is not None)
    text = caption(percept, past.days)
    assert "I just picked up the" in text
    assert percept.held.category in text
    assert "two days ago" in text


def test_every_agent_is_an_agent_with_a_description():
    for name, kind in AGENTS.items():
        assert kind(Tools()).__doc__, name


def test_summaries_take_houses_as_clusters(truth, past, questions):
    results = {name: answered(name, truth, past, questions) for name in ("oracle", "recent")}
    body = summarise(results, samples=20, seed=0)
    assert body["agents"]["oracle"]["all"]["hl"]["clusters"] == 1
    assert set(body["agents"]["oracle"]["family"]) == {q.template.family for q in questions} | set(
        body["agents"]["recent"]["family"]
    )
