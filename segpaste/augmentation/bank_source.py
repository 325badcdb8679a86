"""Donors from a bank of crops: what is staged for a step, and the view that is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from torch import nn

from segpaste.augmentation.crop_layout import GAP, CropLayout
from segpaste.augmentation.sources import BatchedPlacementSampler
from segpaste.bank.batch import BankBatch
from segpaste.paste.plan import valid_extent
from segpaste.paste.rng import philox_words, uniform_below
from segpaste.paste.spans import mask_spans
from segpaste.types import PaddedBatchedDenseSample, PastePlan
from segpaste.types.numbers import whole_number
from segpaste.types.tensors import plain

MissingGeometry = Literal["error", "invalid"]

# The second counter word separates uses of one seed; segpaste.paste.plan has 0 and 1.
_CROPS = 2
_LAST = 2**32  # beyond every word


class BankSource(nn.Module):
    """Pastes crops of a bank, staged by :meth:`set_bank_batch` before each step.

    For every target ``crops_per_target`` of its row's K crops are drawn, uniformly and
    without replacement among the usable ones, under the sample's own seed. Usable is a crop
    whose alpha is not empty; that carries the depth, intrinsics and normals that the target
    calls for; with a class table, of a thing class; and beside a semantic map of a class
    other than ``ignore_index``. Of a row with fewer of them fewer are pasted, or nothing.

    The crops of one target stand on a canvas of its size, row by row from the origin. Scale,
    place and flip are the sampler's, one for all of them. A target with semantic maps alone
    has no rows to move: there the crops are put at a place of their own, drawn as the
    sampler draws one.

    With metric depth the crops of one target must share their focal lengths, as a sample has
    one camera. A crop that was made smaller has shorter ones, by a factor of its own: of crops
    of many cameras, or shrunk by different factors, mostly one is pasted.

    What is staged moves with the module and is not saved. Replacing it is no reason to
    compile again.

    Args:
        crops_per_target: how many crops to draw for each target, 1 or more.
        missing_geometry: what to do for a target with depth or normals: ``"error"`` pastes
            only crops that carry them, and refuses a bank without; ``"invalid"`` pastes the
            others too, with depth invalid and no normal where they lie, which with depth
            requires ``z_test=False``.
        float_values: ``[256]`` or ``[3, 256]`` float32, what each byte of an image (channel)
            is in a float32 target: for instance normalised as the targets are. By default
            ``byte / 255``.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: on another value or shape.
    """

    def __init__(
        self,
        *,
        crops_per_target: int = 1,
        missing_geometry: MissingGeometry = "error",
        float_values: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.crops_per_target = whole_number("crops_per_target", crops_per_target, at_least=1)
        if missing_geometry not in get_args(MissingGeometry):
            raise ValueError(f"missing_geometry: got {missing_geometry!r}, expected 'error' or 'invalid'")
        self.missing_geometry: MissingGeometry = missing_geometry
        # Attributes, not buffers: half() must not round them, nor may DistributedDataParallel
        # overwrite the crops of every rank with those of the first.
        self._bank_batch: BankBatch | None = None
        with torch.inference_mode(False):
            self._float_values = _table_of(float_values)

    @property
    def bank_batch(self) -> BankBatch | None:
        """What is staged."""
        return self._bank_batch

    def set_bank_batch(self, bank_batch: BankBatch | torch.Tensor, *, validate: bool | None = None) -> None:
        """Stage the crops of the next step; they stay until others are staged.

        Args:
            bank_batch: K crops for each of B targets or more, on the targets' device; a bare
                tensor is its ``crops`` ``[B, K, 5, h, w]`` int32.
            validate: whether to look at the values; by default on the CPU only, where that
                waits for nothing.

        Raises:
            TypeError: on another type or dtype.
            ValueError: on another shape, fewer than ``crops_per_target`` crops to draw from,
                or a value that no crop has. What was staged before stays staged.
        """
        if isinstance(bank_batch, torch.Tensor):
            bank_batch = BankBatch(bank_batch)
        if not isinstance(bank_batch, BankBatch):
            raise TypeError(
                f"bank_batch: got {type(bank_batch).__name__}, expected a BankBatch or its crops as a tensor"
            )
        if bank_batch.candidates_per_target < self.crops_per_target:
            raise ValueError(
                f"bank_batch.crops: got K = {bank_batch.candidates_per_target} crops for each target, "
                f"expected at least crops_per_target = {self.crops_per_target}"
            )
        if min(bank_batch.crop_size) < 1:
            raise ValueError(
                f"bank_batch.crops: got crops of {_size(bank_batch.crop_size)}, expected 1 x 1 or more"
            )
        for name, value in bank_batch.tensors().items():
            if value.requires_grad:
                raise ValueError(
                    f"bank_batch.{name}: got a tensor that requires grad, expected a detached one"
                )
        on_cpu = bank_batch.crops.device.type == "cpu"
        if on_cpu if validate is None else validate:
            bank_batch.validate()
        self._bank_batch = bank_batch

    def sample(
        self, target: PaddedBatchedDenseSample, seeds: torch.Tensor, sampler: BatchedPlacementSampler
    ) -> tuple[PaddedBatchedDenseSample, PastePlan]:
        """The drawn crops as a view of B samples, and a plan with row b for target b.

        Args:
            target: B samples; of the staged rows the first B are used.
            seeds: ``[B]`` int64, the samples' seeds.
            sampler: draws the rest of the plan.

        Raises:
            RuntimeError: if nothing is staged.
            ValueError: if what is staged does not fit the target: fewer rows, another device,
                crops larger than the canvas, no depth or normals where the target has some,
                depth of the other kind; on images without three channels; and with
                ``missing_geometry="invalid"`` beside depth and ``z_test``.
        """
        bank = self._bank_batch
        if bank is None:
            raise RuntimeError("bank_batch: got none, expected set_bank_batch(bank_batch) before the step")
        self._check(target, bank, sampler)
        if target.batch_size == 0 or (target.instance_masks is None and target.semantic_maps is None):
            return target, sampler(target, target, seeds)
        view = self._view(target, bank, seeds, sampler)
        rows = torch.arange(target.batch_size, device=seeds.device)
        return view, sampler(target, view, seeds, source_idx=rows)

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        staged = self._bank_batch
        crops = "nothing" if staged is None else f"{list(staged.crops.shape)}"
        geometry = "" if self.missing_geometry == "error" else f", missing_geometry={self.missing_geometry!r}"
        return f"crops_per_target={self.crops_per_target}{geometry}, staged={crops}"

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        with torch.inference_mode(False):
            # By the device of a tensor of bytes, which no change of precision changes.
            here = torch.empty(0, dtype=torch.uint8, device=self._float_values.device)
            device = fn(here).device
            self._float_values = self._float_values.to(device)
            if self._bank_batch is not None:
                self._bank_batch = self._bank_batch.to(device)
        return self

    def _check(
        self, target: PaddedBatchedDenseSample, bank: BankBatch, sampler: BatchedPlacementSampler
    ) -> None:
        """What can be said without a value, so that it is traced, too."""
        device = target.labels.device
        if bank.crops.device != device:
            raise ValueError(
                f"bank_batch: got device {bank.crops.device}, expected the target's, {device}: "
                "set_bank_batch(bank_batch.to(device))"
            )
        if bank.batch_size < target.batch_size:
            raise ValueError(
                f"bank_batch: got crops for {bank.batch_size} targets, "
                f"expected for at least B = {target.batch_size}"
            )
        channels = plain(target.images).shape[1]
        if channels != 3:
            raise ValueError(
                f"target.images: got {channels} channels, expected 3, as the crops of a bank have"
            )
        count = self.crops_per_target
        if target.batch_size and not CropLayout.holds(target.canvas_size, bank.crop_size, count):
            raise ValueError(
                f"bank_batch.crops: got crops of {_size(bank.crop_size)}, {count} for each target of "
                f"{_size(target.canvas_size)}, expected as many as it holds with {GAP} pixels between"
            )
        if target.depth is not None:
            self._check_depth(target, bank, sampler)
        if target.normals is not None and bank.normals is None and self.missing_geometry == "error":
            raise ValueError(
                "bank_batch.normals: got none for a target with normals, expected a bank with normals, "
                "or BankSource(missing_geometry='invalid')"
            )

    def _check_depth(
        self, target: PaddedBatchedDenseSample, bank: BankBatch, sampler: BatchedPlacementSampler
    ) -> None:
        if self.missing_geometry == "invalid" and sampler.settings.z_test:
            raise ValueError(
                "z_test: got True with BankSource(missing_geometry='invalid') and a target with depth, "
                "expected BatchCopyPasteConfig(z_test=False): what has no depth is nowhere nearer"
            )
        if bank.depth is None:
            if self.missing_geometry == "error":
                raise ValueError(
                    "bank_batch.depth: got none for a target with depth, expected a bank with depth, "
                    "or BankSource(missing_geometry='invalid') and BatchCopyPasteConfig(z_test=False)"
                )
        elif bank.metric_depth != target.metric_depth:
            raise ValueError(
                f"bank_batch.metric_depth: got {bank.metric_depth}, expected the target's, "
                f"{target.metric_depth}: metric and relative depth cannot be mixed"
            )

    def _view(
        self,
        target: PaddedBatchedDenseSample,
        bank: BankBatch,
        seeds: torch.Tensor,
        sampler: BatchedPlacementSampler,
    ) -> PaddedBatchedDenseSample:
        batch, slots = target.batch_size, self.crops_per_target
        fields = {name: value[:batch] for name, value in bank.tensors().items()}
        words = _draw_words(seeds, bank.candidates_per_target)
        usable, rescaled = self._usable(target, fields, sampler)
        order = _ranked(words[:, :, 0], usable)
        if slots > 1 and target.metric_depth:
            usable = usable & (~rescaled | _of_one_camera(fields, usable & rescaled, order))
            order = _ranked(words[:, :, 0], usable)
        chosen = order[:, :slots]
        row = torch.arange(batch, device=seeds.device)[:, None]
        drawn = {name: value[row, chosen] for name, value in fields.items()}
        drawn["valid"], drawn["rescaled"] = usable.gather(1, chosen), rescaled.gather(1, chosen)

        valid, crops = drawn["valid"], drawn["crops"]
        alpha = (crops[:, :, 3] != 0) & valid[:, :, None, None]
        labels = torch.where(valid, crops[:, :, 4, 0, 0].long(), 0)
        layout = CropLayout(target.canvas_size, bank.crop_size, slots, seeds.device)
        boxes = _extents(alpha, valid, layout)
        has_rows = target.instance_masks is not None
        if not has_rows:
            # Nothing moves the class mix, so that its place is drawn here.
            offset = _drawn_offset(boxes, valid, target, words[:, 0, 1:3], sampler.settings.alignment)
            layout = CropLayout(target.canvas_size, bank.crop_size, slots, seeds.device, offset)
        view: dict[str, Any] = {
            "images": layout.placed(self._pixels(crops[:, :, :3], target), edges=True),
            "boxes": boxes.float() if has_rows else torch.zeros_like(boxes, dtype=torch.float32),
            "labels": labels if has_rows else torch.zeros_like(labels),
            "instance_valid": valid if has_rows else torch.zeros_like(valid),
        }
        ids = torch.arange(slots, dtype=torch.int32, device=seeds.device)
        ids = torch.where(valid, ids if target.panoptic_maps is None else ids + 1, 0)
        if has_rows:
            view |= {"instance_ids": ids, "instance_masks": layout.each(alpha)}
        if target.semantic_maps is not None:
            ignore = sampler.settings.ignore_index
            classes = torch.where(alpha, labels[:, :, None, None], ignore)
            view["semantic_maps"] = layout.placed(classes[:, :, None], fill=ignore)[:, 0]
        if target.panoptic_maps is not None:
            shown = torch.where(alpha, ids.long()[:, :, None, None], 0)
            view["panoptic_maps"] = layout.placed(shown[:, :, None])[:, 0]
        view |= _geometry(target, drawn, layout)
        return PaddedBatchedDenseSample(**view, metric_depth=target.metric_depth)

    def _usable(
        self,
        target: PaddedBatchedDenseSample,
        fields: dict[str, torch.Tensor],
        sampler: BatchedPlacementSampler,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Which crops may be drawn, and which would have their depth rescaled; ``[B, K]`` bool each."""
        crops, settings = fields["crops"], sampler.settings
        labels = crops[:, :, 4, 0, 0].long()
        usable = (crops[:, :, 3] != 0).any(dim=3).any(dim=2)
        if settings.has_schema:
            usable = usable & sampler.tables.is_thing[sampler.tables.find(labels)]
        if target.semantic_maps is not None:
            usable = usable & (labels != settings.ignore_index)
        rescaled = torch.zeros_like(usable)
        for name in ("depth", "normals"):
            if getattr(target, name) is None or name not in fields:
                continue
            carried = fields[f"carries_{name}"]
            if name == "depth" and target.metric_depth:
                focal = fields["camera_intrinsics"][:, :, :2]
                has_camera = ((focal > 0) & focal.isfinite()).all(dim=2)
                usable = usable & (has_camera | ~carried)
                rescaled = carried
            if self.missing_geometry == "error":
                usable = usable & carried
        return usable, rescaled

    def _pixels(self, rgb: torch.Tensor, target: PaddedBatchedDenseSample) -> torch.Tensor:
        """Colours ``[B, n, 3, h, w]`` int32 in the target's dtype."""
        as_bytes = rgb.to(torch.uint8)
        if target.images.dtype == torch.uint8:
            return as_bytes
        channel = torch.arange(3, device=rgb.device)[:, None, None]
        return self._float_values[channel, as_bytes.long()]


