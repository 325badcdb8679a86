"""Faults that one run does not show: state, order, memory, and what should take no part."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from segpaste.types import BatchCopyPasteConfig, Modality, PaddedBatchedDenseSample
from tests.faults.fault import Call, Pasted, Rows, changed, correct, fault, field

INSTANCE, SEMANTIC, PANOPTIC = Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC
DEPTH, NORMALS = Modality.DEPTH, Modality.NORMALS


@fault(
    "a paste into a cached sample, which carries it into every later epoch", "metamorphic.inputs_not_mutated"
)
def target_is_written_to(call: Call) -> Pasted:
    """The picture is pasted in place."""
    after, audit = call.paste()
    call.target.images.copy_(after.images)
    return after, audit


@fault("invalid depth zeroed in place", "metamorphic.inputs_not_mutated", needs={DEPTH})
def source_is_written_to(call: Call) -> Pasted:
    """What lies under the source's invalid depth is zeroed in place."""
    pasted = call.paste()
    if call.source.depth is not None and call.source.depth_valid is not None:
        call.source.depth.masked_fill_(~call.source.depth_valid, 0)
    return pasted


@fault("4.0: the plan is given", "metamorphic.inputs_not_mutated", needs={INSTANCE})
def plan_is_written_to(call: Call) -> Pasted:
    """The counts of the plan are cut to the capacity in place."""
    pasted = call.paste()
    call.plan.count.clamp_(max=call.target.max_instances)
    return pasted


@fault("a global generator behind a seed argument", "metamorphic.same_seed_same_bits", needs={INSTANCE})
def flip_comes_from_a_global_generator(call: Call) -> Pasted:
    """Whether to mirror is drawn from torch's global generator."""
    flip = torch.rand(call.plan.hflip.shape) < 0.5
    return call.paste_as_if(plan=replace(call.plan, hflip=flip))


@fault("2: apply has no randomness", "metamorphic.generators_untouched")
def torch_generator_is_moved_on(call: Call) -> Pasted:
    """A number is drawn from torch's global generator and thrown away."""
    torch.rand(())
    return call.paste()


@fault("2: apply has no randomness", "metamorphic.generators_untouched")
def numpy_generator_is_seeded(call: Call) -> Pasted:
    """NumPy's global generator is seeded, for whoever comes next."""
    np.random.seed(int(call.plan.mix_key.sum()) % 2**32)
    return call.paste()


@fault("2: apply has no randomness", "metamorphic.generators_untouched")
def python_generator_is_moved_on(call: Call) -> Pasted:
    """Python's global generator is asked whether to log."""
    random.random()
    return call.paste()


@fault(
    "one random draw serves the whole batch, seen in the wild",
    "metamorphic.batch_independence",
    needs={INSTANCE},
)
def one_flip_serves_the_batch(call: Call) -> Pasted:
    """All samples are mirrored or not as the first one is."""
    flip = call.plan.hflip[:1].expand_as(call.plan.hflip) if call.plan.batch_size else call.plan.hflip
    return call.paste_as_if(plan=replace(call.plan, hflip=flip))


@fault("results that depend on the batch size, seen in the wild", "metamorphic.batch_independence")
def picture_depends_on_the_batch_size(call: Call) -> Pasted:
    """In a batch of three the last sample's first pixel is one brighter."""
    after, audit = call.paste()
    if after.batch_size != 3:
        return after, audit
    return changed(after, images=_one_brighter(field(after, "images"), 2)), audit


@fault("donors taken from the next sample of a batch", "metamorphic.batch_permutation")
def donor_is_the_next_sample(call: Call) -> Pasted:
    """Every target is pasted from the sample after it."""
    batch, sources = call.target.batch_size, max(call.source.batch_size, 1)
    following = (torch.arange(batch) + 1) % sources
    return call.paste_as_if(plan=replace(call.plan, source_idx=following))


@fault("one wrong pixel in one of 200 runs", "metamorphic.batch_independence")
def one_pixel_in_200_runs(call: Call) -> Pasted:
    """In one of 200 runs, as a digest of the arguments decides, one pixel is one brighter."""
    after, audit = call.paste()
    if call.target.batch_size == 0 or _digest(call) % 200:
        return after, audit
    return changed(after, images=_one_brighter(field(after, "images"), 0)), audit


