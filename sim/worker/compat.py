"""habitat-lab 0.3.3 over habitat-sim 0.2.2, the only build that package registries carry.

`prepare()` must run before `import habitat`. On an official habitat-sim 0.3.x every step here finds its name present
and does nothing.
"""

import os
import sys
import types

from .server import TaskError


def prepare() -> None:
    """Makes the names that habitat-lab 0.3.3 imports, and habitat-sim 0.2.2 lacks, exist."""
    # Without a GPU habitat-sim otherwise looks for an EGL device of CUDA device 0 and exits.
    if not os.path.exists("/dev/nvidiactl"):
        os.environ.setdefault("HSIM_DISABLE_CUDA_DEVICE", "1")
    os.environ.setdefault("MAGNUM_LOG", "quiet")
    os.environ.setdefault("HABITAT_SIM_LOG", "quiet")
    os.environ.setdefault("GLOG_minloglevel", "2")

    try:
        import habitat_sim
        import magnum
    except ImportError as error:
        raise TaskError(
            "{} cannot import Habitat ({}): give sim.python an interpreter that has habitat-sim and habitat-lab, "
            "or leave it empty and run `make setup`".format(sys.executable, error)
        ) from error

    for name in ("ReplayRenderer", "ReplayRendererConfiguration"):
        if not hasattr(habitat_sim, name):
            setattr(habitat_sim, name, _absent(name))
    # habitat-lab's receptacle samplers (rearrangement with mesh receptacles) import both; navigation never calls them.
    if not hasattr(magnum, "trade"):
        magnum.trade = _AbsentModule("magnum.trade")
    try:
        import corrade  # noqa: F401
    except ModuleNotFoundError:
        sys.modules["corrade"] = _AbsentModule("corrade")


class _AbsentModule(types.ModuleType):
    """A module whose every name is a class that can be made and named in annotations, and refuses to be used."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _absent("{}.{}".format(self.__name__, name))


def _absent(name: str) -> type:
    class Absent:
        def __init__(self, *args, **kwargs):
            pass

        def __getattr__(self, attribute):
            raise NotImplementedError(
                "{}.{} is not there: this build of habitat-sim came without it".format(name, attribute)
            )

    return type(name.rsplit(".", 1)[-1], (Absent,), {})
