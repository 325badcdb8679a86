"""The laws of augmentations that move pixels: labels go where the image goes."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from segpaste.invariants.normals_follow import judge_normals
from segpaste.invariants.provenance import TARGET
from segpaste.invariants.registry import register
from segpaste.invariants.report import (
    HELD,
    Finding,
    by_pixels,
    by_rows,
    exercised,
    not_applicable,
    not_decidable,
    not_exercised,
    violated,
)
from segpaste.invariants.transform_case import LARGEST_RESIDUAL, LEAST_SPAN, Affine, TransformCase
from segpaste.invariants.view import present
from segpaste.types import Modality

INSTANCE, SEMANTIC, PANOPTIC = Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC
DEPTH, NORMALS = Modality.DEPTH, Modality.NORMALS

ROUNDING = 2.0**-18
"""Relative. A warp in float32 that moves every pixel onto one pixel still rounds its weights."""

OVERSHOOT = 0.25
"""Part of the range of its neighbourhood by which a cubic or windowed-sinc filter leaves it."""

RESAMPLING, SHRINKING = 0.05, 0.25
"""Pixels by which a coordinate may be off where the image was interpolated, the second for
every source pixel more than one that an output pixel covers."""

_FAR = 1e38
"""Beyond every depth, for pixels without one."""

AXIS_ALIGNED = 0.02
"""Sine of the angle up to which an axis of the output runs along one of the input."""

_NOTHING_SHOWN = "no pixel of the output that is sure shows the input"


@register("geometric.rows_show_their_object", "geometric", INSTANCE)
def rows_show_their_object(case: TransformCase) -> Finding:
    """Label and id of a row are those of the object that most of its mask shows.

    A row under a new id is right where it is a copy (of an object that a reflected border
    shows again, or that was cut in pieces): the object's own id is another row's.

    In the wild: masks, boxes and labels filtered by different rules after a crop, so that
    every row behind the dropped one gets its neighbour's label.
    """
    if case.undecidable is not None:
        return case.undecidable
    keeps_ids, renamed = not case.mixes, _renamed_rows(case)
    offending: list[int] = []
    messages: list[str] = []
    judged = 0
    for row in case.rows:
        name, label = int(present(case.after.ids)[row]), int(case.after.labels[row])
        if row in renamed:
            offending.append(row)
            messages.append(f"id {name}, which no row had before")
            continue
        mostly = mostly_shown(case, row)
        if mostly is None:
            continue
        judged += 1
        mine = [n for n in case.claims(row, keeps_ids=keeps_ids) if n in mostly]
        if not mine:
            offending.append(row)
            messages.append(f"id {name}, but most of its mask does not show the object of that id")
        elif label not in [case.object_labels[n] for n in mine]:
            offending.append(row)
            expected = sorted({case.object_labels[n] for n in mine})
            messages.append(f"label {label}, its mask shows an object with label {_numbers(expected)}")
    found = by_rows(offending, messages)
    return exercised(found, judged > 0, "no row of the output shows the input")


@register("geometric.masks_move_with_image", "geometric", INSTANCE)
def masks_move_with_image(case: TransformCase) -> Finding:
    """A sure pixel lies in a row's mask iff the pixel it shows lies in the object's mask.

    Of an object with several rows, in the mask of one of them.

    In the wild: a mosaic that gives the semantic picture for the instance masks; images
    flipped about the last column and polygons about the width.
    """
    if case.undecidable is not None:
        return case.undecidable
    wrong = torch.zeros(case.after.canvas, dtype=torch.bool, device=case.after.image.device)
    offending: list[int] = []
    messages: list[str] = []
    judged = 0
    claims = {row: case.claims(row, keeps_ids=not case.mixes) for row in case.rows}
    covered = _covered(case, claims)
    for row in case.rows:
        mask = present(case.after.masks)[row]
        best: torch.Tensor | None = None
        count, pixels = -1, 0
        for n in claims[row]:
            shown = case.object_shown[n]
            differs = case.object_sure[n] & ((mask & ~shown) | (shown & ~mask & ~covered[n]))
            number = int(torch.count_nonzero(differs))
            if best is None or number < count:
                best, count, pixels = differs, number, int(torch.count_nonzero(case.object_sure[n]))
        judged += pixels
        if best is not None and count:
            offending.append(row)
            messages.append(f"{count} of {pixels} sure pixels are not what the image shows of the object")
            wrong |= best
    found = by_rows(offending, messages, wrong if offending else None)
    return exercised(found, judged > 0, _NOTHING_SHOWN)


@register("geometric.semantic_moves_with_image", "geometric", SEMANTIC)
def semantic_moves_with_image(case: TransformCase) -> Finding:
    """The semantic label of a sure pixel is that of the pixel it shows.

    In the wild: label maps resized with bilinear interpolation, which invents classes
    between two others.
    """
    if case.undecidable is not None:
        return case.undecidable
    maps, got = case.field("semantic"), present(case.after.semantic)
    expected = case.shown(maps)[0]
    sure = case.sure(maps)[0]
    wrong = sure & (got != expected) & ~(_lost_object(case) & (got == case.ignore))
    return exercised(
        by_pixels(wrong, "the semantic label is not that of the pixel shown" + _said(wrong, got, expected)),
        bool(sure.any()),
        _NOTHING_SHOWN,
    )


@register("geometric.panoptic_moves_with_image", "geometric", PANOPTIC)
def panoptic_moves_with_image(case: TransformCase) -> Finding:
    """The panoptic id of a sure pixel is that of the pixel it shows, or 0 where its row is gone.

    With a second input ids may be given anew, to every object one.

    In the wild: ids above 2^24 rounded by a warp in float32.
    """
    if case.undecidable is not None:
        return case.undecidable
    maps, got = case.field("panoptic"), present(case.after.panoptic)
    expected = case.shown(maps)[0]
    sure = case.sure(maps)[0]
    if case.mixes:
        expected = _renamed(case, sure, expected, got)
    wrong = sure & (got != expected) & ~(_lost_object(case) & (got == 0))
    return exercised(
        by_pixels(wrong, "the panoptic id is not that of the pixel shown" + _said(wrong, got, expected)),
        bool(sure.any()),
        _NOTHING_SHOWN,
    )


@register("geometric.validity_moves_with_image", "geometric", DEPTH)
def validity_moves_with_image(case: TransformCase) -> Finding:
    """Depth is valid at a sure pixel iff it is at the pixel it shows.

    In the wild: validity left behind by a flip, for it is no mask that the library knows.
    """
    if case.undecidable is not None:
        return case.undecidable
    maps = case.field("depth_valid")
    expected = case.shown(maps)[0]
    sure = case.sure(maps)[0]
    wrong = sure & (present(case.after.depth_valid) != expected)
    return exercised(
        by_pixels(wrong, "validity of depth is not that of the pixel shown"), bool(sure.any()), _NOTHING_SHOWN
    )


@register("geometric.depth_moves_with_image", "geometric", DEPTH)
def depth_moves_with_image(case: TransformCase) -> Finding:
    """Valid depth is that of the pixel shown; where interpolated, of its neighbourhood.

    Where the trace is exact, to within 2^-18 of its value, the rounding of a float32 warp.
    Elsewhere it lies in the range of what is valid in the source neighbourhood (one pixel
    wider than for other maps, for cubic filters), widened on both ends by a quarter, which
    is as far as such filters overshoot.

    In the wild: depth interpolated across invalid pixels, whose zeros pull it down.
    """
    if case.undecidable is not None:
        return case.undecidable
    valid = case.field("depth_valid")
    depths = {o: torch.where(valid[o], value, 0.0) for o, value in case.field("depth").items()}
    got = present(case.after.depth)[0].to(torch.float64)
    has_depth = present(case.after.depth_valid)
    exactly = case.exactly & case.shown(valid)[0] & has_depth
    expected = case.shown(depths)[0].to(torch.float64)
    wrong = exactly & ~((got - expected).abs() <= ROUNDING * expected.abs())
    sure = exactly
    if not bool((case.exactly | ~case.trace.known).all()):
        far = {o: torch.where(valid[o], value, _FAR) for o, value in case.field("depth").items()}
        near = {o: torch.where(valid[o], value, -_FAR) for o, value in case.field("depth").items()}
        least, most = case.extremes(far, more=1)[0][0], case.extremes(near, more=1)[1][0]
        blurred = case.steady & ~case.exactly & (most > -_FAR) & has_depth
        slack = OVERSHOOT * (most - least) + ROUNDING * most
        wrong |= blurred & ~((got >= least - slack) & (got <= most + slack))
        sure = sure | blurred
    return exercised(
        by_pixels(wrong, "depth is not that of the pixel shown" + _said(wrong, got, expected)),
        bool(sure.any()),
        "no pixel of the output that is sure shows a valid depth",
    )


@register("geometric.normals_rotate_with_image", "geometric", NORMALS)
def normals_rotate_with_image(case: TransformCase) -> Finding:
    """Normals are those of the pixel shown, turned in the plane as the image is turned.

    Under flips, quarter turns and transpositions, to within 2^-18; where the image is only
    stretched besides, to within 1e-3 of the cosine; under other rotations of 25 degrees or
    more, the direction in the plane to within 10 degrees. Under shears not decidable.

    In the wild: every geometric library tried mirrors a map of normals without the sign
    of n_x.
    """
    return case.undecidable or judge_normals(case)


@register("geometric.intrinsics_follow", "geometric")
def intrinsics_follow(case: TransformCase) -> Finding:
    """Focal lengths scale with the image, and the principal point is the same place in it.

    Both conventions are accepted: pixel centres at integers (a flip gives W - 1 - cx) and
    pixel corners at integers (W - cx). Judged where the axes of the output run along those
    of the input; within 2 % and a quarter of a pixel, and what rounding of the trace adds.

    In the wild: crops that keep the principal point of the whole picture.
    """
    before, after = case.before.intrinsics, case.after.intrinsics
    if before is None:
        return not_applicable("no camera intrinsics")
    if after is None:
        return violated(f"no camera intrinsics, expected those of before {_numbers(before)} moved")
    if case.undecidable is not None:
        return case.undecidable
    if case.mixes:
        return not_decidable("two pictures, and two cameras, for one output")
    fit = case.affine(TARGET)
    if fit is not None and min(fit.span) < LEAST_SPAN:
        return not_decidable("fewer than three columns or rows are known: a flip looks like an exchange")
    if fit is None or not case.follows(fit, TARGET):
        return not_decidable("the pixels that are known do not tell one affine map by which the image moved")
    along = _axes(fit)
    if along is None:
        return not_decidable("the image is turned by no quarter turn, or sheared")
    places = torch.stack([case.trace.x, case.trace.y])[:, case.trace.known]
    whole, exact = bool((places == places.round()).all()), case.trace.exact_of[TARGET]
    for axis, source in enumerate(along):
        scale, shift = float(fit.linear[source, axis]), float(fit.shift[source])
        span = fit.span[axis]
        blur = fit.residual
        if whole and not exact:  # nearest sampling may look half a step beside the place it stands for
            blur += max(0.5, abs(scale) / 2)
        elif not exact:  # a filter over whole pixels has its centre of mass beside that place
            blur += SHRINKING * max(0.0, abs(scale) - 1) + RESAMPLING
            if abs(scale) < 1:  # a window that is enlarged is flat for half a pixel at its own edges
                blur += 0.5
        elif abs(case.after.canvas[1 - axis] - case.before.canvas[1 - source]) == 1:
            blur += 0.5  # nearest sampling of W + 1 pixels at W places looks like a crop
        relative = 2 * blur / (span * abs(scale)) + 1e-6
        focal, centre = before[source] / abs(scale), (before[2 + source] - shift) / scale
        corner = (before[2 + source] - 0.5 - shift) / scale + 0.5
        name = "xy"[axis]
        got_focal, got_centre = after[axis], after[2 + axis]
        if not abs(got_focal - focal) <= (0.02 + relative) * focal:
            return violated(f"f{name} = {got_focal:g}, expected {focal:g}: {1 / abs(scale):g} times as large")
        middle = case.after.canvas[1 - axis] / 2
        slack = 0.25 + blur / abs(scale) + relative * abs(centre - middle)
        if whole:  # a turn by less than a pixel over the whole image moves no pixel that is sampled
            slack += abs(before[2 + 1 - source] - case.before.canvas[source] / 2) / min(fit.span)
        if not min(abs(got_centre - centre), abs(got_centre - corner)) <= slack:
            return violated(f"c{name} = {got_centre:g}, expected {centre:g} (pixel centres at integers)")
    return HELD


@register("geometric.ignore_stays_ignore", "geometric", SEMANTIC)
def ignore_stays_ignore(case: TransformCase) -> Finding:
    """A sure pixel that shows one without a label has none.

    In the wild: the ignore value taken for a class of its own, or clipped to the last one.
    """
    if case.undecidable is not None:
        return case.undecidable
    maps, got = case.field("semantic"), present(case.after.semantic)
    shows = case.sure(maps)[0] & (case.shown(maps)[0] == case.ignore)
    wrong = shows & (got != case.ignore)
    found = by_pixels(wrong, f"shows ignore ({case.ignore}){_said(wrong, got, None)}")
    return exercised(found, bool(shows.any()), "no pixel of the output that is sure shows ignore")


@register("geometric.border_is_void", "geometric")
def border_is_void(case: TransformCase) -> Finding:
    """What was filled in beside the image has no label: ignore, id 0, no mask, no depth, no normal.

    Pixels of the output's padding count as filled in. Where the image as a whole is moved
    by one affine map, holes punched into it do not.

    In the wild: label maps padded with 0, which is a class.
    """
    if case.undecidable is not None:
        return case.undecidable
    filled = _beside_the_image(case)
    labelled = list(_labels_at(case, filled))
    if not any(name for name, _ in labelled):
        return not_exercised("no labels but boxes")
    wrong = torch.zeros_like(filled)
    for _, here in labelled:
        wrong |= here
    names = [f"{name} at {int(here.sum())}" for name, here in labelled if bool(here.any())]
    found = by_pixels(wrong, f"filled in beside the image, but labelled ({', '.join(names)})")
    return exercised(found, bool(filled.any()), "nothing was filled in beside the image")


@register("geometric.labels_never_grow", "geometric")
def labels_never_grow(case: TransformCase) -> Finding:
    """Labels, ids, classes and panoptic ids of the output are among those of the input.

    Or *ignore*, or 0. With a second input its own count, too; ids are not judged then, for
    they may have to be given anew. Nor are those of copies, whose original has a row.

    In the wild: label maps resized with bilinear interpolation.
    """
    after = case.after
    inputs = [case.before] if case.given_donor is None else [case.before, case.given_donor]
    labels = torch.cat([view.labels[view.valid] for view in inputs])
    strange = after.valid & ~torch.isin(after.labels, labels)
    rows = strange.nonzero().flatten().tolist()
    if rows:
        return by_rows(rows, [f"label {int(after.labels[k])}, which no row had before" for k in rows])
    alone = not case.mixes
    slots = _renamed_rows(case) if alone and after.ids is not None and case.before.ids is not None else []
    if slots:
        return by_rows(slots, [f"id {int(present(after.ids)[k])}, which no row had before" for k in slots])
    for name, extra in (("semantic", case.ignore), ("panoptic", 0)):
        values = getattr(after, name)
        former = [getattr(view, name) for view in inputs if getattr(view, name) is not None]
        if values is None or not former or (name == "panoptic" and not alone):
            continue
        known = torch.cat([value.flatten() for value in former] + [former[0].new_tensor([extra])])
        wrong = ~torch.isin(values, known.unique())
        if bool(wrong.any()):
            return by_pixels(wrong, f"the {name} map has a value it did not have{_said(wrong, values, None)}")
    has_labels = bool(after.valid.any()) or after.semantic is not None
    return exercised(HELD, has_labels, "no labels")


def _renamed_rows(case: TransformCase) -> list[int]:
    """Rows under an id that no row had before, copies of objects that have a row excepted.

    With a second input none: ids may have to be given anew.
    """
    if case.mixes:
        return []
    ids, former = present(case.after.ids), present(case.before.ids)
    known = ids[case.after.valid]
    rows = (case.after.valid & ~torch.isin(ids, former[case.before.valid])).nonzero().flatten().tolist()
    if case.undecidable is not None:  # more rows than before: some are copies, and which is not known
        return rows if len(case.rows) <= int(case.before.valid.sum()) else []

    def is_copy(row: int) -> bool:
        of = [former[case.objects[n][1]] for n in mostly_shown(case, row) or []]
        return any(bool((known == name).any()) for name in of)

    return [row for row in rows if not is_copy(row)]


def _covered(case: TransformCase, claims: dict[int, list[int]]) -> list[torch.Tensor]:
    """For every object, the pixels in the masks of the rows that are it, as far as is known."""
    covered = [torch.zeros_like(case.trace.known) for _ in case.objects]
    for row, objects in claims.items():
        certain = objects if len(objects) == 1 else mostly_shown(case, row) or []
        for n in certain:
            covered[n] |= present(case.after.masks)[row]
    return covered


def mostly_shown(case: TransformCase, row: int) -> list[int] | None:
    """Which of ``case.objects`` more than half of a row's known pixels show; None if none is known."""
    judged = present(case.after.masks)[row] & case.trace.known
    total = int(torch.count_nonzero(judged))
    if total == 0:
        return None
    counts = case.object_near[:, judged].sum(dim=1).tolist()
    return [n for n, count in enumerate(counts) if 2 * count > total]


