"""Vectors against NumPy."""

import magnum as mn
import numpy as np
import pytest

FLOATS = [mn.Vector2, mn.Vector3, mn.Vector4, mn.Vector2d, mn.Vector3d, mn.Vector4d]
WHOLE = [mn.Vector2i, mn.Vector3i, mn.Vector4i]
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def rng():
    return np.random.default_rng(32)


@pytest.mark.parametrize("cls", FLOATS, ids=lambda cls: cls.__name__)
def test_float_arithmetic_is_componentwise(cls, rng):
    size = len(cls())
    for _ in range(20):
        a, b = rng.uniform(0.5, 3, (2, size))
        s = rng.uniform(0.5, 3)
        u, v = cls(a), cls(b)
        for found, expected in (
            (u + v, a + b),
            (u - v, a - b),
            (u * v, a * b),
            (u / v, a / b),
            (u * s, a * s),
            (s * u, a * s),
            (u / s, a / s),
            (-u, -a),
            (u.normalized(), a / np.linalg.norm(a)),
            (u.resized(s), a * s / np.linalg.norm(a)),
            (u.projected(v), b * (a @ b) / (b @ b)),
            (u.flipped(), a[::-1]),
            (mn.math.min(u, v), np.minimum(a, b)),
            (mn.math.max(u, v), np.maximum(a, b)),
            (mn.math.clamp(u, cls(1.0), cls(2.0)), np.clip(a, 1, 2)),
            (mn.math.lerp(u, v, 0.25), 0.75 * a + 0.25 * b),
            (mn.math.fmod(u, v), np.fmod(a, b)),
            (mn.math.floor(u), np.floor(a)),
            (mn.math.sqrt(u), np.sqrt(a)),
        ):
            assert type(found) is cls
            np.testing.assert_allclose(found, expected, **CLOSE)
        for found, expected in (
            (u.length(), np.linalg.norm(a)),
            (u.dot(), a @ a),
            (mn.math.dot(u, v), a @ b),
            (u.sum(), a.sum()),
            (u.product(), a.prod()),
            (u.min(), a.min()),
            (u.max(), a.max()),
            (u.minmax(), (a.min(), a.max())),
        ):
            assert found == pytest.approx(expected, rel=1e-5)
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert float(mn.math.angle(u.normalized(), v.normalized())) == pytest.approx(np.arccos(cosine), abs=1e-3)


