"""Hard cases are recognised, and every one comes at the rate the table states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from segpaste.paste import apply_reference
from segpaste.strategies import HARD_CASES, PasteCase, dense_samples, paste_cases
from segpaste.strategies.hard_cases import case_labels, outcome_labels, sample_labels
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    CameraIntrinsics,
    DenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
    xyxy,
)
from tests.strategies_.counting import shares

SAMPLES, CASES = 800, 1000
_COULD, _DID = "could paste", "could paste and did"


@pytest.fixture(scope="module")
def sample_shares() -> dict[str, float]:
    return shares(dense_samples(), SAMPLES, events_of="segpaste.strategies.samples")


@pytest.fixture(scope="module")
def case_shares() -> dict[str, float]:
    return shares(
        paste_cases(max_side=12),
        CASES,
        events_of="segpaste.strategies.cases",
        labels=_with_share_of_pastes,
    )


@pytest.mark.parametrize("case", HARD_CASES, ids=lambda case: case.name)
def test_hard_case_is_reached(
    case: object, sample_shares: dict[str, float], case_shares: dict[str, float]
) -> None:
    hard = next(h for h in HARD_CASES if h is case)
    found = (sample_shares if hard.seen_in == "sample" else case_shares).get(hard.name, 0.0)
    assert found >= hard.rate, f"{hard.name}: seen in {found:.1%}, expected {hard.rate:.1%}"


def test_half_of_the_cases_with_instances_paste_something(case_shares: dict[str, float]) -> None:
    assert case_shares[_DID] >= 0.5 * case_shares[_COULD]


def test_names_are_unique_and_events_known(
    sample_shares: dict[str, float], case_shares: dict[str, float]
) -> None:
    names = [h.name for h in HARD_CASES]
    assert len(names) == len(set(names))
    assert set(sample_shares) | set(case_shares) - {_COULD, _DID} <= set(names)


def test_labels_of_a_sample() -> None:
    masks = torch.zeros((3, 3, 8), dtype=torch.bool)
    masks[0, 0, 0] = masks[0, 0, 2] = True  # two pixels with a gap between
    masks[1, 0, 1] = True  # in the gap, one pixel
    masks[2, 2, 6] = True
    semantic = torch.full((3, 8), 5)
    semantic[0, :3] = 255
    depth = torch.ones((1, 3, 8))
    depth[0, 0, :3] = torch.tensor([float("nan"), -1.0, 1e-30])
    valid = depth == depth.abs()
    sample = DenseSample(
        image=torch.full((1, 3, 8), -0.0),  # pyright: ignore[reportArgumentType]
        boxes=xyxy(torch.tensor([[0.0, 0, 3, 1], [1, 0, 2, 1], [6, 2, 7, 3]]), (3, 8)),
        labels=torch.tensor([5, 6, 6]),
        instance_ids=torch.tensor([1, 2, 2**24 + 3], dtype=torch.int32),
        instance_masks=masks,  # pyright: ignore[reportArgumentType]
        semantic_map=semantic,  # pyright: ignore[reportArgumentType]
        depth=depth,
        depth_valid=valid,
        camera_intrinsics=CameraIntrinsics(1, 2, 0, 0),
        metric_depth=True,
    )
    assert set(sample_labels(sample)) == {
        "one-pixel instance",
        "touching instances",
        "nested instances",
        "instance at a border",
        "disconnected mask",
        "region without labels",
        "invalid depth",
        "NaN under invalid depth",
        "infinite, negative or huge garbage under invalid depth",
        "extreme depth",
        "metric depth with non-square pixels",
        "id beyond float32",
        "float32 image",
        "-0.0 in the image",
        "non-square canvas",
        "one channel",
    }


def test_labels_of_padding_and_large_labels() -> None:
    padding = torch.zeros((1, 4, 4), dtype=torch.bool)
    padding[0, 3] = True
    semantic = torch.full((4, 4), 100_000)
    semantic[0, 0] = 7
    semantic[3] = 255
    sample = DenseSample(
        image=torch.zeros((3, 4, 4), dtype=torch.uint8),  # pyright: ignore[reportArgumentType]
        semantic_map=semantic,  # pyright: ignore[reportArgumentType]
        padding_mask=padding,  # pyright: ignore[reportArgumentType]
        normals=torch.zeros((3, 4, 4)),
    )
    assert set(sample_labels(sample)) == {
        "uint8 image",
        "three channels",
        "padding",
        "missing normals",
        "tiny semantic region",
    }


def test_labels_of_a_paste() -> None:
    schema = PanopticSchemaSpec(classes={1: "thing", 2: "thing"}, max_instances_per_image=5)
    # Two masks of different classes on one pixel, pasted half outside at twice the size.
    donor = _one_row_sample([[0, 0, 1, 0], [0, 0, 1, 1]], [1, 2])
    target = _one_row_sample([[1, 0, 0, 0]], [1])
    case = PasteCase(
        target=BatchedDenseSample.from_samples([target]).to_padded(2),
        source=BatchedDenseSample.from_samples([donor]).to_padded(3),
        plan=PastePlan(
            source_idx=torch.tensor([0]),
            step=torch.tensor([32768]),
            translate=torch.tensor([[0, -2]]),
            hflip=torch.tensor([False]),
            order=torch.tensor([[0, 1, 2]]),
            count=torch.tensor([2]),
            mix_key=torch.tensor([0]),
        ),
        config=BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema, class_priority={2: 1})),
    )
    assert set(case_labels(case)) == {
        "B = 1",
        "source has other B or K",
        "class table",
        "scale 1, 2 or 1/2",
        "negative translation",
        "more eligible rows than free slots",
    }
    roomy = replace(case, target=BatchedDenseSample.from_samples([target]).to_padded(3))
    assert set(case_labels(roomy)) == {
        "B = 1",
        "class table",
        "scale 1, 2 or 1/2",
        "negative translation",
        "contested pixel",
        "contested pixel and different priorities",
        "paste partly outside",
    }
    assert set(outcome_labels(roomy, apply_reference)) == {"something pasted"}


def _one_row_sample(rows: list[list[int]], labels: list[int]) -> DenseSample:
    masks = np.array(rows, dtype=bool)[:, None, :]
    columns = [np.flatnonzero(m[0]) for m in masks]
    boxes = [[float(c[0]), 0.0, float(c[-1] + 1), 1.0] for c in columns]
    return DenseSample(
        image=torch.zeros((3, 1, masks.shape[2]), dtype=torch.uint8),  # pyright: ignore[reportArgumentType]
        boxes=xyxy(torch.tensor(boxes), (1, masks.shape[2])),
        labels=torch.tensor(labels),
        instance_ids=torch.arange(1, len(labels) + 1, dtype=torch.int32),
        instance_masks=torch.from_numpy(masks),  # pyright: ignore[reportArgumentType]
    )


def _with_share_of_pastes(case: PasteCase) -> list[str]:
    labels = outcome_labels(case, apply_reference)
    if not _could_paste(case):
        return labels
    return [*labels, _COULD, _DID] if "something pasted" in labels else [*labels, _COULD]


def _could_paste(case: PasteCase) -> bool:
    """Whether there are targets, instances to paste, and a source that is not the target itself."""
    return (
        case.target.batch_size > 0
        and case.source.instance_masks is not None
        and bool(case.source.instance_valid.any())
        and not (case.intra_batch and case.target.batch_size == 1)
    )


def test_labels_of_exact_thresholds() -> None:
    # Two pixels cover half of a row and half of the stuff around it.
    schema = PanopticSchemaSpec(classes={1: "thing", 2: "stuff"}, max_instances_per_image=5)
    semantic = torch.full((1, 4), 2)
    donor = replace(_one_row_sample([[1, 1, 0, 0]], [1]), semantic_map=semantic)
    target = replace(_one_row_sample([[0, 1, 1, 0]], [1]), semantic_map=semantic)
    panoptic = PanopticPasteConfig(taxonomy=schema, tau_stuff_frac=0.5)
    exact = BatchCopyPasteConfig(panoptic=panoptic, min_residual_area_frac=0.5, min_pasted_area=2)
    names = {
        "row left exactly at its threshold",
        "stuff left exactly at its threshold",
        "pasted area exactly at min_pasted_area",
    }
    case = PasteCase(
        target=BatchedDenseSample.from_samples([target]).to_padded(2),
        source=BatchedDenseSample.from_samples([donor]).to_padded(1),
        plan=PastePlan(
            source_idx=torch.tensor([0]),
            step=torch.tensor([65536]),
            translate=torch.tensor([[0, 0]]),
            hflip=torch.tensor([False]),
            order=torch.tensor([[0]]),
            count=torch.tensor([1]),
            mix_key=torch.tensor([0]),
        ),
        config=exact,
    )
    assert names <= set(outcome_labels(case, apply_reference))
    lower = PanopticPasteConfig(taxonomy=schema, tau_stuff_frac=0.5 - 1 / 65536)
    near = BatchCopyPasteConfig(panoptic=lower, min_residual_area_frac=0.5 - 1 / 65536)
    missed = set(outcome_labels(replace(case, config=near), apply_reference))
    # By default one pixel must be left of a row, and one is.
    assert missed & names == {"row left exactly at its threshold"}


def test_labels_of_a_row_without_a_pixel_and_of_a_last_bit() -> None:
    schema = PanopticSchemaSpec(classes={1: "thing", 2: "thing"}, max_instances_per_image=5)
    donor = _one_row_sample([[1, 0], [0, 1]], [1, 2])
    depth = torch.tensor([[[1.0, 1.0]]])
    donor = replace(donor, depth=depth, depth_valid=depth > 0)
    beside = torch.tensor([[[1.0 + 2**-23, 1.0 + 2**-22]]])
    case = PasteCase(
        target=BatchedDenseSample.from_samples([replace(donor, depth=beside)]).to_padded(4),
        source=BatchedDenseSample.from_samples([donor]).to_padded(2),
        plan=PastePlan(
            source_idx=torch.tensor([0]),
            step=torch.tensor([65536]),
            translate=torch.tensor([[0, 0]]),
            hflip=torch.tensor([False]),
            order=torch.tensor([[0, 1]]),
            count=torch.tensor([1]),
            mix_key=torch.tensor([0]),
        ),
        config=BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema, class_priority={1: 127})),
    )
    assert "nearer by the last bit" in outcome_labels(case, apply_reference)
    assert {"row without a pixel", "priorities that no byte holds"} & set(case_labels(case)) == set()
    # The second row shows depth two bits nearer, and that is not the last.
    other = replace(case, plan=replace(case.plan, order=torch.tensor([[1, 0]])))
    assert "nearer by the last bit" not in outcome_labels(other, apply_reference)
    masks = case.source.tensors()["instance_masks"].clone()
    masks[0, 1] = False
    panoptic = PanopticPasteConfig(taxonomy=schema, class_priority={1: 128})
    changed = replace(
        case,
        source=replace(case.source, instance_masks=masks),
        config=BatchCopyPasteConfig(panoptic=panoptic),
    )
    assert {"row without a pixel", "priorities that no byte holds"} <= set(case_labels(changed))
