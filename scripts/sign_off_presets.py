"""Run the audits that sign the presets off once more, and write down what they say.

Which audits those are stands in ``segpaste/presets/sign_offs.py``, which this rewrites: data,
samples and seed stay, all else is as the run prints it. To be run after a preset, a law or what an
audit judges has changed::

    SEGPASTE_DATA=... python scripts/sign_off_presets.py [PRESET ...]

``SEGPASTE_DATA`` is the folder of the data sets that are named there. Presets that are not named on
the command line keep their sign-offs. If a law is violated, nothing is written, and the exit code
is 1.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from segpaste.audit import AuditOptions, drawn_set, fitted, run_audit
from segpaste.integrations import DataSet, load_data
from segpaste.presets import PresetConfig, SignOff, get_preset
from segpaste.presets import sign_offs as written
from segpaste.version import VERSION

DRAWN = "drawn scenes"
RELABELLED = ", relabelled"


def main(names: list[str]) -> int:
    """Sign off the presets of these names, or all."""
    unknown = sorted(set(names) - set(written.SIGN_OFFS))
    if unknown:
        print(f"PRESET: got {unknown[0]!r}, expected one of {sorted(written.SIGN_OFFS)}", file=sys.stderr)
        return 2
    found: dict[str, tuple[SignOff, ...]] = {}
    right = True
    for name, runs in written.SIGN_OFFS.items():
        if names and name not in names:
            found[name] = runs
            continue
        preset = get_preset(name)
        new = [_signed(preset, run) for run in runs]
        right = right and all(new)
        found[name] = tuple(run for run in new if run is not None)
    if not right:
        print("some laws are violated: nothing is written", file=sys.stderr)
        return 1
    Path(written.__file__).write_text(_module(found), encoding="utf-8")
    print(f"wrote {written.__file__}")
    return 0


def _signed(preset: PresetConfig, run: SignOff) -> SignOff | None:
    """The run as it goes now; ``None`` if a law is violated."""
    options = AuditOptions(samples=run.samples, seed=run.seed, gallery=0)
    (result,) = run_audit(preset, [_data(preset, run)], options).sets
    held, violated = result.verdicts.named("held"), result.verdicts.named("violated")
    print(f"{preset.name}: {run.data}: {len(held)} laws held, violated: {', '.join(violated) or 'none'}")
    if violated:
        return None
    return SignOff(
        config_sha256=preset.config_sha256,
        data=run.data,
        version=VERSION,
        samples=result.samples,
        seed=run.seed,
        canvas=result.canvas,
        laws_held=len(held),
        not_exercised=tuple(result.verdicts.named("not_exercised")),
    )


def _data(preset: PresetConfig, run: SignOff) -> DataSet:
    if run.data == DRAWN:
        return drawn_set(preset, run.samples, run.seed)
    root = os.environ.get("SEGPASTE_DATA")
    if root is None:
        raise SystemExit(f"SEGPASTE_DATA: not set, expected the folder with {run.data}")
    name = run.data.removesuffix(RELABELLED)
    folder = name.partition("/")[0]
    sets = [replace(each, name=f"{folder}/{each.name}") for each in load_data(Path(root, folder))]
    chosen, _ = fitted(preset, sets, relabel=run.data != name)
    return next(each for each in chosen if each.name == name)


def _module(found: dict[str, tuple[SignOff, ...]]) -> str:
    lines = [
        '"""The runs of ``segpaste audit`` that the presets have passed; '
        'scripts/sign_off_presets.py wrote it."""',
        "",
        "from __future__ import annotations",
        "",
        "from segpaste.presets.config import SignOff",
        "",
        "SIGN_OFFS: dict[str, tuple[SignOff, ...]] = {",
    ]
    for name, runs in found.items():
        lines.append(f'    "{name}": (')
        for run in runs:
            lines.append("        SignOff(")
            for field in SignOff.model_fields:
                if field != "not_exercised":
                    value = getattr(run, field)
                    shown = f'"{value}"' if isinstance(value, str) else repr(value)
                    lines.append(f"            {field}={shown},")
            laws = [f'                "{law}",' for law in run.not_exercised]
            lines += ["            not_exercised=(", *laws, "            ),"] if laws else []
            lines.append("        ),")
        lines.append("    ),")
    return "\n".join([*lines, "}", '"""Name of the preset -> its runs."""', ""])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
