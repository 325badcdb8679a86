"""Mutation testing: how many of the small mistakes that mutmut makes do the tests notice?

    python scripts/mutation.py                                     # everything, for hours
    python scripts/mutation.py --part invariants
    python scripts/mutation.py --module segpaste/paste/plan.py     # one module
    python scripts/mutation.py --gather                            # only bring mutation/ up to date

A module is mutated in a copy of the tree, in ``.mutation/``, together with those that are run by
the same tests. What was stopped goes on where it was, and mutants that live, but for those judged
equivalent, are tried again once a test has changed; ``--fresh`` forgets what was found before.
Results go to ``mutation/score.json`` and ``mutation/survivors.yaml``.
"""

from __future__ import annotations

import argparse
import sys

from mutants import verdicts, workspace
from mutants.targets import MODULES, PARTS, TARGETS, Target
from rich.console import Console
from rich.table import Table


def main() -> int:
    """Mutate, gather, print; 1 if a module could not be mutated."""
    options = _options()
    console = Console()
    targets = _chosen(options)
    failed = 0
    for target in targets:
        runs: dict[str, workspace.Run] = {}
        if not options.gather:
            console.print(f"{', '.join(target.modules)} ...", highlight=False)
            spared = () if options.fresh else verdicts.equivalent(target)
            workspace.prepare(target, fresh=options.fresh, spared=spared)
            try:
                runs[target.name] = workspace.run(target, processes=options.processes)
            except workspace.MutmutError as error:
                print(error, file=sys.stderr)
                failed = 1
                continue
            done = runs[target.name]
            console.print(f"  {done.mutants} mutants tried, {done.rate:.1f} per second", highlight=False)
        verdicts.gather([target], runs)
    console.print(_table({module for target in targets for module in target.modules}))
    return failed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--module", action="append", default=[], help="a module and those beside it; may be repeated"
    )
    parser.add_argument("--part", choices=PARTS, help="every module of one part")
    parser.add_argument("--processes", type=int, default=1, help="mutants tried at the same time")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--gather", action="store_true", help="mutate nothing; write what is known")
    return parser.parse_args()


def _chosen(options: argparse.Namespace) -> list[Target]:
    for module in options.module:
        if module not in MODULES:
            raise SystemExit(f"--module: got {module}, expected one of {', '.join(MODULES)}")
    wanted = set(options.module) or set(MODULES)
    return [t for t in TARGETS if options.part in (None, t.part) and not wanted.isdisjoint(t.modules)]


def _table(modules: set[str]) -> Table:
    table = Table("module", "mutants", *verdicts.STATUSES, "equivalent", "score", box=None)
    score = verdicts.read_score()
    rows = {m: row for m, row in score["modules"].items() if m in modules} | score["parts"]
    for name, row in rows.items():
        share = "" if row["score"] is None else f"{row['score']:.1%}"
        table.add_row(name, *(str(row[s]) for s in ("mutants", *verdicts.STATUSES, "equivalent")), share)
    return table


if __name__ == "__main__":
    sys.exit(main())
