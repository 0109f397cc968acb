"""Evaluations in real habitat-sim: every episode once, whatever happens to the workers."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from misbehaving import InterruptedAgent, KillingAgent

from embodied.agents.registry import AGENTS, prepare_sim
from embodied.evaluation import EvalConfig, evaluate, load, runner
from embodied.evaluation.challenge import challenge
from embodied.evaluation.film import read_map
from sim.config import SimConfig
from sim.vector_env import HabitatVectorEnv

pytestmark = pytest.mark.sim

WANTED = runner._wanted(36, 5)
"""The five of the data set's episodes (twelve in each of three houses) that evaluations here run."""
MAX_STEPS = 100
SHORT = [f"habitat.environment.max_episode_steps={MAX_STEPS}"]


def sim(houses: Path, task: str = "pointnav", overrides: list[str] = SHORT, **fields: Any) -> SimConfig:
    return SimConfig(
        task=task, episodes=str(houses / "episodes" / f"{task}_train.json.gz"), overrides=overrides, **fields
    )


def config(houses: Path, output: Path, *agents: str, **fields: Any) -> EvalConfig:
    settings = {"episodes": 5, "videos": 0, "bootstrap_samples": 200, "reference": agents[0], "sim": sim(houses)}
    return EvalConfig(agents=list(agents), output=str(output), **(settings | fields))


def records(output: Path, agent: str) -> list[dict[str, Any]]:
    """An agent's stored episodes, without what may differ between equal runs."""
    _, episodes = load(output)
    return [{**episode.to_json(), "agent": "", "attempts": 0} for episode in episodes if episode.agent == agent]


