"""What a pipeline does to a data set, in numbers: what is pasted, how large, and what is lost why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from segpaste.audit.pipeline import Step
from segpaste.invariants.expected import ExpectedPaste
from segpaste.invariants.paste_case import PasteCase
from segpaste.testing.examples import ragged
from segpaste.types import BatchCopyPasteConfig, to_q16

PASTED = "pasted"
PASTED_SANITIZED = "pasted, then sanitized away"
TOO_LITTLE_SEEN = "too little of it to be seen"
COVERED_BY_PASTED = "covered by other pasted objects"
STUFF_KEPT = "stuff kept its pixels"
NO_SLOT = "no free slot for it"

KEPT_WHOLE = "kept whole"
KEPT_PARTLY = "kept, partly covered"
DROPPED_COVERED = "dropped: covered completely"
DROPPED_FRACTION = "dropped: below the least fraction"
DROPPED_AREA = "dropped: below the least area"
SANITIZED = "dropped: sanitized, below the least mask area"


@dataclass
class ClassCounts:
    """Rows of one class: before the paste, pasted, lost, and in what comes out.

    ``before + pasted - lost == after``: a row that sanitizing drops is lost, its own or pasted.
    """

    before: int = 0
    pasted: int = 0
    lost: int = 0
    after: int = 0


@dataclass
class Statistics:
    """Numbers of one set.

    Attributes:
        samples: how many went through.
        objects: whether they have instances; without any a paste is of pixels alone.
        pastes: pasted rows of every sample.
        areas: visible pixels of every pasted row.
        shares: of every sample, the part of its valid canvas that shows a donor.
        donors: what became of the donors' rows that a plan asked for, and of those that it could
            not for want of slots.
        targets: what became of the targets' own rows.
        stuff_void: pixels of stuff that became void for being below their threshold.
        stuff_reverted: pixels that stuff took back from a paste.
        rows_void: pixels that became void with the row they belonged to.
        classes: class id -> its rows.
        empty: rows that the jittering left without a pixel on the canvas.
    """

    samples: int = 0
    objects: bool = False
    pastes: list[int] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    donors: Counter[str] = field(default_factory=Counter[str])
    targets: Counter[str] = field(default_factory=Counter[str])
    stuff_void: int = 0
    stuff_reverted: int = 0
    rows_void: int = 0
    empty: int = 0
    classes: dict[int, ClassCounts] = field(default_factory=dict)

    def add(self, step: Step, config: BatchCopyPasteConfig) -> None:
        """Count one sample."""
        audit = step.audit
        union = audit.paste_union[0]
        padding = step.before.padding_mask
        valid = union.numel() if padding is None else int((~padding.as_subclass(torch.Tensor)).sum())
        self.samples += 1
        self.objects = self.objects or step.before.instance_masks is not None
        self.shares.append(round(int(union.sum()) / max(1, valid), 6))
        before = ragged(step.before)
        self.empty += len(step.raw) - len(before)
        for label in before.labels.tolist():
            self._of(label).before += 1
        for label in step.final.labels.tolist():
            self._of(label).after += 1
        left = _slots_left(step)
        self._pasted(step, left)
        expected = PasteCase(step.before, step.pasted, audit, step.donor).expected
        self._own(step, left, expected, config)
        if expected is not None:
            self._not_pasted(step, expected, config)

    def _pasted(self, step: Step, left: set[int]) -> None:
        sources, masks = step.audit.row_source, step.pasted.instance_masks
        if sources is None or masks is None:
            self.pastes.append(0)
            return
        slots = (sources[0] >= 0).nonzero().flatten().tolist()
        areas = masks.as_subclass(torch.Tensor)[0].flatten(1).sum(dim=1).tolist()
        self.pastes.append(len(slots))
        for slot in slots:
            counts = self._of(int(step.pasted.labels[0, slot]))
            counts.pasted += 1
            counts.lost += slot not in left
            self.areas.append(areas[slot])
            self.donors[PASTED if slot in left else PASTED_SANITIZED] += 1

    def _own(
        self, step: Step, left: set[int], expected: ExpectedPaste | None, config: BatchCopyPasteConfig
    ) -> None:
        """Each of the target's own rows is counted once, by what became of it in the end."""
        fraction = to_q16(config.min_residual_area_frac)
        after = step.pasted.instance_valid[0].tolist()
        for slot in step.before.instance_valid[0].nonzero().flatten().tolist():
            if slot in left:
                touched = expected is not None and bool(expected.touched[slot])
                self.targets[KEPT_PARTLY if touched else KEPT_WHOLE] += 1
                continue
            self._of(int(step.before.labels[0, slot])).lost += 1
            if after[slot]:
                self.targets[SANITIZED] += 1
            elif expected is None or int(expected.remaining[slot]) == 0:
                self.targets[DROPPED_COVERED] += 1
            elif int(expected.remaining[slot]) * 65536 < fraction * int(expected.former[slot]):
                self.targets[DROPPED_FRACTION] += 1
            else:
                self.targets[DROPPED_AREA] += 1

    def _not_pasted(self, step: Step, expected: ExpectedPaste, config: BatchCopyPasteConfig) -> None:
        for place in range(len(expected.offered)):
            if place in expected.pasted:
                continue
            may = expected.may[place]
            if int(may.sum()) < config.min_pasted_area:
                self.donors[TOO_LITTLE_SEEN] += 1
            elif int((may & ~expected.reverted).sum()) < config.min_pasted_area:
                self.donors[STUFF_KEPT] += 1
            else:
                self.donors[COVERED_BY_PASTED] += 1
        free = int((~step.before.instance_valid[0]).sum())
        plan = step.audit.plan
        wanted = 0 if plan is None else min(expected.eligible, int(plan.count[0]))
        if wanted > free:
            self.donors[NO_SLOT] += wanted - free
        self.stuff_void += int(expected.stuff_void.sum())
        self.stuff_reverted += int(expected.reverted.sum())
        self.rows_void += int((expected.void & ~expected.stuff_void).sum())

    def _of(self, label: int) -> ClassCounts:
        return self.classes.setdefault(label, ClassCounts())

    def to_json(self, names: Mapping[int, str]) -> dict[str, object]:
        """The numbers, classes by id with their names."""
        return {
            "samples": self.samples,
            "objects": self.objects,
            "pastes_per_sample": self.pastes,
            "pasted_areas": self.areas,
            "shares_that_show_a_donor": self.shares,
            "donor_rows": dict(self.donors),
            "target_rows": dict(self.targets),
            "rows_jittered_away": self.empty,
            "pixels": {
                "stuff_made_void": self.stuff_void,
                "stuff_taken_back": self.stuff_reverted,
                "void_with_dropped_rows": self.rows_void,
            },
            "classes": {
                str(label): {"name": names.get(label, ""), **vars(counts)}
                for label, counts in sorted(self.classes.items())
            },
        }


def _slots_left(step: Step) -> set[int]:
    """Row slots of what the paste put out that sanitizing left."""
    slots = step.pasted.instance_valid[0].nonzero().flatten().tolist()
    ids, left = step.pasted.instance_ids, step.final.instance_ids
    if ids is None or left is None:  # then there are no rows
        return set()
    kept = set(left.tolist())
    return {slot for slot in slots if int(ids[0, slot]) in kept}
