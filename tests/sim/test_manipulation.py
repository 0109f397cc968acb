"""The tabletop tasks in real habitat-sim: solved by their expert, the same every time, and not to be solved from one
frame.
"""

import copy
import gzip
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sim.config import MANIPULATION_TASKS, SimConfig
from sim.errors import TaskError
from sim.manipulation import TASKS, draw_episode, write_assets, write_episodes
from sim.manipulation.__main__ import main
from sim.vector_env import HabitatVectorEnv

pytestmark = pytest.mark.sim

PUT_BACK = "episodes/put_back_train.json.gz"
PLAIN = 5
"""Episodes as drawn, at the start of every file; then come copies of one that differ in what the cue tells."""
CUES = {
    "press_in_order": ("order", ([0, 1, 2], [2, 1, 0], [1, 2, 0])),
    "put_back": ("home", (0, 3, 1)),
    "pick_shown_colour": ("target", (0, 1, 3)),
    "press_n_times": ("count", (2, 1, 3)),
}
SHOWN_FIRST = ("press_in_order", "pick_shown_colour", "press_n_times")
"""Tasks whose cue is over before the gripper may begin."""


def episodes_of(task):
    name, values = CUES[task]
    episodes = [draw_episode(task, "train", 3, index) for index in range(PLAIN)]
    for index, value in enumerate(values):
        episode = draw_episode(task, "train", 4, 0)
        if task == "press_in_order":
            del episode["info"]["buttons"][3:]
        if task == "put_back":
            episode["info"]["signal_delay"] = 40
        episode["info"][name] = value
        episode["episode_id"] = str(PLAIN + index)
        episodes.append(episode)
    return episodes


def write(root, name, episodes):
    with gzip.open(root / "episodes" / f"{name}.json.gz", "wt") as file:
        json.dump({"episodes": episodes}, file)


