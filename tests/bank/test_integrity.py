"""Whatever happens to a bank's files is one BankError, at open, at read or in verify; never another crop."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segpaste.bank import BankCrop, BankError, open_bank, verify_bank, webdataset_bank, write_bank
from segpaste.bank.layout import Chunk, pack
from segpaste.bank.meta import BackendName, BankMeta
from segpaste.bank.stored_bank import StoredBank
from tests.bank.drawn_bank import BACKENDS, drawn_bank, drawn_crops, drawn_head, same_crop

SMALL = {"crop_size": (3, 4), "depth": True, "embedding_dim": 2}
COUNT = 5
FILES = [
    ("memmap", "records.npy"),
    ("memmap", "index.npy"),
    ("memmap", "class_ids.npy"),
    ("lmdb", "data.mdb"),
    ("lmdb", "tree.npy"),
    ("lmdb", "index.npy"),
    ("lmdb", "class_ids.npy"),
    ("webdataset", "shard-000000.tar"),
    ("webdataset", "shard-000001.tar"),
    ("webdataset", "index.parquet"),
    ("memmap", "meta.json"),
]


@pytest.fixture
def two_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdataset_bank, "SHARD_BYTES", 15_000)


def _small(path: Path, backend: BackendName, seed: int = 0) -> list[BankCrop]:
    drawn_bank(path, COUNT, backend=backend, seed=seed, **SMALL)
    return drawn_crops(COUNT, seed=seed, **SMALL)


def _put(file: Path, content: bytes | bytearray) -> None:
    """In place of the old file, which others may have mapped."""
    beside = file.with_name(f"{file.name}.new")
    beside.write_bytes(content)
    beside.replace(file)


def _found(path: Path, crops: list[BankCrop]) -> str:
    """Where a change is found: at open, at read, or not; a crop that is given must be the right one."""
    bank, message = _opened(path)
    if bank is None:
        assert str(path) in message
        assert "\n" not in message
        return "open"
    assert bank.crop_class_ids.tolist() == [crop.class_id for crop in crops]
    told = {}
    for number, crop in enumerate(crops):
        try:
            assert same_crop(bank[number], crop)
        except BankError as error:
            told[number] = str(error)
    assert all(message.startswith(f"{path}: crop {number}: ") for number, message in told.items())
    assert not any("\n" in message for message in told.values())
    return "read" if told else "nowhere"


def _opened(path: Path) -> tuple[StoredBank | None, str]:
    try:
        return open_bank(path), ""
    except BankError as error:
        return None, str(error)


def _flip_all(path: Path, name: str, crops: list[BankCrop], places: Iterator[int] | range) -> set[str]:
    file = path / name
    whole = file.read_bytes()
    found = set()
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << place * 5 % 8
        _put(file, changed)
        where = _found(path, crops)
        found.add(where)
        if where == "nowhere" and name != "meta.json":
            assert verify_bank(path).problems[0].startswith(f"{path}: {name}: got SHA-256")
    _put(file, whole)
    assert _found(path, crops) == "nowhere"
    assert verify_bank(path).clean
    return found


@pytest.mark.usefixtures("two_shards")
@pytest.mark.parametrize(("backend", "name"), FILES)
def test_a_flipped_byte_is_found(tmp_path: Path, backend: BackendName, name: str) -> None:
    crops = _small(tmp_path / "bank", backend)
    size = (tmp_path / "bank" / name).stat().st_size
    found = _flip_all(tmp_path / "bank", name, crops, range(0, size, max(1, size // 110)))
    if name in ("index.npy", "class_ids.npy", "tree.npy", "index.parquet"):
        assert found == {"open"}
    elif name == "meta.json":
        assert found <= {"open", "nowhere"}
    else:
        assert "read" in found


@pytest.mark.nightly
@pytest.mark.usefixtures("two_shards")
@pytest.mark.parametrize(("backend", "name"), FILES)
def test_any_flipped_byte_is_found(tmp_path: Path, backend: BackendName, name: str) -> None:
    crops = _small(tmp_path / "bank", backend)
    size = (tmp_path / "bank" / name).stat().st_size
    _flip_all(tmp_path / "bank", name, crops, range(0, size, 7 if backend == "webdataset" else 1))


@pytest.mark.parametrize("crop_size", [(16, 20), (40, 40)])
def test_no_flipped_byte_of_the_tree_kills_the_process(tmp_path: Path, crop_size: tuple[int, int]) -> None:
    # A size or a page number, flipped in a high bit, leads LMDB out of its map.
    path = tmp_path / "bank"
    drawn_bank(path, 40, backend="lmdb", crop_size=crop_size)
    crops = drawn_crops(40, crop_size=crop_size)
    tree = np.load(path / "tree.npy")
    leaf = int(tree["offset"][-1])
    node = leaf + int.from_bytes((path / "data.mdb").read_bytes()[leaf + 16 : leaf + 18], "little")
    whole = (path / "data.mdb").read_bytes()
    for place in (*range(leaf, leaf + 24), *range(node, node + 24)):
        changed = bytearray(whole)
        changed[place] ^= 0x20
        _put(path / "data.mdb", changed)
        assert _found(path, crops) == "read"


@pytest.mark.usefixtures("two_shards")
@pytest.mark.parametrize(("backend", "name"), FILES)
def test_a_truncated_or_missing_file_is_found_at_open(
    tmp_path: Path, backend: BackendName, name: str
) -> None:
    crops = _small(tmp_path / "bank", backend)
    file = tmp_path / "bank" / name
    whole = file.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 2, len(whole) + 1):
        _put(file, (whole + b"\0")[:size])
        with pytest.raises(BankError, match=rf"bank: {name}: (got {size} bytes|damaged|not readable)"):
            open_bank(tmp_path / "bank")
        assert not verify_bank(tmp_path / "bank").clean
    file.unlink()
    with pytest.raises(BankError, match=rf"bank: {name}: missing|got a folder without {name}"):
        open_bank(tmp_path / "bank")
    assert not verify_bank(tmp_path / "bank").clean
    file.mkdir()
    assert _found(tmp_path / "bank", crops) == "open"


@pytest.mark.usefixtures("two_shards")
@pytest.mark.parametrize("only_pixels", [False, True])
@pytest.mark.parametrize(("backend", "name"), FILES)
def test_a_file_of_another_bank_is_found(
    tmp_path: Path, backend: BackendName, name: str, only_pixels: bool
) -> None:
    # As after a copy that was interrupted: same sizes, perhaps the same classes, other pixels.
    crops = _small(tmp_path / "bank", backend)
    _small(tmp_path / "other", backend, seed=1)
    if only_pixels:
        shutil.rmtree(tmp_path / "other")
        head = open_bank(tmp_path / "bank").head
        others = [replace(crop, image=crop.image ^ 1) for crop in crops]
        write_bank(tmp_path / "other", head, [pack(others, head)], backend=backend, count=COUNT)
    same = (tmp_path / "bank" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    shutil.copy(tmp_path / "other" / name, tmp_path / "bank" / name)
    assert _found(tmp_path / "bank", crops) in (("nowhere",) if same else ("open", "read"))
    assert verify_bank(tmp_path / "bank").clean == same
    assert not same or name == "class_ids.npy"  # the only one without a trace of the pixels


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_record_that_was_changed_is_named_with_its_number(tmp_path: Path, backend: BackendName) -> None:
    path = tmp_path / "bank"
    crops = _small(path, backend)
    name = {"memmap": "records.npy", "lmdb": "data.mdb", "webdataset": "shard-000000.tar"}[backend]
    whole = (path / name).read_bytes()
    place = whole.index(crops[3].image.numpy().tobytes())
    _put(path / name, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    bank = open_bank(path)
    for read in (lambda: bank[3], lambda: bank[-2], lambda: bank.records([3]), lambda: list(bank.chunks())):
        with pytest.raises(BankError, match=r"bank: crop (3: got bytes of checksum|\d: the page)"):
            read()
    report = verify_bank(path)
    assert report.version == bank.version
    assert report.problems[0].startswith(f"{path}: {name}: got SHA-256")
    assert any(problem.startswith(f"{path}: crop 3: ") for problem in report.problems)
    assert report.crops < COUNT


def test_verify_names_twenty_crops_and_counts_the_rest(tmp_path: Path) -> None:
    bank = drawn_bank(tmp_path / "bank", 30)
    records = bank.path / "records.npy"
    whole = bytearray(records.read_bytes())
    for number in range(25):
        whole[-1 - number * 16 * 20 * 4] ^= 1
    _put(records, whole)
    report = verify_bank(bank.path)
    assert report.crops == 5
    assert len(report.problems) == 1 + 20 + 1
    assert report.problems[-1] == f"{bank.path}: 5 more crops were changed"


def test_verify_finds_what_does_not_belong_there(tmp_path: Path) -> None:
    path = drawn_bank(tmp_path / "bank", 2, backend="webdataset").path
    assert verify_bank(path) == verify_bank(path)
    assert (verify_bank(path).clean, verify_bank(path).files, verify_bank(path).crops) == (True, 3, 2)
    shutil.copy(path / "shard-000000.tar", path / "shard-000001.tar")
    assert verify_bank(path).problems == (f"{path}: shard-000001.tar: is not in meta.json",)


def test_verify_finds_another_digest(tmp_path: Path) -> None:
    path = drawn_bank(tmp_path / "bank", 2).path
    meta = BankMeta.from_json((path / "meta.json").read_text())
    (path / "meta.json").write_text(meta.model_copy(update={"content": "0" * 64}).to_json())
    (problem,) = verify_bank(path).problems
    assert problem == f"{path}: content: got {meta.content[:12]}, expected 000000000000"


def test_what_is_no_bank(tmp_path: Path) -> None:
    path = tmp_path / "bank"
    with pytest.raises(BankError, match="bank: got nothing there, expected the folder of a bank"):
        open_bank(path)
    path.write_text("bank")
    with pytest.raises(BankError, match="bank: got a file, expected the folder of a bank"):
        open_bank(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(
        BankError, match="bank: got a folder without meta.json, expected the folder of a bank"
    ):
        open_bank(path)
    for text in ("", "{}", "[1]", "{" * 10_000, "[" * 100_000, '{"layout": 1}', "\ud800"):
        (path / "meta.json").write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(BankError, match="bank: meta.json: (damaged|not readable): "):
            open_bank(path)
        assert not verify_bank(path).clean
    (path / "meta.json").write_text(json.dumps({"layout": 2, "checksum": ""}))
    with pytest.raises(BankError, match="bank: meta.json: got layout 2, expected 1"):
        open_bank(path)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_that_meta_does_not_name(tmp_path: Path, backend: BackendName) -> None:
    path = drawn_bank(tmp_path / "bank", 2, backend=backend).path
    meta = BankMeta.from_json((path / "meta.json").read_text())
    for name in set(meta.files) - {"records.npy", "data.mdb"}:
        files = {known: entry for known, entry in meta.files.items() if known != name}
        (path / "meta.json").write_text(meta.model_copy(update={"files": files}).to_json())
        with pytest.raises(BankError, match=f"bank: meta.json: files: got no {name}, expected it"):
            open_bank(path)


@pytest.mark.parametrize("backend", BACKENDS)
def test_counts_and_classes_that_do_not_agree(tmp_path: Path, backend: BackendName) -> None:
    path = drawn_bank(tmp_path / "bank", 3, backend=backend).path
    meta = BankMeta.from_json((path / "meta.json").read_text())
    (path / "meta.json").write_text(meta.model_copy(update={"count": 4}).to_json())
    with pytest.raises(BankError, match=r"bank: index\.\w+: got \[?3"):
        open_bank(path)
    head = drawn_head(classes=(0, 1))
    (path / "meta.json").write_text(meta.model_copy(update={"head": head}).to_json())
    with pytest.raises(BankError, match="bank: class ids: got . to ., expected 0 or more and less than 2"):
        open_bank(path)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bank_that_was_replaced_is_not_taken_for_the_old_one(tmp_path: Path, backend: BackendName) -> None:
    bank = drawn_bank(tmp_path / "bank", 3, backend=backend)
    pickled = pickle.dumps(bank)
    shutil.rmtree(bank.path)
    other = drawn_bank(tmp_path / "bank", 3, backend=backend, seed=1)
    with pytest.raises(
        BankError, match=f"bank: got a bank of version {other.version}, expected {bank.version}"
    ):
        pickle.loads(pickled)
    # Whoever has the old one open goes on reading it, or is told.
    if backend == "webdataset":  # the others have their files open
        with pytest.raises(BankError, match=f"version {other.version}, expected {bank.version}: it was"):
            list(bank)
    else:
        assert all(same_crop(got, crop) for got, crop in zip(bank, drawn_crops(3), strict=True))
    assert all(same_crop(got, crop) for got, crop in zip(other, drawn_crops(3, seed=1), strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bank_that_is_being_copied_over_is_not_called_damaged(tmp_path: Path, backend: BackendName) -> None:
    # Into the same files, as cp does: also what is mapped changes. The index is not there yet.
    bank = drawn_bank(tmp_path / "bank", 3, backend=backend)
    other = drawn_bank(tmp_path / "other", 3, backend=backend, seed=1)
    name = {"memmap": "records.npy", "lmdb": "data.mdb", "webdataset": "shard-000000.tar"}[backend]
    shutil.copyfile(other.path / name, bank.path / name)
    shutil.copyfile(other.path / "meta.json", bank.path / "meta.json")
    with pytest.raises(BankError, match="bank: got a bank of version .*: it was replaced since it was"):
        list(bank)


@pytest.mark.parametrize("backend", BACKENDS)
def test_messages_name_the_path_as_it_was_given(
    tmp_path: Path, backend: BackendName, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_bank(tmp_path / "bank", 2, backend=backend)
    monkeypatch.chdir(tmp_path)
    name = {"memmap": "records.npy", "lmdb": "data.mdb", "webdataset": "shard-000000.tar"}[backend]
    whole = (tmp_path / "bank" / name).read_bytes()
    place = whole.index(drawn_crops(2)[1].image.numpy().tobytes())
    _put(tmp_path / "bank" / name, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert verify_bank("bank").problems != ()
    assert all(problem.startswith("bank: ") for problem in verify_bank("bank").problems)
    bank = open_bank("bank")
    monkeypatch.chdir("/")  # which files are read does not hang on it
    with pytest.raises(BankError, match=r"^bank: crop (1: got bytes of checksum|\d: the page)"):
        list(bank)
    with pytest.raises(IndexError, match="expected one of the 2 crops of bank$"):
        bank[2]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bank" / name).write_bytes(b"")
    with pytest.raises(BankError, match=f"^bank: {name}: got 0 bytes"):
        open_bank("bank")


def _chunks(count: int) -> Iterator[Chunk]:
    for crop in drawn_crops(count):
        yield pack([crop], drawn_head())


def test_an_existing_path_is_refused(tmp_path: Path) -> None:
    for make in (Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")):
        path = tmp_path / "bank"
        make(path)
        with pytest.raises(BankError, match="bank: exists, expected a new path"):
            write_bank(path, drawn_head(), _chunks(2), backend="memmap", count=2)
        assert os.listdir(tmp_path) == ["bank"]
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_not_whole_is_not_written(tmp_path: Path, backend: BackendName) -> None:
    head, (records, index) = drawn_head(), pack(drawn_crops(3), drawn_head())
    changed = records.copy()
    changed["image"][1] ^= 1
    beyond = index.copy()
    beyond["class_id"][2] = 8
    unnamed = index.copy()
    unnamed["model"][2] = 2
    for chunks, message in (
        ([Chunk(records, index)] * 2, "bank: got more crops, expected 4"),
        ([Chunk(records, index)], "bank: got 3 crops, expected 4"),
        ([Chunk(records, index), Chunk(changed, index)], "bank: crop 4: got bytes of checksum"),
        ([Chunk(records, beyond)], "bank: crop 0 and after: class_id: got 8, expected 0 to 7"),
        ([Chunk(records, unnamed)], "bank: crop 0 and after: model: got 2, expected -1 to 1"),
        ([Chunk(records, index[:2])], "bank: crop 0: got 3 records and 2 index rows"),
        ([Chunk(records.view("u1"), index)], "bank: crop 0: got records of another head"),
    ):
        with pytest.raises(BankError, match=message):
            write_bank(tmp_path / "bank", head, chunks, backend=backend, count=4)
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_left_when_crops_fail(tmp_path: Path, backend: BackendName) -> None:
    def failing() -> Iterator[Chunk]:
        yield from _chunks(2)
        assert [name.startswith(".bank.writing-") for name in os.listdir(tmp_path)] == [True]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bank(tmp_path / "bank", drawn_head(), failing(), backend=backend, count=3)
    assert os.listdir(tmp_path) == []


def test_a_parent_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="nowhere/bank: .*nowhere is no folder, expected one that exists"):
        write_bank(tmp_path / "nowhere" / "bank", drawn_head(), [], backend="memmap", count=0)


@pytest.mark.parametrize(
    ("what", "at_the_last_moment"),
    [
        *itertools.product(["bank", "file", "link"], [False, True]),
        ("empty folder", False),  # at the last moment it is replaced: nothing is lost
    ],
)
def test_a_path_that_appears_meanwhile_is_left_alone(
    tmp_path: Path, what: str, at_the_last_moment: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bank"
    rename = os.rename
    makers: dict[str, Callable[[], object]] = {
        "bank": lambda: drawn_bank(path, 3),
        "empty folder": path.mkdir,
        "file": path.touch,
        "link": lambda: path.symlink_to("nowhere"),
    }

    def slow() -> Iterator[Chunk]:
        yield from _chunks(2)
        if not at_the_last_moment:
            makers[what]()

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "rename", rename)
        makers[what]()
        rename(source, target)

    if at_the_last_moment:
        monkeypatch.setattr(os, "rename", late)
    with pytest.raises(BankError, match="bank: exists, expected a new path"):
        write_bank(path, drawn_head(), slow(), backend="memmap", count=2)
    assert os.listdir(tmp_path) == ["bank"]
    if what == "bank":
        assert len(open_bank(path)) == 3
    else:
        assert not path.is_dir() or os.listdir(path) == []


_KILLED = """
import os, signal, sys
from tests.bank.test_integrity import _chunks
from tests.bank.drawn_bank import drawn_head
from segpaste.bank import write_bank

