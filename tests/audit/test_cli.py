"""The commands ``segpaste audit`` and ``segpaste presets``: exit codes, one line for wrong usage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segpaste.audit import fitted, made_sets
from segpaste.cli import main
from segpaste.integrations import load_data
from segpaste.presets import PresetConfig, get_preset, list_presets, registry
from tests.audit.test_audit import _break_boxes

QUICK = ["--samples", "4", "--gallery", "1"]


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """Two photographs with one object each, COCO panoptic, classes 1 (thing) and 92 (stuff)."""
    root = tmp_path / "flowers"
    (root / "photos").mkdir(parents=True)
    (root / "labels").mkdir()
    draw = np.random.default_rng(0)
    images, annotations = [], []
    for number in (1, 2):
        ids = np.full((40, 60), 2)
        ids[8 * number : 8 * number + 14, 15:40] = 3
        png = np.stack([ids, ids * 0, ids * 0], axis=2).astype(np.uint8)
        Image.fromarray(png).save(root / "labels" / f"{number}.png")
        Image.fromarray(draw.integers(0, 255, (40, 60, 3), np.uint8)).save(root / "photos" / f"{number}.jpg")
        images.append({"id": number, "file_name": f"{number}.jpg", "height": 40, "width": 60})
        segments = [{"id": 3, "category_id": 1, "iscrowd": 0}, {"id": 2, "category_id": 92, "iscrowd": 0}]
        annotations.append({"image_id": number, "file_name": f"{number}.png", "segments_info": segments})
    categories = [{"id": 1, "isthing": 1, "name": "person"}, {"id": 92, "isthing": 0, "name": "banner"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "labels.json").write_text(json.dumps(content))
    return root


def test_an_audit_of_a_folder(flowers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["audit", "--preset", "coco-panoptic", "--data", str(flowers), "--out", str(out), *QUICK]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "flowers/" in said
    assert "all laws hold" in said
    assert f"wrote {out / 'index.html'}" in said
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main(command) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    assert json.loads(first["manifest.json"])["data"][0]["images"] == 2
    assert str(tmp_path) not in first["index.html"].decode()


def test_records_left_out_are_counted_and_named_within_the_folder(
    flowers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((flowers / "labels.json").read_text())
    content["images"].append({"id": 3, "file_name": "3.jpg", "height": 40, "width": 60})
    segments = [{"id": 2, "category_id": 92, "iscrowd": 0}]
    content["annotations"].append({"image_id": 3, "file_name": "3.png", "segments_info": segments})
    (flowers / "labels.json").write_text(json.dumps(content))
    elsewhere = tmp_path / "elsewhere" / "flowers"
    shutil.copytree(flowers, elsewhere)
    outs: list[dict[str, bytes]] = []
    for folder in (flowers, elsewhere):
        out = tmp_path / f"out{len(outs)}"
        command = ["audit", "--preset", "coco-panoptic", "--data", str(folder), "--skip-bad", *QUICK]
        assert main([*command, "--out", str(out)]) == 0
        assert "  1 record left out that could not be read" in capsys.readouterr().out
        outs.append({path.name: path.read_bytes() for path in out.iterdir()})
    page = outs[0]["index.html"].decode()
    assert "skipped: " in page
    assert str(tmp_path) not in page
    assert outs[0] == outs[1]


def test_a_preset_from_a_file_and_a_violation(
    flowers: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = get_preset("coco-panoptic").model_dump() | {"name": "mine", "large_scale_jitter": None}
    file = tmp_path / "mine.yaml"
    file.write_text(PresetConfig.model_validate(mine).to_yaml(), encoding="utf-8")
    _break_boxes(monkeypatch)
    out = tmp_path / "out"
    command = ["audit", "--preset", str(file), "--data", str(flowers), "--out", str(out), *QUICK]
    assert main(command) == 1
    said = capsys.readouterr().out
    assert "violated instance.boxes_are_tight: pasted" in said
    assert "some laws are violated" in said
    assert "violation-1-1.png" in {path.name for path in out.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "coco"], "--preset: got 'coco', expected one of"),
        (["--preset", "nowhere.yaml"], "--preset: cannot read nowhere.yaml: No such file"),
        (["--preset", "coco-panoptic", "--samples", "1"], "--samples: got 1, expected 2 or more"),
        (["--preset", "coco-panoptic", "--seed", "-1"], "--seed: got -1"),
        (["--preset", "coco-panoptic", "--gallery", "-1"], "--gallery: got -1, expected 0 or more"),
        (["--preset", "coco-panoptic", "--size", "big"], "--size: got 'big', expected a number"),
        (["--preset", "coco-panoptic", "--size", "9", "--no-jitter"], "--size: got a canvas without"),
        (["--preset", "coco-panoptic", "--bank", "b"], "--bank: got one for 'coco-panoptic'"),
        (["--preset", "lvis-rare", "--bank", "nowhere"], "--bank: "),
        (["--preset", "coco-panoptic", "--data", "nowhere"], "--data: nowhere: no such folder"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["audit", "--out", "out", *arguments]) == 2
    captured = capsys.readouterr()
    line = captured.err.splitlines()[-1]
    assert line.startswith(f"segpaste: {message}")
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_audit_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert main(["audit", "--preset", "coco-panoptic", "--out", str(tmp_path)]) == 2
    assert "exists and is no audit" in capsys.readouterr().err
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "is no YAML"),
        ("name: mine", "description: Field required"),
        ("name: 2001-13-45", "is no YAML: month must be in 1..12"),
        ("7", "mine.yaml: got '7', expected YAML of a preset's fields"),
    ],
)
def test_a_preset_file_that_is_none_is_one_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert main(["audit", "--preset", str(file), "--out", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_classes_of_another_data_set_are_told(
    flowers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["audit", "--preset", "nyu-depth", "--data", str(flowers), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "--relabel" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_names_of_another_data_set_are_noted(flowers: Path) -> None:
    content = json.loads((flowers / "labels.json").read_text())
    content["categories"][0]["name"] = "tulip"
    (flowers / "labels.json").write_text(json.dumps(content))
    _, notes = fitted(get_preset("coco-panoptic"), load_data(flowers))
    assert [note.partition(": ")[2] for note in notes if "tulip" in note] == [
        "class 1 is 'tulip' in the data and 'person' in the preset; the preset's names are shown"
    ]


def test_presets_are_listed_and_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    assert main(["presets"]) == 0
    listed = capsys.readouterr().out
    assert [line for line in listed.splitlines() if not line.startswith(" ")] == list_presets()
    assert main(["presets", "nyu-depth"]) == 0
    assert PresetConfig.from_yaml(capsys.readouterr().out) == get_preset("nyu-depth")
    assert main(["presets", "nyu"]) == 2
    assert "did you mean 'nyu-depth'" in capsys.readouterr().err


def test_without_data_there_are_scenes_and_photographs() -> None:
    sets, notes = made_sets(get_preset("nyu-depth"), 3, 0)
    names: list[Any] = [each.name for each in sets]
    assert names[0] == "drawn scenes"
    assert len(sets) > 1 or "no photographs" in notes[0]
