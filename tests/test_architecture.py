"""What holds the packages together: one copy of each module, arrows, what ships."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINKED = ("invariants", "strategies", "goldens")
# Absolute paths of somebody's machine; URLs are cut off before.
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|Users|work|farm|root|mnt)/[\w.]")


def _python(code: str) -> str:
    """What a fresh interpreter prints when it runs ``code`` from the repository root."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return run.stdout


def _tree() -> list[Path]:
    """Every file that is or would be committed, links left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def test_every_source_file_is_loaded_once_and_so_every_registry_exists_once() -> None:
    code = """
import collections, gc, importlib, json, os, pkgutil, sys
import segpaste
names = [m.name for m in pkgutil.walk_packages(segpaste.__path__, "segpaste.")]
for name in names:
    importlib.import_module(name)
from segpaste.invariants import LAWS
files = collections.defaultdict(list)
for name, module in list(sys.modules.items()):
    if getattr(module, "__file__", None):
        files[os.path.realpath(module.__file__)].append(name)
tables = {id(m.LAWS) for m in list(sys.modules.values()) if "LAWS" in getattr(m, "__dict__", {})}
print(json.dumps({
    "modules": len(names),
    "bare": [n for n in ("invariants", "strategies", "goldens") if n in sys.modules],
    "twice": {f: n for f, n in files.items() if len(n) > 1 and "segpaste" in " ".join(n)},
    "registries": len(tables),
    "laws": len(LAWS),
    "copies": [type(o).__name__ for o in gc.get_objects()
               if type(o).__name__ == "Law" and not any(o is law for law in LAWS.values())],
}))
"""
    found = json.loads(_python(code))
    assert found["modules"] > 30
    assert found["laws"] > 30
    assert found | {"modules": 0, "laws": 0} == {
        "modules": 0,
        "laws": 0,
        "bare": [],
        "twice": {},
        "registries": 1,
        "copies": [],
    }


@pytest.mark.parametrize("name", LINKED)
def test_the_suite_stands_at_the_top_and_is_linked_into_the_library(name: str) -> None:
    link = ROOT / "segpaste" / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"
    assert (ROOT / name / "__init__.py").is_file()


def test_neither_library_nor_laws_nor_scenes_load_hypothesis_or_pytest() -> None:
    packages = [
        "types",
        "paste",
        "augmentation",
        "invariants",
        "viz",
        "integrations",
        "strategies",
        "strategies.scenes",
        "goldens",
    ]
    code = f"""
import importlib, json, sys
loaded = {{}}
for name in ["segpaste", *("segpaste." + p for p in {packages!r})]:
    importlib.import_module(name)
    loaded[name] = sorted({{"hypothesis", "pytest", "_pytest"}} & set(sys.modules))
print(json.dumps(loaded))
"""
    loaded = json.loads(_python(code))
    assert len(loaded) == len(packages) + 1
    assert {name: found for name, found in loaded.items() if found} == {}


def test_no_file_names_a_path_of_a_machine() -> None:
    files = _tree()
    assert ROOT / "pyproject.toml" in files
    found = []
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []


def test_what_looks_for_paths_of_a_machine_finds_them() -> None:
    for line in ("cd /home/" + "someone/x", "see '/Users/" + "me'", "=/mnt/" + "disk"):
        assert MACHINE_PATH.search(line), line
    for line in ("https://x.org/home/page", "a/" + "work/b", "../" + "work/x", "/homework/x"):
        assert not MACHINE_PATH.search(line), line


def test_wheel_and_sdist_hold_every_module_template_and_marker(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shipped = set()
    for path in _tree():
        name = path.relative_to(ROOT)
        if name.parts[0] in ("segpaste", *LINKED):
            linked = Path("segpaste") / name if name.parts[0] in LINKED else name
            shipped.add(linked.as_posix())
        elif name.as_posix() not in ("pyproject.toml", "README.md", "LICENSE"):
            continue
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(path.read_bytes())
    for name in LINKED:
        (tree / "segpaste" / name).symlink_to(f"../{name}", target_is_directory=True)
    build = "from setuptools import build_meta as b; print(b.build_{}({!r}))"

    wheel = _build(tree, build.format("wheel", str(tmp_path)), tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == shipped
    assert "segpaste/py.typed" in shipped
    assert any(name.startswith("segpaste/invariants/") for name in shipped)
    assert any(name.endswith(".j2") for name in shipped)

    sdist = _build(tree, build.format("sdist", str(tmp_path)), tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = _build(unpacked, build.format("wheel", str(tmp_path / "unpacked")), tmp_path / "unpacked")
    with zipfile.ZipFile(again) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == shipped


def _build(tree: Path, code: str, folder: Path) -> Path:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tree)
    assert run.returncode == 0, run.stderr
    return folder / run.stdout.splitlines()[-1]
