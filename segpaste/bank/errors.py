"""What is raised for a bank that cannot be read, built or trusted."""

from __future__ import annotations


class BankError(ValueError):
    """A bank, or what one is to be built from, is not as it should be; one line that names it.

    Raised at open for what a look at sizes and at ``meta.json`` shows, and at the read of a
    crop, with its number, for what only its bytes show.
    """


class MissingEngineError(BankError):
    """What a backend or an engine needs is not installed: nothing is known of the bank itself."""
