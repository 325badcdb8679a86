"""Every transform of torchvision v2 on a whole sample: it does what it should, or refuses by name.

torchvision hands what it does not know through without a word. A transform that is not in the
tables fails here, and so does one that leaves a sample as it is.
"""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2.functional._utils import _KERNEL_REGISTRY

from segpaste.types import DenseSample, InstanceMask, PaddingMask, PanopticMap, SemanticMap
from segpaste.types.leaves import CameraLeaf, DepthLeaf, NormalsLeaf, register_node
from tests.types.whole_samples import FIELDS, changed_fields, full_sample, same_bits

BILINEAR = v2.InterpolationMode.BILINEAR

MOVING: dict[str, Callable[[], Any]] = {
    "CenterCrop": lambda: v2.CenterCrop((30, 70)),
    "Pad": lambda: v2.Pad((1, 2, 3, 4)),
    "RandomAffine": lambda: v2.RandomAffine((30, 30), (0.1, 0.1), (0.8, 0.9), interpolation=BILINEAR),
    "RandomCrop": lambda: v2.RandomCrop((33, 44)),
    "RandomHorizontalFlip": lambda: v2.RandomHorizontalFlip(p=1),
    "RandomIoUCrop": lambda: v2.RandomIoUCrop(max_scale=0.9, sampler_options=[0.1]),
    "RandomResize": lambda: v2.RandomResize(20, 25),
    "RandomResizedCrop": lambda: v2.RandomResizedCrop(32),
    "RandomRotation": lambda: v2.RandomRotation((40, 40), expand=True),
    "RandomShortestSize": lambda: v2.RandomShortestSize(30),
    "RandomVerticalFlip": lambda: v2.RandomVerticalFlip(p=1),
    "RandomZoomOut": lambda: v2.RandomZoomOut(side_range=(1.5, 2.0), p=1),
    "Resize": lambda: v2.Resize((23, 31)),
    "ScaleJitter": lambda: v2.ScaleJitter((32, 32)),
}
"""Geometric: image, masks, maps, depth, normals and camera change."""

WITHOUT_GEOMETRY: dict[str, Callable[[], Any]] = {
    "ElasticTransform": lambda: v2.ElasticTransform(alpha=200.0),
    "RandomPerspective": lambda: v2.RandomPerspective(0.5, p=1),
}
"""Geometric, but refused with depth, normals or a camera."""

COLOURING: dict[str, Callable[[], Any]] = {
    "ColorJitter": lambda: v2.ColorJitter(brightness=(0.5, 0.5)),
    "ConvertImageDtype": lambda: v2.ConvertImageDtype(torch.float32),
    "GaussianBlur": lambda: v2.GaussianBlur(5, 2.0),
    "GaussianNoise": lambda: v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.GaussianNoise()]),
    "Grayscale": lambda: v2.Grayscale(3),
    "JPEG": lambda: v2.JPEG(20),
    "LinearTransformation": lambda: v2.Compose([
        v2.ToDtype(torch.float32, scale=True),
        v2.LinearTransformation(torch.eye(7200) * 2, torch.zeros(7200)),
    ]),
    "Normalize": lambda: v2.Compose([
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * 3, [0.2] * 3),
    ]),
    "RGB": lambda: v2.Compose([v2.Grayscale(1), v2.RGB()]),
    "RandomAdjustSharpness": lambda: v2.RandomAdjustSharpness(3.0, p=1),
    "RandomAutocontrast": lambda: v2.Compose([
        v2.ColorJitter(brightness=(0.5, 0.5)),
        v2.RandomAutocontrast(p=1),
    ]),
    "RandomChannelPermutation": lambda: v2.RandomChannelPermutation(),
    "RandomEqualize": lambda: v2.RandomEqualize(p=1),
    "RandomErasing": lambda: v2.RandomErasing(p=1),
    "RandomGrayscale": lambda: v2.RandomGrayscale(p=1),
    "RandomInvert": lambda: v2.RandomInvert(p=1),
    "RandomPhotometricDistort": lambda: v2.RandomPhotometricDistort(brightness=(0.5, 0.5), p=1),
    "RandomPosterize": lambda: v2.RandomPosterize(2, p=1),
    "RandomSolarize": lambda: v2.RandomSolarize(100, p=1),
    "ToDtype": lambda: v2.ToDtype(torch.float32, scale=True),
}  # fmt: skip
"""Photometric: the image changes, and nothing else does."""

