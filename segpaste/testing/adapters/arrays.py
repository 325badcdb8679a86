"""Tensors as the NumPy arrays ``[H, W, C]`` that OpenCV's libraries take, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
import torch

from segpaste.testing.adapters.base import DTYPE_KEPT, Complaint
from segpaste.types import DenseSample

_LARGEST_ID = 2**31 - 1


def channels_last(tensor: torch.Tensor) -> np.ndarray:
    """``[C, H, W]`` as a new contiguous array ``[H, W, C]``."""
    return np.array(tensor.detach().as_subclass(torch.Tensor).cpu().permute(1, 2, 0).numpy(), order="C")


def channels_first(array: np.ndarray) -> torch.Tensor:
    """``[H, W, C]`` or ``[H, W]`` as a tensor ``[C, H, W]``."""
    array = array if array.ndim == 3 else array[..., None]
    return torch.from_numpy(np.array(array.transpose(2, 0, 1), order="C"))


def plain(tensor: torch.Tensor, dtype: Any) -> np.ndarray:
    """A new array of the same shape in another dtype."""
    return np.array(tensor.detach().as_subclass(torch.Tensor).cpu().numpy(), dtype=dtype, order="C")


def in_dtype(name: str, array: Any, dtype: Any, complaints: list[Complaint]) -> np.ndarray:
    """The array in ``dtype``; if it came in another one, that is complained about."""
    array = np.asarray(array)
    if array.dtype != dtype:
        message = f"{name}: got {array.dtype} back, gave {np.dtype(dtype)}"
        complaints.append(Complaint(DTYPE_KEPT, message))
    return array.astype(dtype, copy=False)


def row_ids(rows: Sequence[int], target: DenseSample) -> torch.Tensor:
    """Instance ids ``[N]`` int32 of the rows that came back.

    Args:
        rows: for every row of the result the number of the row it was, the target's from 0
            and the donor's after them.
        target: the sample before.

    Returns:
        A target row has its own id the first time it comes. All others have fresh ids in the
        order of the result: from the largest id of the target on, and where those would not
        fit into int32, the smallest that the target does not use.
    """
    own = [] if target.instance_ids is None else target.instance_ids.tolist()
    used = set(own)
    if target.panoptic_map is not None:
        used.update(torch.unique(target.panoptic_map.as_subclass(torch.Tensor)).tolist())
    fresh = _fresh(used, len(rows))
    seen: set[int] = set()
    ids = []
    for row in rows:
        ids.append(own[row] if 0 <= row < len(own) and row not in seen else next(fresh))
        seen.add(row)
    return torch.tensor(ids, dtype=torch.int32)


def _fresh(used: set[int], most: int) -> Iterator[int]:
    largest = max(used, default=0)
    if largest + most <= _LARGEST_ID:
        return count(max(largest, 0) + 1)
    return (number for number in count(1) if number not in used)
