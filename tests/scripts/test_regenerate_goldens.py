"""The frozen files are rewritten for a reason, by one process at a time, whole or not at all."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from segpaste.goldens import check as gate
from segpaste.goldens.store import LEDGER, PENDING, FrozenStore
from tests.goldens.test_frozen_flips import flipping

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
SMALL = ("--kinds", "instance,image")


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """The script as a module."""
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module("regenerate_goldens")
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def updating(script: Any) -> Any:
    """The module that writes."""
    return importlib.import_module("frozen_update")


def call(script: Any, folder: Path, *arguments: str) -> Result:
    """Run the command in this process."""
    pictures = folder.parent / "pictures"
    return CliRunner().invoke(
        script.app, ["--folder", str(folder), "--pictures", str(pictures), *SMALL, *arguments]
    )


@pytest.fixture
def folder(script: Any, tmp_path: Path) -> Path:
    """A small frozen folder."""
    place = tmp_path / "frozen"
    done = call(script, place, "--update", "--reason", "the first", "--seeds", "0-2")
    assert done.exit_code == 0, done.output
    return place


def contents(folder: Path) -> dict[str, bytes]:
    """Everything that stands in it, but for the lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_clean_check_says_so(script: Any, folder: Path) -> None:
    done = call(script, folder)
    assert done.exit_code == 0, done.output
    assert "reference: 12 frozen cases, every bit as it was" in done.output
    assert call(script, folder, "--executor", "rectangle", "--check").exit_code == 0


