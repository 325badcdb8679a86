"""The runs of ``segpaste audit`` that the presets have passed, as it printed them."""

from __future__ import annotations

from segpaste.presets.config import SignOff

SIGN_OFFS: dict[str, tuple[SignOff, ...]] = {}
"""Name of the preset -> its runs."""
