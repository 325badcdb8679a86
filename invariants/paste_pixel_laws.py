"""The laws of a paste about pixels: what changes, where, and into what."""

from __future__ import annotations

from collections.abc import Callable

import torch

from segpaste.invariants.bits import pixels_differ
from segpaste.invariants.inferred import changed_pixels
from segpaste.invariants.masks import depth_of_cover
from segpaste.invariants.paste_case import PasteCase
from segpaste.invariants.registry import Law, add, register
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
from segpaste.invariants.sample_laws import not_unit, thing_stuff_conflict
from segpaste.invariants.view import present
from segpaste.types import Modality

INSTANCE, SEMANTIC, PANOPTIC = Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC
DEPTH, NORMALS = Modality.DEPTH, Modality.NORMALS


# --- the frame of the sample ---------------------------------------------------------


@register("paste.frame_kept", "paste")
def frame_kept(case: PasteCase) -> Finding:
    """Canvas, modalities, dtypes, padding, intrinsics and the metric flag are the target's.

    In the wild: image dtype silently changed (mmdet CopyPaste: uint8 in, int64 out, 171
    of 200).
    """
    before, after = case.given_before, case.given_after
    if after.modalities != before.modalities:
        names = [sorted(m.value for m in view.modalities) for view in (after, before)]
        return violated(f"modalities {names[0]}, expected {names[1]}")
    old, new = before.maps(), after.maps()
    for name, value in old.items():
        if new[name].dtype != value.dtype or new[name].shape != value.shape:
            got = f"{new[name].dtype} {list(new[name].shape)}"
            return violated(f"{name} is {got}, expected {value.dtype} {list(value.shape)}")
    if (before.padding is None) != (after.padding is None):
        return violated("a padding mask came or went, expected the target's")
    if before.padding is not None and after.padding is not None:
        moved = pixels_differ(after.padding, before.padding)
        if bool(moved.any()):
            return by_pixels(moved, "padding differs from the target's")
    if before.intrinsics != after.intrinsics or before.metric != after.metric:
        return violated(
            f"intrinsics {after.intrinsics}, metric {after.metric}; "
            f"expected {before.intrinsics}, {before.metric}"
        )
    return HELD


# --- where the picture may change ----------------------------------------------------


_HARMONIZED = "config.harmonize is set: the image is no exact paste, by design"


def _unchanged_outside(name: str) -> Callable[[PasteCase], Finding]:
    fields = ("depth", "depth_valid") if name == "depth" else (name,)

    def unchanged_outside_union(case: PasteCase) -> Finding:
        if name == "image" and case.harmonized:
            return not_applicable(_HARMONIZED)
        if case.expected is None and case.before.masks is None:
            return case.undecided()
        found = case.changed(*fields) & ~case.union
        if name in ("semantic", "panoptic"):
            found &= ~case.turned_void
            if case.expected is None and not bool(found.any()) and bool(case.turned_void.any()):
                return case.undecided()
        return exercised(
            by_pixels(found, f"{name} changed outside the paste union"),
            bool(case.union.any()) and not bool(case.union.all()),
            "nothing was pasted, or everything was pasted over",
        )

    return unchanged_outside_union


def _inside_is_source(name: str) -> Callable[[PasteCase], Finding]:
    fields = ("depth", "depth_valid") if name == "depth" else (name,)

    def inside_union_is_source(case: PasteCase) -> Finding:
        if name == "image" and case.harmonized:
            return not_applicable(_HARMONIZED)
        expected = case.expected
        if expected is None:
            return case.undecided()
        found = changed_pixels(expected.out, case.after, fields) & expected.union
        return case.if_pasted(by_pixels(found, f"{name} is not the warped source's inside the paste union"))

    return inside_union_is_source


_PER_MODALITY = {
    "image": ((), "colour jitter or blending applied to the whole picture", "images warped half a pixel off"),
    "semantic": (
        (SEMANTIC,),
        "one donor with a semantic map, another without: class 0 written over the second (192 of 200)",
        "labels interpolated; the row's class not written",
    ),
    "panoptic": (
        (PANOPTIC,),
        "a renumbering of all ids after the paste",
        "ids above 2^24 rounded by a float warp",
    ),
    "depth": ((DEPTH,), "validity of the whole sample recomputed", "depth interpolated over holes"),
    "normals": ((NORMALS,), "all normals renormalised, pasted or not", "normals warped without their frame"),
}

