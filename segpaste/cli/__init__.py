"""The command line: ``segpaste verify`` and ``segpaste laws``."""

from segpaste.cli.app import app, main

__all__ = ["app", "main"]
