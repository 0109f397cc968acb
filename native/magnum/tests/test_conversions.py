"""Numbers in and out: tuples, lists, buffers and NumPy arrays, whatever their type and strides."""

import copy
import pickle

import magnum as mn
import numpy as np
import pytest

SIZES = {"Vector2": 2, "Vector3": 3, "Vector4": 4}
TYPES = {"": np.float32, "d": np.float64, "i": np.int32, "ui": np.uint32}
VECTORS = [(getattr(mn, name + suffix), size, dtype) for name, size in SIZES.items() for suffix, dtype in TYPES.items()]
VECTORS.append((mn.Vector3ub, 3, np.uint8))
MATRICES = [
    (getattr(mn, name + suffix), size, dtype)
    for name, size in (("Matrix2x2", 2), ("Matrix3x3", 3), ("Matrix4x4", 4), ("Matrix3", 3), ("Matrix4", 4))
    for suffix, dtype in (("", np.float32), ("d", np.float64))
]
SOURCES = [np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]

vectors = pytest.mark.parametrize(
    ("cls", "size", "dtype"), VECTORS, ids=lambda value: getattr(value, "__name__", value)
)
matrices = pytest.mark.parametrize(
    ("cls", "size", "dtype"), MATRICES, ids=lambda value: getattr(value, "__name__", value)
)


@pytest.fixture
def rng():
    return np.random.default_rng(31)


def layouts(array):
    """The same numbers laid out in memory in different ways."""
    yield array
    yield np.asfortranarray(array)
    yield array[..., ::-1].copy()[..., ::-1]  # negative strides
    padded = np.zeros([2 * n for n in array.shape], array.dtype)
    padded[tuple(slice(None, None, 2) for _ in array.shape)] = array
    yield padded[tuple(slice(None, None, 2) for _ in array.shape)]


@vectors
def test_vectors_make_the_round_trip_through_numpy(cls, size, dtype, rng):
    for _ in range(20):
        values = rng.integers(0, 100, size).astype(dtype)
        for array in layouts(values):
            vector = cls(array)
            back = np.array(vector)
            assert back.dtype == dtype
            assert back.shape == (size,)
            np.testing.assert_array_equal(back, values)
            assert list(vector) == values.tolist()
            assert len(vector) == size
            assert cls(values.tolist()) == cls(tuple(values.tolist())) == vector


@matrices
def test_matrices_make_the_round_trip_through_numpy(cls, size, dtype, rng):
    for _ in range(20):
        values = rng.normal(size=(size, size)).astype(dtype)
        for array in layouts(values):
            matrix = cls(array)
            back = np.array(matrix)
            assert back.dtype == dtype
            np.testing.assert_array_equal(back, values)
            for column in range(size):
                np.testing.assert_array_equal(matrix[column], values[:, column])
                for row in range(size):
                    assert matrix[column, row] == values[row, column]
            assert cls(values.T.tolist()) == matrix  # a list is of columns
            if size > 2:
                assert cls(*values.T.tolist()) == matrix


@pytest.mark.parametrize("source", SOURCES, ids=lambda dtype: dtype.__name__)
def test_any_plain_number_type_becomes_a_float_vector(source):
    array = np.array([1, 2, 3], source)
    assert mn.Vector3(array) == mn.Vector3(1, 2, 3)
    assert mn.Vector3d(array) == mn.Vector3d(1, 2, 3)
    assert mn.Vector3([*array]) == mn.Vector3(1, 2, 3)  # of NumPy scalars


@pytest.mark.parametrize("source", SOURCES[2:], ids=lambda dtype: dtype.__name__)
def test_integers_keep_their_value_or_are_refused(source):
    limits, widest = np.iinfo(source), np.iinfo(np.int32)
    for value in (limits.min, limits.max):
        array = np.array([value, 0, 1], source)
        if widest.min <= value <= widest.max:
            assert list(mn.Vector3i(array)) == [value, 0, 1]
        else:
            with pytest.raises(TypeError):
                mn.Vector3i(array)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros(2),
        np.zeros(4),
        np.zeros((1, 3)),
        np.zeros((3, 1)),
        np.zeros(3, complex),
        np.zeros(3, bool),
        np.zeros(3, ">f4"),
        np.zeros(3, [("x", "f4")]),
        np.array(["a", "b", "c"]),
        (1, 2),
        (1, 2, 3, 4),
        (1, 2, "3"),
        (1, 2, None),
        ((1, 2), 3),
        "abc",
        b"ab",
        None,
    ],
    ids=repr,
)
def test_what_is_not_three_numbers_is_no_vector(wrong):
    with pytest.raises(TypeError):
        mn.Vector3(wrong)
    with pytest.raises(TypeError):
        mn.Matrix4.translation(wrong)