def _table_of(values: torch.Tensor | None) -> torch.Tensor:
    """``[3, 256]`` float32. A table, as not every device divides alike."""
    if values is None:
        values = torch.from_numpy(np.arange(256, dtype=np.float32) / np.float32(255))
    if not isinstance(values, torch.Tensor):
        raise TypeError(f"float_values: got {type(values).__name__}, expected a torch.Tensor or None")
    if values.dtype != torch.float32:
        raise TypeError(f"float_values: got dtype {values.dtype}, expected torch.float32")
    if list(values.shape) not in ([256], [3, 256]):
        raise ValueError(f"float_values: got shape {list(values.shape)}, expected [256] or [3, 256]")
    if not bool(values.isfinite().all()):
        raise ValueError("float_values: got non-finite values, expected finite ones")
    return values.detach().expand(3, 256).clone()


def _draw_words(seeds: torch.Tensor, crops: int) -> torch.Tensor:
    """A block of words for each crop, ``[B, K, 4]``; more crops never change the earlier ones'."""
    index = torch.arange(crops, device=seeds.device)
    return philox_words(seeds[:, None].expand(-1, crops), index, _CROPS)


def _ranked(words: torch.Tensor, usable: torch.Tensor) -> torch.Tensor:
    """The crops by their words, what is not usable last; ``[B, K]`` int64."""
    return torch.where(usable, words, _LAST).argsort(dim=1, stable=True)


