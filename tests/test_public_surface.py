"""The names users may rely on, and that each of them says what it is."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import version
from typing import Any

import pytest

import segpaste

SURFACE: dict[str, set[str]] = {
    "segpaste": {
        "BatchAuditPacket",
        "BatchCopyPasteConfig",
        "BatchedDenseSample",
        "BatchedPlacementConfig",
        "CameraIntrinsics",
        "DenseSample",
        "InstanceMask",
        "Modality",
        "PaddedBatchedDenseSample",
        "PaddingMask",
        "PanopticMap",
        "PanopticPasteConfig",
        "PanopticSchema",
        "PanopticSchemaSpec",
        "PastePlan",
        "SemanticMap",
        "__version__",
    },
}
PACKAGES = sorted(SURFACE)
DOCUMENTED = [
    "segpaste",
    "segpaste.types",
    "segpaste.paste",
    "segpaste.invariants",
    "segpaste.strategies",
    "segpaste.integrations",
    "segpaste.testing",
    "segpaste.viz",
]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_public_names_are_these_and_no_others(package: str) -> None:
    module = importlib.import_module(package)
    assert set(module.__all__) == SURFACE[package]
    assert list(module.__all__) == sorted(set(module.__all__), key=module.__all__.index)
    for name in module.__all__:
        assert hasattr(module, name), name


def test_the_version_stands_in_one_place() -> None:
    assert segpaste.__version__ == version("segpaste")


def _undocumented(name: str, value: Any) -> list[str]:
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return []
    missing = [] if (inspect.getdoc(value) or "").strip() else [name]
    if inspect.isclass(value):
        for member, attribute in vars(value).items():
            public = not member.startswith("_")
            method = inspect.isfunction(attribute) or isinstance(
                attribute, property | classmethod | staticmethod
            )
            if public and method and not inspect.getdoc(getattr(value, member)):
                missing.append(f"{name}.{member}")
    return missing


@pytest.mark.parametrize("package", DOCUMENTED)
def test_every_public_name_has_a_docstring(package: str) -> None:
    module = importlib.import_module(package)
    assert (module.__doc__ or "").strip(), package
    assert module.__all__
    missing = []
    for name in module.__all__:
        missing += _undocumented(name, getattr(module, name))
    assert missing == []


def test_what_looks_for_docstrings_finds_their_absence() -> None:
    class Bare:
        def method(self) -> None: ...

    assert _undocumented("Bare", Bare) == ["Bare", "Bare.method"]
