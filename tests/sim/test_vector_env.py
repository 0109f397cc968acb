"""The vector environment over real habitat-sim: what it returns, and that it returns the same every time."""

import json

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from sim.config import SimConfig
from sim.env import HabitatEnv
from sim.vector_env import HabitatVectorEnv

pytestmark = pytest.mark.sim


def config(houses, task="pointnav", **fields):
    fields = {"num_envs": 2, "order": "sequential", "seed": 5, **fields}
    return SimConfig(task=task, episodes=str(houses / "episodes" / f"{task}_train.json.gz"), **fields)


def rollout(env, steps, seed=0):
    """Random actions; every array that came back, flat, and the index of the episode each belongs to."""
    generator = np.random.default_rng(seed)
    observations, infos = env.reset()
    seen = [(observations, infos)]
    for _ in range(steps):
        actions = generator.choice([1, 1, 1, 2, 3], size=env.num_envs)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        seen.append((observations, infos, rewards, terminated, truncated))
    return seen


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a[0].keys() == b[0].keys()
        for name in a[0]:
            assert a[0][name].tobytes() == b[0][name].tobytes(), name
        for name in a[1]["metrics"]:
            assert a[1]["metrics"][name].tobytes() == b[1]["metrics"][name].tobytes(), name
        for x, y in zip(a[2:], b[2:], strict=True):
            assert x.tobytes() == y.tobytes()


def test_observations_lie_in_their_space_and_show_a_house(houses):
    env = HabitatVectorEnv(config(houses))
    observations, infos = env.reset()
    assert env.observation_space.contains(observations)
    assert observations["rgb"].shape == (2, 64, 64, 3)
    assert observations["depth"].shape == (2, 64, 64, 1)
    assert len(np.unique(observations["rgb"])) > 30
    assert 0.02 < observations["depth"].mean() < 0.98
    assert np.isfinite(infos["metrics"]["distance_to_goal"]).all()
    assert env.action_names == ("stop", "move_forward", "turn_left", "turn_right")
    env.close()


def test_the_same_seed_and_actions_give_the_same_bytes(houses):
    runs = []
    for _ in range(2):
        env = HabitatVectorEnv(config(houses, order="shuffled", overrides=["habitat.environment.max_episode_steps=20"]))
        runs.append(rollout(env, 50))
        env.close()
    assert_same(*runs)


def test_pipelined_steps_are_those_of_a_vector_step(houses):
    """Each environment by itself sees the same bytes, whoever answers first."""
    task = config(houses, order="shuffled", overrides=["habitat.environment.max_episode_steps=20"], num_envs=3)
    actions = np.random.default_rng(1).choice([1, 1, 2, 3], size=(50, 3))
    env = HabitatVectorEnv(task)
    env.reset()
    stepped = [env.step(each) for each in actions]
    env.close()

    env = HabitatVectorEnv(task)
    env.reset()
    env.send(actions[0])
    done = np.zeros(3, int)
    while (done < 50).any():
        rows, observations, rewards, terminated, truncated, infos = env.receive()
        for k, row in enumerate(rows):
            expected = stepped[done[row]]
            for name, values in observations.items():
                assert values[k].tobytes() == expected[0][name][row].tobytes(), name
            assert (rewards[k], terminated[k], truncated[k]) == tuple(each[row] for each in expected[1:4])
            assert infos["episode"][k] == expected[4]["episode"][row]
            assert all(values[k] == expected[4]["metrics"][name][row] for name, values in infos["metrics"].items())
            if truncated[k]:
                final, before = infos["final_info"][k], expected[4]["final_info"][row]
                assert final["metrics"] == before["metrics"]
        done[rows] += 1
        again = [row for row in rows if done[row] < 50]
        if again:
            env.send([actions[done[row], row] for row in again], again)
    with pytest.raises(RuntimeError, match="1 steps were asked for, and 0 are under way"):
        env.receive()
    env.close()


def test_a_row_is_not_sent_two_actions_at_once(houses):
    env = HabitatVectorEnv(config(houses))
    env.reset()
    env.send([1], [1])
    with pytest.raises(RuntimeError, match="has not been received"):
        env.send([1, 1])
    with pytest.raises(ValueError, match="actions must have shape"):
        env.send([1, 1], [0])
    rows, observations, *_ = env.receive()
    assert rows.tolist() == [1]
    assert observations["rgb"].shape == (1, 64, 64, 3)
    env.close()


