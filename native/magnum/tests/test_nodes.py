"""Scene graph nodes: what Python sets is what the simulator moves and renders."""

import habitat_sim
import magnum as mn
import numpy as np
import pytest
import scenes
from habitat_sim._ext import habitat_sim_bindings as bindings
from scipy.spatial.transform import Rotation

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def chain(root, length):
    """Nodes below `root`, each the child of the one before."""
    nodes = []
    for _ in range(length):
        nodes.append((nodes[-1] if nodes else root).create_child())
    return nodes


def random_pose(rng):
    """Translation (m), unit quaternion (x, y, z, w) and scaling, three arrays."""
    return rng.uniform(-3, 3, 3), Rotation.random(random_state=rng).as_quat(), rng.uniform(0.5, 2, 3)


def set_pose(node, translation, rotation, scaling):
    node.translation, node.scaling = translation, scaling
    node.rotation = mn.Quaternion(rotation[:3], rotation[3])


def pose_matrix(translation, rotation, scaling):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(rotation).as_matrix() @ np.diag(scaling)
    matrix[:3, 3] = translation
    return matrix


def quaternion_of(node):
    return Rotation.from_quat([*node.rotation.vector, node.rotation.scalar])


@pytest.fixture
def rng():
    return np.random.default_rng(20)


# ---- propagation ---------------------------------------------------------------------------------------------------


