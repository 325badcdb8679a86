"""Samples written as COCO files and read back."""

from __future__ import annotations

import json
import os
import re
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from segpaste.integrations import DataError, load_data
from segpaste.integrations.coco_datasets import CocoDetectionV2, CocoPanopticV2
from segpaste.integrations.coco_export import CocoExport, to_coco
from segpaste.strategies.scenes import DEFAULT_SCHEMA, scenes_from_seed
from segpaste.types import BatchedDenseSample, DenseSample, Modality, PanopticSchemaSpec
from segpaste.types.validation import valid_rectangle

PANOPTIC = frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC})
CATEGORIES = [
    {"id": 7, "name": "wall", "supercategory": "building", "isthing": 0},
    {"id": 2, "name": "cup", "supercategory": "kitchen", "isthing": 1},
]


def drawn(count: int, seed: int = 0, **limits: Any) -> list[DenseSample]:
    """Scenes of one frame; not those that are all padding."""
    options = {"modalities": PANOPTIC, "channels": (3,), "image_dtypes": (torch.uint8,)}
    scenes = scenes_from_seed(seed, count, **{**options, **limits})
    return [scene.sample() for scene in scenes if scene.valid != (0, 0)]


def one(**changes: Any) -> DenseSample:
    """4 x 6: a cup (2) with id 5 at the top left, the wall (7) below, a void column at the right."""
    mask = torch.zeros((1, 4, 6), dtype=torch.bool)
    mask[0, :2, :3] = True
    semantic = torch.full((4, 6), 7)
    semantic[mask[0]] = 2
    semantic[:, 5] = 255
    fields: dict[str, Any] = {
        "image": torch.arange(72, dtype=torch.uint8).reshape(3, 4, 6),
        "boxes": None,
        "labels": torch.tensor([2]),
        "instance_ids": torch.tensor([5], dtype=torch.int32),
        "instance_masks": mask,
        "semantic_map": semantic,
        "panoptic_map": mask[0].long() * 5,
    }
    fields |= changes
    if fields["boxes"] is None:
        fields["boxes"] = torch.tensor([[0.0, 0, 3, 2]] * len(fields["labels"])).reshape(-1, 4)
    return DenseSample(**{name: value for name, value in fields.items() if value is not None})


