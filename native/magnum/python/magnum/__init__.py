"""Vectors, matrices, quaternions, angles, ranges and image views in the shape habitat_sim expects of `magnum`."""

import sys

from . import _magnum
from ._magnum import *  # noqa: F403
from ._magnum import math, scenegraph

# `import magnum.scenegraph` and the like find the extension's submodules.
for _module in (math, scenegraph, scenegraph.trs):
    _name = _module.__name__.replace("._magnum", "")
    _module.__name__ = _name
    sys.modules[_name] = _module

__all__ = [name for name in vars(_magnum) if not name.startswith("_")]