def test_the_same_files_come_out_again(script: Any, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    call(script, other, "--update", "--reason", "again", "--seeds", "0-2")
    assert {k: v for k, v in contents(other).items() if k != LEDGER} == {
        k: v for k, v in contents(folder).items() if k != LEDGER
    }


@pytest.mark.parametrize("reason", [(), ("--reason", ""), ("--reason", " \t ")])
def test_no_update_without_a_reason(script: Any, folder: Path, reason: tuple[str, ...]) -> None:
    before = contents(folder)
    done = call(script, folder, "--update", "--seeds", "0-1", *reason)
    assert done.exit_code == 2
    assert '--reason: got nothing, expected why the bits change: --reason "..."' in done.output
    assert contents(folder) == before


def test_the_writer_itself_refuses_a_blank_reason(updating: Any, folder: Path) -> None:
    with pytest.raises(updating.UpdateError, match="reason: got nothing"):
        updating.write_state(folder, {}, "  ")


def test_nothing_is_written_where_nothing_changes(script: Any, folder: Path) -> None:
    before = contents(folder)
    done = call(script, folder, "--update", "--reason", "none", "--seeds", "0-2")
    assert done.exit_code == 3
    assert "nothing changes" in done.output
    assert contents(folder) == before


def test_an_update_is_written_into_the_ledger(
    script: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = FrozenStore(folder).digest()
    right = script.built_in
    monkeypatch.setattr(
        script, "built_in", lambda name: gate.one_by_one(flipping(name, "images", 3)) if name else right(name)
    )
    done = call(script, folder, "--update", "--reason", "  images are\nbrighter ", "--seeds", "1-3")
    assert done.exit_code == 0, done.output
    first, second = FrozenStore(folder).ledger()
    assert (first["old"], first["reason"]) == (None, "the first")
    assert (second["old"], second["new"]) == (old, FrozenStore(folder).digest())
    assert second["reason"] == "images are brighter"
    assert second["changed_fields"] == {"images": 8}
    assert (second["cases"], second["changed_cases"]) == (12, 8)
    assert (second["new_cases"], second["lost_cases"]) == (4, 4)
    assert second["date"].startswith("20")
    assert isinstance(second["dirty"], bool | None)
    assert second["commit"] is None or len(second["commit"]) == 40
    assert call(script, folder).exit_code == 1  # the executors are right, and that is now wrong


def test_a_mismatch_is_named_and_drawn(script: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = gate.built_in
    monkeypatch.setattr(
        gate,
        "built_in",
        lambda name, device: gate.one_by_one(flipping(name, "images", 3)) if name else right(name),
    )
    done = call(script, folder, "--seeds", "1,2")
    assert done.exit_code == 1
    assert "8 frozen cases are not what they were: images in 8" in done.output
    assert (
        "reference: instance uint8 seed 1: images: 1 of 5883 elements differ, at [0, 0, 0, 3];" in done.output
    )
    assert len(list((folder.parent / "pictures").glob("*.png"))) == 8


def test_executors_that_disagree_freeze_nothing(
    script: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    right = script.built_in
    monkeypatch.setattr(
        script,
        "built_in",
        lambda name: gate.one_by_one(flipping(name, "boxes", 0)) if name == "rectangle" else right(name),
    )
    done = call(script, folder, "--update", "--reason", "a reason", "--seeds", "0-3")
    assert done.exit_code == 3
    assert "instance uint8 seed 0: reference and rectangle executor disagree" in done.output
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--kinds", "instances"), "--kinds: got 'instances', expected some of instance, "),
        (("--seeds", "7-"), "--seeds: got '7-', expected such as 0-19 or 3,7 of 0 to 199"),
        (("--seeds", "190-200"), "--seeds: got '190-200'"),
        (("--seeds", "5-3"), "--seeds: got '5-3'"),
        (("--update", "--check"), "got several of --check, --update and --recover"),
        (("--executor", "fast"), "executor: got 'fast', expected reference, rectangle, graph, compiled"),
        (("--device", "abacus"), "--device: got 'abacus', expected cpu, or cuda where there is such a GPU"),
    ],
)
def test_wrong_usage_is_named(script: Any, folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = call(script, folder, *arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_the_packages_own_files_are_updated_whole(script: Any) -> None:
    done = CliRunner().invoke(script.app, ["--update", "--reason", "some", *SMALL])
    assert done.exit_code == 2
    assert "--kinds, --seeds: got some, expected none" in done.output
    spelled = os.path.relpath(script.FOLDER)
    done = CliRunner().invoke(script.app, ["--folder", spelled, "--update", "--reason", "some", *SMALL])
    assert done.exit_code == 2
    assert "--kinds, --seeds: got some, expected none" in done.output


def test_a_part_of_the_packages_files_is_not_the_whole(
    script: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "FOLDER", folder)
    monkeypatch.setattr(script, "KINDS", ("instance", "image"))
    done = CliRunner().invoke(script.app, ["--folder", str(folder)])
    assert done.exit_code == 3
    assert f"{folder}: got 12 frozen cases, expected 800" in done.output


@pytest.mark.parametrize("line", ["{", "[]", '{"date": "today"}'])
def test_a_damaged_ledger_is_named(script: Any, folder: Path, line: str) -> None:
    ledger = folder / LEDGER
    ledger.write_text(ledger.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    before = contents(folder)
    for arguments in ((), ("--update", "--reason", "some", "--seeds", "0-1")):
        done = call(script, folder, *arguments)
        assert done.exit_code == 3
        assert f"{ledger}: line 2: got {line!r}, expected an entry" in done.output
    assert contents(folder) == before


def test_a_ledger_that_is_no_text_is_named(script: Any, folder: Path) -> None:
    ledger = folder / LEDGER
    ledger.write_bytes(ledger.read_bytes() + b"\xff\n")
    for arguments in ((), ("--update", "--reason", "some", "--seeds", "0-1")):
        done = call(script, folder, *arguments)
        assert done.exit_code == 3
        assert f"{ledger}: 'utf-8' codec can't decode byte 0xff" in done.output


@pytest.mark.parametrize("empty", [True, False])
def test_no_update_without_the_history_of_what_is_there(script: Any, folder: Path, empty: bool) -> None:
    ledger = folder / LEDGER
    ledger.write_text("") if empty else ledger.unlink()
    before = contents(folder)
    done = call(script, folder, "--update", "--reason", "some", "--seeds", "0-1")
    assert done.exit_code == 3
    assert f"{ledger}: got no entry beside frozen files, expected one per update" in done.output
    assert contents(folder) == before


@pytest.mark.parametrize("content", [b"nonsense\n", b"\xff\xfe\n"])
def test_an_update_over_damaged_digests_names_the_file(script: Any, folder: Path, content: bytes) -> None:
    damaged = next((folder / "digests").iterdir())
    damaged.write_bytes(content)
    before = contents(folder)
    done = call(script, folder, "--update", "--reason", "some", "--seeds", "0-1")
    assert done.exit_code == 3
    line = content.decode(errors="replace").strip()
    assert f"{damaged.name}: got the line {line!r}, expected a seed and digests" in done.output
    assert contents(folder) == before


def test_a_line_that_the_ledger_covers_and_that_is_none_is_named(script: Any, folder: Path) -> None:
    damaged = next((folder / "digests").iterdir())
    damaged.write_text("nonsense\n", encoding="utf-8")
    ledger = folder / LEDGER
    entry = json.loads(ledger.read_text(encoding="utf-8")) | {"new": FrozenStore(folder).digest()}
    ledger.write_text(json.dumps(entry) + "\n", encoding="utf-8")
    done = call(script, folder)
    assert done.exit_code == 3
    assert f"{damaged.name}: line: got 'nonsense', expected a seed and field=" in done.output


def test_folders_beside_the_digests_are_not_read(script: Any, folder: Path) -> None:
    (folder / "digests" / "notes").mkdir()
    assert call(script, folder).exit_code == 0


def test_a_second_update_is_refused_while_one_runs(script: Any, updating: Any, folder: Path) -> None:
    before = contents(folder)
    program = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(SCRIPTS)!r}]
from pathlib import Path
from frozen_update import locked
with locked(Path({str(folder)!r})):
    print("locked", flush=True)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "locked\n"
        for arguments in (("--update", "--reason", "a reason", "--seeds", "0"), ("--recover",)):
            done = call(script, folder, *arguments)
            assert done.exit_code == 3
            assert "another update is running" in done.output
        assert contents(folder) == before
        other.kill()
    # The dead hold no lock.
    assert call(script, folder, "--update", "--reason", "a reason", "--seeds", "0").exit_code == 0


class StopError(Exception):
    """Stands for the moment of a crash."""


def test_stopped_at_every_operation_the_state_is_whole_or_named(
    script: Any, updating: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As killing does it, but at each renaming, flush and removal in turn."""
    old, new = FrozenStore(folder).digest(), script.new_files(("instance",), [0, 1], lambda text: None)
    saved = contents(folder)
    stopped = {"old": 0, "named": 0, "new": 0}
    for moment in range(200):
        left = [moment]
        with monkeypatch.context() as patch:
            for name in ("rename", "replace", "fsync"):
                right = getattr(os, name)

                def counted(*arguments: Any, _right: Any = right, _left: list[int] = left) -> Any:
                    _left[0] -= 1
                    if _left[0] < 0:
                        raise StopError
                    return _right(*arguments)

                patch.setattr(os, name, counted)
            try:
                updating.write_state(folder, new, "a reason")
                ended = True
            except StopError:
                ended = False
        store = FrozenStore(folder)
        trouble = store.trouble()
        if trouble is None:
            stopped["old" if store.digest() == old else "new"] += 1
        else:
            assert "--recover" in trouble
            stopped["named"] += 1
            assert call(script, folder).exit_code == 3
            done = call(script, folder, "--recover", "--kinds", "instance")
            assert (done.exit_code, "finished the interrupted update" in done.output) == (0, True), (
                done.output
            )
            assert FrozenStore(folder).trouble() is None
            assert not (folder / PENDING).exists()
        assert set(FrozenStore(folder).files()) in (set(saved) - {LEDGER}, set(new))
        if ended:
            break
        for name in [*FrozenStore(folder).files()]:
            (folder / name).unlink()
        for name, content in saved.items():
            (folder / name).write_bytes(content)
    else:
        pytest.fail("got no end after 200 operations")
    assert stopped["old"] > 3
    assert stopped["named"] > 3
    assert stopped["new"] >= 1


def test_killed_at_random_moments(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("killed_updates.py")), str(tmp_path / "f"), "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    print(told)
    assert told["dead"] == 10
    assert min(told["old"], told["named"]) >= 1
    assert told["left"] == []
