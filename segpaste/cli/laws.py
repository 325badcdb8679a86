"""``segpaste laws``."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass

from segpaste.cli.app import UsageError

_WIDTH = 100
NOT_YET = "-"
"""What stands for the fault that a law caught, where the catalogue of faults has none."""


@dataclass(frozen=True)
class Entry:
    """One law as it is listed."""

    law: str
    kind: str
    modalities: list[str]
    statement: str
    in_the_wild: str
    caught: str = NOT_YET


def list_laws(only: str, *, as_json: bool) -> int:
    """Print every law that matches the glob.

    Raises:
        UsageError: if none does.
    """
    entries = law_entries(only)
    if not entries:
        raise UsageError(f"--only: got {only!r}, which matches no law; `segpaste laws` lists them all")
    if as_json:
        print(json.dumps([vars(entry) for entry in entries], indent=2))
        return 0
    kind = ""
    for entry in entries:
        if entry.kind != kind:
            kind = entry.kind
            print(f"{'' if entry is entries[0] else chr(10)}{kind.upper()}\n")
        print(entry.law)
        needs = ", ".join(entry.modalities) or "any"
        for title, text in (
            ("law", entry.statement),
            ("in the wild", entry.in_the_wild or NOT_YET),
            ("modalities", needs),
            ("caught", entry.caught),
        ):
            print(
                textwrap.fill(
                    text, _WIDTH, initial_indent=f"    {title + ':':<13}", subsequent_indent=" " * 17
                )
            )
    print(f"\n{len(entries)} laws")
    return 0


def law_entries(only: str = "*") -> list[Entry]:
    """The laws that match the glob, the runner's own first, then by kind."""
    import fnmatch

    from segpaste.invariants import laws
    from segpaste.testing.judge import KINDS, RUNNER_LAWS

    own = [
        Entry(law.name, "target", [], law.statement, law.in_the_wild)
        for law in RUNNER_LAWS.values()
        if fnmatch.fnmatchcase(law.name, only)
    ]
    rest = [
        Entry(law.name, law.kind, sorted(m.value for m in law.needs), law.statement, law.in_the_wild)
        for law in laws(only=only)
    ]
    return own + sorted(rest, key=lambda entry: KINDS.index(entry.kind))
