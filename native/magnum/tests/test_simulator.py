"""The simulator does its work on this module: cameras, navmesh, rigid and articulated objects, lights."""

import habitat_sim
import magnum as mn
import numpy as np
import pytest
import scenes
from habitat_sim._ext import habitat_sim_bindings as bindings
from habitat_sim.physics import MotionType

FRAME_S = 1 / 60
GRAVITY_M_S2 = -9.81


@pytest.fixture
def door(simulator, tmp_path):
    """An articulated object of one hinge, its frame at (0, 1.5, 2); removed after the test."""
    path = tmp_path / "door.urdf"
    path.write_text(scenes.DOOR_URDF)
    manager = simulator.get_articulated_object_manager()
    added = manager.add_articulated_object_from_urdf(str(path), fixed_base=True)
    added.translation = (0.0, 1.5, 2.0)
    yield added
    manager.remove_object_by_id(added.object_id)


def settle(simulator, seconds):
    for _ in range(round(seconds / FRAME_S)):
        simulator.step_physics(FRAME_S)


# ---- cameras -------------------------------------------------------------------------------------------------------


def test_frames_show_the_room(simulator):
    scenes.place_agent(simulator, (0.0, 0.0, 2.0))
    frames = simulator.get_sensor_observations()
    rgb, depth, semantic = frames["rgb"], frames["depth"], frames["semantic"]
    assert (rgb.shape, rgb.dtype) == ((64, 64, 4), np.uint8)
    assert (depth.shape, depth.dtype) == ((64, 64), np.float32)
    assert (semantic.shape, semantic.dtype) == ((64, 64), np.uint32)
    assert depth[32, 32] == pytest.approx(5.0, abs=0.01)  # the green wall at z = -3 m
    # At 90 degrees the lowest row looks 1.25 m down and as far ahead; the block's front (z = 0.5 m, 1 m high) fills
    # the rows whose rays reach it above the floor.
    assert depth[63, 32] == pytest.approx(scenes.CAMERA_HEIGHT_M, abs=0.03)
    row = 32 + round(32 * 0.75 / 1.5)  # half the block's height, 1.5 m ahead
    assert depth[row, 32] == pytest.approx(1.5, abs=0.01)
    red, green = rgb[row, 32, :3].astype(int), rgb[32, 32, :3].astype(int)
    assert red.argmax() == 0
    assert green.argmax() == 1


def test_semantic_frames_show_the_ids_set_from_python(simulator, cube):
    cube.motion_type = MotionType.KINEMATIC
    cube.translation = (2.0, scenes.CAMERA_HEIGHT_M, 1.0)
    cube.semantic_id = 42
    scenes.place_agent(simulator, (2.0, 0.0, 2.0))
    frame = simulator.get_sensor_observations()["semantic"]
    assert frame[32, 32] == 42
    assert set(np.unique(frame)) == {0, 42}
    for node in cube.visual_scene_nodes:
        node.semantic_id = 7
    assert simulator.get_sensor_observations()["semantic"][32, 32] == 7


def test_points_unproject_to_rays_through_the_picture(simulator):
    scenes.place_agent(simulator, (0.0, 0.0, 2.0))
    camera = simulator._sensors["depth"]._sensor_object.render_camera
    ray = camera.unproject(mn.Vector2i(32, 32))
    np.testing.assert_allclose(ray.origin, (0, scenes.CAMERA_HEIGHT_M, 2), atol=0.02)
    np.testing.assert_allclose(np.array(ray.direction) / np.linalg.norm(ray.direction), (0, 0, -1), atol=0.05)


# ---- navmesh -------------------------------------------------------------------------------------------------------


def test_shortest_paths_go_round_the_block(simulator):
    path = habitat_sim.ShortestPath()
    path.requested_start, path.requested_end = mn.Vector3(0, 0, 2), mn.Vector3(0, 0, -2)
    assert simulator.pathfinder.find_path(path)
    points = np.array(path.points)
    assert path.geodesic_distance == pytest.approx(np.linalg.norm(np.diff(points, axis=0), axis=1).sum(), rel=1e-5)
    radius = 0.1  # of the default agent
    around = 2 * np.hypot(1 + radius, 1.5 - radius) + 2 * (0.5 + radius)
    assert path.geodesic_distance == pytest.approx(around, abs=0.15)
    assert not simulator.pathfinder.is_navigable(mn.Vector3(0, 0, 0))


