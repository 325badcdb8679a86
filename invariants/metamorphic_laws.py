"""The laws of several runs: what must come out the same, or the same but changed."""

from __future__ import annotations

import random
import warnings
from dataclasses import fields, replace

import numpy as np
import torch

from segpaste.invariants.expected import eligible_slots
from segpaste.invariants.metamorphic_case import (
    NO_EXECUTOR,
    Executor,
    MetamorphicCase,
    dense,
    executor_of,
    first_violation,
    same_audit,
    same_output,
    same_sample,
)
from segpaste.invariants.registry import register
from segpaste.invariants.report import HELD, Finding, exercised, not_applicable, not_exercised, violated
from segpaste.invariants.sample_case import DEFAULT_IGNORE
from segpaste.invariants.transforms import (
    chosen_plans,
    compact,
    copied,
    copied_plan,
    joined,
    mirrored,
    relabelled,
    relabelled_config,
    transposed,
    transposed_sample,
    with_fields,
    with_longer_order,
    with_more_slots,
    without_rows,
)
from segpaste.invariants.view import view_of
from segpaste.types import (
    BatchAuditPacket,
    BatchedDenseSample,
    DenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PastePlan,
)

ADDED_SLOTS = 3


# --- one run, again ------------------------------------------------------------------


@register("metamorphic.same_seed_same_bits", "metamorphic")
def same_seed_same_bits(case: MetamorphicCase) -> Finding:
    """Two runs on equal arguments agree bit for bit.

    In the wild: a global generator behind a seed argument; a dict of workers' states.
    """
    executor = executor_of(case)
    if executor is not None:
        (first, told), (second, told_again) = executor.run(), executor.run()
        return first_violation(
            same_output(second, first, "second run"), same_audit(told_again, told, "second run")
        )
    if case.augment is None or _no_samples(case):
        return not_applicable("nothing to run")
    runs = [case.augment(case.target_sample(), case.donor_sample(), case.seed) for _ in range(2)]
    return same_sample(runs[1], runs[0], "second run")


@register("metamorphic.inputs_not_mutated", "metamorphic")
def inputs_not_mutated(case: MetamorphicCase) -> Finding:
    """A run leaves every bit of its arguments as it was.

    In the wild: pasting in place into a cached sample, which then carries the paste into
    every later epoch.
    """
    executor = executor_of(case)
    if executor is not None:
        target, source = copied(case.target), copied(case.source)
        plan = copied_plan(executor.plan)
        executor.apply(target, source, plan, executor.config)
        names = [field.name for field in fields(PastePlan)]
        written = [n for n in names if not torch.equal(getattr(plan, n), getattr(executor.plan, n))]
        return first_violation(
            same_output(target, case.target, "target after the run"),
            same_output(source, case.source, "source after the run"),
            violated(f"plan.{written[0]} changed by the run") if written else HELD,
        )
    if case.augment is None or _no_samples(case):
        return not_applicable("nothing to run")
    sample, donor = case.target_sample(), case.donor_sample()
    case.augment(sample, donor, case.seed)
    return first_violation(
        same_sample(sample, case.target_sample(), "target after the run"),
        same_sample(donor, case.donor_sample(), "donor after the run"),
    )


@register("metamorphic.generators_untouched", "metamorphic")
def generators_untouched(case: MetamorphicCase) -> Finding:
    """A run leaves the global generators of Python, NumPy and torch as they were.

    In the wild: a number drawn and thrown away, or a seed set, after which every other
    augmentation of the pipeline draws something else.
    """
    executor = executor_of(case)
    if executor is None and (case.augment is None or _no_samples(case)):
        return not_applicable("nothing to run")
    device = case.target.images.device
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            # A run that seeds them, as an earlier one has, would leave them as it found them.
            _ = (
                random.random(),
                np.random.random(),
                torch.rand((), device="cpu"),
                torch.rand((), device=device),
            )
            before = _generators(device)
            if executor is not None:
                executor.run()
            elif case.augment is not None:
                case.augment(case.target_sample(), case.donor_sample(), case.seed)
            moved = [name for name, state in _generators(device).items() if before[name] != state]
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
    return violated(f"{moved[0]}'s global generator was moved on or seeded") if moved else HELD


