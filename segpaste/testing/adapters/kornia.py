"""Kornia's augmentations, called on a dict of batches of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from importlib import import_module
from typing import Any, Literal

import torch

from segpaste.testing.adapters.assembly import assemble, in_range, seeded_torch
from segpaste.testing.adapters.base import (
    ROWS_ALIGNED,
    Accepts,
    Adapted,
    Adapter,
    AugmentationKind,
    Complaint,
    UnreadableResultError,
)
from segpaste.types import DenseSample, Modality

BoxKey = Literal["bbox_xyxy", "bbox_xywh", "bbox"]

_PART_OF = {
    "instance_masks": Modality.INSTANCE,
    "semantic_map": Modality.SEMANTIC,
    "panoptic_map": Modality.PANOPTIC,
    "depth": Modality.DEPTH,
    "depth_valid": Modality.DEPTH,
    "normals": Modality.NORMALS,
    "padding_mask": Modality.IMAGE,
}
_KIND_OF_PACKAGE: dict[str, AugmentationKind] = {
    "kornia.augmentation._2d.geometric": "geometric",
    "kornia.augmentation._2d.intensity": "photometric",
}
_NO_LABEL = 255


class KorniaAugmentation(Adapter):
    """An augmentation of ``kornia.augmentation`` as ``(target, donor, seed) -> sample``.

    It is put into an ``AugmentationSequential`` with ``data_keys=None`` (of one given, a copy
    with ``data_keys=None`` is used) and called on a dict of batches of one: ``image`` ``[1, 3, H, W]``
    float32, ``mask_instance_masks`` ``[1, N, H, W]`` bool (left out if N is 0),
    ``mask_semantic_map`` and ``mask_panoptic_map`` ``[1, 1, H, W]`` int64, ``mask_depth`` and
    so on ``[1, C, H, W]``, and the boxes ``[1, N, 4]`` under their key. Labels and ids are not
    handed over: Kornia neither drops nor reorders rows. Torch's global generator is seeded,
    and put back afterwards.

    ``RandomTransplantation`` is a paste: it is called on a batch of two, target and donor, of
    image and semantic map, and what it made of the target is the result. A donor of another
    size is cut, or padded with 0 and label 255, at its right and lower border.

    Args:
        augmentation: the augmentation, or a container of some.
        kind: by default what Kornia's module says, for a container geometric if any part is.
        name: what reports call it; by default the class, with the parts of a container.
        modalities: what the dict holds, if the sample has it; image, instances and semantic
            map by default. Maps of integers beyond 2**24 are refused by Kornia.
        box_key: ``"bbox_xyxy"``, ``"bbox_xywh"`` or ``"bbox"`` (four corners).
        boxes: ``"half open"``, where the box of a one-pixel mask at (x, y) is given as
            [x, y, x + 1, y + 1], or ``"inclusive"``, where it is [x, y, x, y]. Of
            ``"bbox_xywh"`` width and height are numbers of pixels in both.
        channels, min_side, max_side: what images it can be given. By default ``min_side`` is
            the size of a ``RandomCrop`` that does not pad.

    Raises:
        ImportError: if Kornia is not installed.
        TypeError: if ``augmentation`` is no module of Kornia's.
        ValueError: if the kind is not known, or an argument makes no sense.
    """

    def __init__(
        self,
        augmentation: torch.nn.Module,
        *,
        kind: AugmentationKind | None = None,
        name: str | None = None,
        modalities: Iterable[Modality] | None = None,
        box_key: BoxKey = "bbox_xyxy",
        boxes: Literal["half open", "inclusive"] = "half open",
        channels: tuple[int, ...] = (3,),
        min_side: int | None = None,
        max_side: int | None = None,
    ) -> None:
        library = _library()
        if not isinstance(augmentation, torch.nn.Module):
            raise TypeError(f"augmentation: got {type(augmentation).__name__}, expected one of Kornia's")
        if box_key not in ("bbox_xyxy", "bbox_xywh", "bbox"):
            raise ValueError(f"box_key: got {box_key!r}, expected 'bbox_xyxy', 'bbox_xywh' or 'bbox'")
        if boxes not in ("half open", "inclusive"):
            raise ValueError(f"boxes: got {boxes!r}, expected 'half open' or 'inclusive'")
        self._transplants = isinstance(augmentation, library.RandomTransplantation)
        if kind not in (None, "geometric", "photometric") and not (kind == "paste" and self._transplants):
            raise ValueError(f"kind: got {kind!r}, expected 'geometric' or 'photometric'")
        self.name = name or _name(augmentation)
        self.kind = "paste" if self._transplants else kind or _kind(augmentation, library)
        self.mixes = self._transplants
        self._augmentation = augmentation if self._transplants else _with_dicts(augmentation, library)
        self._box_key = box_key
        self._last = 1.0 if boxes == "inclusive" and box_key != "bbox_xywh" else 0.0
        if self._transplants:
            carried = frozenset({Modality.IMAGE, Modality.SEMANTIC})
        elif modalities is None:
            carried = frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC})
        else:
            carried = frozenset(modalities) | {Modality.IMAGE}
        self._maps = [field for field, part in _PART_OF.items() if part in carried]
        least = _least_side(augmentation, library) if min_side is None else min_side
        self.accepts = Accepts(
            modalities=carried,
            image_dtypes=(torch.float32,),
            channels=channels,
            min_side=least,
            max_side=max(24, least + 8) if max_side is None else max_side,
        )

    def prepare(self, sample: DenseSample) -> DenseSample:
        """The sample without what the dict does not hold, its image as float32 in 0 to 1."""
        kept = {*self._maps} if self._transplants else {*self._maps, "boxes", "labels"}
        if "instance_masks" in kept:
            kept.add("instance_ids")
        fields = {field: value for field, value in sample.to_dict().items() if field in kept}
        image = _plain(sample.image)
        image = image.to(torch.float32) / 255 if image.dtype == torch.uint8 else in_range(image)
        return DenseSample.unchecked(image=image, **fields)

    def __call__(self, target: DenseSample, donor: DenseSample, seed: int) -> Adapted:
        """Run the augmentation on ``target``, or paste ``donor`` into it.

        Raises:
            UnreadableResultError: if no sample can be made of the result.
        """
        if self._transplants:
            return self._transplanted(target, donor, seed)
        given = self._inputs(target)
        with seeded_torch(seed, target.image.device):
            result = self._augmentation(dict(given))
        if not isinstance(result, Mapping):
            what = f"the result is a {type(result).__name__}, expected a dict"
            raise UnreadableResultError(Complaint(ROWS_ALIGNED, what))
        return self._read(target, result)

    def _inputs(self, sample: DenseSample) -> dict[str, torch.Tensor]:
        given = {"image": _plain(sample.image)[None], self._box_key: self._boxes(sample)[None]}
        for field in self._maps:
            value = getattr(sample, field)
            if value is not None and (field != "instance_masks" or len(sample) > 0):
                given[f"mask_{field}"] = _plain(value if value.ndim == 3 else value[None])[None]
        return given

    def _boxes(self, sample: DenseSample) -> torch.Tensor:
        x1, y1, x2, y2 = _plain(sample.boxes).unbind(dim=1)
        if self._box_key == "bbox_xywh":
            return torch.stack((x1, y1, x2 - x1, y2 - y1), dim=1)
        x2, y2 = x2 - self._last, y2 - self._last
        corners = (x1, y1, x2, y2) if self._box_key == "bbox_xyxy" else (x1, y1, x2, y1, x2, y2, x1, y2)
        return torch.stack(corners, dim=1).reshape(-1, *([4] if len(corners) == 4 else [4, 2]))

    def _read(self, target: DenseSample, result: Mapping[str, Any]) -> Adapted:
        fields: dict[str, Any] = {"image": _first(result.get("image"))}
        boxes = _first(result.get(self._box_key))
        fields["boxes"] = self._as_xyxy(boxes) if isinstance(boxes, torch.Tensor) else boxes
        fields["labels"] = target.labels
        handed: dict[str, Any] = {"image": target.image, "boxes": target.boxes, "labels": target.labels}
        for field in self._maps:
            value = getattr(target, field)
            if value is None:
                continue
            handed[field] = value
            if field == "instance_masks" and len(target) == 0 and isinstance(fields["image"], torch.Tensor):
                fields[field] = value.new_zeros((0, *fields["image"].shape[-2:]))
                continue
            mask = _first(result.get(f"mask_{field}"))
            single = isinstance(mask, torch.Tensor) and value.ndim == 2 and mask.shape[:1] == (1,)
            fields[field] = mask[0] if single else mask
        if "instance_masks" in handed:
            fields["instance_ids"] = handed["instance_ids"] = target.instance_ids
        return assemble(target, fields, handed)

    def _as_xyxy(self, boxes: torch.Tensor) -> torch.Tensor:
        if self._box_key == "bbox_xywh":
            return torch.cat((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), dim=1)
        if self._box_key == "bbox":
            return torch.cat((boxes.amin(dim=1), boxes.amax(dim=1) + self._last), dim=1)
        return torch.cat((boxes[:, :2], boxes[:, 2:] + self._last), dim=1)

    def _transplanted(self, target: DenseSample, donor: DenseSample, seed: int) -> Adapted:
        if target.semantic_map is None or donor.semantic_map is None:
            raise ValueError(
                "semantic_map: got None, expected one: RandomTransplantation pastes by its labels"
            )
        image, labels = _fitted(donor, target.canvas_size)
        images = torch.stack((_plain(target.image), image))
        maps = torch.stack((_plain(target.semantic_map), labels))
        with seeded_torch(seed, target.image.device):
            images, maps = self._augmentation(images, maps, data_keys=["input", "mask"])
        handed = {name: getattr(target, name) for name in ("image", "boxes", "labels", "semantic_map")}
        fields = {**handed, "image": images[0], "semantic_map": maps[0]}
        if target.padding_mask is not None:
            handed["padding_mask"] = fields["padding_mask"] = target.padding_mask
        return assemble(target, fields, handed)


def _library() -> Any:
    try:
        return import_module("kornia.augmentation")
    except ImportError as error:
        raise ImportError(
            "kornia: cannot be imported, KorniaAugmentation needs it; pip install -e '.[adapters]'"
        ) from error


def _with_dicts(augmentation: torch.nn.Module, library: Any) -> torch.nn.Module:
    """The augmentation as a container that takes a dict."""
    if isinstance(augmentation, library.AugmentationSequential):
        container: Any = deepcopy(augmentation)
        container.data_keys = None
        return container
    return library.AugmentationSequential(augmentation, data_keys=None)


def _plain(value: torch.Tensor) -> torch.Tensor:
    return value.as_subclass(torch.Tensor)


def _first(batch: Any) -> Any:
    return batch[0] if isinstance(batch, torch.Tensor) and batch.shape[:1] == (1,) else batch


def _fitted(donor: DenseSample, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The donor's image and semantic map, cut or padded to ``size`` at the right and below."""
    image = donor.image.new_zeros((donor.image.shape[0], *size)).as_subclass(torch.Tensor)
    labels = torch.full(size, _NO_LABEL, dtype=torch.int64, device=image.device)
    height, width = min(size[0], donor.canvas_size[0]), min(size[1], donor.canvas_size[1])
    image[:, :height, :width] = _plain(donor.image)[:, :height, :width]
    if donor.semantic_map is not None:
        labels[:height, :width] = _plain(donor.semantic_map)[:height, :width]
    return image, labels


