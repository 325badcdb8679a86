"""The run: every target, every stream of examples, every law."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

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
    ragged,
    real_examples,
    shares,
    stream_seed,
)
from segpaste.testing.judge import COMPLETES, Judgement, judge, law_kind, law_names
from segpaste.testing.reduce import reduced
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
from segpaste.testing.targets import Executor, Target
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
        modalities: the modality sets to draw from; examples are split evenly.
        examples: drawn examples per target.
        real_examples: examples per target made of ``data``, split evenly over the sets.
        seed: decides every example.
        device: ``"cpu"`` or ``"cuda"``.
        only: glob of law names.
        data: data sets.
        loaders: data set name -> Python expression that loads it, for the code of a report.
        schema: class table that overrides the examples' own.
        folders, skipped, notes: lines for the report's header.
    """

    modalities: tuple[frozenset[Modality], ...] = LEGAL_MODALITY_SETS
    examples: int = 200
    real_examples: int = 0
    seed: int = 0
    device: str = "cpu"
    only: str = "*"
    data: tuple[DataSet, ...] = ()
    loaders: Mapping[str, str] = field(default_factory=dict)
    schema: PanopticSchemaSpec | None = None
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
    """Refuse what cannot be run.

    Raises:
        ValueError: naming the argument.
    """
    if options.examples < 1:
        raise ValueError(f"examples: got {options.examples}, expected 1 or more")
    if not law_names(options.only):
        raise ValueError(f"only: got {options.only!r}, which matches no law; `segpaste laws` lists them")
    if options.device not in ("cpu", "cuda"):
        raise ValueError(f"device: got {options.device!r}, expected 'cpu' or 'cuda'")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: got 'cuda', but torch finds no CUDA device; expected 'cpu'")


def run(targets: Sequence[Target], options: RunOptions, listeners: Sequence[Listener] = ()) -> RunReport:
    """Verify targets one after the other and tell the listeners.

    Raises:
        ValueError: as :func:`check_options`.
    """
    check_options(options)
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
        self._streams = _streams(options)
        self._tallies = {name: _Tally() for name in law_names(options.only)}
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
        return TargetReport(
            target=self._target.name,
            results=tuple(self._result(name, tally) for name, tally in self._tallies.items()),
            groups=tuple(GroupCount(g, n, pasted) for g, (n, pasted) in self._groups.items()),
            exhibits=tuple(exhibit for _, exhibit in self._exhibits.values()),
            seconds=time.perf_counter() - started,
            notes=tuple(
                f"{count} of {self._done} examples: {reason}" for reason, count in self._exceptions.items()
            ),
        )

    def _strategy(self, stream: _Stream) -> st.SearchStrategy[Example]:
        if stream.data is not None:
            return real_examples(stream.data)
        return drawn_examples(
            stream.modalities,
            schema=self._options.schema,
            class_tables=isinstance(self._target, Executor) or self._target.takes_config,
            # A callable is given one pair; two samples make a donor that is not the target.
            max_batch=3 if isinstance(self._target, Executor) else 2,
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
            else:
                tally.undecided += report.status == "not_decidable"
                tally.reason = report.message
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
            if tally.best is None or left <= 0:
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
        report = self._judge(example, name, law_kind(name) == "metamorphic").reports.get(name)
        return report if report is not None and report.status == "violated" else None

    def _exhibit(self, stream: _Stream, example: Example, judgement: Judgement) -> None:
        """Keep the most telling example of every group."""
        if not judgement.after or judgement.unions[0] is None:
            return
        union = judgement.unions[0]
        part = float(union.float().mean())
        height, width = example.target.canvas_size
        score = (
            float(len(example.target.active_modalities())),
            float(0.02 < part < 0.6) + float(part > 0),
            float(min(len(judgement.after[0]), 6) + min(height, width, 32) / 8),
        )
        known = self._exhibits.get(stream.group)
        if known is None or score > known[0]:
            one = example.alone(0)
            exhibit = Exhibit(
                one.where, ragged(one.target), ragged(one.source), judgement.after[0], union, one
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
        return MinimalCase(
            example=example,
            report=report,
            before=before,
            donor=donor,
            after=judgement.after[index] if made else None,
            rows=tuple(slots.index(slot) for slot in report.rows if slot in slots),
            how=repr(example.plan) if isinstance(self._target, Executor) else f"seed {example.seed}",
            code=code,
            replay_id=replay_id(code),
        )


def _shown(example: Example, index: int) -> tuple[DenseSample, DenseSample]:
    """Target and donor to be drawn; of a batch without samples, a blank canvas."""
    if example.target.batch_size == 0:
        images = example.target.images.as_subclass(torch.Tensor)
        blank = DenseSample(image=images.new_zeros(images.shape[1:]))  # pyright: ignore[reportArgumentType]
        return blank, blank
    one = example.alone(index)
    return ragged(one.target), ragged(one.source)


def _streams(options: RunOptions) -> list[_Stream]:
    # The richest sets first: they show most, and they get what cannot be split evenly.
    sets = sorted(options.modalities, key=lambda s: (-len(s), modality_set_name(s)))
    streams = []
    for modalities, count in zip(sets, shares(options.examples, sets), strict=True):
        name = modality_set_name(modalities)
        streams.append(
            _Stream(name, DRAWN, count, stream_seed(options.seed, f"drawn/{name}"), modalities, None)
        )
    for data, count in zip(options.data, shares(options.real_examples, options.data), strict=True):
        seed = stream_seed(options.seed, f"data/{data.name}")
        streams.append(_Stream(data.name, data.name, count, seed, data.modalities, data))
    return [stream for stream in streams if stream.examples]


def _header(targets: Sequence[Target], options: RunOptions) -> RunHeader:
    device = options.device
    if device == "cuda":
        device = f"cuda ({torch.cuda.get_device_name()})"
    versions = {"python": platform.python_version(), "segpaste": VERSION}
    for package in ("torch", "torchvision", "hypothesis", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return RunHeader(
        targets=tuple(t.name for t in targets),
        modalities=tuple(modality_set_name(m) for m in options.modalities),
        only=options.only,
        seed=options.seed,
        examples=options.examples,
        real_examples=options.real_examples if options.data else 0,
        device=device,
        versions=versions,
        data=tuple(_data_line(data) for data in options.data),
        folders=options.folders,
        skipped=(*options.skipped, *(line for data in options.data for line in data.skipped)),
        notes=(*options.notes, *(f"{data.name}: {n}" for data in options.data for n in data.notes)),
    )


def _data_line(data: DataSet) -> str:
    height, width = data.canvas_size
    rows = sum(len(sample) for sample in data.samples)
    return (
        f"{data.name}: {len(data.samples)} samples, {rows} instances, {height} x {width}, "
        f"{modality_set_name(data.modalities)}"
    )
