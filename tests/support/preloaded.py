"""Python programs that begin with the ledger imported, because most of their time is imports.

A folder of the run has a `cursor-ledger` and a `python` to be started as any program is, by tests
and by shells. Both ask one process, for all of a run, which forks what they are (`support.waiting`)
and has opened nothing. A run of everything has the real ones, and starts each program anew.
"""

from __future__ import annotations

import marshal
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from support.depth import everything
from support.places import TOP
from support.servers import RUN

__all__ = ["COMMAND", "OF_THE_LEDGER", "REAL", "programs", "python"]

REAL = Path(sys.executable).parent
TESTS = TOP / "tests"

# What commands import, and programs that have a ledger.
OF_THE_LEDGER = (
    *("psycopg", "psycopg_pool", "sqlite_utils", "wcwidth", "projections.command"),
    *("ledger.stores.postgres", "ledger.stores.sqlite"),
    *(f"ledger.cli.{file.stem}" for file in (TOP / "ledger/cli").glob("[a-z]*.py")),
    *(f"projections.cli.{file.stem}" for file in (TOP / "projections/cli").glob("[a-z]*.py")),
)

_PROGRAM = """\
#!{python} -IS
import sys
sys.path.append({tests!r})
from support.asking import run
run({folder!r}, {name!r}, {real!r})
"""


@cache
def programs(
    name: str = "ledger", modules: tuple[str, ...] = OF_THE_LEDGER, preload: str = ""
) -> Path:
    """Return a folder with a `cursor-ledger` and a `python` that have imported `modules`.

    `preload` names a library that is in `python` as with LD_PRELOAD.
    """
    if everything() or RUN not in os.environ:
        return REAL
    folder = Path(os.environ[RUN]) / name
    making = folder.with_name(f"{name}-{os.getpid()}")
    making.mkdir()
    environment = {**os.environ, "PYTHONPATH": f"{TOP}{os.pathsep}{TESTS}"}
    if preload:
        environment["LD_PRELOAD"] = preload
    waiting = [sys.executable, "-P", "-m", "support.waiting", str(folder), *modules]
    known = {"command": waiting, "environment": environment}
    (making / "waiting").write_bytes(marshal.dumps(known))
    for program in ("cursor-ledger", "python"):
        said = {"name": program, "real": str(REAL / program), "folder": str(folder)}
        text = _PROGRAM.format(**said, python=sys.executable, tests=str(TESTS))
        (making / program).write_text(text, "utf-8")
        (making / program).chmod(0o755)
    try:
        making.rename(folder)
    except OSError:  # Another process of the run has made it.
        shutil.rmtree(making)
    return folder


COMMAND = programs() / "cursor-ledger"


def python(
    script: str,
    arguments: Sequence[str],
    *,
    folder: str,
    environment: dict[str, str],
    preload: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a script as `python -c` does, and return what it has printed, and how it ended.

    `preload` names a library for LD_PRELOAD.
    """
    place = programs()
    if preload:
        place = programs("preload", OF_THE_LEDGER, preload)
        environment = {**environment, "LD_PRELOAD": preload}
    return subprocess.run(
        [place / "python", "-c", script, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )
