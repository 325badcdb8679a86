"""Hypothesis strategies for samples and their parts.

Compact structure is drawn, tensors are built from it, nothing is filtered: whatever is
drawn is well formed, and shrinks to one pixel, no instance, one colour.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

import torch
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from segpaste.strategies.choices import Choices
from segpaste.strategies.hard_cases import sample_labels
from segpaste.strategies.pastes import (
    EXTRA_SLOTS,
    PADDING_BYTES,
    SCHEMA_BYTES,
    draw_padded,
    draw_schema,
)
from segpaste.strategies.scenes import (
    CHANNELS,
    FRAME_BYTES,
    IMAGE_DTYPES,
    SHAPE_BYTES,
    Frame,
    Scene,
    check_range,
    draw_camera,
    draw_frame,
    draw_scene,
    scene_bytes,
)
from segpaste.types import (
    BatchedDenseSample,
    CameraIntrinsics,
    DenseSample,
    InstanceMask,
    Modality,
    PaddedBatchedDenseSample,
    PanopticSchema,
    PanopticSchemaSpec,
    SemanticMap,
)

T = TypeVar("T")

_BLOCK = 8
_ONE_BLOCK = st.binary(min_size=_BLOCK, max_size=_BLOCK)


@st.composite
def dense_samples(
    draw: st.DrawFn,
    modalities: Collection[Modality] | None = None,
    *,
    schema: PanopticSchema | None = None,
    image_dtypes: Sequence[torch.dtype] = IMAGE_DTYPES,
    channels: Sequence[int] = CHANNELS,
    canvas: tuple[int, int] | None = None,
    min_side: int = 1,
    max_side: int = 24,
    min_instances: int = 0,
    max_instances: int = 4,
    metric: bool | None = None,
    detection: bool = False,
    reserve: int = 64,
) -> DenseSample:
    """Samples whose maps, masks, ids, labels and boxes agree.

    Args:
        draw: supplied by Hypothesis.
        modalities: what the samples carry, the image always; ``{Modality.IMAGE}`` for
            the image alone. One of the 16 sets a paste works on if ``None``.
        schema: the class table; ids 0 to 4 (1, 2 and 4 things, 255 ignore) if ``None``.
        image_dtypes: ``torch.uint8``, ``torch.float32`` or both.
        channels: the numbers of channels to choose from.
        canvas: (H, W), if fixed.
        min_side: least H and W, if not.
        max_side: greatest H and W, if not.
        min_instances: fewest objects drawn; one may still end up hidden, and
            all-padding samples have none.
        max_instances: most objects drawn.
        metric: whether depth is metric; either if ``None``.
        detection: rows have boxes and labels but no masks; for the image alone.
        reserve: the largest id stays below 2**31 - ``reserve``.

    Raises:
        hypothesis.errors.InvalidArgument: on limits that no sample meets.
    """
    frame, low, high = _draw_limits(
        draw,
        modalities=modalities,
        schema=schema,
        image_dtypes=image_dtypes,
        channels=channels,
        canvas=canvas,
        min_side=min_side,
        max_side=max_side,
        min_instances=min_instances,
        max_instances=max_instances,
        metric=metric,
        detection=detection,
        reserve=reserve,
    )
    sample = draw_one(draw, frame, low, high).sample()
    for label in sample_labels(sample, frame.ignore_index):
        event(label)
    return sample


@st.composite
def batches(
    draw: st.DrawFn,
    modalities: Collection[Modality] | None = None,
    *,
    min_batch: int = 1,
    max_batch: int = 3,
    min_instances: int = 0,
    max_instances: int = 4,
    **limits: Any,
) -> BatchedDenseSample:
    """Ragged batches: samples of one canvas, set of modalities, dtype and kind of depth.

    Args:
        draw: supplied by Hypothesis.
        modalities: as for :func:`dense_samples`, as are the following.
        min_batch: fewest samples; 0 is possible.
        max_batch: most samples.
        min_instances: fewest objects drawn for a sample.
        max_instances: most objects drawn for a sample.
        limits: the other limits of :func:`dense_samples`.

    Raises:
        hypothesis.errors.InvalidArgument: on limits that no batch meets.
    """
    frame, low, high = _draw_limits(
        draw, modalities=modalities, min_instances=min_instances, max_instances=max_instances, **limits
    )
    samples = draw_samples(draw, frame, min_batch, max_batch, low, high)
    # A batch of none still has a canvas and modalities: those of one that is cut off.
    whole = BatchedDenseSample.from_samples(samples or [draw_one(draw, frame, 0, 0).sample()])
    return whole if samples else BatchedDenseSample.from_padded(whole.to_padded(0).gather(slice(0, 0)))


@st.composite
def padded_batches(
    draw: st.DrawFn,
    modalities: Collection[Modality] | None = None,
    *,
    min_batch: int = 1,
    max_batch: int = 3,
    min_instances: int = 0,
    max_instances: int = 4,
    compact: bool = False,
    **limits: Any,
) -> PaddedBatchedDenseSample:
    """Padded batches, up to four slots to spare, used slots anywhere among them.

    Args:
        draw: supplied by Hypothesis.
        modalities: as for :func:`dense_samples`, as are the following.
        min_batch: fewest samples; 0 is possible.
        max_batch: most samples.
        min_instances: fewest objects drawn for a sample.
        max_instances: most objects drawn for a sample.
        compact: used slots come first.
        limits: the other limits of :func:`dense_samples`.

    Raises:
        hypothesis.errors.InvalidArgument: on limits that no batch meets.
    """
    frame, low, high = _draw_limits(
        draw, modalities=modalities, min_instances=min_instances, max_instances=max_instances, **limits
    )
    schema = limits.get("schema")
    most = high + EXTRA_SLOTS if schema is None else min(high + EXTRA_SLOTS, schema.max_instances_per_image)
    samples = draw_samples(draw, frame, min_batch, max_batch, low, high)
    return draw_padded_batch(draw, frame, samples, most, compact)


@st.composite
def panoptic_schemas(
    draw: st.DrawFn,
    *,
    min_things: int = 1,
    max_things: int = 3,
    min_stuff: int = 0,
    max_stuff: int = 3,
    capacity: int = 256,
    ignore_index: int | None = None,
) -> PanopticSchemaSpec:
    """Class tables: ids with gaps, now and then above 255, things and stuff mixed.

    Args:
        draw: supplied by Hypothesis.
        min_things: fewest thing classes.
        max_things: most thing classes.
        min_stuff: fewest stuff classes.
        max_stuff: most stuff classes.
        capacity: ``max_instances_per_image`` is at least this, often exactly.
        ignore_index: if fixed; mostly 255 otherwise.

    Raises:
        hypothesis.errors.InvalidArgument: on limits that no table meets.
    """
    with_names(lambda: check_range("min_things", min_things, "max_things", max_things, 0))
    with_names(lambda: check_range("min_stuff", min_stuff, "max_stuff", max_stuff, 0))
    with_names(lambda: check_range("capacity", capacity, "2**31 - 2", 2**31 - 2, 1))
    return draw_schema(
        draw(readers(SCHEMA_BYTES + 4 * (max_things + max_stuff))),
        min_things=min_things,
        max_things=max_things,
        min_stuff=min_stuff,
        max_stuff=max_stuff,
        capacity=capacity,
        ignore_index=ignore_index,
    )


@st.composite
def instance_masks(
    draw: st.DrawFn,
    *,
    canvas: tuple[int, int] | None = None,
    max_side: int = 24,
    min_instances: int = 0,
    max_instances: int = 4,
) -> InstanceMask:
    """Masks ``[N, H, W]`` bool, none of them empty; masks may overlap."""
    sample = draw(
        dense_samples(
            {Modality.INSTANCE},
            canvas=canvas,
            max_side=max_side,
            min_instances=min_instances,
            max_instances=max_instances,
        )
    )
    return cast(InstanceMask, sample.instance_masks)


@st.composite
def semantic_maps(
    draw: st.DrawFn,
    schema: PanopticSchema | None = None,
    *,
    canvas: tuple[int, int] | None = None,
    max_side: int = 24,
) -> SemanticMap:
    """Maps ``[H, W]`` int64 of the schema's classes and its ``ignore_index``."""
    sample = draw(dense_samples({Modality.SEMANTIC}, schema=schema, canvas=canvas, max_side=max_side))
    return cast(SemanticMap, sample.semantic_map)


