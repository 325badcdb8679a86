"""What a few frozen results hold, as text that a reader can check against a picture."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from segpaste.goldens.cases import FrozenCase
from segpaste.goldens.digests import Outcome

FACT_SEEDS = range(4)
"""Seeds whose facts are written down, for uint8 images."""


def facts_of(one: FrozenCase, outcome: Outcome) -> list[str]:
    """A heading and a line per sample and used row.

    Boxes are XYXY, half open; areas in pixels; ``+`` marks rows that the target had not.
    """
    case = one.case
    height, width = case.target.canvas_size
    lines = [f"{one}: B={case.target.batch_size} K={case.target.max_instances} {height} x {width}"]
    for b in range(case.target.batch_size):
        lines.append(f"  sample {b}: {', '.join(_sample(one, outcome, b))}")
        lines += [f"    {row}" for row in _rows(one, outcome, b)]
    return lines


def _sample(one: FrozenCase, outcome: Outcome, b: int) -> Iterator[str]:
    plan = one.case.plan
    ty, tx = plan.translate[b].tolist()
    flipped = " flipped" if bool(plan.hflip[b]) else ""
    yield f"from {int(plan.source_idx[b])} step {int(plan.step[b])} at ({ty}, {tx}){flipped}"
    yield f"pasted {int(outcome['paste_union'][b].sum())} px"
    if "semantic_maps" in outcome:
        classes, counts = outcome["semantic_maps"][b].unique(return_counts=True)
        areas = " ".join(f"{c}:{n}" for c, n in zip(classes.tolist(), counts.tolist(), strict=True))
        yield f"classes {areas}"
    if "depth_valid" in outcome:
        yield f"depth valid {int(outcome['depth_valid'][b].sum())} px"
    if "normals" in outcome:
        yield f"normals on {int(outcome['normals'][b].ne(0).any(dim=0).sum())} px"


def _rows(one: FrozenCase, outcome: Outcome, b: int) -> Iterator[str]:
    masks, ids = outcome.get("instance_masks"), outcome.get("instance_ids")
    had = one.case.target.instance_valid[b]
    for slot in torch.nonzero(outcome["instance_valid"][b]).flatten().tolist():
        box = " ".join(f"{side:g}" for side in outcome["boxes"][b, slot].tolist())
        identity = "" if ids is None else f" id {int(ids[b, slot])}"
        area = "" if masks is None else f" area {int(masks[b, slot].sum())}"
        label = int(outcome["labels"][b, slot])
        yield f"{' ' if had[slot] else '+'} row {slot}:{identity} label {label} box {box}{area}"
