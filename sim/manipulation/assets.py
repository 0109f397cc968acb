"""The table and everything on it, as habitat-sim reads it: our own meshes, the same bytes every time.

Layout of the data set folder ROOT::

    engram.scene_dataset_config.json
    stages/tabletop.glb, .stage_config.json     a room with a table; the tabletop's middle is the origin
    objects/NAME.glb, NAME.object_config.json
    scenes/tabletop.scene_instance.json
    episodes/TASK_SPLIT.json.gz                 (see episodes)

Meshes are in habitat-sim's frame (metres, Y up), where the table's x (forward, from the gripper's
side towards the camera) is -Z and its y (left) is -X.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sim.houses import glb, textures
from sim.houses.files import write_bytes, write_dataset_config, write_json
from sim.houses.shapes import Mesh, Sculptor, merge

RGB = tuple[float, float, float]

SCENE = "scenes/tabletop.scene_instance.json"
COLOURS: dict[str, RGB] = {
    "red": (0.90, 0.10, 0.10),
    "green": (0.10, 0.62, 0.16),
    "blue": (0.12, 0.26, 0.92),
    "yellow": (1.00, 0.84, 0.05),
    "purple": (0.62, 0.16, 0.80),
    "cyan": (0.05, 0.78, 0.85),
}
CUBE_M = 0.05
"""Edge of a cube."""

_DARK: RGB = (0.16, 0.17, 0.19)
_UNLIT: RGB = (0.26, 0.27, 0.30)
_WHITE: RGB = (1.0, 1.0, 1.0)
_AMBER: RGB = (1.0, 0.72, 0.10)
_LIME: RGB = (0.45, 1.0, 0.30)
_STEEL: RGB = (0.62, 0.65, 0.70)
_TABLE_HALF_M = (0.48, 0.36)
_FRAME = {"up": [0.0, 1.0, 0.0], "front": [0.0, 0.0, -1.0], "units_to_meters": 1.0}
_VERSION = 1


def write_assets(root: Path) -> None:
    """Writes the table, the objects and the scene under `root`, each file whole or not at all."""
    for name, (build, extra) in _objects().items():
        _write_object(root, name, build(), extra)
    write_bytes(root / "stages" / "tabletop.glb", _stage())
    stage_config = {
        "render_asset": "tabletop.glb",
        **_FRAME,
        "force_flat_shading": True,
        "is_collidable": True,
        "margin": 0.001,
        "friction_coefficient": 0.8,
        "restitution_coefficient": 0.0,
    }
    write_json(root / "stages" / "tabletop.stage_config.json", stage_config)
    scene = {"stage_instance": {"template_name": "tabletop"}, "default_lighting": "no_lights", "object_instances": []}
    write_json(root / SCENE, scene)
    write_dataset_config(root)


def _write_object(root: Path, name: str, mesh: Mesh, extra: dict[str, Any]) -> None:
    data = glb.encode([(mesh, glb.Material(name, _white_image()))], name)
    write_bytes(root / "objects" / f"{name}.glb", data)
    config = {
        "render_asset": f"{name}.glb",
        **_FRAME,
        "COM": [0.0, 0.0, 0.0],
        "mass": 0.1,
        "force_flat_shading": True,
        "is_collidable": False,
        **extra,
        "user_defined": {"version": _VERSION},
    }
    write_json(root / "objects" / f"{name}.object_config.json", config)


def _white_image() -> bytes:
    return textures.encode_png(np.full((4, 4, 3), 255, dtype=np.uint8))


def _objects() -> dict[str, tuple[Callable[[], Mesh], dict[str, Any]]]:
    """Every object: what makes its mesh, and what its config says beside the defaults."""
    solid = {
        "is_collidable": True,
        "use_bounding_box_for_collision": True,
        "margin": 0.001,
        "friction_coefficient": 0.8,
        "restitution_coefficient": 0.0,
    }
    made: dict[str, tuple[Callable[[], Mesh], dict[str, Any]]] = {
        "palm": (_palm, {}),
        "finger": (_finger, solid),
        "button_base": (partial(_button_base, _DARK), {}),
        "button_base_down": (partial(_button_base, _WHITE), {}),
        "lamp_off": (partial(_lamp, _UNLIT, None), {}),
        "lamp_blink": (partial(_lamp, _AMBER, (1.0, 0.93, 0.62)), {}),
        "lamp_go": (partial(_lamp, _LIME, (0.78, 1.0, 0.70)), {}),
        "pad": (partial(_pad, (0.30, 0.33, 0.40)), {}),
        "pad_marked": (partial(_pad, (1.0, 0.42, 0.75)), {}),
        "tray": (_tray, {}),
        "display": (_display, {}),
        "mark_off": (partial(_mark, _UNLIT), {}),
        "mark_on": (partial(_mark, _AMBER), {}),
    }
    for colour, rgb in COLOURS.items():
        dim = _scaled(rgb, 0.60)
        made[f"button_{colour}"] = (partial(_button_cap, dim, None), {})
        made[f"button_{colour}_lit"] = (partial(_button_cap, _mixed(rgb, _WHITE, 0.15), rgb), {})
        made[f"cube_{colour}"] = (partial(_cube, rgb), solid)
        made[f"card_{colour}"] = (partial(_card, rgb), {})
    return made


# -- shapes ----------------------------------------------------------------------------------------------------------


def _painted(sculptor: Sculptor, colour: RGB) -> Mesh:
    """What was sculpted, in one colour; the baked shading stays."""
    mesh = sculptor.finish()
    return Mesh(mesh.positions, mesh.normals, mesh.uvs, mesh.colours * np.asarray(colour), mesh.triangles)


def _glowing(sculptor: Sculptor, colour: RGB) -> Mesh:
    """What was sculpted, without shading: a light source."""
    mesh = sculptor.finish()
    return Mesh(mesh.positions, mesh.normals, mesh.uvs, np.tile(colour, (len(mesh.positions), 1)), mesh.triangles)


def _mixed(first: RGB, second: RGB, share: float) -> RGB:
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def _scaled(colour: RGB, factor: float) -> RGB:
    return _mixed((0.0, 0.0, 0.0), colour, factor)


def _box(size: tuple[float, float, float], centre: tuple[float, float, float], colour: RGB) -> Mesh:
    part = Sculptor()
    half = np.asarray(size) / 2.0
    part.box(np.asarray(centre) - half, np.asarray(centre) + half, bottom=True)
    return _painted(part, colour)


def _palm() -> Mesh:
    """The gripper's body; the origin is the tool point, between the fingertips."""
    wrist = Sculptor()
    wrist.cylinder((0.0, 0.115, 0.0), 0.014, 0.16, sides=8)
    return merge([_box((0.104, 0.022, 0.030), (0.0, 0.104, 0.0), _DARK), _painted(wrist, _STEEL)])


