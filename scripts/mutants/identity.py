"""What tells a mutant from all others, and verdicts on whole classes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """What tells a mutant from all others, whatever number mutmut gives it.

    Attributes:
        module: path of the module.
        function: ``name`` or ``Class.name``.
        before: the lines that the mutation takes away.
        after: the lines that it puts there.
        nth: 1 for the first of those that are otherwise equal.
    """

    module: str
    function: str
    before: str
    after: str
    nth: int


@dataclass(frozen=True)
class Rule:
    """One verdict for a class of mutants.

    Attributes:
        name: what the entries refer to.
        verdict: ``equivalent``, or ``open``.
        reason: why.
        before: regular expression for what the mutation takes away ...
        after: ... and for what stands in its place; the rest of the lines must be the same.
        function: regular expression that the function's name must match as a whole; all by default.
        module: the same for the module.
    """

    name: str
    verdict: str
    reason: str
    before: str
    after: str
    function: str = ".*"
    module: str = ".*"

    def covers(self, mutant: Mutant) -> bool:
        """Whether this is one of the class."""
        if not re.fullmatch(self.function, mutant.function) or not re.fullmatch(self.module, mutant.module):
            return False
        for found in re.finditer(self.before, mutant.before):
            head, tail = mutant.before[: found.start()], mutant.before[found.end() :]
            room = len(mutant.after) - len(head) - len(tail)
            same = mutant.after.startswith(head) and mutant.after.endswith(tail) and room >= 0
            if same and re.fullmatch(self.after, mutant.after[len(head) : len(head) + room]):
                return True
        return False
