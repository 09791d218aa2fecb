"""Those who wait for a cursor to be beyond a version or an epoch, or for the log to grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import RLock
from typing import TypeAlias

import attrs

from ledger.errors import LedgerError
from ledger.law.cursor import Cursor, CursorKey

__all__ = ["News", "Waiter", "Waiters"]

News: TypeAlias = Cursor | int | LedgerError
"""What a waiter is told: its cursor, the last position of the log, or why it is not woken."""


def _nobody(_: News) -> None:
    """Tell nobody yet."""


@attrs.define(eq=False, kw_only=True)
class Waiter:
    """One who waits. It is told once, in the thread that wakes, and must return quickly.

    It waits for the cursor of `key` to be beyond `version` or, with `epoch`, beyond that epoch; for
    the log to be beyond `position` if it has no key.
    """

    key: CursorKey | None = None
    version: int = 0
    epoch: int | None = None
    position: int = 0
    tell: Callable[[News], None] = _nobody
    has_left: bool = False
    """Whether it waits no more: noted by a store, because an interrupt may prevent `remove`."""

    def is_due(self, cursor: Cursor) -> bool:
        """Return whether this is what it waits for."""
        if self.epoch is not None:
            return cursor.epoch > self.epoch
        return cursor.version > self.version


class Waiters:
    """All who wait for one ledger. Safe to use from many threads, and in a signal handler."""

    def __init__(self) -> None:
        self.lock = RLock()
        # The cursors that are waited for, each with the version that was seen of it.
        self._seen: dict[CursorKey, int] = {}
        self._of_key: dict[CursorKey, set[Waiter]] = {}
        self._of_log: set[Waiter] = set()
        self._eager = 0

    def __len__(self) -> int:
        with self.lock:
            return sum(map(len, self._of_key.values())) + len(self._of_log)

    def __bool__(self) -> bool:
        return bool(self._seen or self._of_log)

    @property
    def for_the_log(self) -> bool:
        """Whether anyone waits for any entry, of whatever cursor."""
        return bool(self._of_log)

    @property
    def only_for_resets(self) -> bool:
        """Whether all who wait do so for a reset."""
        return not self._eager

    def seen(self) -> dict[CursorKey, int]:
        """Return the cursors that are waited for, each with the version that was seen of it."""
        # Another thread may add one while a dictionary is copied item by item.
        with self.lock:
            return self._seen.copy()

    def wanted(self, keys: Iterable[CursorKey]) -> list[CursorKey]:
        """Return those of `keys` that somebody waits for."""
        return [key for key in keys if key in self._seen]

    def add(self, waiter: Waiter) -> None:
        """Have it told what it waits for; one that has left may come again."""
        with self.lock:
            waiter.has_left = False
            self._eager += waiter.epoch is None
            if waiter.key is None:
                self._of_log.add(waiter)
                return
            self._of_key.setdefault(waiter.key, set()).add(waiter)
            # A new one is told of what is there, whatever was seen before it came.
            self._seen[waiter.key] = 0

    def remove(self, waiter: Waiter) -> bool:
        """Let it go; return whether it was still waiting."""
        with self.lock:
            if waiter.key is None:
                found = waiter in self._of_log
                self._of_log.discard(waiter)
            else:
                beside = self._of_key.get(waiter.key, set())
                found = waiter in beside
                beside.discard(waiter)
                if not beside:
                    self._of_key.pop(waiter.key, None)
                    self._seen.pop(waiter.key, None)
            self._eager -= found and waiter.epoch is None
            return found

    def remove_left(self) -> None:
        """Let those go that an interrupt has kept from being removed, wholly or in part."""
        with self.lock:
            waiting = list(self._of_log.union(*self._of_key.values()))
            for each in waiting:
                if each.has_left:
                    self._of_log.discard(each)
                    self._of_key.get(each.key, set()).discard(each)  # type: ignore[arg-type]
            for key in {*self._of_key, *self._seen}:
                if not self._of_key.get(key):
                    self._of_key.pop(key, None)
                    self._seen.pop(key, None)
            self._eager = sum(each.epoch is None and not each.has_left for each in waiting)

    def moved(self, cursor: Cursor) -> None:
        """Tell those who waited for this."""
        with self.lock:
            if cursor.key not in self._seen:
                return
            self._seen[cursor.key] = max(self._seen[cursor.key], cursor.version)
            due = [each for each in self._of_key.get(cursor.key, ()) if each.is_due(cursor)]
        self._tell(due, cursor)

    def appended(self, last: int) -> None:
        """Tell those who waited for the log to be beyond where it is not any more."""
        with self.lock:
            due = [each for each in self._of_log if each.position < last]
        self._tell(due, last)

    def fail(self, error: LedgerError) -> None:
        """Tell all why they are not woken."""
        with self.lock:
            all_of_them = [
                *self._of_log,
                *(each for some in self._of_key.values() for each in some),
            ]
        self._tell(all_of_them, error)

    def _tell(self, due: Iterable[Waiter], news: News) -> None:
        for each in due:
            if self.remove(each):
                each.tell(news)
