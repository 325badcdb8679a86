"""``@parametrize_with_invariants``: one pytest test per augmentation, law and device."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from segpaste.invariants import LAWS
from segpaste.testing.adapters.base import AugmentationKind
from segpaste.testing.check import check_augmentation
from segpaste.testing.engine import parse_modalities
from segpaste.testing.events import Event, RunFinished
from segpaste.testing.expected import Expected, check_expected, expected_for
from segpaste.testing.judge import applicable_laws, every_law, kind_of
from segpaste.testing.plugin import Page, Settings, current_settings
from segpaste.testing.results import AugmentationViolation, Result, RunReport
from segpaste.testing.summary import replay_line, verdict
from segpaste.testing.targets import Augmentation, Target, resolve_target
from segpaste.types import LEGAL_MODALITY_SETS, Modality, PanopticSchemaSpec

TestT = TypeVar("TestT", bound=Callable[..., Any])


class Check:
    """One law on one augmentation and device; calling it passes, fails or skips the test.

    The first check that is called runs the augmentation through all examples, and all laws
    are judged there; the others read their verdict.

    Attributes:
        law: the law's dotted name.
        test: module and name of the test function.
        device: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, law: str, run: _Run) -> None:
        self.law = law
        self.test = run.test
        self.device = run.device
        self._run = run

    def __repr__(self) -> str:
        return f"<check {self.law} of {self.augmentation_name} on {self.device}>"

    @property
    def augmentation_name(self) -> str:
        """The augmentation's name within the test's id."""
        return self._run.name

    @property
    def names(self) -> tuple[str, str]:
        """The names by which a file of expected failures may call the augmentation."""
        return self._run.target.name, self._run.name

    def result(self) -> Result:
        """The verdict on the law, whatever it is."""
        return self._run.results()[self.law]

    def __call__(self) -> None:
        """Pass if the law holds.

        Raises:
            AugmentationViolation: if it is violated, or holds though it was expected to fail.
            pytest.xfail.Exception: if it is violated as expected.
            pytest.skip.Exception: if there is no verdict.
        """
        __tracebackhide__ = True
        import pytest

        result = self.result()
        if result.status == "expected":
            pytest.xfail(f"{result.reason} ({result.violation})")
        if result.status in ("failed", "unexpectedly passed"):
            error = AugmentationViolation([result])
            for note in self._run.notes(result):
                error.add_note(note)
            raise error
        if result.status != "passed":
            pytest.skip(f"{result.status}: {result.reason or 'it never came into question'}")


def parametrize_with_invariants(
    augmentations: Iterable[Any],
    *,
    expected: Expected | Callable[[Any], Expected] | None = None,
    kind: AugmentationKind | None = None,
    modalities: Iterable[str | Iterable[Modality]] | None = None,
    schema: PanopticSchemaSpec | None = None,
    examples: int | None = None,
    seed: int | None = None,
    only: str = "*",
) -> Callable[[TestT], TestT]:
    """Turn a test function into one test per augmentation, law and device.

    The function has an argument ``check`` and calls it; it may have an argument
    ``augmentation`` too, which is given the augmentation, and any fixtures. An id reads
    ``my_flip-geometric.masks_move_with_image-cpu``. All laws of an augmentation on a device
    are judged in one run, which the first of its tests starts.

    A law that holds passes and one that is violated fails, with the smallest example and how
    to reproduce it. A law that is expected to fail is an expected failure, and fails once it
    holds. A law without a verdict (not exercised, not decidable, not applicable) is skipped
    with the reason, and never passes.

    Args:
        augmentations: whatever :func:`~segpaste.testing.check_augmentation` takes.
        expected: exact law name -> reason, for every augmentation here; or a function that
            is given the augmentation and returns such a mapping. Over it go the entries of
            the plugin's ``--segpaste-xfails``.
        kind: what the augmentations do: ``"paste"``, ``"geometric"`` or ``"photometric"``.
        modalities: as in :func:`~segpaste.testing.check_augmentation`.
        schema: as there.
        examples: drawn examples per augmentation and device; as the plugin's
            ``--segpaste-examples`` or ``--segpaste-profile`` say by default, else 200.
        seed: as there.
        only: glob of law names; tests are made of those alone.

    Raises:
        TargetNotFoundError: if an augmentation cannot be found or called.
        ValueError: if there is no augmentation, no law matches ``only``, ``expected`` names
            a law that does not exist or by which the augmentation is not judged, or gives no
            reason, or the function has no argument ``check``; when the tests are collected.
    """
    augmentations = list(augmentations)
    if not augmentations:
        raise ValueError("augmentations: got none, expected one or more")
    settings = current_settings()
    options: dict[str, Any] = {
        "modalities": None if modalities is None else list(modalities),
        "schema": schema,
        "examples": settings.examples if examples is None else examples,
        "seed": seed,
    }

    def decorate(test: TestT) -> TestT:
        import pytest

        arguments = inspect.signature(test).parameters
        if "check" not in arguments:
            raise ValueError(
                f"{test.__qualname__}: has the arguments {list(arguments)}, expected one called 'check'"
            )
        both = "augmentation" in arguments
        where = f"{test.__module__}.{test.__qualname__}"
        parameters = []
        for device in settings.devices:
            targets = [resolve_target(augmentation, device, kind) for augmentation in augmentations]
            for augmentation, target, name in zip(augmentations, targets, _names(targets), strict=True):
                reasons = expected(augmentation) if callable(expected) else expected or {}
                run = _Run(where, name, target, device, options, only, reasons, settings)
                marks = [pytest.mark.gpu] if device == "cuda" else []
                for law in run.laws:
                    check = Check(law, run)
                    values = (augmentation, check) if both else (check,)
                    parameters.append(pytest.param(*values, id=f"{name}-{law}-{device}", marks=marks))
        return pytest.mark.parametrize(["augmentation", "check"] if both else ["check"], parameters)(test)

    return decorate


