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
from typing import Any

import torch

from segpaste.testing.examples import Example, ragged
from segpaste.testing.executors import EXECUTORS, unavailable
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
    """The target raised, or returned something that is no result, for a legal input."""


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
    """A callable ``(target, donor, seed) -> DenseSample`` or ``-> (DenseSample, audit)``.

    Attributes:
        name: what reports call it.
        function: the callable.
        takes_config: whether it has a parameter ``config``, and is given the example's.
        imported_by: the Python line that imports it as ``aug``; None where there is none.
    """

    name: str
    function: Augment
    takes_config: bool
    imported_by: str | None

    def run(
        self, target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig
    ) -> tuple[DenseSample, BatchAuditPacket | None]:
        """Call it on the samples given.

        Raises:
            TargetFailedError: whatever it raised, or what it returned instead of a sample.
        """
        options = {"config": config} if self.takes_config else {}
        try:
            result = self.function(target, donor, seed, **options)
        except (Exception, SystemExit) as error:
            raise TargetFailedError(last_line(error)) from error
        after, audit = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        if not isinstance(after, DenseSample) or not isinstance(audit, BatchAuditPacket | None):
            raise TargetFailedError(
                f"returned {_described(result)}, expected a DenseSample or (DenseSample, BatchAuditPacket)"
            )
        if audit is not None and audit.batch_size != 1:
            raise TargetFailedError(f"returned an audit of {audit.batch_size} samples, expected B = 1")
        return after, audit


Target = Executor | Augmentation


def builtin_targets() -> list[str]:
    """The names of all built-in executors."""
    return list(EXECUTORS)


def default_targets() -> list[str]:
    """The names of those that are run where no target is named."""
    return [name for name, builtin in EXECUTORS.items() if builtin.by_default]


def resolve_target(spec: str | Augment | Target, device: str = "cpu") -> Target:
    """A target from a built-in executor's name, ``module:attribute``, or a callable.

    A class is instantiated without arguments. The current directory is importable.

    Args:
        spec: what is to be verified.
        device: ``"cpu"`` or ``"cuda"``, where it is going to run.

    Raises:
        TargetNotFoundError: in one line, saying what is wrong and what would be valid.
    """
    if isinstance(spec, Executor | Augmentation):
        return spec
    if isinstance(spec, str) and spec in EXECUTORS:
        reason = unavailable(spec, device)
        if reason is not None:
            raise TargetNotFoundError(reason)
        module, _, attribute = EXECUTORS[spec].function.partition(":")
        function = getattr(importlib.import_module(module), attribute)
        line = f"from {module} import {attribute} as apply"
        return Executor(spec, function, line, EXECUTORS[spec].exception)
    if isinstance(spec, str):
        return _augmentation(_imported(spec), spec, _import_line(spec))
    if not callable(spec):
        raise TargetNotFoundError(
            f"target: got {type(spec).__name__}, expected a callable or one of {builtin_targets()}"
        )
    return _augmentation(spec, _name_of(spec), _line_of(spec))


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


def _imported(spec: str) -> Any:
    module_name, colon, path = spec.partition(":")
    if not colon or not module_name or not path:
        raise TargetNotFoundError(
            f"target: got {spec!r}, expected module:attribute or one of {', '.join(builtin_targets())}"
        )
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        value: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise TargetNotFoundError(f"target {spec}: cannot import {module_name}: {last_line(error)}") from None
    for name in path.split("."):
        if not hasattr(value, name):
            raise TargetNotFoundError(f"target {spec}: {value.__name__} has no attribute {name!r}")
        value = getattr(value, name)
    return value


def _augmentation(value: Any, name: str, imported_by: str | None) -> Augmentation:
    if inspect.isclass(value):
        try:
            value = value()
        except (Exception, SystemExit) as error:
            raise TargetNotFoundError(
                f"target {name}: cannot make one without arguments: {last_line(error)}"
            ) from None
        imported_by = None if imported_by is None else f"{imported_by}\n\naug = aug()"
    if not callable(value):
        raise TargetNotFoundError(f"target {name}: got {type(value).__name__}, expected a callable")
    return Augmentation(name, value, _takes_config(value), imported_by)


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
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not module or not name.isidentifier():
        return None
    if getattr(sys.modules.get(module), name, None) is not function or module == "__main__":
        return None
    return f"from {module} import {name} as aug"


def _name_of(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    module = getattr(function, "__module__", None) or type(function).__module__
    return f"{module}:{name}" if module else name


def _described(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(type(v).__name__ for v in value)})"
    return f"a {type(value).__name__}" if not isinstance(value, torch.Tensor) else "a tensor"
