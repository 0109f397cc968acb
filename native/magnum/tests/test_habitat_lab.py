"""habitat-lab's own environment, simulator class and rigid-object code run on this module, unchanged.

habitat-lab 0.3.3 sets a few fields that habitat-sim 0.2.2 does not have. None concerns magnum: the fixture below lets
them be set, `sim/worker/compat.py` covers the names it imports, and the navmesh comes from the test itself.
"""

import glb
import habitat
import habitat_sim
import magnum as mn
import numpy as np
import pytest
import scenes
from habitat.config import read_write
from habitat.config.default_structured_configs import (
    CollisionsMeasurementConfig,
    FogOfWarConfig,
    TopDownMapMeasurementConfig,
    VelocityControlActionConfig,
)
from habitat.datasets.pointnav.pointnav_dataset import PointNavDatasetV1
from habitat.sims.habitat_simulator import sim_utilities
from habitat.sims.habitat_simulator.habitat_simulator import HabitatSim
from habitat.sims.habitat_simulator.kinematic_relationship_manager import KinematicRelationshipManager
from habitat.tasks.nav.nav import NavigationEpisode, NavigationGoal, NavigationTask
from habitat.tasks.nav.shortest_path_follower import ShortestPathFollower
from habitat.utils.visualizations import maps
from omegaconf import open_dict

START, GOAL, GOAL_RADIUS_M = [0.0, 0.1, 2.0], [0.0, 0.1, -2.0], 0.2
CAMERAS = "habitat.simulator.agents.main_agent.sim_sensors."


class SimulatorConfiguration(habitat_sim.SimulatorConfiguration):
    enable_hbao = False


class Configuration(habitat_sim.Configuration):
    enable_batch_renderer = False


