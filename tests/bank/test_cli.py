"""``segpaste bank``: what is printed and written, exit codes, one line for every wrong use."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segpaste.viz
from segpaste.bank import open_bank, write_bank
from segpaste.bank.build import BuildProgress
from segpaste.bank.meta import BankHead
from segpaste.cli import main
from segpaste.cli.bank_build import PlainProgress, RichProgress
from segpaste.cli.bank_sample import chi_square
from segpaste.cli.words import duration, size_in_words
from segpaste.viz import CropTile
from tests.bank.drawn_bank import drawn_bank

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of banks: ``plain`` (40 crops), ``rich`` (with depth and normals), ``many`` classes."""
    folder = tmp_path_factory.mktemp("banks")
    drawn_bank(folder / "plain", 40)
    drawn_bank(folder / "rich", 6, depth=True, normals=True, intrinsics=True, metric=True, some_without=True)
    drawn_bank(folder / "many", 300, crop_size=(4, 4), classes=range(3, 60))
    write_bank(folder / "empty", BankHead(crop_size=(4, 4), num_classes=3), [], backend="memmap", count=0)
    return folder


@pytest.fixture
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: two images, three cups, a saucer of which there is a crowd, and a crumb."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    images, annotations = [], []
    for number in (1, 2):
        pixels = np.full((12, 16, 3), 40 * number, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 12, "width": 16})
    for number, (image, category, crowd, side) in enumerate(
        [(1, 1, 0, 6), (1, 1, 0, 5), (1, 2, 1, 4), (2, 1, 0, 6), (2, 2, 0, 1)], start=1
    ):
        polygon = [2, 2, 2 + side, 2, 2 + side, 2 + side, 2, 2 + side]
        annotations.append(
            {
                "id": number,
                "image_id": image,
                "category_id": category,
                "iscrowd": crowd,
                "segmentation": {"counts": [0, 192], "size": [12, 16]} if crowd else [polygon],
                "bbox": [2, 2, side, side],
                "area": side * side,
            }
        )
    categories = [{"id": 1, "name": "cup"}, {"id": 2, "name": "saucer"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path


BUILD = ["bank", "build", "instances.json", "images", "cups", "--crop-size", "8"]


def test_a_bank_is_built_and_summed_up(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BUILD, "--min-area", "2", "--dataset", "tea"]) == 0
    out, err = capsys.readouterr()
    bank = open_bank(coco / "cups")
    assert bank.class_frequencies.tolist() == [0, 3, 0]
    assert bank[0].provenance.dataset == "tea"
    assert out.splitlines()[:5] == [
        "bank      cups",
        f"version   {bank.version}",
        "crops     3 of 8 x 8 pixels, 1 class",
        "left out  crowd regions (1), objects smaller than the least area (1)",
        "size      1.5 kB in 3 files",
    ]
    assert re.fullmatch(r"time      [\d.]+ s, [\d,]+ crops/s", out.splitlines()[-1])
    assert err.splitlines()[0] == "segpaste: reading instances.json ..."
    assert re.search(r"^cutting: 1 of 1 shard, 3 crops, [\d,]+ crops/s$", err, re.MULTILINE)
    assert re.search(r"^writing: 3 of 3 crops, [\d,]+ crops/s$", err, re.MULTILINE)
    assert not CONTROL.search(out + err)
    assert [path.name for path in coco.iterdir() if path.name.startswith(".")] == []


def test_the_same_command_again_finds_the_bank_built(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(BUILD) == 0
    first = capsys.readouterr().out.splitlines()
    assert main(BUILD) == 0
    again = capsys.readouterr().out.splitlines()
    assert again == ["cups is already built, from the same files with the same options", *first[:-1]]


def test_another_build_into_a_bank_is_refused(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(BUILD) == 0
    before = {file.name: file.read_bytes() for file in (coco / "cups").iterdir()}
    for option in (["--min-area", "3"], ["--fresh"]):
        capsys.readouterr()
        assert main([*BUILD, *option]) == 2
        assert "cups: exists" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in (coco / "cups").iterdir()} == before


def test_height_comes_before_width_and_options_reach_the_source(coco: Path) -> None:
    rest = ["--crop-size", "3x5", "--oversize", "skip", "--model", "sam"]
    assert main(["bank", "build", "instances.json", "images", "cups", *rest]) == 0
    bank = open_bank("cups")
    assert bank.crop_size == (3, 5)
    assert bank.class_frequencies.tolist() == [0, 0, 1]
    assert bank[0].provenance.model == "sam"


def test_an_interrupted_build_says_so_and_goes_on(
    coco: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: PlainProgress, progress: BuildProgress) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PlainProgress, "__call__", interrupt)
        assert main(BUILD) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("segpaste: interrupted; the same command goes on where it stopped\n")
    assert not (coco / "cups").exists()
    seen: list[BuildProgress] = []
    monkeypatch.setattr(PlainProgress, "__call__", lambda self, progress: seen.append(progress))
    assert main(BUILD) == 0
    assert [(p.stage, p.shards_done) for p in seen[:2]] == [("checking", 1), ("cutting", 1)]
    assert seen[0].crops_per_second == 0  # nothing is cut a second time
    elsewhere = [*BUILD[:4], "other", *BUILD[5:]]
    assert main(elsewhere) == 0
    for file in (coco / "other").iterdir():
        assert file.read_bytes() == (coco / "cups" / file.name).read_bytes()


def test_bad_entries_stop_a_build_or_are_listed(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((coco / "instances.json").read_text())
    content["annotations"][0]["image_id"] = 99
    (coco / "instances.json").write_text(json.dumps(content))
    assert main(BUILD) == 2
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith(
        "segpaste: instances.json: annotation 1: got image_id 99, expected"
    )
    assert main([*BUILD, "--skip-bad"]) == 0
    assert "skipped   instances.json: annotation 1: got image_id 99, expected" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"--crop-size": "wide"},
            "--crop-size: got 'wide', expected a number such as 128, or height x width",
        ),
        ({"--crop-size": "0"}, "--crop-size: got '0', expected (h, w), each 1 to 65536"),
        ({"--crop-size": "8x0"}, "--crop-size: got '8x0', expected (h, w), each 1 to 65536"),
        ({"--crop-size": "40000"}, "--crop-size: got '40000', expected (h, w) of at most 67108864 pixels"),
        ({"--min-area": "-1"}, "--min-area: got -1, expected an integer of 0 or more"),
        ({"--min-area": "few"}, "Invalid value for '--min-area'"),
        ({"--oversize": "cut"}, "--oversize: got 'cut', expected one of shrink, skip"),
        ({"--backend": "zarr"}, "--backend: got 'zarr', expected one of memmap, lmdb, webdataset"),
        ({"--engine": "dask"}, "--engine: got 'dask', expected one of local, ray"),
        ({"--workers": "0"}, "--workers: got 0, expected an integer of 1 or more"),
        ({"--ray-address": "auto"}, "--ray-address: got 'auto' with engine 'local', expected engine 'ray'"),
        ({"--panoptic": "nowhere"}, "--panoptic: got nowhere, expected a folder"),
        ({"json": "nothing.json"}, "COCO_JSON: got nothing.json, expected a file"),
        ({"json": "images"}, "COCO_JSON: got images, expected a file"),
        ({"json": "images/1.png"}, "images/1.png: not readable as JSON"),
        ({"images": "instances.json"}, "IMAGES: got instances.json, expected a folder"),
        ({"out": "nowhere/cups"}, "nowhere is no folder, expected one that exists"),
        ({"out": "."}, "OUT: got '.', expected the name of a new folder"),
        ({"out": "images"}, "images: exists and is no bank of this build"),
    ],
)
def test_wrong_builds_are_one_line(
    changed: dict[str, str], message: str, coco: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"json": "instances.json", "images": "images", "out": "cups", **changed}
    options = {"--crop-size": "8", **{k: v for k, v in changed.items() if k.startswith("--")}}
    arguments = [part for option in options.items() for part in option]
    _assert_refused(
        ["bank", "build", places["json"], places["images"], places["out"], *arguments], message, capsys
    )
    assert not (coco / "cups").exists()


