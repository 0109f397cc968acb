"""Where the simulator's interpreter is, and what the machine offers it. Standard library only: the set-up imports this
file.

The set-up (`tools/setup.py`) leaves in `.sim/`::

    .sim/venv       the simulator's packages (CPython 3.13)
    .sim/libc       on glibc < 2.38: a newer C runtime, for the simulator's process alone
    .sim/python     the launcher: runs .sim/venv's interpreter, through .sim/libc where that exists
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIM_HOME = ROOT / ".sim"
LAUNCHER = SIM_HOME / "python"
LIBC_DIR = SIM_HOME / "libc"
#: The oldest glibc that the habitat-sim wheel runs on.
NEEDED_GLIBC = (2, 38)
#: Shared libraries that rendering needs, by the name the loader knows, and the Debian package that has each.
SYSTEM_LIBRARIES = {"libEGL.so.1": "libegl1", "libOpenGL.so.0": "libopengl0"}
MESA_PACKAGE = "libgl1-mesa-dri"
EGL_VENDOR_DIRS = ("/usr/share/glvnd/egl_vendor.d", "/etc/glvnd/egl_vendor.d")


def default_sim_python() -> Path:
    """The interpreter that simulator workers run under: $ENGRAM_SIM_PYTHON, else the one `make setup` built.

    Raises:
        FileNotFoundError: neither exists.
    """
    named = os.environ.get("ENGRAM_SIM_PYTHON")
    path = Path(named) if named else LAUNCHER
    if not path.exists():
        remedy = (
            "correct ENGRAM_SIM_PYTHON" if named else "run `make setup`, or set sim.python to one that has habitat-sim"
        )
        raise FileNotFoundError(f"no simulator interpreter at {path}: {remedy}")
    return path


def glibc_version() -> tuple[int, int]:
    """(major, minor) of the running C library; (0, 0) where it is not glibc."""
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION") or ""
        major, minor = version.split()[1].split(".")[:2]
        return int(major), int(minor)
    except (ValueError, IndexError, OSError):
        return 0, 0


def has_library(name: str) -> bool:
    """Whether the loader finds shared library `name`."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def egl_vendors() -> list[str]:
    """Names of the OpenGL drivers that EGL can choose from; empty means nothing can render."""
    found = [path.name for folder in EGL_VENDOR_DIRS for path in Path(folder).glob("*.json")]
    return sorted(set(found))


def missing_system_packages() -> list[str]:
    """Debian packages whose libraries rendering would miss."""
    missing = [package for library, package in SYSTEM_LIBRARIES.items() if not has_library(library)]
    if not egl_vendors():
        missing += ["libegl-mesa0", MESA_PACKAGE]
    return missing


def has_nvidia_gpu() -> bool:
    return os.path.exists("/dev/nvidiactl")
