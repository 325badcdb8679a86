"""Albumentations' transforms as the adapter hands them over: every field follows, nothing is hidden."""

from __future__ import annotations

import os
import random
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from segpaste.invariants import check_sample
from segpaste.testing.adapters import Adapted, AlbumentationsTransform, UnreadableResultError, adapt
from segpaste.types import CameraIntrinsics, DenseSample, Modality
from segpaste.types.dense_sample import xyxy

# Read when the library is imported: it looks for updates, and sends what it is used for.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("ALBUMENTATIONS_OFFLINE", "1")
A: Any = pytest.importorskip("albumentations", reason="needs the extra `adapters`")
EXTENDED = hasattr(A, "CopyAndPaste")
extended = pytest.mark.skipif(not EXTENDED, reason="AlbumentationsX only")
CELLS = {"target_size": (8, 8), "cell_shape": (6, 6), "p": 1}


def sample() -> DenseSample:
    """Two objects on 6 x 8 pixels: 7 at (0, 0) to (2, 2), 9 at (5, 3) to (7, 6); column 4 is ignore."""
    masks: Any = torch.zeros((2, 6, 8), dtype=torch.bool)
    masks[0, :2, :2] = True
    masks[1, 3:6, 5:7] = True
    semantic: Any = torch.zeros((6, 8), dtype=torch.int64)
    semantic[:2, :2], semantic[3:6, 5:7], semantic[:, 4] = 5, 6, 255
    normals = torch.zeros((3, 6, 8))
    normals[0], normals[2] = 0.6, -0.8
    return DenseSample(
        image=tv_tensors.Image(torch.arange(144, dtype=torch.uint8).reshape(3, 6, 8)),
        boxes=xyxy(torch.tensor([[0.0, 0, 2, 2], [5, 3, 7, 6]]), (6, 8)),
        labels=torch.tensor([5, 6]),
        instance_ids=torch.tensor([7, 2**24 + 1], dtype=torch.int32),
        instance_masks=masks,
        semantic_map=semantic,
        panoptic_map=7 * masks[0].long() + (2**24 + 1) * masks[1].long(),
        depth=torch.arange(48.0).reshape(1, 6, 8) + 1,
        depth_valid=torch.arange(48).reshape(1, 6, 8) % 5 > 0,
        normals=normals,
    )


def donor() -> DenseSample:
    """Objects of 3 x 3 and 2 x 4 pixels on 6 x 8, of classes 1 and 4."""
    masks: Any = torch.zeros((2, 6, 8), dtype=torch.bool)
    masks[0, 1:4, 1:4] = True
    masks[1, 4:6, 4:8] = True
    semantic: Any = torch.full((6, 8), 3)
    semantic[masks[0]], semantic[masks[1]] = 1, 4
    return DenseSample(
        image=tv_tensors.Image(torch.full((3, 6, 8), 200, dtype=torch.uint8)),
        boxes=xyxy(torch.tensor([[1.0, 1, 4, 4], [4, 4, 8, 6]]), (6, 8)),
        labels=torch.tensor([1, 4]),
        instance_ids=torch.tensor([1, 2], dtype=torch.int32),
        instance_masks=masks,
        semantic_map=semantic,
    )


def mixable() -> DenseSample:
    """The sample without what CopyAndPaste and Mosaic are not given."""
    values = sample().to_dict()
    for name in ("panoptic_map", "depth", "depth_valid", "normals"):
        del values[name]
    return DenseSample.from_dict(values)


def run(transform: Any, given: DenseSample | None = None, seed: int = 0, **options: Any) -> DenseSample:
    """The result, which nothing is complained about."""
    result = AlbumentationsTransform(transform, **options)(
        sample() if given is None else given, donor(), seed
    )
    assert isinstance(result, DenseSample)
    return result


def plain(tensor: torch.Tensor | None) -> torch.Tensor:
    assert tensor is not None
    return tensor.as_subclass(torch.Tensor)


def assert_same(one: DenseSample, other: DenseSample) -> None:
    ones, others = one.to_dict(), other.to_dict()
    assert ones.keys() == others.keys()
    for name, value in ones.items():
        other_value = others[name]
        if isinstance(value, torch.Tensor):
            assert torch.equal(plain(value), plain(other_value)), name
        else:
            assert value == other_value, name


def violated(result: DenseSample) -> set[str]:
    return {report.name for report in check_sample(result) if report.status == "violated"}