def _of_one_camera(
    fields: dict[str, torch.Tensor], rescaled: torch.Tensor, order: torch.Tensor
) -> torch.Tensor:
    """Which crops have the focal lengths of the first, in order, whose depth is rescaled; ``[B, K]`` bool.

    A sample has one camera, so the depth of all crops of a view is rescaled alike.
    """
    if "camera_intrinsics" not in fields:
        return torch.ones_like(rescaled)
    focal = fields["camera_intrinsics"][:, :, :2]
    first = order.gather(1, _first(rescaled.gather(1, order))[:, None])
    return (focal == focal.gather(1, first[:, :, None].expand(-1, 1, 2))).all(dim=2)


def _first(flags: torch.Tensor) -> torch.Tensor:
    """The place of the first true entry of ``[B, n]``, the last place where there is none; ``[B]``."""
    places = torch.arange(flags.shape[1], device=flags.device)
    return torch.where(flags, places, flags.shape[1] - 1).amin(dim=1)


def _extents(alpha: torch.Tensor, valid: torch.Tensor, layout: CropLayout) -> torch.Tensor:
    """Boxes ``[B, n, 4]`` int64 XYXY of masks ``[B, n, h, w]`` where they stand; 0 for invalid slots."""
    spans = mask_spans(alpha, valid) + layout.places.repeat(1, 1, 2)
    return torch.where(valid[:, :, None], spans[:, :, [1, 0, 3, 2]], 0)


