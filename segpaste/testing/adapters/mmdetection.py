"""MMDetection transforms, which take and return a results dict, as augmentations of a ``DenseSample``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal, NoReturn, get_args

import numpy as np
import torch

from segpaste.testing.adapters.arrays import channels_first, channels_last, in_dtype, plain, row_ids
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

# How many further results each of them takes; a subclass takes as many.
_MIXERS = {"CopyPaste": 1, "MixUp": 1, "Mosaic": 3}
_COLOURS = frozenset({"ColorTransform", "PhotoMetricDistortion", "YOLOXHSVRandomAug"})
_NO_SEMANTIC = frozenset({Modality.IMAGE, Modality.INSTANCE})
_CARRIED = _NO_SEMANTIC | {Modality.SEMANTIC}
_COMPILED = "mmcv._ext"


class MMDetectionTransform(Adapter):
    """A transform of MMDetection 3, a list of them, or their configurations.

    Image, boxes, masks, labels and semantic map become a results dict with ``img``, ``img_shape``,
    ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_masks`` (``BitmapMasks``), ``gt_ignore_flags`` and
    ``gt_seg_map``. The library has no ids that every transform keeps: row numbers ride in
    ``gt_bboxes_labels``, which all of them carry along and none reads, and become ids and class
    ids again. The library draws from NumPy's global generator, which is seeded for a call and put
    back after it.

    A transform that returns None asks its data set for another sample; the target comes back
    as it was.

    Args:
        transform: an instance, a configuration such as ``{"type": "CopyPaste"}``, or a list
            of these.
        kind: by default "paste" with ``CopyPaste``, "photometric" if every transform is one
            of colours, else "geometric".
        name: what reports call it.
        modalities: what is handed to it. By default image and instances, and the semantic map
            unless one of ``CopyPaste``, ``MixUp`` and ``Mosaic`` is among the transforms, which
            do not list ``gt_seg_map`` among their keys.
        channel_order: of ``img``; ours is RGB, what the library loads is BGR.
        boxes: what ``gt_bboxes`` are handed over as.

    Raises:
        ImportError: if MMDetection is not there.
        TypeError: if ``transform`` is nothing of MMDetection.
        ValueError: on an argument that makes no sense, naming it.
    """

    def __init__(
        self,
        transform: Any,
        *,
        kind: AugmentationKind | None = None,
        name: str | None = None,
        modalities: Iterable[Modality | str] | None = None,
        channel_order: Literal["bgr", "rgb"] = "bgr",
        boxes: Literal["HorizontalBoxes", "ndarray"] = "HorizontalBoxes",
    ) -> None:
        mmdetection_transforms()
        self._transforms = _transforms(transform)
        leaves = list(_leaves(self._transforms))
        _check("kind", kind, (None, *get_args(AugmentationKind)))
        _check("channel_order", channel_order, ("bgr", "rgb"))
        _check("boxes", boxes, ("HorizontalBoxes", "ndarray"))
        self._order = channel_order
        self._boxes = boxes
        self._structures = import_module("mmdet.structures.mask")
        self._horizontal = import_module("mmdet.structures.bbox").HorizontalBoxes
        self._mixed = max((_mixed(leaf) for leaf in leaves), default=0)
        names = "+".join(type(t).__name__ for t in self._transforms)
        self.name = f"mmdetection:{names}" if name is None else name
        self.kind = _kind(leaves) if kind is None else kind
        self.mixes = self._mixed > 0
        if modalities is None:
            carried = _NO_SEMANTIC if self._mixed else _CARRIED
        else:
            carried = frozenset(Modality(m) for m in modalities) | {Modality.IMAGE}
        if not carried <= _CARRIED:
            got = ", ".join(sorted(m.value for m in carried - _CARRIED))
            raise ValueError(f"modalities: got {got}, expected some of image, instance, semantic")
        colours = self.kind == "photometric"
        self.accepts = Accepts(carried, (torch.uint8,) if colours else (torch.uint8, torch.float32))

    def __call__(self, target: DenseSample, donor: DenseSample, seed: int) -> DenseSample | Adapted:
        """Run it; the donor goes into ``mix_results`` for those transforms that read them."""
        results: dict[str, Any] | None = self._results(target, 0)
        if self._mixed:
            results["mix_results"] = [self._results(donor, len(target)) for _ in range(self._mixed)]
        dtypes = {name: results[name].dtype for name in ("img", "gt_seg_map") if name in results}
        with _numpy_seeded(seed):
            for transform in self._transforms:
                results = transform(results)
                if results is None:
                    return target
        return self._sample(results, dtypes, target, donor)

    def prepare(self, sample: DenseSample) -> DenseSample:
        """What has a place in a results dict: no padding mask, no camera; and no minus zero.

        ``CopyPaste`` adds nothing to what it keeps, and -0.0 + 0 is 0.0.
        """
        values = sample.to_dict()
        for name in ("padding_mask", "camera_intrinsics", "metric_depth"):
            values.pop(name, None)
        values["image"] = sample.image.as_subclass(torch.Tensor) + 0
        return DenseSample.from_dict(values)

    def _results(self, sample: DenseSample, first: int) -> dict[str, Any]:
        height, width = sample.canvas_size
        image = channels_last(sample.image)
        image = np.ascontiguousarray(image[..., ::-1]) if self._order == "bgr" else image
        boxes = plain(sample.boxes, np.float32)
        results: dict[str, Any] = {
            "img": image,
            "img_shape": (height, width),
            "ori_shape": (height, width),
            "gt_bboxes": boxes if self._boxes == "ndarray" else self._horizontal(torch.from_numpy(boxes)),
            "gt_bboxes_labels": np.arange(first, first + len(sample), dtype=np.int64),
            "gt_ignore_flags": np.zeros(len(sample), dtype=bool),
        }
        if sample.instance_masks is not None:
            masks = plain(sample.instance_masks, np.uint8)
            results["gt_masks"] = self._structures.BitmapMasks(masks, height, width)
        if sample.semantic_map is not None:
            semantic = plain(sample.semantic_map, np.int64)
            if semantic.min() < 0 or semantic.max() > 255:
                raise ValueError(
                    f"semantic_map: got values from {semantic.min()} to {semantic.max()}, "
                    "expected 0 to 255: a gt_seg_map is uint8"
                )
            results["gt_seg_map"] = semantic.astype(np.uint8)
        return results

    def _sample(
        self, results: dict[str, Any], dtypes: dict[str, Any], target: DenseSample, donor: DenseSample
    ) -> DenseSample | Adapted:
        complaints: list[Complaint] = []
        image = in_dtype("img", results["img"], dtypes["img"], complaints)
        image = image.reshape(*image.shape[:2], -1)
        fields: dict[str, Any] = {
            "image": channels_first(image[..., ::-1] if self._order == "bgr" else image)
        }
        boxes = results["gt_bboxes"]
        boxes = boxes if isinstance(boxes, np.ndarray) else boxes.tensor.detach().numpy()
        rows = np.asarray(results["gt_bboxes_labels"]).astype(np.int64).tolist()
        counts = {"gt_bboxes": len(boxes), "gt_bboxes_labels": len(rows)}
        if target.instance_masks is not None:
            masks = results["gt_masks"].to_ndarray()
            counts["gt_masks"] = len(masks)
            # Where there are none, their size is not always changed with the image's.
            masks = masks if len(masks) else np.zeros((0, *image.shape[:2]), np.uint8)
            fields["instance_masks"] = torch.from_numpy(np.array(masks != 0, order="C"))
            fields["instance_ids"] = row_ids(rows, target)
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{count} {name}" for name, count in counts.items())
            raise UnreadableResultError(Complaint(ROWS_ALIGNED, f"got {found}, expected as many of each"))
        fields["boxes"] = torch.from_numpy(np.array(boxes, dtype=np.float32).reshape(-1, 4))
        classes = torch.cat([target.labels, donor.labels]).cpu()
        fields["labels"] = classes[torch.tensor(rows, dtype=torch.int64)]
        if target.semantic_map is not None:
            semantic = in_dtype("gt_seg_map", results["gt_seg_map"], dtypes["gt_seg_map"], complaints)
            fields["semantic_map"] = channels_first(semantic)[0].to(torch.int64)
        device = target.image.device
        fields = {name: value.to(device) for name, value in fields.items()}
        if self.kind != "geometric" and image.shape[:2] == target.canvas_size:
            # No pixel has moved, so what went around the library is as it was.
            fields |= {"padding_mask": target.padding_mask, "camera_intrinsics": target.camera_intrinsics}
        sample = DenseSample.unchecked(**fields)
        return Adapted(sample, tuple(complaints)) if complaints else sample


def mmdetection_transforms() -> ModuleType:
    """``mmdet.datasets.transforms``, also where mmcv was installed without its compiled operators.

    MMDetection imports ``mmcv.ops`` before anything else, and that fails with mmcv-lite, though
    of all of it the transforms call nothing. So while it is imported, functions that raise when
    called stand in for the compiled ones. With the full mmcv nothing is replaced.

    Raises:
        ImportError: if MMDetection is not there.
    """
    try:
        with _operators():
            return import_module("mmdet.datasets.transforms")
    except ImportError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImportError(
            f"MMDetectionTransform: cannot import mmdet ({reason}); pip install -e '.[adapters]' brings it"
        ) from error


class _NoOperators(ModuleType):
    """A module in which every public name is a function that raises."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: Any, **__: Any) -> NoReturn:
            raise RuntimeError(f"{name}: needs mmcv with its compiled operators, mmcv-lite is installed")

        return missing