@st.composite
def depth_fields(
    draw: st.DrawFn, *, canvas: tuple[int, int] | None = None, max_side: int = 24
) -> tuple[torch.Tensor, torch.Tensor]:
    """``(depth, depth_valid)``, ``[1, H, W]`` float32 and bool; anything may lie where invalid."""
    sample = draw(dense_samples({Modality.DEPTH}, canvas=canvas, max_side=max_side))
    return cast(torch.Tensor, sample.depth), cast(torch.Tensor, sample.depth_valid)


@st.composite
def normals(draw: st.DrawFn, *, canvas: tuple[int, int] | None = None, max_side: int = 24) -> torch.Tensor:
    """``[3, H, W]`` float32, unit vectors that face the camera (n_z < 0), or zero for none."""
    sample = draw(dense_samples({Modality.NORMALS}, canvas=canvas, max_side=max_side))
    return cast(torch.Tensor, sample.normals)


def camera_intrinsics() -> st.SearchStrategy[CameraIntrinsics]:
    """Pinhole intrinsics in pixels; pixels may be non-square, focal lengths extreme."""
    return readers(8).map(draw_camera)


def draw_one(draw: st.DrawFn, frame: Frame, low: int, high: int) -> Scene:
    """Draw a scene of a frame with ``low`` to ``high`` objects."""
    shapes = draw_list(draw, readers(SHAPE_BYTES), low, high)
    return draw_scene(draw(readers(scene_bytes(frame))), shapes, frame)


