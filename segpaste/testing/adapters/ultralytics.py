"""Transforms of ``ultralytics.data.augment``, which work on a dictionary of labels with polygons."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

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

IGNORE = 255
"""What Ultralytics pads semantic masks with and leaves out of the loss."""

_KINDS: dict[str, AugmentationKind] = {
    "CopyPaste": "paste",
    "LetterBox": "geometric",
    "Mosaic": "geometric",
    "RandomFlip": "geometric",
    "RandomHSV": "photometric",
    "RandomPerspective": "geometric",
}
_LARGEST_ID = 2**31 - 1


class UltralyticsTransform(Adapter):
    """A transform of ``ultralytics.data.augment`` behind ``(target, donor, seed)``.

    The transform is given ``img`` ``[H, W, 3]`` uint8 in OpenCV's channel order, ``cls``
    ``[N, 1]`` float32 and ``instances`` in absolute pixels, XYXY, and ``semantic_mask``
    ``[H, W]`` uint8. Where it asks a data set for more pictures (``CopyPaste(mode="mixup")``,
    ``Mosaic``), it gets the donor every time.

    A row is one polygon, all rows having equally many vertices, and is made into a mask again
    by ``ultralytics.data.utils.polygon2mask``. :meth:`prepare` makes a drawn sample one that
    polygons can hold; a transform that does nothing then returns it bit for bit.

    ``cls`` holds row numbers during the run, not classes: so the adapter knows which row came
    from which, and the classes read back are those of the row. A row of the target keeps
    its id, once; a row of the donor, or a second copy of a row, gets a fresh one, since
    Ultralytics has none.

    Args:
        transform: the transform, or a ``Compose`` of some.
        kind: what it does; by default ``"paste"`` for ``CopyPaste``, ``"photometric"`` for
            ``RandomHSV``, ``"geometric"`` for ``LetterBox``, ``Mosaic``, ``RandomFlip`` and
            ``RandomPerspective``.
        name: what reports call it; by default its class and, for ``CopyPaste``, its mode.
        segments: where a polygon's vertices lie. ``"indices"``: on the indices of the
            outermost pixels, as the library's own converters (``masks2segments``,
            ``convert_segment_masks_to_yolo_seg``) write them. ``"centres"``: half a pixel
            further right and down, at the pixels' centres.
        boxes: ``"half_open"``: boxes are given and read as they are. ``"polygon"``: a box
            reaches from a polygon's least to its greatest vertex, as the library computes it
            when it loads a data set; what is missing to a half-open one, a pixel
            (``"indices"``) or half a pixel on each side (``"centres"``), is added when it is
            read back, within the picture. By default ``"polygon"`` with
            ``RandomPerspective``, which computes boxes so, else ``"half_open"``: the other
            transforms move and clip boxes about the width and height of the picture.

    Raises:
        ImportError: if Ultralytics is not installed.
        ValueError: on another ``kind``, ``segments`` or ``boxes``, or if ``kind`` is not given
            and the transform is none of those named.
    """

    def __init__(
        self,
        transform: Any,
        *,
        kind: AugmentationKind | None = None,
        name: str | None = None,
        segments: Literal["indices", "centres"] = "indices",
        boxes: Literal["polygon", "half_open"] | None = None,
    ) -> None:
        _one_of("segments", segments, ("indices", "centres"))
        if boxes is not None:
            _one_of("boxes", boxes, ("polygon", "half_open"))
        if kind is not None:
            _one_of("kind", kind, ("paste", "geometric", "photometric"))
        self._library = _Library()
        self._transform = transform
        self._offset = 0.5 if segments == "centres" else 0.0
        self._polygon_boxes = boxes == "polygon" or (boxes is None and _makes_boxes(transform))
        self.kind = kind if kind is not None else _kind_of(transform)
        self.name = name if name is not None else _name_of(transform)
        self.mixes = any(_asks_for_more(part) for part in _parts(transform))
        self.accepts = Accepts(
            modalities=frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC}),
            image_dtypes=(torch.uint8,),
            channels=(3,),
        )

    def prepare(self, sample: DenseSample) -> DenseSample:
        """What polygons can hold of a sample.

        Of every mask its largest part that hangs together (pixels that touch at a corner
        do), holes and all; rows without a pixel go. Boxes are those of the masks. Padding
        and intrinsics, which Ultralytics does not know, go too.
        """
        values = sample.to_dict()
        for unknown in ("padding_mask", "camera_intrinsics"):
            values.pop(unknown, None)
        if sample.instance_masks is not None and sample.instance_ids is not None:
            masks = [self._largest_part(mask) for mask in sample.instance_masks.numpy()]
            kept = [row for row, mask in enumerate(masks) if mask.any()]
            parts = (
                np.stack([masks[row] for row in kept]) if kept else np.zeros((0, *sample.canvas_size), bool)
            )
            values["instance_masks"] = torch.from_numpy(parts)
            values["instance_ids"] = sample.instance_ids[kept].contiguous()
            values["labels"] = sample.labels[kept].contiguous()
            values["boxes"] = torch.tensor(
                [_extent(masks[row]) for row in kept], dtype=torch.float32
            ).reshape(-1, 4)
        return DenseSample.from_dict(values)

    def __call__(self, target: DenseSample, donor: DenseSample, seed: int) -> DenseSample | Adapted:
        """Run the transform.

        Raises:
            UnreadableResultError: if rows, classes and polygons are not equally many.
            ValueError: on a mask that no polygon can hold; :meth:`prepare` makes it one.
        """
        codes = _Codes(target, donor)
        vertices = max((len(p) for sample in (target, donor) for p in self._polygons(sample)), default=1)
        labels = self._labels(target, 0, vertices, codes)
        others = _Donor(lambda: self._labels(donor, len(target), vertices, codes))
        with _seeded(seed), _asked_for(self._transform, others):
            result = self._transform(labels)
        return self._sample(result, target, donor, codes)

    def _labels(self, sample: DenseSample, first: int, vertices: int, codes: _Codes) -> dict[str, Any]:
        height, width = sample.canvas_size
        segments = np.zeros((len(sample), vertices, 2), np.float32)
        for row, polygon in enumerate(self._polygons(sample)):
            segments[row, : len(polygon)] = polygon
            segments[row, len(polygon) :] = polygon[-1]
        segments += self._offset
        if self._polygon_boxes and sample.instance_masks is not None:
            boxes = np.concatenate([segments.min(axis=1), segments.max(axis=1)], axis=1)
        else:
            boxes = sample.boxes.as_subclass(torch.Tensor).numpy().copy()
        labels: dict[str, Any] = {
            "im_file": "drawn",
            "ori_shape": (height, width),
            "resized_shape": (height, width),
            "img": np.ascontiguousarray(sample.image.numpy().transpose(1, 2, 0)[:, :, ::-1]),
            "cls": np.arange(first, first + len(sample), dtype=np.float32).reshape(-1, 1),
            "instances": self._library.instances(
                boxes.astype(np.float32), segments, bbox_format="xyxy", normalized=False
            ),
        }
        if sample.semantic_map is not None:
            labels["semantic_mask"] = codes.encoded(sample.semantic_map)
        return labels

    def _polygons(self, sample: DenseSample) -> list[np.ndarray]:
        if sample.instance_masks is None:
            return []
        return [self._polygon(row, mask) for row, mask in enumerate(sample.instance_masks.numpy())]

    def _polygon(self, row: int, mask: np.ndarray) -> np.ndarray:
        """``[M, 2]`` pixel indices (x, y): around the mask, and by a path there and back around each hole.

        Filled with its edges drawn, as OpenCV does, that is exactly the mask.
        """
        cv2 = self._library.cv2
        contours, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        outer = [n for n in range(len(contours)) if tree[0][n][3] < 0]
        if len(outer) != 1:
            raise ValueError(
                f"instance_masks: got {len(outer)} separate parts in row {row}, expected 1: "
                "`prepare` cuts a sample to what polygons can hold"
            )
        points = _closed(contours[outer[0]])
        for n, contour in enumerate(contours):
            if n != outer[0]:
                around = _closed(contour)
                path = _path(mask, points[0], around[0])
                points += [*path, *around, *path[::-1]]
        return np.array(points)

    def _largest_part(self, mask: np.ndarray) -> np.ndarray:
        count, parts = self._library.cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        if count <= 2:
            return mask
        areas = np.bincount(parts.ravel())[1:]
        return parts == 1 + int(areas.argmax())

    def _sample(
        self, result: dict[str, Any], target: DenseSample, donor: DenseSample, codes: _Codes
    ) -> DenseSample | Adapted:
        complaints: list[Complaint] = []
        image = self._image(result["img"], complaints)
        height, width = image.shape[-2:]
        instances = result["instances"]
        instances.convert_bbox("xyxy")
        instances.denormalize(width, height)
        rows = result["cls"].reshape(-1).astype(np.int64)
        counts = {"cls": len(rows), "bboxes": len(instances.bboxes)}
        if target.instance_masks is not None:
            counts["segments"] = len(instances.segments)
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{count} {name}" for name, count in counts.items())
            raise UnreadableResultError(Complaint(ROWS_ALIGNED, f"got {said}, expected equally many"))
        boxes = np.asarray(instances.bboxes, np.float32).reshape(-1, 4)
        values: dict[str, Any] = {
            "image": image,
            "labels": torch.cat([target.labels, donor.labels])[torch.from_numpy(rows)],
        }
        if target.instance_masks is not None:
            if self._polygon_boxes:
                less, more = self._offset, 1.0 - self._offset
                boxes = boxes + np.array([-less, -less, more, more], np.float32)
                boxes = boxes.clip(0, np.array([width, height, width, height], np.float32))
            filled = [
                self._library.polygon2mask((height, width), [s.reshape(-1)]) for s in instances.segments
            ]
            masks = np.stack(filled).astype(bool) if filled else np.zeros((0, height, width), bool)
            values["instance_masks"] = torch.from_numpy(masks)
            values["instance_ids"] = _ids(rows.tolist(), target)
        values["boxes"] = torch.from_numpy(boxes)
        if target.semantic_map is not None:
            semantic = result["semantic_mask"]
            if semantic.shape != (height, width):
                said = f"got semantic_mask {list(semantic.shape)}, expected the image's {[height, width]}"
                raise UnreadableResultError(Complaint(ROWS_ALIGNED, said))
            if semantic.dtype != np.uint8:
                complaints.append(
                    Complaint(DTYPE_KEPT, f"semantic_mask: got {semantic.dtype}, expected uint8 as given")
                )
            values["semantic_map"] = codes.decoded(semantic)
        sample = DenseSample.unchecked(**values)
        return Adapted(sample, tuple(complaints)) if complaints else sample

    def _image(self, image: np.ndarray, complaints: list[Complaint]) -> torch.Tensor:
        if image.dtype != np.uint8:
            complaints.append(Complaint(DTYPE_KEPT, f"img: got {image.dtype}, expected uint8 as given"))
        return torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)).astype(np.uint8))


class DonorDataset:
    """A data set of pictures still to come: what ``Mosaic`` insists on when it is made.

    ``UltralyticsTransform(Mosaic(DonorDataset(), imgsz=24))`` puts the donor in its place.
    """

    cache = "ram"


class _Donor(DonorDataset):
    """The donor as a data set of one picture, made anew each time: transforms write to it."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __len__(self) -> int:
        return 1

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """A fresh dictionary of labels, whatever the index."""
        return self._make()


