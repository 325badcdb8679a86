"""Kernels for torchvision's transforms v2: how every leaf of a sample moves.

Registered when :mod:`segpaste.types` is imported. Masks, ids and classes are looked up at
whole pixels, by index, so that no number is rounded; depth is interpolated among valid
pixels, normals are interpolated and made unit vectors again; intrinsics follow. What is
filled in beside the image has no label: semantic 255, panoptic 0, no mask, no depth, no
normal, whatever ``fill`` says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from segpaste.types.leaves import IGNORE, CameraLeaf, DepthLeaf, NormalsLeaf
from segpaste.types.resampling import (
    Between,
    Lookup,
    depth_between,
    looked_up,
    normals_between,
    resized_lookup,
    turned,
    warped_lookup,
)
from segpaste.types.tensors import InstanceMask, PaddingMask, PanopticMap, SemanticMap

LABELS: dict[type[tv_tensors.TVTensor], int] = {InstanceMask: 0, SemanticMap: IGNORE, PanopticMap: 0}
"""Types that are looked up by index, and what each gets where there was no pixel."""

SQUARE = 0.01
"""How far fx / fy may be from 1 for a turn by no quarter turn: a resize to whole pixels is this far off."""

_NAMES: dict[type[tv_tensors.TVTensor], str] = {
    DepthLeaf: "depth",
    NormalsLeaf: "normals",
    CameraLeaf: "camera_intrinsics",
}
"""Types that not every move can carry, and what an error calls them."""

_Kernel = Callable[..., torch.Tensor]


def register_kernels() -> None:
    """Tell torchvision of every kernel; done once, by :mod:`segpaste.types`."""
    for kind in (*LABELS, PaddingMask, *_NAMES):
        _register(F.horizontal_flip, kind, _flip_kernel(kind, -1, 0))
        _register(F.vertical_flip, kind, _flip_kernel(kind, -2, 1))
        _register(F.resize, kind, _resize_kernel(kind))
        _register(F.pad, kind, _pad_kernel(kind))
        _register(F.crop, kind, _crop_kernel(kind))
        _register(F.center_crop, kind, _center_crop_kernel(kind))
        _register(F.resized_crop, kind, _resized_crop_kernel(kind))
        _register(F.affine, kind, _affine_kernel(kind))
        _register(F.rotate, kind, _rotate_kernel(kind))
        _register(F.perspective, kind, _perspective_kernel(kind))
        _register(F.elastic, kind, _elastic_kernel(kind))
        F.register_kernel(F.to_dtype, kind)(_to_dtype)


def _register(functional: Callable[..., Any], kind: type[tv_tensors.TVTensor], kernel: _Kernel) -> None:
    def wrapped(leaf: tv_tensors.TVTensor, *args: Any, **named: Any) -> torch.Tensor:
        return kernel(leaf.as_subclass(torch.Tensor), *args, **named).as_subclass(type(leaf))

    F.register_kernel(functional, kind)(wrapped)


# ----------------------------------------------------------------- flips


def _flip_normals(axis: int, component: int) -> _Kernel:
    def kernel(normals: torch.Tensor) -> torch.Tensor:
        flipped = normals.flip(axis)
        flipped[component] = 0 - flipped[component]
        return flipped

    return kernel


def _flip_camera(component: int) -> _Kernel:
    def kernel(camera: torch.Tensor) -> torch.Tensor:
        flipped = camera.clone()
        flipped[2 + component] = camera[4 + component] - 1 - camera[2 + component]
        return flipped

    return kernel


def _flip_kernel(kind: type[tv_tensors.TVTensor], axis: int, component: int) -> _Kernel:
    if kind is NormalsLeaf:
        return _flip_normals(axis, component)
    return _flip_camera(component) if kind is CameraLeaf else lambda leaf: leaf.flip(axis)


# ---------------------------------------------------------------- resize


def _new_size(size: Any, height: int, width: int, max_size: int | None) -> tuple[int, int]:
    """What torchvision makes of ``size``, asked of its boxes."""
    none = torch.zeros((0, 4), dtype=torch.float32)
    return F.resize_bounding_boxes(none, (height, width), size=size, max_size=max_size)[1]


def _lookup(
    leaf: torch.Tensor, size: Any, interpolation: Any, max_size: int | None
) -> tuple[Lookup | None, bool]:
    """Which pixel each pixel of the output shows, None if the size stays; and whether it is interpolated.

    An image that is resized by ``nearest`` (which is half a pixel off) takes its labels along.
    """
    height, width = leaf.shape[-2:]
    new = _new_size(size, height, width, max_size)
    mode = _mode(interpolation)
    nearest = mode in ("nearest", "nearest-exact")
    if new == (height, width):
        return None, not nearest
    rule = "nearest" if mode == "nearest" else "nearest-exact"
    return resized_lookup((height, width), new, rule, leaf.device), not nearest


def _resize_kernel(kind: type[tv_tensors.TVTensor]) -> _Kernel:
    def kernel(
        leaf: torch.Tensor,
        size: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> torch.Tensor:
        if kind is CameraLeaf:
            new_height, new_width = _new_size(size, *_size_of(leaf, kind), max_size)
            return _stretched(leaf, new_width, new_height)
        lookup, between = _lookup(leaf, size, interpolation, max_size)
        return leaf if lookup is None else _at(kind, leaf, lookup, _bilinear_to(lookup) if between else None)

    return kernel


def _stretched(camera: torch.Tensor, width: int, height: int) -> torch.Tensor:
    new = torch.tensor([width, height], dtype=camera.dtype, device=camera.device)
    scale = new / camera[4:]
    return torch.cat([camera[:2] * scale, (camera[2:4] + 0.5) * scale - 0.5, new])


def _bilinear_to(lookup: Lookup) -> Callable[[torch.Tensor], torch.Tensor]:
    """Four taps, without antialiasing: far and near must not be mixed over many pixels."""
    return lambda channels: torch.nn.functional.interpolate(
        channels[None], size=lookup.size, mode="bilinear", align_corners=False
    )[0]


# --------------------------------------------------------- pad and crops


def _pad_constant(leaf: torch.Tensor, sides: _Sides, fill: int) -> torch.Tensor:
    return torch.nn.functional.pad(leaf, list(sides), value=fill) if any(sides) else leaf


class _Sides(NamedTuple):
    """Pixels to add at each side, fewer than 0 to take away."""

    left: int
    right: int
    top: int
    bottom: int


def _sides(padding: int | Sequence[int]) -> _Sides:
    """As torchvision reads them: one for all, left/right and top/bottom, or left, top, right, bottom."""
    numbers = [padding] if isinstance(padding, int) else list(padding)
    if len(numbers) == 1:
        numbers *= 4
    elif len(numbers) == 2:
        numbers *= 2
    if len(numbers) != 4:
        raise ValueError(f"padding: got {padding!r}, expected 1, 2 or 4 numbers of pixels")
    left, top, right, bottom = numbers
    return _Sides(left, right, top, bottom)


def _pad_labels(kind: type[tv_tensors.TVTensor]) -> _Kernel:
    def kernel(
        leaf: torch.Tensor, padding: Any, fill: Any = None, padding_mode: str = "constant"
    ) -> torch.Tensor:
        if padding_mode == "constant":
            return _pad_constant(leaf, _sides(padding), LABELS[kind])
        return looked_up(
            leaf,
            warped_lookup(
                leaf, lambda pixels: F.pad_image(pixels, padding=padding, padding_mode=padding_mode)
            ),
        )

    return kernel


def _pad_filled(what: str) -> _Kernel:
    def kernel(
        leaf: torch.Tensor, padding: Any, fill: Any = None, padding_mode: str = "constant"
    ) -> torch.Tensor:
        if padding_mode != "constant":
            raise _refused(f"pad(padding_mode={padding_mode!r})", what)
        return _pad_constant(leaf, _sides(padding), 0)

    return kernel


def _pad_padding(
    leaf: torch.Tensor, padding: Any, fill: Any = None, padding_mode: str = "constant"
) -> torch.Tensor:
    if padding_mode != "constant":
        raise _refused(f"pad(padding_mode={padding_mode!r})", "padding_mask")
    return _padding_with_sides(leaf, _sides(padding))


def _padding_with_sides(leaf: torch.Tensor, sides: _Sides) -> torch.Tensor:
    """What is added at the right and at the bottom is padding; at the left and top it is void content."""
    left, right, top, bottom = sides
    before = _pad_constant(leaf, _Sides(left, min(right, 0), top, min(bottom, 0)), 0)
    return _pad_constant(before, _Sides(0, max(right, 0), 0, max(bottom, 0)), 1)


def _pad_camera(
    camera: torch.Tensor, padding: Any, fill: Any = None, padding_mode: str = "constant"
) -> torch.Tensor:
    if padding_mode != "constant":
        raise _refused(f"pad(padding_mode={padding_mode!r})", "camera_intrinsics")
    return _camera_with_sides(camera, _sides(padding))


def _camera_with_sides(camera: torch.Tensor, sides: _Sides) -> torch.Tensor:
    left, right, top, bottom = sides
    moved = [0, 0, left, top, left + right, top + bottom]
    return camera + torch.tensor(moved, dtype=camera.dtype, device=camera.device)


def _pad_kernel(kind: type[tv_tensors.TVTensor]) -> _Kernel:
    if kind in LABELS:
        return _pad_labels(kind)
    if kind is PaddingMask:
        return _pad_padding
    return _pad_camera if kind is CameraLeaf else _pad_filled(_NAMES[kind])


def _crop(kind: type[tv_tensors.TVTensor], leaf: torch.Tensor, sides: _Sides) -> torch.Tensor:
    """Crop where a side is below 0, pad where it is above."""
    if kind is CameraLeaf:
        return _camera_with_sides(leaf, sides)
    height, width = leaf.shape[-2:]
    left, right, top, bottom = (min(side, 0) for side in sides)
    rows, columns = slice(min(-top, height), max(height + bottom, 0)), slice(-left, max(width + right, 0))
    inside = leaf[..., rows, columns]
    added = _Sides(*(max(side, 0) for side in sides))
    if -left >= width or -top >= height or -right >= width or -bottom >= height:
        # Nothing of the image is seen: what torchvision adds reaches beyond it on one side.
        return _nothing(kind, leaf, (height + sum(sides[2:]), width + sum(sides[:2])))
    if kind is PaddingMask:
        return _padding_with_sides(inside, added)
    return _pad_constant(inside, added, LABELS.get(kind, 0))


def _nothing(kind: type[tv_tensors.TVTensor], leaf: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    fill = True if kind is PaddingMask else LABELS.get(kind, 0)
    return leaf.new_full((*leaf.shape[:-2], *size), fill)


def _crop_sides(leaf: torch.Tensor, kind: type, top: int, left: int, height: int, width: int) -> _Sides:
    old_height, old_width = _size_of(leaf, kind)
    return _Sides(-left, left + width - old_width, -top, top + height - old_height)


def _size_of(leaf: torch.Tensor, kind: type) -> tuple[int, int]:
    if kind is CameraLeaf:
        width, height = (int(number) for number in leaf[4:].tolist())
        return height, width
    return leaf.shape[-2], leaf.shape[-1]


def _crop_kernel(kind: type[tv_tensors.TVTensor]) -> _Kernel:
    def kernel(leaf: torch.Tensor, top: int, left: int, height: int, width: int) -> torch.Tensor:
        return _crop(kind, leaf, _crop_sides(leaf, kind, top, left, height, width))

    return kernel


def _center_crop_kernel(kind: type[tv_tensors.TVTensor]) -> _Kernel:
    def kernel(leaf: torch.Tensor, output_size: Any) -> torch.Tensor:
        sizes = [output_size] if isinstance(output_size, int) else list(output_size)
        new_height, new_width = (int(sizes[0]), int(sizes[-1]))
        height, width = _size_of(leaf, kind)
        # Half of what is missing before, rounded down; half of what is too much, rounded to even.
        before = [
            (new - old) // 2 if new > old else -round((old - new) / 2)
            for new, old in ((new_width, width), (new_height, height))
        ]
        left, top = before
        sides = _Sides(left, new_width - width - left, top, new_height - height - top)
        return _crop(kind, leaf, sides)

    return kernel


def _resized_crop_kernel(kind: type[tv_tensors.TVTensor]) -> _Kernel:
    resize = _resize_kernel(kind)

    def kernel(
        leaf: torch.Tensor,
        top: int,
        left: int,
        height: int,
        width: int,
        size: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> torch.Tensor:
        sides = _crop_sides(leaf, kind, top, left, height, width)
        part = _crop(kind, leaf, sides)
        return resize(part, size=size, interpolation=interpolation)

    return kernel


# ----------------------------------- affine, rotate, perspective, elastic


def _warp(kind: type[tv_tensors.TVTensor], leaf: torch.Tensor, move: _Move, mode: str) -> torch.Tensor:
    """A leaf moved as torchvision moves an image: ``move`` calls its functional for images."""
    _refuse_autocast(leaf.device.type)
    lookup = warped_lookup(leaf, lambda pixels: move.image(pixels, nearest=True))
    between = None if mode == "nearest" else lambda channels: move.image(channels, nearest=False)
    moved = _at(kind, leaf, lookup, between)
    return turned(moved, move.turn) if kind is NormalsLeaf else moved


def _at(
    kind: type[tv_tensors.TVTensor], leaf: torch.Tensor, lookup: Lookup, between: Between | None
) -> torch.Tensor:
    """A leaf at a lookup; depth and normals by ``between``, where there is one."""
    if kind is DepthLeaf:
        return depth_between(leaf, lookup, between)
    if kind is NormalsLeaf:
        return normals_between(leaf, lookup, between)
    return looked_up(leaf, lookup, LABELS.get(kind, 0))


def _refuse_autocast(device: str) -> None:
    """Under autocast torchvision rounds the grid, the image's too, to 8 or 11 bits: it misses pixels."""
    if torch.is_autocast_enabled(device):
        raise RuntimeError(
            f"torch.autocast: got it enabled on {device!r} while a sample is warped, whose coordinates it "
            f"would round; augment outside of autocast, or in torch.autocast({device!r}, enabled=False)"
        )


