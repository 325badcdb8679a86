"""Every executor reproduces what was worked out by hand; and every such case can fail."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segpaste.goldens import analytical
from segpaste.goldens.analytical import analytical_cases, case_names, read_case
from segpaste.goldens.analytical.cases import WRITTEN, Golden, golden
from segpaste.goldens.analytical.classmix import WORDS
from segpaste.goldens.analytical.notation import Row, Sample, read_batch
from segpaste.paste.apply import ExecutorName
from segpaste.paste.graph import paste_graph
from segpaste.paste.settings import settings_of, tables_of
from segpaste.testing.parity import ParityError, assert_same_bits, differences
from tests.goldens.reproduced import differs, paste_of, reproduces, same_union

ROOT = Path(__file__).parents[2]

NOT_ABOUT_CASES = {"cases", "notation"}
"""Modules of the package that hold no golden."""

NOTHING_TO_TURN = {
    "edges.a_batch_of_none",
    "edges.detection_only_is_the_identity",
    "edges.image_only_is_the_identity",
    "edges.no_slots_at_all",
}
"""Identities in which no plan, configuration or content of these shapes pastes a pixel."""

# A compile takes seconds: three in every run; in `make nightly` the subjects with arithmetic that
# a compiler could change (fusion, the order of sums, signs of zero) through inductor.
THROUGH_AOT_EAGER = (
    "normals.a_flip_negates_x_and_leaves_zero_positive",
    "stuff.under_ignore_stuff_is_judged_after_small_rows_left",
    "edges.every_modality_at_once",
)
THROUGH_INDUCTOR = [n for n in case_names() if n.startswith(("depth.", "normals.", "scaling."))]

# The interpreter takes half a second for a case: these in every run, all in `make nightly`.
INTERPRETED = (
    "classmix.gate_padding_and_depth_hold_for_a_mix",
    "classmix.the_stuff_rule_holds_for_a_mix",
    "classmix.the_upper_half_of_the_key_counts",
    "depth.a_mean_over_three_taps_is_a_division_by_three",
    "depth.a_product_that_leaves_float32_is_invalid",
    "depth.one_rounding_after_the_factor_not_two",
    "depth.the_taps_are_added_in_the_given_order",
    "depth.validity_on_either_side",
    "edges.a_batch_of_none",
    "edges.a_batch_that_is_its_own_source",
    "edges.a_canvas_of_one_pixel",
    "edges.every_modality_at_once",
    "edges.samples_of_a_batch_do_not_touch_each_other",
    "gate.padding_on_either_side",
    "ids.the_largest_id_is_not_given_again_though_it_was_dropped",
    "ids.the_largest_id_there_can_be",
    "normals.a_blend_is_mirrored_after_it_was_rounded",
    "normals.components_are_rounded_to_integers_half_to_even",
    "normals.where_the_blend_vanishes_the_nearest_decides",
    "overlap.nobody_inherits_the_pixels_of_one_too_small",
    "overlap.three_on_one_pixel",
    "rows.a_tenth_is_6554_of_65536",
    "rows.what_is_left_of_a_dropped_row_is_void_in_panoptic_maps",
    "scaling.a_flip_at_twice_the_size",
    "scaling.a_tap_of_full_weight_is_copied_bit_for_bit",
    "scaling.half_a_step_on_one_side_of_a_border",
    "stuff.padding_is_neither_counted_nor_made_void",
    "stuff.stuff_is_judged_before_small_rows_leave",
)


@pytest.mark.parametrize("name", case_names())
@pytest.mark.parametrize("executor", ["reference", "rectangle", "graph"])
def test_an_executor_reproduces(executor: ExecutorName, name: str) -> None:
    reproduces(read_case(name), executor)


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        *[("aot_eager", name) for name in THROUGH_AOT_EAGER],
        *[pytest.param("inductor", name, marks=pytest.mark.nightly) for name in THROUGH_INDUCTOR],
    ],
)
def test_the_compiled_graph_reproduces(backend: str, name: str) -> None:
    case = read_case(name)
    inputs = case.inputs
    settings, tables = settings_of(inputs.config), tables_of(inputs.config)

    @torch.compile(fullgraph=True, backend=backend)
    def paste(target: Any, source: Any, plan: Any) -> Any:
        return paste_graph(target, source, plan, settings, tables, with_audit=True)

    pasted, audit = paste(inputs.target, inputs.source, inputs.plan)
    assert_same_bits(case.expected, pasted, case=paste_of(case), names=(name, f"graph by {backend}"))
    same_union(case, audit.paste_union)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(INTERPRETED, id="some"),
        pytest.param(case_names(), id="all", marks=pytest.mark.nightly),
    ],
)
def test_the_fused_kernels_reproduce_under_the_interpreter(names: Sequence[str], tmp_path: Path) -> None:
    test = "tests/goldens/analytical_interpreted.py::test_the_interpreted_kernels_reproduce"
    command = [
        *(sys.executable, "-m", "pytest", *(f"{test}[{name}]" for name in names), "-q"),
        *("-p", "no:cacheprovider", "--basetemp", str(tmp_path / "pytest")),
    ]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_", "TRITON_"))}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=inherited | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert f"{len(names)} passed" in done.stdout
    assert "skipped" not in done.stdout


def test_every_file_of_the_package_is_read() -> None:
    files = {module.name for module in pkgutil.iter_modules(analytical.__path__)} - NOT_ABOUT_CASES
    assert {name.partition(".")[0] for name in case_names()} == files


@pytest.mark.parametrize("name", case_names())
def test_inputs_and_answer_are_well_formed(name: str) -> None:
    case = read_case(name)
    assert "4" in case.why  # the number of a clause
    for batch in (case.inputs.target, case.inputs.source, case.expected):
        batch.validate()
    assert case.union.shape == (case.expected.batch_size, *case.expected.canvas_size)


@pytest.mark.parametrize("name", case_names())
def test_an_answer_is_no_other_inputs_answer(name: str) -> None:
    """Each case hangs on what it is about: inputs changed by little have another answer."""
    case = read_case(name)
    assert (case.otherwise is None) == (name in NOTHING_TO_TURN)
    if case.otherwise is not None:
        assert differs(case)


@pytest.mark.parametrize("name", sorted(set(case_names()) - NOTHING_TO_TURN))
def test_a_case_pastes_or_says_what_would(name: str) -> None:
    """No case holds because nothing happens: U shows the source, or is empty and the target stays."""
    case = read_case(name)
    changed = differences(case.inputs.target, case.expected)
    assert bool(changed) == bool(case.union.any())


def test_most_cases_paste() -> None:
    pasting = [case.name for case in analytical_cases() if bool(case.union.any())]
    assert len(pasting) >= 9 * len(case_names()) // 10 - len(NOTHING_TO_TURN)


@pytest.mark.parametrize("name", case_names())
def test_one_bit_of_one_field_is_seen(name: str) -> None:
    case = read_case(name)
    for field, value in case.expected.tensors().items():
        if value.numel():
            bent = read_case(name).expected
            flat = bent.tensors()[field].reshape(-1)
            element = flat[-1:]
            if element.dtype == torch.bool:
                element.logical_not_()
            else:
                element.view(_INTEGERS[element.dtype]).bitwise_xor_(1)
            assert [str(d.field) for d in differences(case.expected, bent)] == [field]


_INTEGERS = {
    torch.uint8: torch.uint8,
    torch.int32: torch.int32,
    torch.int64: torch.int64,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}


def test_a_mismatch_is_drawn_and_named(tmp_path: Path) -> None:
    case = read_case("depth.planes_nearer_equal_and_farther")
    bent = read_case(case.name).expected
    assert bent.depth is not None
    bent.depth[0, 0, 0, 2] = 4.0
    with pytest.raises(ParityError, match=r"first at \[0, 0, 0, 2\]: expected 0x407fffff") as failure:
        assert_same_bits(case.expected, bent, case=paste_of(case), names=(case.name, "bent"), folder=tmp_path)
    assert "picture: " in str(failure.value)
    assert len(list(tmp_path.glob("*.png"))) == 1


# The arithmetic of the goldens that wrong roundings and orders would miss, in NumPy, each rule
# beside the mistake it is meant to tell apart.


def test_the_rounding_before_the_factor_is_told_apart() -> None:
    expected = _depth_of("depth.one_rounding_after_the_factor_not_two")[0, :2]
    step = np.float64(2.0**-23)
    means = np.array([1 + step / 2, 1 + 3 * step / 2])
    factor = (np.sqrt(300.0 * 300.0) / np.sqrt(200.0 * 200.0)) * 131072 / 65536
    once = (means * factor).astype(np.float32)
    twice = (means.astype(np.float32).astype(np.float64) * factor).astype(np.float32)
    assert once.tolist() == expected.tolist()
    assert (twice != once).all()
    assert twice[0] < once[0]
    assert twice[1] > once[1]


def test_the_orders_of_the_taps_are_told_apart() -> None:
    a, b, c, d = (np.float64(v) for v in (2.0**24, 1.0, 2.0**-29, 2.0**-29))
    expected = _depth_of("depth.the_taps_are_added_in_the_given_order")[0, 0]
    assert np.float32(((a + b) + (c + d)) / 4) == expected
    for wrong in (((a + b) + c) + d, (a + c) + (b + d), (a + d) + (b + c)):
        assert np.float32(wrong / 4) != expected
    p, q, r, s = (np.float64(v) for v in (2.0**60, -(2.0**60), 1.0, 2.0))
    assert ((p + q) + (r + s)) / 4 == 0.75
    assert ((p + r) + (q + s)) / 4 == 0.0


def _depth_of(name: str) -> np.ndarray:
    depth = read_case(name).expected.depth
    assert depth is not None
    return depth[0, 0].numpy()


def test_the_words_of_the_class_mix() -> None:
    """Written again from the paper; the second known answer is Random123's, as is class 0 of key 0."""
    assert _philox((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2)[0] == 0x408F276D
    for key, words in WORDS.items():
        halves = (key % 2**32, (key >> 32) % 2**32)
        assert tuple(_philox((c, 0, 0, 0), halves)[0] for c in range(5)) == words


def _philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        left, right = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (right >> 32) ^ b ^ k, right % 2**32, (left >> 32) ^ d ^ m, left % 2**32
        k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
    return a, b, c, d


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (Sample(image="1 2 256"), "image: got [[1, 2, 256]], expected 0 to 255"),
        (Sample(image="0.1", floats=True), "got 0.1, expected a number that float32 holds exactly"),
        (Sample(image="1 2", depth="1 0x1.000001p+0"), "expected a number that float32 holds exactly"),
        (
            Sample(image="1 2", semantic="1 2 3"),
            "semantic_maps: got [1, 3], expected the image's size [1, 2]",
        ),
        (Sample(image="1 2", rows={0: Row(1, 0, (0, 0, 1, 1), "#")}), "mask of slot 0: got [1, 1], expected"),
        (Sample(image="1 2", padding=".x"), "mask: got '.x', expected lines of # and . of one length"),
        (Sample(image="1 2", padding="#. #"), "mask: got '#. #', expected lines"),
    ],
)
def test_what_is_not_written_exactly_is_refused(sample: Sample, message: str) -> None:
    with pytest.raises(ValueError) as failure:
        read_batch([sample])
    assert message in str(failure.value)


def test_names_are_known_and_taken_once() -> None:
    with pytest.raises(ValueError, match="name: got 'overlap.nothing', expected one of"):
        read_case("overlap.nothing")

    def the_later_pasted_wins() -> Golden:
        raise AssertionError

    the_later_pasted_wins.__module__ = "segpaste.goldens.analytical.overlap"
    with pytest.raises(ValueError, match=r"got overlap.the_later_pasted_wins twice"):
        golden(the_later_pasted_wins)
    the_later_pasted_wins.__name__ = "undocumented"
    with pytest.raises(ValueError, match=r"got overlap.undocumented without a docstring"):
        golden(the_later_pasted_wins)
    assert "overlap.undocumented" not in WRITTEN
