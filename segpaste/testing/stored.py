"""Samples and violations as files: tensors as safetensors, everything else as JSON beside them.

A file holds tensors under ``sample/...``, or under ``target/...``, ``donor/...`` and
``plan/...``, and one JSON text in its metadata, under ``segpaste``. Nothing in it is run when
it is read. Every bit is kept: NaN payloads, -0.0, values that no well-formed sample has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from segpaste.testing.adapters.base import AugmentationKind
from segpaste.testing.examples import Example, padded, ragged
from segpaste.testing.files import write_whole
from segpaste.types import (
    BatchCopyPasteConfig,
    CameraIntrinsics,
    DenseSample,
    PaddedBatchedDenseSample,
    PanopticSchemaSpec,
    PastePlan,
)

FORMAT = 1
"""Raised when a key changes its meaning or goes away."""

SUFFIX = ".safetensors"

_KEY = "segpaste"


class StoredFileError(ValueError):
    """A file that is not there or holds no stored sample; one line that names the file."""


@dataclass(frozen=True)
class StoredViolation:
    """A violation as it is kept: the input, the target's name, and what the law said.

    Attributes:
        replay_id: short name.
        law: dotted name of the violated law.
        law_kind: what the law judges.
        statement: the law, in one line.
        message: what was found.
        where: what the input is an example of.
        target: name of what was verified.
        spec: what names the target on the command line; None for a callable that has no
            name to import it by.
        kind: what the target does: ``paste``, ``geometric`` or ``photometric``.
        takes_donor: whether the target is given a second sample.
        planned: whether the target is an executor, which takes batches and a plan; others
            take one target, one donor and a seed.
        index: the offending sample of the batch.
        example: the input.
        class_table: a class table that overrides the configuration's.
        device: where the target ran.
        versions: of segpaste, torch and so on.
    """

    replay_id: str
    law: str
    law_kind: str
    statement: str
    message: str
    where: str
    target: str
    spec: str | None
    kind: AugmentationKind
    takes_donor: bool
    planned: bool
    index: int
    example: Example
    class_table: PanopticSchemaSpec | None = None
    device: str = "cpu"
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def ignore_index(self) -> int:
        """The semantic value that means *no label*."""
        table = self.class_table
        return self.example.config.ignore_index if table is None else table.ignore_index


def save_sample(path: str | Path, sample: DenseSample) -> None:
    """Write a sample to a ``.safetensors`` file, whole or not at all.

    Args:
        path: the file; one that is there is replaced.
        sample: any sample, a malformed one included; written from the CPU.

    Raises:
        OSError: if the file cannot be written.
    """
    tensors, about = _sample_out("sample", sample)
    _write(Path(path), tensors, {"content": "sample", "samples": {"sample": about}})


def load_sample(path: str | Path) -> DenseSample:
    """Read a file of :func:`save_sample`: every field of the sample, every bit of it.

    The *values* are not checked (``sample.validate()`` does), so that malformed samples can be
    stored too. Nothing in the file is run.

    Raises:
        StoredFileError: if there is no such file or it holds no sample, naming it.
    """
    content = read(path)
    if isinstance(content, DenseSample):
        return content
    raise StoredFileError(f"{path}: holds a violation, expected a sample; `segpaste replay {path}` runs it")


def write_violation(path: Path, violation: StoredViolation) -> None:
    """Write a violation to a file, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    example = violation.example
    samples: dict[str, DenseSample | PaddedBatchedDenseSample] = {}
    tensors: dict[str, torch.Tensor] = {}
    if violation.planned:
        samples["target"] = example.target
        if example.source is not example.target:
            samples["donor"] = example.source
        tensors = {f"plan/{f.name}": _stored(getattr(example.plan, f.name)) for f in fields(PastePlan)}
    else:
        one = example.alone(0)
        samples = {"target": ragged(one.target), "donor": ragged(one.source)}
    about: dict[str, Any] = {}
    for name, sample in samples.items():
        more, about[name] = _sample_out(name, sample)
        tensors |= more
    header = _Violation(
        **{name: getattr(violation, name) for name in _SHARED},
        config=example.config,
        seed=example.seed,
        group=example.group,
    )
    _write(
        path, tensors, {"content": "violation", "samples": about, "violation": header.model_dump(mode="json")}
    )


