"""Meta-World: what is seen, recorded and evaluated, in the real simulator."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

pytest.importorskip("metaworld")

from embodied import cli
from embodied.config import ConfigError
from embodied.data import DemonstrationSet
from embodied.evaluation.progress import EvaluationProgress
from embodied.metaworld.compare import compare
from embodied.metaworld.env import EVALUATION, TRAIN, MetaWorldConfig, MetaWorldEnv, MetaWorldVectorEnv, episode_seed
from embodied.metaworld.errors import MetaWorldError
from embodied.metaworld.evaluate import Contestant, EvaluateConfig, evaluate, interval
from embodied.metaworld.library import mujoco
from embodied.metaworld.players import ExpertPlayer, RandomPlayer, expert, expert_action
from embodied.metaworld.record import RecordConfig, record
from embodied.metaworld.tasks import INSTRUCTIONS
from embodied.training import load_config, train

BUTTON, DRAWER, HANDLE = "button-press-topdown-v3", "drawer-open-v3", "handle-press-v3"
SMALL = MetaWorldConfig(image_size=48)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def drawer() -> Iterator[MetaWorldEnv]:
    with contextlib.closing(MetaWorldEnv(DRAWER, SMALL)) as env:
        yield env


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes of one short task, lossless."""
    root, completed = record(recording(tmp_path_factory.mktemp("metaworld") / "data"), QUIET)
    assert completed
    return root


def recording(root: Path) -> RecordConfig:
    return RecordConfig(str(root), [HANDLE], episodes=2, images=True, env=SMALL)


def evaluation(output: Path, policy: str = "expert") -> EvaluateConfig:
    return EvaluateConfig(policy, str(output), [HANDLE], episodes=2, rows=2)


def expert_contestant() -> Contestant:
    return Contestant(ExpertPlayer, SMALL, {"policy": "expert"})


def stop_after(monkeypatch: pytest.MonkeyPatch, pieces: int) -> None:
    """Ctrl-C after so many episodes."""
    left = [pieces]
    advance = EvaluationProgress.advance

    def counted(self: EvaluationProgress) -> None:
        advance(self)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(EvaluationProgress, "advance", counted)


# -- what is seen ------------------------------------------------------------------------------------------------


def test_picture_shows_the_drawer_move(drawer: MetaWorldEnv) -> None:
    drawer.reset(1)
    before = drawer.draw()["corner2"]
    assert before.shape == (48, 48, 3)
    assert before.dtype == np.uint8
    assert before.std() > 20.0
    inner = drawer._env
    inner.data.joint("goal_slidey").qpos -= 0.15
    mujoco().mj_forward(inner.model, inner.data)
    changed = np.abs(drawer.draw()["corner2"].astype(int) - before).max(-1) > 20
    assert 10 < changed.sum() < 0.2 * changed.size  # the drawer, and nothing else


def test_picture_is_the_right_way_up(drawer: MetaWorldEnv) -> None:
    def finger() -> np.ndarray:  # the cyan one: its row and column
        picture = drawer.draw()["corner2"].astype(int)
        return np.argwhere((picture[..., 2] > 150) & (picture[..., 0] < picture[..., 2] - 80)).mean(0)

    drawer.reset(1)
    start = finger()
    for _ in range(8):
        drawer.step(np.array([0.0, 0.0, 1.0, 0.0]))
    assert finger()[0] < start[0] - 1.0  # up in the world is up in the picture
    drawer.reset(1)
    for _ in range(8):
        drawer.step(np.array([0.0, 1.0, 0.0, 0.0]))
    assert finger()[1] > start[1] + 1.0  # away from the robot, which stands on the left, is to the right


def test_goal_is_drawn_where_it_is_now(drawer: MetaWorldEnv) -> None:
    drawer.reset(2)
    first = drawer.draw()["corner2"]
    drawer.reset(3)
    assert not np.array_equal(drawer.draw()["corner2"], first)
    drawer.reset(2)
    assert np.array_equal(drawer.draw()["corner2"], first)


