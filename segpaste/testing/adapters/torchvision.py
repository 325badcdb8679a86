"""torchvision's transforms v2, called on a dict of tv_tensors or on whole samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from segpaste.augmentation import FixedSizeCrop, RandomResize
from segpaste.testing.adapters.assembly import assemble, in_range, seeded_torch
from segpaste.testing.adapters.base import (
    DTYPE_KEPT,
    ROWS_ALIGNED,
    Accepts,
    Adapted,
    Adapter,
    AugmentationKind,
    Complaint,
    UnreadableResultError,
)
from segpaste.types import DenseSample, Modality

KEYS = {
    "image": "image",
    "boxes": "boxes",
    "labels": "labels",
    "ids": "instance_ids",
    "masks": "instance_masks",
    "semantic": "semantic_map",
    "panoptic": "panoptic_map",
    "depth": "depth",
    "depth_valid": "depth_valid",
    "normals": "normals",
    "padding": "padding_mask",
}
"""Key of the dict that a transform is called on -> field of :class:`DenseSample`."""

_PART_OF = {
    "masks": Modality.INSTANCE,
    "ids": Modality.INSTANCE,
    "semantic": Modality.SEMANTIC,
    "panoptic": Modality.PANOPTIC,
    "depth": Modality.DEPTH,
    "depth_valid": Modality.DEPTH,
    "normals": Modality.NORMALS,
}
_MASK_LIKE = ("masks", "semantic", "panoptic", "depth", "depth_valid", "normals", "padding")
_KIND_OF_MODULE: dict[str, AugmentationKind] = {
    "_color": "photometric",
    "_geometry": "geometric",
    "_meta": "geometric",
    "_type_conversion": "photometric",
}
_KIND_OF_CLASS: dict[type, AugmentationKind] = {
    FixedSizeCrop: "geometric",
    RandomResize: "geometric",
    v2.ConvertImageDtype: "photometric",
    v2.GaussianBlur: "photometric",
    v2.GaussianNoise: "photometric",
    v2.Identity: "photometric",
    v2.JPEG: "photometric",
    v2.LinearTransformation: "photometric",
    v2.Normalize: "photometric",
    v2.RandomErasing: "photometric",
    v2.SanitizeBoundingBoxes: "geometric",
    v2.ToDtype: "photometric",
}
_MOVES_PADDING_NOT = (
    v2.RandomIoUCrop,
    v2.RandomResize,
    v2.RandomResizedCrop,
    v2.RandomShortestSize,
    v2.Resize,
    v2.ScaleJitter,
)
"""Geometric transforms after which padding is still at the right and at the bottom."""

_CONTAINERS = (v2.Compose, v2.RandomApply, v2.RandomChoice, v2.RandomOrder)


def labels_and_ids(inputs: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    """The rows' labels and ids in the dict that :class:`TorchvisionTransform` makes.

    For transforms that drop rows and follow only what they are told of:
    ``v2.SanitizeBoundingBoxes(labels_getter=labels_and_ids)``.
    """
    return tuple(inputs[key] for key in ("labels", "ids") if key in inputs)


class TorchvisionTransform(Adapter):
    """A transform of ``torchvision.transforms.v2`` as ``(target, donor, seed) -> sample``.

    It is called on one dict: ``image`` an ``Image``, ``boxes`` ``BoundingBoxes`` in XYXY,
    ``masks`` ``[N, H, W]``, ``semantic`` and ``panoptic`` ``[H, W]``, ``depth``,
    ``depth_valid`` and ``padding`` ``[1, H, W]`` and ``normals`` ``[3, H, W]``, each a
    ``Mask``; ``labels`` and ``ids`` are plain tensors ``[N]``, which transforms pass through.
    Or it is called on a whole ``DenseSample``. The donor is not used. Torch's global generator
    is seeded, and put back afterwards.

    Args:
        transform: the transform, or any callable that takes and returns such a dict or sample.
        kind: ``"geometric"`` or ``"photometric"``; by default what torchvision's module
            says, for a container geometric if any part is.
        name: what reports call it; by default the class, with the parts of a container.
        whole_samples: call the transform on a ``DenseSample``. By default if it, or a part of
            it, is one of segpaste's transforms.
        modalities: what is handed over, if the sample has it. By default everything in a whole
            sample, all but normals in a dict: no transform of torchvision turns the vectors of
            a map.
        types: key of the dict -> tv_tensor class, where ``Mask`` is not what you use, such as
            ``{"semantic": SemanticMap}`` for a ``fill`` of its own.
        mask_dtype: of ``masks``, ``torch.uint8`` (0 and 1) as in torchvision's data sets, or
            ``torch.bool``. What is not 0 in the result is true.
        camera: hand over camera intrinsics and ``metric_depth``; by default as part of a whole
            sample only. In a dict both are passed through.
        padding: hand over padding masks. By default always in a dict; in a whole sample where
            the transform leaves padding at the right and at the bottom, for others refuse it.
        image_dtypes, channels, min_side, max_side: what images it can be given. By default
            ``min_side`` is the size of a ``RandomCrop`` that does not pad.

    Raises:
        TypeError: if ``transform`` is not callable.
        ValueError: if the kind is not known, or an argument makes no sense.
    """

    def __init__(
        self,
        transform: Callable[[Any], Any],
        *,
        kind: AugmentationKind | None = None,
        name: str | None = None,
        whole_samples: bool | None = None,
        modalities: Iterable[Modality] | None = None,
        types: Mapping[str, type[tv_tensors.TVTensor]] | None = None,
        mask_dtype: torch.dtype = torch.uint8,
        camera: bool | None = None,
        padding: bool | None = None,
        image_dtypes: tuple[torch.dtype, ...] = (torch.uint8, torch.float32),
        channels: tuple[int, ...] = (3,),
        min_side: int | None = None,
        max_side: int | None = None,
    ) -> None:
        if not callable(transform):
            raise TypeError(f"transform: got {type(transform).__name__}, expected a callable")
        if type(transform).__module__ == "torchvision.transforms.transforms":
            was = type(transform).__name__
            raise ValueError(f"transform: got torchvision.transforms.{was}, expected one of transforms.v2")
        if kind not in (None, "geometric", "photometric"):
            raise ValueError(f"kind: got {kind!r}, expected 'geometric' or 'photometric'")
        if mask_dtype not in (torch.uint8, torch.bool):
            raise ValueError(f"mask_dtype: got {mask_dtype}, expected torch.uint8 or torch.bool")
        unknown = sorted(set(types or {}) - set(_MASK_LIKE))
        if unknown:
            raise ValueError(f"types: got key {unknown[0]!r}, expected one of {', '.join(_MASK_LIKE)}")
        whole = _is_ours(transform) if whole_samples is None else whole_samples
        if whole and types:
            raise ValueError(f"types: got {sorted(types)} for whole samples, whose types are given")
        if modalities is None:
            modalities = frozenset(Modality) if whole else frozenset(Modality) - {Modality.NORMALS}
        self._transform = transform
        self._whole = whole
        self._types = dict(types or {})
        self._mask_dtype = mask_dtype
        self._camera = whole if camera is None else camera
        self.name = name or _name(transform)
        self.kind = kind or _kind(transform)
        stays = not whole or self.kind == "photometric" or _keeps_padding(transform)
        self._padding = stays if padding is None else padding
        self.mixes = False
        least = _least_side(transform) if min_side is None else min_side
        self.accepts = Accepts(
            modalities=frozenset(modalities) | {Modality.IMAGE},
            image_dtypes=image_dtypes,
            channels=channels,
            min_side=least,
            max_side=max(24, least + 8) if max_side is None else max_side,
        )

    def __call__(self, target: DenseSample, donor: DenseSample, seed: int) -> Adapted:
        """Run the transform on ``target``.

        Raises:
            UnreadableResultError: if no sample can be made of the result.
        """
        given = target if self._whole else self._inputs(target)
        with seeded_torch(seed, target.image.device):
            result = self._transform(given if isinstance(given, DenseSample) else dict(given))
        if isinstance(given, DenseSample):
            return _sample_of(result, given)
        if not isinstance(result, Mapping):
            what = f"the result is a {type(result).__name__}, expected a dict"
            raise UnreadableResultError(Complaint(ROWS_ALIGNED, what))
        return assemble(
            target,
            {KEYS[key]: _plain(value) for key, value in result.items() if key in KEYS},
            {KEYS[key]: value for key, value in given.items() if key in KEYS},
            {field: result.get(field) for field in ("camera_intrinsics", "metric_depth") if field in given},
        )

    def prepare(self, sample: DenseSample) -> DenseSample:
        """The sample without what is not handed over, a float image clamped to 0 and 1."""
        kept = {field for key, field in KEYS.items() if self._holds(key)}
        if not self._padding:
            kept.discard("padding_mask")
        kept |= {"camera_intrinsics", "metric_depth"} if self._camera else set()
        fields = {field: value for field, value in sample.to_dict().items() if field in kept}
        fields["image"] = in_range(sample.image)
        if "depth" not in fields:
            fields.pop("metric_depth", None)
        return DenseSample.unchecked(**fields)

    def _inputs(self, sample: DenseSample) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for key, field in KEYS.items():
            value = getattr(sample, field)
            if value is None or not self._holds(key):
                continue
            if key == "masks" and self._mask_dtype == torch.uint8:
                value = value.as_subclass(torch.Tensor).view(torch.uint8)  # the same memory
            given[key] = self._wrapped(key, value)
        if self._camera:
            given["camera_intrinsics"] = sample.camera_intrinsics
            given["metric_depth"] = sample.metric_depth and "depth" in given
        return given

    def _holds(self, key: str) -> bool:
        return _PART_OF.get(key, Modality.IMAGE) in self.accepts.modalities

    def _wrapped(self, key: str, value: torch.Tensor) -> torch.Tensor:
        if key not in _MASK_LIKE:
            return value
        return value.as_subclass(torch.Tensor).as_subclass(self._types.get(key, tv_tensors.Mask))


def _sample_of(result: Any, given: DenseSample) -> Adapted:
    if not isinstance(result, DenseSample):
        what = f"the result is a {type(result).__name__}, expected a DenseSample"
        raise UnreadableResultError(Complaint(ROWS_ALIGNED, what))
    if result.image.dtype == given.image.dtype:
        return Adapted(result)
    changed = f"image: {result.image.dtype}, expected {given.image.dtype}"
    return Adapted(result, (Complaint(DTYPE_KEPT, changed),))


def _is_ours(transform: Any) -> bool:
    """Whether a transform, or a part of one, is segpaste's."""
    own = type(transform).__module__.partition(".")[0] == "segpaste"
    return own or any(_is_ours(part) for part in _parts(transform))


