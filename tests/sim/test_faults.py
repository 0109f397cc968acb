"""Workers that die, hang or are given bad input: nothing hangs, nothing is lost, and the error is one that helps."""

import gzip
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sim.config import SimConfig
from sim.errors import SimulatorError, TaskError, WorkerDied
from sim.vector_env import HabitatVectorEnv
from sim.worker import protocol

pytestmark = pytest.mark.sim


def config(houses, **fields):
    task = fields.pop("task", "pointnav")
    path = fields.pop("episodes", houses / "episodes" / f"{task}_train.json.gz")
    return SimConfig(task=task, episodes=str(path), **{"num_envs": 2, "order": "sequential", **fields})


@pytest.fixture
def env(houses):
    env = HabitatVectorEnv(config(houses, step_timeout_s=5.0))
    env.reset()
    yield env
    env.close()


@pytest.fixture(scope="module")
def unharmed(houses):
    """One environment for the tests that must leave it as it was."""
    env = HabitatVectorEnv(config(houses))
    env.reset()
    yield env
    env.close()


def check_replaced(env, row, result, running):
    """Row `row` ended truncated and flagged and runs its next episode; the other row went on undisturbed."""
    _, rewards, terminated, truncated, infos = result
    other = 1 - row
    assert truncated[row]
    assert not terminated[row]
    assert rewards[row] == 0.0
    assert infos["final_info"][row]["worker_restarted"]
    assert infos["final_info"][row]["episode"]["index"] == running[row]["index"]
    assert infos["episode"][row]["index"] == running[row]["index"] + 2
    assert infos["episode"][other]["index"] == running[other]["index"]
    assert not truncated[other]
    assert env.restarts == 1
    for _ in range(5):
        observations, *_ = env.step([1, 1])
    assert len(np.unique(observations["rgb"][row])) > 8


def test_a_worker_killed_in_the_middle_of_a_step_is_replaced(env):
    running = env.step([1, 1])[4]["episode"]
    env.step_async([1, 1])
    os.kill(env.pids[0], signal.SIGKILL)
    check_replaced(env, 0, env.step_wait(), running)


def test_a_worker_killed_between_steps_is_replaced(env):
    running = env.step([1, 1])[4]["episode"]
    os.kill(env.pids[1], signal.SIGKILL)
    check_replaced(env, 1, env.step([1, 1]), running)


def test_a_worker_that_aborts_in_native_code_is_replaced(env):
    running = env.step([1, 1])[4]["episode"]
    with pytest.raises(WorkerDied, match="ended by SIGABRT on scene .*house_"):
        env.call(0, "abort")
    result = env.step([1, 1])
    assert "SIGABRT" in result[4]["final_info"][0]["worker_error"]
    check_replaced(env, 0, result, running)


def test_a_frozen_worker_is_replaced_at_its_deadline(houses):
    env = HabitatVectorEnv(config(houses, step_timeout_s=1.0))
    running = env.reset()[1]["episode"]
    os.kill(env.pids[1], signal.SIGSTOP)
    start = time.monotonic()
    result = env.step([1, 1])
    assert time.monotonic() - start < 30.0
    assert "in time" in result[4]["final_info"][1]["worker_error"]
    check_replaced(env, 1, result, running)
    env.close()


def test_random_kills_never_stop_a_rollout(houses):
    env = HabitatVectorEnv(config(houses, order="shuffled", max_deaths_per_scene=50))
    env.reset()
    generator = np.random.default_rng(0)
    kills = 0
    for t in range(120):
        if t % 30 == 15:
            os.kill(env.pids[int(generator.integers(2))], signal.SIGKILL)
            kills += 1
        _, _, _, _, infos = env.step(generator.integers(1, 4, size=2))
        assert np.isfinite(infos["metrics"]["agent.x"]).all()
    assert env.restarts == kills == 4
    env.close()


def test_deaths_in_a_row_on_one_scene_end_with_its_name(houses):
    env = HabitatVectorEnv(config(houses, num_envs=1, max_deaths_per_scene=3))
    env.reset()
    with pytest.raises(WorkerDied, match=r"3 simulator workers in a row died on scene .*house_\d+"):
        for _ in range(4):
            os.kill(env.pids[0], signal.SIGKILL)
            env.step([1])


def test_workers_end_with_a_killed_trainer(houses):
    code = (
        "import sys, time; from sim.config import SimConfig; from sim.vector_env import HabitatVectorEnv\n"
        "env = HabitatVectorEnv(SimConfig(task='pointnav', episodes=sys.argv[1], num_envs=2)); env.reset()\n"
        "print(*env.pids, flush=True); time.sleep(60)"
    )
    episodes = str(houses / "episodes" / "pointnav_train.json.gz")
    trainer = subprocess.Popen([sys.executable, "-c", code, episodes], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in trainer.stdout.readline().split()]
    assert len(pids) == 2
    trainer.kill()
    trainer.wait()
    deadline = time.monotonic() + 10.0
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a simulator outlived its trainer"
        time.sleep(0.05)


def _alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        ([1, 9], r"0\.\.3 .*got \[1, 9\]"),
        ([-1, 1], r"0\.\.3"),
        ([1], r"shape \(2,\)"),
        ([1.0, 2.0], "integers"),
    ],
)
def test_a_wrong_action_is_refused_and_changes_nothing(unharmed, actions, says):
    env = unharmed
    before = env.step([2, 2])[0]
    with pytest.raises(ValueError, match=says):
        env.step(actions)
    after = env.step([3, 3])[0]
    assert before["compass"] - after["compass"] == pytest.approx(np.full((2, 1), np.pi / 6), abs=0.01)