@pytest.fixture(scope="module")
def undisturbed(houses: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random and oracle over five PointNav episodes with two workers, filmed once."""
    output = tmp_path_factory.mktemp("evaluation")
    evaluate(config(houses, output, "random", "oracle", videos=1))
    return output


def test_every_episode_is_run_once_and_recorded_whole(undisturbed: Path) -> None:
    body, episodes = load(undisturbed)
    for agent in ("random", "oracle"):
        own = [episode for episode in episodes if episode.agent == agent]
        assert [episode.index for episode in own] == WANTED
        for episode in own:
            assert len(episode.path) == episode.steps + 1 == len(episode.actions) + 1
            assert episode.scene.startswith("house_")
            moved = np.linalg.norm(np.diff(np.array(episode.path)[:, [0, 2]], axis=0), axis=1)
            assert moved.max() < 0.35  # a step of 0.25 m; sliding along furniture may add a little
            assert moved.sum() > 0.2
    oracle = body["agents"]["oracle"]
    successes = [episode.success for episode in episodes if episode.agent == "oracle"]
    assert oracle["metrics"]["success"]["mean"] == np.mean(successes)
    assert successes == [float(e.steps < MAX_STEPS) for e in episodes if e.agent == "oracle"]
    assert sum(successes) >= 2
    assert (
        oracle["margin"]["success"]["low"] <= oracle["margin"]["success"]["mean"] <= oracle["margin"]["success"]["high"]
    )
    assert body["versions"]["habitat_sim"]
    assert not list(undisturbed.glob("*.jsonl"))


def test_results_do_not_depend_on_the_number_of_workers(houses: Path, undisturbed: Path, tmp_path: Path) -> None:
    evaluate(config(houses, tmp_path, "random", "oracle", sim=sim(houses, num_envs=1)))
    for agent in ("random", "oracle"):
        assert records(tmp_path, agent) == records(undisturbed, agent)


def test_an_episode_cut_by_a_dead_worker_is_run_again_and_left_out_if_it_is_cut_again(
    houses: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(AGENTS, "killing", "misbehaving:KillingAgent")
    once, twice = [index for index in WANTED if index % 2 == 0][-2:]  # of two environments the first has the even ones
    monkeypatch.setattr(KillingAgent, "kills", {once: 1, twice: 2})
    agent = evaluate(config(houses, tmp_path, "killing"))["agents"]["killing"]
    assert KillingAgent.kills == {once: 0, twice: 0}
    assert agent["worker_restarts"] == 3
    assert agent["run_again"] == [once]
    assert list(agent["not_run"]) == [str(twice)]
    assert "SIGKILL" in agent["not_run"][str(twice)]
    assert agent["episodes"] == agent["metrics"]["success"]["count"] == 4
    before, after = records(undisturbed, "random"), records(tmp_path, "killing")
    assert [each for each in after if each["index"] != twice] == [each for each in before if each["index"] != twice]


def test_an_interrupted_evaluation_goes_on_where_it_was(
    houses: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(AGENTS, "interrupted", "misbehaving:InterruptedAgent")
    monkeypatch.setattr(InterruptedAgent, "begun", [])
    with pytest.raises(KeyboardInterrupt):
        evaluate(config(houses, tmp_path, "interrupted"))
    with pytest.raises(ValueError, match="no finished evaluation"):
        load(tmp_path)
    stored = [json.loads(line) for line in (tmp_path / "interrupted.journal.jsonl").read_text().splitlines()[1:]]
    done = {line["index"] for line in stored}
    assert done
    InterruptedAgent.begun.clear()
    monkeypatch.setattr(InterruptedAgent, "after", -1)
    # With one worker now: which worker ran an episode does not matter.
    evaluate(config(houses, tmp_path, "interrupted", sim=sim(houses, num_envs=1)))
    assert set(InterruptedAgent.begun) == set(WANTED) - done
    assert records(tmp_path, "interrupted") == records(undisturbed, "random")


def test_films_follow_the_recorded_path(undisturbed: Path) -> None:
    body, _ = load(undisturbed)
    assert [(film["agent"], film["index"]) for film in body["films"]] == [("random", WANTED[0]), ("oracle", WANTED[0])]
    floor = read_map(undisturbed, WANTED[0])
    assert 5.0 < floor.navigable.sum() * floor.metres_per_cell**2 < 500.0
    for film in body["films"]:
        assert film["faithful"]
        path = undisturbed / film["video"]
        assert path.stat().st_size < 300_000
        reader = imageio_ffmpeg.read_frames(str(path))
        about = next(reader)
        frames = [np.frombuffer(frame, np.uint8) for frame in reader]
        assert about["codec"] == "h264"
        assert "yuv420p" in about["pix_fmt"]
        assert len(frames) > 5
        assert frames[0].std() > 20
        assert (frames[0] != frames[-1]).any()


def test_a_goal_still_sought_when_the_trial_ends_counts_as_failed(houses: Path, tmp_path: Path) -> None:
    limits = ["habitat.environment.max_episode_steps=50", "habitat.task.measurements.goal_sequence.max_goal_steps=20"]
    task = sim(houses, "ext_objectnav", limits)
    body = evaluate(config(houses, tmp_path, "random", "oracle", sim=task, episodes=2))
    _, episodes = load(tmp_path)
    for episode in episodes:
        assert episode.steps == 50
        assert sum(goal.steps for goal in episode.goals) == 50
        assert all(goal.finished for goal in episode.goals[:-1])
        assert all(goal.category for goal in episode.goals)
    sought = [episode.goals[-1] for episode in episodes if not episode.goals[-1].finished]
    assert sought
    assert all(goal.success == goal.spl == 0.0 for goal in sought)
    for name, agent in body["agents"].items():
        goals = [goal for episode in episodes if episode.agent == name for goal in episode.goals]
        assert agent["metrics"]["success"]["count"] == len(goals)
        assert agent["metrics"]["success"]["mean"] == pytest.approx(np.mean([goal.success for goal in goals]))
        assert agent["by_goal_index"][0]["success"]["count"] == 2


@pytest.mark.parametrize("control", ["discrete", "velocity"])
def test_frontier_reaches_points_it_has_no_map_of(houses: Path, tmp_path: Path, control: str) -> None:
    task = sim(houses, control=control, overrides=[])
    agents = evaluate(config(houses, tmp_path, "frontier", "forward_only", sim=task, episodes=2))["agents"]
    assert agents["frontier"]["metrics"]["success"]["mean"] == 1.0
    assert agents["frontier"]["metrics"]["spl"]["mean"] > 0.5
    assert agents["forward_only"]["metrics"]["collisions"]["mean"] >= 1.0


def test_frontier_finds_objects_and_is_labelled_as_told_of_them(houses: Path, tmp_path: Path) -> None:
    body = evaluate(config(houses, tmp_path, "frontier", sim=sim(houses, "objectnav", []), episodes=4))
    assert body["agents"]["frontier"]["metrics"]["success"]["mean"] >= 0.75
    assert body["agents"]["frontier"]["privileges"] == "uses a ground-truth detector"


def test_detections_name_the_category_of_what_the_pixels_show(houses: Path) -> None:
    task = replace(prepare_sim("frontier", sim(houses, "objectnav")), num_envs=1, order="sequential")
    env = HabitatVectorEnv(task)
    observations, infos = env.reset()
    scene = Path(infos["episode"][0]["scene_id"])
    catalogue = json.loads((scene.parent.parent / "houses" / f"{scene.name.split('.')[0]}.json").read_text())
    category = {instance["semantic_id"]: instance["category"] for instance in catalogue["instances"]}
    names: dict[int, set[str]] = {}
    turn = env.action_names.index("turn_left")
    for _ in range(12):
        semantic, detected = observations["semantic"][0, ..., 0], observations["detections"][0, ..., 0]
        assert not detected[semantic == 0].any()
        for semantic_id in np.unique(semantic[semantic > 0]):
            (found,) = np.unique(detected[semantic == semantic_id])
            if found:
                names.setdefault(int(found), set()).add(category[int(semantic_id)])
        observations, _, _, _, _ = env.step(np.array([turn]))
    env.close()
    assert len(names) >= 3
    assert all(len(found) == 1 for found in names.values())


def test_habitat_labs_own_loop_evaluates_our_agents(houses: Path) -> None:
    metrics = challenge("oracle", sim(houses, overrides=[]), episodes=2)
    assert metrics["success"] == 1.0
    assert 0.8 < metrics["spl"] <= 1.0
    assert "collisions/count" in metrics
    metrics = challenge("oracle", sim(houses, "objectnav", overrides=[], control="velocity"), episodes=2)
    assert metrics["success"] == 1.0
    metrics = challenge(
        "random", sim(houses, "ext_objectnav", ["habitat.environment.max_episode_steps=40"]), episodes=2
    )
    assert metrics["goal_sequence/index"] >= 0.0


@given(asked=st.integers(1, 400), per_asked=st.floats(1.0, 30.0), num_envs=st.integers(1, 8))
def test_a_part_of_the_episodes_is_spread_over_the_file_and_the_environments(
    asked: int, per_asked: float, num_envs: int
) -> None:
    available = int(asked * per_asked)
    wanted = runner._wanted(available, asked)
    assert wanted == runner._wanted(available, asked)
    assert len(wanted) == asked
    for part, index in enumerate(wanted):
        assert part * available // asked <= index < (part + 1) * available // asked
    most = max(Counter(index % num_envs for index in wanted).values())
    assert most <= asked / num_envs + 5.0 * math.sqrt(asked / num_envs) + 1.0