def test_another_seed_gives_other_episodes(houses):
    orders = []
    for seed in (0, 1):
        env = HabitatVectorEnv(config(houses, order="shuffled", seed=seed))
        seen = []
        for _ in range(4):
            seen.append(env.reset()[1]["episode"][0]["index"])
        orders.append(seen)
        env.close()
    assert orders[0] != orders[1]


def test_an_episode_does_not_depend_on_how_many_workers_there_are(houses):
    """Each episode is walked with its own fixed actions; what is seen must be the same with 1, 2 and 3 workers."""
    seen = []
    for num_envs in (1, 2, 3):
        overrides = ["habitat.environment.max_episode_steps=12"]
        env = HabitatVectorEnv(config(houses, "ext_objectnav", num_envs=num_envs, overrides=overrides))
        observations, infos = env.reset()
        tables = {}
        t = np.zeros(num_envs, int)
        while len(tables) < 6 or any(len(table) < 13 for table in list(tables.values())[:6]):
            indices = [episode["index"] for episode in infos["episode"]]
            for i, index in enumerate(indices):
                row = b"".join(observations[name][i].tobytes() for name in sorted(observations))
                tables.setdefault(index, []).append(row)
            plan = [np.random.default_rng(index).choice([1, 1, 2, 3], size=12) for index in indices]
            observations, _, terminated, truncated, infos = env.step([plan[i][t[i]] for i in range(num_envs)])
            t = np.where(terminated | truncated, 0, t + 1)
        seen.append({index: tables[index][:12] for index in range(4)})
        env.close()
    assert seen[0] == seen[1] == seen[2]


def test_a_saved_position_goes_on_where_it_was(houses):
    settings = config(houses, "ext_objectnav", order="shuffled", overrides=["habitat.environment.max_episode_steps=30"])
    env = HabitatVectorEnv(settings)
    rollout(env, 40)
    state = json.loads(json.dumps(env.state()))
    generator = np.random.default_rng(9)
    plan = generator.choice([0, 1, 1, 2, 3], size=(40, 2))
    expected = [env.step(actions) for actions in plan]
    env.close()
    resumed = HabitatVectorEnv(settings, state)
    resumed.reset()
    actual = [resumed.step(actions) for actions in plan]
    resumed.close()
    for a, b in zip(expected, actual, strict=True):
        for name in a[0]:
            assert a[0][name].tobytes() == b[0][name].tobytes(), name
        for x, y in zip(a[1:4], b[1:4], strict=True):
            assert x.tobytes() == y.tobytes()


def test_an_episodes_end_shows_its_last_observation_and_the_next_ones_first(houses):
    env = HabitatVectorEnv(config(houses, overrides=["habitat.environment.max_episode_steps=3"]))
    _, infos = env.reset()
    started = [episode["index"] for episode in infos["episode"]]
    for _ in range(2):
        observations, _, terminated, truncated, infos = env.step([2, 2])
        assert not (terminated | truncated).any()
        assert "final_obs" not in infos
    observations, _, terminated, truncated, infos = env.step([2, 2])
    assert truncated.all()
    assert not terminated.any()
    assert infos["_final_obs"].all()
    assert [final["episode"]["index"] for final in infos["final_info"]] == started
    assert [episode["index"] for episode in infos["episode"]] == [index + 2 for index in started]
    for i in range(2):
        assert infos["final_obs"][i]["compass"][0] == pytest.approx(np.pi / 2, abs=0.01)
        assert observations["compass"][i, 0] == pytest.approx(0.0, abs=0.01)
        assert not infos["final_info"][i]["worker_restarted"]
    env.close()


def test_stopping_ends_the_episode_and_scores_it(houses):
    env = HabitatVectorEnv(config(houses))
    env.reset()
    _, _, terminated, truncated, infos = env.step([0, 1])
    assert terminated.tolist() == [True, False]
    assert not truncated.any()
    assert infos["_final_info"].tolist() == [True, False]
    assert infos["final_info"][0]["metrics"]["success"] == 0.0
    env.close()