def _keeps_padding(transform: Any) -> bool:
    parts = _parts(transform)
    if parts:
        return all(_keeps_padding(part) for part in parts)
    if _is_ours(transform) or isinstance(transform, _MOVES_PADDING_NOT):
        return True
    return isinstance(transform, v2.Transform) and _kind(transform) == "photometric"


def _plain(value: Any) -> Any:
    """Boxes as XYXY, whatever format they say they have; everything else as it is."""
    if isinstance(value, tv_tensors.BoundingBoxes):
        return v2.functional.convert_bounding_box_format(value, new_format=tv_tensors.BoundingBoxFormat.XYXY)
    return value


def _parts(transform: Any) -> list[Any]:
    if isinstance(transform, _CONTAINERS):
        return list(transform.transforms)
    return list(transform) if isinstance(transform, torch.nn.Sequential) else []


def _name(transform: Any) -> str:
    own = type(transform).__name__ if isinstance(transform, torch.nn.Module) else None
    own = own or getattr(transform, "__qualname__", type(transform).__name__)
    parts = ", ".join(_name(part) for part in _parts(transform))
    return f"{own}({parts})" if parts else own


def _kind(transform: Any) -> AugmentationKind:
    parts = _parts(transform)
    if parts:
        return "geometric" if "geometric" in {_kind(part) for part in parts} else "photometric"
    for base in type(transform).__mro__:
        package, _, module = base.__module__.rpartition(".")
        found = _KIND_OF_CLASS.get(base)
        if found is None and package == "torchvision.transforms.v2":
            found = _KIND_OF_MODULE.get(module)
        if found is not None:
            return found
    raise ValueError(f"kind: got None for {_name(transform)}, expected 'geometric' or 'photometric'")


def _least_side(transform: Any) -> int:
    if isinstance(transform, v2.RandomCrop) and not transform.pad_if_needed and transform.padding is None:
        size: Any = transform.size  # (height, width), whatever the crop was made of
        return max(size)
    return max((_least_side(part) for part in _parts(transform)), default=1)