def _lost_object(case: TransformCase) -> torch.Tensor:
    """``[H', W']`` bool, pixels that show an object of the panoptic map without a row any more."""
    maps = case.field("panoptic")
    if not maps:
        return torch.zeros_like(case.trace.known)
    shown = case.shown(maps)[0]
    if case.mixes:  # ids may have been given anew: whose row is gone is not known
        return shown != 0
    return (shown != 0) & ~torch.isin(shown, present(case.after.ids)[case.after.valid])


def _renamed(
    case: TransformCase, sure: torch.Tensor, expected: torch.Tensor, got: torch.Tensor
) -> torch.Tensor:
    """The ids expected, given that every object may have been given one new id."""
    renamed = expected.clone()
    for origin in case.inputs:
        of_origin = sure & (case.trace.origin == origin)
        for name in expected[of_origin].unique().tolist():
            here = of_origin & (expected == name)
            values = got[here & (got != 0)]
            if name != 0 and values.numel():
                renamed[here] = values.mode().values
    return renamed


def _beside_the_image(case: TransformCase) -> torch.Tensor:
    """``[H', W']`` bool, pixels that were filled in and are no holes in the image."""
    border = case.trace.border.clone()
    if case.donor is None:
        fit = case.nearest_affine(TARGET)
        if fit is None:  # what lies beside the image cannot be told from a hole in it
            border[:] = False
    else:
        fit = None
    if fit is not None and fit.residual <= LARGEST_RESIDUAL:
        height, width = case.trace.sizes[TARGET]
        rows, columns = border.shape
        device = border.device
        at_x = torch.arange(columns, device=device, dtype=torch.float64).expand(rows, columns)
        at_y = torch.arange(rows, device=device, dtype=torch.float64)[:, None].expand(rows, columns)
        x = fit.linear[0, 0] * at_x + fit.linear[0, 1] * at_y + fit.shift[0]
        y = fit.linear[1, 0] * at_x + fit.linear[1, 1] * at_y + fit.shift[1]
        border &= ~((x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5))
    padding = case.after.padding
    return border if padding is None else border | padding


