"""The commands and their options; what they do is imported when they are called."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from segpaste.cli.bank import bank_app

PASSED, VIOLATED, WRONG_USAGE, INTERNAL_ERROR, INTERRUPTED = 0, 1, 2, 70, 130

app = typer.Typer(
    name="segpaste",
    help="Copy-paste for dense labels, and the laws that prove it right.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(bank_app)


class UsageError(Exception):
    """A wrong use of the command line, in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 if all laws hold, 1 if some are violated or a bank is damaged, 2 on wrong usage (one
        line on standard error), 70 after an internal error (its traceback on standard error),
        130 when interrupted.
    """
    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except UsageError as error:
        return _fail(str(error), WRONG_USAGE)
    except Exception as error:
        # Typer's own errors come from click or from a copy inside typer, by version.
        message = getattr(error, "format_message", None)
        if type(error).__name__ == "Abort":
            return _fail("interrupted", INTERRUPTED)
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error)
            return WRONG_USAGE
        if message is None:
            # Python's own exit code for an exception is 1, which would say "violated".
            traceback.print_exc()
            return _fail("internal error: no verdict", INTERNAL_ERROR)
        text = message().rstrip()
        stop = "" if text.endswith((".", "?", "!")) else "."
        return _fail(f"{text}{stop} See `segpaste --help`.", WRONG_USAGE)
    return code if isinstance(code, int) else PASSED


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    print(f"segpaste: {line}", file=sys.stderr)
    return code


def _version(wanted: bool) -> None:
    if wanted:
        from segpaste.version import VERSION

        print(f"segpaste {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def verify(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TARGET]...",
            help="module:attribute or 'module:Call(argument=1)' of an augmentation: a callable "
            "(target, donor, seed) -> sample or (sample, audit), or an object of torchvision.transforms.v2, "
            "albumentations, kornia.augmentation, ultralytics.data.augment or mmdet.datasets.transforms. "
            "Or the name of a built-in executor: reference, batched (BatchCopyPaste), rectangle, graph, "
            "fused. The first two by default.",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="paste|geometric|photometric",
            help="What the targets do; what a library's own classes say by default, else paste.",
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="DIR", help="Folder of real data; may be given several times."),
    ] = None,
    modalities: Annotated[
        list[str] | None,
        typer.Option(
            "--modalities",
            metavar="SET[,SET]...",
            help="Modality sets such as instance+semantic+depth. All 16 by default.",
        ),
    ] = None,
    examples: Annotated[
        int | None,
        typer.Option(
            "--examples",
            metavar="N",
            help="Drawn examples per target, and as many of real data. 200 and, of the demo "
            "photographs, 100 by default.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Decides every example.")] = 0,
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda", help="Where to run.")] = "cpu",
    only: Annotated[
        str, typer.Option("--only", metavar="GLOB", help="Laws to judge by, such as 'instance.*'.")
    ] = "*",
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="DIR", help="Write a report with pictures to DIR/index.html."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the results as JUnit XML.")
    ] = None,
    xfails: Annotated[
        Path | None,
        typer.Option(
            "--xfails",
            metavar="FILE",
            help="YAML of laws known to be broken, 'target: {law: reason}'. Strict: one that holds fails.",
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out records that cannot be read, and count them.")
    ] = False,
) -> int:
    """Judge augmentations by every law, on drawn scenes and on real data.

    Without --data the real data are the photographs in the scikit-image wheel.
    """
    from segpaste.cli.verify import Request, run_verify

    return run_verify(
        Request(
            targets=tuple(targets or ()),
            data=tuple(data or ()),
            modalities=tuple(part for given in modalities or () for part in given.split(",")),
            examples=examples,
            seed=seed,
            device=device,
            only=only,
            json=json,
            html=html,
            junit=junit,
            kind=kind,
            xfails=xfails,
            skip_bad=skip_bad,
        )
    )


@app.command()
def laws(
    only: Annotated[
        str, typer.Option("--only", metavar="GLOB", help="Laws to list, such as 'depth.*'.")
    ] = "*",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """List the laws: statement, modalities, how they are broken in the wild, what they caught."""
    from segpaste.cli.laws import list_laws

    return list_laws(only, as_json=json)


@app.command()
def replay(
    violation: Annotated[
        str, typer.Argument(metavar="ID|FILE", help="A replay id, the beginning of one, or a file.")
    ],
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="SPEC", help="What to run instead of the target it was found in."),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="cpu|cuda", help="Where to run; as before by default.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="DIR", help="Write a page with the picture to DIR.")
    ] = None,
    promote: Annotated[
        bool, typer.Option("--promote", help="Write it as a regression test, with its input beside it.")
    ] = False,
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Where the test is written.")] = Path(
        "tests/regressions"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace a test that is there already.")] = False,
) -> int:
    """Run a violation again that `verify` found: still failing (exit code 1), or fixed (0).

    Violations are kept in .segpaste/replays, or in the folder that SEGPASTE_REPLAYS names.
    """
    from segpaste.cli.replay import replay_one

    return replay_one(
        violation, target=target, device=device, html=html, promote=promote, into=into, force=force
    )


@app.command()
def show(
    file: Annotated[str, typer.Argument(metavar="ID|FILE", help="A stored sample or violation.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PNG", help="The picture; FILE.png by default.")
    ] = None,
    index: Annotated[
        int | None, typer.Option("--index", metavar="N", help="Which sample of a batch; the one at fault.")
    ] = None,
    inline: Annotated[
        bool | None,
        typer.Option("--inline/--no-inline", help="Show it in the terminal; where that is known to work."),
    ] = None,
) -> int:
    """Draw a stored sample or violation: image, instances, maps, depth, normals and boxes."""
    from segpaste.cli.show import show as show_one

    return show_one(file, out=out, index=index, inline=inline)


@app.command()
def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Print this one, as YAML to start one's own from.")
    ] = None,
) -> int:
    """List the presets: configurations for known data sets."""
    from segpaste.cli.presets import list_all

    return list_all(name)


@app.command()
def audit(
    preset: Annotated[
        str, typer.Option("--preset", metavar="NAME|FILE", help="A preset's name, or a YAML file with one.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="A new folder, or an earlier audit to replace.")
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="DIR", help="Folder of real data; may be given several times."),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", help="Samples of each set; all are judged.")
    ] = 16,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Decides everything random.")] = 0,
    gallery: Annotated[int, typer.Option("--gallery", metavar="N", help="How many of them are drawn.")] = 8,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="S|HxW", help="Jitter to this canvas, not to the preset's."),
    ] = None,
    jitter: Annotated[
        bool, typer.Option("--jitter/--no-jitter", help="Whether to jitter before the paste.")
    ] = True,
    relabel: Annotated[
        bool,
        typer.Option("--relabel", help="Give the data the preset's classes, whatever they mean there."),
    ] = False,
    bank: Annotated[
        Path | None,
        typer.Option("--bank", metavar="BANK", help="Donors; by default crops of the data themselves."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out records that cannot be read, and count them.")
    ] = False,
) -> int:
    """Run a preset over data: every law on every sample, statistics, and a gallery to look at.

    Without --data the data are drawn scenes, and the photographs in the scikit-image wheel.
    """
    from segpaste.cli.audit import AuditRequest, run_command

    return run_command(
        AuditRequest(
            preset=preset,
            out=out,
            data=tuple(data or ()),
            samples=samples,
            seed=seed,
            gallery=gallery,
            size=size,
            jitter=jitter,
            relabel=relabel,
            bank=bank,
            skip_bad=skip_bad,
        )
    )
