"""habitat-lab 0.3.3 over habitat-sim 0.2.2, the only build that package registries carry.

`prepare()` must run before `import habitat`. On an official habitat-sim 0.3.x every step here finds its name present
and does nothing.
"""

import functools
import importlib
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
        _defer_slow_imports()
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


def _defer_slow_imports() -> None:
    """Puts numba and scipy.stats off, most of a worker's start-up, until a noise model or a map uses them."""
    sys.modules["numba"] = None  # numpy-quaternion takes numba where it finds it, and compiles at import
    import quaternion  # noqa: F401

    del sys.modules["numba"]
    for name in ("numba", "scipy.stats"):
        sys.modules[name] = _LateModule(name)


class _LateModule(types.ModuleType):
    """Stands for a module until a name of it is asked for; a numba decorator waits for its function's first call."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if self.__name__ == "numba" and name in ("jit", "njit"):
            return functools.partial(_compile_late, name)
        return getattr(_real(self.__name__), name)


def _real(name):
    if isinstance(sys.modules[name], _LateModule):
        del sys.modules[name]
    return importlib.import_module(name)


def _compile_late(decorator, *arguments, **options):
    if not (len(arguments) == 1 and not options and callable(arguments[0])):
        return functools.partial(_late_function, lambda: getattr(_real("numba"), decorator)(*arguments, **options))
    return _late_function(lambda: getattr(_real("numba"), decorator), arguments[0])


def _late_function(make_decorator, function):
    """`function`, compiled at its first call together with its module's others, which numba must see compiled."""

    @functools.wraps(function)
    def call(*arguments, **options):
        names = function.__globals__
        for name, value in list(names.items()):
            if hasattr(value, "compile_now"):
                names[name] = value.compile_now()
        return call.compile_now()(*arguments, **options)

    call.compile_now = functools.lru_cache(maxsize=None)(lambda: make_decorator()(function))
    return call


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
