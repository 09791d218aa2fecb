"""Scripts with a ledger in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from support.preloaded import python


def child(script: str, path: Path, *, under: Sequence[str] = ()) -> list[str]:
    """Run a script in a process of its own; give the lines that it prints."""
    prelude = (
        "import ledger, os, sys\nfrom ledger import CursorKey\njobs = CursorKey('mailer', 'jobs')\n"
    )
    whole = prelude + textwrap.dedent(script)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}
    if under:
        done = subprocess.run(
            [*under, sys.executable, "-c", whole, str(path)],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment,
        )
    else:
        done = python(whole, [str(path)], folder="/", environment=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