@pytest.mark.parametrize(
    "option",
    [
        {"--crop-size": "0"},
        {"--min-area": "-1"},
        {"--oversize": "cut"},
        {"--backend": "zip"},
        {"--engine": "dask"},
        {"--workers": "0"},
        {"out": "dangling"},
    ],
)
def test_wrong_options_are_refused_before_the_json_is_read(
    option: dict[str, str], coco: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (coco / "instances.json").write_text("{")
    (coco / "dangling").symlink_to("nowhere")
    options = {"--crop-size": "8", **{k: v for k, v in option.items() if k != "out"}}
    arguments = [part for each in options.items() for part in each]
    assert main(["bank", "build", "instances.json", "images", option.get("out", "cups"), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "got" in line
    assert "JSON" not in line


def _assert_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    *before, last = err.splitlines()
    assert last.startswith("segpaste: ")
    assert message in last
    assert all(line.startswith(("segpaste: reading", "cutting: ")) for line in before)
    assert out == ""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _progress(stage: Any, done: int, seconds_left: float | None) -> BuildProgress:
    return BuildProgress(
        stage=stage,
        shards_done=done,
        shards_total=2000,
        crops=100 * done,
        written=7 * done,
        left_out={},
        seconds=3.0,
        crops_per_second=1234.5,
        seconds_left=seconds_left,
    )


def test_progress_on_a_terminal_is_a_bar_with_rate_and_remaining_time() -> None:
    stream = _Terminal()
    progress = RichProgress(stream)
    progress(_progress("cutting", 20, 75.0))
    progress(_progress("writing", 20, 0.5))
    progress.stop()
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert re.search(r"cutting .*20 of 2,000 shards, 2,000 crops, 1,234 crops/s, 1:15 min left", plain)
    assert re.search(r"writing .*140 of 2,000 crops, 1,234 crops/s, 0\.5 s left", plain)


def test_checking_is_the_first_bar_where_there_is_some() -> None:
    stream = _Terminal()
    progress = RichProgress(stream)
    progress(_progress("checking", 20, 75.0))
    progress(_progress("cutting", 20, None))
    progress.stop()
    *_, one, two = [
        line for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).splitlines() if line
    ]
    assert re.fullmatch(r"checking .*20 of 2,000 shards, 1:15 min left *", one)
    assert re.fullmatch(r"cutting .*20 of 2,000 shards, 2,000 crops, 1,234 crops/s *", two)


def test_progress_elsewhere_is_a_line_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("segpaste.cli.bank_build.time.monotonic", lambda: now)
    stream = io.StringIO()
    progress = PlainProgress(stream)
    for second in range(12):
        now = 100.0 + second
        progress(_progress("cutting", second, None))
    progress(_progress("cutting", 2000, 0.0))
    lines = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "cutting: 5 of 2",
        "cutting: 10 of 2",
        "cutting: 2",
    ]
    assert lines[-1] == "cutting: 2,000 of 2,000 shards, 200,000 crops, 1,234 crops/s"


def test_info_lists_classes_and_says_what_the_crops_carry(
    banks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bank", "info", str(banks / "rich"), "--threshold", "0.5"]) == 0
    out = capsys.readouterr().out
    bank = open_bank(banks / "rich")
    assert f"version   {bank.version}\ncrops     6 of 16 x 20 pixels\n" in out
    assert "carries   image, mask, depth (3 crops, metric), normals (3 crops), intrinsics (3 crops)\n" in out
    rows = re.findall(r"^class-(\d)\s+(\d)\s+(\d+)\s+([\d.]+)%\s+([\d.]+)\s+█+ *$", out, re.MULTILINE)
    counts = bank.class_frequencies.tolist()
    assert [(int(a), int(b), int(n)) for a, b, n, _, _ in rows] == sorted(
        [(c, c, n) for c, n in enumerate(counts) if n], key=lambda row: -row[2]
    )
    for _, _, crops, share, factor in rows:
        assert float(share) == pytest.approx(100 * int(crops) / 6, abs=0.005)
        assert float(factor) == pytest.approx(max(1.0, (0.5 * 6 / int(crops)) ** 0.5), abs=0.005)
    assert not CONTROL.search(out)


def test_info_as_json_says_the_same(banks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bank", "info", str(banks / "plain"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    bank = open_bank(banks / "plain")
    assert (said["version"], said["content"], said["crops"]) == (bank.version, bank.meta.content, 40)
    assert said["bytes"] == sum((banks / "plain" / name).stat().st_size for name in bank.meta.files)
    assert {row["class_id"]: row["crops"] for row in said["classes"]} == {
        c: n for c, n in enumerate(bank.class_frequencies.tolist()) if n
    }
    assert sum(said["datasets"].values()) == 40
    assert said["built_from"] == {"seed": 0}


def test_of_many_classes_the_ends_are_listed(banks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    used = int((open_bank(banks / "many").class_frequencies > 0).sum())

    def listed(*options: str) -> tuple[int, str]:
        assert main(["bank", "info", str(banks / "many"), *options]) == 0
        out = capsys.readouterr().out
        return len(re.findall(r"^class-\d+ ", out, re.MULTILINE)), out

    assert listed()[0] == 30
    assert f"({used - 30} more classes)" in listed()[1]
    assert listed("--top", "3")[0] == 3
    assert listed("--top", "3", "--rare", "2")[0] == 5
    assert listed("--rare", "999")[0] == used
    assert "more classes" not in listed("--top", "999")[1]


def test_names_from_a_file_do_not_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = BankHead(crop_size=(4, 4), num_classes=3, class_names={1: "[red]\x1b[2Jcup", 2: "a\nb"})
    write_bank(tmp_path / "bank", head, [], backend="memmap", count=0)
    assert main(["bank", "info", str(tmp_path / "bank")]) == 0
    out = capsys.readouterr().out
    assert "no crops  of [red]?[2Jcup, a?b\n" in out
    assert not CONTROL.search(out)


def test_of_many_classes_without_crops_a_few_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = BankHead(crop_size=(4, 4), num_classes=9, class_names={c: f"c{c}" for c in range(1, 9)})
    write_bank(tmp_path / "bank", head, [], backend="memmap", count=0)
    assert main(["bank", "info", str(tmp_path / "bank")]) == 0
    assert "no crops  of c1, c2, c3, c4, c5 and 3 more\n" in capsys.readouterr().out


def test_an_empty_bank_is_described_and_not_drawn_from(
    banks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bank", "info", str(banks / "empty")]) == 0
    assert "crops     0 of 4 x 4 pixels" in capsys.readouterr().out
    for arguments in (["show", "--out", str(tmp_path / "a.png")], ["sample"]):
        _assert_refused(
            ["bank", arguments[0], str(banks / "empty"), *arguments[1:]], "has no crops to draw", capsys
        )


def test_a_whole_bank_is_clean(banks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bank", "verify", str(banks / "plain")]) == 0
    out, err = capsys.readouterr()
    version = open_bank(banks / "plain").version
    assert out == f"{banks / 'plain'}: {version}, 40 crops, 4 files: clean\n"
    assert err == f"segpaste: reading {banks / 'plain'} ...\n"
    assert main(["bank", "verify", str(banks / "plain"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": str(banks / "plain"),
        "version": version,
        "files": 4,
        "crops": 40,
        "problems": [],
        "clean": True,
    }


def test_every_problem_of_a_damaged_bank_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn_bank(tmp_path / "bank", 3)
    _flip(tmp_path / "bank" / "records.npy", -1)
    (tmp_path / "bank" / "stray").touch()
    assert main(["bank", "verify", str(tmp_path / "bank")]) == 1
    *problems, summary = capsys.readouterr().out.splitlines()
    assert [
        word for word in ("records.npy: ", "stray: ", "crop 2: ") if not any(word in p for p in problems)
    ] == []
    assert summary == f"{tmp_path / 'bank'}: 3 problems"
    assert main(["bank", "verify", str(tmp_path / "bank"), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["clean"], said["crops"], said["problems"]) == (False, 2, problems)


def test_a_missing_engine_is_no_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_bank(tmp_path / "bank", 2, backend="lmdb")
    monkeypatch.setitem(sys.modules, "lmdb", None)
    for command in ("info", "verify"):
        _assert_refused(["bank", command, str(tmp_path / "bank")], "backend 'lmdb' needs lmdb: pip", capsys)


@pytest.mark.parametrize("backend", ["lmdb", "webdataset"])
def test_a_bank_is_converted_and_back(
    backend: str, banks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, back = tmp_path / backend, tmp_path / "back"
    assert main(["bank", "convert", str(banks / "rich"), str(there), "--backend", backend]) == 0
    captured = capsys.readouterr()
    out = captured.out.splitlines()
    bank = open_bank(there)
    assert re.fullmatch(r"writing: 6 of 6 crops, [\d,]+ crops/s\n", captured.err)
    assert bank.version.split("@") == [backend, open_bank(banks / "rich").version.split("@")[1]]
    assert out[:3] == [
        f"bank      {there}",
        f"version   {bank.version}",
        "crops     6 of 16 x 20 pixels, 3 classes",
    ]
    assert main(["bank", "convert", str(there), str(back), "--backend", "memmap"]) == 0
    for file in (banks / "rich").iterdir():
        assert (back / file.name).read_bytes() == file.read_bytes()


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[CropTile], dict[str, Any]]]:
    """What was drawn: tiles and options."""
    drawn: list[tuple[list[CropTile], dict[str, Any]]] = []
    draw: Callable[..., Image.Image] = segpaste.viz.draw_contact_sheet

    def spy(tiles: list[CropTile], **options: Any) -> Image.Image:
        drawn.append((tiles, options))
        return draw(tiles, **options) if len(tiles) < 4 else Image.new("RGB", (9, 9))  # quick

    monkeypatch.setattr(segpaste.viz, "draw_contact_sheet", spy)
    return drawn


def _numbers(tiles: list[CropTile]) -> list[int]:
    return [int(re.findall(r"crop (\d+), ", tile.notes[0])[0]) for tile in tiles]


def test_show_draws_chosen_crops_in_their_order(
    banks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], sheets: list
) -> None:
    out = tmp_path / "sheet.png"
    assert main(["bank", "show", str(banks / "rich"), "--out", str(out), "--indices", "5, 0,5"]) == 0
    with Image.open(out) as picture:
        size = f"{picture.width} x {picture.height}"
    assert capsys.readouterr().out == f"wrote {out} (3 crops, {size} pixels)\n"
    ((tiles, options),) = sheets
    bank = open_bank(banks / "rich")
    assert _numbers(tiles) == [5, 0, 5]
    assert options["title"] == f"rich: 3 of 6 crops of 16 x 20, {bank.version}"
    assert tiles[0].name == bank.head.class_names[bank[5].class_id]
    area = int(bank[5].alpha.sum())
    said = bank[5].provenance
    assert tiles[0].notes == (
        f"crop 5, {area} px",
        f"{said.dataset}, image {said.image_id}, annotation {said.annotation_id}",
        f"{said.model}, score {said.score:.2f}",
    )
    assert tiles[1].depth is None


def test_show_draws_depth_and_normals_where_asked(banks: Path, tmp_path: Path, sheets: list) -> None:
    rest = ["--out", str(tmp_path / "a.png"), "--indices", "0,1", "--depth", "--columns", "1"]
    assert main(["bank", "show", str(banks / "rich"), *rest]) == 0
    tiles, options = sheets[0]
    assert [tile.depth is not None for tile in tiles] == [True, False]
    assert [tile.normals is not None for tile in tiles] == [True, False]
    assert options["columns"] == 1


def test_show_draws_by_seed_and_class(banks: Path, tmp_path: Path, sheets: list) -> None:
    def shown(*options: str) -> list[int]:
        assert main(["bank", "show", str(banks / "plain"), "--out", str(tmp_path / "a.png"), *options]) == 0
        return _numbers(sheets[-1][0])

    ids = open_bank(banks / "plain").crop_class_ids.tolist()
    assert sorted(shown()) == list(range(40))
    assert [ids[n] for n in shown()] == sorted(ids)
    few = shown("--count", "5", "--seed", "3")
    assert len(set(few)) == 5
    assert few == shown("--count", "5", "--seed", "3")
    assert few != shown("--count", "5", "--seed", "4")
    assert few != shown("--count", "5", "--seed", str(2**64 - 1))
    of_three = [n for n in range(40) if ids[n] == 3]
    assert shown("--class", "class-3") == of_three
    assert shown("--class", "3") == of_three
    assert {ids[n] for n in shown("--class", "class-3", "--class", "7")} == {3, 7}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "plain", "--indices", "40"], "--indices: got '40', expected numbers of crops, 0 to 39"),
        (["show", "plain", "--indices", "1,,2"], "--indices: got '', expected numbers of crops, 0 to 39"),
        (["show", "plain", "--indices", "-1"], "--indices: got '-1', expected numbers of crops, 0 to 39"),
        (["show", "plain", "--indices", "1", "--class", "3"], "--indices: got some beside --class"),
        (
            ["show", "plain", "--class", "clas-3"],
            "expected the name or id of one of the 3 classes with crops, such as 'class-3'",
        ),
        (["show", "plain", "--class", "8"], "--class: got '8', expected the name or id of one of the 3"),
        (["show", "plain", "--class", "2"], "--class: got '2', a class of which this bank has no crop"),
        (["show", "plain", "--count", "0"], "--count: got 0, expected 1 to 2000"),
        (["show", "plain", "--columns", "0"], "--columns: got 0, expected 1 or more"),
        (["show", "plain", "--indices", "٣"], "--indices: got '٣', expected numbers of crops, 0 to 39"),
        (["show", "plain", "--class", "٣"], "--class: got '٣', expected the name or id of one of the 3"),
        (["show", "plain", "--seed", "-1"], "--seed: got -1, expected 0 or more and less than 2**64"),
        (["show", "plain", "--seed", str(2**64)], f"--seed: got {2**64}, expected 0 or more and less than"),
        (["sample", "plain", "--seed", str(2**64)], f"--seed: got {2**64}, expected 0 or more and less than"),
        (["show", "plain", "--depth"], "whose crops carry neither depth nor normals"),
        (["show", "plain", "--out", "nowhere/a.png"], "--out: no such folder nowhere"),
        (["show", "plain", "--out", "plain"], "--out: plain is a folder, expected a file"),
        (["show", "plain", "--out", "a.jpg"], "--out: got a.jpg, expected a name that ends in .png"),
        (["show", "plain", "--out", "plain/a.png"], "--out: plain/a.png is inside of a bank, expected"),
        (["sample", "plain", "--out", "rich/../plain/a.PNG"], "is inside of a bank, expected another place"),
        (["sample", "plain", "--out", "plain/records.npy"], "expected a name that ends in .png"),
        (["show", "nowhere"], "BANK: nowhere: got nothing there, expected the folder of a bank"),
        (["info", "nowhere"], "BANK: nowhere: got nothing there, expected the folder of a bank"),
        (["info", "plain/meta.json"], "BANK: plain/meta.json: got a file, expected the folder of a bank"),
        (["info", "."], "BANK: .: got a folder without meta.json, expected the folder of a bank"),
        (["info", "plain", "--threshold", "0"], "--threshold: got 0.0, expected a share of the crops"),
        (["info", "plain", "--top", "0"], "--top: got 0, expected 1 or more"),
        (["sample", "plain", "--rare", "-2"], "--rare: got -2, expected 1 or more"),
        (["sample", "plain", "--count", "0"], "--count: got 0, expected 1 to 100,000,000"),
        (["sample", "plain", "--seed", "-1"], "--seed: got -1, expected 0 or more"),
        (["sample", "plain", "--threshold", "2"], "--threshold: got 2.0, expected a share of the crops"),
        (["sample", "plain", "--out", "nowhere/a.png"], "--out: no such folder nowhere"),
        (["sample", "nowhere"], "BANK: nowhere: got nothing there"),
        (["verify", "nowhere"], "BANK: nowhere: got nothing there, expected the folder of a bank"),
        (
            ["convert", "nowhere", "new", "--backend", "lmdb"],
            "nowhere: got nothing there, expected the folder",
        ),
        (["convert", "plain", "rich", "--backend", "memmap"], "rich: exists, expected a new path"),
        (["convert", "plain", "new", "--backend", "zarr"], "--backend: got 'zarr', expected one of"),
        (["convert", "nowhere", "new", "--backend", "zarr"], "--backend: got 'zarr', expected one of"),
        (["convert", "nowhere", "rich", "--backend", "lmdb"], "rich: exists, expected a new path"),
        (["convert", "plain", "new"], "Missing option '--backend'"),
        (
            ["convert", "plain", "nowhere/new", "--backend", "memmap"],
            "nowhere is no folder, expected one that",
        ),
        (["bild"], "No such command 'bild'"),
    ],
)
def test_wrong_looks_are_one_line(
    arguments: list[str],
    message: str,
    banks: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(banks)
    out = ["--out", "sheet.png"] if arguments[0] == "show" and "--out" not in arguments else []
    _assert_refused(["bank", *arguments, *out], message, capsys)
    assert not (banks / "sheet.png").exists()


def test_a_damaged_crop_is_named_when_it_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bank = drawn_bank(tmp_path / "bank", 3)
    _flip(tmp_path / "bank" / "records.npy", -1)
    assert len(bank) == 3
    _assert_refused(
        ["bank", "show", str(tmp_path / "bank"), "--out", str(tmp_path / "a.png")], "bank: crop 2: ", capsys
    )


def _flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(bytes(content))


def test_sample_draws_what_the_sampler_draws(banks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rest = ["--count", "3000", "--threshold", "0.5", "--seed", "7"]
    assert main(["bank", "sample", str(banks / "plain"), *rest, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert sum(row["drawn"] for row in said["classes"]) == 3000
    assert sum(row["expected_share"] for row in said["classes"]) == pytest.approx(1)
    counts = {row["class_id"]: row["crops"] for row in said["classes"]}
    weights = {c: n * max(1.0, (0.5 * 40 / n) ** 0.5) for c, n in counts.items()}
    for row in said["classes"]:
        share = weights[row["class_id"]] / sum(weights.values())
        assert row["expected_share"] == pytest.approx(share)
        assert row["drawn_share"] == pytest.approx(share, abs=0.05)
    assert 0 <= said["chi_square"]["p"] <= 1
    assert said["different_crops"] == 40
    assert main(["bank", "sample", str(banks / "plain"), *rest]) == 0
    out = capsys.readouterr().out
    version = open_bank(banks / "plain").version
    assert out.startswith(f"3,000 draws of 40 different crops out of 40, {version}, threshold 0.5, seed 7\n")
    for row in said["classes"]:
        assert re.search(rf"^{row['name']} .* {row['drawn']:,} *$", out, re.MULTILINE)
    assert re.search(r"^chi-square [\d.]+ on 2 degrees of freedom: .* p = [\d.e-]+$", out, re.MULTILINE)


def test_sample_draws_its_first_crops_as_a_sheet(
    banks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], sheets: list
) -> None:
    file = tmp_path / "drawn.png"
    assert main(["bank", "sample", str(banks / "plain"), "--count", "3", "--json", "--out", str(file)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["count"] == 3
    assert err.startswith(f"wrote {file} (3 crops, ")
    assert len(sheets[0][0]) == 3
    with Image.open(file) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("drawn", "shares", "statistic", "free", "p"),
    [
        ([55, 45], [0.5, 0.5], 1.0, 1, 0.31731051),
        ([30, 30, 40], [0.3, 0.3, 0.4], 0.0, 2, 1.0),
        ([80, 20, 0], [0.9, 0.06, 0.04], (80 - 90) ** 2 / 90 + (20 - 10) ** 2 / 10, 1, 0.00085812),
    ],
)
def test_chi_square_is_that_of_the_tables(
    drawn: list[int], shares: list[float], statistic: float, free: int, p: float
) -> None:
    test = chi_square(drawn, shares)
    assert test is not None
    assert (test.statistic, test.degrees_of_freedom) == (pytest.approx(statistic), free)
    assert test.p == pytest.approx(p, rel=1e-5)


def test_one_class_has_nothing_to_compare() -> None:
    assert chi_square([100], [1.0]) is None
    assert chi_square([2, 1], [0.5, 0.5]) is None


def test_numbers_read_well() -> None:
    assert [duration(s) for s in (0.04, 9.94, 59.4, 59.6, 125, 3600)] == [
        "0.0 s",
        "9.9 s",
        "59 s",
        "60 s",
        "2:05 min",
        "1:00:00 h",
    ]
    assert [size_in_words(n) for n in (0, 999, 1000, 12_345_678, 10**15)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "12.3 MB",
        "1000.0 TB",
    ]


def test_help_is_there_at_once() -> None:
    code = "import sys, segpaste.cli as c; c.main(['bank', '--help']); sys.exit('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    for command in ("build", "convert", "info", "verify", "show", "sample"):
        assert re.search(rf"^  {command} .*\.$", run.stdout, re.MULTILINE)
