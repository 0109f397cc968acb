"""Builds the extension so that it shares pybind11's type registry with the habitat-sim wheel."""

import os
from concurrent.futures import ThreadPoolExecutor
from glob import glob

from pybind11.setup_helpers import Pybind11Extension, build_ext
from setuptools import setup


class ParallelBuild(build_ext):
    """Compiles the sources side by side; setuptools itself takes one after the other."""

    def build_extensions(self):
        compile_all = self.compiler.compile

        def compile_parallel(sources, **options):
            with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
                built = list(pool.map(lambda source: compile_all([source], **options), sources))
            return [path for paths in built for path in paths]

        self.compiler.compile = compile_parallel
        super().build_extensions()


# The wheel was built by clang with libstdc++. The registry's key holds the compiler's name although the two ABIs are
# the same, so this module claims the wheel's key; with another key no type of ours would be found.
REGISTRY_KEY = [("PYBIND11_COMPILER_TYPE", '"_clang"'), ("PYBIND11_BUILD_ABI", '"_cxxabi1002"')]

setup(
    ext_modules=[
        Pybind11Extension(
            "magnum._magnum",
            # The largest first, so that the last to be compiled are short.
            sorted(glob("src/*.cpp"), key=os.path.getsize, reverse=True),
            depends=sorted(glob("src/*.hpp")),
            cxx_std=17,
            define_macros=REGISTRY_KEY,
            # -O1: nothing here is hot, and -O2 takes half as long again to compile.
            extra_compile_args=["-O1", "-g0", "-fvisibility=hidden"],
        )
    ],
    cmdclass={"build_ext": ParallelBuild},
)