@register("metamorphic.memory_layout_takes_no_part", "metamorphic")
def memory_layout_takes_no_part(case: MetamorphicCase) -> Finding:
    """The same values in memory laid out in another order give the same output.

    In the wild: channels-last pictures read as if they were contiguous; ``view`` on what
    a transposition returned.
    """
    executor = executor_of(case)
    if executor is not None:
        out, told = executor.run()
        target, source = transposed(case.target), transposed(case.source)
        again, told_again = executor.apply(target, source, copied_plan(executor.plan), executor.config)
        what = "rows and columns exchanged in memory"
        return first_violation(same_output(again, out, what), same_audit(told_again, told, what))
    if case.augment is None or _no_samples(case):
        return not_applicable("nothing to run")
    out = case.augment(case.target_sample(), case.donor_sample(), case.seed)
    laid_out = (transposed_sample(case.target_sample()), transposed_sample(case.donor_sample()))
    return same_sample(case.augment(*laid_out, case.seed), out, "rows and columns exchanged in memory")


# --- batches -------------------------------------------------------------------------


@register("metamorphic.batch_independence", "metamorphic")
def batch_independence(case: MetamorphicCase) -> Finding:
    """A sample comes out of a batch as it comes out alone.

    In the wild: results that depend on the batch size, since one random draw serves all.
    """
    executor = executor_of(case)
    if executor is None:
        return NO_EXECUTOR
    whole, told = executor.run()
    findings: list[Finding] = []
    for index in range(case.target.batch_size):
        donor = executor.source.gather(executor.plan.source_idx[index : index + 1])
        plan = executor.plan.select(index)
        plan = replace(plan, source_idx=torch.zeros_like(plan.source_idx))
        alone, told_alone = executor.run(executor.target.select(index), donor, plan)
        what = f"sample {index} in the batch, against alone"
        findings += [
            same_output(whole.select(index), alone, what),
            same_audit(told.select(index), told_alone, what),
        ]
    beside = _twice(executor)
    findings += [same_output(beside[0], whole, "the batch beside a copy of itself")]
    findings += [same_audit(beside[1], told, "the batch beside a copy of itself")]
    return first_violation(*findings)


@register("metamorphic.batch_permutation", "metamorphic")
def batch_permutation(case: MetamorphicCase) -> Finding:
    """A permutation of the batch, and of its plans, permutes what comes out.

    In the wild: donors taken from "the next sample" of a batch that was since shuffled.
    """
    executor = executor_of(case)
    if executor is None:
        return NO_EXECUTOR
    size = case.target.batch_size
    if size < 2:
        return not_exercised("fewer than two samples")
    device = case.target.images.device
    order = torch.arange(size - 1, -1, -1, device=device)
    whole, told = executor.run()
    donors = torch.arange(executor.source.batch_size - 1, -1, -1, device=device)
    plan = chosen_plans(executor.plan, order)
    # A donor at i stands at the far end's i after the source view is turned round.
    plan = replace(plan, source_idx=executor.source.batch_size - 1 - plan.source_idx)
    turned, told_turned = executor.run(executor.target.gather(order), executor.source.gather(donors), plan)
    what = "the permuted batch"
    return first_violation(
        same_output(turned.gather(order), whole, what),
        same_audit(_audit_gather(told_turned, order), told, what),
    )


# --- mirrors -------------------------------------------------------------------------


@register("metamorphic.source_mirror", "metamorphic")
def source_mirror(case: MetamorphicCase) -> Finding:
    """Mirroring the source within its valid rectangle and toggling the flip changes nothing.

    In the wild: flip off by one pixel between image and polygons; n_x not negated.
    """
    executor = executor_of(case)
    if executor is None:
        return NO_EXECUTOR
    if _class_mix(case):
        return not_applicable("a class mix does not mirror")
    out, told = executor.run()
    plan = replace(executor.plan, hflip=~executor.plan.hflip)
    again, told_again = executor.run(source=mirrored(executor.source), plan=plan)
    what = "source mirrored, flip toggled"
    found = first_violation(same_output(again, out, what), same_audit(told_again, told, what))
    return exercised(found, _painted(told), "nothing was pasted")


