"""The laws for augmentations that move pixels, on whole samples of every modality set.

Large-scale jittering, sanitizing and torchvision's own transforms, over all 16 modality sets: at the
budget of a push here, at ten times as many examples and for more transforms in ``make nightly``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torchvision.transforms import v2

from segpaste.augmentation import (
    FixedSizeCrop,
    RandomResize,
    SanitizeBoundingBoxes,
    SanitizeInstances,
    make_large_scale_jittering,
)
from segpaste.invariants import laws
from segpaste.testing import Result, check_augmentation
from segpaste.testing.adapters import Adapted, TorchvisionTransform
from segpaste.types import LEGAL_MODALITY_SETS, DenseSample, Modality, modality_set_name

BILINEAR, NEAREST = v2.InterpolationMode.BILINEAR, v2.InterpolationMode.NEAREST
FLAT = frozenset(Modality) - {Modality.DEPTH, Modality.NORMALS}
SETS = {modality_set_name(modalities) for modalities in LEGAL_MODALITY_SETS}

NOT_WITHOUT_A_BORDER = {"geometric.border_is_void"}

Make = Callable[[], Any]
OURS: dict[str, tuple[Make, set[str]]] = {
    "jittering": (lambda: make_large_scale_jittering(16), set()),
    "resize to a scale": (lambda: RandomResize(0.4, 2.0, 16, 16), NOT_WITHOUT_A_BORDER),
    "crop of a size": (lambda: FixedSizeCrop(12, 14), set()),
    "boxes cleaned": (lambda: SanitizeBoundingBoxes(min_size=3), NOT_WITHOUT_A_BORDER),
    "instances cleaned": (lambda: SanitizeInstances(6), NOT_WITHOUT_A_BORDER),
}
"""Transform, and geometric laws whose premise it cannot meet."""

THEIRS: dict[str, tuple[Make, set[str]]] = {
    "flip": (lambda: v2.RandomHorizontalFlip(p=1), NOT_WITHOUT_A_BORDER),
    "upside down": (lambda: v2.RandomVerticalFlip(p=1), NOT_WITHOUT_A_BORDER),
    "resize": (lambda: v2.Resize((13, 17)), NOT_WITHOUT_A_BORDER),
    "crop": (lambda: v2.RandomCrop(6), NOT_WITHOUT_A_BORDER),
    "pad": (lambda: v2.Pad(2), set()),
    "quarter turn": (lambda: v2.RandomRotation((90, 90), expand=True), NOT_WITHOUT_A_BORDER),
    "affine": (lambda: v2.RandomAffine((0, 0), (0.2, 0.2), (0.7, 1.5), interpolation=BILINEAR), set()),
}

MORE: dict[str, tuple[Make, dict[str, Any], set[str]]] = {
    "jittered and cleaned": (
        lambda: v2.Compose([
            v2.RandomHorizontalFlip(), make_large_scale_jittering((15, 18)), SanitizeInstances(4),
        ]),
        {},
        set(),
    ),
    "centre": (lambda: v2.CenterCrop((9, 15)), {}, set()),
    "nearest": (lambda: v2.Resize((13, 17), interpolation=NEAREST), {}, NOT_WITHOUT_A_BORDER),
    "resized crop": (lambda: v2.RandomResizedCrop(12), {}, NOT_WITHOUT_A_BORDER),
    "zoom out": (lambda: v2.RandomZoomOut(p=1), {}, set()),
    "box crop": (v2.RandomIoUCrop, {"min_side": 8}, NOT_WITHOUT_A_BORDER),
    "turn": (lambda: v2.RandomRotation((-60, 60)), {"camera": False}, set()),
    "smooth turn": (
        lambda: v2.RandomRotation((-60, 60), interpolation=BILINEAR, expand=True), {"camera": False}, set()
    ),
    "turn and scale": (lambda: v2.RandomAffine((-40, 40), (0.2, 0.2), (0.7, 1.5)), {"camera": False}, set()),
    "perspective": (
        lambda: v2.RandomPerspective(p=1), {"camera": False, "modalities": FLAT, "min_side": 8}, set()
    ),
    "elastic": (
        lambda: v2.ElasticTransform(90.0), {"camera": False, "modalities": FLAT, "min_side": 24}, set()
    ),
}  # fmt: skip


class _Counting(TorchvisionTransform):
    """Keeps count of the modality sets it is given."""

    def __init__(self, transform: Any, **options: Any) -> None:
        super().__init__(transform, whole_samples=True, **options)
        self.seen: Counter[str] = Counter()
        self.hands_over_cameras = options.get("camera", True)

    def __call__(self, target: DenseSample, donor: DenseSample, seed: int) -> Adapted:
        self.seen[modality_set_name(target.active_modalities())] += 1
        return super().__call__(target, donor, seed)


def _judge(adapter: _Counting, examples: int, sets: set[str], cannot: set[str]) -> None:
    results: dict[str, Result] = {
        result.law: result
        for result in check_augmentation(adapter, examples=examples)  # raises on a violation
    }
    assert sets <= adapter.seen.keys()
    needed = {law.name for law in laws("geometric") if law.needs <= adapter.accepts.modalities} - cannot
    needed -= set() if adapter.hands_over_cameras else {"geometric.intrinsics_follow"}
    assert {name: results[name].status for name in needed if results[name].status != "passed"} == {}


@pytest.mark.parametrize("name", OURS)
def test_ours_obey_every_law_on_every_modality_set(name: str) -> None:
    make, cannot = OURS[name]
    _judge(_Counting(make()), 100, SETS, cannot)


@pytest.mark.parametrize("name", THEIRS)
def test_torchvisions_obey_every_law_on_every_modality_set(name: str) -> None:
    make, cannot = THEIRS[name]
    _judge(_Counting(make()), 32, SETS, cannot)


@pytest.mark.nightly
@pytest.mark.parametrize("name", OURS | THEIRS)
def test_they_do_on_many_examples(name: str) -> None:
    make, cannot = (OURS | THEIRS)[name]
    _judge(_Counting(make()), 1000, SETS, cannot)


@pytest.mark.nightly
@pytest.mark.parametrize("name", MORE)
def test_the_rest_of_torchvisions_obey_every_law(name: str) -> None:
    make, options, cannot = MORE[name]
    adapter = _Counting(make(), **options)
    sets = {modality_set_name(m) for m in LEGAL_MODALITY_SETS if m <= adapter.accepts.modalities}
    _judge(adapter, 200, sets, cannot)


def test_a_transform_that_leaves_a_field_behind_is_found() -> None:
    class Forgets(v2.RandomHorizontalFlip):
        def forward(self, *inputs: Any) -> Any:
            sample = super().forward(*inputs)
            normals = sample.normals
            if normals is None:
                return sample
            back = normals.as_subclass(torch.Tensor) * torch.tensor([-1.0, 1.0, 1.0])[:, None, None]
            return DenseSample.unchecked(**(sample.to_dict() | {"normals": back}))

    forgets = TorchvisionTransform(Forgets(p=1), whole_samples=True)
    law = "geometric.normals_rotate_with_image"
    (found,) = check_augmentation(
        forgets, modalities=["semantic+normals"], examples=8, only=law, on_fail="record"
    )
    assert found.status == "failed"
