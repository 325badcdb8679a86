"""From a data set's class ids to the indices that a model knows them by, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segpaste.types.numbers import whole_number


def checked_indices(class_to_index: Any) -> dict[int, int]:
    """Class id -> index, both Python integers of 0 or more, each index of one class.

    Raises:
        TypeError: if it is no mapping, or a class or an index is no integer.
        ValueError: on a negative one, or one index for two classes, which nothing leads back from.
    """
    if not isinstance(class_to_index, Mapping):
        raise TypeError(
            f"class_to_index: got {type(class_to_index).__name__}, expected a mapping from class id to index"
        )
    indices: dict[int, int] = {}
    class_of: dict[int, int] = {}
    for key, value in class_to_index.items():
        label = whole_number(f"class_to_index: class {key!r}", key, at_least=0)
        index = whole_number(f"class_to_index[{label}]", value, at_least=0)
        if index in class_of:
            raise ValueError(
                f"class_to_index: got the index {index} for two classes, {class_of[index]} and {label}, "
                "expected one class each"
            )
        indices[label] = index
        class_of[index] = label
    return indices


def to_indices(labels: list[int], class_to_index: Mapping[int, int] | None) -> list[int]:
    """The index of each class id; the ids themselves without a mapping.

    Raises:
        TypeError, ValueError: as :func:`checked_indices`, and on a class without an index.
    """
    if class_to_index is None:
        return labels
    indices = checked_indices(class_to_index)
    missing = sorted(set(labels) - set(indices))
    if missing:
        raise ValueError(f"class_to_index: got no index for the classes {missing[:5]}, expected one each")
    return [indices[label] for label in labels]


def to_classes(field: str, indices: list[int], class_to_index: Mapping[int, int] | None) -> list[int]:
    """The class id of each index; the indices themselves without a mapping.

    Raises:
        TypeError, ValueError: as :func:`checked_indices`, and on an index of no class, naming ``field``.
    """
    if class_to_index is None:
        return indices
    classes = {index: label for label, index in checked_indices(class_to_index).items()}
    unknown = sorted(set(indices) - set(classes))
    if unknown:
        raise ValueError(f"{field}: got {unknown[:5]}, which class_to_index lacks")
    return [classes[index] for index in indices]
