"""How a golden is written down: samples as grids of text, read without any arithmetic.

Nothing is computed here that a golden should state: boxes, ids and rounded values stand
in the golden itself, and a number that its tensor does not hold exactly is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from segpaste.types import PaddedBatchedDenseSample, PanopticSchemaSpec, PastePlan

CLASSES = PanopticSchemaSpec(
    classes={0: "stuff", 1: "thing", 2: "thing", 3: "stuff", 4: "thing"}, max_instances_per_image=16
)
"""The class table of the goldens: 0 and 3 are stuff; 1, 2 and 4 are things; 255 is *ignore*."""


@dataclass(frozen=True, slots=True)
class Row:
    """One used row slot.

    Attributes:
        label: class id.
        id: instance id.
        box: XYXY, half open.
        mask: ``#`` where it is set, lines of pixels apart by blanks; ``None`` where a
            sample has boxes but no masks.
    """

    label: int
    id: int
    box: tuple[float, float, float, float]
    mask: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample as text: blanks between pixels, lines of pixels in lines of text or apart by ``/``.

    Attributes:
        image: numbers; a tuple has one such text per channel.
        rows: slot -> row, the other slots are unused; ``None`` in a sample without masks.
        slots: K.
        floats: whether the image is float32, else uint8.
        semantic: class ids.
        panoptic: instance ids.
        depth: a number where valid, one in parentheses where not: ``4 (nan) 0x1.8p+1 (0)``.
        normals: ``x,y,z`` for each pixel, ``.`` for the zero vector.
        padding: as a mask, ``#`` on padding.
        camera: (fx, fy, cx, cy).
        metric: whether ``depth`` is metric.
    """

    image: str | tuple[str, ...]
    rows: Mapping[int, Row] | None = None
    slots: int = 1
    floats: bool = False
    semantic: str | None = None
    panoptic: str | None = None
    depth: str | None = None
    normals: str | None = None
    padding: str | None = None
    camera: tuple[float, float, float, float] | None = None
    metric: bool = False

    def but(self, **changes: Any) -> Sample:
        """The same sample in all but the named fields."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Plan:
    """One sample's plan; the identity, and every slot in its order, where nothing is said.

    Attributes:
        source: row of the source view.
        step: inverse scale in Q16: 65536 keeps the size, 32768 doubles, 131072 halves it.
        translate: (ty, tx).
        hflip: whether the source is mirrored.
        order: a permutation of the source slots.
        count: how many rows are asked for.
        mix_key: 64-bit key of the class mix, in two's complement.
    """

    source: int = 0
    step: int = 65536
    translate: tuple[int, int] = (0, 0)
    hflip: bool = False
    order: tuple[int, ...] | None = None
    count: int = 100
    mix_key: int = 0


def read_batch(samples: Sequence[Sample]) -> PaddedBatchedDenseSample:
    """Samples of one canvas, one K and the same fields as a padded batch ``[B, ...]``.

    Args:
        samples: B >= 1 of them.

    Raises:
        ValueError: on text that is no grid of the image's size, or a number that its
            tensor does not hold exactly.
    """
    read = [_fields(sample) for sample in samples]
    batched: dict[str, Any] = {name: torch.stack([one[name] for one in read]) for name in read[0]}
    return PaddedBatchedDenseSample(**batched, metric_depth=samples[0].metric)


def read_plan(plans: Sequence[Plan], slots: int) -> PastePlan:
    """The plan of a batch, for a source view of ``slots`` slots."""
    every = tuple(range(slots))
    orders = [every if plan.order is None else plan.order for plan in plans]
    return PastePlan(
        source_idx=torch.tensor([plan.source for plan in plans], dtype=torch.int64),
        step=torch.tensor([plan.step for plan in plans], dtype=torch.int64),
        translate=torch.tensor([plan.translate for plan in plans], dtype=torch.int64).reshape(len(plans), 2),
        hflip=torch.tensor([plan.hflip for plan in plans], dtype=torch.bool),
        order=torch.tensor(orders, dtype=torch.int64).reshape(len(plans), slots),
        count=torch.tensor([plan.count for plan in plans], dtype=torch.int64),
        mix_key=torch.tensor([plan.mix_key for plan in plans], dtype=torch.int64),
    )


def read_mask(text: str) -> torch.Tensor:
    """``[H, W]`` bool from lines of ``#`` and ``.`` with blanks between them."""
    lines = text.split()
    if set("".join(lines)) - {"#", "."} or len({len(line) for line in lines}) != 1:
        raise ValueError(f"mask: got {text!r}, expected lines of # and . of one length")
    return torch.tensor([[mark == "#" for mark in line] for line in lines])


