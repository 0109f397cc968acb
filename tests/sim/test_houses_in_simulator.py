"""Generated houses in real habitat-sim: what the catalogue says is what the cameras see; bad houses are refused."""

import dataclasses
import gzip
import json
import shutil

import numpy as np
import pytest

from sim.client import Worker
from sim.config import TASKS_DIR, SimConfig
from sim.houses import files, generate_house, goal_categories
from sim.houses.furnish import Placement
from sim.houses.library import procedural
from sim.vector_env import HabitatVectorEnv

pytestmark = pytest.mark.sim

CAMERA_M = 0.88
SENSORS = "habitat.simulator.agents.main_agent.sim_sensors"
SEMANTIC = [
    f"+habitat/simulator/sim_sensors@{SENSORS}.semantic_sensor=semantic_sensor",
    f"{SENSORS}.semantic_sensor.width=64",
    f"{SENSORS}.semantic_sensor.height=64",
    f"{SENSORS}.semantic_sensor.position=[0.0,{CAMERA_M},0.0]",
]


@pytest.fixture(scope="module")
def episodes(houses):
    return json.loads(gzip.decompress((houses / "episodes" / "objectnav_train.json.gz").read_bytes()))


@pytest.fixture(scope="module")
def service():
    hello = {"service": "episodes", "lab_config": str(TASKS_DIR / "objectnav.yaml"), "overrides": []}
    worker = Worker(SimConfig(), hello)
    yield worker
    worker.close()


def catalogue_of(houses, episode):
    name = episode["scene_id"].split("/")[-1].split(".")[0]
    return files.read_json(houses / "houses" / f"{name}.json")


def unprojected(depth, x, y, z, yaw):
    """World points ([n, 3] m) of a square picture whose field of view is 90 degrees, by the agent's pose."""
    size = depth.shape[0]
    row, column = np.indices((size, size)) + 0.5
    right, up = 2.0 * column / size - 1.0, 1.0 - 2.0 * row / size
    metres = depth[..., 0] * 10.0
    across, ahead = right * metres, metres
    c, s = np.cos(yaw), np.sin(yaw)
    return np.stack([x + across * c - ahead * s, y + CAMERA_M + up * metres, z - across * s - ahead * c], axis=-1)


def test_pixels_of_an_instance_lie_where_the_catalogue_says(houses):
    """Position, yaw, size, semantic id and the GLB's frame at once: depth pixels fall into the instance's own box."""
    config = SimConfig(
        task="objectnav",
        episodes=str(houses / "episodes" / "objectnav_train.json.gz"),
        num_envs=1,
        order="sequential",
        overrides=SEMANTIC,
    )
    env = HabitatVectorEnv(config)
    instances_seen, pixels_seen = set(), 0
    observations, infos = env.reset()
    for step in range(150):
        scene = infos["episode"][0]["scene_id"].split("/")[-1].split(".")[0]
        instances = files.read_json(houses / "houses" / f"{scene}.json")["instances"]
        ids = observations["semantic"][0].squeeze()
        depth = observations["depth"][0]
        x, y, z, yaw = (infos["metrics"][f"agent.{name}"][0] for name in ("x", "y", "z", "yaw"))
        points = unprojected(depth, x, y, z, yaw)
        assert ids.max() <= len(instances)
        for semantic_id in np.unique(ids[ids > 0]):
            instance = instances[semantic_id - 1]
            mine = points[(ids == semantic_id) & (depth[..., 0] < 0.7)]
            if len(mine) == 0:
                continue
            offset = mine - np.array(instance["position"])
            c, s = np.cos(instance["yaw"]), np.sin(instance["yaw"])
            local = np.stack(
                [offset[:, 0] * c - offset[:, 2] * s, offset[:, 1], offset[:, 0] * s + offset[:, 2] * c], 1
            )
            excess = np.abs(local) - np.array(instance["dimensions"]) / 2.0
            assert excess.max() < 0.03, instance["name"]
            instances_seen.add((scene, int(semantic_id)))
            pixels_seen += len(mine)
        action = observations["oracle_action"][:, 0] if step % 3 else np.array([2])
        observations, _, _, _, infos = env.step(action)
    env.close()
    assert len(instances_seen) > 30
    assert pixels_seen > 3000


