"""Rows and union of a paste that gives no audit, inferred from ids, labels and pixels."""

from __future__ import annotations

import torch

from segpaste.invariants.bits import pixels_differ, same
from segpaste.invariants.view import SampleView


def align_by_identity(
    before: SampleView, after: SampleView, source: SampleView | None = None
) -> tuple[SampleView, SampleView]:
    """Give both samples the same slots: a row that survived stands where it stood before.

    A row of the output is a survivor if a row before has its id, and it is what that row
    may have become: part of its mask, or a mask of the same label that still meets it.
    A row under a new id is a survivor only if nothing else can be meant: same label, same
    mask, the picture in it unchanged and not of one colour, and no such row in the
    source. All other rows are new; they take the slots that were free before, ascending,
    then added ones.

    Returns:
        Both samples, with equally many slots.
    """
    where: dict[int, int] = {}
    rows = after.valid.nonzero().flatten().tolist()
    if after.ids is not None and before.ids is not None:
        _match_by_id(before, after, rows, where)
        _match_by_mask(before, after, source, rows, where)
    else:
        _match_by_value(before, after, rows, where)
    free = [k for k in range(before.slots) if not bool(before.valid[k])]
    new = [k for k in rows if k not in where]
    slots = max(before.slots, before.slots - len(free) + len(new))
    places = free + list(range(before.slots, slots + len(new)))
    where |= dict(zip(new, places, strict=False))
    slots = max([slots, *(place + 1 for place in where.values())])
    return before.with_slots(slots), _moved(after, rows, where, slots)


def changed_pixels(before: SampleView, after: SampleView, names: tuple[str, ...] = ()) -> torch.Tensor:
    """``[H, W]`` bool, where any map (or one of ``names``) differs in a bit."""
    found = torch.zeros(before.canvas, dtype=torch.bool, device=before.image.device)
    old, new = before.maps(), after.maps()
    for name in old:
        if name in new and (not names or name in names):
            found |= pixels_differ(new[name], old[name])
    return found


def _moved(after: SampleView, rows: list[int], where: dict[int, int], slots: int) -> SampleView:
    index = torch.tensor(rows, dtype=torch.int64, device=after.labels.device)
    return after.with_rows(index, [where[k] for k in rows], slots)


def _match_by_id(before: SampleView, after: SampleView, rows: list[int], where: dict[int, int]) -> None:
    old_ids = {} if before.ids is None else dict(_used(before, before.ids))
    taken: set[int] = set()
    for strict in (True, False):  # who became less of what it was comes first
        for k in rows:
            if after.ids is None or after.masks is None or before.masks is None:
                continue
            then = old_ids.get(int(after.ids[k]))
            if k in where or then is None or then in taken:
                continue
            mask, former = after.masks[k], before.masks[then]
            part = not bool((mask & ~former).any())
            alike = bool(after.labels[k] == before.labels[then])
            meets = bool((mask & former).any())
            if (part and alike) if strict else (part or (alike and meets)):
                where[k] = then
                taken.add(then)


def _match_by_mask(
    before: SampleView, after: SampleView, source: SampleView | None, rows: list[int], where: dict[int, int]
) -> None:
    unmatched = [k for k in rows if k not in where]
    gone = [k for k, _ in _used(before, before.labels) if k not in where.values()]
    gone = [then for _, then in sorted((k, k) for k in gone)]
    if not unmatched or not gone or after.masks is None or before.masks is None:
        return
    changed = pixels_differ(after.image, before.image)
    for k in unmatched:
        mask = after.masks[k]
        if bool((mask & changed).any()) or _one_colour(before.image, mask) or _is_in(source, after, k):
            continue
        for then in gone:
            if then not in where.values() and same(mask, before.masks[then]) and bool(
                after.labels[k] == before.labels[then]
            ):
                where[k] = then
                break


def _match_by_value(before: SampleView, after: SampleView, rows: list[int], where: dict[int, int]) -> None:
    """Rows without ids (boxes only): known by box and label."""
    for k in rows:
        alike = (before.boxes == after.boxes[k]).all(dim=1) & (before.labels == after.labels[k]) & before.valid
        for then in alike.nonzero().flatten().tolist():
            if then not in where.values():
                where[k] = then
                break


def _used(view: SampleView, values: torch.Tensor) -> list[tuple[int, int]]:
    """(value, slot) of every used slot, by ascending slot."""
    return [(int(values[k]), k) for k in view.valid.nonzero().flatten().tolist()]


def _one_colour(image: torch.Tensor, mask: torch.Tensor) -> bool:
    inside = image[:, mask]
    return inside.shape[1] == 0 or bool((inside == inside[:, :1]).all())


def _is_in(source: SampleView | None, after: SampleView, row: int) -> bool:
    if source is None or source.masks is None or after.masks is None:
        return False
    if source.canvas != after.canvas:
        return False
    same_mask = (source.masks == after.masks[row]).flatten(1).all(dim=1)
    return bool((same_mask & (source.labels == after.labels[row])).any())