def test_actions_move_the_agent_and_stop_at_walls(simulator):
    scenes.place_agent(simulator, (2.0, 0.1, 0.0))
    agent = simulator.get_agent(0)
    start = np.array(agent.get_state().position)
    simulator.step("move_forward")
    np.testing.assert_allclose(agent.get_state().position - start, (0, 0, -0.25), atol=1e-4)
    for _ in range(9):
        simulator.step("turn_left")  # 10 degrees each: from -z to -x
    simulator.step("move_forward")
    np.testing.assert_allclose(agent.get_state().position - start, (-0.25, 0, -0.25), atol=1e-3)
    for _ in range(40):
        collided = simulator.step("move_forward")["collided"]
    assert collided
    assert agent.get_state().position[0] > -3


# ---- rigid objects -------------------------------------------------------------------------------------------------


def test_a_cube_falls_and_comes_to_rest_on_the_floor(simulator, cube):
    settle(simulator, 0.2)
    assert cube.linear_velocity.y == pytest.approx(GRAVITY_M_S2 * 0.2, rel=0.1)
    settle(simulator, 2)
    np.testing.assert_allclose(cube.translation.xz, (2, 2), atol=0.02)
    assert 0.1 < cube.translation.y < 0.15  # half its height, and the collision margin of a triangle mesh (4 cm)
    assert cube.linear_velocity.length() < 0.01
    assert simulator.contact_test(cube.object_id)


def test_a_cube_takes_poses_velocities_and_forces(simulator, cube):
    turn = mn.Quaternion.rotation(mn.Deg(30), mn.Vector3.y_axis())
    cube.translation, cube.rotation = np.array([1.5, 2.0, 2.0]), turn
    assert cube.translation == mn.Vector3(1.5, 2, 2)
    assert cube.rotation == turn
    assert cube.transformation == mn.Matrix4.from_(turn.to_matrix(), (1.5, 2, 2))
    assert cube.root_scene_node.absolute_transformation() == cube.transformation
    cube.transformation = mn.Matrix4.translation((2, 2, 2))
    assert cube.rotation == mn.Quaternion()
    cube.linear_velocity, cube.angular_velocity = (0, 3, 0), mn.Vector3(0, 2, 0)
    settle(simulator, 0.25)
    assert cube.translation.y > 2
    assert float(cube.rotation.angle()) == pytest.approx(2 * 0.25, rel=0.1)
    np.testing.assert_allclose(cube.rotation.axis(), (0, 1, 0), atol=1e-3)
    cube.apply_impulse(mn.Vector3(0.5, 0, 0), mn.Vector3())  # N s, on 1 kg
    assert cube.linear_velocity.x == pytest.approx(0.5)
    for _ in range(10):
        cube.apply_force(mn.Vector3(0, 100, 0), mn.Vector3())
        simulator.step_physics(FRAME_S)
    assert cube.linear_velocity.y > 3
    cube.rotate_y_local(mn.Deg(10))
    cube.translate((0, 0.5, 0))


def test_a_kinematic_cube_stays_where_it_is_put(simulator, cube):
    cube.motion_type = MotionType.KINEMATIC
    cube.translation = (2.0, 2.0, 2.0)
    settle(simulator, 0.5)
    assert cube.translation == mn.Vector3(2, 2, 2)


def test_velocity_control_moves_a_kinematic_cube(simulator, cube):
    cube.motion_type = MotionType.KINEMATIC
    cube.translation = (0.0, 2.0, 2.0)
    control = cube.velocity_control
    control.controlling_lin_vel = control.controlling_ang_vel = control.lin_vel_is_local = True
    control.linear_velocity, control.angular_velocity = (0, 0, -1), (0, 0, 0)
    settle(simulator, 1)
    np.testing.assert_allclose(cube.translation, (0, 2, 1), atol=0.05)
    start = habitat_sim.RigidState(mn.Quaternion(), mn.Vector3(1, 2, 3))
    end = control.integrate_transform(0.5, start)
    assert end.translation == mn.Vector3(1, 2, 2.5)


