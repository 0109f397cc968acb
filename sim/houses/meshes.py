"""Real furniture meshes, from the Debian package `sweethome3d-furniture`, in place of procedural shapes.

The package has five libraries (.sh3f: a zip with a catalogue and OBJ models). One is in the public domain (CC0), the
others are CC-BY 3.0 and want their authors named: every asset keeps its credit, which the house's catalogue and the
data set's attribution file repeat.

A model keeps its shape and colours but not its textures: they are sampled into one colour a face, and the faces are
merged until few enough are left to render fast.
"""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import trimesh

from sim.houses import textures
from sim.houses.assets import Asset, Credit, Surface, asset_name, size_word
from sim.houses.categories import CATEGORIES
from sim.houses.library import Library, procedural
from sim.houses.palette import COLOURS
from sim.houses.shapes import Mesh, shade

PACKAGE_DIR = "/usr/share/sweethome3d/furniture"
SELECTIONS = ("", "cc0", "all")
_CC0 = ("BlendSwap-CC-0.sh3f",)
_LICENCES = {
    "BlendSwap-CC-0.sh3f": "CC0-1.0",
    "BlendSwap-CC-BY.sh3f": "CC-BY-3.0",
    "KatorLegaz.sh3f": "CC-BY-3.0-US",
    "Reallusion.sh3f": "CC-BY-3.0-US",
    "Scopia.sh3f": "CC-BY-3.0",
}
_FEW_MODELS = 3
_MAX_FACES = 500
_GRIDS = (64, 48, 36, 28, 22, 17, 13, 10)
"""Cells along a model's longest side, tried from the finest, when its faces are merged."""
_SIZE_SLACK = 1.5
"""A model is taken for a category if no side is this many times longer or shorter than the category's own shapes."""

#: What a model's name must be to stand for a category; the first that fits wins.
_NAMES: tuple[tuple[str, str], ...] = (
    ("armchair", r"armchair|relax chair"),
    ("nightstand", r"bedside table|night ?stand"),
    ("coffee table", r"coffee table|low table"),
    ("tv stand", r"television cabinet|tv (stand|unit|cabinet)"),
    ("coffee maker", r"coffee (brewer|machine|maker)"),
    ("washing machine", r"washing machine"),
    ("refrigerator", r"fridge|refrigerator"),
    ("knife block", r"knife (stand|block)"),
    ("teddy bear", r"teddy bear"),
    ("piano", r"^(upright )?piano$"),
    ("bed", r"^(iron |double |single |child )?bed( double| single)?$"),
    ("wardrobe", r"wardrobe"),
    ("bookshelf", r"bookcase|bookshelf|^(vertical )?shelves$"),
    ("stool", r"stool"),
    ("bench", r"^(wood(en)? )?bench$|piano bench"),
    ("chair", r"^(?!.*(baby|deck|beach|wheel|rocking|high)).*chair\b"),
    ("sofa", r"sofa|couch"),
    ("desk", r"\bdesk$|^desk"),
    ("dining table", r"^(oak |wooden |dining )?table( with tablecloth)?$"),
    ("cabinet", r"cupboard|(drawers|glass door|lower|sink) cabinet"),
    ("toilet", r"^toilets?( unit)?$"),
    ("washbasin", r"^washbasin"),
    ("bathtub", r"^bath ?tub"),
    ("stove", r"^(stove|oven|cooker)$"),
    ("plant", r"plant|cactus|orchid|^palm|flowers"),
    ("tv", r"^tv\b"),
    ("guitar", r"guitar"),
    ("speaker", r"speaker"),
    ("box", r"^(box|crate)$"),
    ("trash can", r"dustbin|trash|waste"),
    ("umbrella", r"umbrella"),
    ("vase", r"^vase"),
    ("cup", r"\bcup$"),
    ("bottle", r"bottle"),
    ("bowl", r"^bowl"),
    ("bread", r"^bread"),
    ("kettle", r"kettle|teapot"),
    ("shoe", r"sneakers|shoes|slippers|bootie"),
    ("suitcase", r"suitcase|briefcase"),
    ("table lamp", r"(desk|table|little) lamp"),
    ("floor lamp", r"lamp"),
)


@dataclass(frozen=True)
class Model:
    """One entry of a library's catalogue. Sizes in metres (x, y, z); `top_m` is where things may be set on it."""

    archive: Path
    path: str
    name: str
    category: str
    dimensions: tuple[float, float, float]
    top_m: float | None
    rotation: tuple[float, ...] | None
    credit: Credit


