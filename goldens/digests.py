"""Digests of a frozen case: one line of text, a truncated SHA-256 for every field."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields

import numpy as np
import torch

from segpaste.goldens.cases import FrozenCase
from segpaste.types import BatchAuditPacket, PaddedBatchedDenseSample, PastePlan

Outcome = dict[str, torch.Tensor]
"""What an executor made of a case: the fields of the batch by name, ``paste_union`` where
there is an audit, ``metric_depth`` ``[B]`` bool where there is depth."""

HEX = 16
INPUTS, PLAN = "inputs", "plan"


class FrozenFileError(ValueError):
    """A frozen file does not read as it was written."""


def outcome_of(batch: PaddedBatchedDenseSample, audit: BatchAuditPacket | None) -> Outcome:
    """The result of one call, on the CPU."""
    outcome = {name: value.detach().cpu() for name, value in batch.tensors().items()}
    if batch.depth is not None:
        outcome["metric_depth"] = torch.full((batch.batch_size,), batch.metric_depth)
    if audit is not None:
        outcome["paste_union"] = audit.paste_union.detach().cpu()
    return outcome


def digest(value: torch.Tensor) -> str:
    """16 hex digits of the SHA-256 of dtype, shape and little-endian content."""
    return _hashed([("", value)])


def given_digests(one: FrozenCase) -> dict[str, str]:
    """Digests of what a case is made of: views and configuration, and the plan.

    They tell a change of the inputs from a change of what an executor makes of them. Of
    the configuration what differs from the defaults counts, so that a new field does not.
    """
    case = one.case
    settings = json.dumps(case.config.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    tensors = [(f"target.{n}", v) for n, v in case.target.tensors().items()]
    if not case.intra_batch:
        tensors += [(f"source.{n}", v) for n, v in case.source.tensors().items()]
    metric = f"metric={case.target.metric_depth}"
    return {
        INPUTS: _hashed(tensors, settings, metric),
        PLAN: _hashed((f.name, getattr(case.plan, f.name)) for f in fields(PastePlan)),
    }


def outcome_digests(outcome: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """The digest of every field."""
    return {name: digest(value) for name, value in outcome.items()}


def line_of(one: FrozenCase, digests: Mapping[str, str]) -> str:
    """``042 inputs=... plan=... images=...``."""
    return " ".join([f"{one.seed:03d}", *(f"{name}={value}" for name, value in digests.items())])


def parse_line(line: str) -> tuple[int, dict[str, str]]:
    """The seed and the digests of a line.

    Raises:
        FrozenFileError: if it is no such line.
    """
    seed, _, rest = line.partition(" ")
    digests = {name: value for name, _, value in (pair.partition("=") for pair in rest.split())}
    if not seed.isdecimal() or any(len(value) != HEX for value in digests.values()):
        raise FrozenFileError(f"line: got {line[:40]!r}, expected a seed and field=<{HEX} hex digits>")
    return int(seed), digests


def little_endian(value: torch.Tensor) -> np.ndarray:
    """The content as a contiguous little-endian array."""
    array = np.ascontiguousarray(value.as_subclass(torch.Tensor).numpy())
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _hashed(tensors: Iterable[tuple[str, torch.Tensor]], *texts: str) -> str:
    state = hashlib.sha256()
    for name, value in tensors:
        dtype = str(value.dtype).removeprefix("torch.")
        # A name, dtype and shape end with a newline, which none of them holds.
        state.update(f"{name} {dtype} {list(value.shape)}\n".encode())
        state.update(little_endian(value).tobytes())
    for text in texts:
        state.update(f"{text}\n".encode())
    return state.hexdigest()[:HEX]
