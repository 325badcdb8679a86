"""Expected failures: the file, its mistakes, and the strict verdicts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from segpaste.testing.expected import (
    XfailsError,
    apply_expected,
    check_expected,
    expected_for,
    load_xfails,
    stale,
)
from segpaste.testing.results import Result

LAWS: tuple[str, ...] = ("instance.fresh_ids", "instance.ids_unique", "paste.not_on_ignore")


def _file(folder: Path, text: str) -> Path:
    file = folder / "xfails.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_says_which_laws_a_target_breaks_and_why(tmp_path: Path) -> None:
    text = """\
        # known
        "my_pkg:paste":
          instance.fresh_ids: the donor's ids are kept, see issue 12
        "*":
          instance.fresh_ids: nobody renumbers
          paste.not_on_ignore: documented
        """
    xfails = load_xfails(_file(tmp_path, text))
    assert expected_for(xfails, "my_pkg:paste") == {
        "instance.fresh_ids": "the donor's ids are kept, see issue 12",
        "paste.not_on_ignore": "documented",
    }
    assert expected_for(xfails, "other") == xfails["*"]
    assert stale(xfails, ["my_pkg:paste"], LAWS) == []


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_a_file_without_entries_expects_nothing(tmp_path: Path, text: str) -> None:
    assert load_xfails(_file(tmp_path, text)) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "got a list, expected a mapping `target: {law: reason}`"),
        ("a: 3", "target a: got 3, expected a mapping `law: reason`"),
        ("a: {}", "target a: got {}, expected a mapping `law: reason`"),
        ("1: {b: c}", "target 1: expected the name of a target, or '*' for every one"),
        ("'': {b: c}", "target '': expected the name of a target"),
        ("a: {1: c}", "target a: law 1: expected the name of a law"),
        ("a: {b: }", "target a: b: got the reason None, expected a text that says why"),
        ("a: {b: ' '}", "target a: b: got the reason ' ', expected a text that says why"),
        ("a: {b: 12}", "target a: b: got the reason 12, expected a text that says why"),
        ("a: {b: c, b: d}", "line 1: 'b' stands twice, expected once"),
        ("a:\n  b: c\na:\n  d: e\n", "line 3: 'a' stands twice, expected once"),
        ("a: [", "expected YAML `target: {law: reason}`"),
        ("a: {[x]: y}", "unhashable key; expected YAML `target: {law: reason}`"),
        ("a: !!python/name:os.system ''", "could not determine a constructor"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    file = _file(tmp_path, text)
    with pytest.raises(XfailsError) as raised:
        load_xfails(file)
    assert str(file) in str(raised.value)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(XfailsError, match="none.yaml: cannot be read: No such file"):
        load_xfails(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: {b: \xe4}")
    with pytest.raises(XfailsError, match="latin.yaml: cannot be read: it is no UTF-8"):
        load_xfails(tmp_path / "latin.yaml")


def test_stale_entries_are_told_apart() -> None:
    xfails = {"gone": {"instance.fresh_ids": "why"}, "here": {"instance.fresh_id": "why"}, "*": {"x": "y"}}
    lines = stale(xfails, ["here"], LAWS)
    assert lines[0] == "target 'gone': not among the targets of this run: here"
    assert lines[1].startswith("target 'here': no law is called 'instance.fresh_id'; instance.fresh_ids")
    assert lines[2].startswith("target '*': no law is called 'x'; instance.fresh_ids, instance.ids_unique")
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"instance.fresh_id": "why"}, "no law is called 'instance.fresh_id'; instance.fresh_ids"),
        ({"instance.*": "why"}, "no law is called 'instance.*'"),
        ({"instance.fresh_ids": ""}, "instance.fresh_ids: got the reason '', expected a text that says why"),
        ({"instance.fresh_ids": None}, "instance.fresh_ids: got the reason None"),
        (["instance.fresh_ids"], "expected: got a list, expected a mapping of law names to reasons"),
    ],
)
def test_what_is_expected_must_name_laws_and_give_reasons(expected: Any, message: str) -> None:
    with pytest.raises(ValueError, match="expected: ") as raised:
        check_expected(expected, LAWS)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_verdicts_are_strict() -> None:
    check_expected({"instance.fresh_ids": "why"}, LAWS)
    results = [
        Result("instance.fresh_ids", "paste", "t", "failed", violation="row 1"),
        Result("instance.ids_unique", "sample", "t", "passed"),
        Result("paste.not_on_ignore", "paste", "t", "not exercised", reason="no ignore"),
        Result("paste.thing_only", "paste", "t", "failed", violation="row 2"),
    ]
    expected: dict[str, str] = dict.fromkeys(LAWS, "the reason")
    judged = apply_expected(results, expected)
    assert [r.status for r in judged] == ["expected", "unexpectedly passed", "not exercised", "failed"]
    assert judged[0].reason == "the reason"
    assert judged[0].violation == "row 1"
    assert judged[1].reason == "it was expected to fail (the reason) and holds: remove the entry"
    assert judged[2:] == results[2:]
    assert apply_expected(results, {}) == results


def test_reading_the_file_needs_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from segpaste.testing.expected import load_xfails; load_xfails(sys.argv[1]); "
        "print({'torch', 'numpy', 'hypothesis', 'numba'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(_file(tmp_path, "a: {b: c}"))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"
