"""What is verified: an executor, or anybody's augmentation as a callable."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

import torch

from segpaste.testing.adapters import adapt, before_import
from segpaste.testing.adapters.base import (
    Accepts,
    Adapted,
    Adapter,
    AugmentationKind,
    Complaint,
    UnreadableResultError,
)
from segpaste.testing.examples import Example, ragged
from segpaste.testing.executors import EXECUTORS, unavailable
from segpaste.testing.specs import SpecError, imported, is_call
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    DenseSample,
    PaddedBatchedDenseSample,
    PastePlan,
)

Augment = Callable[..., Any]
Apply = Callable[
    [PaddedBatchedDenseSample, PaddedBatchedDenseSample, PastePlan, BatchCopyPasteConfig],
    tuple[PaddedBatchedDenseSample, BatchAuditPacket],
]


_SEGPASTE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PYTHON = sysconfig.get_path("stdlib")
_INSTALLED = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))


class TargetNotFoundError(ValueError):
    """A target that cannot be found or imported; the message is one line."""


class TargetFailedError(Exception):
    """The target raised, or returned something that is no result, for a legal input.

    Attributes:
        law: the runner's law that is broken by it.
    """

    def __init__(self, message: str, law: str = "target.completes") -> None:
        self.law = law
        super().__init__(message)


class Returned(NamedTuple):
    """What an augmentation returned: a sample, an audit if it gives one, an adapter's complaints."""

    sample: DenseSample
    audit: BatchAuditPacket | None
    complaints: tuple[Complaint, ...] = ()


@dataclass(frozen=True)
class Executor:
    """A function ``(target, source, plan, config) -> (batch, audit)``.

    Attributes:
        name: what reports call it.
        apply: the function.
        imported_by: the Python line that imports it as ``apply``.
        exception: says of a target batch and a configuration why they do not go through
            what is verified, if so; examples of that kind are counted in the report.
    """

    name: str
    apply: Apply
    imported_by: str
    exception: Callable[[PaddedBatchedDenseSample, BatchCopyPasteConfig], str | None] | None = None

    def run(
        self,
        target: PaddedBatchedDenseSample,
        source: PaddedBatchedDenseSample,
        plan: PastePlan,
        config: BatchCopyPasteConfig,
    ) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
        """Apply it to the tensors given.

        Raises:
            TargetFailedError: whatever it raised, or what it returned instead of a result.
        """
        try:
            result: Any = self.apply(target, source, plan, config)
        except (Exception, SystemExit) as error:
            raise TargetFailedError(last_line(error)) from error
        if not (
            isinstance(result, tuple)
            and len(result) == 2
            and isinstance(result[0], PaddedBatchedDenseSample)
            and isinstance(result[1], BatchAuditPacket)
        ):
            raise TargetFailedError(
                f"returned {_described(result)}, expected (PaddedBatchedDenseSample, BatchAuditPacket)"
            )
        return result


@dataclass(frozen=True)
class Augmentation:
    """A callable that returns a sample, or a sample and an audit.

    Attributes:
        name: what reports call it.
        function: the callable, an adapter perhaps.
        takes_config: whether it has a parameter ``config``, and is given the example's.
        imported_by: the Python line that imports it as ``aug``; None where there is none.
        kind: ``"paste"``, ``"geometric"`` or ``"photometric"``.
        takes_donor: whether it is called ``(target, donor, seed)`` and not ``(target, seed)``.
        accepts: what it can be given; None is whatever a paste can be given.
        spec: the specification it was made from, with which it can be made again.
    """

    name: str
    function: Augment
    takes_config: bool
    imported_by: str | None
    kind: AugmentationKind = "paste"
    takes_donor: bool = True
    accepts: Accepts | None = None
    spec: str | None = None

    @property
    def is_adapted(self) -> bool:
        """Whether it is another library's, behind an adapter."""
        return isinstance(self.function, Adapter)

    @property
    def mixes(self) -> bool:
        """Whether a donor takes part."""
        return self.function.mixes if isinstance(self.function, Adapter) else self.takes_donor

    def prepare(self, sample: DenseSample) -> DenseSample:
        """What of a drawn sample the augmentation's library can represent: all of it, as a rule."""
        return self.function.prepare(sample) if isinstance(self.function, Adapter) else sample

    def run(
        self, target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig
    ) -> Returned:
        """Call it on the samples given.

        Raises:
            TargetFailedError: whatever it raised, or what it returned instead of a sample.
        """
        options = {"config": config} if self.takes_config else {}
        arguments = (target, donor, seed) if self.takes_donor else (target, seed)
        try:
            result = self.function(*arguments, **options)
        except UnreadableResultError as error:
            raise TargetFailedError(error.complaint.message, error.complaint.law) from error
        except (Exception, SystemExit) as error:
            raise TargetFailedError(last_line(error)) from error
        if isinstance(result, Adapted):
            return Returned(result.sample, None, result.complaints)
        after, audit = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        if not isinstance(after, DenseSample) or not isinstance(audit, BatchAuditPacket | None):
            raise TargetFailedError(
                f"returned {_described(result)}, expected a DenseSample or (DenseSample, BatchAuditPacket)"
            )
        if audit is not None and audit.batch_size != 1:
            raise TargetFailedError(f"returned an audit of {audit.batch_size} samples, expected B = 1")
        return Returned(after, audit)