IN_CONTAINERS: dict[str, Callable[[], Any]] = {
    "Compose": lambda: v2.Compose([v2.RandomHorizontalFlip(p=1), v2.Resize((23, 31))]),
    "RandomApply": lambda: v2.RandomApply([v2.RandomHorizontalFlip(p=1)], p=1),
    "RandomChoice": lambda: v2.RandomChoice([v2.RandomHorizontalFlip(p=1), v2.RandomVerticalFlip(p=1)]),
    "RandomOrder": lambda: v2.RandomOrder([v2.RandomHorizontalFlip(p=1), v2.Resize((23, 31))]),
}

CUT: Any = v2.CutMix
MIX: Any = v2.MixUp

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "AugMix": (v2.AugMix, "AugMix"),
    "AutoAugment": (v2.AutoAugment, "AutoAugment"),
    "ConvertBoundingBoxFormat": (lambda: v2.ConvertBoundingBoxFormat("XYWH"), "boxes: got format"),
    "CutMix": (lambda: CUT(num_classes=9, labels_getter=lambda s: s.labels), "CutMix"),
    "FiveCrop": (lambda: v2.FiveCrop(20), "FiveCrop"),
    "MixUp": (lambda: MIX(num_classes=9, labels_getter=lambda s: s.labels), "MixUp"),
    "RandAugment": (v2.RandAugment, "RandAugment"),
    "SanitizeBoundingBoxes": (v2.SanitizeBoundingBoxes, "labels_getter"),
    "SanitizeKeyPoints": (v2.SanitizeKeyPoints, "keypoints"),
    "TenCrop": (lambda: v2.TenCrop(20), "TenCrop"),
    "ToPILImage": (v2.ToPILImage, "image: got Image"),
    "TrivialAugmentWide": (v2.TrivialAugmentWide, "TrivialAugmentWide"),
}
"""What makes no sample of a sample, with what the error names."""

NOTHING_TO_DO: dict[str, tuple[Callable[[], Any], str]] = {
    "ClampBoundingBoxes": (v2.ClampBoundingBoxes, "the boxes are within the image"),
    "ClampKeyPoints": (v2.ClampKeyPoints, "a sample has no keypoints"),
    "Identity": (v2.Identity, "what it is for"),
    "Lambda": (lambda: v2.Lambda(lambda leaf: leaf), "what this one does"),
    "PILToTensor": (v2.PILToTensor, "there is no PIL image"),
    "SetClampingMode": (lambda: v2.SetClampingMode("hard"), "says how boxes are clamped later"),
    "ToImage": (v2.ToImage, "the image is one"),
    "ToPureTensor": (v2.ToPureTensor, "the fields of a sample have their types"),
    "ToTensor": (v2.ToTensor, "there is no PIL image"),
    "UniformTemporalSubsample": (lambda: v2.UniformTemporalSubsample(1), "there is no video"),
}
"""What rightly leaves a sample as it is, with the reason."""

NO_TRANSFORMS = {"AutoAugmentPolicy", "InterpolationMode", "Transform"}

GEOMETRIC_FIELDS = set(FIELDS) - {"labels", "instance_ids", "padding_mask", "metric_depth"}
FLAT = {"depth": None, "depth_valid": None, "normals": None, "camera_intrinsics": None, "metric_depth": False}


def _run(make: Callable[[], Any], sample: DenseSample, seed: int = 1) -> Any:
    torch.manual_seed(seed)
    with warnings.catch_warnings():  # torchvision says what RandomErasing and ToTensor do not do
        warnings.simplefilter("ignore")
        return make()(sample)


