"""Why a law stays that kills no fault alone."""

from __future__ import annotations

REASONS: dict[str, str] = {}
