"""The benchmark runs, says what it measured, and the page is what the JSON says. Nothing is timed here."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = ROOT / "scripts"
TINY = ("--rounds", "2", "--batches", "2", "--sizes", "32", "--instances", "1-3", "--no-peers")
OURS = {"memcpy", "clone", "apply_out", "apply_fresh", "draw_plan", "forward"}


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "bench.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def scripts() -> Any:
    """The folder of the scripts on the path, as it is for a script in it."""
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the JSON, the page and the plot of a very small run."""
    folder = tmp_path_factory.mktemp("bench")
    run = _bench(*TINY, "--sections", "grid", "modalities", "--json", str(folder / "b.json"))
    assert run.returncode == 0, run.stderr
    assert "apply, out=" in run.stdout
    return folder


def test_every_contender_is_measured_in_every_round_on_one_and_two_threads(tiny: Path) -> None:
    entries = json.loads((tiny / "b.json").read_text("utf-8"))["cpu"]["entries"]
    found: dict[tuple[str, str, int], set[str]] = {}
    for entry in entries:
        assert entry["rounds"] == 2
        assert entry["ms"] > 0
        assert entry["quartiles_ms"][0] <= entry["ms"] <= entry["quartiles_ms"][1]
        cell = entry["cell"]
        found.setdefault((cell["section"], cell["dtype"], entry["threads"]), set()).add(entry["contender"])
    assert found == {
        ("grid", "uint8", 1): OURS | {"torchvision"},
        ("grid", "uint8", 2): OURS,
        ("grid", "float32", 1): OURS | {"torchvision"},
        ("grid", "float32", 2): OURS,
        ("modalities", "uint8", 1): OURS,
        ("modalities", "uint8", 2): OURS,
    }
    assert {e["ratio"] for e in entries if e["contender"] == "memcpy"} == {1.0}


def test_page_and_plot_are_written_beside_the_results(tiny: Path) -> None:
    page = (tiny / "b.md").read_text("utf-8")
    assert "| 2,32,1-3 |" in page
    assert "Owed: not run on a GPU yet." in page
    assert "](b.svg)" in page
    assert ElementTree.parse(tiny / "b.svg").getroot().tag.endswith("svg")


def test_a_run_keeps_the_results_of_the_other_device(tiny: Path, tmp_path: Path) -> None:
    results = json.loads((tiny / "b.json").read_text("utf-8"))
    about = {"machine": {"processor": "a GPU", "cores": 1, "versions": {}}, "date": "-", "rounds": 1}
    path = tmp_path / "b.json"
    path.write_text(json.dumps({"cpu": results["cpu"], "cuda": {**about, "entries": []}}), encoding="utf-8")
    run = _bench(*TINY, "--sections", "grid", "--dtypes", "uint8", "--threads", "1", "--json", str(path))
    assert run.returncode == 0, run.stderr
    after = json.loads(path.read_text("utf-8"))
    assert after["cuda"]["machine"]["processor"] == "a GPU"
    assert {e["cell"]["section"] for e in after["cpu"]["entries"]} == {"grid"}


def test_a_part_of_the_cells_is_never_published() -> None:
    run = _bench("--publish", "--quick")
    assert run.returncode == 2
    assert "--publish: got it with --quick, expected a complete run" in run.stderr


def test_cells_that_do_not_exist_are_refused() -> None:
    run = _bench("--cells", "nothing/*")
    assert run.returncode == 1
    assert "--cells: got ['nothing/*'], which fits no cell" in run.stderr


