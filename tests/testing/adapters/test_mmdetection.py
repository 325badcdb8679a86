"""MMDetection's transforms as the adapter hands them over: every field follows, nothing is hidden."""

from __future__ import annotations

import random
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from segpaste.invariants import check_sample
from segpaste.testing.adapters import Adapted, MMDetectionTransform, UnreadableResultError, adapt
from segpaste.testing.adapters.mmdetection import mmdetection_transforms
from segpaste.types import DenseSample, Modality
from segpaste.types.dense_sample import xyxy

pytest.importorskip("mmdet", reason="needs the extra `adapters`")
M: Any = mmdetection_transforms()
FLIP = {"type": "RandomFlip", "prob": 1.0}
ALL = {"type": "CopyPaste", "selected": False}


def sample(dtype: torch.dtype = torch.uint8) -> DenseSample:
    """Two objects on 6 x 8 pixels: 7 at (0, 0) to (2, 2), 9 at (5, 3) to (7, 6); column 4 is ignore."""
    masks: Any = torch.zeros((2, 6, 8), dtype=torch.bool)
    masks[0, :2, :2] = True
    masks[1, 3:6, 5:7] = True
    semantic: Any = torch.zeros((6, 8), dtype=torch.int64)
    semantic[:2, :2], semantic[3:6, 5:7], semantic[:, 4] = 5, 6, 255
    return DenseSample(
        image=tv_tensors.Image(torch.arange(144).reshape(3, 6, 8).to(dtype)),
        boxes=xyxy(torch.tensor([[0.0, 0, 2, 2], [5, 3, 7, 6]]), (6, 8)),
        labels=torch.tensor([5, 6]),
        instance_ids=torch.tensor([7, 2**24 + 1], dtype=torch.int32),
        instance_masks=masks,
        semantic_map=semantic,
    )


def donor(top: int = 1, left: int = 4) -> DenseSample:
    """One object of 3 x 3 pixels of class 1."""
    masks: Any = torch.zeros((1, 6, 8), dtype=torch.bool)
    masks[0, top : top + 3, left : left + 3] = True
    box = [[float(left), top, left + 3, top + 3]]
    return DenseSample(
        image=tv_tensors.Image(torch.full((3, 6, 8), 200, dtype=torch.uint8)),
        boxes=xyxy(torch.tensor(box), (6, 8)),
        labels=torch.tensor([1]),
        instance_ids=torch.tensor([1], dtype=torch.int32),
        instance_masks=masks,
    )


def without_semantic(given: DenseSample) -> DenseSample:
    values = given.to_dict()
    del values["semantic_map"]
    return DenseSample.from_dict(values)


def run(transform: Any, given: DenseSample | None = None, seed: int = 0, **options: Any) -> DenseSample:
    """The result, which nothing is complained about."""
    result = MMDetectionTransform(transform, **options)(sample() if given is None else given, donor(), seed)
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


@pytest.mark.parametrize("transform", [FLIP, [FLIP], M.RandomFlip(prob=1.0)])
@pytest.mark.parametrize("options", [{}, {"boxes": "ndarray"}, {"channel_order": "rgb"}])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_flip_flips_every_field_and_ids_and_labels_follow(
    transform: Any, options: dict[str, Any], dtype: torch.dtype
) -> None:
    given = sample(dtype)
    result = run(transform, given, **options)
    for name in ("image", "instance_masks", "semantic_map"):
        got, want = plain(getattr(result, name)), plain(getattr(given, name)).flip(-1)
        assert got.dtype == want.dtype
        assert torch.equal(got, want), name
    assert result.boxes.tolist() == [[6.0, 0.0, 8.0, 2.0], [1.0, 3.0, 3.0, 6.0]]
    assert result.labels.tolist() == [5, 6]
    assert plain(result.instance_ids).tolist() == [7, 2**24 + 1]


