"""What became of the mutants: the committed score, and the list of those that live."""

# mutmut comes with an extra of its own, which the linters do without.
# pyright: reportMissingImports=false

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

from mutants.identity import Mutant, Rule
from mutants.targets import MODULES, PARTS, Target
from mutants.workspace import ROOT, Run, exit_codes, folder_of

SCORE = ROOT / "mutation" / "score.json"
SURVIVORS = ROOT / "mutation" / "survivors.yaml"

HEADER = """\
# The mutants that live, written by scripts/mutation.py. Verdicts and reasons are written by hand:
# "equivalent" needs a reason, or a rule that covers the mutant; what has neither stays "open" and
# counts against the score, as timeouts and mutants that no test reaches do.
"""

STATUSES = ("killed", "survived", "timeout", "no tests", "suspicious", "segfault", "not checked")


def alive(target: Target, module: str) -> dict[Mutant, str]:
    """Every mutant of a module that no test has killed so far, with its status."""
    return {mutant: status for _, mutant, status in _alive(target, module)}


def equivalent(target: Target) -> set[str]:
    """The living mutants of a target that were judged equivalent, by the names that mutmut has."""
    listed = read_survivors()
    rules = [Rule(**rule) for rule in listed["rules"]]
    judged = {_identity(entry) for entry in listed["mutants"] if entry["verdict"] == "equivalent"}
    return {
        name
        for module in target.modules
        for name, mutant, status in _alive(target, module)
        if status == "survived"
        and (mutant in judged or any(r.verdict == "equivalent" and r.covers(mutant) for r in rules))
    }


def _alive(target: Target, module: str) -> Iterator[tuple[str, Mutant, str]]:
    seen: Counter[tuple[str, str, str]] = Counter()
    names = sorted(exit_codes(target, module).items(), key=lambda item: _number(item[0]))
    survivors = {name: status for name, code in names if (status := status_by_exit_code[code]) != "killed"}
    for name, status in survivors.items():
        function, before, after = _difference(target, module, name)
        seen[function, before, after] += 1
        yield name, Mutant(module, function, before, after, seen[function, before, after]), status


def gather(targets: Iterable[Target], runs: dict[str, Run] | None = None) -> None:
    """Bring ``mutation/`` up to date with the results of these targets."""
    score, listed = read_score(), read_survivors()
    rules = [Rule(**rule) for rule in listed["rules"]]
    known = {_identity(entry): entry for entry in listed["mutants"]}
    for target, module in ((t, module) for t in targets for module in t.modules):
        codes = exit_codes(target, module)
        if not codes:
            continue
        counts = Counter(status_by_exit_code[code] for code in codes.values())
        entries = [
            _entry(mutant, status, known.get(mutant), rules)
            for mutant, status in alive(target, module).items()
            if status != "not checked" or mutant in known
        ]
        still = {_identity(entry) for entry in entries}
        entries += [
            {**entry, "verdict": "killed", "status": "killed"}
            for mutant, entry in known.items()
            if mutant.module == module and mutant not in still and "by" in entry
        ]
        known = {m: entry for m, entry in known.items() if m.module != module}
        known |= {_identity(entry): entry for entry in entries}
        row: dict[str, Any] = {"mutants": len(codes)} | {s: counts[s] for s in STATUSES}
        run, previous = (runs or {}).get(target.name), score["modules"].get(module, {})
        if run is not None and run.mutants >= len(codes):
            row["mutants_per_second"] = round(run.rate, 2)
        elif "mutants_per_second" in previous:
            row["mutants_per_second"] = previous["mutants_per_second"]
        score["modules"][module] = row
    score["modules"] = {m: score["modules"][m] for m in MODULES if m in score["modules"]}
    equivalent = Counter(entry["module"] for entry in known.values() if entry["verdict"] == "equivalent")
    for module, row in score["modules"].items():
        row["equivalent"] = equivalent[module]
        row["score"] = _share(row)
    score["parts"] = {part: _total(score["modules"], part) for part in PARTS}
    SCORE.parent.mkdir(exist_ok=True)
    SCORE.write_text(json.dumps(score, indent=2) + "\n", encoding="utf-8")
    mutants = sorted(
        (entry for entry in known.values() if entry["module"] in MODULES),
        key=lambda entry: MODULES.index(entry["module"]),
    )
    write_survivors({"rules": listed["rules"], "mutants": mutants})


def read_score() -> dict[str, Any]:
    """The committed score; empty where there is none."""
    return json.loads(SCORE.read_text(encoding="utf-8")) if SCORE.exists() else {"parts": {}, "modules": {}}


def read_survivors() -> dict[str, list[dict[str, Any]]]:
    """The committed list, with its rules."""
    read = yaml.safe_load(SURVIVORS.read_text(encoding="utf-8")) if SURVIVORS.exists() else None
    return {"rules": [], "mutants": []} | (read or {})


def write_survivors(content: dict[str, Any]) -> None:
    """Write the list, the same bytes for the same content."""
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    SURVIVORS.write_text(HEADER + text, encoding="utf-8")


def _entry(mutant: Mutant, status: str, known: dict[str, Any] | None, rules: list[Rule]) -> dict[str, Any]:
    entry: dict[str, Any] = asdict(mutant)
    if mutant.nth == 1:
        del entry["nth"]
    entry["status"] = status
    if known is not None and known["verdict"] != "killed" and "reason" in known and "rule" not in known:
        return entry | {"verdict": known["verdict"], "reason": known["reason"]}
    for rule in rules:
        if status == "survived" and rule.covers(mutant):
            return entry | {"verdict": rule.verdict, "rule": rule.name}
    return entry | {"verdict": "open"}


def _identity(entry: dict[str, Any]) -> Mutant:
    return Mutant(entry["module"], entry["function"], entry["before"], entry["after"], entry.get("nth", 1))


def _total(modules: dict[str, Any], part: str) -> dict[str, Any]:
    rows = [row for name, row in modules.items() if name.split("/")[1] == part]
    total: dict[str, Any] = {
        key: sum(row[key] for row in rows) for key in ("mutants", *STATUSES, "equivalent")
    }
    return total | {"score": _share(total)}


def _share(row: dict[str, Any]) -> float | None:
    """Killed of those that are not equivalent; nothing else counts as killed."""
    real = row["mutants"] - row["equivalent"]
    return round(row["killed"] / real, 4) if real else None


def _number(name: str) -> tuple[str, int]:
    function, _, number = name.rpartition("__mutmut_")
    return function, int(number)


def _difference(target: Target, module: str, name: str) -> tuple[str, str, str]:
    function, owner = orig_function_and_class_names_from_key(name)
    here = Path.cwd()
    os.chdir(folder_of(target))  # mutmut reads relative to the folder it worked in
    try:
        diff = get_diff_for_mutant(name, path=module).splitlines()[2:]
    finally:
        os.chdir(here)
    before, after = ("\n".join(line[1:].strip() for line in diff if line[:1] == sign) for sign in "-+")
    return f"{owner}.{function}" if owner else function, before, after
