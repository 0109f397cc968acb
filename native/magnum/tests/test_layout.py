"""This module's classes look in memory like the simulator's. `wheel_layout.json` is what the simulator's debug
information says; `wheel_layout.py` made it."""

import json
import shutil
import subprocess
from inspect import isclass, ismodule
from pathlib import Path

import habitat_sim._ext.habitat_sim_bindings as bindings
import magnum
import pytest

HERE = Path(__file__).parent
OURS = json.loads(magnum._magnum._layout_json())
WHEEL = json.loads((HERE / "wheel_layout.json").read_text())


@pytest.mark.parametrize("name", WHEEL["layouts"])
def test_a_class_has_the_simulators_size_and_offsets(name):
    ours, wheel = OURS["layouts"][name], WHEEL["layouts"][name]
    assert ours["size"] == wheel["size"]
    assert ours["members"] == {member: wheel["members"][member] for member in ours["members"]}


@pytest.mark.parametrize("name", WHEEL["slots"])
def test_virtual_functions_have_the_simulators_slots(name):
    wheel = WHEEL["slots"][name]
    for signature, slot in OURS["slots"][name]:
        assert wheel[slot] == signature


def test_every_transformation_is_called_by_its_slot():
    assert [signature for signature, _ in OURS["slots"]["Transformation"]] == WHEEL["slots"]["Transformation"]


def test_pixel_formats_have_the_simulators_values():
    def plain(names):
        return {name.replace("_", "").upper(): int(value) for name, value in names.items()}

    assert plain(magnum.PixelFormat.__members__) == plain(WHEEL["enums"]["PixelFormat"])


def test_aspect_ratio_policies_have_the_simulators_values():
    policies = {name: int(value) for name, value in magnum.scenegraph.AspectRatioPolicy.__members__.items()}
    wheel = WHEEL["enums"]["AspectRatioPolicy"]
    assert policies == {"NOT_PRESERVED": wheel["NotPreserved"], "EXTEND": wheel["Extend"], "CLIP": wheel["Clip"]}


@pytest.mark.skipif(shutil.which("gdb") is None, reason="no gdb to read the debug information with")
def test_the_committed_layout_is_what_the_simulators_debug_information_says():
    command = ["gdb", "-nx", "-batch", "-x", str(HERE / "wheel_layout.py"), bindings.__file__]
    read = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(read) == WHEEL


def test_every_type_in_the_simulators_signatures_is_known():
    """pybind11 writes the C++ name of a type that had no Python class when the function was defined."""
    lines = [line for text in documented(bindings) for line in text.splitlines() if " -> " in line]
    assert sum("magnum.Vector3" in line for line in lines) > 50  # the walk below does reach the signatures
    assert not [line for line in lines if "Magnum::" in line or "Corrade::" in line]


def documented(owner):
    """Docstrings of all functions in a module or class of the bindings, property accessors included."""
    for name, value in list(vars(owner).items()):
        if isinstance(value, property):
            for accessor in (value.fget, value.fset):
                yield getattr(accessor, "__doc__", None) or ""
        elif isclass(value) or (ismodule(value) and value.__name__.startswith(bindings.__name__)):
            if name != "__class__":
                yield from documented(value)
        elif callable(value):
            yield getattr(value, "__doc__", None) or ""
