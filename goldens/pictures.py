"""Pictures of a mismatch: target, source, before, after, and the pixels that differ in red."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch

from segpaste.goldens.cases import FrozenCase
from segpaste.goldens.check import Mismatch
from segpaste.goldens.runners import executor, one_by_one
from segpaste.types import DenseSample
from segpaste.viz import Column, draw_strip, png_bytes

_SINGULAR = {"images": "image", "semantic_maps": "semantic_map", "panoptic_maps": "panoptic_map"}
_ROWS = ("boxes", "labels", "instance_ids", "instance_masks")
_EXTRA = ("instance_valid", "camera_intrinsics")


def write_pictures(found: Collection[Mismatch], folder: Path, *, most: int = 12) -> dict[FrozenCase, str]:
    """A picture per case, of its first sample that differs.

    Args:
        found: mismatches.
        folder: where pictures go; made if need be.
        most: pictures of at most so many cases.

    Returns:
        For each case one line: where its picture is, or why there is none.
    """
    written: dict[FrozenCase, str] = {}
    cases = list(dict.fromkeys(one.one for one in found))
    for case in cases[:most]:
        mine = [one for one in found if one.one == case]
        path = folder / f"{mine[0].executor}-{case.kind}-{case.dtype}-{case.seed:03d}.png"
        try:
            content = _picture(case, mine)
        except Exception as error:  # a result may be too broken to be drawn, and is reported all the same
            written[case] = f"no picture: {type(error).__name__}: {error}"
            continue
        if content is None:
            written[case] = "no picture: there is no before"
            continue
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written[case] = f"picture: {path}"
    return written


def _picture(case: FrozenCase, found: list[Mismatch]) -> bytes | None:
    shown = [one for one in found if one.mask is not None and one.field.partition(".")[0] != "plan"]
    if not shown:
        return None
    canvas = case.case.target.canvas_size
    dense = [one for one in shown if one.mask is not None and tuple(one.mask.shape[-2:]) == canvas]
    first = (dense or shown)[0].mask
    index = 0 if first is None else int(first.nonzero()[0, 0])
    pixels = torch.zeros(canvas, dtype=torch.bool)
    for one in dense:
        if one.mask is not None:
            pixels |= one.mask[index].reshape(-1, *canvas).any(dim=0)

    target = case.case.target
    after = dict(target.tensors())
    before = dict(after)
    # Where nothing differs both are the same; the paste itself is what an executor makes.
    for name, value in _pasted(case).items():
        if name in after:
            before[name] = after[name] = value
    for one in shown:
        if one.field in before and one.before is not None and one.after is not None:
            before[one.field], after[one.field] = one.before, one.after
    source = int(case.case.plan.source_idx[index])
    samples = {
        f"target {index}": _sample(target.tensors(), index),
        f"source {source}": _sample(case.case.source.tensors(), source),
        "before (frozen)": _sample(before, index),
        "after": _sample(after, index),
    }
    columns = [Column(title, sample) for title, sample in samples.items()]
    rows = _rows(after, shown, index)
    note = f"{int(pixels.sum())} px differ" if pixels.any() else "no pixels: see the text"
    # Stripes over the padding would hide what differs there.
    bare = DenseSample.unchecked(**(samples["after"].to_dict() | {"padding_mask": None}))
    columns.append(Column("differing pixels", bare, pixels, note, rows))
    caption = "\n".join(str(one) for one in found[:6])
    return png_bytes(draw_strip(columns, caption=caption, ignore_index=case.case.config.ignore_index))


def _pasted(case: FrozenCase) -> dict[str, torch.Tensor]:
    return one_by_one(executor("reference"))([case])[0]


def _rows(fields: dict[str, torch.Tensor], shown: list[Mismatch], index: int) -> tuple[int, ...]:
    """The used rows of sample ``index`` in which anything of a row differs."""
    slots = torch.zeros_like(fields["instance_valid"][index])
    for one in shown:
        if one.field in (*_ROWS, "instance_valid") and one.mask is not None:
            slots |= one.mask[index].reshape(len(slots), -1).any(dim=1)
    return tuple(slots[fields["instance_valid"][index]].nonzero().flatten().tolist())


def _sample(fields: dict[str, torch.Tensor], index: int) -> DenseSample:
    """One sample with its used rows, whatever its values are."""
    used = fields["instance_valid"][index]
    one = {name: value[index] for name, value in fields.items() if name not in _EXTRA}
    one |= {name: one[name][used] for name in _ROWS if name in one}
    return DenseSample.unchecked(**{_SINGULAR.get(name, name): value for name, value in one.items()})