def draw_samples(
    draw: st.DrawFn, frame: Frame, min_batch: int, max_batch: int, low: int, high: int
) -> list[DenseSample]:
    """Draw the samples of one batch."""
    with_names(lambda: check_range("min_batch", min_batch, "max_batch", max_batch, 0))
    one = _scenes(frame, low, high)
    return [scene.sample() for scene in draw_list(draw, one, min_batch, max_batch)]


def draw_padded_batch(
    draw: st.DrawFn, frame: Frame, samples: Sequence[DenseSample], max_instances: int, compact: bool = False
) -> PaddedBatchedDenseSample:
    """Draw how samples are padded; without any, a batch of none of that frame."""
    data = draw(readers(PADDING_BYTES))
    if samples:
        return draw_padded(data, samples, max_instances=max_instances, compact=compact)
    blank = draw_scene(Choices(b""), [], frame).sample()
    return draw_padded(data, [blank], max_instances=max_instances).gather(slice(0, 0))


def draw_list(draw: st.DrawFn, elements: st.SearchStrategy[T], low: int, high: int) -> list[T]:
    """Draw between ``low`` and ``high`` elements, the empty list not more often than others.

    ``st.lists`` alone draws nothing almost half of the time; it is used because it
    shrinks by leaving out any element.
    """
    return draw(st.lists(elements, min_size=draw(st.integers(low, high)), max_size=high))


@lru_cache
def readers(size: int) -> st.SearchStrategy[Choices]:
    """Readers of at least ``size`` bytes.

    All bytes come in blocks of one length: Hypothesis likes to copy one drawn part over
    another, and would have to fall back to the simplest where their lengths differ.
    """
    if size <= _BLOCK:
        return _ONE_BLOCK.map(Choices)
    return st.tuples(*[_ONE_BLOCK] * -(-size // _BLOCK)).map(lambda blocks: Choices(b"".join(blocks)))


def with_names(check: Callable[[], T]) -> T:
    """Run a check of arguments; what it refuses becomes Hypothesis's own error."""
    try:
        return check()
    except ValueError as error:
        raise InvalidArgument(str(error)) from None


@st.composite
def _scenes(draw: st.DrawFn, frame: Frame, low: int, high: int) -> Scene:
    return draw_one(draw, frame, low, high)


def _draw_limits(
    draw: st.DrawFn, *, min_instances: int, max_instances: int, **limits: Any
) -> tuple[Frame, int, int]:
    """Check all limits, draw the frame, and bound the number of objects by the schema."""
    with_names(lambda: check_range("min_instances", min_instances, "max_instances", max_instances, 0))
    data = draw(readers(FRAME_BYTES))
    frame = with_names(lambda: draw_frame(data, **limits))
    schema = limits.get("schema")
    if schema is None:
        return frame, min_instances, max_instances
    most = schema.max_instances_per_image
    with_names(lambda: check_range("min_instances", min_instances, "max_instances_per_image", most, 0))
    return frame, min_instances, min(max_instances, most)
