"""The built-in executors that can be verified by name."""

from __future__ import annotations

EXECUTORS: dict[str, str] = {
    "reference": "segpaste.paste:apply_reference",
}
"""Name -> ``module:attribute`` of a function ``(target, source, plan, config) ->
(PaddedBatchedDenseSample, BatchAuditPacket)``. One line per executor; nothing is imported
before it is asked for."""
