"""The pytest plugin: where, how often and by which profile laws are judged, and what is kept.

Every test suite on a machine where segpaste is installed loads it, so it imports nothing
heavy: torch only once CUDA is asked for, Hypothesis only once a profile is.
"""

from __future__ import annotations

import html
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from segpaste.testing.expected import XfailsError, load_xfails, stale
from segpaste.testing.files import write_whole
from segpaste.version import VERSION

DEVICES = ("cpu", "cuda")
PROFILES = ("dev", "ci", "nightly", "gpu")

EXAMPLES_OF_PROFILE: Mapping[str, int] = {"dev": 50, "ci": 200, "nightly": 2000, "gpu": 200}
"""Drawn examples per augmentation of ``parametrize_with_invariants``, where nothing else says how many."""

_OPTIONS = {
    "device": ("cpu[,cuda]", "devices on which @parametrize_with_invariants judges"),
    "examples": ("N", "drawn examples per augmentation and device"),
    "profile": ("|".join(PROFILES), "Hypothesis profile and number of examples that go together"),
    "xfails": ("FILE", "YAML file of expected failures, `target: {law: reason}`"),
    "report": ("DIR", "write a page with pictures for every augmentation judged"),
}

_MARKERS = (
    "gpu: needs a CUDA device; the device is waited for before and after the test",
    "parity: compares two executors of the same thing bit by bit",
    "snapshot: compares with results that were stored",
)


class Page(NamedTuple):
    """A page of the report: its file, what was judged, and the verdict in words."""

    path: str
    title: str
    verdict: str


@dataclass(eq=False)
class Settings:
    """What the options say.

    Attributes:
        devices: where augmentations are judged.
        examples: drawn examples per augmentation and device; None leaves it to the test.
        profile: name of the profile; None is the suite's own.
        xfails: target -> law -> reason.
        xfails_file: where they were read.
        report: folder for pages.
        pages: the pages written so far.
    """

    devices: tuple[str, ...] = ("cpu",)
    examples: int | None = None
    profile: str | None = None
    xfails: dict[str, dict[str, str]] = field(default_factory=dict)
    xfails_file: Path | None = None
    report: Path | None = None
    pages: list[Page] = field(default_factory=list)


_ACTIVE: list[Settings] = []
_KEY = pytest.StashKey[Settings]()
_STALE = pytest.StashKey[list[str]]()


def current_settings() -> Settings:
    """What the options of the pytest run say; the defaults where the plugin does not run."""
    return _ACTIVE[-1] if _ACTIVE else Settings()


