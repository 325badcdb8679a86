"""Faults in which pixels a row may take (4.4), who wins (4.5) and what is taken back (4.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from segpaste.types import BatchCopyPasteConfig, Modality
from tests.faults.fault import Call, Pasted, correct, fault, steps_replaced

INSTANCE, SEMANTIC, PANOPTIC = Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC
DEPTH = Modality.DEPTH


@fault("4.4; paste landing in padding, seen in the wild", "paste.not_on_padding")
def padding_is_pasted_on(call: Call) -> Pasted:
    """Pixels of the target's padding may be taken."""

    def gate_of(target: Any, warped: Any, config: BatchCopyPasteConfig) -> np.ndarray:
        return correct.gate_of(replace(target, padding=np.zeros_like(target.padding)), warped, config)

    return call.paste(gate_of=gate_of)


@fault("4.4", "paste.not_on_ignore", needs={SEMANTIC})
def ignore_is_always_255(call: Call) -> Pasted:
    """The gate looks for the label 255, whatever the schema ignores."""

    def gate_of(target: Any, warped: Any, config: BatchCopyPasteConfig) -> np.ndarray:
        return correct.gate_of(target, warped, config.model_copy(update={"panoptic": None}))

    return call.paste(gate_of=gate_of)


@fault("4.4; masks not cut by the z-test, seen in the wild", "depth.monotonic", needs={DEPTH})
def z_test_is_forgotten(call: Call) -> Pasted:
    """What is farther is pasted, too."""

    def gate_of(target: Any, warped: Any, config: BatchCopyPasteConfig) -> np.ndarray:
        return correct.gate_of(target, warped, config.model_copy(update={"z_test": False}))

    return call.paste(gate_of=gate_of)


@fault("4.4", "audit.union_is_true", "metamorphic.depth_takes_no_part", needs={DEPTH})
def z_test_cannot_be_switched_off(call: Call) -> Pasted:
    """The z-test is made although ``z_test`` is off."""

    def gate_of(target: Any, warped: Any, config: BatchCopyPasteConfig) -> np.ndarray:
        return correct.gate_of(target, warped, config.model_copy(update={"z_test": True}))

    return call.paste(gate_of=gate_of)


@fault("4.4", "audit.union_is_true", needs={DEPTH})
def invalid_target_depth_blocks(call: Call) -> Pasted:
    """Where the target's depth is invalid nothing may be pasted."""

    def gate_of(target: Any, warped: Any, config: BatchCopyPasteConfig) -> np.ndarray:
        gate = correct.gate_of(target, warped, config)
        return gate if target.depth is None or not config.z_test else gate & target.depth_valid

    return call.paste(gate_of=gate_of)


@fault("4.4: V_src holds and", "audit.union_is_true", needs={DEPTH})
def invalid_source_depth_is_near(call: Call) -> Pasted:
    """The z-test does not ask for V_src: an invalid source's 0 is nearer than everything."""

    def gate_of(target: Any, warped: Any, config: BatchCopyPasteConfig) -> np.ndarray:
        if warped.depth is not None:
            warped = replace(warped, depth_valid=np.ones_like(warped.depth_valid))
        return correct.gate_of(target, warped, config)

    return call.paste(gate_of=gate_of)


