"""The picture strips of a report."""

from __future__ import annotations

import torch
from PIL import Image

from segpaste.testing.results import Exhibit, MinimalCase
from segpaste.types import DenseSample
from segpaste.viz import Column, crop_around, draw_strip, window_around

_LARGE = 96  # a canvas beyond this hides a few pixels


def violation_strip(minimal: MinimalCase) -> Image.Image:
    """Before, donor (if any), after and the offending pixels of a minimal case, side by side."""
    mask = _offending(minimal)
    named = [
        ("before" if minimal.donor is None else "before (target)", minimal.before),
        ("donor", minimal.donor),
        ("after", minimal.after),
    ]
    shown = {title: sample for title, sample in named if sample is not None}
    shown_on = minimal.before if minimal.after is None else minimal.after
    one_canvas = shown_on.canvas_size == minimal.before.canvas_size
    if mask is not None and one_canvas and max(shown_on.canvas_size) > _LARGE:
        window = window_around(mask, margin=12, smallest=48)
        small = (window[2] - window[0]) * (window[3] - window[1]) * 4 < mask.numel()
        if small:  # the donor stays whole: its window would be another one
            y0, x0, y1, x1 = window
            mask = mask[y0:y1, x0:x1]
            cut = {
                title if title == "donor" else f"{title}, x {x0}-{x1}, y {y0}-{y1}": (
                    sample if title == "donor" else crop_around(sample, window)
                )
                for title, sample in shown.items()
            }
            return _strip(cut, list(cut.values())[-1], mask, minimal)
    return _strip(shown, shown_on, mask, minimal)


def exhibit_strip(exhibit: Exhibit) -> Image.Image:
    """Before, donor, after and the paste union of an example that went well, as far as there are such."""
    columns = [Column("before" if exhibit.donor is None else "before (target)", exhibit.before)]
    if exhibit.donor is not None:
        columns.append(Column("donor", exhibit.donor))
    columns.append(Column("after", exhibit.after))
    if exhibit.union is not None:
        note = f"{int(exhibit.union.sum())} px show the donor"
        columns.append(Column("paste union", exhibit.after, exhibit.union, note))
    return draw_strip(columns, ignore_index=exhibit.example.config.ignore_index)


def _strip(
    shown: dict[str, DenseSample], shown_on: DenseSample, mask: torch.Tensor | None, minimal: MinimalCase
) -> Image.Image:
    columns = [Column(title, sample) for title, sample in shown.items()]
    # A cut-out sample has lost rows, so that they are no longer known by their numbers.
    rows = minimal.rows if shown_on is minimal.after and minimal.report.mask is None else ()
    columns.append(Column("offending pixels", shown_on, mask, _note(minimal), rows))
    return draw_strip(
        columns,
        caption=f"{minimal.report}\n{minimal.how}",
        ignore_index=minimal.example.config.ignore_index,
    )


def _offending(minimal: MinimalCase) -> torch.Tensor | None:
    """The offending pixels; of offending rows, their masks. None where neither is known."""
    after = minimal.after
    canvas = (minimal.before if after is None else after).canvas_size
    mask = minimal.report.mask
    if mask is not None:
        return mask.cpu() if mask.shape == canvas else None
    if after is None or after.instance_masks is None or not minimal.rows:
        return None
    return after.instance_masks[list(minimal.rows)].as_subclass(torch.Tensor).any(dim=0).cpu()


def _note(minimal: MinimalCase) -> str:
    report, after = minimal.report, minimal.after
    if report.mask is not None:
        return f"{report.count} px"
    if minimal.rows and after is not None:
        ids = list(minimal.rows) if after.instance_ids is None else after.instance_ids.tolist()
        named = ", ".join(str(ids[row]) for row in minimal.rows[:4])
        return f"mask and box of id {named}" if after.instance_masks is not None else f"box of row {named}"
    return "no pixels: see the message"
