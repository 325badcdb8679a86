"""Faults at the edges (4.11): the frame of a sample, empty batches, class mix, and the audit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from segpaste.types import BatchCopyPasteConfig, Modality
from tests.faults.fault import Call, Pasted, changed, correct, fault, field

INSTANCE, SEMANTIC, DEPTH = Modality.INSTANCE, Modality.SEMANTIC, Modality.DEPTH


@fault("4.11: B = 0", "target.completes")
def empty_batch_raises(call: Call) -> Pasted:
    """A batch without samples raises."""
    int(call.plan.step.max())
    return call.paste()


@fault("4.11: no instances on either side", "target.completes", needs={INSTANCE})
def target_without_rows_raises(call: Call) -> Pasted:
    """A target without a single row raises."""
    for valid in call.target.instance_valid:
        valid.nonzero()[0]
    return call.paste()


@fault("4.11: an all-padding source", "target.completes", needs={INSTANCE})
def source_of_padding_raises(call: Call) -> Pasted:
    """A source that is nothing but padding raises."""
    if call.source.padding_mask is not None:
        for padding in field(call.source, "padding_mask")[call.plan.source_idx]:
            (~padding).nonzero()[0]
    return call.paste()


@fault("image dtype silently changed: mmdet CopyPaste, 171 of 200", "paste.frame_kept")
def image_comes_back_as_float(call: Call) -> Pasted:
    """A uint8 image comes back as float32, with the same numbers."""
    after, audit = call.paste()
    return changed(after, images=field(after, "images").float()), audit


@fault("4: the frame is the target's", "paste.frame_kept")
def padding_mask_is_lost(call: Call) -> Pasted:
    """The output has no padding mask."""
    after, audit = call.paste()
    return changed(after, padding_mask=None), audit


@fault("4: the frame is the target's", "paste.frame_kept")
def padding_is_the_source_s(call: Call) -> Pasted:
    """The padding mask is pasted, too: the output has the source's."""
    after, audit = call.paste()
    if after.padding_mask is None or call.source.padding_mask is None:
        return after, audit
    return changed(after, padding_mask=call.source.padding_mask[call.plan.source_idx]), audit


@fault(
    "a padding mask that is warped along with the picture",
    "padded.padding_is_border",
    "padding.is_border",
)
def padding_is_mirrored(call: Call) -> Pasted:
    """Where the source is mirrored, the target's padding mask is, too: padding is on the left."""
    after, audit = call.paste()
    if after.padding_mask is None:
        return after, audit
    padding = field(after, "padding_mask")
    mirrored = torch.where(call.plan.hflip[:, None, None, None], padding.flip(-1), padding)
    return changed(after, padding_mask=mirrored), audit


@fault("4.7: the camera is the target's", "paste.frame_kept", needs={DEPTH})
def camera_is_the_source_s(call: Call) -> Pasted:
    """The output has the source's intrinsics."""
    after, audit = call.paste()
    if after.camera_intrinsics is None or call.source.camera_intrinsics is None:
        return after, audit
    return changed(after, camera_intrinsics=call.source.camera_intrinsics[call.plan.source_idx]), audit


@fault("4.11: metric_depth", "paste.frame_kept", needs={DEPTH})
def metric_flag_is_lost(call: Call) -> Pasted:
    """The output's depth is not metric any more."""
    after, audit = call.paste()
    return changed(after, metric_depth=False), audit


@fault("4.0: the plan names the source", "paste.inside_union_is_source.image")
def first_source_serves_all(call: Call) -> Pasted:
    """Every target is pasted from the first sample of the source view."""
    first = torch.zeros_like(call.plan.source_idx)
    return call.paste_as_if(plan=replace(call.plan, source_idx=first))


