"""Vectors, matrices, quaternions, angles, ranges and image views in the shape habitat_sim expects of `magnum`.

The extension also puts its submodules `magnum.math`, `magnum.scenegraph` and `magnum.scenegraph.trs` where `import`
finds them.
"""

from . import _magnum
from ._magnum import *  # noqa: F403
from ._magnum import math, scenegraph  # noqa: F401

__all__ = [name for name in vars(_magnum) if not name.startswith("_")]
