"""The process that waits for programs to run, each of which it forks (`support.preloaded`).

It has imported what programs import, and has opened nothing.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import linecache
import marshal
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import warnings
from contextlib import suppress
from types import ModuleType
from typing import Any

from support.asking import FDS, HANDED_ON, LENGTH

LISTENING = 3
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Waiting:
    """Forks a program for each that asks, and tells who asks how it has ended."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._programs: dict[int, socket.socket] = {}
        self._listening = socket.socket(fileno=LISTENING)
        self._woken, self._wakes = socket.socketpair()
        for end in (self._woken, self._wakes):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        self._selector = selectors.DefaultSelector()
        for end in (self._listening, self._woken):
            self._selector.register(end, selectors.EVENT_READ)

    def wait(self) -> Program | None:
        """Return in every process that is forked, and with None once the run is over."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        while os.path.exists(self._folder):
            for key, _ in self._selector.select(timeout=1):
                if key.fileobj is self._woken:
                    self._woken.recv(1_024)
                    self._tell_of_the_end()
                elif key.fileobj is self._listening:
                    program = self._fork()
                    if program is not None:
                        return program
                else:  # The program that asked was killed: otherwise, it says nothing more.
                    self._selector.unregister(key.fileobj)
                    os.kill(key.data, signal.SIGKILL)
        return None

    def _fork(self) -> Program | None:
        asked, _ = self._listening.accept()
        program = Program.read(asked)
        if program is None:
            asked.close()
            return None
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            self._selector.close()
            for end in (asked, self._listening, self._woken, self._wakes, *self._programs.values()):
                end.close()
            return program
        program.close()
        self._programs[pid] = asked
        self._selector.register(asked, selectors.EVENT_READ, pid)
        _tell(asked, pid)
        return None

    def _tell_of_the_end(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                pid, status = ended
                asked = self._programs.pop(pid)
                with suppress(KeyError):
                    self._selector.unregister(asked)
                _tell(asked, os.waitstatus_to_exitcode(status))
                asked.close()


def _tell(asked: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        asked.sendall(number.to_bytes(LENGTH, sys.byteorder, signed=True))


class Program:
    """A program that is asked for: what it is, and where it is to run."""

    def __init__(self, fds: list[int], ask: dict[str, Any]) -> None:
        self._fds = fds
        self._ask = ask

    @classmethod
    def read(cls, asked: socket.socket) -> Program | None:
        """Read what is asked for; None if whoever asks has ended meanwhile."""
        length, fds, _, _ = socket.recv_fds(asked, LENGTH, FDS)
        size = int.from_bytes(length, sys.byteorder)
        text = b""
        while len(text) < size and (more := asked.recv(size - len(text))):
            text += more
        if not size or len(text) < size:
            return None
        return cls(fds, marshal.loads(text))

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)

    def become(self) -> None:
        """Make this process what a new one would be for this program."""
        os.setsid()
        *streams, here = self._fds
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        os.fchdir(here)
        self.close()
        os.umask(self._ask["umask"])
        for name in HANDED_ON:
            number = getattr(signal, name)
            signal.signal(number, signal.SIG_DFL)
            if number in self._ask["ignored"]:
                signal.signal(number, signal.SIG_IGN)
            elif number == signal.SIGINT:
                signal.signal(number, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environb.clear()
        os.environb.update(self._ask["environment"])
        unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            # As Python makes them when it starts (create_stdio in pylifecycle.c).
            stream = io.TextIOWrapper(
                open(  # noqa: SIM115 - it lives as long as the process
                    number,
                    "wb" if number else "rb",
                    buffering=0 if number and unbuffered else -1,
                    closefd=False,
                ),
                encoding=getattr(sys, name).encoding,
                errors=getattr(sys, name).errors,
                line_buffering=number == 2 or os.isatty(number),
                write_through=bool(number and unbuffered),
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
        if action := os.environ.get("PYTHONWARNINGS"):
            warnings.simplefilter(action)  # type: ignore[arg-type]
        sys.path.remove(TESTS)
        path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [entry for entry in path if entry and entry not in sys.path]

    def run(self) -> None:
        sys.argv = self._ask["arguments"]
        sys.modules["__main__"] = main = ModuleType("__main__")
        if self._ask["program"] == "cursor-ledger":
            from projections.command import run

            run()
            return
        match sys.argv[1:]:
            case ["-c", script, *rest]:
                sys.argv = ["-c", *rest]
                sys.path.insert(0, "")
                if sys.version_info >= (3, 13):  # Which shows the lines of such a script.
                    lines = script.splitlines(keepends=True)
                    linecache.cache["<string>"] = (len(script), None, lines, "<string>")
                exec(compile(script, "<string>", "exec"), vars(main))
            case ["-m", module, *rest]:
                sys.argv = ["-m", *rest]
                sys.path.insert(0, os.getcwd())
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            case [folder, *rest] if os.path.isdir(folder):
                sys.argv = [folder, *rest]
                runpy.run_path(folder, run_name="__main__")
            case [file, *rest]:
                sys.argv = [file, *rest]
                main.__file__ = os.path.abspath(file)
                sys.path.insert(0, os.path.dirname(main.__file__))
                with open(file, "rb") as source:
                    exec(compile(source.read(), main.__file__, "exec"), vars(main))


def _main() -> None:
    folder, *modules = sys.argv[1:]
    with open(os.path.join(folder, "pid"), "w") as told:
        told.write(str(os.getpid()))
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    program = Waiting(folder).wait()
    if program is not None:
        program.become()
        try:
            program.run()
        except SystemExit as ended:
            _end_at_once(ended.code)
            raise
        _end_at_once(None)


def _end_at_once(code: object) -> None:
    """End as an interpreter does, but leave the modules alone: freeing them takes 30 ms.

    What ends otherwise than most programs do is left to the interpreter.
    """
    if threading.active_count() > 1 or not (code is None or isinstance(code, int)):
        return
    atexit._run_exitfuncs()
    vars(sys.modules["__main__"]).clear()
    gc.collect()  # What is left open says so.
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return
    os._exit(int(code or 0) & 0xFF)


if __name__ == "__main__":
    _main()
