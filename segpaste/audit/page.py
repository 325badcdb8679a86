"""The audit as one self-contained HTML file."""

from __future__ import annotations

from segpaste.audit.judging import KINDS, MOST_DRAWN, ONE_OF, WHY_NOT_ASKED, overall
from segpaste.audit.plots import plots
from segpaste.audit.run import AuditResult, SetResult
from segpaste.invariants import laws
from segpaste.types import modality_set_name
from segpaste.version import VERSION

_STATUSES = ("violated", "held", "not_decidable", "not_exercised", "not_applicable", "not_asked")


def html_page(result: AuditResult) -> str:
    """The page; it refers to nothing outside itself."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("segpaste.audit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("audit.html.j2").render(
        preset=result.preset,
        ok=result.ok,
        facts=_facts(result),
        notes=result.notes,
        sets=[_set(each, result) for each in result.sets],
    )


def _facts(result: AuditResult) -> list[str]:
    preset, options = result.preset, result.options
    config = preset.batch_copy_paste
    jitter = preset.large_scale_jitter
    facts = [f"segpaste {VERSION}, seed {options.seed}, {modality_set_name(preset.target_modalities)}"]
    if jitter is None or not options.jitter:
        facts.append("no jittering")
    else:
        height, width = jitter.output_size
        facts.append(
            f"large-scale jittering: {jitter.min_scale:g} to {jitter.max_scale:g} times what fits "
            f"{height} x {width}, the preset's canvas"
        )
    low, high = config.placement.scale_range
    k_low, k_high = config.placement.k_range
    facts.append(
        f"paste: {k_low} to {k_high} objects of {'a bank' if config.source == 'bank' else 'another sample'}, "
        f"scale {low:g} to {high:g}, mirrored with probability {config.placement.hflip_probability:g}; "
        f"least area {config.min_pasted_area} px pasted, {config.min_area} px kept, "
        f"least part kept {config.min_residual_area_frac:g}"
    )
    facts.append(f"sanitizing: masks of fewer than {preset.min_mask_area} px are dropped")
    return facts


def _set(found: SetResult, result: AuditResult) -> dict[str, object]:
    names = result.preset.class_names
    statements = {law.name: law.statement for kind in KINDS for law in laws(kind)}
    counts = found.verdicts.counts
    held, violated = found.verdicts.named("held"), found.verdicts.named("violated")
    rows = [
        {"name": name, "status": overall(counts[name]), "statement": statements[name]}
        | {"first": found.verdicts.first.get(name, "")}
        | {status: counts[name].get(status, 0) for status in _STATUSES}
        for name in counts
    ]
    rows.sort(key=lambda row: _STATUSES.index(str(row["status"])))
    height, width = found.canvas
    statistics = found.statistics
    return {
        "found": found,
        "ok": found.verdicts.ok,
        "verdict": f"{len(violated)} laws violated, {len(held)} held"
        if violated
        else f"all {len(held)} laws held",
        "exercised": found.verdicts.named("not_exercised"),
        "undecided": found.verdicts.named("not_decidable"),
        "unasked": _unasked(found),
        "part": ONE_OF,
        "nothing_pasted": found.nothing_pasted,
        "drawn": f"The first {MOST_DRAWN} of {len(violated)} violated laws are drawn; the others are under "
        "“Every law” with their first message."
        if len(violated) > MOST_DRAWN
        else "",
        "facts": (
            f"{found.samples} samples of {found.images} images, {height} x {width}, {found.modalities}; "
            f"content sha256 {found.sha256[:16]}" + (f"; bank {found.bank}" if found.bank else "")
        ),
        "faults": sorted(found.verdicts.data_faults.items()),
        "plots": plots(statistics, names),
        "summary": _summary(found),
        "classes": [
            {"id": label, "name": names.get(label, ""), **vars(numbers)}
            for label, numbers in sorted(statistics.classes.items())
        ],
        "gallery": [
            {"title": one.title, "uri": one.uri, "width": one.width, "file": one.file}
            for one in found.gallery
        ],
        "violations": [
            {
                "report": violation.report,
                "stage": violation.stage,
                "statement": statements[violation.report.name],
                "count": counts[violation.report.name]["violated"],
                "title": one.title,
                "uri": one.uri,
                "width": one.width,
            }
            for violation, one in found.violations
        ],
        "laws": rows,
    }


def _unasked(found: SetResult) -> list[dict[str, object]]:
    """The laws that were asked on no sample, by kind, with the reason."""
    names = found.verdicts.named("not_asked")
    kinds = {law.name: law.kind for kind in KINDS for law in laws(kind)}
    return [
        {"names": of_kind, "why": WHY_NOT_ASKED.get(kind, "")}
        for kind in KINDS
        if (of_kind := [name for name in names if kinds[name] == kind])
    ]


def _summary(found: SetResult) -> list[str]:
    statistics = found.statistics
    number = max(1, statistics.samples)
    lines: list[str] = []
    if statistics.objects:
        lines.append(
            f"{sum(statistics.pastes) / number:.2f} objects pasted per image; "
            f"{sum(n == 0 for n in statistics.pastes)} of {statistics.samples} images without any"
        )
    if statistics.areas:
        ranked = sorted(statistics.areas)
        lines.append(
            f"a pasted object shows {ranked[len(ranked) // 2]:,} px in the median, "
            f"{ranked[0]:,} to {ranked[-1]:,} px"
        )
    lines.append(f"{sum(statistics.shares) / number:.1%} of an image shows a donor, on average")
    if statistics.empty:
        lines.append(f"{statistics.empty:,} objects were cut off or shrunk away by the jittering")
    for what, pixels in (
        ("stuff below its threshold became void", statistics.stuff_void),
        ("stuff was taken back from pastes", statistics.stuff_reverted),
        ("became void with an object that was dropped", statistics.rows_void),
    ):
        if pixels:
            lines.append(f"{pixels:,} px: {what}")
    return lines
