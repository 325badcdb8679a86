"""``meta.json``: what a bank says of itself, and the digest of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from segpaste.types.frozen_mapping import FrozenMapping

BackendName = Literal["memmap", "lmdb", "webdataset"]
LAYOUT_VERSION = 1
META_FILE = "meta.json"
MAX_CLASSES = 1 << 24
"""Class ids are less; frequencies and tables have a place for each."""
MAX_PIXELS = 1 << 26
"""Pixels of a crop, at most: its record, with all it may carry, stays below NumPy's limit of 2 GiB."""

_Side = Annotated[int, Field(ge=1, le=65536)]
_Table = Annotated[
    Mapping[Annotated[int, Field(ge=0)], str], AfterValidator(FrozenMapping), PlainSerializer(dict)
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BankHead(_Frozen):
    """What is common to all crops of a bank, whatever it is stored in.

    Attributes:
        crop_size: ``(h, w)``, of at most :data:`MAX_PIXELS` pixels.
        num_classes: one more than the largest class id; at most :data:`MAX_CLASSES`.
        class_names: class id -> name, of the classes that have one.
        has_depth, has_normals, has_intrinsics: whether a crop may carry them.
        metric_depth: whether all depth is in metres.
        embedding_dim: length of the embedding that every crop has, or ``None``.
        datasets: names of data sets; a crop names one by its place here.
        models: names of models, likewise.
    """

    crop_size: tuple[_Side, _Side]
    num_classes: Annotated[int, Field(ge=1, le=MAX_CLASSES)]
    class_names: _Table = Field(default_factory=FrozenMapping[int, str])
    has_depth: bool = False
    has_normals: bool = False
    has_intrinsics: bool = False
    metric_depth: bool = False
    embedding_dim: Annotated[int, Field(ge=1, le=65536)] | None = None
    datasets: tuple[str, ...] = ("",)
    models: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        beyond = sorted(c for c in self.class_names if c >= self.num_classes)
        if beyond:
            raise ValueError(f"class_names: got class {beyond[0]}, expected less than {self.num_classes}")
        if self.crop_size[0] * self.crop_size[1] > MAX_PIXELS:
            raise ValueError(
                f"crop_size: got {self.crop_size}, expected (h, w) of at most {MAX_PIXELS} pixels"
            )
        if self.metric_depth and not (self.has_depth and self.has_intrinsics):
            raise ValueError("metric_depth: got True, expected depth and intrinsics beside it")
        return self


class FileEntry(_Frozen):
    """Size in bytes and SHA-256 of a file of a bank."""

    size: Annotated[int, Field(ge=0)]
    sha256: str


class BankMeta(_Frozen):
    """The whole of ``meta.json``.

    Attributes:
        layout: :data:`LAYOUT_VERSION`.
        format: the backend.
        head: see :class:`BankHead`.
        count: number of crops.
        content: SHA-256 of the content (:class:`ContentDigest`).
        files: every other file of the bank, by its path within it.
        built_from: what the bank was built from and how, for the reader.
    """

    layout: Literal[1] = LAYOUT_VERSION
    format: BackendName
    head: BankHead
    count: Annotated[int, Field(ge=0)]
    content: str
    files: dict[str, FileEntry]
    built_from: dict[str, Any] = Field(default_factory=dict)

    @property
    def version(self) -> str:
        """``{format}@{sha256[:12]}``."""
        return f"{self.format}@{self.content[:12]}"

    def to_json(self) -> str:
        """The text of ``meta.json``, which ends in a checksum of the rest."""
        values = self.model_dump(mode="json")
        return json.dumps({**values, "checksum": _checksum(values)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: if it is no JSON, the checksum is another, or a field is out of range.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or "checksum" not in values:
            raise ValueError("no object with a checksum")
        said = values.pop("checksum")
        meta = cls.model_validate(values)
        if said != _checksum(meta.model_dump(mode="json")):
            raise ValueError(f"checksum: got {said!r:.20}, which is not that of the other fields")
        return meta


class ContentDigest:
    """SHA-256 of a bank's content: the head, and record and index row of every crop in order.

    The same for the same content in every backend. Chunks of any size give the same digest.
    """

    def __init__(self, head: BankHead) -> None:
        self._hash = hashlib.sha256(_canonical(head.model_dump(mode="json")).encode())

    def add(self, record: bytes | memoryview, row: bytes | memoryview) -> None:
        """One crop: the bytes of its record and of its index row."""
        self._hash.update(record)
        self._hash.update(row)

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._hash.hexdigest()


def _checksum(values: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(values).encode()).hexdigest()


def _canonical(values: Any) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
