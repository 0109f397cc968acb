"""The robot of the long-horizon tasks: its camera and its gripper. Both sides read this file."""

import math
from typing import Tuple

WIDTH, HEIGHT, HFOV_DEG = 160, 120, 80
CAMERA_M, TILT_RAD = 1.25, -0.35
HELD_AT = (0.0, 0.75, -0.55)
"""Where a held object is, in the agent's frame (m; X right, Y up, Z back): in the lower part of the picture."""


def gripper_at(x: float, y: float, z: float, yaw: float) -> Tuple[float, float, float]:
    """Where the gripper is in the scene (m) when the robot stands at a pose (m; rad about +Y, 0 looks along -Z)."""
    c, s = math.cos(yaw), math.sin(yaw)
    across, up, back = HELD_AT
    return x + c * across + s * back, y + up, z - s * across + c * back
