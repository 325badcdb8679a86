"""Configurations for known data sets, by name."""
