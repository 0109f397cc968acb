"""Matrices and quaternions against NumPy and SciPy."""

import magnum as mn
import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

SQUARE = [mn.Matrix2x2, mn.Matrix3x3, mn.Matrix4x4, mn.Matrix3, mn.Matrix4, mn.Matrix3x3d, mn.Matrix3d, mn.Matrix4d]
QUATERNIONS = [
    (mn.Quaternion, mn.Vector3, mn.Matrix4, 1e-5),
    (mn.Quaterniond, mn.Vector3d, mn.Matrix4d, 1e-12),
]
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture
def rng():
    return np.random.default_rng(33)


def of_scipy(cls, rotation):
    x, y, z, w = rotation.as_quat()
    return cls((x, y, z), w)


def scipy_of(quaternion):
    return Rotation.from_quat([*quaternion.vector, quaternion.scalar])


# ---- matrices ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", SQUARE, ids=lambda cls: cls.__name__)
def test_square_matrices_do_linear_algebra(cls, rng):
    size = len(cls())
    for _ in range(20):
        a, b = rng.normal(size=(2, size, size))
        v = rng.normal(size=size)
        m, n = cls(a), cls(b)
        for found, expected in (
            (m @ n, a @ b),
            (m + n, a + b),
            (m - n, a - b),
            (-m, -a),
            (m * 2.5, a * 2.5),
            (2.5 * m, a * 2.5),
            (m / 2.5, a / 2.5),
            (m.transposed(), a.T),
        ):
            assert type(found) is cls
            np.testing.assert_allclose(found, expected, **CLOSE)
        np.testing.assert_allclose(np.array(m @ type(m[0])(v)), a @ v, **CLOSE)
        np.testing.assert_allclose(m.diagonal(), np.diag(a), **CLOSE)
        assert m.trace() == pytest.approx(np.trace(a), abs=1e-4)
        assert m.determinant() == pytest.approx(np.linalg.det(a), abs=1e-4)
        well = a + 4 * np.eye(size)
        np.testing.assert_allclose(cls(well).inverted(), np.linalg.inv(well), **CLOSE)
        orthogonal = np.linalg.qr(a)[0]
        assert cls(orthogonal).is_orthogonal()
        assert cls(orthogonal).inverted_orthogonal() == cls(orthogonal.T)
        assert not m.is_orthogonal()
        with pytest.raises(ValueError, match="orthogonal"):
            m.inverted_orthogonal()
    assert cls() == cls.identity_init() == cls(np.eye(size)) == cls.from_diagonal([1] * size)
    assert cls.zero_init() == cls(np.zeros((size, size)))
    with pytest.raises(ValueError, match="singular"):
        cls.zero_init().inverted()


def test_elements_are_indexed_by_column_then_row():
    matrix = mn.Matrix4.translation((1, 2, 3))
    assert matrix[3] == mn.Vector4(1, 2, 3, 1)
    assert matrix[3, 1] == 2
    matrix[3, 1] = 5
    matrix[-4] = (2, 0, 0, 0)
    assert np.array(matrix).tolist() == [[2, 0, 0, 1], [0, 1, 0, 5], [0, 0, 1, 3], [0, 0, 0, 1]]
    for wrong in (4, -5, (0, 4)):
        with pytest.raises(IndexError):
            matrix[wrong]


def test_a_name_is_a_constructor_on_the_class_and_a_part_on_an_instance():
    turn = mn.Matrix4.rotation(mn.Deg(30), mn.Vector3.z_axis())
    whole = mn.Matrix4.translation((1, 2, 3)) @ turn @ mn.Matrix4.scaling((2, 3, 4))
    assert whole.translation == mn.Vector3(1, 2, 3)
    assert whole.scaling() == mn.Vector3(2, 3, 4)
    assert whole.rotation() == turn.rotation_scaling() == whole.rotation_shear()
    whole.translation = (4, 5, 6)
    assert whole.translation == mn.Vector3(4, 5, 6)
    whole.translation += mn.Vector3(1, 1, 1)
    assert whole.translation == mn.Vector3(5, 6, 7)
    with pytest.raises(AttributeError):
        whole.rotation = turn
    flat = mn.Matrix3.translation((1, 2)) @ mn.Matrix3.rotation(mn.Deg(30)) @ mn.Matrix3.scaling((2, 3))
    assert flat.translation == mn.Vector2(1, 2)
    assert flat.scaling() == mn.Vector2(2, 3)
    assert flat.rotation()[0, 1] == pytest.approx(0.5)


