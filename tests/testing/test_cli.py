"""The command line: exit codes, one line for every wrong use, plain output, whole files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import segpaste.integrations
from segpaste.cli import main
from segpaste.cli.laws import law_entries
from segpaste.integrations import DataError
from segpaste.testing.judge import COMPLETES, applicable_laws, every_law, law_names

ROOT = Path(__file__).resolve().parents[2]
FEW = ["--examples", "3", "--modalities", "instance+semantic"]
WRONG = "tests.testing.augmentations:raises_with_rows"


@pytest.fixture(autouse=True)
def _no_photographs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Labelling photographs takes seconds, and has tests of its own."""

    def missing() -> Any:
        raise DataError("demo photographs: left out of this test")

    if "photographs" not in request.keywords:
        monkeypatch.setattr(segpaste.integrations, "demo_photographs", missing, raising=False)


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """Two images of 12 x 16 pixels with COCO instances, one polygon each."""
    folder = tmp_path / "tiny"
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in (1, 2):
        pixels = np.full((12, 16, 3), 40 * number, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 12, "width": 16})
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "segmentation": [[2, 2, 8, 2, 8, 7, 2, 7]],
                "bbox": [2, 2, 6, 5],
                "area": 30,
            }
        )
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cup"}]}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def test_all_laws_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "reference", *FEW]) == 0
    out, err = capsys.readouterr()
    assert "reference: " in out
    assert "0 failed" in out
    assert "no photographs, drawn scenes only: demo photographs: left out" in out
    assert "Traceback" not in out + err


def test_the_table_is_plain_and_fits_a_hundred_columns(capsys: pytest.CaptureFixture[str]) -> None:
    main(["verify", "reference", *FEW])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\r" not in out
    table = [line for line in out.splitlines() if line.startswith("  ") and re.search(r"\d+ / \d+", line)]
    assert len(table) == len(law_names())
    assert max(map(len, table)) <= 100
    assert re.search(r"drawn: 3 examples, \d with a non-empty paste union", out)


def test_violations_exit_with_1_and_name_law_and_replay(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        ["verify", WRONG, "--examples", "30", "--modalities", "instance+semantic", "--only", COMPLETES]
    )
    out = capsys.readouterr().out
    assert code == 1
    assert "[target.completes] raised IndexError" in out
    line = re.search(r"replay ([0-9a-f]{8}): segpaste (replay .*)", out)
    assert line
    assert main(line.group(2).split()) == 1
    assert "still failing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "nothing"], "target: got 'nothing', expected module:attribute or one of reference"),
        (
            ["verify", "no_such:aug"],
            "no_such:aug: cannot import no_such: raised ModuleNotFoundError: No module named 'no_such'\n",
        ),
        (["verify", "--modalities", "colour"], "--modalities: got 'colour', expected one of instance, "),
        (["verify", "--only", "nothing.*"], "--only: got 'nothing.*', which matches no law"),
        (["verify", "--examples", "0"], "--examples: got 0, expected 1 or more"),
        (["verify", "--examples", "few"], "Invalid value for '--examples'"),
        (["verify", "--seed", "x"], "as an integer. See `segpaste --help`."),
        (["verify", "--device", "tpu"], "--device: got 'tpu', expected 'cpu' or 'cuda'"),
        (["verify", "--data", "no_such_folder"], "--data: no_such_folder: no such folder"),
        (["verify", "--json", "no_such_folder/r.json"], "--json: no such folder no_such_folder"),
        (["verify", "--json", "."], "--json: . is a folder, expected a file"),
        (["verify", "--html", "/dev/null/report"], "--html: cannot make the folder /dev/null/report"),
        (["verify", "--colour"], "No such option: --colour"),
        (["laws", "--only", "nothing.*"], "--only: got 'nothing.*', which matches no law"),
        (["nothing"], "No such command 'nothing'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_exits_with_2_and_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.endswith("...")]
    assert len(lines) == 1
    assert lines[0].startswith("segpaste: ")
    assert message in lines[0] + "\n"
    assert "Traceback" not in out + err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "nothing.*"],
        ["--device", "tpu"],
        pytest.param(
            ["--device", "cuda"],
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there"),
        ),
        ["--modalities", "colour"],
        ["--examples", "0"],
        ["--json", "no_such_folder/r.json"],
        ["--html", "/dev/null/report"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("data", [[], ["--data", "."]], ids=["demo", "folder"])
def test_what_needs_no_data_is_refused_before_any_are_read(
    arguments: list[str], data: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read: list[object] = []
    monkeypatch.setattr(segpaste.integrations, "demo_photographs", lambda: read.append("demo") or [])
    monkeypatch.setattr(segpaste.integrations, "load_data", lambda *a, **k: read.append(a) or [])
    assert main(["verify", "reference", *arguments, *data]) == 2
    assert read == []
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"segpaste: {arguments[0]}: ")


def test_a_report_that_could_not_be_put_in_place_is_refused_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.html").mkdir()
    assert main(["verify", *FEW, "--html", str(tmp_path)]) == 2
    assert "index.html is a folder, expected a file" in capsys.readouterr().err


def test_a_module_that_leaves_the_program_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "script_without_guard.py").write_text("import sys\n\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["verify", "script_without_guard:paste"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.endswith("...")]
    assert line.endswith(
        "cannot import script_without_guard: raised SystemExit: 0 (script_without_guard.py:3)"
    )


def test_an_augmentation_that_leaves_the_program_is_a_violation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "tests.testing.augmentations:gives_up", *FEW, "--only", COMPLETES]) == 1
    assert "[target.completes] raised SystemExit: 0" in capsys.readouterr().out