def settings(root, task, **fields):
    fields = {"num_envs": 1, "order": "sequential", "seed": 5, **fields}
    path = root / "episodes" / f"{task.removesuffix('_visible')}_train.json.gz"
    return SimConfig(task=task, episodes=str(path), **fields)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A data set with a few episodes of each task. Read only: copy it before you damage it."""
    folder = tmp_path_factory.mktemp("manipulation")
    write_assets(folder)
    (folder / "episodes").mkdir()
    for task in TASKS:
        write(folder, f"{task}_train", episodes_of(task))
    return folder


@pytest.fixture(scope="module")
def running(root):
    """task -> its environment, started once and shared: what ran before must not matter. A twin starts beside it."""
    envs = {}

    def get(task):
        if task not in envs:
            pair = [task.removesuffix("_visible"), task.removesuffix("_visible") + "_visible"]
            with ThreadPoolExecutor(2) as pool:
                envs.update(zip(pair, pool.map(lambda name: HabitatVectorEnv(settings(root, name)), pair), strict=True))
        return envs[task]

    yield get
    for env in envs.values():
        env.close()


def begin(env, index):
    """Starts episode `index` of the file."""
    return env.reset(options={"counts": [index]})


def drive(env, index, choose):
    """Runs an episode; `choose(observations, step)` gives the action. Observations, and how it ended."""
    observations, infos = begin(env, index)
    seen = [observations]
    while "final_info" not in infos:
        observations, _, terminated, _, infos = env.step(choose(observations, len(seen) - 1))
        seen.append(observations)
    seen[-1] = {name: value[None] for name, value in infos["final_obs"][0].items()}
    return seen, infos["final_info"][0], bool(terminated[0])


def follow(observations, step):
    return observations["expert_action"]


def towards(observations, goal, command):
    away = (np.asarray(goal) - observations["state"][0, :3]) / 0.03
    return np.array([[*np.clip(away, -1.0, 1.0), 0.0, 0.0, 0.0, command]], dtype=np.float32)


def is_green(frame):
    """Whether the lamp in the corner shines."""
    red, green, blue = (frame[50:64, 0:12, channel].astype(int) for channel in range(3))
    return int(((green > 230) & (red < 200) & (blue < 200)).sum()) > 3


# -- what a learner meets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [task + twin for task in TASKS for twin in ("", "_visible")])
def test_the_expert_solves_it(running, task):
    env = running(task)
    observations, infos = begin(env, 0)
    assert env.observation_space.contains(observations)
    assert {name: (value.shape[1:], value.dtype.name) for name, value in observations.items()} == {
        "rgb": ((64, 64, 3), "uint8"),
        "state": ((8,), "float32"),
        "expert_action": ((7,), "float32"),
    }
    assert env.single_action_space.shape == (7,)
    assert len(infos["episode"][0]["instruction"].split()) > 5
    for index in range(PLAIN):
        _, final, terminated = drive(env, index, follow)
        assert terminated
        assert final["episode"]["index"] == index
        assert final["metrics"]["success"] == 1.0, final
        assert final["metrics"]["stage_progress"] == 1.0
        assert final["metrics"]["failure.failed"] == 0.0
        assert 20 < final["metrics"]["num_steps"] < 120


def test_the_same_actions_give_the_same_bytes_whatever_ran_before(running, root):
    fresh = HabitatVectorEnv(settings(root, "put_back"))
    used = running("put_back")
    drive(used, 3, follow)
    runs = []
    for env in (fresh, used, used):
        generator = np.random.default_rng(2)

        def noisy(observations, step, generator=generator):
            return np.clip(observations["expert_action"] + generator.normal(0.0, 0.15, size=7), -1.0, 1.0)

        rows = []
        for index in (1, 2):
            seen, final, _ = drive(env, index, noisy)
            rows += [b"".join(observations[name].tobytes() for name in sorted(observations)) for observations in seen]
            rows.append(json.dumps(final["metrics"]))
        runs.append(rows)
    fresh.close()
    assert len(runs[0]) > 60
    assert runs[0] == runs[1] == runs[2]


def test_a_saved_position_goes_on_where_it_was_also_when_the_folder_has_moved(running, root, tmp_path):
    shutil.copytree(root, tmp_path / "moved")
    env = running("put_back")
    observations, _ = begin(env, 1)
    for _ in range(40):  # the cube is on its way
        observations, *_ = env.step(observations["expert_action"])
    resumed = HabitatVectorEnv(settings(tmp_path / "moved", "put_back"), json.loads(json.dumps(env.state())))
    again, infos = resumed.reset()
    assert str(tmp_path / "moved") in infos["episode"][0]["scene_id"]
    for _ in range(10):
        for name in observations:
            assert observations[name].tobytes() == again[name].tobytes(), name
        action = observations["expert_action"]
        observations, again = env.step(action)[0], resumed.step(action)[0]
    resumed.close()


# -- memory ----------------------------------------------------------------------------------------------------------


def at_the_signal(env):
    """For each value of the cue: the frame in which the lamp turned green, the gripper having waited, and the expert's
    action there.
    """
    frames, actions = [], []
    for index in range(PLAIN, PLAIN + 3):
        observations, _ = begin(env, index)
        while not is_green(observations["rgb"][0]):
            assert np.abs(observations["expert_action"][0, :6]).max() == 0.0, "the expert waits while the cue plays"
            observations, *_ = env.step(observations["expert_action"])
        frames.append(observations["rgb"][0])
        actions.append(observations["expert_action"][0])
    return frames, actions


@pytest.mark.parametrize("task", SHOWN_FIRST)
def test_the_frame_after_the_cue_does_not_tell_what_it_was(running, task):
    frames, actions = at_the_signal(running(task))
    assert frames[0].tobytes() == frames[1].tobytes() == frames[2].tobytes()
    for action in actions:
        assert np.abs(action[:3]).max() > 0.5
    if task != "press_n_times":  # where the first press is due for every count
        assert len({action.tobytes() for action in actions}) == 3


@pytest.mark.parametrize("task", SHOWN_FIRST)
def test_the_twins_frame_tells_it(running, task):
    frames, _ = at_the_signal(running(task + "_visible"))
    assert len({frame.tobytes() for frame in frames}) == 3


def in_the_tray(env):
    """For each home: how many pixels differ from the first's once the cube lies in the tray and the expert waits."""
    frames = []
    for index in range(PLAIN, PLAIN + 3):
        observations, infos = begin(env, index)
        while infos["metrics"]["stage_progress"][0] < 0.5:
            observations, _, _, _, infos = env.step(observations["expert_action"])
        for _ in range(15):
            observations, *_ = env.step(observations["expert_action"])
        assert np.abs(observations["expert_action"][0, :6]).max() < 0.05
        frames.append(observations["rgb"][0].astype(int))
    return [int((np.abs(frame - frames[0]).max(axis=-1) > 8).sum()) for frame in frames[1:]]


def test_the_cube_in_the_tray_does_not_tell_where_it_was(running):
    """Within a pixel or two at edges: the cube is put down a fraction of a millimetre elsewhere."""
    assert max(in_the_tray(running("put_back"))) <= 4


def test_the_twins_home_pad_is_marked(running):
    assert min(in_the_tray(running("put_back_visible"))) > 30


