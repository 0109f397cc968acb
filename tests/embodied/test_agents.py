"""Baselines: what they do, and that their maps and plans hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flat_world import FlatWorld

from embodied.agents.base import AgentError
from embodied.agents.frontier import FrontierAgent
from embodied.agents.mapping import DepthCamera, OccupancyMap
from embodied.agents.planning import plan_from
from embodied.agents.registry import AGENTS, agent_class, make_agent, prepare_sim
from sim.config import SimConfig

ROOMS = """
#################
#       #       #
#               #
#       #       #
#       #       #
#       #       #
#       ###   ###
#       #       #
#       #       #
#       #       #
#       #       #
#################
"""
#: One wall to drive round.
BARRIER = """
#############
#           #
#           #
#     #     #
#     #     #
#     #     #
#     #     #
#     #     #
#############
"""


def run(world: FlatWorld, agent: Any, steps: int) -> int:
    """Steps until every row has stopped; returns how many steps it took."""
    agent.reset(np.ones(world.num_envs, bool))
    observations = world.observe()
    for step in range(steps):
        observations = world.step(agent.act(observations))
        if world.stopped.all():
            return step + 1
    return steps


@pytest.mark.parametrize("velocity", [False, True])
def test_frontier_drives_round_a_wall_to_a_point_goal(velocity: bool) -> None:
    world = FlatWorld(BARRIER, [(1.25, 1.25, 0.0), (1.25, 1.25, np.deg2rad(120))], (5.25, 1.25), velocity)
    run(world, make_agent("frontier", world), 600)
    assert world.stopped.all()
    assert (np.hypot(*(world.poses[:, :2] - np.array(world.goal)).T) < 0.2).all()
    # Straight through the wall it is 4 m; the way round its end about 5.9 m.
    assert (world.driven_m < 8.5).all()


@pytest.mark.parametrize("velocity", [False, True])
def test_frontier_searches_rooms_until_it_sees_the_object(velocity: bool) -> None:
    plan = ROOMS.split("\n")
    plan[-4] = plan[-4][:13] + "3" + plan[-4][14:]
    world = FlatWorld("\n".join(plan), [(1.25, 1.25, np.pi)], 3, velocity)
    run(world, make_agent("frontier", world), 1500)
    assert world.stopped.all()
    post = np.array([13.5, 2.5]) * world.square_m
    assert np.hypot(*(world.poses[0, :2] - post)) < 1.0


def test_frontier_finds_again_what_it_passed_on_the_way_to_another_goal() -> None:
    plan = ROOMS.split("\n")
    plan[3] = plan[3][:3] + "5" + plan[3][4:]
    plan[-4] = plan[-4][:13] + "3" + plan[-4][14:]
    world = FlatWorld("\n".join(plan), [(1.25, 1.25, np.pi)], 3)
    agent = make_agent("frontier", world)
    run(world, agent, 800)
    assert world.stopped.all()
    assert isinstance(agent, FrontierAgent)
    assert 5 in agent.map_of(0).objects
    shortest = world_path_m(world, world.poses[0, :2], np.array([1.75, 4.25]))
    world.goal, world.stopped[:], world.driven_m[:] = 5, False, 0.0
    observations = world.observe()
    while not world.stopped.all():
        observations = world.step(agent.act(observations))
        assert world.driven_m[0] < 1.6 * shortest + 1.0


def world_path_m(world: FlatWorld, start: np.ndarray, end: np.ndarray) -> float:
    """Length of a path that keeps clear of the walls, found on the world's own grid."""
    camera = DepthCamera(8, 8, np.pi / 2, 0.88, 10.0)
    grid = OccupancyMap(camera, cell_m=0.1, extent_m=40.0)
    grid.known[:] = True
    for i, j in np.argwhere(world.grid == "#"):
        for x in np.arange(0.05, 0.5, 0.1):
            for y in np.arange(0.05, 0.5, 0.1):
                grid.evidence[grid.cell_of(j * 0.5 + x, i * 0.5 + y)] = 6
    plan = plan_from(grid, grid.cell_of(*start), 0.18, through_unknown=False)
    path = grid.centre_of(plan.path_to(grid.cell_of(*end)))
    assert len(path)
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def test_rows_do_not_know_of_each_other() -> None:
    starts = [(1.25, 1.25, np.pi), (5.25, 4.25, 0.0)]
    plan = ROOMS.replace("#               #", "#          3    #")
    both = FlatWorld(plan, starts, 3)
    agent = make_agent("frontier", both)
    paths: dict[str, list[np.ndarray]] = {"both": [], "alone": []}
    observations = both.observe()
    for _ in range(60):
        observations = both.step(agent.act(observations))
        paths["both"].append(both.poses[1].copy())
    alone = FlatWorld(plan, starts[1:], 3)
    agent = make_agent("frontier", alone)
    observations = alone.observe()
    for _ in range(60):
        observations = alone.step(agent.act(observations))
        paths["alone"].append(alone.poses[0].copy())
    np.testing.assert_array_equal(paths["both"], paths["alone"])


def test_reset_forgets_only_the_rows_that_begin() -> None:
    world = FlatWorld(ROOMS, [(1.25, 1.25, 0.0)] * 2, 3)
    agent = make_agent("frontier", world)
    assert isinstance(agent, FrontierAgent)
    agent.act(world.observe())
    before = agent.map_of(0).known.copy()
    assert before.sum() > 500
    agent.reset(np.array([False, True]))
    np.testing.assert_array_equal(agent.map_of(0).known, before)
    assert not agent.map_of(1).known.any()


