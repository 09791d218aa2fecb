"""What a fork must not take along: open connections.

SQLite keeps account of a process's locks in memory. A child inherits the account, but not the
locks: a file that it opens again while it has inherited a connection is not locked at all, and
what it commits may be lost. Therefore the connections of all ledgers are closed before a fork,
and opened again when they are needed.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from ledger.errors import StorageError

__all__ = ["Forking", "refuse_inherited", "watch"]


class Forking(Protocol):
    """What has connections to a file."""

    file: str

    def before_fork(self) -> bool:
        """Close all connections, and open none until `after_fork`; return whether none is open."""

    def after_fork(self) -> None:
        """Go on, in the parent."""


_all: weakref.WeakSet[Forking] = weakref.WeakSet()
_stopped: list[Forking] = []
_inherited: set[tuple[int, int]] = set()
_left_open: list[str] = []


def watch(pool: Forking) -> None:
    """Close the connections of `pool` before every fork."""
    _all.add(pool)


def refuse_inherited(path: str) -> None:
    """Refuse a file to which this process has inherited a connection.

    Raises StorageError.
    """
    if _inherited and _identity(path) in _inherited:
        raise StorageError(
            f"{path} was being used when this process was forked, and SQLite cannot lock it safely "
            "in here. Fork while no other thread uses the ledger, or start processes by spawn or "
            "forkserver."
        )


def _before() -> None:
    for pool in list(_all):
        _stopped.append(pool)
        if not pool.before_fork():
            _left_open.append(pool.file)


def _in_parent() -> None:
    while _stopped:
        _stopped.pop().after_fork()
    _left_open.clear()


def _in_child() -> None:
    _inherited.update(identity for path in _left_open if (identity := _identity(path)))
    _all.clear()
    _stopped.clear()
    _left_open.clear()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