@contextmanager
def _operators() -> Iterator[None]:
    if "mmdet.datasets.transforms" in sys.modules or find_spec("mmcv") is None or find_spec(_COMPILED):
        yield
        return
    sys.modules[_COMPILED] = _NoOperators(_COMPILED)
    try:
        yield
    finally:
        del sys.modules[_COMPILED]


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    state = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        np.random.set_state(state)


def _transforms(transform: Any) -> list[Any]:
    registry = import_module("mmdet.registry").TRANSFORMS
    base = import_module("mmcv.transforms").BaseTransform
    transforms = []
    for one in transform if isinstance(transform, list | tuple) else [transform]:
        if isinstance(one, dict):
            try:
                transforms.append(registry.build(dict(one)))
            except Exception as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise ValueError(f"transform: cannot build {one!r}: {reason}") from error
        elif isinstance(one, base):
            transforms.append(one)
        else:
            raise TypeError(
                f"transform: got {type(one).__name__}, expected a transform of MMDetection, "
                "its configuration, or a list of them"
            )
    if not transforms:
        raise TypeError("transform: got none, expected a transform of MMDetection")
    return transforms


def _leaves(transforms: Iterable[Any]) -> Iterator[Any]:
    for transform in transforms:
        if isinstance(transform, list | tuple):
            yield from _leaves(transform)
        elif hasattr(transform, "transforms"):
            yield from _leaves(transform.transforms)
        else:
            yield transform


def _mixed(leaf: Any) -> int:
    return max((_MIXERS.get(base.__name__, 0) for base in type(leaf).__mro__), default=0)


def _kind(leaves: Sequence[Any]) -> AugmentationKind:
    if any(_is(leaf, {"CopyPaste"}) for leaf in leaves):
        return "paste"
    return "photometric" if leaves and all(_is(leaf, _COLOURS) for leaf in leaves) else "geometric"


def _is(leaf: Any, names: Iterable[str]) -> bool:
    return any(base.__name__ in names for base in type(leaf).__mro__)


def _check(name: str, value: object, expected: Sequence[object]) -> None:
    if value not in expected:
        raise ValueError(f"{name}: got {value!r}, expected one of {', '.join(map(repr, expected))}")
