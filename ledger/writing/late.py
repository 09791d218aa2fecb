"""An appender that is made when something is first appended: most commands only read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn, TypeVar

from ledger.errors import StorageError
from ledger.stores.forks import ForkGuard

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ledger.stores import Transaction
    from ledger.writing.commit import Answer, Group
    from ledger.writing.committer import Appender

__all__ = ["LateAppender"]

R = TypeVar("R")


class LateAppender:
    """The Appender that `make` returns, once somebody appends.

    Two threads may make one at the same time, or a signal handler may in the middle of making one.
    Both then use that which is kept: to keep one is a single step. Another does nothing by itself.
    """

    def __init__(self, make: Callable[[], Appender]) -> None:
        self._make = make
        # In a child, none is made: what it would write to is its parent's.
        self._guard = ForkGuard()
        self._kept: dict[None, Appender] = {}

    def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        """Append `groups`, and return what `conclude` makes of the answers, once they are safe."""
        return (self._kept.get(None) or self._made()).append(groups, conclude)

    def submit(
        self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R], *, room: bool = True
    ) -> Future[R]:
        """Return the future of what `append` would return, and do not wait for it."""
        return (self._kept.get(None) or self._made()).submit(groups, conclude, room=room)

    def run(self, work: Callable[[Transaction], R]) -> R:
        """Run `work` in a transaction of its own, in the thread that calls, and commit it."""
        return (self._kept.get(None) or self._made()).run(work)

    def close(self) -> None:
        """Accept no more, and wait until all that was accepted is answered."""
        # What was never made is not made to be closed.
        if not self._guard.forked():
            self._kept.setdefault(None, _Closed()).close()

    def _made(self) -> Appender:
        self._guard.check()
        return self._kept.setdefault(None, self._make())


class _Closed:
    """An appender that accepts nothing."""

    def append(self, *_: object, **__: object) -> NoReturn:
        raise StorageError(CLOSED)

    submit = run = append

    def close(self) -> None:
        """Do nothing: nothing was accepted."""


CLOSED = "This ledger is closed; open it again."
