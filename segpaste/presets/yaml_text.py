"""YAML as PyYAML reads it safely, with every complaint a ``yaml.YAMLError``."""

from __future__ import annotations

from typing import Any

import yaml


def loaded(text: str) -> Any:
    """What the text holds.

    Raises:
        yaml.YAMLError: if it is no YAML, a key occurs twice, or a value is none of its type, such
            as the date ``2001-13-45``.
    """
    try:
        return yaml.load(text, Loader=_Strict)
    except yaml.YAMLError:
        raise
    except (ValueError, TypeError, OverflowError) as error:  # PyYAML passes on what its conversions raise
        raise yaml.YAMLError(str(error)) from error


class _Strict(yaml.SafeLoader):
    """Refuses keys that repeat; YAML forbids them, and PyYAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(key, deep=True)
            if isinstance(name, list | dict):
                continue  # the base class refuses it in its own words
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} occurs twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)
