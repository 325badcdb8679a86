"""The benchmark of reading COCO runs, and the table in the docs is what its results say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = {
    f"{who}, {masks}, {workers}"
    for who in ("segpaste", "torchvision")
    for masks in ("polygons", "run lengths")
    for workers in (0, 2)
}


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "bench_coco.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.nightly
def test_everything_is_measured() -> None:
    run = _bench("--pictures", "4", "--rounds", "2")
    assert run.returncode == 0, run.stderr
    rows = [line for line in run.stdout.splitlines() if " workers |" in line]
    assert len(rows) == 4
    assert "4 JPEGs of 640 x 480 with 7 objects each" in run.stdout


def test_the_committed_table_is_what_the_committed_results_say(tmp_path: Path) -> None:
    results = ROOT / "docs" / "coco-benchmark.json"
    assert {entry["contender"] for entry in json.loads(results.read_text("utf-8"))["entries"]} == NAMES
    page = tmp_path / "coco.md"
    published = (ROOT / "docs" / "coco.md").read_text("utf-8")
    page.write_text(published, encoding="utf-8")
    run = _bench("--render", "--json", str(results), "--page", str(page))
    assert run.returncode == 0, run.stderr
    assert page.read_text("utf-8") == published
    assert run.stdout.strip() in published


@pytest.mark.nightly
def test_a_part_is_never_published() -> None:
    run = _bench("--publish", "--rounds", "1")
    assert run.returncode == 2
    assert "--publish: got it with --rounds, expected a complete run" in run.stderr
