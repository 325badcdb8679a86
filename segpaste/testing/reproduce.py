"""Source code that reproduces a violation, and the digest that names it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from segpaste.testing.examples import Example
from segpaste.testing.judge import COMPLETES, RUNNER_LAWS, law_kind
from segpaste.testing.literals import UNPACKED, config_code, plan_code, sample_code, schema_code
from segpaste.testing.targets import Augmentation, Executor, Target, pair_of
from segpaste.types import PanopticSchema

_TYPES = (
    "BatchCopyPasteConfig",
    "BatchedDenseSample",
    "CameraIntrinsics",
    "DenseSample",
    "Modality",
    "PaddedBatchedDenseSample",
    "PanopticSchemaSpec",
    "PastePlan",
)

_JUDGED = frozenset(RUNNER_LAWS) - {COMPLETES}
"""Laws that only the runner can judge."""


def reproduction(
    target: Target,
    example: Example,
    law: str,
    *,
    sample: int = 0,
    schema: PanopticSchema | None = None,
    loaders: Mapping[str, str] | None = None,
    device: str = "cpu",
) -> str:
    """A program that builds ``example`` again, runs ``target`` on it and asks ``law``.

    It ends with a list ``reports``; at least one of them is violated. Where the target
    has no name to import it by, the program needs it under the name ``aug``; likewise
    ``data`` (a list of data sets) for real examples without a loader.

    Args:
        target: what was verified.
        example: the input.
        law: name of the law.
        sample: the offending sample of the batch.
        schema: a class table that overrides the example's.
        loaders: data set name -> Python expression that loads it.
        device: where the target ran.
    """
    if isinstance(target, Executor):
        body = _executor_body(target, example, law, sample, schema, loaders or {}, device)
    elif target.kind != "paste" or target.is_adapted or law in _JUDGED or law_kind(law) == "provenance":
        body = _judged_body(target, example, law, schema, loaders or {}, device)
    else:
        body = _augmentation_body(target, example, law, schema, loaders or {}, device)
    imports = _imports(body)
    return imports + body if body.startswith("from ") else f"{imports}\n{body}"


def replay_id(target: str, code: str) -> str:
    """Eight hexadecimal digits.

    Args:
        target: name of what was verified; the code does not name one that cannot be imported.
        code: the program of :func:`reproduction`.
    """
    return hashlib.sha256(f"{target}\n{code}".encode()).hexdigest()[:8]


def _executor_body(
    target: Executor,
    example: Example,
    law: str,
    sample: int,
    schema: PanopticSchema | None,
    loaders: Mapping[str, str],
    device: str,
) -> str:
    lines = [target.imported_by, ""]
    if example.pair is not None:
        lines += _real_input(example, loaders, batched=True)
    else:
        lines += [
            f"target = {sample_code(example.target)}",
            f"source = {sample_code(example.source)}",
            f"plan = {plan_code(example.plan)}",
            f"config = {config_code(example.config)}",
        ]
    lines += [f"schema = {schema_code(schema)}" if schema is not None else "schema = config.schema_spec", ""]
    lines += _moved(("target", "source", "plan"), device)
    kind = law_kind(law)
    call = "after, audit = apply(target, source, plan, config)"
    if law == COMPLETES:
        return _end_completes(lines, call)
    if kind == "metamorphic":
        lines.append(
            "case = MetamorphicCase(target=target, source=source, plan=plan, config=config, "
            f"apply=apply, augment=None, seed={example.seed})"
        )
        lines.append(f'reports = check_metamorphic(case, only="{law}")')
    elif kind == "padded":
        lines += [call, f'reports = check_padded(after, only="{law}")']
    elif kind == "sample":
        lines += [
            call,
            f"b, s = {sample}, int(plan.source_idx[{sample}])",
            "before, donor, result = (",
            "    BatchedDenseSample.from_padded(batch.select(n)).to_samples()[0]",
            "    for batch, n in ((target, b), (source, s), (after, b))",
            ")",
            f'reports = check_sample(result, schema, before=before, source=donor, only="{law}")',
        ]
    else:
        lines += [
            call,
            f"b, s = {sample}, int(plan.source_idx[{sample}])",
            "reports = check_paste(",
            "    target.select(b), after.select(b), audit.select(b), source=source.select(s), "
            f'schema=schema, plan=plan.select(b), config=config, only="{law}"',
            ")",
        ]
    return _end(lines)


def _augmentation_body(
    target: Augmentation,
    example: Example,
    law: str,
    schema: PanopticSchema | None,
    loaders: Mapping[str, str],
    device: str,
) -> str:
    one = example.alone(0)
    lines = [target.imported_by or "# `aug` is the callable that was given to check_augmentation", ""]
    if example.pair is not None:
        lines += _real_input(example, loaders, batched=False)
    else:
        before, donor = pair_of(one)
        lines += [f"target = {sample_code(before)}", f"donor = {sample_code(donor)}"]
        lines.append(f"config = {config_code(example.config)}")
    lines += [f"schema = {schema_code(schema)}" if schema is not None else "schema = config.schema_spec", ""]
    lines += _moved(("target", "donor"), device)
    options = ", config=config" if target.takes_config else ""
    call = f"result = aug(target, donor, {example.seed}{options})"
    if law == COMPLETES:
        return _end_completes(lines, call)
    unpack = "after, audit = result if isinstance(result, tuple) else (result, None)"
    kind = law_kind(law)
    if kind == "metamorphic":
        lines += [
            "def augment(target, donor, seed):",
            f"    result = aug(target, donor, seed{options})",
            "    return result[0] if isinstance(result, tuple) else result",
            "",
            "",
            "target, source = (BatchedDenseSample.from_samples([s]).to_padded(max(1, len(s))) "
            "for s in (target, donor))",
            "case = MetamorphicCase(target=target, source=source, plan=None, config=config, "
            f"apply=None, augment=augment, seed={example.seed})",
            f'reports = check_metamorphic(case, only="{law}")',
        ]
    elif kind == "sample":
        lines += [
            call,
            unpack,
            f'reports = check_sample(after, schema, before=target, source=donor, only="{law}")',
        ]
    else:
        lines += [
            call,
            unpack,
            f'reports = check_paste(target, after, audit, source=donor, schema=schema, only="{law}")',
        ]
    return _end(lines)


def _judged_body(
    target: Augmentation,
    example: Example,
    law: str,
    schema: PanopticSchema | None,
    loaders: Mapping[str, str],
    device: str,
) -> str:
    """For what takes more than one call: an adapter's conversions, a provenance image."""
    lines = [f'target = resolve_target({target.spec!r}, kind="{target.kind}")']
    if target.spec is None:
        lines = [
            "# `aug` is what was given to check_augmentation",
            f'target = resolve_target(aug, kind="{target.kind}")',
        ]
    if example.pair is not None:
        lines += [
            line.replace("target = ", "sample = ", 1) for line in _real_input(example, loaders, batched=False)
        ]
    else:
        before, donor = pair_of(example.alone(0))
        lines.append(f"sample = {sample_code(before)}")
        if target.takes_donor:
            lines.append(f"donor = {sample_code(donor)}")
        lines.append(f"config = {config_code(example.config)}")
    lines.append(f"schema = {schema_code(schema)}" if schema is not None else "schema = config.schema_spec")
    second = "donor" if target.takes_donor else "sample"
    lines.append(f'example = example_of_pair(sample, {second}, {example.seed}, config).to("{device}")')
    lines.append(f'reports = judge(target, example, only="{law}", schema=schema).reports.values()')
    return _end(lines)


