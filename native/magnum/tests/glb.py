"""The smallest GLB writer that makes a simulator scene: coloured, axis-aligned boxes, given with Y up.

habitat_sim takes a bare GLB for Z up, front +Y, and turns it upright, so files are written that way.
"""

import json
import struct

import numpy as np

BYTES, FLOATS, UINTS = 5121, 5126, 5125  # glTF component types


def _box(low, high):
    """Positions [24, 3], normals [24, 3] and indices [36] of a box with flat faces seen from outside."""
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    positions, normals, indices = [], [], []
    for axis in range(3):
        for end in (0, 1):
            u, v = (axis + 1) % 3, (axis + 2) % 3
            corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
            if not end:
                corners.reverse()
            start = len(positions)
            for a, b in corners:
                corner = low.copy()
                corner[axis] = (low, high)[end][axis]
                corner[u], corner[v] = (low, high)[a][u], (low, high)[b][v]
                positions.append(corner)
                normals.append(np.eye(3, dtype=np.float32)[axis] * (1 if end else -1))
            indices += [start, start + 1, start + 2, start, start + 2, start + 3]
    return np.array(positions, np.float32), np.array(normals, np.float32), np.array(indices, np.uint32)


def _z_up(vectors):
    x, y, z = vectors.T
    return np.ascontiguousarray(np.stack([x, -z, y], axis=1))


def write_boxes(path, boxes):
    """Writes `boxes`, a list of (low, high, rgb) in metres, as one GLB."""
    blob, views, accessors, meshes, materials = b"", [], [], [], []

    def accessor(array, component, kind, **extra):
        nonlocal blob
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": array.nbytes})
        accessors.append(
            {
                "bufferView": len(views) - 1,
                "componentType": component,
                "count": len(array),
                "type": kind,
                **extra,
            }
        )
        blob += array.tobytes()
        return len(accessors) - 1

    for low, high, rgb in boxes:
        positions, normals, indices = _box(low, high)
        positions, normals = _z_up(positions), _z_up(normals)
        attributes = {
            "POSITION": accessor(
                positions,
                FLOATS,
                "VEC3",
                min=positions.min(0).tolist(),
                max=positions.max(0).tolist(),
            ),
            "NORMAL": accessor(normals, FLOATS, "VEC3"),
        }
        primitive = {
            "attributes": attributes,
            "indices": accessor(indices, UINTS, "SCALAR"),
            "material": len(materials),
        }
        meshes.append({"primitives": [primitive]})
        materials.append(
            {
                "pbrMetallicRoughness": {
                    "baseColorFactor": [*rgb, 1.0],
                    "metallicFactor": 0.0,
                    "roughnessFactor": 1.0,
                }
            }
        )

    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(meshes)))}],
        "nodes": [{"mesh": i} for i in range(len(meshes))],
        "meshes": meshes,
        "materials": materials,
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(blob)}],
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    blob += b"\0" * (-len(blob) % 4)
    with open(path, "wb") as file:
        file.write(struct.pack("<III", 0x46546C67, 2, 12 + 8 + len(text) + 8 + len(blob)))
        file.write(struct.pack("<II", len(text), 0x4E4F534A) + text)
        file.write(struct.pack("<II", len(blob), 0x004E4942) + blob)
    return path


#: A walled room of 6 x 6 m with a red block in its middle, to be walked round.
ROOM = [
    ((-3, -0.1, -3), (3, 0, 3), (0.6, 0.6, 0.6)),
    ((-3.1, 0, -3), (-3, 2.5, 3), (0.2, 0.4, 0.8)),
    ((3, 0, -3), (3.1, 2.5, 3), (0.8, 0.8, 0.2)),
    ((-3, 0, -3.1), (3, 2.5, -3), (0.2, 0.8, 0.3)),
    ((-3, 0, 3), (3, 2.5, 3.1), (0.7, 0.3, 0.8)),
    ((-1, 0, -0.5), (1, 1, 0.5), (0.9, 0.1, 0.1)),
]
