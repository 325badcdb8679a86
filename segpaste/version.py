"""The version, in the one place where it is written.

It stands here and not in the metadata of an installation alone, so that a plain copy of
the sources (``PYTHONPATH=.``) knows it too.
"""

VERSION = "1.0.0.dev0"
