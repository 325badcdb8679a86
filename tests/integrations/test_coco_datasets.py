"""COCO files as map-style data sets, and the loader over them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch.utils.data import RandomSampler, SequentialSampler

from segpaste.augmentation import BatchCopyPaste
from segpaste.integrations import DataError, load_data
from segpaste.integrations.coco_datasets import CocoDetectionV2, CocoPanopticV2
from segpaste.integrations.coco_loader import create_coco_dataloader
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    DenseSample,
    Modality,
    check_against_schema,
)

if TYPE_CHECKING:
    from tests.integrations.conftest import CocoFolder

RLE = [5, 1, 5, 1, 5, 1, 30]


def instances(coco: CocoFolder, **options: Any) -> CocoDetectionV2:
    root = coco.write()
    return CocoDetectionV2(root / "images", root / "instances.json", **options)


def panoptic(coco: CocoFolder, **options: Any) -> CocoPanopticV2:
    root = coco.write()
    return CocoPanopticV2(root / "images", root / "panoptic.json", root / "png", **options)


@pytest.fixture
def things(coco: CocoFolder) -> CocoFolder:
    """The folder with categories as COCO's instances have them, all of things."""
    coco.instances["categories"] = [{"id": 1, "name": "cup"}, {"id": 7, "name": "ball"}]
    return coco


def equal(first: DenseSample, second: DenseSample) -> bool:
    """Every field, type and bit."""
    a, b = first.to_dict(), second.to_dict()
    return a.keys() == b.keys() and all(
        torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype and type(a[name]) is type(b[name])
        if isinstance(a[name], torch.Tensor)
        else a[name] == b[name]
        for name in a
    )


def test_instances_have_image_boxes_labels_ids_and_masks(things: CocoFolder) -> None:
    data = instances(things)
    assert data.image_ids == (10, 20)
    assert (len(data), data.file_name(0), data.file_name(-1)) == (2, "a.png", "b.png")
    assert data.class_names == {1: "cup", 7: "ball"}
    assert dict(data.schema.classes) == {1: "thing", 7: "thing"}
    sample = data[0]
    assert sample.active_modalities() == {Modality.IMAGE, Modality.INSTANCE}
    assert (sample.image.dtype, sample.image.shape) == (torch.uint8, (3, 6, 8))
    assert sample.image.is_contiguous()
    with Image.open(things.root / "images" / "a.png") as image:
        assert np.array_equal(np.asarray(image), sample.image.permute(1, 2, 0).numpy())
    assert sample.labels.tolist() == [1, 7]
    assert sample.instance_ids is not None
    assert sample.instance_ids.tolist() == [1, 2]
    assert sample.boxes.tolist() == [[1, 1, 4, 3], [5, 3, 7, 5]]
    assert sample.boxes.canvas_size == (6, 8)
    assert sample.instance_masks is not None
    assert sample.instance_masks.sum(dim=(1, 2)).tolist() == [6, 4]
    sample.validate()


def test_an_image_without_annotations_has_no_rows(things: CocoFolder) -> None:
    sample = instances(things)[1]
    assert len(sample) == 0
    assert sample.instance_masks is not None
    assert sample.instance_masks.shape == (0, 4, 5)
    assert sample.boxes.shape == (0, 4)
    sample.validate()


def test_the_maps_of_panoptic_data_and_its_rows_have_the_same_ids(coco: CocoFolder) -> None:
    data = panoptic(coco)
    sample = data[0]
    assert sample.labels.tolist() == [7, 1]  # segments 5 and 70000
    assert sample.instance_ids is not None
    assert sample.instance_masks is not None
    assert sample.panoptic_map is not None
    assert sample.semantic_map is not None
    for row, number in enumerate(sample.instance_ids.tolist()):
        assert torch.equal(sample.instance_masks[row], sample.panoptic_map == number)
        assert set(sample.semantic_map[sample.instance_masks[row]].tolist()) == {int(sample.labels[row])}
    assert data.left_out() == {"crowd regions": 1}
    assert int((sample.semantic_map == 255).sum()) == 8 + 3  # unlabelled, and the crowd
    check_against_schema(sample, data.schema)
    sample.validate()