class _Move(NamedTuple):
    """A move by a grid."""

    image: Callable[..., torch.Tensor]
    turn: tuple[float, float] = (1.0, 0.0)
    """Cosine and sine of the angle by which it turns, from x to y: clockwise."""


def _affine_kernel(kind: type[tv_tensors.TVTensor]) -> _Kernel:
    def kernel(
        leaf: torch.Tensor,
        angle: float,
        translate: Sequence[float],
        scale: float,
        shear: float | Sequence[float],
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = None,
        center: Sequence[float] | None = None,
    ) -> torch.Tensor:
        sheared = bool(shear) if isinstance(shear, (int, float)) else any(shear)
        if sheared and kind in (NormalsLeaf, CameraLeaf):
            raise _refused("affine(shear=...)", _NAMES[kind])
        if kind is CameraLeaf:
            width, height = (int(number) for number in leaf[4:].tolist())
            return _turned_camera(
                leaf, "affine", angle, (height, width), tuple(translate), float(scale), center
            )

        def image(pixels: torch.Tensor, nearest: bool) -> torch.Tensor:
            return F.affine_image(
                pixels,
                angle=angle,
                translate=list(translate),
                scale=scale,
                shear=shear,  # pyright: ignore[reportArgumentType]
                interpolation=_between(nearest),
                center=None if center is None else list(center),
            )

        return _warp(kind, leaf, _Move(image, _cos_sin(angle)), _mode(interpolation))

    return kernel