def test_every_transform_of_torchvision_is_in_a_table() -> None:
    there = {name for name, value in vars(v2).items() if inspect.isclass(value)} - NO_TRANSFORMS
    tables = (MOVING, WITHOUT_GEOMETRY, COLOURING, IN_CONTAINERS, REFUSED, NOTHING_TO_DO)
    known = [name for table in tables for name in table]
    assert len(known) == len(set(known))
    assert there == set(known)


@pytest.mark.parametrize("name", sorted(MOVING | IN_CONTAINERS))
def test_what_moves_pixels_moves_every_modality(name: str) -> None:
    before = full_sample()
    after = _run((MOVING | IN_CONTAINERS)[name], before)
    assert type(after) is DenseSample
    after.validate()
    assert changed_fields(before, after) >= GEOMETRIC_FIELDS
    assert after.metric_depth
    assert set(after.labels.tolist()) == {5}


@pytest.mark.parametrize("name", sorted(WITHOUT_GEOMETRY))
def test_what_cannot_be_right_is_refused_by_name(name: str) -> None:
    make = WITHOUT_GEOMETRY[name]
    functional = "elastic" if name == "ElasticTransform" else "perspective"
    full = full_sample()
    for field in ("depth", "normals", "camera_intrinsics"):
        kept: dict[str, Any] = (
            {"depth": full.depth, "depth_valid": full.depth_valid} if field == "depth" else {}
        )
        kept |= {field: getattr(full, field)}
        with pytest.raises(ValueError, match=f"{functional}: got a sample with {field}; .*replace"):
            _run(make, full_sample(**(FLAT | kept)))
    before = full_sample(**FLAT)
    after = _run(make, before)
    after.validate()
    wanted = {"image", "boxes", "instance_masks", "semantic_map", "panoptic_map"}
    assert changed_fields(before, after) >= wanted


@pytest.mark.parametrize("name", sorted(COLOURING))
def test_what_colours_leaves_every_label_bit_alone(name: str) -> None:
    padding = torch.zeros((1, 40, 60), dtype=torch.bool)
    padding[:, :, 58:] = True
    before = full_sample(padding_mask=padding)
    before.boxes[0, 0] -= 2  # a loose box is none of a colour's business
    after = _run(COLOURING[name], before)
    assert type(after) is DenseSample
    assert changed_fields(before, after) == {"image"}
    assert after.instance_masks is before.instance_masks
    assert after.depth is before.depth


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_makes_no_sample_is_refused(name: str) -> None:
    make, named = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=named):
        _run(make, full_sample())


@pytest.mark.parametrize("name", sorted(NOTHING_TO_DO))
def test_what_has_nothing_to_do_changes_no_bit(name: str) -> None:
    make, reason = NOTHING_TO_DO[name]
    assert reason
    before = full_sample()
    after = _run(make, before)
    assert type(after) is DenseSample
    assert changed_fields(before, after) == set()


def test_every_functional_that_moves_masks_has_kernels_for_every_leaf() -> None:
    leaves = (InstanceMask, SemanticMap, PanopticMap, PaddingMask, DepthLeaf, NormalsLeaf, CameraLeaf)
    for functional, kernels in _KERNEL_REGISTRY.items():
        if tv_tensors.Mask in kernels and functional.__name__ != "get_size":
            missing = [leaf.__name__ for leaf in leaves if leaf not in kernels]
            assert missing == [], functional.__name__


def test_a_transform_takes_samples_among_other_things() -> None:
    sample = full_sample()
    results, other = v2.RandomHorizontalFlip(p=1)(([sample, sample], {"id": 7}))
    assert other == {"id": 7}
    assert all(changed_fields(sample, result) >= GEOMETRIC_FIELDS for result in results)