@register("metamorphic.mirror_everything", "metamorphic")
def mirror_everything(case: MetamorphicCase) -> Finding:
    """Mirroring target, source and plan mirrors the output.

    Exact where the mirrored translation is whole (step divides 65536 * Wv of the source),
    no sample falls on the border of two pixels (2^17 does not divide step) and no weight
    is cut off (512 divides step): at scales 1, 2, 4, up to 128, among others.

    In the wild: boxes shifted by one pixel under flip, which a double flip hides.
    """
    executor = executor_of(case)
    if executor is None:
        return NO_EXECUTOR
    height, width = case.target.canvas_size
    source_width = _valid_widths(executor.source)[executor.plan.source_idx]
    step = executor.plan.step
    if _class_mix(case):
        exact = source_width == width
    else:
        exact = (step % 512 == 0) & (step % (1 << 17) != 0) & ((source_width << 16) % step == 0)
    exact = exact & (_valid_widths(executor.target) == width)
    chosen = exact.nonzero().flatten()
    if chosen.numel() == 0:
        return not_exercised("no sample whose mirrored paste is exact")
    target = executor.target.gather(chosen)
    plan = chosen_plans(executor.plan, chosen)
    moved = plan.translate.clone()
    moved[:, 1] = width - moved[:, 1] - (source_width[chosen] << 16) // plan.step
    out, told = executor.run(target, plan=plan)
    again, told_again = executor.run(
        mirrored(target), mirrored(executor.source), replace(plan, translate=moved)
    )
    found = first_violation(
        same_output(again, mirrored(out), "target, source and plan mirrored"),
        HELD
        if torch.equal(told_again.paste_union, told.paste_union.flip(-1))
        else violated("target, source and plan mirrored: the audit's union is not mirrored"),
    )
    return exercised(found, _painted(told) and height > 0, "nothing was pasted")


# --- names, slots and bystanders -----------------------------------------------------


@register("metamorphic.class_relabelling", "metamorphic")
def class_relabelling(case: MetamorphicCase) -> Finding:
    """Renaming the classes everywhere, configuration included, renames them in the output.

    In the wild: class 0 taken for background; priorities that follow the class number.
    """
    executor = executor_of(case)
    if executor is None:
        return NO_EXECUTOR
    if _class_mix(case):
        return not_applicable("the class mix draws by class number")
    table = _renaming(executor)
    if not table:
        return not_exercised("no classes")
    out, told = executor.run()
    again, _ = executor.run(
        relabelled(executor.target, table),
        relabelled(executor.source, table),
        config=relabelled_config(executor.config, table),
    )
    found = same_output(again, relabelled(out, table), "classes renamed")
    return exercised(found, _painted(told), "nothing was pasted")


@register("metamorphic.larger_target_capacity", "metamorphic", Modality.INSTANCE)
def larger_target_capacity(case: MetamorphicCase) -> Finding:
    """More row slots in the target change nothing but padding while capacity does not bind.

    In the wild: row buffers whose length leaks into the draw.
    """
    executor = executor_of(case)
    if executor is None:
        return NO_EXECUTOR
    schema = executor.config.schema_spec
    slots = case.target.max_instances + ADDED_SLOTS
    if schema is not None and slots > schema.max_instances_per_image:
        return not_exercised("the schema allows no more slots")
    if _largest_id(case.target) + slots >= 2**31:
        return not_exercised("the ids leave no room for more slots")
    chosen = torch.tensor(_not_bound(executor), dtype=torch.int64, device=case.target.images.device)
    if chosen.numel() == 0:
        return not_exercised("capacity binds in every sample")
    target, plan = executor.target.gather(chosen), chosen_plans(executor.plan, chosen)
    out, told = executor.run(target, plan=plan)
    again, _ = executor.run(with_more_slots(target, ADDED_SLOTS), plan=plan)
    found = same_output(again, with_more_slots(out, ADDED_SLOTS), f"{ADDED_SLOTS} more slots in the target")
    return exercised(found, _painted(told), "nothing was pasted")


