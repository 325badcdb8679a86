"""COCO instances and panoptic annotations, and semantic maps."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from segpaste.integrations import DataError, load_data
from segpaste.integrations.rle import mask_of
from segpaste.types import LEGAL_MODALITY_SETS, BatchedDenseSample, Modality, check_against_schema

if TYPE_CHECKING:
    from tests.integrations.conftest import CocoFolder

CUP = [(1, x) for x in (1, 2, 3)] + [(2, x) for x in (1, 2, 3)]
BALL = [(3, 5), (3, 6), (4, 5), (4, 6)]
CROWD = [(5, 0), (5, 1), (5, 2)]


def pixels(mask: torch.Tensor) -> list[tuple[int, int]]:
    return [(int(y), int(x)) for y, x in mask.as_subclass(torch.Tensor).nonzero().tolist()]


def test_panoptic_gives_rows_semantic_and_panoptic_maps(coco: CocoFolder) -> None:
    coco.keep("panoptic")
    (data,) = load_data(coco.write())
    assert data.names == ("a.png", "b.png")
    sample = data.samples[0]
    # rows ascend by segment id: the ball (5) before the cup (70000)
    assert sample.labels.tolist() == [7, 1]
    assert sample.instance_ids is not None
    assert sample.instance_ids.tolist() == [1, 2]
    assert sample.boxes.tolist() == [[5, 3, 7, 5], [1, 1, 4, 3]]
    assert sample.instance_masks is not None
    assert pixels(sample.instance_masks[0]) == BALL
    assert pixels(sample.instance_masks[1]) == CUP
    assert sample.panoptic_map is not None
    assert pixels(sample.panoptic_map == 1) == BALL
    assert pixels(sample.panoptic_map == 2) == CUP
    assert sorted(sample.panoptic_map.unique().tolist()) == [0, 1, 2]
    assert sample.semantic_map is not None
    assert pixels(sample.semantic_map == 255) == [(0, x) for x in range(8)] + CROWD
    assert pixels(sample.semantic_map == 7) == BALL
    assert pixels(sample.semantic_map == 1) == CUP
    assert int((sample.semantic_map == 200).sum()) == 48 - 8 - 3 - 6 - 4
    assert data.notes == ("1 crowd regions made void",)


def test_smaller_images_are_padded_at_the_bottom_right(coco: CocoFolder) -> None:
    coco.keep("panoptic")
    (data,) = load_data(coco.write())
    assert data.canvas_size == (6, 8)
    small = data.samples[1]
    assert small.padding_mask is not None
    assert pixels(~small.padding_mask[0]) == [(y, x) for y in range(4) for x in range(5)]
    assert small.semantic_map is not None
    assert bool((small.semantic_map[small.padding_mask[0]] == 255).all())
    assert bool((small.semantic_map[~small.padding_mask[0]] == 200).all())
    assert int(small.image[:, small.padding_mask[0]].sum()) == 0
    assert small.image[:, :4, :5].flatten().tolist() != [0] * 60
    assert small.boxes.canvas_size == (6, 8)


def test_instances_drop_crowd_rows_and_sort_by_annotation_id(coco: CocoFolder) -> None:
    coco.keep("instances")
    (data,) = load_data(coco.write())
    sample = data.samples[0]
    assert data.modalities == {Modality.IMAGE, Modality.INSTANCE}
    assert sample.labels.tolist() == [1, 7]
    assert sample.instance_masks is not None
    assert pixels(sample.instance_masks[0]) == CUP
    assert pixels(sample.instance_masks[1]) == BALL
    assert len(data.samples[1]) == 0
    assert data.notes == ("1 crowd regions left out",)


def test_a_crowd_is_void_where_instances_have_a_semantic_map(coco: CocoFolder) -> None:
    coco.keep("both")
    (data,) = load_data(coco.write())
    sample = data.samples[0]
    assert sample.labels.tolist() == [1, 7]
    assert sample.semantic_map is not None
    assert pixels(sample.semantic_map == 255) == [(0, x) for x in range(8)] + CROWD


def test_semantic_maps_turn_unlabelled_values_into_ignore(coco: CocoFolder) -> None:
    coco.keep("semantic")
    (data,) = load_data(coco.write())
    sample = data.samples[0]
    assert data.modalities == {Modality.IMAGE, Modality.SEMANTIC}
    assert len(sample) == 0
    assert sample.semantic_map is not None
    assert pixels(sample.semantic_map == 255) == [(0, x) for x in range(8)]
    assert pixels(sample.semantic_map == 7) == BALL + CROWD


def test_all_sets_are_read_and_stack_into_batches(coco: CocoFolder) -> None:
    data = load_data(coco.write())
    assert [each.name for each in data] == ["panoptic", "instances", "both", "semantic"]
    for each in data:
        assert each.modalities in LEGAL_MODALITY_SETS
        assert each.schema is not None
        assert each.schema.classes == {1: "thing", 7: "thing", 200: "stuff"}
        for sample in each.samples:
            sample.validate()
            check_against_schema(sample, each.schema)
        padded = BatchedDenseSample.from_samples(each.samples).to_padded(4)
        assert padded.batch_size == len(each.samples)


def test_modalities_keep_sets_that_have_them_and_drop_the_rest(coco: CocoFolder) -> None:
    root = coco.write()
    data = load_data(root, modalities={Modality.INSTANCE, Modality.SEMANTIC})
    assert [each.name for each in data] == ["panoptic", "both"]
    for each in data:
        assert each.modalities == {Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC}
    semantic = load_data(root, modalities={Modality.SEMANTIC})
    assert [each.name for each in semantic] == ["panoptic", "both", "semantic"]
    assert [len(each.samples[0]) for each in semantic] == [0, 0, 0]
    with pytest.raises(DataError, match=r"no set has instance\+depth, expected some of: panoptic"):
        load_data(root, modalities={Modality.INSTANCE, Modality.DEPTH})
    with pytest.raises(DataError, match="modalities: got panoptic, expected one of"):
        load_data(root, modalities={Modality.PANOPTIC})


def test_a_set_of_one_image_is_its_own_mirrored_donor(coco: CocoFolder) -> None:
    coco.keep("panoptic")
    coco.sets[0]["limit"] = 1
    (data,) = load_data(coco.write())
    assert data.names == ("a.png", "a.png (mirrored)")
    assert "1 images left out by the limit" in data.notes
    first, second = data.samples
    assert first.padding_mask is None
    assert torch.equal(second.image, first.image.flip(-1))
    assert second.boxes.tolist() == [[1, 3, 3, 5], [4, 1, 7, 3]]
    assert second.semantic_map is not None
    assert first.semantic_map is not None
    assert torch.equal(second.semantic_map, first.semantic_map.flip(-1))
    second.validate()


def test_annotations_that_draw_no_pixel_are_left_out(coco: CocoFolder) -> None:
    coco.keep("instances")
    coco.instances["annotations"][1]["segmentation"] = [[2.1, 2.1, 2.2, 2.1, 2.2, 2.2]]
    (data,) = load_data(coco.write())
    assert data.samples[0].labels.tolist() == [1]
    assert "1 annotations without a pixel left out" in data.notes


def test_the_class_table_makes_room_for_the_fullest_image(coco: CocoFolder) -> None:
    coco.keep("instances")
    one = {"image_id": 10, "category_id": 1, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]}
    coco.instances["annotations"] = [{"id": n, **one} for n in range(300)]
    (data,) = load_data(coco.write())
    assert data.schema is not None
    assert data.schema.max_instances_per_image == 300


@given(
    st.integers(1, 9).flatmap(
        lambda h: st.integers(1, 9).flatmap(
            lambda w: st.lists(st.lists(st.booleans(), min_size=w, max_size=w), min_size=h, max_size=h)
        )
    )
)
def test_run_lengths_decode_as_pycocotools_encodes(rows: list[list[bool]]) -> None:
    mask = np.array(rows)
    height, width = mask.shape
    encoded: Any = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    compressed = {"size": [height, width], "counts": encoded["counts"].decode("ascii")}
    assert np.array_equal(mask_of(compressed, height, width, "test"), mask)
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(np.concatenate([[False], flat]).astype(np.int8)))
    counts = np.diff([0, *changes.tolist(), flat.size]).tolist()
    assert np.array_equal(mask_of({"size": [height, width], "counts": counts}, height, width, "t"), mask)


def test_long_run_lengths_decode_as_pycocotools_encodes() -> None:
    mask = np.zeros((400, 300), bool)
    mask[3:390, 40:250] = True
    mask[100:120, 60:200] = False
    encoded: Any = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    compressed = {"size": [400, 300], "counts": encoded["counts"].decode("ascii")}
    assert np.array_equal(mask_of(compressed, 400, 300, "test"), mask)


def test_polygons_are_drawn_by_pycocotools() -> None:
    outline = [1.5, 1.2, 30.7, 4.1, 22.2, 35.9, 5.0, 20.0]
    hole_beside = [34.0, 34.0, 39.0, 34.0, 39.0, 39.0]
    mask = mask_of([outline, hole_beside], 40, 40, "test")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools under NumPy 2
        expected = coco_mask.decode(coco_mask.frPyObjects([outline, hole_beside], 40, 40)).any(axis=2)  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert mask.any()
    assert np.array_equal(mask, expected)
