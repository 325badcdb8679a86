"""The paste: the generator, the drawing of plans, and the executors."""

from segpaste.paste.inputs import check_plan, check_views
from segpaste.paste.plan import draw_plan, eligible_slots
from segpaste.paste.reference import apply_reference
from segpaste.paste.replay import ReplayRecord, replay
from segpaste.paste.rng import derive_seed, philox4x32, philox_words

__all__ = [
    "ReplayRecord",
    "apply_reference",
    "check_plan",
    "check_views",
    "derive_seed",
    "draw_plan",
    "eligible_slots",
    "philox4x32",
    "philox_words",
    "replay",
]