@register("metamorphic.larger_source_capacity", "metamorphic", Modality.INSTANCE)
def larger_source_capacity(case: MetamorphicCase) -> Finding:
    """More unused row slots in the source, wherever the order names them, change nothing.

    In the wild: padding rows of the source pasted as empty objects.
    """
    executor = executor_of(case)
    if executor is None:
        return NO_EXECUTOR
    schema = executor.config.schema_spec
    if schema is not None and executor.source.max_instances + ADDED_SLOTS > schema.max_instances_per_image:
        return not_exercised("the schema allows no more slots")
    out, told = executor.run()
    again, told_again = executor.run(
        source=with_more_slots(executor.source, ADDED_SLOTS),
        plan=with_longer_order(executor.plan, ADDED_SLOTS),
    )
    what = f"{ADDED_SLOTS} more slots in the source"
    found = first_violation(same_output(again, out, what), same_audit(told_again, told, what))
    return exercised(found, _painted(told), "nothing was pasted")


@register("metamorphic.normals_take_no_part", "metamorphic", Modality.NORMALS)
def normals_take_no_part(case: MetamorphicCase) -> Finding:
    """Without normals, everything else comes out the same.

    In the wild: rows thrown out where a modality is missing.
    """
    return _bystander(case, ("normals",))


@register("metamorphic.depth_takes_no_part", "metamorphic", Modality.DEPTH)
def depth_takes_no_part(case: MetamorphicCase) -> Finding:
    """Without the z-test and without depth, everything else comes out as without the z-test.

    In the wild: validity used as a mask of the whole paste.
    """
    if case.config is None:
        return NO_EXECUTOR
    config = case.config.model_copy(update={"z_test": False})
    return _bystander(replace(case, config=config), ("depth", "depth_valid"))


@register("metamorphic.semantic_takes_no_part", "metamorphic", Modality.SEMANTIC, Modality.INSTANCE)
def semantic_takes_no_part(case: MetamorphicCase) -> Finding:
    """Without schema, ignore labels and semantic map, everything else comes out as with the map.

    In the wild: a missing semantic map filled in with class 0.
    """
    if case.target.panoptic_maps is not None:
        return not_applicable("a panoptic map needs the semantic one")
    if case.config is None:
        return NO_EXECUTOR
    labelled = {DEFAULT_IGNORE: 0}
    plain = replace(
        case,
        target=relabelled(case.target, labelled),
        source=relabelled(case.source, labelled),
        config=case.config.model_copy(update={"panoptic": None}),
    )
    return _bystander(plain, ("semantic_maps",))


# --- nothing to paste ----------------------------------------------------------------


@register("metamorphic.empty_source_is_identity", "metamorphic")
def empty_source_is_identity(case: MetamorphicCase) -> Finding:
    """A source without rows and labels leaves every bit of the target.

    In the wild: a paste of nothing that still converts the image; a crash on no rows.
    """
    executor = executor_of(case)
    if executor is not None:
        empty = without_rows(executor.source, executor.config.ignore_index)
        out, told = executor.run(source=empty)
        return first_violation(same_output(out, case.target, "empty source"), _told_nothing(told))
    if case.augment is None or _no_samples(case):
        return not_applicable("nothing to run")
    ignore = DEFAULT_IGNORE if case.config is None else case.config.ignore_index
    empty = without_rows(case.source, ignore)
    donor = dense(empty, min(1, empty.batch_size - 1))
    return same_sample(
        case.augment(case.target_sample(), donor, case.seed), case.target_sample(), "empty donor"
    )


