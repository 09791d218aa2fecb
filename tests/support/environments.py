"""Environments with packages, or versions, that the one of the tests does not have."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from support.places import TOP

__all__ = ["environment"]

KEPT = "CURSOR_LEDGER_TEST_ENVIRONMENTS"
"""Names a folder that environments are kept in; else they go with the run."""

# What the package itself needs.
NEEDED = ("attrs", "cattrs", "click", "sqlite-utils", "wcwidth")


@cache
def environment(name: str, *packages: str) -> Path:
    """Return the Python of an environment with `packages`, which is made if it is not there yet.

    The package itself is not in it: its folder belongs on the path of what is run.
    """
    place = os.environ.get(KEPT)
    if place is None:
        place = tempfile.mkdtemp(prefix="cursor-ledger-")
        atexit.register(shutil.rmtree, place, ignore_errors=True)
    folder = Path(place) / name
    python = folder / "bin" / "python"
    if not python.exists():
        uv = [sys.executable, "-m", "uv"]
        make = [*uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
        subprocess.run(make, check=True)
        install = [*uv, "pip", "install", "--quiet", "--python", str(python)]
        subprocess.run([*install, *NEEDED, *packages], check=True, cwd=TOP)
    return python
