"""Write docs/proof.md and docs/kill-matrix.svg: how strong the suite is, in figures.

    python scripts/generate_proof_page.py              render the committed figures
    python scripts/generate_proof_page.py --check      fail where page or picture are out of date
    python scripts/generate_proof_page.py --measure    run the whole campaign first, a quarter of an hour
    python scripts/generate_proof_page.py --measure NAME ...   only these faults, and keep the rest

Figures come from docs/proof.json (the campaign over the fault zoo, and reach), from
tests/faults/first_run_of_the_blind_faults.json, from mutation/score.json where it is there,
and from docs/benchmarks.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.mutants.targets import MODULES
from segpaste.strategies import HARD_CASES
from segpaste.testing.check import DEFAULT_EXAMPLES
from segpaste.testing.judge import COMPLETES, law_names
from tests.faults.campaign import FURTHER_SEEDS, SEEDS, kills, reach
from tests.faults.drawing import DRAWING, KINDS, first_caught
from tests.faults.fault import Fault
from tests.faults.reasons import REASONS
from tests.faults.transforms import TRANSFORM_FAULTS
from tests.faults.transforms_campaign import SOON, first_found
from tests.faults.zoo import BLIND, BY_SUBJECT, ZOO

PAGE = ROOT / "docs" / "proof.md"
PICTURE = ROOT / "docs" / "kill-matrix.svg"
CAMPAIGN = ROOT / "docs" / "proof.json"
BENCHMARKS = ROOT / "docs" / "benchmarks.json"
MUTATION = ROOT / "mutation" / "score.json"
FIRST_RUN = ROOT / "tests" / "faults" / "first_run_of_the_blind_faults.json"

FEWER = 4
"""Metamorphic laws that a fault does not name are asked on one example in so many."""

CELL, LEFT, TOP = 7, 250, 22


def main(arguments: list[str] | None = None) -> int:
    """Measure, write or check; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if out of date")
    parser.add_argument(
        "--measure", nargs="*", metavar="NAME", help="run the campaign, for all faults or these"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes of the campaign")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.measure or [] if name not in ZOO]
    if unknown:
        parser.error(f"--measure: got {unknown[0]!r}, expected names of faults")
    if options.measure is not None:
        measure(options.measure, options.workers)
    written = {PAGE: render(), PICTURE: picture()}
    if not options.check:
        for path, text in written.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [
        p.name for p, text in written.items() if not p.is_file() or p.read_text(encoding="utf-8") != text
    ]
    if stale:
        command = "run python scripts/generate_proof_page.py"
        print(f"{', '.join(stale)}: out of date, {command}", file=sys.stderr)
    return 1 if stale else 0


# --- measuring -----------------------------------------------------------------------


def measure(names: list[str], workers: int) -> None:
    """Run the campaign and write docs/proof.json."""
    known = json.loads(CAMPAIGN.read_text(encoding="utf-8")) if names else {"faults": {}}
    chosen = names or list(ZOO)
    with ProcessPoolExecutor(workers) as pool:
        found = pool.map(measure_one, chosen)
        for number, (name, figures) in enumerate(zip(chosen, found, strict=True), 1):
            print(f"{number} of {len(chosen)}: {name}, {len(figures['kills'])} laws", flush=True)
            known["faults"][name] = figures
    figures = {
        "examples": DEFAULT_EXAMPLES,
        "seeds": list(SEEDS),
        "faults": {name: known["faults"][name] for name in ZOO if name in known["faults"]},
        "drawing": {name: first_caught(fault) for name, fault in DRAWING.items()},
        "transforms": {
            name: {str(seed): first_found(fault, seed) for seed in SEEDS}
            for name, fault in TRANSFORM_FAULTS.items()
        },
        "reach": known["reach"] if names else reach(),
    }
    beside = CAMPAIGN.with_suffix(".new")
    beside.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    beside.replace(CAMPAIGN)


def measure_one(name: str) -> dict[str, Any]:
    """One fault: all laws on the first seed, the laws it names on the others."""
    fault = ZOO[name]
    found = kills(fault, SEEDS[0], every=FEWER)
    if len(found) == 1:  # alone only if no law at all notices on any example
        found = kills(fault, SEEDS[0])
    return {
        "kills": found,
        "named": {str(seed): kills(fault, seed, fault.laws) for seed in SEEDS[1:]},
        "further": measure_further(name),
    }


def measure_further(name: str) -> dict[str, list[str]]:
    """The laws that a fault names and that miss it, by further seed."""
    fault = ZOO[name]
    found = {seed: kills(fault, seed, fault.laws) for seed in FURTHER_SEEDS}
    return {str(seed): [law for law in fault.laws if law not in laws] for seed, laws in found.items()}


# --- rendering -----------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """The campaign as it was measured."""

    faults: dict[str, Any]
    drawing: dict[str, str | None]
    transforms: dict[str, dict[str, int | None]]
    reach: dict[str, float]

    def kills(self, fault: Fault) -> dict[str, int]:
        """Law -> first example of the first seed."""
        return self.faults[fault.name]["kills"]

    def missed(self, fault: Fault) -> list[str]:
        """The laws that should have caught a fault and did not, seed by seed."""
        runs = {str(SEEDS[0]): self.kills(fault), **self.faults[fault.name]["named"]}
        missed = [
            f"{law} (seed {seed})" for seed, run in runs.items() for law in fault.laws if law not in run
        ]
        raised = [
            f"raised (seed {s})"
            for s, run in runs.items()
            if COMPLETES in run and COMPLETES not in fault.laws
        ]
        return missed + raised

    def missed_further(self) -> dict[str, list[str]]:
        """Faults that a named law misses with a further seed, and the seeds."""
        runs = {name: self.faults[name]["further"] for name in ZOO}
        return {
            name: [seed for seed, laws in run.items() if laws]
            for name, run in runs.items()
            if any(run.values())
        }

    def unique(self, law: str) -> list[str]:
        """The faults that this law kills and no other."""
        return [name for name in ZOO if list(self.kills(ZOO[name])) == [law]]


def read() -> Figures:
    """The committed campaign."""
    found = json.loads(CAMPAIGN.read_text(encoding="utf-8"))
    return Figures(found["faults"], found["drawing"], found["transforms"], found["reach"])


def render() -> str:
    """The page, as Markdown."""
    figures = read()
    parts = [
        "# How strong the suite is",
        "<!-- Written by scripts/generate_proof_page.py; a test fails where it is out of date. -->",
        _summary(figures),
        _matrix(figures),
        _drawing(figures),
        _transforms(figures),
        _further(figures),
        _laws(figures),
        _blind(figures),
        _reach(figures),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(figures: Figures) -> str:
    killed = [f for f in ZOO.values() if not figures.missed(f)]
    unique = [law for law in law_names() if figures.unique(law)]
    first = json.loads(FIRST_RUN.read_text(encoding="utf-8"))
    met = [h for h in HARD_CASES if figures.reach[h.name] > 0]
    further, total = figures.missed_further(), len(ZOO) * len(FURTHER_SEEDS)
    rows = [
        (
            "faults killed",
            f"{len(killed)} of {len(ZOO)}, each by every law it names, within the default "
            f"{DEFAULT_EXAMPLES} examples, with each of the seeds {', '.join(map(str, SEEDS))}",
        ),
        (
            "examples to the first alarm",
            _first_alarm(figures),
        ),
        (
            "faults of transforms",
            _first_in_transforms(figures),
        ),
        (
            "faults killed with other seeds",
            f"{total - sum(map(len, further.values()))} of {total}: the seeds "
            f"{', '.join(map(str, FURTHER_SEEDS))}, for which nothing was changed"
            + (f"; {len(further)} faults live in one or more of them" if further else ""),
        ),
        (
            "faults killed, of those written blind",
            f"{first['killed']} of {first['faults']} by some law at their first run, before their author had "
            "seen one",
        ),
        (
            "faults in the drawing of plans",
            f"{sum(map(bool, figures.drawing.values()))} of {len(DRAWING)} caught by the frozen seeds",
        ),
        (
            "laws with a unique kill",
            f"{len(unique)} of {len(law_names())}; why each of the others stays is written beside it",
        ),
        ("mutation score", _mutation()),
        (
            "reach",
            f"{len(met)} of {len(HARD_CASES)} hard cases are met by drawn examples; "
            f"the rarest by {min(figures.reach.values()):.1%} of them",
        ),
        ("examples per second", _speed()),
    ]
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join(lines)


def _first_in_transforms(figures: Figures) -> str:
    runs = [figures.transforms[name] for name in TRANSFORM_FAULTS]
    numbers = [number for run in runs for number in run.values() if number is not None]
    found = sum(all(run.values()) for run in runs)
    return (
        f"{found} of {len(runs)} flips, crops and changes of colours with one mistake are found by the "
        f"law they name with each of the seeds {', '.join(map(str, SEEDS))}: at example "
        f"{statistics.median(numbers):g} in the median, {max(numbers)} at worst"
    )


def _first_alarm(figures: Figures) -> str:
    alarms = [min(figures.kills(fault).values()) + 1 for fault in ZOO.values() if figures.kills(fault)]
    soon = sum(number <= SOON for number in alarms)
    return (
        f"median {statistics.median(alarms):g}, worst {max(alarms)}, by any law, with seed {SEEDS[0]}; "
        f"{soon} of {len(ZOO)} faults within the first {SOON}. The sets of modalities come one after the "
        "other, those of a class mix last"
    )


def _mutation() -> str:
    if not MUTATION.is_file():
        return "not yet measured"
    score = json.loads(MUTATION.read_text(encoding="utf-8"))
    text = "; ".join(f"`{name}` {_mutation_of(part)}" for name, part in score["parts"].items())
    missing = [Path(module).stem for module in MODULES if module not in score["modules"]]
    return text + (f"; not yet measured are the modules {', '.join(missing)}" if missing else "")


def _mutation_of(part: dict[str, Any]) -> str:
    if part["score"] is None:
        return "not yet measured"
    open_mutants = part["not checked"]
    rest = f", {open_mutants} not yet checked" if open_mutants else ""
    counted = part["mutants"] - part["equivalent"]
    return f"{part['score']:.1%} ({part['killed']} of {counted} mutants that are not equivalent{rest})"


def _speed() -> str:
    measured = json.loads(BENCHMARKS.read_text(encoding="utf-8"))["cpu"]["strategies"]
    rates = measured["rates"]
    richest = max(rates, key=lambda name: name.count("+"))
    least, most = min(r[2] for r in rates.values()), max(r[2] for r in rates.values())
    return (
        f"{least:.0f} to {most:.0f} whole pastes drawn, by modality set, at {measured['side']} x "
        f"{measured['side']}; {rates[richest][1]:.0f} samples with all modalities "
        "([Benchmarks](benchmarks.md), one thread)"
    )


def _matrix(figures: Figures) -> str:
    lines = [
        "## The kill matrix",
        "Every fault is one mistake in an otherwise correct paste, judged on the examples that "
        "`segpaste verify` draws. Rows are the faults in the order of the tables below, columns the laws "
        "in the order of `segpaste laws`. Dark: the fault names the law, and the law catches it. Light: "
        "the law catches it, too. Red: nothing else does.",
        "![Kill matrix: faults by laws](kill-matrix.svg)",
        "*At* is the number of the first example, of seed 0, on which every named law has caught it; "
        "*others* how many further laws catch it on these examples, of which metamorphic laws are asked on "
        f"one in {FEWER}; on all of them before a fault counts as caught by one law alone.",
    ]
    for heading, faults in BY_SUBJECT.items():
        rows = ["| fault | mistake | breaks | caught by | at | others |", "|---|---|---|---|---|---|"]
        rows += [_fault_row(fault, figures) for fault in faults]
        lines += [f"### {heading}", "\n".join(rows)]
    return "\n\n".join(lines)


def _fault_row(fault: Fault, figures: Figures) -> str:
    found = figures.kills(fault)
    laws = "<br>".join(f"`{law}`" for law in fault.laws)
    missed = figures.missed(fault)
    survived = f"<br>**survived: {', '.join(missed)}**" if missed else ""
    at = max((found[law] + 1 for law in fault.laws if law in found), default="-")
    cells = (f"`{fault.name}`", _cell(fault.mistake), _cell(fault.seen), laws + survived, at)
    return f"| {' | '.join(map(str, cells))} | {len(set(found) - set(fault.laws))} |"


def _cell(text: str) -> str:
    """Text for a cell of a table; ``code`` as Markdown writes it."""
    return text.replace("``", "`").replace("|", "\\|")


def _drawing(figures: Figures) -> str:
    rows = ["| fault | mistake | breaks | first caught by |", "|---|---|---|---|"]
    for fault in DRAWING.values():
        caught = figures.drawing[fault.name] or "**survived**"
        rows.append(f"| `{fault.name}` | {_cell(fault.mistake)} | {_cell(fault.breaks)} | {caught} |")
    return "\n\n".join(
        [
            "## The drawing of plans",
            "Every plan within its bounds is legal, so that no law judges how one was drawn. The frozen "
            f"seeds do: they keep a digest of every plan. These {len(DRAWING)} faults are therefore not in "
            f"the matrix; each is judged on the frozen sets {' and '.join(KINDS)}, uint8. What must be "
            "refused with an error is in neither: drawn examples are legal. tests/paste/test_inputs.py has "
            "these cases, and the mutants of segpaste/paste/inputs.py show how well.",
            "\n".join(rows),
        ]
    )


def _transforms(figures: Figures) -> str:
    seeds = ", ".join(map(str, SEEDS))
    rows = [f"| fault | mistake | found by | at (seeds {seeds}) |", "|---|---|---|---|"]
    for fault in TRANSFORM_FAULTS.values():
        numbers = ", ".join(str(figures.transforms[fault.name][str(seed)] or "-") for seed in SEEDS)
        rows.append(f"| `{fault.name}` | {_cell(fault.mistake)} | `{fault.law}` | {numbers} |")
    return "\n\n".join(
        [
            "## Augmentations that move pixels or change colours",
            "Each is one mistake in an otherwise correct flip, crop, shift or change of colours, given to "
            "`check_augmentation` as a plain callable. *At* is the number of the first of the default "
            "examples on which the law finds it.",
            "\n".join(rows),
        ]
    )


def _further(figures: Figures) -> str:
    missed = figures.missed_further()
    lines = [
        "## With other seeds",
        "The strategies were changed until the seeds of the campaign reached every fault. These are seeds "
        f"that nobody looked at before: {', '.join(map(str, FURTHER_SEEDS))}, with the same "
        f"{DEFAULT_EXAMPLES} examples each. What lives there is reached by few examples: draw more, with "
        "`segpaste verify --examples 1000`.",
    ]
    rows = [f"| `{name}` | {', '.join(seeds)} |" for name, seeds in missed.items()]
    lines += ["\n".join(["| lives | with seed |", "|---|---|", *rows]) if rows else "None lives."]
    return "\n\n".join(lines)


def _laws(figures: Figures) -> str:
    rows = ["| law | faults killed | killed by it alone, or why it stays |", "|---|---|---|"]
    for law in law_names():
        killed = [name for name in ZOO if law in figures.kills(ZOO[name])]
        alone = figures.unique(law)
        why = ", ".join(f"`{name}`" for name in alone) if alone else REASONS.get(law, "**no reason given**")
        rows.append(f"| `{law}` | {len(killed)} | {why} |")
    return "\n\n".join(["## What each law adds", "\n".join(rows)])


def _blind(figures: Figures) -> str:
    first = json.loads(FIRST_RUN.read_text(encoding="utf-8"))
    survivors = [name for name, laws in first["violations"].items() if not laws]
    now = [name for name in BLIND if not figures.missed(ZOO[name])]
    return "\n\n".join(
        [
            "## Twenty faults written blind",
            "`tests/faults/from_the_specification.py` was written from section 4 of the specification "
            "alone and committed before its author had read a law. Then it was run, once: "
            f"{first['killed']} of {first['faults']} were killed, each by some law as none was named yet, on "
            f"the {first['examples']} examples of "
            f"seed {first['seed']} (commit {first['commit']}; "
            "`tests/faults/first_run_of_the_blind_faults.json`).",
            f"Survived: {', '.join(f'`{name}`' for name in survivors)}. The law was there; no drawn sample "
            "had a label on its padding, so that the mistake changed nothing. Since then "
            f"examples have, and {len(now)} of {len(BLIND)} are killed.",
        ]
    )


def _reach(figures: Figures) -> str:
    rows = ["| hard case | seen in | share of examples |", "|---|---|---|"]
    rows += [f"| {h.name} | {h.seen_in} | {figures.reach[h.name]:.1%} |" for h in HARD_CASES]
    total = DEFAULT_EXAMPLES * len(SEEDS)
    return "\n\n".join(
        [
            "## Reach",
            f"The share of the {total:,} examples of the campaign that meet each hard case: in one of their "
            "targets (sample), in what is asked for (case), or only once it is pasted (outcome). A test "
            "holds the strategies to a least share of each.",
            "\n".join(rows),
        ]
    )


def picture() -> str:
    """The kill matrix as SVG."""
    figures, laws = read(), law_names()
    faults = list(ZOO.values())
    width, height = LEFT + CELL * len(laws) + 10, TOP + CELL * len(faults) + 10
    paths: dict[str, list[str]] = {"#b9c6d3": [], "#24507a": [], "#c8321f": []}
    labels: list[str] = []
    for row, fault in enumerate(faults):
        found = figures.kills(fault)
        y = TOP + row * CELL
        labels.append(f'<text x="{LEFT - 4}" y="{y + CELL - 1}">{escape(fault.name)}</text>')
        for column, law in enumerate(laws):
            if law in found:
                colour = "#c8321f" if len(found) == 1 else "#24507a" if law in fault.laws else "#b9c6d3"
                paths[colour].append(f"M{LEFT + column * CELL} {y}h{CELL - 1}v{CELL - 1}h-{CELL - 1}z")
    numbers = [
        f'<text x="{LEFT + column * CELL + CELL}" y="{TOP - 4}">{column + 1}</text>'
        for column in range(9, len(laws), 10)
    ]
    body = [f'<path fill="{colour}" d="{"".join(cells)}"/>' for colour, cells in paths.items() if cells]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}">',
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            f'<g font-family="sans-serif" font-size="{CELL - 1}" text-anchor="end" fill="#333">',
            *labels,
            *numbers,
            "</g>",
            *body,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
