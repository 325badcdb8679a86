"""Bit-for-bit comparison of two results of one paste, and a drawing of where they part.

Floats are compared as the integers they are stored as: -0 and +0 differ, a NaN equals
itself where its payload does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from PIL import Image

from segpaste.invariants.bits import bits, differs
from segpaste.strategies.pastes import PasteCase
from segpaste.types import (
    BatchAuditPacket,
    DenseSample,
    PaddedBatchedDenseSample,
    PastePlan,
    modality_set_name,
)
from segpaste.viz import Column, crop_around, draw_strip, png_bytes, window_around

PICTURE_FOLDER = "SEGPASTE_PARITY_REPORT"
"""Environment variable that names the folder for pictures; ``parity-report`` by default."""

_LARGE = 96  # a canvas beyond this hides a few pixels


class ParityError(AssertionError):
    """Two results that must agree in every bit do not."""


@dataclass(frozen=True)
class Difference:
    """One field in which two results differ.

    Attributes:
        field: its name; ``audit.`` stands before one of the audit.
        message: what was expected and what was got, in one line.
        expected, actual: the tensors, where both are there.
        mask: bool, the elements that differ; ``None`` where presence, dtype or shape do.
    """

    field: str
    message: str
    expected: torch.Tensor | None = None
    actual: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"

    @property
    def first(self) -> tuple[int, ...] | None:
        """Index of the first element that differs."""
        return None if self.mask is None else tuple(self.mask.nonzero()[0].tolist())


def differences(
    expected: PaddedBatchedDenseSample,
    actual: PaddedBatchedDenseSample,
    *,
    audits: tuple[BatchAuditPacket, BatchAuditPacket] | None = None,
) -> list[Difference]:
    """Every field in which presence, dtype, shape or a bit differs, in the fields' order.

    Args:
        expected: B samples.
        actual: what should be the same; on any device.
        audits: the audits of both, to be compared too.
    """
    pairs = list(_pairs(expected, actual))
    if audits is not None:
        pairs += [(f"audit.{name}", one, other) for name, one, other in _pairs(*audits)]
    found = (_difference(*pair) for pair in pairs)
    return [difference for difference in found if difference is not None]


def assert_same_bits(
    expected: PaddedBatchedDenseSample,
    actual: PaddedBatchedDenseSample,
    *,
    audits: tuple[BatchAuditPacket, BatchAuditPacket] | None = None,
    case: PasteCase | None = None,
    names: tuple[str, str] = ("expected", "actual"),
    folder: str | os.PathLike[str] | None = None,
) -> None:
    """Compare every field, then raise once and draw where they part.

    The picture is called after ``names`` and the modalities, so that of many failures of
    one property, as when Hypothesis makes an example smaller, the last one stays.

    Args:
        expected: B samples.
        actual: what should be the same; on any device.
        audits: the audits of both, to be compared too.
        case: the paste, for the picture and the message.
        names: what the two are called.
        folder: where the picture goes; by default where :data:`PICTURE_FOLDER` says.

    Raises:
        ParityError: naming every field that differs, with the surroundings of the first
            pixel as text and the path of the picture.
    """
    found = differences(expected, actual, audits=audits)
    if not found:
        return
    height, width = expected.canvas_size
    modalities = modality_set_name(expected.active_modalities())
    lines = [
        f"{names[0]} and {names[1]} differ in {len(found)} fields "
        f"({modalities}, B={expected.batch_size}, K={expected.max_instances}, {height} x {width})",
        *(f"  {difference}" for difference in found),
    ]
    dense = next((d for d in found if _is_dense(d, (height, width))), None)
    if dense is not None:
        lines += _surroundings(dense, names)
    lines.append(_draw(expected, actual, found, case, names, folder, "\n".join(map(str, found[:6]))))
    if case is not None:
        lines.append(f"  of {case}")
    raise ParityError("\n".join(lines))


_Pair = tuple[str, object, object]


def _pairs(
    expected: PaddedBatchedDenseSample | BatchAuditPacket | PastePlan,
    actual: PaddedBatchedDenseSample | BatchAuditPacket | PastePlan,
) -> Iterator[_Pair]:
    for field in fields(expected):
        one, other = getattr(expected, field.name), getattr(actual, field.name)
        if isinstance(one, PastePlan) and isinstance(other, PastePlan):
            yield from ((f"{field.name}.{name}", a, b) for name, a, b in _pairs(one, other))
        else:
            yield field.name, one, other


def _difference(field: str, expected: object, actual: object) -> Difference | None:
    if not isinstance(expected, torch.Tensor) or not isinstance(actual, torch.Tensor):
        tensors = isinstance(expected, torch.Tensor) or isinstance(actual, torch.Tensor)
        if not tensors and expected == actual:
            return None
        return Difference(field, f"expected {_described(expected)}, got {_described(actual)}")
    one, other = (value.detach().as_subclass(torch.Tensor).cpu() for value in (expected, actual))
    for what, wanted, got in (
        ("dtype", one.dtype, other.dtype),
        ("shape", list(one.shape), list(other.shape)),
    ):
        if wanted != got:
            return Difference(field, f"expected {what} {wanted}, got {got}", one, other)
    mask = differs(other, one)
    count, total = int(mask.sum()), mask.numel()
    if not count:
        return None
    index = tuple(mask.nonzero()[0].tolist())
    message = (
        f"{count} of {total} elements differ ({100 * count / total:.2f} %), first at {list(index)}: "
        f"expected {_element(one[index])}, got {_element(other[index])}"
    )
    return Difference(field, message, one, other, mask)


def _described(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {list(value.shape)}"
    return repr(value)


def _element(value: torch.Tensor) -> str:
    """An element's value; of a float its bits too, which say more than its digits."""
    if not value.dtype.is_floating_point:
        return str(value.item())
    size = value.element_size()
    return f"0x{int(bits(value)) % 2 ** (8 * size):0{2 * size}x} ({_digits(value)})"


