"""The frozen digests as syrupy snapshots, which syrupy may read and nothing else.

``pytest --snapshot-update`` would replace them without a word; they are rewritten by
``scripts/regenerate_goldens.py --update --reason "..."``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from syrupy.data import SnapshotCollection, SnapshotCollections
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation

from segpaste.goldens.store import DIGESTS, FOLDER

REFUSAL = 'frozen digests are rewritten by: python scripts/regenerate_goldens.py --update --reason "..."'


class FrozenDigests(SingleFileSnapshotExtension):
    """A file per set and dtype, in ``goldens/frozen/digests``."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"
    folder: Path = FOLDER

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """Where the files lie, whichever test asks."""
        return str(cls.folder / DIGESTS)

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: Any = 0) -> str:
        """The name that the test gives: ``instance+depth.uint8``."""
        return str(index)

    def discover_snapshots(self, **_: Any) -> SnapshotCollections:
        """None: what syrupy does not know it cannot find unused, and delete."""
        return SnapshotCollections()

    @classmethod
    def write_snapshot(cls, **_: Any) -> None:
        """Refused.

        Raises:
            PermissionError: always.
        """
        raise PermissionError(REFUSAL)

    @classmethod
    def write_snapshot_collection(
        cls, *, snapshot_collection: SnapshotCollection, name_order: dict[str, int] | None = None
    ) -> None:
        """Refused.

        Raises:
            PermissionError: always.
        """
        raise PermissionError(REFUSAL)