def _rotate_kernel(kind: type[tv_tensors.TVTensor]) -> _Kernel:
    def kernel(
        leaf: torch.Tensor,
        angle: float,
        interpolation: Any = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = None,
    ) -> torch.Tensor:
        middle = None if center is None else list(center)
        if kind is CameraLeaf:
            width, height = (int(number) for number in leaf[4:].tolist())
            size = (height, width)
            if expand:  # torchvision's boxes may be told of a canvas that is a pixel larger than the image
                shown = F.rotate_image(
                    torch.zeros((1, height, width), dtype=torch.uint8), angle, expand=True, center=middle
                )
                size = (shown.shape[-2], shown.shape[-1])
            return _turned_camera(leaf, "rotate", -angle, size, (0.0, 0.0), 1.0, center)

        def image(pixels: torch.Tensor, nearest: bool) -> torch.Tensor:
            return F.rotate_image(
                pixels, angle=angle, interpolation=_between(nearest), expand=expand, center=middle
            )

        # ``rotate`` turns counter-clockwise, ``affine`` clockwise.
        return _warp(kind, leaf, _Move(image, _cos_sin(-angle)), _mode(interpolation))

    return kernel


def _perspective_kernel(kind: type[tv_tensors.TVTensor]) -> _Kernel:
    def kernel(
        leaf: torch.Tensor,
        startpoints: Any,
        endpoints: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = None,
        coefficients: Any = None,
    ) -> torch.Tensor:
        if kind in _NAMES:
            raise _refused_all("perspective", _NAMES[kind])

        def image(pixels: torch.Tensor, nearest: bool) -> torch.Tensor:
            return F.perspective_image(
                pixels, startpoints, endpoints, interpolation=_between(nearest), coefficients=coefficients
            )

        return _warp(kind, leaf, _Move(image), "nearest")

    return kernel


