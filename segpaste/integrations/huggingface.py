"""Hugging Face's form of dense labels: binary masks with a class each.

What ``Mask2FormerImageProcessor`` makes and Mask2Former, MaskFormer and OneFormer are trained
on. Nothing here imports transformers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch

from segpaste.integrations.class_indices import checked_indices, to_classes, to_indices
from segpaste.integrations.collate import batch_of
from segpaste.types import (
    BatchedDenseSample,
    DenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PanopticSchema,
    classes_of_kind,
)
from segpaste.types.leaves import tight_boxes
from segpaste.types.tensors import plain

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_FEW = 1 << 16  # labels below this are counted in a table, others sorted
_SLACK = 1 / 16  # interpolation may overshoot the range of an image by a little

PANOPTIC_LABELS = frozenset({Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC})
_LABEL_SETS = (
    frozenset({Modality.INSTANCE}),
    frozenset({Modality.SEMANTIC}),
    frozenset({Modality.INSTANCE, Modality.SEMANTIC}),
    PANOPTIC_LABELS,
)


def to_hf_format(
    sample: DenseSample, schema: PanopticSchema, *, class_to_index: Mapping[int, int] | None = None
) -> dict[str, torch.Tensor]:
    """The labels of a sample as segments: one mask and one class each.

    First the things, one segment per row in the order of the rows, then the stuff classes
    that the semantic map shows, one segment each, ascending. Void and padding are in no
    segment. Instance ids are not kept: segment n of the things is instance n + 1.

    - Without a semantic map every row is a segment, whatever its class.
    - Without instance masks every class of the semantic map is one segment, things too.
    - With both but no panoptic map, a row of a stuff class is no segment (stuff is what
      the map says), nor are pixels that the map calls a thing and no row covers.
    - Masks that overlap, which they may without a panoptic map, stay as they are.

    Args:
        sample: with instance masks, a semantic map or both.
        schema: the class table.
        class_to_index: class id -> the index a model knows it by, another for each class, for
            instance :func:`contiguous_classes`; ``None`` leaves the class ids.

    Returns:
        ``{"mask_labels": bool [N, H, W], "class_labels": int64 [N]}`` on the sample's device.

    Raises:
        TypeError: if it is no sample, or ``schema`` no class table.
        ValueError: on a sample without such labels, a label that the schema or
            ``class_to_index`` lacks, an index of two classes, more things than
            ``max_instances_per_image``, or a row of a stuff class beside a panoptic map.
    """
    if not isinstance(sample, DenseSample):
        raise TypeError(f"sample: got {type(sample).__name__}, expected a DenseSample")
    _check_schema(schema)
    if sample.instance_masks is None and sample.semantic_map is None:
        raise ValueError("sample: got no instance_masks and no semantic_map, expected one of them")
    things = set(classes_of_kind(schema, "thing"))
    labels: list[int] = []
    parts: list[torch.Tensor] = []
    if sample.instance_masks is not None:
        kept = _rows(sample, schema, things)
        rows = sample.labels.tolist()
        labels += [rows[n] for n in kept]
        masks = plain(sample.instance_masks)
        parts.append(masks if len(kept) == len(rows) else masks[kept])
    if sample.semantic_map is not None:
        semantic = plain(sample.semantic_map)
        if sample.padding_mask is not None:
            semantic = torch.where(plain(sample.padding_mask)[0], schema.ignore_index, semantic)
        shown = [c for c in _present(semantic) if c != schema.ignore_index]
        _check_known("semantic_map", shown, schema)
        if sample.instance_masks is not None:
            shown = [c for c in shown if c not in things]
        classes = torch.tensor(shown, dtype=torch.int64, device=semantic.device)
        labels += shown
        parts.append(semantic == classes[:, None, None])
    return {
        "mask_labels": torch.cat(parts) if len(parts) > 1 else parts[0].clone(),
        "class_labels": torch.tensor(
            to_indices(labels, class_to_index), dtype=torch.int64, device=sample.image.device
        ),
    }


def from_hf_format(
    hf: Mapping[str, torch.Tensor],
    schema: PanopticSchema,
    image: torch.Tensor | None = None,
    *,
    class_to_index: Mapping[int, int] | None = None,
    modalities: Collection[Modality] = PANOPTIC_LABELS,
) -> DenseSample:
    """Segments as a sample; the inverse of :func:`to_hf_format`.

    Segments of thing classes become rows with the ids 1, 2, ... in their order, boxes are
    the extents of their masks, segments of one stuff class are joined in the semantic map,
    and what is in no segment is void.

    Args:
        hf: ``mask_labels`` ``[N, H, W]``, bool or numbers that are 0 and 1, and
            ``class_labels`` ``[N]`` of integers; where there is a ``pixel_mask`` ``[H, W]``,
            its zeros are padding. Other keys are ignored.
        schema: the class table.
        image: ``[C, H, W]`` uint8 or float32, copied; black uint8 ``[3, H, W]`` if ``None``.
        class_to_index: what the class ids went through, to be inverted.
        modalities: which labels the sample has: ``INSTANCE`` alone (every segment is a
            row), ``SEMANTIC`` alone (none is), both, or both with ``PANOPTIC``. Where
            segments overlap, the first may, the second and the last may not, and with both
            the later row is in front in the semantic map, and rows in front of stuff.

    Raises:
        TypeError: on another type or dtype.
        ValueError: on another shape, a class that the schema or ``class_to_index`` lacks, a
            row without a pixel, a segment on padding, segments that overlap where they may
            not, and what :class:`DenseSample` refuses.
    """
    _check_schema(schema)
    if not isinstance(modalities, Collection):
        raise TypeError(f"modalities: got {modalities!r}, expected a set of Modality")
    wanted = frozenset(modalities) - {Modality.IMAGE}
    if wanted not in _LABEL_SETS:
        names = sorted(str(getattr(m, "value", m)) for m in wanted)
        raise ValueError(f"modalities: got {names}, expected instance, semantic, both, or both with panoptic")
    masks, classes = _segments(hf, schema, class_to_index)
    height, width = masks.shape[-2:]
    if image is None:
        image = torch.zeros((3, height, width), dtype=torch.uint8, device=masks.device)
    if Modality.INSTANCE not in wanted or Modality.PANOPTIC in wanted:
        layers = masks.sum(dim=0)
        if bool((layers > 1).any()):
            raise ValueError(
                f"mask_labels: got {int((layers > 1).sum())} pixels in more than one segment, expected "
                "disjoint segments (modalities={Modality.INSTANCE} takes others)"
            )
    values: dict[str, Any] = {"image": image.clone() if isinstance(image, torch.Tensor) else image}
    things = set(classes_of_kind(schema, "thing"))
    is_row = [wanted == {Modality.INSTANCE} or (c in things and Modality.INSTANCE in wanted) for c in classes]
    rows = [n for n, row in enumerate(is_row) if row]
    if Modality.INSTANCE in wanted:
        values |= _row_fields(masks[rows], [classes[n] for n in rows], rows, masks.device)
    if Modality.SEMANTIC in wanted:
        # Rows last, so that they stand in front.
        order = [n for n, row in enumerate(is_row) if not row] + rows
        semantic = torch.full((height, width), schema.ignore_index, dtype=torch.int64, device=masks.device)
        for n in order:
            semantic.masked_fill_(masks[n], classes[n])
        values["semantic_map"] = semantic
    if Modality.PANOPTIC in wanted:
        ids = torch.zeros((height, width), dtype=torch.int64, device=masks.device)
        for number, n in enumerate(rows, start=1):
            ids.masked_fill_(masks[n], number)
        values["panoptic_map"] = ids
    pixel_mask = hf.get("pixel_mask")
    if pixel_mask is not None:
        if not isinstance(pixel_mask, torch.Tensor) or pixel_mask.shape != (height, width):
            got = (
                list(pixel_mask.shape) if isinstance(pixel_mask, torch.Tensor) else type(pixel_mask).__name__
            )
            raise ValueError(f"pixel_mask: got {got}, expected a tensor {[height, width]}")
        padding = (plain(pixel_mask) == 0).to(masks.device)
        covered = (masks & padding).flatten(1).sum(dim=1).tolist()
        if any(covered):
            n = next(n for n, pixels in enumerate(covered) if pixels)
            raise ValueError(
                f"mask_labels: got {covered[n]} pixels of segment {n} where pixel_mask is 0, "
                "expected none on padding"
            )
        values["padding_mask"] = padding[None]
    return DenseSample(**values)


def to_hf_batch(
    batch: PaddedBatchedDenseSample | BatchedDenseSample | Sequence[DenseSample],
    schema: PanopticSchema,
    *,
    class_to_index: Mapping[int, int] | None = None,
    image_mean: Sequence[float] | None = IMAGENET_MEAN,
    image_std: Sequence[float] | None = IMAGENET_STD,
    mask_dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """What ``model(**inputs)`` takes: the keys, shapes and dtypes of ``Mask2FormerImageProcessor``.

    Args:
        batch: B samples of one canvas with three channels.
        schema: the class table.
        class_to_index: as for :func:`to_hf_format`; Mask2Former needs indices below its
            ``num_labels``.
        image_mean: uint8 images are divided by 255, float32 images are in 0 to 1 already;
            then ``(image - image_mean) / image_std``. ``None`` for both leaves out this
            step, and float32 images as they are.
        image_std: see above.
        mask_dtype: dtype of the masks. Mask2Former interpolates them and so needs a
            floating one; ``torch.bool`` saves memory where a model casts.

    Returns:
        ``pixel_values`` ``[B, 3, H, W]`` float32, 0 on padding; ``pixel_mask`` ``[B, H, W]``
        int64, 1 where there is an image and 0 on padding; ``mask_labels``, B tensors
        ``[N_i, H, W]``; ``class_labels``, B tensors ``[N_i]`` int64.

    Raises:
        TypeError, ValueError: as :func:`to_hf_format`, naming the sample; on images without
            three channels, and on float32 images outside of 0 to 1 that are to be
            normalised.
    """
    _check_schema(schema)
    if not isinstance(mask_dtype, torch.dtype):
        raise TypeError(f"mask_dtype: got {mask_dtype!r}, expected a torch.dtype")
    if isinstance(batch, PaddedBatchedDenseSample):
        batch = BatchedDenseSample.from_padded(batch)
    elif not isinstance(batch, BatchedDenseSample):
        batch = batch_of(batch)
    if batch.images.shape[1] != 3:
        raise ValueError(f"images: got {batch.images.shape[1]} channels, expected 3")
    pixels = _pixel_values(plain(batch.images), image_mean, image_std)
    size, (height, width) = batch.batch_size, batch.canvas_size
    pixel_mask = torch.ones((size, height, width), dtype=torch.int64, device=pixels.device)
    if batch.padding_mask is not None:
        padding = plain(batch.padding_mask)
        pixels = pixels.masked_fill(padding, 0.0)
        pixel_mask = (~padding[:, 0]).to(torch.int64)
    segments: list[dict[str, torch.Tensor]] = []
    for index, sample in enumerate(batch.to_samples()):
        try:
            segments.append(to_hf_format(sample, schema, class_to_index=class_to_index))
        except ValueError as error:
            raise ValueError(f"sample {index}: {error}") from None
    return {
        "pixel_values": pixels,
        "pixel_mask": pixel_mask,
        "mask_labels": [each["mask_labels"].to(mask_dtype) for each in segments],
        "class_labels": [each["class_labels"] for each in segments],
    }


def make_hf_collate_fn(
    schema: PanopticSchema,
    *,
    augment: Callable[[Sequence[DenseSample]], Any] | None = None,
    class_to_index: Mapping[int, int] | None = None,
    image_mean: Sequence[float] | None = IMAGENET_MEAN,
    image_std: Sequence[float] | None = IMAGENET_STD,
    mask_dtype: torch.dtype = torch.float32,
    pad: bool = False,
) -> Callable[[Sequence[DenseSample]], dict[str, Any]]:
    """A ``collate_fn`` from samples to what ``model(**inputs)`` takes; it can be pickled.

    Args:
        schema: the class table.
        augment: what the list of samples goes through first, for instance a
            :class:`segpaste.augmentation.CopyPasteCollator`; it returns a list or a batch.
        class_to_index: as for :func:`to_hf_batch`, as are the next three.
        image_mean: see there.
        image_std: see there.
        mask_dtype: see there.
        pad: bring samples of several sizes to the largest of their batch.

    Raises:
        TypeError, ValueError: the function, as :func:`to_hf_batch`.
    """
    _check_schema(schema)
    if augment is not None and not callable(augment):
        raise TypeError(f"augment: got {type(augment).__name__}, expected a function of a list or None")
    table = None if class_to_index is None else checked_indices(class_to_index)
    return _HfCollate(schema, augment, table, image_mean, image_std, mask_dtype, pad)


def contiguous_classes(schema: PanopticSchema) -> dict[int, int]:
    """Class id -> 0, 1, ... in ascending order of the ids: what a classifier has outputs for.

    COCO's panoptic ids go from 1 to 200 with gaps, for 133 classes.
    """
    return {label: index for index, label in enumerate(sorted(schema.classes))}


def id2label(
    schema: PanopticSchema,
    names: Mapping[int, str] | None = None,
    *,
    class_to_index: Mapping[int, int] | None = None,
) -> dict[int, str]:
    """What a model's configuration wants: index -> name, for every class.

    Args:
        schema: the class table.
        names: class id -> name; ``class 17`` where there is none.
        class_to_index: class id -> index; :func:`contiguous_classes` if ``None``.

    Raises:
        TypeError, ValueError: if ``class_to_index`` lacks a class, has an index that is no integer
            of 0 or more, or one index for two classes.
    """
    indices = contiguous_classes(schema) if class_to_index is None else class_to_index
    labels = sorted(schema.classes)
    return {
        index: (names or {}).get(label, f"class {label}")
        for index, label in sorted(zip(to_indices(labels, indices), labels, strict=True))
    }


@dataclass(frozen=True)
class _HfCollate:
    schema: PanopticSchema
    augment: Callable[[Sequence[DenseSample]], Any] | None
    class_to_index: dict[int, int] | None
    image_mean: Sequence[float] | None
    image_std: Sequence[float] | None
    mask_dtype: torch.dtype
    pad: bool

    def __call__(self, samples: Sequence[DenseSample]) -> dict[str, Any]:
        batch: Any = samples
        if self.augment is not None:
            batch = self.augment(batch)
        if not isinstance(batch, BatchedDenseSample | PaddedBatchedDenseSample):
            batch = batch_of(batch, pad=self.pad, ignore_index=self.schema.ignore_index)
        return to_hf_batch(
            batch,
            self.schema,
            class_to_index=self.class_to_index,
            image_mean=self.image_mean,
            image_std=self.image_std,
            mask_dtype=self.mask_dtype,
        )


def _check_schema(schema: Any) -> None:
    if not isinstance(schema, PanopticSchema):
        raise TypeError(f"schema: got {type(schema).__name__}, expected a PanopticSchema: the class table")


def _rows(sample: DenseSample, schema: PanopticSchema, things: set[int]) -> list[int]:
    """The rows that are segments of their own."""
    labels = sample.labels.tolist()
    _check_known("labels", sorted(set(labels)), schema)
    kept = [n for n, label in enumerate(labels) if label in things]
    if len(kept) > schema.max_instances_per_image:
        raise ValueError(
            f"labels: got {len(kept)} things, expected at most "
            f"max_instances_per_image = {schema.max_instances_per_image}"
        )
    if sample.semantic_map is None:
        return list(range(len(labels)))
    if sample.panoptic_map is not None and len(kept) < len(labels):
        stuff = next(n for n, label in enumerate(labels) if label not in things)
        raise ValueError(
            f"labels: got {labels[stuff]} in row {stuff}, which the schema calls stuff, "
            "expected things beside a panoptic_map"
        )
    return kept


def _present(semantic: torch.Tensor) -> list[int]:
    """The labels of a map, ascending."""
    if not semantic.numel():
        return []
    if int(semantic.max()) < _FEW:  # counted: sorting takes some ten times as long
        return torch.bincount(semantic.flatten()).nonzero().flatten().tolist()
    return semantic.unique().tolist()


def _check_known(field: str, classes: Collection[int], schema: PanopticSchema) -> None:
    unknown = [c for c in classes if c not in schema.classes]
    if unknown:
        raise ValueError(f"{field}: got {unknown[:5]}, which the schema lacks")


def _segments(
    hf: Mapping[str, torch.Tensor], schema: PanopticSchema, class_to_index: Mapping[int, int] | None
) -> tuple[torch.Tensor, list[int]]:
    """Masks ``[N, H, W]`` bool and N class ids."""
    if not isinstance(hf, Mapping):
        raise TypeError(f"hf: got {type(hf).__name__}, expected a dict of tensors")
    for name in ("mask_labels", "class_labels"):
        if name not in hf:
            raise ValueError(f"hf: got the keys {sorted(hf)}, expected {name} among them")
        if not isinstance(hf[name], torch.Tensor):
            raise TypeError(f"{name}: got {type(hf[name]).__name__}, expected a torch.Tensor")
    masks, labels = plain(hf["mask_labels"]), plain(hf["class_labels"])
    if masks.ndim != 3 or min(masks.shape[1:]) < 1:
        raise ValueError(f"mask_labels: got shape {list(masks.shape)}, expected [N, H, W]")
    if labels.shape != masks.shape[:1]:
        raise ValueError(f"class_labels: got shape {list(labels.shape)}, expected [{masks.shape[0]}]")
    if labels.dtype.is_floating_point or labels.dtype.is_complex or labels.dtype is torch.bool:
        raise TypeError(f"class_labels: got dtype {labels.dtype}, expected integers")
    if masks.dtype is not torch.bool:
        other = (masks != 0) & (masks != 1)
        if bool(other.any()):
            raise ValueError(f"mask_labels: got {masks[other][0].item()}, expected 0 and 1")
        masks = masks != 0
    classes = labels.tolist()
    classes = to_classes("class_labels", classes, class_to_index)
    _check_known("class_labels", sorted(set(classes)), schema)
    return masks, classes


def _row_fields(
    masks: torch.Tensor, classes: Sequence[int], segments: Sequence[int], device: torch.device
) -> dict[str, Any]:
    boxes, present = tight_boxes(masks)
    seen = present.tolist()
    if not all(seen):
        raise ValueError(f"mask_labels: got no pixel in segment {segments[seen.index(False)]}, expected one")
    return {
        "instance_masks": masks,
        "instance_ids": torch.arange(1, len(masks) + 1, dtype=torch.int32, device=device),
        "labels": torch.tensor(classes, dtype=torch.int64, device=device),
        "boxes": boxes,
    }


def _pixel_values(
    images: torch.Tensor, mean: Sequence[float] | None, std: Sequence[float] | None
) -> torch.Tensor:
    if (mean is None) != (std is None):
        raise ValueError(f"image_mean, image_std: got {mean} and {std}, expected both or None for both")
    pixels = images.to(torch.float32) / 255 if images.dtype == torch.uint8 else images.clone()
    if mean is None or std is None:
        return pixels
    for name, values in (("image_mean", mean), ("image_std", std)):
        numbers = isinstance(values, Sequence) and all(isinstance(v, Real) for v in values)
        if not numbers or len(values) != 3 or not all(map(math.isfinite, values)):
            raise ValueError(f"{name}: got {values!r}, expected three numbers")
    if min(std) <= 0:
        raise ValueError(f"image_std: got {std!r}, expected three numbers above 0")
    if images.dtype != torch.uint8 and images.numel():
        low, high = float(images.min()), float(images.max())
        if low < -_SLACK or high > 1 + _SLACK:
            raise ValueError(
                f"images: got float32 values from {low:.4g} to {high:.4g}, expected 0 to 1 "
                "(image_mean=None, image_std=None leave them as they are)"
            )
    shape = (1, 3, 1, 1)
    centre = torch.tensor(tuple(mean), dtype=torch.float32, device=pixels.device).view(shape)
    return (pixels - centre) / torch.tensor(tuple(std), dtype=torch.float32, device=pixels.device).view(shape)