@fault("every 50th call", "metamorphic.same_seed_same_bits")
def every_50th_call_is_wrong(call: Call) -> Pasted:
    """A counter over all calls makes every 50th picture one pixel brighter."""
    _CALLS.append(None)
    after, audit = call.paste()
    if call.target.batch_size == 0 or len(_CALLS) % 50:
        return after, audit
    return changed(after, images=_one_brighter(field(after, "images"), 0)), audit


@fault("ids beyond 2^24 rounded by a float warp, seen in the wild", "instance.fresh_ids", needs={INSTANCE})
def fresh_ids_are_floats(call: Call) -> Pasted:
    """Fresh ids go through float32: beyond 2^24 only even numbers are left."""

    def edit(rows: Rows) -> None:
        for row in rows.new:
            rows.rename(row, min(int(np.float32(rows.out.ids[row])), 2**31 - 1))

    return call.paste_then(edit)


@fault(
    "ids beyond 2^24 rounded by a float warp, seen in the wild",
    "paste.unchanged_outside_union.panoptic",
    "panoptic.masks_match_map",
    needs={PANOPTIC},
)
def panoptic_map_is_a_float_map(call: Call) -> Pasted:
    """The panoptic map goes through float32, the rows' ids do not."""
    after, audit = call.paste()
    if after.panoptic_maps is None:
        return after, audit
    return changed(after, panoptic_maps=field(after, "panoptic_maps").float().long()), audit


@fault("only when a mask touches the right border", "instance.bbox_recomputed_from_mask", needs={INSTANCE})
def box_at_the_right_border_is_short(call: Call) -> Pasted:
    """A recomputed box that should end at the right border ends one pixel before it."""

    def edit(rows: Rows) -> None:
        width = rows.union.shape[1]
        for row in rows.new + rows.trimmed:
            if rows.out.boxes[row, 2] == width:
                rows.out.boxes[row, 2] -= 1

    return call.paste_then(edit)


@fault("only when two things have the same label", "instance.pasted_masks_disjoint", needs={INSTANCE})
def things_of_one_label_are_merged(call: Call) -> Pasted:
    """Of pasted rows of one label every one gets the pixels of all of them."""

    def edit(rows: Rows) -> None:
        for label in np.unique(rows.out.labels[rows.new]):
            same = [row for row in rows.new if rows.out.labels[row] == label]
            rows.out.masks[same] = rows.out.masks[same].any(axis=0)

    return call.paste_then(edit)


@fault(
    "a membership test with assume_unique=True on labels that repeat, seen in the wild",
    "paste.void_exact",
    needs={PANOPTIC},
)
def membership_assumes_unique_labels(call: Call) -> Pasted:
    """Of dropped rows of one label only the first leaves void."""

    def edit(rows: Rows) -> None:
        gone = np.flatnonzero(rows.dropped).tolist()
        for n, row in enumerate(gone):
            if rows.target.labels[row] in rows.target.labels[gone[:n]]:
                rows.void[rows.target.masks[row]] = False

    return call.paste_then(edit)


@fault("only on input that is not contiguous", "metamorphic.memory_layout_takes_no_part")
def strides_are_overlooked(call: Call) -> Pasted:
    """The target's memory is read as if it were contiguous."""
    fields: dict[str, Any] = {
        name: value.as_strided(value.shape, torch.empty(value.shape, device="meta").stride())
        for name, value in call.target.tensors().items()
    }
    target = PaddedBatchedDenseSample(**fields, metric_depth=call.target.metric_depth)
    return call.paste_as_if(target=target)


@fault("an output buffer that is used again", "metamorphic.batch_permutation")
def output_is_overwritten_by_the_next_call(call: Call) -> Pasted:
    """The picture is returned in a buffer that the next call of the same shape writes to."""
    after, audit = call.paste()
    images = field(after, "images")
    buffer = _BUFFERS.setdefault((tuple(images.shape), images.dtype), torch.empty_like(images))
    return changed(after, images=buffer.copy_(images)), audit