@pytest.mark.parametrize("box_format", ["pascal_voc", "coco", "albumentations", "yolo"])
def test_a_flip_flips_every_field_and_ids_and_labels_follow(box_format: Any) -> None:
    given = sample()
    result = run(A.HorizontalFlip(p=1), given, box_format=box_format)
    for name in (
        "image",
        "instance_masks",
        "semantic_map",
        "panoptic_map",
        "depth",
        "depth_valid",
        "normals",
    ):
        got, want = plain(getattr(result, name)), plain(getattr(given, name)).flip(-1)
        assert got.dtype == want.dtype
        assert torch.equal(got, want), name
    assert result.boxes.tolist() == [[6.0, 0.0, 8.0, 2.0], [1.0, 3.0, 3.0, 6.0]]
    assert result.labels.tolist() == [5, 6]
    assert plain(result.instance_ids).tolist() == [7, 2**24 + 1]


def test_colours_change_the_image_and_nothing_else() -> None:
    given = sample()
    result = run(A.InvertImg(p=1), given)
    assert not torch.equal(plain(result.image), plain(given.image))
    values = given.to_dict() | {"image": result.image}
    assert_same(result, DenseSample.from_dict(values))


def test_a_row_whose_box_leaves_the_picture_goes_with_its_mask_and_id() -> None:
    result = run(A.Crop(x_min=4, y_min=2, x_max=8, y_max=6, p=1))
    assert plain(result.instance_ids).tolist() == [2**24 + 1]
    assert result.labels.tolist() == [6]
    assert result.boxes.tolist() == [[1.0, 1.0, 3.0, 4.0]]
    assert torch.equal(plain(result.instance_masks), plain(sample().instance_masks)[1:, 2:, 4:])


def test_samples_without_rows_pass() -> None:
    values = sample().to_dict()
    for name in ("boxes", "labels", "panoptic_map"):
        del values[name]
    values["instance_ids"], values["instance_masks"] = (
        values["instance_ids"][:0],
        values["instance_masks"][:0],
    )
    result = run(A.Resize(3, 4), DenseSample.from_dict(values))
    assert plain(result.instance_masks).shape == (0, 3, 4)
    assert plain(result.instance_ids).shape == (0,)


def test_a_depth_map_alone_needs_no_semantic_map() -> None:
    given = sample()
    alone = DenseSample(image=given.image, depth=given.depth, depth_valid=given.depth_valid)
    result = run(A.VerticalFlip(p=1), alone)
    assert torch.equal(plain(result.depth), plain(given.depth).flip(-2))
    assert result.semantic_map is None


def test_what_is_filled_is_class_0_unless_told_otherwise() -> None:
    turned = {"limit": (45, 45), "rotate_limit": (45, 45)}
    rotate = A.Rotate(**{k: v for k, v in turned.items() if k in A.Rotate.__init__.__code__.co_varnames}, p=1)
    result = run(rotate, mixable())
    assert plain(result.semantic_map)[0, 0] == 0

    filled = A.Affine(translate_px={"x": (3, 3), "y": (0, 0)}, fill_mask=255, p=1)
    result = run(filled, mixable())
    assert (plain(result.semantic_map)[:, :3] == 255).all()
    assert plain(result.instance_masks)[:, :, :3].all()
    result = run(filled, mixable(), object_values="one")
    assert not plain(result.instance_masks)[:, :, :3].any()


def test_the_same_seed_gives_the_same_sample_and_another_another() -> None:
    adapter = AlbumentationsTransform([A.RandomCrop(3, 3, p=1), A.HorizontalFlip(p=0.5)])
    results = [adapter(sample(), donor(), seed) for seed in (3, 3, 2**63 - 1, 4, 5, 6)]
    assert all(isinstance(result, DenseSample) for result in results)
    first, *others = results
    assert isinstance(first, DenseSample)
    assert isinstance(others[0], DenseSample)
    assert_same(first, others[0])
    assert len({result.image.numpy().tobytes() for result in results if isinstance(result, DenseSample)}) > 1


def test_no_global_generator_is_touched() -> None:
    states = (random.getstate(), np.random.get_state(legacy=False), torch.random.get_rng_state())
    run([A.RandomCrop(3, 3, p=1), A.ColorJitter(p=1)])
    assert random.getstate() == states[0]
    assert str(np.random.get_state(legacy=False)) == str(states[1])
    assert torch.equal(torch.random.get_rng_state(), states[2])


def test_inputs_stay_as_they_were() -> None:
    given = sample()
    run([A.HorizontalFlip(p=1), A.Rotate(p=1), A.ColorJitter(p=1)], given)
    assert_same(given, sample())


