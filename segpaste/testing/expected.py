"""Expected failures: which laws an augmentation is known to break, and why.

They are strict: a law that is expected to fail and holds is reported, so that no entry
outlives its reason. Nothing heavy is imported here: the pytest plugin reads the file too.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segpaste.testing.results import Result

Expected = Mapping[str, str]
"""Exact law name -> reason why the law is known to be broken."""

EVERY_TARGET = "*"
"""As a target of the file: the entry holds for every target, and is strict for each."""


class XfailsError(ValueError):
    """Expected failures that cannot be read or make no sense; one line."""


def check_expected(expected: Expected, known_laws: Iterable[str]) -> None:
    """Refuse an entry that names no law or gives no reason.

    Raises:
        ValueError: in one line, naming the law and what would be valid.
    """
    if not isinstance(expected, Mapping):
        raise ValueError(
            f"expected: got a {type(expected).__name__}, expected a mapping of law names to reasons"
        )
    laws = tuple(known_laws)
    for law, reason in expected.items():
        if law not in laws:
            raise ValueError(f"expected: {_no_such_law(law, laws)}")
        if not _is_reason(reason):
            raise ValueError(f"expected: {law}: got the reason {reason!r}, expected a text that says why")


def load_xfails(path: str | Path) -> dict[str, dict[str, str]]:
    """Read a YAML file ``target name: {law name: reason}``.

    The target ``"*"`` stands for every target. A file without entries gives ``{}``.

    Raises:
        XfailsError: in one line that names the file, and the target and law where there
            is one: the file cannot be read, is no such mapping, names something twice, or
            lacks a reason.
    """
    path = Path(path)
    content = _loaded(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise XfailsError(
            f"{path}: got a {type(content).__name__}, expected a mapping `target: {{law: reason}}`"
        )
    for target, laws in content.items():
        if not isinstance(target, str) or not target.strip():
            raise XfailsError(
                f"{path}: target {target!r}: expected the name of a target, or '*' for every one"
            )
        if not isinstance(laws, dict) or not laws:
            raise XfailsError(f"{path}: target {target}: got {laws!r}, expected a mapping `law: reason`")
        for law, reason in laws.items():
            if not isinstance(law, str):
                raise XfailsError(f"{path}: target {target}: law {law!r}: expected the name of a law")
            if not _is_reason(reason):
                raise XfailsError(
                    f"{path}: target {target}: {law}: got the reason {reason!r}, "
                    "expected a text that says why (in quotes, if it looks like a number)"
                )
    return content


def expected_for(xfails: Mapping[str, Expected], target_name: str) -> dict[str, str]:
    """The entries for one target: those of ``"*"``, and over them its own."""
    return dict(xfails.get(EVERY_TARGET, {})) | dict(xfails.get(target_name, {}))


def stale(
    xfails: Mapping[str, Expected], target_names: Collection[str], known_laws: Iterable[str]
) -> list[str]:
    """One line per entry that nothing can match: a target that was not run, or no law.

    Args:
        xfails: what :func:`load_xfails` read.
        target_names: every target of the run.
        known_laws: every law there is.
    """
    laws = tuple(known_laws)
    lines = []
    for target, entries in xfails.items():
        if target != EVERY_TARGET and target not in target_names:
            lines.append(f"target {target!r}: not among the targets of this run: {_some(target_names)}")
        lines += [f"target {target!r}: {_no_such_law(law, laws)}" for law in entries if law not in laws]
    return lines


def apply_expected(results: Sequence[Result], expected: Expected) -> list[Result]:
    """The results, with what was expected to fail judged strictly.

    A law that failed as expected gets the status ``"expected"`` and the reason; one that
    passed though it was expected to fail gets ``"unexpectedly passed"``. All others stay.
    A law without a verdict (not exercised, not decidable, not applicable) contradicts
    nobody and stays as well.
    """
    return [_judged(result, expected.get(result.law)) for result in results]


def _judged(result: Result, reason: str | None) -> Result:
    changes: dict[str, Any] = {}
    if reason is not None and result.status == "failed":
        changes = {"status": "expected", "reason": reason}
    if reason is not None and result.status == "passed":
        changes = {
            "status": "unexpectedly passed",
            "reason": f"it was expected to fail ({reason}) and holds: remove the entry",
        }
    return replace(result, **changes) if changes else result


def _is_reason(reason: Any) -> bool:
    return isinstance(reason, str) and bool(reason.strip())


def _no_such_law(law: Any, laws: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(law), laws, n=3, cutoff=0.5)
    return f"no law is called {law!r}; {_some(close or laws)} would be valid, `segpaste laws` lists them all"


def _some(names: Collection[str], most: int = 3) -> str:
    listed = ", ".join(sorted(names)[:most]) or "none"
    return listed if len(names) <= most else f"{listed}, ... ({len(names)} in all)"


def _loaded(path: Path) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses keys that stand twice, of which YAML would silently keep the last."""

    def mapping(loader: Loader, node: yaml.MappingNode) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} stands twice, expected once", key.start_mark
                )
            seen.add(key.value)
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise XfailsError(f"{path}: cannot be read: {reason}; expected a YAML file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise XfailsError(f"{path}{line}: {problem}; expected YAML `target: {{law: reason}}`") from None
