"""Mutation testing: how many of the small mistakes that mutmut makes do the tests notice?

    python scripts/mutation.py                                     # everything, for hours
    python scripts/mutation.py --part invariants
    python scripts/mutation.py --module segpaste/paste/plan.py     # one module
    python scripts/mutation.py --gather                            # only bring mutation/ up to date

Every module is mutated in a copy of the tree of its own, in ``.mutation/``; what was stopped goes
on where it was, and mutants that live are tried again once a test has changed. Results go to
``mutation/score.json`` and ``mutation/survivors.yaml``. A module that is mutated anew, with
``--fresh``, forgets what was killed before.
"""

from __future__ import annotations

import argparse
import sys

from mutants import verdicts, workspace
from mutants.targets import PARTS, TARGETS, Target
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
            console.print(f"{target.module} ...", highlight=False)
            workspace.prepare(target, fresh=options.fresh)
            try:
                runs[target.name] = workspace.run(target, processes=options.processes)
            except workspace.MutmutError as error:
                print(error, file=sys.stderr)
                failed = 1
                continue
            done = runs[target.name]
            console.print(f"  {done.mutants} mutants tried, {done.rate:.1f} per second", highlight=False)
        if workspace.exit_codes(target):
            verdicts.gather([target], runs)
    console.print(_table({target.module for target in targets}))
    return failed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--module", action="append", default=[], help="path of a module; may be repeated")
    parser.add_argument("--part", choices=PARTS, help="every module of one part")
    parser.add_argument("--processes", type=int, default=1, help="mutants tried at the same time")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--gather", action="store_true", help="mutate nothing; write what is known")
    return parser.parse_args()


def _chosen(options: argparse.Namespace) -> list[Target]:
    by_module = {target.module: target for target in TARGETS}
    for module in options.module:
        if module not in by_module:
            raise SystemExit(f"--module: got {module}, expected one of {', '.join(by_module)}")
    chosen = [by_module[module] for module in options.module] or list(TARGETS)
    return [target for target in chosen if options.part in (None, target.part)]


def _table(modules: set[str]) -> Table:
    table = Table("module", *(("mutants", *verdicts.STATUSES, "equivalent", "score")))
    score = verdicts.read_score()
    rows = {m: row for m, row in score["modules"].items() if m in modules} | score["parts"]
    for name, row in rows.items():
        share = "" if row["score"] is None else f"{row['score']:.1%}"
        table.add_row(name, *(str(row[s]) for s in ("mutants", *verdicts.STATUSES, "equivalent")), share)
    return table


if __name__ == "__main__":
    sys.exit(main())
