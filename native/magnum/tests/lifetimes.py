"""What test_lifetimes.py runs in processes of its own: `python lifetimes.py NAME ARGUMENT...` prints a line of JSON."""

import gc
import json
import os
import sys
import tempfile
import time

import conftest  # noqa: F401  (prepares the environment of the simulator)
import magnum as mn
import numpy as np
import scenes

FRAME_S = 1 / 60


def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def reopen(scene, times):
    """Opens, uses and closes a simulator `times` times over, each with nodes and features that outlive it."""
    memory = []
    for _ in range(times):
        with scenes.open_simulator(scene, sensors=("rgb", "depth")) as simulator:
            node = simulator.get_active_scene_graph().get_root_node().create_child()
            cube = scenes.add_cube(simulator, (2.0, 1.0, 2.0))
            features = [mn.scenegraph.AbstractFeature3D(node), mn.scenegraph.AbstractFeature3D(cube.root_scene_node)]
            simulator.step_physics(FRAME_S)
            frames = simulator.get_sensor_observations()
            assert np.isfinite(frames["depth"]).all()
        assert [feature.object for feature in features] == [None, None]
        memory.append(resident_mb())
    return {"memory_mb": memory, "open_files": len(os.listdir("/proc/self/fd"))}


def physics(scene, steps, objects):
    """Steps `objects` cubes, pushed about now and then, and reads all their poses at each step."""
    rng = np.random.default_rng(1)
    memory = []
    with scenes.open_simulator(scene, sensors=("depth",)) as simulator:
        cubes = [scenes.add_cube(simulator, rng.uniform((-2.5, 0.5, 1), (2.5, 2.4, 2.5))) for _ in range(objects)]
        started = time.monotonic()
        for step in range(steps):
            if step % 300 == 0:
                for cube in cubes:
                    cube.linear_velocity = rng.normal(size=3) * 2
            simulator.step_physics(FRAME_S)
            poses = [(np.array(cube.transformation), cube.rotation, cube.linear_velocity) for cube in cubes]
            if step % 100 == 99:
                simulator.get_sensor_observations()
                memory.append(resident_mb())
        heights = [float(pose[1, 3]) for pose, _, _ in poses]
        assert all(rotation.is_normalized() for _, rotation, _ in poses)
        return {"memory_mb": memory, "heights_m": heights, "seconds": time.monotonic() - started}


def churn(scene, times):
    """Adds and removes a rigid object `times` times over, with a feature on its node."""
    memory = []
    with scenes.open_simulator(scene, sensors=("depth",)) as simulator:
        manager = simulator.get_rigid_object_manager()
        for index in range(times):
            cube = scenes.add_cube(simulator, (2.0, 1.0, 2.0))
            feature = mn.scenegraph.AbstractFeature3D(cube.root_scene_node)
            cube.linear_velocity = (0, 1, 0)
            simulator.step_physics(FRAME_S)
            manager.remove_object_by_id(cube.object_id)
            assert feature.object is None
            if index % 100 == 99:
                gc.collect()
                memory.append(resident_mb())
    return {"memory_mb": memory}


def leave_open(scene):
    """Ends with a simulator open and nodes, features and image views alive."""
    opened = scenes.open_simulator(scene)
    simulator = opened.__enter__()
    node = simulator.get_active_scene_graph().get_root_node().create_child()
    cube = scenes.add_cube(simulator, (2.0, 1.0, 2.0))
    keep = [opened, node, cube, mn.scenegraph.AbstractFeature3D(node)]
    keep += [mn.scenegraph.AbstractFeature3D(cube.root_scene_node), simulator._sensors["rgb"].view]
    globals()["keep"] = keep
    return {"alive": len(keep)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        room = scenes.write_room(os.path.join(folder, "room.glb"))
        print(json.dumps(globals()[sys.argv[1]](room, *map(int, sys.argv[2:]))))