def register_profiles() -> None:
    """Register the Hypothesis profiles ``segpaste-dev``, ``-ci``, ``-nightly`` and ``-gpu``.

    Each sets derandomize, deadline, database and print_blob, all four: where the variable CI
    is set Hypothesis starts from a profile of its own, and what is left out comes from there.
    Nothing is loaded: ``settings.load_profile("segpaste-ci")`` does that.
    """
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.database import DirectoryBasedExampleDatabase

    database = DirectoryBasedExampleDatabase(".hypothesis/examples")
    # Without the explain phase, which takes most of the time of a failure.
    phases = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]
    for name, examples, random in (
        ("dev", 50, True),
        ("ci", 100, False),
        ("nightly", 2000, True),
        ("gpu", 200, False),
    ):
        profile = settings(
            max_examples=examples,
            derandomize=not random,
            deadline=None,
            database=database if random else None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow],  # judges the machine, not the strategy
            phases=phases,
        )
        settings.register_profile(f"segpaste-{name}", profile)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every option has a variable, which counts where the option is not given."""
    group = parser.getgroup("segpaste", "laws of augmentations (segpaste)")
    for name, (metavar, text) in _OPTIONS.items():
        group.addoption(
            f"--segpaste-{name}", metavar=metavar, default=None, help=f"{text}; or SEGPASTE_{name.upper()}"
        )


def pytest_configure(config: pytest.Config) -> None:
    """Read the options; a bad value is one line, and nothing runs."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    settings = _settings(config)
    if "cuda" in settings.devices:
        _demand_cuda(config)
    if settings.profile is not None:
        _load_profile(settings.profile)
    config.stash[_KEY] = settings
    config.stash[_STALE] = []
    _ACTIVE.append(settings)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Forget them: a run inside a run (pytester) has settings of its own."""
    settings = config.stash.get(_KEY, None)
    if settings is not None and settings in _ACTIVE:
        _ACTIVE.remove(settings)


def pytest_report_header(config: pytest.Config) -> str:
    """Versions, devices, profile and where the examples come from."""
    settings = config.stash[_KEY]
    parts = [f"torch {_version('torch')}", f"device {', '.join(_device_names(settings))}"]
    parts.append(_profile_line(settings.profile))
    parts.append("augmentations: seed 0, the same examples every run")
    if settings.xfails_file is not None:
        parts.append(f"xfails {settings.xfails_file}")
    return f"segpaste {VERSION}: {'; '.join(parts)}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Refuse stale expected failures; keep what shares a run on one worker, if xdist is asked to."""
    settings = config.stash[_KEY]
    checks = [(item, check) for item in items if (check := _check_of(item)) is not None]
    if config.pluginmanager.hasplugin("xdist"):
        for item, check in checks:
            item.add_marker(pytest.mark.xdist_group(f"{check.test}-{check.augmentation_name}-{check.device}"))
    if settings.xfails_file is None or session.testsfailed:
        return
    lines = _stale_lines(config, settings, [check for _, check in checks])
    if lines and hasattr(config, "workerinput"):
        config.stash[_STALE] += lines  # a worker that refuses would look like one that crashed
    elif lines:
        raise pytest.UsageError(_stale_message(settings, lines))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a ``gpu`` test where there is no CUDA device; a run that asked for CUDA never gets here."""
    torch = _torch_of_gpu_test(item)
    if torch is not None and not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Wait for the GPU around a ``gpu`` test, so that no error of one is blamed on the next."""
    torch = _torch_of_gpu_test(item)
    if torch is not None:
        torch.cuda.synchronize()
    try:
        return (yield)
    finally:
        torch = _torch_of_gpu_test(item)
        if torch is not None:
            torch.cuda.synchronize()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    """Take over what an xdist worker has to tell."""
    output = getattr(node, "workeroutput", {})
    settings = node.config.stash[_KEY]
    settings.pages += [Page(*page) for page in output.get("segpaste_pages", ())]
    lines = node.config.stash[_STALE]
    lines += [line for line in output.get("segpaste_stale", ()) if line not in lines]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the index of the pages; hand both over to the controller, in an xdist worker."""
    config = session.config
    settings = config.stash[_KEY]
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is not None:
        output["segpaste_pages"] = [tuple(page) for page in settings.pages]
        output["segpaste_stale"] = config.stash[_STALE]
        return
    if config.stash[_STALE]:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
    if settings.report is not None and settings.pages:
        write_whole(settings.report / "index.html", index_page(settings.pages, settings.report))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say where the report is, and what the workers found stale."""
    settings = config.stash[_KEY]
    if settings.report is not None and settings.pages:
        terminalreporter.write_line(f"segpaste: report in {settings.report / 'index.html'}")
    if config.stash[_STALE]:
        terminalreporter.write_line(f"ERROR: {_stale_message(settings, config.stash[_STALE])}", red=True)


def index_page(pages: Sequence[Page], folder: Path) -> str:
    """HTML that links the pages, each once: two xdist workers may have written the same."""
    rows = []
    for page in sorted({page.path: page for page in pages}.values()):
        link = html.escape(Path(os.path.relpath(page.path, folder)).as_posix())
        rows.append(f'<li><a href="{link}">{html.escape(page.title)}</a>: {html.escape(page.verdict)}</li>')
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>segpaste</title>'
        '<meta name="color-scheme" content="light dark">'
        "<style>body { font: 16px/1.6 system-ui, sans-serif; margin: 2em; }</style></head>\n"
        f"<body><h1>Augmentations judged</h1>\n<ul>\n{chr(10).join(rows)}\n</ul></body></html>\n"
    )


def _settings(config: pytest.Config) -> Settings:
    values = {name: _value(config, name) for name in _OPTIONS}
    settings = Settings()
    said, profile = values["profile"]
    if profile is not None:
        if profile not in PROFILES and not _is_own_profile(profile):
            raise pytest.UsageError(f"{said}: got {profile!r}, expected one of {', '.join(PROFILES)}")
        settings.profile = profile
        if profile == "gpu":
            settings.devices = ("cuda",)
        settings.examples = EXAMPLES_OF_PROFILE.get(profile)
    said, devices = values["device"]
    if devices is not None:
        names = tuple(dict.fromkeys(name.strip() for name in devices.split(",")))
        if not set(names) <= set(DEVICES):
            raise pytest.UsageError(f"{said}: got {devices!r}, expected cpu, cuda or cpu,cuda")
        settings.devices = names
    said, examples = values["examples"]
    if examples is not None:
        if not examples.isdecimal() or int(examples) < 1:
            raise pytest.UsageError(f"{said}: got {examples!r}, expected a whole number, 1 or more")
        settings.examples = int(examples)
    said, file = values["xfails"]
    if file is not None:
        try:
            settings.xfails, settings.xfails_file = load_xfails(_path(config, file)), Path(file)
        except XfailsError as error:
            raise pytest.UsageError(f"{said}: {error}") from None
    said, folder = values["report"]
    if folder is not None:
        settings.report = _path(config, folder)
        try:
            settings.report.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise pytest.UsageError(f"{said}: got {folder}, expected a folder: {error.strerror}") from None
    return settings