def test_both_read_what_load_data_reads(coco: CocoFolder) -> None:
    coco.keep("panoptic", "instances")
    read = {data.name: data for data in load_data(coco.write())}
    for name, data in (("panoptic", panoptic(coco)), ("instances", instances(coco))):
        assert data.schema == read[name].schema
        height, width = data[0].canvas_size
        assert (height, width) == read[name].canvas_size
        expected = read[name].samples[0].to_dict()
        expected.pop("padding_mask")  # of the smaller image's sake
        assert equal(data[0], DenseSample.from_dict(expected))


def test_polygons_and_both_kinds_of_run_lengths_are_drawn_as_pycocotools_draws_them(
    things: CocoFolder,
) -> None:
    polygon = [0.5, 0.2, 6.7, 1.1, 4.4, 5.9, 1.2, 3.3]
    polygons: Any = [polygon, [6, 4, 8, 4, 8, 6]]
    runs: Any = coco_mask.frPyObjects(polygons, 6, 8)
    merged: Any = coco_mask.merge(runs)
    mask = instances_with(things, polygons)
    compressed = instances_with(things, {"size": [6, 8], "counts": merged["counts"].decode()})
    columns = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], columns]))).tolist()
    counts = np.diff([0, *edges, columns.size]).tolist()
    uncompressed = instances_with(things, {"size": [6, 8], "counts": counts})
    assert int(mask.sum()) == int(coco_mask.area(merged))
    assert np.array_equal(mask, compressed)
    assert np.array_equal(mask, uncompressed)


def instances_with(things: CocoFolder, segmentation: Any) -> np.ndarray:
    """The mask of image 10's first annotation, which is drawn so."""
    things.instances["annotations"][2]["segmentation"] = segmentation
    masks = instances(things)[0].instance_masks
    assert masks is not None
    return masks[0].numpy()


def test_dropped_crowds_leave_nothing(things: CocoFolder) -> None:
    data = instances(things, crowd="drop")
    assert data[0].semantic_map is None
    assert data.left_out() == {"crowd regions": 1}


def test_crowds_made_void_are_void_where_no_row_is(things: CocoFolder) -> None:
    things.instances["annotations"][0]["segmentation"]["counts"] = [4, 2, 4, 2, 4, 2, 15, 3, 12]
    things.instances["annotations"].append(
        {"id": 9, "image_id": 10, "category_id": 1, "segmentation": [[5, 3, 8, 3, 8, 6, 5, 6]]}
    )
    data = instances(things, crowd="void")
    assert dict(data.schema.classes) == {0: "stuff", 1: "thing", 7: "thing"}
    assert data.categories[0] == {"id": 0, "name": "background", "isthing": 0}
    sample = data[0]
    assert sample.semantic_map is not None
    assert sample.semantic_map.tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 7, 7, 1],  # of the ball and the larger cup behind it, the ball
        [255, 255, 255, 0, 0, 7, 7, 1],
        [255, 255, 255, 0, 0, 1, 1, 1],
    ]
    check_against_schema(sample, data.schema)
    assert len(data[1]) == 0
    assert set(map(type, data.image_ids)) == {int}


def test_annotations_without_a_pixel_are_left_out_and_counted(things: CocoFolder) -> None:
    things.instances["annotations"][1]["segmentation"] = {"size": [6, 8], "counts": [48]}
    things.instances["annotations"][2]["segmentation"] = [[1, 1, 1, 1, 1, 1]]
    data = instances(things)
    assert len(data[0]) == 0
    assert data.left_out() == {"annotations without a pixel": 2, "crowd regions": 1}


