"""Crops of COCO files: which objects, in which order, with what said of them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from segpaste.bank import BankCrop, build_bank, open_bank
from segpaste.bank.cropping import EMPTY, SMALL
from segpaste.integrations import DataError
from segpaste.integrations.coco_crops import CocoCrops

if TYPE_CHECKING:
    from tests.integrations.conftest import CocoFolder

NAMES = {1: "cup", 7: "ball", 200: "wall"}


def crops_of(source: CocoCrops) -> tuple[list[BankCrop], dict[str, int]]:
    crops: list[BankCrop] = []
    counts: dict[str, int] = {}
    for shard in source.shards():
        some, left_out = pickle.loads(pickle.dumps(shard)).crops()
        crops += some
        for reason, number in left_out.items():
            counts[reason] = counts.get(reason, 0) + number
    return crops, counts


class Instances:
    """An instances file of its own: two images, whatever annotations a test gives."""

    def __init__(self, root: Path) -> None:
        self.root = root
        noise = np.random.default_rng(0)
        (root / "images").mkdir()
        self.pixels = {n: noise.integers(1, 256, (6, 8, 3), np.uint8) for n in (4, 9)}
        for number, pixels in self.pixels.items():
            Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        self.content: dict[str, Any] = {
            "images": [{"id": n, "file_name": f"{n}.png", "height": 6, "width": 8} for n in (9, 4)],
            "categories": [{"id": c, "name": f"class {c}"} for c in (3, 1)],
            "annotations": [],
        }

    def add(
        self, number: int, image: int, category: int, box: tuple[int, int, int, int], **more: Any
    ) -> None:
        """An annotation of a rectangle (x0, y0, x1, y1)."""
        x0, y0, x1, y1 = box
        polygon = [x0, y0, x1, y0, x1, y1, x0, y1]
        self.content["annotations"].append(
            {"id": number, "image_id": image, "category_id": category, "segmentation": [polygon], **more}
        )

    def source(self, **options: Any) -> CocoCrops:
        (self.root / "labels.json").write_text(json.dumps(self.content))
        options = {"crop_size": (4, 4), **options}
        return CocoCrops(self.root / "labels.json", self.root / "images", **options)


@pytest.fixture
def instances(tmp_path: Path) -> Instances:
    return Instances(tmp_path)


def test_crops_come_in_the_order_of_image_and_annotation_ids(instances: Instances) -> None:
    instances.add(8, 9, 3, (1, 1, 3, 3))
    instances.add(20, 4, 1, (2, 2, 4, 4))
    instances.add(5, 9, 1, (4, 2, 8, 6))
    instances.add(6, 4, 3, (0, 0, 2, 3), iscrowd=1)
    crops, left_out = crops_of(instances.source())
    assert [(c.provenance.image_id, c.provenance.annotation_id, c.class_id) for c in crops] == [
        (4, 20, 1),
        (9, 5, 1),
        (9, 8, 3),
    ]
    assert left_out == {"crowd regions": 1}
    first = torch.from_numpy(instances.pixels[4][1:5, 1:5].transpose(2, 0, 1).copy())
    assert torch.equal(crops[0].image, first)
    assert crops[0].alpha[0].nonzero().tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert all(c.provenance.dataset == "labels" and c.provenance.model is None for c in crops)
    assert all(c.provenance.score is None and c.depth is None for c in crops)


def test_the_head_is_that_of_the_categories(instances: Instances) -> None:
    instances.add(1, 4, 3, (0, 0, 2, 2))
    instances.content["categories"][1].pop("name")
    head = instances.source(dataset="mine", model="labeller").head()
    assert (head.crop_size, head.num_classes, dict(head.class_names)) == ((4, 4), 4, {3: "class 3"})
    assert (head.datasets, head.models) == (("mine",), ("labeller",))
    assert [head.has_depth, head.has_normals, head.has_intrinsics] == [False] * 3
    assert instances.source(crop_size=[5, 4]).head().crop_size == (5, 4)


def test_pseudo_labels_keep_their_score_and_model(instances: Instances) -> None:
    instances.add(1, 4, 3, (0, 0, 2, 2), score=0.75)
    instances.add(2, 4, 3, (0, 0, 2, 2), score=1)
    instances.add(3, 4, 3, (0, 0, 2, 2))
    crops, _ = crops_of(instances.source(model="labeller"))
    assert [(c.provenance.model, c.provenance.score) for c in crops] == [
        ("labeller", 0.75),
        ("labeller", 1.0),
        ("labeller", None),
    ]


def test_images_may_be_known_by_their_url_and_annotations_lack_iscrowd(instances: Instances) -> None:
    for entry in instances.content["images"]:
        entry["coco_url"] = f"http://example.org/val2017/{entry.pop('file_name')}"
    instances.content["categories"] = [{"id": c, "name": f"class {c}"} for c in range(1, 1204)]
    instances.add(1, 9, 1203, (0, 0, 2, 2))
    crops, _ = crops_of(instances.source())
    assert [c.class_id for c in crops] == [1203]
    assert instances.source().head().num_classes == 1204


def test_grey_images_become_rgb(instances: Instances) -> None:
    Image.fromarray(instances.pixels[4][..., 0]).save(instances.root / "images" / "4.png")
    instances.add(1, 4, 1, (2, 1, 6, 5))
    (crop,), _ = crops_of(instances.source())
    expected = torch.from_numpy(instances.pixels[4][1:5, 2:6, 0].copy())
    assert torch.equal(crop.image, expected.expand(3, 4, 4))


def test_what_is_small_or_empty_is_counted(instances: Instances) -> None:
    instances.add(1, 4, 1, (0, 0, 2, 3))
    instances.add(2, 4, 1, (0, 0, 2, 2))
    instances.add(3, 4, 1, (0, 0, 0, 0))
    instances.content["annotations"][2]["segmentation"] = {"size": [6, 8], "counts": [48]}
    crops, left_out = crops_of(instances.source(min_area=5))
    assert [c.provenance.annotation_id for c in crops] == [1]
    assert left_out == {EMPTY: 1, SMALL: 1}
    assert instances.source().most_crops() == 3


def test_larger_objects_are_shrunk_or_skipped(instances: Instances) -> None:
    instances.add(1, 4, 1, (0, 0, 8, 6))
    (crop,), _ = crops_of(instances.source())
    assert crop.alpha[0].tolist() == [[True] * 4] * 3 + [[False] * 4]
    assert crops_of(instances.source(oversize="skip")) == ([], {"objects larger than the crop": 1})


def test_images_without_annotations_are_not_read(instances: Instances) -> None:
    instances.add(1, 4, 1, (0, 0, 2, 2))
    (instances.root / "images" / "9.png").unlink()
    crops, _ = crops_of(instances.source())
    assert len(crops) == 1
    assert len(instances.source(images_per_shard=1).shards()) == 1


def test_shards_do_not_change_the_crops(instances: Instances) -> None:
    for number in range(12):
        instances.add(number, (4, 9)[number % 2], 1, (number % 4, 1, number % 4 + 2, 4))
    for size in (1, 2, 3):
        crops, _ = crops_of(instances.source(images_per_shard=size))
        assert [c.provenance.annotation_id for c in crops] == [*range(0, 12, 2), *range(1, 12, 2)]
    assert len(instances.source(images_per_shard=1).shards()) == 2


def test_panoptic_gives_things_only(coco: CocoFolder) -> None:
    root = coco.write()
    labels, png, images = root / "panoptic.json", root / "png", root / "images"
    source = CocoCrops(labels, images, panoptic=png, crop_size=(4, 4))
    crops, left_out = crops_of(source)
    assert [(c.provenance.image_id, c.provenance.annotation_id, c.class_id) for c in crops] == [
        (10, 5, 7),
        (10, 70000, 1),
    ]
    assert [int(c.alpha.sum()) for c in crops] == [4, 6]
    assert left_out == {"crowd regions": 1, "stuff segments": 2}
    assert source.head().num_classes == 201
    assert dict(source.head().class_names) == NAMES
    assert source.most_crops() == 3  # and not five: stuff is none
    assert set(source.built_from()) >= {"annotations", "images", "panoptic"}
    (png / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png: no such file"):
        CocoCrops(labels, images, panoptic=png)


def test_panoptic_annotations_ask_for_their_folder(coco: CocoFolder) -> None:
    root = coco.write()
    with pytest.raises(DataError, match=r"got panoptic annotations .* panoptic \(--panoptic\): the folder"):
        CocoCrops(root / "panoptic.json", root / "images")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"segmentation": [[0, 0, 1, 1]]}, r"labels.json: image 4: annotation 2: got a polygon of 4"),
        ({"segmentation": None}, r"labels.json: image 4: annotation 2: got segmentation None"),
        (
            {"segmentation": {"size": [5, 8], "counts": [40]}},
            "image 4: annotation 2: got run lengths of size",
        ),
        ({"category_id": 2}, r"image 4: annotation 2: got category_id 2"),
        ({"iscrowd": 2}, r"image 4: annotation 2: got iscrowd 2"),
        ({"score": "high"}, r"image 4: annotation 2: got score 'high'"),
        ({"score": 10**400}, r"image 4: annotation 2: got score 1000"),
        ({"score": True}, r"image 4: annotation 2: got score True"),
        ({"score": float("nan")}, r"image 4: annotation 2: got score nan"),
        ({"id": 1 << 64}, r"image 4: annotation 18446744073709551616: got an id of more than 64 bits"),
    ],
)
def test_a_bad_annotation_is_named_or_counted(
    instances: Instances, change: dict[str, Any], says: str
) -> None:
    instances.add(1, 4, 1, (0, 0, 2, 2))
    instances.add(2, 4, 1, (0, 0, 2, 2))
    instances.content["annotations"][1].update(change)
    with pytest.raises(DataError, match=says) as caught:
        crops_of(instances.source())
    assert "\n" not in str(caught.value)
    crops, left_out = crops_of(instances.source(skip_bad=True))
    assert [c.provenance.annotation_id for c in crops] == [1]
    assert left_out == {"annotations that cannot be read": 1}


@pytest.mark.parametrize("damage", ["cut", "size", "float", "missing"])
def test_a_bad_image_is_named_or_counted(instances: Instances, damage: str) -> None:
    instances.add(1, 4, 1, (0, 0, 2, 2))
    instances.add(2, 9, 1, (0, 0, 2, 2))
    file = instances.root / "images" / "4.png"
    name = "4.png"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:60])
    elif damage == "size":
        Image.fromarray(np.zeros((5, 8, 3), np.uint8)).save(file)
    elif damage == "missing":
        file.unlink()
    else:
        name = instances.content["images"][1]["file_name"] = "4.npy"
        np.save(file.with_suffix(".npy"), np.zeros((6, 8, 3), np.float32))
    with pytest.raises(DataError, match=rf"{name}: "):
        crops_of(instances.source())
    crops, left_out = crops_of(instances.source(skip_bad=True))
    assert [c.provenance.annotation_id for c in crops] == [2]
    assert left_out == {"images that cannot be read": 1}


def test_a_bad_entry_is_named_or_told(instances: Instances) -> None:
    instances.add(1, 4, 1, (0, 0, 2, 2))
    instances.content["images"].append({"id": "x"})
    with pytest.raises(DataError, match=r"labels.json: images\[2\]: got id 'x'"):
        instances.source()
    source = instances.source(skip_bad=True)
    assert len(source.skipped) == 1
    assert "images[2]: got id 'x'" in source.skipped[0]
    assert len(crops_of(source)[0]) == 1


def test_what_is_built_from_says_what_decides_the_crops(instances: Instances) -> None:
    instances.add(1, 4, 1, (0, 0, 2, 2))
    first = instances.source().built_from()
    assert json.loads(json.dumps(first)) == first
    assert str(instances.root) not in json.dumps(first)
    assert instances.source().built_from() == first
    for options in ({"min_area": 2}, {"oversize": "skip"}, {"crop_size": (4, 5)}, {"skip_bad": True}):
        assert instances.source(**options).built_from() != first
    Image.fromarray(instances.pixels[4][:3]).save(instances.root / "images" / "4.png")
    assert instances.source().built_from() != first


def test_a_bank_of_a_coco_file_is_built(instances: Instances, tmp_path: Path) -> None:
    instances.add(8, 9, 3, (1, 1, 3, 3))
    instances.add(20, 4, 1, (2, 2, 4, 4), iscrowd=1)
    meta = build_bank(instances.source(), tmp_path / "bank")
    bank = open_bank(tmp_path / "bank")
    assert bank.class_frequencies.tolist() == [0, 0, 0, 1]
    assert meta.built_from["left_out"] == {"crowd regions": 1}
    assert bank[0].provenance.annotation_id == 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"crop_size": (0, 4)}, "crop_size: got"),
        ({"crop_size": (40000, 40000)}, r"crop_size: got \(40000, 40000\), expected .* of at most 67108864"),
        ({"dataset": 5}, "dataset: got 5, expected a string"),
        ({"model": 5}, "model: got 5, expected a string"),
        ({"min_area": -1}, "min_area: got -1"),
        ({"oversize": "cut"}, "oversize: got 'cut'"),
        ({"images_per_shard": 0}, "images_per_shard: got 0"),
    ],
)
def test_wrong_arguments_are_named(instances: Instances, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        instances.source(**options)


def test_a_file_name_that_no_file_can_have_is_named_or_counted(instances: Instances) -> None:
    instances.add(1, 4, 1, (0, 0, 2, 2))
    instances.add(2, 9, 1, (0, 0, 2, 2))
    instances.content["images"][0]["file_name"] = "\ud800.npy"
    with pytest.raises(DataError, match=r"ud800\.npy': not readable"):
        instances.source()
    source = instances.source(skip_bad=True)
    crops, left_out = crops_of(source)
    assert [c.provenance.annotation_id for c in crops] == [1]
    assert left_out == {"images that cannot be read": 1}
    assert len(source.shards()[0].inputs()) == 64


def test_a_class_id_that_needs_gigabytes_is_refused(instances: Instances) -> None:
    instances.content["categories"][0]["id"] = 10**9
    with pytest.raises(DataError, match=r"categories: got id 1000000000, expected less than 16777216"):
        instances.source()
    instances.content["categories"][0]["id"] = 2**24 - 1
    assert instances.source().head().num_classes == 2**24


@pytest.mark.parametrize("content", [[], {}, {"categories": []}, {"categories": [{"id": 1}], "images": 3}])
def test_what_is_no_coco_file_is_named(tmp_path: Path, content: Any) -> None:
    (tmp_path / "labels.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"labels\.json: "):
        CocoCrops(tmp_path / "labels.json", tmp_path)
