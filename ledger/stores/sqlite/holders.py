"""Which process holds a database, and whether its disk is full: what SQLite knows but does not say.

Nothing here opens the database or a companion of it: to close what was opened would drop all locks
that this process has on it (fcntl(2)).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

__all__ = ["OWN_PROCESS", "disk_is_full", "users_of", "writer_of"]

OWN_PROCESS = "another connection of this process"

# With less than this, not even the index of the write-ahead log can grow.
ROOM_BYTES = 64 * 1024

# Which byte of which file a writer locks: https://sqlite.org/walformat.html#locks, and what a
# writer without a write-ahead log reserves.
_LOCKS = (("-shm", 120), ("", 0x40000001))


def writer_of(file: str) -> str:
    """Return who has locked `file` for writing, in words; "" if that cannot be known."""
    with suppress(OSError, ValueError, LookupError):
        for end, byte in _LOCKS:
            with suppress(FileNotFoundError):
                for process in _lockers(file + end, byte):
                    return _named(process)
    return ""


def users_of(file: str) -> list[str]:
    """Return who else holds any lock of `file`, in words; none if that cannot be known."""
    found: dict[int, None] = {}
    with suppress(OSError, ValueError, LookupError):
        for process in _lockers(file, None):
            if process != os.getpid():
                found[process] = None
    return [_named(process) for process in found]


def disk_is_full(file: str) -> bool:
    """Return whether there is no room on the disk of `file` for more, or for another file."""
    with suppress(OSError):
        disk = os.statvfs(os.path.dirname(os.path.abspath(file)))
        blocks = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
        return blocks * disk.f_frsize < ROOM_BYTES or disk.f_ffree == 0 < disk.f_files
    return False


def _lockers(file: str, byte: int | None) -> Iterator[int]:
    """Return the processes that have locked that byte of `file` for themselves, on Linux.

    Without a byte, those that have locked any part of it, alone or with others.

    Raises OSError, ValueError, LookupError where the system does not tell, or in another form.
    """
    found = os.stat(file)
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with open("/proc/locks", encoding="ascii") as locks:
        for line in locks:
            _, kind, _, mode, process, place, first, last, *_ = line.split()
            if (kind, place) != ("POSIX", device) or int(process) <= 0:
                continue
            if byte is None or (
                mode == "WRITE" and int(first) <= byte and (last == "EOF" or byte <= int(last))
            ):
                yield int(process)


def _named(process: int) -> str:
    if process == os.getpid():
        return OWN_PROCESS
    name = ""
    with suppress(OSError), open(f"/proc/{process}/comm", "rb") as comm:
        text = comm.read(64).decode("utf-8", "replace").strip()
        name = f" ({''.join(sign if sign.isprintable() else '?' for sign in text)})"
    return f"process {process}{name}"