def test_of_a_compose_the_transforms_and_the_filters_are_kept() -> None:
    params = A.BboxParams(**{"coord_format" if EXTENDED else "format": "coco"}, min_area=5)
    compose = A.Compose([A.HorizontalFlip(p=1)], bbox_params=params)
    assert run(compose).labels.tolist() == [6]
    assert run(compose, bbox_params={"min_area": 0}).labels.tolist() == [5, 6]
    assert_same(run(A.Compose([A.HorizontalFlip(p=1)], p=0)), sample())


def test_the_kind_is_read_from_the_transforms() -> None:
    assert AlbumentationsTransform(A.ColorJitter()).kind == "photometric"
    assert AlbumentationsTransform([A.ColorJitter(), A.OneOf([A.HorizontalFlip()])]).kind == "geometric"
    assert AlbumentationsTransform(A.Mosaic(**CELLS)).kind == "geometric"
    assert AlbumentationsTransform(A.ColorJitter(), kind="geometric").kind == "geometric"
    assert AlbumentationsTransform(A.RandomCrop(5, 30)).accepts.min_side == 30
    assert AlbumentationsTransform(A.RandomCrop(5, 30)).accepts.max_side > 30
    adapter = adapt(A.HorizontalFlip())
    assert adapter is not None
    assert adapter.name == "albumentations:HorizontalFlip"


def test_before_a_run_what_the_library_has_no_word_for_goes() -> None:
    values = sample().to_dict() | {
        "image": tv_tensors.Image(torch.full((3, 6, 8), 3.0)),
        "camera_intrinsics": CameraIntrinsics(2.0, 2.0, 1.0, 1.0),
        "metric_depth": True,
    }
    given = DenseSample.from_dict(values)
    ready = AlbumentationsTransform(A.HorizontalFlip()).prepare(given)
    assert ready.image.max() == 1.0
    assert ready.camera_intrinsics is None
    kept = AlbumentationsTransform(A.HorizontalFlip(p=1), camera="kept")
    assert kept.prepare(given).camera_intrinsics == given.camera_intrinsics
    result = kept(kept.prepare(given), donor(), 0)
    assert isinstance(result, DenseSample)
    assert result.metric_depth


def test_padding_goes_around_what_moves_no_pixel() -> None:
    padding = torch.zeros((1, 6, 8), dtype=torch.bool)
    padding[:, :, 7] = True
    given = DenseSample.unchecked(**mixable().to_dict(), padding_mask=padding)
    assert torch.equal(plain(run(A.InvertImg(p=1), given).padding_mask), padding)
    assert run(A.HorizontalFlip(p=1), given).padding_mask is None
    assert AlbumentationsTransform(A.HorizontalFlip()).prepare(given).padding_mask is None


def test_a_changed_dtype_is_complained_about() -> None:
    result = AlbumentationsTransform(A.ToFloat(p=1))(sample(), donor(), 0)
    assert isinstance(result, Adapted)
    assert [(c.law, c.message) for c in result.complaints] == [
        ("target.dtype_kept", "image: got float32 back, gave uint8")
    ]
    assert result.sample.image.dtype == torch.uint8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "acoustic"}, "kind: got 'acoustic', expected one of None, 'paste', 'geometric'"),
        ({"box_format": "voc"}, "box_format: got 'voc', expected one of 'pascal_voc'"),
        ({"box_tolerance": 0.5}, "box_tolerance: got 0.5, expected 0 or more and less than 0.5"),
        ({"object_values": "two"}, "object_values: got 'two'"),
        ({"camera": "lost"}, "camera: got 'lost'"),
        ({"donors": -1}, "donors: got -1, expected None or 0 or more"),
        ({"donors_with_semantic": "some"}, "donors_with_semantic: got 'some'"),
        ({"bbox_params": {"area": 1}}, "bbox_params: got area, expected some of min_area"),
        ({"modalities": ["sound"]}, "'sound' is not a valid Modality"),
    ],
)
def test_arguments_that_make_no_sense_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        AlbumentationsTransform(A.HorizontalFlip(), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [len, [A.HorizontalFlip(), "flip"], []])
def test_what_is_no_transform_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="transform: got .*, expected a transform of Albumentations"):
        AlbumentationsTransform(wrong)


