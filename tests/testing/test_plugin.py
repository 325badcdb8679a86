"""The pytest plugin: options and variables, stale entries, skips, reports, xdist, and its weight."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import torch

import segpaste.testing.parametrize  # noqa: F401  (a run inside a run must not load it anew)
from segpaste.testing.plugin import Page, index_page

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parent.parent.parent
INSTALLED = any(point.name == "segpaste" for point in entry_points(group="pytest11"))
"""Whether the environment was installed since the entry point exists."""

SUITE = """\
from segpaste import DenseSample
from segpaste.testing.parametrize import parametrize_with_invariants


def my_flip(sample, seed):
    fields = sample.to_dict()
    for name in ("image", "instance_masks"):
        fields[name] = fields[name].flip(-1)
    return DenseSample.unchecked(**fields)


@parametrize_with_invariants(
    [my_flip], kind="geometric", modalities=["instance"], only="instance.boxes_*"{more}
)
def test_augmentation(check):
    check()
"""
TIGHT = "instance.boxes_are_tight"
NO_CUDA = "torch finds no CUDA device"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEVICE", "EXAMPLES", "PROFILE", "XFAILS", "REPORT"):
        monkeypatch.delenv(f"SEGPASTE_{name}", raising=False)
    # With it pytest repeats whole messages in its summary.
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """An outside user's suite, beside a ``strategies.py`` of their own."""
    folder = pytester.mkdir("tests")
    (folder / "strategies.py").write_text("MINE = 3\n")
    (folder / "test_mine.py").write_text(
        SUITE.format(more=", examples=6") + "\n\ndef test_own():\n    from strategies import MINE\n"
        "    assert MINE == 3\n"
    )
    return pytester


def _plugin() -> tuple[str, ...]:
    return () if INSTALLED else ("-p", "segpaste.testing.plugin")


def _run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess(*_plugin(), "-p", "no:cacheprovider", *arguments)


def _xfails(pytester: pytest.Pytester, text: str) -> str:
    file = pytester.path / "xfails.yaml"
    file.write_text(text)
    return str(file)


def test_the_entry_point_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"segpaste": "segpaste.testing.plugin"}


def test_the_plugin_loads_nothing_heavy() -> None:
    code = (
        "import sys, segpaste.testing.plugin; "
        "print({'torch', 'torchvision', 'numpy', 'hypothesis', 'numba', 'PIL', 'yaml', 'pydantic'} "
        "& set(sys.modules))"
    )
    assert subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout == ("set()\n")


