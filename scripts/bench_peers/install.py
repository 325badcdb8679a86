"""Make the environments that peers are measured in: one for each, apart from segpaste's own.

    python scripts/bench_peers/install.py [--into .bench-peers] [name ...]

PyTorch, NumPy and whatever else the interpreter that runs this has are borrowed from it, so that all
are measured on one build of PyTorch and little is downloaded. What a peer brings itself comes first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Install; 1 if one of them failed (the others are still usable)."""
    names = sorted(path.stem for path in HERE.glob("*.txt"))
    parser = argparse.ArgumentParser(description="make the environments of the peers")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(names)} (default all)")
    parser.add_argument("--into", type=Path, default=HERE.parent.parent / ".bench-peers")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(names))
    if unknown:
        parser.error(f"name: got {unknown[0]!r}, expected one of {', '.join(names)}")
    failed = [name for name in options.names or names if not _install(name, options.into / name)]
    for name in failed:
        print(f"{name}: not installed; the benchmark will say so", file=sys.stderr)
    return 1 if failed else 0


def _install(name: str, folder: Path) -> bool:
    print(f"{name}: {folder}", flush=True)
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    own = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    # A line of a .pth file comes after the environment's own packages, and the .pth files of the
    # folder it names are not read, so that an editable segpaste there stays out of sight.
    (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = [str(python), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.run([*pip, "--requirement", str(HERE / f"{name}.txt")], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
