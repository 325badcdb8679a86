"""Python source that builds a sample, a batch, a plan or a configuration again, bit for bit.

Small tensors are written out as lists; constant ones as ``torch.full``; large ones as
compressed text.
"""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from segpaste.types import (
    BatchCopyPasteConfig,
    CameraIntrinsics,
    DenseSample,
    PaddedBatchedDenseSample,
    PanopticSchema,
    PastePlan,
)

_WRITTEN_OUT = 600  # elements; beyond, a list helps nobody
_WIDTH = 96
_INTEGER_OF_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def tensor_code(tensor: torch.Tensor, indent: int = 0) -> str:
    """An expression equal to ``tensor`` in dtype, shape and bits; needs ``torch`` and,
    for large ones, ``unpacked`` (see :data:`UNPACKED`).
    """
    plain = tensor.as_subclass(torch.Tensor).detach().cpu().contiguous()
    dtype = str(plain.dtype)
    shape = tuple(plain.shape)
    if plain.numel() == 0:
        return f"torch.zeros({shape}, dtype={dtype})"
    first = plain.flatten()[:1]
    if plain.numel() > 1 and torch.equal(_bits(plain), _bits(first).expand(plain.shape)):
        value = _scalar(first[0])
        if value is not None:
            return f"torch.full({shape}, {value}, dtype={dtype})"
    if plain.numel() > _WRITTEN_OUT:
        packed = base64.b85encode(zlib.compress(plain.numpy().tobytes(), 9)).decode("ascii")
        return f'unpacked("{packed}", {dtype}, {shape})'
    if plain.is_floating_point() and any(_scalar(v) is None for v in plain.flatten()):
        bits = _bits(plain)
        return f"torch.tensor({_nested(bits, indent + 4)}, dtype={bits.dtype}).view({dtype})"
    return f"torch.tensor({_nested(plain, indent + 4)}, dtype={dtype})"


UNPACKED = """\
def unpacked(text, dtype, shape):
    data = bytearray(zlib.decompress(base64.b85decode(text)))
    return torch.frombuffer(data, dtype=dtype).reshape(shape)
"""
"""Source of the helper that large tensors need."""


def sample_code(sample: DenseSample | PaddedBatchedDenseSample) -> str:
    """An expression that builds a sample or a padded batch again."""
    name = type(sample).__name__
    # Values that no well-formed sample has must be held, too.
    start = f"{name}.unchecked(" if isinstance(sample, DenseSample) else f"{name}("
    lines = [start]
    for field in fields(sample):
        value = getattr(sample, field.name)
        if value is None or (field.name == "metric_depth" and not value):
            continue
        lines.append(f"    {field.name}={_value_code(value)},")
    return "\n".join([*lines, ")"])


def plan_code(plan: PastePlan) -> str:
    """An expression that builds a plan again."""
    lines = [f"    {f.name}={tensor_code(getattr(plan, f.name), 4)}," for f in fields(plan)]
    return "\n".join(["PastePlan(", *lines, ")"])


def config_code(config: BatchCopyPasteConfig) -> str:
    """An expression that builds a configuration again; defaults are left out."""
    values = config.model_dump(exclude_defaults=True)
    if not values:
        return "BatchCopyPasteConfig()"
    return f"BatchCopyPasteConfig.model_validate({_dict_code(values, 0)})"


def schema_code(schema: PanopticSchema | None) -> str:
    """An expression that builds a class table again."""
    if schema is None:
        return "None"
    return (
        f"PanopticSchemaSpec(classes={dict(schema.classes)!r}, ignore_index={schema.ignore_index}, "
        f"max_instances_per_image={schema.max_instances_per_image})"
    )


def _value_code(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return tensor_code(value, 4)
    if isinstance(value, CameraIntrinsics):
        return f"CameraIntrinsics{value.as_tuple()!r}"
    return repr(value)


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """The same memory as integers, so that -0 and +0 and two NaNs differ."""
    return tensor.view(_INTEGER_OF_SIZE[tensor.element_size()])


def _scalar(value: torch.Tensor) -> str | None:
    """A literal of one element, or None where no literal has exactly its bits."""
    if value.dtype == torch.bool:
        return str(int(value))
    number = value.item()
    if not value.is_floating_point():
        return str(number)
    if math.isnan(number):
        plain = torch.tensor(math.nan, dtype=value.dtype)
        return "math.nan" if torch.equal(_bits(plain), _bits(value)) else None
    if math.isinf(number):
        return "math.inf" if number > 0 else "-math.inf"
    if value.dtype == torch.float32:
        short = float(str(np.float32(number)))  # the shortest decimal, where float64 keeps it
        return repr(short if np.float32(short) == np.float32(number) else number)
    return repr(number)


def _nested(tensor: torch.Tensor, indent: int) -> str:
    if tensor.ndim == 0:
        value = _scalar(tensor)
        return str(tensor.item()) if value is None else value
    parts = [_nested(part, indent + 4) for part in tensor]
    flat = f"[{', '.join(parts)}]"
    if "\n" not in flat and len(flat) + indent <= _WIDTH:
        return flat
    pad = " " * (indent + 4)
    if tensor.ndim == 1:
        return _filled(parts, indent)
    return "[\n" + "".join(f"{pad}{part},\n" for part in parts) + " " * indent + "]"


def _filled(parts: list[str], indent: int) -> str:
    """A long flat list, as many elements to the line as fit."""
    pad = " " * (indent + 4)
    lines, current = [], pad
    for part in parts:
        if len(current) + len(part) + 2 > _WIDTH and current.strip():
            lines.append(current.rstrip())
            current = pad
        current += f"{part}, "
    return "[\n" + "\n".join([*lines, current.rstrip()]) + "\n" + " " * indent + "]"


def _dict_code(values: dict[Any, Any], indent: int) -> str:
    flat = repr(values)
    if len(flat) + indent <= _WIDTH - 40:
        return flat
    pad = " " * (indent + 4)
    lines = []
    for key, value in values.items():
        code = _dict_code(value, indent + 4) if isinstance(value, dict) and value else repr(value)
        lines.append(f"{pad}{key!r}: {code},")
    return "\n".join(["{", *lines, " " * indent + "}"])