def test_bounding_boxes_and_mass(cube):
    half = mn.Vector3(0.1)
    assert cube.collision_shape_aabb == mn.Range3D(-half, half)
    assert cube.root_scene_node.cumulative_bb == mn.Range3D(-half, half)
    np.testing.assert_allclose(cube.inertia_matrix, np.eye(3) / 150, rtol=1e-4)  # m a^2 / 6
    cube.mass = 3
    cube.com = (0, 0, 0)
    assert cube.mass == 3


def test_templates_are_scaled_and_instantiated(simulator):
    templates, manager = simulator.get_object_template_manager(), simulator.get_rigid_object_manager()
    template = templates.get_template_by_handle(templates.get_template_handles("cubeSolid")[0])
    template.scale = np.array([0.5, 0.1, 0.1])
    added = manager.add_object_by_template_id(templates.register_template(template, "plank"))
    assert added.collision_shape_aabb.size() == pytest.approx(mn.Vector3(1, 0.2, 0.2))
    manager.remove_object_by_handle(added.handle)
    assert not added.is_alive
    assert manager.get_num_objects() == 0


def test_rays_hit_the_cube(simulator, cube):
    cube.translation = (2.0, 0.5, 2.0)
    ray = habitat_sim.geo.Ray(mn.Vector3(2, 2, 2), mn.Vector3(0, -1, 0))
    hit = simulator.cast_ray(ray).hits[0]
    assert hit.object_id == cube.object_id
    np.testing.assert_allclose(hit.point, (2, 0.6, 2), atol=0.02)
    np.testing.assert_allclose(hit.normal, (0, 1, 0), atol=1e-3)


def test_a_constraint_holds_two_cubes_together(simulator, cube):
    """As a gripper holds an object in rearrangement tasks."""
    manager = simulator.get_rigid_object_manager()
    other = scenes.add_cube(simulator, (2.0, 1.4, 2.0))
    settings = habitat_sim.physics.RigidConstraintSettings()
    settings.constraint_type = habitat_sim.physics.RigidConstraintType.Fixed
    settings.object_id_a, settings.object_id_b = cube.object_id, other.object_id
    settings.pivot_a, settings.pivot_b = mn.Vector3(0, 0.2, 0), mn.Vector3(0, -0.2, 0)
    settings.frame_a, settings.frame_b = mn.Matrix3.identity_init(), other.rotation.to_matrix()
    settings.max_impulse = 1000
    constraint = simulator.create_rigid_constraint(settings)
    settle(simulator, 0.5)
    assert (other.translation - cube.translation).length() == pytest.approx(0.4, abs=0.05)
    simulator.update_rigid_constraint(constraint, settings)
    simulator.remove_rigid_constraint(constraint)
    manager.remove_object_by_id(other.object_id)


# ---- articulated objects -------------------------------------------------------------------------------------------


def test_a_link_turns_about_its_joint(door):
    link = door.get_link_scene_node(0)
    assert type(link) is type(door.root_scene_node)
    np.testing.assert_allclose(link.absolute_translation, (0.4, 1.5, 2), atol=1e-5)
    door.joint_positions = [1.0]
    np.testing.assert_allclose(link.absolute_translation, (0.4 * np.cos(1), 1.5 + 0.4 * np.sin(1), 2), atol=1e-4)
    door.rotation = mn.Quaternion.rotation(mn.Deg(90), mn.Vector3.y_axis())
    np.testing.assert_allclose(link.absolute_translation, (0, 1.5 + 0.4 * np.sin(1), 2 - 0.4 * np.cos(1)), atol=1e-4)
    door.transformation = mn.Matrix4.translation((0, 2, 2))
    assert door.translation == mn.Vector3(0, 2, 2)


def test_a_door_falls_about_its_hinge(simulator, door):
    settle(simulator, 1)
    assert door.joint_positions[0] < -0.5
    settings = habitat_sim.physics.JointMotorSettings(1.0, 0.3, 1.0, 0.3, 50.0)
    door.create_joint_motor(0, settings)
    settle(simulator, 2)
    assert door.joint_positions[0] == pytest.approx(1.0, abs=0.2)