def _labels_at(case: TransformCase, where: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    after = case.after
    if after.masks is not None:
        yield "masks", where & after.masks[after.valid].any(dim=0)
    if after.semantic is not None:
        yield "semantic", where & (after.semantic != case.ignore)
    if after.panoptic is not None:
        yield "panoptic", where & (after.panoptic != 0)
    if after.depth_valid is not None:
        yield "valid depth", where & after.depth_valid
    if after.normals is not None:
        yield "normals", where & (after.normals != 0).any(dim=0)


def _axes(fit: Affine) -> tuple[int, int] | None:
    """For the output's x and y, which axis of the input they run along."""
    columns = fit.linear.T.tolist()  # how far an output axis goes along each input axis
    along: list[int] = []
    for step in columns:
        axis = 0 if abs(step[0]) >= abs(step[1]) else 1
        if abs(step[1 - axis]) > AXIS_ALIGNED * abs(step[axis]) or step[axis] == 0:
            return None
        along.append(axis)
    return (along[0], along[1]) if along[0] != along[1] else None


def _said(wrong: torch.Tensor, got: torch.Tensor, expected: torch.Tensor | None) -> str:
    """What stands at the first offending pixel, and what was expected there."""
    if not bool(wrong.any()):
        return ""
    y, x = (int(i) for i in wrong.nonzero()[0])
    text = f": {got[y, x].item():g}" if got.is_floating_point() else f": {int(got[y, x])}"
    if expected is None:
        return text
    wanted = expected[y, x].item()
    return f"{text}, expected {wanted:g}" if expected.is_floating_point() else f"{text}, expected {wanted}"


def _numbers(values: object) -> str:
    return ", ".join(f"{v:g}" for v in values)  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
