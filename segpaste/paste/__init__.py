"""The paste: the generator, the drawing of plans, and the executors."""

from segpaste.paste.apply import apply, apply_with_audit, choose_executor
from segpaste.paste.inputs import check_out, check_plan, check_views
from segpaste.paste.plan import draw_plan, eligible_slots
from segpaste.paste.reference import apply_reference
from segpaste.paste.replay import ReplayRecord, replay
from segpaste.paste.rng import derive_seed, philox4x32, philox_words

__all__ = [
    "ReplayRecord",
    "apply",
    "apply_reference",
    "apply_with_audit",
    "check_out",
    "check_plan",
    "check_views",
    "choose_executor",
    "derive_seed",
    "draw_plan",
    "eligible_slots",
    "philox4x32",
    "philox_words",
    "replay",
]
