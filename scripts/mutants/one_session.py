"""mutmut with one pytest session for all mutants: ``python -m mutants.one_session run``.

mutmut forks a process for every mutant and starts pytest in it, which takes longer than most
tests here. This collects once, before the first fork; a child runs the items of its tests through
pytest's own protocol, up to the first failure. Those that have killed most so far go first, the
quickest first among equals. Everything else is mutmut's.
"""

# mutmut comes with an extra of its own, which the linters do without.
# pyright: reportMissingImports=false

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _pytest.config import _prepareconfig  # pyright: ignore[reportPrivateUsage]
from mutmut import __main__ as mutmut_main
from mutmut.configuration import config
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.runners.harness import PytestRunner
from mutmut.utils.file_utils import change_cwd
from mutmut.workers import isolation
from mutmut.workers.isolation import ForkRunner
from mutmut.workers.timeout import register_timeout

FAILED, PASSED = 1, 0
PATIENCE = 20
KILLS = Path("kills.tsv").resolve()


class Failures:
    """A plugin that notes whether anything has failed."""

    def __init__(self) -> None:
        self.any = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for setup, call and teardown of every item."""
        self.any |= report.failed


class Forgetful:
    """A plugin without which only the first test to call a caching function would be known to reach it."""

    def pytest_runtest_setup(self) -> None:
        """Called before every test."""
        for forget in remembered():
            forget()


class OneSession:
    """A session that has collected and is kept open.

    Attributes:
        items: the collected tests by node id.
        failures: what the items' reports say.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.failures = Failures()
        settings = _prepareconfig(arguments, plugins=[self.failures])
        settings._do_configure()  # pyright: ignore[reportPrivateUsage]
        session = pytest.Session.from_config(settings)
        settings.hook.pytest_sessionstart(session=session)
        self.items = {item.nodeid: item for item in session.perform_collect()}
        self._forget = remembered()

    def run(self, mutant: str, tests: Iterable[str]) -> int:
        """Run tests until one fails; ``tests`` come quickest first."""
        for forget in self._forget:
            forget()
        function, before = mutant.rpartition("__mutmut_")[0], kills()
        at_all = Counter(test for _, test in before)
        here = Counter(test for other, test in before if other == function)
        for name in sorted(tests, key=lambda test: (-here[test], -at_all[test])):
            item = self.items[name]
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            if self.failures.any:
                with KILLS.open("a") as log:
                    log.write(f"{function}\t{name}\n")
                return FAILED
        return PASSED


def kills() -> list[tuple[str, str]]:
    """Function and test of every kill so far."""
    lines = KILLS.read_text().splitlines() if KILLS.exists() else []
    return [(function, test) for function, _, test in (line.partition("\t") for line in lines)]


def remembered() -> list[Callable[[], object]]:
    """What empties the caches of the package's functions.

    The tests have run in this process already, on what is not mutated: whatever a function has
    kept of that would hide its mutants.
    """
    found: dict[int, Callable[[], object]] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "segpaste":
            for value in list(vars(module).values()):
                forget = getattr(value, "cache_clear", None)
                if callable(forget):
                    found[id(value)] = forget
    return list(found.values())


def _install() -> None:
    sessions: list[OneSession] = []
    start, run_tests, run_stats = ForkRunner.startup, PytestRunner.run_tests, PytestRunner.run_stats
    execute = PytestRunner.execute_pytest

    def startup(self: ForkRunner) -> None:
        with change_cwd("mutants"):
            selection = config().pytest_add_cli_args_test_selection
            options = ["--rootdir=.", "--tb=no", "-q", "-s", *config().pytest_add_cli_args]
            sessions.append(OneSession([*options, *selection]))
        start(self)

    def run(self: PytestRunner, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        if mutant_name is None:
            return run_tests(self, mutant_name=mutant_name, tests=tests)
        with change_cwd("mutants"):
            return sessions[0].run(mutant_name, tests)

    def measure(self: PytestRunner, *, tests: Iterable[str]) -> int:
        # Once without measuring: machine code that is made meanwhile would count as the tests' time,
        # and an endless loop would be waited for as long.
        set_mutant_under_test("")
        failed = run_tests(self, mutant_name=None, tests=tests)
        set_mutant_under_test("stats")
        return failed or run_stats(self, tests=tests)

    def execute_forgetfully(self: PytestRunner, params: list[str], **options: Any) -> int:
        plugins = [*options.pop("plugins", []), Forgetful()]
        return execute(self, params, plugins=plugins, **options)

    def wait_longer(pid: int, timeout_s: float) -> None:
        # A loop without an end meets the limit on processor time, which counts for nothing else; the
        # clock goes on while a busy or halted machine does not.
        register_timeout(pid, PATIENCE * timeout_s)

    changed: list[tuple[Any, str, Any]] = [
        (isolation, "register_timeout", wait_longer),
        (PytestRunner, "execute_pytest", execute_forgetfully),
        (ForkRunner, "startup", startup),
        (PytestRunner, "run_tests", run),
        (PytestRunner, "run_stats", measure),
    ]
    for owner, name, function in changed:
        setattr(owner, name, function)


if __name__ == "__main__":
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        np.seterr(all="ignore")  # machine code casts and divides without a word
    _install()
    mutmut_main.cli()
