"""Which rows survived, where no plan says so: small scenes of upright bars."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segpaste.invariants.inferred import _one_colour, align_by_identity, changed_pixels
from segpaste.invariants.sample_case import SampleCase
from segpaste.invariants.view import SampleView, view_of
from tests.invariants.test_no_audit import H, W, scene

ELSEWHERE = view_of(scene({9: (1, 2, 2)}, colour=100))


def seen(rows: dict[int, tuple[int, int, int]], painted: tuple[int, ...] = ()) -> SampleView:
    """A view of the bars, with other colours in some columns."""
    view = view_of(scene(rows))
    image = view.image.clone()
    for column in painted:
        image[:, :, column] += 50
    return replace(view, image=image)


def slots_of(before: SampleView, after: SampleView, source: SampleView | None = ELSEWHERE) -> dict[int, int]:
    """Id after -> slot."""
    aligned, moved = align_by_identity(before, after, source)
    assert aligned.slots == moved.slots
    assert moved.ids is not None
    return {int(moved.ids[k]): k for k in moved.valid.nonzero().flatten().tolist()}


def test_a_row_under_a_new_id_is_known_by_its_mask() -> None:
    before = seen({5: (1, 0, 1), 6: (2, 3, 5)})
    assert slots_of(before, seen({16: (2, 3, 5), 15: (1, 0, 1)})) == {15: 0, 16: 1}


def test_a_painted_row_before_it_does_not_hide_it() -> None:
    before = seen({6: (2, 3, 5)})
    after = seen({20: (1, 2, 2), 16: (2, 3, 5)}, painted=(2,))
    assert slots_of(before, after) == {16: 0, 20: 1}


@pytest.mark.parametrize("row", [(1, 3, 5), (2, 3, 4), (2, 2, 5)])
def test_another_label_or_another_mask_is_another_row(row: tuple[int, int, int]) -> None:
    assert slots_of(seen({6: (2, 3, 5)}), seen({16: row})) == {16: 1}


def test_two_rows_alike_stand_in_two_slots() -> None:
    before = seen({5: (1, 0, 1), 6: (1, 0, 1)})
    assert slots_of(before, seen({15: (1, 0, 1), 16: (1, 0, 1)})) == {15: 0, 16: 1}
    assert slots_of(before, seen({15: (1, 0, 1), 16: (1, 0, 1), 17: (1, 0, 1)})) == {15: 0, 16: 1, 17: 2}


def test_a_row_that_the_source_has_may_be_the_sources() -> None:
    before, after = seen({6: (2, 3, 5)}), seen({16: (2, 3, 5)})
    assert slots_of(before, after, view_of(scene({9: (2, 3, 5)}))) == {16: 1}
    assert slots_of(before, after, view_of(scene({9: (1, 3, 5)}))) == {16: 0}
    assert slots_of(before, after, view_of(scene({9: (2, 3, 4)}))) == {16: 0}
    assert slots_of(before, after, None) == {16: 1}


def test_a_source_of_another_size_or_without_masks_has_no_such_row() -> None:
    before, after = seen({6: (2, 3, 5)}), seen({16: (2, 3, 5)})
    bare = replace(ELSEWHERE, masks=None, ids=None)
    assert slots_of(before, after, bare) == {16: 0}
    small = replace(ELSEWHERE, image=ELSEWHERE.image[:, :2], masks=torch.ones(1, 2, W, dtype=torch.bool))
    assert slots_of(before, after, small) == {16: 0}


def test_of_one_colour_nothing_tells_them_apart() -> None:
    before, after = seen({6: (2, 3, 5)}), seen({16: (2, 3, 5)})
    flat = [replace(view, image=torch.zeros_like(view.image)) for view in (before, after)]
    assert slots_of(*flat) == {16: 1}
    dot = torch.zeros(1, H, W, dtype=torch.bool)
    dot[0, 1, 1] = True
    single = [replace(view, masks=dot) for view in (before, after)]
    assert slots_of(*single) == {16: 1}


def test_a_row_keeps_its_id_while_it_can_be_what_is_left() -> None:
    before = seen({5: (1, 0, 3)})
    assert slots_of(before, seen({5: (1, 0, 2)})) == {5: 0}
    assert slots_of(before, seen({5: (2, 0, 2)})) == {5: 0}  # part of it, under another label
    assert slots_of(before, seen({5: (1, 2, 5)})) == {5: 0}  # no part, but it meets, label and all
    assert slots_of(before, seen({5: (2, 2, 5)})) == {5: 1}
    assert slots_of(before, seen({5: (1, 4, 5)})) == {5: 1}
    # Of two under one id the one that is certain comes first.
    after = replace(seen({4: (2, 0, 1), 5: (1, 0, 1)}), ids=torch.tensor([5, 5]))
    aligned, moved = align_by_identity(before, after)
    assert aligned.slots == 2
    assert moved.labels.tolist() == [1, 2]


def test_rows_without_masks_are_known_by_box_and_label() -> None:
    def bare(rows: dict[int, tuple[int, int, int]]) -> SampleView:
        return replace(seen(rows), masks=None, ids=None)

    before = bare({5: (1, 0, 1), 6: (2, 3, 5), 7: (2, 3, 5)})
    after = bare({1: (2, 3, 5), 2: (1, 3, 5), 3: (2, 3, 5), 4: (2, 3, 4)})
    aligned, moved = align_by_identity(before, after)
    assert aligned.slots == moved.slots == 5
    assert moved.labels.tolist() == [0, 2, 2, 1, 2]
    assert moved.boxes[:, 2].tolist() == [0, 6, 6, 6, 5]
    assert aligned.labels.tolist() == [1, 2, 2, 0, 0]


def test_without_ids_or_masks_rows_are_known_otherwise() -> None:
    before, after = seen({5: (1, 0, 1), 6: (2, 3, 5)}), seen({6: (2, 3, 5), 5: (1, 0, 1)})
    for nameless in ((replace(before, ids=None), after), (before, replace(after, ids=None))):
        aligned, moved = align_by_identity(*nameless)
        assert aligned.slots == moved.slots == 4  # nobody is known
    for bare in (
        (replace(before, masks=None, ids=None), after),
        (before, replace(after, masks=None, ids=None)),
    ):
        aligned, moved = align_by_identity(*bare)
        assert aligned.slots == moved.slots == 2
        assert moved.labels.tolist() == [1, 2]


def test_new_rows_take_free_slots_and_then_added_ones() -> None:
    before = seen({5: (1, 0, 1), 6: (2, 3, 5)}).with_slots(3)
    before = replace(before, valid=torch.tensor([False, True, False]))
    after = seen({6: (2, 3, 5), 11: (1, 0, 0), 12: (1, 1, 1), 13: (1, 2, 2)}, painted=(0, 1, 2))
    assert slots_of(before, after) == {6: 1, 11: 0, 12: 2, 13: 3}


def test_changed_pixels_of_the_maps_asked_for() -> None:
    before, after = seen({5: (1, 0, 1)}), seen({5: (1, 0, 2)}, painted=(4,))
    columns = changed_pixels(before, after).any(dim=0).tolist()
    assert columns == [False, False, True, False, True, False]
    assert changed_pixels(before, after, ("image",)).any(dim=0).tolist() == [False] * 4 + [True, False]
    assert not bool(changed_pixels(before, after, ("depth",)).any())
    assert not bool(changed_pixels(before, replace(after, image=before.image), ("image",)).any())


def test_what_a_row_inherits() -> None:
    sample, former = scene({5: (1, 0, 2), 7: (1, 3, 4)}), scene({5: (1, 1, 4), 6: (1, 5, 5)})
    assert not bool(SampleCase(sample).inherited.any())
    bare = scene({})
    without = replace(view_of(bare), masks=None)
    case = SampleCase(sample, before=bare)
    assert not bool(case.inherited.any())
    case.__dict__["before"] = without
    del case.__dict__["inherited"]
    assert not bool(case.inherited.any())
    kept = SampleCase(sample, before=former).inherited
    assert kept.any(dim=1).tolist() == [[False, True, True, False, False, False], [False] * 6]


def test_a_pixel_that_is_not_a_number_is_of_no_colour() -> None:
    """NaN equals nothing, not even itself: such a pixel does not stand in for its neighbours."""
    image, mask = torch.zeros((3, 2, 2)), torch.tensor([[True, False], [False, False]])
    assert _one_colour(image, mask)
    image[1, 0, 0] = float("nan")
    assert not _one_colour(image, mask)
    assert _one_colour(image, torch.zeros((2, 2), dtype=torch.bool))
