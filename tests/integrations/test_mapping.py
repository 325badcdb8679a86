"""Finding and reading the mapping file, and layouts that need none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from segpaste.integrations import DataError, load_data
from segpaste.integrations.mapping import mapping_places, read_mapping

if TYPE_CHECKING:
    from tests.integrations.conftest import CocoFolder

REPOSITORY = Path(__file__).parents[2]


def only(name: str) -> dict[str, object]:
    return {
        "sets": [
            {
                "name": name,
                "kind": "coco_instances",
                "images": "images",
                "annotations": "instances.json",
            }
        ]
    }


def test_places_are_searched_in_the_documented_order(
    coco: CocoFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = coco.write()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGPASTE_DATA_MAPS", f"{tmp_path / 'm1'}:{tmp_path / 'm2'}")
    places = mapping_places(root)
    assert places == [
        root / "segpaste-data.yaml",
        tmp_path / "coco.segpaste-data.yaml",
        tmp_path / "m1" / "coco.yaml",
        tmp_path / "m2" / "coco.yaml",
        Path("tests/data_maps/coco.yaml"),
    ]
    for number, place in enumerate(places):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(yaml.safe_dump(only(f"place {number}")))
    for number, place in enumerate(places):
        assert load_data(root)[0].name == f"place {number}"
        place.unlink()
    explicit = tmp_path / "elsewhere.yaml"
    explicit.write_text(yaml.safe_dump(only("explicit")))
    assert load_data(root, mapping=explicit)[0].name == "explicit"


def test_a_folder_given_as_a_dot_is_found_by_its_name(
    coco: CocoFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(coco.write())
    assert mapping_places(Path())[1].name == "coco.segpaste-data.yaml"
    assert len(load_data(".")) == 4


def test_coco_folders_are_recognised_without_a_mapping_file(coco: CocoFolder) -> None:
    root = coco.write()
    (root / "segpaste-data.yaml").unlink()
    (root / "png").rename(root / "panoptic png")
    for file in (root / "images").iterdir():
        file.rename(file.with_name(f"photo {file.name}"))
    for entry in coco.images:
        entry["file_name"] = f"photo {entry['file_name']}"
    renamed = coco_json(coco)
    (root / "panoptic.json").write_text(renamed["panoptic"])
    (root / "instances.json").write_text(renamed["instances"])
    for file in (root / "semantic").iterdir():
        file.unlink()
    data = load_data(root)
    assert [each.name for each in data] == ["instances", "panoptic"]
    assert data[1].samples[0].labels.tolist() == [7, 1]


def coco_json(coco: CocoFolder) -> dict[str, str]:
    import json

    return {"panoptic": json.dumps(coco.panoptic), "instances": json.dumps(coco.instances)}


def test_an_ambiguous_layout_says_what_fits_and_shows_a_mapping(coco: CocoFolder) -> None:
    root = coco.write()
    (root / "segpaste-data.yaml").unlink()
    with pytest.raises(DataError) as caught:
        load_data(root)
    message = str(caught.value)
    assert "got 3 folders with 'b.png'" in message
    assert "sets: [{name: panoptic" in message
    assert "\n" not in message


def test_a_folder_without_anything_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_data(tmp_path)
    message = str(caught.value)
    for place in mapping_places(tmp_path):
        assert str(place) in message
    shown = message[message.index("sets: [") :]
    (tmp_path / "m.yaml").write_text(shown)
    assert read_mapping(tmp_path / "m.yaml").sets[0].name == "panoptic"


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder, expected a data folder"):
        load_data(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sets: [", "not readable as YAML"),
        ("- 1", "mapping: Input should be a valid dictionary"),
        ("sets: []", "sets: Tuple should have at least 1 item"),
        ("sets: [{name: a, kind: coco}]", "sets.0: Input tag 'coco'"),
        ("sets: [{name: a, kind: semantic, images: i, semantic: {folder: s}}]", "classes: Field required"),
        (
            "sets: [{name: a, kind: coco_instances, images: i, annotations: j, pictures: k}]",
            r"sets.0.coco_instances.pictures: unknown key \(got 'k'\)",
        ),
        (
            "sets: [{name: a, kind: frames, frames: [{rgb: r}], labels: {from: guess}}]",
            "Input tag 'guess'",
        ),
        (
            "sets: [{name: a, kind: frames, frames: [{rgb: r, depth: d}], labels: {from: segmentation}}]",
            "depth: missing, expected how the frames' depth files are read",
        ),
        (
            "sets: [{name: a, kind: frames, frames: [{rgb: r}], depth: {unit: 1}, "
            "labels: {from: segmentation}}]",
            "depth: given, but no frame has a depth file",
        ),
        (
            "sets: [{name: a, kind: frames, frames: [{rgb: r, depth: d}, {rgb: s}], depth: {unit: 1}, "
            "labels: {from: segmentation}}]",
            "depth in some frames only",
        ),
        (
            "sets: [{name: a, kind: frames, frames: [{rgb: r, normals: n}], labels: {from: segmentation}, "
            "normals: {axes: [left, right, up]}}]",
            "expected one each of right/left, down/up, forward/toward",
        ),
        (
            "sets: [{name: a, kind: coco_instances, images: i, annotations: j}, "
            "{name: a, kind: coco_instances, images: i, annotations: j}]",
            "got the name 'a' twice",
        ),
    ],
)
def test_a_wrong_mapping_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load_data(tmp_path, mapping=file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_a_class_table_can_stand_in_the_mapping_file(coco: CocoFolder) -> None:
    coco.keep("semantic")
    coco.sets[0]["classes"] = {1: "thing", 7: "stuff", 200: "stuff"}
    (data,) = load_data(coco.write())
    assert data.schema is not None
    assert data.schema.classes == {1: "thing", 7: "stuff", 200: "stuff"}


def test_an_ignore_index_that_is_a_class_is_refused(coco: CocoFolder) -> None:
    coco.keep("panoptic")
    coco.sets[0]["ignore_index"] = 200
    with pytest.raises(DataError, match=r"panoptic.json: .*got 200, which is also a class"):
        load_data(coco.write())


def test_another_ignore_index_is_used_for_void_and_padding(coco: CocoFolder) -> None:
    coco.keep("panoptic")
    coco.sets[0]["ignore_index"] = 99
    (data,) = load_data(coco.write())
    values = [
        set(sample.semantic_map.unique().tolist())
        for sample in data.samples
        if sample.semantic_map is not None
    ]
    assert values == [{1, 7, 99, 200}, {99, 200}]


@pytest.mark.parametrize(
    "file", sorted((REPOSITORY / "tests" / "data_maps").glob("*.yaml")), ids=lambda f: f.stem
)
def test_the_mapping_files_of_the_shared_sets_are_well_formed(file: Path) -> None:
    assert read_mapping(file).sets
