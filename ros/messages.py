"""Messages to numbers and back, held to the robot's contract: a message that breaks it is an error, never a guess.

Pictures: colour is uint8 [height, width, 3], RGB; depth is float32 [height, width], metres along the optical axis, with
NaN where nothing was seen. Poses are (x, y, yaw) in the plane of the frame that the message names (REP 103: metres,
radians, counterclockwise).
"""

from __future__ import annotations

import array
import io
import math
from typing import Any, NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState

from ros.contract import IMAGE, TWIST_STAMPED, Camera, Command, Depth, Joints, RobotContract
from ros.safety import Velocity

_PIXEL = {  # encoding -> element type, channels (sensor_msgs/image_encodings)
    "rgb8": ("u1", 3),
    "bgr8": ("u1", 3),
    "mono8": ("u1", 1),
    "mono16": ("u2", 1),
    "16UC1": ("u2", 1),
    "32FC1": ("f4", 1),
}
_NORM_TOLERANCE = 0.01
_HFOV_TOLERANCE_DEG = 1.0


class MessageError(ValueError):
    """A message breaks the contract; one line says in what."""


class Pose(NamedTuple):
    """A pose in the plane: metres, and radians counterclockwise in (-pi, pi]."""

    x_m: float
    y_m: float
    yaw_rad: float

    def relative_to(self, origin: Pose) -> Pose:
        """This pose in the frame of `origin`, which is in the same frame as this."""
        dx, dy = self.x_m - origin.x_m, self.y_m - origin.y_m
        cos, sin = math.cos(origin.yaw_rad), math.sin(origin.yaw_rad)
        return Pose(cos * dx + sin * dy, cos * dy - sin * dx, wrapped(self.yaw_rad - origin.yaw_rad))


def wrapped(angle_rad: float) -> float:
    """The same angle in (-pi, pi]."""
    return math.pi - (math.pi - angle_rad) % (2.0 * math.pi)


# -- time and frames ------------------------------------------------------------------------------------------------


def nanoseconds(stamp: Time) -> int:
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def stamp_of(nanoseconds: int) -> Time:
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def check_header(header: Any, frame: str) -> None:
    """Raises MessageError if the stamp is zero or the frame is not `frame`."""
    if nanoseconds(header.stamp) <= 0:
        raise MessageError("its stamp is zero: the driver must stamp its messages")
    if header.frame_id != frame:
        raise MessageError(f"its frame is '{header.frame_id}', and the contract says '{frame}'")


# -- pictures -------------------------------------------------------------------------------------------------------


def color_of(message: Image | CompressedImage, camera: Camera, frame: str) -> np.ndarray:
    """A colour picture, uint8 [height, width, 3] RGB. Raises MessageError."""
    check_header(message.header, frame)
    if camera.type != IMAGE:
        return _decompressed(message, camera)
    picture = _pixels(message, camera.encoding, camera.width, camera.height)
    if camera.encoding == "bgr8":
        return picture[..., ::-1]
    if camera.encoding == "mono16":
        picture = (picture >> 8).astype(np.uint8)
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def check_picture(message: Image | CompressedImage, camera: Camera, frame: str) -> None:
    """Raises MessageError where `color_of` would, except for what only unpacking shows; costs next to nothing."""
    check_header(message.header, frame)
    if camera.type != IMAGE:
        _check_format(message, camera)
    else:
        _check_layout(message, camera.encoding, camera.width, camera.height)


def depth_m_of(message: Image, depth: Depth, frame: str) -> np.ndarray:
    """A depth picture, float32 [height, width], metres, NaN where nothing was seen. Raises MessageError."""
    check_header(message.header, frame)
    picture = _pixels(message, depth.encoding, depth.width, depth.height)
    if depth.encoding == "32FC1":
        return picture.astype(np.float32, copy=False)
    metres = picture.astype(np.float32) / 1000.0
    metres[picture == 0] = np.nan
    return metres


def image(picture: np.ndarray, encoding: str, stamp: Time, frame: str) -> Image:
    """A message of a picture. Colour [height, width, 3] RGB uint8; depth [height, width] float32, metres.

    Raises:
        MessageError: this encoding cannot hold it.
    """
    if encoding not in _PIXEL:
        raise MessageError(f"unknown encoding '{encoding}'; known are {', '.join(_PIXEL)}")
    kind, channels = _PIXEL[encoding]
    if encoding == "bgr8":
        picture = picture[..., ::-1]
    elif encoding == "16UC1":
        picture = np.nan_to_num(np.rint(picture * 1000.0), nan=0.0, posinf=0.0, neginf=0.0).clip(0, 65535)
    elif encoding in ("mono8", "mono16") and picture.ndim == 3:
        grey = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        picture = np.rint(grey * (257.0 if encoding == "mono16" else 1.0))
    if picture.ndim != (3 if channels == 3 else 2) or (channels == 3 and picture.shape[2] != 3):
        raise MessageError(f"{encoding} cannot hold a picture of shape {list(picture.shape)}")
    pixels = np.ascontiguousarray(picture, dtype=f"<{kind}")
    message = Image(encoding=encoding, height=pixels.shape[0], width=pixels.shape[1], is_bigendian=0)
    message.header.stamp, message.header.frame_id = stamp, frame
    message.step = pixels.strides[0]
    message.data = array.array("B", pixels.tobytes())
    return message