@lru_cache(maxsize=4)
def load_library(selection: str, folder: str = "") -> Library:
    """The assets that houses are furnished with.

    Args:
        selection: "" for procedural shapes alone, "cc0" for the public-domain models, "all" for all five libraries;
            categories that no model stands for stay procedural.
        folder: where the .sh3f files are; empty: where the Debian package puts them.

    Raises:
        ValueError: an unknown selection, or no such files there.
    """
    if selection not in SELECTIONS:
        raise ValueError(f"houses.meshes must be empty, cc0 or all, not '{selection}'")
    if not selection:
        return Library()
    root = Path(folder or PACKAGE_DIR)
    names = _CC0 if selection == "cc0" else tuple(_LICENCES)
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        raise ValueError(
            f"houses.meshes={selection} needs {root / missing[0]}, which is not there: install the Debian package "
            "sweethome3d-furniture, or set houses.meshes_dir to the folder that holds its .sh3f files"
        )
    models: dict[str, list[Model]] = {}
    for name in names:
        for model in read_catalogue(root / name):
            models.setdefault(model.category, []).append(model)
    chosen = {category: sorted(found, key=lambda m: m.path) for category, found in models.items()}
    # A category with few models keeps its procedural shapes beside them.
    own = {c: CATEGORIES[c].variants if len(found) < _FEW_MODELS else 0 for c, found in chosen.items()}

    def load(category: str, index: int) -> Asset:
        found = chosen[category]
        return convert(found[index]) if index < len(found) else procedural(category, index - len(found))

    return Library({c: len(found) + own[c] for c, found in chosen.items()}, load)


def read_catalogue(archive: Path) -> list[Model]:
    """The models of an .sh3f file that stand for a category of ours and have a fitting size."""
    with zipfile.ZipFile(archive) as file:
        text = file.read("PluginFurnitureCatalog.properties").decode("iso-8859-1")
    entries: dict[int, dict[str, str]] = {}
    for key, number, value in re.findall(r"^(\w+)#(\d+)=(.*)$", text, flags=re.MULTILINE):
        entries.setdefault(int(number), {})[key] = value.strip()
    models = []
    for entry in entries.values():
        if entry.get("doorOrWindow") == "true" or entry.get("category") in ("Exterior", "Vehicles", "Characters"):
            continue
        width, height, depth = (float(entry[key]) / 100.0 for key in ("width", "height", "depth"))
        dimensions = (width, height, depth)
        category = _category(entry["name"], dimensions)
        if category is None:
            continue
        top = float(entry["dropOnTopElevation"]) / 100.0 if "dropOnTopElevation" in entry else None
        rotation = tuple(float(v) for v in entry["modelRotation"].split()) if "modelRotation" in entry else None
        credit = Credit(entry.get("creator", "unknown"), _LICENCES[archive.name], f"{archive.name}{entry['model']}")
        models.append(
            Model(archive, entry["model"].lstrip("/"), entry["name"], category, dimensions, top, rotation, credit)
        )
    return models


def convert(model: Model) -> Asset:
    """Loads a model, gives it its catalogue size and our frame, and merges its faces."""
    corners, colours = _read_model(model)
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    scale = np.array(model.dimensions) / np.maximum(high - low, 1e-9)
    corners = (corners - (low + high) / 2.0) * scale
    corners, colours = _simplified(corners, colours)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    normals = normals / np.maximum(areas, 1e-12)[:, None]
    lit = np.clip(colours * shade(normals)[:, None], 0.0, 1.0)
    count = len(corners)
    mesh = Mesh(
        positions=corners.reshape(-1, 3),
        normals=np.repeat(normals, 3, axis=0),
        uvs=np.full((3 * count, 2), 0.5),
        colours=np.repeat(lit, 3, axis=0),
        triangles=np.arange(3 * count).reshape(count, 3),
    )
    low, high = mesh.bounds
    mesh = mesh.moved(-(low + high) / 2.0)
    width, height, depth = (float(v) for v in high - low)
    kind = CATEGORIES[model.category]
    span = [max(d) for d in _own_sizes(model.category)]
    return Asset(
        name=asset_name(model.category, f"mesh_{zlib.crc32(model.credit.source.encode()):08x}"),
        category=model.category,
        colour=_colour_word((colours * areas[:, None]).sum(axis=0) / max(float(areas.sum()), 1e-12)),
        material=kind.materials[0],
        size=size_word((max(width, height, depth) - min(span)) / max(max(span) - min(span), 1e-9)),
        mesh=mesh,
        image=textures.encode_png(np.full((4, 4, 3), 255, dtype=np.uint8)),
        metallic=0.0,
        roughness=0.7,
        dimensions=(width, height, depth),
        surfaces=_surfaces(model, height),
        credit=model.credit,
    )


def _category(name: str, dimensions: Sequence[float]) -> str | None:
    for category, pattern in _NAMES:
        if re.search(pattern, name.lower()):
            own = np.array(_own_sizes(category))
            sizes = np.array(dimensions)
            fits = (sizes > own.min(axis=0) / _SIZE_SLACK).all() and (sizes < own.max(axis=0) * _SIZE_SLACK).all()
            if fits:
                return category
    return None