def import_ultralytics() -> None:
    """Import Ultralytics, and leave Pillow as it was.

    Its import replaces ``PIL.Image.open`` by a function that wants, and installs, another
    package for what it cannot read. Where it was imported before, nothing is done about that.

    Raises:
        ImportError: if it is not there, naming the extra.
    """
    opened = Image.open
    try:
        import_module("cv2")
        import_module("ultralytics.data.augment")
    except ImportError as error:
        raise ImportError(
            f"ultralytics: cannot be imported ({error}); `pip install -e '.[adapters]'` installs it"
        ) from error
    finally:
        Image.open = opened


class _Library:
    """What is needed of Ultralytics and of OpenCV, which it brings along."""

    def __init__(self) -> None:
        import_ultralytics()
        self.cv2: Any = import_module("cv2")
        self.instances: Any = import_module("ultralytics.utils.instance").Instances
        self.polygon2mask: Any = import_module("ultralytics.data.utils").polygon2mask


class _Codes:
    """Semantic labels as uint8: as they are, but those above 254 as codes that are free."""

    def __init__(self, target: DenseSample, donor: DenseSample) -> None:
        maps = [s.semantic_map for s in (target, donor) if s.semantic_map is not None]
        values = sorted({int(v) for m in maps for v in m.unique()})
        free = iter(sorted(set(range(IGNORE)) - set(values), reverse=True))
        self._code = {v: v if 0 <= v <= IGNORE else next(free) for v in values}
        self._value = torch.arange(256)
        for value, code in self._code.items():
            self._value[code] = value

    def encoded(self, semantic: torch.Tensor) -> np.ndarray:
        """``[H, W]`` uint8."""
        plain = semantic.as_subclass(torch.Tensor)
        found, where = plain.unique(return_inverse=True)
        codes = torch.tensor([self._code[int(v)] for v in found], dtype=torch.uint8)
        return codes[where].numpy().copy()

    def decoded(self, semantic: np.ndarray) -> torch.Tensor:
        """``[H, W]`` int64."""
        return self._value[torch.from_numpy(semantic.astype(np.int64).clip(0, 255))]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's and NumPy's global generators, from which Ultralytics draws, seeded; then as before."""
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def _asked_for(transform: Any, others: _Donor) -> Iterator[None]:
    """Whoever asks a data set for more pictures gets the donor; afterwards, what it had."""
    asking = [part for part in _parts(transform) if _asks_for_more(part)]
    known = [part.dataset for part in asking]
    for part in asking:
        part.dataset = others
    try:
        yield
    finally:
        for part, dataset in zip(asking, known, strict=True):
            part.dataset = dataset


def _asks_for_more(part: Any) -> bool:
    """Whether a transform asks a data set for more pictures."""
    return hasattr(part, "dataset") and getattr(part, "mode", None) != "flip"


def _parts(transform: Any) -> list[Any]:
    """The transform, or those that a ``Compose`` is made of."""
    parts = getattr(transform, "transforms", None)
    if not isinstance(parts, list):
        return [transform]
    return [single for part in parts for single in _parts(part)]


def _kind_of(transform: Any) -> AugmentationKind:
    kinds: set[AugmentationKind] = set()
    for part in _parts(transform):
        names = [c.__name__ for c in type(part).__mro__]
        known: list[AugmentationKind] = [_KINDS[name] for name in names if name in _KINDS]
        if not known:
            raise ValueError(
                f"kind: got None for {type(part).__name__}, "
                "expected 'paste', 'geometric' or 'photometric': it is none of " + ", ".join(_KINDS)
            )
        kinds.add(known[0])
    return "paste" if "paste" in kinds else "geometric" if "geometric" in kinds else "photometric"


def _makes_boxes(transform: Any) -> bool:
    """Whether any part computes boxes from polygons."""
    return any("RandomPerspective" in [c.__name__ for c in type(p).__mro__] for p in _parts(transform))


def _name_of(transform: Any) -> str:
    names = []
    for part in _parts(transform):
        mode = getattr(part, "mode", None)
        names.append(type(part).__name__ + (f"(mode={mode!r})" if isinstance(mode, str) else ""))
    return "ultralytics:" + "+".join(names)


def _ids(rows: list[int], target: DenseSample) -> torch.Tensor:
    """Known ids for the target's rows, once each; fresh ones for all others."""
    known = [] if target.instance_ids is None else target.instance_ids.tolist()
    taken = set(known)
    start = max([0, *known]) + 1
    start = start if start + len(rows) <= _LARGEST_ID else 1
    fresh = (number for number in range(start, _LARGEST_ID) if number not in taken)
    ids: list[int] = []
    for n, row in enumerate(rows):
        ids.append(known[row] if row < len(known) and row not in rows[:n] else next(fresh))
    return torch.tensor(ids, dtype=torch.int32)


def _closed(contour: np.ndarray) -> list[tuple[int, int]]:
    points = [(int(x), int(y)) for x, y in contour[:, 0]]
    return [*points, points[0]]


def _path(mask: np.ndarray, start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """A shortest path (x, y) of pixels of the mask, corners touching; a part that hangs together has one."""
    height, width = mask.shape
    came_from: dict[tuple[int, int], tuple[int, int] | None] = {start: None}
    waiting = deque([start])
    while end not in came_from:
        x, y = waiting.popleft()
        for near in [(x + dx, y + dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
            inside = 0 <= near[0] < width and 0 <= near[1] < height
            if inside and mask[near[1], near[0]] and near not in came_from:
                came_from[near] = (x, y)
                waiting.append(near)
    path: list[tuple[int, int]] = []
    step: tuple[int, int] | None = end
    while step is not None:
        path.append(step)
        step = came_from[step]
    return path[::-1]


def _extent(mask: np.ndarray) -> list[float]:
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)]


def _one_of(name: str, value: object, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ValueError(f"{name}: got {value!r}, expected one of {', '.join(valid)}")
