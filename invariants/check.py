"""Judge a sample, a padded batch, a paste or another augmentation by the laws; the assert forms raise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from segpaste.invariants.metamorphic_case import MetamorphicCase
from segpaste.invariants.paste_case import PasteCase
from segpaste.invariants.provenance import Trace
from segpaste.invariants.registry import Law, laws
from segpaste.invariants.report import InvariantReport, InvariantViolation
from segpaste.invariants.sample_case import SampleCase
from segpaste.invariants.transform_case import TransformCase
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    DenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PanopticSchema,
    PastePlan,
)


def check_sample(
    sample: DenseSample | PaddedBatchedDenseSample,
    schema: PanopticSchema | None = None,
    *,
    before: DenseSample | PaddedBatchedDenseSample | None = None,
    source: DenseSample | PaddedBatchedDenseSample | None = None,
    box_slack: float | torch.Tensor = 0.0,
    only: str = "*",
    index: int | None = None,
) -> list[InvariantReport]:
    """Judge one sample by every sample law.

    Args:
        sample: the sample; of a padded batch, its only one. ``DenseSample.unchecked``
            holds a malformed one.
        schema: the class table, if there is one.
        before: the sample it was made from. With it, a fault that was there before and
            lies in what was not touched does not count.
        source: the sample it was pasted from. With it, neither does a fault of the
            donor's own that a faithful paste carries over.
        box_slack: by how many pixels a side of a box may miss its mask, ``[K, 4]`` or one
            number.
        only: glob of law names.
        index: index of the sample in its batch, for the reports.

    Returns:
        One report per law, ordered by name.
    """
    case = SampleCase(sample, schema, before, source, box_slack)
    modalities = sample.active_modalities()
    return [law.judge(case, modalities, index) for law in laws("sample", only)]


def check_padded(batch: PaddedBatchedDenseSample, *, only: str = "*") -> list[InvariantReport]:
    """Judge every sample of a padded batch by the padded laws.

    Returns:
        One report per law: the first violation, else the first verdict that is held,
        else the first; ``sample`` says whose it is. Without samples, not exercised.
    """
    reports: list[InvariantReport] = []
    modalities = batch.active_modalities()
    singles = [batch.select(index) for index in range(batch.batch_size)]
    for law in laws("padded", only):
        found = [law.judge(single, modalities, index) for index, single in enumerate(singles)]
        nothing = InvariantReport(law.name, "not_exercised", "no samples")
        reports.append(min(found, key=_weight, default=nothing))
    return reports


def check_paste(
    before: DenseSample | PaddedBatchedDenseSample,
    after: DenseSample | PaddedBatchedDenseSample,
    audit: BatchAuditPacket | None = None,
    *,
    source: DenseSample | PaddedBatchedDenseSample | None = None,
    schema: PanopticSchema | None = None,
    plan: PastePlan | None = None,
    config: BatchCopyPasteConfig | None = None,
    only: str = "*",
    index: int | None = None,
) -> list[InvariantReport]:
    """Judge one paste by every paste law.

    Of the audit only plan and configuration are believed. With them and the source, the
    paste is recomputed and every law is decided; without, U and the rows are inferred
    from ids, labels and changed pixels, and what that leaves open is "not decidable".

    Args:
        before: the target; B = 1 if padded.
        after: what came out; B = 1 if padded.
        audit: what the augmentation says of it, B = 1, if it says anything.
        source: the very sample pasted from (the plan's ``source_idx`` is not used); row n
            of a ``DenseSample`` is slot n of the plan.
        schema: the class table; by default that of the configuration.
        plan: the plan that the paste was given, B = 1; by default the audit's is believed.
        config: the configuration that it was given; by default the audit's is believed.
        only: glob of law names.
        index: index of the sample in its batch, for the reports.

    Returns:
        One report per law, ordered by name.
    """
    case = PasteCase(before, after, audit, source, schema, plan, config)
    modalities = before.active_modalities() & after.active_modalities()
    chosen = laws("paste", only)
    if before.canvas_size != after.canvas_size:
        return [_without_a_frame(law, before.canvas_size, after.canvas_size, index) for law in chosen]
    return [law.judge(case, modalities, index) for law in chosen]


def check_metamorphic(case: MetamorphicCase, *, only: str = "*") -> list[InvariantReport]:
    """Run an augmentation several times and judge it by every metamorphic law.

    An executor that raises has violated the law it was run for.

    Returns:
        One report per law, ordered by name.
    """
    modalities = case.target.active_modalities()
    return [law.judge(case, modalities) for law in laws("metamorphic", only)]


def check_transform(
    kind: Literal["geometric", "photometric"],
    before: DenseSample | PaddedBatchedDenseSample,
    after: DenseSample | PaddedBatchedDenseSample,
    *,
    donor: DenseSample | PaddedBatchedDenseSample | None = None,
    trace: Trace | str,
    schema: PanopticSchema | None = None,
    only: str = "*",
    index: int | None = None,
) -> list[InvariantReport]:
    """Judge an augmentation that moves pixels, or one that changes colours, by its kind's laws.

    Args:
        kind: ``"geometric"`` or ``"photometric"``.
        before: the sample; B = 1 if padded.
        after: what came out; B = 1 if padded; its canvas may be another.
        donor: the second input, if there was one (a mosaic, say).
        trace: where the output's pixels came from, by
            :func:`segpaste.invariants.read_trace`; or the reason why that is not known:
            then laws that need it are not decidable. The photometric laws need none.
        schema: the class table.
        only: glob of law names.
        index: index of the sample in its batch, for the reports.

    Returns:
        One report per law, ordered by name.

    Raises:
        ValueError: if ``kind`` is another.
    """
    if kind not in ("geometric", "photometric"):
        raise ValueError(f"kind: got {kind!r}, expected 'geometric' or 'photometric'")
    case = TransformCase(before, after, donor, trace, schema)
    modalities = before.active_modalities() & after.active_modalities()
    return [law.judge(case, modalities, index) for law in laws(kind, only)]


def check_moved_sample(
    before: DenseSample | PaddedBatchedDenseSample,
    after: DenseSample | PaddedBatchedDenseSample,
    *,
    donor: DenseSample | PaddedBatchedDenseSample | None = None,
    trace: Trace | str,
    schema: PanopticSchema | None = None,
    only: str = "*",
) -> list[InvariantReport]:
    """Judge the output of an augmentation that moves pixels by every sample law.

    What moves leaves nothing where it was, so that no single fault can be excused by one of
    the input's; but a law that an input breaks itself (overlapping masks of one class in
    COCO) decides nothing. Where the image was interpolated, masks were sampled and boxes
    computed: a side of a box may be a pixel beside its mask, and as far from it as parts of
    the object reached that were too thin to be sampled.

    Args:
        before: the target.
        after: what came out.
        donor: the second input, if there was one.
        trace: where every pixel of ``after`` came from, or why that is not known.
        schema: the class table, if there is one.
        only: glob of law names.

    Returns:
        One report per law, ordered by name.
    """
    slack = 0.0
    if not isinstance(trace, str) and not trace.exact and Modality.INSTANCE in after.active_modalities():
        slack = TransformCase(before, after, donor, trace, schema).sampled_box_slack()
    inputs = [before] if donor is None else [before, donor]
    return [
        InvariantReport(report.name, "not_decidable", "the input breaks this law, too")
        if report.status == "violated"
        and any(not was.ok for one in inputs for was in check_sample(one, schema, only=report.name))
        else report
        for report in check_sample(after, schema, box_slack=slack, only=only)
    ]


def check_provenance(
    before: DenseSample | PaddedBatchedDenseSample,
    after: DenseSample | PaddedBatchedDenseSample,
    *,
    donor: DenseSample | PaddedBatchedDenseSample,
    trace: Trace | str,
    schema: PanopticSchema | None = None,
    only: str = "*",
    index: int | None = None,
) -> list[InvariantReport]:
    """Judge a paste by a black box by where its pixels came from.

    Args:
        before: the target; B = 1 if padded. It may be moved besides.
        after: what came out; B = 1 if padded.
        donor: what was pasted from.
        trace: as for :func:`check_transform`.
        schema: the class table.
        only: glob of law names.
        index: index of the sample in its batch, for the reports.

    Returns:
        One report per law, ordered by name.
    """
    case = TransformCase(before, after, donor, trace, schema)
    modalities = before.active_modalities() & after.active_modalities()
    return [law.judge(case, modalities, index) for law in laws("provenance", only)]


def assert_sample(
    sample: DenseSample | PaddedBatchedDenseSample,
    schema: PanopticSchema | None = None,
    *,
    before: DenseSample | PaddedBatchedDenseSample | None = None,
    source: DenseSample | PaddedBatchedDenseSample | None = None,
    only: str = "*",
) -> None:
    """:func:`check_sample` that raises.

    Raises:
        InvariantViolation: if a law is violated; it carries the reports.
    """
    raise_violations(check_sample(sample, schema, before=before, source=source, only=only))


def assert_paste(
    before: DenseSample | PaddedBatchedDenseSample,
    after: DenseSample | PaddedBatchedDenseSample,
    audit: BatchAuditPacket | None = None,
    *,
    source: DenseSample | PaddedBatchedDenseSample | None = None,
    schema: PanopticSchema | None = None,
    only: str = "*",
) -> None:
    """:func:`check_paste` that raises.

    Raises:
        InvariantViolation: if a law is violated; it carries the reports.
    """
    raise_violations(check_paste(before, after, audit, source=source, schema=schema, only=only))


def assert_metamorphic(case: MetamorphicCase, *, only: str = "*") -> None:
    """:func:`check_metamorphic` that raises.

    Raises:
        InvariantViolation: if a law is violated; it carries the reports.
    """
    raise_violations(check_metamorphic(case, only=only))


def raise_violations(reports: Sequence[InvariantReport]) -> None:
    """Raise what the reports say is violated, all at once.

    Raises:
        InvariantViolation: if any report is not ok.
    """
    wrong = [report for report in reports if not report.ok]
    if wrong:
        raise InvariantViolation(wrong)


def _without_a_frame(
    law: Law, was: tuple[int, int], now: tuple[int, int], index: int | None
) -> InvariantReport:
    if law.name == "paste.frame_kept":
        return InvariantReport(law.name, "violated", f"canvas {now}, expected {was}", 1, sample=index)
    return InvariantReport(law.name, "not_decidable", f"canvas {now}, was {was}", sample=index)


def _weight(report: InvariantReport) -> int:
    order = ("violated", "held", "not_decidable", "not_exercised", "not_applicable")
    return order.index(report.status)
