"""Arguments that are to be numbers."""

from __future__ import annotations

import operator
from typing import Any


def whole_number(
    name: str, value: Any, *, at_least: int | None = None, below: int | None = None, or_none: bool = False
) -> int:
    """An argument that is to be an integer of any kind, NumPy's too, as a Python ``int``.

    Args:
        name: what an error calls it.
        value: what was given.
        at_least: the least that is accepted.
        below: what it must be less than; only beside ``at_least``.
        or_none: whether the caller takes ``None``, too; only for the error.

    Raises:
        TypeError: if it is no integer, or a bool.
        ValueError: if it is out of range.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name}: got {type(value).__name__}, expected an int{' or None' if or_none else ''}")
    if (at_least is not None and number < at_least) or (below is not None and number >= below):
        limit = "" if below is None else f" and less than {below}"
        raise ValueError(f"{name}: got {number}, expected {at_least} or more{limit}")
    return number
