"""Which rows survived and which are new, inferred from ids, labels and pixels."""

from __future__ import annotations

import torch

from segpaste.invariants.bits import pixels_differ, same
from segpaste.invariants.view import SampleView


def align_by_identity(
    before: SampleView, after: SampleView, source: SampleView | None = None, *, renumbered: bool = True
) -> tuple[SampleView, SampleView]:
    """Give both samples the same slots: a row that survived stands where it stood before.

    A row of the output is a survivor if a row before has its id, and it is what that row
    may have become: part of its mask, or a mask of the same label that still meets it.
    All other rows are new; they take the slots that were free before, ascending, then
    added ones.

    Args:
        before: the target.
        after: the output.
        source: what was pasted, if known.
        renumbered: whether a row under a new id may be a survivor: only if nothing else
            can be meant, that is, same label, same mask, the picture in it unchanged
            and not of one colour, and a known source without such a row.

    Returns:
        Both samples, with equally many slots.
    """
    rows = _used(after)
    if after.masks is not None and before.masks is not None:
        where = _known_by_id(before, after)
        if renumbered and source is not None:
            where |= _known_by_mask(before, after, source, where)
    else:
        where = _known_by_value(before, after)
    free = [k for k in range(before.slots) if not bool(before.valid[k])]
    new = [k for k in rows if k not in where]
    places = free + list(range(before.slots, before.slots + len(new)))
    where |= dict(zip(new, places, strict=False))
    slots = max([before.slots, *(place + 1 for place in where.values())])
    return before.with_slots(slots), after.with_rows(rows, [where[k] for k in rows], slots)


def changed_pixels(
    before: SampleView, after: SampleView, names: tuple[str, ...] | None = None
) -> torch.Tensor:
    """``[H, W]`` bool, where any map (of ``names``, or of all) differs in a bit."""
    found = torch.zeros(before.canvas, dtype=torch.bool, device=before.image.device)
    old, new = before.maps(), after.maps()
    for name in old:
        if name in new and (names is None or name in names):
            found |= pixels_differ(new[name], old[name])
    return found


def _known_by_id(before: SampleView, after: SampleView) -> dict[int, int]:
    """Row of the output -> slot before."""
    where: dict[int, int] = {}
    if before.ids is None or after.ids is None or before.masks is None or after.masks is None:
        return where
    old = {int(before.ids[k]): k for k in _used(before)}
    ids = after.ids.tolist()
    for certain in (True, False):  # of two rows under one id, who became less of what it was comes first
        for k in _used(after):
            then = old.get(ids[k])
            if k in where or then is None or then in where.values():
                continue
            mask, former = after.masks[k], before.masks[then]
            part = not bool((mask & ~former).any())
            alike = bool(after.labels[k] == before.labels[then])
            meets = bool((mask & former).any())
            if (part and alike) if certain else (part or (alike and meets)):
                where[k] = then
    return where


def _known_by_mask(
    before: SampleView, after: SampleView, source: SampleView, known: dict[int, int]
) -> dict[int, int]:
    where: dict[int, int] = {}
    unknown = [k for k in _used(after) if k not in known]
    gone = [k for k in _used(before) if k not in known.values()]
    if not unknown or not gone or after.masks is None or before.masks is None:
        return where
    changed = pixels_differ(after.image, before.image)
    for k in unknown:
        mask = after.masks[k]
        if bool((mask & changed).any()) or _one_colour(before.image, mask) or _stands_in(source, after, k):
            continue
        for then in gone:
            alike = bool(after.labels[k] == before.labels[then]) and same(mask, before.masks[then])
            if alike and then not in where.values():
                where[k] = then
                break
    return where


def _known_by_value(before: SampleView, after: SampleView) -> dict[int, int]:
    """Rows without masks: known by box and label."""
    where: dict[int, int] = {}
    for k in _used(after):
        alike = (
            (before.boxes == after.boxes[k]).all(dim=1) & (before.labels == after.labels[k]) & before.valid
        )
        there = [then for then in alike.nonzero().flatten().tolist() if then not in where.values()]
        if there:
            where[k] = there[0]
    return where


def _used(view: SampleView) -> list[int]:
    return view.valid.nonzero().flatten().tolist()


def _one_colour(image: torch.Tensor, mask: torch.Tensor) -> bool:
    inside = image[:, mask]
    return inside.shape[1] == 0 or bool((inside == inside[:, :1]).all())


def _stands_in(source: SampleView, after: SampleView, row: int) -> bool:
    if source.masks is None or after.masks is None or source.canvas != after.canvas:
        return False
    same_mask = (source.masks == after.masks[row]).flatten(1).all(dim=1)
    return bool((same_mask & (source.labels == after.labels[row])).any())
