"""The hard cases: what they are, how to recognise one, and how often each must come.

:data:`HARD_CASES` is the table. The strategies pass the labels of what they draw to
Hypothesis's ``event()``, and a test counts them against the rates. Needs no Hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from segpaste.strategies.pastes import PasteCase
from segpaste.strategies.thresholds import footprint, rows_to_paste, valid_extent
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    DenseSample,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PastePlan,
    to_q16,
)

Executor = Callable[
    [PaddedBatchedDenseSample, PaddedBatchedDenseSample, PastePlan, BatchCopyPasteConfig],
    tuple[PaddedBatchedDenseSample, BatchAuditPacket],
]


@dataclass(frozen=True, slots=True)
class HardCase:
    """One kind of input on which implementations go wrong.

    Attributes:
        name: the label given to ``event()``.
        seen_in: ``"sample"``: in what ``dense_samples()`` draws; ``"case"``: in what
            ``paste_cases()`` draws, before anything is pasted; ``"outcome"``: only once
            it is pasted.
        rate: the least share of drawn examples, with all limits at their defaults.
    """

    name: str
    seen_in: Literal["sample", "case", "outcome"]
    rate: float


def _table(seen_in: Literal["sample", "case", "outcome"], rates: dict[str, float]) -> list[HardCase]:
    return [HardCase(name, seen_in, rate) for name, rate in rates.items()]


HARD_CASES: tuple[HardCase, ...] = (
    *_table(
        "sample",
        {
            "empty sample": 0.05,
            "one-pixel instance": 0.12,
            "full-canvas instance": 0.05,
            "touching instances": 0.10,
            "nested instances": 0.08,
            "overlapping instances": 0.05,
            "instance at a border": 0.30,
            "disconnected mask": 0.02,
            "region without labels": 0.10,
            "padding": 0.1,
            "all padding": 0.01,
            "tiny semantic region": 0.08,
            "invalid depth": 0.15,
            "NaN under invalid depth": 0.05,
            "infinite, negative or huge garbage under invalid depth": 0.05,
            "extreme depth": 0.01,
            "metric depth with non-square pixels": 0.05,
            "missing normals": 0.10,
            "id near 2**31": 0.05,
            "id beyond float32": 0.05,
            "uint8 image": 0.30,
            "float32 image": 0.30,
            "-0.0 in the image": 0.02,
            "1x1 canvas": 0.05,
            "non-square canvas": 0.50,
            "one channel": 0.15,
            "three channels": 0.15,
            "neither one nor three channels": 0.15,
        },
    ),
    *_table(
        "case",
        {
            "B = 0": 0.02,
            "B = 1": 0.20,
            "several targets": 0.30,
            "source is the target batch": 0.15,
            "source has other B or K": 0.30,
            "used slots not first": 0.20,
            "no free slot": 0.03,
            "more eligible rows than free slots": 0.03,
            "nothing eligible": 0.03,
            "row without a pixel": 0.03,
            "all-padding source": 0.02,
            "class table": 0.30,
            "ignore is not 255": 0.05,
            "mirrored": 0.15,
            "scale 1, 2 or 1/2": 0.15,
            "enlarged 4 times or more": 0.02,
            "reduced 4 times or more": 0.01,
            "negative translation": 0.1,
            "paste partly outside": 0.05,
            "paste wholly outside": 0.03,
            "contested pixel": 0.02,
            "contested pixel and different priorities": 0.005,
            "priorities that no byte holds": 0.1,
            "paste meets a region without labels": 0.03,
            "paste meets padding": 0.02,
            "labels on padding": 0.02,
            "metric depth, other camera": 0.05,
            "class mix": 0.10,
        },
    ),
    *_table(
        "outcome",
        {
            "something pasted": 0.35,
            "several rows pasted": 0.06,
            "row hidden completely": 0.05,
            "row cut and kept": 0.04,
            "row dropped by its threshold": 0.02,
            "z-test keeps some and rejects some": 0.03,
            "z-test rejects everything": 0.02,
            "nearer by the last bit": 0.01,
            "stuff rule takes the paste back": 0.01,
            "stuff rule leaves void": 0.01,
            "too small a paste taken back": 0.005,
            "row left exactly at its threshold": 0.01,
            "stuff left exactly at its threshold": 0.005,
            "pasted area exactly at min_pasted_area": 0.005,
        },
    ),
)
"""All of them, with the share of drawn examples in which each must be seen."""


def sample_labels(sample: DenseSample, ignore_index: int = 255) -> list[str]:
    """Names of the hard cases that a sample is."""
    height, width = sample.canvas_size
    channels = sample.image.shape[0]
    floating = sample.image.is_floating_point()
    padding = None if sample.padding_mask is None else _array(sample.padding_mask)[0]
    tests: dict[str, bool] = {
        "uint8 image": not floating,
        "float32 image": floating,
        "1x1 canvas": height == width == 1,
        "non-square canvas": height != width,
        "one channel": channels == 1,
        "three channels": channels == 3,
        "neither one nor three channels": channels not in (1, 3),
        "padding": padding is not None and bool(padding.any()),
        "all padding": padding is not None and bool(padding.all()),
    }
    if floating:
        image = _array(sample.image)
        tests["-0.0 in the image"] = bool((np.signbit(image) & (image == 0)).any())
    if sample.instance_masks is not None and sample.instance_ids is not None:
        largest = int(sample.instance_ids.max()) if len(sample) else 0
        tests["id near 2**31"] = largest > 2**31 - 200
        tests["id beyond float32"] = 2**24 < largest <= 2**31 - 200
        tests |= _mask_tests(_array(sample.instance_masks), _array(sample.boxes).astype(np.int64))
    if sample.semantic_map is not None:
        semantic = _array(sample.semantic_map)
        inside = semantic if padding is None else semantic[~padding]
        tests["region without labels"] = bool((inside == ignore_index).any())
        tests["tiny semantic region"] = _has_tiny_region(inside[inside != ignore_index], 4)
    if sample.depth is not None and sample.depth_valid is not None:
        depth, valid = _array(sample.depth), _array(sample.depth_valid)
        beneath = depth[~valid]
        tests["invalid depth"] = beneath.size > 0
        tests["NaN under invalid depth"] = bool(np.isnan(beneath).any())
        odd = np.isinf(beneath) | (beneath < 0) | (beneath > 1e38)
        tests["infinite, negative or huge garbage under invalid depth"] = bool(odd.any())
        tests["extreme depth"] = bool(((depth > 1e30) | (depth < 1e-25))[valid].any())
        camera = sample.camera_intrinsics
        tests["metric depth with non-square pixels"] = (
            sample.metric_depth and camera is not None and camera.fx != camera.fy
        )
    if sample.normals is not None:
        missing = ~_array(sample.normals).any(axis=0)
        tests["missing normals"] = bool((missing if padding is None else missing & ~padding).any())
    return _true(tests)


def case_labels(case: PasteCase) -> list[str]:
    """Names of the hard cases that a paste is, before anything is pasted."""
    target, source, config = case.target, case.source, case.config
    valid = target.instance_valid.numpy()
    tests: dict[str, bool] = {
        "B = 0": target.batch_size == 0,
        "B = 1": target.batch_size == 1,
        "several targets": target.batch_size > 1,
        "source is the target batch": case.intra_batch,
        "source has other B or K": (source.batch_size, source.max_instances)
        != (target.batch_size, target.max_instances),
        "used slots not first": bool((valid[:, 1:] & ~valid[:, :-1]).any()),
        "no free slot": valid.shape[0] > 0 and bool(valid.all(axis=1).any()),
        "class table": case.schema is not None,
        "ignore is not 255": config.ignore_index != 255,
        "class mix": target.semantic_maps is not None and target.instance_masks is None,
        "labels on padding": _labelled_padding(target, config.ignore_index),
        "row without a pixel": _has_empty_row(source),
    }
    if config.panoptic is not None:
        priorities = config.panoptic.class_priority.values()
        tests["priorities that no byte holds"] = any(not -128 <= p < 128 for p in priorities)
    labels = _true(tests)
    for b in range(target.batch_size):
        labels += _true(_row_tests(case, b))
    return list(dict.fromkeys(labels))


def outcome_labels(case: PasteCase, apply: Executor) -> list[str]:
    """Names of the hard cases that a paste turns out to be, by pasting with ``apply``."""
    target, source, plan, config = case.target, case.source, case.plan, case.config

    def paste(changed: BatchCopyPasteConfig) -> tuple[np.ndarray, np.ndarray | None]:
        after, audit = apply(target, source, plan, changed)
        maps = after.semantic_maps
        return audit.paste_union.numpy(), None if maps is None else _array(maps)

    after, audit = apply(target, source, plan, config)
    union = audit.paste_union.numpy()
    tests: dict[str, bool] = {"something pasted": bool(union.any())}
    if audit.row_source is not None and audit.row_dropped is not None and target.instance_masks is not None:
        tests["several rows pasted"] = bool(((audit.row_source >= 0).sum(dim=1) > 1).any())
        masks = _array(target.instance_masks)
        left = (masks & ~union[:, None]).any(axis=(2, 3))
        dropped = audit.row_dropped.numpy()
        cut = (masks & union[:, None]).any(axis=(2, 3)) & target.instance_valid.numpy()
        tests["row left exactly at its threshold"] = _row_at_threshold(
            masks.sum(axis=(2, 3))[cut], (masks & ~union[:, None]).sum(axis=(2, 3))[cut], config
        )
        areas = _array(after.instance_masks).sum(axis=(2, 3))[audit.row_source.numpy() >= 0]
        tests["pasted area exactly at min_pasted_area"] = (
            config.min_pasted_area > 1 and config.min_pasted_area in areas
        )
        tests["row hidden completely"] = bool((dropped & ~left).any())
        tests["row dropped by its threshold"] = bool((dropped & left).any())
        tests["row cut and kept"] = bool((cut & ~dropped).any())
    if audit.warped_depth is not None and target.depth is not None and target.depth_valid is not None:
        bits = [_array(depth).view(np.int32).astype(np.int64) for depth in (audit.warped_depth, target.depth)]
        compared = config.z_test & union[:, None] & _array(target.depth_valid)
        tests["nearer by the last bit"] = bool((compared & (bits[1] - bits[0] == 1)).any())
    everywhere = paste(config.model_copy(update={"z_test": False}))[0]
    rejected, kept = (everywhere & ~union).any(axis=(1, 2)), union.any(axis=(1, 2))
    tests["z-test keeps some and rejects some"] = bool((rejected & kept).any())
    tests["z-test rejects everything"] = bool((rejected & ~kept).any())
    larger = paste(config.model_copy(update={"min_pasted_area": 1}))[0]
    tests["too small a paste taken back"] = bool((larger & ~union).any())
    if config.panoptic is not None:
        lenient = config.panoptic.model_copy(update={"tau_stuff_frac": 0.0, "stuff_min_area": {}})
        without, unruled = paste(config.model_copy(update={"panoptic": lenient}))
        if config.panoptic.stuff_policy == "revert":
            judged = paste(config.model_copy(update={"panoptic": lenient, "min_pasted_area": 1}))[0]
        else:
            judged = without
        tests["stuff left exactly at its threshold"] = target.semantic_maps is not None and any(
            _stuff_at_threshold(semantic, taken, config.panoptic)
            for semantic, taken in zip(_array(target.semantic_maps), judged, strict=True)
        )
        tests["stuff rule takes the paste back"] = bool((without & ~union).any())
        ruled = after.semantic_maps
        tests["stuff rule leaves void"] = (
            ruled is not None
            and config.panoptic.stuff_policy == "ignore"
            and bool((_array(ruled) != unruled).any())
        )
    return _true(tests)


def _row_at_threshold(former: np.ndarray, left: np.ndarray, config: BatchCopyPasteConfig) -> bool:
    """Whether one pixel less would drop a cut row that is kept."""
    scaled, needed = left * 65536, to_q16(config.min_residual_area_frac) * former
    kept = (left >= config.min_area) & (scaled >= needed)
    return bool((kept & ((left == config.min_area) | (scaled == needed))).any())


def _stuff_at_threshold(semantic: np.ndarray, taken: np.ndarray, panoptic: PanopticPasteConfig) -> bool:
    """Whether one pixel less would starve a stuff class of which a paste leaves enough."""
    tau = to_q16(panoptic.tau_stuff_frac)
    for label, kind in panoptic.taxonomy.classes.items():
        former, left = int((semantic == label).sum()), int(((semantic == label) & ~taken).sum())
        least, scaled, needed = panoptic.stuff_min_area.get(label, 0), left * 65536, tau * former
        enough = left >= least and scaled >= needed
        if kind == "stuff" and 0 < left < former and enough and (left == least or scaled == needed):
            return True
    return False


def _mask_tests(masks: np.ndarray, boxes: np.ndarray) -> dict[str, bool]:
    height, width = masks.shape[1:]
    areas = masks.sum(axis=(1, 2))
    edges = (boxes[:, 0] == 0) | (boxes[:, 1] == 0) | (boxes[:, 2] == width) | (boxes[:, 3] == height)
    pairs = list(combinations(range(len(masks)), 2))
    return {
        "empty sample": len(masks) == 0,
        "one-pixel instance": bool((areas == 1).any()),
        "full-canvas instance": bool((areas == height * width).any()),
        "instance at a border": bool(edges.any()),
        "disconnected mask": any(_has_gap(m, b) for m, b in zip(masks, boxes, strict=True)),
        "touching instances": any(_touch(masks[i], masks[j]) for i, j in pairs),
        "nested instances": any(_nest(boxes[i].tolist(), boxes[j].tolist()) for i, j in pairs),
        "overlapping instances": bool((masks.sum(axis=0) > 1).any()),
    }


def _labelled_padding(batch: PaddedBatchedDenseSample, ignore_index: int) -> bool:
    if batch.padding_mask is None or batch.semantic_maps is None:
        return False
    return bool((_array(batch.semantic_maps) != ignore_index)[_array(batch.padding_mask)[:, 0]].any())


def _has_empty_row(batch: PaddedBatchedDenseSample) -> bool:
    if batch.instance_masks is None:
        return False
    filled = _array(batch.instance_masks).any(axis=(2, 3))
    return bool((batch.instance_valid.numpy() & ~filled).any())


def _has_tiny_region(labels: np.ndarray, most: int) -> bool:
    """Whether a label has at most this many pixels, of more."""
    if labels.size <= most:
        return False
    largest = int(labels.max())
    counts = np.bincount(labels) if largest < 2**16 else np.unique(labels, return_counts=True)[1]
    return bool(((counts > 0) & (counts <= most)).any())


def _has_gap(mask: np.ndarray, box: np.ndarray) -> bool:
    """Whether an empty row or column cuts the mask in two."""
    x0, y0, x1, y1 = box
    seen = mask[y0:y1, x0:x1]
    return not (seen.any(axis=0).all() and seen.any(axis=1).all())


def _touch(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two masks are neighbours somewhere, across an edge, and share no pixel."""
    neighbours = (
        (a[1:] & b[:-1]).any()
        or (a[:-1] & b[1:]).any()
        or (a[:, 1:] & b[:, :-1]).any()
        or (a[:, :-1] & b[:, 1:]).any()
    )
    return bool(neighbours) and not (a & b).any()