def _elastic_kernel(kind: type[tv_tensors.TVTensor]) -> _Kernel:
    def kernel(
        leaf: torch.Tensor,
        displacement: torch.Tensor,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = None,
    ) -> torch.Tensor:
        if kind in _NAMES:
            raise _refused_all("elastic", _NAMES[kind])

        def image(pixels: torch.Tensor, nearest: bool) -> torch.Tensor:
            return F.elastic_image(pixels, displacement, interpolation=_between(nearest))

        return _warp(kind, leaf, _Move(image), "nearest")

    return kernel


def _turned_camera(
    camera: torch.Tensor,
    name: str,
    clockwise: float,
    size: tuple[int, int],
    translate: tuple[float, ...],
    scale: float,
    center: Sequence[float] | None,
) -> torch.Tensor:
    fx, fy, cx, cy, width, height = camera.tolist()
    cosine, sine = _cos_sin(clockwise)
    if sine == 0:
        pass
    elif cosine == 0:
        fx, fy = fy, fx
    elif abs(fx / fy - 1) > SQUARE:
        raise ValueError(
            f"{name}: got an angle of {abs(clockwise):g} degrees for camera_intrinsics with fx = {fx:g} and "
            f"fy = {fy:g}, expected a multiple of 90, or pixels that are square to within {SQUARE:.0%}"
        )
    else:
        fx = fy = math.sqrt(fx * fy)
    # The middle of the image, and what is turned about, both as corners at integers.
    middle = (width / 2, height / 2)
    about = middle if center is None else (float(center[0]), float(center[1]))
    x, y = (cx + 0.5 - about[0]) * scale, (cy + 0.5 - about[1]) * scale
    new_x = cosine * x - sine * y + about[0] + translate[0] + (size[1] - width) / 2 - 0.5
    new_y = sine * x + cosine * y + about[1] + translate[1] + (size[0] - height) / 2 - 0.5
    numbers = [fx * scale, fy * scale, new_x, new_y, size[1], size[0]]
    return torch.tensor(numbers, dtype=camera.dtype, device=camera.device)