def test_the_channels_are_those_the_library_loads_unless_told_otherwise() -> None:
    class Red(M.RandomFlip):
        def transform(self, results: dict[str, Any]) -> dict[str, Any]:
            results["img"][..., 2] = 255
            return results

    image = plain(run(Red(prob=1.0)).image)
    assert (image[0] == 255).all()
    assert (image[2] != 255).all()
    image = plain(run(Red(prob=1.0), channel_order="rgb").image)
    assert (image[2] == 255).all()


def test_a_row_that_leaves_the_picture_goes_with_its_id() -> None:
    crop = M.RandomCrop((3, 3), allow_negative_crop=True)
    seen = set()
    for seed in range(30):
        result = run(crop, seed=seed)
        ids = plain(result.instance_ids).tolist()
        assert [{7: 5, 2**24 + 1: 6}[i] for i in ids] == result.labels.tolist()
        assert len(plain(result.instance_masks)) == len(ids)
        seen.add(len(ids))
    assert {0, 1} <= seen


def test_a_transform_that_returns_none_leaves_the_target_as_it_was() -> None:
    results = [run(M.RandomCrop((1, 1)), seed=seed) for seed in range(20)]
    whole = [result for result in results if result.canvas_size == (6, 8)]
    assert 0 < len(whole) < 20
    for result in whole:
        assert_same(result, sample())


def test_copy_paste_changes_the_dtype_of_the_image_and_its_rows_are_right() -> None:
    given = without_semantic(sample())
    result = MMDetectionTransform(ALL)(given, donor(), 0)
    assert isinstance(result, Adapted)
    assert [(c.law, c.message) for c in result.complaints] == [
        ("target.dtype_kept", "img: got int64 back, gave uint8")
    ]
    after = result.sample
    assert after.labels.tolist() == [5, 6, 1]
    assert plain(after.instance_ids).tolist() == [7, 2**24 + 1, 2**24 + 2]
    assert after.boxes.tolist() == [[0.0, 0.0, 2.0, 2.0], [5.0, 4.0, 7.0, 6.0], [4.0, 1.0, 7.0, 4.0]]
    pasted = plain(donor().instance_masks)[0]
    assert torch.equal(plain(after.image), torch.where(pasted, 200, plain(given.image)).to(torch.uint8))
    assert torch.equal(plain(after.instance_masks)[1], plain(given.instance_masks)[1] & ~pasted)
    assert violated(after) == set()


def test_copy_paste_keeps_a_hidden_object_near_the_origin() -> None:
    result = MMDetectionTransform(ALL)(without_semantic(sample()), donor(0, 0), 0)
    assert isinstance(result, Adapted)
    assert violated(result.sample) == {"instance.masks_not_empty"}


def test_copy_paste_draws_how_many_it_pastes_from_the_seed() -> None:
    adapter = MMDetectionTransform({"type": "CopyPaste"})
    counts = []
    for seed in [*range(12), 2**63 - 1]:
        results = [adapter(without_semantic(sample()), donor(), seed) for _ in range(2)]
        samples = [result.sample if isinstance(result, Adapted) else result for result in results]
        assert_same(samples[0], samples[1])
        counts.append(len(samples[0]))
    assert {2, 3} == set(counts)


def test_generators_are_put_back() -> None:
    np.random.seed(11)
    states = (random.getstate(), np.random.get_state(legacy=False), torch.random.get_rng_state())
    run(M.RandomCrop((3, 3), allow_negative_crop=True), seed=5)
    assert random.getstate() == states[0]
    assert str(np.random.get_state(legacy=False)) == str(states[1])
    assert torch.equal(torch.random.get_rng_state(), states[2])


def test_inputs_stay_as_they_were() -> None:
    given, other = without_semantic(sample()), donor()
    MMDetectionTransform([ALL, FLIP])(given, other, 0)
    assert_same(given, without_semantic(sample()))
    assert_same(other, donor())


