"""Finding and reading the mapping file, and layouts that need none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from segpaste.integrations import DataError, load_data
from segpaste.integrations.mapping import mapping_places, read_mapping

if TYPE_CHECKING:
    from tests.integrations.conftest import CocoFolder

REPOSITORY = Path(__file__).parents[2]


SEMANTIC = "sets: [{name: a, kind: semantic, images: i, semantic: {folder: s}"


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


def bare_instances(coco: CocoFolder, **changes: Any) -> Path:
    """A folder that holds instances and images and no mapping file."""
    root = coco.write()
    for file in ("segpaste-data.yaml", "panoptic.json"):
        (root / file).unlink()
    for name in ("png", "semantic"):
        for file in (root / name).iterdir():
            file.unlink()
    (root / "instances.json").write_text(json.dumps(coco.instances | changes))
    return root


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": None}, "instances.json: got annotations None, expected a list with entries"),
        (
            {"annotations": [{"id": 1, "image_id": 10, "caption": "a cup"}]},
            "instances.json: annotations[0]: got neither segmentation nor segments_info",
        ),
        ({"images": [{"id": 10}]}, "instances.json: images[0]: got no file_name"),
    ],
)
def test_a_layout_is_not_recognised_without_saying_why(
    coco: CocoFolder, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        load_data(bare_instances(coco, **changes))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("key", "lost", "message"),
    [
        ("images", "file_name", r"instances.json: images\[0\]: got file_name None"),
        ("annotations", "segmentation", r"instances.json: image 10: annotation 3: got segmentation None"),
    ],
)
def test_a_bad_first_record_does_not_hide_a_layout(
    coco: CocoFolder, key: str, lost: str, message: str
) -> None:
    first = {name: value for name, value in coco.instances[key][0].items() if name != lost}
    root = bare_instances(coco, **{key: [first, *coco.instances[key][1:]]})
    with pytest.raises(DataError, match=message):
        load_data(root)


def test_a_folder_in_the_place_of_a_mapping_file_is_not_passed_over(coco: CocoFolder) -> None:
    root = bare_instances(coco)
    (root / "segpaste-data.yaml").mkdir()
    with pytest.raises(DataError, match=r"coco/segpaste-data.yaml: not readable: Is a directory"):
        load_data(root)


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
        ("a: 2020-13-45", "not readable as YAML"),
        ("- 1", r": the whole file: got \[1\], expected a mapping$"),
        ("sets: []", r": sets: got \[\], expected a list, entries: 1 or more$"),
        ("sets: 3", ": sets: got 3, expected a list$"),
        (
            "sets: [{name: a, kind: coco}]",
            ": sets.0.kind: got 'coco', expected one of "
            "'coco_instances', 'coco_panoptic', 'semantic', 'frames'$",
        ),
        ("sets: [{name: a}]", ": sets.0.kind: got nothing, expected a value$"),
        (
            "sets: [{name: a, kind: semantic, images: i, semantic: {folder: s}}]",
            ": sets.0.classes: got nothing, expected a value$",
        ),
        (
            f"{SEMANTIC}, classes: {{1: thingg}}}}]",
            ": sets.0.classes.1: got 'thingg', expected 'thing' or 'stuff'$",
        ),
        (f"{SEMANTIC}, classes: {{a: thing}}}}]", ": sets.0.classes.a: got 'a', expected an integer$"),
        (f"{SEMANTIC}, classes: {{-1: thing}}}}]", ": sets.0.classes.-1: got -1, expected 0 or more$"),
        (f"{SEMANTIC}, classes: 5}}]", ": sets.0.classes: got 5, expected a mapping or a path$"),
        (
            f"{SEMANTIC}, classes: {{255: thing}}}}]",
            ": sets.0: classes: ignore_index: got 255, which is also a class; expected a value outside of",
        ),
        (f"{SEMANTIC}, classes: c, limit: x}}]", ": sets.0.limit: got 'x', expected an integer$"),
        (f"{SEMANTIC}, classes: c, limit: 0}}]", ": sets.0.limit: got 0, expected 1 or more$"),
        (
            "sets: [{name: a, kind: frames, frames: [{rgb: r}], labels: {from: image}}]",
            ": sets.0.labels.folder: got nothing, expected a value$",
        ),
        (
            "sets: [{name: a, kind: frames, frames: [{rgb: r, intrinsics: [1, 2, 3, 1"
            + "0" * 400
            + "]}], labels: {from: segmentation}}]",
            r": sets.0.frames.0.intrinsics.3: got 10+\.\.\., expected a number$",
        ),
        (
            "sets: [{name: a, kind: coco_instances, images: i, annotations: j, pictures: k}]",
            ": sets.0.pictures: got 'k', expected no such key$",
        ),
        (
            "sets: [{name: a, kind: frames, frames: [{rgb: r}], labels: {from: guess}}]",
            ": sets.0.labels.from: got 'guess', expected one of 'segmentation', 'image'$",
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