class _Run:
    """One augmentation on one device, judged by all its laws once, and no earlier than asked."""

    def __init__(
        self,
        test: str,
        name: str,
        target: Target,
        device: str,
        options: Mapping[str, Any],
        only: str,
        expected: Expected,
        settings: Settings,
    ) -> None:
        kind = kind_of(target)
        self.test, self.name, self.target, self.device = test, name, target, device
        self.laws = _carried(applicable_laws(kind, only), target, options["modalities"])
        if not self.laws:
            raise ValueError(
                f"only: got {only!r}, which matches no law of kind {kind!r} and these modalities; "
                "`segpaste laws` lists them"
            )
        check_expected(expected, every_law())
        judged = applicable_laws(kind)
        here = _carried(judged, target, options["modalities"])
        own = {**settings.xfails.get(name, {}), **settings.xfails.get(target.name, {})}
        for laws, entries in ((here, expected), (judged, own)):
            for law in entries:
                if law in every_law() and law not in laws:
                    raise ValueError(
                        f"expected: {law}: not judged on {target.name}, of kind {kind!r}, with these "
                        "modalities"
                    )
        shared = {law: why for law, why in expected_for(settings.xfails, "").items() if law in judged}
        self._expected = {**expected, **shared, **own}
        self._options = {**options, "only": only}
        self._settings = settings
        self._report: RunReport | None = None
        self._page: Page | None = None
        self._results: dict[str, Result] | None = None
        self._error: Exception | None = None

    def results(self) -> dict[str, Result]:
        """The verdict on every law; what a first attempt raised is raised again, not tried again."""
        if self._error is not None:
            raise self._error
        if self._results is None:
            try:
                found = check_augmentation(
                    self.target,  # pyright: ignore[reportArgumentType]  (it is resolved once for all)
                    **self._options,
                    device=self.device,
                    expected=self._expected,
                    on_fail="record",
                    callback=self._listen,
                )
            except Exception as error:
                self._error = error
                raise
            self._results = {result.law: result for result in found}
        return self._results

    def notes(self, result: Result) -> list[str]:
        """How to see a violation again."""
        notes = []
        if result.minimal is not None and self._report is not None:
            if result.minimal.stored is None:
                notes.append(replay_line(result, self._report))
            notes.append(f"reproduction:\n{result.minimal.code}")
        if self._page is not None:
            anchor = "" if result.replay_id is None else f"#{result.replay_id}"
            notes.append(f"picture: {self._page.path}{anchor}")
        return notes

    def _listen(self, event: Event) -> None:
        if not isinstance(event, RunFinished):
            return
        self._report = event.report
        if self._settings.report is None:
            return
        from segpaste.testing.html_report import HtmlReporter

        folder = self._settings.report / _slug(f"{self.test}-{self.name}-{self.device}", 200)
        HtmlReporter(folder)(event)
        title = f"{self.name} on {self.device} ({self.test})"
        self._page = Page(str(folder / "index.html"), title, verdict(event.report.targets[0]))
        self._settings.pages.append(self._page)


def _carried(
    laws: Sequence[str], target: Target, modalities: Sequence[str | Iterable[Modality]] | None
) -> list[str]:
    """Those of the laws whose modalities some example is going to have."""
    sets = LEGAL_MODALITY_SETS if modalities is None else parse_modalities(modalities)
    if isinstance(target, Augmentation) and target.accepts is not None:
        sets = [one for one in sets if one <= target.accepts.modalities | {Modality.IMAGE}]
    return [law for law in laws if law not in LAWS or any(LAWS[law].needs <= one for one in sets)]


def _names(targets: Sequence[Target]) -> list[str]:
    """A short name for every target, all different."""
    names: list[str] = []
    for target in targets:
        short = target.name.partition(":")[2] or target.name
        if "(" not in short:
            short = short.rpartition(".")[2]
        name = plain = _slug(short, 60)
        number = 2
        while name in names:
            name, number = f"{plain}_{number}", number + 1
        names.append(name)
    return names


def _slug(text: str, most: int) -> str:
    return re.sub(r"[^\w.=+-]+", "_", text).strip("_")[:most] or "augmentation"