@pytest.mark.parametrize("wrong", [(1.5, 2, 3), np.zeros(3, np.float32), [np.float64(1), 2, 3]], ids=repr)
def test_floats_do_not_turn_into_integers(wrong):
    with pytest.raises(TypeError):
        mn.Vector3i(wrong)


@pytest.mark.parametrize("wrong", [np.zeros((3, 3)), np.zeros((4, 3)), np.zeros(16), [[1, 2, 3, 4]] * 3, 5 * [None]])
def test_what_is_not_four_by_four_is_no_matrix(wrong):
    with pytest.raises(TypeError):
        mn.Matrix4(wrong)


def test_an_array_can_be_a_view_on_a_vector():
    vector = mn.Vector3(1, 2, 3)
    view = np.asarray(vector)
    view[1] = 5
    assert vector == mn.Vector3(1, 5, 3)
    del vector
    assert view.tolist() == [1, 5, 3]


def test_numpy_functions_take_vectors():
    a, b = mn.Vector3(1, 2, 3), mn.Vector3(4, 5, 6)
    assert np.linalg.norm(b - a) == pytest.approx(27**0.5)
    assert np.dot(a, b) == 32
    assert np.isfinite(a).all()
    np.testing.assert_array_equal(np.stack([a, b]), [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    "value",
    [
        mn.Vector2(1, 2),
        mn.Vector3d(1, 2, 3),
        mn.Vector4i(1, 2, 3, 4),
        mn.Color3(0.1, 0.2, 0.3),
        mn.Color4(0.1, 0.2, 0.3, 0.4),
        mn.Matrix3.rotation(mn.Deg(30)),
        mn.Matrix4.translation((1, 2, 3)),
        mn.Quaternion.rotation(mn.Deg(30), mn.Vector3.x_axis()),
        mn.Range3D((0, 0, 0), (1, 2, 3)),
        mn.Rad(0.5),
        mn.Deg(30),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_copied_deeply_and_pickled(value):
    for copied in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value)), type(value)(value)):
        assert copied == value
        assert copied is not value
        assert type(copied) is type(value)


@pytest.mark.parametrize("name", SIZES)
def test_vectors_convert_between_number_types_on_request_only(name):
    size = SIZES[name]
    single, wide, whole = getattr(mn, name), getattr(mn, name + "d"), getattr(mn, name + "i")
    assert list(whole(single([2.75] * size))) == [2] * size
    assert list(wide(single([0.5] * size))) == [0.5] * size
    assert list(single(whole([-3] * size))) == [-3.0] * size
    assert single([1.5] * size) + whole([1] * size) == single(
        [2.5] * size
    )  # as arrays of integers are taken for floats
    with pytest.raises(TypeError):
        mn.ImageView2D(mn.PixelFormat.R8_UNORM, mn.Vector2(4, 4))  # takes a Vector2i


def test_quaternions_and_matrices_convert_between_precisions():
    turn = mn.Quaterniond.rotation(mn.Deg(30), mn.Vector3d.x_axis())
    assert mn.Quaterniond(mn.Quaternion(turn)).to_matrix()[0, 0] == 1.0
    assert mn.Quaternion(turn) == mn.Quaternion.rotation(mn.Deg(30), mn.Vector3.x_axis())
    matrix = mn.Matrix4d.translation((1, 2, 3))
    assert mn.Matrix4d(mn.Matrix4(matrix)) == matrix
    assert mn.Matrix3d(mn.Matrix3.rotation(mn.Deg(90)))[0, 1] == pytest.approx(1)


def test_habitat_sims_quaternions_make_the_round_trip():
    from habitat_sim.utils.common import quat_from_magnum, quat_to_magnum, random_quaternion

    turn = random_quaternion()
    assert quat_to_magnum(quat_from_magnum(turn)) == turn
