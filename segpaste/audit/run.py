"""A preset over data: the laws, numbers and pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from segpaste.audit.data import content_sha256
from segpaste.audit.errors import AuditError
from segpaste.audit.judging import Verdicts, Violation
from segpaste.audit.pictures import step_strip, violation_picture
from segpaste.audit.pipeline import bank_of, output_size, steps
from segpaste.audit.statistics import Statistics
from segpaste.bank.stored_bank import StoredBank
from segpaste.integrations import DataSet
from segpaste.presets import PresetConfig
from segpaste.types import modality_set_name

_LARGE_PNG = 120_000

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AuditOptions:
    """How much, and which randomness.

    Attributes:
        samples: samples of each set, 2 or more.
        seed: decides everything random, 64 bits.
        gallery: how many of them are drawn.
        size: ``(height, width)`` to jitter to, in place of the preset's.
        jitter: whether to jitter.
    """

    samples: int = 16
    seed: int = 0
    gallery: int = 8
    size: tuple[int, int] | None = None
    jitter: bool = True

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise AuditError(f"samples: got {self.samples}, expected 2 or more: one is the other's donor")
        if self.gallery < 0:
            raise AuditError(f"gallery: got {self.gallery}, expected 0 or more")
        if not 0 <= self.seed < 2**64:
            raise AuditError(f"seed: got {self.seed}, expected 0 or more and less than 2**64")
        if self.size is not None and min(self.size) < 1:
            raise AuditError(f"size: got {self.size}, expected 1 x 1 or more")


@dataclass(frozen=True)
class Drawn:
    """A picture of one sample.

    Attributes:
        file: its name among the audit's files.
        title: what it shows.
        png: the picture as a PNG file.
        uri: the same for the page, as a ``data:`` URI; JPEG where that is much smaller.
        width: in pixels.
    """

    file: str
    title: str
    png: bytes
    uri: str
    width: int

    @classmethod
    def of(cls, file: str, title: str, picture: Image.Image) -> Drawn:
        """Encode a picture; at once, since it takes less room then."""
        png = _encoded(picture, format="PNG", compress_level=6)
        kind, content = "png", png
        if len(png) > _LARGE_PNG:
            kind, content = "jpeg", _encoded(picture, format="JPEG", quality=85)
        uri = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
        return cls(file, title, png, uri, picture.width)


@dataclass(frozen=True)
class SetResult:
    """What an audit found on one data set.

    Attributes:
        name: of the set.
        samples, images: how many samples were judged, of how many images.
        modalities: such as ``instance+semantic``.
        canvas: ``(height, width)`` after jittering.
        sha256: of the images and labels as they were read.
        bank: version of the bank, if donors came from one.
        notes: what the reader decided, and what it left out.
        skipped: how many records could not be read.
        verdicts, statistics: see there.
        gallery: one picture per sample shown.
        violations: the violations that are shown, with their pictures; ``verdicts.first`` has all.
    """

    name: str
    samples: int
    images: int
    modalities: str
    canvas: tuple[int, int]
    sha256: str
    bank: str | None
    notes: tuple[str, ...]
    skipped: int
    verdicts: Verdicts
    statistics: Statistics
    gallery: tuple[Drawn, ...]
    violations: tuple[tuple[Violation, Drawn], ...]

    @property
    def nothing_pasted(self) -> bool:
        """Whether no image shows a pixel of a donor: then no law of a paste has shown anything."""
        return not any(self.statistics.shares) and not any(self.statistics.pastes)


@dataclass(frozen=True)
class AuditResult:
    """An audit.

    Attributes:
        preset: what was audited.
        options: how.
        sets: one result for each data set.
        notes: on data that were left out.
    """

    preset: PresetConfig
    options: AuditOptions
    sets: tuple[SetResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no law was violated."""
        return all(each.verdicts.ok for each in self.sets)


