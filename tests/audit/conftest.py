"""Small pictures: what is drawn is looked at elsewhere, and large ones take most of an audit's time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from segpaste.audit import pictures


@pytest.fixture(scope="session", autouse=True)
def small_pictures() -> Iterator[None]:
    """Panels of 64 screen pixels."""
    before, pictures.SIDE = pictures.SIDE, 64
    yield
    pictures.SIDE = before