for _name, (_needs, _outside, _inside) in _PER_MODALITY.items():
    _but = " and what was turned into void" if _name in ("semantic", "panoptic") else ""
    add(
        Law(
            f"paste.unchanged_outside_union.{_name}",
            "paste",
            frozenset(_needs),
            f"{_name}_out(p) = {_name}(p), bit for bit, for every p outside U{_but}.",
            _outside + ".",
            _unchanged_outside(_name),
        )
    )
    add(
        Law(
            f"paste.inside_union_is_source.{_name}",
            "paste",
            frozenset(_needs),
            f"{_name}_out(p) is what 4.7 says of the source, bit for bit, for every p in U.",
            _inside + ".",
            _inside_is_source(_name),
        )
    )


@register("paste.inside_union_is_source.instance", "paste", INSTANCE)
def inside_union_is_source_instance(case: PasteCase) -> Finding:
    """The mask of a pasted row is what its source row won of U.

    In the wild: flip off by one pixel between image and integer polygons (Ultralytics
    CopyPaste, 200 of 200).
    """
    expected = case.expected
    if expected is None:
        return case.undecided()
    got, want = present(case.after.masks), present(expected.out.masks)
    wrong = torch.zeros_like(case.union)
    offending: list[int] = []
    messages: list[str] = []
    for k in (expected.row_source >= 0).nonzero().flatten().tolist():
        differing = got[k] != want[k]
        if bool(differing.any()):
            offending.append(k)
            messages.append(f"{int(differing.sum())} mask pixels differ from the warped source mask's")
            wrong |= differing
    return case.if_pasted(by_rows(offending, messages, wrong))


@register("paste.union_is_pasted_masks", "paste", INSTANCE)
def union_is_pasted_masks(case: PasteCase) -> Finding:
    """U is the union of the pasted masks of the output.

    In the wild: surplus painted and not labelled; feathered borders painted outside of
    every mask.
    """
    expected = case.expected
    if expected is None:
        return case.undecided()
    return case.if_pasted(
        by_pixels(case.claimed != expected.union, "in U or in a pasted mask, and not in both")
    )


@register("paste.every_painted_pixel_has_a_row", "paste", INSTANCE)
def every_painted_pixel_has_a_row(case: PasteCase) -> Finding:
    """A pixel that changed, but for void, is in the mask of a pasted row.

    In the wild: surplus pastes painted but not labelled when the slots are full.
    """
    painted = case.changed("image", "depth", "depth_valid", "normals")
    painted = painted | (case.changed("semantic", "panoptic") & ~case.turned_void)
    found = by_pixels(painted & ~case.claimed, "changed, and in no pasted row's mask")
    return exercised(found, bool(painted.any()) or bool(case.new), "nothing was pasted")


@register("paste.not_on_padding", "paste")
def not_on_padding(case: PasteCase) -> Finding:
    """On the target's padding no pasted mask is set and no map changes, but for void.

    In the wild: paste landing in padding.
    """
    padding = case.before.padding
    if padding is None:
        return not_applicable("no padding mask")
    changed = case.changed() & ~case.turned_void
    if case.harmonized:  # such an image keeps its padding, too
        changed |= changed_pixels(case.before, case.after, ("image",))
    found = by_pixels(padding & (case.claimed | changed), "pasted or changed on padding")
    if case.expected is not None:
        return exercised(found, bool(case.expected.on_padding.any()), "nothing would have met padding")
    return exercised(found, bool(padding.any()) and bool(case.new), "no padding, or nothing pasted")


@register("paste.not_on_ignore", "paste", SEMANTIC)
def not_on_ignore(case: PasteCase) -> Finding:
    """Where the target's or the warped source's label is ignore, nothing is pasted.

    In the wild: ignore label painted over.
    """
    ignored = present(case.before.semantic) == case.ignore
    if case.expected is not None:
        ignored = ignored | case.expected.on_ignore
    found = by_pixels(
        ignored & (case.claimed | (case.changed() & ~case.turned_void)), "pasted or changed on ignore"
    )
    if case.expected is not None:
        return exercised(found, bool(case.expected.on_ignore.any()), "nothing would have met ignore")
    return exercised(found, bool(ignored.any()) and bool(case.new), "no ignore label, or nothing pasted")


# --- labels --------------------------------------------------------------------------


@register("panoptic.thing_stuff_consistent", "paste", PANOPTIC)
def thing_stuff_consistent(case: PasteCase) -> Finding:
    """Wherever U or a map changed: z(p) > 0 if and only if y(p) is a thing class.

    In the wild: a pasted thing's id beside the class of the stuff beneath it.
    """
    schema = case.schema
    if schema is None:
        return not_applicable("no schema")
    things = [label for label, kind in schema.classes.items() if kind == "thing"]
    judged = case.union | case.changed("semantic", "panoptic")
    found = thing_stuff_conflict(case.after, things) & judged
    return case.if_pasted(by_pixels(found, "panoptic id and semantic class disagree on thing or stuff"))


