"""Engram's own ROS types (the package `engram_interfaces`), wherever they come from.

In a colcon workspace they are built as any interface package is, and simply imported. Beside the ROS wheels, which have
generators and headers but no colcon, the same sources are generated and compiled here, once, into the user's cache:
the package with its type supports, keyed by the sources and the versions of ROS and Python.

    from ros.interfaces import load
    types = load()            # the modules of engram_interfaces
    types.action.Navigate, types.srv.QueryMemory
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import importlib
import importlib.metadata
import importlib.util
import io
import os
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from embodied.files import replacing_folder

PACKAGE = "engram_interfaces"
SOURCES = Path(__file__).parent / PACKAGE
_RECIPE = 1
"""Of building; a change of it builds anew."""
_DEPENDENCIES = (
    "action_msgs",
    "builtin_interfaces",
    "geometry_msgs",
    "sensor_msgs",
    "service_msgs",
    "std_msgs",
    "unique_identifier_msgs",
)
_SUPPORTS = {"fastrtps": "rosidl_typesupport_fastrtps_c", "introspection": "rosidl_typesupport_introspection_c"}
_LIBRARIES = ("rosidl_generator_c", "rosidl_generator_py", "rosidl_typesupport_c", *_SUPPORTS.values())
_RUNTIME = (
    "rosidl_runtime_c",
    "rosidl_typesupport_c",
    "rosidl_typesupport_fastrtps_c",
    "rosidl_typesupport_fastrtps_cpp",
    "rosidl_typesupport_introspection_c",
    "fastcdr",
    "rcutils",
    "rmw",
)


class InterfaceError(ValueError):
    """The types cannot be built; the message is one line with the cause and the remedy."""


@dataclass(frozen=True)
class Interfaces:
    """The modules of `engram_interfaces`."""

    action: ModuleType
    msg: ModuleType
    srv: ModuleType


def load() -> Interfaces:
    """The types; the first time beside the ROS wheels they are compiled, which takes about a minute.

    Raises:
        InterfaceError: no ROS is installed, or there is no C++ compiler.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        folder = build()
        sys.path.append(str(folder))
        for support in _SUPPORTS.values():  # ROS looks for them by name, and finds what is loaded already
            ctypes.CDLL(str(folder / PACKAGE / f"lib{PACKAGE}__{support}.so"))
        importlib.invalidate_caches()
    return Interfaces(*(importlib.import_module(f"{PACKAGE}.{part}") for part in ("action", "msg", "srv")))


