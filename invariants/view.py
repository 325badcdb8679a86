"""One sample as plain tensors with row slots, whichever container it came in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from segpaste.types import DenseSample, Modality, PaddedBatchedDenseSample


@dataclass(frozen=True, slots=True)
class SampleView:
    """One sample with ``K`` row slots; every tensor plain, shared with its container.

    Attributes:
        image: ``[C, H, W]`` uint8 or float32.
        boxes: ``[K, 4]`` float32.
        labels: ``[K]`` int64.
        valid: ``[K]`` bool, the used slots.
        ids: ``[K]`` int64, or None without masks.
        masks: ``[K, H, W]`` bool.
        semantic: ``[H, W]`` int64.
        panoptic: ``[H, W]`` int64.
        depth: ``[1, H, W]`` float32.
        depth_valid: ``[H, W]`` bool.
        normals: ``[3, H, W]`` float32.
        padding: ``[H, W]`` bool.
        intrinsics: (fx, fy, cx, cy).
        metric: whether depth is metric.
        ragged: whether the rows came without slots, closed up.
    """

    image: torch.Tensor
    boxes: torch.Tensor
    labels: torch.Tensor
    valid: torch.Tensor
    ids: torch.Tensor | None
    masks: torch.Tensor | None
    semantic: torch.Tensor | None
    panoptic: torch.Tensor | None
    depth: torch.Tensor | None
    depth_valid: torch.Tensor | None
    normals: torch.Tensor | None
    padding: torch.Tensor | None
    intrinsics: tuple[float, ...] | None
    metric: bool
    ragged: bool

    @property
    def canvas(self) -> tuple[int, int]:
        """``(H, W)``."""
        return self.image.shape[-2], self.image.shape[-1]

    @property
    def slots(self) -> int:
        """K."""
        return self.labels.shape[0]

    @property
    def modalities(self) -> frozenset[Modality]:
        """The modalities present."""
        present = {
            Modality.IMAGE: self.image,
            Modality.INSTANCE: self.masks,
            Modality.SEMANTIC: self.semantic,
            Modality.PANOPTIC: self.panoptic,
            Modality.DEPTH: self.depth,
            Modality.NORMALS: self.normals,
        }
        return frozenset(m for m, value in present.items() if value is not None)

    def maps(self) -> dict[str, torch.Tensor]:
        """The maps that are present, each ``[H, W]`` or ``[C, H, W]``."""
        named = {
            "image": self.image,
            "semantic": self.semantic,
            "panoptic": self.panoptic,
            "depth": self.depth,
            "depth_valid": self.depth_valid,
            "normals": self.normals,
        }
        return {name: value for name, value in named.items() if value is not None}

    def with_slots(self, slots: int) -> SampleView:
        """The same sample with ``slots`` row slots, the added ones unused."""
        extra = slots - self.slots
        if extra <= 0:
            return self
        return replace(
            self,
            boxes=_grown(self.boxes, extra),
            labels=_grown(self.labels, extra),
            valid=_grown(self.valid, extra),
            ids=None if self.ids is None else _grown(self.ids, extra),
            masks=None if self.masks is None else _grown(self.masks, extra),
        )

    def with_rows(self, rows: list[int], where: list[int], slots: int) -> SampleView:
        """The same sample with row ``rows[n]`` moved to slot ``where[n]`` of ``slots`` empty ones."""
        device = self.labels.device
        old, new = torch.tensor(rows, device=device), torch.tensor(where, device=device)

        def moved(value: torch.Tensor) -> torch.Tensor:
            out = torch.zeros((slots, *value.shape[1:]), dtype=value.dtype, device=device)
            if rows:
                out[new] = value[old]
            return out

        return replace(
            self,
            boxes=moved(self.boxes),
            labels=moved(self.labels),
            valid=moved(self.valid),
            ids=None if self.ids is None else moved(self.ids),
            masks=None if self.masks is None else moved(self.masks),
        )


def view_of(sample: DenseSample | PaddedBatchedDenseSample | SampleView) -> SampleView:
    """A view of a sample, or of the only sample of a padded batch.

    Raises:
        TypeError: if ``sample`` is neither.
        ValueError: if a padded batch does not hold exactly one sample.
    """
    if isinstance(sample, SampleView):
        return sample
    if isinstance(sample, DenseSample):
        return _view_of_dense(sample)
    if isinstance(sample, PaddedBatchedDenseSample):
        return _view_of_padded(sample)
    raise TypeError(
        f"sample: got {type(sample).__name__}, expected DenseSample or PaddedBatchedDenseSample with B = 1"
    )


def present(field: torch.Tensor | None) -> torch.Tensor:
    """A field that is there because the law's ``needs`` say so.

    Raises:
        ValueError: if it is missing.
    """
    if field is None:
        raise ValueError("sample: got None for a field that its modalities promise")
    return field


def _view_of_dense(sample: DenseSample) -> SampleView:
    labels = _plain(sample.labels)
    ids = _maybe(sample.instance_ids)
    camera = sample.camera_intrinsics
    return SampleView(
        image=_plain(sample.image),
        boxes=_plain(sample.boxes),
        labels=labels,
        valid=torch.ones(labels.shape, dtype=torch.bool, device=labels.device),
        ids=None if ids is None else ids.to(torch.int64),
        masks=_maybe(sample.instance_masks),
        semantic=_maybe(sample.semantic_map),
        panoptic=_maybe(sample.panoptic_map),
        depth=_maybe(sample.depth),
        depth_valid=_first(_maybe(sample.depth_valid)),
        normals=_maybe(sample.normals),
        padding=_first(_maybe(sample.padding_mask)),
        intrinsics=None if camera is None else camera.as_tuple(),
        metric=sample.metric_depth,
        ragged=True,
    )


def _view_of_padded(batch: PaddedBatchedDenseSample) -> SampleView:
    if batch.batch_size != 1:
        raise ValueError(f"sample: got a batch of {batch.batch_size}, expected B = 1; use batch.select(i)")
    fields = {name: value[0] for name, value in batch.tensors().items()}
    ids = fields.get("instance_ids")
    camera = fields.get("camera_intrinsics")
    return SampleView(
        image=fields["images"],
        boxes=fields["boxes"],
        labels=fields["labels"],
        valid=fields["instance_valid"],
        ids=None if ids is None else ids.to(torch.int64),
        masks=fields.get("instance_masks"),
        semantic=fields.get("semantic_maps"),
        panoptic=fields.get("panoptic_maps"),
        depth=fields.get("depth"),
        depth_valid=_first(fields.get("depth_valid")),
        normals=fields.get("normals"),
        padding=_first(fields.get("padding_mask")),
        intrinsics=None if camera is None else tuple(camera.tolist()),
        metric=batch.metric_depth,
        ragged=False,
    )


def _plain(value: torch.Tensor) -> torch.Tensor:
    return value.as_subclass(torch.Tensor)


def _maybe(value: torch.Tensor | None) -> torch.Tensor | None:
    return None if value is None else _plain(value)


def _first(value: torch.Tensor | None) -> torch.Tensor | None:
    return None if value is None else value[0]


def _grown(value: torch.Tensor, extra: int) -> torch.Tensor:
    zeros = torch.zeros((extra, *value.shape[1:]), dtype=value.dtype, device=value.device)
    return torch.cat([value, zeros])
