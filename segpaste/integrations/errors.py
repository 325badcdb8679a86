"""What a reader raises."""

from __future__ import annotations


class DataError(ValueError):
    """Data that cannot be read: one line with the file, the record and what would be valid."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
