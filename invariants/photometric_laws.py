"""The laws of augmentations that change colours only."""

from __future__ import annotations

import torch

from segpaste.invariants.bits import differs, same
from segpaste.invariants.registry import register
from segpaste.invariants.report import HELD, Finding, by_pixels, by_rows, exercised, violated
from segpaste.invariants.transform_case import TransformCase

_PER_ROW = ("labels", "boxes", "ids", "masks")
_PER_PIXEL = ("semantic", "panoptic", "depth", "depth_valid", "normals", "padding")


@register("photometric.labels_untouched", "photometric")
def labels_untouched(case: TransformCase) -> Finding:
    """Every field but the image is bitwise what it was, rows in their order.

    In the wild: boxes clipped and tiny ones dropped by a pipeline that only changes colours;
    masks that come back as floats, one rounding later with other pixels.
    """
    before, after = case.before, case.after
    if (before.intrinsics, before.metric) != (after.intrinsics, after.metric):
        was, now = (before.intrinsics, before.metric), (after.intrinsics, after.metric)
        return violated(f"camera and metric_depth: got {now}, expected {was}")
    former, rows = before.labels[before.valid], after.labels[after.valid]
    if former.shape != rows.shape:
        return violated(f"{rows.shape[0]} rows, expected {former.shape[0]}")
    for name in _PER_ROW:
        old, new = getattr(before, name), getattr(after, name)
        if (old is None) != (new is None):
            return violated(f"{name}: {'gone' if new is None else 'new'}, expected as before")
        if old is None or new is None or same(new[after.valid], old[before.valid]):
            continue
        if new.shape[1:] != old.shape[1:]:
            return violated(f"{name}: shape {list(new.shape)}, expected {list(old.shape)}")
        wrong = differs(new[after.valid], old[before.valid])
        of_rows = wrong.reshape(wrong.shape[0], -1).any(dim=1).nonzero().flatten().tolist()
        mask = wrong.any(dim=0) if name == "masks" else None
        count = int(torch.count_nonzero(wrong[of_rows[0]]))
        what = f"{name} differ from before in {count} value{'s' if count > 1 else ''}"
        return by_rows([case.rows[k] for k in of_rows], [what], mask)
    for name in _PER_PIXEL:
        old, new = getattr(before, name), getattr(after, name)
        if (old is None) != (new is None):
            return violated(f"{name}: {'gone' if new is None else 'new'}, expected as before")
        if old is None or new is None or same(new, old):
            continue
        if new.shape != old.shape:
            return violated(f"{name}: shape {list(new.shape)}, expected {list(old.shape)}")
        wrong = differs(new, old)
        return by_pixels(wrong if wrong.ndim == 2 else wrong.any(dim=0), f"{name} is not what it was")
    labelled = bool(rows.numel()) or any(getattr(before, name) is not None for name in _PER_PIXEL)
    return exercised(HELD, labelled, "no labels")


@register("photometric.frame_kept", "photometric")
def frame_kept(case: TransformCase) -> Finding:
    """Height, width and number of channels are what they were.

    In the wild: grey pictures that come back with one channel.
    """
    was, now = tuple(case.before.image.shape), tuple(case.after.image.shape)
    return HELD if was == now else violated(f"image [C, H, W] of {list(now)}, expected {list(was)}")
