"""Every name that habitat-lab and habitat_sim take from `magnum` exists, but for those the README lists as left out."""

import ast
import importlib.util
from pathlib import Path

import magnum
import pytest

#: Mesh files read by Python, for habitat-lab's receptacles made of meshes.
LEFT_OUT = {"trade", "meshtools", "scenetools", "MeshPrimitive"}


def files(package):
    return sorted(Path(importlib.util.find_spec(package).submodule_search_locations[0]).rglob("*.py"))


def names_used(path):
    """What a file takes from magnum: `math.pi` for `mn.math.pi`, after `import magnum as mn`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    aliases = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == "magnum":
                    aliases.add(name.asname or "magnum")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "magnum":
            module = node.module.partition(".")[2]
            yield from (f"{module}.{name.name}".lstrip(".") for name in node.names)
    for node in ast.walk(tree):
        parts = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if parts and isinstance(node, ast.Name) and node.id in aliases:
            yield ".".join(parts)


def exists(name):
    found = magnum
    for part in name.split("."):
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


@pytest.mark.parametrize(("package", "at_least"), [("habitat_sim", 10), ("habitat", 40)])
def test_names_that_habitat_uses_exist(package, at_least):
    used = {name for path in files(package) for name in names_used(path)}
    assert len(used) > at_least
    assert not sorted(name for name in used if name.split(".")[0] not in LEFT_OUT and not exists(name))