def chunks():
    yield from _chunks(2)
    os.kill(os.getpid(), signal.SIGKILL)

write_bank(sys.argv[1], drawn_head(), chunks(), backend="lmdb", count=3)
"""


def test_what_a_killed_writer_leaves_is_removed_by_the_next(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, tmp_path / "bank"], cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".bank.writing-")
    assert "data.mdb" in os.listdir(tmp_path / left)
    with pytest.raises(BankError, match="got nothing there"):
        open_bank(tmp_path / "bank")
    (tmp_path / ".other.writing-1").mkdir()  # of another bank
    drawn_bank(tmp_path / "bank", 2, backend="lmdb")
    assert sorted(os.listdir(tmp_path)) == [".other.writing-1", "bank"]


def test_a_writer_at_work_is_left_alone(tmp_path: Path) -> None:
    def chunks() -> Iterator[Chunk]:
        yield from _chunks(1)
        (at_work,) = os.listdir(tmp_path)
        drawn_bank(tmp_path / "bank", 5)
        assert sorted(os.listdir(tmp_path)) == sorted([at_work, "bank"])
        shutil.rmtree(tmp_path / "bank")
        yield from _chunks(1)

    write_bank(tmp_path / "bank", drawn_head(), chunks(), backend="memmap", count=2)
    assert len(open_bank(tmp_path / "bank")) == 2
    assert os.listdir(tmp_path) == ["bank"]
