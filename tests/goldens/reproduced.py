"""One analytical golden through one executor: every bit of every field, and U."""

from __future__ import annotations

from dataclasses import fields, replace

import torch

from segpaste.goldens.analytical import AnalyticalCase, read_case
from segpaste.paste import apply, apply_with_audit
from segpaste.paste.apply import ExecutorName
from segpaste.strategies import PasteCase
from segpaste.testing.parity import assert_same_bits, differences
from tests.parity.agreement import moved


def reproduces(case: AnalyticalCase, executor: ExecutorName, device: str = "cpu") -> None:
    """Run an executor, with and without the audit, and compare with the answer worked out by hand.

    Raises:
        ParityError: on any bit in which the batch is another, with a picture.
        AssertionError: on another U, or on inputs that were written to.
    """
    names = (case.name, executor)
    paste = paste_of(case)
    here = moved(paste, device)
    given = (here.target, here.source, here.plan, here.config)
    pasted, audit = apply_with_audit(*given, executor=executor)
    assert_same_bits(case.expected, pasted, case=paste, names=names)
    same_union(case, audit.paste_union)
    assert_same_bits(case.expected, apply(*given, executor=executor), case=paste, names=names)
    untouched = read_case(case.name).inputs
    assert_same_bits(untouched.target, here.target, names=(f"{case.name} target", f"after {executor}"))
    assert_same_bits(untouched.source, here.source, names=(f"{case.name} source", f"after {executor}"))


def same_union(case: AnalyticalCase, union: torch.Tensor) -> None:
    """Fail with both pictures of U in characters if it is another."""
    expected, got = drawn(case.union), drawn(union.cpu())
    assert got == expected, f"{case.name}: U is\n{got}\nexpected\n{expected}\n{case.why}"


def drawn(union: torch.Tensor) -> str:
    """``[B, H, W]`` bool as lines of ``#`` and ``.``, a blank line between samples."""
    samples = [["".join("#" if x else "." for x in line) for line in one] for one in union.tolist()]
    return "\n\n".join("\n".join(one) for one in samples)


def paste_of(case: AnalyticalCase) -> PasteCase:
    """The inputs as the parity suite draws and prints them."""
    inputs = case.inputs
    return PasteCase(inputs.target, inputs.source, inputs.plan, inputs.config)


def differs(case: AnalyticalCase, executor: ExecutorName = "reference") -> bool:
    """Whether the inputs of ``otherwise`` give another output than the golden's."""
    other = case.otherwise
    if other is None:
        return False
    pasted, audit = apply_with_audit(other.target, other.source, other.plan, other.config, executor=executor)
    # What stands in the target and in the camera may differ by itself and is no answer.
    changed = {
        name: getattr(case.expected, name)
        for name in (field.name for field in fields(pasted))
        if name in ("camera_intrinsics", "padding_mask")
    }
    return bool(differences(case.expected, replace(pasted, **changed))) or not torch.equal(
        case.union, audit.paste_union
    )
