"""Every backend gives back what was written, in the same way."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segpaste.bank import (
    BankError,
    InstanceBank,
    LMDBBank,
    MemmapBank,
    WebDatasetBank,
    open_bank,
    verify_bank,
)
from segpaste.bank.layout import INDEX_DTYPE, pack
from segpaste.bank.meta import BackendName
from segpaste.bank.stored_bank import StoredBank
from tests.bank.drawn_bank import BACKENDS, drawn_bank, drawn_crops, drawn_head, same_crop

EVERYTHING: dict[str, Any] = {
    "depth": True,
    "normals": True,
    "intrinsics": True,
    "metric": True,
    "embedding_dim": 4,
    "some_without": True,
}
CLASSES = {"memmap": MemmapBank, "lmdb": LMDBBank, "webdataset": WebDatasetBank}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> BackendName:
    return request.param


@pytest.fixture
def bank(tmp_path: Path, backend: BackendName) -> StoredBank:
    return drawn_bank(tmp_path / "bank", 13, backend=backend, **EVERYTHING)


def test_what_was_written_is_read(bank: StoredBank, backend: BackendName) -> None:
    crops = drawn_crops(13, **EVERYTHING)
    assert isinstance(bank, InstanceBank)
    assert type(bank) is CLASSES[backend]
    assert len(bank) == 13
    assert all(same_crop(bank[place], crop) for place, crop in enumerate(crops))
    assert all(same_crop(got, crop) for got, crop in zip(bank, crops, strict=True))
    assert bank.crop_size == (16, 20)
    assert bank.has_embeddings
    assert bank.version == f"{backend}@{bank.meta.content[:12]}"
    assert repr(bank) == (
        f"{CLASSES[backend].__name__}({str(bank.path)!r}: 13 crops of 16 x 20, {bank.version})"
    )


@pytest.mark.parametrize("crop_size", [(1, 1), (25, 20), (26, 20), (64, 48)])
def test_any_size_of_record(tmp_path: Path, backend: BackendName, crop_size: tuple[int, int]) -> None:
    # LMDB keeps records of up to about 2 kB in the tree, larger ones in pages of their own.
    bank = drawn_bank(tmp_path / "bank", 40, backend=backend, crop_size=crop_size)
    crops = drawn_crops(40, crop_size=crop_size)
    assert all(same_crop(got, crop) for got, crop in zip(bank, crops, strict=True))
    assert not bank.has_embeddings


def test_classes(bank: StoredBank) -> None:
    classes = [crop.class_id for crop in drawn_crops(13, **EVERYTHING)]
    assert bank.crop_class_ids.dtype == bank.class_frequencies.dtype == torch.int64
    assert bank.crop_class_ids.tolist() == classes
    assert bank.class_frequencies.tolist() == [classes.count(class_id) for class_id in range(8)]
    assert bank.crop_class_ids.data_ptr() == bank.crop_class_ids.data_ptr()


def test_writing_into_a_tensor_reaches_no_file(bank: StoredBank) -> None:
    before = {file: file.read_bytes() for file in bank.path.iterdir()}
    expected = bank.crop_class_ids.clone()
    bank.crop_class_ids[:] = 5
    bank.class_frequencies[:] = 5
    bank[0].image[:] = 5
    assert bank.class_frequencies.sum() == 13
    assert same_crop(bank[0], drawn_crops(1, **EVERYTHING)[0])
    del bank
    for file, content in before.items():
        assert file.read_bytes() == content
    assert torch.equal(open_bank(next(iter(before)).parent).crop_class_ids, expected)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
@pytest.mark.parametrize("backend", ["memmap", "lmdb"])
def test_class_ids_are_mapped_not_copied(bank: StoredBank) -> None:
    place = bank.crop_class_ids.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(limit, 16) for limit in line.split(maxsplit=1)[0].split("-"))
        if start <= place < end:
            assert line.endswith("bank/class_ids.npy")
            return
    raise AssertionError("nothing is mapped there")


def test_the_index_is_read_only(bank: StoredBank) -> None:
    assert bank.index.dtype == INDEX_DTYPE
    expected = pack(drawn_crops(13, **EVERYTHING), bank.head).index
    assert bank.index.tobytes() == expected.tobytes()
    with pytest.raises(ValueError, match="read-only"):
        bank.index["class_id"][0] = 1


def test_indices(bank: StoredBank) -> None:
    last = drawn_crops(13, **EVERYTHING)[12]
    for index in (-1, 12, np.int64(12), np.uint8(12), torch.tensor(-1)):
        assert same_crop(bank[index], last)
    for index in (13, -14, 2**70):
        with pytest.raises(IndexError, match=rf"index: got {index}, expected one of the 13 crops of .*bank"):
            bank[index]
    for wrong in (slice(0, 2), 1.0, "1", None):
        with pytest.raises(TypeError, match=rf"index: got {type(wrong).__name__}, expected an int"):
            bank[wrong]  # pyright: ignore[reportArgumentType]


def test_several_at_once(bank: StoredBank) -> None:
    crops = drawn_crops(13, **EVERYTHING)
    expected = pack(crops, bank.head)
    asked = [3, -1, 0, 3]
    got = bank.records(asked)
    assert got.records.tobytes() == expected.records[asked].tobytes()
    assert got.index.tobytes() == expected.index[asked].tobytes()
    assert all(
        same_crop(crop, crops[place]) for crop, place in zip(bank.__getitems__(asked), asked, strict=True)
    )
    assert len(bank.records([]).index) == 0
    with pytest.raises(IndexError):
        bank.records([0, 13])


def test_chunks(bank: StoredBank) -> None:
    expected = pack(drawn_crops(13, **EVERYTHING), bank.head)
    for size, lengths in ((5, [5, 5, 3]), (13, [13]), (None, [13])):
        chunks = list(bank.chunks(size))
        assert [len(chunk.index) for chunk in chunks] == lengths
        assert b"".join(chunk.records.tobytes() for chunk in chunks) == expected.records.tobytes()
        assert b"".join(chunk.index.tobytes() for chunk in chunks) == expected.index.tobytes()


def test_an_empty_bank(tmp_path: Path, backend: BackendName) -> None:
    bank = drawn_bank(tmp_path / "bank", 0, backend=backend)
    assert (len(bank), list(bank), list(bank.chunks())) == (0, [], [])
    assert bank.class_frequencies.tolist() == [0] * 8
    assert bank.crop_class_ids.shape == (0,)
    with pytest.raises(IndexError):
        bank[0]


def test_copies_open_the_files_themselves(
    bank: StoredBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = drawn_crops(13, **EVERYTHING)
    monkeypatch.chdir(tmp_path)
    relative = open_bank("bank")
    pickled = pickle.dumps(relative)
    assert len(pickled) < 500
    monkeypatch.chdir("/")
    for other in (pickle.loads(pickled), copy.deepcopy(bank)):
        assert all(same_crop(got, crop) for got, crop in zip(other, crops, strict=True))
        assert other.version == bank.version
    assert same_crop(bank[0], crops[0])


@pytest.mark.parametrize("of", [MemmapBank, LMDBBank, WebDatasetBank])
def test_a_class_opens_its_own_backend_only(
    bank: StoredBank, backend: BackendName, of: type[StoredBank]
) -> None:
    if of is CLASSES[backend]:
        assert len(of(bank.path)) == 13
        return
    with pytest.raises(BankError, match=f"got a bank in '{backend}', expected one in '{of.format}'"):
        of(bank.path)


@pytest.mark.parametrize(
    ("backend", "module", "extra"),
    [
        ("lmdb", "lmdb", "bank-lmdb"),
        ("webdataset", "pyarrow", "bank-webdataset"),
        ("webdataset", "webdataset", "bank-webdataset"),
    ],
)
def test_a_missing_engine_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: BackendName, module: str, extra: str
) -> None:
    written = drawn_bank(tmp_path / "written", 2, backend=backend).path
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"{module}.parquet", raising=False)
    message = rf"backend '{backend}' needs {module}: pip install -e '\.\[{extra}\]'"
    with pytest.raises(BankError, match=message):
        drawn_bank(tmp_path / "bank", 2, backend=backend)
    assert [entry.name for entry in tmp_path.iterdir()] == ["written"]
    if module == "webdataset":  # reading is done without
        assert len(open_bank(written)) == 2
    else:
        for read in (open_bank, verify_bank):  # not a report of damage
            with pytest.raises(BankError, match=message):
                read(written)
        (written / "index.npy" if backend == "lmdb" else written / "index.parquet").write_bytes(b"")
        assert not verify_bank(written).clean  # what is seen without the engine is damage


def test_an_unknown_backend_is_named(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="backend: got 'zarr', expected one of memmap, lmdb, webdataset"):
        drawn_bank(tmp_path / "bank", 1, backend="zarr")  # pyright: ignore[reportArgumentType]


def test_the_head_of_a_bank(bank: StoredBank) -> None:
    fields = {name: value for name, value in EVERYTHING.items() if name != "some_without"}
    assert bank.head == drawn_head(**fields)
    assert bank.meta.built_from == {"seed": 0}
