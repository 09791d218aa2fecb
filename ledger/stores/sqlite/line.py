"""The line in which processes wait for one file, so that each of them has its share.

SQLite has no queue: a process that finds the file locked sleeps, longer each time, and meanwhile
the process that has just committed begins again. One of eight processes then has the file almost
to itself (decision 0010).

A process that finds the file locked therefore takes a place in line: in a file beside the database
it locks the byte after all bytes that are locked there. Only the first in line tries to begin. Once
it has begun it leaves the line, and may go on for a moment, transaction after transaction: the next
one does not try between two of them. After that, if another process waits, it lines up again.

A process that is alone pays nothing for it. The locks are advisory and die with their process.
Where they are not available, and with programs that know nothing of the line, the file is shared as
SQLite does: the line decides which process asks SQLite next, and never which may write.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import struct
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import monotonic, sleep

from ledger.stores.deadline import Deadline
from ledger.stores.sqlite.file import MEMORY

__all__ = ["SUFFIX", "Line", "file_is_locked"]

SUFFIX = "-queue"
"""What follows the name of the database in the name of this file, which is always empty."""

# How long a process may go on before it looks whether others wait; if it has paused, it looks.
BATCH_S = 0.030
PAUSE_S = 0.005
# How often the first in line tries. After a transaction of another it only looks whether one more
# follows, because that one may be about to begin.
FIRST_TRIES_S = 0.0005
GAP_S = 0.0003
# The others look whether they are the first, and the more are ahead of them, the less often: 31
# that looked every 3 ms would look 10,000 times a second.
LOOK_S_FOR_EACH_AHEAD = 0.0015
LOOK_S_MAX = 0.02
# How long the first lets another go on. It has found out that it is the first so much later.
GOES_ON_S = BATCH_S - LOOK_S_FOR_EACH_AHEAD
# A process that is not the first after this time tries all the same, this often, because the first
# may have been stopped.
PATIENCE_S = 0.5
IMPATIENT_TRIES_S = 0.05
# Without a line it waits longer and longer, as SQLite itself does.
NO_LINE_S = 0.001
NO_LINE_S_MAX = 0.1

# Locks of an open file, and not of a process: those would go with any handle that it closes.
# As struct flock of Linux has it: type, whence, start, length, process.
_FLOCK = struct.Struct("@hhqqi0q")
_AVAILABLE = sys.platform == "linux" and hasattr(fcntl, "F_OFD_SETLK")
_UNLOCK = _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0)


class Line:
    """One connection that writes, and its place in the line before its file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._fd = -1
        self._has_line = _AVAILABLE and file != MEMORY
        self._last_place = 0
        self._look_at = 0.0
        self._began_at = 0.0
        _all.add(self)

    def begin(
        self,
        attempt: Callable[[], None],
        deadline: Deadline,
        another_wrote: Callable[[], bool] = bool,
    ) -> None:
        """Begin a transaction by `attempt`, when it is this process's turn.

        `another_wrote` returns whether another has committed since it was asked last. Raises what
        both raise; that the file is locked, only at the deadline.
        """
        now = monotonic()
        if (now >= self._look_at or now >= self._began_at + PAUSE_S) and self._has_line:
            if self._others_wait():
                self._begin_in_line(attempt, deadline, another_wrote)
                return
            self._look_at = now + BATCH_S
        self._began_at = now
        try:
            attempt()
            return
        except sqlite3.OperationalError as error:
            if not file_is_locked(error) or deadline.is_over:
                raise
        self._begin_in_line(attempt, deadline, another_wrote)

    def close(self) -> None:
        """Close the file, and remove it if nobody waits. The next process that waits makes it."""
        if self._has_line and self._opened(make=False):
            with suppress(OSError):
                if not self._others_wait():
                    os.unlink(self._file + SUFFIX)
        self.abandon()

    def abandon(self) -> None:
        """Close the file, and leave it where it is."""
        # Forgotten before it is closed: if an interrupt left it here, a later call would close the
        # file that has its number by then. Nothing is called in between.
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:  # noqa: SIM105 - a context manager would be a call
                os.close(fd)
            except OSError:
                pass

    def _do_without(self, cause: object) -> None:
        """Do without the line, because the file cannot be made, opened or locked like this."""
        self._has_line = False
        self.abandon()
        from ledger import notices

        notices.LINE_ABANDONED.report(place=self._file, cause=cause)

    # --- waiting ---

    def _begin_in_line(
        self,
        attempt: Callable[[], None],
        deadline: Deadline,
        another_wrote: Callable[[], bool] = bool,
    ) -> None:
        joined_at = monotonic()
        lets_go_on_until = inf
        tries = 0
        try:
            place = self._join()
            while True:
                ahead = self._ahead(place)
                now = monotonic()
                if not ahead:
                    lets_go_on_until = min(lets_go_on_until, now + GOES_ON_S)
                impatient = now - joined_at > PATIENCE_S
                at_once = impatient or not place or now >= lets_go_on_until or deadline.is_over
                goes_on = False
                try:
                    if at_once or not ahead:
                        goes_on = not at_once and another_wrote()
                        if not goes_on:
                            attempt()
                            self._began_at = monotonic()
                            self._look_at = self._began_at + BATCH_S
                            self._tell(self._began_at - joined_at)
                            return
                except sqlite3.OperationalError as error:
                    if not file_is_locked(error) or deadline.is_over:
                        raise
                    tries += 1
                pause = GAP_S if goes_on else _pause(place, tries, ahead, impatient=impatient)
                sleep(min(pause, deadline.left_s))
        finally:
            # No call of ours, which a signal handler could interrupt: others wait for this.
            if self._fd >= 0:
                fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _UNLOCK)

    def _tell(self, waited_s: float) -> None:
        if "logging" in sys.modules:  # Without it nobody is told.
            from ledger import notices

            notices.WAITED_IN_LINE.report(place=self._file, wait_ms=int(waited_s * 1_000))

    # --- places: the numbers of bytes; 0 where there is no line ---

    def _join(self) -> int:
        place = self._last_place + 1
        while self._has_line and self._opened(make=True):
            behind = self._locked(place, 0)
            if behind:
                place = behind + 1
                continue
            try:
                fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _flock(place, 1))
            except BlockingIOError:
                continue  # Another process was faster.
            except OSError as error:
                self._do_without(error)
                break
            self._last_place = place
            return place
        return 0

    def _ahead(self, place: int) -> int:
        """Return about how many are ahead; 0 if none is."""
        first = self._locked(1, place - 1) if place > 1 else 0
        return place - first if first else 0

    def _others_wait(self) -> bool:
        return self._opened(make=False) and self._locked(1, 0) > 0

    def _locked(self, start: int, length: int) -> int:
        """Return a place of others from `start` on that is taken, of so many or of all; or 0."""
        try:
            found = fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, _flock(start, length))
        except OSError as error:
            self._do_without(error)
            return 0
        kind, _, place, _, _ = _FLOCK.unpack(found)
        return 0 if kind == fcntl.F_UNLCK else place

    # --- the file ---

    def _opened(self, *, make: bool) -> bool:
        """Have open what lies at the path; return whether there is something, and may be."""
        path = self._file + SUFFIX
        try:
            there = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            there = None
        except OSError as error:
            self._do_without(error)
            return False
        if there is not None and (there.st_size or not stat.S_ISREG(there.st_mode)):
            # Somebody's own file, perhaps a database: to open it, and close it, would drop locks.
            self._do_without(f"{path} is somebody's own file")
            return False
        if there is not None and self._fd >= 0:
            mine = os.fstat(self._fd)
            if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
                return True
        self.abandon()
        if there is None and not make:
            return False
        self._last_place = 0
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return make and self._made(path)
        except OSError as error:
            self._do_without(error)
        return self._fd >= 0

    def _made(self, path: str) -> bool:
        """Make the file, with the permissions of the database, as SQLite makes its log."""
        try:
            database = os.stat(self._file)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(path, flags, 0o600)
            os.fchmod(self._fd, database.st_mode & 0o666)
            if os.geteuid() == 0:
                os.fchown(self._fd, database.st_uid, database.st_gid)
        except FileExistsError:
            return self._opened(make=True)
        except OSError as error:
            self._do_without(error)
        return self._fd >= 0


def file_is_locked(error: sqlite3.OperationalError) -> bool:
    """Return whether somebody else has the file locked."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _pause(place: int, tries: int, ahead: int, *, impatient: bool) -> float:
    """Return how long to wait before the next look, or try."""
    if not place:
        return min(NO_LINE_S * float(2**tries), NO_LINE_S_MAX)
    if not ahead:
        return FIRST_TRIES_S
    return IMPATIENT_TRIES_S if impatient else min(ahead * LOOK_S_FOR_EACH_AHEAD, LOOK_S_MAX)


def _flock(start: int, length: int) -> bytes:
    return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)


# A place would be kept by a child as well, because it inherits the open file.
_all: weakref.WeakSet[Line] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for line in list(_all):
        line.abandon()


os.register_at_fork(after_in_child=_leave_to_parent)
