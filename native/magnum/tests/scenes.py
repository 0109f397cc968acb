"""Simulators to test on."""

from contextlib import contextmanager

import glb
import habitat_sim

SENSORS = {
    "rgb": habitat_sim.SensorType.COLOR,
    "depth": habitat_sim.SensorType.DEPTH,
    "semantic": habitat_sim.SensorType.SEMANTIC,
}
CAMERA_HEIGHT_M = 1.25

#: A door: one link of 0.8 m that turns about the z axis of a fixed base.
DOOR_URDF = """<robot name="door">
  <link name="frame">
    <inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><geometry><box size="0.1 0.1 0.1"/></geometry></collision>
  </link>
  <link name="leaf">
    <inertial>
      <origin xyz="0.4 0 0"/><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/>
    </inertial>
    <collision><origin xyz="0.4 0 0"/><geometry><box size="0.8 0.05 0.8"/></geometry></collision>
  </link>
  <joint name="hinge" type="revolute">
    <parent link="frame"/><child link="leaf"/><axis xyz="0 0 1"/>
    <limit lower="-1.5" upper="1.5" effort="10" velocity="10"/>
  </joint>
</robot>
"""


def write_room(path):
    return glb.write_boxes(str(path), glb.ROOM)


def camera(name, resolution=64):
    """A forward-looking camera specification, `CAMERA_HEIGHT_M` above its node."""
    specification = habitat_sim.CameraSensorSpec()
    specification.uuid = name
    specification.sensor_type = SENSORS[name]
    specification.resolution = [resolution, resolution]
    specification.position = [0.0, CAMERA_HEIGHT_M, 0.0]
    return specification


@contextmanager
def open_simulator(scene, sensors=tuple(SENSORS), navmesh=True):
    configuration = habitat_sim.SimulatorConfiguration()
    configuration.scene_id = scene
    configuration.enable_physics = True
    agent = habitat_sim.AgentConfiguration()
    agent.sensor_specifications = [camera(name) for name in sensors]
    simulator = habitat_sim.Simulator(habitat_sim.Configuration(configuration, [agent]))
    try:
        if navmesh:
            settings = habitat_sim.NavMeshSettings()
            settings.set_defaults()
            assert simulator.recompute_navmesh(simulator.pathfinder, settings)
        yield simulator
    finally:
        simulator.close()


def add_cube(simulator, position):
    """Adds a dynamic cube of 0.2 m and 1 kg at `position` (m)."""
    (template,) = simulator.get_object_template_manager().get_template_handles("cubeSolid")
    added = simulator.get_rigid_object_manager().add_object_by_template_handle(template)
    added.translation = position
    return added


def place_agent(simulator, position, rotation=(0.0, 0.0, 0.0, 1.0)):
    """Puts the agent's feet at `position` (m); `rotation` is (x, y, z, w)."""
    state = habitat_sim.AgentState()
    state.position = list(position)
    state.rotation = list(rotation)
    simulator.get_agent(0).set_state(state)