def test_same_seed_gives_the_same_bytes_whatever_was_before() -> None:
    def play(env: MetaWorldEnv, seed: int) -> list[bytes]:
        env.reset(seed)
        policy, seen = expert(env.task), [env.draw()["corner2"].tobytes()]
        for _ in range(12):
            env.step(expert_action(policy, env.observation))
            seen.append(env.state.tobytes())
        return [*seen, env.draw()["corner2"].tobytes()]

    with contextlib.closing(MetaWorldEnv(BUTTON, SMALL)) as env:
        first = play(env, 5)
        other = play(env, 6)
        assert play(env, 5) == first
    assert other[0] != first[0]
    with contextlib.closing(MetaWorldEnv(BUTTON, SMALL)) as env:
        play(env, 7)
        assert play(env, 5) == first


def test_state_tells_the_hand_and_not_the_object(drawer: MetaWorldEnv) -> None:
    drawer.reset(1)
    state, observed = drawer.state, drawer.observation
    drawer.reset(2)
    assert state.dtype == np.float32
    assert np.array_equal(drawer.state, state)  # the hand begins where it always does
    assert not np.array_equal(drawer.observation, observed)  # the drawer does not


def test_training_and_evaluation_share_no_seed() -> None:
    for seed in range(3):
        for other in range(3):
            train_seeds = {episode_seed(TRAIN, DRAWER, index, seed) for index in range(300)}
            assert len(train_seeds) == 300
            assert not train_seeds & {episode_seed(EVALUATION, DRAWER, index, other) for index in range(300)}


# -- acting ------------------------------------------------------------------------------------------------------


def test_success_is_meta_worlds_flag_and_an_episode_ends_at_the_published_horizon(drawer: MetaWorldEnv) -> None:
    drawer.reset(4)
    policy = expert(DRAWER)
    while not drawer.over:
        assert drawer._env.evaluate_state(drawer.observation, np.zeros(4))[1]["success"] == 0.0
        drawer.step(expert_action(policy, drawer.observation))
    assert drawer.success
    assert drawer._env.evaluate_state(drawer.observation, np.zeros(4))[1]["success"] == 1.0
    drawer.reset(4)
    assert not drawer.success
    while not drawer.over:
        drawer.step(np.zeros(4))
    assert (drawer.steps, drawer._env.curr_path_length, drawer.success) == (250, 500, False)
    assert drawer.time_s == 500 / 80
    with pytest.raises(MetaWorldError, match="over after 250 actions"):
        drawer.step(np.zeros(4))


@pytest.mark.parametrize("action", [[0.0, 0.0, float("nan"), 0.0], [0.0] * 7])
def test_action_that_is_none_is_refused(drawer: MetaWorldEnv, action: list[float]) -> None:
    drawer.reset(1)
    with pytest.raises(MetaWorldError, match="4 finite numbers"):
        drawer.step(np.array(action))


def test_every_task_has_an_instruction_and_an_expert() -> None:
    from embodied.metaworld.library import metaworld

    assert set(INSTRUCTIONS) == set(metaworld("env_dict").ALL_V3_ENVIRONMENTS)
    assert len(set(INSTRUCTIONS.values())) == len(INSTRUCTIONS) == 50
    assert all(expert(task) for task in INSTRUCTIONS)


def test_only_rows_that_are_asked_for_are_drawn() -> None:
    with contextlib.closing(MetaWorldVectorEnv(3, SMALL)) as env:
        env.reset(0, DRAWER, 1)
        env.reset(1, DRAWER, 1)
        pictures = env.draw(np.array([False, True, True]))["corner2"]
        assert [bool(picture.any()) for picture in pictures] == [False, True, False]  # row 2 has no episode
        assert np.array_equal(pictures[1], env.draw()["corner2"][0])
        assert env.running.tolist() == [True, True, False]
        assert env.instructions[:2] == ["pull the drawer open"] * 2
        env.step(np.zeros((3, 4)))
        assert env.times.tolist() == [1 / 40, 1 / 40, 0.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "drawer-opn-v3"], "no task 'drawer-opn-v3'; did you mean drawer-open-v3?"),
        (["--cameras", "corner9"], "no camera 'corner9'; it has corner2"),
        (["--repeat", "3"], "repeat must divide 80"),
    ],
)
def test_what_does_not_exist_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["metaworld", "record", str(tmp_path / "data"), *arguments])
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_without_egl_and_osmesa_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from embodied.metaworld import library

    monkeypatch.delenv("MUJOCO_GL")
    monkeypatch.setattr(library, "_LIBRARIES", {"egl": "libNoSuch.so.1"})
    with pytest.raises(MetaWorldError, match="apt-get install libegl1"):
        library.mujoco()


