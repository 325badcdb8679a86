"""Large-scale jittering (Ghiasi et al., "Simple Copy-Paste", CVPR 2021) of whole samples.

As transforms of torchvision v2, on a :class:`DenseSample` with all it has, or on a dict or
tuple of tv_tensors. They draw from torch's global generator, as all transforms of v2 do.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from segpaste.types import DenseSample, PaddingMask, SemanticMap
from segpaste.types.batch_leaves import refuse_batches
from segpaste.types.numbers import whole_number


class RandomResize(v2.Transform):
    """Resize to fit a target size times a random scale, keeping the aspect ratio.

    With ``s`` uniform in ``[min_scale, max_scale]`` the factor is
    ``s * min(target_height / H, target_width / W)``; sizes are rounded, and at least 1. The
    image is interpolated (bilinear, antialiased), masks and maps are looked up at the nearest
    pixel, depth and normals are interpolated where they are valid, intrinsics follow.

    torchvision has a ``v2.RandomResize(min_size, max_size)``, which is another one.

    Args:
        min_scale, max_scale: finite and more than 0, the first at most the second.
        target_height, target_width: pixels, 1 or more.

    Raises:
        TypeError: if one of them is no number.
        ValueError: if it is out of its range.
    """

    def __init__(self, min_scale: float, max_scale: float, target_height: int, target_width: int) -> None:
        super().__init__()
        self.min_scale, self.max_scale = _scale("min_scale", min_scale), _scale("max_scale", max_scale)
        if self.min_scale > self.max_scale:
            raise ValueError(f"min_scale: got {min_scale}, expected at most max_scale, {max_scale}")
        self.target_height = whole_number("target_height", target_height, at_least=1)
        self.target_width = whole_number("target_width", target_width, at_least=1)

    def forward(self, *inputs: Any) -> Any:
        """Resize whatever the inputs hold."""
        refuse_batches("RandomResize", inputs)
        return super().forward(*inputs)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the new ``size``, ``[H', W']``."""
        height, width = v2.query_size(flat_inputs)
        drawn = float(torch.rand((), dtype=torch.float64))
        scale = self.min_scale + (self.max_scale - self.min_scale) * drawn
        factor = scale * min(self.target_height / height, self.target_width / width)
        return {"size": [max(1, round(height * factor)), max(1, round(width * factor))]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize one leaf."""
        if params["size"][1] == 1 and type(inpt) in (torch.Tensor, tv_tensors.Image):
            narrow = _one_column(inpt.as_subclass(torch.Tensor), params["size"])
            return narrow.as_subclass(type(inpt))
        return self._call_kernel(F.resize, inpt, params["size"])


class FixedSizeCrop(v2.Transform):
    """A random window where the image is larger than the output, padding where it is smaller.

    Padding goes to the right and to the bottom. A :class:`DenseSample` that is padded has a
    ``padding_mask`` that says so, whether or not it had one; ``BatchedDenseSample.from_samples``
    takes samples with and without. In a dict or tuple a ``PaddingMask`` is set only if it is
    there. What is padded has no label: no mask, panoptic 0, no depth, no normal, and
    ``seg_pad_value`` in the semantic map.

    Args:
        output_height, output_width: pixels, 1 or more.
        img_pad_value: what is written into the image, in the units of its dtype; a number, or one
            per channel.
        seg_pad_value: what is written into a ``SemanticMap``, and in a dict or tuple into a
            plain ``Mask`` ``[H, W]``, too. One of bool, or of more dimensions, is taken for masks,
            which get 0.

    Raises:
        TypeError: if one of them is no number.
        ValueError: if it is out of its range; when called, if it is out of the range of what is
            padded, or if the sample has a padding mask with padding that would not stay at the right
            and at the bottom.
    """

    def __init__(
        self,
        output_height: int,
        output_width: int,
        img_pad_value: float | Sequence[float] = 0,
        seg_pad_value: int = 255,
    ) -> None:
        super().__init__()
        self.output_height = whole_number("output_height", output_height, at_least=1)
        self.output_width = whole_number("output_width", output_width, at_least=1)
        self.img_pad_value = _pad_value(img_pad_value)
        self.seg_pad_value = whole_number("seg_pad_value", seg_pad_value, at_least=0)

    def forward(self, *inputs: Any) -> Any:
        """Crop and pad whatever the inputs hold."""
        given: Any = inputs if len(inputs) != 1 else inputs[0]
        refuse_batches("FixedSizeCrop", given)
        return super().forward(pytree.tree_map(self._with_padding_mask, given, is_leaf=_is_sample))

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the window: ``top``, ``left``, ``height``, ``width``, and what to add: ``padding``."""
        height, width = v2.query_size(flat_inputs)
        kept_height, kept_width = min(height, self.output_height), min(width, self.output_width)
        drawn = torch.rand(2, dtype=torch.float64).tolist()
        top, left = (
            min(int(part * (free + 1)), free)  # every offset is equally likely
            for part, free in zip(drawn, (height - kept_height, width - kept_width), strict=True)
        )
        added = [0, 0, self.output_width - kept_width, self.output_height - kept_height]
        return {"top": top, "left": left, "height": kept_height, "width": kept_width, "padding": added}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Crop and pad one leaf."""
        window = {name: params[name] for name in ("top", "left", "height", "width")}
        cropped = self._call_kernel(F.crop, inpt, **window)
        padding = params["padding"]
        if not any(padding):
            return cropped
        if isinstance(cropped, SemanticMap) or (type(cropped) is tv_tensors.Mask and cropped.ndim == 2):
            _, _, right, bottom = padding
            plain = cropped.as_subclass(torch.Tensor)
            padded = torch.nn.functional.pad(plain, [0, right, 0, bottom], value=self._seg_pad_value(plain))
            return padded.as_subclass(type(cropped))
        fill: Any = 0 if isinstance(cropped, tv_tensors.Mask) else self.img_pad_value
        if isinstance(cropped, torch.Tensor) and type(cropped) in (torch.Tensor, tv_tensors.Image):
            self._check_pad_value(cropped)
        return self._call_kernel(F.pad, cropped, padding=padding, fill=fill)

    def _seg_pad_value(self, plain: torch.Tensor) -> int:
        """What a map ``[H, W]`` of some dtype gets; one of bool is no map of classes, but a mask."""
        if plain.dtype == torch.bool:
            return 0
        if not plain.is_floating_point():
            dtype = torch.iinfo(plain.dtype)
            if self.seg_pad_value > dtype.max:
                raise ValueError(
                    f"seg_pad_value: got {self.seg_pad_value} for a mask of {dtype.dtype}, "
                    f"expected 0 to {dtype.max}"
                )
        return self.seg_pad_value

    def _check_pad_value(self, image: torch.Tensor) -> None:
        value = self.img_pad_value
        values = value if isinstance(value, list) else [value]
        if len(values) not in (1, image.shape[-3]):
            raise ValueError(f"img_pad_value: got {value}, expected a number, or {image.shape[-3]} of them")
        if image.dtype == torch.uint8 and any(v != int(v) or not 0 <= v <= 255 for v in values):
            raise ValueError(f"img_pad_value: got {value} for an image of uint8, expected 0 to 255")

    def _with_padding_mask(self, value: Any) -> Any:
        """A sample that will be padded, with a padding mask."""
        if not isinstance(value, DenseSample) or value.padding_mask is not None:
            return value
        height, width = value.canvas_size
        if height >= self.output_height and width >= self.output_width:
            return value
        none = torch.zeros((1, height, width), dtype=torch.bool, device=value.image.device)
        fields = value.to_dict()
        return type(value).unchecked(**fields, padding_mask=PaddingMask.from_tensor(none))


def make_large_scale_jittering(
    output_size: int | tuple[int, int],
    min_scale: float = 0.1,
    max_scale: float = 2.0,
    img_pad_value: float | Sequence[float] = 0,
    seg_pad_value: int = 255,
) -> v2.Compose:
    """Large-scale jittering: :class:`RandomResize` to the output size, then :class:`FixedSizeCrop`.

    Args:
        output_size: pixels, one number for both or ``(height, width)``.
        min_scale: least scale, 1 being where the image just fits the output; 0.1 in Ghiasi et al.
        max_scale: greatest scale; 2.0 in Ghiasi et al.
        img_pad_value: as in :class:`FixedSizeCrop`.
        seg_pad_value: as in :class:`FixedSizeCrop`.

    Returns:
        A ``v2.Compose``, to be called on a :class:`DenseSample` or on a dict of tv_tensors.

    Raises:
        TypeError, ValueError: on an argument that makes no sense, naming it.
    """
    if isinstance(output_size, Sequence) and not isinstance(output_size, str):
        if len(output_size) != 2:
            raise ValueError(f"output_size: got {output_size!r}, expected an int or (height, width)")
        height, width = output_size
    else:
        height = width = output_size
    height = whole_number("output_size", height, at_least=1)
    width = whole_number("output_size", width, at_least=1)
    return v2.Compose([
        RandomResize(min_scale, max_scale, height, width),
        FixedSizeCrop(height, width, img_pad_value, seg_pad_value),
    ])  # fmt: skip


def _one_column(image: torch.Tensor, size: list[int]) -> torch.Tensor:
    """An image ``[..., C, H, W]`` resized to a width of 1.

    On the CPU torch 2.15 repeats the first row of a float image of that width, and uint8 ones have
    errors of their own. So columns are resized as rows, in float32.
    """
    pixels = image if image.is_floating_point() else image.to(torch.float32)
    if size[0] > 1:
        turned = pixels.transpose(-1, -2).contiguous()
        pixels = F.resize_image(turned, size[::-1]).transpose(-1, -2)
    else:
        pixels = F.resize_image(pixels, size)
    return pixels if image.is_floating_point() else pixels.round().to(image.dtype)


def _is_sample(value: Any) -> bool:
    return isinstance(value, DenseSample)


def _scale(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: got {value!r}, expected a number")
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name}: got {value}, expected a finite number of more than 0")
    return number


def _pad_value(value: Any) -> float | list[float]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [float(_finite(number)) for number in value]
    return _finite(value)


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"img_pad_value: got {value!r}, expected a number, or one per channel")
    if not math.isfinite(value):
        raise ValueError(f"img_pad_value: got {value}, expected a finite number")
    return operator.index(value) if isinstance(value, Integral) else float(value)
