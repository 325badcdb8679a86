"""The fused executor: its meaning under Triton's interpreter, and that it compiles for CUDA.

Neither needs a GPU. Both happen in processes of their own, as Triton decides on import
whether it interprets, and torch's compiler imports it too. What the interpreter cannot
show, CUDA's arithmetic, is in ``tests/gpu``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[2]

# Parts of tests/paste/fused_interpreted.py, so that they can run side by side.
PARTS = {
    "drawn, with semantic maps": "references and not no_maps",
    "drawn, without": "references and no_maps",
    "by hand": "not references",
}


@pytest.mark.parametrize("part", PARTS)
def test_the_interpreted_kernels(part: str, tmp_path: Path) -> None:
    counts = tmp_path / "counts.json"
    command = [
        *(sys.executable, "-m", "pytest", "tests/paste/fused_interpreted.py", "-k", PARTS[part], "-q"),
        *("-p", "no:cacheprovider", "--basetemp", str(tmp_path / "pytest")),
    ]
    output = _run(command, TRITON_INTERPRET="1", SEGPASTE_FUSED_COUNTS=str(counts))
    assert " passed" in output
    assert "failed" not in output
    assert "skipped" not in output
    seen = json.loads(counts.read_text(encoding="utf-8"))
    print(f"fused, {part}: {seen}")
    if part != "by hand":
        share = {"drawn, with semantic maps": 6, "drawn, without": 4}[part]
        assert seen["examples"] >= share * settings().max_examples // 10
        assert seen["pasted"] >= seen["audits"] / 6
        assert seen["small tiles"] >= seen["examples"] / 5


@pytest.mark.parametrize(
    ("architecture", "cases"),
    [
        ("80", "some"),
        pytest.param("80", "all", marks=pytest.mark.nightly),
        pytest.param("90", "all", marks=pytest.mark.nightly),
    ],
)
def test_the_kernels_compile_for_cuda(architecture: str, cases: str, tmp_path: Path) -> None:
    """To PTX, which needs no GPU; and it divides and takes roots as the design asks for."""
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("fused_compiled.py"))]
    kernels = json.loads(_run([*command, architecture, cases], TRITON_CACHE_DIR=str(tmp_path)))
    assert sorted(kernels) == sorted(
        [
            *("measure_rows", "list_rows", "find_winners", "measure_stuff", "revert_stuff"),
            *("assign_rows", "paint", "void_stuff", "settle_rows", "write_rows"),
        ]
    )
    instructions = {i for variants in kernels.values() for variant in variants for i in variant}
    floats = {i for i in instructions if i.split(".")[-1] in ("f32", "f64")}
    assert {i for i in floats if i.startswith(("div", "sqrt", "rcp", "rsqrt"))} == {
        "div.rn.f64",
        "sqrt.rn.f64",
    }
    assert {i for i in instructions if ".ftz" in i or ".approx" in i} == set()
    # Fusion would change nothing, but it is switched off, too.
    assert {i for i in instructions if i.startswith("fma")} == set()
    # The copy of the masks is what takes the time: sixteen bytes at a time.
    assert any({"ld.global.v4.b32", "st.global.v4.b32"} <= set(v) for v in kernels["measure_rows"])


def test_without_triton_the_error_says_what_to_do() -> None:
    program = """
import sys
sys.modules["triton"] = None
from segpaste.paste.apply import _executor
try:
    _executor("fused")
except ModuleNotFoundError as error:
    print(error)
"""
    message = _run([sys.executable, "-c", program])
    assert message.strip() == (
        "executor 'fused': got no Triton, expected the one that comes with torch on Linux; "
        "executor 'graph' runs without"
    )


def _run(command: list[str], **variables: str) -> str:
    """What a process printed; it fails with all of that if the process does."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_", "TRITON_", "SEGPASTE_FUSED_"))
    }
    done = subprocess.run(
        command, cwd=ROOT, env=inherited | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
