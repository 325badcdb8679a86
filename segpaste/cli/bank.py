"""The commands ``segpaste bank ...`` and their options; what they do is imported when they are called."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

bank_app = typer.Typer(
    name="bank",
    help="Banks of crops: build one from COCO annotations, look at it, check it, draw from it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Bank = Annotated[Path, typer.Argument(metavar="BANK", help="The folder of a bank.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Seed = Annotated[int, typer.Option("--seed", metavar="S", help="Decides which crops are drawn.")]
_Columns = Annotated[
    int | None, typer.Option("--columns", metavar="N", help="Crops to a row of the picture.")
]
_Top = Annotated[int | None, typer.Option("--top", metavar="N", help="List the N classes of most crops.")]
_Rare = Annotated[int | None, typer.Option("--rare", metavar="N", help="List the N classes of fewest crops.")]
_Backend = Annotated[
    str,
    typer.Option(
        "--backend",
        metavar="memmap|lmdb|webdataset",
        help="How it is stored: NumPy files, one LMDB file, or WebDataset shards.",
    ),
]


@bank_app.callback()
def _every_command() -> None:
    # Names of classes and files are anybody's; what the terminal cannot show is escaped.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@bank_app.command()
def build(
    annotations: Annotated[
        Path,
        typer.Argument(metavar="COCO_JSON", help="Instances; with --panoptic, panoptic annotations."),
    ],
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="The folder of the images.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The bank, a new folder.")],
    crop_size: Annotated[
        str,
        typer.Option("--crop-size", metavar="S|HxW", help="Size of every crop: 128, or height x width."),
    ],
    backend: _Backend = "memmap",
    min_area: Annotated[
        int,
        typer.Option("--min-area", metavar="N", help="Leave out objects of fewer pixels in the image."),
    ] = 0,
    panoptic: Annotated[
        Path | None,
        typer.Option("--panoptic", metavar="DIR", help="The PNG folder of panoptic annotations."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option("--engine", metavar="local|ray", help="Processes of this machine, or a Ray cluster."),
    ] = "local",
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", help="Processes, or tasks of Ray at a time.")
    ] = 1,
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address", metavar="A", help="The cluster, or 'auto'; a Ray of its own by default."
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", metavar="NAME", help="Name noted in every crop; that of COCO_JSON by default."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="The model whose pseudo-labels these are, noted too."),
    ] = None,
    oversize: Annotated[
        str,
        typer.Option(
            "--oversize", metavar="shrink|skip", help="Objects larger than a crop: made smaller, or left out."
        ),
    ] = "shrink",
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Leave out images and annotations that cannot be read, and count."),
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Throw away what an interrupted build has left, and start anew.")
    ] = False,
) -> int:
    """Cut objects out of COCO images into a bank.

    Each comes with its surroundings. An interrupted build goes on where it stopped, with the
    same command. OUT appears when it is whole.
    """
    from segpaste.cli.bank_build import BuildRequest, run_build

    return run_build(
        BuildRequest(
            annotations=annotations,
            images=images,
            out=out,
            crop_size=crop_size,
            backend=backend,
            min_area=min_area,
            panoptic=panoptic,
            engine=engine,
            workers=workers,
            ray_address=ray_address,
            dataset=dataset,
            model=model,
            oversize=oversize,
            skip_bad=skip_bad,
            fresh=fresh,
        )
    )


@bank_app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="BANK", help="The bank that is read.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new one, a new folder.")],
    backend: _Backend,
) -> int:
    """Write a bank into another backend, crop by crop the same."""
    from segpaste.cli.bank_build import run_convert

    return run_convert(source, out, backend)


@bank_app.command()
def info(
    bank: _Bank,
    top: _Top = None,
    rare: _Rare = None,
    threshold: Annotated[
        float,
        typer.Option("--threshold", metavar="T", help="Repeat factors as BankSampler has them at T."),
    ] = 1e-3,
    json: _Json = False,
) -> int:
    """Say what a bank holds, and how much of each class."""
    from segpaste.cli.bank_info import show_info

    return show_info(bank, top=top, rare=rare, threshold=threshold, as_json=json)


@bank_app.command()
def verify(bank: _Bank, json: _Json = False) -> int:
    """Check every byte of a bank against its checksums.

    Exit status 0 if all agree, 1 with every problem listed.
    """
    from segpaste.cli.bank_info import run_verify_bank

    return run_verify_bank(bank, as_json=json)


@bank_app.command()
def show(
    bank: _Bank,
    out: Annotated[Path, typer.Option("--out", metavar="PNG", help="The picture.")],
    indices: Annotated[
        str | None,
        typer.Option("--indices", metavar="N[,N]...", help="Numbers of crops, drawn in this order."),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME|ID", help="Crops of this class; may be given several times."),
    ] = None,
    seed: _Seed = 0,
    count: Annotated[int, typer.Option("--count", metavar="N", help="How many crops.")] = 64,
    columns: _Columns = None,
    depth: Annotated[
        bool, typer.Option("--depth", help="Depth and normals beside the crops that carry them.")
    ] = False,
) -> int:
    """Draw crops into a picture, a contact sheet.

    Each in its surroundings and alone, with class, number and origin. Without --indices the
    crops are drawn at random, each as likely as any other, and sorted by class.
    """
    from segpaste.cli.bank_show import ShowRequest, show_crops

    return show_crops(
        ShowRequest(
            bank=bank,
            out=out,
            indices=indices,
            classes=tuple(classes or ()),
            seed=seed,
            count=count,
            columns=columns,
            depth=depth,
        )
    )


@bank_app.command()
def sample(
    bank: _Bank,
    count: Annotated[int, typer.Option("--count", metavar="N", help="How many draws.")] = 10_000,
    threshold: Annotated[
        float,
        typer.Option("--threshold", metavar="T", help="t of the repeat factors, above 0 and at most 1."),
    ] = 1e-3,
    seed: _Seed = 0,
    top: _Top = None,
    rare: _Rare = None,
    json: _Json = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PNG", help="Draw the first crops as a contact sheet, too."),
    ] = None,
    columns: _Columns = None,
) -> int:
    """Draw as training does, and compare shares of classes.

    Compared are each class's share of the draws and what its repeat factor asks for.
    """
    from segpaste.cli.bank_sample import SampleRequest, sample_crops

    return sample_crops(
        SampleRequest(
            bank=bank,
            count=count,
            threshold=threshold,
            seed=seed,
            top=top,
            rare=rare,
            as_json=json,
            out=out,
            columns=columns,
        )
    )
