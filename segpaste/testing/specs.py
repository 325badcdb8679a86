"""What a target is called on the command line: ``module:attribute`` or ``module:Call(argument=1)``."""

from __future__ import annotations

import ast
import importlib
import os
import sys
from typing import Any


class SpecError(ValueError):
    """A specification that cannot be read or imported; the message is one line."""


def imported(spec: str, describe: Any) -> Any:
    """The value that a specification names; the current directory is importable.

    After the colon stands a name of the module, a dotted path, or a call of one. Arguments of
    a call are literals, lists, tuples and dicts of them, names of the module, and calls:
    ``albumentations:Compose([HorizontalFlip(p=1.0), Blur()])``. Nothing else is evaluated.

    Args:
        spec: the specification.
        describe: says of an exception, in a line, what was raised and where.

    Raises:
        SpecError: naming the specification and what would be valid.
    """
    module_name, colon, text = spec.partition(":")
    if not colon or not module_name or not text:
        raise SpecError(f"target: got {spec!r}, expected module:attribute or module:Call(argument=1)")
    expression = parsed(spec, text)
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise SpecError(f"target {spec}: cannot import {module_name}: {describe(error)}") from None
    return _Evaluation(spec, module, describe).value(expression)


def parsed(spec: str, text: str) -> ast.expr:
    """The expression after the colon.

    Raises:
        SpecError: if it is none.
    """
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise SpecError(
            f"target: got {spec!r}, expected module:attribute or module:Call(argument=1)"
        ) from None


def is_call(spec: str) -> bool:
    """Whether what follows the colon is a call."""
    return isinstance(parsed(spec, spec.partition(":")[2]), ast.Call)


class _Evaluation:
    """Evaluates the few forms of expressions that are allowed."""

    def __init__(self, spec: str, module: Any, describe: Any) -> None:
        self._spec = spec
        self._module = module
        self._describe = describe

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name):
                return self._attribute(self._module, name)
            case ast.Attribute(value=owner, attr=name):
                return self._attribute(self.value(owner), name)
            case ast.Call(func=function, args=args, keywords=keywords):
                return self._called(function, args, keywords)
            case ast.List(elts=parts):
                return [self.value(part) for part in parts]
            case ast.Tuple(elts=parts):
                return tuple(self.value(part) for part in parts)
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                return {None if k is None else self.value(k): self.value(v) for k, v in pairs}
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError):
            raise SpecError(
                f"target {self._spec}: {ast.unparse(node)!r} is no literal, no name of the module and no call"
            ) from None

    def _attribute(self, owner: Any, name: str) -> Any:
        if not hasattr(owner, name):
            called = getattr(owner, "__name__", type(owner).__name__)
            raise SpecError(f"target {self._spec}: {called} has no attribute {name!r}")
        return getattr(owner, name)

    def _called(self, function: ast.expr, args: list[ast.expr], keywords: list[ast.keyword]) -> Any:
        if any(keyword.arg is None for keyword in keywords):
            raise SpecError(f"target {self._spec}: ** is not allowed, expected argument=value")
        made = self.value(function)
        positional = [self.value(part) for part in args]
        named = {str(keyword.arg): self.value(keyword.value) for keyword in keywords}
        try:
            return made(*positional, **named)
        except (Exception, SystemExit) as error:
            raise SpecError(
                f"target {self._spec}: cannot make {ast.unparse(function)}: {self._describe(error)}"
            ) from None