def test_nothing_is_pasted_onto_a_crowd(things: CocoFolder) -> None:
    everywhere_but_a_column = {"size": [6, 8], "counts": [6, 42]}
    things.instances["annotations"] = [
        {"id": 1, "image_id": 10, "category_id": 7, "iscrowd": 1, "segmentation": everywhere_but_a_column},
        {"id": 2, "image_id": 20, "category_id": 1, "segmentation": [[0, 0, 8, 0, 8, 6, 0, 6]]},
    ]
    things.images[0] |= {"height": 6, "width": 8}
    things.ids[20] = np.full((6, 8), 300)
    data = instances(things, crowd="void")
    crowded, donor = data[0], data[1]
    image = torch.full_like(crowded.image, 7)
    batch = BatchedDenseSample.from_samples([replace(crowded, image=image), donor]).to_padded(8)
    pasted = 0
    for seed in range(10):
        after = BatchCopyPaste(BatchCopyPasteConfig(), seed=seed)(batch)
        assert bool((after.images[0, :, :, 1:] == 7).all())
        pasted += int((after.images[0, :, :, 0] != 7).sum())
    assert pasted > 0


def test_crowds_are_void_where_a_paste_knows_void(things: CocoFolder) -> None:
    assert instances(things, crowd="void", ignore_index=255).schema.ignore_index == 255
    with pytest.raises(ValueError, match="ignore_index: got 254 with crowd='void', expected 255"):
        instances(things, crowd="void", ignore_index=254)
    things.instances["categories"].append({"id": 255})
    expect_refusal(lambda: instances(things, crowd="void"), "instances.json: category 255", "crowd='drop'")
    assert instances(things, crowd="drop").schema.ignore_index == 256


def test_255_is_void_but_where_it_is_a_category(coco: CocoFolder) -> None:
    coco.instances["categories"] = [{"id": label} for label in (1, 7, 255, 256)]
    assert instances(coco).schema.ignore_index == 257
    assert instances(coco, ignore_index=9).schema.ignore_index == 9
    assert panoptic(coco).schema.ignore_index == 255
    assert panoptic(coco, ignore_index=0)[0].semantic_map[0, 0] == 0


def test_a_map_with_a_category_255_needs_another_void_by_name(coco: CocoFolder) -> None:
    coco.panoptic["categories"] = [*coco.panoptic["categories"], {"id": 255, "isthing": 0}]
    expect_refusal(lambda: panoptic(coco), "panoptic.json: category 255", "ignore_index given")
    assert panoptic(coco, ignore_index=256)[0].semantic_map[0, 0] == 256


@pytest.mark.parametrize("label", [[1], True, "1", None])
def test_a_category_needs_a_whole_number(label: Any, things: CocoFolder) -> None:
    things.instances["categories"][0]["id"] = label
    expect_refusal(lambda: instances(things), f"categories[0]: got id {label!r}, expected an integer")


def test_categories_may_stand_in_another_file(coco: CocoFolder) -> None:
    listed = coco.panoptic.pop("categories")
    root = coco.write()
    (root / "categories.json").write_text(json.dumps(listed))
    with pytest.raises(DataError, match=r"panoptic\.json: no categories"):
        panoptic(coco)
    assert len(panoptic(coco, categories=root / "categories.json")[0]) == 2