def test_reset_starts_the_next_episode_only_where_asked(houses):
    env = HabitatVectorEnv(config(houses))
    _, first = env.reset()
    _, second = env.reset(options={"reset_mask": [True, False]})
    assert second["episode"][0]["index"] == first["episode"][0]["index"] + 2
    assert second["episode"][1]["index"] == first["episode"][1]["index"]
    env.close()


def test_colour_drawn_with_depth_equals_colour_drawn_alone(houses, monkeypatch):
    frames = []
    for separate in (False, True):
        if separate:
            monkeypatch.setenv("ENGRAM_SIM_TWO_DRAWS", "1")
        env = HabitatVectorEnv(config(houses))
        frames.append(rollout(env, 25))
        env.close()
    assert_same(*frames)


@pytest.mark.parametrize(("task", "episodes"), [("pointnav", 10), ("objectnav", 10)])
@pytest.mark.parametrize("control", ["discrete", "velocity"])
def test_the_oracle_reaches_the_goal_along_a_short_path(houses, task, episodes, control):
    env = HabitatVectorEnv(config(houses, task, control=control))
    observations, _ = env.reset()
    results = {}
    while len(results) < episodes:
        actions = observations["oracle_action"]
        observations, _, _, _, infos = env.step(actions[:, 0] if control == "discrete" else actions)
        for final in infos.get("final_info", ()):
            if final is not None and final["episode"]["index"] < episodes:
                results[final["episode"]["index"]] = final["metrics"]
    env.close()
    assert all(metrics["success"] == 1.0 for metrics in results.values()), results
    assert np.mean([metrics["spl"] for metrics in results.values()]) > 0.85


def test_an_ext_objectnav_trial_passes_through_all_its_goals(houses):
    env = HabitatVectorEnv(config(houses, "ext_objectnav", num_envs=1))
    observations, infos = env.reset()
    sequence, categories = [infos["metrics"]["goal_sequence.index"][0]], [observations["objectgoal"][0, 0]]
    while True:
        observations, _, terminated, truncated, infos = env.step(observations["oracle_action"][:, 0])
        if terminated[0] or truncated[0]:
            break
        if infos["metrics"]["goal_sequence.index"][0] != sequence[-1]:
            sequence.append(infos["metrics"]["goal_sequence.index"][0])
            categories.append(observations["objectgoal"][0, 0])
    goals = infos["final_info"][0]["measures"]["goal_sequence.goals"]
    env.close()
    assert sequence == list(range(len(goals)))
    assert len(set(categories)) > 1
    assert np.mean([goal["success"] for goal in goals]) > 0.9
    assert all(0.0 <= goal["spl"] <= 1.0 for goal in goals)
    assert sum(goal["steps"] for goal in goals) <= 4096


def test_habitat_labs_own_task_config_runs(houses):
    settings = config(houses, num_envs=1)
    settings.task = "benchmark/nav/pointnav/pointnav_habitat_test.yaml"
    env = HabitatVectorEnv(settings)
    observations, infos = env.reset()
    assert observations["rgb"].shape == (1, 256, 256, 3)
    assert set(env.action_names) == {"stop", "move_forward", "turn_left", "turn_right"}
    assert "distance_to_goal" in infos["metrics"]
    env.close()


def test_the_plain_environment_passes_gymnasiums_checker(houses):
    settings = config(houses, num_envs=1)
    env = HabitatEnv(settings)
    check_env(env, skip_render_check=True, skip_close_check=True)
    env.close()


def test_gymnasium_makes_it_by_name(houses):
    episodes = str(houses / "episodes" / "objectnav_train.json.gz")
    env = gymnasium.make_vec("sim.env:Engram/ObjectNav-v1", num_envs=2, episodes=episodes)
    observations, _ = env.reset()
    assert observations["objectgoal"].shape == (2, 1)
    env.close()


def test_the_plain_environment_goes_on_with_the_next_episode(houses):
    env = HabitatEnv(config(houses, num_envs=1, overrides=["habitat.environment.max_episode_steps=2"]))
    _, info = env.reset()
    first = info["episode"]["index"]
    env.step(2)
    _, _, _, truncated, info = env.step(2)
    assert truncated
    assert info["episode"]["index"] == first
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(2)
    _, info = env.reset()
    assert info["episode"]["index"] == first + 1
    env.close()