def _parts(augmentation: torch.nn.Module, library: Any) -> list[torch.nn.Module]:
    containers = (library.container.ImageSequentialBase, torch.nn.Sequential)
    return list(augmentation.children()) if isinstance(augmentation, containers) else []


def _name(augmentation: torch.nn.Module) -> str:
    own = type(augmentation).__name__
    parts = ", ".join(_name(part) for part in _parts(augmentation, _library()))
    return f"{own}({parts})" if parts else own


def _kind(augmentation: torch.nn.Module, library: Any) -> AugmentationKind:
    parts = _parts(augmentation, library)
    if parts:
        return "geometric" if "geometric" in {_kind(part, library) for part in parts} else "photometric"
    for base in type(augmentation).__mro__:
        found = _KIND_OF_PACKAGE.get(base.__module__.rpartition(".")[0])
        if found is not None and not base.__module__.endswith(".base"):
            return found
    name = type(augmentation).__name__
    raise ValueError(f"kind: got None for {name}, expected 'geometric' or 'photometric'")


def _least_side(augmentation: Any, library: Any) -> int:
    if isinstance(augmentation, library.RandomCrop) and not augmentation.flags["pad_if_needed"]:
        return max(augmentation.flags["size"])
    return max((_least_side(part, library) for part in _parts(augmentation, library)), default=1)
