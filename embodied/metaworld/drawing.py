"""Draws Meta-World's tasks.

Where the CPU draws, almost all of the time goes here: a step takes less than 1 ms, a picture as MuJoCo draws it by
default more than 100. Without shadows, and with four samples of a pixel by drawing twice the size instead of by
multisampling, it is 17.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embodied.metaworld.library import graphics, mujoco

_SAMPLES = 2
"""Samples of a pixel, in each direction."""


@dataclass(frozen=True)
class Camera:
    """`turned`: it hangs upside down, so its picture is turned by 180 degrees. `position` (m): where it is moved to."""

    turned: bool = False
    position: tuple[float, float, float] | None = None


CAMERAS = {
    # Moved nearer to the table, as is usual for learning from pictures (2206.14244; LeRobot does it too).
    "corner2": Camera(turned=True, position=(0.75, 0.075, 0.7)),
    "corner": Camera(turned=True),
    "corner3": Camera(turned=True),
    "corner4": Camera(turned=True),
    "topview": Camera(),
    "behindGripper": Camera(),
    "gripperPOV": Camera(),
}


class Drawing:
    """Pictures of one task's environments, which share meshes and textures.

    Args:
        model: of one of them (mujoco.MjModel); its visual quality is set.
        cameras: names out of `CAMERAS`.
        size: side of the square pictures, pixels.
        shadows: draw them.

    Raises:
        MetaWorldError: MuJoCo cannot draw on this machine.
    """

    def __init__(self, model: Any, cameras: Sequence[str], size: int, shadows: bool) -> None:
        self._library = library = mujoco()
        self._cameras, self._size = list(cameras), size
        side = _SAMPLES * size
        model.vis.global_.offwidth = model.vis.global_.offheight = side
        model.vis.quality.offsamples = 0
        if not shadows:
            model.vis.quality.shadowsize = 0
        self._gl = graphics(side)
        self._context = library.MjrContext(model, library.mjtFontScale.mjFONTSCALE_50)
        library.mjr_setBuffer(library.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = library.MjvScene(model, maxgeom=1000)
        self._scene.flags[library.mjtRndFlag.mjRND_SHADOW] = shadows
        self._options, self._perturbation = library.MjvOption(), library.MjvPerturb()
        self._viewport = library.MjrRect(0, 0, side, side)
        self._raw = np.empty((side, side, 3), np.uint8)

    def draw(self, model: Any, data: Any) -> dict[str, np.ndarray]:
        """What each camera sees of an environment: uint8 [size, size, 3], RGB, the right way up."""
        library = self._library
        self._gl.make_current()
        pictures = {}
        for name in self._cameras:
            view = library.MjvCamera()
            view.type, view.fixedcamid = library.mjtCamera.mjCAMERA_FIXED, model.camera(name).id
            every = library.mjtCatBit.mjCAT_ALL
            library.mjv_updateScene(model, data, self._options, self._perturbation, view, every, self._scene)
            library.mjr_render(self._viewport, self._scene, self._context)
            library.mjr_readPixels(self._raw, None, self._viewport, self._context)
            samples = self._raw.reshape(self._size, _SAMPLES, self._size, _SAMPLES, 3)
            picture = (samples.sum((1, 3), dtype=np.uint16) // _SAMPLES**2).astype(np.uint8)
            # OpenGL's first row is the lowest. Of a camera that hangs upside down it is the highest.
            pictures[name] = np.ascontiguousarray(picture[:, ::-1] if CAMERAS[name].turned else picture[::-1])
        return pictures

    def close(self) -> None:
        """Lets the graphics memory go."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()