def test_an_lvis_file_is_read(things: CocoFolder) -> None:
    for image in things.instances["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/val2017/{image['file_name']}"
    names = [image.pop("file_name") for image in things.instances["images"]]
    for annotation in things.instances["annotations"]:
        del annotation["iscrowd"]
    for image, name in zip(things.images, names, strict=True):
        image["file_name"] = name
    things.write()
    content = json.loads((things.root / "instances.json").read_text())
    for image in content["images"]:
        del image["file_name"]
    (things.root / "instances.json").write_text(json.dumps(content))
    data = CocoDetectionV2(things.root / "images", things.root / "instances.json")
    assert data[0].labels.tolist() == [1, 7, 7]


def test_transforms_make_what_an_index_gives(things: CocoFolder) -> None:
    assert instances(things, transforms=len)[0] == 2
    with pytest.raises(TypeError, match="transforms: got int, expected a function of a DenseSample or None"):
        instances(things, transforms=3)


def test_it_is_a_sequence(things: CocoFolder) -> None:
    data = instances(things)
    numpy_index: Any = np.int64(1)
    assert equal(data[-2], data[0])
    assert equal(data[numpy_index], data[1])
    assert len(list(data)) == 2
    for beyond in (2, -3):
        with pytest.raises(IndexError, match=f"index: got {beyond}, expected less than the 2 images"):
            data[beyond]
    with pytest.raises(TypeError, match="index: got str, expected an int"):
        data["a.png"]  # pyright: ignore[reportArgumentType]
    assert repr(data) == f"CocoDetectionV2(2 images, {str(things.root / 'instances.json')!r})"


def test_it_can_be_pickled_and_hands_its_entries_over_in_shared_memory(coco: CocoFolder) -> None:
    for data in (instances(coco), panoptic(coco)):
        assert equal(pickle.loads(pickle.dumps(data))[0], data[0])
        sent = ForkingPickler.dumps(data)
        tensors = [value for value in vars(data._entries).values() if isinstance(value, torch.Tensor)]
        assert len(tensors) == 2
        assert all(tensor.is_shared() for tensor in tensors)
        assert equal(pickle.loads(sent)[0], data[0])


def test_packed_entries_take_little_memory(things: CocoFolder) -> None:
    things.instances["annotations"] = [
        {"id": n, "image_id": 10, "category_id": 1, "segmentation": [[float(v) for v in range(60)]]}
        for n in range(1000)
    ]
    # 8 bytes a number and one that says so: Python objects would take four times as much.
    assert instances(things)._entries.nbytes < 1000 * (60 * 9 + 60)


BAD_INSTANCES: list[tuple[Callable[[CocoFolder], Any], str]] = [
    (lambda c: c.instances["annotations"][1].update(category_id=5), "annotation 2: got category_id 5"),
    (lambda c: c.instances["annotations"][1].update(iscrowd=2), "image 10: annotation 2: got iscrowd 2"),
    (lambda c: c.instances["annotations"][1].update(image_id=3), "annotation 2: got image_id 3"),
    (lambda c: c.instances["annotations"][1].update(id=1), "annotation 1: the id occurs twice"),
    (lambda c: c.instances["images"][0].update(height="6"), "images[0]: got height '6'"),
    (lambda c: c.instances.update(categories=[]), "no categories"),
    (lambda c: c.instances["categories"].append({"id": 7}), "category 7: the id occurs twice"),
    (lambda c: c.instances.update(annotations=c.panoptic["annotations"]), "CocoPanopticV2 reads these"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BAD_INSTANCES)))
def test_a_bad_json_is_refused_when_it_is_opened(number: int, things: CocoFolder) -> None:
    change, said = BAD_INSTANCES[number]
    change(things)
    expect_refusal(lambda: instances(things), "instances.json", said)


def test_stuff_among_instances_is_refused(coco: CocoFolder) -> None:
    coco.instances["annotations"][1]["category_id"] = 200
    said = "image 10: annotation 2: got category_id 200, which is stuff"
    expect_refusal(lambda: instances(coco), "instances.json", said)


BAD_MASKS = [
    ([[1, 2, 3, 4]], "got a polygon of 4 coordinates"),
    ({"size": [8, 6], "counts": [48]}, "got run lengths of size [8, 6], expected [6, 8]"),
    ({"size": [6, 8], "counts": [47]}, "got run lengths over 47 pixels"),
    ({"size": [6, 8], "counts": "\x7f"}, "got '\\x7f' in counts"),
    (None, "got segmentation None"),
]


@pytest.mark.parametrize("number", range(len(BAD_MASKS)))
def test_a_bad_mask_is_refused_with_its_sample(number: int, things: CocoFolder) -> None:
    segmentation, said = BAD_MASKS[number]
    things.instances["annotations"][1]["segmentation"] = segmentation
    data = instances(things)
    expect_refusal(lambda: data[0], "instances.json", "image 10: annotation 2", said)
    expect_refusal(data.left_out, "instances.json", "image 10: annotation 2", said)


def test_a_bad_image_is_refused_with_its_sample(things: CocoFolder) -> None:
    data = instances(things)
    file = things.root / "images" / "a.png"
    Image.new("RGB", (3, 2)).save(file)
    expect_refusal(lambda: data[0], "images/a.png", "image 10: got 2 x 3 pixels, expected 6 x 8")
    file.write_bytes(b"nothing")
    expect_refusal(lambda: data[0], "images/a.png", "not readable as an image")
    file.unlink()
    expect_refusal(lambda: data[0], "images/a.png", "no such file")
    assert len(data[1]) == 0