@register("panoptic.bijection", "paste", PANOPTIC)
def bijection(case: PasteCase) -> Finding:
    """Wherever U or a map changed: p is in exactly one mask if z(p) > 0, in none if not, and z(p) is its id.

    In the wild: a membership test with assume_unique=True on labels that repeat.
    """
    view = case.after
    masks, ids = present(view.masks), present(view.ids).tolist()
    rows = view.valid.nonzero().flatten().tolist()
    twice = [k for n, k in enumerate(rows) if ids[k] in [ids[j] for j in rows[:n]]]
    if set(twice) & set(case.new):
        return by_rows(twice, (f"id {ids[k]} has two rows, expected one" for k in twice))
    of_rows = torch.zeros_like(present(view.panoptic))
    for k in rows:
        of_rows += torch.where(masks[k], ids[k], 0)
    wrong = (depth_of_cover(masks[rows]) > 1) | (of_rows != view.panoptic)
    judged = case.union | case.claimed | case.changed("panoptic")
    for k in case.trimmed:
        judged = judged | (masks[k] != present(case.before.masks)[k])
    return case.if_pasted(by_pixels(wrong & judged, "panoptic id and masks do not name one row"))


@register("panoptic.fresh_ids", "paste", PANOPTIC)
def panoptic_fresh_ids(case: PasteCase) -> Finding:
    """On the n-th pasted row z is max_prev + 1 + n; without a plan: an id nobody had.

    In the wild: raw source ids painted into the map, merging two objects.
    """
    before, after = present(case.before.panoptic), present(case.after.panoptic)
    if case.expected is not None:
        want = present(case.expected.out.panoptic)
        return case.if_pasted(
            by_pixels((after != want) & case.union, "panoptic id is not the fresh id of the pasted row")
        )
    had = torch.cat([before.unique(), present(case.before.ids)[case.before.valid]])
    had = had[had != 0]
    found = torch.isin(after, had) & case.claimed
    return case.if_pasted(by_pixels(found, "the panoptic id of a pasted row was in use before"))


@register("panoptic.stuff_threshold", "paste", SEMANTIC)
def stuff_threshold(case: PasteCase) -> Finding:
    """A stuff class left below stuff_min_area or tau_stuff_frac takes its pixels back, or becomes void.

    In the wild: a stuff rule that restores some modalities and not others.
    """
    if case.schema is None:
        return not_applicable("no schema")
    expected = case.expected
    if expected is None:
        return case.undecided()
    given_back = case.changed() & ~expected.void & expected.reverted
    if case.after.masks is not None:
        given_back = given_back | (case.claimed & expected.reverted)
    found = by_pixels(given_back, f"pasted over stuff that takes it back {_losses(expected.stuff)}")
    if found is HELD:
        meant = case.meant_to_change(expected) & expected.stuff_lost & expected.union
        found = by_pixels(
            meant & ~case.changed(), f"taken back by stuff that has enough left {_losses(expected.stuff)}"
        )
    if found is HELD:
        alive = expected.stuff_void & (present(case.after.semantic) != case.ignore)
        found = by_pixels(alive, f"left of a stuff class that is too small {_losses(expected.stuff)}")
    return exercised(found, bool(expected.stuff), "no stuff class lost a pixel")


@register("semantic.single_class", "paste", PANOPTIC)
def single_class(case: PasteCase) -> Finding:
    """On every pasted mask y is constant: the row's label.

    In the wild: the source's semantic map copied with its own holes and neighbours.
    """
    view = case.after
    masks, semantic = present(view.masks), present(view.semantic)
    found = torch.zeros_like(case.union)
    for k in case.new:
        found |= masks[k] & (semantic != view.labels[k])
    return exercised(
        by_pixels(found, "semantic class is not the pasted row's label"), bool(case.new), "no row was pasted"
    )


@register("semantic.ignore_preserved", "paste", SEMANTIC)
def ignore_preserved(case: PasteCase) -> Finding:
    """y(p) = ignore before implies y(p) = ignore after.

    In the wild: ignore label painted over, and the loss now counts what nobody labelled.
    """
    ignored = present(case.before.semantic) == case.ignore
    found = by_pixels(ignored & (present(case.after.semantic) != case.ignore), "ignore was written over")
    return exercised(found, bool(ignored.any()), "no pixel is ignore")