def _fields(sample: Sample) -> dict[str, torch.Tensor]:
    """The tensors of one sample, by their names in a padded batch."""
    channels = (sample.image,) if isinstance(sample.image, str) else sample.image
    read = _floats if sample.floats else _bytes
    images = torch.stack([read(_words(text)) for text in channels])
    maps = {"images": images}
    if sample.semantic is not None:
        maps["semantic_maps"] = _integers(_words(sample.semantic))
    if sample.panoptic is not None:
        maps["panoptic_maps"] = _integers(_words(sample.panoptic))
    if sample.depth is not None:
        words = _words(sample.depth)
        maps["depth"] = _floats([[word.strip("()") for word in line] for line in words])[None]
        maps["depth_valid"] = torch.tensor([[not word.startswith("(") for word in line] for line in words])[
            None
        ]
    if sample.normals is not None:
        vectors = [
            [("0,0,0" if word == "." else word).split(",") for word in line]
            for line in _words(sample.normals)
        ]
        maps["normals"] = torch.stack([_floats([[v[i] for v in line] for line in vectors]) for i in range(3)])
    if sample.padding is not None:
        maps["padding_mask"] = read_mask(sample.padding)[None]
    rows = _rows(sample, images.shape[-2:])
    for name, value in (maps | rows).items():
        if name in ("instance_masks", *maps) and value.shape[-2:] != images.shape[-2:]:
            size, expected = list(value.shape[-2:]), list(images.shape[-2:])
            raise ValueError(f"{name}: got {size}, expected the image's size {expected}")
    if sample.camera is not None:
        rows["camera_intrinsics"] = torch.tensor(sample.camera, dtype=torch.float64)
    return maps | rows


def _rows(sample: Sample, size: torch.Size) -> dict[str, torch.Tensor]:
    rows = sample.rows or {}
    boxes, labels = torch.zeros((sample.slots, 4)), torch.zeros(sample.slots, dtype=torch.int64)
    valid, ids = torch.zeros(sample.slots, dtype=torch.bool), torch.zeros(sample.slots, dtype=torch.int32)
    masks = torch.zeros((sample.slots, *size), dtype=torch.bool)
    for slot, row in rows.items():
        boxes[slot] = torch.tensor(row.box, dtype=torch.float32)
        labels[slot], valid[slot], ids[slot] = row.label, True, row.id
        if row.mask is not None:
            mask = read_mask(row.mask)
            if mask.shape != size:
                raise ValueError(f"mask of slot {slot}: got {list(mask.shape)}, expected {list(size)}")
            masks[slot] = mask
    found = {"boxes": boxes, "labels": labels, "instance_valid": valid}
    if sample.rows is None or any(row.mask is None for row in rows.values()):
        return found
    return found | {"instance_ids": ids, "instance_masks": masks}


def _words(text: str) -> list[list[str]]:
    lines = [line.split() for line in re.split(r"[\n/]", text)]
    return [line for line in lines if line]


def _integers(words: list[list[str]]) -> torch.Tensor:
    return torch.tensor(_each(words, int), dtype=torch.int64)


def _bytes(words: list[list[str]]) -> torch.Tensor:
    numbers = _integers(words)
    if bool(((numbers < 0) | (numbers > 255)).any()):
        raise ValueError(f"image: got {numbers.tolist()}, expected 0 to 255")
    return numbers.to(torch.uint8)


def _floats(words: list[list[str]]) -> torch.Tensor:
    exact = torch.tensor(_each(words, _float), dtype=torch.float64)
    rounded = exact.to(torch.float32)
    wrong = (rounded.to(torch.float64) != exact) & ~exact.isnan()
    if bool(wrong.any()):
        raise ValueError(f"got {exact[wrong][0].item()!r}, expected a number that float32 holds exactly")
    return rounded


def _float(word: str) -> float:
    return float.fromhex(word) if "0x" in word else float(word)


def _each(words: list[list[str]], read: Callable[[str], Any]) -> list[list[Any]]:
    return [[read(word) for word in line] for line in words]
