"""What is mutated, and which tests are run on the mutants of each module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PARTS = ("paste", "invariants")


@dataclass(frozen=True)
class Target:
    """Modules that are mutated in one copy of the tree, and run by the same tests.

    Attributes:
        modules: paths from the root of the dereferenced tree.
        tests: pytest arguments; on a mutant only those are run that reach its function.
        jit: whether Numba compiles; not where the loops themselves are mutated, nor where a mutant
            changes the type of what they are given, for which they would be compiled anew.
    """

    modules: tuple[str, ...]
    tests: Sequence[str]
    jit: bool = True

    @property
    def part(self) -> str:
        """``paste`` or ``invariants``."""
        return self.modules[0].split("/")[1]

    @property
    def name(self) -> str:
        """The first module's dotted name."""
        return self.modules[0].removesuffix(".py").replace("/", ".")


def _paste(*names: str) -> tuple[str, ...]:
    return tuple(f"segpaste/paste/{name}.py" for name in names)


def _laws(*names: str) -> tuple[str, ...]:
    return tuple(f"segpaste/invariants/{name}.py" for name in names)


# A mutant's tests are run quickest first, until one fails. Compiled tests are left out: what is
# mutated is called through a wrapper that no compiler reads.
_HAND = "tests/paste/test_reference.py"
_TINY = (
    "tests/parity/test_tiny_pastes.py",
    "--deselect=tests/parity/test_tiny_pastes.py::test_most_pastes_paste_something",
)
_APPLY = "tests/paste/test_apply.py"
_SLOW_APPLY = (
    "--deselect=tests/paste/test_apply.py::test_it_says_so_once_where_denormals_are_flushed",
    "--deselect=tests/paste/test_apply.py::test_more_rows_than_two_bytes_number",
)
_COMPILED_APPLY = "--deselect=tests/paste/test_apply.py::test_the_executor_in_what_is_compiled"
_GRAPH = (
    "tests/paste/test_graph.py",
    *(
        f"--deselect=tests/paste/test_graph.py::{name}"
        for name in (
            "test_the_bits_are_the_references",  # the tiny pastes say the same, more quickly
            "test_the_number_of_operations_does_not_depend_on_the_sizes",
            "test_one_graph_for_all_batches_of_a_shape",
            "test_sizes_that_change_and_another_configuration",
            "test_an_audit_comes_out_of_a_graph_too",
        )
    ),
)
_RNG = ("tests/paste/test_rng.py", "--deselect=tests/paste/test_rng.py::test_compiled_words_are_the_same")
_LOOPS = (
    "tests/paste/test_loops.py",
    "--deselect=tests/paste/test_loops.py::test_words_are_the_same_by_loop_by_tensors_and_by_integers",
    "--deselect=tests/paste/test_loops.py::test_spans_are_the_same_while_compiling",
    "--deselect=tests/paste/test_loops.py::test_loops_run_where_nothing_can_be_cached",
)
_PLAN = ("tests/paste/test_plan.py", "tests/paste/test_drawn_plans.py")
_INPUTS = ("tests/paste/test_inputs.py",)
_ANY_DEVICE = "tests/paste/test_default_device.py::test_a_batch_stays_where_it_is"
_NO_CHANNELS = "--deselect=tests/paste/test_apply.py::test_images_without_channels"  # indexes what is empty

_RECTANGLE = (
    _HAND,
    *_TINY,
    _APPLY,
    *_SLOW_APPLY,
    _NO_CHANNELS,
    "tests/paste/test_rectangle.py",
    "-k",
    "not graph",
)