def compressed_image(picture: np.ndarray, format: str, stamp: Time, frame: str) -> CompressedImage:
    """A message of a colour picture [height, width, 3] RGB uint8; `format` jpeg or png."""
    from PIL import Image as pillow

    buffer = io.BytesIO()
    pillow.fromarray(picture).save(buffer, format=format)
    message = CompressedImage(format=format)
    message.header.stamp, message.header.frame_id = stamp, frame
    message.data = array.array("B", buffer.getvalue())
    return message


def _pixels(message: Image, encoding: str, width: int, height: int) -> np.ndarray:
    row = _check_layout(message, encoding, width, height)
    kind, channels = _PIXEL[encoding]
    dtype = np.dtype(f"{'>' if message.is_bigendian else '<'}{kind}")
    rows = np.frombuffer(message.data, np.uint8).reshape(height, message.step)[:, :row]
    picture = np.ascontiguousarray(rows).view(dtype).reshape(height, width, channels)
    return picture.astype(dtype.newbyteorder("="), copy=False).squeeze(-1) if channels == 1 else picture


def _check_layout(message: Image, encoding: str, width: int, height: int) -> int:
    """Bytes of a row's pixels."""
    if message.encoding != encoding:
        raise MessageError(f"its encoding is '{message.encoding}', and the contract says '{encoding}'")
    _check_size(message.width, message.height, width, height)
    kind, channels = _PIXEL[encoding]
    row = width * channels * np.dtype(kind).itemsize
    if message.step < row or len(message.data) != message.step * height:
        raise MessageError(
            f"it holds {len(message.data)} bytes in rows of {message.step}; {height} rows of at least {row} were due"
        )
    return row


def _check_format(message: CompressedImage, camera: Camera) -> None:
    # image_transport writes "jpeg", or "rgb8; jpeg compressed bgr8".
    words = message.format.replace(";", " ").split()
    if camera.encoding not in words and not (camera.encoding == "jpeg" and "jpg" in words):
        raise MessageError(f"its format is '{message.format}', and the contract says '{camera.encoding}'")


def _decompressed(message: CompressedImage, camera: Camera) -> np.ndarray:
    from PIL import Image as pillow
    from PIL import UnidentifiedImageError

    _check_format(message, camera)
    try:
        opened = pillow.open(io.BytesIO(bytes(message.data)), formats=[camera.encoding.upper()])
        _check_size(*opened.size, camera.width, camera.height)  # before anything large is unpacked
        return np.array(opened.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, MessageError):
            raise
        raise MessageError(f"its {camera.encoding} data is damaged ({error})") from error


def _check_size(width: int, height: int, wanted_width: int, wanted_height: int) -> None:
    if (width, height) != (wanted_width, wanted_height):
        raise MessageError(f"it is {width}x{height} pixels, and the contract says {wanted_width}x{wanted_height}")