def read_violation(path: str | Path) -> StoredViolation:
    """Read a file of :func:`write_violation`.

    Raises:
        StoredFileError: if there is no such file or it holds no violation, naming it.
    """
    content = read(path)
    if isinstance(content, StoredViolation):
        return content
    raise StoredFileError(f"{path}: holds a sample alone, expected a violation; `segpaste show` draws it")


def read(path: str | Path) -> DenseSample | StoredViolation:
    """Whatever a file holds.

    Raises:
        StoredFileError: if there is no such file or segpaste did not write it, naming it.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoredFileError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return _content(data)
    except _WrongError as error:
        raise StoredFileError(f"{path}: {error}") from None


def shown_pair(example: Example, index: int) -> tuple[DenseSample, DenseSample]:
    """Target ``index`` and its donor, to be drawn; of a batch without samples, blank canvases."""
    if example.target.batch_size == 0:
        images = example.target.images.as_subclass(torch.Tensor)
        blank = DenseSample.unchecked(image=images.new_zeros(images.shape[1:]))
        return blank, blank
    one = example.alone(index)
    return ragged(one.target), ragged(one.source)


class _WrongError(Exception):
    """What is wrong with a file; the caller knows its name."""


class _About(BaseModel, extra="forbid"):
    """What a sample has beside its tensors."""

    padded: bool
    metric_depth: bool
    camera_intrinsics: tuple[float, float, float, float] | None


class _Violation(BaseModel, extra="forbid"):
    """A violation without its tensors."""

    replay_id: Annotated[str, Field(pattern="^[0-9a-f]{8}$")]
    law: str
    law_kind: str
    statement: str
    message: str
    where: str
    target: str
    spec: str | None
    kind: AugmentationKind
    takes_donor: bool
    planned: bool
    index: Annotated[int, Field(ge=0)]
    class_table: PanopticSchemaSpec | None
    device: Literal["cpu", "cuda"]
    versions: dict[str, str]
    config: BatchCopyPasteConfig
    seed: int
    group: str


class _Header(BaseModel, extra="forbid"):
    """The JSON text of a file."""

    format: int
    content: Literal["sample", "violation"]
    samples: dict[str, _About]
    violation: _Violation | None = None


_SHARED = [name for name in _Violation.model_fields if name not in ("config", "seed", "group")]
"""The fields that a violation and its header have in common."""


def _write(path: Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> None:
    text = json.dumps({"format": FORMAT, **header}, allow_nan=False)
    write_whole(path, save(dict(tensors), {_KEY: text}))


def _stored(tensor: torch.Tensor) -> torch.Tensor:
    """In memory of its own: no two tensors of a file may share it."""
    return tensor.detach().as_subclass(torch.Tensor).cpu().contiguous().clone()


def _sample_out(
    name: str, sample: DenseSample | PaddedBatchedDenseSample
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    values = {f.name: getattr(sample, f.name) for f in fields(sample)}
    tensors = {f"{name}/{k}": _stored(v) for k, v in values.items() if isinstance(v, torch.Tensor)}
    camera = sample.camera_intrinsics
    about = _About(
        padded=isinstance(sample, PaddedBatchedDenseSample),
        metric_depth=sample.metric_depth,
        camera_intrinsics=camera.as_tuple() if isinstance(camera, CameraIntrinsics) else None,
    )
    return tensors, about.model_dump()


def _content(data: bytes) -> DenseSample | StoredViolation:
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _WrongError(f"damaged, or no safetensors file: {_first_line(error)}") from None
    # What safetensors has accepted begins with the length of a JSON text and that text.
    length = int.from_bytes(data[:8], "little")
    text = json.loads(data[8 : 8 + length]).get("__metadata__", {}).get(_KEY)
    if text is None:
        raise _WrongError("a safetensors file, but not one that segpaste wrote")
    header = _header(text)
    try:
        if header.content == "sample":
            content = _samples_in(header, tensors, ("sample",))["sample"]
        else:
            content = _violation_in(header, tensors)
    except (TypeError, ValueError, RuntimeError) as error:  # what a sample or a plan refuses
        raise _WrongError(f"damaged, its tensors make no sample: {_first_line(error)}") from None
    if isinstance(content, PaddedBatchedDenseSample):
        raise _WrongError("damaged, in its header: samples.sample.padded: got true, expected false")
    return content


def _header(text: str) -> _Header:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise _WrongError("damaged, its header is not JSON") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        got = values.get("format") if isinstance(values, dict) else values
        raise _WrongError(f"format: got {str(got)[:40]!r}, expected {FORMAT}; written by another version?")
    try:
        return _Header.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        raise _WrongError(f"damaged, in its header: {at}: {first['msg']}") from None


def _samples_in(
    header: _Header, tensors: Mapping[str, torch.Tensor], names: tuple[str, ...], other: str | None = None
) -> dict[str, DenseSample | PaddedBatchedDenseSample]:
    """The samples of a file, which must have those ``names`` and no tensors but theirs and ``other``."""
    if tuple(sorted(header.samples)) != tuple(sorted(names)):
        raise _WrongError(f"damaged, it holds samples {sorted(header.samples)}, expected {sorted(names)}")
    known = {*names, other}
    strange = sorted(key for key in tensors if key.partition("/")[0] not in known)
    if strange:
        raise _WrongError(f"damaged, it holds a tensor {strange[0]!r} of unknown meaning")
    samples: dict[str, DenseSample | PaddedBatchedDenseSample] = {}
    for name, about in header.samples.items():
        values: dict[str, Any] = _under(name, tensors)
        values["metric_depth"] = about.metric_depth
        if about.camera_intrinsics is not None:
            values["camera_intrinsics"] = CameraIntrinsics(*about.camera_intrinsics)
        if about.padded:
            samples[name] = PaddedBatchedDenseSample(**values)
        else:
            samples[name] = DenseSample.unchecked(**values)
    return samples


def _violation_in(header: _Header, tensors: Mapping[str, torch.Tensor]) -> StoredViolation:
    about = header.violation
    if about is None:
        raise _WrongError("damaged, in its header: violation: missing")
    both = ("target", "donor") if "donor" in header.samples or not about.planned else ("target",)
    samples = _samples_in(header, tensors, both, "plan" if about.planned else None)
    target, donor = samples["target"], samples.get("donor", samples["target"])
    if about.planned:
        plan = PastePlan(**_under("plan", tensors))
    else:
        target, donor = (
            padded(sample, max(1, len(sample))) if isinstance(sample, DenseSample) else sample
            for sample in (target, donor)
        )
        plan = _no_plan(donor)
    if not isinstance(target, PaddedBatchedDenseSample) or not isinstance(donor, PaddedBatchedDenseSample):
        raise _WrongError("damaged, in its header: samples.target.padded: got false, expected true")
    if about.index >= max(1, target.batch_size):
        raise _WrongError(f"damaged, in its header: violation.index: {about.index} of {target.batch_size}")
    example = Example(target, donor, plan, about.config, about.seed, about.group)
    return StoredViolation(**{name: getattr(about, name) for name in _SHARED}, example=example)


def _under(name: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return {key.removeprefix(f"{name}/"): t for key, t in tensors.items() if key.startswith(f"{name}/")}


def _no_plan(source: PaddedBatchedDenseSample) -> PastePlan:
    """What stands for the plan where the target draws its own: nothing is pasted."""
    one = torch.zeros(1, dtype=torch.int64)
    return PastePlan(
        source_idx=one,
        step=one + 65536,
        translate=torch.zeros((1, 2), dtype=torch.int64),
        hflip=torch.zeros(1, dtype=torch.bool),
        order=torch.arange(source.max_instances)[None],
        count=one.clone(),
        mix_key=one.clone(),
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