def build() -> Path:
    """The folder that holds the built package, building it if it is not there. Raises InterfaceError."""
    try:
        version = importlib.metadata.version("ros-rosidl-generator-py")
    except importlib.metadata.PackageNotFoundError:
        raise InterfaceError(
            "no ROS wheels and no built package engram_interfaces: install Engram's extra 'ros', or build "
            "ros/engram_interfaces in a colcon workspace and source it"
        ) from None
    sources = [path for part in ("action", "msg", "srv") for path in sorted((SOURCES / part).glob("*.*"))]
    digest = hashlib.sha256(f"{_RECIPE} {version} {sys.version} {sys.prefix}".encode())
    for path in sources:
        digest.update(path.name.encode() + path.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "engram" / "ros" / digest.hexdigest()[:16]
    if (folder / PACKAGE).is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # nodes that start together compile once
        if not (folder / PACKAGE).is_dir():
            print(f"compiling {PACKAGE} for this ROS, once", file=sys.stderr, flush=True)
            with replacing_folder(folder) as draft, tempfile.TemporaryDirectory() as generated:
                _generate(Path(generated), sources)
                _compile(Path(generated), draft / PACKAGE)
    return folder


def _generate(out: Path, sources: list[Path]) -> None:
    """Sources of the types, a folder for each kind: c, fastrtps, introspection, dispatch, py."""
    share = Path(sys.prefix) / "share"
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    from rosidl_adapter.action import convert_action_to_idl
    from rosidl_adapter.msg import convert_msg_to_idl
    from rosidl_adapter.srv import convert_srv_to_idl
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_py.cli import GeneratePython
    from rosidl_generator_type_description.cli import HashTypeDescription
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
    from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

    convert = {".action": convert_action_to_idl, ".msg": convert_msg_to_idl, ".srv": convert_srv_to_idl}
    include = [str(share / package) for package in _DEPENDENCIES]
    folders = {kind: out / kind / PACKAGE for kind in ("c", "fastrtps", "introspection", "dispatch", "py")}
    with contextlib.redirect_stdout(io.StringIO()):
        idl = []
        for path in sources:
            relative = path.relative_to(SOURCES)
            convert[path.suffix](SOURCES, PACKAGE, relative, folders["c"] / relative.parent)
            idl.append(f"{folders['c']}:{relative.with_suffix('.idl')}")
        hashes = HashTypeDescription("type_description").generate_type_hashes(PACKAGE, idl, include, folders["c"])
        GenerateC("c").generate(PACKAGE, idl, include, folders["c"], hashes)
        generators = {
            "fastrtps": GenerateFastRTPSCTypesupport("fastrtps_c"),
            "introspection": GenerateIntrospectionCTypesupport("introspection_c"),
            "dispatch": GenerateCTypesupport("c", typesupport_implementations=list(_SUPPORTS.values())),
            "py": GeneratePython("py", typesupport_implementations=["rosidl_typesupport_c"]),
        }
        for kind, generator in generators.items():
            generator.generate(PACKAGE, idl, include, folders[kind])


def _compile(generated: Path, package: Path) -> None:
    """Compiles the sources to two type supports and the extension module, beside the Python files."""
    import numpy

    prefix = Path(sys.prefix)
    include = [*sorted(generated.iterdir()), sysconfig.get_path("include"), numpy.get_include()]
    include += sorted(path for path in (prefix / "include").iterdir() if path.is_dir())
    flags = ["-O1", "-fPIC", "-w", *(f"-I{path}" for path in include), f"-I{prefix / 'include'}"]

    def compile_one(unit: Path) -> Path:
        target = unit.with_suffix(unit.suffix + ".o")
        _run(["gcc" if unit.suffix == ".c" else "g++", *flags, "-c", str(unit), "-o", str(target)])
        return target

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(compile_one, [*generated.rglob("*.c"), *generated.rglob("*.cpp")]))
    for path in sorted((generated / "py" / PACKAGE).rglob("*.py")):
        target = package / path.relative_to(generated / "py" / PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (package / "__init__.py").touch()

    names = [f"{name}__{kind}" for name in _DEPENDENCIES for kind in _LIBRARIES] + list(_RUNTIME)
    libraries = [f"-l{name}" for name in names if (prefix / "lib" / f"lib{name}.so").exists()]

    def link(target: str, kinds: tuple[str, ...], beside: tuple[str, ...] = ()) -> None:
        objects = [str(path) for kind in kinds for path in sorted((generated / kind).rglob("*.o"))]
        own = [str(package / name) for name in beside]
        options = [f"-Wl,-soname,{target}", "-Wl,-rpath,$ORIGIN", "-Wl,--allow-shlib-undefined", f"-L{prefix / 'lib'}"]
        _run(["g++", "-shared", "-o", str(package / target), *objects, *options, *own, *libraries])

    types = f"lib{PACKAGE}__rosidl_generator_c.so"
    link(types, ("c",))
    for kind, support in _SUPPORTS.items():
        link(f"lib{PACKAGE}__{support}.so", (kind,), (types,))
    link(f"{PACKAGE}_s__rosidl_typesupport_c{sysconfig.get_config_var('EXT_SUFFIX')}", ("dispatch", "py"), (types,))


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise InterfaceError(
            f"compiling {PACKAGE} needs {command[0]}, which is not installed: install a C++ compiler"
        ) from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise InterfaceError(f"compiling {PACKAGE} failed: {' '.join(lines[:1])}")