def test_metadata_that_nobody_makes_is_refused() -> None:
    with pytest.raises(ValueError, match="transform: got OverlayElements, which needs metadata"):
        AlbumentationsTransform(A.OverlayElements())


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    flip = A.HorizontalFlip()
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(ImportError, match=r"cannot import albumentations .*pip install -e '\.\[adapters\]'"):
        AlbumentationsTransform(flip)


@pytest.mark.skipif(EXTENDED, reason="Albumentations 2 only")
def test_a_mosaic_of_albumentations_2_replaces_instance_masks() -> None:
    result = AlbumentationsTransform(A.Mosaic(**CELLS))(mixable(), donor(), 0)
    assert isinstance(result, Adapted)
    assert {complaint.law for complaint in result.complaints} == {"target.rows_aligned"}
    assert "instance.boxes_are_tight" in violated(result.sample)
    semantic = plain(result.sample.semantic_map)
    assert all(torch.equal(mask, semantic != 0) for mask in plain(result.sample.instance_masks))


@extended
def test_a_mosaic_keeps_rows_together_if_they_are_bound() -> None:
    seen = 0
    for seed in range(10):
        result = run(A.Mosaic(**CELLS), mixable(), seed, instance_binding=True)
        ids = plain(result.instance_ids).tolist()
        assert len(set(ids)) == len(ids) == len(plain(result.instance_masks))
        classes = {label: {5, 6, 1, 4}.intersection({label}) for label in result.labels.tolist()}
        assert all(classes.values())
        shown = plain(result.semantic_map)
        for label, mask in zip(result.labels.tolist(), plain(result.instance_masks), strict=True):
            assert set(shown[mask].tolist()) <= {label}
        seen += len(ids)
    assert seen > 10


@extended
def test_a_mosaic_of_flat_masks_and_boxes_cannot_be_read() -> None:
    with pytest.raises(UnreadableResultError, match="no telling which mask is whose") as caught:
        run(A.Mosaic(**CELLS), mixable())
    assert caught.value.complaint.law == "target.rows_aligned"


@extended
def test_bound_rows_are_what_flat_ones_are() -> None:
    for seed in range(3):
        flat = run(A.HorizontalFlip(p=1), seed=seed)
        assert_same(run(A.HorizontalFlip(p=1), seed=seed, instance_binding=True), flat)
    assert not EXTENDED or AlbumentationsTransform(A.CopyAndPaste()).kind == "paste"


@pytest.mark.skipif(EXTENDED, reason="Albumentations 2 only")
def test_albumentations_2_binds_nothing() -> None:
    with pytest.raises(ValueError, match="instance_binding: got True, which needs AlbumentationsX"):
        AlbumentationsTransform(A.HorizontalFlip(), instance_binding=True)


@extended
def test_pasted_rows_come_last_with_fresh_ids_in_the_order_of_the_donor() -> None:
    result = run(A.CopyAndPaste(min_visibility_after_paste=0.0, p=1), mixable())
    assert result.labels.tolist() == [5, 6, 1, 4]
    assert plain(result.instance_ids).tolist() == [7, 2**24 + 1, 2**24 + 2, 2**24 + 3]
    pasted = plain(result.instance_masks)[2:]
    assert pasted.sum(dim=(1, 2)).tolist() == [9, 8]
    assert (plain(result.image)[:, pasted.any(0)] == 200).all()
    one = run(A.CopyAndPaste(min_visibility_after_paste=0.0, p=1), mixable(), donors=1)
    assert one.labels.tolist() == [5, 6, 1]


@extended
def test_copy_and_paste_shows_what_it_is_known_to_break() -> None:
    stale, overlapping, zeroed, empty = 0, 0, 0, 0
    given = mixable()
    paste = A.CopyAndPaste(min_visibility_after_paste=0.0, p=1)
    for seed in range(40):
        result = run(paste, given, seed, donors_with_semantic="every other")
        masks, names = plain(result.instance_masks), violated(result)
        stale += "instance.boxes_are_tight" in names
        empty += "instance.masks_not_empty" in names
        overlapping += bool((masks[2] & masks[3]).any())
        only_second = masks[3] & ~masks[2]
        zeroed += bool((plain(result.semantic_map)[only_second] == 0).any())
    assert min(stale, overlapping, zeroed, empty) > 0


@extended
def test_copy_and_paste_is_given_no_map_that_it_would_paint_classes_into() -> None:
    accepts = AlbumentationsTransform(A.CopyAndPaste()).accepts
    assert accepts.modalities == {Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC}
    assert AlbumentationsTransform(A.HorizontalFlip()).accepts.modalities == frozenset(Modality)