@pytest.fixture(scope="module")
def env(room):
    """habitat-lab's PointNav environment in the test room, with its top-down map and more actions than the default."""
    overrides = [f"{CAMERAS}{name}_sensor.{side}=64" for name in ("rgb", "depth") for side in ("width", "height")]
    overrides += ["habitat.simulator.default_agent_navmesh=False", "habitat.simulator.scene_dataset=default"]
    config = habitat.get_config("benchmark/nav/pointnav/pointnav_habitat_test.yaml", overrides)
    with read_write(config), open_dict(config):
        config.habitat.simulator.scene = room
        config.habitat.simulator.habitat_sim_v0.enable_physics = True
        config.habitat.task.measurements.top_down_map = TopDownMapMeasurementConfig(
            map_resolution=128, fog_of_war=FogOfWarConfig(draw=False)
        )
        config.habitat.task.measurements.collisions = CollisionsMeasurementConfig()
        config.habitat.task.actions.velocity_control = VelocityControlActionConfig()
    dataset = PointNavDatasetV1()
    dataset.episodes = [
        NavigationEpisode(
            episode_id="0",
            scene_id=room,
            start_position=START,
            start_rotation=[0.0, 0.0, 0.0, 1.0],
            goals=[NavigationGoal(position=GOAL, radius=GOAL_RADIUS_M)],
            info={"geodesic_distance": 4.75},
        )
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(habitat_sim, "SimulatorConfiguration", SimulatorConfiguration)
        patch.setattr(habitat_sim, "Configuration", Configuration)
        with habitat.Env(config, dataset=dataset) as opened:
            yield opened


def test_an_episode_is_followed_to_its_goal(env):
    observations = env.reset()
    assert type(env.sim) is HabitatSim
    assert type(env.task) is NavigationTask
    assert (observations["rgb"].shape, observations["rgb"].dtype) == ((64, 64, 3), np.uint8)
    assert observations["depth"].shape == (64, 64, 1)
    assert observations["depth"][32, 32, 0] == pytest.approx(5.0 / 10, abs=1e-3)  # the wall, of at most 10 m
    np.testing.assert_allclose(observations["pointgoal_with_gps_compass"], (4.0, 0.0), atol=1e-4)
    follower = ShortestPathFollower(env.sim, GOAL_RADIUS_M, return_one_hot=False)
    while not env.episode_over:
        observations = env.step(follower.get_next_action(GOAL))
    metrics = env.get_metrics()
    assert metrics["success"] == 1
    assert metrics["spl"] > 0.9
    assert metrics["distance_to_goal"] < GOAL_RADIUS_M
    assert metrics["collisions"]["count"] == 0
    assert observations["pointgoal_with_gps_compass"][0] < GOAL_RADIUS_M


def test_the_top_down_map_shows_free_space_walls_and_the_agent(env):
    env.reset()
    info = env.get_metrics()["top_down_map"]
    assert set(np.unique(info["map"])) >= {maps.MAP_INVALID_POINT, maps.MAP_VALID_POINT, maps.MAP_BORDER_INDICATOR}
    assert abs(info["agent_angle"][0]) == pytest.approx(np.pi, abs=1e-3)  # towards -z
    picture = maps.colorize_draw_agent_and_fit_to_height(info, 128)
    assert picture.shape == (128, 128, 3)
    free = maps.get_topdown_map_from_sim(env.sim, map_resolution=128) == maps.MAP_VALID_POINT
    x, y = maps.to_grid(2.0, 0.0, free.shape, sim=env.sim)  # (z, x) in metres
    assert free[x, y]
    assert not free[maps.to_grid(0.0, 0.0, free.shape, sim=env.sim)]  # inside the block


def test_velocity_control_drives_along_an_arc(env):
    env.reset()
    speeds = {"linear_velocity": 1.0, "angular_velocity": 0.0}  # of [-1, 1]: the highest speed, no turn
    before = env.sim.get_agent_state()
    env.step({"action": "velocity_control", "action_args": speeds})
    after = env.sim.get_agent_state()
    assert after.position[2] < before.position[2]
    np.testing.assert_allclose(after.position[[0, 1]], before.position[[0, 1]], atol=1e-3)
    env.step({"action": "velocity_control", "action_args": {"linear_velocity": -1.0, "angular_velocity": 1.0}})
    turned = env.sim.get_agent_state()
    np.testing.assert_allclose(turned.position, after.position, atol=1e-3)
    assert 2 * np.arctan2(turned.rotation.y, turned.rotation.w) > 0.01


def test_states_are_set_and_read_back(env):
    env.reset()
    turn = [0.0, 0.7071068, 0.0, 0.7071068]
    assert env.sim.set_agent_state(START, turn)
    state = env.sim.get_agent_state()
    np.testing.assert_allclose(state.position, START, atol=1e-5)
    np.testing.assert_allclose([state.rotation.y, state.rotation.w], [turn[1], turn[3]], atol=1e-5)
    observation = env.sim.get_observations_at(START, turn)
    np.testing.assert_array_equal(observation["depth"], env.sim.get_sensor_observations()["depth"][..., None] / 10)


def test_rigid_objects_are_added_moved_and_removed(env):
    env.reset()
    manager = env.sim.get_rigid_object_manager()
    cube = scenes.add_cube(env.sim, mn.Vector3(2, 1, 2))
    assert sim_utilities.get_all_objects(env.sim)[0].handle == cube.handle
    corners = np.array(sim_utilities.get_bb_corners(cube.root_scene_node.cumulative_bb))
    assert corners.shape == (8, 3)
    np.testing.assert_allclose(np.abs(corners), 0.1, atol=1e-6)
    cube.linear_velocity = mn.Vector3(0, 1, 0)
    for _ in range(60):
        env.sim.step_physics(1 / 60)
    assert cube.translation.y < 1
    manager.remove_object_by_handle(cube.handle)
    assert not sim_utilities.get_all_objects(env.sim)
    env.step("move_forward")


def test_objects_beside_each_other_are_told(env):
    first = scenes.add_cube(env.sim, mn.Vector3(2, 1, 2))
    second = scenes.add_cube(env.sim, mn.Vector3(2.25, 1, 2))
    boxes = [cube.collision_shape_aabb for cube in (first, second)]

    def beside():
        return sim_utilities.bb_next_to(*boxes, first.transformation, second.transformation)

    assert beside()
    second.translation = (2.25, 2.5, 2)
    assert not beside()
    env.sim.get_rigid_object_manager().remove_all_objects()


def test_children_follow_their_parents_kinematically(env):
    """habitat-lab's relationship manager: what lies on a moved object moves with it."""
    table, cup = (scenes.add_cube(env.sim, mn.Vector3(2, height, 2)) for height in (0.5, 0.7))
    relations = KinematicRelationshipManager(env.sim)
    relations.relationship_graph.add_relation(table.object_id, cup.object_id, "ontop")
    relations.update_snapshots()
    table.transformation = mn.Matrix4.translation((1, 0.5, 1)) @ mn.Matrix4.rotation_y(mn.Deg(90))
    relations.apply_relations()
    np.testing.assert_allclose(cup.translation, (1, 0.7, 1), atol=1e-4)
    assert float(mn.Deg(cup.rotation.angle())) == pytest.approx(90, abs=0.01)
    env.sim.get_rigid_object_manager().remove_all_objects()


def test_the_scene_can_change(env, tmp_path):
    """Reconfiguration closes one scene and opens another in the same simulator."""
    other = glb.write_boxes(str(tmp_path / "other.glb"), glb.ROOM[:-1])  # without the block
    straight = NavigationEpisode(
        episode_id="1",
        scene_id=other,
        start_position=START,
        start_rotation=[0.0, 0.0, 0.0, 1.0],
        goals=[NavigationGoal(position=GOAL, radius=GOAL_RADIUS_M)],
        info={"geodesic_distance": 4.0},
    )
    for episode in (straight, env.episodes[0]) * 3:
        env.current_episode = episode
        env.sim.reconfigure(env.task.overwrite_sim_config(env._config, episode).simulator)
        distance = env.sim.geodesic_distance(START, GOAL)
        assert distance == pytest.approx(4.0 if episode is straight else 4.75, abs=0.05)
