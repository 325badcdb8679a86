"""The torchvision adapter on whole samples: what it hands over, and what it makes of the result."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.transforms import v2

from segpaste.augmentation import RandomResize, SanitizeInstances, make_large_scale_jittering
from segpaste.testing import check_augmentation
from segpaste.testing.adapters import TorchvisionTransform, UnreadableResultError, adapt
from segpaste.testing.adapters.base import DTYPE_KEPT
from segpaste.types import DenseSample, Modality, SemanticMap
from tests.types.whole_samples import full_sample


def _padded() -> Any:
    padding = torch.zeros((1, 40, 60), dtype=torch.bool)
    return full_sample(padding_mask=padding)


def test_transforms_of_ours_are_given_whole_samples() -> None:
    for transform in (
        make_large_scale_jittering(8),
        v2.RandomApply([SanitizeInstances(2)]),
        RandomResize(1, 1, 8, 8),
    ):
        adapter: Any = adapt(transform)
        assert adapter is not None
        assert adapter.kind == "geometric"
        assert adapter.accepts.modalities == frozenset(Modality)
        prepared = adapter.prepare(_padded())
        assert prepared.camera_intrinsics is not None
        assert prepared.metric_depth
        assert prepared.padding_mask is not None
        assert isinstance(adapter(prepared, prepared, 1).sample, DenseSample)


def test_transforms_of_torchvision_are_given_a_dict_unless_asked_otherwise() -> None:
    given: list[type] = []

    class Spy(v2.Identity):
        def forward(self, *inputs: Any) -> Any:
            given.append(type(inputs[0]))
            return inputs[0]

    sample = full_sample()
    for whole in (None, True, False):
        adapter = TorchvisionTransform(Spy(), whole_samples=whole)
        adapter(adapter.prepare(sample), sample, 0)
    assert given == [dict, DenseSample, dict]


@pytest.mark.parametrize(
    ("transform", "kept"),
    [
        (v2.RandomHorizontalFlip(), False),
        (v2.Resize(8), True),
        (v2.ColorJitter(), True),
        (v2.Compose([v2.Resize(8), v2.RandomRotation((9, 9))]), False),
        (v2.Compose([v2.Resize(8), make_large_scale_jittering(8)]), True),
    ],
)
def test_padding_is_handed_over_where_it_can_stay(transform: Any, kept: bool) -> None:
    prepared = TorchvisionTransform(transform, whole_samples=True).prepare(_padded())
    assert (prepared.padding_mask is not None) is kept
    always = TorchvisionTransform(transform, whole_samples=True, padding=True).prepare(_padded())
    assert always.padding_mask is not None


def test_what_is_left_out_is_not_handed_over() -> None:
    adapter = TorchvisionTransform(
        v2.RandomPerspective(p=1), whole_samples=True, camera=False, modalities={Modality.INSTANCE}
    )
    prepared = adapter.prepare(full_sample())
    assert (prepared.camera_intrinsics, prepared.depth, prepared.normals) == (None, None, None)
    adapter(prepared, prepared, 0).sample.validate()


def test_a_changed_dtype_and_a_result_that_is_no_sample_are_complained_about() -> None:
    sample = full_sample()
    (complaint,) = TorchvisionTransform(v2.ToDtype(torch.float32, scale=True), whole_samples=True)(
        sample, sample, 0
    ).complaints
    assert complaint.law == DTYPE_KEPT
    broken = TorchvisionTransform(lambda given: given.to_dict(), kind="geometric", whole_samples=True)
    with pytest.raises(UnreadableResultError, match="the result is a dict, expected a DenseSample"):
        broken(sample, sample, 0)


def test_types_of_a_dict_make_no_sense_for_a_sample() -> None:
    with pytest.raises(ValueError, match=r"types: got \['semantic'\] for whole samples"):
        TorchvisionTransform(v2.Pad(2), whole_samples=True, types={"semantic": SemanticMap})


def test_a_refusal_is_a_violation_where_it_was_asked_for() -> None:
    sheared = TorchvisionTransform(v2.RandomAffine((0, 0), shear=(20, 20)), whole_samples=True)
    (result,) = check_augmentation(
        sheared, only="target.completes", modalities=["semantic+normals"], examples=2, on_fail="record"
    )
    assert result.status == "failed"
    assert "affine(shear=...): got a sample with normals" in str(result.violation)