def test_map_marks_walls_where_they_stand_and_floor_before_them() -> None:
    world = FlatWorld(ROOMS, [(1.25, 4.25, 0.0)], (2.0, 2.0))
    grid = OccupancyMap(DepthCamera(64, 64, np.pi / 2, 0.88, 10.0))
    grid.update(np.zeros(3), 10 * world.observe()["depth"][0, ..., 0])
    # The wall at x = 4 m is 2.75 m ahead; beside it, 0.5 m to the left (y = 4.75), a door opens into the next room.
    assert grid.obstacles[grid.cell_of(2.8, -0.3)]
    assert not grid.obstacles[grid.cell_of(2.5, -0.3)]
    assert grid.known[grid.cell_of(2.5, -0.3)]
    assert not grid.known[grid.cell_of(-1.0, 0.0)]


def test_map_clears_what_has_moved_away() -> None:
    plan = BARRIER
    world = FlatWorld(plan, [(1.25, 1.75, 0.0)], (2.0, 2.0))
    grid = OccupancyMap(DepthCamera(64, 64, np.pi / 2, 0.88, 10.0))
    wall = grid.cell_of(1.77, 0.0)
    for _ in range(3):
        grid.update(np.zeros(3), 10 * world.observe()["depth"][0, ..., 0])
    assert grid.obstacles[wall]
    world.grid[world.grid == "#"] = " "
    world.grid[0], world.grid[-1], world.grid[:, 0], world.grid[:, -1] = "#", "#", "#", "#"
    for _ in range(6):
        grid.update(np.zeros(3), 10 * world.observe()["depth"][0, ..., 0])
    assert not grid.obstacles[wall]


def test_plan_is_as_long_as_the_way_and_ends_where_none_leads() -> None:
    grid = OccupancyMap(DepthCamera(8, 8, np.pi / 2, 0.88, 10.0), cell_m=0.1, extent_m=10.0)
    grid.known[30:70, 30:70] = True
    grid.evidence[50, 30:60] = 6
    plan = plan_from(grid, (40, 40), 0.15, through_unknown=False)
    path = plan.path_to((60, 40))
    assert tuple(path[0]) == (40, 40)
    assert tuple(path[-1]) == (60, 40)
    assert path[:, 1].max() >= 61
    assert (np.abs(np.diff(path, axis=0)).max(axis=1) == 1).all()
    grid.evidence[50, 30:70] = 6
    assert len(plan_from(grid, (40, 40), 0.15, through_unknown=False).path_to((60, 40))) == 0


def test_random_draws_by_episode_not_by_row() -> None:
    starts = [(1.25, 1.25, 0.0)] * 3
    world = FlatWorld(ROOMS, starts, 3)
    agent: Any = make_agent("random", world, seed=7)
    everyone = np.ones(3, bool)
    observations = world.observe()

    def draw(seeds: list[int]) -> np.ndarray:
        agent.seed(everyone, np.array(seeds))
        agent.reset(everyone)
        return np.stack([agent.act(observations) for _ in range(50)])

    first, second = draw([10, 11, 12]), draw([12, 10, 11])
    np.testing.assert_array_equal(first[:, 0], second[:, 1])
    np.testing.assert_array_equal(first[:, 2], second[:, 0])
    assert (first[:, 0] != first[:, 1]).any()


def test_random_stops_at_a_point_goal_and_only_there() -> None:
    world = FlatWorld(ROOMS, [(1.25, 1.25, 0.0), (1.25, 1.25, 0.0)], (1.3, 1.25))
    far = FlatWorld(ROOMS, [(1.25, 1.25, 0.0)], (7.0, 5.0))
    assert (make_agent("random", world).act(world.observe()) == 0).all()
    agent = make_agent("random", far)
    assert all((agent.act(far.observe()) != 0).all() for _ in range(200))


@pytest.mark.parametrize("velocity", [False, True])
def test_forward_only_stops_at_the_wall(velocity: bool) -> None:
    world = FlatWorld(ROOMS, [(1.25, 1.25, 0.0)], 3, velocity)
    run(world, make_agent("forward_only", world), 100)
    assert world.stopped.all()
    assert world.poses[0, 0] == pytest.approx(4.0 - 0.18, abs=0.06)


def test_oracle_repeats_its_sensor() -> None:
    world = FlatWorld(ROOMS, [(1.25, 1.25, 0.0)] * 2, 3)
    with pytest.raises(AgentError, match=r"oracle agent needs the sensor oracle_action.*it has .*compass"):
        make_agent("oracle", world)
    world.single_observation_space.spaces["oracle_action"] = world.single_observation_space["objectgoal"]
    actions = make_agent("oracle", world).act({"oracle_action": np.array([[2], [1]])})
    np.testing.assert_array_equal(actions, [2, 1])


def test_unknown_agents_and_missing_sensors_say_what_to_do() -> None:
    world = FlatWorld(ROOMS, [(1.25, 1.25, 0.0)], 3)
    with pytest.raises(AgentError, match=r"no agent and no checkpoint 'frontire'.*did you mean frontier\?"):
        make_agent("frontire", world)
    del world.single_observation_space.spaces["detections"]
    with pytest.raises(AgentError, match="frontier agent needs the sensor detections"):
        make_agent("frontier", world)


def test_every_baseline_has_a_title_and_declares_its_sensors() -> None:
    for name in AGENTS:
        found = agent_class(name)
        assert found.title
        assert isinstance(found.sensors, tuple)
    added = prepare_sim("frontier", SimConfig(task="objectnav")).overrides
    assert any("detections" in line for line in added)
    assert prepare_sim("frontier", SimConfig(task="pointnav")).overrides == []
    assert prepare_sim("frontier", prepare_sim("frontier", SimConfig(task="objectnav"))).overrides == added