def test_a_missing_folder_is_refused_when_it_is_opened(coco: CocoFolder) -> None:
    root = coco.write()
    expect_refusal(lambda: CocoDetectionV2(root / "img", root / "instances.json"), "img: no such folder")
    folders = (root / "images", root / "panoptic.json", root / "pngs")
    expect_refusal(lambda: CocoPanopticV2(*folders), "pngs: no such folder")
    with pytest.raises(DataError) as caught:
        CocoDetectionV2(root / "images", root / "no.json")
    assert str(caught.value) == f"{root / 'no.json'}: no such file"


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "b/../../secret.png"])
def test_no_file_outside_of_the_folder_is_opened(name: str, coco: CocoFolder) -> None:
    coco.panoptic["annotations"][1]["file_name"] = name
    expect_refusal(
        lambda: panoptic(coco), f"image 20: got file_name {name!r}, expected one within the folder"
    )
    coco.panoptic["annotations"][1]["file_name"] = "b.png"
    root = coco.write()
    for entries in (coco.instances, coco.panoptic):
        entries["images"] = [{**coco.images[0], "file_name": name}, *coco.images[1:]]
    for kind in ("instances", "panoptic"):
        (root / f"{kind}.json").write_text(json.dumps(getattr(coco, kind)))
    said = f"images[0]: got file_name {name!r}, expected one within the folder"
    files = root / "images", root / "instances.json"
    expect_refusal(lambda: CocoDetectionV2(*files), said)
    expect_refusal(lambda: CocoPanopticV2(files[0], root / "panoptic.json", root / "png"), said)


def _segments(coco: CocoFolder) -> list[dict[str, Any]]:
    return coco.panoptic["annotations"][0]["segments_info"]


BAD_PANOPTIC: list[tuple[Callable[[CocoFolder], Any], str]] = [
    (lambda c: _segments(c).append({"id": 8, "category_id": 7}), "has segment 8, which"),
    (lambda c: _segments(c).pop(), "has segment 5, which segments_info lacks"),
    (lambda c: _segments(c)[0].update(id=9), "segment 9: the id occurs twice"),
    (lambda c: _segments(c)[0].update(category_id=2), "segment 70000: got category_id 2"),
    (lambda c: c.panoptic["annotations"].pop(), "image 20: got 0 annotations, expected one"),
    (lambda c: c.panoptic["annotations"][0].update(file_name="b.png"), "b.png of [4, 5], expected"),
    (lambda c: c.panoptic["annotations"][0].update(file_name="c.png"), "c.png: no such file"),
    (lambda c: c.panoptic.update(categories=[{"id": 1}]), "category 1: got isthing None"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BAD_PANOPTIC)))
def test_bad_panoptic_data_is_refused(number: int, coco: CocoFolder) -> None:
    change, said = BAD_PANOPTIC[number]
    change(coco)
    expect_refusal(lambda: panoptic(coco)[0], said)


def test_instances_are_no_panoptic_data(coco: CocoFolder) -> None:
    coco.panoptic["annotations"] = coco.instances["annotations"]
    expect_refusal(lambda: panoptic(coco), "panoptic.json: got instances", "CocoDetectionV2 reads these")


def test_arguments_are_checked(things: CocoFolder) -> None:
    with pytest.raises(ValueError, match="crowd: got 'keep', expected one of"):
        instances(things, crowd="keep")
    with pytest.raises(ValueError, match="ignore_index: got -1"):
        instances(things, ignore_index=-1)
    expect_refusal(lambda: instances(things, ignore_index=7), "ignore_index: got 7, which is also a class")
    things.instances["categories"].append({"id": 0})
    expect_refusal(lambda: instances(things, crowd="void"), "calls the background 0, which is taken")