def run_audit(
    preset: PresetConfig,
    data: Sequence[DataSet],
    options: AuditOptions | None = None,
    *,
    bank: StoredBank | None = None,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> AuditResult:
    """Run a preset's pipeline over data and judge it: every sample by the laws of its three steps.

    One sample of ten is judged by the metamorphic laws besides, which need several runs.

    Large-scale jittering, then ``BatchCopyPaste`` in batches of up to four, then
    ``SanitizeInstances``. The same arguments give the same result, to the last byte.

    Args:
        preset: the preset.
        data: sets that fit it, as :func:`segpaste.audit.fitted` gives them.
        options: how much; the defaults if ``None``.
        bank: crops for a preset with a bank; by default they are cut out of the set itself.
        notes: for the report.
        progress: called with a set's name, samples done and samples in all.

    Raises:
        AuditError: if the options are out of range, or there is no data set.
    """
    options = options or AuditOptions()
    if not data:
        raise AuditError("data: got no set, expected at least one")
    found = tuple(
        _audit_set(preset, each, number, options, bank, progress or _silent)
        for number, each in enumerate(data, start=1)
    )
    return AuditResult(preset, options, found, tuple(notes))


def _audit_set(
    preset: PresetConfig,
    data: DataSet,
    number: int,
    options: AuditOptions,
    given_bank: StoredBank | None,
    progress: Progress,
) -> SetResult:
    verdicts, statistics = Verdicts(), Statistics()
    gallery: list[Drawn] = []
    violations: list[tuple[Violation, Drawn]] = []
    schema, ignore, names = preset.class_table, preset.batch_copy_paste.ignore_index, preset.class_names
    jittered = output_size(preset, data, options.size) if options.jitter else None
    canvas = data.canvas_size
    with _one_thread(), _bank(preset, data, given_bank, jittered or canvas) as bank:
        done = 0
        progress(data.name, done, options.samples)
        for made in steps(
            preset,
            data,
            options.samples,
            options.seed,
            size=options.size,
            jitter=options.jitter,
            bank=bank,
        ):
            for step in made:
                canvas = step.pasted.canvas_size
                shown = len(verdicts.violations)
                verdicts.judge(step, schema)
                for violation in verdicts.violations[shown:]:
                    file = f"violation-{number}-{len(violations) + 1}.png"
                    title = f"{violation.report.name}, {violation.stage}, {step.name}"
                    violations.append(
                        (violation, Drawn.of(file, title, violation_picture(violation, names, ignore)))
                    )
                statistics.add(step, preset.batch_copy_paste)
                if len(gallery) < options.gallery:
                    gallery.append(
                        Drawn.of(
                            f"gallery-{number}-{len(gallery) + 1:02d}.png",
                            f"{step.name}, donor: {step.donor_name}",
                            step_strip(step, names, ignore),
                        )
                    )
                done += 1
                progress(data.name, done, options.samples)
        version = None if bank is None else bank.version
    return SetResult(
        name=data.name,
        samples=statistics.samples,
        images=len(data.samples),
        modalities=modality_set_name(data.modalities),
        canvas=canvas,
        sha256=content_sha256(data.samples),
        bank=version,
        notes=(*data.notes, *(f"skipped: {line}" for line in data.skipped)),
        skipped=len(data.skipped),
        verdicts=verdicts,
        statistics=statistics,
        gallery=tuple(gallery),
        violations=tuple(violations),
    )


def _bank(
    preset: PresetConfig, data: DataSet, given: StoredBank | None, canvas: tuple[int, int]
) -> AbstractContextManager[StoredBank | None]:
    if preset.bank is None:
        return nullcontext()
    return nullcontext(given) if given is not None else bank_of(data, preset, canvas)


@contextmanager
def _one_thread() -> Iterator[None]:
    # Many operations on small tensors: threads would wait for each other most of the time.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _encoded(picture: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, **options)
    return out.getvalue()


def _silent(name: str, done: int, total: int) -> None:
    pass
