"""Engines that are installed by extras: imported on first use, named when missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from segpaste.bank.errors import MissingEngineError


def require(module: str, extra: str, what: str) -> ModuleType:
    """Import a module of an extra.

    Args:
        module: dotted name.
        extra: the extra that installs it.
        what: what needs it, as in ``"backend 'lmdb'"``.

    Raises:
        MissingEngineError: if it cannot be imported, with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise MissingEngineError(f"{what} needs {name}: pip install -e '.[{extra}]' ({error})") from error
