"""Commands that are killed at one of their moments: between any two of their changes of files.

A process with the library `striking_calls.c` in it has imported the command, and forks it for each
moment, as often as it is asked.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import attrs
import pytest

from support.places import TOP
from support.preloaded import OF_THE_LEDGER

__all__ = ["Ended", "Striker", "striker"]

KILLED = -signal.SIGKILL

PROGRAM = """
import ctypes, gc, importlib, json, os, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
from projections.command import run
shim = ctypes.CDLL(None)
shim.strike_at.argtypes = [ctypes.c_long]
shim.how_many_moments.restype = ctypes.c_long
gc.freeze()
for line in sys.stdin:
    number, folder, arguments, moment, out, err = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(folder)
        for stream, name in ((0, os.devnull), (1, out), (2, err)):
            file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(file, stream)
            os.close(file)
        sys.stdin = open(0)
        shim.strike_at(moment)
        code = 0
        try:
            run(arguments)
        except SystemExit as ended:
            code = ended.code or 0
        sys.stdout.flush()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    print(json.dumps([number, ended, shim.how_many_moments()]), flush=True)
"""


@attrs.frozen
class Ended:
    """How a command has ended, after how many moments, and what it has printed."""

    code: int
    moments: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        return self.code == KILLED


@attrs.frozen
class Striker:
    """Runs commands, and kills them."""

    _asked: IO[str]
    _told: IO[str]
    _folder: Path
    _numbers: Iterator[int] = attrs.field(factory=count, init=False)

    def run(self, folder: Path, command: Sequence[object], moment: int = 0) -> Ended:
        """Run a command in a folder; kill it at a moment, from 1 on."""
        printed = self._folder / "out", self._folder / "err"
        number = next(self._numbers)
        asked = [number, str(folder), [*map(str, command)], moment, *map(str, printed)]
        print(json.dumps(asked), file=self._asked, flush=True)
        told, code, moments = json.loads(self._told.readline())
        while told != number:  # A test that was ended has left its answer.
            told, code, moments = json.loads(self._told.readline())
        # A write may have been cut in the middle of a character.
        out, err = (file.read_text("utf-8", "replace") for file in printed)
        return Ended(code, moments, out, err)


@contextmanager
def striker() -> Iterator[Striker]:
    """Lend what kills commands; skip the test where that cannot be done."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("commands are killed by a library that is preloaded: Linux and a C compiler")
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = Path(__file__).with_name("striking_calls.c")
        library = folder / "striking_calls.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        environment = {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": str(TOP)}
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(OF_THE_LEDGER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "CURSOR_LEDGER_ACTOR": "tester"},
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            yield Striker(process.stdin, process.stdout, folder)
            process.stdin.close()
