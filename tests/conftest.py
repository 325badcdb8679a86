"""Hypothesis profiles, threads, and the research data that some tests need."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in child processes

# Libraries that the adapters' tests use look for newer versions of themselves, or report home.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("ALBUMENTATIONS_OFFLINE", "1")

if "SEGPASTE_REPLAYS" not in os.environ:  # violations found on purpose are not kept beside the sources
    os.environ["SEGPASTE_REPLAYS"] = tempfile.mkdtemp(prefix="segpaste-replays-")
    atexit.register(shutil.rmtree, os.environ["SEGPASTE_REPLAYS"], ignore_errors=True)

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings

from segpaste.testing.plugin import register_profiles

torch.set_num_threads(1)

_NO_DATA = "SEGPASTE_DATA is not set"


def _load_profile() -> None:
    # The profiles are those of segpaste's own plugin, which loads the one that the variable
    # names; here too, since mutation testing runs without plugins.
    register_profiles()
    settings.register_profile(
        "mutation",
        max_examples=25,
        derandomize=True,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.explicit, Phase.generate],
    )
    name = os.environ.get("SEGPASTE_PROFILE") or "ci"
    settings.load_profile(name if name == "mutation" else f"segpaste-{name}")


_load_profile()


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
