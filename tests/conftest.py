"""Hypothesis profiles, threads, and the research data that some tests need."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in child processes

if "SEGPASTE_REPLAYS" not in os.environ:  # violations found on purpose are not kept beside the sources
    os.environ["SEGPASTE_REPLAYS"] = tempfile.mkdtemp(prefix="segpaste-replays-")
    atexit.register(shutil.rmtree, os.environ["SEGPASTE_REPLAYS"], ignore_errors=True)

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

torch.set_num_threads(1)

_NO_DATA = "SEGPASTE_DATA is not set"


def _register_profiles() -> None:
    # All four of derandomize, deadline, database and print_blob, always: with CI set
    # Hypothesis starts from a profile of its own, and what is left out comes from there.
    database = DirectoryBasedExampleDatabase(".hypothesis/examples")
    slow = [HealthCheck.too_slow]  # judges the machine, not the strategy
    # Without the explain phase, which took most of the time of a failure and adds comments.
    phases = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]
    profiles: dict[str, settings] = {
        "dev": settings(
            max_examples=50,
            derandomize=False,
            deadline=None,
            database=database,
            print_blob=True,
            suppress_health_check=slow,
            phases=phases,
        ),
        "ci": settings(
            max_examples=100,
            derandomize=True,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=slow,
            phases=phases,
        ),
        "nightly": settings(
            max_examples=2000,
            derandomize=False,
            deadline=None,
            database=database,
            print_blob=True,
            suppress_health_check=slow,
            phases=phases,
        ),
        "gpu": settings(
            max_examples=200,
            derandomize=True,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=slow,
            phases=phases,
        ),
        "mutation": settings(
            max_examples=25,
            derandomize=True,
            deadline=None,
            database=None,
            print_blob=False,
            suppress_health_check=slow,
            phases=[Phase.explicit, Phase.generate],
        ),
    }
    for name, profile in profiles.items():
        settings.register_profile(name, profile)
    settings.load_profile(os.environ.get("SEGPASTE_PROFILE", "ci"))


_register_profiles()


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of research data that ``SEGPASTE_DATA`` names; without it the test is skipped."""
    folder = os.environ.get("SEGPASTE_DATA")
    if not folder:
        pytest.skip(_NO_DATA)
    root = Path(folder)
    if not root.is_dir():
        raise NotADirectoryError(f"SEGPASTE_DATA: got {folder}, expected a folder")
    return root


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests the missing data cost, so that nobody takes the run for a full one."""
    skipped = terminalreporter.stats.get("skipped", [])
    missing = sum(_NO_DATA in str(report.longrepr) for report in skipped)
    if missing:
        terminalreporter.write_line(
            f"{missing} tests on real data were skipped: {_NO_DATA} (the folder with coco128_multi, ...)",
            yellow=True,
        )
