"""A preset over real data: every law on every sample, statistics, pictures."""

from segpaste.audit.data import drawn_set, fitted, made_sets
from segpaste.audit.errors import AuditError
from segpaste.audit.run import AuditOptions, AuditResult, SetResult, run_audit
from segpaste.audit.write import check_place, write_audit

__all__ = [
    "AuditError",
    "AuditOptions",
    "AuditResult",
    "SetResult",
    "check_place",
    "drawn_set",
    "fitted",
    "made_sets",
    "run_audit",
    "write_audit",
]
