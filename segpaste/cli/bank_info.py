"""``segpaste bank info`` and ``verify``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segpaste.cli.app import PASSED, VIOLATED, UsageError
from segpaste.cli.bank_classes import ClassRow, class_rows, opened, print_rows
from segpaste.cli.checks import at_least_one
from segpaste.cli.words import percent, plural, printable, size_in_words

if TYPE_CHECKING:
    from segpaste.bank.stored_bank import StoredBank

_BAR = 20


def show_info(path: Path, *, top: int | None, rare: int | None, threshold: float, as_json: bool) -> int:
    """Print what a bank holds.

    Raises:
        UsageError: in one line, if there is no whole bank or an option is out of range.
    """
    at_least_one("--top", top)
    at_least_one("--rare", rare)
    bank = opened(path)
    rows = class_rows(bank, threshold)
    values = _described(bank, path)
    if as_json:
        print(
            json.dumps({**values, "threshold": threshold, "classes": [vars(row) for row in rows]}, indent=2)
        )
        return PASSED
    for name, text in _head_lines(bank, values):
        print(f"{name:<9} {text}")
    unused = [c for c in bank.head.class_names if int(bank.class_frequencies[c]) == 0]
    if unused:
        names = ", ".join(printable(bank.head.class_names[c]) for c in unused[:5])
        more = f" and {len(unused) - 5} more" if len(unused) > 5 else ""
        print(f"{'no crops':<9} of {names}{more}")
    most = max((row.crops for row in rows), default=0)
    columns = ["class", ">id", ">crops", ">share", f">repeat at {threshold:g}", ""]

    def cells(row: ClassRow) -> list[str]:
        bar = _bar(row.crops / most)
        return [
            row.name,
            str(row.class_id),
            f"{row.crops:,}",
            percent(row.share),
            f"{row.repeat_factor:.2f}",
            bar,
        ]

    print_rows(columns, rows, cells, top, rare)
    return PASSED


def run_verify_bank(path: Path, *, as_json: bool) -> int:
    """Check every checksum of a bank.

    Returns:
        0 if all agree, 1 if there are problems; each is a line.

    Raises:
        UsageError: if there is nothing at ``path`` that could be a bank, or its engine is missing.
    """
    from segpaste.bank import verify_bank
    from segpaste.bank.errors import BankError

    if not path.exists():
        raise UsageError(f"BANK: {path}: got nothing there, expected the folder of a bank")
    print(f"segpaste: reading {path} ...", file=sys.stderr, flush=True)
    try:
        report = verify_bank(path)
    except BankError as error:
        raise UsageError(f"BANK: {error}") from None
    if as_json:
        said = asdict(report)
        print(json.dumps({**said, "path": str(report.path), "clean": report.clean}, indent=2))
    elif report.clean:
        print(
            f"{path}: {report.version}, {plural(report.crops, 'crop')}, {plural(report.files, 'file')}: clean"
        )
    else:
        for problem in report.problems:
            print(problem)
        print(f"{path}: {plural(len(report.problems), 'problem')}")
    return PASSED if report.clean else VIOLATED


def _described(bank: StoredBank, path: Path) -> dict[str, Any]:
    import numpy as np

    from segpaste.bank.layout import DEPTH, INTRINSICS, NORMALS

    head, meta, index = bank.head, bank.meta, bank.index
    bits = np.asarray(index["carries"])
    models = np.asarray(index["model"])
    datasets = np.bincount(np.asarray(index["dataset"]), minlength=len(head.datasets)).tolist()
    return {
        "path": str(path),
        "version": bank.version,
        "format": meta.format,
        "content": meta.content,
        "crops": len(bank),
        "crop_size": list(bank.crop_size),
        "num_classes": head.num_classes,
        "bytes": sum(entry.size for entry in meta.files.values()),
        "files": len(meta.files),
        "with_depth": int((bits & DEPTH != 0).sum()),
        "with_normals": int((bits & NORMALS != 0).sum()),
        "with_intrinsics": int((bits & INTRINSICS != 0).sum()),
        "metric_depth": head.metric_depth,
        "embedding_dim": head.embedding_dim,
        "datasets": dict(zip(head.datasets, datasets, strict=True)),
        "models": {name: int((models == n).sum()) for n, name in enumerate(head.models)},
        "built_from": meta.built_from,
    }


def _head_lines(bank: StoredBank, values: dict[str, Any]) -> list[tuple[str, str]]:
    h, w = values["crop_size"]
    used = int((bank.class_frequencies > 0).sum())
    carried = ["image", "mask"]
    metric = ", metric" if values["metric_depth"] else ""
    for name in ("depth", "normals", "intrinsics"):
        number = values[f"with_{name}"]
        if number:
            carried.append(f"{name} ({plural(number, 'crop')}{metric if name == 'depth' else ''})")
    if values["embedding_dim"] is not None:
        carried.append(f"embedding ({values['embedding_dim']} numbers)")
    lines = [
        ("bank", values["path"]),
        ("version", values["version"]),
        ("crops", f"{values['crops']:,} of {h} x {w} pixels"),
        ("classes", f"{used:,} with crops, ids below {values['num_classes']:,}"),
        ("carries", ", ".join(carried)),
        ("size", f"{size_in_words(values['bytes'])} in {plural(values['files'], 'file')}"),
    ]
    for what in ("datasets", "models"):
        said = [f"{printable(name)} ({plural(n, 'crop')})" for name, n in values[what].items() if name]
        lines += [(what, ", ".join(said))] if said else []
    return lines


def _bar(part: float) -> str:
    full = "█" if "utf" in (sys.stdout.encoding or "").lower() else "#"
    return full * max(1, round(part * _BAR))