Target = Executor | Augmentation


def builtin_targets() -> list[str]:
    """The names of all built-in executors."""
    return list(EXECUTORS)


def default_targets() -> list[str]:
    """The names of those that are run where no target is named."""
    return [name for name, builtin in EXECUTORS.items() if builtin.by_default]


def resolve_target(
    spec: str | Augment | Target, device: str = "cpu", kind: AugmentationKind | None = None
) -> Target:
    """A target from a built-in executor's name, a specification, or a callable.

    A specification is ``module:attribute`` or ``module:Call(argument=1)``
    (:func:`~segpaste.testing.specs.imported`). A class is instantiated without arguments. An
    object of a library that has an adapter is put into it, with the adapter's defaults.

    Args:
        spec: what is to be verified.
        device: ``"cpu"`` or ``"cuda"``, where it is going to run.
        kind: what the augmentation does; as its adapter says by default, else ``"paste"``.

    Raises:
        TargetNotFoundError: in one line, saying what is wrong and what would be valid.
    """
    if kind is not None and kind not in get_args(AugmentationKind):
        kinds = ", ".join(repr(one) for one in get_args(AugmentationKind))
        raise TargetNotFoundError(f"kind: got {kind!r}, expected one of {kinds}")
    if isinstance(spec, Executor | Augmentation):
        return spec
    if isinstance(spec, str) and spec in EXECUTORS:
        reason = unavailable(spec, device)
        if reason is None and kind not in (None, "paste"):
            reason = f"kind: got {kind!r} for target {spec}, expected 'paste'"
        if reason is not None:
            raise TargetNotFoundError(reason)
        module, _, attribute = EXECUTORS[spec].function.partition(":")
        function = getattr(importlib.import_module(module), attribute)
        line = f"from {module} import {attribute} as apply"
        return Executor(spec, function, line, EXECUTORS[spec].exception)
    if isinstance(spec, str):
        module, _, attribute = spec.partition(":")
        if not module or not attribute:
            raise TargetNotFoundError(
                f"target: got {spec!r}, expected module:attribute or one of {', '.join(builtin_targets())}"
            )
        try:
            before_import(module)
            value = imported(spec, last_line)
        except ImportError as error:
            raise TargetNotFoundError(f"target {spec}: {' '.join(str(error).split())}") from None
        except SpecError as error:
            raise TargetNotFoundError(str(error)) from None
        line = None if is_call(spec) else _import_line(spec)
        return _augmentation(value, spec, line, kind, spec)
    if not callable(spec):
        raise TargetNotFoundError(
            f"target: got {type(spec).__name__}, expected a callable or one of {builtin_targets()}"
        )
    return _augmentation(spec, None, _line_of(spec), kind, _spec_of(spec))


def last_line(error: BaseException) -> str:
    """What was raised, and the deepest line of the target's own code that it came from, if any."""
    said = traceback.format_exception_only(error)
    # The message of a syntax error comes last and names its place; elsewhere the last may be a note.
    text = said[-1 if isinstance(error, SyntaxError) else 0].strip().splitlines()
    return f"raised {text[0] if text else type(error).__name__}{_place(error)}"


