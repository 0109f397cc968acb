"""Reads from the simulator's debug information what test_layout.py compares this module with. Runs inside gdb:

gdb -batch -x wheel_layout.py SITE_PACKAGES/habitat_sim/_ext/habitat_sim_bindings.*.so > wheel_layout.json

Output: `layouts` (size and member offsets in bytes, by class), `slots` (the functions of a virtual table in order, by
class) and `enums` (values by name).
"""

import json
import re

import gdb

GRAPH = "Magnum::SceneGraph::"
TRANSFORMATION = GRAPH + "BasicTranslationRotationScalingTransformation3D<float>"
TYPES = {
    "AbstractObject": GRAPH + "AbstractObject<3u, float>",
    "Transformation": TRANSFORMATION,
    "Object": f"{GRAPH}Object<{TRANSFORMATION} >",
    "AbstractFeature": GRAPH + "AbstractFeature<3u, float>",
    "Camera": GRAPH + "Camera<3u, float>",
    "PixelStorage": "Magnum::PixelStorage",
    "ImageView": "Magnum::ImageView<2u, char>",
}
SINGLE = ("Vector2", "Vector3", "Vector4", "Color3", "Color4", "Quaternion", "Matrix3", "Matrix4", "Range3D", "Rad")
MATHS = [
    *(name + "<float>" for name in SINGLE),
    *(name + "<double>" for name in ("Rad", "Deg", "Matrix4")),
    "Vector2<int>",
    "Vector3<unsigned char>",
]
ENUMS = {"PixelFormat": "Magnum::PixelFormat", "AspectRatioPolicy": GRAPH + "AspectRatioPolicy"}


def members(kind, base=0):
    """Offsets of all members, those of bases included; of two with one name, the most derived class's."""
    found = {}
    for field in kind.fields():
        if not hasattr(field, "bitpos") or field.name.startswith("_vptr"):
            continue
        offset = base + field.bitpos // 8
        if field.is_base_class:
            if field.name == TRANSFORMATION:
                found["Transformation"] = offset
            found.update(members(field.type.strip_typedefs(), offset))
        else:
            found[field.name] = offset
    return found


def signature(symbol):
    """`doRotate(Rad, Vector3)` from a function's full name."""
    name, arguments = re.match(r".*::(~?\w+)\((.*)\)(?: const)?$", symbol).groups()
    kinds = re.findall(r"Magnum::Math::(\w+)", arguments)
    return f"{name}({', '.join(kinds) if kinds else arguments})"


def virtual_tables(symbol):
    """Signatures by slot, one list for every table of the class's group: the primary base's, then the others'."""
    words = gdb.execute(f"x/60ga &'vtable for {symbol}'", to_string=True)
    entries = [entry.strip() for line in words.splitlines() for entry in line.split(":\t", 1)[1].split("\t")]
    tables = []
    for entry in entries:
        found = re.match(r"0x\w+ <(.*?)(?:\+\d+)?>$", entry)
        if found is None:
            continue  # a table's offset to the whole object
        if found[1].startswith("typeinfo for"):
            if not found[1].endswith(symbol):
                break  # the next class's tables
            tables.append([])
        elif tables and "(" in found[1]:
            tables[-1].append(signature(re.sub(r"^(non-)?virtual thunk to ", "", found[1])))
    return tables


def main():
    for command in ("set language c++", "set width 0", "set pagination off", "set print asm-demangle on"):
        gdb.execute(command)
    layouts = {}
    for name, qualified in TYPES.items():
        kind = gdb.lookup_type(qualified).strip_typedefs()
        layouts[name] = {"size": kind.sizeof, "members": members(kind)}
    for name in MATHS:
        layouts[name] = {"size": gdb.lookup_type("Magnum::Math::" + name).sizeof, "members": {}}
    tables = virtual_tables("esp::scene::SceneNode")
    slots = {"AbstractObject": tables[0], "Transformation": tables[1], "AbstractFeature": tables[3]}
    enums = {
        name: {field.name.rsplit("::", 1)[1]: int(field.enumval) for field in gdb.lookup_type(qualified).fields()}
        for name, qualified in ENUMS.items()
    }
    print(json.dumps({"layouts": layouts, "slots": slots, "enums": enums}, indent=1))


main()