def _drawn_offset(
    boxes: torch.Tensor,
    valid: torch.Tensor,
    target: PaddedBatchedDenseSample,
    words: torch.Tensor,
    alignment: int,
) -> torch.Tensor:
    """By how much to move all crops, ``[B, 2]`` int64, y and x.

    The group's bounding box is put uniformly into the target's valid rectangle, as
    ``draw_plan`` does with what it can move; one that is too large, at its origin.
    """
    far = max(target.canvas_size)
    low = torch.where(valid[:, :, None], boxes[:, :, :2], far).amin(dim=1).flip(1)
    high = boxes[:, :, 2:].amax(dim=1).flip(1)
    low = torch.minimum(low, high)
    places = (valid_extent(target) - (high - low)).clamp(min=0) // alignment + 1
    return uniform_below(words, places) * alignment - low


def _geometry(
    target: PaddedBatchedDenseSample, drawn: dict[str, torch.Tensor], layout: CropLayout
) -> dict[str, torch.Tensor]:
    """What the target has of depth, validity, normals and camera; nothing where a crop has none."""
    batch, slots, _, h, w = drawn["crops"].shape
    blank = torch.zeros((batch, slots, 1, h, w), dtype=torch.float32, device=drawn["crops"].device)
    made: dict[str, torch.Tensor] = {}

    def carried(name: str, which: str, nothing: torch.Tensor) -> torch.Tensor:
        if name not in drawn:
            return nothing
        return drawn[name].masked_fill(~drawn[f"carries_{which}"][:, :, None, None, None], 0)

    if target.depth is not None:
        made["depth"] = layout.placed(carried("depth", "depth", blank))
        made["depth_valid"] = layout.placed(carried("depth_valid", "depth", blank.bool()))
    if target.normals is not None:
        made["normals"] = layout.placed(carried("normals", "normals", blank.expand(-1, -1, 3, -1, -1)))
    if target.metric_depth:
        made["camera_intrinsics"] = _cameras(target, drawn, layout)
    return made


def _cameras(
    target: PaddedBatchedDenseSample, drawn: dict[str, torch.Tensor], layout: CropLayout
) -> torch.Tensor:
    """The camera of the first drawn crop whose depth is rescaled, else the target's; ``[B, 4]`` float64."""
    own = target.camera_intrinsics
    if own is None:
        raise ValueError("target.camera_intrinsics: got None, expected some beside metric depth")
    if "camera_intrinsics" not in drawn:
        return own.clone()
    rescaled = drawn["rescaled"] & drawn["valid"]
    place = _first(rescaled)[:, None, None]
    focal, centre = drawn["camera_intrinsics"].split(2, dim=2)
    moved = torch.cat((focal, centre + layout.places.flip(2)), dim=2)
    return torch.where(rescaled.any(dim=1)[:, None], moved.gather(1, place.expand(-1, 1, 4))[:, 0], own)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
