"""The run: every target, every stream of examples, every law."""

from __future__ import annotations

import fnmatch
import platform
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from hypothesis import strategies as st

from segpaste.integrations import DataSet
from segpaste.invariants import InvariantReport
from segpaste.testing.events import (
    Event,
    ExampleJudged,
    Listener,
    RunFinished,
    RunStarted,
    ShrinkStarted,
    TargetFinished,
    TargetStarted,
)
from segpaste.testing.examples import (
    DRAWN,
    Example,
    drawn_examples,
    pair_examples,
    ragged,
    real_examples,
    represented,
    shares,
    stream_seed,
)
from segpaste.testing.expected import (
    EVERY_TARGET,
    Expected,
    XfailsError,
    apply_expected,
    check_expected,
    expected_for,
)
from segpaste.testing.judge import COMPLETES, Judgement, applicable_laws, every_law, judge, kind_of, law_kind
from segpaste.testing.reduce import reduced
from segpaste.testing.replays import keep
from segpaste.testing.reproduce import replay_id, reproduction
from segpaste.testing.results import (
    Exhibit,
    GroupCount,
    MinimalCase,
    Result,
    RunHeader,
    RunReport,
    Status,
    TargetReport,
)
from segpaste.testing.search import sweep
from segpaste.testing.targets import Augmentation, Executor, Target, pair_of
from segpaste.types import LEGAL_MODALITY_SETS, DenseSample, Modality, PanopticSchemaSpec, modality_set_name
from segpaste.version import VERSION

METAMORPHIC_EVERY = 10
"""On real data every tenth example is judged by the laws that need several runs."""

_WRITTEN_OUT_SIDE = 64

SHRINK_SECONDS_PER_LAW = 20.0
SHRINK_SECONDS_PER_TARGET = 60.0


@dataclass(frozen=True)
class RunOptions:
    """What to run.

    Attributes:
        modalities: the modality sets to draw from; examples are split evenly. All 16 that a
            paste works on by default, of which a target gets those it can carry.
        examples: drawn examples per target.
        real_examples: examples per target made of ``data``, split evenly over the sets.
        seed: decides every example.
        device: ``"cpu"`` or ``"cuda"``.
        only: glob of law names.
        data: data sets.
        loaders: data set name -> Python expression that loads it, for the code of a report.
        schema: class table that overrides the examples' own.
        xfails: target name -> law -> reason, of the laws expected to fail; ``"*"`` stands
            for every target.
        replays: the folder that failing inputs are stored in; None for the default one.
        folders, skipped, notes: lines for the report's header.
    """

    modalities: tuple[frozenset[Modality], ...] | None = None
    examples: int = 200
    real_examples: int = 0
    seed: int = 0
    device: str = "cpu"
    only: str = "*"
    data: tuple[DataSet, ...] = ()
    loaders: Mapping[str, str] = field(default_factory=dict)
    schema: PanopticSchemaSpec | None = None
    xfails: Mapping[str, Expected] = field(default_factory=dict)
    replays: Path | None = None
    folders: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def parse_modalities(sets: Iterable[str | Iterable[Modality]]) -> tuple[frozenset[Modality], ...]:
    """Modality sets from names such as ``"instance+semantic+depth"`` or sets of ``Modality``.

    The image is always part of a set.

    Raises:
        ValueError: naming the set that no paste works on, and those one does.
    """
    legal = {modality_set_name(s): s for s in LEGAL_MODALITY_SETS}
    chosen: list[frozenset[Modality]] = []
    for one in sets:
        if isinstance(one, str):
            words = {word.strip() for word in one.split("+")} - {Modality.IMAGE.value}
            named = frozenset(m for m in Modality if m.value in words)
            unknown = words - {m.value for m in named}
        else:
            named, unknown = frozenset(one), set()
        full = named | {Modality.IMAGE}
        if unknown or full not in LEGAL_MODALITY_SETS:
            got = one if isinstance(one, str) else modality_set_name(full)
            raise ValueError(f"modalities: got {got!r}, expected one of {', '.join(legal)}")
        if full not in chosen:
            chosen.append(full)
    if not chosen:
        raise ValueError("modalities: got none, expected at least one set such as 'instance+semantic'")
    return tuple(chosen)


