"""A mapping that cannot change: hashable, and it pickles and copies like its items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class FrozenMapping(Mapping[KeyT, ValueT], Generic[KeyT, ValueT]):
    """Read-only items in ascending order of their keys.

    ``types.MappingProxyType`` can be neither hashed nor pickled, and configurations must
    cross to DataLoader workers.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[KeyT, ValueT] | None = None) -> None:
        self._items: dict[KeyT, ValueT] = dict(sorted((items or {}).items()))  # pyright: ignore[reportArgumentType, reportCallIssue]

    def __getitem__(self, key: KeyT) -> ValueT:
        return self._items[key]

    def __iter__(self) -> Iterator[KeyT]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __reduce__(self) -> tuple[type, tuple[dict[KeyT, ValueT]]]:
        return type(self), (self._items,)

    def __repr__(self) -> str:
        return repr(self._items)
