"""Tests of the magnum module, under the simulator's interpreter: `.sim/python -m pytest native/magnum/tests`.

The simulator fixtures are shared by the tests of one file, which keep to nodes and objects of their own.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # the checkout, for sim.worker.compat

from sim.worker import compat

compat.prepare()

import scenes  # noqa: E402  (after the simulator's environment is prepared)


@pytest.fixture(scope="session")
def room(tmp_path_factory):
    """Path of a GLB: a walled room of 6 x 6 m with a red block in its middle."""
    return scenes.write_room(tmp_path_factory.mktemp("scene") / "room.glb")


@pytest.fixture(scope="module")
def simulator(room):
    """A simulator in the room with colour, depth and semantic cameras, physics and a navmesh."""
    with scenes.open_simulator(room) as opened:
        yield opened


@pytest.fixture
def root(simulator):
    """The root node of the simulator's scene."""
    return simulator.get_active_scene_graph().get_root_node()


@pytest.fixture
def cube(simulator):
    """A rigid cube of 0.2 m, one metre above the floor of an empty corner; removed after the test."""
    manager = simulator.get_rigid_object_manager()
    added = scenes.add_cube(simulator, (2.0, 1.0, 2.0))
    yield added
    manager.remove_object_by_id(added.object_id)
