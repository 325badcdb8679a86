"""Targets by name: attributes, calls, and nothing that evaluates more than that."""

from __future__ import annotations

import sys

import pytest

from segpaste.testing import TargetNotFoundError, resolve_target
from segpaste.testing.specs import SpecError, imported, is_call
from segpaste.testing.targets import Augmentation, last_line

HERE = "tests.testing.test_specs"


class Shift:
    """Something with arguments."""

    def __init__(self, by: int = 1, *, parts: object = ()) -> None:
        if by < 0:
            raise ValueError(f"by: got {by}, expected 0 or more")
        self.by = by
        self.parts = parts

    def __call__(self, target: object, donor: object, seed: int) -> object:
        return target


class Names:
    """A namespace."""

    shift = Shift
    three = 3


@pytest.mark.parametrize(
    ("text", "by", "parts"),
    [
        ("Shift(2)", 2, ()),
        ("Shift(by=-0)", 0, ()),
        ("Names.shift(Names.three)", 3, ()),
        ("Shift(parts=[1, -2.5, 'a', None, True])", 1, [1, -2.5, "a", None, True]),
        ("Shift(parts={'a': (1, 2)})", 1, {"a": (1, 2)}),
    ],
)
def test_a_call_makes_what_it_says(text: str, by: int, parts: object) -> None:
    made = imported(f"{HERE}:{text}", last_line)
    assert isinstance(made, Shift)
    assert (made.by, made.parts) == (by, parts)
    assert is_call(f"{HERE}:{text}")
    target = resolve_target(f"{HERE}:{text}")
    assert isinstance(target, Augmentation)
    assert target.name == target.spec == f"{HERE}:{text}"


def test_calls_nest() -> None:
    made = imported(f"{HERE}:Shift(parts=[Shift(5), Names.shift()])", last_line)
    assert [part.by for part in made.parts] == [5, 1]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (f"{HERE}:Shift(", "expected module:attribute or module:Call"),
        (f"{HERE}:Shift(-1)", "cannot make Shift: raised ValueError: by: got -1, expected 0 or more"),
        (f"{HERE}:Shift(by=1 + 1)", r"'1 \+ 1' is no literal, no name of the module and no call"),
        (f"{HERE}:[x for x in ()]", "is no literal"),
        (f"{HERE}:__import__('os').getcwd()", "has no attribute '__import__'"),
        (f"{HERE}:Shift(**{{}})", r"\*\* is not allowed"),
        (f"{HERE}:missing", "has no attribute 'missing'"),
        (f"{HERE}:Names.missing", "Names has no attribute 'missing'"),
        ("no_such_module:x", "cannot import no_such_module: raised ModuleNotFoundError"),
        ("nothing", "expected module:attribute"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        imported(spec, last_line)
    assert "\n" not in str(caught.value)
    with pytest.raises(TargetNotFoundError):
        resolve_target(spec)


@pytest.mark.parametrize("package", ["albumentations", "kornia", "mmdet", "ultralytics"])
def test_a_library_that_is_not_there_names_the_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TargetNotFoundError, match=rf"{package} is not installed; .*'\.\[adapters\]'"):
        resolve_target(f"{package}:Flip(p=1.0)")
