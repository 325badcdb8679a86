"""What the parity suite draws: pastes of every kind, and ways to call an executor."""

from __future__ import annotations

from hypothesis import strategies as st

from segpaste.paste.apply import ExecutorName
from segpaste.strategies import PasteCase, paste_cases
from segpaste.types import LEGAL_MODALITY_SETS, Modality, modality_set_name
from tests.parity.agreement import Manner, as_grey
from tests.parity.layouts import LAYOUTS

IMAGE_ONLY = frozenset({Modality.IMAGE})
KINDS: dict[str, tuple[frozenset[Modality], bool]] = {
    **{modality_set_name(modalities): (modalities, False) for modalities in LEGAL_MODALITY_SETS},
    "image": (IMAGE_ONLY, False),
    "boxes": (IMAGE_ONLY, True),
}
"""Every set of modalities that a paste accepts, and whether rows have boxes alone."""


@st.composite
def cases(draw: st.DrawFn, modalities: frozenset[Modality], detection: bool) -> PasteCase:
    """Small pastes mostly, larger ones with more rows now and then, any number of channels."""
    kind = draw(st.integers(0, 15))
    if kind == 14:
        return draw(paste_cases(modalities, detection=detection, channels=(2, 5, 1), max_batch=7, max_side=9))
    if kind == 15:
        return draw(
            paste_cases(
                modalities, detection=detection, min_side=17, max_side=70, max_batch=2, max_instances=14
            )
        )
    case = draw(paste_cases(modalities, detection=detection))
    return as_grey(case) if kind == 13 else case


def manners(executor: ExecutorName) -> st.SearchStrategy[Manner]:
    """Ways to call an executor."""
    layout = st.sampled_from(list(LAYOUTS))
    return st.builds(
        Manner,
        target=layout,
        source=layout,
        out=st.none() | layout,
        audit=st.sampled_from((True, True, False)),
        threads=st.sampled_from((1, 2)) if executor == "rectangle" else st.just(1),
    )