def test_a_suite_without_segpaste_runs_without_torch(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        import pytest

        @pytest.mark.gpu
        def test_own_meaning_of_a_common_marker():
            assert "torch" not in sys.modules
            assert "hypothesis" not in sys.modules
        """
    )
    # A process of its own, and no plugin but ours: Hypothesis has one, too.
    arguments = ("-p", "segpaste.testing.plugin", "--strict-markers", "-W", "error")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        result = pytester.runpytest_subprocess(*arguments)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["segpaste *: torch *; device cpu; profile: the suite's own; *seed 0*"])


def test_a_violation_fails_one_test_beside_the_users_own(suite: pytest.Pytester) -> None:
    result = _run(suite, "-rf")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*AugmentationViolation: 1 law violated by test_mine:my_flip:",
            "*[[]instance.boxes_are_tight] row 0: box *, mask spans *",
            "*reproduction:*",
            "FAILED tests/test_mine.py::test_augmentation[[]my_flip-instance.boxes_are_tight-cpu]*",
        ]
    )


def test_an_expected_failure_turns_strict_once_it_is_fixed(suite: pytest.Pytester) -> None:
    test = suite.path / "tests" / "test_mine.py"
    wrong = SUITE.format(more=f', examples=6, expected={{"{TIGHT}": "boxes are left alone"}}')
    test.write_text(wrong)
    _run(suite).assert_outcomes(passed=1, xfailed=1)
    box = "    w, b = sample.image.shape[-1], sample.boxes\n    fields['boxes'] = b[:, [2, 1, 0, 3]]"
    box += " * b.new_tensor([-1, 1, -1, 1]) + b.new_tensor([w, 0, w, 0])\n"
    test.write_text(wrong.replace("    return", box + "    return"))
    sys.modules.pop("test_mine", None)
    result = _run(suite)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [f"*[[]{TIGHT}]*expected to fail (boxes are left alone) and holds: remove the entry*"]
    )


@pytest.mark.parametrize("name", ["my_flip", "test_mine:my_flip", "'*'"])
@pytest.mark.parametrize("by", ["option", "variable"])
def test_expected_failures_may_stand_in_a_file(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str, by: str
) -> None:
    file = _xfails(suite, f"{name}: {{{TIGHT}: known}}")
    if by == "variable":
        monkeypatch.setenv("SEGPASTE_XFAILS", file)
    arguments = [f"--segpaste-xfails={file}"] if by == "option" else []
    result = _run(suite, *arguments)
    result.assert_outcomes(passed=2, xfailed=1)
    result.stdout.fnmatch_lines([f"segpaste *; xfails {file}"])


def test_the_page_of_the_docs_runs_as_a_suite(pytester: pytest.Pytester) -> None:
    page = (ROOT / "docs" / "pytest.md").read_text("utf-8")
    blocks = dict(
        reversed(re.findall(r"^```(python|yaml)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL))
    )
    (pytester.path / "test_mine.py").write_text(blocks["python"])
    result = _run(pytester, "-rpf")
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == 2
    assert outcomes["passed"] > 10
    said = re.findall(r"^ +\[instance.*$|^(?:PASSED|FAILED) .*$", page, flags=re.MULTILINE)
    assert len(said) == 4
    assert [line for line in said if line not in result.stdout.str()] == []
    xfails = _xfails(pytester, blocks["yaml"])
    assert _run(pytester, f"--segpaste-xfails={xfails}").parseoutcomes()["xfailed"] == 2


def test_an_entry_for_nobody_is_an_error(suite: pytest.Pytester) -> None:
    file = _xfails(suite, f"my_flop: {{{TIGHT}: known}}")
    result = _run(suite, f"--segpaste-xfails={file}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {file}: target 'my_flop': not among the targets of this run: *"])


def test_an_entry_for_no_law_is_an_error_whatever_is_collected(suite: pytest.Pytester) -> None:
    file = _xfails(suite, "my_flip: {instance.box_are_tight: known}")
    result = _run(suite, f"--segpaste-xfails={file}", "tests/test_mine.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: {file}: target 'my_flip': no law is called 'instance.box_*; {TIGHT}*"]
    )


@pytest.mark.parametrize("arguments", [("tests/test_other.py",), ("tests/test_other.py::test_one",)])
def test_a_part_of_the_suite_may_leave_entries_unused(
    suite: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    (suite.path / "tests" / "test_other.py").write_text("def test_one():\n    pass\n")
    file = _xfails(suite, f"my_flip: {{{TIGHT}: known}}")
    _run(suite, f"--segpaste-xfails={file}", *arguments).assert_outcomes(passed=1)
    _run(suite, f"--segpaste-xfails={file}", "-k", "test_one").assert_outcomes(passed=1, deselected=3)


def test_an_entry_that_its_target_is_not_judged_by_is_an_error(suite: pytest.Pytester) -> None:
    file = _xfails(suite, "my_flip: {instance.fresh_ids: known}")
    result = _run(suite, f"--segpaste-xfails={file}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*expected: instance.fresh_ids: not judged on test_mine:my_flip*"])


@pytest.mark.parametrize(
    ("arguments", "variables", "tried"),
    [
        ((), {}, 200),
        (("--segpaste-examples=5",), {"SEGPASTE_EXAMPLES": "7"}, 5),
        ((), {"SEGPASTE_EXAMPLES": "7"}, 7),
        ((), {"SEGPASTE_EXAMPLES": ""}, 200),
    ],
)
def test_the_number_of_examples_comes_from_the_option_before_the_variable(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    tried: int,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    text = SUITE.format(more="") + f"    assert check.result().tried == {tried}\n"
    pytester.makepyfile(text.replace("    check()\n", ""))
    _run(pytester, *arguments).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("device", "tpu", "got 'tpu', expected cpu, cuda or cpu,cuda"),
        ("device", "cpu,", "got 'cpu,', expected cpu, cuda or cpu,cuda"),
        ("examples", "0", "got '0', expected a whole number, 1 or more"),
        ("examples", "many", "got 'many', expected a whole number, 1 or more"),
        ("profile", "quick", "got 'quick', expected one of dev, ci, nightly, gpu"),
        ("xfails", "none.yaml", "none.yaml: cannot be read: No such file or directory; expected a YAML file"),
        ("report", "taken/below", "got taken/below, expected a folder: Not a directory"),
    ],
)
@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_bad_value_is_one_line_that_names_where_it_stands(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    message: str,
    by: str,
) -> None:
    (pytester.path / "taken").write_text("a file")
    said = f"--segpaste-{name}" if by == "option" else f"SEGPASTE_{name.upper()}"
    if by == "variable":
        monkeypatch.setenv(said, value)
    result = _run(pytester, *([f"{said}={value}"] if by == "option" else []))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.stderr.lines if line]
    assert line.startswith(f"ERROR: {said}: ")
    assert line.endswith(message)


@pytest.mark.parametrize(
    ("said", "examples", "random"),
    [("dev", 50, True), ("ci", 100, False), ("nightly", 2000, True), ("gpu", 200, False)],
)
def test_profiles_set_all_that_ci_would_change(said: str, examples: int, random: bool) -> None:
    code = (
        "from segpaste.testing.plugin import register_profiles; register_profiles()\n"
        "from hypothesis import settings\n"
        f"s = settings.get_profile('segpaste-{said}')\n"
        "print(s.max_examples, s.derandomize, s.deadline, s.database is not None, s.print_blob)"
    )
    for ci in ({}, {"CI": "1"}):
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PATH": "", **ci}
        )
        assert run.stdout == f"{examples} {not random} None {random} True\n"


PROFILES = """\
from hypothesis import settings
from segpaste.testing.plugin import current_settings

def test_profile():
    print("PROFILE", settings.get_current_profile_name(), current_settings().examples)
"""


@pytest.mark.parametrize(
    ("arguments", "variable", "loaded", "header"),
    [
        ((), "", "mine None", "profile: the suite's own*"),
        (("--segpaste-profile=dev",), "ci", "segpaste-dev 50", "profile segpaste-dev (random, kept in a*"),
        ((), "ci", "segpaste-ci 200", "profile segpaste-ci (the same examples every run)*"),
        ((), "mine", "mine None", "profile mine (the suite's own)*"),
        (("--segpaste-profile=nightly", "--segpaste-examples=9"), "", "segpaste-nightly 9", "*nightly*"),
    ],
)
def test_a_profile_is_loaded_only_if_it_is_named(
    pytester: pytest.Pytester, arguments: tuple[str, ...], variable: str, loaded: str, header: str
) -> None:
    pytester.makepyfile(PROFILES)
    pytester.makeconftest(
        "from hypothesis import settings\n"
        "settings.register_profile('mine', max_examples=3)\nsettings.load_profile('mine')\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGPASTE_PROFILE", variable)
        result = pytester.runpytest_subprocess(*_plugin(), "-s", *arguments)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"segpaste *; {header}", f"*PROFILE {loaded}*"])


GPU = """\
import pytest
import torch

@pytest.mark.gpu
def test_gpu():
    assert torch.cuda.is_available()
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without CUDA")
def test_without_cuda_a_gpu_test_is_skipped_and_a_run_that_names_cuda_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(GPU)
    result = _run(pytester, "-rs", "--strict-markers")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([f"SKIPPED *: {NO_CUDA}"])
    for arguments in (("--segpaste-device=cpu,cuda",), ("--segpaste-profile=gpu",)):
        result = _run(pytester, *arguments)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: --segpaste-device: got cuda, but {NO_CUDA}; expected cpu"])
    monkeypatch.setenv("SEGPASTE_DEVICE", "cuda")
    assert _run(pytester).ret == pytest.ExitCode.USAGE_ERROR
    _run(pytester, "--segpaste-device=cpu").assert_outcomes(skipped=1)


class _Cuda:
    """Stands in for torch.cuda and notes when it is waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: self.calls.append("wait"))


def test_with_cuda_the_device_is_waited_for_around_each_gpu_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = _Cuda(monkeypatch)
    monkeypatch.setattr(torch, "noted", cuda.calls, raising=False)
    pytester.makepyfile(
        GPU + "    torch.noted.append('gpu')\n\ndef test_cpu():\n    torch.noted.append('cpu')\n"
    )
    result = _run(pytester, "--segpaste-device=cuda")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["segpaste *; device cuda (a GPU); *"])
    assert cuda.calls == ["wait", "gpu", "wait", "cpu"]


def test_an_error_of_the_gpu_is_blamed_on_the_test_that_caused_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = _Cuda(monkeypatch)

    def wait() -> None:
        cuda.calls.append("wait")
        if len(cuda.calls) == 2:
            raise RuntimeError("device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    pytester.makepyfile(GPU + "\n@pytest.mark.gpu\ndef test_next():\n    pass\n")
    result = _run(pytester, "-rf")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E * RuntimeError: device-side assert triggered", "FAILED *::test_gpu*"])


def test_tests_are_made_for_every_device_and_marked(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Cuda(monkeypatch)
    arguments = ("--segpaste-device=cpu,cuda", "--collect-only", "-q", "--strict-markers")
    result = _run(suite, *arguments)
    ids = [line for line in result.stdout.lines if "::test_augmentation" in line]
    assert [re.findall(r"-(cpu|cuda)\]", line) for line in ids] == [["cpu"]] * 2 + [["cuda"]] * 2
    ids = [line for line in _run(suite, *arguments, "-m", "gpu").stdout.lines if "::" in line]
    assert len(ids) == 2
    assert all(line.endswith("-cuda]") for line in ids)


def test_cuda_with_xdist_is_refused(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    _Cuda(monkeypatch)
    result = _run(pytester, "--segpaste-device=cuda", "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --segpaste-device: got cuda with xdist, expected cpu, or a run without -n*"]
    )


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_report_has_a_page_for_every_augmentation(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    if by == "variable":
        monkeypatch.setenv("SEGPASTE_REPORT", "out/report")
    result = _run(suite, *(["--segpaste-report=out/report"] if by == "option" else []))
    result.assert_outcomes(passed=2, failed=1)
    folder = suite.path / "out" / "report"
    page = folder / "test_mine.test_augmentation-my_flip-cpu" / "index.html"
    (anchor,) = re.findall(r"picture: .*index\.html#(\w+)", result.stdout.str())
    text = page.read_text("utf-8")
    assert f'id="{anchor}"' in text
    assert "data:image/" in text
    index = (folder / "index.html").read_text("utf-8")
    assert 'href="test_mine.test_augmentation-my_flip-cpu/index.html"' in index
    assert "1 passed, 1 failed" in index
    result.stdout.fnmatch_lines([f"segpaste: report in {folder / 'index.html'}"])


def test_without_tests_of_ours_nothing_is_reported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one():\n    pass\n")
    result = _run(pytester, "--segpaste-report=report")
    result.assert_outcomes(passed=1)
    assert "segpaste: report" not in result.stdout.str()


def test_the_index_shows_every_page_once(tmp_path: Path) -> None:
    page = Page(str(tmp_path / "a" / "index.html"), "<a>", "1 passed")
    text = index_page([page, page, page._replace(path=str(tmp_path / "b" / "index.html"))], tmp_path)
    assert re.findall(r'href="([^"]*)"', text) == ["a/index.html", "b/index.html"]
    assert text.count("&lt;a&gt;") == 2


@pytest.mark.parametrize("dist", ["load", pytest.param("loadgroup", marks=pytest.mark.nightly)])
def test_xdist_workers_share_report_and_expectations_and_tell_of_stale_ones(
    suite: pytest.Pytester, dist: str
) -> None:
    file = _xfails(suite, f"my_flip: {{{TIGHT}: known}}\nmy_flop: {{{TIGHT}: known}}\n")
    arguments: tuple[Any, ...] = (*_plugin(), "-n", "2", f"--dist={dist}", "--segpaste-report=report")
    result = suite.runpytest_subprocess(*arguments, f"--segpaste-xfails={file}")
    result.assert_outcomes(passed=2, xfailed=1)
    index = (suite.path / "report" / "index.html").read_text("utf-8")
    assert index.count("<li>") == 1
    assert "1 failed as expected" in index
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines([f"ERROR: {file}: target 'my_flop': not among the targets of this run: *"])