def check_options(options: RunOptions) -> None:
    """Refuse what cannot be run, whatever the target.

    Raises:
        ValueError: naming the argument.
    """
    if options.examples < 1:
        raise ValueError(f"examples: got {options.examples}, expected 1 or more")
    known = every_law()
    if not any(fnmatch.fnmatchcase(name, options.only) for name in known):
        raise ValueError(f"only: got {options.only!r}, which matches no law; `segpaste laws` lists them")
    if options.device not in ("cpu", "cuda"):
        raise ValueError(f"device: got {options.device!r}, expected 'cpu' or 'cuda'")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: got 'cuda', but torch finds no CUDA device; expected 'cpu'")
    for expected in options.xfails.values():
        check_expected(expected, known)


def check_targets(targets: Sequence[Target], options: RunOptions) -> None:
    """Refuse what cannot be run with these targets.

    Raises:
        XfailsError: if a law is expected to fail that judges no target it is expected of.
        ValueError: on anything else, naming the argument.
    """
    for target in targets:
        kind = kind_of(target)
        if not applicable_laws(kind, options.only):
            raise ValueError(
                f"only: got {options.only!r}, which matches no law of target {target.name} ({kind})"
            )
        _modalities(target, options)

    judged = {target.name: set(applicable_laws(kind_of(target))) for target in targets}
    judged[EVERY_TARGET] = set[str]().union(*judged.values())
    for name, expected in options.xfails.items():
        for law in expected:
            # A target that is not among these may be in another part of a suite.
            if name in judged and law not in judged[name]:
                whose = ", ".join(target.name for target in targets) if name == EVERY_TARGET else name
                raise XfailsError(f"{law}: expected to fail, but {whose} is not judged by it")


def run(targets: Sequence[Target], options: RunOptions, listeners: Sequence[Listener] = ()) -> RunReport:
    """Verify targets one after the other and tell the listeners.

    Raises:
        ValueError: as :func:`check_options` and :func:`check_targets`.
    """
    check_options(options)
    check_targets(targets, options)
    started = time.perf_counter()

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    header = _header(targets, options)
    tell(RunStarted(header))
    reports = []
    for target in targets:
        reports.append(_TargetRun(target, options, tell).report())
        tell(TargetFinished(reports[-1]))
    report = RunReport(header, tuple(reports), time.perf_counter() - started)
    tell(RunFinished(report))
    return report


@dataclass(frozen=True)
class _Stream:
    """Examples of one kind: drawn from one modality set, or made of one data set."""

    name: str
    group: str
    examples: int
    seed: int
    modalities: frozenset[Modality]
    data: DataSet | None


@dataclass
class _Tally:
    """What is known of one law on one target so far."""

    tried: int = 0
    exercised: int = 0
    undecided: int = 0
    violations: int = 0
    seconds: float = 0.0
    reason: str | None = None
    first: str | None = None
    best: Example | None = None
    report: InvariantReport | None = None

    @property
    def status(self) -> Status:
        if self.violations:
            return "failed"
        if self.exercised:
            return "passed"
        if self.undecided:
            return "not decidable"
        return "not exercised" if self.tried else "not applicable"


