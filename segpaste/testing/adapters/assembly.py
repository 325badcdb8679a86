"""What adapters of torch libraries share: seeding the library, and making a sample of its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from segpaste.testing.adapters.base import (
    DTYPE_KEPT,
    ROWS_ALIGNED,
    Adapted,
    Complaint,
    UnreadableResultError,
)
from segpaste.types import DenseSample
from segpaste.types.dense_sample import xyxy

_ROWS = ("boxes", "labels", "instance_ids", "instance_masks")
_MAPS = (
    "instance_masks",
    "semantic_map",
    "panoptic_map",
    "depth",
    "depth_valid",
    "normals",
    "padding_mask",
)
_CHANNELS = ("depth", "depth_valid", "normals", "padding_mask")


@contextmanager
def seeded_torch(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's global generator seeded, and that of ``device``; both are put back afterwards.

    No other generator is touched: that a library draws from NumPy's or Python's own is
    something to be found out.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed(seed)
        yield


def in_range(image: torch.Tensor) -> torch.Tensor:
    """The image with floats clamped to 0 and 1, between which torch libraries expect them."""
    return image.clamp(0, 1) if image.is_floating_point() else image


def assemble(
    target: DenseSample,
    fields: Mapping[str, Any],
    handed: Mapping[str, Any],
    others: Mapping[str, Any] | None = None,
) -> Adapted:
    """The sample that a library's result stands for.

    Args:
        target: what the library was given a form of.
        fields: the result, by the names and in the shapes of :class:`DenseSample`; dtypes
            and sizes are the library's.
        handed: what the library was given, likewise: where a dtype comes back changed,
            there is a complaint and the value is converted to the target's.
        others: fields of the sample that are no tensors.

    Raises:
        UnreadableResultError: if a field is missing or no tensor, if rows are not as many
            in all of boxes, labels, ids and masks, or if a map has not the image's size.
    """
    complaints: list[Complaint] = []
    values: dict[str, torch.Tensor] = {}
    for name, given in handed.items():
        value = fields.get(name)
        if not isinstance(value, torch.Tensor):
            raise _unreadable(ROWS_ALIGNED, f"{name}: {type(value).__name__} came back, expected a tensor")
        if value.dtype != given.dtype:
            complaints.append(Complaint(DTYPE_KEPT, f"{name}: {value.dtype}, expected {given.dtype}"))
        values[name] = value.as_subclass(torch.Tensor)
    _check_shapes(values, target)
    for name, value in values.items():
        wanted = getattr(target, name).dtype
        if name == "image" and value.dtype in (torch.uint8, torch.float32):
            continue  # Both are images; the complaint says that it is not the one that went in.
        values[name] = value != 0 if wanted == torch.bool else value.to(wanted)
    size = (values["image"].shape[-2], values["image"].shape[-1])
    values["boxes"] = xyxy(values["boxes"], size)
    return Adapted(DenseSample.unchecked(**values, **(others or {})), tuple(complaints))


def _check_shapes(values: Mapping[str, torch.Tensor], target: DenseSample) -> None:
    for name, value in values.items():
        was = getattr(target, name)
        channels = name in _CHANNELS and value.shape[:1] != was.shape[:1]
        if value.ndim != was.ndim or channels:
            expected = [*was.shape[:-2], "H", "W"] if name in _MAPS else list(was.shape)
            told = f"{name}: shape {list(value.shape)}, expected one such as {expected}"
            raise _unreadable(ROWS_ALIGNED, told)
    counts = {name: values[name].shape[0] for name in _ROWS if name in values}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} in {name}" for name, count in counts.items())
        raise _unreadable(ROWS_ALIGNED, f"rows: {told}, expected as many in each")
    height, width = values["image"].shape[-2:]
    for name in _MAPS:
        if name in values and tuple(values[name].shape[-2:]) != (height, width):
            got = list(values[name].shape[-2:])
            raise _unreadable(ROWS_ALIGNED, f"{name}: {got} pixels, the image has {[height, width]}")


def _unreadable(law: str, message: str) -> UnreadableResultError:
    return UnreadableResultError(Complaint(law, message))
