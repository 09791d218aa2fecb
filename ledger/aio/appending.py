"""How a coroutine appends: the ledger for threads submits the call, and its future is awaited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from ledger.service import Ledger
from ledger.writing.commit import Answer, Group

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Submitting"]

R = TypeVar("R")


class Submitting:
    """Stands where a ledger has its Appender; its `append` returns the future of the answer.

    `check` is asked before each call, and raises if the ledger is closed or was forked.
    """

    def __init__(self, ledger: Ledger, check: Callable[[], None]) -> None:
        self._ledger = ledger
        self._check = check

    def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> Future[R]:
        """Submit `groups`, and return the future of what `conclude` makes of the answers."""
        self._check()
        # No waiting for room: that would stop the event loop.
        return self._ledger._appender.submit(groups, conclude, room=False)