def _moved(names: tuple[str, ...], device: str) -> list[str]:
    if device == "cpu":
        return []
    return [f'{", ".join(names)} = (value.to("{device}") for value in ({", ".join(names)}))']


def _real_input(example: Example, loaders: Mapping[str, str], *, batched: bool) -> list[str]:
    pair = example.pair
    if pair is None:
        raise ValueError("example.pair: got None, expected real samples")
    loader = loaders.get(pair.data_set)
    known = [f"samples = {loader}.samples"]
    unknown = [
        "# `data` is the list of data sets that was given to check_augmentation",
        f"samples = next(d for d in data if d.name == {pair.data_set!r}).samples",
    ]
    lines = [*(known if loader else unknown), f"config = {config_code(example.config)}"]
    names = f"  # {pair.target_name}", f"  # {pair.donor_name}"
    if not batched:
        return [
            *lines,
            f"target = samples[{pair.target}]{names[0]}",
            f"donor = samples[{pair.donor}]{names[1]}",
        ]
    return [
        *lines,
        f"target = BatchedDenseSample.from_samples([samples[{pair.target}]])"
        f".to_padded({pair.target_slots}){names[0]}",
        f"source = BatchedDenseSample.from_samples([samples[{pair.donor}]])"
        f".to_padded({pair.donor_slots}){names[1]}",
        "first = torch.zeros(1, dtype=torch.int64)",
        f"plan = draw_plan(target, source, torch.tensor([{example.seed}]), config, source_idx=first)",
    ]


def _end(lines: list[str]) -> str:
    return "\n".join(
        [
            *lines,
            "for report in reports:",
            "    print(report.status, report)",
            "",
        ]
    )


def _end_completes(lines: list[str], call: str) -> str:
    return "\n".join(
        [
            *lines,
            "try:",
            f"    {call}",
            '    status, message = "held", ""',
            "    returned = " + call.partition(" = ")[0].replace("after, audit", "after"),
            "    first = returned[0] if isinstance(returned, tuple) else returned",
            "    if not isinstance(first, DenseSample | PaddedBatchedDenseSample):",
            '        status, message = "violated", f"returned a {type(first).__name__}"',
            "except (Exception, SystemExit) as error:",
            '    status, message = "violated", f"raised {type(error).__name__}: {error}"',
            f'reports = [InvariantReport("{COMPLETES}", status, message)]',
            "for report in reports:",
            "    print(report.status, report)",
            "",
        ]
    )


def _imports(body: str) -> str:
    lines: list[str] = []
    if "unpacked(" in body:
        lines += ["import base64", "import zlib"]
    if "math." in body:
        lines.append("import math")
    lines = [*sorted(lines), "", "import torch", ""] if lines else ["import torch", ""]
    wanted = [n for n in ("InvariantReport", "MetamorphicCase") if f"{n}(" in body]
    wanted += [
        n for n in ("check_metamorphic", "check_padded", "check_paste", "check_sample") if f"{n}(" in body
    ]
    if wanted:
        lines.append(f"from segpaste.invariants import {', '.join(sorted(wanted))}")
    for name in ("load_data", "demo_photographs"):
        if f"{name}(" in body:
            lines.append(f"from segpaste.integrations import {name}")
    if "draw_plan(" in body:
        lines.append("from segpaste.paste import draw_plan")
    for name, home in (
        ("example_of_pair", "examples"),
        ("judge", "judge"),
        ("resolve_target", "targets"),
    ):
        if f"{name}(" in body:
            lines.append(f"from segpaste.testing.{home} import {name}")
    types = [n for n in _TYPES if re.search(rf"\b{n}\b", body)]
    if types:
        lines.append(f"from segpaste.types import {', '.join(types)}")
    text = "\n".join(lines) + "\n"
    if "unpacked(" in body:
        text += "\n\n" + UNPACKED + "\n"
    return text
