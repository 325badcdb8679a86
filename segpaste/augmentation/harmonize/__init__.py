"""Harmonisation: the seams and the colours of what was pasted, after the exact paste."""

from segpaste.augmentation.harmonize.stage import Harmonize

__all__ = ["Harmonize"]