def _nest(a: list[int], b: list[int]) -> bool:
    """Whether one box lies within the other and is not the same."""
    joined = [min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])]
    return a != b and joined in (a, b)


def _row_tests(case: PasteCase, b: int) -> dict[str, bool]:
    """What holds of target ``b`` and its plan."""
    target, source, plan, config = case.target, case.source, case.plan, case.config
    s, step, count = int(plan.source_idx[b]), int(plan.step[b]), int(plan.count[b])
    ty, tx = plan.translate[b].tolist()
    tests = {"all-padding source": 0 in valid_extent(source, s)}
    if target.metric_depth and target.camera_intrinsics is not None and source.camera_intrinsics is not None:
        tests["metric depth, other camera"] = (
            target.camera_intrinsics[b].tolist() != source.camera_intrinsics[s].tolist()
        )
    if source.instance_masks is None:
        return tests
    masks = _array(source.instance_masks)[s]
    labels = source.labels[s].tolist()
    eligible = rows_to_paste(case, b)
    free = int((~target.instance_valid[b]).sum())
    pasted = eligible[: min(count, free)]
    tests["nothing eligible"] = not eligible
    tests["more eligible rows than free slots"] = min(count, len(eligible)) > free
    if not pasted:
        return tests
    tests["mirrored"] = bool(plan.hflip[b])
    tests["scale 1, 2 or 1/2"] = step in (32768, 65536, 131072)
    tests["enlarged 4 times or more"] = step <= 16384
    tests["reduced 4 times or more"] = step >= 262144
    tests["negative translation"] = ty < 0 or tx < 0
    seen, outside = zip(*(footprint(masks[j], case, b) for j in pasted), strict=True)
    tests["paste partly outside"] = any(out and mask.any() for mask, out in zip(seen, outside, strict=True))
    tests["paste wholly outside"] = any(
        out and not mask.any() for mask, out in zip(seen, outside, strict=True)
    )
    layers = np.sum(seen, axis=0)
    tests["contested pixel"] = bool((layers > 1).any())
    if config.panoptic is not None and tests["contested pixel"]:
        priority = config.panoptic.class_priority
        tests["contested pixel and different priorities"] = any(
            priority.get(labels[i], 0) != priority.get(labels[j], 0) and bool((seen[m] & seen[n]).any())
            for (m, i), (n, j) in combinations(enumerate(pasted), 2)
        )
    padding = np.zeros(target.canvas_size, dtype=bool)
    if target.padding_mask is not None:
        padding = _array(target.padding_mask)[b, 0]
    tests["paste meets padding"] = bool((padding & (layers > 0)).any())
    if target.semantic_maps is not None:
        void = (_array(target.semantic_maps)[b] == config.ignore_index) & ~padding
        tests["paste meets a region without labels"] = bool((void & (layers > 0)).any())
    return tests


def _true(tests: dict[str, bool]) -> list[str]:
    return [name for name, holds in tests.items() if holds]


def _array(tensor: object) -> np.ndarray:
    # NumPy sees a CPU tensor, whatever its subclass, without a copy.
    return np.asarray(tensor)