def test_the_committed_page_is_what_the_committed_results_say(tmp_path: Path) -> None:
    page, plot = tmp_path / "benchmarks.md", tmp_path / "benchmarks.svg"
    results = ROOT / "docs" / "benchmarks.json"
    run = _bench("--render", "--json", str(_copy(results, tmp_path)), "--markdown", str(page))
    assert run.returncode == 0, run.stderr
    assert page.read_text("utf-8") == (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    assert plot.read_text("utf-8") == (ROOT / "docs" / "benchmarks.svg").read_text("utf-8")


@pytest.mark.usefixtures("scripts")
def test_the_scenes_are_well_formed_and_a_sample_does_not_depend_on_the_batch() -> None:
    from benchmark.cells import Cell  # pyright: ignore[reportMissingImports]
    from benchmark.ours import batch_of, config_of  # pyright: ignore[reportMissingImports]
    from benchmark.scenes import draw_scenes  # pyright: ignore[reportMissingImports]

    from segpaste.paste import apply, draw_plan

    cell = Cell("modalities", 4, 48, 1, 6, slots=12, all_modalities=True)
    scenes = draw_scenes(cell)
    batch = batch_of(cell, scenes)
    batch.validate()
    assert all(1 <= len(scene.shapes) <= 6 for scene in scenes)
    alone = draw_scenes(Cell("modalities", 2, 48, 1, 6, slots=12, all_modalities=True))
    assert all(
        (a.image == b.image).all() and (a.masks == b.masks).all() for a, b in zip(alone, scenes, strict=False)
    )

    config = config_of(cell)
    plan = draw_plan(batch, batch, torch.arange(4), config)
    pasted = apply(batch, batch, plan, config, executor="reference")
    assert bool((pasted.images != batch.images).flatten(1).any(dim=1).all())


@pytest.mark.usefixtures("scripts")
def test_a_process_that_ends_is_reported_and_the_others_go_on() -> None:
    from benchmark import conductor  # pyright: ignore[reportMissingImports]
    from benchmark.cells import Cell  # pyright: ignore[reportMissingImports]

    cell = Cell("grid", 2, 16, 1, 2, slots=4)
    with (
        conductor.ours(1, "cpu", "reference") as own,
        conductor.Worker([sys.executable, "-c", "raise SystemExit('no such library')"], 1, 60.0) as broken,
    ):
        entries = conductor.measure(cell, {"ours-1": own, "kornia": broken}, rounds=1, budgets={})
    by_name = {entry["contender"]: entry for entry in entries}
    assert by_name["kornia"]["error"] == "process ended: no such library"
    assert by_name["apply_out"]["rounds"] == 1
    assert conductor.failures_of_ours(entries) == []


@pytest.mark.usefixtures("scripts")
def test_a_slow_peer_gets_fewer_rounds_and_is_compared_with_the_floor_of_those() -> None:
    from benchmark import conductor  # pyright: ignore[reportMissingImports]
    from benchmark.cells import Cell  # pyright: ignore[reportMissingImports]

    sleeper = (
        "import sys, time; sys.path.insert(0, '.'); from benchmark import protocol; "
        "protocol.serve(lambda request: {'kornia': lambda r: time.sleep(0.02)})"
    )
    cell = Cell("grid", 2, 16, 1, 2, slots=4)
    with (
        conductor.ours(1, "cpu", "reference") as own,
        conductor.Worker([sys.executable, "-c", sleeper], 1, 60.0) as slow,
    ):
        workers = {"ours-1": own, "kornia": slow}
        entries = conductor.measure(cell, workers, rounds=6, budgets={"kornia": 0.01})
    by_name = {entry["contender"]: entry for entry in entries}
    assert by_name["kornia"]["rounds"] == 3
    assert by_name["kornia"]["ms"] >= 20
    assert by_name["kornia"]["ratio"] > 0
    assert by_name["memcpy"]["rounds"] == 6


@pytest.mark.usefixtures("scripts")
def test_every_peer_has_a_requirements_file_and_a_line_on_what_it_does() -> None:
    from benchmark.peers import ENVIRONMENTS, PEERS, REQUIREMENTS  # pyright: ignore[reportMissingImports]

    assert sorted(path.stem for path in REQUIREMENTS.glob("*.txt")) == sorted(ENVIRONMENTS)
    assert all("==" in (REQUIREMENTS / f"{name}.txt").read_text("utf-8") for name in ENVIRONMENTS)
    assert all(len(peer.does) > 40 for peer in PEERS.values())


@pytest.mark.usefixtures("scripts")
def test_marks_are_judged_from_the_results() -> None:
    from benchmark import cells, page  # pyright: ignore[reportMissingImports]

    facts = {"kernels": 7, "copies": 1, "scratch_bytes": 3 * 2**30, "synchronises": False}
    main, other = (cell.to_dict() for cell in (cells.cuda()[0], cells.cuda()[2]))
    entries = [
        _entry(main, "memcpy", 1.0),
        _entry(main, "fused_out", 2.5) | {"facts": facts},
        _entry(main, "fused_fresh", 2.0) | {"facts": facts},
        _entry(main, "graph_compiled", 5.0) | {"facts": {"error": "no profiler"}},
        _entry(main, "graph_eager", 9.0) | {"facts": facts},
        _entry(other, "graph_eager", 9.0) | {"facts": {**facts, "kernels": 9}},
    ]
    about = {"machine": {"processor": "a GPU", "cores": 1, "versions": {}}, "date": "-", "rounds": 3}
    text = page.render({"cuda": {**about, "entries": entries}}, "b.svg")
    cell = "32,1024,1-16, K=32, uint8"
    assert f"| fused, `out=` : copy | {cell} | 2.5 x | 2 x | **MISS** |" in text
    assert f"| graph, compiled : copy | {cell} | 5 x | 5 x | pass |" in text
    # (inputs + scratch, the fresh output being part of it) / (inputs + outputs): 35 bytes a pixel.
    assert f"| fused, peak memory : (inputs + outputs) | {cell} | 1.87 x | 1.5 x | **MISS** |" in text
    assert "| calls that wait for the device | all cells | 0 | 0 | pass |" in text
    assert "| graph, eager: spread of kernel launches over B, size, K | grid | 2 | 0 | **MISS** |" in text
    assert f"| {cell} | graph, compiled | failed: no profiler | - | - | - |" in text


def _entry(cell: dict[str, Any], contender: str, ratio: float) -> dict[str, Any]:
    figures = {"rounds": 3, "ms": ratio, "quartiles_ms": [ratio, ratio], "ratio": ratio}
    return {"cell": cell, "contender": contender, "threads": 1, **figures}


def _copy(path: Path, folder: Path) -> Path:
    copied = folder / path.name
    copied.write_bytes(path.read_bytes())
    return copied
