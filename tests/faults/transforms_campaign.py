"""After how many examples a mistake in a transform is found."""

from __future__ import annotations

from segpaste.testing import Event, RunOptions, resolve_target, run
from segpaste.testing.events import ExampleJudged
from tests.faults.transforms import TransformFault

SOON = 100


class _Found(BaseException):
    """Ends a run at the example that is wanted; no Exception, which Hypothesis would try again."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


def first_found(fault: TransformFault, seed: int) -> int | None:
    """The number (from 1) of the first of the default examples on which the law finds the fault."""

    def listen(event: Event) -> None:
        if isinstance(event, ExampleJudged) and fault.law in event.violated:
            raise _Found(event.done)

    target = resolve_target(fault.transform, kind=fault.kind)
    try:
        run([target], RunOptions(seed=seed, only=fault.law), [listen])
    except _Found as found:
        return found.number
    return None
