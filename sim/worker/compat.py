"""habitat-lab 0.3.3 over habitat-sim 0.2.2, the only build that package registries carry.

`prepare()` must run before `import habitat`. On an official habitat-sim 0.3.x every step here finds its name present and
does nothing.
"""

import os


def prepare() -> None:
    """Makes the names that habitat-lab 0.3.3 imports, and habitat-sim 0.2.2 lacks, exist."""
    # Without a GPU habitat-sim otherwise looks for an EGL device of CUDA device 0 and exits.
    if not os.path.exists("/dev/nvidiactl"):
        os.environ.setdefault("HSIM_DISABLE_CUDA_DEVICE", "1")
    os.environ.setdefault("MAGNUM_LOG", "quiet")
    os.environ.setdefault("HABITAT_SIM_LOG", "quiet")
    os.environ.setdefault("GLOG_minloglevel", "2")

    import habitat_sim

    for name in ("ReplayRenderer", "ReplayRendererConfiguration"):
        if not hasattr(habitat_sim, name):
            setattr(habitat_sim, name, _absent(name))


def _absent(name: str) -> type:
    def refuse(self, *args, **kwargs):
        raise NotImplementedError("this habitat-sim has no {}; batch rendering needs habitat-sim 0.3".format(name))

    return type(name, (), {"__init__": refuse})