def expect_refusal(action: Callable[[], Any], *said: str) -> None:
    """One line of :class:`DataError` that says all this."""
    with pytest.raises(DataError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    for part in said:
        assert part in message, message


class TestLoader:
    """``create_coco_dataloader``."""

    @pytest.fixture
    def loader(self, things: CocoFolder) -> Callable[..., Any]:
        for number in range(30, 33):
            things.images.append({"id": number, "file_name": f"{number}.png", "height": 4, "width": 5})
            things.ids[number] = np.full((4, 5), 300)
        things.instances["images"] = things.images
        root = things.write()
        return partial(create_coco_dataloader, root / "images", root / "instances.json")

    def test_batches_are_lists_of_samples(self, loader: Callable[..., Any]) -> None:
        batches = list(loader(None))
        assert [[type(each) for each in batch] for batch in batches] == [[DenseSample] * 4, [DenseSample]]
        assert [len(each) for each in batches[0]] == [2, 0, 0, 0]
        assert batches[0][0].canvas_size != batches[0][1].canvas_size

    def test_transforms_and_collate_function(self, loader: Callable[..., Any]) -> None:
        assert list(loader(len, 2, sum)) == [2, 0, 0]

    def test_arguments_of_torchs_loader(self, loader: Callable[..., Any]) -> None:
        assert len(loader(None, 2, drop_last=True)) == 2
        assert isinstance(loader(None).sampler, SequentialSampler)
        orders = []
        for _ in range(2):
            generator = torch.Generator().manual_seed(3)
            shuffled = loader(
                lambda sample: sample.canvas_size[0] * 100 + len(sample), shuffle=True, generator=generator
            )
            assert isinstance(shuffled.sampler, RandomSampler)
            orders.append([each for batch in shuffled for each in batch])
        assert orders[0] == orders[1]
        assert len(next(iter(loader(None, sampler=[0, 0, 1])))) == 3

    @pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.nightly)])
    def test_workers_read_the_same(self, context: str, loader: Callable[..., Any]) -> None:
        alone = [each for batch in loader(None) for each in batch]
        worked = loader(None, 2, num_workers=2, multiprocessing_context=context)
        together = [each for batch in worked for each in batch]
        assert len(together) == 5
        assert all(equal(a, b) for a, b in zip(alone, together, strict=True))

    def test_what_a_worker_refuses_says_why(self, things: CocoFolder, loader: Callable[..., Any]) -> None:
        (things.root / "images" / "32.png").unlink()
        with pytest.raises(DataError, match=r"32\.png: no such file"):
            list(loader(None, num_workers=1))

    def test_panoptic(self, coco: CocoFolder) -> None:
        root = coco.write()
        files = (root / "images", root / "panoptic.json", None)
        (batch,) = create_coco_dataloader(*files, panoptic_folder=root / "png")
        assert [Modality.PANOPTIC in each.active_modalities() for each in batch] == [True, True]
        loader = create_coco_dataloader(*files, panoptic_folder=root / "png", crowd="void")
        assert isinstance(loader.dataset, CocoPanopticV2)
        with pytest.raises(ValueError, match="crowd: got 'drop' beside panoptic_folder"):
            create_coco_dataloader(*files, panoptic_folder=root / "png", crowd="drop")
        with pytest.raises(ValueError, match="categories: got a file without panoptic_folder"):
            create_coco_dataloader(*files, categories=root / "panoptic.json")


def test_real_data_is_read_as_load_data_reads_it(data_root: Path) -> None:
    root = data_root / "coco128_multi"
    mapping = Path(__file__).parents[1] / "data_maps" / "coco128_multi.yaml"
    sets: dict[str, CocoDetectionV2 | CocoPanopticV2] = {
        "panoptic": CocoPanopticV2(root / "images", root / "panoptic.json", root / "panoptic"),
        "instances": CocoDetectionV2(root / "images", root / "instances_rle.json"),
    }
    read = {data.name: data for data in load_data(root, mapping=mapping)}
    for name, data in sets.items():
        assert data.left_out() == {"crowd regions": 4}
        assert data.schema == read[name].schema
        for index, sample in enumerate(data):
            sample.validate()
            expected = read[name].samples[index].to_dict()
            height, width = sample.canvas_size
            for field, value in sample.to_dict().items():
                if isinstance(value, torch.Tensor):
                    there = expected[field].as_subclass(torch.Tensor)
                    if field not in ("boxes", "labels", "instance_ids"):
                        there = there[..., :height, :width]
                    assert torch.equal(value.as_subclass(torch.Tensor), there), (name, index, field)
