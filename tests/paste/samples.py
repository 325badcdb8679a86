"""Tiny padded batches written as ASCII grids, for tests whose answer is worked out by hand."""

from __future__ import annotations

from typing import Any

import torch

from segpaste.types import PaddedBatchedDenseSample, PastePlan


def grid(text: str) -> torch.Tensor:
    """Rows of digits as ``[H, W]`` int64; a dot is 0."""
    rows = text.split()
    return torch.tensor([[0 if c == "." else int(c, 16) for c in row] for row in rows], dtype=torch.int64)


def view(
    *,
    height: int = 4,
    width: int = 4,
    slots: int = 4,
    rows: dict[int, tuple[int, int, str]] | None = None,
    image: torch.Tensor | None = None,
    **maps: Any,
) -> PaddedBatchedDenseSample:
    """One sample (B = 1): ``rows`` maps a slot to (label, id, mask as a grid)."""
    if rows is not None:
        masks = torch.zeros((slots, height, width), dtype=torch.bool)
        labels, ids = torch.zeros(slots, dtype=torch.int64), torch.zeros(slots, dtype=torch.int32)
        boxes, valid = torch.zeros((slots, 4)), torch.zeros(slots, dtype=torch.bool)
        for slot, (label, number, text) in rows.items():
            masks[slot] = grid(text) > 0
            labels[slot], ids[slot], valid[slot] = label, number, True
            boxes[slot] = box(masks[slot])
        maps |= {"instance_masks": masks[None], "instance_ids": ids[None]}
    else:
        labels, boxes = torch.zeros(slots, dtype=torch.int64), torch.zeros((slots, 4))
        valid = torch.zeros(slots, dtype=torch.bool)
    if image is None:
        image = torch.zeros((1, height, width), dtype=torch.uint8)
    for name in ("semantic_maps", "panoptic_maps"):
        if name in maps and isinstance(maps[name], str):
            maps[name] = grid(maps[name])[None]
    return PaddedBatchedDenseSample(
        images=image[None],  # pyright: ignore[reportArgumentType]
        boxes=boxes[None],
        labels=labels[None],
        instance_valid=valid[None],
        **maps,
    )


def box(mask: torch.Tensor) -> torch.Tensor:
    """Half-open XYXY of a mask ``[H, W]``; zeros when empty."""
    ys, xs = mask.nonzero(as_tuple=True)
    if len(ys) == 0:
        return torch.zeros(4)
    return torch.stack((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)).float()


def plan(
    *,
    slots: int = 4,
    step: int = 65536,
    translate: tuple[int, int] = (0, 0),
    hflip: bool = False,
    order: list[int] | None = None,
    count: int = 9,
    mix_key: int = 0,
) -> PastePlan:
    """A plan for one sample from row 0 of the source view; identity by default."""
    return PastePlan(
        source_idx=torch.zeros(1, dtype=torch.int64),
        step=torch.tensor([step]),
        translate=torch.tensor([translate]),
        hflip=torch.tensor([hflip]),
        order=torch.tensor([order if order is not None else list(range(slots))]),
        count=torch.tensor([count]),
        mix_key=torch.tensor([mix_key]),
    )
