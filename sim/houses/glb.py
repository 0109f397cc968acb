"""Writes binary glTF 2.0: byte for byte the same file for the same input."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.houses.shapes import Mesh

_FLOAT, _USHORT, _UINT, _UBYTE = 5126, 5123, 5125, 5121
_LINEAR_MIPMAP_NEAREST, _LINEAR_MIPMAP_LINEAR = 9985, 9987
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963


@dataclass(frozen=True)
class Material:
    """A PBR material: an encoded base-colour image (PNG or JPEG bytes), metallic and roughness factors in 0..1.

    `smooth` blends between the image's mip levels: nicer on large faces, dearer on a software renderer.
    """

    name: str
    image: bytes
    metallic: float = 0.0
    roughness: float = 0.8
    smooth: bool = False


def encode(parts: Sequence[tuple[Mesh, Material]], name: str) -> bytes:
    """A GLB with one node whose mesh has one primitive for each (mesh, material)."""
    writer = _Writer()
    primitives = []
    materials: list[dict[str, Any]] = []
    textures: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    samplers = [
        {"magFilter": 9729, "minFilter": filtering, "wrapS": 33071, "wrapT": 33071}
        for filtering in (_LINEAR_MIPMAP_NEAREST, _LINEAR_MIPMAP_LINEAR)
    ]
    for index, (mesh, material) in enumerate(parts):
        primitives.append(
            {
                "attributes": {
                    "POSITION": writer.accessor(mesh.positions.astype("<f4"), _FLOAT, "VEC3", bounds=True),
                    "NORMAL": writer.accessor(mesh.normals.astype("<f4"), _FLOAT, "VEC3"),
                    "TEXCOORD_0": writer.accessor(mesh.uvs.astype("<f4"), _FLOAT, "VEC2"),
                    "COLOR_0": writer.accessor(_bytes_of_colours(mesh.colours), _UBYTE, "VEC4", normalized=True),
                },
                "indices": writer.indices(mesh.triangles),
                "material": index,
                "mode": 4,
            }
        )
        materials.append(
            {
                "name": material.name,
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": index},
                    "metallicFactor": round(material.metallic, 3),
                    "roughnessFactor": round(material.roughness, 3),
                },
            }
        )
        textures.append({"source": index, "sampler": int(material.smooth)})
        mime = "image/png" if material.image[:4] == b"\x89PNG" else "image/jpeg"
        images.append({"bufferView": writer.view(material.image), "mimeType": mime, "name": material.name})
    document = {
        "asset": {"version": "2.0", "generator": "Engram houses"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0}],
        "meshes": [{"name": name, "primitives": primitives}],
        "materials": materials,
        "textures": textures,
        "images": images,
        "samplers": samplers,
        "accessors": writer.accessors,
        "bufferViews": writer.views,
        "buffers": [{"byteLength": len(writer.data)}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    data = bytes(writer.data)
    size = 12 + 8 + len(text) + 8 + len(data)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, size),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(data), b"BIN\x00"),
            data,
        ]
    )


class _Writer:
    """The binary chunk, and the accessors and views that describe it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self.views.append(view)
        self.data += data
        self.data += b"\x00" * (-len(self.data) % 4)
        return len(self.views) - 1

    def accessor(
        self, array: np.ndarray, component: int, kind: str, bounds: bool = False, normalized: bool = False
    ) -> int:
        accessor: dict[str, Any] = {
            "bufferView": self.view(np.ascontiguousarray(array).tobytes(), _ARRAY_BUFFER),
            "componentType": component,
            "count": len(array),
            "type": kind,
        }
        if bounds:
            accessor["min"] = array.min(axis=0).tolist()
            accessor["max"] = array.max(axis=0).tolist()
        if normalized:
            accessor["normalized"] = True
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def indices(self, triangles: np.ndarray) -> int:
        flat = triangles.reshape(-1)
        small = flat.max() < 65535
        array = flat.astype("<u2" if small else "<u4")
        self.accessors.append(
            {
                "bufferView": self.view(array.tobytes(), _ELEMENT_BUFFER),
                "componentType": _USHORT if small else _UINT,
                "count": len(flat),
                "type": "SCALAR",
            }
        )
        return len(self.accessors) - 1


def _bytes_of_colours(colours: np.ndarray) -> np.ndarray:
    opaque = np.full((len(colours), 4), 255, dtype=np.uint8)
    opaque[:, :3] = np.round(np.clip(colours, 0.0, 1.0) * 255.0)
    return opaque