def _value(config: pytest.Config, name: str) -> tuple[str, str | None]:
    """Which option or variable speaks, and what it says; the command line goes first."""
    option, variable = f"--segpaste-{name}", f"SEGPASTE_{name.upper()}"
    given = config.getoption(f"segpaste_{name}")
    if given is not None:
        return option, given
    return variable, os.environ.get(variable) or None


def _path(config: pytest.Config, text: str) -> Path:
    return config.invocation_params.dir / text


def _is_own_profile(name: str) -> bool:
    """Whether the suite itself has registered a Hypothesis profile of that name."""
    if "hypothesis" not in sys.modules:
        return False
    from hypothesis import settings
    from hypothesis.errors import InvalidArgument

    try:
        settings.get_profile(name)
    except InvalidArgument:
        return False
    return True


def _load_profile(name: str) -> None:
    from hypothesis import settings

    register_profiles()
    settings.load_profile(f"segpaste-{name}" if name in PROFILES else name)


def _demand_cuda(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.getoption("dist", "no") != "no":
        raise pytest.UsageError(
            "--segpaste-device: got cuda with xdist, expected cpu, or a run without -n: "
            "processes that share a GPU are no faster, and an error of one breaks the others"
        )
    try:
        import torch
    except ImportError:
        raise pytest.UsageError("--segpaste-device: got cuda, but torch cannot be imported") from None
    if not torch.cuda.is_available():
        raise pytest.UsageError("--segpaste-device: got cuda, but torch finds no CUDA device; expected cpu")


def _device_names(settings: Settings) -> list[str]:
    if "cuda" not in settings.devices:
        return list(settings.devices)
    import torch

    name = f"cuda ({torch.cuda.get_device_name()})"
    return [name if device == "cuda" else device for device in settings.devices]


def _profile_line(name: str | None) -> str:
    if name is None:
        return "profile: the suite's own"
    if name not in PROFILES:
        return f"profile {name} (the suite's own)"
    kept = "random, kept in a database" if name in ("dev", "nightly") else "the same examples every run"
    return f"profile segpaste-{name} ({kept})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _torch_of_gpu_test(item: pytest.Item) -> Any:
    """torch, for a test marked ``gpu``; None if it is not, or if nobody has imported torch.

    The marker's name is common: a suite that has its own meaning for it, and no torch, is
    left alone.
    """
    return sys.modules.get("torch") if item.get_closest_marker("gpu") is not None else None


def _check_of(item: pytest.Item) -> Any:
    """The check that ``parametrize_with_invariants`` gave to a test, if it did."""
    module = sys.modules.get("segpaste.testing.parametrize")
    callspec = getattr(item, "callspec", None)
    check = None if callspec is None else callspec.params.get("check")
    return check if module is not None and isinstance(check, module.Check) else None


def _stale_lines(config: pytest.Config, settings: Settings, checks: Sequence[Any]) -> list[str]:
    from segpaste.testing.judge import every_law

    names = {name for check in checks for name in check.names}
    if not _is_whole_suite(config):
        names |= set(settings.xfails)  # the others may be elsewhere
    return stale(settings.xfails, names, every_law())


def _stale_message(settings: Settings, lines: Sequence[str]) -> str:
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"{settings.xfails_file}: {lines[0]}{more}"


def _is_whole_suite(config: pytest.Config) -> bool:
    """Whether every folder of tests was collected: no path on the command line left one out.

    What ``-k`` and ``-m`` deselect was collected all the same.
    """
    if any(config.getoption(name, None) for name in ("lf", "ignore", "ignore_glob", "stepwise")):
        return False
    root = config.rootpath
    patterns = config.getini("testpaths")
    folders = [path for pattern in patterns for path in root.glob(pattern)] or [root]
    given = [config.invocation_params.dir / arg for arg in config.args if "::" not in arg]
    return all(any(folder.is_relative_to(arg) for arg in given) for folder in folders)
