"""Write docs/laws.md from the registry, or with --check fail where it is out of date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from segpaste.invariants import Law, laws
from segpaste.types import Modality

PAGE = Path(__file__).resolve().parent.parent / "docs" / "laws.md"
SECTIONS = {
    "sample": ("Sample laws", "One output alone: `check_sample(sample)`."),
    "padded": ("Padded-batch laws", "A batch with row slots: `check_padded(batch)`."),
    "paste": (
        "Paste laws",
        "Before, after, and what the paste says of itself: `check_paste(before, after)`.",
    ),
    "metamorphic": ("Metamorphic laws", "Several runs of one paste: `check_metamorphic(case)`."),
    "geometric": (
        "Geometric laws",
        "An augmentation that moves pixels, and a trace of where each came from: "
        '`check_transform("geometric", before, after, trace=trace)`.',
    ),
    "photometric": (
        "Photometric laws",
        'An augmentation that changes colours only: `check_transform("photometric", before, after, '
        "trace=trace)`.",
    ),
    "provenance": (
        "Provenance laws",
        "A paste by a black box, and a trace of where each of its pixels came from: "
        "`check_provenance(before, after, donor=donor, trace=trace)`.",
    ),
}
INTRODUCTION = """# The laws

<!-- Written by scripts/generate_laws_page.py; `make docs` fails where it is out of date. -->

{count} laws. Each is one predicate without tolerance, listed as `segpaste laws` lists it. A law that
needs a modality the data lack is *not applicable*; one whose premise never held in a run is *not
exercised*; one that cannot be judged without knowing what was pasted is *not decidable*. None of
these counts as passed.
"""


def main(arguments: list[str] | None = None) -> int:
    """Write or check the page; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    options = parser.parse_args(arguments)
    page = render()
    if not options.check:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    print(f"{PAGE.name} is out of date: run python scripts/generate_laws_page.py", file=sys.stderr)
    return 1


def render() -> str:
    """The page, as Markdown."""
    parts = [INTRODUCTION.format(count=len(laws()))]
    for kind, (title, explanation) in SECTIONS.items():
        parts.append(f"## {title}\n\n{explanation}\n")
        parts += [describe(law) for law in laws() if law.kind == kind]
    return "\n".join(parts)


def describe(law: Law) -> str:
    """One law: its statement, what it needs, how it is broken in the wild."""
    needs = [m.value for m in Modality if m in law.needs and m is not Modality.IMAGE]
    lines = [f"### {law.name}\n", f"{law.statement}\n"]
    if needs:
        lines.append(f"Needs: {', '.join(needs)}.\n")
    if law.in_the_wild:
        lines.append(f"In the wild: {law.in_the_wild}\n")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
