"""The tv_tensor subclasses: what torchvision's transforms tell apart."""

from __future__ import annotations

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from segpaste.types import InstanceMask, PaddingMask, PanopticMap, SemanticMap

KINDS = [InstanceMask, SemanticMap, PanopticMap, PaddingMask]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_is_a_mask_and_keeps_its_type_when_wrapped(kind: type[tv_tensors.Mask]) -> None:
    mask = kind(torch.tensor([[[True, False]]]))
    assert isinstance(mask, tv_tensors.Mask)
    assert mask.dtype == torch.bool
    assert type(tv_tensors.wrap(torch.zeros((1, 1, 2)), like=mask)) is kind  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_torchvision_mirrors_every_kind_and_keeps_its_type(kind: type[tv_tensors.Mask]) -> None:
    mask = kind(torch.tensor([[[1, 2, 3]]]))
    mirrored = v2.functional.horizontal_flip(mask)
    assert type(mirrored) is kind
    assert mirrored.tolist() == [[[3, 2, 1]]]


@pytest.mark.parametrize("shape", [(1, 2, 3), (4, 1, 2, 3)])
def test_a_padding_mask_wraps_bool_tensors(shape: tuple[int, ...]) -> None:
    data = torch.ones(shape, dtype=torch.bool)
    mask = PaddingMask.from_tensor(data)
    assert type(mask) is PaddingMask
    assert mask.shape == shape
    assert mask.data_ptr() == data.data_ptr()


def test_a_padding_mask_refuses_other_dtypes() -> None:
    with pytest.raises(TypeError, match=r"^padding_mask: got dtype torch.uint8, expected torch.bool$"):
        PaddingMask.from_tensor(torch.ones((1, 2, 3), dtype=torch.uint8))