def _digits(value: torch.Tensor) -> str:
    if value.dtype == torch.bool:
        return "#" if value else "."
    if value.dtype.is_floating_point:
        return f"{value.item():.{17 if value.dtype == torch.float64 else 9}g}"
    return str(value.item())


def _is_dense(difference: Difference, canvas: tuple[int, int]) -> bool:
    mask = difference.mask
    return mask is not None and mask.ndim >= 3 and tuple(mask.shape[-2:]) == canvas


def _surroundings(difference: Difference, names: tuple[str, str]) -> list[str]:
    """The first differing pixel and its neighbours in both results, side by side."""
    index = difference.first
    if difference.expected is None or difference.actual is None or difference.mask is None or index is None:
        return []
    *lead, y, x = index
    plane = tuple(lead)
    one, other, mask = (v[plane] for v in (difference.expected, difference.actual, difference.mask))
    height, width = mask.shape
    across = 1 if one.dtype.is_floating_point else 3
    rows = range(max(y - 2, 0), min(y + 3, height))
    columns = range(max(x - across, 0), min(x + across + 1, width))

    def cells(value: torch.Tensor, row: int) -> list[str]:
        texts = [_digits(value[row, column]) for column in columns]
        return [f"[{t}]" if mask[row, c] else f" {t} " for t, c in zip(texts, columns, strict=True)]

    grid = [(row, cells(one, row), cells(other, row)) for row in rows]
    wide = max(len(text) for _, left, right in grid for text in left + right)
    head = "".join(f"{column:>{wide}}" for column in columns)
    lines = [
        f"  {difference.field}{list(plane)} around row {y}, column {x}, where brackets are differs:",
        f"  {'':>6} {names[0]:<{len(head)}}    {names[1]}",
        f"  {'':>6} {head}    {head}",
    ]
    for row, *sides in grid:
        left, right = ("".join(f"{text:>{wide}}" for text in side) for side in sides)
        lines.append(f"  {row:>6} {left}    {right}")
    return lines


def _draw(
    expected: PaddedBatchedDenseSample,
    actual: PaddedBatchedDenseSample,
    found: list[Difference],
    case: PasteCase | None,
    names: tuple[str, str],
    folder: str | os.PathLike[str] | None,
    caption: str,
) -> str:
    """Write the picture and say where it is, or why there is none."""
    if expected.batch_size == 0 or any(d.expected is not None and d.mask is None for d in found):
        return "  no picture: the batches cannot be laid over each other"
    place = Path(folder if folder is not None else os.environ.get(PICTURE_FOLDER) or "parity-report")
    words = (*names, modality_set_name(expected.active_modalities()))
    path = place / ("-".join(word.replace(" ", "_").replace(os.sep, "_") for word in words) + ".png")
    try:
        content = png_bytes(_strip(expected, actual, found, case, names, caption))
        place.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except Exception as error:  # a result may be too broken to be drawn, and must be reported all the same
        return f"  no picture: {type(error).__name__}: {error}"
    return f"  picture: {path}"


def _strip(
    expected: PaddedBatchedDenseSample,
    actual: PaddedBatchedDenseSample,
    found: list[Difference],
    case: PasteCase | None,
    names: tuple[str, str],
    caption: str,
) -> Image.Image:
    canvas = expected.canvas_size
    dense = [d.mask for d in found if d.mask is not None and _is_dense(d, canvas)]
    masks = dense or [d.mask for d in found if d.mask is not None]
    index = int(masks[0].nonzero()[0, 0]) if masks else 0
    pixels = torch.zeros(canvas, dtype=torch.bool)
    for mask in dense:
        pixels |= mask[index].reshape(-1, *canvas).any(dim=0)

    columns: list[tuple[str, DenseSample]] = []
    if case is not None:
        source = int(case.plan.source_idx[index])
        columns.append((f"target {index}", _sample(case.target, index)))
        columns.append((f"source {source}", _sample(case.source, source)))
    columns += [(names[0], _sample(expected, index)), (names[1], _sample(actual, index))]
    if max(canvas) > _LARGE and pixels.any():
        window = window_around(pixels, margin=12, smallest=48)
        y0, x0, y1, x1 = window
        pixels = pixels[y0:y1, x0:x1]
        # The source stays whole: what it shows stands elsewhere in it.
        columns = [(t, s if t.startswith("source ") else crop_around(s, window)) for t, s in columns]
        caption = f"rows {y0} to {y1 - 1}, columns {x0} to {x1 - 1}\n{caption}"
    shown = [Column(title, sample) for title, sample in columns]
    note = f"{int(pixels.sum())} px differ" if pixels.any() else "no pixels: see the text"
    # Stripes over the padding would hide what differs there.
    unpadded = DenseSample.unchecked(**(columns[-1][1].to_dict() | {"padding_mask": None}))
    shown.append(Column("differing pixels", unpadded, pixels, note))
    return draw_strip(shown, caption=caption)


def _sample(batch: PaddedBatchedDenseSample, index: int) -> DenseSample:
    """One sample with its used rows, whatever its values are."""
    one = {name: value[index].detach().cpu() for name, value in batch.tensors().items()}
    used = one.pop("instance_valid")
    one.pop("camera_intrinsics", None)
    for name in ("boxes", "labels", "instance_ids", "instance_masks"):
        if name in one:
            one[name] = one[name][used]
    singular = {
        "images": "image",
        "semantic_maps": "semantic_map",
        "panoptic_maps": "panoptic_map",
    }
    return DenseSample.unchecked(**{singular.get(name, name): value for name, value in one.items()})