def test_absolute_transformations_are_products_along_the_chain(root, rng):
    nodes = chain(root, 4)
    poses = [random_pose(rng) for _ in nodes]
    for node, pose in zip(nodes, poses, strict=True):
        set_pose(node, *pose)
    for changed in range(len(nodes)):
        poses[changed] = random_pose(rng)
        set_pose(nodes[changed], *poses[changed])
        expected = np.eye(4)
        for node, pose in zip(nodes, poses, strict=True):
            expected = expected @ pose_matrix(*pose)
            np.testing.assert_allclose(node.transformation, pose_matrix(*pose), **CLOSE)
            np.testing.assert_allclose(node.absolute_transformation(), expected, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(node.absolute_transformation_matrix(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("moved", [0, 1, 2], ids=["grandparent", "parent", "node"])
def test_a_camera_follows_its_node_and_those_above(root, rng, moved):
    nodes = chain(root, 3)
    habitat_sim.SensorFactory.create_sensors(nodes[-1], [scenes.camera("depth")])
    sensor = nodes[-1].node_sensors["depth"]
    sensor.node.translation = (0, 0, 0)
    for _ in range(3):
        translation, rotation, _ = random_pose(rng)
        set_pose(nodes[moved], translation, rotation, np.ones(3))
        expected = np.linalg.inv(pose_matrix(translation, rotation, np.ones(3)))
        np.testing.assert_allclose(sensor.render_camera.camera_matrix, expected, **CLOSE)
        assert sensor.render_camera.object is sensor.node


def test_the_picture_follows_a_grandparent(simulator, root):
    grandparent, parent = chain(root, 2)
    agent = simulator.get_agent(0).scene_node
    scenes.place_agent(simulator, (0.0, 0.0, 0.0))
    agent.parent = parent

    def depth_ahead():
        return simulator.get_sensor_observations()["depth"][32, 32]

    try:
        assert depth_ahead() == pytest.approx(3.0, abs=0.01)  # the wall at z = -3 m, over the block
        grandparent.translation = (0, 0, 2)
        assert depth_ahead() == pytest.approx(5.0, abs=0.01)
        grandparent.rotate_y(mn.Deg(90))  # now it looks along -x, from z = 2 m
        assert depth_ahead() == pytest.approx(3.0, abs=0.01)
        parent.translation = (0, 0, 1)  # a metre along the grandparent's z axis: the scene's x
        assert depth_ahead() == pytest.approx(4.0, abs=0.01)
    finally:
        agent.parent = root


def test_a_change_makes_the_nodes_below_dirty(root):
    parent, child = chain(root, 2)
    child.set_clean()
    assert not parent.is_dirty
    assert not child.is_dirty
    parent.translate((1, 0, 0))
    assert child.is_dirty
    child.set_clean()
    assert not parent.is_dirty


def test_camera_properties_are_those_of_the_specification(simulator):
    camera = simulator._sensors["rgb"]._sensor_object.render_camera
    assert isinstance(camera, mn.scenegraph.Camera3D)
    near, far = 0.01, 1000.0
    expected = mn.Matrix4.perspective_projection(mn.Deg(90), 1.0, near, far)
    np.testing.assert_allclose(camera.projection_matrix, expected, **CLOSE)
    assert camera.viewport == mn.Vector2i(64, 64)
    assert camera.aspect_ratio_policy == mn.scenegraph.AspectRatioPolicy.EXTEND


# ---- relative and absolute changes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", "xyz")
def test_local_rotations_are_about_the_nodes_own_axes(root, rng, axis):
    turn = Rotation.from_euler(axis, 40, degrees=True)
    unit = getattr(mn.Vector3, axis + "_axis")()
    (node,) = chain(root, 1)
    _, rotation, _ = random_pose(rng)
    start = Rotation.from_quat(rotation)

    def turned(operation, *arguments):
        set_pose(node, (1, 2, 3), rotation, (1, 1, 1))
        getattr(node, operation)(*arguments)
        assert node.translation == mn.Vector3(1, 2, 3)
        return quaternion_of(node)

    quaternion = mn.Quaternion.rotation(mn.Deg(40), unit)
    for found in (
        turned("rotate_" + axis, mn.Deg(40)),
        turned("rotate", mn.Deg(40), unit),
        turned("rotate", quaternion),
    ):
        assert (found * (turn * start).inv()).magnitude() < 1e-5
    for found in (
        turned(f"rotate_{axis}_local", mn.Deg(40)),
        turned("rotate_local", mn.Deg(40), unit),
        turned("rotate_local", quaternion),
    ):
        assert (found * (start * turn).inv()).magnitude() < 1e-5
    assert ((turn * start) * (start * turn).inv()).magnitude() > 0.1  # so the two were told apart


@pytest.mark.parametrize("operation", ["translate", "translate_local"])
def test_translations_add_up_in_the_parents_frame(root, operation):
    """Both: nodes of this kind keep translation and rotation apart, and habitat_sim's move_forward relies on it."""
    (node,) = chain(root, 1)
    node.rotation = mn.Quaternion.rotation(mn.Deg(90), mn.Vector3.y_axis())
    for _ in range(2):
        getattr(node, operation)((0, 0, 1))
    assert node.translation == mn.Vector3(0, 0, 2)


def test_the_scene_itself_does_not_move(root):
    scene = root.parent
    for change in ("translation", "scaling"):
        with pytest.raises(ValueError, match="root of a scene"):
            setattr(scene, change, (1, 2, 3))
    with pytest.raises(ValueError, match="root of a scene"):
        scene.transformation = mn.Matrix4.translation((1, 2, 3))
    with pytest.raises(ValueError, match="root of a scene"):
        scene.rotation = mn.Quaternion()
    scene.translate((1, 2, 3))  # the simulator's own code ignores it
    assert scene.absolute_transformation() == mn.Matrix4.identity_init()


def test_scaling_multiplies_and_reset_undoes_all(root):
    (node,) = chain(root, 1)
    node.scale((2, 3, 4))
    node.scale_local((2, 1, 0.5))
    assert node.scaling == mn.Vector3(4, 3, 2)
    node.reset_transformation()
    assert node.transformation == mn.Matrix4.identity_init()


def test_a_transformation_with_rotation_and_scaling_is_taken_apart(root, rng):
    (node,) = chain(root, 1)
    for _ in range(50):
        translation, rotation, scaling = random_pose(rng)
        node.transformation = pose_matrix(translation, rotation, scaling)
        np.testing.assert_allclose(node.translation, translation, **CLOSE)
        np.testing.assert_allclose(node.scaling, scaling, **CLOSE)
        assert (quaternion_of(node) * Rotation.from_quat(rotation).inv()).magnitude() < 1e-5
        np.testing.assert_allclose(node.transformation, pose_matrix(translation, rotation, scaling), **CLOSE)


@pytest.mark.parametrize(
    "linear",
    [
        [[1, 0.5, 0], [0, 1, 0], [0, 0, 1]],
        np.diag([1, 1, -1]),
        np.diag([1, 0, 1]),
        np.full((3, 3), np.nan),
    ],
    ids=["shear", "mirror", "flat", "nan"],
)
def test_what_a_node_cannot_hold_is_refused(root, linear):
    (node,) = chain(root, 1)
    node.translation = (1, 2, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    with pytest.raises(ValueError, match="translation, rotation and scaling only"):
        node.transformation = matrix
    assert node.transformation == mn.Matrix4.translation((1, 2, 3))


def test_rotations_must_be_normalized_or_nearly(root):
    (node,) = chain(root, 1)
    node.rotation = mn.Quaternion((0, 0.7071, 0), 0.7071)  # as an episode file rounds it
    assert node.rotation.is_normalized()
    np.testing.assert_allclose(node.transformation.scaling(), (1, 1, 1), **CLOSE)
    for wrong in (mn.Quaternion((0, 1, 0), 1), mn.Quaternion.zero_init(), mn.Quaternion((0, np.nan, 0), 1)):
        with pytest.raises(ValueError, match="normalized"):
            node.rotation = wrong
        with pytest.raises(ValueError, match="normalized"):
            node.rotate(wrong)
    with pytest.raises(ValueError, match="unit length"):
        node.rotate(mn.Deg(10), (0, 2, 0))


@pytest.mark.parametrize("value", [(1, 2, 3), [1, 2.5, 3], np.array([1, 2, 3]), np.float32([1, 2, 3])])
def test_translations_come_as_tuples_lists_and_arrays(root, value):
    (node,) = chain(root, 1)
    node.translation = value
    np.testing.assert_array_equal(node.translation, np.asarray(value, np.float32))


# ---- parents -------------------------------------------------------------------------------------------------------


def test_a_node_keeps_its_class_and_identity(simulator, root):
    (node,) = chain(root, 1)
    assert type(node) is type(node.parent) is bindings.SceneNode
    assert node.parent is root
    assert simulator.get_agent(0).scene_node.parent is root
    # Above the root node is the scene itself, of which the bindings have no class.
    assert type(root.parent) is mn.scenegraph.trs.Object3D
    assert root.parent.parent is None


def test_many_changes_of_parent_leave_a_proper_tree(root, rng):
    nodes = [root.create_child() for _ in range(30)]
    matrices = []
    for node in nodes:
        translation, rotation, _ = random_pose(rng)
        set_pose(node, translation, rotation, np.ones(3))
        matrices.append(pose_matrix(translation, rotation, np.ones(3)))
    above = dict.fromkeys(range(30))  # index of the parent, None for the root

    def ancestors(index):
        while index is not None:
            yield index
            index = above[index]

    refused = 0
    for _ in range(1000):
        child, parent = (int(i) for i in rng.integers(0, 30, 2))
        if child in ancestors(parent):
            refused += 1
            with pytest.raises(ValueError, match="descendant"):
                nodes[child].parent = nodes[parent]
        elif rng.random() < 0.2:
            nodes[child].parent, above[child] = root, None
        else:
            nodes[child].parent, above[child] = nodes[parent], parent
    assert refused > 50
    for index, node in enumerate(nodes):
        expected = np.eye(4)
        for i in ancestors(index):
            expected = matrices[i] @ expected
        np.testing.assert_allclose(node.absolute_transformation(), expected, rtol=1e-3, atol=1e-3)
        assert node.parent is (root if above[index] is None else nodes[above[index]])


def test_a_node_is_never_left_without_a_parent(root):
    (node,) = chain(root, 1)
    with pytest.raises(ValueError, match="needs a parent"):
        node.parent = None
    with pytest.raises(ValueError, match="root of a scene"):
        root.parent.parent = node
    assert node.parent is root


# ---- features ------------------------------------------------------------------------------------------------------


def test_features_outlive_their_node(simulator):
    cube = scenes.add_cube(simulator, (2.0, 0.1, 2.0))
    node = cube.root_scene_node
    features = [mn.scenegraph.AbstractFeature3D(node) for _ in range(5)]
    assert all(feature.object is node for feature in features)
    del features[4], features[2], features[0]  # the last, one between and the first leave the node
    assert all(feature.object is node for feature in features)
    simulator.get_rigid_object_manager().remove_object_by_id(cube.object_id)
    assert [feature.object for feature in features] == [None, None]
    simulator.step_physics(1 / 60)
    simulator.get_sensor_observations()


def test_a_node_outlives_its_features(simulator, root):
    (node,) = chain(root, 1)
    for _ in range(1000):
        mn.scenegraph.AbstractFeature3D(node)
    node.translate((0, 1, 0))
    assert node.absolute_transformation().translation == mn.Vector3(0, 1, 0)


def test_habitat_sim_notices_that_an_agents_node_is_gone(room):
    with scenes.open_simulator(room, navmesh=False) as simulator:
        agent = simulator.get_agent(0)
        assert agent.body.object is agent.scene_node
    assert agent.body.object is None
    with pytest.raises(habitat_sim.errors.InvalidAttachedObject):
        agent.get_state()
