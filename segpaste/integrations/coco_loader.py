"""From a COCO file to lists of samples for a training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Sampler

from segpaste.integrations.coco_datasets import CocoDetectionV2, CocoPanopticV2, CrowdPolicy, Transforms
from segpaste.types import DenseSample

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext


def _identity_collate(batch: list[DenseSample]) -> list[DenseSample]:
    """The samples as they are: sizes and numbers of rows differ."""
    return batch


def create_coco_dataloader(
    image_folder: str | Path,
    label_path: str | Path,
    transforms: Transforms | None,
    batch_size: int = 4,
    collate_fn: Callable[[list[Any]], Any] = _identity_collate,
    *,
    panoptic_folder: str | Path | None = None,
    categories: str | Path | None = None,
    crowd: CrowdPolicy | None = None,
    ignore_index: int | None = None,
    shuffle: bool = False,
    sampler: Sampler[int] | Iterable[int] | None = None,
    num_workers: int = 0,
    pin_memory: bool = False,
    drop_last: bool = False,
    timeout: float = 0,
    worker_init_fn: Callable[[int], None] | None = None,
    multiprocessing_context: str | BaseContext | None = None,
    generator: torch.Generator | None = None,
    prefetch_factor: int | None = None,
    persistent_workers: bool = False,
) -> DataLoader[Any]:
    """A loader over COCO instances or, with ``panoptic_folder``, COCO panoptic segmentation.

    Each batch is a list of ``batch_size`` :class:`DenseSample`, whatever their sizes, unless
    ``collate_fn`` makes something else of it. Its ``dataset`` is the :class:`CocoDetectionV2` or
    :class:`CocoPanopticV2`, with ``schema``, ``image_ids`` and ``class_names``.

    Args:
        image_folder: folder of the images.
        label_path: the JSON file.
        transforms: called with each sample, in the workers; ``None`` for none.
        batch_size: B, images per batch.
        collate_fn: makes a batch of a list of samples.
        panoptic_folder: folder of the panoptic PNGs; ``label_path`` is the panoptic JSON then.
        categories: as for :class:`CocoPanopticV2`; only beside ``panoptic_folder``.
        crowd: as for :class:`CocoDetectionV2`, ``"drop"`` by default; in panoptic data crowds are
            always void.
        ignore_index: as for both.
        shuffle: as for ``torch.utils.data.DataLoader``; so are all the others.
        sampler: likewise.
        num_workers: likewise; forked or spawned.
        pin_memory: likewise.
        drop_last: likewise.
        timeout: likewise.
        worker_init_fn: likewise.
        multiprocessing_context: likewise.
        generator: likewise; with one of a fixed seed, ``shuffle`` gives the same order in each run.
        prefetch_factor: likewise.
        persistent_workers: likewise.

    Raises:
        TypeError: as the data set, and torch's loader.
        ValueError: as these, and on ``categories`` without ``panoptic_folder`` or ``crowd`` beside
            it.
        DataError: as the data set.
    """
    dataset: CocoDetectionV2 | CocoPanopticV2
    if panoptic_folder is None:
        if categories is not None:
            raise ValueError("categories: got a file without panoptic_folder, expected both or neither")
        dataset = CocoDetectionV2(
            image_folder, label_path, transforms, crowd=crowd or "drop", ignore_index=ignore_index
        )
    else:
        if crowd not in (None, "void"):
            raise ValueError(
                f"crowd: got {crowd!r} beside panoptic_folder, expected None: crowd segments are void"
            )
        dataset = CocoPanopticV2(
            image_folder,
            label_path,
            panoptic_folder,
            transforms,
            categories=categories,
            ignore_index=ignore_index,
        )
    return DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate_fn,
        pin_memory=pin_memory,
        drop_last=drop_last,
        timeout=timeout,
        worker_init_fn=worker_init_fn,
        multiprocessing_context=multiprocessing_context,
        generator=generator,
        prefetch_factor=prefetch_factor,
        persistent_workers=persistent_workers,
    )