@fault(
    "4.11: a 64-bit mix key", "audit.union_is_true", "paste.inside_union_is_source.semantic", needs={SEMANTIC}
)
def class_mix_reads_half_of_its_key(call: Call) -> Pasted:
    """The upper 32 bits of the mix key are taken for 0."""
    return call.paste_as_if(plan=replace(call.plan, mix_key=call.plan.mix_key & 0xFFFFFFFF))


@fault("4.11", "audit.union_is_true", "paste.unchanged_outside_union.semantic", needs={SEMANTIC})
def class_mix_takes_all_classes(call: Call) -> Pasted:
    """The class mix takes every class of the source."""

    def class_mix_pixels(warped: Any, plan: Any, config: BatchCopyPasteConfig) -> np.ndarray:
        return warped.inside

    return call.paste(class_mix_pixels=class_mix_pixels)


@fault("4.11: no rows", "paste.rows_need_masks", needs={SEMANTIC})
def class_mix_adds_a_row(call: Call) -> Pasted:
    """A class mix puts a box without a mask into a free slot."""
    after, audit = call.paste()
    if after.instance_masks is not None or not after.labels.numel():
        return after, audit
    valid = field(after, "instance_valid")
    valid[audit.paste_union.flatten(1).any(dim=1), -1] = True
    return changed(after, instance_valid=valid), audit


@fault("4.11", "metamorphic.count_zero_is_identity", needs={SEMANTIC})
def class_mix_cannot_be_switched_off(call: Call) -> Pasted:
    """The class mix ignores a count of 0."""
    if call.target.instance_masks is not None:
        return call.paste()
    return call.paste_as_if(plan=replace(call.plan, count=call.plan.count.clamp(min=1)))


@fault("4.11: stuff rule as above", "panoptic.stuff_threshold", needs={SEMANTIC})
def class_mix_starves_stuff(call: Call) -> Pasted:
    """The class mix does without the stuff rule."""

    def starved_stuff(target: Any, union: np.ndarray, config: BatchCopyPasteConfig) -> np.ndarray:
        starved = correct.starved_stuff(target, union, config)
        return starved if target.masks is not None else np.zeros_like(starved)

    return call.paste(starved_stuff=starved_stuff)


@fault("4.6: exactly the union of the pasted masks", "audit.union_is_true")
def audit_tells_the_union_before_the_z_test(call: Call) -> Pasted:
    """The audit's union is what would have been pasted without the z-test."""
    after, audit = call.paste()
    _, before = call.paste_as_if(config=call.config.model_copy(update={"z_test": False}))
    return after, replace(audit, paste_union=before.paste_union)


@fault("4.8", "audit.rows_are_true", needs={INSTANCE})
def audit_tells_no_drops(call: Call) -> Pasted:
    """The audit says that no row was dropped."""
    after, audit = call.paste()
    return after, replace(audit, row_dropped=torch.zeros_like(after.instance_valid))


@fault("4.8", "audit.rows_are_true", needs={INSTANCE})
def audit_counts_within_the_paste_list(call: Call) -> Pasted:
    """The audit gives a pasted row's place in the paste list instead of its source slot."""
    after, audit = call.paste()
    told = audit.row_source
    if told is None:
        return after, audit
    return after, replace(audit, row_source=torch.where(told >= 0, (told >= 0).cumsum(dim=1) - 1, told))


@fault("4.7", "audit.warped_is_true", needs={DEPTH})
def audit_tells_the_joined_validity(call: Call) -> Pasted:
    """The audit gives the output's validity for that of the warped source."""
    after, audit = call.paste()
    if after.depth_valid is None:
        return after, audit
    return after, replace(audit, warped_depth_valid=after.depth_valid & audit.paste_union[:, None])


@fault("4.0: apply sees one plan", "audit.plan_fits", needs={INSTANCE})
def audit_tells_another_plan(call: Call) -> Pasted:
    """What is pasted and told is mirrored; the plan that was given is not followed."""
    own = replace(call.plan, hflip=~call.plan.hflip)
    return call._replace(plan=own).paste()