class _TargetRun:
    """One target through all streams."""

    def __init__(self, target: Target, options: RunOptions, tell: Listener) -> None:
        self._target = target
        self._options = options
        self._tell = tell
        self._kind = kind_of(target)
        self._expected = expected_for(options.xfails, target.name)
        self._streams = _streams(target, options)
        self._tallies = {name: _Tally() for name in applicable_laws(self._kind, options.only)}
        self._groups = {stream.group: [0, 0] for stream in self._streams}
        self._exceptions: Counter[str] = Counter()
        self._exhibits: dict[str, tuple[tuple[float, ...], Exhibit]] = {}
        self._total = sum(stream.examples for stream in self._streams)
        self._done = 0
        self._last = time.perf_counter()

    def report(self) -> TargetReport:
        started = time.perf_counter()
        self._tell(TargetStarted(self._target.name, self._total))
        for stream in self._streams:
            self._last = time.perf_counter()
            sweep(
                self._strategy(stream),
                lambda example, s=stream: self._visit(s, example),
                examples=stream.examples,
                seed=stream.seed,
            )
        self._shrink_all()
        results = [self._kept(self._result(name, tally)) for name, tally in self._tallies.items()]
        return TargetReport(
            target=self._target.name,
            results=tuple(apply_expected(results, self._expected)),
            groups=tuple(GroupCount(g, n, pasted) for g, (n, pasted) in self._groups.items()),
            exhibits=tuple(exhibit for _, exhibit in self._exhibits.values()),
            seconds=time.perf_counter() - started,
            notes=tuple(
                f"{count} of {self._done} examples: {reason}" for reason, count in self._exceptions.items()
            ),
            kind=self._kind,
        )

    def _strategy(self, stream: _Stream) -> st.SearchStrategy[Example]:
        target = self._target
        if stream.data is not None:
            examples = real_examples(stream.data)
            if isinstance(target, Augmentation) and target.is_adapted:
                return examples.map(lambda example: represented(example, target.prepare))
            return examples
        if isinstance(target, Augmentation) and target.accepts is not None:
            return pair_examples(
                stream.modalities,
                target.accepts,
                target.prepare,
                schema=self._options.schema,
                # What pastes decides by class what it pastes; what moves pixels does not.
                class_table=self._kind != "paste" or self._options.schema is not None,
            )
        return drawn_examples(
            stream.modalities,
            schema=self._options.schema,
            class_tables=isinstance(target, Executor) or target.takes_config,
            # A callable is given one pair; two samples make a donor that is not the target.
            max_batch=3 if isinstance(target, Executor) else 2,
        )

    def _visit(self, stream: _Stream, example: Example) -> None:
        drawing = time.perf_counter() - self._last
        example = example.to(self._options.device)
        count = self._groups[stream.group]
        metamorphic = stream.data is None or count[0] % METAMORPHIC_EVERY == 0
        judgement = self._judge(example, self._options.only, metamorphic)
        count[0] += 1
        count[1] += judgement.pasted
        self._done += 1
        exception = self._target.exception if isinstance(self._target, Executor) else None
        reason = None if exception is None else exception(example.target, example.config)
        if reason is not None:
            self._exceptions[reason] += 1
        fresh = self._enter(stream, example, judgement, drawing)
        if not judgement.violated:
            self._exhibit(stream, example, judgement)
        self._tell(ExampleJudged(self._target.name, stream.group, self._done, self._total, tuple(fresh)))
        self._last = time.perf_counter()

    def _judge(self, example: Example, only: str, metamorphic: bool) -> Judgement:
        return judge(self._target, example, only=only, metamorphic=metamorphic, schema=self._options.schema)

    def _enter(self, stream: _Stream, example: Example, judgement: Judgement, drawing: float) -> list[str]:
        fresh = []
        for name, report in judgement.reports.items():
            tally = self._tallies[name]
            if report.status == "not_applicable":
                continue
            tally.tried += 1
            kind = law_kind(name)
            tally.seconds += drawing + judgement.seconds.get("target", 0.0)
            tally.seconds += judgement.seconds.get(kind, 0.0) if kind != "target" else 0.0
            if report.status in ("held", "violated"):
                tally.exercised += 1
            elif report.status == "not_decidable" or not tally.undecided:
                tally.undecided += report.status == "not_decidable"
                tally.reason = report.message  # of the verdict that will be shown
            if report.status == "violated":
                tally.violations += 1
                if tally.first is None:
                    tally.first = f"{report} ({example.where})"
                    fresh.append(name)
                culprit = judgement.culprit if name == COMPLETES and judgement.culprit else example
                self._keep_smaller(tally, culprit, report)
        return fresh

    def _keep_smaller(
        self, tally: _Tally, example: Example, report: InvariantReport, *, same_is_smaller: bool = False
    ) -> None:
        if (
            tally.best is None
            or example.size() < tally.best.size()
            or (same_is_smaller and example.size() == tally.best.size())
        ):
            tally.best, tally.report = example, report

    def _shrink_all(self) -> None:
        """Make the example of every violated law smaller, as long as there is time."""
        left = SHRINK_SECONDS_PER_TARGET
        for name, tally in self._tallies.items():
            if tally.best is None or left <= 0 or name in self._expected:
                continue
            started = time.perf_counter()
            self._tell(ShrinkStarted(self._target.name, name))
            self._shrink(name, tally.best, min(left, SHRINK_SECONDS_PER_LAW))
            left -= time.perf_counter() - started

    def _shrink(self, name: str, example: Example, seconds: float) -> None:
        if self._verdict(name, example) is None:
            return  # a law's own variation of the example broke the target, not the example
        found = reduced(
            example,
            lambda smaller: self._verdict(name, smaller) is not None,
            planned=isinstance(self._target, Executor),
            max_seconds=seconds,
        )
        # A real frame that hardly shrank is better loaded than written out.
        if example.pair is not None and max(found.target.canvas_size) > _WRITTEN_OUT_SIDE:
            return
        # What is small for one law may be small for another.
        for other, report in self._judge(found, self._options.only, True).reports.items():
            if report.status == "violated" and self._tallies[other].violations:
                self._keep_smaller(self._tallies[other], found, report, same_is_smaller=other == name)

    def _verdict(self, name: str, example: Example) -> InvariantReport | None:
        """The law's report on an example that violates it, else None."""
        if not self._is_accepted(example):
            return None
        report = self._judge(example, name, law_kind(name) == "metamorphic").reports.get(name)
        return report if report is not None and report.status == "violated" else None

    def _is_accepted(self, example: Example) -> bool:
        """Whether an example is one that the target can be given."""
        if isinstance(self._target, Executor) or self._target.accepts is None:
            return True
        if example.group != DRAWN and not self._target.is_adapted:
            return True  # real samples are given as they are
        accepts = self._target.accepts
        sides = example.target.canvas_size
        if min(sides) < accepts.min_side or example.target.padding_mask is not None:
            return False
        samples = pair_of(example.alone(0))
        return all(
            len(sample) >= accepts.min_instances and _same_fields(self._target.prepare(sample), sample)
            for sample in samples
        )

    def _exhibit(self, stream: _Stream, example: Example, judgement: Judgement) -> None:
        """Keep the most telling example of every group."""
        union = judgement.unions[0] if judgement.after else None
        pastes = self._kind in ("executor", "paste")
        if not judgement.after or (pastes and union is None):
            return
        part = 1.0 if union is None else float(union.float().mean())
        height, width = example.target.canvas_size
        score = (
            float(len(example.target.active_modalities())),
            float(0.02 < part < 0.6 or not pastes) + float(part > 0),
            float(min(len(judgement.after[0]), 6) + min(height, width, 32) / 8),
        )
        known = self._exhibits.get(stream.group)
        if known is None or score > known[0]:
            one = example.alone(0)
            mixes = isinstance(self._target, Executor) or self._target.mixes
            exhibit = Exhibit(
                one.where,
                ragged(one.target),
                ragged(one.source) if mixes else None,
                judgement.after[0],
                union if pastes else None,
                one,
            )
            self._exhibits[stream.group] = (score, exhibit)

    def _result(self, name: str, tally: _Tally) -> Result:
        minimal = None
        if tally.best is not None and tally.report is not None:
            minimal = self._minimal(name, tally.best, tally.report)
        return Result(
            law=name,
            kind=law_kind(name),
            target=self._target.name,
            status=tally.status,
            tried=tally.tried,
            exercised=tally.exercised,
            violations=tally.violations,
            seconds=tally.seconds,
            violation=None if tally.report is None else str(tally.report),
            reason=tally.reason if tally.status not in ("passed", "failed") else None,
            first=tally.first,
            minimal=minimal,
        )

    def _kept(self, result: Result) -> Result:
        """The same result, its smallest example stored if that is possible."""
        path = keep(
            self._target,
            result,
            device=self._options.device,
            schema=self._options.schema,
            versions=_versions(),
            folder=self._options.replays,
        )
        if path is None or result.minimal is None:
            return result
        return replace(result, minimal=replace(result.minimal, stored=path))

    def _minimal(self, name: str, example: Example, report: InvariantReport) -> MinimalCase:
        index = (report.sample or 0) if isinstance(self._target, Executor) else 0
        judgement = self._judge(example, COMPLETES, False)
        made = index < len(judgement.after)
        slots = judgement.slots[index] if made else []
        code = reproduction(
            self._target,
            example,
            name,
            sample=index,
            schema=self._options.schema,
            loaders=self._options.loaders,
            device=self._options.device,
        )
        before, donor = _shown(example, index)
        mixes = isinstance(self._target, Executor) or self._target.mixes
        return MinimalCase(
            example=example,
            report=report,
            before=before,
            donor=donor if mixes else None,
            after=judgement.after[index] if made else None,
            rows=tuple(slots.index(slot) for slot in report.rows if slot in slots),
            how=repr(example.plan) if isinstance(self._target, Executor) else f"seed {example.seed}",
            code=code,
            replay_id=replay_id(self._target.name, code),
        )


