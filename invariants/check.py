"""Judge a sample, a padded batch or a paste by the laws; the assert forms raise."""

from __future__ import annotations

from collections.abc import Sequence

import segpaste.invariants.padded_laws
import segpaste.invariants.sample_laws  # noqa: F401  laws enter the registry on import
from segpaste.invariants.registry import laws
from segpaste.invariants.report import InvariantReport, InvariantViolation
from segpaste.invariants.sample_case import SampleCase
from segpaste.types import DenseSample, PaddedBatchedDenseSample, PanopticSchema


def check_sample(
    sample: DenseSample | PaddedBatchedDenseSample,
    schema: PanopticSchema | None = None,
    *,
    before: DenseSample | PaddedBatchedDenseSample | None = None,
    source: DenseSample | PaddedBatchedDenseSample | None = None,
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
        only: glob of law names.
        index: index of the sample in its batch, for the reports.

    Returns:
        One report per law, in the order of the catalogue.
    """
    case = SampleCase(sample, schema, before, source)
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


def raise_violations(reports: Sequence[InvariantReport]) -> None:
    """Raise what the reports say is violated, all at once.

    Raises:
        InvariantViolation: if any report is not ok.
    """
    wrong = [report for report in reports if not report.ok]
    if wrong:
        raise InvariantViolation(wrong)


def _weight(report: InvariantReport) -> int:
    order = ("violated", "held", "not_decidable", "not_exercised", "not_applicable")
    return order.index(report.status)
