"""The version is known without an installation, as where only the sources were copied."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from segpaste.version import VERSION

ROOT = Path(__file__).resolve().parent.parent


def test_the_installed_version_is_the_one_in_the_sources() -> None:
    assert version("segpaste") == VERSION


def test_a_copy_of_the_sources_works_without_metadata() -> None:
    code = f"""
import importlib.metadata as metadata, sys
sys.path.insert(0, {str(ROOT)!r})
known = metadata.version
def version(name):
    if name == "segpaste":
        raise metadata.PackageNotFoundError(name)
    return known(name)
metadata.version = version
import segpaste
from segpaste.cli import main
from segpaste.paste import ReplayRecord
from segpaste.testing import RunOptions, resolve_target, run
assert segpaste.__version__ == ReplayRecord(base_seed=1).version
assert run([resolve_target("reference")], RunOptions(examples=1)).header.versions["segpaste"]
assert main(["--version"]) == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["segpaste", VERSION]
