"""Build a bank of crops: the command ``segpaste bank build``, with the same options.

python scripts/build_instance_bank.py instances.json images bank --crop-size 128 --workers 4
"""

from __future__ import annotations

import sys

from segpaste.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["bank", "build", *sys.argv[1:]]))
