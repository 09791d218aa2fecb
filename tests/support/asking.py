"""Asks the process that waits (`support.waiting`) for a program, and is it for who started it.

The program has the streams, the folder and the environment of this process, which hands signals
on and ends as the program ends. This runs without `site`, and imports only what is built in: that
takes 10 ms, where a program needs 100 until it begins.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed does not know it
import _socket
import marshal
import os
import sys

TYPE_CHECKING = False  # As typing has it, which takes 10 ms to import.
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["FDS", "LENGTH", "run"]

LENGTH = 8
FDS = 4
HANDED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGWINCH", "SIGUSR1", "SIGUSR2")

# What an interpreter looks at while it starts, and no later.
AT_THE_START = ("PYTHON", "LD_", "LC_", "LANG")
LATER_TOO = {"PYTHONPATH", "PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
ACTIONS = {None, "", "default", "error", "always", "ignore"}


def run(folder: str, program: str, *command: str) -> NoReturn:
    """Be a program that is forked; `command` is what to be if it has to be started."""
    with open(os.path.join(folder, "waiting"), "rb") as file:
        known = marshal.load(file)
    asked = _connection(folder, known) if _can_be_forked(program, known["environment"]) else None
    if asked is None:
        os.execv(command[0], [*command, *sys.argv[1:]])
    numbers = [getattr(_signal, name) for name in HANDED_ON]
    ignored = [number for number in numbers if _signal.getsignal(number) == _signal.SIG_IGN]
    umask = os.umask(0o077)
    ask = {
        "program": program,
        "arguments": sys.argv,
        "environment": {os.fsencode(n): os.fsencode(v) for n, v in os.environ.items()},
        "ignored": ignored,
        "umask": umask,
    }
    text = marshal.dumps(ask)
    fds = [0, 1, 2, os.open(".", os.O_RDONLY)]
    rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
    asked.sendmsg(
        [len(text).to_bytes(LENGTH, sys.byteorder)],
        [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)],
    )
    asked.sendall(text)
    pid = _told(asked)
    for number in numbers:
        if number not in ignored:
            _signal.signal(number, lambda number, _: os.kill(pid, number))
    code = _told(asked)
    if code < 0:
        if -code != _signal.SIGKILL:
            _signal.signal(-code, _signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _told(asked: _socket.socket) -> int:
    told = asked.recv(LENGTH)
    if len(told) < LENGTH:
        sys.exit("the process that waits for programs of tests has ended")
    return int.from_bytes(told, sys.byteorder, signed=True)


def _can_be_forked(program: str, usual: dict[str, str]) -> bool:
    """Return whether a program that is forked is what it would be if it were started."""
    first = sys.argv[1] if len(sys.argv) > 1 else "-"
    if program == "python" and first.startswith("-") and first not in {"-c", "-m"}:
        return False
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            return False
    return os.environ.get("PYTHONWARNINGS") in ACTIONS and all(
        os.environ.get(name) == usual.get(name)
        for name in {*os.environ, *usual}
        if name.startswith(AT_THE_START) and name not in LATER_TOO
    )


def _connection(folder: str, known: dict[str, Any]) -> _socket.socket | None:
    """Connect to the process that waits, which the first one starts; None if it cannot be."""
    asked = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        asked.connect(os.path.join(folder, "socket"))
    except FileNotFoundError:
        pass
    except OSError:  # It belongs to another user, or the run is over.
        return None
    else:
        return asked
    import fcntl

    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        if not os.path.exists(os.path.join(folder, "socket")):
            _start(folder, known)
    finally:
        os.close(lock)
    asked.connect(os.path.join(folder, "socket"))
    return asked


def _start(folder: str, known: dict[str, Any]) -> None:
    """Start the process that waits, in a session of its own, with its socket to listen at."""
    listening = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    listening.bind(os.path.join(folder, "new socket"))
    listening.listen(64)
    if not os.fork():
        os.setsid()
        log = os.open(os.path.join(folder, "log"), os.O_WRONLY | os.O_CREAT)
        for fd, copy in ((os.open("/dev/null", os.O_RDONLY), 0), (log, 1), (log, 2)):
            os.dup2(fd, copy)
        os.dup2(listening.fileno(), 3)
        os.closerange(4, 1_024)
        for name in HANDED_ON:
            _signal.signal(getattr(_signal, name), _signal.SIG_DFL)
        os.umask(0o022)
        os.chdir("/")
        command = known["command"]
        os.execve(command[0], command, known["environment"])
    # A program that connects from here on is heard once this one listens.
    os.rename(os.path.join(folder, "new socket"), os.path.join(folder, "socket"))
