"""What can be wrong with a request for an audit."""


class AuditError(ValueError):
    """A preset, data or options that do not go together; one line."""