def copied(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    """A batch in memory of its own, so that a target which writes to its input harms nobody."""
    return type(batch)(
        **{name: value.clone() for name, value in batch.tensors().items()},  # pyright: ignore[reportArgumentType]
        metric_depth=batch.metric_depth,
    )


def copied_views(example: Example) -> tuple[PaddedBatchedDenseSample, PaddedBatchedDenseSample]:
    """Target and source view in memory of their own; still one batch where they are one."""
    target = copied(example.target)
    return target, target if example.source is example.target else copied(example.source)


def pair_of(example: Example) -> tuple[DenseSample, DenseSample]:
    """Target and donor of an example with B = 1, as samples in memory of their own."""
    return ragged(copied(example.target)), ragged(copied(example.source))


def _place(error: BaseException) -> str:
    """The deepest line that is neither ours nor Python's; one of an installed package only
    if nobody else's code was running.
    """
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith("<") and not _is_own(f.filename)]
    chosen = [f for f in theirs if not _lies_in(f.filename, _INSTALLED)] or theirs
    return f" ({os.path.basename(chosen[-1].filename)}:{chosen[-1].lineno})" if chosen else ""


def _is_own(file: str) -> bool:
    # Installed packages lie inside the standard library's folder, and segpaste may be one of them.
    return _lies_in(file, (_SEGPASTE,)) or (_lies_in(file, (_PYTHON,)) and not _lies_in(file, _INSTALLED))


def _lies_in(file: str, folders: tuple[str, ...]) -> bool:
    return any(os.path.abspath(file).startswith(folder + os.sep) for folder in folders)


def _augmentation(
    value: Any, name: str | None, imported_by: str | None, kind: AugmentationKind | None, spec: str | None
) -> Augmentation:
    called = name or spec or _name_of(value)
    if inspect.isclass(value):
        try:
            value = value()
        except (Exception, SystemExit) as error:
            raise TargetNotFoundError(
                f"target {called}: cannot make one without arguments: {last_line(error)}"
            ) from None
        imported_by = None if imported_by is None else f"{imported_by}\n\naug = aug()"
    try:
        adapter = adapt(value, kind=kind)
    except (ValueError, ImportError) as error:
        raise TargetNotFoundError(f"target {called}: {' '.join(str(error).split())}") from None
    if adapter is not None:
        if kind not in (None, adapter.kind):
            raise TargetNotFoundError(f"kind: got {kind!r} for an adapter made as {adapter.kind!r}")
        return Augmentation(
            name or adapter.name, adapter, False, None, adapter.kind, True, adapter.accepts, spec
        )
    if not callable(value):
        raise TargetNotFoundError(f"target {called}: got {type(value).__name__}, expected a callable")
    chosen = kind or "paste"
    takes_donor = chosen == "paste" or _takes_donor(value, called, chosen)
    takes_config = _takes_config(value)
    # One that asks for the configuration knows what a paste here is given: padding, loose boxes,
    # rows without a pixel. To any other these are accidents of somebody else's batches.
    accepts = None if chosen == "paste" and takes_config else Accepts()
    return Augmentation(called, value, takes_config, imported_by, chosen, takes_donor, accepts, spec)


def _takes_donor(function: Augment, name: str, kind: str) -> bool:
    """Whether a callable that moves pixels or changes colours wants a second sample."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    places = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        and p.name != "config"
        and (p.default is p.empty or p.name in ("donor", "seed"))
    ]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return False
    if len(places) not in (2, 3):
        raise TargetNotFoundError(
            f"target {name}: takes {len(places)} arguments, expected (sample, seed) or "
            f"(sample, donor, seed) for kind {kind!r}"
        )
    return len(places) == 3


def _takes_config(function: Augment) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return "config" in parameters


def _import_line(spec: str) -> str:
    module, _, path = spec.partition(":")
    first, _, rest = path.partition(".")
    if rest:
        return f"from {module} import {first}\n\naug = {path}"
    return f"from {module} import {path} as aug"


def _line_of(function: Any) -> str | None:
    """An import line, where the callable can be found again under its own name."""
    spec = _spec_of(function)
    return None if spec is None else _import_line(spec)


def _spec_of(function: Any) -> str | None:
    """``module:name``, where the callable can be found again under its own name.

    What a script defines is found in the module that its file makes.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not module or not name.isidentifier():
        return None
    owner = sys.modules.get(module)
    if getattr(owner, name, None) is not function:
        return None
    if module == "__main__":
        module = os.path.splitext(os.path.basename(getattr(owner, "__file__", None) or ""))[0]
        if not module.isidentifier():
            return None
    return f"{module}:{name}"


def _name_of(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    module = getattr(function, "__module__", None) or type(function).__module__
    return f"{module}:{name}" if module else name


def _described(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(type(v).__name__ for v in value)})"
    return f"a {type(value).__name__}" if not isinstance(value, torch.Tensor) else "a tensor"