@register("metamorphic.count_zero_is_identity", "metamorphic")
def count_zero_is_identity(case: MetamorphicCase) -> Finding:
    """A plan that asks for no row leaves every bit of the target.

    In the wild: probability 0 that still re-encodes boxes.
    """
    executor = executor_of(case)
    if executor is None:
        return NO_EXECUTOR
    plan = replace(executor.plan, count=torch.zeros_like(executor.plan.count))
    out, told = executor.run(plan=plan)
    return first_violation(same_output(out, case.target, "count = 0"), _told_nothing(told))


# --- round trips ---------------------------------------------------------------------


@register("metamorphic.round_trip_padded", "metamorphic")
def round_trip_padded(case: MetamorphicCase) -> Finding:
    """A padded batch -> ragged -> padded is the identity on batches whose used slots come first.

    In the wild: metric_depth lost on the way.
    """
    batch = compact(case.target)
    return same_output(compact(batch), batch, "padded, ragged, padded")


@register("metamorphic.round_trip_samples", "metamorphic")
def round_trip_samples(case: MetamorphicCase) -> Finding:
    """A batch -> samples -> batch is the identity.

    In the wild: fields that one of two containers does not know.
    """
    if case.target.batch_size == 0:
        return not_exercised("no samples")
    batch = compact(case.target)
    samples = BatchedDenseSample.from_padded(batch).to_samples()
    again = BatchedDenseSample.from_samples(samples).to_padded(batch.max_instances)
    return same_output(again, batch, "batch, samples, batch")


@register("metamorphic.round_trip_dict", "metamorphic")
def round_trip_dict(case: MetamorphicCase) -> Finding:
    """A sample -> dict -> sample is the identity.

    In the wild: None written as an empty tensor and read back as one.
    """
    findings: list[Finding] = []
    for index in range(case.target.batch_size):
        sample = dense(case.target, index)
        findings.append(
            same_sample(DenseSample.from_dict(sample.to_dict()), sample, f"sample {index} as dict")
        )
    return first_violation(*findings) if findings else not_exercised("no samples")


@register("metamorphic.round_trip_coco_rle", "metamorphic", Modality.INSTANCE)
def round_trip_coco_rle(case: MetamorphicCase) -> Finding:
    """A mask -> COCO RLE -> mask is the identity, and its codes have the mask's area.

    In the wild: row-major bytes handed to an encoder that reads columns.
    """
    seen = False
    for index in range(case.target.batch_size):
        sample = dense(case.target, index)
        if sample.instance_masks is None or len(sample) == 0:
            continue
        seen = True
        masks = sample.instance_masks.as_subclass(torch.Tensor).cpu().numpy()
        decoded, area = _through_rle(masks)
        if not np.array_equal(decoded, masks):
            return violated(f"sample {index}: {int((decoded != masks).sum())} mask pixels differ")
        if area != masks.sum(axis=(1, 2)).tolist():
            return violated(f"sample {index}: RLE areas {area} differ from the masks'")
    return HELD if seen else not_exercised("no rows")


def _through_rle(masks: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """``[N, H, W]`` bool encoded and decoded again, and the areas its codes have."""
    from pycocotools import mask as rle

    with warnings.catch_warnings():
        # NumPy 2 complains of the way pycocotools hands over its own buffers.
        warnings.simplefilter("ignore", DeprecationWarning)
        codes = rle.encode(np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)))
        decoded = rle.decode(codes).transpose(2, 0, 1).astype(bool)
        return decoded, np.asarray(rle.area(codes)).tolist()


# --- helpers -------------------------------------------------------------------------


def _generators(device: torch.device) -> dict[str, object]:
    """The states of the global generators, by whose they are."""
    kind, words, *rest = np.random.get_state()
    states: dict[str, object] = {
        "Python": random.getstate(),
        "NumPy": (kind, np.asarray(words).tobytes(), *rest),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }
    if device.type == "cuda":
        states["CUDA"] = torch.cuda.get_rng_state(device).numpy().tobytes()
    return states


