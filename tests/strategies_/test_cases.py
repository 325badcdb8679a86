"""Drawn pastes are legal, cover what they must, and shrink."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segpaste.paste import apply_reference, check_plan, check_views
from segpaste.strategies import (
    PasteCase,
    padded_batches,
    panoptic_schemas,
    paste_cases,
    paste_configs,
    paste_plans,
)
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    Modality,
    PaddedBatchedDenseSample,
    PanopticSchemaSpec,
    modality_set_name,
)
from tests.strategies_.counting import quick, smallest

SET_NAMES = [modality_set_name(m) for m in LEGAL_MODALITY_SETS]


@pytest.mark.parametrize("modalities", LEGAL_MODALITY_SETS, ids=SET_NAMES)
def test_cases_are_legal(modalities: frozenset[Modality]) -> None:
    @quick(25)
    @given(paste_cases(modalities, max_side=12))
    def run(case: PasteCase) -> None:
        check_views(case.target, case.source, case.config)
        check_plan(case.target, case.source, case.plan)
        case.target.validate()
        case.source.validate()
        assert case.target.active_modalities() == modalities
        assert (case.plan.count <= case.config.placement.k_range[1]).all()
        if case.intra_batch and case.target.batch_size > 1:
            assert (case.plan.source_idx != torch.arange(case.target.batch_size)).all()
        if case.schema is not None:
            slots = max(case.target.max_instances, case.source.max_instances)
            assert slots <= case.schema.max_instances_per_image
        after, _ = apply_reference(case.target, case.source, case.plan, case.config)
        after.validate()
        assert repr(case).startswith("PasteCase(")
        assert len(repr(case)) < 1500

    run()


@pytest.mark.parametrize("detection", [False, True])
def test_image_and_detection_cases_paste_nothing(detection: bool) -> None:
    @quick(20)
    @given(paste_cases({Modality.IMAGE}, detection=detection))
    def run(case: PasteCase) -> None:
        assert case.target.active_modalities() == {Modality.IMAGE}
        _, audit = apply_reference(case.target, case.source, case.plan, case.config)
        assert not audit.paste_union.any()

    run()


def test_a_given_schema_is_the_configurations() -> None:
    schema = PanopticSchemaSpec(classes={2: "thing", 5: "stuff"}, ignore_index=7, max_instances_per_image=3)

    @quick(20)
    @given(paste_cases(schema=schema, canvas=(4, 6), max_batch=1))
    def run(case: PasteCase) -> None:
        assert case.schema == schema
        assert case.target.canvas_size == (4, 6)
        assert case.target.max_instances <= 3
        assert case.target.batch_size <= 1

    run()


def test_plans_for_given_views() -> None:
    @quick(60)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        modalities = {Modality.INSTANCE}
        limits = {"canvas": (6, 5), "channels": [3], "image_dtypes": [torch.uint8]}
        target = data.draw(padded_batches(modalities, **limits))
        source = data.draw(padded_batches(modalities, **limits))
        config = BatchCopyPasteConfig(placement=BatchedPlacementConfig(k_range=(0, 2)))
        plan = data.draw(paste_plans(target, source, config))
        check_plan(target, source, plan)
        assert (plan.count <= 2).all()
        assert (plan.step >= 1).all()
        own = data.draw(paste_plans(target))
        check_plan(target, target, own)
        if target.batch_size == 1:
            assert own.count.tolist() == [0]

    run()


def test_plans_keep_the_identity_grid_without_masks() -> None:
    @quick(30)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        target = data.draw(padded_batches({Modality.SEMANTIC}))
        plan = data.draw(paste_plans(target, target))
        assert (plan.step == 65536).all()
        assert not plan.translate.any()
        assert not plan.hflip.any()

    run()


def test_configurations_follow_the_schema() -> None:
    policies: set[str] = set()

    @quick(60)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        assert data.draw(paste_configs()).panoptic is None
        schema = data.draw(panoptic_schemas())
        panoptic = data.draw(paste_configs(schema)).panoptic
        assert panoptic is not None
        assert panoptic.taxonomy == schema
        policies.add(panoptic.stuff_policy)

    run()
    assert policies == {"revert", "ignore"}


def test_a_paste_shrinks_to_one_pixel() -> None:
    def pastes(case: PasteCase) -> bool:
        _, audit = apply_reference(case.target, case.source, case.plan, case.config)
        return bool(audit.paste_union.any())

    case = smallest(paste_cases({Modality.INSTANCE}), pastes)
    assert case.target.canvas_size == (1, 1)
    assert case.target.batch_size == 1
    assert case.config == BatchCopyPasteConfig()
    assert case.plan.step.tolist() == [65536]
    assert case.plan.translate.tolist() == [[0, 0]]
    assert not case.plan.hflip.any()


def test_a_mirrored_paste_shrinks() -> None:
    def mirrored(case: PasteCase) -> bool:
        return bool(case.plan.hflip.any())

    case = smallest(paste_cases({Modality.INSTANCE}, max_batch=1), mirrored)
    assert case.target.canvas_size == (1, 1)
    # A case may end with a plan that its seed draws, and seeds have no simplest scale.
    plan = smallest(paste_plans(case.target, case.source), lambda plan: bool(plan.hflip.any()))
    assert plan.step.tolist() == [65536] * case.target.batch_size
    assert plan.translate.tolist() == [[0, 0]] * case.target.batch_size


def test_views_without_samples_are_refused() -> None:
    nothing = smallest(padded_batches({Modality.INSTANCE}, min_batch=0, max_batch=0), lambda _: True)
    one = smallest(padded_batches({Modality.INSTANCE}), lambda _: True)

    @quick(1)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        with pytest.raises(TypeError, match=r"source.batch_size: got 0"):
            data.draw(paste_plans(one, nothing))
        plan = data.draw(paste_plans(nothing))
        assert plan.batch_size == 0

    run()


def test_the_view_may_have_no_slots() -> None:
    @quick(40)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        empty = data.draw(padded_batches({Modality.INSTANCE}, canvas=(2, 2), max_instances=0))
        plan = data.draw(paste_plans(empty, empty))
        assert isinstance(empty, PaddedBatchedDenseSample)
        assert plan.order.shape[1] == empty.max_instances

    run()
