"""What the module refuses of its arguments without a look at a value.

Named ``got`` and ``expected`` in one line. What takes tensors only reads their metadata,
so that it is traced under ``torch.compile``, too.
"""

from __future__ import annotations

from typing import Any

import torch

from segpaste.types import PaddedBatchedDenseSample, PastePlan


def check_padded(name: str, value: Any) -> None:
    """Refuse what is no padded batch, or has a field that requires grad.

    Raises:
        TypeError: naming the type.
        ValueError: naming the field.
    """
    if not isinstance(value, PaddedBatchedDenseSample):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a PaddedBatchedDenseSample")
    for field, tensor in value.tensors().items():
        if tensor.requires_grad:
            raise ValueError(f"{name}.{field}: got a tensor that requires grad, expected a detached one")


def check_generator(generator: Any) -> None:
    """Refuse what is neither a generator nor ``None``.

    Raises:
        TypeError: naming the type; seeds that were given in its place are told where to go.
    """
    # First, as the class of a generator cannot be asked about a tensor that is traced.
    if isinstance(generator, torch.Tensor):
        raise TypeError(
            f"generator: got {type(generator).__name__}, expected a torch.Generator; seeds go in as seeds="
        )
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"generator: got {type(generator).__name__}, expected a torch.Generator or None")


def check_int64_row(
    name: str, value: Any, length: int | None = None, device: torch.device | None = None
) -> None:
    """Refuse what is not ``[length]`` int64 on the device; ``None`` takes any.

    Raises:
        ValueError: naming what was got.
    """
    expected = f"int64 [{'B' if length is None else length}]" + ("" if device is None else f" on {device}")
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name}: got {type(value).__name__}, expected {expected}")
    fits = value.ndim == 1 and (length is None or value.shape[0] == length)
    if value.dtype != torch.int64 or not fits or (device is not None and value.device != device):
        raise ValueError(
            f"{name}: got {str(value.dtype).removeprefix('torch.')} {list(value.shape)} on {value.device}, "
            f"expected {expected}"
        )


def view_and_plan(given: Any) -> tuple[PaddedBatchedDenseSample, PastePlan]:
    """What a source strategy returned, if it is what it should be.

    Raises:
        TypeError: naming what it returned instead.
        ValueError: if a field of the view requires grad.
    """
    if (
        not isinstance(given, tuple)
        or len(given) != 2
        or not isinstance(given[0], PaddedBatchedDenseSample)
        or not isinstance(given[1], PastePlan)
    ):
        got = type(given).__name__
        if isinstance(given, tuple):
            got = f"({', '.join(type(part).__name__ for part in given)})"
        raise TypeError(
            f"source_strategy.sample: got {got}, expected (PaddedBatchedDenseSample, PastePlan): "
            "the source view and the plan"
        )
    view, plan = given
    check_padded("source", view)
    return view, plan