def test_habitat_sims_mobile_manipulator_stands_on_an_articulated_object(simulator, tmp_path):
    """Its base pose, joints, gripper frame and the cameras on its links are magnum arithmetic all through."""
    from habitat_sim.robots.mobile_manipulator import MobileManipulator, MobileManipulatorParams, RobotCameraParams

    path = tmp_path / "robot.urdf"
    path.write_text(scenes.DOOR_URDF)
    params = MobileManipulatorParams(
        arm_joints=[0],
        gripper_joints=[],
        wheel_joints=None,
        arm_init_params=np.array([0.5]),
        gripper_init_params=None,
        ee_offset=mn.Vector3(0.4, 0, 0),
        ee_link=0,
        ee_constraint=np.zeros((3, 2)),
        cameras={
            "head": RobotCameraParams(
                cam_offset_pos=mn.Vector3(0, 0.5, 0),
                cam_look_at_pos=mn.Vector3(1, 0.5, 0),
                attached_link_id=-1,
                relative_transform=mn.Matrix4.identity_init(),
            )
        },
        gripper_closed_state=np.zeros(0),
        gripper_open_state=np.zeros(0),
        gripper_state_eps=0.001,
        arm_mtr_pos_gain=0.3,
        arm_mtr_vel_gain=0.3,
        arm_mtr_max_impulse=10.0,
        wheel_mtr_pos_gain=0.0,
        wheel_mtr_vel_gain=0.0,
        wheel_mtr_max_impulse=0.0,
        base_offset=mn.Vector3(0, -1, 0),
        base_link_names={"frame"},
    )
    robot = MobileManipulator(params, str(path), simulator)
    robot.reconfigure()
    robot.base_pos = mn.Vector3(1, 0, 2)
    robot.base_rot = 0.5
    assert robot.base_pos == mn.Vector3(1, 0, 2)
    assert float(robot.base_rot) == pytest.approx(0.5, abs=1e-4)
    robot.arm_joint_pos = np.array([0.25])
    robot.update()
    # The gripper's frame lies 0.4 m beyond the middle of the leaf.
    reach = 0.8 * np.cos(0.25)
    expected = (1 + reach * np.cos(0.5), 1 + 0.8 * np.sin(0.25), 2 - reach * np.sin(0.5))
    np.testing.assert_allclose(robot.ee_transform.translation, expected, atol=1e-3)
    simulator.get_articulated_object_manager().remove_all_objects()


# ---- the rest ------------------------------------------------------------------------------------------------------


def test_lights_take_vectors_and_colors(simulator):
    lights = [
        habitat_sim.gfx.LightInfo(
            vector=mn.Vector4(0, 2, 0, 1),
            color=mn.Color3(1, 0.5, 0.25),
            model=habitat_sim.gfx.LightPositionModel.Global,
        )
    ]
    simulator.set_light_setup(lights, "lamp")
    (read,) = simulator.get_light_setup("lamp")
    assert read.vector == mn.Vector4(0, 2, 0, 1)
    assert read.color == mn.Color3(1, 0.5, 0.25)


def test_a_trajectory_becomes_a_mesh_in_the_scene(simulator):
    points = [mn.Vector3(2, 1, z) for z in np.linspace(2, 1, 5)]
    added = simulator.add_trajectory_object("path", points, color=mn.Color4.red(), radius=0.05)
    assert added >= 0
    scenes.place_agent(simulator, (2.0, -0.25, 2.5))
    row = simulator.get_sensor_observations()["depth"][32]
    assert row[32] == pytest.approx(0.45, abs=0.06)


def test_templates_take_and_return_our_types():
    attributes = habitat_sim.attributes.ObjectAttributes()
    attributes.scale, attributes.com, attributes.orient_up = (1, 2, 3), np.array([0.1, 0, 0]), mn.Vector3.z_axis()
    assert attributes.scale == mn.Vector3(1, 2, 3)
    assert attributes.com == mn.Vector3(0.1, 0, 0)
    assert attributes.orient_up == mn.Vector3.z_axis()
    light = bindings.LightInstanceAttributes()
    light.spot_inner_cone_angle = mn.Deg(90)
    assert light.spot_inner_cone_angle == mn.Rad(np.pi / 2)
