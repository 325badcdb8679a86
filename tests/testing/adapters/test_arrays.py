"""Arrays that libraries take and give: copies, complaints, ids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from segpaste.testing.adapters import Complaint
from segpaste.testing.adapters.arrays import channels_first, channels_last, in_dtype, plain, row_ids
from segpaste.types import DenseSample


def rows(ids: list[int]) -> DenseSample:
    return DenseSample.from_dict(
        {
            "image": tv_tensors.Image(torch.zeros((3, 1, 1), dtype=torch.uint8)),
            "boxes": torch.tensor([[0.0, 0, 1, 1]] * len(ids)).reshape(-1, 4),
            "labels": torch.ones(len(ids), dtype=torch.int64),
            "instance_ids": torch.tensor(ids, dtype=torch.int32),
            "instance_masks": torch.ones((len(ids), 1, 1), dtype=torch.bool),
        }
    )


def test_channels_go_last_and_come_back_in_memory_of_their_own() -> None:
    image = torch.arange(24, dtype=torch.uint8).reshape(3, 2, 4)
    array = channels_last(image)
    assert array.shape == (2, 4, 3)
    assert array.flags.c_contiguous
    back = channels_first(array[:, ::-1])
    assert torch.equal(back, image.flip(-1))
    array[:] = 0
    assert torch.equal(back, image.flip(-1))
    assert image.sum() == sum(range(24))
    assert channels_first(np.zeros((2, 4))).shape == (1, 2, 4)
    copy = plain(image, np.uint8)
    copy[:] = 0
    assert image.sum() == sum(range(24))


def test_another_dtype_is_complained_about_and_converted() -> None:
    complaints: list[Complaint] = []
    assert in_dtype("image", np.zeros(2, np.uint8), np.uint8, complaints).dtype == np.uint8
    assert complaints == []
    assert in_dtype("image", np.zeros(2, np.int64), np.uint8, complaints).dtype == np.uint8
    assert complaints == [Complaint("target.dtype_kept", "image: got int64 back, gave uint8")]


@pytest.mark.parametrize(
    ("own", "came", "ids"),
    [
        ([7, 3], [1, 0], [3, 7]),
        ([7, 3], [1, 2, 3], [3, 8, 9]),
        ([7, 3], [0, 0, 1, 0], [7, 8, 3, 9]),
        ([], [0, 1], [1, 2]),
        ([0], [1, 0], [1, 0]),
        ([1, 2**31 - 1], [2, 0, 1, 3], [2, 1, 2**31 - 1, 3]),
        ([2**31 - 3], [0, 1, 1], [2**31 - 3, 1, 2]),
    ],
)
def test_ids_are_the_rows_own_or_fresh(own: list[int], came: list[int], ids: list[int]) -> None:
    got = row_ids(came, rows(own))
    assert got.dtype == torch.int32
    assert got.tolist() == ids


def test_ids_of_the_panoptic_map_are_not_fresh() -> None:
    values = rows([4]).to_dict()
    values["semantic_map"] = torch.ones((1, 1), dtype=torch.int64)
    values["panoptic_map"] = torch.full((1, 1), 9)
    assert row_ids([1, 0], DenseSample.unchecked(**values)).tolist() == [10, 4]
