"""Image views: a description of pixels and somebody else's memory, which must be large enough and stay."""

import gc
import weakref

import magnum as mn
import numpy as np
import pytest
import scenes

VIEWS = [mn.ImageView2D, mn.MutableImageView2D]
RGBA = mn.PixelFormat.RGBA8_UNORM
each_view = pytest.mark.parametrize("cls", VIEWS, ids=lambda cls: cls.__name__)


@each_view
def test_a_view_describes_its_buffer(cls):
    pixels = np.arange(4 * 6 * 4, dtype=np.uint8).reshape(4, 6, 4)
    view = cls(RGBA, (6, 4), pixels)
    assert view.size == mn.Vector2i(6, 4)
    assert view.format == RGBA
    assert view.pixel_size == 4
    assert view.owner is pixels
    assert bytes(view.data) == pixels.tobytes()
    assert view.data.readonly is (cls is mn.ImageView2D)
    assert cls(RGBA, (6, 4)).owner is None
    assert len(cls(RGBA, (6, 4)).data) == 0


@each_view
@pytest.mark.parametrize(
    ("pixel_format", "bytes_each"),
    [("R8_UNORM", 1), ("RG16F", 4), ("RGB8_UNORM", 3), ("RGBA8_UNORM", 4), ("R32F", 4), ("R32UI", 4), ("RGBA32F", 16)],
)
def test_a_short_buffer_is_refused(cls, pixel_format, bytes_each):
    kind = getattr(mn.PixelFormat, pixel_format)
    assert mn.pixel_format_size(kind) == bytes_each
    needed = (5 * bytes_each + 3) // 4 * 4 * 7  # rows start at multiples of four bytes
    assert len(cls(kind, (5, 7), bytearray(needed)).data) == needed
    for given in (needed - 1, 1, 0):
        with pytest.raises(ValueError, match=f"5x7 pixels of {pixel_format}.* need {needed} bytes, got {given}"):
            cls(kind, (5, 7), bytearray(given))


@each_view
def test_storage_parameters_count(cls):
    storage = mn.PixelStorage()
    assert (storage.alignment, storage.row_length, storage.image_height) == (4, 0, 0)
    storage.alignment = 1
    assert cls(storage, mn.PixelFormat.RGB8_UNORM, (5, 7), bytearray(105)).storage.alignment == 1
    storage.row_length, storage.skip = 8, (2, 1, 0)
    needed = 3 * 8 * 7 + 3 * 8 * 1 + 3 * 2
    cls(storage, mn.PixelFormat.RGB8_UNORM, (5, 7), bytearray(needed))
    with pytest.raises(ValueError, match="too short"):
        cls(storage, mn.PixelFormat.RGB8_UNORM, (5, 7), bytearray(needed - 1))
    for name, wrong in (("alignment", 3), ("row_length", -1), ("image_height", -1), ("skip", (0, -1, 0))):
        with pytest.raises(ValueError, match=name):
            setattr(storage, name, wrong)


@each_view
@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8, 4), np.uint8)[::2],
        np.zeros((8, 8, 4), np.uint8)[:, ::-1],
        np.zeros((8, 8, 4), np.uint8)[:, :4],
        np.zeros((4, 8, 8), np.uint8).transpose(1, 2, 0),
        np.asfortranarray(np.zeros((8, 8, 4), np.uint8)),
    ],
    ids=["every other row", "mirrored", "cropped", "transposed", "column-major"],
)
def test_a_buffer_with_gaps_is_refused(cls, pixels):
    with pytest.raises(BufferError, match="contiguous"):
        cls(RGBA, (4, 4), pixels)


@each_view
@pytest.mark.parametrize("data", [5, "abcd", object(), [0] * 64], ids=lambda value: type(value).__name__)
def test_what_is_no_buffer_is_refused(cls, data):
    with pytest.raises(TypeError, match="buffer"):
        cls(RGBA, (4, 4), data)


def test_read_only_memory_is_not_written_to():
    frozen = np.zeros((4, 4, 4), np.uint8)
    frozen.flags.writeable = False
    for data in (frozen, bytes(64)):
        assert mn.ImageView2D(RGBA, (4, 4), data).data.readonly
        with pytest.raises((BufferError, ValueError), match=r"read-only|not writable"):
            mn.MutableImageView2D(RGBA, (4, 4), data)


@each_view
def test_impossible_sizes_are_refused(cls):
    with pytest.raises(ValueError, match="negative"):
        cls(RGBA, (-1, 4), bytearray(64))
    largest = 2**31 - 1
    with pytest.raises(ValueError, match="too short"):
        cls(mn.PixelFormat.RGBA32F, (largest, largest), bytearray(64))
    cls(RGBA, (0, 4), bytearray(0))


@each_view
def test_the_buffer_stays_while_the_view_does(cls):
    pixels = np.zeros((4, 4, 4), np.uint8)
    view, pixels_alive = cls(RGBA, (4, 4), pixels), weakref.ref(pixels)
    del pixels
    gc.collect()
    assert pixels_alive() is not None
    memory = view.data
    del view
    gc.collect()
    assert bytes(memory) == bytes(64)  # the memoryview keeps the view, and so the array
    del memory
    gc.collect()
    assert pixels_alive() is None


@each_view
def test_a_buffer_in_view_cannot_be_resized(cls):
    data = bytearray(64)
    view = cls(RGBA, (4, 4), data)
    with pytest.raises(BufferError):
        data.append(0)
    del view
    data.append(0)


def test_the_simulator_reads_its_frames_into_a_view(simulator):
    scenes.place_agent(simulator, (0.0, 0.0, 2.0))  # sees floor, block and walls
    camera = simulator._sensors["rgb"]._sensor_object
    simulator._sensors["rgb"].draw_observation()
    pixels = np.zeros((64, 64, 4), np.uint8)
    camera.render_target.read_frame_rgba(mn.MutableImageView2D(RGBA, (64, 64), pixels))
    np.testing.assert_array_equal(np.flipud(pixels), simulator.get_sensor_observations()["rgb"])
    assert len(np.unique(pixels[..., :3].reshape(-1, 3), axis=0)) > 2
