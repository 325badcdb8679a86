"""Building banks from shards: whole or not there, taken up again, the same bytes."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from segpaste.bank import BankError, build_bank, open_bank, write_bank
from segpaste.bank.build import BuildProgress
from segpaste.bank.layout import pack
from segpaste.bank.staging import Staging
from tests.bank.builds import DrawnSource, files_of
from tests.bank.drawn_bank import BACKENDS, drawn_crops, drawn_head, same_crop


def expected_crops(source: DrawnSource) -> list[Any]:
    return [crop for n in range(source.count) for crop in drawn_crops(4, seed=n)[: 3 if n % 3 == 0 else 4]]


def staging_of(path: Path) -> Path:
    return path.parent / f".{path.name}.building"


def beside(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir() if each != path)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bank_holds_the_crops_of_its_shards_in_order(tmp_path: Path, backend: Any) -> None:
    source, path = DrawnSource(), tmp_path / "bank"
    meta = build_bank(source, path, backend=backend)
    bank = open_bank(path)
    expected = expected_crops(source)
    assert len(bank) == meta.count == len(expected) == 22
    assert all(same_crop(bank[n], crop) for n, crop in enumerate(expected))
    assert meta == bank.meta
    assert meta.built_from == {"source": "drawn", "shards": 6, "left_out": {"the fourth": 2}}
    assert beside(path) == []
    # Nothing of how it was built is in the bank: written directly it has the same bytes.
    written = tmp_path / "written"
    chunk = pack(expected, drawn_head())
    write_bank(written, drawn_head(), [chunk], backend=backend, count=22, built_from=meta.built_from)
    assert files_of(written) == files_of(path)


def test_a_bank_of_nothing(tmp_path: Path) -> None:
    assert build_bank(DrawnSource(0), tmp_path / "bank").count == 0
    assert len(open_bank(tmp_path / "bank")) == 0


def test_progress_says_what_is_done_and_what_is_left(tmp_path: Path) -> None:
    said: list[BuildProgress] = []
    build_bank(DrawnSource(4, seconds=0.01), tmp_path / "bank", progress=said.append)
    cutting = [each for each in said if each.stage == "cutting"]
    assert [(p.shards_done, p.shards_total, p.crops, p.written) for p in cutting] == [
        (1, 4, 3, 0),
        (2, 4, 7, 0),
        (3, 4, 11, 0),
        (4, 4, 14, 0),
    ]
    assert [p.left_out for p in cutting] == [{"the fourth": 1}] * 3 + [{"the fourth": 2}]
    for p in cutting:
        assert p.seconds >= 0.01 * p.shards_done
        assert p.crops_per_second == p.crops / p.seconds
        assert p.seconds_left == pytest.approx(p.seconds * (4 - p.shards_done) / p.shards_done)
    writing = said[len(cutting) :]
    assert {p.stage for p in writing} == {"writing"}
    assert [p.written for p in writing] == [3, 7, 11, 14]
    assert writing[-1].seconds_left == 0


def test_an_interrupted_build_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "bank"
    source = DrawnSource(trouble="raise", troubled=(3,), notes=tmp_path / "notes")
    with pytest.raises(ValueError, match="^picture 3: is no picture$"):
        build_bank(source, path)
    assert not path.exists()
    assert beside(path) == [".bank.building"]
    said: list[BuildProgress] = []
    build_bank(source.healthy(), path, progress=said.append)
    assert source.worked_on() == {0: 1, 1: 1, 2: 1, 3: 2, 4: 1, 5: 1}
    assert [(p.stage, p.shards_done, p.shards_total) for p in said[:3]] == [
        ("checking", 1, 3),
        ("checking", 2, 3),
        ("checking", 3, 3),
    ]
    del said[:3]
    # What had been done is said before it goes on, and is no part of the rate.
    assert (said[0].shards_done, said[0].crops, said[0].crops_per_second, said[0].seconds_left) == (
        3,
        11,
        0,
        None,
    )
    assert said[1].crops_per_second == 3 / said[1].seconds
    assert said[1].seconds_left == pytest.approx(said[1].seconds * 2)
    assert beside(path) == []
    build_bank(source.healthy(), tmp_path / "at once")
    assert files_of(path) == files_of(tmp_path / "at once")


@pytest.mark.parametrize(
    "damage", ["missing", "truncated", "title", "flipped", "longer", "empty", "other", "swapped"]
)
def test_a_staged_shard_that_is_not_whole_is_done_again(tmp_path: Path, damage: str) -> None:
    (tmp_path / "notes").mkdir()
    path = tmp_path / "bank"
    source = DrawnSource(trouble="raise", troubled=(5,), notes=tmp_path / "notes")
    with pytest.raises(ValueError):
        build_bank(source, path)
    file = staging_of(path) / "shard-000002.crops"
    content = file.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    file.write_bytes(
        {
            "missing": b"",
            "truncated": content[:-1],
            "title": content.replace(b'"crops": 4', b'"crops": 3'),
            "flipped": flipped,
            "longer": content + b"\0",
            "empty": b"",
            "other": b"\xff\n\x00",
            "swapped": file.with_name("shard-000001.crops").read_bytes(),
        }[damage]
    )
    assert file.read_bytes() != content
    if damage == "missing":
        file.unlink()
    build_bank(source.healthy(), path)
    assert source.worked_on() == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1, 5: 2}
    build_bank(source.healthy(), tmp_path / "at once")
    assert files_of(path) == files_of(tmp_path / "at once")


def test_what_another_job_left_is_not_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "bank"
    with pytest.raises(ValueError):
        build_bank(DrawnSource(trouble="raise", troubled=(3,)), path)
    with pytest.raises(
        BankError, match=r"built_from\.source: it has 'drawn', this build 'other'\).*--fresh"
    ) as caught:
        build_bank(DrawnSource(name="other"), path)
    assert "\n" not in str(caught.value)
    assert staging_of(path).is_dir()
    build_bank(DrawnSource(name="other"), path, fresh=True)
    assert open_bank(path).meta.built_from["source"] == "other"
    assert beside(path) == []


def test_what_else_lies_in_its_folder_goes_with_a_fresh_start(tmp_path: Path) -> None:
    path = tmp_path / "bank"
    with pytest.raises(ValueError):
        build_bank(DrawnSource(trouble="raise", troubled=(3,)), path)
    (tmp_path / "mine").mkdir()
    (staging_of(path) / "folder" / "deep").mkdir(parents=True)
    (staging_of(path) / "link").symlink_to(tmp_path / "mine")
    build_bank(DrawnSource(), path, fresh=True)
    assert beside(path) == ["mine"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_job_is_not_taken_up(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bank"
    with pytest.raises(ValueError):
        build_bank(DrawnSource(trouble="raise", troubled=(3,)), path)
    (staging_of(path) / "job.json").write_bytes(content)
    with pytest.raises(BankError, match="of another job"):
        build_bank(DrawnSource(), path)
    assert build_bank(DrawnSource(), path, fresh=True).count == 22


def test_another_release_of_pillow_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bank"
    with pytest.raises(ValueError):
        build_bank(DrawnSource(trouble="raise", troubled=(3,)), path)
    monkeypatch.setattr("segpaste.bank.build.version", lambda name: "0.1")
    with pytest.raises(BankError, match=r"versions\.pillow: it has '[0-9.]+', this build '0.1'"):
        build_bank(DrawnSource(), path)


def test_the_same_build_again_finds_its_bank(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    path, source = tmp_path / "bank", DrawnSource(notes=tmp_path / "notes")
    meta = build_bank(source, path)
    before = files_of(path)
    assert build_bank(source, path, workers=2) == meta
    assert files_of(path) == before
    assert set(source.worked_on().values()) == {1}
    # Killed after the bank was complete, before its staging was removed.
    shutil.copytree(path, staging_of(path))
    assert build_bank(source, path) == meta
    assert beside(path) == ["notes"]


def test_what_else_is_there_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "bank"
    build_bank(DrawnSource(), path)
    before = files_of(path)
    for arguments, says in (
        (
            (DrawnSource(name="other"), path, "memmap", False),
            r"exists, .*\(built_from\.source: it has 'drawn', this build 'other'\)",
        ),
        (
            (DrawnSource(), path, "lmdb", False),
            r"exists, .*\(backend: it has 'memmap', this build 'lmdb'\), expected a new folder",
        ),
        ((DrawnSource(), path, "memmap", True), "exists, expected a new folder for a fresh build"),
    ):
        source, where, backend, fresh = arguments
        with pytest.raises(BankError, match=says):
            build_bank(source, where, backend=backend, fresh=fresh)  # pyright: ignore[reportArgumentType]
    assert files_of(path) == before
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    for name in ("file", "folder"):
        with pytest.raises(BankError, match=f"{name}: exists and is no bank of this build: "):
            build_bank(DrawnSource(), tmp_path / name)
    (path / "records.npy").write_bytes(b"cut short")
    with pytest.raises(BankError, match="bank: exists and is no bank of this build: .*records.npy"):
        build_bank(DrawnSource(), path)
    assert beside(path) == ["file", "folder"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_damaged_bank_is_not_already_built(tmp_path: Path, backend: Any) -> None:
    path = tmp_path / "bank"
    meta = build_bank(DrawnSource(), path, backend=backend)
    name = max(meta.files, key=lambda name: meta.files[name].size)
    content = bytearray((path / name).read_bytes())
    place = content.index(bytes(drawn_crops(4, seed=0)[0].image.flatten().tolist())) + 100
    content[place] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises(BankError, match=rf"bank: exists, .* damaged: .*{name}.* \(and \d more") as caught:
        build_bank(DrawnSource(), path, backend=backend)
    assert "\n" not in str(caught.value)
    content[place] ^= 1
    (path / name).write_bytes(content)
    assert build_bank(DrawnSource(), path, backend=backend) == meta


def test_a_link_to_nothing_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "bank").symlink_to("elsewhere")
    with pytest.raises(BankError, match=r"bank: got a link to elsewhere, where nothing is"):
        build_bank(DrawnSource(trouble="raise", troubled=(0,)), tmp_path / "bank")
    assert [each.name for each in tmp_path.iterdir()] == ["bank"]


def test_one_build_of_a_bank_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "bank"
    said: list[str] = []

    def try_another(progress: BuildProgress) -> None:
        with pytest.raises(
            BankError, match=r"another build of this bank is running \(process \d+\)"
        ) as caught:
            build_bank(DrawnSource(), path)
        said.append(str(caught.value))
        build_bank(DrawnSource(1), tmp_path / f"another {len(said)}")  # which is no trouble

    build_bank(DrawnSource(), path, progress=try_another)
    assert len(said) == 12
    assert not any("\n" in each for each in said)
    assert build_bank(DrawnSource(), path).count == 22


def test_a_lock_that_nobody_holds_is_none(tmp_path: Path) -> None:
    path = tmp_path / "bank"
    staging_of(path).mkdir()
    (staging_of(path) / "lock").write_text("1")
    assert build_bank(DrawnSource(), path).count == 22
    with Staging(path, drawn_head(), 1).locked():
        assert (staging_of(path) / "lock").is_file()
    assert beside(path) == []


def test_where_there_are_no_locks_banks_are_built_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*arguments: Any) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", no_locks)
    assert build_bank(DrawnSource(), tmp_path / "bank").count == 22
    assert beside(tmp_path / "bank") == []


Usage = namedtuple("Usage", "total used free")


def test_too_little_space_is_said_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 24 crops at most, of 16 * 20 * 4 bytes and a row of 48: twice, and what a file needs besides.
    needed = 24 * (2 * (16 * 20 * 4 + 48) + 8) + 2**20
    free = needed - 1
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(0, 0, free))
    with pytest.raises(
        BankError, match=r"bank: needs up to 1\.061 MiB for 24 crops of 1\.297 KiB .*, got 1\.061 MiB free"
    ):
        build_bank(DrawnSource(trouble="raise", troubled=(0,)), tmp_path / "bank")
    for backend in BACKENDS[1:]:
        with pytest.raises(BankError, match="needs up to"):
            build_bank(DrawnSource(), tmp_path / "bank", backend=backend)
    assert list(tmp_path.iterdir()) == []
    free += 1
    assert build_bank(DrawnSource(), tmp_path / "bank").count == 22


def test_what_is_staged_needs_no_space_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bank"
    with pytest.raises(ValueError):
        build_bank(DrawnSource(trouble="raise", troubled=(3,)), path)
    staged = sum(file.stat().st_size for file in staging_of(path).glob("shard-*"))
    assert staged > 11 * 16 * 20 * 4
    needed = 24 * (2 * (16 * 20 * 4 + 48) + 8) + 2**20 - staged
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(0, 0, needed - 1))
    with pytest.raises(BankError, match="needs up to"):
        build_bank(DrawnSource(), path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(0, 0, needed))
    assert build_bank(DrawnSource(), path).count == 22


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bank_takes_no_more_space_than_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: Any
) -> None:
    monkeypatch.setattr("segpaste.bank.build._BEYOND_ALL", 0)
    asked: list[int] = []

    def usage(path: Path) -> Usage:
        return Usage(0, 0, asked[-1])

    monkeypatch.setattr("shutil.disk_usage", usage)
    source = DrawnSource(100)
    asked.append(0)
    with pytest.raises(BankError, match="needs up to"):
        build_bank(source, tmp_path / "bank", backend=backend)
    beyond = {"memmap": 8, "lmdb": 4160, "webdataset": 10800}[backend]
    asked.append(400 * (2 * (16 * 20 * 4 + 48) + beyond))
    most = 0

    def look(progress: BuildProgress) -> None:
        nonlocal most
        if progress.shards_done == 100:
            found = [each.stat().st_size for each in tmp_path.rglob("*") if each.is_file()]
            most = max(most, sum(found))

    meta = build_bank(source, tmp_path / "bank", backend=backend, progress=look)
    final = sum(each.size for each in meta.files.values())
    staged = meta.count * (16 * 20 * 4 + 48)
    assert most > staged
    assert staged + final < asked[-1] + 2**20


def test_readers_see_no_bank_or_a_whole_one(tmp_path: Path) -> None:
    path, seen = tmp_path / "bank", []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                bank = open_bank(path)
            except BankError as error:
                seen.append(str(error))
            else:
                seen.append(len([crop for crop in (bank[n] for n in range(len(bank))) if crop.alpha.any()]))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        build_bank(DrawnSource(12, seconds=0.005), path)
        count = len(seen)
        while len(seen) < count + 3:
            pass
    finally:
        stop.set()
        reader.join()
    assert {f"{path}: got nothing there, expected the folder of a bank", 44} == set(seen)
    assert seen == sorted(seen, key=lambda each: isinstance(each, int))


@pytest.mark.parametrize("missing", ["lmdb", "webdataset", "pyarrow", "ray"])
def test_a_missing_engine_is_named_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    extra = {"pyarrow": "bank-webdataset"}.get(missing, f"bank-{missing}")
    options: dict[str, Any] = {"backend": {"pyarrow": "webdataset"}.get(missing, missing)}
    if missing == "ray":
        options = {"engine": "ray"}
    with pytest.raises(BankError, match=rf"needs {missing}: pip install -e '\.\[{extra}\]'"):
        build_bank(DrawnSource(trouble="raise", troubled=(0,)), tmp_path / "bank", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"backend": "zarr"}, "backend: got 'zarr', expected one of"),
        ({"engine": "spark"}, "engine: got 'spark', expected one of"),
        ({"workers": 0}, "workers: got 0, expected"),
        ({"workers": 2.0}, "workers: got 2.0, expected"),
        ({"ray_address": "auto"}, "ray_address: got 'auto' with engine 'local'"),
        ({"path": "nowhere/bank"}, "nowhere is no folder"),
        ({"path": "."}, "path: got '.', expected"),
    ],
)
def test_wrong_arguments_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=says):
        build_bank(DrawnSource(), **{"path": tmp_path / "bank", **options})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("segpaste.bank.staging.os.fsync", full)
    with pytest.raises(BankError, match=r"job\.json: cannot be written: .*No space left on device"):
        build_bank(DrawnSource(), tmp_path / "bank")
    monkeypatch.setattr("segpaste.bank.staging.Path.mkdir", full)
    with pytest.raises(BankError, match=r"bank: cannot be built: .*No space left on device"):
        build_bank(DrawnSource(), tmp_path / "bank")


def test_a_crop_that_does_not_fit_the_head_is_named(tmp_path: Path) -> None:
    class Wrong(DrawnSource):
        def head(self) -> Any:
            return drawn_head(crop_size=(8, 8))

    with pytest.raises(BankError, match=r"^crop 0 \(image 0, annotation \d+\): image: got "):
        build_bank(Wrong(), tmp_path / "bank")


def test_the_job_holds_what_decides_the_bytes(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        build_bank(DrawnSource(trouble="raise", troubled=(3,)), tmp_path / "bank")
    job = json.loads((staging_of(tmp_path / "bank") / "job.json").read_text())
    assert sorted(job) == ["built_from", "head", "layout", "shards", "versions"]
    assert job["built_from"] == {"source": "drawn", "shards": 6}