# -- demonstrations ----------------------------------------------------------------------------------------------


def test_recorded_episodes_are_what_was_seen_and_done(demonstrations: Path) -> None:
    data = DemonstrationSet.open(demonstrations)
    assert (data.fps, data.cameras, data.state_size, data.action_size) == (40.0, {"corner2": (48, 48)}, 4, 4)
    assert len(data.episodes) == 2
    with contextlib.closing(MetaWorldEnv(HANDLE, SMALL)) as env:
        for number, episode in data.episodes.items():
            assert episode.success
            assert episode.instructions == ("press the handle down",)
            assert episode.facts["seed"] == episode_seed(TRAIN, HANDLE, episode.facts["index"], 0)
            env.reset(episode.facts["seed"])
            assert np.array_equal(data.frames(number, [0])["corner2"][0], env.draw()["corner2"])
            assert np.array_equal(data.states(number)[0], env.state)
            assert np.array_equal(data.actions(number)[0], expert_action(expert(HANDLE), env.observation))
            moved = np.abs(np.diff(data.frames(number, range(episode.length))["corner2"].astype(int), axis=0))
            assert (moved.max((1, 2, 3)) > 0).all()
            assert np.abs(data.actions(number)).max() <= 1.0
    lengths = [episode.length for episode in data.episodes.values()]
    assert max(lengths) < 100  # an episode ends soon after its success