def _shown(example: Example, index: int) -> tuple[DenseSample, DenseSample]:
    """Target and donor to be drawn; of a batch without samples, a blank canvas."""
    if example.target.batch_size == 0:
        images = example.target.images.as_subclass(torch.Tensor)
        blank = DenseSample(image=images.new_zeros(images.shape[1:]))  # pyright: ignore[reportArgumentType]
        return blank, blank
    one = example.alone(index)
    return ragged(one.target), ragged(one.source)


def _same_fields(mine: DenseSample, other: DenseSample) -> bool:
    values, others = mine.to_dict(), other.to_dict()
    return values.keys() == others.keys() and all(
        torch.equal(value, others[name]) if isinstance(value, torch.Tensor) else value == others[name]
        for name, value in values.items()
        if name not in ("image", "normals", "depth")  # what no library has no word for; may hold NaN
    )


def _modalities(target: Target, options: RunOptions) -> list[frozenset[Modality]]:
    """The sets of modalities that a target is given.

    Raises:
        ValueError: if it can carry none of those asked for.
    """
    asked = LEGAL_MODALITY_SETS if options.modalities is None else options.modalities
    if isinstance(target, Executor) or target.accepts is None:
        return list(asked)
    carried = target.accepts.modalities | {Modality.IMAGE}
    fitting = [one for one in asked if one <= carried]
    if not fitting:
        got = ", ".join(modality_set_name(one) for one in asked)
        raise ValueError(
            f"modalities: got {got}, but target {target.name} carries {modality_set_name(carried)} only"
        )
    return fitting