@fault(
    "row buffers whose length leaks",
    "metamorphic.larger_target_capacity",
    "instance.fresh_ids",
    needs={INSTANCE},
)
def fresh_ids_depend_on_the_slots(call: Call) -> Pasted:
    """Fresh ids start at ``max_prev + K``."""

    def edit(rows: Rows) -> None:
        slots = len(rows.out.valid)
        if int(rows.out.ids.max(initial=0)) + slots < 2**31 - 1:
            for row in rows.new[::-1]:
                rows.rename(row, int(rows.out.ids[row]) + slots)

    return call.paste_then(edit)


@fault(
    "rows thrown out where a modality is missing",
    "metamorphic.normals_take_no_part",
    needs={NORMALS, INSTANCE},
)
def normals_are_needed(call: Call) -> Pasted:
    """Without normals nothing is pasted."""
    if call.target.normals is not None:
        return call.paste()
    return call.paste_as_if(plan=replace(call.plan, count=torch.zeros_like(call.plan.count)))


@fault(
    "a missing map filled in with class 0", "metamorphic.semantic_takes_no_part", needs={SEMANTIC, INSTANCE}
)
def missing_labels_are_ignore(call: Call) -> Pasted:
    """Without a semantic map everything is *ignore*, and nothing is pasted."""
    if call.target.semantic_maps is not None:
        return call.paste()
    return call.paste_as_if(plan=replace(call.plan, count=torch.zeros_like(call.plan.count)))


@fault("a paste of nothing that still converts the picture", "metamorphic.empty_source_is_identity")
def nothing_to_paste_darkens_the_picture(call: Call) -> Pasted:
    """Where the source has no rows and no labels, the picture comes out one darker."""
    after, audit = call.paste()
    if call.source.instance_valid.any() or not after.batch_size:
        return after, audit
    labels = call.source.semantic_maps
    if labels is not None and bool((labels != call.config.ignore_index).any()):
        return after, audit
    return changed(after, images=_one_brighter(field(after, "images"), 0)), audit


@fault("probability 0 that still re-encodes boxes", "metamorphic.count_zero_is_identity", needs={INSTANCE})
def count_zero_rounds_the_boxes(call: Call) -> Pasted:
    """Where no row is asked for, the boxes come out with their last pixel cut off."""
    after, audit = call.paste()
    none = (call.plan.count == 0)[:, None, None] & after.instance_valid[..., None]
    return changed(after, boxes=torch.where(none, (after.boxes - 1).clamp(min=0), after.boxes)), audit


@fault("flip off by one pixel, which a double flip hides", "metamorphic.mirror_everything", needs={INSTANCE})
def flip_is_one_pixel_off(call: Call) -> Pasted:
    """A mirrored source is seen one pixel further right."""

    def sample_axis(
        extent: int, shift: int, step: int, valid: int, *, mirrored: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return correct.sample_axis(extent, shift + mirrored, step, valid, mirrored=mirrored)

    return call.paste(sample_axis=sample_axis)


@fault(
    "padding rows of the source pasted as empty objects",
    "metamorphic.larger_source_capacity",
    needs={INSTANCE},
)
def last_source_slot_is_never_pasted(call: Call) -> Pasted:
    """The paste list leaves out the source's last slot, as if it were background."""

    def paste_list(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> list[int]:
        return [j for j in correct.paste_list(target, source, plan, config) if j < len(plan.order) - 1]

    return call.paste(paste_list=paste_list)


def _one_brighter(images: torch.Tensor, index: int) -> torch.Tensor:
    """The pictures, the first value of one of them changed by its last bit."""
    bits = images.view(torch.uint8) if images.dtype == torch.uint8 else images.view(torch.int32)
    bits[index, 0, 0, 0] ^= 1
    return images


def _digest(call: Call) -> int:
    """A number that every argument takes part in."""
    words = [int(value.to(torch.int64).sum()) for value in vars_of(call.plan)]
    words += [int(field(call.target, "images").double().sum() * 256), call.target.batch_size]
    state = 0
    for word in words:
        state = (state * 0x9E3779B1 + word + 12345) % 2**61
    return state >> 7


def vars_of(plan: Any) -> list[torch.Tensor]:
    """The tensors of a plan."""
    return [plan.source_idx, plan.step, plan.translate, plan.hflip, plan.order, plan.count, plan.mix_key]


_CALLS: list[None] = []
_BUFFERS: dict[Any, torch.Tensor] = {}
