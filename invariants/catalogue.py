"""The modules of the laws. Importing this one fills the registry, once."""

from __future__ import annotations

from types import ModuleType

from segpaste.invariants import (
    audit_laws,
    geometric_laws,
    metamorphic_laws,
    padded_laws,
    paste_pixel_laws,
    paste_row_laws,
    photometric_laws,
    provenance_laws,
    sample_laws,
)

LAW_MODULES: tuple[ModuleType, ...] = (
    sample_laws,
    padded_laws,
    paste_row_laws,
    paste_pixel_laws,
    audit_laws,
    metamorphic_laws,
    geometric_laws,
    photometric_laws,
    provenance_laws,
)
"""Where the laws of each kind are written."""
