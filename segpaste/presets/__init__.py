"""Configurations for known data sets, by name."""

from segpaste.presets.config import BankDonorsConfig, LargeScaleJitterConfig, PresetConfig, SignOff
from segpaste.presets.registry import get_preset, list_presets, register_preset

__all__ = [
    "BankDonorsConfig",
    "LargeScaleJitterConfig",
    "PresetConfig",
    "SignOff",
    "get_preset",
    "list_presets",
    "register_preset",
]
