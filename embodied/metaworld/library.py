"""The packages metaworld and mujoco, imported when they are first needed: MuJoCo chooses how to draw on its import."""

from __future__ import annotations

import ctypes
import importlib
import os
from types import ModuleType
from typing import Any

from embodied.metaworld.errors import MetaWorldError

_LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}
_REMEDY = "install one: apt-get install libegl1 libgl1 (with a GPU or without), or libosmesa6 (without)"


def mujoco() -> ModuleType:
    """MuJoCo, set to draw without a display: by EGL, else by OSMesa, unless MUJOCO_GL says otherwise.

    Raises:
        MetaWorldError: neither is there, or the package is not installed.
    """
    if not os.environ.get("MUJOCO_GL"):
        os.environ["MUJOCO_GL"] = _drawing()
    try:
        return importlib.import_module("mujoco")
    except ImportError as error:
        raise MetaWorldError(_not_installed(error) if error.name == "mujoco" else _cannot_draw(error)) from error
    except (AttributeError, RuntimeError) as error:  # PyOpenGL's, where the system's library is missing; a wrong name
        raise MetaWorldError(_cannot_draw(error)) from error


def graphics(side: int) -> Any:
    """A context to draw pictures of `side` pixels in, now the current one (mujoco.GLContext).

    Raises:
        MetaWorldError: this machine has none to give.
    """
    library, how = mujoco(), os.environ["MUJOCO_GL"].lower()
    try:
        # Where somebody imported MuJoCo first, without MUJOCO_GL, `mujoco.GLContext` wants a display.
        context = (importlib.import_module(f"mujoco.{how}") if how in _LIBRARIES else library).GLContext(side, side)
        context.make_current()
        return context
    except Exception as error:  # whatever PyOpenGL, the driver or MuJoCo raise
        raise MetaWorldError(_cannot_draw(error)) from error


def metaworld(module: str) -> ModuleType:
    """A module of Meta-World. Raises MetaWorldError as `mujoco`."""
    mujoco()
    try:
        return importlib.import_module(f"metaworld.{module}")
    except ImportError as error:
        raise MetaWorldError(_not_installed(error)) from error


def _drawing() -> str:
    for name, library in _LIBRARIES.items():
        try:
            ctypes.CDLL(library)
            return name
        except OSError:
            continue
    raise MetaWorldError(f"MuJoCo finds neither EGL nor OSMesa to draw with; {_REMEDY}")


def _cannot_draw(error: Exception) -> str:
    how = os.environ.get("MUJOCO_GL", "")
    return f"MuJoCo cannot draw with MUJOCO_GL={how} ({' '.join(str(error).split())[:120]}); unset it, or {_REMEDY}"


def _not_installed(error: ImportError) -> str:
    return f"Meta-World is not installed ({error}): install Engram with its extra, engram[metaworld]"
