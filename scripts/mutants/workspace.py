"""A copy of the tree in which mutmut can work on one module, and the run of mutmut in it."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mutants.targets import Target

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / ".mutation"

_COPIED = ("segpaste", "tests")
_STATE = "state.json"

# Seconds of processor time before a mutant is taken for an endless loop, as mutmut reckons:
# (time of its tests + CONSTANT) * MULTIPLIER * 2.
_TIMEOUT_CONSTANT = 1.5
_TIMEOUT_MULTIPLIER = 1.0

_KILLED, _LIVING = (1, 3), (0, 33)  # mutmut's exit codes; 33 is what no test reaches


@dataclass(frozen=True)
class Run:
    """What a run of mutmut took.

    Attributes:
        mutants: how many were tried.
        seconds: how long that took, without making them and without the clean tests.
    """

    mutants: int
    seconds: float

    @property
    def rate(self) -> float:
        """Mutants per second."""
        return self.mutants / self.seconds if self.seconds else 0.0


class MutmutError(RuntimeError):
    """mutmut gave up before it came to the mutants."""


def folder_of(target: Target) -> Path:
    """Where the copy for a target lies."""
    return FOLDER / target.name


def prepare(target: Target, *, fresh: bool = False, spared: Collection[str] = ()) -> Path:
    """Bring the copy up to date and return its folder.

    The links to the suite's three packages become folders. In the mutated modules, decorators
    become calls after the function, since mutmut skips what is decorated. What was killed
    stays killed; where a file has changed since, everything else is tried again.

    Args:
        target: the modules.
        fresh: forget earlier results.
        spared: mutants that live and need not be tried again.
    """
    folder = folder_of(target)
    if fresh and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = _files(target)
    digest = hashlib.sha256()
    for name, content in sorted(wanted.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
        _write(folder, name, content, is_target=name in target.modules)
    _copy_machine_code(folder)
    state = folder / _STATE
    changed = not state.exists() or json.loads(state.read_text())["digest"] != digest.hexdigest()
    _try_again(target, changed=changed, spared=spared)
    state.write_text(json.dumps({"digest": digest.hexdigest()}))
    return folder


def run(target: Target, *, processes: int = 1) -> Run:
    """Try every mutant of a prepared target that has no result yet.

    Raises:
        MutmutError: with the end of mutmut's output, if the tests fail without any mutation.
    """
    folder = folder_of(target)
    environment = os.environ | {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "SEGPASTE_PROFILE": "mutation",
        "OMP_NUM_THREADS": "1",
        "NUMBA_DISABLE_JIT": "0" if target.jit else "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"{ROOT / 'scripts'}{os.pathsep}{folder / 'mutants'}",
    }
    before, log = _tried(target), folder / "mutmut.log"
    started = time.monotonic()
    with log.open("w") as out:
        command = [sys.executable, "-m", "mutants.one_session", "run", "--max-children", str(processes)]
        status = subprocess.run(
            command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT, check=False
        )
    text = log.read_text(errors="replace")
    rate = re.search(r"([\d.]+) mutations/second", text)
    if status.returncode or rate is None:
        raise MutmutError(f"mutmut failed on {target.name}:\n{text[-4000:]}")
    tried = _tried(target) - before
    per_second = float(rate.group(1))
    return Run(tried, tried / per_second if per_second else time.monotonic() - started)


def exit_codes(target: Target, module: str) -> dict[str, int | None]:
    """The result of each mutant of a module, as mutmut codes it; empty where it has not run."""
    meta = _meta(target, module)
    return json.loads(meta.read_text())["exit_code_by_key"] if meta.exists() else {}


def undecorated(source: str) -> str:
    """The same module with every decorator of a function or method written as a call after it."""
    lines = source.splitlines()
    for node in reversed(list(_decorated(ast.parse(source)))):
        indent = " " * node.col_offset
        call = node.name
        for decorator in reversed(node.decorator_list):
            call = f"{ast.unparse(decorator)}({call})"
        lines.insert(node.end_lineno or node.lineno, f"{indent}{node.name} = {call}")
        del lines[node.decorator_list[0].lineno - 1 : node.lineno - 1]
    return "\n".join(lines) + "\n"


def _decorated(tree: ast.Module) -> list[ast.FunctionDef]:
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    found = [n for body in bodies for n in body if isinstance(n, ast.FunctionDef) and n.decorator_list]
    kept = {"staticmethod", "classmethod", "overload"}  # mutmut knows the first two
    return sorted(
        (n for n in found if not any(isinstance(d, ast.Name) and d.id in kept for d in n.decorator_list)),
        key=lambda n: n.lineno,
    )


def _files(target: Target) -> dict[str, bytes]:
    """Everything in the copy, by its path there."""
    files: dict[str, bytes] = {}
    for top in _COPIED:
        for parent, folders, names in os.walk(ROOT / top, followlinks=True):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(parent) / name
                if path.suffix not in (".pyc", ".nbi", ".nbc") and not name.startswith("."):
                    files[str(path.relative_to(ROOT))] = path.read_bytes()
    for module in target.modules:
        files[module] = undecorated(files[module].decode()).encode()
    files["pyproject.toml"] = (ROOT / "pyproject.toml").read_bytes() + _configuration(target).encode()
    return files


def _configuration(target: Target) -> str:
    options = {
        "source_paths": ["segpaste"],
        "only_mutate": list(target.modules),
        "pytest_add_cli_args_test_selection": list(target.tests),
        "pytest_add_cli_args": ["-p", "no:cacheprovider"],
        "timeout_constant": _TIMEOUT_CONSTANT,
        "timeout_multiplier": _TIMEOUT_MULTIPLIER,
        "track_dependencies": False,
        "use_git_change_detection": False,
        "on_dependency_change": "ignore",
        "use_setproctitle": False,
    }
    return "\n[tool.mutmut]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items())


def _write(folder: Path, name: str, content: bytes, *, is_target: bool) -> None:
    path = folder / name
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    # Numba's cached machine code is good for one modification time of its source.
    changed = (ROOT / name).stat().st_mtime_ns
    os.utime(path, ns=(changed, changed))
    if not is_target:
        # mutmut copies only what is not there yet.
        (folder / "mutants" / name).unlink(missing_ok=True)


def _copy_machine_code(folder: Path) -> None:
    for path in (ROOT / "segpaste" / "paste" / "__pycache__").glob("*.nb[ic]"):
        for base in (folder, folder / "mutants"):
            copy = base / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists():
                shutil.copy2(path, copy)


def _try_again(target: Target, *, changed: bool, spared: Collection[str]) -> None:
    """Forget the results of what was not killed; in files that have not changed, of timeouts alone.

    A machine that was held up while it ran makes a timeout of anything.
    """
    if changed:
        (folder_of(target) / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    kept = _KILLED if changed else (*_KILLED, *_LIVING)
    for meta in (_meta(target, module) for module in target.modules):
        if meta.exists():
            content = json.loads(meta.read_text())
            codes = content["exit_code_by_key"]
            content["exit_code_by_key"] = {
                k: c if c in kept or k in spared else None for k, c in codes.items()
            }
            meta.write_text(json.dumps(content, indent=4))


def _meta(target: Target, module: str) -> Path:
    return folder_of(target) / "mutants" / f"{module}.meta"


def _tried(target: Target) -> int:
    return sum(code is not None for module in target.modules for code in exit_codes(target, module).values())
