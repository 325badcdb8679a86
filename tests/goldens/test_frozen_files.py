"""The frozen files are whole, and nothing but an update with a reason can have changed them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segpaste.goldens.cases import DTYPES, KINDS, SEEDS, frozen_cases
from segpaste.goldens.facts import FACT_SEEDS, facts_of
from segpaste.goldens.runners import built_in
from segpaste.goldens.store import DIGESTS, FACTS, FOLDER, FrozenStore, digests_file
from segpaste.goldens.tensors import KeptTensors

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the frozen files, to be spoilt."""
    folder = tmp_path / "frozen"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(".*"))
    assert FrozenStore(folder).trouble() is None
    return folder


def test_the_ledger_knows_these_files() -> None:
    store = FrozenStore()
    assert store.trouble() is None
    entries = store.ledger()
    assert entries[-1]["new"] == store.digest()
    for before, after in zip([{"new": None}, *entries], entries, strict=False):
        assert after["old"] == before["new"]
        assert after["reason"].strip()


def test_no_case_is_missing() -> None:
    store = FrozenStore()
    assert set(store.files()) >= {digests_file(kind, dtype) for kind in KINDS for dtype in DTYPES}
    for kind in KINDS:
        for dtype in DTYPES:
            assert list(store.digests(kind, dtype)) == list(SEEDS)


def test_the_facts_are_those_of_the_reference() -> None:
    cases = list(frozen_cases(dtypes=["uint8"], seeds=FACT_SEEDS))
    results = []
    for kind in KINDS:
        results += built_in("reference")([one for one in cases if one.kind == kind])
    facts = [line for one, outcome in zip(cases, results, strict=True) for line in facts_of(one, outcome)]
    assert (FOLDER / FACTS).read_text(encoding="utf-8").splitlines() == facts


@pytest.mark.parametrize("name", [FACTS, "tensors.xz", digests_file("instance", "uint8")])
def test_a_changed_file_is_noticed(name: str, copy: Path) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    trouble = FrozenStore(copy).trouble()
    assert trouble is not None
    assert "they were changed past scripts/regenerate_goldens.py" in trouble


def test_a_missing_or_further_file_is_noticed(copy: Path) -> None:
    (copy / DIGESTS / "more.txt").write_text("")
    assert FrozenStore(copy).trouble() is not None
    (copy / DIGESTS / "more.txt").unlink()
    (copy / digests_file("image", "uint8")).unlink()
    assert FrozenStore(copy).trouble() is not None


def test_a_file_that_is_no_digest_or_no_tensors_is_named(copy: Path) -> None:
    (copy / digests_file("image", "uint8")).write_text("000 images=12\n")
    with pytest.raises(ValueError, match="image.uint8.txt: line: got '000 images=12', expected a seed"):
        FrozenStore(copy).digests("image", "uint8")
    with pytest.raises(ValueError, match="kept tensors: got 3 bytes that do not unpack"):
        KeptTensors(b"abc")


SNAPSHOT_TEST = """
from pathlib import Path
from tests.goldens.frozen_digests import FrozenDigests

class Spoilt(FrozenDigests):
    folder = Path({folder!r})

def test_it(snapshot):
    assert snapshot.use_extension(Spoilt)(name="image.uint8") == "000 images=0000000000000000\\n"
"""


def test_pytest_cannot_update_the_digests(copy: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    program = tmp_path / "test_spoilt.py"
    program.write_text(SNAPSHOT_TEST.format(folder=str(copy)), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(program),
        "--snapshot-update",
        "-q",
        "--rootdir",
        str(ROOT),
    ]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "frozen digests are rewritten by" in done.stdout
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
    assert FrozenStore(copy).trouble() is None
