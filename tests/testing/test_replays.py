"""Kept violations: found by id, run again, promoted to regression tests."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from segpaste.cli import main
from segpaste.testing import check_augmentation
from segpaste.testing.replays import Replayed, StillFailingError, find, keep, replay, replays_folder
from segpaste.testing.results import Result
from segpaste.testing.stored import StoredFileError, read_violation, write_violation
from segpaste.testing.targets import Executor, resolve_target
from segpaste.types import DenseSample
from tests.testing.augmentations import identity, raises_with_rows

ROOT = Path(__file__).resolve().parents[2]
COMPLETES = "target.completes"
RAISES = "tests.testing.augmentations:raises_with_rows"
WRITES = "tests.testing.augmentations:writes_to_its_input"
STALE = "tests.faults_five:stale_boxes"
TIGHT = "instance.boxes_are_tight"


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that violations are kept in; nothing of the repository is written to."""
    monkeypatch.delenv("SEGPASTE_REPLAYS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".segpaste" / "replays"


@pytest.fixture(scope="module")
def violations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file for each way to be violated."""
    folder = tmp_path_factory.mktemp("violations")
    found = {}
    for name, aug, law, kind in (
        ("target", RAISES, COMPLETES, None),
        ("sample", STALE, TIGHT, None),
        ("paste", STALE, "instance.bbox_recomputed_from_mask", None),
        ("metamorphic", WRITES, "metamorphic.inputs_not_mutated", None),
        ("lambda", lambda target, donor, seed: raises_with_rows(target, donor, seed), COMPLETES, None),
        ("executor", Executor("batched", _stale_batches, "from x import y as apply"), TIGHT, None),
        ("geometric", "tests.testing.augmentations:returns_a_dict", COMPLETES, "geometric"),
    ):
        (result,) = _failed(aug, law, kind, folder)
        assert result.minimal is not None
        assert result.minimal.stored is not None
        found[name] = result.minimal.stored
    return found


def _failed(aug: Any, law: str, kind: Any, folder: Path) -> list[Result]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGPASTE_REPLAYS", str(folder))
        results = check_augmentation(
            aug, kind=kind, modalities=["instance"], examples=30, only=law, on_fail="record"
        )
    return [result for result in results if result.status == "failed"]


def _stale_batches(target: Any, source: Any, plan: Any, config: Any) -> Any:
    """An executor that leaves the boxes of what it covers as they were."""
    apply = resolve_target("batched")
    assert isinstance(apply, Executor)
    after, audit = apply.run(target, source, plan, config)
    boxes = torch.where(target.instance_valid[..., None], target.boxes, after.boxes)
    return replace(after, boxes=boxes * after.instance_valid[..., None]), audit


@pytest.mark.parametrize("name", ["target", "sample", "paste", "metamorphic", "geometric"])
def test_what_is_broken_is_still_failing(name: str, violations: dict[str, Path]) -> None:
    done = replay(violations[name])
    assert done.status == "still failing"
    assert done.message == done.was
    assert done.report is not None
    assert done.report.name == done.law == done.stored.law
    assert done.file == violations[name]
    assert done.picture().size > (100, 100)


@pytest.mark.parametrize("name", ["target", "sample", "paste", "metamorphic"])
def test_what_was_repaired_is_fixed(name: str, violations: dict[str, Path]) -> None:
    done = replay(violations[name], identity)
    assert done.status == "fixed"
    assert done.target == "tests.testing.augmentations:identity"
    assert done.was
    done.raise_unless_fixed()
    assert done.picture().size > (100, 100)


def test_an_executor_gets_the_batch_and_the_plan_it_had(violations: dict[str, Path]) -> None:
    wrong = Executor("batched", _stale_batches, "from x import y as apply")
    done = replay(violations["executor"], wrong)  # pyright: ignore[reportArgumentType]
    assert (done.status, done.message) == ("still failing", done.was)
    assert done.after is not None
    assert replay(violations["executor"]).status == "fixed"  # `batched` itself
    assert replay(violations["executor"], "reference").status == "fixed"
    other = replay(violations["executor"], identity)
    assert other.status == "error"
    assert other.message.endswith("is a callable (target, donor, seed), the violation is of an executor")


def test_a_lambda_must_be_given_again(violations: dict[str, Path]) -> None:
    done = replay(violations["lambda"])
    assert done.status == "error"
    assert "<lambda> has no name to import it by" in done.message
    assert done.report is None
    assert replay(violations["lambda"], raises_with_rows).status == "still failing"


def test_a_target_that_is_gone_is_an_error(violations: dict[str, Path]) -> None:
    done = replay(violations["target"], "no_such_module:paste")
    assert done.status == "error"
    assert "cannot import no_such_module" in done.message
    with pytest.raises(StillFailingError, match="error: target no_such_module:paste: cannot import"):
        done.raise_unless_fixed()


def test_a_law_that_is_gone_is_an_error(violations: dict[str, Path], tmp_path: Path) -> None:
    stored = read_violation(violations["sample"])
    path = tmp_path / "old.safetensors"
    write_violation(path, replace(stored, law="old.boxes_are_tight"))
    done = replay(path)
    assert (done.status, done.message) == (
        "error",
        "there is no law old.boxes_are_tight; is it instance.boxes_are_tight now?",
    )
    write_violation(path, replace(stored, law="old.unheard_of"))
    assert replay(path).message == "there is no law old.unheard_of; `segpaste laws` lists them"


def test_a_target_that_raises_where_another_law_was_broken_is_an_error(violations: dict[str, Path]) -> None:
    def raises(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
        raise KeyError("nobody expected this")

    done = replay(violations["sample"], raises)
    assert done.status == "error"
    assert "raised KeyError: 'nobody expected this'" in done.message


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_what_ran_on_a_gpu_is_not_judged_without_one(violations: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "gpu.safetensors"
    write_violation(path, replace(read_violation(violations["target"]), device="cuda"))
    done = replay(path)
    assert (done.status, done.message) == ("error", "it ran on cuda, but torch finds no CUDA device")
    assert replay(path, device="cpu").status == "still failing"


def test_a_violation_is_kept_as_it_is_found(kept: Path) -> None:
    results = check_augmentation(
        RAISES, modalities=["instance"], examples=20, only=COMPLETES, on_fail="record"
    )
    (result,) = results
    path = kept / f"{result.replay_id}.safetensors"
    assert path.is_file()
    assert (kept / ".gitignore").read_text() == "*\n"
    stored = read_violation(path)
    assert stored.law == COMPLETES
    assert f"[{COMPLETES}] {stored.message.partition('] ')[2]}" == result.violation
    assert stored.spec == stored.target == RAISES
    assert stored.versions["torch"] == version("torch")
    assert result.replay_id is not None
    assert replay(result.replay_id).status == "still failing"


def test_a_law_that_holds_leaves_nothing_behind(kept: Path) -> None:
    (result,) = check_augmentation(identity, modalities=["instance"], examples=2, only=COMPLETES)
    assert keep(resolve_target(identity), result) is None
    assert not kept.exists()


def test_the_folder_is_named_by_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGPASTE_REPLAYS", str(tmp_path / "elsewhere"))
    assert replays_folder() == tmp_path / "elsewhere"


def test_a_folder_that_cannot_be_written_to_is_told_of_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a_file").touch()
    folder = tmp_path / "a_file" / "replays"
    (result,) = _failed(RAISES, COMPLETES, None, folder)
    assert result.minimal is not None
    assert result.minimal.stored is None
    assert keep(resolve_target(RAISES), result, folder=folder) is None
    assert capsys.readouterr().err == (
        f"segpaste: violations are not kept: cannot write to {folder}: Not a directory\n"
    )


def test_an_id_may_be_abbreviated(violations: dict[str, Path], kept: Path) -> None:
    kept.mkdir(parents=True)
    for name in ("12345678", "12345abc", "f0000000"):
        shutil.copy(violations["target"], kept / f"{name}.safetensors")
    shutil.copy(violations["target"], kept / "notes.safetensors")
    assert find("f") == find("F0") == find("f0000000") == Path(".segpaste/replays/f0000000.safetensors")
    assert find("123456").stem == "12345678"
    with pytest.raises(StoredFileError, match="^1234: begins 2 replay ids: 12345678, 12345abc$"):
        find("1234")
    with pytest.raises(StoredFileError, match="^aa: no violation of that id in .*; kept there: 12345678, "):
        find("aa")
    with pytest.raises(StoredFileError, match="^zz: no such file, and no replay id: expected up to 8 hexa"):
        find("zz")
    assert find(str(kept / "notes.safetensors")) == kept / "notes.safetensors"


def test_nothing_kept_is_said_so() -> None:
    with pytest.raises(StoredFileError, match="nothing is kept there"):
        replay("abcd")


def test_the_command_exits_by_the_verdict(
    violations: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(violations["sample"])
    assert main(["replay", file, "--html", str(tmp_path / "page")]) == 1
    out = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"replay [0-9a-f]{{8}}: {TIGHT}", out[0])
    then, now = (line.split(":", 1)[1].strip() for line in out if line.startswith(("  then:", "  now:")))
    assert then == now
    assert then.startswith(f"[{TIGHT}] row ")
    assert out[-1] == "still failing"
    page = (tmp_path / "page" / "index.html").read_text()
    assert "data:image/png;base64," in page
    assert f"segpaste replay: {TIGHT}: still failing" in page
    assert main(["replay", file, "--target", "tests.testing.augmentations:identity"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "fixed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zz"], "zz: no such file, and no replay id"),
        (["no_such.safetensors"], "no_such.safetensors: cannot be read: No such file or directory"),
        (["FILE", "--target", "no_such_module:paste"], "error: target no_such_module:paste: cannot import"),
        (
            ["FILE", "--target", "reference"],
            "error: reference is an executor, the violation is of a callable",
        ),
        (["LAMBDA"], "has no name to import it by: say what is to be run (--target SPEC)"),
        (["FILE", "--device", "tpu"], "--device: got 'tpu', expected 'cpu' or 'cuda'"),
        (["FILE", "--html", "/dev/null/page"], "--html: cannot write /dev/null/page/index.html"),
        (["FILE", "--promote", "--into", "/dev/null/tests"], "--into: cannot write to /dev/null/tests"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_no_verdict_exits_with_2_and_one_line(
    arguments: list[str], message: str, violations: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"FILE": str(violations["target"]), "LAMBDA": str(violations["lambda"])}
    assert main(["replay", *(files.get(a, a) for a in arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("segpaste: ")
    assert message in err
    assert err.count("\n") == 1


def _pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/regressions"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_promoted_violation_fails_until_it_is_fixed(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "my_pastes.py"
    module.write_text("def paste(target, donor, seed):\n    return None\n")
    monkeypatch.syspath_prepend(tmp_path)
    check_augmentation(
        "my_pastes:paste", modalities=["instance"], examples=2, only=COMPLETES, on_fail="record"
    )
    (file,) = kept.glob("*.safetensors")
    assert main(["replay", file.stem, "--promote"]) == 1
    printed = capsys.readouterr().out.splitlines()
    name = f"target_completes_{file.stem}"
    regressions = tmp_path / "tests" / "regressions"
    assert sorted(p.name for p in regressions.iterdir()) == [f"{name}.safetensors", f"test_{name}.py"]
    assert printed[-3:] == [
        f"wrote tests/regressions/{name}.safetensors",
        f"wrote tests/regressions/test_{name}.py",
        "still failing",
    ]
    source = (regressions / f"test_{name}.py").read_text()
    assert "from segpaste.testing import replay\n" in source
    assert str(tmp_path) not in source

    assert main(["replay", file.stem, "--promote"]) == 2
    assert "is there already; --force replaces it" in capsys.readouterr().err
    del sys.modules["my_pastes"]
    shutil.rmtree(kept)  # the test needs nothing but its own file

    failing = _pytest(tmp_path)
    assert failing.returncode == 1
    assert "still failing: [target.completes] returned a NoneType, expected a DenseSample" in failing.stdout
    picture = re.search(r"picture: (\S+\.png)", failing.stdout)
    assert picture is not None
    assert (tmp_path / picture.group(1)).read_bytes().startswith(b"\x89PNG")

    module.write_text("def paste(target, donor, seed):\n    return target\n")
    fixed = _pytest(tmp_path)
    assert fixed.returncode == 0, fixed.stdout


def test_a_promoted_violation_remembers_the_target_given(violations: dict[str, Path], tmp_path: Path) -> None:
    arguments = ["replay", str(violations["lambda"]), "--promote", "--into", str(tmp_path / "here")]
    assert main([*arguments, "--target", RAISES]) == 1
    (file,) = (tmp_path / "here").glob("*.safetensors")
    done = replay(file)
    assert (done.status, done.target) == ("still failing", RAISES)
    before = file.read_bytes()
    assert main([*arguments, "--target", RAISES]) == 2
    assert main([*arguments, "--target", RAISES, "--force"]) == 1
    assert file.read_bytes() == before


def test_a_promoted_test_of_a_gpu_is_left_out_without_one(
    violations: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "gpu.safetensors"
    write_violation(path, replace(read_violation(violations["target"]), device="cuda"))
    assert main(["replay", str(path), "--device", "cpu", "--promote", "--into", str(tmp_path / "t")]) == 1
    (test,) = (tmp_path / "t").glob("test_*.py")
    text = test.read_text()
    assert "skipif(not torch.cuda.is_available()" in text
    compile(text, str(test), "exec")


def test_the_picture_goes_where_it_can_be_written(
    violations: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: Replayed = replay(violations["sample"])
    with pytest.raises(StillFailingError) as caught:
        done.raise_unless_fixed()
    assert f"picture: .segpaste/replays/{done.replay_id}.png" in str(caught.value)
    (tmp_path / "a_file").touch()
    monkeypatch.setenv("SEGPASTE_REPLAYS", str(tmp_path / "a_file" / "replays"))
    with pytest.raises(StillFailingError) as caught:
        done.raise_unless_fixed()
    found = re.search(r"picture: (\S+)", str(caught.value))
    assert found is not None
    assert Path(found.group(1)).is_file()
    shutil.rmtree(Path(found.group(1)).parent)


def test_the_commands_of_the_page_do_what_it_says(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "replay.md").read_text("utf-8")
    blocks = re.findall(r"^```(python|console)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    (source, *_) = (text for kind, text in blocks if kind == "python")
    (tmp_path / "my_flip.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("segpaste.integrations.demo_photographs", list)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    transcript = "".join(text for kind, text in blocks if kind == "console")
    (shown,) = set(re.findall(r"\b[0-9a-f]{8}\b", transcript))
    steps = re.split(r"^\$ segpaste ", transcript, flags=re.MULTILINE)[1:]
    assert main(shlex.split(steps[0])) == 1
    (file,) = kept.glob("*.safetensors")
    codes = []
    for step in steps[1:]:
        command, _, expected = step.replace(shown, file.stem).partition("\n")
        capsys.readouterr()
        codes.append(main(shlex.split(command)))
        printed = capsys.readouterr().out
        assert expected in ("", printed)
    assert codes == [1, 1, 0]
    name = f"instance_boxes_are_tight_{file.stem}"
    test = tmp_path / "tests" / "regressions" / f"test_{name}.py"
    (quoted,) = re.findall(r"^```text\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert test.read_text().endswith(quoted.replace(shown, file.stem))
    assert (test.parent / f"{name}.safetensors").is_file()
    del sys.modules["my_flip"]