def _finger() -> Mesh:
    """10 mm wide, 24 mm deep, 94 mm long; the origin is its middle."""
    return _box((0.010, 0.094, 0.024), (0.0, 0.0, 0.0), (0.20, 0.21, 0.25))


def _button_base(colour: RGB) -> Mesh:
    part = Sculptor()
    part.cylinder((0.0, 0.0, 0.0), 0.046, 0.012, sides=16)
    return _painted(part, colour)


def _button_cap(colour: RGB, glow: RGB | None) -> Mesh:
    """Top at 0.036 m when the button is up; a lit one shines, with a bright ring round it."""
    cap = Sculptor()
    cap.lathe([(0.034, 0.0), (0.034, 0.020), (0.029, 0.024)], centre=(0.0, 0.012, 0.0), sides=16)
    if glow is None:
        return _painted(cap, colour)
    ring = Sculptor()
    ring.disc((0.0, 0.0125, 0.0), 0.052, (0.0, 1.0, 0.0), sides=16)
    core = Sculptor()
    core.disc((0.0, 0.0365, 0.0), 0.015, (0.0, 1.0, 0.0), sides=12)
    return merge([_glowing(cap, colour), _glowing(ring, _mixed(glow, _WHITE, 0.72)), _glowing(core, _WHITE)])


def _lamp(colour: RGB, glow: RGB | None) -> Mesh:
    """A dome on a foot; a lit one has a halo on the table."""
    foot, dome = Sculptor(), Sculptor()
    foot.cylinder((0.0, 0.0, 0.0), 0.036, 0.016, sides=12)
    dome.ball((0.0, 0.016, 0.0), (0.031, 0.036, 0.031), sides=12, rings=6)
    if glow is None:
        return merge([_painted(foot, _DARK), _painted(dome, colour)])
    halo = Sculptor()
    halo.disc((0.0, 0.002, 0.0), 0.058, (0.0, 1.0, 0.0), sides=16)
    return merge([_painted(foot, _DARK), _glowing(dome, colour), _glowing(halo, glow)])


