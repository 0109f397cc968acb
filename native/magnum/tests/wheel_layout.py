"""Reads from the wheel's debug information what test_layout.py compares with. Runs inside gdb:

gdb -batch -x wheel_layout.py habitat_sim/_ext/habitat_sim_bindings.*.so > wheel_layout.json
"""

import json
import re

import gdb  # ty: ignore

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
MATHS = [
    *(f"{name}<float>" for name in "Vector2 Vector3 Vector4 Color3 Color4 Quaternion Matrix3 Matrix4 Range3D Rad".split()),
    *(f"{name}<double>" for name in "Rad Deg Matrix4".split()),
    "Vector2<int>",
    "Vector3<unsigned char>",
]


def members(kind, base=0):
    """Offsets of all members, those of bases included; a name found twice keeps the most derived one."""
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


def virtual_tables(symbol):
    """Function names by slot, one list for every table of the group."""
    words = gdb.execute(f"x/60ga &'vtable for {symbol}'", to_string=True)
    entries = [entry for line in words.splitlines() for entry in line.split(":\t", 1)[1].split("\t")]
    tables = []
    for before, entry in zip([None, *entries], entries, strict=False):
        if "<typeinfo for" in entry:
            if symbol not in entry:
                break  # the next class's table
            if before is None or not tables or "<" not in before:
                tables.append([])
        elif tables and "<" in entry:
            if entry.split()[1].startswith("<typeinfo"):
                break
            tables[-1].append(re.sub(r"^.*?(~?\w+)\((?:[^()]|\([^()]*\))*\)(?: const)?>?$", r"\1", entry))
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
    formats = {
        field.name.rsplit("::", 1)[1]: int(field.enumval) for field in gdb.lookup_type("Magnum::PixelFormat").fields()
    }
    print(json.dumps({"layouts": layouts, "slots": slots, "pixel_formats": formats}, indent=1))


main()
