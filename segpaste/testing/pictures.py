"""The picture strips of a report."""

from __future__ import annotations

import torch
from PIL import Image

from segpaste.testing.results import Exhibit, MinimalCase
from segpaste.types import DenseSample
from segpaste.viz import Column, crop_around, draw_strip, window_around

_LARGE = 96  # a canvas beyond this hides a few pixels


def violation_strip(minimal: MinimalCase) -> Image.Image:
    """Before, donor, after and the offending pixels of a minimal case, side by side."""
    mask = _offending(minimal)
    samples = [minimal.before, minimal.donor] + ([] if minimal.after is None else [minimal.after])
    shown_on = samples[-1] if minimal.after is not None else minimal.before
    if mask is not None and max(shown_on.canvas_size) > _LARGE:
        window = window_around(mask, margin=12, smallest=48)
        small = (window[2] - window[0]) * (window[3] - window[1]) * 4 < mask.numel()
        if small:  # the donor stays whole: its window would be another one
            y0, x0, y1, x1 = window
            mask = mask[y0:y1, x0:x1]
            samples = [s if n == 1 else crop_around(s, window) for n, s in enumerate(samples)]
            shown_on = samples[-1]
            titles = (f"before, x {x0}-{x1}, y {y0}-{y1}", "donor", "after, same window")
            return _strip(samples, titles, shown_on, mask, minimal)
    return _strip(samples, ("before (target)", "donor", "after"), shown_on, mask, minimal)


def exhibit_strip(exhibit: Exhibit) -> Image.Image:
    """Before, donor, after and the paste union of an example that went well."""
    pixels = int(exhibit.union.sum())
    columns = [
        Column("before (target)", exhibit.before),
        Column("donor", exhibit.donor),
        Column("after", exhibit.after),
        Column("paste union", exhibit.after, exhibit.union, f"{pixels} px show the donor"),
    ]
    return draw_strip(columns, ignore_index=exhibit.example.config.ignore_index)


def _strip(
    samples: list[DenseSample],
    titles: tuple[str, ...],
    shown_on: DenseSample,
    mask: torch.Tensor | None,
    minimal: MinimalCase,
) -> Image.Image:
    columns = [Column(title, sample) for title, sample in zip(titles, samples, strict=False)]
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
