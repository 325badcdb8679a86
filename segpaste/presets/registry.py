"""Presets by name."""

from __future__ import annotations

import difflib

from segpaste.presets.builtin import BUILTIN
from segpaste.presets.config import PresetConfig

_registered: dict[str, PresetConfig] = {}


def register_preset(config: PresetConfig) -> None:
    """Make a preset known to :func:`get_preset` in this process.

    Raises:
        TypeError: if it is no ``PresetConfig``.
        ValueError: if there is a preset of that name, or a field is out of range, which
            ``model_copy`` does not look at.
    """
    if not isinstance(config, PresetConfig):
        raise TypeError(f"config: got {type(config).__name__}, expected a PresetConfig")
    PresetConfig.model_validate(config.model_dump())
    if config.name in list_presets():
        raise ValueError(f"config.name: got {config.name!r}, which is registered; expected another name")
    _registered[config.name] = config


def get_preset(name: str) -> PresetConfig:
    """The preset of that name.

    Raises:
        TypeError: if ``name`` is no ``str``.
        KeyError: naming the known presets and the nearest to ``name``.
    """
    if not isinstance(name, str):
        raise TypeError(f"name: got {type(name).__name__}, expected a str")
    known = list_presets()
    if name in known:
        return _registered[name] if name in _registered else BUILTIN[name]()
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise KeyError(f"name: got {name!r}, expected one of {known}{hint}")


def list_presets() -> list[str]:
    """The names of all presets, sorted."""
    return sorted({*BUILTIN, *_registered})