def _streams(target: Target, options: RunOptions) -> list[_Stream]:
    # The richest sets first: they show most, and they get what cannot be split evenly.
    sets = sorted(_modalities(target, options), key=lambda s: (-len(s), modality_set_name(s)))
    streams = []
    for modalities, count in zip(sets, shares(options.examples, sets), strict=True):
        name = modality_set_name(modalities)
        streams.append(
            _Stream(name, DRAWN, count, stream_seed(options.seed, f"drawn/{name}"), modalities, None)
        )
    carried = [kept for data in options.data if (kept := _carried(data, sets)) is not None]
    for data, count in zip(carried, shares(options.real_examples, carried), strict=True):
        seed = stream_seed(options.seed, f"data/{data.name}")
        streams.append(_Stream(data.name, data.name, count, seed, data.modalities, data))
    return [stream for stream in streams if stream.examples]


def _carried(data: DataSet, sets: Sequence[frozenset[Modality]]) -> DataSet | None:
    """The data set with the largest of the modality sets that it has; None where it has none."""
    if data.modalities in sets:
        return data
    fitting = [one for one in sets if one <= data.modalities]
    return data.only(max(fitting, key=len)) if fitting else None


def _header(targets: Sequence[Target], options: RunOptions) -> RunHeader:
    device = options.device
    if device == "cuda":
        device = f"cuda ({torch.cuda.get_device_name()})"
    return RunHeader(
        targets=tuple(t.name for t in targets),
        modalities=tuple(modality_set_name(m) for m in options.modalities or LEGAL_MODALITY_SETS),
        only=options.only,
        seed=options.seed,
        examples=options.examples,
        real_examples=options.real_examples if options.data else 0,
        device=device,
        versions=_versions(),
        data=tuple(_data_line(data) for data in options.data),
        folders=options.folders,
        skipped=(*options.skipped, *(line for data in options.data for line in data.skipped)),
        notes=(*options.notes, *(f"{data.name}: {n}" for data in options.data for n in data.notes)),
    )


@cache
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "segpaste": VERSION}
    for package in ("torch", "torchvision", "hypothesis", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return versions


def _data_line(data: DataSet) -> str:
    height, width = data.canvas_size
    rows = sum(len(sample) for sample in data.samples)
    return (
        f"{data.name}: {len(data.samples)} samples, {rows} instances, {height} x {width}, "
        f"{modality_set_name(data.modalities)}"
    )