def fit(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture [h, w] or [h, w, 3] at the size that a policy reads: cut to its proportions about the centre, scaled.

    Colours are averaged over what becomes one pixel, depths are not: the mean of a wall and a table is neither.
    """
    import cv2

    h, w = picture.shape[:2]
    if (h, w) == (height, width):
        return picture
    scale = min(h / height, w / width)
    cut_h, cut_w = min(h, max(1, round(height * scale))), min(w, max(1, round(width * scale)))
    top, left = (h - cut_h) // 2, (w - cut_w) // 2
    cut = np.ascontiguousarray(picture[top : top + cut_h, left : left + cut_w])
    shrinks = picture.ndim == 3 and cut_h >= height
    return cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)


def camera_info(camera: Camera | Depth, stamp: Time, frame: str) -> CameraInfo:
    """CameraInfo of an ideal pinhole camera, pixels square, the optical axis through the middle."""
    focal_px = camera.width / 2.0 / math.tan(math.radians(camera.hfov_deg) / 2.0)
    cx, cy = (camera.width - 1) / 2.0, (camera.height - 1) / 2.0  # pixel centres lie at whole numbers
    message = CameraInfo(width=camera.width, height=camera.height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.header.stamp, message.header.frame_id = stamp, frame
    message.k = [focal_px, 0.0, cx, 0.0, focal_px, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [focal_px, 0.0, cx, 0.0, 0.0, focal_px, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def check_camera_info(message: CameraInfo, camera: Camera | Depth, frame: str) -> None:
    """Raises MessageError if the camera is not the contract's: frame, size, or field of view by more than a degree."""
    check_header(message.header, frame)
    _check_size(message.width, message.height, camera.width, camera.height)
    focal_px = float(message.k[0])
    if not (math.isfinite(focal_px) and focal_px > 0):
        raise MessageError("its camera matrix is empty: the camera is not calibrated")
    hfov_deg = math.degrees(2.0 * math.atan(camera.width / 2.0 / focal_px))
    if abs(hfov_deg - camera.hfov_deg) > _HFOV_TOLERANCE_DEG:
        raise MessageError(f"it sees {hfov_deg:.1f} degrees across, and the contract says {camera.hfov_deg:.1f}")


# -- poses and velocities -------------------------------------------------------------------------------------------


def pose_of(message: Odometry, contract: RobotContract) -> Pose:
    """The base's pose in odom. Raises MessageError: frames, NaN, a quaternion that is no rotation."""
    check_header(message.header, contract.frames.name("odom"))
    if message.child_frame_id != contract.frames.name("base"):
        raise MessageError(
            f"its child frame is '{message.child_frame_id}', and the contract says '{contract.frames.name('base')}'"
        )
    return _planar(message.pose.pose)


def velocity_of(message: Odometry) -> Velocity:
    """The base's velocity in its own frame, as odometry has it."""
    return Velocity(message.twist.twist.linear.x, message.twist.twist.angular.z)


def goal_of(message: PoseStamped, frame: str) -> Pose:
    """A goal pose in `frame`. Raises MessageError."""
    if message.header.frame_id != frame:
        raise MessageError(f"its frame is '{message.header.frame_id}', and goals are given in '{frame}'")
    return _planar(message.pose)


def joints_of(message: JointState, joints: Joints) -> np.ndarray:
    """Positions [J] of the contract's joints, in its order, m or rad. Raises MessageError."""
    if nanoseconds(message.header.stamp) <= 0:
        raise MessageError("its stamp is zero: the driver must stamp its messages")
    places = {name: place for place, name in enumerate(message.name)}
    missing = [name for name in joints.names if places.get(name, len(message.position)) >= len(message.position)]
    if missing:
        raise MessageError(f"it has no position of {', '.join(missing)}")
    positions = np.array([message.position[places[name]] for name in joints.names], np.float32)
    if not np.isfinite(positions).all():
        raise MessageError("its positions hold NaN or infinity")
    return positions


def odometry(pose: Pose, velocity: Velocity, stamp: Time, contract: RobotContract) -> Odometry:
    message = Odometry(child_frame_id=contract.frames.name("base"))
    message.header.stamp, message.header.frame_id = stamp, contract.frames.name("odom")
    _set_planar(message.pose.pose, pose)
    message.twist.twist.linear.x, message.twist.twist.angular.z = velocity
    return message


def pose_stamped(pose: Pose, stamp: Time, frame: str) -> PoseStamped:
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = stamp, frame
    _set_planar(message.pose, pose)
    return message


def _planar(pose: Any) -> Pose:
    position, q = pose.position, pose.orientation
    numbers = (position.x, position.y, position.z, q.x, q.y, q.z, q.w)
    if not all(map(math.isfinite, numbers)):
        raise MessageError("its pose holds NaN or infinity")
    norm = math.sqrt(q.x**2 + q.y**2 + q.z**2 + q.w**2)
    if abs(norm - 1.0) > _NORM_TOLERANCE:
        raise MessageError(f"its quaternion has length {norm:.3f}, not 1")
    yaw = math.atan2(2.0 * (q.w * q.z + q.x * q.y), 1.0 - 2.0 * (q.y**2 + q.z**2))
    return Pose(position.x, position.y, yaw)


def _set_planar(into: Any, pose: Pose) -> None:
    into.position.x, into.position.y = float(pose.x_m), float(pose.y_m)
    into.orientation.z, into.orientation.w = math.sin(pose.yaw_rad / 2.0), math.cos(pose.yaw_rad / 2.0)


def twist_type(command: Command) -> type[Twist] | type[TwistStamped]:
    """The message class of a command topic."""
    return TwistStamped if command.type == TWIST_STAMPED else Twist


def twist(velocity: Velocity, command: Command, stamp: Time, frame: str) -> Twist | TwistStamped:
    """A velocity command of the topic's type; `frame` is the base's."""
    message = Twist()
    message.linear.x, message.angular.z = map(float, velocity)
    if command.type != TWIST_STAMPED:
        return message
    stamped = TwistStamped(twist=message)
    stamped.header.stamp, stamped.header.frame_id = stamp, frame
    return stamped


def command_of(message: Twist | TwistStamped, frame: str) -> Velocity:
    """The velocity that a command asks for.

    Raises:
        MessageError: NaN or infinity, a motion that a base with v and w cannot make, a stamped command without a stamp
            or for another frame than `frame` ("" is the base's).
    """
    if isinstance(message, TwistStamped):
        check_header(message.header, frame if message.header.frame_id else "")
        message = message.twist
    linear, angular = message.linear, message.angular
    if not all(map(math.isfinite, (linear.x, linear.y, linear.z, angular.x, angular.y, angular.z))):
        raise MessageError("it holds NaN or infinity")
    if linear.y or linear.z or angular.x or angular.y:
        raise MessageError("it asks for motion other than along X and about Z, which this base cannot")
    return Velocity(linear.x, angular.z)