def _cos_sin(degrees: float) -> tuple[float, float]:
    """Exact for quarter turns."""
    quarters = degrees % 360 / 90
    if quarters == int(quarters):
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(quarters) % 4]
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


# ------------------------------------------------------------------ dtype


def _to_dtype(leaf: torch.Tensor, dtype: torch.dtype, scale: bool = False) -> torch.Tensor:
    """Nothing, to the bit, where values are to be scaled to a range, which is meant for images."""
    return leaf if scale else leaf.to(dtype)


# ------------------------------------------------------------------ errors


def _mode(interpolation: Any) -> str:
    if isinstance(interpolation, int):
        return "nearest" if interpolation == 0 else "bilinear"  # Pillow's numbers
    return InterpolationMode(interpolation).value


def _between(nearest: bool) -> InterpolationMode:
    return InterpolationMode.NEAREST if nearest else InterpolationMode.BILINEAR


def _refused(what: str, field: str) -> ValueError:
    drop = {"depth": "depth=None, depth_valid=None, metric_depth=False"}.get(field, f"{field}=None")
    if field == "camera_intrinsics":
        drop += ", metric_depth=False"
    return ValueError(
        f"{what}: got a sample with {field}, which it would leave wrong; expected one without "
        f"(dataclasses.replace(sample, {drop})) or another transform"
    )


def _refused_all(what: str, field: str) -> ValueError:
    return ValueError(
        f"{what}: got a sample with {field}; it carries neither depth nor normals nor camera_intrinsics: "
        "expected a sample without (dataclasses.replace(sample, depth=None, depth_valid=None, normals=None, "
        "camera_intrinsics=None, metric_depth=False)) or another transform"
    )