_BREAKERS = "tests/invariants/test_breakers.py"
_EXPECTED = "tests/invariants/test_expected.py"
_TRACED = (
    "tests/invariants/test_provenance.py",
    "tests/invariants/test_geometric_laws.py",
    "tests/invariants/test_photometric_laws.py",
    "tests/invariants/test_provenance_laws.py",
)
_LAWS = (
    "tests/invariants/test_tiny_pastes.py",
    "tests/invariants/test_what_is_said.py",  # of the same broken outputs as test_breakers, but more
    f"{_BREAKERS}::test_metamorphic_law_rejects",
    f"{_BREAKERS}::test_round_trip_law_rejects",
    f"{_BREAKERS}::test_shapes_agree_rejects",
    f"{_BREAKERS}::test_shapes_agree_rejects_a_padded_batch",
    f"{_BREAKERS}::test_count_in_schema_rejects",
    "tests/invariants/test_empty_premise.py",
    "tests/invariants/test_metamorphic.py",
    "tests/invariants/test_no_audit.py",
    "tests/invariants/test_not_made_worse.py",
    "tests/invariants/test_averted_normals.py",
    "tests/invariants/test_averted_corners.py",
    "tests/invariants/test_check.py",
    "tests/invariants/test_devices.py",
    "tests/invariants/test_expected_corners.py",
    "tests/invariants/test_masks_and_bits.py",
    "tests/invariants/test_inferred.py",
    "tests/invariants/test_laws_per_modality.py",
    "tests/invariants/test_paste_case.py",
    "tests/invariants/test_runs_in_parts.py",
    "tests/invariants/test_paste_laws_by_hand.py",
    "tests/invariants/test_sample_case.py",
    "tests/invariants/test_audit_laws.py",
    "tests/invariants/test_generators.py",
    "tests/invariants/test_what_is_said_of_little.py",
    "tests/invariants/test_runs_at_their_limits.py",
    "tests/invariants/test_transforms.py",
    "tests/invariants/test_what_is_said_of_runs.py",
    "tests/invariants/test_registry.py",
    "tests/invariants/test_report.py",
    _EXPECTED,
    # The tiny pastes say the same, more quickly.
    f"--deselect={_EXPECTED}::test_reference_agrees_on_drawn_cases",
    f"--deselect={_EXPECTED}::test_reference_agrees_on_random_cases",
    f"--deselect={_EXPECTED}::test_reference_agrees_where_there_is_nothing_to_paste",
)

TARGETS: tuple[Target, ...] = (
    Target(
        _paste("reference"),
        (_HAND, *_TINY, *_INPUTS, _APPLY, *_SLOW_APPLY, _ANY_DEVICE, "-k", "not rectangle"),
    ),
    Target(_paste("plan"), _PLAN),
    Target(
        _paste("settings", "padding", "replay", "rng", "spans", "inputs", "apply"),
        (
            "tests/paste/test_settings.py",
            "tests/paste/test_padding.py",
            "tests/paste/test_replay.py",
            *_RNG,
            *_LOOPS,
            *_INPUTS,
            _APPLY,
            *_SLOW_APPLY,
            _COMPILED_APPLY,
            *_PLAN,
            _HAND,
        ),
    ),
    Target(_paste("label_kernels", "rng_kernels", "span_kernels"), (*_LOOPS, *_RNG, *_INPUTS), jit=False),
    Target(
        _paste("graph", "graph_warp"), (_HAND, *_TINY, *_GRAPH, _APPLY, *_SLOW_APPLY, "-k", "not rectangle")
    ),
    Target(_paste("rectangle"), _RECTANGLE, jit=False),
    Target(_paste("rectangle_kernels"), _RECTANGLE, jit=False),
    Target(
        _laws("expected", "warp", "masks", "bits", "view"),
        _LAWS,
    ),
    Target(
        _laws("paste_case", "paste_pixel_laws", "paste_row_laws", "sample_case", "sample_laws")
        + _laws("padded_laws", "audit_laws", "averted", "inferred", "check", "registry", "report")
        + _laws("transforms", "metamorphic_case", "metamorphic_laws"),
        _LAWS,
    ),
    Target(
        _laws("provenance", "transform_case", "geometric_laws", "normals_follow")
        + _laws("photometric_laws", "provenance_laws"),
        _TRACED,
    ),
)

MODULES: tuple[str, ...] = tuple(module for target in TARGETS for module in target.modules)
"""Every mutated module, in the order of the score."""
