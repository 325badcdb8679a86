"""The laws of a padded batch: unused slots, and padding, sample by sample."""

from __future__ import annotations

import torch

from segpaste.invariants.bits import bits
from segpaste.invariants.masks import covered_by, not_empty
from segpaste.invariants.registry import register
from segpaste.invariants.report import Finding, by_pixels, by_rows, not_applicable, not_exercised
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
        value = fields.get(name)
        if value is None:
            continue
        rows = not_empty(value[0]) if name == "instance_masks" else _not_zero(value[0])
        names += [name] if bool((unused & rows).any()) else []
        dirty |= unused & rows
    message = f"unused, and not 0 in {', '.join(names)}; expected 0 everywhere"
    return by_rows(dirty.nonzero().flatten().tolist(), [message])


@register("padded.used_slots_painted", "padded", Modality.INSTANCE)
def used_slots_painted(batch: PaddedBatchedDenseSample) -> Finding:
    """|M_k| > 0 for every used slot k.

    In the wild: rows emptied but still valid.
    """
    fields = batch.tensors()
    used = fields["instance_valid"][0]
    if not bool(used.any()):
        return not_exercised("no used slot")
    empty = used & ~not_empty(fields["instance_masks"][0])
    return by_rows(empty.nonzero().flatten().tolist(), ["used, with a mask of 0 pixels; expected 1 or more"])


@register("padded.padding_is_border", "padded")
def padding_is_border(batch: PaddedBatchedDenseSample) -> Finding:
    """What is no padding is a rectangle at the top left, in every sample.

    In the wild: batches padded after the paste, masks and image by different amounts.
    """
    padding = batch.tensors().get("padding_mask")
    if padding is None:
        return not_applicable("no padding mask")
    if not bool(padding.any()):
        return not_exercised("no padded pixel")
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
        return not_exercised("no used slot")
    if not bool(padding.any()):
        return not_exercised("no padded pixel")
    on_padding = fields["instance_masks"][0][used] & padding[0, 0]
    rows = used.nonzero().flatten()[not_empty(on_padding)].tolist()
    return by_rows(rows, ["mask on padding, expected none"], covered_by(on_padding))


def _not_zero(rows: torch.Tensor) -> torch.Tensor:
    # Bits, so that a -0 counts as something.
    return (bits(rows) != 0).reshape(rows.shape[0], -1).any(dim=1)