@pytest.mark.parametrize("cls", WHOLE, ids=lambda cls: cls.__name__)
def test_integer_arithmetic_stays_integer(cls, rng):
    size = len(cls())
    a, b = rng.integers(1, 100, (2, size))
    u, v = cls(a), cls(b)
    for found, expected in ((u + v, a + b), (u - v, a - b), (u * v, a * b), (u * 3, a * 3), (u // v, a // b)):
        assert type(found) is cls
        assert list(found) == expected.tolist()
    with pytest.raises(ZeroDivisionError):
        u // 0


def test_cross_products(rng):
    a, b = rng.normal(size=(2, 3))
    np.testing.assert_allclose(mn.math.cross(mn.Vector3(a), mn.Vector3(b)), np.cross(a, b), **CLOSE)
    assert mn.math.cross(mn.Vector2(1, 2), mn.Vector2(3, 4)) == -2


def test_components_have_names():
    vector = mn.Vector4(1, 2, 3, 4)
    assert (vector.x, vector.y, vector.z, vector.w) == (1, 2, 3, 4)
    assert vector.xyz == mn.Vector3(1, 2, 3)
    assert vector.xy == vector.xyz.xy == mn.Vector2(1, 2)
    assert vector.wzyx == mn.Vector4(4, 3, 2, 1)
    assert mn.Vector3(1, 2, 3).xz == mn.Vector2(1, 3)
    vector.y, vector[-1] = 7, 8
    vector.xy *= 2.0
    assert vector == mn.Vector4(2, 14, 3, 8)
    for wrong in ("v", "xq", "xyzwx"):
        with pytest.raises(AttributeError):
            getattr(vector, wrong)
    with pytest.raises(AttributeError):
        mn.Vector2(1, 2).z  # noqa: B018
    for wrong in (4, -5):
        with pytest.raises(IndexError):
            vector[wrong]


def test_static_constructors():
    assert mn.Vector3.x_axis() == mn.Vector3(1, 0, 0)
    assert mn.Vector3.y_axis(2.5) == mn.Vector3(0, 2.5, 0)
    assert mn.Vector3.z_scale(3) == mn.Vector3(1, 1, 3)
    assert mn.Vector3.zero_init() == mn.Vector3() == mn.Vector3(0)
    assert mn.Vector3(mn.Vector2(1, 2), 3) == mn.Vector3(1, 2, 3)
    assert mn.Vector4(mn.Vector3(1, 2, 3), 4) == mn.Vector4(1, 2, 3, 4)


def test_equality_allows_for_rounding_and_nothing_more():
    assert mn.Vector3(1, 2, 3) == mn.Vector3(1 + 1e-6, 2, 3)
    assert mn.Vector3(1, 2, 3) != mn.Vector3(1 + 1e-4, 2, 3)
    assert mn.Vector3(1e4, 0, 0) == mn.Vector3(1e4 + 0.01, 0, 0)  # relative above one
    assert mn.Vector3d(1, 2, 3) != mn.Vector3d(1 + 1e-6, 2, 3)
    assert mn.Vector3i(1, 2, 3) != mn.Vector3i(1, 2, 4)
    assert mn.Vector3(1, 2, 3) != "other"
    assert mn.Vector3(1, 2, 3) == (1, 2, 3)


def test_normalization_is_told():
    assert mn.Vector3(0.6, 0.8, 0).is_normalized()
    assert not mn.Vector3(0.6, 0.81, 0).is_normalized()
    assert mn.Vector3().is_zero()
    with pytest.raises(ValueError, match="normalized"):
        mn.math.angle(mn.Vector3(2, 0, 0), mn.Vector3(1, 0, 0))


def test_repr_shows_the_numbers():
    assert repr(mn.Vector3(1, 2.5, -3)) == "Vector(1, 2.5, -3)"
    assert repr(mn.Vector3ub(1, 2, 255)) == "Vector(1, 2, 255)"


# ---- angles --------------------------------------------------------------------------------------------------------


def test_angles_convert_to_each_other():
    assert float(mn.Rad(mn.Deg(180))) == pytest.approx(np.pi)
    assert float(mn.Deg(mn.Rad(np.pi / 2))) == pytest.approx(90)
    assert mn.Deg(90) == mn.Rad(np.pi / 2)
    assert float(mn.Rad(0.5) + mn.Deg(90)) == pytest.approx(0.5 + np.pi / 2)
    assert float(mn.Deg(30) * 2 - mn.Deg(10)) == pytest.approx(50)
    assert mn.Deg(30) / mn.Deg(10) == pytest.approx(3)
    assert mn.Deg(-30) < mn.Deg(10) < mn.Deg(30)
    assert abs(-mn.Deg(30)) == mn.Deg(30)
    assert mn.math.sin(mn.Deg(30)) == pytest.approx(0.5)
    assert float(mn.math.acos(0.5)) == pytest.approx(np.pi / 3)
    with pytest.raises(TypeError):
        mn.math.sin(0.5)  # an angle says in what it is


def test_scalar_functions():
    assert mn.math.pi == np.pi
    assert mn.math.tau == 2 * np.pi
    assert mn.math.isinf(mn.math.inf)
    assert mn.math.isnan(mn.math.nan)
    assert mn.math.fmod(7.5, 2.0) == 1.5
    assert mn.math.clamp(7.5, 0.0, 2.0) == 2.0
    assert mn.math.lerp(1.0, 3.0, 0.25) == 1.5
    assert mn.math.sign(-4.0) == -1