@register("paste.void_exact", "paste", SEMANTIC)
def void_exact(case: PasteCase) -> Finding:
    """Void are exactly what is left of dropped rows beside a panoptic map, and of stuff too small.

    In the wild: a dropped object's pixels left with its class and id, and no row.
    """
    before, after = case.before, case.after
    expected = case.expected
    if expected is None:
        if after.panoptic is None or after.masks is None:
            return case.undecided()
        alive = torch.zeros_like(case.union)
        for k in case.survivors:
            alive |= after.masks[k]
        found = by_pixels(case.turned_void & alive, "turned into void under a row that survives")
        return case.undecided() if found is HELD else found
    left = present(after.semantic) != case.ignore
    if after.panoptic is not None:
        left = left | (after.panoptic != 0)
    fresh = (present(after.semantic) == case.ignore) & (present(before.semantic) != case.ignore)
    wrong = (expected.void & left) | (fresh & ~expected.void)
    found = by_pixels(wrong, "void where it should not be, or not void where it should")
    return exercised(found, bool(expected.void.any()), "nothing had to become void")


# --- geometry ------------------------------------------------------------------------


@register("depth.monotonic", "paste", DEPTH)
def monotonic(case: PasteCase) -> Finding:
    """With the z-test: d_out(p) <= d(p) wherever the target's depth is valid.

    In the wild: pasted masks not cut by the z-test; far objects in front of near ones.
    """
    if case.config is None:
        return not_decidable("no configuration: whether there is a z-test is unknown")
    if not case.config.z_test:
        return not_applicable("z_test is off")
    before, after = present(case.before.depth), present(case.after.depth)
    valid = present(case.before.depth_valid)
    farther = pixels_differ(after, before) & ~(after[0] < before[0])
    found = by_pixels(valid & farther, "deeper than the target was")
    return exercised(found, bool((valid & case.union).any()), "nothing was pasted over valid depth")


@register("depth.validity_join", "paste", DEPTH)
def validity_join(case: PasteCase) -> Finding:
    """V_out = V_src and V_tgt inside U.

    In the wild: validity taken before the z-test, or the source's alone.
    """
    before, after = present(case.before.depth_valid), present(case.after.depth_valid)
    expected = case.expected
    if expected is None:
        found = by_pixels(case.claimed & after & ~before, "valid after, and invalid before")
        return case.undecided() if found is HELD else found
    want = present(expected.out.depth_valid)
    return case.if_pasted(by_pixels((after != want) & case.union, "depth_valid is not V_src and V_tgt"))


@register("depth.metric_rescaled", "paste", DEPTH)
def metric_rescaled(case: PasteCase) -> Finding:
    """Where both are metric: d_out = d_src * (sqrt(fx_t fy_t) / sqrt(fx_s fy_s)) * step / 65536 inside U.

    In the wild: metric depth never rescaled.
    """
    expected = case.expected
    if not case.before.metric:
        return not_applicable("depth is not metric")
    if expected is None:
        return case.undecided()
    want = present(expected.out.depth)
    found = by_pixels(
        pixels_differ(present(case.after.depth), want) & case.union,
        f"depth is not the source's times {expected.factor:g}",
    )
    seen = bool((present(expected.warped.depth_valid) & case.union).any())
    return exercised(found, seen and expected.factor != 1.0, "no metric depth was pasted at another scale")


@register("normals.unit_norm", "paste", NORMALS)
def unit_norm(case: PasteCase) -> Finding:
    """Pasted or changed normals are 0 or of unit length.

    In the wild: normals interpolated and not renormalised.
    """
    judged = case.union | case.changed("normals")
    there = (present(case.after.normals) != 0).any(dim=0)
    return exercised(
        by_pixels(not_unit(case.after) & judged, "a normal without unit length"),
        bool((there & judged).any()),
        "no normal was pasted or changed",
    )


@register("normals.frame", "paste", NORMALS)
def frame(case: PasteCase) -> Finding:
    """A mirrored source has its n_x negated, and no other sign changes.

    In the wild: mirrored without the sign of n_x in every geometric library tried.
    """
    expected = case.expected
    if expected is None:
        return case.undecided()
    want = present(expected.warped.normals)
    turned = (present(case.after.normals).sign() != want.sign()).any(dim=0)
    found = by_pixels(turned & case.union, "a component of the normal has the wrong sign")
    if not expected.flipped and found is HELD:
        return not_exercised("the source was not mirrored")
    return exercised(found, bool((want[0] != 0).any()), "no normal with n_x was pasted")


def _losses(stuff: tuple[tuple[int, int, int, bool], ...]) -> str:
    parts = [f"class {label}: {left} of {before} pixels left" for label, before, left, _ in stuff]
    return "(" + "; ".join(parts) + ")"
