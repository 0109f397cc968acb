"""Messages keep what they carry, and one that breaks the contract is refused by name."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros import messages
from ros.contract import COMPRESSED_IMAGE, TWIST, Camera, Command, Depth, RobotContract
from ros.messages import MessageError, Pose, Velocity

STAMP = messages.stamp_of(1_500_000_000)
FRAME = "camera_optical_frame"


def picture(height=6, width=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_a_colour_picture_survives_its_message(encoding):
    camera = Camera(encoding=encoding, width=8, height=6)
    message = messages.image(picture(), encoding, STAMP, FRAME)
    assert np.array_equal(messages.color_of(message, camera, FRAME), picture())


@pytest.mark.parametrize("encoding", ["mono8", "mono16"])
def test_a_grey_picture_fills_all_three_colours(encoding):
    grey = np.repeat(picture()[..., :1], 3, axis=2)
    message = messages.image(grey, encoding, STAMP, FRAME)
    seen = messages.color_of(message, Camera(encoding=encoding, width=8, height=6), FRAME)
    assert seen.shape == (6, 8, 3)
    assert seen.dtype == np.uint8
    assert np.array_equal(seen, grey)


@pytest.mark.parametrize("encoding", ["32FC1", "16UC1"])
def test_depth_keeps_its_metres_and_what_was_not_seen(encoding):
    metres = np.random.default_rng(1).uniform(0.1, 9.0, (6, 8)).astype(np.float32)
    metres[2, 3] = np.nan
    seen = messages.depth_m_of(
        messages.image(metres, encoding, STAMP, FRAME), Depth(encoding=encoding, width=8, height=6), FRAME
    )
    assert np.allclose(seen, metres, atol=0.0006 if encoding == "16UC1" else 0.0, equal_nan=True)


def test_big_endian_and_padded_rows_are_read():
    metres = np.arange(12, dtype=np.uint16).reshape(3, 4) + 300
    message = messages.image(metres / 1000.0, "16UC1", STAMP, FRAME)
    padded = np.zeros((3, 11), np.uint8)
    padded[:, :8] = metres.astype(">u2").view(np.uint8).reshape(3, 8)
    message.is_bigendian, message.step, message.data = 1, 11, padded.tobytes()
    seen = messages.depth_m_of(message, Depth(encoding="16UC1", width=4, height=3), FRAME)
    assert np.allclose(seen, metres / 1000.0)


@pytest.mark.parametrize("format", ["png", "jpeg"])
def test_a_compressed_picture_is_read_and_a_damaged_one_refused(format):
    camera = Camera(type=COMPRESSED_IMAGE, encoding=format, width=16, height=16)
    smooth = np.repeat(np.linspace(0, 255, 16, dtype=np.uint8)[:, None, None], 16, axis=1).repeat(3, axis=2)
    message = messages.compressed_image(smooth, format, STAMP, FRAME)
    seen = messages.color_of(message, camera, FRAME)
    assert np.abs(seen.astype(int) - smooth).max() <= (0 if format == "png" else 8)
    message.data = message.data[:40]
    with pytest.raises(MessageError, match="damaged"):
        messages.color_of(message, camera, FRAME)
    message.format = "webp"
    with pytest.raises(MessageError, match="webp"):
        messages.color_of(message, camera, FRAME)


def break_encoding(message):
    message.encoding = "bgr8"


def break_size(message):
    message.width = 9


def break_data(message):
    message.data = message.data[:-1]


def break_stamp(message):
    message.header.stamp = messages.stamp_of(0)


def break_frame(message):
    message.header.frame_id = "elsewhere"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_encoding, "encoding is 'bgr8'"),
        (break_size, "9x6 pixels"),
        (break_data, "143 bytes"),
        (break_stamp, "stamp is zero"),
        (break_frame, "frame is 'elsewhere'"),
    ],
)
def test_a_picture_that_breaks_the_contract_is_refused_by_what_is_wrong(damage, words):
    message = messages.image(picture(), "rgb8", STAMP, FRAME)
    damage(message)
    with pytest.raises(MessageError, match=words):
        messages.color_of(message, Camera(width=8, height=6), FRAME)


def test_camera_info_says_the_contracts_field_of_view_and_another_is_refused():
    camera = Camera(width=64, height=48, hfov_deg=79.0)
    info = messages.camera_info(camera, STAMP, FRAME)
    messages.check_camera_info(info, camera, FRAME)
    with pytest.raises(MessageError, match="79.0 degrees across, and the contract says 60.0"):
        messages.check_camera_info(info, Camera(width=64, height=48, hfov_deg=60.0), FRAME)


def test_pictures_are_cut_to_a_policys_proportions_before_they_are_scaled():
    wide = np.zeros((4, 8), np.float32)
    wide[:, 2:6] = 3.0
    assert np.array_equal(messages.fit(wide, 2, 2), np.full((2, 2), 3.0))
    assert messages.fit(picture(), 3, 3).shape == (3, 3, 3)
    assert messages.fit(picture(), 24, 32).shape == (24, 32, 3)


reach = st.floats(-50, 50)
angles = st.floats(-3.1, 3.1)


@settings(deadline=None)
@given(reach, reach, angles)
def test_a_pose_survives_odometry(x, y, yaw):
    contract = RobotContract()
    message = messages.odometry(Pose(x, y, yaw), Velocity(0.5, -0.25), STAMP, contract)
    assert messages.pose_of(message, contract) == pytest.approx((x, y, yaw), abs=1e-6)
    assert messages.velocity_of(message) == (0.5, -0.25)


@given(reach, reach, angles, reach, reach, angles)
def test_a_relative_pose_leads_back(x, y, yaw, ox, oy, oyaw):
    origin = Pose(ox, oy, oyaw)
    ahead, left, turn = Pose(x, y, yaw).relative_to(origin)
    cos, sin = math.cos(oyaw), math.sin(oyaw)
    assert ox + cos * ahead - sin * left == pytest.approx(x, abs=1e-6)
    assert oy + sin * ahead + cos * left == pytest.approx(y, abs=1e-6)
    assert messages.wrapped(oyaw + turn - yaw) == pytest.approx(0.0, abs=1e-6)


def test_odometry_that_breaks_the_contract_is_refused():
    contract = RobotContract()
    message = messages.odometry(Pose(1, 2, 0.5), Velocity(0, 0), STAMP, contract)
    message.pose.pose.orientation.w = 3.0
    with pytest.raises(MessageError, match="quaternion"):
        messages.pose_of(message, contract)
    message.pose.pose.position.x = math.nan
    with pytest.raises(MessageError, match="NaN"):
        messages.pose_of(message, contract)
    message.child_frame_id = "wheel"
    with pytest.raises(MessageError, match="wheel"):
        messages.pose_of(message, contract)


@pytest.mark.parametrize("command", [Command(), Command(type=TWIST)])
def test_a_command_survives_its_message_and_what_no_base_can_do_is_refused(command):
    message = messages.twist(Velocity(0.25, -1.0), command, STAMP, "base_link")
    assert isinstance(message, messages.twist_type(command))
    assert messages.command_of(message, "base_link") == (0.25, -1.0)
    twist = getattr(message, "twist", message)
    twist.linear.y = 0.1
    with pytest.raises(MessageError, match="other than along X"):
        messages.command_of(message, "base_link")
    twist.linear.y = math.inf
    with pytest.raises(MessageError, match="NaN or infinity"):
        messages.command_of(message, "base_link")


def test_a_command_for_another_frame_or_without_a_stamp_is_refused():
    message = messages.twist(Velocity(0.25, 0.0), Command(), STAMP, "map")
    with pytest.raises(MessageError, match="frame is 'map'"):
        messages.command_of(message, "base_link")
    message = messages.twist(Velocity(0.25, 0.0), Command(), messages.stamp_of(0), "base_link")
    with pytest.raises(MessageError, match="stamp is zero"):
        messages.command_of(message, "base_link")