def test_rows_that_disagree_cannot_be_read() -> None:
    adapter = MMDetectionTransform(M.Mosaic(img_scale=(8, 6), prob=1.0))
    with pytest.raises(
        UnreadableResultError, match="gt_bboxes_labels, 2 gt_masks, expected as many"
    ) as caught:
        adapter(without_semantic(sample()), donor(), 0)
    assert caught.value.complaint.law == "target.rows_aligned"


def test_the_kind_is_read_from_the_transforms() -> None:
    assert MMDetectionTransform(ALL).kind == "paste"
    assert MMDetectionTransform([FLIP, M.PhotoMetricDistortion()]).kind == "geometric"
    colours = MMDetectionTransform(M.YOLOXHSVRandomAug())
    assert colours.kind == "photometric"
    assert colours.accepts.image_dtypes == (torch.uint8,)
    assert MMDetectionTransform(FLIP, kind="paste").kind == "paste"
    everything = {Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC}
    assert MMDetectionTransform(FLIP).accepts.modalities == everything
    assert MMDetectionTransform(ALL).accepts.modalities == {Modality.IMAGE, Modality.INSTANCE}
    assert MMDetectionTransform(ALL, modalities=["semantic"]).accepts.modalities == {
        Modality.IMAGE,
        Modality.SEMANTIC,
    }
    adapter = adapt(M.RandomFlip(prob=1.0))
    assert adapter is not None
    assert adapter.name == "mmdetection:RandomFlip"


@pytest.mark.parametrize(
    ("transform", "options", "message"),
    [
        (FLIP, {"kind": "acoustic"}, "kind: got 'acoustic', expected one of None, 'paste'"),
        (FLIP, {"channel_order": "gbr"}, "channel_order: got 'gbr', expected one of 'bgr', 'rgb'"),
        (FLIP, {"boxes": "list"}, "boxes: got 'list', expected one of 'HorizontalBoxes', 'ndarray'"),
        (
            FLIP,
            {"modalities": ["depth"]},
            "modalities: got depth, expected some of image, instance, semantic",
        ),
        ({"type": "Nothing"}, {}, "transform: cannot build {'type': 'Nothing'}: "),
        ({"type": "RandomFlip", "speed": 1}, {}, "transform: cannot build .*speed"),
    ],
)
def test_arguments_that_make_no_sense_are_named(
    transform: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        MMDetectionTransform(transform, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [len, [FLIP, "flip"], []])
def test_what_is_no_transform_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="transform: got .*, expected a transform of MMDetection"):
        MMDetectionTransform(wrong)


def test_padding_goes_around_what_moves_no_pixel() -> None:
    padding = torch.zeros((1, 6, 8), dtype=torch.bool)
    padding[:, :, 7] = True
    given = DenseSample.unchecked(**without_semantic(sample()).to_dict(), padding_mask=padding)
    assert torch.equal(plain(run(M.YOLOXHSVRandomAug(), given).padding_mask), padding)
    assert run(FLIP, given).padding_mask is None
    assert MMDetectionTransform(FLIP).prepare(given).padding_mask is None


def test_class_ids_that_no_gt_seg_map_can_hold_are_refused() -> None:
    values = sample().to_dict()
    values["semantic_map"] = torch.full((6, 8), 256)
    with pytest.raises(ValueError, match="semantic_map: got values from 256 to 256, expected 0 to 255"):
        run(FLIP, DenseSample.from_dict(values))


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mmdet.datasets.transforms", None)
    with pytest.raises(ImportError, match=r"cannot import mmdet .*pip install -e '\.\[adapters\]'"):
        MMDetectionTransform(FLIP)


@pytest.mark.skipif(find_spec("mmcv._ext") is not None, reason="mmcv has its compiled operators")
def test_what_stood_in_for_compiled_operators_is_gone_and_raises_when_called() -> None:
    assert "mmcv._ext" not in sys.modules
    from mmcv.ops import nms  # pyright: ignore[reportMissingImports]

    with pytest.raises(RuntimeError, match="needs mmcv with its compiled operators, mmcv-lite is installed"):
        nms(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([1.0]), 0.5)
