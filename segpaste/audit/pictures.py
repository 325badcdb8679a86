"""The gallery: before, donor and after, with what was pasted outlined and named."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from PIL import Image

from segpaste.audit.judging import Violation
from segpaste.audit.pipeline import Step
from segpaste.testing.examples import ragged
from segpaste.types import DenseSample
from segpaste.viz import Column, crop_around, draw_strip, window_around

SIDE = 344


def step_strip(step: Step, names: Mapping[int, str], ignore_index: int) -> Image.Image:
    """Target, donor and result side by side, with all modalities; pasted objects are outlined.

    An object has the colour of its new id in the result and in the donor.
    """
    before, donor = ragged(step.before), ragged(step.donor)
    in_result, in_donor = _pasted_rows(step)
    return draw_strip(
        [
            _column("before, jittered", before, {}, ""),
            _column("donor", donor, in_donor, _of_donor(step))
            if step.of_batch
            else _crops_column(donor, in_donor),
            _column("after", step.final, in_result, _nothing(step)),
        ],
        side=SIDE,
        ignore_index=ignore_index,
        class_names=names,
    )


def violation_picture(violation: Violation, names: Mapping[int, str], ignore_index: int) -> Image.Image:
    """What went in and what came out of the stage at fault, and the offending pixels."""
    step, report = violation.step, violation.report
    before, after = {
        "jittered": (step.raw, ragged(step.before)),
        "pasted": (ragged(step.before), ragged(step.pasted)),
        "sanitized": (ragged(step.pasted), step.final),
    }[violation.stage]
    columns = [Column("before", before)]
    if violation.stage == "pasted":
        columns.append(Column("donor", ragged(step.donor)))
    columns.append(Column("after", after))
    mask = report.mask
    if mask is not None and mask.shape != after.canvas_size:
        mask = None
    note = f"{report.count} px" if mask is not None else "no pixels: see the message"
    columns.append(Column("offending pixels", after, None if mask is None else mask.cpu(), note))
    return draw_strip(columns, side=SIDE, ignore_index=ignore_index, class_names=names)


def _column(title: str, sample: DenseSample, outlined: dict[int, int], nothing: str) -> Column:
    """The sample without its padding, which shows nothing; rows keep their outlines."""
    height, width = sample.canvas_size
    if sample.padding_mask is None or not bool(sample.padding_mask.any()):
        return Column(f"{title}: {height} x {width}", sample, outlined=outlined, nothing=nothing)
    padding = sample.padding_mask.as_subclass(torch.Tensor)[0]
    high, wide = max(1, int((~padding).any(dim=1).sum())), max(1, int((~padding).any(dim=0).sum()))
    title = f"{title}: {high} x {wide} of {height} x {width}"
    masks = sample.instance_masks
    kept: list[int] = []
    if masks is not None:
        shown = masks.as_subclass(torch.Tensor)[..., :high, :wide].flatten(1).any(dim=1)
        kept = shown.nonzero().flatten().tolist()
    moved = {kept.index(row): key for row, key in outlined.items() if row in kept}
    cut = crop_around(sample, (0, 0, high, wide))
    return Column(title, cut, outlined=moved, nothing=nothing)


def _crops_column(donor: DenseSample, outlined: dict[int, int]) -> Column:
    """The crops of a bank without the empty canvas around them; each has an object, so all rows stay."""
    masks = donor.instance_masks
    if masks is None or not bool(masks.any()):
        return Column("crops of the bank", donor, nothing="no crop could be used")
    y0, x0, y1, x1 = window_around(masks.as_subclass(torch.Tensor).any(dim=0), margin=12, smallest=32)
    cut = crop_around(donor, (y0, x0, y1, x1))
    return Column("crops of the bank", cut, outlined=outlined, nothing="nothing of them was pasted")


def _pasted_rows(step: Step) -> tuple[dict[int, int], dict[int, int]]:
    """Row of the result, and row of the donor, -> new id, for everything pasted."""
    sources = step.audit.row_source
    if sources is None or step.pasted.instance_masks is None:
        return {}, {}
    ids = step.pasted.instance_ids
    donor_rows = {
        slot: row for row, slot in enumerate(step.donor.instance_valid[0].nonzero().flatten().tolist())
    }
    left = None if step.final.instance_ids is None else step.final.instance_ids.tolist()
    in_result: dict[int, int] = {}
    in_donor: dict[int, int] = {}
    for slot in (sources[0] >= 0).nonzero().flatten().tolist():
        source = int(sources[0, slot])
        if ids is None or left is None:
            continue
        key = int(ids[0, slot])
        in_donor[donor_rows[source]] = key
        if key in left:
            in_result[left.index(key)] = key
    return in_result, in_donor


def _nothing(step: Step) -> str:
    """Below the result where no row is outlined: without instances the donor is mixed in by pixels."""
    shown = _pixels_shown(step)
    return f"{shown} px show the donor" if shown else "nothing was pasted"


def _of_donor(step: Step) -> str:
    shown = _pixels_shown(step)
    return f"{shown} px of the result show it" if shown else "nothing of it was pasted"


def _pixels_shown(step: Step) -> int:
    return int(step.audit.paste_union[0].as_subclass(torch.Tensor).sum())