def _pad(colour: RGB) -> Mesh:
    return _box((0.10, 0.003, 0.10), (0.0, 0.0015, 0.0), colour)


def _tray() -> Mesh:
    """A light square with a thin rim."""
    rim, floor = (0.25, 0.42, 0.45), (0.80, 0.90, 0.92)
    parts = [_box((0.12, 0.003, 0.12), (0.0, 0.0015, 0.0), floor)]
    for x, z, width, depth in (
        (0.0, 0.06, 0.128, 0.008),
        (0.0, -0.06, 0.128, 0.008),
        (0.06, 0.0, 0.008, 0.12),
        (-0.06, 0.0, 0.008, 0.12),
    ):
        parts.append(_box((width, 0.010, depth), (x, 0.005, z), rim))
    return merge(parts)


def _display() -> Mesh:
    return _box((0.27, 0.004, 0.075), (0.0, 0.002, 0.0), _DARK)


def _mark(colour: RGB) -> Mesh:
    part = Sculptor()
    part.disc((0.0, 0.006, 0.0), 0.024, (0.0, 1.0, 0.0), sides=12)
    return _glowing(part, colour)


def _cube(colour: RGB) -> Mesh:
    return _box((CUBE_M, CUBE_M, CUBE_M), (0.0, 0.0, 0.0), colour)


def _card(colour: RGB) -> Mesh:
    """A sign that stands on the table and looks at the camera, tilted back."""
    face, frame = Sculptor(), Sculptor()
    low, high = np.array([0.0, 0.008, 0.0]), np.array([0.0, 0.085, -0.05])
    for part, half, lift in ((frame, 0.062, 0.0), (face, 0.053, 0.0015)):
        inset = 0.0 if part is frame else 0.10
        a, b = low + (high - low) * inset, low + (high - low) * (1.0 - inset)
        out = np.array([0.0, 0.54, 0.84]) * lift
        side = np.array([half, 0.0, 0.0])
        part.quad(a - side + out, a + side + out, b + side + out, b - side + out)
    return merge([_painted(frame, (0.97, 0.97, 0.97)), _glowing(face, colour)])


def _stage() -> bytes:
    """Floor, walls and the table. The tabletop is at height 0, so that table and simulator share their origin."""
    rng = np.random.default_rng(7)
    half_x, half_z = _TABLE_HALF_M
    room, legs, top = Sculptor(), Sculptor(), Sculptor()
    room.quad((-1.6, -0.75, 1.6), (1.6, -0.75, 1.6), (1.6, -0.75, -1.6), (-1.6, -0.75, -1.6))
    for a, b in (
        ((-1.6, -1.6), (1.6, -1.6)),
        ((1.6, -1.6), (1.6, 1.6)),
        ((1.6, 1.6), (-1.6, 1.6)),
        ((-1.6, 1.6), (-1.6, -1.6)),
    ):
        room.quad((a[0], -0.75, a[1]), (b[0], -0.75, b[1]), (b[0], 1.6, b[1]), (a[0], 1.6, a[1]))
    for x in (-half_x + 0.05, half_x - 0.05):
        for z in (-half_z + 0.05, half_z - 0.05):
            legs.box((x - 0.025, -0.75, z - 0.025), (x + 0.025, -0.03, z + 0.025))
    legs.box((-half_x, -0.03, -half_z), (half_x, -0.0005, half_z), bottom=True, top=False)
    top.panel((-half_x, 0.0, half_z), (half_x, 0.0, half_z), (half_x, 0.0, -half_z), (-half_x, 0.0, -half_z))
    wood = textures.swatch("wood", (0.74, 0.66, 0.55), (0.80, 0.73, 0.63), rng)
    board = glb.Material("tabletop", textures.encode_png(textures.atlas([wood])), smooth=True)
    plain = glb.Material("plain", _white_image())
    painted = merge([_painted(room, (0.62, 0.66, 0.72)), _painted(legs, (0.45, 0.34, 0.25))])
    return glb.encode([(painted, plain), (top.finish(), board)], "tabletop")
