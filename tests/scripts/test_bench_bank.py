"""The banks' benchmark runs and says what it measured, and the page is what the JSON says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BACKENDS = ("memmap", "lmdb", "webdataset")
TINY = ("--crops", "64", "--small", "3000", "--pictures", "2", "--rounds", "2", "--build-rounds", "1")


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "bench_bank.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.nightly
def test_everything_is_measured_in_every_backend(tmp_path: Path) -> None:
    run = _bench(*TINY, "--folder", str(tmp_path), "--json", str(tmp_path / "b.json"))
    assert run.returncode == 0, run.stderr
    results = json.loads((tmp_path / "b.json").read_text("utf-8"))
    read = {entry["contender"]: entry for entry in results["read"]["entries"]}
    assert set(read) == {"plain, sequential", "plain, random", "collate"} | {
        f"{backend}, {order}, {workers}"
        for backend in BACKENDS
        for order in ("sequential", "random")
        for workers in (0, 2)
    }
    build = {entry["contender"]: entry for entry in results["build"]["entries"]}
    assert set(build) == {"decode"} | {f"{backend}, {workers}" for backend in BACKENDS for workers in (1, 2)}
    for entry in (*read.values(), *build.values()):
        assert entry["crops_per_second"] > 0
        assert entry["quartiles"][0] <= entry["crops_per_second"] <= entry["quartiles"][1]
    assert {read[f"plain, {order}"]["ratio"] for order in ("sequential", "random")} == {1.0}
    assert [bank["format"] for bank in results["small"]["banks"]] == list(BACKENDS)
    assert [bank["crops"] for bank in results["small"]["banks"]] == [3000, 3000, 300]
    page = (tmp_path / "b.md").read_text("utf-8")
    assert run.stdout == page + "\n"
    assert all(f"**{backend}**" in page for backend in BACKENDS)


def test_the_committed_page_is_what_the_committed_results_say(tmp_path: Path) -> None:
    copied = tmp_path / "bank-benchmark.json"
    copied.write_bytes((ROOT / "docs" / "bank-benchmark.json").read_bytes())
    run = _bench("--render", "--json", str(copied))
    assert run.returncode == 0, run.stderr
    published = (ROOT / "docs" / "bank-benchmark.md").read_text("utf-8")
    assert copied.with_suffix(".md").read_text("utf-8") == published


def test_a_part_is_never_published() -> None:
    run = _bench("--publish", "--build-rounds", "1")
    assert run.returncode == 2
    assert "--publish: got it with --build-rounds, expected a complete run" in run.stderr
