"""What torchvision's transforms make of a sample, worked out by hand."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from segpaste.types import CameraIntrinsics, DenseSample, InstanceMask, PaddingMask, PanopticMap, SemanticMap
from tests.types.whole_samples import changed_fields, full_sample, same_bits, sample_of

BILINEAR = v2.InterpolationMode.BILINEAR
NEAREST = v2.InterpolationMode.NEAREST
LARGE = 2**31 - 2
"""An id that float32 cannot hold."""


def _scene(**changes: Any) -> Any:
    """4 x 4: one thing on the left two columns of the upper rows, one pixel of it without a depth."""
    mask = torch.zeros((1, 4, 4), dtype=torch.bool)
    mask[0, :2, :2] = True
    depth = torch.arange(1.0, 17.0).reshape(1, 4, 4)
    valid = torch.ones((1, 4, 4), dtype=torch.bool)
    valid[0, 0, 0] = False
    depth[0, 0, 0] = torch.nan
    normals = torch.tensor([0.6, 0.48, -0.64])[:, None, None].repeat(1, 4, 4)
    normals[:, 3, 3] = 0
    fields: dict[str, Any] = {
        "image": torch.arange(48, dtype=torch.uint8).reshape(3, 4, 4),
        "boxes": torch.tensor([[0.0, 0.0, 2.0, 2.0]]),
        "labels": torch.tensor([7]),
        "instance_ids": torch.tensor([LARGE], dtype=torch.int32),
        "instance_masks": mask,
        "semantic_map": torch.where(mask[0], 7, 1),
        "panoptic_map": mask[0] * LARGE,
        "depth": depth,
        "depth_valid": valid,
        "normals": normals,
        "camera_intrinsics": CameraIntrinsics(100.0, 50.0, 1.0, 2.0),
        "metric_depth": True,
    }
    return sample_of(**(fields | changes))


def _plain(value: torch.Tensor | None) -> torch.Tensor:
    assert value is not None
    return value.as_subclass(torch.Tensor)


def test_a_horizontal_flip() -> None:
    before = _scene()
    after = v2.RandomHorizontalFlip(p=1)(before)
    assert after.boxes.tolist() == [[2.0, 0.0, 4.0, 2.0]]
    assert same_bits(after.depth, before.depth.flip(-1))  # the NaN, too
    assert after.depth_valid[0, 0].tolist() == [True, True, True, False]
    assert _plain(after.normals)[:, 0, 0].tolist() == torch.tensor([-0.6, 0.48, -0.64]).tolist()
    gap = _plain(after.normals)[:, 3, 0]
    assert gap.tolist() == [0, 0, 0]
    assert not torch.signbit(gap).any()  # a zero is turned as 0 - x, not as -x
    assert after.camera_intrinsics == CameraIntrinsics(100.0, 50.0, 4 - 1 - 1.0, 2.0)
    assert after.panoptic_map.unique().tolist() == [0, LARGE]
    twice = v2.RandomHorizontalFlip(p=1)(after)
    assert all(
        same_bits(getattr(twice, n), getattr(before, n)) for n in ("image", "normals", "depth", "boxes")
    )


def test_a_vertical_flip() -> None:
    after = v2.RandomVerticalFlip(p=1)(_scene())
    assert after.boxes.tolist() == [[0.0, 2.0, 2.0, 4.0]]
    assert _plain(after.normals)[:, 0, 3].tolist() == [0, 0, 0]
    assert _plain(after.normals)[:, 3, 0].tolist() == torch.tensor([0.6, -0.48, -0.64]).tolist()
    assert after.camera_intrinsics == CameraIntrinsics(100.0, 50.0, 1.0, 4 - 1 - 2.0)


def test_a_crop_keeps_exactly_its_window() -> None:
    before = _scene()
    after = v2.functional.crop
    window = v2.Lambda(lambda leaf: after(leaf, 1, 1, 2, 3), DenseSample, tv_tensors.TVTensor)(before)
    for name in ("image", "depth", "depth_valid", "normals", "semantic_map", "panoptic_map"):
        assert same_bits(getattr(window, name), getattr(before, name)[..., 1:3, 1:4]), name
    assert window.boxes.tolist() == [[0.0, 0.0, 1.0, 1.0]]
    assert window.camera_intrinsics == CameraIntrinsics(100.0, 50.0, 0.0, 1.0)
    gone = v2.CenterCrop(2)(_scene(instance_masks=torch.eye(4, dtype=torch.bool).flip(0)[None] & False))
    assert len(gone) == 0


def test_what_is_cropped_away_takes_its_row_along() -> None:
    before = full_sample()
    upper = v2.RandomCrop((18, 60))
    torch.manual_seed(0)
    lower = v2.Lambda(lambda leaf: v2.functional.crop(leaf, 22, 0, 18, 60), tv_tensors.TVTensor)(before)
    assert lower.instance_ids.tolist() == [3]
    assert lower.labels.tolist() == [5]
    assert lower.panoptic_map.unique().tolist() == [0, 3]
    lower.validate()
    assert upper(before).canvas_size == (18, 60)


def test_a_resize_to_twice_the_size() -> None:
    before = _scene()
    after = v2.Resize((8, 8))(before)
    assert after.boxes.tolist() == [[0.0, 0.0, 4.0, 4.0]]
    for name in ("semantic_map", "panoptic_map", "instance_masks", "depth_valid"):
        twice = _plain(getattr(before, name)).repeat_interleave(2, -1).repeat_interleave(2, -2)
        assert torch.equal(_plain(getattr(after, name)), twice), name
    # Along an axis output 1 lies at input 0.25: weights 0.75 and 0.25. In row 1 the pixel (0, 0) has
    # no depth, so that (1, 2) reads 5 of row 1 and 2, 6 of column 1, over the weights of these three.
    depth = _plain(after.depth)[0]
    assert depth[2, 1].item() == pytest.approx((5 * 0.5625 + 2 * 0.0625 + 6 * 0.1875) / 0.8125, abs=1e-6)
    assert depth[3, 5].item() == pytest.approx(
        7 * 0.75 * 0.75 + 8 * 0.75 * 0.25 + 11 * 0.25 * 0.75 + 12 * 0.0625
    )
    assert depth.isfinite().all()
    assert (depth[:2, :2] == 0).all()
    assert not after.depth_valid[0, :2, :2].any()
    normals = _plain(after.normals)
    assert (normals[:, 6:, 6:] == 0).all()  # the nearest pixel has none
    assert torch.equal(normals[:, 5, 5], torch.tensor([0.6, 0.48, -0.64]))  # of three of four
    assert after.camera_intrinsics == CameraIntrinsics(200.0, 100.0, (1 + 0.5) * 2 - 0.5, (2 + 0.5) * 2 - 0.5)


def test_pillows_numbers_of_interpolations_are_understood() -> None:
    before = full_sample()
    for number, mode in ((0, NEAREST), (2, BILINEAR)):
        by_number = v2.Resize((13, 17), interpolation=number)(before)
        by_name = v2.Resize((13, 17), interpolation=mode)(before)
        assert changed_fields(by_name, by_number) == set()


def test_labels_of_a_shrunk_sample_are_those_at_the_middle_of_a_pixel() -> None:
    ramp = torch.arange(9).repeat(9, 1)
    before = sample_of(image=torch.zeros((3, 9, 9)), semantic_map=ramp)
    assert v2.Resize((3, 3))(before).semantic_map[0].tolist() == [1, 4, 7]
    # torchvision's ``nearest`` takes the corner; labels follow the image.
    assert v2.Resize((3, 3), interpolation=NEAREST)(before).semantic_map[0].tolist() == [0, 3, 6]
    assert v2.functional.resize(tv_tensors.Mask(ramp), [3, 3])[0].tolist() == [0, 3, 6]


def test_normals_that_cancel_out_are_the_nearest() -> None:
    normals = torch.zeros((3, 1, 2))
    normals[0, 0] = torch.tensor([1.0, -1.0])
    before = sample_of(image=torch.zeros((3, 1, 2)), normals=normals, semantic_map=torch.ones((1, 2)).long())
    after = v2.Resize((1, 3))(before)  # the middle lies halfway between the two
    assert after.normals[0, 0].tolist() == [1.0, -1.0, -1.0]


def test_normals_are_unit_vectors_after_a_resize() -> None:
    generator = torch.Generator().manual_seed(1)
    normals = torch.nn.functional.normalize(torch.randn((3, 9, 13), generator=generator), dim=0).clamp(-1, 1)
    before = sample_of(
        image=torch.zeros((3, 9, 13)), normals=normals, semantic_map=torch.ones((9, 13)).long()
    )
    after = v2.Resize((301, 370))(before)
    squares = _plain(after.normals).double().square().sum(dim=0)
    assert (squares - 1).abs().max() <= 2**-22  # as the law of unit length says
    after.validate()


@pytest.mark.parametrize("fill", [0, 9, {SemanticMap: 4, "others": 0}])
def test_what_is_padded_has_no_label_whatever_the_fill(fill: Any) -> None:
    after = v2.Pad((1, 2, 3, 4), fill=fill)(_scene())
    assert after.canvas_size == (10, 8)
    beside = torch.ones((10, 8), dtype=torch.bool)
    beside[2:6, 1:5] = False
    assert (_plain(after.semantic_map)[beside] == 255).all()
    assert (_plain(after.panoptic_map)[beside] == 0).all()
    assert not after.instance_masks[0][beside].any()
    assert not after.depth_valid[0][beside].any()
    assert (_plain(after.normals)[:, beside] == 0).all()
    assert after.boxes.tolist() == [[1.0, 2.0, 3.0, 4.0]]
    assert after.camera_intrinsics == CameraIntrinsics(100.0, 50.0, 2.0, 4.0)


def test_a_quarter_turn() -> None:
    # Counter-clockwise: what was at the right is on top. (x, y) -> (y, 3 - x).
    before = _scene()
    after = v2.RandomRotation((90, 90))(before)
    assert after.boxes.tolist() == [[0.0, 2.0, 2.0, 4.0]]
    assert torch.equal(_plain(after.depth_valid)[0], _plain(before.depth_valid)[0].rot90())
    assert torch.equal(_plain(after.normals)[:, 0, 0], torch.tensor([0.48, -0.6, -0.64]))
    assert after.camera_intrinsics == CameraIntrinsics(50.0, 100.0, 2.0, 4 - 1 - 1.0)
    oblong = v2.RandomRotation((90, 90), expand=True)(full_sample())
    assert oblong.canvas_size == (60, 40)
    assert oblong.camera_intrinsics == CameraIntrinsics(50.0, 50.0, 20.0, 60 - 1 - 30.0)


@pytest.mark.parametrize("angle", [0.0, 25.0, 90.0, 180.0, 200.0, 315.0])
@pytest.mark.parametrize("expand", [False, True])
def test_a_point_of_a_camera_goes_where_the_image_shows_it(angle: float, expand: bool) -> None:
    # The principal point is marked in the image; a turn and a scale must move both alike.
    squared = (torch.arange(101) - 30.0).square() + (torch.arange(81)[:, None] - 50.0).square()
    image = torch.exp(-squared / 8)[None]
    camera = CameraIntrinsics(80.0, 80.0, 30.0, 50.0)
    normals = torch.tensor([0.6, 0.0, -0.8])[:, None, None].repeat(1, 81, 101)
    before = sample_of(
        image=image, camera_intrinsics=camera, normals=normals, semantic_map=torch.ones((81, 101)).long()
    )
    after = v2.RandomRotation((angle, angle), interpolation=BILINEAR, expand=expand)(before)
    _assert_marked(after, 1.0)
    turned = _plain(after.normals)[:, after.canvas_size[0] // 2, after.canvas_size[1] // 2]
    theta = math.radians(angle)  # counter-clockwise, y down
    assert torch.allclose(
        turned, torch.tensor([0.6 * math.cos(theta), -0.6 * math.sin(theta), -0.8]), atol=1e-5
    )
    if not expand:
        moved = v2.RandomAffine(
            (-angle, -angle), (0.1, 0.1), (0.9, 0.9), interpolation=BILINEAR, center=[40, 45]
        )
        torch.manual_seed(3)
        _assert_marked(moved(before), 0.9)


def _assert_marked(sample: DenseSample, scale: float) -> None:
    image, camera = _plain(sample.image)[0], sample.camera_intrinsics
    assert camera is not None
    total = image.sum()
    x = (image.sum(dim=0) * torch.arange(image.shape[1])).sum() / total
    y = (image.sum(dim=1) * torch.arange(image.shape[0])).sum() / total
    assert (camera.cx, camera.cy) == pytest.approx((x.item(), y.item()), abs=0.02)
    assert camera.fx == pytest.approx(80 * scale)


def test_a_turn_of_pixels_that_are_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match="rotate: got an angle of 30 degrees .* fx = 100 and fy = 50"):
        v2.RandomRotation((30, 30))(_scene())
    with pytest.raises(ValueError, match="affine: got an angle of 30 degrees"):
        v2.RandomAffine((30, 30))(_scene())
    nearly = full_sample(camera_intrinsics=CameraIntrinsics(50.0, 50.3, 30.0, 20.0))
    turned = v2.RandomRotation((30, 30))(nearly).camera_intrinsics
    assert turned.fx == turned.fy == pytest.approx(50.15, abs=1e-3)


def test_a_shear_is_refused_for_normals_and_cameras_alone() -> None:
    shear = v2.RandomAffine((0, 0), shear=(10, 10))
    with pytest.raises(ValueError, match=r"affine\(shear=...\): got a sample with normals"):
        shear(_scene())
    with pytest.raises(ValueError, match=r"affine\(shear=...\): got a sample with camera_intrinsics"):
        shear(_scene(normals=None))
    after = shear(_scene(normals=None, camera_intrinsics=None, metric_depth=False))
    after.validate()


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
def test_a_mirrored_border_is_refused_for_samples_and_right_for_maps(mode: Any) -> None:
    with pytest.raises(ValueError, match="padding_mode|Padding mode"):
        v2.Pad(2, padding_mode=mode)(_scene())
    ids = torch.arange(16).reshape(4, 4) + LARGE - 20
    padded = v2.Pad(2, padding_mode=mode)(PanopticMap(ids))
    rows = {"edge": [0, 0, 0, 1, 2, 3, 3, 3], "reflect": [2, 1, 0, 1, 2, 3, 2, 1]}
    rows["symmetric"] = [1, 0, 0, 1, 2, 3, 3, 2]
    index = torch.tensor(rows[mode])
    assert torch.equal(_plain(padded), ids[index][:, index])
    assert same_bits(
        v2.Pad(2, padding_mode=mode)(InstanceMask(ids[None] % 2 == 0)),
        InstanceMask(_plain(padded)[None] % 2 == 0),
    )


@pytest.mark.parametrize(
    "transform",
    [
        v2.RandomRotation((33, 33)),
        v2.RandomAffine((10, 10), (0.2, 0.2), (0.8, 0.8)),
        v2.RandomPerspective(0.6, p=1),
        v2.ElasticTransform(90.0),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_large_ids_and_maps_move_as_the_masks_do(transform: Any) -> None:
    plain = {
        "depth": None,
        "depth_valid": None,
        "normals": None,
        "camera_intrinsics": None,
        "metric_depth": False,
    }
    before = full_sample(**plain)
    after = transform(before)
    ids = after.instance_ids.to(torch.int64)[:, None, None]
    assert torch.equal(_plain(after.panoptic_map), (_plain(after.instance_masks) * ids).sum(dim=0))
    assert torch.equal(_plain(after.panoptic_map) != 0, _plain(after.semantic_map) == 5)


def test_nothing_under_an_invalid_pixel_is_read() -> None:
    before = full_sample(camera_intrinsics=None, metric_depth=False)
    other = dataclasses.replace(before, depth=torch.where(before.depth_valid, before.depth, -1e30))
    for transform in (
        v2.Resize((71, 33)),
        v2.RandomRotation((33, 33), interpolation=BILINEAR),
        v2.RandomAffine((20, 20), scale=(1.3, 1.3), interpolation=BILINEAR),
        v2.RandomAffine((20, 20)),
    ):
        first, second = transform(before), transform(other)
        assert same_bits(first.depth, second.depth)
        valid = _plain(first.depth_valid)
        assert first.depth[valid].min() >= 1
        assert first.depth[valid].max() <= 2
        assert (first.depth[~valid] == 0).all()


def _padded(rows: int, columns: int) -> Any:
    padding = torch.ones((1, 4, 4), dtype=torch.bool)
    padding[:, :rows, :columns] = False
    return sample_of(image=torch.zeros((3, 4, 4)), padding_mask=padding)


def test_padding_stays_at_the_right_and_at_the_bottom_or_is_refused() -> None:
    flip = v2.RandomHorizontalFlip(p=1)
    assert same_bits(flip(_padded(2, 4)).padding_mask, _padded(2, 4).padding_mask)
    assert not flip(_padded(4, 4)).padding_mask.any()
    for transform, sample in (
        (flip, _padded(4, 2)),
        (v2.RandomVerticalFlip(p=1), _padded(2, 4)),
        (v2.RandomRotation((180, 180)), _padded(2, 4)),
        (v2.RandomAffine((30, 30)), _padded(2, 2)),
        (v2.Pad((1, 0, 0, 0)), _padded(2, 2)),
    ):
        with pytest.raises(ValueError, match="padding_mask: .* come before FixedSizeCrop"):
            transform(sample)
    assert not v2.RandomRotation((45, 45), expand=True)(_padded(4, 4)).padding_mask.any()


def test_padding_is_resized_cropped_and_added_to() -> None:
    large = v2.Resize((8, 8))(_padded(3, 2)).padding_mask[0]
    assert (~large).nonzero().amax(dim=0).tolist() == [5, 3]
    assert int((~large).sum()) == 24
    added = v2.Pad((0, 0, 2, 1))(_padded(3, 2)).padding_mask
    assert added.shape == (1, 5, 6)
    assert int((~added).sum()) == 6
    around = v2.Pad(1)(_padded(4, 4)).padding_mask[0]
    assert torch.equal(
        ~around, torch.ones((6, 6), dtype=torch.bool) & (torch.arange(6) < 5) & (torch.arange(6) < 5)[:, None]
    )
    alone = v2.functional.horizontal_flip(PaddingMask(_plain(_padded(4, 2).padding_mask)))
    assert alone[0, 0].tolist() == [True, True, False, False]


def test_boxes_without_masks_are_torchvisions() -> None:
    boxes = torch.tensor([[1.0, 1.0, 3.0, 4.0], [0.0, 0.0, 1.0, 1.0]])
    sample = sample_of(image=torch.zeros((3, 8, 8)), boxes=boxes, labels=torch.tensor([1, 2]))
    assert v2.RandomHorizontalFlip(p=1)(sample).boxes.tolist() == [[5, 1, 7, 4], [7, 0, 8, 1]]
    cropped = v2.Lambda(lambda leaf: v2.functional.crop(leaf, 2, 2, 4, 4), tv_tensors.TVTensor)(sample)
    assert cropped.boxes.tolist() == [[0, 0, 1, 2], [0, 0, 0, 0]]  # degenerate: for SanitizeBoundingBoxes
    assert cropped.labels.tolist() == [1, 2]
    # torchvision 0.29 tells these boxes of a canvas of 130 rows, and the image has 129.
    turned = sample_of(image=torch.zeros((3, 81, 101)), boxes=boxes, labels=torch.tensor([1, 2]))
    turned = v2.RandomRotation((315, 315), expand=True)(turned)
    assert tuple(turned.boxes.canvas_size) == turned.canvas_size == (129, 129)
    empty = sample_of(image=torch.zeros((3, 8, 6)))
    for transform in (
        v2.RandomRotation((90, 90), expand=True),
        v2.Resize(3),
        v2.Pad(2),
        v2.RandomResizedCrop(5),
    ):
        transform(empty).validate()


class _Warp(v2.Transform):
    """A functional with fixed arguments on every leaf."""

    def __init__(self, functional: Callable[..., Any], *args: Any, **named: Any) -> None:
        super().__init__()
        self.call = (functional, args, named)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        functional, args, named = self.call
        return self._call_kernel(functional, inpt, *args, **named)


FLAT = {"depth": None, "depth_valid": None, "normals": None, "camera_intrinsics": None, "metric_depth": False}
CORNERS = [[0, 0], [59, 0], [59, 39], [0, 39]]
WARPS = {
    "rotate": (_Warp(v2.functional.rotate, angle=10.0, interpolation=BILINEAR), {}),
    "affine": (
        _Warp(
            v2.functional.affine,
            angle=7.0,
            translate=[3.0, -2.0],
            scale=0.9,
            shear=[0.0, 0.0],
            interpolation=BILINEAR,
        ),
        {},
    ),
    "perspective": (
        _Warp(v2.functional.perspective, startpoints=CORNERS, endpoints=[[5, 3], *CORNERS[1:]]),
        FLAT,
    ),
    "elastic": (
        _Warp(v2.functional.elastic, displacement=torch.full((1, 40, 60, 2), 0.11, dtype=torch.float32)),
        FLAT,
    ),
}


@pytest.mark.parametrize("warp", WARPS)
def test_a_warp_under_autocast_is_refused(warp: str) -> None:
    transform, changes = WARPS[warp]
    for dtype in (torch.bfloat16, torch.float16):
        with (
            torch.autocast("cpu", dtype=dtype),
            pytest.raises(RuntimeError, match=r"autocast: got it enabled on 'cpu'.* augment outside"),
        ):
            transform(full_sample(**changes))


def test_what_is_not_warped_is_the_same_under_autocast_and_a_warp_is_beside_it() -> None:
    height, width = 300, 700  # more columns than bfloat16 has whole numbers
    masks = torch.zeros((1, height, width), dtype=torch.bool)
    masks[0, 100:200, 500:650] = True
    sample = sample_of(
        image=torch.arange(3 * height * width).remainder(251).to(torch.uint8).reshape(3, height, width),
        boxes=torch.tensor([[500.0, 100.0, 650.0, 200.0]]),
        labels=torch.tensor([3]),
        instance_ids=torch.tensor([1], dtype=torch.int32),
        instance_masks=masks,
        depth=torch.full((1, height, width), 1.2345),
        depth_valid=torch.ones((1, height, width), dtype=torch.bool),
    )
    still = v2.Compose([v2.RandomHorizontalFlip(p=1), v2.Resize((290, 650)), v2.CenterCrop(280), v2.Pad(3)])
    turn = v2.RandomRotation((10, 10), BILINEAR)
    expected, turned = still(sample), turn(sample)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert changed_fields(expected, still(sample)) == set()
        with pytest.raises(RuntimeError, match="augment outside of autocast"):
            turn(sample)
        with torch.autocast("cpu", enabled=False):
            assert changed_fields(turned, turn(sample)) == set()


@pytest.fixture(params=[torch.float64, torch.bfloat16], ids=str)
def default_dtype(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    before = torch.get_default_dtype()
    yield request.param
    torch.set_default_dtype(before)


@pytest.mark.parametrize("warp", sorted(WARPS.keys() - {"perspective"}))  # torchvision's of boxes fails
def test_labels_stay_with_the_image_under_any_default_dtype(warp: str, default_dtype: torch.dtype) -> None:
    # torchvision's own grid has that dtype's precision. What the image shows, the labels show.
    labels = torch.arange(40 * 400).remainder(251).reshape(40, 400) + 1
    sample = sample_of(
        image=labels[None].to(torch.uint8),
        instance_ids=torch.tensor([1], dtype=torch.int32),
        instance_masks=labels[None] == 9,
        labels=torch.tensor([1]),
        boxes=torch.tensor([[0.0, 0.0, 400.0, 40.0]]),
        semantic_map=labels,
    )
    functional, args, named = WARPS[warp][0].call
    if warp == "elastic":
        named = {"displacement": torch.full((1, 40, 400, 2), 0.11, dtype=torch.float32)}
    transform = _Warp(functional, *args, **(named | {"interpolation": NEAREST}))
    torch.set_default_dtype(default_dtype)
    after = transform(sample)
    image = _plain(after.image)[0].to(torch.int64)
    assert int((image != 0).sum()) > 4000
    assert torch.equal(torch.where(image == 0, 255, image), _plain(after.semantic_map))
    assert torch.equal(image == 9, _plain(after.instance_masks)[0])


@pytest.mark.parametrize("still", ["resize", "crop"])
def test_the_default_dtype_changes_no_bit_of_what_is_not_warped(
    still: str, default_dtype: torch.dtype
) -> None:
    transform = {
        "resize": _Warp(v2.functional.resize, [23, 41]),
        "crop": _Warp(v2.functional.crop, -3, 5, 45, 50),
    }[still]
    sample = full_sample()
    expected = transform(sample)
    torch.set_default_dtype(default_dtype)
    assert changed_fields(expected, transform(sample)) == set()


def test_the_boxes_of_a_sample_without_any_are_float32(default_dtype: torch.dtype) -> None:
    torch.set_default_dtype(default_dtype)
    assert sample_of(image=torch.zeros((1, 2, 2), dtype=torch.uint8)).boxes.dtype == torch.float32
