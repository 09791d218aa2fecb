"""The commands that plans print, pasted into a shell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from support.commands import Run, records
from support.preloaded import COMMAND


def printed(stderr: str) -> str:
    """Return the command that stands under "To do it:"."""
    [command] = [line[2:] for line in stderr.splitlines() if line.startswith("  cursor-ledger ")]
    return command


def in_a_shell(command: str, folder: Path, shell: str = "sh", **more: str) -> Any:
    """Paste a command into a shell somewhere else, where other ledgers and actors are usual."""
    environment = {
        **os.environ,
        "PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}",
        "CURSOR_LEDGER_DB": str(folder / "other.db"),
        "CURSOR_LEDGER_ACTOR": "somebody-else",
        **more,
    }
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [shell, "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not list(folder.iterdir()), "nothing is made where it was pasted"
    return done


def last_entry(run: Run, *cursor: object) -> Any:
    return records(run("history", *cursor))[-1]