def _bystander(case: MetamorphicCase, names: tuple[str, ...]) -> Finding:
    executor = executor_of(case)
    if executor is None:
        return NO_EXECUTOR
    out, told = executor.run()
    again, told_again = executor.run(_without(executor.target, names), _without(executor.source, names))
    what = f"without {names[0]}"
    found = first_violation(
        same_output(again, _without(out, names), what),
        HELD if torch.equal(told_again.paste_union, told.paste_union) else violated(f"{what}: another union"),
    )
    return exercised(found, _painted(told), "nothing was pasted")


def _without(batch: PaddedBatchedDenseSample, names: tuple[str, ...]) -> PaddedBatchedDenseSample:
    changes: dict[str, bool | None] = dict.fromkeys(names)
    if "depth" in names:
        changes["metric_depth"] = False
    return with_fields(batch, **changes)


def _twice(executor: Executor) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
    """The first half of a run on the batch followed by a copy of itself."""
    size = executor.target.batch_size
    index = torch.arange(size, device=executor.target.images.device)
    plan = chosen_plans(executor.plan, torch.cat([index, index]))
    out, told = executor.run(joined([executor.target, executor.target]), plan=plan)
    return out.gather(index), _audit_gather(told, index)


def _audit_gather(audit: BatchAuditPacket, index: torch.Tensor) -> BatchAuditPacket:
    changes = {
        name: value[index]
        for name in BatchAuditPacket.__dataclass_fields__
        if isinstance(value := getattr(audit, name), torch.Tensor)
    }
    return replace(audit, **changes, plan=None)


def _not_bound(executor: Executor) -> list[int]:
    """Samples whose paste list is not cut short by the target's free slots."""
    found: list[int] = []
    for index in range(executor.target.batch_size):
        donor = view_of(executor.source.select(int(executor.plan.source_idx[index])))
        offered = min(int(eligible_slots(donor, executor.config).sum()), int(executor.plan.count[index]))
        free = int((~executor.target.instance_valid[index]).sum())
        found += [index] if offered <= free else []
    return found


def _renaming(executor: Executor) -> dict[int, int]:
    """The known classes in reverse; a single one gets another number. Ignore stays."""
    ignore = executor.config.ignore_index
    known: set[int] = set()
    if executor.config.schema_spec is not None:
        known |= set(executor.config.schema_spec.classes)
    for batch in (executor.target, executor.source):
        known |= set(batch.labels[batch.instance_valid].tolist())
        if batch.semantic_maps is not None:
            known |= set(batch.semantic_maps.unique().tolist())
    classes = sorted(known - {ignore})
    if len(classes) == 1:
        only = classes[0]
        return {only: next(c for c in (only + 1, only + 2, only - 1) if c != ignore and 0 <= c < 2**31)}
    return dict(zip(classes, reversed(classes), strict=True))


def _largest_id(batch: PaddedBatchedDenseSample) -> int:
    fields = batch.tensors()
    present = [fields[name] for name in ("instance_ids", "panoptic_maps") if name in fields]
    return max((int(ids.max()) for ids in present if ids.numel()), default=-1)


def _valid_widths(batch: PaddedBatchedDenseSample) -> torch.Tensor:
    """``[B]`` int64, width of each sample's valid rectangle."""
    padding = batch.tensors().get("padding_mask")
    if padding is None:
        return torch.full((batch.batch_size,), batch.canvas_size[1], device=batch.images.device)
    return (~padding).any(dim=2).flatten(1).sum(dim=1)


def _class_mix(case: MetamorphicCase) -> bool:
    return case.target.instance_masks is None


def _no_samples(case: MetamorphicCase) -> bool:
    return case.target.batch_size == 0 or case.source.batch_size == 0


def _painted(audit: BatchAuditPacket) -> bool:
    return bool(audit.paste_union.any())


def _told_nothing(audit: BatchAuditPacket) -> Finding:
    if _painted(audit):
        return violated(f"the audit's union has {int(audit.paste_union.sum())} pixels, expected 0")
    return HELD
