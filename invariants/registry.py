"""The registry of laws: every law once, under a stable dotted name."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from segpaste.invariants.report import Finding, InvariantReport
from segpaste.types import Modality

Kind = Literal["sample", "padded", "paste", "metamorphic", "geometric", "photometric", "provenance"]
CaseT = TypeVar("CaseT")


@dataclass(frozen=True, slots=True)
class Law:
    """One law.

    Attributes:
        name: stable dotted name, such as ``instance.bbox_recomputed_from_mask``.
        kind: what it judges: one sample, one padded batch, a paste (before and after),
            several runs, an augmentation that moves pixels or one that changes colours,
            or a paste whose pixels were traced.
        needs: the modalities without which it is not applicable.
        statement: the law, in one line.
        in_the_wild: how released libraries break it.
        predicate: judges one case; the case's type goes with the kind.
    """

    name: str
    kind: Kind
    needs: frozenset[Modality]
    statement: str
    in_the_wild: str
    predicate: Callable[[Any], Finding]

    def judge(
        self, case: object, modalities: frozenset[Modality], sample: int | None = None
    ) -> InvariantReport:
        """The verdict on one case.

        Never raises: a predicate that stumbles over a malformed output has found one, and
        an augmentation that raises has broken the law it was run for.
        """
        missing = self.needs - modalities
        if missing:
            names = ", ".join(sorted(m.value for m in missing))
            return InvariantReport(self.name, "not_applicable", f"no {names}", sample=sample)
        try:
            finding = self.predicate(case)
        except Exception as error:  # a malformed output may break anything
            reason = str(error).splitlines()[0] if str(error) else ""
            what = (
                "a run raised" if self.kind == "metamorphic" else "cannot be judged, the sample is malformed:"
            )
            finding = Finding("violated", f"{what} {type(error).__name__}: {reason}", count=1)
        return InvariantReport(
            self.name, finding.status, finding.message, finding.count, finding.mask, finding.rows, sample
        )


LAWS: dict[str, Law] = {}
"""Every law by name."""

_KINDS: tuple[Kind, ...] = get_args(Kind)


def laws(kind: Kind | None = None, only: str = "*") -> list[Law]:
    """The laws of one kind (all by default) whose names match the glob ``only``, by kind and name."""
    chosen = [
        law
        for law in LAWS.values()
        if (kind is None or law.kind == kind) and fnmatch.fnmatchcase(law.name, only)
    ]
    return sorted(chosen, key=lambda law: (_KINDS.index(law.kind), law.name))


def get_law(name: str) -> Law:
    """The law of that name.

    Raises:
        KeyError: if there is none, with the names that come close.
    """
    if name not in LAWS:
        close = [other for other in LAWS if other.rpartition(".")[2] == name.rpartition(".")[2]]
        raise KeyError(f"name: got {name!r}, expected a law such as {', '.join(close or list(LAWS)[:3])}")
    return LAWS[name]


def register(
    name: str, kind: Kind, *needs: Modality
) -> Callable[[Callable[[CaseT], Finding]], Callable[[CaseT], Finding]]:
    """Enter a predicate into the registry.

    The first paragraph of its docstring is the law's statement, the paragraph that
    begins with ``In the wild:`` says how it is broken.

    Raises:
        ValueError: if the name is taken.
    """

    def enter(predicate: Callable[[CaseT], Finding]) -> Callable[[CaseT], Finding]:
        statement, in_the_wild = _paragraphs(predicate.__doc__ or "")
        add(Law(name, kind, frozenset(needs), statement, in_the_wild, predicate))
        return predicate

    return enter


def add(law: Law) -> None:
    """Enter a law that was built by hand.

    Raises:
        ValueError: if the name is taken.
    """
    if law.name in LAWS:
        raise ValueError(f"name: got {law.name!r} twice, expected every law once")
    LAWS[law.name] = law


def _paragraphs(doc: str) -> tuple[str, str]:
    paragraphs = [" ".join(p.split()) for p in doc.split("\n\n")]
    wild = [p.removeprefix("In the wild:").strip() for p in paragraphs if p.startswith("In the wild:")]
    return paragraphs[0], " ".join(wild)
