"""What a paste law judges: before, after, and what section 4 makes of it, computed once."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import torch

from segpaste.invariants.expected import ExpectedPaste, expect_paste
from segpaste.invariants.inferred import align_by_identity, changed_pixels
from segpaste.invariants.masks import areas, covered_by
from segpaste.invariants.report import Finding, exercised, not_decidable
from segpaste.invariants.sample_case import DEFAULT_IGNORE
from segpaste.invariants.view import SampleView, present, view_of
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    DenseSample,
    PaddedBatchedDenseSample,
    PanopticSchema,
    PastePlan,
)

Sample = DenseSample | PaddedBatchedDenseSample


class PasteCase:
    """One paste under judgement.

    Slot k of ``before`` and ``after`` is the same row, whichever containers they came
    in. Where plan, configuration and source are known, ``expected`` is the paste as
    specified; where not, it is None and the laws judge what ids, labels and changed
    pixels decide.

    Args:
        before: the target; B = 1 if padded.
        after: the output.
        audit: what the augmentation says it did, B = 1; only its plan and configuration
            are believed, where nobody knows better.
        source: the sample pasted from.
        schema: the class table; the configuration's by default.
        plan: what the paste was asked for, B = 1; the audit's by default.
        config: how it was asked for; the audit's by default.
    """

    def __init__(
        self,
        before: Sample,
        after: Sample,
        audit: BatchAuditPacket | None = None,
        source: Sample | None = None,
        schema: PanopticSchema | None = None,
        plan: PastePlan | None = None,
        config: BatchCopyPasteConfig | None = None,
    ) -> None:
        self.given_before = view_of(before)
        self.given_after = view_of(after)
        self.given_source = None if source is None else view_of(source)
        self.audit = audit
        self.given_plan, self.given_config = plan, config
        self.plan: PastePlan | None = plan if plan is not None or audit is None else audit.plan
        self.config: BatchCopyPasteConfig | None = (
            config if config is not None or audit is None else audit.config
        )
        self.schema = schema if schema is not None or self.config is None else self.config.schema_spec

    @property
    def ignore(self) -> int:
        """The semantic label that means *no label*."""
        if self.config is not None:
            return self.config.ignore_index
        return DEFAULT_IGNORE if self.schema is None else self.schema.ignore_index

    @property
    def why_unknown(self) -> str:
        """Why the paste cannot be recomputed."""
        known = {"plan": self.plan, "configuration": self.config, "source": self.given_source}
        missing = [name for name, value in known.items() if value is None]
        if missing:
            return f"no {', '.join(missing)} to recompute the paste from"
        return f"the paste cannot be recomputed: {self.misfit}"

    def undecided(self) -> Finding:
        """Nothing was found wrong, and nothing was proved."""
        return not_decidable(self.why_unknown)

    @property
    def misfit(self) -> str:
        """Why the plan cannot be applied to target and source; empty if it can, or is unknown."""
        return self._recomputation[1]

    @property
    def _recomputed(self) -> ExpectedPaste | None:
        return self._recomputation[0]

    @cached_property
    def _recomputation(self) -> tuple[ExpectedPaste | None, str]:
        if self.plan is None or self.config is None or self.given_source is None:
            return None, ""
        source = self.given_source
        if source.ragged:  # row n of a sample without slots is slot n of the plan
            source = source.with_slots(self.plan.order.shape[1])
        try:
            return expect_paste(self._roomy_before(), source, self.plan, self.config), ""
        except ValueError as error:
            return None, str(error)

    def _roomy_before(self) -> SampleView:
        """The target with the slots it had when it was pasted into."""
        before = self.given_before
        if not before.ragged:
            return before
        if not self.given_after.ragged:
            return before.with_slots(self.given_after.slots)
        audit = self.audit
        told = (
            None if audit is None else audit.row_source if audit.row_source is not None else audit.row_dropped
        )
        if told is not None:
            return before.with_slots(told.shape[1])
        extra = 0 if self.given_source is None else self.given_source.slots
        return before.with_slots(before.slots + extra)

    @property
    def capacity(self) -> int:
        """F, the target's free slots."""
        return int((~self._roomy_before().valid).sum())

    @cached_property
    def _aligned(self) -> tuple[SampleView, SampleView]:
        after = self.given_after
        if self._recomputed is None:
            return align_by_identity(self.given_before, after, self.given_source)
        before = self._roomy_before()
        if after.ragged:
            return align_by_identity(before, after, renumbered=False)
        slots = max(before.slots, after.slots)
        return before.with_slots(slots), after.with_slots(slots)

    @property
    def before(self) -> SampleView:
        """The target, aligned."""
        return self._aligned[0]

    @property
    def after(self) -> SampleView:
        """The output, aligned."""
        return self._aligned[1]

    @cached_property
    def expected(self) -> ExpectedPaste | None:
        """The paste as specified, aligned; None where it cannot be recomputed."""
        found = self._recomputed
        if found is None:
            return None
        extra = self.before.slots - found.out.slots
        if extra <= 0:
            return found
        pad = torch.nn.functional.pad
        return replace(
            found,
            out=found.out.with_slots(self.before.slots),
            row_source=pad(found.row_source, (0, extra), value=-1),
            row_dropped=pad(found.row_dropped, (0, extra)),
            touched=pad(found.touched, (0, extra)),
            former=pad(found.former, (0, extra)),
            remaining=pad(found.remaining, (0, extra)),
        )

    @cached_property
    def survivors(self) -> list[int]:
        """Slots used before and after."""
        return (self.before.valid & self.after.valid).nonzero().flatten().tolist()

    @cached_property
    def new(self) -> list[int]:
        """Slots used after and not before: the rows that the output calls pasted."""
        return (self.after.valid & ~self.before.valid).nonzero().flatten().tolist()

    @cached_property
    def gone(self) -> list[int]:
        """Slots used before and not after."""
        return (self.before.valid & ~self.after.valid).nonzero().flatten().tolist()

    @cached_property
    def claimed(self) -> torch.Tensor:
        """``[H, W]`` bool, the union of the masks that the output calls pasted."""
        if self.after.masks is None:
            return torch.zeros(self.before.canvas, dtype=torch.bool, device=self.before.image.device)
        return covered_by(self.after.masks[self.new])

    @cached_property
    def union(self) -> torch.Tensor:
        """``[H, W]`` bool, U: recomputed where possible, else what the output's new rows cover."""
        return self.claimed if self.expected is None else self.expected.union

    @cached_property
    def after_areas(self) -> torch.Tensor:
        """``[K]`` int64, pixels of the output's masks."""
        return areas(present(self.after.masks))

    @cached_property
    def before_areas(self) -> torch.Tensor:
        """``[K]`` int64, pixels of the target's masks."""
        return areas(present(self.before.masks))

    @cached_property
    def trimmed(self) -> list[int]:
        """Survivors whose mask the output changed."""
        before, after = present(self.before.masks), present(self.after.masks)
        return [k for k in self.survivors if not torch.equal(after[k], before[k])]

    @cached_property
    def turned_void(self) -> torch.Tensor:
        """``[H, W]`` bool, where void is legitimate: as specified, or as it looks.

        Without a plan, any pixel whose maps were turned into void outside of the new
        rows may have been meant to.
        """
        if self.expected is not None:
            return self.expected.void
        before, after = self.before, self.after
        void = changed_pixels(before, after, ("semantic", "panoptic")) & ~self.claimed
        if after.semantic is not None:
            void &= after.semantic == self.ignore
        if after.panoptic is not None:
            void &= after.panoptic == 0
        return void

    @property
    def harmonized(self) -> bool:
        """Whether the image was harmonised after the paste, and is no exact paste any more."""
        return self.config is not None and self.config.harmonize is not None

    def changed(self, *names: str) -> torch.Tensor:
        """``[H, W]`` bool, where the output differs from the target in these maps, all by default.

        Without the image where it is harmonised: what changed there says nothing of the paste.
        """
        return self._differing(self.after, *names)

    def meant_to_change(self, expected: ExpectedPaste) -> torch.Tensor:
        """``[H, W]`` bool, where the paste as specified differs from the target; as :meth:`changed`."""
        return self._differing(expected.out)

    def _differing(self, other: SampleView, *names: str) -> torch.Tensor:
        """``[H, W]`` bool, where ``other`` differs from the target in these maps; as :meth:`changed`."""
        chosen = names or tuple(self.before.maps())
        if self.harmonized:
            chosen = tuple(name for name in chosen if name != "image")
        return changed_pixels(self.before, other, chosen)

    def if_pasted(self, finding: Finding) -> Finding:
        """The finding; but if it is not violated and nothing was pasted: not exercised."""
        return exercised(finding, bool(self.union.any()), "nothing was pasted")