def written(folder: Path) -> dict[str, bytes]:
    """Every file by its name."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def read_back(export: CocoExport) -> Iterator[tuple[DenseSample, DenseSample | None]]:
    """Each image of the two data sets, the second ``None`` without panoptic files."""
    instances = CocoDetectionV2(export.images, export.instances)
    panoptic = None
    if export.panoptic is not None and export.panoptic_folder is not None:
        panoptic = CocoPanopticV2(export.images, export.panoptic, export.panoptic_folder)
        assert panoptic.image_ids == instances.image_ids
    for index in range(len(instances)):
        yield instances[index], None if panoptic is None else panoptic[index]


def expect_same(sample: DenseSample, instances: DenseSample, panoptic: DenseSample | None) -> None:
    """What was read is the valid rectangle of what was written, but for the numbers of the ids."""
    height, width = sample.canvas_size
    if sample.padding_mask is not None:
        height, width = valid_rectangle(sample.padding_mask[0])
    assert sample.instance_masks is not None
    for read in (instances,) if panoptic is None else (instances, panoptic):
        assert torch.equal(read.image, sample.image[:, :height, :width])
        assert torch.equal(read.labels, sample.labels)
        assert torch.equal(read.boxes, sample.boxes)
        assert read.instance_masks is not None
        assert torch.equal(read.instance_masks, sample.instance_masks[:, :height, :width])
    if panoptic is None:
        return
    assert sample.semantic_map is not None
    assert sample.panoptic_map is not None
    assert sample.instance_ids is not None
    assert panoptic.semantic_map is not None
    assert torch.equal(panoptic.semantic_map, sample.semantic_map[:height, :width])
    renumbered = torch.zeros((height, width), dtype=torch.int64)
    for row, number in enumerate(sample.instance_ids.tolist(), start=1):
        renumbered[sample.panoptic_map[:height, :width] == number] = row
    assert panoptic.panoptic_map is not None
    assert torch.equal(panoptic.panoptic_map, renumbered)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_read_back_is_what_was_written(seed: int, tmp_path: Path) -> None:
    samples = drawn(12, seed, max_side=40)
    export = to_coco(samples, tmp_path / "set", schema=DEFAULT_SCHEMA)
    assert export.left_out == {}
    for sample, (instances, panoptic) in zip(samples, read_back(export), strict=True):
        assert panoptic is not None
        expect_same(sample, instances, panoptic)


def test_samples_without_panoptic_maps_have_no_panoptic_files(tmp_path: Path) -> None:
    samples = [
        DenseSample.from_dict(
            {k: v for k, v in s.to_dict().items() if k not in ("panoptic_map", "semantic_map")}
        )
        for s in drawn(6)
    ]
    export = to_coco(samples, tmp_path / "set", schema=DEFAULT_SCHEMA)
    assert (export.panoptic, export.panoptic_folder, export.segments) == (None, None, 0)
    assert sorted(written(tmp_path / "set"))[-2:] == ["instances.json", "segpaste-data.yaml"]
    for sample, (instances, panoptic) in zip(samples, read_back(export), strict=True):
        expect_same(sample, instances, panoptic)


def test_the_files_by_hand(tmp_path: Path) -> None:
    export = to_coco([one()], tmp_path / "set", categories=CATEGORIES, image_ids=[12], file_names=["a.jpg"])
    assert sorted(written(tmp_path / "set")) == [
        "images/a.png",
        "instances.json",
        "panoptic.json",
        "panoptic/a.png",
        "segpaste-data.yaml",
    ]
    images = [{"id": 12, "file_name": "a.png", "height": 4, "width": 6}]
    content = json.loads(export.instances.read_text())
    assert content["images"] == images
    assert content["categories"] == [CATEGORIES[1]]
    (annotation,) = content["annotations"]
    runs = annotation.pop("segmentation")
    assert annotation == {
        "id": 1,
        "image_id": 12,
        "category_id": 2,
        "area": 6,
        "bbox": [0, 0, 3, 2],
        "iscrowd": 0,
    }
    assert (int(coco_mask.area(runs)), coco_mask.toBbox(runs).tolist()) == (6, [0, 0, 3, 2])
    assert export.panoptic is not None
    content = json.loads(export.panoptic.read_text())
    assert content["images"] == images
    assert content["categories"] == CATEGORIES
    assert content["annotations"] == [
        {
            "image_id": 12,
            "file_name": "a.png",
            "segments_info": [
                {"id": 1, "category_id": 2, "area": 6, "bbox": [0, 0, 3, 2], "iscrowd": 0},
                {"id": 2, "category_id": 7, "area": 14, "bbox": [0, 0, 5, 4], "iscrowd": 0},
            ],
        }
    ]
    with Image.open(tmp_path / "set" / "panoptic" / "a.png") as png:
        assert png.mode == "RGB"
        assert np.asarray(png)[..., 0].tolist() == [[1, 1, 1, 2, 2, 0]] * 2 + [[2] * 5 + [0]] * 2
        assert not np.asarray(png)[..., 1:].any()
    assert (export.image_ids, export.annotations, export.segments) == ((12,), 1, 2)


def test_load_data_reads_the_folder(tmp_path: Path) -> None:
    schema = PanopticSchemaSpec(classes={2: "thing", 7: "stuff"}, ignore_index=9)
    semantic = one().semantic_map
    assert semantic is not None
    sample = one(semantic_map=torch.where(semantic == 255, 9, semantic))
    to_coco([sample, sample], tmp_path / "set", schema=schema)
    sets = load_data(tmp_path / "set")
    assert [data.name for data in sets] == ["panoptic", "instances"]
    assert sets[0].schema == schema
    assert sets[0].samples[1].semantic_map is not None
    assert sample.semantic_map is not None
    assert torch.equal(sets[0].samples[1].semantic_map, sample.semantic_map)


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        to_coco(drawn(5, 3), tmp_path / name, schema=DEFAULT_SCHEMA, image_format="jpg")
    assert written(tmp_path / "a") == written(tmp_path / "b")


def test_padding_is_cut_off(tmp_path: Path) -> None:
    padding = torch.zeros((1, 4, 6), dtype=torch.bool)
    padding[:, 3:], padding[:, :, 5:] = True, True
    export = to_coco([one(padding_mask=padding)], tmp_path / "set", categories=CATEGORIES)
    ((instances, panoptic),) = read_back(export)
    assert instances.canvas_size == (3, 5)
    assert panoptic is not None
    assert panoptic.semantic_map is not None
    assert panoptic.semantic_map.tolist() == [[2, 2, 2, 7, 7]] * 2 + [[7] * 5]


def test_rows_without_a_pixel_are_left_out_and_counted(tmp_path: Path) -> None:
    mask = one().instance_masks
    assert mask is not None
    sample = one(
        labels=torch.tensor([2, 2]),
        instance_ids=torch.tensor([3, 5], dtype=torch.int32),
        instance_masks=torch.cat([torch.zeros_like(mask), mask]),
    )
    export = to_coco([sample, sample], tmp_path / "set", categories=CATEGORIES)
    assert (export.left_out, export.annotations) == ({"rows without a pixel": 2}, 2)
    assert [len(panoptic or ()) for _, panoptic in read_back(export)] == [1, 1]


def test_batches_are_taken_apart(tmp_path: Path) -> None:
    samples = [one()] * 3
    batch = BatchedDenseSample.from_samples(samples)
    forms = {
        "samples": samples,
        "list": [samples],
        "batch": [batch],
        "padded": [batch.to_padded(9)],
        "alone": batch,
        "mixed": [samples[0], batch, samples[:0], (samples[0],)],
    }
    for name, form in forms.items():
        to_coco(form, tmp_path / name, categories=CATEGORIES)
    assert all(written(tmp_path / name) == written(tmp_path / "samples") for name in list(forms)[:-1])
    assert len(list((tmp_path / "mixed" / "images").iterdir())) == 5


def test_samples_are_not_kept(tmp_path: Path) -> None:
    alive: list[weakref.ref[torch.Tensor]] = []

    def stream() -> Iterator[DenseSample]:
        for _ in range(6):
            assert sum(ref() is not None for ref in alive) <= 1
            sample = one()
            alive.append(weakref.ref(sample.image))
            yield sample
            del sample

    assert len(to_coco(stream(), tmp_path / "set", categories=CATEGORIES).image_ids) == 6


@pytest.mark.parametrize("channels", [1, 3])
def test_float_images_need_their_range(channels: int, tmp_path: Path) -> None:
    levels = torch.arange(24 * channels, dtype=torch.float32).reshape(channels, 4, 6) * 3
    sample = one(image=levels / 255 * 2 - 1)
    export = to_coco([sample], tmp_path / "set", categories=CATEGORIES, float_range=(-1, 1))
    ((read, _),) = read_back(export)
    assert torch.equal(read.image, levels.to(torch.uint8).expand(3, -1, -1))
    with pytest.raises(ValueError, match=r"samples\[0\]\.image: got float32 without float_range, expected"):
        to_coco([sample], tmp_path / "no", categories=CATEGORIES)
    with pytest.raises(ValueError, match=r"got values from -1 to .*, expected float_range 0 to 1"):
        to_coco([sample], tmp_path / "no", categories=CATEGORIES, float_range=(0, 1))
    with pytest.raises(ValueError, match=r"float_range: got \(1, 1\), expected two finite values"):
        to_coco([sample], tmp_path / "no", categories=CATEGORIES, float_range=(1, 1))
    assert not (tmp_path / "no").exists()


def test_jpeg_is_near_and_labels_are_exact(tmp_path: Path) -> None:
    ramp = torch.arange(64, dtype=torch.uint8).expand(3, 64, 64).contiguous()
    mask = torch.zeros((1, 64, 64), dtype=torch.bool)
    mask[:, 3:9, 3:9] = True
    fields: dict[str, Any] = {
        "image": ramp,
        "labels": torch.tensor([2]),
        "boxes": torch.tensor([[3.0, 3, 9, 9]]),
        "instance_ids": torch.tensor([0], dtype=torch.int32),
        "instance_masks": mask,
    }
    sample = DenseSample(**fields)
    sizes = []
    for quality in (95, 30):
        folder = tmp_path / str(quality)
        export = to_coco([sample], folder, categories=CATEGORIES, image_format="jpg", quality=quality)
        ((read, _),) = read_back(export)
        assert read.instance_masks is not None
        assert torch.equal(read.instance_masks, mask)
        assert int((read.image.int() - ramp.int()).abs().max()) < 12
        sizes.append((folder / "images" / "000000000001.jpg").stat().st_size)
    assert sizes[1] < sizes[0]


def test_categories_are_made_of_a_class_table(tmp_path: Path) -> None:
    export = to_coco([one()], tmp_path / "set", schema=PanopticSchemaSpec(classes={7: "stuff", 2: "thing"}))
    assert export.panoptic is not None
    assert json.loads(export.panoptic.read_text())["categories"] == [
        {"id": 2, "name": "class 2", "isthing": 1},
        {"id": 7, "name": "class 7", "isthing": 0},
    ]


def test_there_is_a_whole_data_set_or_none(tmp_path: Path) -> None:
    def broken() -> Iterator[DenseSample]:
        yield one()
        (hidden,) = tmp_path.iterdir()
        assert hidden.name.startswith(".set.writing-")
        assert list((hidden / "images").iterdir())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_coco(broken(), tmp_path / "set", categories=CATEGORIES)
    assert list(tmp_path.iterdir()) == []
    to_coco([one()], tmp_path / "set", categories=CATEGORIES)
    before = written(tmp_path / "set")
    with pytest.raises(DataError, match="set: exists, expected a new folder, or overwrite=True"):
        to_coco([one()], tmp_path / "set", categories=CATEGORIES)
    with pytest.raises(TypeError, match="samples: got a int, expected DenseSample or batches"):
        to_coco([one(), 3], tmp_path / "set", categories=CATEGORIES, overwrite=True)  # pyright: ignore[reportArgumentType]
    assert written(tmp_path / "set") == before
    to_coco([one(), one()], tmp_path / "set", categories=CATEGORIES, overwrite=True)
    assert len(written(tmp_path / "set")) == 7
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_what_the_samples_raise_is_not_called_a_failure_to_write(tmp_path: Path) -> None:
    def broken() -> Iterator[DenseSample]:
        yield one()
        raise FileNotFoundError("my own file")

    with pytest.raises(FileNotFoundError, match="my own file"):
        to_coco(broken(), tmp_path / "set", categories=CATEGORIES)
    assert list(tmp_path.iterdir()) == []


def test_nothing_else_is_ever_overwritten(tmp_path: Path) -> None:
    to_coco([one()], tmp_path / "set", categories=CATEGORIES)
    (tmp_path / "set" / "thesis.tex").write_text("years")
    with pytest.raises(DataError, match=r"has 'thesis.tex', which to_coco does not write: not overwritten"):
        to_coco([one()], tmp_path / "set", categories=CATEGORIES, overwrite=True)
    (tmp_path / "file").write_text("")
    os.symlink(tmp_path / "set", tmp_path / "link")
    for name in ("file", "link"):
        with pytest.raises(DataError, match=f"{name}: is no folder"):
            to_coco([one()], tmp_path / name, categories=CATEGORIES, overwrite=True)
    with pytest.raises(DataError, match="expected one that exists"):
        to_coco([one()], tmp_path / "no" / "set", categories=CATEGORIES)
    assert (tmp_path / "set" / "thesis.tex").read_text() == "years"


def _thesis(place: str) -> Callable[[Path], Any]:
    def write(folder: Path) -> None:
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text("years")

    return write


def _without_our_mark(folder: Path) -> None:
    content = json.loads((folder / "instances.json").read_text())
    (folder / "instances.json").write_text(json.dumps({**content, "info": {"description": "by hand"}}))


FOREIGN: list[tuple[Callable[[Path], Any], str]] = [
    (_thesis("images/thesis.tex"), "has 'images/thesis.tex', which to_coco does not write"),
    (_thesis("panoptic/thesis.tex"), "has 'panoptic/thesis.tex', which to_coco does not write"),
    (_thesis("images/raw/thesis.tex"), "has 'images/raw', which to_coco does not write"),
    (lambda folder: (folder / "images" / "000000000002.png").mkdir(), "has 'images/000000000002.png'"),
    (_without_our_mark, "has 'instances.json', which to_coco did not write"),
    (lambda folder: (folder / "panoptic.json").unlink(), "is no data set that to_coco wrote"),
    (lambda folder: (folder / "instances.json").unlink(), "is no data set that to_coco wrote"),
    (lambda folder: (folder / "instances.json").write_text("{"), "instances.json: not readable as JSON"),
]


@pytest.mark.parametrize("number", range(len(FOREIGN)))
def test_a_folder_with_something_of_others_is_kept(number: int, tmp_path: Path) -> None:
    change, said = FOREIGN[number]
    to_coco([one(), one()], tmp_path / "set", categories=CATEGORIES)
    (tmp_path / "set" / "images" / "000000000002.png").unlink()
    change(tmp_path / "set")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=re.escape(said)):
        to_coco([one()], tmp_path / "set", categories=CATEGORIES, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_overwritten_and_what_the_killed_left_is_removed(tmp_path: Path) -> None:
    left, mine = tmp_path / ".set.replaced-0123abcd", tmp_path / ".set.replaced-mine"
    for folder in (tmp_path / "set", left, mine):
        folder.mkdir()
    (left / "instances.json").write_text("{}")
    to_coco([one()], tmp_path / "set", categories=CATEGORIES, overwrite=True)
    assert {entry.name for entry in tmp_path.iterdir()} == {"set", mine.name}
    left.mkdir()
    to_coco([one()], tmp_path / "other", categories=CATEGORIES, overwrite=True)
    assert left.exists()


def test_only_the_suffix_of_an_image_is_replaced(tmp_path: Path) -> None:
    export = to_coco(
        [one()] * 3, tmp_path / "set", categories=CATEGORIES, file_names=["v1.0001", "v1.0002", "c.JPG"]
    )
    names = sorted(path.name for path in export.images.iterdir())
    assert names == ["c.png", "v1.0001.png", "v1.0002.png"]
    assert (
        len(CocoPanopticV2(export.images, tmp_path / "set" / "panoptic.json", tmp_path / "set" / "panoptic"))
        == 3
    )


def test_none_is_no_folder_and_no_samples(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="folder: got NoneType, expected a path"):
        to_coco([one()], None, categories=CATEGORIES)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="samples: got NoneType, expected an iterable"):
        to_coco(None, tmp_path / "set", categories=CATEGORIES)  # pyright: ignore[reportArgumentType]


def _semantic(label: int, column: int) -> torch.Tensor:
    semantic = one().semantic_map
    assert semantic is not None
    semantic = semantic.as_subclass(torch.Tensor).clone()
    semantic[:, column] = label
    return semantic


def _panoptic(number: int, column: int) -> torch.Tensor:
    panoptic = one().panoptic_map
    assert panoptic is not None
    panoptic = panoptic.as_subclass(torch.Tensor).clone()
    panoptic[:, column] = number
    return panoptic


BROKEN: list[tuple[Callable[[], DenseSample], str]] = [
    (lambda: one(labels=torch.tensor([7])), ".labels: got 7 in row 0, which is stuff, expected a thing"),
    (lambda: one(labels=torch.tensor([3])), ".labels: got 3 in row 0, which the class table lacks"),
    (lambda: one(panoptic_map=_panoptic(5, 4)), ".panoptic_map: got id 5 on other pixels"),
    (lambda: one(panoptic_map=_panoptic(0, 0)), ".panoptic_map: got id 5 on other pixels"),
    (lambda: one(panoptic_map=_panoptic(6, 4)), ".panoptic_map: got id 6, which no row has"),
    (lambda: one(semantic_map=_semantic(7, 1)), ".semantic_map: got another class than 2 within row 0"),
    (lambda: one(semantic_map=_semantic(2, 4)), ".semantic_map: got 2, a thing, where no row is"),
    (lambda: one(semantic_map=_semantic(4, 4)), ".semantic_map: got 4, which the class table lacks"),
    (lambda: one(panoptic_map=None), ".panoptic_map: got none, expected one as in samples[0]"),
    (lambda: one(instance_masks=None, instance_ids=None, panoptic_map=None), "expected instance masks"),
    (lambda: one(padding_mask=torch.ones((1, 4, 6), dtype=torch.bool)), ": got padding everywhere"),
    (lambda: one(image=torch.zeros((4, 4, 6), dtype=torch.uint8)), ".image: got 4 channels, expected 3 or 1"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_a_sample_that_no_file_can_hold_is_refused(number: int, tmp_path: Path) -> None:
    make, said = BROKEN[number]
    with pytest.raises(ValueError, match=r"^samples\[1\]") as caught:
        to_coco([one(), make()], tmp_path / "set", categories=CATEGORIES)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"categories": None}, "schema: got None without categories, expected one of the two"),
    ({"schema": PanopticSchemaSpec(classes={2: "thing"})}, "got other ids than the schema has: [7]"),
    ({"categories": [{"id": 2}, {"id": 2}]}, "category 2: the id occurs twice"),
    ({"schema": 3}, "schema: got int, expected a PanopticSchema or None"),
    ({"image_format": "webp"}, "image_format: got 'webp', expected one of ['png', 'jpg']"),
    ({"quality": 101}, "quality: got 101, expected 1 or more and less than 101"),
    ({"image_ids": [4]}, "image_ids: got 1 and another sample, expected one for each"),
    ({"image_ids": [4, 4]}, "image_ids: got 4, expected ids of 64 bits that differ"),
    ({"image_ids": [4, 1 << 63]}, f"image_ids: got {1 << 63}, expected ids of 64 bits that differ"),
    ({"image_ids": ["4", 5]}, "image_ids: got str, expected an int"),
    ({"image_ids": iter(range(3))}, "image_ids: got more than the 2 samples, expected one for each"),
    ({"file_names": ["a"]}, "file_names: got 1 and another sample"),
    ({"file_names": ["a.png", "a.jpg"]}, "file_names: got 'a.jpg' beside 'a.png', expected names"),
    ({"file_names": ["a/b", "c"]}, "file_names: got 'a/b', expected the name of a file without a folder"),
    ({"file_names": ["..", "c"]}, "file_names: got '..', expected the name of a file without a folder"),
    ({"file_names": ["", "c"]}, "file_names: got '', expected the name of a file without a folder"),
    ({"file_names": [1, 2]}, "file_names: got int, expected str"),
    ({"file_names": ["\ud800", "c"]}, "set: cannot be written: 'utf-8' codec can't encode"),
    ({"file_names": ["n" * 300, "c"]}, "set: cannot be written: [Errno 36] File name too long"),
    ({"image_ids": 3}, "image_ids: got int, expected an iterable"),
    ({"float_range": 3}, "float_range: got 3, expected two numbers or None"),
    ({"float_range": ("a", "b")}, "float_range: got ('a', 'b'), expected two numbers or None"),
    ({"categories": [{"id": [1]}]}, "categories[0]: got id [1], expected an integer"),
    ({"categories": [{"id": 2, "name": {3}}]}, "categories: cannot be written as JSON: Object of type set"),
    ({"categories": "x.json"}, "categories: got no list of dicts, expected COCO's categories or None"),
    ({"categories": [3]}, "categories: got no list of dicts, expected COCO's categories or None"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BAD_ARGUMENTS)))
def test_bad_arguments_are_refused(number: int, tmp_path: Path) -> None:
    changes, said = BAD_ARGUMENTS[number]
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        to_coco([one(), one()], tmp_path / "set", **{"categories": CATEGORIES, **changes})
    assert list(tmp_path.iterdir()) == []


def test_no_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="samples: got none, expected one or more"):
        to_coco([], tmp_path / "set", categories=CATEGORIES)
    assert list(tmp_path.iterdir()) == []