@fault("4.4: of what is written", "depth.monotonic", needs={DEPTH})
def z_test_compares_unscaled_depth(call: Call) -> Pasted:
    """The z-test compares the source's depth before its metric rescaling."""

    def seen(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> dict[str, np.ndarray]:
        return {} if target.depth is None else {"depth": _unscaled_depth(target, source, plan)}

    return _gate_sees(call, seen)


@fault("4.4: float32 values, as written", "audit.union_is_true", needs={DEPTH})
def z_test_compares_before_rounding(call: Call) -> Pasted:
    """The z-test compares the source's rescaled depth in float64, before it becomes what is written."""

    def seen(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> dict[str, np.ndarray]:
        if target.depth is None or not (target.metric and source.metric):
            return {}
        raw = _unscaled_depth(target, source, plan).astype(np.float64)
        return {"depth": raw * correct.metric_factor(target.camera, source.camera, plan.step)}

    return _gate_sees(call, seen)


@fault("4.4: ignore on either side", "audit.union_is_true", needs={SEMANTIC})
def ignore_in_the_source_s_last_column_is_missed(call: Call) -> Pasted:
    """The gate looks for the source's *ignore* in all columns but the last: an end that is one too small."""

    def seen(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> dict[str, np.ndarray]:
        if target.semantic is None or source.semantic is None:
            return {}
        labels = source.semantic.copy()
        last = labels[:, -1]
        last[last == config.ignore_index] = config.ignore_index + 1
        return {"semantic": correct.Grid(plan, target, source).nearest(labels)}

    return _gate_sees(call, seen)


@fault("4.4; validity used as a mask of the whole paste", "metamorphic.depth_takes_no_part", needs={DEPTH})
def only_valid_depth_is_pasted(call: Call) -> Pasted:
    """Where the source's depth is invalid nothing is pasted, with and without a z-test."""

    def gate_of(target: Any, warped: Any, config: BatchCopyPasteConfig) -> np.ndarray:
        gate = correct.gate_of(target, warped, config)
        return gate if warped.depth_valid is None else gate & warped.depth_valid

    return call.paste(gate_of=gate_of)


@fault(
    "4.4",
    "metamorphic.semantic_takes_no_part",
    "paste.inside_union_is_source.instance",
    needs={SEMANTIC, INSTANCE},
)
def mask_needs_its_label(call: Call) -> Pasted:
    """A row may only take pixels whose warped semantic label is its own."""

    def paste_one(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> Any:
        if source.semantic is not None and source.masks is not None:
            own = source.semantic == source.labels[:, None, None]
            source = replace(source, masks=source.masks & own)
        return correct.paste_one(target, source, plan, config)

    return call.paste(paste_one=paste_one)


@fault("4.5; ADR-0006's order * K + priority", "paste.winner_by_priority_and_order", needs={INSTANCE})
def priority_never_decides(call: Call) -> Pasted:
    """The later pasted wins a contested pixel, whatever the priorities."""
    return call.paste(priority_of=lambda label, config: 0)


@fault("4.5", "paste.winner_by_priority_and_order", needs={INSTANCE})
def lowest_priority_wins(call: Call) -> Pasted:
    """The smallest class priority wins a contested pixel."""
    return call.paste(priority_of=lambda label, config: -correct.priority_of(label, config))


@fault("4.5: any integer", "paste.winner_by_priority_and_order", needs={INSTANCE})
def priorities_are_bytes(call: Call) -> Pasted:
    """Class priorities are kept as int8: 128 and more become negative."""
    return call.paste(
        priority_of=lambda label, config: (correct.priority_of(label, config) + 128) % 256 - 128
    )


@fault("4.5: classes without an entry have 0", "paste.winner_by_priority_and_order", needs={INSTANCE})
def classes_without_priority_come_last(call: Call) -> Pasted:
    """A class without an entry loses to one of negative priority."""

    def priority_of(label: int, config: BatchCopyPasteConfig) -> int:
        table = {} if config.panoptic is None else config.panoptic.class_priority
        return table.get(int(label), -(2**40))

    return call.paste(priority_of=priority_of)


@fault("4.5", "paste.winner_by_priority_and_order", "metamorphic.class_relabelling", needs={INSTANCE})
def larger_class_wins_a_tie(call: Call) -> Pasted:
    """Between rows of one priority the larger class number wins, not the later pasted."""

    def priority_of(label: int, config: BatchCopyPasteConfig) -> tuple[int, int]:
        return correct.priority_of(label, config), int(label)

    return call.paste(priority_of=priority_of)


@fault("4.6 (2)", "panoptic.stuff_threshold", needs={SEMANTIC})
def stuff_is_never_starved(call: Call) -> Pasted:
    """There is no stuff rule."""
    return call.paste(starved_stuff=lambda target, union, config: np.zeros_like(union))


@fault("4.6 (2)", "panoptic.stuff_threshold", needs={SEMANTIC})
def stuff_at_its_area_is_starved(call: Call) -> Pasted:
    """A stuff class of which exactly ``stuff_min_area`` is left counts as starved: ``<=`` for ``<``."""

    def starved(panoptic: Any, label: int, before: int, left: int) -> bool:
        return left < before and 0 < left == panoptic.stuff_min_area.get(label, 0)

    return call.paste(starved_stuff=_also_starved(starved))


@fault("4.6 (2): tau_stuff_q16", "panoptic.stuff_threshold", needs={SEMANTIC})
def stuff_fraction_is_truncated(call: Call) -> Pasted:
    """``tau_stuff_frac`` becomes Q16 by cutting off, not by rounding."""

    def starved_stuff(target: Any, union: np.ndarray, config: BatchCopyPasteConfig) -> np.ndarray:
        with steps_replaced(to_q16=lambda fraction: int(fraction * 65536)):
            return correct.starved_stuff(target, union, config)

    return call.paste(starved_stuff=starved_stuff)


@fault("4.6 (2)", "paste.void_exact", needs={SEMANTIC})
def things_are_starved_like_stuff(call: Call) -> Pasted:
    """The rule for stuff is applied to thing classes, too."""

    def starved_stuff(target: Any, union: np.ndarray, config: BatchCopyPasteConfig) -> np.ndarray:
        if config.panoptic is None:
            return correct.starved_stuff(target, union, config)
        taxonomy = config.panoptic.taxonomy
        all_stuff = taxonomy.model_copy(update={"classes": dict.fromkeys(taxonomy.classes, "stuff")})
        panoptic = config.panoptic.model_copy(update={"taxonomy": all_stuff})
        return correct.starved_stuff(target, union, config.model_copy(update={"panoptic": panoptic}))

    return call.paste(starved_stuff=starved_stuff)


@fault("4.6 (2): at least one pixel to this U", "paste.void_exact", needs={SEMANTIC})
def untouched_stuff_is_starved(call: Call) -> Pasted:
    """Stuff that lost nothing is judged by ``stuff_min_area``, too."""

    def starved(panoptic: Any, label: int, before: int, left: int) -> bool:
        return 0 < before == left < panoptic.stuff_min_area.get(label, 0)

    return call.paste(starved_stuff=_also_starved(starved))


@fault("4.6 (2)", "paste.void_exact", needs={SEMANTIC})
def stuff_always_takes_back(call: Call) -> Pasted:
    """``stuff_policy`` is taken for ``"revert"``."""
    return call.paste_as_if(config=_with_policy(call.config, "revert"))


@fault("4.6 (4)", "paste.void_exact", needs={SEMANTIC})
def stuff_always_becomes_void(call: Call) -> Pasted:
    """``stuff_policy`` is taken for ``"ignore"``."""
    return call.paste_as_if(config=_with_policy(call.config, "ignore"))


@fault("4.6 (4): outside U", "paste.inside_union_is_source.semantic", needs={SEMANTIC})
def void_covers_the_paste(call: Call) -> Pasted:
    """A starved class becomes void where it was, also where it has been pasted over."""

    def write_void(sample: Any, void: np.ndarray, config: BatchCopyPasteConfig) -> Any:
        if semantic is None or config.panoptic is None or config.panoptic.stuff_policy == "revert":
            return correct.write_void(sample, void, config)
        classes = np.unique(semantic[void & np.isin(semantic, stuff)])
        return correct.write_void(sample, void | np.isin(semantic, classes), config)

    def paste_one(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> Any:
        nonlocal semantic, stuff
        semantic = target.semantic
        table = {} if config.schema_spec is None else config.schema_spec.classes
        stuff = [c for c, kind in table.items() if kind == "stuff"]
        return correct.paste_one(target, source, plan, config)

    semantic: Any = None
    stuff: list[int] = []
    return call.paste(write_void=write_void, paste_one=paste_one)


@fault(
    "4.6; a stuff rule that restores some modalities, seen in the wild",
    "paste.unchanged_outside_union.image",
    needs={SEMANTIC},
)
def stuff_takes_back_its_labels_alone(call: Call) -> Pasted:
    """Starved stuff gets its labels back, and the picture stays pasted."""
    after, audit = call.paste()
    painted, _ = call._replace(config=_with_policy(call.config, "ignore")).paste()
    return replace(after, images=painted.images), audit


@fault("4.6: (2) before (3)", "panoptic.stuff_threshold", needs={SEMANTIC, INSTANCE})
def small_rows_leave_before_stuff(call: Call) -> Pasted:
    """Rows below ``min_pasted_area`` are taken back before the stuff rule is judged, not after."""

    def starved_stuff(target: Any, union: np.ndarray, config: BatchCopyPasteConfig) -> np.ndarray:
        return correct.starved_stuff(target, union & ~small, config)

    def paste_one(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> Any:
        nonlocal small
        small = np.zeros_like(target.padding)
        if target.masks is None:
            return correct.paste_one(target, source, plan, config)
        lenient = _without_reverts(config)
        large = correct.paste_one(target, source, plan, lenient).union
        whole = correct.paste_one(
            target, source, plan, lenient.model_copy(update={"min_pasted_area": 1})
        ).union
        small = whole & ~large
        return correct.paste_one(target, source, plan, config)

    small: Any = None
    return call.paste(starved_stuff=starved_stuff, paste_one=paste_one)


@fault("4.6 (3)", "paste.selection_by_plan", "paste.union_is_pasted_masks", needs={INSTANCE})
def smallest_legal_row_is_too_small(call: Call) -> Pasted:
    """A row of exactly ``min_pasted_area`` is not pasted: ``<=`` for ``<``."""
    return _least_pasted(call, call.config.min_pasted_area + 1)


@fault("4.6 (3)", "paste.pasted_rows_large_enough", needs={INSTANCE})
def no_row_is_too_small(call: Call) -> Pasted:
    """``min_pasted_area`` is not looked at; only rows without a pixel are left out."""
    return _least_pasted(call, 1)


@fault("4.6 (3): their pixels leave U", "paste.every_painted_pixel_has_a_row", needs={INSTANCE})
def small_rows_stay_painted(call: Call) -> Pasted:
    """Rows below ``min_pasted_area`` get no row, and their pixels stay in the picture."""
    after, audit = call.paste()
    painted, _ = _least_pasted(call, 1)
    return replace(after, images=painted.images), audit


@fault("4.6 (3)", "paste.pasted_rows_large_enough", needs={INSTANCE})
def rows_are_measured_before_the_gate(call: Call) -> Pasted:
    """``min_pasted_area`` is compared with the warped mask, before gate and neighbours cut it."""

    def paste_one(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> Any:
        if target.masks is None:
            return correct.paste_one(target, source, plan, config)
        grid = correct.Grid(plan, target, source)
        large = [
            j
            for j in correct.paste_list(target, source, plan, config)
            if np.count_nonzero(grid.nearest(source.masks[j]) & grid.inside) >= config.min_pasted_area
        ]
        with steps_replaced(paste_list=lambda *_: large):
            return correct.paste_one(target, source, plan, config.model_copy(update={"min_pasted_area": 1}))

    return call.paste(paste_one=paste_one)


def _gate_sees(call: Call, seen: Callable[..., dict[str, np.ndarray]]) -> Pasted:
    """The paste whose gate alone is given other warped values, of target, source, plan and configuration."""

    def paste_one(*arguments: Any) -> Any:
        others = seen(*arguments)

        def gate_of(target: Any, warped: Any, config: BatchCopyPasteConfig) -> np.ndarray:
            return correct.gate_of(target, replace(warped, **others), config)

        with steps_replaced(gate_of=gate_of):
            return correct.paste_one(*arguments)

    return call.paste(paste_one=paste_one)


def _unscaled_depth(target: Any, source: Any, plan: Any) -> np.ndarray:
    """The warped depth of a source before it is rescaled."""
    grid = correct.Grid(plan, target, source)
    return correct.warp_depth(grid, replace(target, metric=False), source, plan)[0]


def _also_starved(rule: Callable[[Any, int, int, int], bool]) -> Callable[..., np.ndarray]:
    """The stuff rule, which finds some more classes starved."""

    def starved_stuff(target: Any, union: np.ndarray, config: BatchCopyPasteConfig) -> np.ndarray:
        starved = correct.starved_stuff(target, union, config)
        if config.panoptic is None or target.semantic is None:
            return starved
        for label, kind in config.panoptic.taxonomy.classes.items():
            region = (target.semantic == label) & ~target.padding
            left = int((region & ~union).sum())
            if kind == "stuff" and rule(config.panoptic, label, int(region.sum()), left):
                starved |= region
        return starved

    return starved_stuff


def _with_policy(config: BatchCopyPasteConfig, policy: str) -> BatchCopyPasteConfig:
    if config.panoptic is None:
        return config
    return config.model_copy(update={"panoptic": config.panoptic.model_copy(update={"stuff_policy": policy})})


def _without_reverts(config: BatchCopyPasteConfig) -> BatchCopyPasteConfig:
    return _with_policy(config, "ignore")


def _least_pasted(call: Call, area: int) -> Pasted:
    """The paste under another ``min_pasted_area``."""
    return call.paste_as_if(config=call.config.model_copy(update={"min_pasted_area": area}))
