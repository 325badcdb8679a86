"""An augmented set against itself: AP 1 by pycocotools, PQ 1 by what the paper says, the files' rules.

Nothing here reads or writes with segpaste but :func:`to_coco`, which is under test.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter, defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from segpaste.augmentation import BatchCopyPaste
from segpaste.integrations import DataSet, demo_photographs
from segpaste.integrations.coco_datasets import CocoDetectionV2, CocoPanopticV2
from segpaste.integrations.coco_export import CocoExport, to_coco
from segpaste.integrations.data_set import padded
from segpaste.strategies.scenes import DEFAULT_SCHEMA, scenes_from_seed
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    DenseSample,
    Modality,
    PanopticPasteConfig,
    PanopticSchemaSpec,
)

Kind = Literal["bbox", "segm"]
KINDS: tuple[Kind, ...] = ("bbox", "segm")
PANOPTIC = frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC})
# So that samples of any size make a batch.
ON_640 = partial(padded, canvas_size=(640, 640))
ONE = 1 - 1e-12
"""COCOeval divides by the number of detections plus 2.2e-16."""


class Augmented(NamedTuple):
    """What was written, and the samples that it was written from."""

    export: CocoExport
    samples: list[DenseSample]


def augmented(samples: list[DenseSample], schema: PanopticSchemaSpec, folder: Path) -> Augmented:
    """The samples after copy-paste with the panoptic configuration, exported."""
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema))
    augment = BatchCopyPaste(config, seed=0)
    rows = 2 * max(len(sample) for sample in samples) + 1
    batches = [
        augment(BatchedDenseSample.from_samples(samples[start : start + 4]).to_padded(rows))
        for start in range(0, len(samples), 4)
    ]
    export = to_coco(batches, folder / "augmented", schema=schema)
    pasted = [each for batch in batches for each in BatchedDenseSample.from_padded(batch).to_samples()]
    assert sum(map(len, pasted)) > sum(map(len, samples)) // 2
    return Augmented(export, pasted)


def of_data_set(data: DataSet, folder: Path) -> Augmented:
    assert data.schema is not None
    return augmented(list(data.only(PANOPTIC).samples), data.schema, folder)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Augmented:
    limits: dict[str, Any] = {"channels": (3,), "image_dtypes": (torch.uint8,), "canvas": (48, 64)}
    scenes = scenes_from_seed(7, 24, modalities=PANOPTIC, min_instances=1, **limits)
    samples = [scene.sample() for scene in scenes if scene.valid != (0, 0)]
    return augmented(samples, DEFAULT_SCHEMA, tmp_path_factory.mktemp("drawn"))


@pytest.mark.parametrize("kind", KINDS)
def test_ap_of_drawn_samples_is_one(kind: Kind, drawn: Augmented) -> None:
    precision, recall = average_precision(drawn.export.instances, kind)
    assert precision >= ONE
    assert recall == 1


def test_pq_of_drawn_samples_is_one_and_the_files_are_as_they_should_be(drawn: Augmented) -> None:
    expect_rules(drawn.export)
    assert panoptic_quality(drawn.export, drawn.export) == 1


def test_photographs(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="the photographs are scikit-image's")
    for data in demo_photographs():
        (tmp_path / data.name).mkdir()
        expect_all(of_data_set(data, tmp_path / data.name))


@pytest.mark.parametrize("count", [6, pytest.param(24, marks=pytest.mark.nightly)])
def test_coco128(count: int, data_root: Path, tmp_path: Path) -> None:
    root = data_root / "coco128_multi"
    data = CocoPanopticV2(root / "images", root / "panoptic.json", root / "panoptic", ON_640)
    samples = [data[index] for index in range(count)]
    expect_all(augmented(samples, data.schema, tmp_path))


def test_the_two_images_of_the_panoptic_api(data_root: Path, tmp_path: Path) -> None:
    root = data_root / "coco_panoptic_sample"
    data = CocoPanopticV2(
        root / "sample_data" / "input_images",
        root / "sample_data" / "panoptic_examples.json",
        root / "sample_data" / "panoptic_examples",
        ON_640,
        categories=root / "panoptic_coco_categories.json",
    )
    expect_all(augmented(list(data), data.schema, tmp_path))


def expect_all(made: Augmented) -> None:
    """Everything that holds of one export."""
    export = made.export
    for kind in KINDS:
        precision, recall = average_precision(export.instances, kind)
        assert precision >= ONE
        assert recall == 1
    expect_rules(export)
    assert panoptic_quality(export, export) == 1
    assert export.panoptic is not None
    assert export.panoptic_folder is not None
    things = CocoDetectionV2(export.images, export.instances)
    maps = CocoPanopticV2(export.images, export.panoptic, export.panoptic_folder)
    for index, sample in enumerate(made.samples):
        height, width = things[index].canvas_size
        for read in (things[index], maps[index]):
            assert torch.equal(read.image, sample.image[:, :height, :width])
            assert torch.equal(read.labels, sample.labels)
            assert read.instance_masks is not None
            assert sample.instance_masks is not None
            assert torch.equal(read.instance_masks, sample.instance_masks[:, :height, :width])
        assert sample.semantic_map is not None
        assert maps[index].semantic_map is not None
        assert torch.equal(maps[index].semantic_map, sample.semantic_map[:height, :width])


# What is not as good must not be called so.


def test_ap_is_less_for_masks_that_are_moved(drawn: Augmented, tmp_path: Path) -> None:
    content = json.loads(drawn.export.instances.read_text())
    for annotation in content["annotations"][::2]:
        annotation["bbox"][0] += annotation["bbox"][2]
    worse = tmp_path / "instances.json"
    worse.write_text(json.dumps(content))
    precision, recall = average_precision(drawn.export.instances, "bbox", detections=worse)
    assert precision < 0.9
    assert recall < 0.9


def test_pq_is_less_for_each_mistake(drawn: Augmented, tmp_path: Path) -> None:
    export = drawn.export
    assert export.panoptic is not None
    assert export.panoptic_folder is not None
    content = json.loads(export.panoptic.read_text())

    def judged(name: str) -> float:
        changed = tmp_path / f"{name}.json"
        changed.write_text(json.dumps(content))
        return panoptic_quality(export, _with(export, changed))

    segments = content["annotations"][0]["segments_info"]
    classes = [c["id"] for c in content["categories"]]
    right = segments[0]["category_id"]
    segments[0]["category_id"] = next(c for c in classes if c != right)
    assert judged("class") < 1
    segments[0]["category_id"] = right
    assert judged("none") == 1
    moved = tmp_path / "moved"
    moved.mkdir()
    for png in export.panoptic_folder.iterdir():
        with Image.open(png) as image:
            Image.fromarray(np.roll(np.asarray(image), 1, axis=1)).save(moved / png.name)
    assert panoptic_quality(export, _with(export, export.panoptic, moved)) < 1


@pytest.mark.parametrize("what", ["area", "bbox", "id", "category", "png"])
def test_the_rules_are_judged(what: str, drawn: Augmented, tmp_path: Path) -> None:
    export = drawn.export
    assert export.panoptic is not None
    assert export.panoptic_folder is not None
    content = json.loads(export.panoptic.read_text())
    segment = content["annotations"][0]["segments_info"][0]
    folder = export.panoptic_folder
    if what == "area":
        segment["area"] += 1
    elif what == "bbox":
        segment["bbox"][2] += 1
    elif what == "id":
        segment["id"] += 1000
    elif what == "category":
        segment["category_id"] = 99
    else:
        folder = tmp_path / "png"
        folder.mkdir()
        for png in export.panoptic_folder.iterdir():
            with Image.open(png) as image:
                Image.fromarray(np.asarray(image) + np.uint8(1)).save(folder / png.name)
    changed = tmp_path / "panoptic.json"
    changed.write_text(json.dumps(content))
    with pytest.raises(AssertionError):
        expect_rules(_with(export, changed, folder))


def _with(export: CocoExport, panoptic: Path, folder: Path | None = None) -> CocoExport:
    return replace(export, panoptic=panoptic, panoptic_folder=folder or export.panoptic_folder)


def average_precision(truth: Path, kind: Kind, *, detections: Path | None = None) -> tuple[float, float]:
    """AP and AR of pycocotools, over all IoU thresholds and areas; detections have the score 1."""
    listed = json.loads((detections or truth).read_text())["annotations"]
    field = "bbox" if kind == "bbox" else "segmentation"
    results: Any = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "score": 1.0, field: a[field]}
        for a in listed
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO(str(truth))
        evaluation = COCOeval(ground, ground.loadRes(results), kind)
        # COCO's 100 are too few where an image has more objects of a class.
        evaluation.params.maxDets = [1000]
        # Within a range of areas a detection may be matched to an object outside of it.
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    assert (precision > -1).any()
    return float(precision[precision > -1].mean()), float(recall[recall > -1].mean())


def panoptic_quality(truth: CocoExport, prediction: CocoExport) -> float:
    """PQ of Kirillov et al., "Panoptic Segmentation" (CVPR 2019), section 4, averaged over classes.

    Segments match where they are of one class and their IoU is above 0.5; a class's PQ is the sum
    of the IoUs by |TP| + |FP| / 2 + |FN| / 2. Void pixels of the truth are in no union, and
    predictions that are void there for more than half do not count (section 4.2).
    """
    overlaps, true_positives = defaultdict[int, float](float), defaultdict[int, int](int)
    false_positives, false_negatives = defaultdict[int, int](int), defaultdict[int, int](int)
    predicted = _panoptic_of(prediction)
    for image_id, (true_ids, true_classes) in _panoptic_of(truth).items():
        ids, classes = predicted[image_id]
        pairs, counts = np.unique(true_ids << 24 | ids, return_counts=True)
        shared = {
            (pair >> 24, pair & 0xFFFFFF): pixels
            for pair, pixels in zip(pairs.tolist(), counts.tolist(), strict=True)
        }
        true_area, area = Counter[int](), Counter[int]()
        for (true_id, number), pixels in shared.items():
            true_area[true_id] += pixels
            area[number] += pixels
        matched_true: set[int] = set()
        matched: set[int] = set()
        for (true_id, number), both in shared.items():
            label = true_classes.get(true_id)
            if label is None or classes.get(number) != label:
                continue
            union = true_area[true_id] + area[number] - shared.get((0, number), 0) - both
            if both / union > 0.5:
                overlaps[label] += both / union
                true_positives[label] += 1
                matched_true.add(true_id)
                matched.add(number)
        for true_id, label in true_classes.items():
            false_negatives[label] += true_id not in matched_true
        for number, label in classes.items():
            void = shared.get((0, number), 0)
            false_positives[label] += number not in matched and 2 * void <= area[number]
    labels = set(true_positives) | set(false_positives) | set(false_negatives)
    assert labels
    qualities = [
        overlaps[c] / (true_positives[c] + false_positives[c] / 2 + false_negatives[c] / 2)
        for c in sorted(labels)
        if true_positives[c] + false_positives[c] + false_negatives[c]
    ]
    return float(np.mean(qualities))


def _panoptic_of(export: CocoExport) -> dict[int, tuple[np.ndarray, dict[int, int]]]:
    """Image id -> ids ``[H, W]`` and segment id -> class, as the files say."""
    assert export.panoptic is not None
    assert export.panoptic_folder is not None
    found: dict[int, tuple[np.ndarray, dict[int, int]]] = {}
    for annotation in json.loads(export.panoptic.read_text())["annotations"]:
        with Image.open(export.panoptic_folder / annotation["file_name"]) as png:
            rgb = np.asarray(png).astype(np.int64)
        classes = {segment["id"]: segment["category_id"] for segment in annotation["segments_info"]}
        found[annotation["image_id"]] = (rgb @ [1, 256, 65536], classes)
    return found


def expect_rules(export: CocoExport) -> None:
    """What the panoptic API asks of its files (COCO's format page; ``panopticapi/evaluation.py``)."""
    assert export.panoptic is not None
    assert export.panoptic_folder is not None
    content: dict[str, Any] = json.loads(export.panoptic.read_text())
    kinds = {category["id"]: category["isthing"] for category in content["categories"]}
    assert len(kinds) == len(content["categories"])
    assert set(kinds.values()) <= {0, 1}
    images = {image["id"]: image for image in content["images"]}
    annotations = content["annotations"]
    assert sorted(images) == sorted(annotation["image_id"] for annotation in annotations)
    for annotation in annotations:
        image = images[annotation["image_id"]]
        with Image.open(export.images / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
        with Image.open(export.panoptic_folder / annotation["file_name"]) as png:
            assert (png.format, png.mode, png.size) == ("PNG", "RGB", (image["width"], image["height"]))
            ids = np.asarray(png).astype(np.int64) @ [1, 256, 65536]
        segments = annotation["segments_info"]
        listed = [segment["id"] for segment in segments]
        # One PNG gives each pixel one id, so that segments cannot overlap.
        assert len(set(listed)) == len(listed)
        assert set(listed) == set(np.unique(ids).tolist()) - {0}
        assert {segment["category_id"] for segment in segments} <= set(kinds)
        stuff = [segment["category_id"] for segment in segments if not kinds[segment["category_id"]]]
        assert len(set(stuff)) == len(stuff)  # stuff is not divided into instances
        for segment in segments:
            ys, xs = np.nonzero(ids == segment["id"])
            box = [xs.min(), ys.min(), xs.max() - xs.min() + 1, ys.max() - ys.min() + 1]
            assert (segment["area"], segment["bbox"], segment["iscrowd"]) == (len(ys), box, 0)
