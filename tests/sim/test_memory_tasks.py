"""Memory tasks: each keeps to its specification, and scripted agents earn what their papers' figures say."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.memory_tasks import TASKS, make_memory_env, make_scripted, make_taught_env
from sim.memory_tasks.ballet import DANCES, START
from sim.memory_tasks.popgym import PopgymVectorEnv

VARIANTS = [
    ("t_maze", {"corridors": 2}),
    ("t_maze", {"corridors": 3, "length": 4, "mode": "uniform", "junction_flag": True, "rewards": "repository"}),
    ("key_to_door", {}),
    ("ballet", {"dancers": 4, "view": "symbols"}),
    ("ballet", {"dancers": 2, "view": "pixels"}),
    ("color_cubes", {"level": "extreme"}),
]
EVERY = pytest.mark.parametrize(("name", "options"), VARIANTS)


def test_every_task_is_tried():
    assert {name for name, _ in VARIANTS} == TASKS.keys()


def walk(env, steps, seed=0):
    """What random actions lead to."""
    generator = np.random.default_rng(seed)
    for _ in range(steps):
        yield env.step(generator.integers(0, len(env.action_names), env.num_envs))


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        assert one[0].keys() == other[0].keys()
        for name in one[0]:
            np.testing.assert_array_equal(one[0][name], other[0][name])
        for a, b in zip(one[1:4], other[1:4], strict=True):
            np.testing.assert_array_equal(a, b)


def returns(name, role, episodes, rows=250, **options):
    """Success and return of a scripted agent; every row runs as many episodes."""
    env = make_memory_env(name, rows, seed=5, **options)
    agent = make_scripted(name, role, env)
    observations, _ = env.reset()
    resets, actions = np.ones(rows, bool), np.zeros(rows, np.int64)
    measured = [[] for _ in range(rows)]
    while min(map(len, measured)) < episodes // rows:
        actions = agent.act(observations, resets, actions)
        observations, _, terminated, truncated, infos = env.step(actions)
        resets = terminated | truncated
        for row in np.flatnonzero(resets):
            measured[row].append(infos["final_info"][row]["metrics"])
    kept = [metrics for of_row in measured for metrics in of_row[: episodes // rows]]
    return np.array([m["success"] for m in kept]), np.array([m["return"] for m in kept])


@EVERY
def test_observations_lie_in_their_space_and_episodes_follow_each_other(name, options):
    env = make_memory_env(name, 3, **options)
    observations, _ = env.reset()
    assert env.observation_space.contains(observations)
    ended = 0
    for observations, _, terminated, truncated, infos in walk(env, 330):
        assert env.observation_space.contains(observations)
        assert not (terminated & truncated).any()
        for row in np.flatnonzero(terminated | truncated):
            ended += 1
            assert env.single_observation_space.contains(infos["final_obs"][row])
            assert infos["metrics"]["return"][row] == 0.0  # of the next episode
            assert env.steps[row] == 0
    assert ended >= 3


@EVERY
def test_a_seed_decides_everything_and_another_seed_something(name, options):
    first, again, other = (make_memory_env(name, 4, seed, **options) for seed in (7, 7, 8))
    for env in (first, again, other):
        env.reset()
    kept = list(walk(first, 120))
    assert_same(kept, walk(again, 120))
    with pytest.raises(AssertionError):
        assert_same(kept, walk(other, 120))


@EVERY
@settings(max_examples=5, deadline=None)
@given(before=st.integers(0, 150))
def test_a_state_goes_on_as_if_nothing_had_been(name, options, before):
    env = make_memory_env(name, 3, seed=2, **options)
    env.reset()
    list(walk(env, before))
    again = make_memory_env(name, 3, seed=99, state=env.state(), **options)
    shown, _ = again.reset()
    for key, values in env._observe().items():
        np.testing.assert_array_equal(shown[key], values)
    assert_same(walk(env, 80, seed=1), walk(again, 80, seed=1))


@EVERY
def test_rows_do_not_depend_on_how_many_there_are(name, options):
    few, many = make_memory_env(name, 2, **options), make_memory_env(name, 5, **options)
    few.reset()
    many.reset()
    generator = np.random.default_rng(0)
    for _ in range(60):
        actions = generator.integers(0, len(few.action_names), 5)
        one, other = few.step(actions[:2]), many.step(actions)
        for key in one[0]:
            np.testing.assert_array_equal(one[0][key], other[0][key][:2])


@pytest.mark.parametrize("name", TASKS)
def test_gymnasium_makes_it(name):
    env = gym.make(f"sim.memory_tasks:{TASKS[name].gym_id}")
    observation, _ = env.reset(seed=3)
    assert env.observation_space.contains(observation)
    for _ in range(400):
        *_, terminated, truncated, info = env.step(0)
        if terminated or truncated:
            break
    assert "success" in info["metrics"]
    vector = gym.make_vec(f"sim.memory_tasks:{TASKS[name].gym_id}", num_envs=3)
    assert vector.reset()[0].keys() == observation.keys()


@EVERY
def test_oracles_always_succeed(name, options):
    success, _ = returns(name, "oracle", 40, rows=20, **options)
    # In a trial of Key-to-Door one layout in many cannot be done: success there is a door opened at least once.
    assert success.mean() == 1.0


@pytest.mark.parametrize("corridors", [1, 3])
@pytest.mark.parametrize("flag", [True, False])
def test_without_memory_a_t_maze_is_a_guess(corridors, flag):
    options = {"corridors": corridors, "length": 5, "junction_flag": flag, "mode": "uniform" if flag else "fixed"}
    success, _ = returns("t_maze", "reactive", 4000, **options)
    deviation = np.sqrt(0.5**corridors * (1 - 0.5**corridors) / 4000)
    assert abs(success.mean() - 0.5**corridors) < 4 * deviation


def test_in_a_t_maze_of_unknown_lengths_turning_at_the_end_alone_is_rarely_right():
    success, _ = returns("t_maze", "reactive", 4000, length=10, mode="uniform")
    assert abs(success.mean() - 0.1 * 0.5) < 0.02
    rewriter, _ = returns("t_maze", "rewriter", 500, corridors=3, length=10, mode="uniform")
    assert rewriter.mean() == 1.0


@pytest.mark.parametrize(
    ("rewards", "expected"), [("paper", [-0.01, -1.01, -0.01, 0.99]), ("repository", [0, -0.01, 0, 1])]
)
def test_t_maze_pays_as_it_says(rewards, expected):
    env = make_memory_env("t_maze", 1, length=2, rewards=rewards)
    observations, _ = env.reset()
    cue = 1 if observations["state"][0, 1] else 2
    given_rewards = [env.step([action]) for action in (0, 1, 0, cue)]
    assert [step[1][0] for step in given_rewards] == pytest.approx(expected)
    assert given_rewards[-1][2][0]  # terminated
    assert given_rewards[-1][4]["final_info"][0]["metrics"]["success"] == 1.0


def test_t_maze_ends_at_its_horizon():
    env = make_memory_env("t_maze", 1, length=2, corridors=2)
    env.reset()
    ends = [env.step([1])[3][0] for _ in range(6 * 3 * 2)]
    assert ends == [False] * (len(ends) - 1) + [True]


@pytest.mark.parametrize(
    ("options", "expected", "trials", "tolerance"),
    [
        ({}, {"reactive": 2.0, "explorer": 28.9, "oracle": 36.0}, 1000, 0.06),
        ({"size": 9, "horizon": 50, "trial": 500}, {"reactive": 2.7, "explorer": 82.9, "oracle": 101.3}, 500, 0.12),
    ],
)
def test_key_to_door_pays_what_simulations_say(options, expected, trials, tolerance):
    """The returns are heavy-tailed: a mean over so many trials has a standard error of 2 to 4 %."""
    for role, mean in expected.items():
        _, found = returns("key_to_door", role, trials, **options)
        error = found.std() / np.sqrt(len(found))
        assert abs(found.mean() - mean) < max(4 * error, tolerance * mean), (role, found.mean())


def test_key_to_door_keeps_its_layout_for_a_trial():
    env = make_memory_env("key_to_door", 8)
    env.reset()
    layout = [array.copy() for array in (env.start, env.key, env.door)]
    for *_, truncated, _ in list(walk(env, 100))[:-1]:
        assert not truncated.any()
    after = [env.start, env.key, env.door]
    assert any((a != b).any() for a, b in zip(layout, after, strict=True))  # the hundredth step begins another trial


def test_ballet_dances_when_and_what_the_paper_says():
    env = make_memory_env("ballet", 2, dancers=2, view="symbols")
    env.reset()
    homes = env.homes.copy()
    away = np.zeros((64, 2), bool)
    for frame in range(1, env.choice_frame):
        env.step([0, 4])
        away[frame] = (env.positions() != homes).any(axis=(0, 2))
    for dancer in range(2):
        dancing = np.flatnonzero(away[:, dancer])
        assert 1 + dancer * 31 == dancing.min()
        assert dancing.max() == 15 + dancer * 31  # the sixteenth move leads home
    for moves_of_dance in DANCES.values():
        assert len(moves_of_dance.split()) == 16


def test_in_ballet_nobody_moves_before_the_dance_is_named():
    env = make_memory_env("ballet", 1, dancers=2, view="symbols")
    env.reset()
    for frame in range(1, env.choice_frame + 1):
        observations, *_ = env.step([0])
        assert env.place[0].tolist() == [START, START]
        assert (observations["instruction"][0, 0] > 0) == (frame == env.choice_frame)
    env.step([0])
    assert env.place[0].tolist() == [START - 1, START]


def test_ballet_draws_each_step_as_if_anew():
    env = make_memory_env("ballet", 3, dancers=4, view="pixels")
    env.reset()
    for observations, *_ in walk(env, 180):
        drawn = observations["rgb"].copy()
        env._redraw(np.arange(3))
        np.testing.assert_array_equal(drawn, env._observe()["rgb"])


def test_color_cubes_show_the_cubes_only_at_events():
    env = make_memory_env("color_cubes", 50, level="medium")
    observations, _ = env.reset()
    assert (observations["state"][:, 2] == 1.0).all()
    shares = []
    for observations, *_ in walk(env, 60):
        hidden = observations["state"][:, 2] == 0.0
        assert (observations["state"][hidden, 3 + env.colours :] == 0.0).all()
        shares.append(hidden.mean())
        places = env.cubes[:, :, 0] * env.size + env.cubes[:, :, 1]
        assert all(len(set(row)) == env.colours for row in places.tolist())
    assert np.mean(shares) > 0.5
    success, _ = returns("color_cubes", "mapper", 250, level="extreme")
    assert success.mean() == 1.0


def test_a_teacher_says_what_it_would_do_whoever_drives_and_goes_on_from_a_state():
    def made(state=None):
        return make_taught_env("key_to_door", "explorer", 4, 1, state)

    env, alone = made(), make_memory_env("key_to_door", 4, 1)
    agent = make_scripted("key_to_door", "explorer", alone, 1)
    observations, _ = env.reset()
    plain, _ = alone.reset()
    generator = np.random.default_rng(0)
    actions, resets = np.zeros(4, np.int64), np.ones(4, bool)
    for step in range(150):
        wanted = agent.act(plain, resets, actions)
        np.testing.assert_array_equal(observations["oracle_action"][:, 0], wanted)
        np.testing.assert_array_equal(observations["state"], plain["state"])
        actions = np.where(generator.random(4) < 0.5, wanted, generator.integers(0, 5, 4))
        observations, _, terminated, truncated, _ = env.step(actions)
        plain, *_ = alone.step(actions)
        resets = terminated | truncated
        if step == 70:
            env = made(env.state())
            observations, _ = env.reset()


@pytest.mark.parametrize("task", ["RepeatFirstEasy", "AutoencodeEasy", "BattleshipEasy", "PositionOnlyCartPoleEasy"])
def test_popgym_in_our_form(task):
    pytest.importorskip("popgym")
    env = PopgymVectorEnv(2, task, seed=4)
    observations, _ = env.reset()
    assert env.observation_space.contains(observations)
    assert any("final_info" in step[4] for step in walk(env, 300))
    again = PopgymVectorEnv(2, task, state=env.state())
    again.reset()
    assert_same(walk(env, 40, seed=1), walk(again, 40, seed=1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_memory_env("t_mase"), "did you mean t_maze"),
        (lambda: make_memory_env("t_maze", corridor=2), "no option 'corridor'; choose among corridors"),
        (lambda: make_memory_env("t_maze", mode="endless"), "mode must be fixed or uniform"),
        (lambda: make_memory_env("color_cubes", level="hard"), "level must be one of trivial, medium, extreme"),
        (lambda: make_memory_env("t_maze", 2, state=make_memory_env("t_maze", 3).state()), "of 3 environments"),
        (lambda: make_scripted("ballet", "explorer", make_memory_env("ballet")), "no scripted agent 'explorer'"),
        (lambda: PopgymVectorEnv(1, "RepeatFirst"), "did you mean RepeatFirst"),
        (lambda: PopgymVectorEnv(1, "PositionOnlyPendulumEasy"), "discrete"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