def test_the_twin_shows_how_many_presses_are_left(running):
    """A mark goes out with every press."""
    env = running("press_n_times_visible")
    seen, _, _ = drive(env, PLAIN + 2, follow)
    display = [observations["rgb"][0, 54:] for observations in seen]
    amber = [int(((rows > [200, 120, 0]) & (rows < [256, 200, 80])).all(axis=-1).sum()) for rows in display]
    steps = [count for count, before in zip(amber[45:], amber[44:], strict=False) if count != before]
    assert len(steps) == 3
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] == 0


# -- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("press_in_order", "a wrong button was pressed"),
        ("pick_shown_colour", "a wrong cube was lifted"),
        ("press_n_times", "the gripper went home with a press too few"),
    ],
)
def test_doing_what_another_cue_asked_fails(running, task, reason):
    env = running(task)
    right = PLAIN + 1 if task != "press_n_times" else PLAIN + 2
    other, final, _ = drive(env, PLAIN, follow)
    assert final["metrics"]["success"] == 1.0
    actions = [observations["expert_action"] for observations in other]
    _, final, terminated = drive(env, right, lambda observations, step: actions[step])
    assert terminated
    assert final["metrics"]["success"] == 0.0
    assert final["metrics"]["failure.failed"] == 1.0
    assert final["metrics"]["stage_progress"] < 1.0
    assert final["measures"]["failure.reasons"] == [reason]


def test_a_press_too_many_fails(running):
    env = running("press_n_times")
    actions = [observations["expert_action"] for observations in drive(env, PLAIN, follow)[0]]
    _, final, terminated = drive(env, PLAIN + 1, lambda observations, step: actions[step])
    assert terminated
    assert final["measures"]["failure.reasons"] == ["the button was pressed too often"]


def test_the_wrong_pad_fails(running):
    env = running("put_back")
    pad = episodes_of("put_back")[0]["info"]["pads"][(episodes_of("put_back")[0]["info"]["home"] + 1) % 4]
    observations, infos = begin(env, 0)
    while infos["metrics"]["stage_progress"][0] < 0.75:  # until it is held again, after the signal
        observations, _, _, _, infos = env.step(observations["expert_action"])
    for height_m, command in ((0.12, 1.0), (0.016, 1.0), (0.016, -1.0)):
        for _ in range(12):
            if "final_info" not in infos:
                goal = [*(pad if observations["state"][0, 2] > 0.1 or height_m < 0.1 else observations["state"][0, :2])]
                observations, _, terminated, _, infos = env.step(towards(observations, [*goal, height_m], command))
    assert terminated[0]
    assert infos["final_info"][0]["measures"]["failure.reasons"] == ["the cube was put on a wrong pad"]
    assert infos["final_info"][0]["metrics"]["success"] == 0.0


def test_an_episode_ends_after_its_steps(running):
    _, final, terminated = drive(running("press_in_order"), 0, lambda observations, step: np.zeros((1, 7), np.float32))
    assert not terminated
    assert final["metrics"]["num_steps"] == 120


def test_the_gripper_moves_as_it_is_told(running):
    env = running("put_back")
    before = begin(env, 0)[0]["state"][0]
    after = env.step(np.array([[1.0, -0.5, 0.25, 1.0, 1.0, 0.0, 0.0]], np.float32))[0]["state"][0]
    np.testing.assert_allclose(after[:3] - before[:3], [0.03, -0.015, 0.0075], atol=1e-6)
    np.testing.assert_allclose(after[3:7], [0.0, 0.0, 0.0, 1.0], atol=1e-6)
    turned = env.step(np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]], np.float32))[0]["state"][0]
    np.testing.assert_allclose(turned[3:7], [0.0, 0.0, np.sin(0.075), np.cos(0.075)], atol=1e-6)
    assert turned[7] == pytest.approx(0.5)
    for _ in range(40):
        observations, *_ = env.step(np.array([[1.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0]], np.float32))
    np.testing.assert_allclose(observations["state"][0, :3], [0.27, 0.33, 0.012], atol=1e-6)


def test_fingers_push_cubes_aside(running):
    """A sweep across all four, close above the table."""
    env = running("pick_shown_colour")
    observations, _ = begin(env, 0)
    first = observations["rgb"][0].astype(int)
    middle_x = float(np.mean([cube["position"][0] for cube in episodes_of("pick_shown_colour")[0]["info"]["cubes"]]))
    for goal in ([middle_x, 0.33, 0.2], [middle_x, 0.33, 0.02], [middle_x, -0.33, 0.02], [middle_x, -0.33, 0.2]):
        for _ in range(18):
            observations, _, _, _, infos = env.step(towards(observations, goal, 1.0))
    moved = np.abs(observations["rgb"][0].astype(int) - first).max(axis=-1) > 40
    assert moved.sum() > 30
    assert infos["metrics"]["failure.failed"][0] == 0.0
    assert "final_info" not in infos