def test_recording_that_was_stopped_goes_on(
    demonstrations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = recording(tmp_path / "data")
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        assert record(config, QUIET) == (tmp_path / "data", False)
    assert len(DemonstrationSet.open(tmp_path / "data").episodes) == 1
    assert record(config, QUIET) == (tmp_path / "data", True)
    one_go, two_goes = DemonstrationSet.open(demonstrations), DemonstrationSet.open(tmp_path / "data")
    assert two_goes.episodes == one_go.episodes
    for number in one_go.episodes:
        assert np.array_equal(two_goes.actions(number), one_go.actions(number))
        assert np.array_equal(two_goes.states(number), one_go.states(number))
    config.noise = 0.1
    with pytest.raises(ConfigError, match="recorded otherwise"):
        record(config, QUIET)


# -- evaluation --------------------------------------------------------------------------------------------------


def test_expert_succeeds_and_the_interval_knows_how_few_episodes_there_were(tmp_path: Path) -> None:
    body = evaluate(evaluation(tmp_path), console=QUIET)
    assert body is not None
    task = body["tasks"][HANDLE]
    assert (task["success"], task["episodes"], task["outcomes"]) == (1.0, 2, [1, 1])
    assert (round(task["low"], 3), task["high"]) == (0.342, 1.0)  # Wilson: 2 / (2 + 1.96^2)
    assert json.loads((tmp_path / "results.json").read_text()) == body
    assert not (tmp_path / "journal.jsonl").exists()
    assert evaluate(evaluation(tmp_path), console=QUIET) == body  # nothing is run again
    with pytest.raises(MetaWorldError, match="evaluation of something else"):
        evaluate(evaluation(tmp_path, "random"), console=QUIET)


def test_chance_does_not_succeed_where_precision_is_needed(tmp_path: Path) -> None:
    config = EvaluateConfig("random", str(tmp_path), [DRAWER], episodes=2, rows=2)
    body = evaluate(config, console=QUIET)
    assert body is not None
    assert body["all"]["successes"] == 0


def test_evaluation_that_was_stopped_goes_on_with_the_same_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EvaluateConfig("expert", str(tmp_path / "two"), [HANDLE, BUTTON], episodes=2, rows=1)
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        assert evaluate(config, expert_contestant(), QUIET) is None
    assert len((tmp_path / "two" / "journal.jsonl").read_text().splitlines()) == 4
    body = evaluate(config, expert_contestant(), QUIET)
    config.output, config.rows = str(tmp_path / "one"), 3
    one_go = evaluate(config, expert_contestant(), QUIET)
    assert body is not None
    assert one_go is not None
    assert (body["resumed"], one_go["resumed"]) == (3, 0)
    assert body["tasks"] == one_go["tasks"]


def test_player_is_given_pictures_where_it_decides_and_a_seed_for_each_episode(tmp_path: Path) -> None:
    class Chunks(RandomPlayer):
        """Looks at every eighth picture."""

        def __init__(self, rows: int) -> None:
            super().__init__(rows)
            self.calls, self.seeds = np.zeros(rows, int), set[int]()

        def reset(self, rows: np.ndarray, seeds: np.ndarray | None = None) -> None:
            assert seeds is not None
            self.calls[rows] = 0
            self.seeds |= set(seeds[rows].tolist())

        def decides(self) -> np.ndarray:
            return self.calls % 8 == 0

        def act(self, images, state, instructions, times) -> np.ndarray:
            seen = images["corner2"].reshape(len(self.calls), -1).any(1)
            assert np.array_equal(seen, self.decides())
            assert np.allclose(times, self.calls / 40)
            assert instructions == [INSTRUCTIONS[DRAWER]]
            self.calls += 1
            return np.zeros((len(self.calls), 4), np.float32)

    made = []

    def make(env: MetaWorldVectorEnv) -> Chunks:
        made.append(Chunks(env.rows))
        return made[0]

    config = EvaluateConfig("mine", str(tmp_path), [DRAWER], episodes=2, rows=1)
    body = evaluate(config, Contestant(make, SMALL, {"policy": "mine"}), QUIET)
    assert body is not None
    assert body["tasks"][DRAWER]["outcomes"] == [0, 0]
    assert made[0].seeds == {episode_seed(EVALUATION, DRAWER, index) for index in range(2)}


def test_comparison_is_paired(tmp_path: Path) -> None:
    def stored(name: str, outcomes: list[int], seed: int = 0) -> Path:
        (tmp_path / name).mkdir()
        body = {
            "settings": {"tasks": [DRAWER], "episodes": 40, "seed": seed},
            "tasks": {DRAWER: {"outcomes": outcomes}},
        }
        (tmp_path / name / "results.json").write_text(json.dumps(body))
        return tmp_path / name

    half = stored("half", [1, 0] * 20)
    better = stored("better", [1, 1] * 4 + [1, 0] * 16)  # what half can, and four more
    same = compare(half, half)["all"]
    assert (same["mean"], same["low"], same["high"]) == (0.0, 0.0, 0.0)
    difference = compare(better, half)["tasks"][DRAWER]
    assert difference["mean"] == pytest.approx(0.1)
    assert 0.0 < difference["low"] < 0.1 < difference["high"] < 0.23  # unpaired: -0.12 to 0.32
    with pytest.raises(MetaWorldError, match="not of the same episodes: they differ in seed"):
        compare(better, stored("other", [1] * 40, seed=1))
    with pytest.raises(MetaWorldError, match="no finished evaluation"):
        compare(better, tmp_path / "nothing")


def test_interval_of_none_of_fifty() -> None:
    none = interval(0, 50)
    assert none["low"] == 0.0
    assert none["high"] == pytest.approx(1.96**2 / (50 + 1.96**2), abs=1e-4)


def test_policy_is_trained_by_the_shipped_config_and_evaluated(demonstrations: Path, tmp_path: Path) -> None:
    overrides = [f"data.root={demonstrations}", f"output={tmp_path / 'run'}", "updates=1", "segments.rows=2"]
    overrides += ["segments.steps=2", "torch_threads=1", "device=cpu", "held_out=0", "policy.expert.layers=1"]
    run = train(load_config(Path(__file__).parents[2] / "configs" / "metaworld.yaml", overrides), QUIET)
    body = evaluate(evaluation(tmp_path / "eval", str(run.run)), console=QUIET)
    assert body is not None
    assert body["all"]["episodes"] == 2
    assert body["settings"]["env"]["image_size"] == 48
    assert body["settings"]["env"]["repeat"] == 2
    assert len(body["settings"]["sha256"]) == 64


def test_policy_of_another_robot_is_refused() -> None:
    from embodied.metaworld.evaluate import _environment_of

    contract = {"cameras": {"corner2": [96, 96]}, "state_size": 8, "fps": 40.0, "action": {"names": ["a"] * 7}}
    with pytest.raises(MetaWorldError, match="another robot: it takes 8 numbers of state and gives 7 of action"):
        _environment_of(contract, EvaluateConfig("runs/other"))
