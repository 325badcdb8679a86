"""The laws of a padded batch: unused slots, and padding, sample by sample."""

from __future__ import annotations

import torch

from segpaste.invariants.masks import areas
from segpaste.invariants.registry import register
from segpaste.invariants.report import HELD, Finding, by_pixels, by_rows, not_applicable, not_exercised
from segpaste.invariants.sample_laws import no_border
from segpaste.types import Modality, PaddedBatchedDenseSample


@register("padded.unused_slots_zero", "padded")
def unused_slots_zero(batch: PaddedBatchedDenseSample) -> Finding:
    """Every field of an unused slot is 0: box, label, id and mask.

    In the wild: rows marked invalid with their masks left in place, to be summed into a
    loss by whoever forgets the flag.
    """
    fields = batch.tensors()
    unused = ~fields["instance_valid"][0]
    if not bool(unused.any()):
        return not_exercised("no unused slot")
    dirty = torch.zeros_like(unused)
    names: list[str] = []
    for name in ("boxes", "labels", "instance_ids", "instance_masks"):
        if name in fields:
            found = unused & (fields[name][0].flatten(1) != 0).any(dim=1) if fields[name].ndim > 2 else (
                unused & (fields[name][0] != 0)
            )
            names += [name] if bool(found.any()) else []
            dirty |= found
    return by_rows(
        dirty.nonzero().flatten().tolist(), [f"unused, and not 0 in {', '.join(names)}; expected 0 everywhere"]
    )


@register("padded.used_slots_painted", "padded", Modality.INSTANCE)
def used_slots_painted(batch: PaddedBatchedDenseSample) -> Finding:
    """|M_k| > 0 for every used slot k.

    In the wild: rows emptied but still valid.
    """
    fields = batch.tensors()
    used = fields["instance_valid"][0]
    if not bool(used.any()):
        return not_exercised("no used slot")
    empty = used & (areas(fields["instance_masks"][0]) == 0)
    return by_rows(empty.nonzero().flatten().tolist(), ["used, with a mask of 0 pixels; expected 1 or more"])


@register("padded.padding_is_border", "padded")
def padding_is_border(batch: PaddedBatchedDenseSample) -> Finding:
    """What is no padding is a rectangle at the top left, in every sample.

    In the wild: batches padded after the paste, masks and image by different amounts.
    """
    padding = batch.tensors().get("padding_mask")
    if padding is None:
        return not_applicable("no padding mask")
    return by_pixels(no_border(padding[0, 0]), "padding is not the complement of a top-left rectangle")


@register("padded.masks_off_padding", "padded", Modality.INSTANCE)
def masks_off_padding(batch: PaddedBatchedDenseSample) -> Finding:
    """M_k(p) is false on padding, for every used slot k.

    In the wild: pastes that land in padding, where the loss is masked and the box is not.
    """
    fields = batch.tensors()
    padding = fields.get("padding_mask")
    if padding is None:
        return not_applicable("no padding mask")
    used = fields["instance_valid"][0]
    if not bool(used.any()):
        return HELD
    on_padding = fields["instance_masks"][0][used] & padding[0, 0]
    rows = used.nonzero().flatten()[on_padding.flatten(1).any(dim=1)].tolist()
    return by_rows(rows, ["mask on padding, expected none"], on_padding.any(dim=0))
