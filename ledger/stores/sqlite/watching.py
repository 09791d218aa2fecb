"""Whether the file at a path is still the one that was opened.

What is appended to a file that was deleted, moved or replaced is seen by nobody else, and is lost
when it is closed.
"""

from __future__ import annotations

import os
from os import stat
from time import monotonic

from ledger.errors import StorageError
from ledger.stores.sqlite.file import MEMORY

__all__ = ["Watch"]

# A look at a file takes 1 µs. Before a write there is one at the database itself; all others are
# made so often at most.
LOOK_AGAIN_S = 0.1

_COMPANIONS = ("-wal", "-shm")


class Watch:
    """Knows a file, and its companions once it is written to, by device and inode."""

    def __init__(self, named: str, file: str, path: str) -> None:
        # What was asked for may be a link to the file, and may lead to another one some day.
        self._named = named
        self._file = file
        self._path = path
        self._identity = None if file == MEMORY else _identity(file)
        self._companions: dict[str, tuple[int, int]] = {}
        # What nobody writes to, it is relied on, does not change.
        self._unchanging: tuple[int, int] | None = None
        self._look_again_at = 0.0

    def know_companions(self) -> None:
        """Take the companions that are there now for the ones that the writer has open."""
        self._companions = {}
        for end in _COMPANIONS:
            if identity := _identity(self._file + end):
                self._companions[self._file + end] = identity

    def forget_companions(self) -> None:
        """Let them come and go, now that no connection writes."""
        self._companions = {}

    def rely_on_no_change(self, *, rely: bool) -> None:
        """Also refuse a file that somebody writes to from now on."""
        self._unchanging = _content(self._file) if rely else None

    def check(self) -> None:
        """Refuse to go on if the file is not there any more, or another one is.

        Raises StorageError.
        """
        if self._identity is None:
            return
        try:
            found = stat(self._named)
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            raise StorageError(
                f"{self._path} was deleted, moved or replaced by another file while this ledger "
                "had it open; nobody else would see what is appended here. Close the ledger. The "
                "-wal and -shm beside that path belong to the file that is gone: put it back, or "
                "take them away, too, before you open what is there now."
            )
        if not found.st_size and self._companions:
            raise StorageError(
                f"{self._path} was emptied while this ledger had it open; nothing was appended. "
                "Close all programs that use it, and restore it from a backup."
            )
        if monotonic() >= self._look_again_at:
            self._check_the_rest()

    def check_now_and_then(self) -> None:
        """Check, unless that was done a moment ago."""
        if monotonic() >= self._look_again_at:
            self.check()

    def check_at_once(self) -> None:
        """Check all of it."""
        self._look_again_at = 0.0
        self.check()

    def _check_the_rest(self) -> None:
        for name, identity in list(self._companions.items()):
            # Once more, because our own connection that writes may be closed in between.
            if _identity(name) != identity and self._companions.get(name) == identity:
                raise StorageError(
                    f"{name} was deleted or replaced while this ledger had it open, and with it "
                    "may have gone what was appended last. Close all programs that use "
                    f"{self._path}, then run verify."
                )
        if self._unchanging is not None and (
            self._unchanging != _content(self._file) or _size(self._file + "-wal")
        ):
            raise StorageError(
                f"{self._path} was written to by somebody else while this ledger, which may not "
                "write there, relied on nobody doing so. Open it again."
            )
        self._look_again_at = monotonic() + LOOK_AGAIN_S


def _identity(file: str) -> tuple[int, int] | None:
    try:
        found = stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _content(file: str) -> tuple[int, int] | None:
    try:
        found = stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return 0
