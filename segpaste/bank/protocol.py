"""What a bank of crops is: the protocol, and the crop it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch

from segpaste.types import CameraIntrinsics


@dataclass(frozen=True, slots=True)
class CropProvenance:
    """Where a crop comes from.

    Attributes:
        dataset: name of the data set.
        image_id, annotation_id: ids there; -1 where there are none.
        model: name of the model whose pseudo-label it is, or ``None``.
        score: the model's score, or ``None``.
    """

    dataset: str = ""
    image_id: int = -1
    annotation_id: int = -1
    model: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class BankCrop:
    """One object, cut out of its image together with what is around it; x right, y down.

    Attributes:
        image: ``[3, h, w]`` uint8, RGB. Beyond the image its border is repeated once, then it is zero.
        alpha: ``[1, h, w]`` bool, the object's mask.
        class_id: class id, 0 or more.
        depth: ``[1, h, w]`` float32 along the optical axis, metres if ``metric_depth``.
        depth_valid: ``[1, h, w]`` bool; present iff ``depth`` is.
        normals: ``[3, h, w]`` float32 unit vectors, right-down-forward camera frame; the zero
            vector means *no normal*.
        camera_intrinsics: of the crop: principal point in pixels from the crop's corner.
        embedding: ``[D]`` float16.
        provenance: where it comes from.
        metric_depth: whether ``depth`` is metric; requires ``camera_intrinsics``.
    """

    image: torch.Tensor
    alpha: torch.Tensor
    class_id: int
    depth: torch.Tensor | None = None
    depth_valid: torch.Tensor | None = None
    normals: torch.Tensor | None = None
    camera_intrinsics: CameraIntrinsics | None = None
    embedding: torch.Tensor | None = None
    provenance: CropProvenance = field(default_factory=CropProvenance)
    metric_depth: bool = False


@runtime_checkable
class InstanceBank(Protocol):
    """A read-only sequence of crops of one size, each of one class.

    Safe in the workers of a ``DataLoader``, forked or spawned: it can be pickled, and reading
    has no state.
    """

    @property
    def class_frequencies(self) -> torch.Tensor:
        """``[num_classes]`` int64: the number of crops of each class, from class 0 on."""
        ...

    @property
    def crop_class_ids(self) -> torch.Tensor:
        """``[N]`` int64: the class of each crop, without reading a crop."""
        ...

    @property
    def crop_size(self) -> tuple[int, int]:
        """``(h, w)`` of every crop."""
        ...

    @property
    def has_embeddings(self) -> bool:
        """Whether every crop has an embedding."""
        ...

    @property
    def version(self) -> str:
        """``{format}@{sha256[:12]}``: what follows the ``@`` is the same for the same content."""
        ...

    def __len__(self) -> int:
        """The number of crops N."""
        ...

    def __getitem__(self, index: int, /) -> BankCrop:
        """Crop ``index``, 0 to N - 1, in memory of its own."""
        ...
