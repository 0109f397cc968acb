"""Writes a house as habitat-sim reads it: stage, objects, scene instance, and Engram's catalogue of what is where.

Layout of a data set ROOT::

    engram.scene_dataset_config.json   where everything is
    stages/NAME.glb, NAME.stage_config.json
    objects/CATEGORY_NN.glb, .object_config.json    shared by all houses
    scenes/NAME.scene_instance.json
    houses/NAME.json                   the catalogue; written last, so a house that has one is complete
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from sim.houses import glb, house, stage
from sim.houses.assets import Asset
from sim.houses.house import House

DATASET_CONFIG = "engram.scene_dataset_config.json"
_FRAME = {"up": [0.0, 1.0, 0.0], "front": [0.0, 0.0, -1.0], "units_to_meters": 1.0}


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def read_json(path: Path) -> Any:
    """What a JSON file holds, None if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_dataset_config(root: Path) -> None:
    """The file that habitat-sim calls a scene dataset config."""
    configs = {
        "stages": {"paths": {".json": ["stages"]}},
        "objects": {"paths": {".json": ["objects"]}},
        "scene_instances": {"paths": {".json": ["scenes"]}},
    }
    write_json(root / DATASET_CONFIG, configs)


def write_house(built: House, root: Path, recipe: str) -> dict[str, Any]:
    """Writes a house's files and returns its catalogue. `recipe` marks what made it (see dataset)."""
    for piece in {placement.asset.name: placement.asset for placement in built.placements}.values():
        _write_object(piece, root)
    rng = np.random.default_rng([built.seed, built.attempt, 1])
    write_bytes(root / "stages" / f"{built.name}.glb", stage.build_stage(built.plan, built.placements, rng, built.name))
    write_json(
        root / "stages" / f"{built.name}.stage_config.json",
        {"render_asset": f"{built.name}.glb", **_FRAME, "force_flat_shading": True, "is_collidable": True},
    )
    write_json(root / "scenes" / f"{built.name}.scene_instance.json", _scene_instance(built))
    catalogue = describe(built, recipe)
    write_json(root / "houses" / f"{built.name}.json", catalogue)
    return catalogue


def describe(built: House, recipe: str) -> dict[str, Any]:
    """The catalogue: rooms, and every instance in the order of the scene instance's objects."""
    counts: Counter[str] = Counter()
    names: list[str] = []
    instances = []
    for index, placement in enumerate(built.placements):
        piece = placement.asset
        counts[piece.category] += 1
        names.append(f"{piece.category} {counts[piece.category]}")
        instances.append(
            {
                "semantic_id": index + 1,
                "name": names[index],
                "category": piece.category,
                "colour": piece.colour,
                "size": piece.size,
                "material": piece.material,
                "room": built.plan.rooms[placement.room].name,
                "on": "wall" if placement.mount == "wall" else "floor" if placement.on is None else names[placement.on],
                "position": _rounded(placement.x, placement.y, placement.z),
                "yaw": round(placement.yaw, 5),
                "dimensions": _rounded(*piece.dimensions),
                "object": piece.name,
                **({"credit": dataclasses.asdict(piece.credit)} if piece.credit is not None else {}),
            }
        )
    rooms = [
        {"name": room.name, "kind": room.kind, "box": _rounded(r.x0, r.z0, r.x1, r.z1)}
        for room in built.plan.rooms
        for r in [room.inner]
    ]
    doors = [
        {"rooms": [built.plan.rooms[i].name for i in o.rooms], "box": _rounded(r.x0, r.z0, r.x1, r.z1)}
        for o in built.plan.openings
        for r in [o.rect(0.06)]
    ]
    return {
        "version": house.VERSION,
        "recipe": recipe,
        "name": built.name,
        "seed": built.seed,
        "attempt": built.attempt,
        "frame": "metres, Y up; box is [x0, z0, x1, z1]; yaw in rad about +Y, 0 looks to +Z; dimensions along x, y, z",
        "rooms": rooms,
        "doors": doors,
        "instances": instances,
    }


def _scene_instance(built: House) -> dict[str, Any]:
    objects = [
        {
            "template_name": placement.asset.name,
            "translation": _rounded(placement.x, placement.y, placement.z),
            "rotation": [
                round(float(np.cos(placement.yaw / 2)), 7),
                0.0,
                round(float(np.sin(placement.yaw / 2)), 7),
                0.0,
            ],
            "motion_type": "static",
            "translation_origin": "asset_local",
        }
        for placement in built.placements
    ]
    return {
        "stage_instance": {"template_name": built.name},
        "default_lighting": "no_lights",
        "object_instances": objects,
    }


def _write_object(piece: Asset, root: Path) -> None:
    """Writes an object's files, the config last; once is enough, since its name and the version decide what it is."""
    path = root / "objects" / f"{piece.name}.object_config.json"
    mark = {"version": house.VERSION, "category": piece.category}
    if (read_json(path) or {}).get("user_defined") == mark:
        return
    material = glb.Material(piece.name, piece.image, piece.metallic, piece.roughness)
    write_bytes(root / "objects" / f"{piece.name}.glb", glb.encode([(piece.mesh, material)], piece.name))
    config = {
        "render_asset": f"{piece.name}.glb",
        **_FRAME,
        "COM": [0.0, 0.0, 0.0],
        "mass": 1.0,
        "force_flat_shading": True,
        "is_collidable": True,
        "user_defined": mark,
    }
    write_json(path, config)


def _rounded(*values: float) -> list[float]:
    return [round(float(value), 4) for value in values]
