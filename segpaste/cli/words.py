"""Numbers and names as they are printed."""

from __future__ import annotations


def plural(number: int, what: str) -> str:
    """``1 crop``, ``1,234 crops``, ``2 classes``."""
    ending = "es" if what.endswith("s") else "s"
    return f"{number:,} {what if number == 1 else what + ending}"


def percent(share: float) -> str:
    """``0.5`` as ``50.00%``."""
    return f"{share:.2%}"


def size_in_words(number: int) -> str:
    """A number of bytes, in steps of a thousand."""
    if number < 1000:
        return f"{number} bytes"
    value = float(number)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def duration(seconds: float) -> str:
    """``1.2 s``, ``59 s``, ``2:05 min``, ``1:00:00 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"


def printable(text: str) -> str:
    """Without what would steer the terminal: names come out of files of anybody."""
    return "".join(c if c.isprintable() else "?" for c in text)