def test_taking_apart_and_putting_together_gives_the_very_fields() -> None:
    sample = full_sample()
    leaves, spec = pytree.tree_flatten(sample)
    again = pytree.tree_unflatten(leaves, spec)
    assert all(getattr(again, name) is getattr(sample, name) for name in FIELDS)
    assert pytree.tree_flatten(full_sample())[1] == spec
    paths = [pytree.keystr(path) for path, _ in pytree.tree_leaves_with_path(sample)]
    assert paths[:3] == [".image", ".boxes", ".labels"]


def test_a_tree_map_keeps_what_it_can_and_refuses_the_rest() -> None:
    sample = full_sample()
    copied = pytree.tree_map(lambda leaf: leaf.clone(), sample)
    assert changed_fields(sample, copied) == set()
    with pytest.raises(TypeError, match="image: got Size, expected a torch.Tensor"):
        pytree.tree_map(lambda leaf: leaf.shape, sample)
    with pytest.raises((TypeError, ValueError), match="image: got"):
        pytree.tree_map(lambda leaf: leaf.to(torch.float64), sample)
    with pytest.raises(ValueError, match="depth: got shape"):
        pytree.tree_map(lambda leaf: leaf[:1] if isinstance(leaf, DepthLeaf) else leaf, sample)
    with pytest.raises(ValueError, match="camera_intrinsics: got shape"):
        pytree.tree_map(lambda leaf: leaf[:4] if isinstance(leaf, CameraLeaf) else leaf, sample)


def test_torchvisions_sanitizer_drops_no_pixel_rows_of_maps() -> None:
    sample = full_sample()
    clean = v2.SanitizeBoundingBoxes(min_area=400, labels_getter=lambda s: (s.labels, s.instance_ids))
    rows = clean(sample)
    rows.validate()
    assert rows.instance_ids.tolist() == [3]
    assert rows.panoptic_map.unique().tolist() == [0, 3]
    assert (rows.semantic_map[sample.instance_masks[0]] == 255).all()
    padding = torch.zeros((1, 40, 60), dtype=torch.bool)
    alone = full_sample(padding_mask=padding)
    one = torch.tensor([True, False])
    fields = {
        name: getattr(alone, name)[one] for name in ("boxes", "labels", "instance_ids", "instance_masks")
    }
    single = dataclasses.replace(alone, **fields, panoptic_map=None)
    with pytest.raises(ValueError, match="padding_mask: got shape"):  # taken for a mask of the one row
        v2.SanitizeBoundingBoxes(min_size=90, labels_getter=lambda s: (s.labels, s.instance_ids))(single)


def test_a_subclass_goes_through_as_a_whole() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, repr=False, eq=False)
    class Named(DenseSample):
        pass

    sample = full_sample()
    named = Named(**sample.to_dict())
    after = v2.RandomHorizontalFlip(p=1)(named)
    assert type(after) is Named
    assert changed_fields(sample, after) >= GEOMETRIC_FIELDS
    register_node(Named)  # twice does no harm

    @dataclasses.dataclass(frozen=True, slots=True, repr=False, eq=False)
    class WithFlow(DenseSample):
        flow: torch.Tensor | None = None

    with pytest.raises(TypeError, match="WithFlow: got field 'flow' besides"):
        v2.RandomHorizontalFlip(p=1)(WithFlow(**sample.to_dict()))


def test_kernels_keep_what_is_handed_to_them_in_a_dict() -> None:
    sample = full_sample()
    given = {"image": sample.image, "masks": sample.instance_masks, "semantic": sample.semantic_map}
    moved = v2.RandomAffine((20, 20), interpolation=BILINEAR, fill=9)(given)
    whole = v2.RandomAffine((20, 20), interpolation=BILINEAR, fill=9)(
        dataclasses.replace(sample, camera_intrinsics=None, metric_depth=False)
    )
    assert type(moved["semantic"]) is SemanticMap
    assert set(moved["semantic"].unique().tolist()) == {1, 5, 255}
    assert same_bits(moved["masks"], whole.instance_masks)
    assert same_bits(moved["image"], whole.image)
