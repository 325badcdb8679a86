"""One paste through one executor, compared with the reference in every bit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from segpaste.paste import apply, apply_with_audit
from segpaste.paste.apply import ExecutorName
from segpaste.strategies.pastes import PasteCase
from segpaste.testing.parity import assert_same_bits
from segpaste.types import BatchAuditPacket, PaddedBatchedDenseSample
from tests.parity.layouts import dirty_buffers, laid_out


@dataclass(frozen=True)
class Manner:
    """How an executor is called.

    Attributes:
        target, source: memory layouts of the two views.
        out: layout of the buffers to write into; ``None`` for fresh memory.
        audit: whether the audit is asked for and compared, too.
        threads: torch's threads.
    """

    target: str = "contiguous"
    source: str = "contiguous"
    out: str | None = None
    audit: bool = True
    threads: int = 1


def expect_the_references_bits(
    case: PasteCase, executor: ExecutorName, manner: Manner, device: str = "cpu"
) -> BatchAuditPacket | None:
    """Run an executor and the reference, and compare; the inputs must not have been touched.

    The reference runs on the CPU, the executor on ``device``.

    Raises:
        ParityError: on any bit in which they differ, with a picture.
        AssertionError: on a result that lies in an input's memory.
    """
    expected, expected_audit = apply_with_audit(
        case.target, case.source, case.plan, case.config, executor="reference"
    )
    here = moved(case, device)
    target = laid_out(here.target, manner.target)
    source = target if case.intra_batch else laid_out(here.source, manner.source)
    out = None if manner.out is None else dirty_buffers(here.target, manner.out)
    threads = torch.get_num_threads()
    torch.set_num_threads(manner.threads)
    try:
        if manner.audit:
            actual, audit = apply_with_audit(
                target, source, here.plan, case.config, executor=executor, out=out
            )
        else:
            actual = apply(target, source, here.plan, case.config, executor=executor, out=out)
            audit = None
    finally:
        torch.set_num_threads(threads)
    names = ("reference", executor)
    audits = None if audit is None else (expected_audit, audit)
    assert_same_bits(expected, actual, audits=audits, case=case, names=names)
    untouched = ("given", f"{executor}'s input")
    assert_same_bits(case.target, target, case=case, names=untouched)
    assert_same_bits(case.source, source, case=case, names=untouched)
    if out is not None:
        assert actual is out
    else:
        assert_in_fresh_memory(actual, audit, (target, source))
    return audit


def assert_in_fresh_memory(
    actual: PaddedBatchedDenseSample,
    audit: BatchAuditPacket | None,
    inputs: tuple[PaddedBatchedDenseSample, PaddedBatchedDenseSample],
) -> None:
    """Fail unless every field is contiguous and lies neither in an input nor in another field."""
    used = {v.untyped_storage().data_ptr() for batch in inputs for v in batch.tensors().values() if v.numel()}
    written = dict(actual.tensors())
    assert [name for name, value in written.items() if not value.is_contiguous()] == []
    if audit is not None:
        plain = {name: getattr(audit, name) for name in BatchAuditPacket.__slots__}
        written |= {f"audit.{n}": v for n, v in plain.items() if isinstance(v, torch.Tensor)}
    for name, value in written.items():
        if value.numel():
            place = value.untyped_storage().data_ptr()
            assert place not in used, name
            used.add(place)


def moved(case: PasteCase, device: str) -> PasteCase:
    """The case on another device."""
    if device == "cpu":
        return case
    target = case.target.to(device)
    source = target if case.intra_batch else case.source.to(device)
    return replace(case, target=target, source=source, plan=case.plan.to(device))


def as_grey(case: PasteCase) -> PasteCase:
    """The case with every channel a view of the first, as a grey image is made a colour one."""

    def grey(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
        plain = batch.images.as_subclass(torch.Tensor)
        return replace(batch, images=plain[:, :1].expand_as(plain))  # pyright: ignore[reportArgumentType]

    target = grey(case.target)
    return replace(case, target=target, source=target if case.intra_batch else grey(case.source))