# -- episode files ---------------------------------------------------------------------------------------------------


def test_files_are_the_same_every_time(tmp_path):
    for folder in ("a", "b"):
        write_episodes(tmp_path / folder, "put_back", "train", 20, seed=1)
    first = {p.relative_to(tmp_path / "a"): p.read_bytes() for p in (tmp_path / "a").rglob("*") if p.is_file()}
    second = {p.relative_to(tmp_path / "b"): p.read_bytes() for p in (tmp_path / "b").rglob("*") if p.is_file()}
    assert first == second


def test_no_episode_is_in_two_splits():
    seen: set[int] = set()
    for split in ("train", "val", "test"):
        for seed in (0, 1, (1 << 20) - 1):
            for index in (0, 1, (1 << 20) - 1):
                seen.add(draw_episode("put_back", split, seed, index)["info"]["seed"])
    assert len(seen) == 27


def test_what_the_cue_tells_is_evenly_spread():
    homes = np.bincount([draw_episode("put_back", "train", 0, i)["info"]["home"] for i in range(400)])
    targets = np.bincount([draw_episode("pick_shown_colour", "train", 0, i)["info"]["target"] for i in range(400)])
    counts = np.bincount([draw_episode("press_n_times", "train", 0, i)["info"]["count"] for i in range(400)])[1:]
    for table in (homes, targets, counts):
        assert len(table) == 4
        assert table.min() > 70


def test_the_command_writes_files(tmp_path, monkeypatch, capsys):
    command = ["sim.manipulation", str(tmp_path), "--task", "put_back", "--split", "val"]
    monkeypatch.setattr("sys.argv", [*command, "--count", "2"])
    assert main() == 0
    assert (tmp_path / "episodes" / "put_back_val.json.gz").exists()
    monkeypatch.setattr("sys.argv", [*command, "--count", "0"])
    assert main() == 1
    assert capsys.readouterr().err.startswith("error: count must be")


# -- bad input -------------------------------------------------------------------------------------------------------


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no manipulation task 'stack'; choose one of press_in_order"):
        write_episodes(tmp_path, "stack", "train", 1)
    with pytest.raises(ValueError, match="no split 'dev'"):
        write_episodes(tmp_path, "put_back", "dev", 1)
    with pytest.raises(ValueError, match="no task 'put_away'"):
        SimConfig(task="put_away").lab_config()
    assert MANIPULATION_TASKS == TASKS


def test_a_nan_action_is_refused(running):
    env = running("press_in_order")
    begin(env, 0)
    action = np.zeros((1, 7), np.float32)
    action[0, 2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        env.step(action)
    env.step(np.zeros((1, 7), np.float32))


def change_first(root, change):
    episodes = [copy.deepcopy(episode) for episode in episodes_of("put_back")[:2]]
    change(episodes[0]["info"])
    write(root, "put_back_train", episodes)


DAMAGES = {
    "tabletop.glb, which is missing: write the assets": lambda root: (root / "stages" / "tabletop.glb").unlink(),
    "no object 'tray': write the assets": lambda root: (root / "objects" / "tray.object_config.json").unlink(),
    "tray.glb is no binary glTF": lambda root: (root / "objects" / "tray.glb").write_bytes(b"glTF"),
    "is of task 'stack'; known: pick": lambda root: change_first(root, lambda info: info.update(task="stack")),
    "episode 0: info.home is 4": lambda root: change_first(root, lambda info: info.update(home=4)),
    "is of task 'press_n_times', the config runs 'put_back'": lambda root: shutil.copy(
        root / "episodes/press_n_times_train.json.gz", root / PUT_BACK
    ),
}
"""What the one line says, and what brings it about."""


def test_damaged_input_is_named_in_one_line(root, tmp_path):
    def start(case):
        number, (message, damage) = case
        copied = tmp_path / str(number)
        shutil.copytree(root, copied)
        damage(copied)
        with pytest.raises(TaskError, match=re.escape(message)) as raised:
            HabitatVectorEnv(settings(copied, "put_back"))
        return str(raised.value)

    with ThreadPoolExecutor(2) as pool:
        lines = list(pool.map(start, enumerate(DAMAGES.items())))
    assert not any("\n" in line for line in lines)
