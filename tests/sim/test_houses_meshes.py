"""Houses furnished with meshes of an .sh3f library: read, fitted to categories, merged and credited."""

import zipfile

import numpy as np
import pytest

from sim.houses import HouseDatasetConfig, build_dataset, files, generate_house, meshes

CATALOGUE = """
name#1=Oak chair
model#1=/models/chair/chair.obj
width#1=45
depth#1=50
height#1=90
doorOrWindow#1=false
category#1=Living room
creator#1=Ada Example

name#2=Chair
model#2=/models/giant/giant.obj
width#2=450
depth#2=500
height#2=900
doorOrWindow#2=false
category#2=Living room

name#3=Desk
model#3=/models/desk/desk.obj
width#3=140
depth#3=70
height#3=75
dropOnTopElevation#3=74
modelRotation#3=0 0 1 0 1 0 -1 0 0
doorOrWindow#3=false
category#3=Office
creator#3=Ben Example

name#4=Deck chair
model#4=/models/chair/chair.obj
width#4=45
depth#4=50
height#4=90
doorOrWindow#4=false
category#4=Exterior
"""
BOX = """mtllib {name}.mtl
v 0 0 0
v 2 0 0
v 2 1 0
v 0 1 0
v 0 0 3
v 2 0 3
v 2 1 3
v 0 1 3
usemtl paint
f 4 3 2 1
f 5 6 7 8
f 1 2 6 5
f 3 4 8 7
f 2 3 7 6
f 1 5 8 4
"""
PAINT = "newmtl paint\nKd {colour}\n"


def sphere(rings=60):
    """An OBJ of many faces."""
    lines = ["mtllib chair.mtl", "usemtl paint"]
    for i in range(rings + 1):
        for j in range(rings):
            a, b = np.pi * i / rings, 2.0 * np.pi * j / rings
            lines.append(f"v {np.sin(a) * np.cos(b)} {np.cos(a)} {np.sin(a) * np.sin(b)}")
    for i in range(rings):
        for j in range(rings):
            k = (j + 1) % rings
            corners = (i * rings + j, i * rings + k, (i + 1) * rings + k, (i + 1) * rings + j)
            lines.append("f " + " ".join(str(c + 1) for c in corners))
    return "\n".join(lines)


@pytest.fixture
def library_dir(tmp_path):
    folder = tmp_path / "furniture"
    folder.mkdir()
    with zipfile.ZipFile(folder / "BlendSwap-CC-0.sh3f", "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", CATALOGUE)
        archive.writestr("models/chair/chair.obj", sphere())
        archive.writestr("models/chair/chair.mtl", PAINT.format(colour="0.8 0.1 0.1"))
        archive.writestr("models/desk/desk.obj", BOX.format(name="desk"))
        archive.writestr("models/desk/desk.mtl", PAINT.format(colour="0.15 0.3 0.7"))
    return folder


def test_models_are_taken_by_name_and_size(library_dir):
    models = meshes.read_catalogue(library_dir / "BlendSwap-CC-0.sh3f")
    assert [(model.name, model.category) for model in models] == [("Oak chair", "chair"), ("Desk", "desk")]


def test_a_model_gets_its_catalogue_size_few_faces_a_colour_and_its_credit(library_dir):
    chair, desk = (meshes.convert(model) for model in meshes.read_catalogue(library_dir / "BlendSwap-CC-0.sh3f"))
    assert chair.dimensions == pytest.approx((0.45, 0.9, 0.5), rel=0.1)  # merging faces cuts a little off
    assert 100 < len(chair.mesh.triangles) < 1500
    assert chair.colour == "red"
    assert (chair.credit.author, chair.credit.licence) == ("Ada Example", "CC0-1.0")
    assert desk.dimensions == pytest.approx((1.4, 0.75, 0.7))
    assert len(desk.mesh.triangles) == 12
    assert desk.colour == "blue"
    assert desk.surfaces[0].y == pytest.approx(0.74)
    for asset in (chair, desk):
        corners = asset.mesh.positions[asset.mesh.triangles]
        facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        outward = (facing * corners.mean(axis=1)).sum(axis=1)  # both are convex and centred
        assert (outward > 0.0).mean() > 0.99


def test_houses_use_the_meshes_and_name_their_authors(library_dir, tmp_path):
    library = meshes.load_library("cc0", str(library_dir))
    credited = set()
    for seed in range(30):
        built = generate_house(seed, library=library)
        credited |= {p.asset.category for p in built.placements if p.asset.credit is not None}
    assert credited == {"chair", "desk"}
    catalogue = files.write_house(built, tmp_path / "out", "test")
    credits = [instance["credit"] for instance in catalogue["instances"] if "credit" in instance]
    text = meshes.attribution([meshes.Credit(**credit) for credit in credits])
    for credit in credits:
        assert credit["author"] in text
        assert credit["source"] in text


def test_procedural_houses_do_not_change_with_the_library_option():
    plain = files.describe(generate_house(3), "")
    assert files.describe(generate_house(3, library=meshes.load_library("")), "") == plain
    assert not [instance for instance in plain["instances"] if "credit" in instance]


def test_missing_meshes_are_one_clear_line_before_anything_is_written(tmp_path):
    config = HouseDatasetConfig(out=str(tmp_path / "out"), meshes="cc0", meshes_dir=str(tmp_path))
    with pytest.raises(ValueError, match="sweethome3d-furniture"):
        build_dataset(config, progress=False)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="must be empty, cc0 or all"):
        meshes.load_library("some")