def test_goals_are_seen_from_their_view_points(houses, episodes, tmp_path):
    """An agent put on a view point, looking as it says, has the goal's pixels in its own camera."""
    looks = []
    for key, goals in sorted(episodes["goals_by_category"].items()):
        for goal in goals[:1]:
            looks.append((key, goal, goal["view_points"][len(looks) % len(goal["view_points"])]["agent_state"]))
    chosen = looks[:: max(1, len(looks) // 40)]
    template = episodes["episodes"][0]
    episodes["episodes"] = [
        {
            **template,
            "episode_id": str(index),
            "scene_id": f"scenes/{key.rsplit('_', 1)[0]}",
            "object_category": goal["object_category"],
            "start_position": state["position"],
            "start_rotation": state["rotation"],
        }
        for index, (key, goal, state) in enumerate(chosen)
    ]
    path = tmp_path / "looks.json.gz"
    path.write_bytes(gzip.compress(json.dumps(episodes).encode()))
    config = SimConfig(
        task="objectnav",
        episodes=str(path),
        scenes_dir=str(houses),
        num_envs=1,
        order="sequential",
        # habitat-lab's path-length measures divide by the distance, which is zero at a view point.
        overrides=[*SEMANTIC, "~habitat.task.measurements.spl", "~habitat.task.measurements.soft_spl"],
    )
    env = HabitatVectorEnv(config)
    observations, infos = env.reset()
    for key, goal, _ in chosen:
        assert (observations["semantic"][0] == int(goal["object_id"])).sum() >= 3, (key, goal["object_name"])
        assert infos["metrics"]["distance_to_goal"][0] < 0.05
        observations, _, _, _, infos = env.step(np.array([0]))  # stop: the next look
    env.close()
    assert len(chosen) >= 30


def test_a_house_looks_the_same_when_the_agent_comes_back(houses):
    """Loaded assets are kept from house to house; that must not show."""
    path = houses / "episodes" / "pointnav_train.json.gz"
    count = len(json.loads(gzip.decompress(path.read_bytes()))["episodes"])
    env = HabitatVectorEnv(SimConfig(episodes=str(path), num_envs=1, order="sequential"))
    observations, infos = env.reset()
    seen, scenes = [], set()
    for _ in range(count + 5):
        seen.append({name: value.tobytes() for name, value in observations.items()})
        scenes.add(infos["episode"][0]["scene_id"])
        observations, _, _, _, infos = env.step(np.array([0]))  # stop: on to the next episode
    env.close()
    assert len(scenes) == 3
    assert seen[count:] == seen[:5]


def ask(service, root, name, **fields):
    body, _ = service.call(
        "house",
        root=str(root),
        scene=f"scenes/{name}.scene_instance.json",
        **{
            "seed": 0,
            "categories": list(goal_categories("all")),
            "counts": {"pointnav": 3, "objectnav": 3, "ext_objectnav": 1},
            "limits": {"pointnav": [1.0, 30.0], "objectnav": [2.0, 30.0], "goals_per_trial": 5},
            **fields,
        },
    )
    return body


def written(root, built):
    service_root = root / "houses_of_one"
    files.write_dataset_config(service_root)
    files.write_house(built, service_root, "test")
    return service_root


def test_a_house_whose_doors_are_walled_up_is_refused(service, tmp_path):
    built = generate_house(1)
    sealed = dataclasses.replace(built, plan=dataclasses.replace(built.plan, openings=()))
    service.call("reload")
    body = ask(service, written(tmp_path, sealed), built.name)
    assert "cut off" in body["refused"]


def test_a_house_with_a_roof_to_walk_on_is_refused(service, tmp_path):
    built = generate_house(1)
    rug = procedural("rug", 0)
    width, _, depth = rug.dimensions
    x, z = built.plan.bounds.centre
    roof = tuple(
        Placement(rug, 0, x + i * width, 2.6, z + j * depth, 0.0, None, "floor") for i in (0, 1) for j in (0, 1)
    )
    service.call("reload")
    body = ask(
        service, written(tmp_path, dataclasses.replace(built, placements=(*built.placements, *roof))), built.name
    )
    assert "roof" in body["refused"]


def test_limits_that_no_house_meets_are_a_reason(service, houses):
    service.call("reload")
    limits = {"pointnav": [500.0, 600.0], "objectnav": [2.0, 30.0], "goals_per_trial": 5}
    assert "pointnav episodes could be drawn" in ask(service, houses, "house_000000", limits=limits)["refused"]


def test_the_same_request_gives_the_same_answer(service, houses):
    service.call("reload")
    first = ask(service, houses, "house_000000")
    ask(service, houses, "house_000001")
    assert ask(service, houses, "house_000000") == first
    assert ask(service, houses, "house_000000", seed=1) != first


def test_pictures_show_the_house(service, houses):
    service.call("reload")
    body, blob = service.call(
        "pictures", root=str(houses), scene="scenes/house_000000.scene_instance.json", pixels=96, count=2
    )
    pictures = np.frombuffer(blob, dtype=np.uint8).reshape(body["shape"])
    assert pictures.shape == (3, 96, 96, 3)
    for picture in pictures:
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 500


def test_a_folder_moves_with_its_episodes(houses, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(houses, moved)
    env = HabitatVectorEnv(SimConfig(episodes=str(moved / "episodes" / "pointnav_train.json.gz"), num_envs=1))
    _, infos = env.reset()
    assert infos["episode"][0]["scene_id"].startswith(str(moved))
    env.close()
