"""What a sample law judges: one sample, and what it was before, if that is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch

from segpaste.invariants.bits import pixels_differ, same
from segpaste.invariants.masks import covered_by, tight_boxes
from segpaste.invariants.view import SampleView, present, view_of
from segpaste.types import DenseSample, PaddedBatchedDenseSample, PanopticSchema

DEFAULT_IGNORE = 255


class SampleCase:
    """One sample under judgement.

    With ``before``, a fault that was there before and lies in what was not touched does
    not count ("not made worse"); with ``source`` neither does one that was faithfully
    carried over from the donor, where a law says so.

    Args:
        sample: the sample.
        schema: the class table, if there is one.
        before: the sample it was made from.
        source: the sample it was pasted from.
        box_slack: by how many pixels a side of a box may miss its mask, ``[K, 4]`` or one
            number.
    """

    def __init__(
        self,
        sample: DenseSample | PaddedBatchedDenseSample,
        schema: PanopticSchema | None = None,
        before: DenseSample | PaddedBatchedDenseSample | None = None,
        source: DenseSample | PaddedBatchedDenseSample | None = None,
        box_slack: float | torch.Tensor = 0.0,
    ) -> None:
        self.sample = sample
        self.schema = schema
        self.box_slack = box_slack
        self._before = before
        self._source = source

    @cached_property
    def view(self) -> SampleView:
        """The sample as plain tensors."""
        return view_of(self.sample)

    @cached_property
    def before(self) -> SampleView | None:
        """What it was made from, if known and of the same canvas."""
        if self._before is None:
            return None
        before = view_of(self._before)
        return before if before.canvas == self.view.canvas else None

    @cached_property
    def source(self) -> SampleView | None:
        """What was pasted into it, if known."""
        return None if self._source is None else view_of(self._source)

    @property
    def ignore(self) -> int:
        """The semantic label that means *no label*."""
        return DEFAULT_IGNORE if self.schema is None else self.schema.ignore_index

    @cached_property
    def rows(self) -> list[int]:
        """The used slots."""
        return self.view.valid.nonzero().flatten().tolist()

    @cached_property
    def tight(self) -> torch.Tensor:
        """``[K, 4]`` int64, the box of each mask."""
        return tight_boxes(present(self.view.masks))

    @cached_property
    def former(self) -> dict[int, int]:
        """Slot -> the slot the same row had before; rows are known by their ids."""
        before, ids = self.before, self.view.ids
        if before is None or ids is None or before.ids is None:
            return {}
        known = {int(before.ids[k]): k for k in before.valid.nonzero().flatten().tolist()}
        return {k: known[int(ids[k])] for k in self.rows if int(ids[k]) in known}

    @cached_property
    def inherited(self) -> torch.Tensor:
        """``[K, H, W]`` bool, mask pixels that the same row had before."""
        masks = present(self.view.masks)
        if self.before is None or self.before.masks is None:
            return torch.zeros_like(masks)
        kept = torch.zeros_like(masks)
        for now, then in self.former.items():
            kept[now] = masks[now] & self.before.masks[then]
        return kept

    def untouched(self, slot: int) -> bool:
        """Whether a row has the id, label, box and mask it had before."""
        before, view = self.before, self.view
        if before is None:
            return False
        if view.ids is None:  # without ids, a row is known by what it is
            return bool(
                (
                    (before.labels == view.labels[slot])
                    & (before.boxes == view.boxes[slot]).all(dim=1)
                    & before.valid
                ).any()
            )
        then = self.former.get(slot)
        return (
            then is not None
            and same(view.labels[slot], before.labels[then])
            and same(view.boxes[slot], before.boxes[then])
            and same(present(view.masks)[slot], present(before.masks)[then])
        )

    def blamed(
        self, offending: Callable[[SampleView], torch.Tensor], fields: tuple[str, ...]
    ) -> torch.Tensor:
        """``[H, W]`` bool: offending pixels, less those that offended before, untouched.

        Args:
            offending: the offending pixels of a view.
            fields: the fields of the view that a pixel's verdict depends on.
        """
        now = offending(self.view)
        if self.before is None or not bool(now.any()):
            return now
        return now & ~(offending(self.before) & ~self.touched(fields))

    def touched(self, fields: tuple[str, ...]) -> torch.Tensor:
        """``[H, W]`` bool, where any of these fields differs from before."""
        changed = torch.zeros(self.view.canvas, dtype=torch.bool, device=self.view.image.device)
        before = self.before
        for field in fields:
            new = getattr(self.view, field)
            old = None if before is None else getattr(before, field)
            if new is None:
                continue
            if field == "masks":
                changed |= covered_by(new & ~self.inherited)
            elif old is None:
                changed |= True
            else:
                changed |= pixels_differ(new, old)
        return changed