def test_rotations_agree_with_scipy(rng):
    for _ in range(20):
        vector = rng.normal(size=3)
        angle = np.linalg.norm(vector)
        turn = Rotation.from_rotvec(vector).as_matrix()
        matrix = mn.Matrix4.rotation(mn.Rad(angle), mn.Vector3(vector / angle))
        np.testing.assert_allclose(matrix.rotation(), turn, **CLOSE)
        for axis in "xyz":
            found = getattr(mn.Matrix4, "rotation_" + axis)(mn.Rad(angle)).rotation()
            np.testing.assert_allclose(found, Rotation.from_euler(axis, angle).as_matrix(), **CLOSE)
    with pytest.raises(ValueError, match="unit length"):
        mn.Matrix4.rotation(mn.Deg(10), (0, 0, 2))


def test_points_and_vectors_are_transformed(rng):
    for _ in range(20):
        turn, translation, point = Rotation.random(random_state=rng), rng.normal(size=3), rng.normal(size=3)
        rigid = mn.Matrix4.from_(mn.Matrix3(turn.as_matrix()), translation)
        np.testing.assert_allclose(rigid.transform_point(point), turn.apply(point) + translation, **CLOSE)
        np.testing.assert_allclose(rigid.transform_vector(point), turn.apply(point), **CLOSE)
        assert rigid.is_rigid_transformation()
        np.testing.assert_allclose(rigid.inverted_rigid(), np.linalg.inv(rigid), **CLOSE)
        assert rigid.right == rigid[0].xyz
        assert rigid.up == rigid[1].xyz
        assert rigid.backward == rigid[2].xyz
    scaled = rigid @ mn.Matrix4.scaling((2, 2, 2))
    assert scaled.uniform_scaling() == pytest.approx(2)
    assert not scaled.is_rigid_transformation()
    for refused in (scaled.inverted_rigid, scaled.rotation_normalized, mn.Matrix4.scaling((1, 2, 3)).uniform_scaling):
        with pytest.raises(ValueError, match="the matrix is not"):
            refused()


def test_a_sheared_matrix_has_no_rotation():
    sheared = np.eye(4)
    sheared[0, 1] = 0.5
    with pytest.raises(ValueError, match="free of shear"):
        mn.Matrix4(sheared).rotation()


def test_look_at_looks_at_its_target(rng):
    for _ in range(20):
        eye, target = mn.Vector3(rng.normal(size=3)), mn.Vector3(rng.normal(size=3))
        camera = mn.Matrix4.look_at(eye, target, mn.Vector3.y_axis())
        assert camera.is_rigid_transformation()
        assert camera.translation == eye
        ahead = camera.inverted().transform_point(target)
        np.testing.assert_allclose(ahead, (0, 0, -(target - eye).length()), **CLOSE)
        assert camera.up.y > 0


def test_projections_map_their_corners_to_clip_space():
    near, far = 0.1, 50.0
    perspective = mn.Matrix4.perspective_projection(mn.Deg(90), 2.0, near, far)
    assert perspective.transform_point((near, near / 2, -near)) == mn.Vector3(1, 1, -1)
    assert perspective.transform_point((-far, -far / 2, -far)) == mn.Vector3(-1, -1, 1)
    assert mn.Matrix4.perspective_projection((2 * near, near), near, far) == perspective
    endless = mn.Matrix4.perspective_projection(mn.Deg(90), 2.0, near, mn.math.inf)
    assert endless.transform_point((near, near / 2, -near)) == mn.Vector3(1, 1, -1)
    assert endless.transform_point((0, 0, -1e6)).z == pytest.approx(1)
    orthographic = mn.Matrix4.orthographic_projection((4, 2), near, far)
    assert orthographic.transform_point((2, -1, -near)) == mn.Vector3(1, -1, -1)
    assert orthographic.transform_point((-2, 1, -far)) == mn.Vector3(-1, 1, 1)


def test_reflections():
    mirror = mn.Matrix4.reflection(mn.Vector3.x_axis())
    assert mirror.transform_point((1, 2, 3)) == mn.Vector3(-1, 2, 3)
    with pytest.raises(ValueError, match="unit length"):
        mn.Matrix4.reflection((2, 0, 0))


def test_repr_is_in_rows():
    assert repr(mn.Matrix3.translation((5, 6))) == "Matrix(1, 0, 5,\n       0, 1, 6,\n       0, 0, 1)"


# ---- quaternions ---------------------------------------------------------------------------------------------------

each_precision = pytest.mark.parametrize(
    ("cls", "vector", "matrix", "atol"), QUATERNIONS, ids=lambda value: getattr(value, "__name__", value)
)


