"""Processes whose calls of the operating system fail on demand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from support.preloaded import python

PRELUDE = """
import ctypes, errno, os, signal, sys
import ledger
from ledger import AdvanceCursor, CursorKey
jobs = CursorKey("mailer", "jobs")
shim = ctypes.CDLL(None)

def fail(call, file, error, *, after=0, times=1):
    shim.arm(call.encode(), file.encode(), error, after, times)

def failed():
    return shim.how_many_failed()
"""


@cache
def shim() -> str:
    """Compile the library that is preloaded; skip the test where that cannot be done."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("calls are made to fail by a library that is preloaded: Linux and a C compiler")
    library = Path(mkdtemp()) / "failing_calls.so"
    source = Path(__file__).with_name("failing_calls.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return str(library)


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script in a process where `fail(call, file, errno)` makes calls fail."""
    return python(
        PRELUDE + textwrap.dedent(script),
        [str(argument) for argument in arguments],
        folder=str(Path.cwd()),
        environment={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preload=shim(),
    )
