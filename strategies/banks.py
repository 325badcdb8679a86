"""Hypothesis strategies for staged batches of a bank's crops."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from segpaste.bank.batch import BankBatch
from segpaste.paste.rng import random_words
from segpaste.strategies.choices import Choices
from segpaste.strategies.pastes import spread
from segpaste.strategies.samples import readers, with_names
from segpaste.strategies.scenes import check_range
from segpaste.types import Modality, PaddedBatchedDenseSample, PanopticSchema, classes_of_kind

GAP = 2
"""What :class:`~segpaste.augmentation.BankSource` leaves between the crops of one target."""

HEAD_BYTES = 16
CROP_BYTES = 32
"""Bytes enough for what their name says."""

_LABELS = (1, 0, 2, 7, 255, 1202)
_FOCAL = ((1.0, 1.0), (1.0, 1.0), (1.0, 3.5), (512.0, 480.0))
_NORMALS = ((0.0, 0.0, -1.0), (0.6, 0.0, -0.8), (0.0, -0.8, -0.6), (-0.6, 0.0, -0.8))


@st.composite
def bank_batches(
    draw: st.DrawFn,
    target: PaddedBatchedDenseSample | None = None,
    *,
    modalities: Collection[Modality] | None = None,
    schema: PanopticSchema | None = None,
    canvas: tuple[int, int] | None = None,
    metric: bool | None = None,
    min_batch: int = 1,
    max_batch: int = 3,
    min_crops: int = 1,
    max_crops: int = 4,
    crops_per_target: int = 1,
    max_side: int = 16,
    incomplete: bool = False,
) -> BankBatch:
    """Staged batches that ``BankSource`` takes for a target, or for any of that kind.

    Masks of every kind, the empty one among them; classes that a schema does not paste or
    does not know; crops without depth, normals or a camera among others that have them, and
    under metric depth crops with depth and no camera; cameras that differ in one focal length;
    anything under an invalid depth, and in the depth and normals that a crop does not carry.

    Args:
        draw: supplied by Hypothesis.
        target: what the batch is for; it decides the next four, and how many targets there
            are crops for: its B, or more.
        modalities: what the crops are for; with depth and normals or without, if ``None``.
        schema: the class table of the configuration, if there is one.
        canvas: (H, W), which holds ``crops_per_target`` crops.
        metric: whether depth is metric; either if ``None``.
        min_batch: fewest targets, if there is no ``target``.
        max_batch: most targets, if there is no ``target``.
        min_crops: fewest crops for each target.
        max_crops: most crops for each target.
        crops_per_target: at least so many crops fit on the canvas side by side.
        max_side: greatest h and w.
        incomplete: depth, normals or both may be missing altogether, as
            ``missing_geometry="invalid"`` accepts.

    Raises:
        hypothesis.errors.InvalidArgument: on limits that no batch meets.
    """
    with_names(lambda: check_range("min_batch", min_batch, "max_batch", max_batch, 0))
    with_names(lambda: check_range("min_crops", min_crops, "max_crops", max_crops, 1))
    with_names(lambda: check_range("max_side", 1, "max_side", max_side, 1))
    with_names(lambda: check_range("crops_per_target", crops_per_target, "max_crops", max_crops, 1))
    head = draw(readers(HEAD_BYTES))
    has_depth, has_normals = head.one_in(2), head.one_in(2)
    is_metric = head.one_in(2) if metric is None else metric
    batch = head.integer(min_batch, max_batch)
    if modalities is not None:
        has_depth, has_normals = Modality.DEPTH in modalities, Modality.NORMALS in modalities
    if target is not None:
        has_depth, has_normals = target.depth is not None, target.normals is not None
        is_metric, canvas = target.metric_depth, target.canvas_size
        batch = target.batch_size + head.of((0, 0, 1))
    # What a bank has beyond what the target calls for, and what it lacks.
    has_depth = has_depth != head.one_in(4) if incomplete or not has_depth else True
    has_normals = has_normals != head.one_in(4) if incomplete or not has_normals else True
    is_metric = is_metric and has_depth
    has_cameras = is_metric or head.one_in(2)
    size = _crop_size(head, canvas, crops_per_target, max_side)
    crops = max(head.integer(min_crops, max_crops), crops_per_target)

    labels = _labels_of(schema)
    drawn = [draw(readers(CROP_BYTES)) for _ in range(batch * crops)]
    made = [_crop(one, size, labels) for one in drawn]

    def stacked(name: str, *shape: int) -> torch.Tensor:
        if not made:
            empty = _crop(Choices(b""), size, labels)[name]
            return torch.from_numpy(np.zeros((batch, crops, *shape), empty.dtype))
        return torch.from_numpy(np.stack([crop[name] for crop in made]).reshape(batch, crops, *shape))

    fields: dict[str, Any] = {"crops": stacked("crops", 5, *size)}
    if has_depth:
        fields |= {name: stacked(name, 1, *size) for name in ("depth", "depth_valid")}
        fields |= {"carries_depth": stacked("carries_depth"), "metric_depth": is_metric}
    if has_normals:
        fields |= {"normals": stacked("normals", 3, *size), "carries_normals": stacked("carries_normals")}
    if has_cameras:
        fields["camera_intrinsics"] = stacked("camera_intrinsics", 4)
    for crop in made:
        event(f"alpha {crop['form']}")
    return BankBatch(**fields)


def _crop_size(
    choices: Choices, canvas: tuple[int, int] | None, crops_per_target: int, max_side: int
) -> tuple[int, int]:
    """A size of which a canvas holds that many; the largest now and then, and a single pixel."""
    kind = choices.integer(0, 7)
    wide, high = choices.integer(1, max_side), choices.integer(1, max_side)
    if kind == 6:
        high, wide = 1, 1
    if canvas is None:
        return high, wide
    most = max(
        (
            _largest(canvas, -(-crops_per_target // across), across)
            for across in range(1, crops_per_target + 1)
        ),
        key=lambda size: (min(size) > 0, size[0] * size[1]),
    )
    if min(most) < 1:
        raise InvalidArgument(f"crops_per_target: got {crops_per_target}, more than a canvas {canvas} holds")
    if kind == 7:
        high, wide = max_side, max_side
    return min(high, most[0]), min(wide, most[1])


def _largest(canvas: tuple[int, int], down: int, across: int) -> tuple[int, int]:
    """The largest crops of which so many fit below and beside each other; 0 if none does."""
    height, width = ((side + GAP) // n - GAP for side, n in zip(canvas, (down, across), strict=True))
    return max(height, 0), max(width, 0)


def _labels_of(schema: PanopticSchema | None) -> Sequence[int]:
    if schema is None:
        return _LABELS
    things, stuff = classes_of_kind(schema, "thing"), classes_of_kind(schema, "stuff")
    unknown = next(label for label in (1202, 1203, 1204) if label not in schema.classes)
    return (*things, *things, *things, *things, *stuff[:1], unknown, schema.ignore_index)


def _crop(choices: Choices, size: tuple[int, int], labels: Sequence[int]) -> dict[str, np.ndarray | Any]:
    """One crop with everything that a crop can have."""
    h, w = size
    label = choices.of(labels)
    form = choices.of(
        ("full", "box", "box", "box", "box", "pixel", "lattice", "noise", "full", "box", "empty")
    )
    top, left = choices.integer(0, h - 1), choices.integer(0, w - 1)
    height, width = choices.integer(1, h - top), choices.integer(1, w - left)
    key = spread(choices.integer(0, 2**12 - 1))
    noise = random_words(key, 0, 4 * h * w).reshape(4, h, w)
    alpha = np.zeros((h, w), dtype=bool)
    if form == "full":
        alpha[:] = True
    elif form == "box":
        alpha[top : top + height, left : left + width] = True
    elif form == "pixel":
        alpha[top, left] = True
    elif form == "lattice":
        alpha[::2, ::2] = True
    elif form == "noise":
        alpha[:] = noise[3] & 1 == 1
    crops = np.empty((5, h, w), dtype=np.int32)
    crops[:3] = choices.of((0, 255, 7)) if choices.one_in(4) else noise[:3] & 255
    crops[3], crops[4] = alpha, label

    carries_depth, carries_normals = not choices.one_in(5), not choices.one_in(5)
    depth_valid = np.ones((1, h, w), dtype=bool)
    depth = np.full((1, h, w), choices.of((1 / 256, 0.25, 1.0, 1 / 64, 300.0)), dtype=np.float32)
    if choices.one_in(2):
        depth += (noise[:1] & 255).astype(np.float32) / 256
    if choices.one_in(3):
        depth_valid[0] = (noise[1] >> 9) & 3 != 0
        depth[~depth_valid] = choices.of((0.0, float("nan"), -1.0))
    normals = np.empty((3, h, w), dtype=np.float32)
    normals[:] = np.array(choices.of(_NORMALS), dtype=np.float32)[:, None, None]
    if choices.one_in(3):
        normals[:, (noise[2] >> 9) & 3 == 0] = 0
    camera = np.array([*choices.of(_FOCAL), w / 2, h / 2], dtype=np.float64)
    if choices.one_in(6):
        camera[:] = 0
    if not carries_depth:
        depth_valid[:], depth[:] = choices.of(((False, 0.0), (True, 0.5), (True, float("nan"))))
    if not carries_normals:
        normals[:] = choices.of((0.0, 0.6, float("nan")))
    return {
        "form": form,
        "crops": crops,
        "depth": depth,
        "depth_valid": depth_valid,
        "carries_depth": np.array(carries_depth),
        "normals": normals,
        "carries_normals": np.array(carries_normals),
        "camera_intrinsics": camera,
    }
