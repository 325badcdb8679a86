"""The laws of a paste by a black box, judged by where its pixels came from."""

from __future__ import annotations

import torch

from segpaste.invariants.geometric_laws import mostly_shown
from segpaste.invariants.provenance import DONOR
from segpaste.invariants.registry import register
from segpaste.invariants.report import Finding, by_pixels, by_rows, exercised
from segpaste.invariants.transform_case import TransformCase
from segpaste.invariants.view import present
from segpaste.types import Modality

INSTANCE, SEMANTIC = Modality.INSTANCE, Modality.SEMANTIC


@register("provenance.masks_show_their_object", "provenance", INSTANCE)
def masks_show_their_object(case: TransformCase) -> Finding:
    """Every sure pixel of a row's mask shows the row's own object.

    A row under an id of the target's is that row (or the donor's of that id); any other is
    whichever object its mask fits best. Masks of the input may overlap.

    In the wild: originals never cut by what is pasted over them (Ultralytics CopyPaste);
    donors that overlap each other, the earlier keeping its mask over pixels that show the
    later (AlbumentationsX CopyAndPaste).
    """
    if case.undecidable is not None:
        return case.undecidable
    wrong = torch.zeros(case.after.canvas, dtype=torch.bool, device=case.after.image.device)
    offending: list[int] = []
    messages: list[str] = []
    judged = False
    for row in case.rows:
        fit = _best(case, row)
        if fit is None:
            continue
        n, differs = fit
        mask = present(case.after.masks)[row]
        judged = judged or bool((mask & case.object_sure[n]).any())
        count = int(torch.count_nonzero(differs))
        if count:
            total = int(torch.count_nonzero(mask))
            offending.append(row)
            messages.append(f"{count} of {total} mask pixels do not show {_name(case, n)}")
            wrong |= differs
    found = by_rows(offending, messages, wrong if offending else None)
    return exercised(found, judged, "no pixel of a mask is sure")


@register("provenance.objects_keep_their_pixels", "provenance", INSTANCE)
def objects_keep_their_pixels(case: TransformCase) -> Finding:
    """A sure pixel that shows an object with a row in the output lies in that row's mask.

    Where masks of the input overlap, a pixel may show any of them: it offends if all of
    them have rows and it lies in none.

    In the wild: the whole rectangle around a donor painted, and only part of it labelled;
    masks eroded against the seam and the image not.
    """
    if case.undecidable is not None:
        return case.undecidable
    covered = [torch.zeros_like(case.trace.known) for _ in case.objects]
    has_row = [False for _ in case.objects]
    for row in case.rows:
        fit = _best(case, row)
        mask = present(case.after.masks)[row]
        if fit is None or not bool((mask & case.object_sure[fit[0]] & case.object_shown[fit[0]]).any()):
            continue
        has_row[fit[0]] = True
        covered[fit[0]] |= mask
    offends = torch.zeros_like(case.trace.known)
    excused = torch.zeros_like(case.trace.known)
    judged = False
    for n, mask in enumerate(covered):
        if not has_row[n]:
            excused |= case.object_near[n]
            continue
        shows = case.object_sure[n] & case.object_shown[n]
        judged = judged or bool(shows.any())
        offends |= shows & ~mask
        excused |= (case.object_near[n] | case.object_shown[n]) & mask
    wrong = offends & ~excused
    rows = [
        row
        for row in case.rows
        if (fit := _best(case, row)) and bool((wrong & case.object_shown[fit[0]]).any())
    ]
    count = int(torch.count_nonzero(wrong))
    message = f"{count} pixels show its object, and are not in its mask"
    return exercised(
        by_rows(rows, [message] * len(rows), wrong), judged, "no sure pixel shows an object with a row"
    )


@register("provenance.labels_of_their_object", "provenance", INSTANCE)
def labels_of_their_object(case: TransformCase) -> Finding:
    """A row's label is that of the object that most of its mask shows.

    In the wild: pasted rows labelled in the order of another list than their masks'.
    """
    if case.undecidable is not None:
        return case.undecidable
    offending: list[int] = []
    messages: list[str] = []
    judged = 0
    for row in case.rows:
        mostly = mostly_shown(case, row)
        mine = [n for n in case.claims(row, keeps_ids=True) if mostly is not None and n in mostly]
        if not mine:
            continue
        judged += 1
        expected = sorted({case.object_labels[n] for n in mine})
        label = int(case.after.labels[row])
        if label not in expected:
            offending.append(row)
            messages.append(
                f"label {label}, expected {' or '.join(map(str, expected))}: {_name(case, mine[0])}"
            )
    return exercised(by_rows(offending, messages), judged > 0, "no mask shows an object")


@register("provenance.semantic_of_what_is_shown", "provenance", SEMANTIC)
def semantic_of_what_is_shown(case: TransformCase) -> Finding:
    """The semantic label of a sure pixel is that of the pixel it shows, or ignore.

    Where a donor's pixel lies in a row's mask, the row's label is right, too.

    In the wild: one donor with a semantic map, another without: class 0 written over the
    second (AlbumentationsX CopyAndPaste).
    """
    if case.undecidable is not None:
        return case.undecidable
    maps, got = case.field("semantic"), present(case.after.semantic)
    expected = case.shown(maps)[0]
    sure = case.sure(maps)[0]
    right = (got == expected) | (got == case.ignore)
    if case.after.masks is not None:
        for row in case.rows:
            of_donor = case.after.masks[row] & (case.trace.origin == DONOR)
            right |= of_donor & (got == case.after.labels[row])
    wrong = sure & ~right
    message = "the semantic label is not that of what is shown"
    if bool(wrong.any()):
        y, x = (int(i) for i in wrong.nonzero()[0])
        message += f": {int(got[y, x])}, expected {int(expected[y, x])}"
    return exercised(by_pixels(wrong, message), bool(sure.any()), "no pixel of the output is sure")


def _best(case: TransformCase, row: int) -> tuple[int, torch.Tensor] | None:
    """The object that a row's mask fits best, and the mask's pixels that surely do not show it."""
    mask = present(case.after.masks)[row]
    best: tuple[int, torch.Tensor] | None = None
    score = (0, 0)
    for n in case.claims(row, keeps_ids=True):
        elsewhere = mask & case.object_sure[n] & ~case.object_shown[n]
        missed = case.object_sure[n] & case.object_shown[n] & ~mask
        shown = mask & case.object_shown[n]
        fit = (int(torch.count_nonzero(elsewhere)), int(missed.sum()) - int(shown.sum()))
        if best is None or fit < score:
            best, score = (n, elsewhere), fit
    return best


def _name(case: TransformCase, n: int) -> str:
    origin, row = case.objects[n]
    name = int(present(case.inputs[origin].ids)[row])
    return f"row {row} of the {'target' if origin == 0 else 'donor'} (id {name})"