def test_an_internal_error_is_neither_a_verdict_nor_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("segpaste.testing.engine.sweep", broken)
    assert main(["verify", "reference", *FEW]) == 70
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "RuntimeError: a mistake of ours" in err
    assert err.splitlines()[-1] == "segpaste: internal error: no verdict"


WARNING = "warning: no example had a non-empty paste union: the laws of pasting were not put to the test"


def test_a_target_that_never_pastes_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    never = ["verify", "tests.testing.augmentations:identity", *FEW]
    assert main([*never, "--json", str(tmp_path / "r.json"), "--html", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines().count(WARNING) == 1
    assert json.loads((tmp_path / "r.json").read_text())["targets"][0]["notes"] == [WARNING]
    assert (tmp_path / "index.html").read_text().count(WARNING) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["reference", "--examples", "20"],
        ["tests.testing.augmentations:identity", "--examples", "3", "--only", "sample.*"],
    ],
    ids=["it pastes", "no law of pasting"],
)
def test_there_is_no_warning_without_need(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "r.json"
    assert main(["verify", *arguments, "--modalities", "instance+semantic", "--json", str(file)]) == 0
    assert "warning:" not in capsys.readouterr().out
    assert json.loads(file.read_text())["targets"][0]["notes"] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--device", "cuda"]) == 2
    assert "--device: got 'cuda', but torch finds no CUDA device" in capsys.readouterr().err


def test_real_data_goes_through_the_same_laws(
    data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    assert main(["verify", "--data", str(data_folder), "--examples", "12", "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert [target["target"] for target in report["targets"]] == ["reference", "batched"]
    for target in report["targets"]:
        assert [group["group"] for group in target["examples"]] == ["drawn", "tiny/instances"]
        assert [group["examples"] for group in target["examples"]] == [12, 12]
        assert target["non_empty_unions"]["real"] == target["examples"][1]["pasted"] > 0
    assert report["folders"] == [str(data_folder)]
    assert "tiny/instances: 2 samples, 2 instances, 12 x 16" in capsys.readouterr().out


def test_bad_records_are_wrong_usage_or_counted(
    data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (data_folder / "images" / "2.png").read_bytes()
    (data_folder / "images" / "2.png").write_bytes(whole[: len(whole) // 2])
    arguments = ["verify", "--data", str(data_folder), *FEW[:2]]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "2.png" in err
    assert "Traceback" not in err
    file = tmp_path / "report.json"
    assert main([*arguments, "--skip-bad", "--json", str(file)]) == 0
    assert "skipped: 1 bad records" in capsys.readouterr().out
    assert len(json.loads(file.read_text())["skipped"]) == 1


def test_modalities_reduce_real_data_too(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", "--data", str(data_folder), "--examples", "2", "--only", COMPLETES]
    assert main([*arguments, "--modalities", "semantic+depth"]) == 2
    assert "--modalities: no data set has any of semantic+depth" in capsys.readouterr().err
    assert main([*arguments, "--modalities", "semantic+depth,instance"]) == 0
    assert re.search(r"instances: 2 samples.*, instance$", capsys.readouterr().out, flags=re.MULTILINE)


def test_json_says_it_all(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    code = main(["verify", WRONG, "--examples", "30", "--modalities", "instance", "--json", str(file)])
    assert code == 1
    report = json.loads(file.read_text())
    assert report["format"] == 1
    assert report["ok"] is False
    assert report["seed"] == 0
    assert report["device"] == "cpu"
    assert {"segpaste", "torch", "python", "hypothesis"} <= set(report["versions"])
    (target,) = report["targets"]
    assert [law["law"] for law in target["laws"]] == applicable_laws("paste")
    by_name = {law["law"]: law for law in target["laws"]}
    failed = by_name[COMPLETES]
    assert failed["status"] == "failed"
    assert re.fullmatch(r"[0-9a-f]{8}", failed["replay_id"])
    assert failed["first_violation"].startswith("[target.completes] raised IndexError")
    assert failed["replay"] == f"segpaste replay {failed['replay_id']}"
    assert Path(failed["stored"]).name == f"{failed['replay_id']}.safetensors"
    assert "import raises_with_rows as aug" in failed["minimal"]["code"]
    held = by_name["sample.shapes_agree"]
    assert (held["status"], held["replay_id"], held["minimal"]) == ("passed", None, None)
    assert 0 < held["exercised"] <= held["tried"] <= 30
    assert held["examples_per_second"] > 0
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_laws_are_listed_with_everything_known_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["laws", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [law["law"] for law in listed] == every_law()
    assert all(law["statement"] and law["caught"] for law in listed)
    assert main(["laws", "--only", "normals.*"]) == 0
    out = capsys.readouterr().out
    assert "modalities:" in out
    assert "caught:" in out
    assert all(entry.law in out for entry in law_entries("normals.*"))
    assert max(map(len, out.splitlines())) <= 100


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"segpaste \S+\n", capsys.readouterr().out)


def test_ctrl_c_exits_with_130_and_leaves_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("segpaste.testing.engine.sweep", interrupted)
    assert main(["verify", *FEW, "--json", str(tmp_path / "r.json"), "--html", str(tmp_path)]) == 130
    err = capsys.readouterr().err
    assert err.splitlines()[-1] == "segpaste: interrupted"
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_as_a_program_it_says_something_at_once_and_exits_by_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def paste(target, donor, seed):\n    return None\n")
    (tmp_path / "skimage.py").write_text("")  # hides the wheel, so that there are no photographs
    command = [sys.executable, "-c", "import sys; from segpaste.cli import main; sys.exit(main())"]
    run = subprocess.run(
        [*command, "verify", "mine:paste", "--examples", "2", "--only", COMPLETES],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    assert run.stderr.startswith("segpaste: loading torch ...")
    assert "returned a NoneType, expected a DenseSample" in run.stdout
