"""Small banks from one seed, with everything that a crop can have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from segpaste.bank import BankCrop, CropProvenance, open_bank, write_bank
from segpaste.bank.layout import pack
from segpaste.bank.meta import BackendName, BankHead
from segpaste.bank.stored_bank import StoredBank
from segpaste.types import CameraIntrinsics

BACKENDS: tuple[BackendName, ...] = ("memmap", "lmdb", "webdataset")


def drawn_head(
    *,
    crop_size: tuple[int, int] = (16, 20),
    classes: Sequence[int] = (1, 3, 7),
    depth: bool = False,
    normals: bool = False,
    intrinsics: bool = False,
    metric: bool = False,
    embedding_dim: int | None = None,
) -> BankHead:
    """The head of a bank of :func:`drawn_crops` with the same arguments."""
    return BankHead(
        crop_size=crop_size,
        num_classes=max(classes) + 1,
        class_names={class_id: f"class-{class_id}" for class_id in classes},
        has_depth=depth,
        has_normals=normals,
        has_intrinsics=intrinsics,
        metric_depth=metric,
        embedding_dim=embedding_dim,
        datasets=("drawn", "drawn elsewhere"),
        models=("labeller", "second labeller"),
    )


def drawn_crops(
    count: int,
    *,
    crop_size: tuple[int, int] = (16, 20),
    classes: Sequence[int] = (1, 3, 7),
    depth: bool = False,
    normals: bool = False,
    intrinsics: bool = False,
    metric: bool = False,
    embedding_dim: int | None = None,
    some_without: bool = False,
    seed: int = 0,
) -> list[BankCrop]:
    """Crops of noise under a rectangular mask; the first of them are the same for every ``count``.

    Every third crop is a pseudo-label with a model and a score; early classes are more frequent.
    With ``metric`` (which needs depth and intrinsics) depth is metric; with ``some_without``
    every other crop carries neither depth nor normals nor intrinsics.
    """
    return [
        _crop(
            number,
            np.random.default_rng((seed, number)),
            crop_size,
            classes,
            depth=depth and not (some_without and number % 2),
            normals=normals and not (some_without and number % 2),
            intrinsics=intrinsics and not (some_without and number % 2),
            metric=metric,
            embedding_dim=embedding_dim,
        )
        for number in range(count)
    ]


def drawn_bank(
    path: Path,
    count: int = 12,
    *,
    backend: BackendName = "memmap",
    crop_size: tuple[int, int] = (16, 20),
    classes: Sequence[int] = (1, 3, 7),
    depth: bool = False,
    normals: bool = False,
    intrinsics: bool = False,
    metric: bool = False,
    embedding_dim: int | None = None,
    some_without: bool = False,
    seed: int = 0,
) -> StoredBank:
    """A bank of :func:`drawn_crops`, written to ``path`` and opened."""
    head = drawn_head(
        crop_size=crop_size,
        classes=classes,
        depth=depth,
        normals=normals,
        intrinsics=intrinsics,
        metric=metric,
        embedding_dim=embedding_dim,
    )
    crops = drawn_crops(
        count,
        crop_size=crop_size,
        classes=classes,
        depth=depth,
        normals=normals,
        intrinsics=intrinsics,
        metric=metric,
        embedding_dim=embedding_dim,
        some_without=some_without,
        seed=seed,
    )
    chunks = (pack(crops[start : start + 5], head) for start in range(0, count, 5))
    write_bank(path, head, chunks, backend=backend, count=count, built_from={"seed": seed})
    return open_bank(path)


def same_crop(one: BankCrop, other: BankCrop) -> bool:
    """Whether two crops agree in every bit of every field."""
    tensors = ("image", "alpha", "depth", "depth_valid", "normals", "embedding")
    pairs = [(getattr(one, name), getattr(other, name)) for name in tensors]
    if any((a is None) != (b is None) for a, b in pairs):
        return False
    return all(a is None or (a.dtype == b.dtype and torch.equal(a, b)) for a, b in pairs) and (
        (one.class_id, one.camera_intrinsics, one.provenance, one.metric_depth)
        == (other.class_id, other.camera_intrinsics, other.provenance, other.metric_depth)
    )


def _crop(
    number: int,
    draw: np.random.Generator,
    crop_size: tuple[int, int],
    classes: Sequence[int],
    *,
    depth: bool,
    normals: bool,
    intrinsics: bool,
    metric: bool,
    embedding_dim: int | None,
) -> BankCrop:
    h, w = crop_size
    top, left = int(draw.integers(0, h)), int(draw.integers(0, w))
    bottom, right = int(draw.integers(top + 1, h + 1)), int(draw.integers(left + 1, w + 1))
    alpha = torch.zeros(1, h, w, dtype=torch.bool)
    alpha[:, top:bottom, left:right] = True
    valid = torch.from_numpy(draw.integers(0, 8, (1, h, w)) > 0)
    # Multiples of 1/256, as everywhere in the suite; invalid depth is zero.
    far = torch.from_numpy(draw.integers(1, 2560, (1, h, w)).astype(np.float32)) / 256
    normal = torch.nn.functional.normalize(torch.from_numpy(draw.normal(size=(3, h, w))), dim=0)
    pseudo = number % 3 == 2
    return BankCrop(
        image=torch.from_numpy(draw.integers(0, 256, (3, h, w), dtype=np.uint8)),
        alpha=alpha,
        class_id=int(classes[int(draw.integers(0, len(classes), 2).min())]),
        depth=torch.where(valid, far, 0.0) if depth else None,
        depth_valid=valid if depth else None,
        normals=normal.float().clamp(-1, 1) if normals else None,
        camera_intrinsics=CameraIntrinsics(40.0 + number, 41.5, w / 2, h / 2 - 0.25) if intrinsics else None,
        embedding=(
            None
            if embedding_dim is None
            else torch.from_numpy(draw.normal(size=embedding_dim).astype(np.float16))
        ),
        provenance=CropProvenance(
            dataset="drawn elsewhere" if number % 5 == 4 else "drawn",
            image_id=number // 2,
            annotation_id=2**40 + number,
            model=("labeller", "second labeller")[number % 2] if pseudo else None,
            score=float(draw.integers(0, 1001)) / 1000 if pseudo else None,
        ),
        metric_depth=metric and depth,
    )
