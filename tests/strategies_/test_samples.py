"""Drawn samples, batches and parts are well formed, and shrink to almost nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.vendor.pretty import pretty

from segpaste.invariants import check_padded, check_sample
from segpaste.strategies import (
    batches,
    camera_intrinsics,
    dense_samples,
    depth_fields,
    instance_masks,
    normals,
    padded_batches,
    panoptic_schemas,
    semantic_maps,
)
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchedDenseSample,
    CameraIntrinsics,
    DenseSample,
    InstanceMask,
    Modality,
    PaddedBatchedDenseSample,
    PanopticSchemaSpec,
    SemanticMap,
    check_against_schema,
    modality_set_name,
)
from tests.strategies_.counting import quick, smallest

SETS = (*LEGAL_MODALITY_SETS, frozenset({Modality.IMAGE}))
SET_NAMES = [modality_set_name(m) for m in SETS]
PANOPTIC = {Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC}


@pytest.mark.parametrize("modalities", SETS, ids=SET_NAMES)
def test_samples_obey_every_law(modalities: frozenset[Modality]) -> None:
    @quick(40)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        schema = data.draw(panoptic_schemas())
        sample = data.draw(dense_samples(modalities, schema=schema))
        assert sample.active_modalities() == modalities
        sample.validate()
        check_against_schema(sample, schema)
        assert [r for r in check_sample(sample, schema) if not r.ok] == []

    run()


@pytest.mark.parametrize("modalities", SETS, ids=SET_NAMES)
def test_padded_batches_obey_every_law(modalities: frozenset[Modality]) -> None:
    @quick(20)
    @given(padded_batches(modalities, max_instances=3))
    def run(batch: PaddedBatchedDenseSample) -> None:
        assert batch.active_modalities() == modalities
        assert 1 <= batch.batch_size <= 3
        assert batch.max_instances <= 3 + 4
        batch.validate()
        assert [r for r in check_padded(batch) if not r.ok] == []

    run()


@quick(60)
@given(batches())
def test_batches_survive_padding(batch: BatchedDenseSample) -> None:
    rows = max(len(labels) for labels in batch.labels)
    again = BatchedDenseSample.from_padded(batch.to_padded(rows))
    for sample, same in zip(batch.to_samples(), again.to_samples(), strict=True):
        sample.validate()
        assert repr(sample) == repr(same)


def test_batches_of_none_keep_canvas_and_modalities() -> None:
    @quick(20)
    @given(batches(PANOPTIC, min_batch=0, max_batch=0), padded_batches(PANOPTIC, min_batch=0, max_batch=0))
    def run(ragged: BatchedDenseSample, padded: PaddedBatchedDenseSample) -> None:
        for batch in (ragged, padded):
            assert batch.batch_size == 0
            assert batch.active_modalities() == PANOPTIC | {Modality.IMAGE}
            assert min(batch.canvas_size) >= 1

    run()


def test_padded_batches_compact_on_request() -> None:
    @quick(40)
    @given(padded_batches({Modality.INSTANCE}, compact=True))
    def run(batch: PaddedBatchedDenseSample) -> None:
        valid = batch.instance_valid
        assert not (valid[:, 1:] & ~valid[:, :-1]).any()

    run()


def test_samples_keep_to_their_limits() -> None:
    @quick(60)
    @given(
        dense_samples(
            {Modality.DEPTH, Modality.INSTANCE},
            image_dtypes=[torch.float32],
            channels=[2],
            min_side=3,
            max_side=5,
            min_instances=1,
            max_instances=2,
            metric=True,
            reserve=1000,
        )
    )
    def run(sample: DenseSample) -> None:
        assert sample.image.dtype == torch.float32
        assert sample.image.shape[0] == 2
        assert all(3 <= side <= 5 for side in sample.canvas_size)
        assert len(sample) <= 2
        assert sample.metric_depth
        assert sample.instance_ids is not None
        assert all(0 <= i < 2**31 - 1000 for i in sample.instance_ids.tolist())

    run()


def test_metric_false_means_never() -> None:
    @quick(40)
    @given(dense_samples({Modality.DEPTH}, metric=False))
    def run(sample: DenseSample) -> None:
        assert not sample.metric_depth

    run()


def test_large_canvases_and_many_instances() -> None:
    @quick(10)
    @given(dense_samples(PANOPTIC, canvas=(300, 77), min_instances=20, max_instances=30))
    def run(sample: DenseSample) -> None:
        assert sample.canvas_size == (300, 77)
        assert [r for r in check_sample(sample) if not r.ok] == []

    run()


def test_schema_bounds_the_number_of_things() -> None:
    schema = PanopticSchemaSpec(classes={1: "thing"}, max_instances_per_image=2)

    @quick(40)
    @given(
        dense_samples(PANOPTIC, schema=schema, max_instances=9),
        padded_batches(PANOPTIC, schema=schema, max_instances=9),
    )
    def run(sample: DenseSample, batch: PaddedBatchedDenseSample) -> None:
        assert len(sample) <= 2
        assert batch.max_instances <= 2

    run()


@pytest.mark.parametrize("classes", [{}, {3: "stuff"}, {3: "thing"}], ids=str)
def test_one_sided_class_tables(classes: dict[int, Any]) -> None:
    schema = PanopticSchemaSpec(classes=classes, ignore_index=9)

    @quick(30)
    @given(dense_samples(schema=schema))
    def run(sample: DenseSample) -> None:
        check_against_schema(sample, schema)
        assert [r for r in check_sample(sample, schema) if not r.ok] == []

    run()


def test_detection_samples_have_boxes_without_masks() -> None:
    counts: set[int] = set()

    @quick(40)
    @given(dense_samples(detection=True))
    def run(sample: DenseSample) -> None:
        assert sample.active_modalities() == {Modality.IMAGE}
        assert sample.instance_masks is None
        assert ((sample.boxes[:, 2:] - sample.boxes[:, :2]) >= 1).all()
        counts.add(len(sample))

    run()
    assert len(counts) > 2


@quick(60)
@given(panoptic_schemas(min_things=0, max_things=2, min_stuff=1, max_stuff=4, capacity=7, ignore_index=2))
def test_schemas_keep_to_their_limits(schema: PanopticSchemaSpec) -> None:
    kinds = list(schema.classes.values())
    assert 0 <= kinds.count("thing") <= 2
    assert 1 <= kinds.count("stuff") <= 4
    assert schema.max_instances_per_image >= 7
    assert schema.ignore_index == 2


@quick(40)
@given(
    instance_masks(canvas=(5, 6), min_instances=1),
    semantic_maps(max_side=6),
    depth_fields(max_side=6),
    normals(max_side=6),
    camera_intrinsics(),
)
def test_parts(
    masks: InstanceMask,
    semantic: SemanticMap,
    depth: tuple[torch.Tensor, torch.Tensor],
    vectors: torch.Tensor,
    camera: CameraIntrinsics,
) -> None:
    assert isinstance(masks, InstanceMask)
    assert tuple(masks.shape[1:]) == (5, 6)
    assert masks.flatten(1).any(dim=1).all()
    assert isinstance(semantic, SemanticMap)
    assert max(semantic.shape) <= 6
    values, valid = depth
    assert values.shape == valid.shape
    assert values.dtype == torch.float32
    assert (values[valid] > 0).all()
    squares = vectors.double().square().sum(dim=0)
    assert ((squares == 0) | ((squares - 1).abs() <= 2.0**-22)).all()
    assert (vectors[2][squares > 0] < 0).all()
    assert camera.fx > 0


def test_samples_shrink_to_one_pixel_and_no_instance() -> None:
    sample = smallest(dense_samples(), lambda _: True)
    assert sample.canvas_size == (1, 1)
    assert len(sample) == 0
    assert not sample.image.any()


def test_an_instance_shrinks_to_one_pixel() -> None:
    sample = smallest(dense_samples(), lambda s: len(s) > 0)
    assert sample.canvas_size == (1, 1)
    assert len(sample) == 1


def test_two_instances_shrink_to_two_pixels() -> None:
    sample = smallest(dense_samples(), lambda s: len(s) > 1)
    assert sample.canvas_size in ((1, 2), (2, 1))
    assert len(sample) == 2


def test_an_area_shrinks_to_a_box_that_just_holds_it() -> None:
    def large(sample: DenseSample) -> bool:
        return sample.instance_masks is not None and int(sample.instance_masks.sum()) >= 6

    sample = smallest(dense_samples({Modality.INSTANCE}), large)
    height, width = sample.canvas_size
    assert height * width <= 8
    assert len(sample) == 1
    assert not sample.image.any()


def test_schemas_shrink_to_two_classes() -> None:
    assert smallest(panoptic_schemas(min_stuff=1), lambda _: True).classes == {0: "thing", 1: "stuff"}


def test_failures_show_samples_in_one_line() -> None:
    batch = smallest(padded_batches(), lambda _: True)
    ragged = BatchedDenseSample.from_padded(batch)
    for value in (ragged.to_samples()[0], ragged, batch):
        assert pretty(value) == repr(value)
        assert len(repr(value)) < 100