@cache
def _own_sizes(category: str) -> list[tuple[float, float, float]]:
    """Dimensions (m) of some of the category's procedural variants."""
    return [procedural(category, variant).dimensions for variant in range(min(4, CATEGORIES[category].variants))]


def _read_model(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Corners ([n, 3, 3], the file's units) and colours ([n, 3], 0..1) of all faces."""
    folder = model.path.rsplit("/", 1)[0] + "/"
    with zipfile.ZipFile(model.archive) as archive, tempfile.TemporaryDirectory() as scratch:
        names = [name for name in archive.namelist() if name.startswith(folder) and not name.endswith("/")]
        archive.extractall(scratch, names)
        loaded = trimesh.load_scene(Path(scratch) / model.path, process=False)
    corners, colours = [], []
    for geometry in loaded.geometry.values():
        if len(geometry.faces) == 0:
            continue
        corners.append(np.asarray(geometry.vertices)[geometry.faces])
        colours.append(_face_colours(geometry))
    points = np.concatenate(corners)
    if model.rotation is not None:
        points = points @ np.array(model.rotation).reshape(3, 3).T
    return points, np.concatenate(colours)


def _face_colours(geometry: trimesh.Trimesh) -> np.ndarray:
    """The texture at each face's middle, else the material's colour ([n, 3], 0..1)."""
    material = getattr(geometry.visual, "material", None)
    image = getattr(material, "image", None)
    uv = getattr(geometry.visual, "uv", None)
    if image is not None and uv is not None:
        picture = np.asarray(image.convert("RGB"), dtype=float) / 255.0
        middle = np.asarray(uv)[geometry.faces].mean(axis=1) % 1.0
        rows = np.minimum(((1.0 - middle[:, 1]) * picture.shape[0]).astype(int), picture.shape[0] - 1)
        columns = np.minimum((middle[:, 0] * picture.shape[1]).astype(int), picture.shape[1] - 1)
        return picture[rows, columns]
    colour = np.asarray(getattr(material, "main_color", (160, 160, 160, 255)), dtype=float)[:3] / 255.0
    return np.tile(colour, (len(geometry.faces), 1))


def _simplified(corners: np.ndarray, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces merged by moving vertices to the means of a grid's cells, on the finest grid that leaves few enough."""
    if len(corners) <= _MAX_FACES:
        return corners, colours
    points = corners.reshape(-1, 3)
    low, longest = points.min(axis=0), float(np.ptp(points, axis=0).max())
    best = corners, colours
    for cells in _GRIDS:
        keys = np.floor((points - low) / longest * cells * 0.999).astype(np.int64)
        _, inverse = np.unique(keys @ np.array([1, 4096, 4096**2]), return_inverse=True)
        count = np.bincount(inverse)
        means = np.stack([np.bincount(inverse, points[:, axis]) / count for axis in range(3)], axis=1)
        faces = inverse.reshape(-1, 3)
        whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
        faces, kept = faces[whole], colours[whole]
        # The same three cells in the same order of turning are the same face.
        first = np.argmin(faces, axis=1)
        turned = faces[np.arange(len(faces))[:, None], (first[:, None] + np.arange(3)) % 3]
        _, chosen = np.unique(turned, axis=0, return_index=True)
        chosen = np.sort(chosen)
        best = means[faces[chosen]], kept[chosen]
        if len(chosen) <= _MAX_FACES:
            break
    return best


def _surfaces(model: Model, height: float) -> tuple[Surface, ...]:
    """One rectangle over most of the model, for the categories whose procedural shapes have one."""
    own = procedural(model.category, 0).surfaces
    if not own or model.top_m is None:
        return ()
    width, _, depth = model.dimensions
    y = min(model.top_m, height)
    x, z = 0.36 * width, 0.36 * depth
    return (Surface(-x, -z, x, z, y, own[0].room_above),)


def _colour_word(colour: np.ndarray) -> str:
    """The colour word with the nearest shade."""
    return min(COLOURS, key=lambda word: min(float(np.linalg.norm(colour - np.array(s))) for s in COLOURS[word]))


def attribution(credits: Sequence[Credit]) -> str:
    """The text that names all authors of the meshes in a data set."""
    text = io.StringIO()
    text.write("Furniture meshes in this data set, from the Debian package sweethome3d-furniture.\n")
    text.write("Changed: simplified, textures reduced to one colour a face, scaled to the catalogue's size.\n")
    text.write("CC-BY licences: https://creativecommons.org/licenses/by/3.0/\n\n")
    for credit in sorted(set(credits), key=lambda c: (c.licence, c.author, c.source)):
        text.write(f"{credit.source}: {credit.author}, {credit.licence}\n")
    return text.getvalue()
