"""Colours and axis-aligned ranges."""

import colorsys
import itertools

import magnum as mn
import numpy as np
import pytest

RANGES = [
    (mn.Range2D, mn.Vector2),
    (mn.Range2Dd, mn.Vector2d),
    (mn.Range2Di, mn.Vector2i),
    (mn.Range3D, mn.Vector3),
    (mn.Range3Dd, mn.Vector3d),
    (mn.Range3Di, mn.Vector3i),
]
each_range = pytest.mark.parametrize(("cls", "vector"), RANGES, ids=lambda cls: cls.__name__)


# ---- colours -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rgb"),
    [
        ("red", (1, 0, 0)),
        ("green", (0, 1, 0)),
        ("blue", (0, 0, 1)),
        ("cyan", (0, 1, 1)),
        ("magenta", (1, 0, 1)),
        ("yellow", (1, 1, 0)),
    ],
)
def test_primary_colors(name, rgb):
    assert getattr(mn.Color3, name)() == mn.Color3(*rgb)
    assert getattr(mn.Color4, name)() == mn.Color4(*rgb, 1)
    assert getattr(mn.Color4, name)(alpha=0.25) == mn.Color4(*rgb, 0.25)
    # Of one channel, its strength; of two, how much of the third is mixed in.
    expected = np.array(rgb) * 0.5 if sum(rgb) == 1 else np.where(rgb, 1, 0.5)
    np.testing.assert_allclose(getattr(mn.Color3, name)(0.5), expected)


def test_hue_saturation_and_value():
    for hue, saturation, value in itertools.product(range(0, 360, 15), (0, 0.3, 1), (0, 0.5, 1)):
        expected = colorsys.hsv_to_rgb(hue / 360, saturation, value)
        np.testing.assert_allclose(mn.Color3.from_hsv(mn.Deg(hue), saturation, value), expected, atol=1e-5)
        np.testing.assert_allclose(mn.Color3.from_hsv(mn.Deg(hue - 360), saturation, value), expected, atol=1e-5)
        np.testing.assert_allclose(mn.Color4.from_hsv(mn.Deg(hue), saturation, value, 0.5), (*expected, 0.5), atol=1e-5)


def test_srgb_curve():
    """The curve of IEC 61966-2-1 has these values; each byte comes back as itself."""
    for code, linear in ((0x000000, 0.0), (0x050505, 0.001518), (0x808080, 0.215861), (0xFFFFFF, 1.0)):
        np.testing.assert_allclose(mn.Color3.from_srgb(code), [linear] * 3, atol=1e-6)
    for byte in range(256):
        code = byte << 16 | (255 - byte) << 8 | 0x33
        assert mn.Color3.from_srgb(code).to_srgb_int() == code
        assert mn.Color3.from_linear_rgb_int(code).to_linear_rgb_int() == code
    assert mn.Color4.from_srgb(0x808080, 0.5).a == 0.5
    assert mn.Color4(1, 0.5, 0, 1).to_linear_rgb_int() == 0xFF8000FF
    assert mn.Color3(2, -1, 0).to_linear_rgb_int() == 0xFF0000  # out of range is clamped


def test_colors_are_vectors_and_stay_colors():
    color = mn.Color4(0.1, 0.2, 0.3)
    assert isinstance(color, mn.Vector4)
    assert (color.r, color.g, color.b, color.a) == pytest.approx((0.1, 0.2, 0.3, 1))
    assert color.rgb == mn.Color3(0.1, 0.2, 0.3)
    assert type(color * 0.5) is type(color + color) is mn.Color4
    assert type(mn.Color3(1) * mn.Color3(0.5)) is mn.Color3
    assert mn.Color4(mn.Color3(0.1, 0.2, 0.3), 0.5) == mn.Color4(0.1, 0.2, 0.3, 0.5)
    assert mn.Color4(mn.Vector4(1, 2, 3, 4)) == mn.Color4(1, 2, 3, 4)
    assert mn.Color3(np.array([1, 2, 3])) == mn.Color3((1, 2, 3)) == mn.Color3(1, 2, 3)
    color.g = 0.9
    assert color[1] == pytest.approx(0.9)


def test_a_colour_of_three_gets_full_opacity_where_four_are_wanted(simulator):
    lines = simulator.get_debug_line_render()
    for color in (mn.Color4.red(), mn.Color3(1, 0, 0), mn.Vector3(1, 0, 0), (1.0, 0.0, 0.0, 1.0)):
        lines.draw_box((0, 0, 0), (1, 1, 1), color)


# ---- ranges --------------------------------------------------------------------------------------------------------


@each_range
def test_ranges_know_their_parts(cls, vector):
    size = len(vector())
    low, high = vector([-2] * size), vector([4] * size)
    box = cls(low, high)
    assert box.min == low
    assert box.max == high
    assert box.size() == vector([6] * size)
    assert box.center() == vector([1] * size)
    assert (box.left, box.right, box.bottom, box.top) == (-2, 4, -2, 4)
    assert (box.center_x(), box.size_y()) == (1, 6)
    assert box == cls((low, high)) == cls.from_size(low, vector([6] * size))
    assert box == cls.from_center(vector([1] * size), vector([3] * size))
    assert box.translated(vector([1] * size)) == cls(vector([-1] * size), vector([5] * size))
    assert box.padded(vector([1] * size)) == cls(vector([-3] * size), vector([5] * size))
    assert box.scaled(vector([2] * size)) == cls(vector([-4] * size), vector([8] * size))
    box.left, box.max = -3, vector([5] * size)
    assert box.size_x() == 8
    assert cls() == cls.zero_init() == cls(vector(), vector())
    assert box != cls()


@each_range
def test_a_range_holds_its_minimum_and_not_its_maximum(cls, vector):
    size = len(vector())
    box = cls(vector([0] * size), vector([4] * size))
    assert box.contains(vector([0] * size))
    assert box.contains(vector([3] * size))
    assert not box.contains(vector([4] * size))
    assert not box.contains(vector([-1] + [1] * (size - 1)))
    assert box.contains(box)
    assert box.contains(cls(vector([1] * size), vector([3] * size)))
    assert not box.contains(cls(vector([1] * size), vector([5] * size)))


@each_range
def test_joins_and_intersections(cls, vector):
    size = len(vector())
    a = cls(vector([0] * size), vector([4] * size))
    b = cls(vector([2] * size), vector([6] * size))
    beside = cls(vector([4] * size), vector([5] * size))
    assert mn.math.join(a, b) == cls(vector([0] * size), vector([6] * size))
    assert mn.math.intersects(a, b)
    assert mn.math.intersect(a, b) == cls(vector([2] * size), vector([4] * size))
    assert not mn.math.intersects(a, beside)
    assert mn.math.intersect(a, beside) == cls()


def test_corners_of_a_box_are_told_by_side():
    box = mn.Range3D((0, 1, 2), (10, 11, 12))
    corners = {
        f"{depth}_{height}_{side}": (x, y, z)
        for depth, z in (("back", 2), ("front", 12))
        for height, y in (("bottom", 1), ("top", 11))
        for side, x in (("left", 0), ("right", 10))
    }
    for name, corner in corners.items():
        assert getattr(box, name) == mn.Vector3(corner)
    assert mn.Range2D((0, 1), (2, 3)).top_left == mn.Vector2(0, 3)
    assert box.scaled_from_center((0.5, 1, 2)) == mn.Range3D((2.5, 1, -3), (7.5, 11, 17))
    assert repr(mn.Range2D((0, 1), (2, 3))) == "Range({0, 1}, {2, 3})"
