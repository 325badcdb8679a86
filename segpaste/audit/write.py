"""An audit as a folder: the page, its pictures, the numbers, and a manifest of all of them."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from segpaste.audit.errors import AuditError
from segpaste.audit.page import html_page
from segpaste.audit.run import AuditResult
from segpaste.bank.folder_beside import flush, folder_beside
from segpaste.version import VERSION

MANIFEST = "manifest.json"
FORMAT = "segpaste-audit/1"
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def check_place(out: Path) -> None:
    """Refuse a place where no audit can be written, before anything is run.

    Raises:
        AuditError: if ``out`` is there and neither an audit nor an empty folder, if an audit there
            has files that are not the audit's, or its parent is missing or cannot be written to.
    """
    if out.is_symlink() or out.exists():
        if not out.is_dir() or out.is_symlink():
            raise AuditError(f"{out} is no folder, expected a new one or an earlier audit")
        found = sorted(entry.name for entry in out.iterdir())
        if found:
            known = _files_of_audit(out)
            if known is None:
                raise AuditError(f"{out} exists and is no audit, expected a new folder or an earlier audit")
            others = [name for name in found if name not in known]
            if others:
                raise AuditError(
                    f"{out} is an audit with {others[0]!r}, which is not of it, "
                    "expected a new folder or an earlier audit without other files"
                )
    parent = out.absolute().parent
    if not parent.is_dir():
        raise AuditError(f"no such folder {out.parent}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise AuditError(f"cannot write to {out.parent}")


def write_audit(result: AuditResult, out: Path) -> dict[str, Any]:
    """Write an audit, in place of an earlier one.

    It is written beside ``out`` and renamed: there is a whole audit or none, whenever it is
    interrupted. The same audit gives the same bytes.

    Args:
        result: the audit.
        out: the folder.

    Returns:
        The manifest: the SHA-256 of every other file, of the data, and what was run.

    Raises:
        AuditError: as :func:`check_place`.
        OSError: if it cannot be written.
    """
    check_place(out)
    out = out.absolute()
    files = _files(result)
    manifest = _manifest(result, files)
    files[MANIFEST] = _json_bytes(manifest)
    with folder_beside(out) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
            flush(folder / name)
        folder.chmod(0o777 & ~_umask())
        flush(folder)
        _put(folder, out)
        flush(out.parent)
    return manifest


def _put(folder: Path, out: Path) -> None:
    """Rename the folder into its place; what is there, an earlier audit, goes."""
    if not out.exists() or not any(out.iterdir()):
        os.rename(folder, out)  # an empty folder may be there
        return
    if _exchanged(folder, out):
        return  # the earlier audit has the new one's former name, under which it is removed
    # Whoever is killed between these two renames finds the earlier audit in a hidden folder.
    with folder_beside(out.with_name(f"{out.name}.replaced")) as beside:
        os.rename(out, beside / "audit")
        try:
            os.rename(folder, out)
        except BaseException:
            os.rename(beside / "audit", out)
            raise


def _exchanged(one: Path, other: Path) -> bool:
    """Have two folders change names at once, where the system can: Linux, on most file systems."""
    try:
        exchange = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):
        return False
    return exchange(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


def _files(result: AuditResult) -> dict[str, bytes]:
    names = result.preset.class_names
    files = {
        "index.html": html_page(result).encode("utf-8"),
        "preset.yaml": result.preset.to_yaml().encode("utf-8"),
        "statistics.json": _json_bytes(
            [
                {
                    "name": each.name,
                    "laws": each.verdicts.counts,
                    "first_violations": each.verdicts.first,
                    "laws_the_data_break": each.verdicts.data_faults,
                    **each.statistics.to_json(names),
                }
                for each in result.sets
            ]
        ),
    }
    for each in result.sets:
        for drawn in (*each.gallery, *(picture for _, picture in each.violations)):
            files[drawn.file] = drawn.png
    return files


def _manifest(result: AuditResult, files: dict[str, bytes]) -> dict[str, Any]:
    options = result.options
    return {
        "format": FORMAT,
        "segpaste": VERSION,
        "ok": result.ok,
        "preset": {"name": result.preset.name, "sha256": _sha256(files["preset.yaml"])},
        "options": {
            "samples": options.samples,
            "seed": options.seed,
            "gallery": options.gallery,
            "size": None if options.size is None else list(options.size),
            "jitter": options.jitter,
        },
        "data": [
            {
                "name": each.name,
                "sha256": each.sha256,
                "images": each.images,
                "samples": each.samples,
                "modalities": each.modalities,
                "canvas": list(each.canvas),
                "bank": each.bank,
                "laws_held": len(each.verdicts.named("held")),
                "laws_violated": each.verdicts.named("violated"),
                "laws_not_exercised": each.verdicts.named("not_exercised"),
                "laws_not_decidable": each.verdicts.named("not_decidable"),
                "laws_not_asked": each.verdicts.named("not_asked"),
                "records_skipped": each.skipped,
            }
            for each in result.sets
        ],
        "files": {
            name: {"sha256": _sha256(content), "bytes": len(content)}
            for name, content in sorted(files.items())
        },
    }


def _files_of_audit(folder: Path) -> set[str] | None:
    """What the manifest says that it wrote, itself among it; ``None`` without a manifest."""
    try:
        found = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or not str(found.get("format", "")).startswith("segpaste-audit/"):
        return None
    files = found.get("files")
    return {MANIFEST, *map(str, files if isinstance(files, dict) else ())}


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