@each_precision
def test_quaternions_agree_with_scipy(cls, vector, matrix, atol, rng):
    for _ in range(50):
        a, b = Rotation.random(2, random_state=rng)
        v = rng.normal(size=3)
        p, q = of_scipy(cls, a), of_scipy(cls, b)
        np.testing.assert_allclose(p.to_matrix(), a.as_matrix(), atol=atol)
        np.testing.assert_allclose((p * q).to_matrix(), (a * b).as_matrix(), atol=atol)
        np.testing.assert_allclose(p.inverted().to_matrix(), a.inv().as_matrix(), atol=atol)
        np.testing.assert_allclose(p.inverted_normalized().to_matrix(), a.inv().as_matrix(), atol=atol)
        np.testing.assert_allclose(p.transform_vector(vector(v)), a.apply(v), atol=4 * atol)
        np.testing.assert_allclose(p.transform_vector_normalized(vector(v)), a.apply(v), atol=4 * atol)
        back = cls.from_matrix(matrix.from_(p.to_matrix(), vector()).rotation())
        assert abs(mn.math.dot(back, p)) == pytest.approx(1, abs=4 * atol)


@each_precision
def test_every_branch_of_the_conversion_from_a_matrix(cls, vector, matrix, atol):
    """The largest component may be any of the four; half turns have no scalar part at all."""
    for axis in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [-1, 0.5, 0.2]):
        for degrees in (0, 1, 90, 179, 180, 181, 270, 359):
            turn = Rotation.from_rotvec(np.radians(degrees) * np.array(axis) / np.linalg.norm(axis))
            q = cls.from_matrix(matrix(np.block([[turn.as_matrix(), np.zeros((3, 1))], [0, 0, 0, 1]])).rotation())
            assert (scipy_of(q) * turn.inv()).magnitude() < 1e3 * atol
            assert q.is_normalized()


@each_precision
def test_a_rotation_is_read_back_as_angle_and_axis(cls, vector, matrix, atol):
    q = cls.rotation(mn.Deg(50), vector(0.6, 0.8, 0))
    assert float(mn.Deg(q.angle())) == pytest.approx(50, abs=1e3 * atol)
    np.testing.assert_allclose(q.axis(), (0.6, 0.8, 0), atol=10 * atol)
    assert q.is_normalized()
    assert q.length() == pytest.approx(1)
    assert float(cls.identity_init().angle()) == 0
    doubled = q * 2.0
    assert not doubled.is_normalized()
    assert doubled.normalized() == q
    assert doubled.length() == pytest.approx(2)
    np.testing.assert_allclose((doubled * doubled.inverted()).to_matrix(), np.eye(3), atol=atol)
    for refused in (doubled.angle, doubled.axis, doubled.inverted_normalized):
        with pytest.raises(ValueError, match="normalized"):
            refused()


@each_precision
def test_the_rotation_between_two_directions(cls, vector, matrix, atol, rng):
    directions = [d / np.linalg.norm(d) for d in rng.normal(size=(20, 3))]
    pairs = list(zip(directions, reversed(directions), strict=True))
    pairs += [(d, d) for d in directions] + [(d, -d) for d in directions]
    for start, end in pairs:
        turned = cls.rotation(vector(start), vector(end)).transform_vector(vector(start))
        np.testing.assert_allclose(turned, end, atol=1e3 * atol)


@each_precision
def test_slerp_agrees_with_scipy(cls, vector, matrix, atol, rng):
    for _ in range(20):
        a, b = Rotation.random(2, random_state=rng)
        between = Slerp([0, 1], Rotation.concatenate([a, b]))
        p, q = of_scipy(cls, a), of_scipy(cls, b)
        for t in (0.0, 0.3, 1.0):
            found = mn.math.slerp_shortest_path(p, q, t)
            assert (scipy_of(found) * between(t).inv()).magnitude() < 100 * atol
            assert mn.math.lerp(p, q, t).is_normalized()
        assert float(mn.math.half_angle(p, q)) == pytest.approx(np.arccos(mn.math.dot(p, q)), abs=1e3 * atol)
    assert mn.math.slerp(p, p, 0.5) == p
    assert mn.math.slerp(p, -p, 0.5) == p
    with pytest.raises(ValueError, match="normalized"):
        mn.math.slerp(p * 2.0, q, 0.5)


def test_scaled_and_mirrored_matrices_are_no_rotation():
    for wrong in (mn.Matrix3.from_diagonal((2, 2, 2)), mn.Matrix3.from_diagonal((1, 1, -1))):
        with pytest.raises(ValueError, match="not a rotation matrix"):
            mn.Quaternion.from_matrix(wrong)


def test_quaternion_parts():
    q = mn.Quaternion((1, 2, 3), 4)
    assert q == mn.Quaternion(((1, 2, 3), 4))
    assert q.xyzw == mn.Vector4(1, 2, 3, 4)
    assert q.wxyz == mn.Vector4(4, 1, 2, 3)
    assert q.conjugated() == mn.Quaternion((-1, -2, -3), 4)
    assert q.dot() == 30
    q.vector, q.scalar = (0, 0, 0), 1
    assert q == mn.Quaternion()
    assert repr(mn.Quaternion((1, 2, 3), 4)) == "Quaternion({1, 2, 3}, 4)"