def test_a_nan_velocity_is_refused(houses):
    env = HabitatVectorEnv(config(houses, control="velocity"))
    env.reset()
    with pytest.raises(ValueError, match="NaN"):
        env.step([[0.0, np.nan], [0.0, 0.0]])
    env.step([[1.0, 0.0], [0.0, 0.5]])
    env.close()


def test_a_nan_that_reaches_the_worker_is_an_error_not_a_move(houses):
    env = HabitatVectorEnv(config(houses, control="velocity", num_envs=1))
    env.reset()
    worker = env._workers[0]
    worker.memory["action"][...] = [np.nan, 0.0]
    worker.send(protocol.STEP)
    with pytest.raises(TaskError, match="NaN"):
        worker.receive(10.0)
    env.close()


@pytest.fixture
def copy(houses, tmp_path):
    """A copy of the data set, to be damaged."""
    root = tmp_path / "houses"
    shutil.copytree(houses, root)
    return root


def start(root, **fields):
    HabitatVectorEnv(config(root, num_envs=1, **fields)).close()


def first_scene(root):
    with gzip.open(root / "episodes" / "pointnav_train.json.gz", "rt") as file:
        name = Path(json.load(file)["episodes"][0]["scene_id"]).name
    return name.split(".")[0]


def edit_episodes(root, change):
    path = root / "episodes" / "pointnav_train.json.gz"
    with gzip.open(path, "rt") as file:
        data = json.load(file)
    change(data["episodes"])
    with gzip.open(path, "wt") as file:
        json.dump(data, file)


def test_a_missing_scene_is_named(copy):
    name = first_scene(copy)
    next((copy / "scenes").glob(f"{name}*")).unlink()
    with pytest.raises(TaskError, match=f"no scene at .*{name}"):
        start(copy)


def test_a_missing_mesh_is_named(copy):
    name = first_scene(copy)
    next((copy / "stages").glob(f"{name}*.glb")).unlink()
    with pytest.raises(TaskError, match=f"{name}.*generate the houses again"):
        start(copy)


def test_a_cut_mesh_is_named(copy):
    path = next((copy / "stages").glob(f"{first_scene(copy)}*.glb"))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(TaskError, match=rf"{path.name} is cut: \d+ bytes of \d+"):
        start(copy)


def test_a_mesh_that_is_no_mesh_is_named(copy):
    path = next((copy / "stages").glob(f"{first_scene(copy)}*.glb"))
    path.write_bytes(b"<html>not found</html>" * 10)
    with pytest.raises(TaskError, match=f"{path.name} is no binary glTF"):
        start(copy)


def test_a_mesh_with_a_damaged_description_is_named(copy):
    path = next((copy / "stages").glob(f"{first_scene(copy)}*.glb"))
    data = bytearray(path.read_bytes())
    data[40:60] = os.urandom(20)
    path.write_bytes(data)
    with pytest.raises(TaskError, match=f"{path.name} is damaged"):
        start(copy)


def test_a_mesh_whose_buffers_are_too_short_is_named(copy):
    """Well-formed glTF with accessors beyond their buffer: what the simulator makes of it must name the scene."""
    path = next((copy / "stages").glob(f"{first_scene(copy)}*.glb"))
    data = path.read_bytes()
    (length,) = struct.unpack("<I", data[12:16])
    document = json.loads(data[20 : 20 + length])
    for accessor in document["accessors"]:
        accessor["count"] *= 1000
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    header = struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest))
    path.write_bytes(header + struct.pack("<I4s", len(text), b"JSON") + text + rest)
    with pytest.raises(SimulatorError, match=first_scene(copy)):
        start(copy)


def test_a_damaged_catalogue_is_named(copy):
    path = copy / "houses" / f"{first_scene(copy)}.json"
    path.write_text(path.read_text()[:200])
    with pytest.raises(TaskError, match=path.name):
        start(copy)


def test_a_cut_episode_file_is_named(copy):
    path = copy / "episodes" / "pointnav_train.json.gz"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(TaskError, match="pointnav_train.json.gz cannot be read"):
        start(copy)


def test_an_episode_file_of_another_kind_is_named(copy):
    path = copy / "episodes" / "pointnav_train.json.gz"
    path.write_bytes(gzip.compress(b'{"rows": []}'))
    with pytest.raises(TaskError, match="pointnav_train.json.gz is no PointNav-v1 data set"):
        start(copy)


def test_an_episode_outside_the_navmesh_is_named(copy):
    def change(episodes):
        episodes[0]["start_position"] = [500.0, 0.0, 500.0]

    edit_episodes(copy, change)
    with pytest.raises(TaskError, match=r"episode \S+ starts at \[500.0, 0.0, 500.0\] outside the navmesh"):
        start(copy)


def test_an_unknown_sensor_gets_the_nearest_name(houses):
    overrides = ["habitat.simulator.agents.main_agent.sim_sensors.rgb_sensor.type=HabitatSimRGBSensr"]
    with pytest.raises(TaskError, match="HabitatSimRGBSensr.*did you mean HabitatSimRGBSensor"):
        start(houses, overrides=overrides)


def test_an_unknown_override_is_named(houses):
    with pytest.raises(TaskError, match="max_episode_stps"):
        start(houses, overrides=["habitat.environment.max_episode_stps=3"])


def test_an_unknown_task_lists_those_there_are(houses):
    with pytest.raises(ValueError, match=r"no task 'pointnv'.*ext_objectnav, objectnav, .*pointnav"):
        HabitatVectorEnv(SimConfig(task="pointnv"))


def test_an_interpreter_that_is_not_there_is_named(houses):
    with pytest.raises(SimulatorError, match=r"/no/such/python"):
        start(houses, python="/no/such/python")


def test_an_interpreter_without_habitat_says_so(houses):
    with pytest.raises(TaskError, match="cannot import Habitat .*run `make setup`"):
        start(houses, python=sys.executable)
