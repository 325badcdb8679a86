"""What the laws say of other people's libraries: docs/field-report.md.

    python scripts/field_report.py                  # the libraries that can be imported here, and the page
    python scripts/field_report.py --only kornia    # one distribution
    python scripts/field_report.py --page           # the page again, from docs/field-report.json
    python scripts/field_report.py --check          # fail where the page is out of date or incomplete

Nothing is installed. A run replaces the parts (a library in one version) that can be imported here
and keeps the others, so that libraries which exclude each other are run in environments of their own,
one after the other. ``segpaste`` is a part too: augmentations that are right, and should stay without
a broken law.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.field.page import problems, rendered
from scripts.field.run import here, keep_only, run_part


def main(arguments: list[str] | None = None) -> int:
    """Run, write or check; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAME", help="run this distribution only")
    parser.add_argument("--examples", type=int, default=200, help="drawn examples a case (200)")
    parser.add_argument("--seed", type=int, default=0, help="decides every example (0)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of the report (docs)")
    parser.add_argument("--page", action="store_true", help="run nothing; write the page")
    parser.add_argument("--check", action="store_true", help="run and write nothing; fail if out of date")
    options = parser.parse_args(arguments)
    figures, page = options.out / "field-report.json", options.out / "field-report.md"
    parts = json.loads(figures.read_text("utf-8")) if figures.exists() else {}
    if not options.page and not options.check:
        packages = list(dict.fromkeys(case.package for case in here(options.only)))
        if not packages:
            print(f"--only: got {options.only!r}, which is not installed or has no case", file=sys.stderr)
            return 2
        for package in packages:
            part = run_part(
                package, options.out / "field-report", examples=options.examples, seed=options.seed, say=print
            )
            parts[f"{package} {part['version']}"] = part
            figures.write_text(json.dumps(dict(sorted(parts.items())), indent=1) + "\n", "utf-8")
        keep_only(options.out / "field-report", parts)
    text = rendered(parts)
    if options.check:
        stale = page.read_text("utf-8") != text if page.exists() else True
        wrong = [*problems(parts), *([f"{page.name} is out of date: run with --page"] if stale else [])]
        print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
        return 1 if wrong else 0
    page.write_text(text, "utf-8")
    for problem in problems(parts):
        print(problem)
    return 0


if __name__ == "__main__":
    sys.exit(main())
