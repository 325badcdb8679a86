"""The gate: an executor's results against the frozen digests, and where they part."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields

import torch

from segpaste.goldens.cases import DTYPES, KINDS, SEEDS, DtypeName, FrozenCase, frozen_cases
from segpaste.goldens.digests import (
    INPUTS,
    PLAN,
    Outcome,
    digest,
    given_digests,
    outcome_digests,
)
from segpaste.goldens.runners import PasteFunction, built_in, executor, one_by_one
from segpaste.goldens.store import FrozenStore
from segpaste.invariants.bits import bits, differs
from segpaste.types import PastePlan

MOST_EXPLAINED = 60
"""Cases of which a check looks for the pixels; of further ones it names the fields."""


@dataclass(frozen=True)
class Mismatch:
    """One field of one frozen case whose digest is not the frozen one.

    Attributes:
        one: the case.
        executor: whose result it is.
        field: the field's name; ``inputs`` or ``plan`` if the case itself is another.
        message: which elements, before and after, in one line.
        before: the frozen tensor, where it could be had.
        after: what the executor made.
        origin: where ``before`` is from: an executor whose digest is the frozen one, or
            the kept tensors. If neither has it, ``before`` is ``None``.
        mask: bool, the elements that differ.
    """

    one: FrozenCase
    executor: str
    field: str
    message: str
    before: torch.Tensor | None = None
    after: torch.Tensor | None = None
    origin: str = ""
    mask: torch.Tensor | None = None

    @property
    def explained(self) -> bool:
        """Whether there is more to it than that a digest differs."""
        return self.after is not None or self.field in (INPUTS, PLAN)

    def __str__(self) -> str:
        return f"{self.executor}: {self.one}: {self.field}: {self.message}"


def check_executor(
    run: str | PasteFunction,
    *,
    kinds: Collection[str] | None = None,
    dtypes: Collection[DtypeName] | None = None,
    seeds: Collection[int] | None = None,
    device: str = "cpu",
    store: FrozenStore | None = None,
    name: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Mismatch]:
    """Run an executor over frozen cases and compare every field's digest with the frozen one.

    Args:
        run: a built-in executor (``"reference"``, ``"rectangle"``, ``"graph"``,
            ``"compiled"``, ``"fused"``) or any function ``(target, source, plan, config) ->
            (batch, audit)``; without an audit (``None``) the union is not compared.
        kinds: modality sets, of ``KINDS``; all if ``None``.
        dtypes: image dtypes; both if ``None``.
        seeds: of 0 to 199; all if ``None``. ``"compiled"`` takes even cases only.
        device: where the executor runs; results are compared on the CPU.
        store: the frozen files; the ones of this package if ``None``.
        name: what messages call the executor.
        progress: called with a few words before every set.

    Returns:
        One entry per field that differs, empty if none does.

    Raises:
        ValueError: on an unknown executor, set, dtype or seed.
    """
    store = FrozenStore() if store is None else store
    runner = built_in(run, device) if isinstance(run, str) else one_by_one(run, device)
    called = name or (run if isinstance(run, str) else getattr(run, "__name__", "executor"))
    found: list[Mismatch] = []
    for kind in KINDS if kinds is None else kinds:
        for dtype in DTYPES if dtypes is None else dtypes:
            if progress is not None:
                progress(f"{called}: {kind} {dtype}")
            cases = list(frozen_cases([kind], [dtype], SEEDS if seeds is None else seeds))
            results = runner(cases)
            explained = {one.one for one in found if one.explained}
            found += compare(
                cases, results, store=store, name=called, explain=MOST_EXPLAINED - len(explained)
            )
    return found


def compare(
    cases: Collection[FrozenCase],
    results: Collection[Outcome],
    *,
    store: FrozenStore,
    name: str,
    explain: int = MOST_EXPLAINED,
) -> list[Mismatch]:
    """The fields of results that are not the frozen ones, explained.

    Args:
        cases: frozen cases.
        results: what an executor made of each.
        store: the frozen files.
        name: what messages call the executor.
        explain: of how many cases pixels are looked for; of the others fields are named.
    """
    found: list[Mismatch] = []
    explained = 0
    for one, outcome in zip(cases, results, strict=True):
        frozen = store.digests_of(one)
        if not frozen:
            found.append(Mismatch(one, name, INPUTS, "got no frozen digests of this case, expected a line"))
            continue
        if "paste_union" not in outcome:
            frozen = {field: value for field, value in frozen.items() if field != "paste_union"}
        now = given_digests(one) | outcome_digests(outcome)
        if now == frozen:
            continue
        explained += 1
        if explained <= explain:
            found += _explain(one, outcome, now, frozen, store, name)
        else:
            # Without its tensors: there may be thousands.
            bare = FrozenCase(one.seed, one.kind, one.dtype)
            changed = [f for f in dict.fromkeys((*frozen, *now)) if now.get(f) != frozen.get(f)]
            found += [Mismatch(bare, name, f, "the digest is not the frozen one") for f in changed]
    return found


def report(found: Collection[Mismatch], pictures: Mapping[FrozenCase, str] | None = None) -> str:
    """Mismatches as text: counted by field, then case by case with the picture's place."""
    if not found:
        return "no mismatch"
    seeds: dict[str, set[FrozenCase]] = {}
    for one in found:
        seeds.setdefault(one.field, set()).add(one.one)
    cases = list(dict.fromkeys(one.one for one in found))
    counted = ", ".join(f"{field} in {len(which)}" for field, which in seeds.items())
    lines = [f"{len(cases)} frozen cases are not what they were: {counted}"]
    for case in cases[:_SHOWN]:
        lines += [f"  {one}" for one in found if one.one == case]
        if pictures and case in pictures:
            lines.append(f"  {pictures[case]}")
    if len(cases) > _SHOWN:
        lines.append(f"  and {len(cases) - _SHOWN} more cases")
    return "\n".join(lines)


