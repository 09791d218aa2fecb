"""What the command shows on a real terminal, of any size, with a clock that stands still.

One process runs all commands, each as a new program would: a process for each would take minutes.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from support.places import TOP
from support.preloaded import programs

__all__ = ["COLOURS", "plain", "screens"]

COLOURS = re.compile(r"\x1b\[[0-9;]*m")

_START, _END = "\x02", "\x03"


def plain(screen: str) -> str:
    """Return a screen without its colours."""
    return COLOURS.sub("", screen)


def screens(
    path: Path,
    commands: Iterable[tuple[str, ...]],
    widths: Iterable[int],
    *,
    now: datetime,
    height: int = 40,
    **environment: str | None,
) -> dict[tuple[tuple[str, ...], int], str]:
    """Return what each command shows at each width, standard error with it."""
    asked = [(command, width) for command in commands for width in widths]
    ours, theirs = pty.openpty()
    # A terminal would make \r\n of every end of a line.
    settings = termios.tcgetattr(theirs)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, settings)
    job = json.dumps({"now": now.isoformat(), "height": height, "runs": asked})
    with subprocess.Popen(
        [programs() / "python", __file__, job],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=path.parent,
        env=_environment(path, environment),
    ) as child:
        os.close(theirs)
        printed = b""
        try:
            while chunk := os.read(ours, 65_536):
                printed += chunk
        except OSError:
            pass  # That is how a terminal reports that everybody has left.
        os.close(ours)
    shown = printed.decode(environment.get("PYTHONIOENCODING") or "utf-8", "backslashreplace")
    assert child.returncode == 0, shown[-3_000:]
    found = re.findall(f"{_START}(.*?){_END}", shown, re.DOTALL)
    return dict(zip(asked, found, strict=True))


def _environment(path: Path, changes: Mapping[str, str | None]) -> dict[str, str]:
    known = {
        **os.environ,
        "PYTHONPATH": f"{TOP}:{TOP / 'tests'}",
        "CURSOR_LEDGER_DB": str(path),
        "CURSOR_LEDGER_ACTOR": "ines",
        "PAGER": "",
        "TERM": "xterm-256color",
    }
    for name in ("COLUMNS", "LINES", "NO_COLOR", "COLORFGBG", "CURSOR_LEDGER_FORMAT"):
        known.pop(name, None)
    for name, value in changes.items():
        known.pop(name, None)
        if value is not None:
            known[name] = value
    return known


def _run(job: str) -> None:
    import ledger
    from ledger.cli.shown import tables
    from ledger.cli.typed import times
    from projections.cli import main

    asked = json.loads(job)
    now = datetime.fromisoformat(asked["now"])
    for room in (tables, times):
        vars(room)["utc_now"] = lambda: now
    vars(ledger)["open"] = partial(ledger.open, clock=lambda: now)
    for command, width in asked["runs"]:
        termios.tcsetwinsize(1, (asked["height"], width))
        os.write(1, _START.encode())
        with suppress(SystemExit):
            main(command, prog_name="cursor-ledger")
        sys.stdout.flush()
        os.write(1, _END.encode())


if __name__ == "__main__":
    _run(sys.argv[1])
