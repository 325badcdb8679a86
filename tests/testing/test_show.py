"""``segpaste show``: one picture of whatever is stored, as a file and in the terminal."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st
from PIL import Image

from segpaste.cli import main
from segpaste.cli.show import escape_codes, terminal_protocol
from segpaste.strategies import PasteCase, dense_samples, paste_cases
from segpaste.testing import save_sample
from segpaste.testing.examples import Example
from segpaste.testing.stored import StoredViolation, write_violation
from segpaste.types import LEGAL_MODALITY_SETS, DenseSample
from segpaste.viz import draw_samples, png_bytes

RICHEST = max(LEGAL_MODALITY_SETS, key=len)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGPASTE_REPLAYS", str(tmp_path / "replays"))
    for name in ("TERM", "TERM_PROGRAM", "KITTY_WINDOW_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def sample() -> DenseSample:
    """A sample with every modality, two rows and a normal."""

    def told_apart(sample: DenseSample) -> bool:
        return len(sample) == 2 and bool(torch.as_tensor(sample.normals).any())

    return find(dense_samples(RICHEST), told_apart, settings=settings(database=None))


@pytest.fixture(scope="module")
def batch() -> PasteCase:
    """Two targets."""
    return find(paste_cases(RICHEST), lambda c: c.target.batch_size == 2, settings=settings(database=None))


def _violation(case: PasteCase, *, takes_donor: bool = True) -> StoredViolation:
    return StoredViolation(
        replay_id="0a1b2c3d",
        law="instance.boxes_are_tight",
        law_kind="sample",
        statement="a law",
        message="[instance.boxes_are_tight] row 0: box (0, 0, 2, 1), mask spans (1, 0, 2, 1)",
        where="drawn",
        target="batched",
        spec="batched",
        kind="paste",
        takes_donor=takes_donor,
        planned=True,
        index=1,
        example=Example(case.target, case.source, case.plan, case.config, case.seed),
    )


def test_a_sample_is_drawn_beside_its_file(
    sample: DenseSample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_sample("mine.safetensors", sample)
    assert main(["show", "mine.safetensors"]) == 0
    assert capsys.readouterr().out == "wrote mine.safetensors.png\n"
    picture = _opened(tmp_path / "mine.safetensors.png")
    assert picture.tobytes() == draw_samples({"mine.safetensors": sample}).tobytes()


def test_every_field_has_a_panel_of_its_own(sample: DenseSample) -> None:
    sizes = [
        draw_samples(
            {"s": DenseSample.unchecked(**{n: v for n, v in sample.to_dict().items() if n in names})}
        )
        for names in _growing(sample)
    ]
    areas = [picture.width * picture.height for picture in sizes]
    assert areas == sorted(set(areas))


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
    return picture


def _growing(sample: DenseSample) -> Iterator[set[str]]:
    names = {"image"}
    yield set(names)
    for more in (
        {"boxes", "labels", "instance_ids", "instance_masks"},
        {"semantic_map"},
        {"panoptic_map"},
        {"depth", "depth_valid"},
        {"normals"},
    ):
        names |= more
        yield set(names)
    assert sample.active_modalities() == RICHEST


def test_what_changes_in_a_field_changes_the_picture(sample: DenseSample) -> None:
    drawn = draw_samples({"s": sample}).tobytes()
    changes = {
        "image": sample.image.as_subclass(torch.Tensor).flip(0) + 1,
        "boxes": sample.boxes.as_subclass(torch.Tensor) + 1,
        "labels": sample.labels + 1,
        "instance_masks": ~torch.as_tensor(sample.instance_masks),
        "semantic_map": torch.as_tensor(sample.semantic_map) + 1,
        "panoptic_map": torch.as_tensor(sample.panoptic_map) + 1,
        "depth_valid": ~torch.as_tensor(sample.depth_valid),
        "normals": torch.as_tensor(sample.normals) * 0,
    }
    same = [
        name
        for name, value in changes.items()
        if draw_samples({"s": DenseSample.unchecked(**sample.to_dict() | {name: value})}).tobytes() == drawn
    ]
    assert same == []


@settings(max_examples=20)
@given(st.sampled_from(LEGAL_MODALITY_SETS).flatmap(dense_samples))
def test_any_sample_can_be_drawn(sample: DenseSample) -> None:
    picture = draw_samples({"sample": sample}, caption="a caption")
    assert 420 <= picture.width <= 1400


def test_the_offending_sample_of_a_batch_is_drawn_or_the_one_asked_for(
    batch: PasteCase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    violation = _violation(batch)
    (tmp_path / "replays").mkdir()
    write_violation(tmp_path / "replays" / "0a1b2c3d.safetensors", violation)
    assert main(["show", "0a1b", "--out", "second.png"]) == 0
    assert main(["show", "0a1b", "--out", "also.png", "--index", "1"]) == 0
    assert main(["show", "0a1b", "--out", "first.png", "--index", "0"]) == 0
    second, also, first = ((tmp_path / f"{n}.png").read_bytes() for n in ("second", "also", "first"))
    assert second == also != first
    capsys.readouterr()
    assert main(["show", "0a1b", "--index", "2"]) == 2
    assert capsys.readouterr().err == "segpaste: --index: got 2, expected 0 to 1\n"


def test_a_donor_that_takes_no_part_is_not_drawn(batch: PasteCase, tmp_path: Path) -> None:
    for takes_donor in (True, False):
        write_violation(tmp_path / f"{takes_donor}.safetensors", _violation(batch, takes_donor=takes_donor))
        assert main(["show", f"{takes_donor}.safetensors"]) == 0
    with_donor, alone = (_opened(tmp_path / f"{b}.safetensors.png").height for b in (True, False))
    assert with_donor > alone + 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.safetensors"], "none.safetensors: cannot be read: No such file or directory"),
        (["text.safetensors"], "text.safetensors: damaged, or no safetensors file"),
        (["abc"], "abc: no violation of that id in"),
        (["mine.safetensors", "--index", "1"], "--index: got 1, but mine.safetensors holds one sample"),
        (["mine.safetensors", "--out", "no/such.png"], "--out: cannot write no/such.png: No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_exits_with_2_and_one_line(
    arguments: list[str],
    message: str,
    sample: DenseSample,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_sample("mine.safetensors", sample)
    (tmp_path / "text.safetensors").write_text("nothing of the kind")
    assert main(["show", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("segpaste: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({}, None),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "dumb", "TERM_PROGRAM": "Apple_Terminal"}, None),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "screen-256color", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "tmux"}, None),
    ],
    ids=str,
)
def test_a_terminal_is_known_by_its_variables(environment: dict[str, str], protocol: str | None) -> None:
    assert terminal_protocol(environment) == protocol


@pytest.mark.parametrize("length", [1, 3071, 3072, 3073, 10_000])
def test_the_codes_hold_the_picture(length: int) -> None:
    data = bytes(n % 251 for n in range(length))
    (code,) = escape_codes(data, "iterm")
    head, _, text = code.removesuffix("\x07").partition(":")
    assert head == f"\x1b]1337;File=inline=1;size={length};preserveAspectRatio=1"
    assert base64.b64decode(text, validate=True) == data
    pieces = [re.fullmatch(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", c) for c in escape_codes(data, "kitty")]
    texts = [piece.group(2) for piece in pieces if piece is not None]
    keys = [piece.group(1) for piece in pieces if piece is not None]
    assert len(texts) == len(pieces)
    assert max(map(len, texts)) <= 4096
    assert all(len(text) % 4 == 0 for text in texts)
    assert base64.b64decode("".join(texts), validate=True) == data
    more = ["1"] * (len(keys) - 1) + ["0"]
    assert keys == [f"{'a=T,f=100,' if n == 0 else ''}m={m}" for n, m in enumerate(more)]


def test_a_terminal_that_can_gets_the_picture_too(
    sample: DenseSample, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_sample("mine.safetensors", sample)
    png = png_bytes(draw_samples({"mine.safetensors": sample}))
    monkeypatch.setenv("TERM_PROGRAM", "iTerm.app")
    wanted = "".join(escape_codes(png, "iterm")) + "\nwrote mine.safetensors.png\n"
    plain = "wrote mine.safetensors.png\n"
    for is_terminal, options, expected in (
        (True, [], wanted),
        (True, ["--no-inline"], plain),
        (False, [], plain),
        (False, ["--inline"], wanted),
    ):
        monkeypatch.setattr("sys.stdout.isatty", lambda answer=is_terminal: answer, raising=False)
        assert main(["show", "mine.safetensors", *options]) == 0
        assert capsys.readouterr().out == expected
    monkeypatch.delenv("TERM_PROGRAM")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert main(["show", "mine.safetensors"]) == 0
    assert capsys.readouterr().out == plain


def test_a_picture_needs_a_sample() -> None:
    with pytest.raises(ValueError, match="samples: got none, expected at least one"):
        draw_samples({})