_SHOWN = 12
_WITNESSES = ("reference", "rectangle", "graph")


def _explain(
    one: FrozenCase,
    outcome: Outcome,
    now: dict[str, str],
    frozen: dict[str, str],
    store: FrozenStore,
    name: str,
) -> list[Mismatch]:
    if now[INPUTS] != frozen.get(INPUTS):
        message = (
            "target, source or configuration are drawn otherwise than when they were frozen, "
            "so nothing can be said of the executor"
        )
        return [Mismatch(one, name, INPUTS, message)]
    found: list[Mismatch] = []
    if now[PLAN] != frozen.get(PLAN):
        found += _plan_fields(one, store, name)
    witnesses = _Witnesses(one, store)
    for field in dict.fromkeys((*frozen, *now)):
        if field in (INPUTS, PLAN) or now.get(field) == frozen.get(field):
            continue
        after = outcome.get(field)
        if after is None or field not in frozen:
            message = "got no such field, expected one" if after is None else "got a field that was not there"
            found.append(Mismatch(one, name, field, message, after=after))
            continue
        before, origin = witnesses.find(field, frozen[field], without=name)
        found.append(_difference(one, name, field, before, after, origin))
    return found


class _Witnesses:
    """Whoever can still say what a field was: their digest is the frozen one."""

    def __init__(self, one: FrozenCase, store: FrozenStore) -> None:
        self._one, self._store = one, store
        self._results: dict[str, Outcome] = {}

    def find(self, field: str, wanted: str, without: str) -> tuple[torch.Tensor | None, str]:
        for name in _WITNESSES:
            if name == without:
                continue
            value = self._result(name).get(field)
            if value is not None and digest(value) == wanted:
                return value, name
        kept = None if self._store.tensors is None else self._store.tensors.read(self._one, field)
        if kept is not None and digest(kept) == wanted:
            return kept, "kept tensors"
        return None, ""

    def _result(self, name: str) -> Outcome:
        if name not in self._results:
            try:
                run = one_by_one(executor(name))  # pyright: ignore[reportArgumentType]
                self._results[name] = run([self._one])[0]
            except Exception:  # a broken executor is no witness; what it breaks is its own gate's matter
                self._results[name] = {}
        return self._results[name]


def _plan_fields(one: FrozenCase, store: FrozenStore, name: str) -> list[Mismatch]:
    """The plan is drawn otherwise; which of its fields, as far as they were kept."""
    found: list[Mismatch] = []
    for f in fields(PastePlan):
        after = getattr(one.case.plan, f.name)
        before = None if store.tensors is None else store.tensors.read(one, f"plan.{f.name}")
        if before is not None and digest(before) != digest(after):
            found.append(_difference(one, name, f"plan.{f.name}", before, after, "kept tensors"))
    return found or [Mismatch(one, name, PLAN, "is drawn otherwise than when it was frozen")]


def _difference(
    one: FrozenCase,
    name: str,
    field: str,
    before: torch.Tensor | None,
    after: torch.Tensor,
    origin: str,
) -> Mismatch:
    if before is None:
        message = (
            "the digest is not the frozen one; no executor makes the frozen bits any more and they were "
            "not kept for this seed, so there is no before"
        )
        return Mismatch(one, name, field, message, None, after)
    if before.dtype != after.dtype or before.shape != after.shape:
        message = (
            f"was {_kind_of(before)}, got {_kind_of(after)} (before: {origin})"
        )  # fmt: skip
        return Mismatch(one, name, field, message, before, after, origin)
    mask = differs(after, before)
    places = mask.nonzero()
    index = tuple(places[0].tolist())
    shown = ", ".join(str(place) for place in places[:4].tolist())
    more = f" and {len(places) - 4} more" if len(places) > 4 else ""
    message = (
        f"{len(places)} of {mask.numel()} elements differ, at {shown}{more}; the first was "
        f"{_element(before[index])}, got {_element(after[index])} (before: {origin})"
    )
    return Mismatch(one, name, field, message, before, after, origin, mask)


def _kind_of(value: torch.Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"


def _element(value: torch.Tensor) -> str:
    """A value; of a float its bits too."""
    if not value.dtype.is_floating_point:
        return str(value.item())
    size = value.element_size()
    return f"{value.item():.9g} (0x{int(bits(value)) % 2 ** (8 * size):0{2 * size}x})"
