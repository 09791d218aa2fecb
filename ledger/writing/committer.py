"""The appenders: a call is committed by itself, or shares its transaction with others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from ledger import writing
from ledger.errors import InvalidCursorError, LedgerError
from ledger.waking.waking import Waking

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ledger.stores import Store, Transaction
    from ledger.stores.deadline import Deadline
    from ledger.waking.waker import Waker
    from ledger.writing.commit import Answer, Group

__all__ = ["Appender", "Committer", "may_be_committed"]

R = TypeVar("R")


class Appender(Protocol):
    """Commits calls.

    A call is groups of requests, appended in one transaction; `conclude` makes of the answers to
    them what the caller is told.
    """

    def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        """Append `groups`, and return what `conclude` makes of the answers, once they are safe.

        Raises LedgerBusyError, StorageError, and what `conclude` raises; nothing was appended then.
        """

    def submit(
        self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R], *, room: bool = True
    ) -> Future[R]:
        """Return the future of what `append` would return, and do not wait for it.

        With `room`, wait while too many calls are queued. A caller that never has a second call in
        the queue may do without, because the number of such callers bounds the queue.

        Raises LedgerBusyError, StorageError.
        """

    def run(self, work: Callable[[Transaction], R]) -> R:
        """Run `work` in a transaction of its own, in the thread that calls, and commit it.

        It waits its turn among all other calls.

        Raises LedgerBusyError, StorageError, and what `work` raises; nothing has happened then.
        """

    def close(self) -> None:
        """Accept no more, and wait until all that was accepted is answered."""


@attrs.frozen
class Committer:
    """An Appender that commits each call by itself, in the thread that calls.

    Without a deadline, a call waits for others as long as the time-out of the store says, or that
    of the connection which was lent.
    """

    store: Store
    actor: str
    clock: Callable[[], datetime]
    require_epoch: bool = False
    waking: Waking | None = attrs.field(
        default=attrs.Factory(lambda self: Waking(self.store), takes_self=True), eq=False
    )
    """None inside a caller's transaction: what is appended there is not committed yet."""

    def append(
        self,
        groups: Sequence[Group],
        conclude: Callable[[list[Answer]], R],
        deadline: Deadline | None = None,
    ) -> R:
        """Append `groups`, and return what `conclude` makes of the answers."""
        return self.run(
            lambda transaction: conclude(
                writing.commit.commit(
                    transaction,
                    groups,
                    actor=self.actor,
                    clock=self.clock,
                    require_epoch=self.require_epoch,
                )
            ),
            deadline,
            (groups,),
        )

    def append_free(
        self, calls: Sequence[Sequence[Group]], deadline: Deadline
    ) -> list[list[Answer] | None]:
        """Append many calls in one transaction, except those that would have to wait.

        Raises LedgerBusyError, StorageError; nothing was appended then.
        """
        return self.run(
            lambda transaction: writing.commit.commit_free(
                transaction,
                calls,
                actor=self.actor,
                clock=self.clock,
                require_epoch=self.require_epoch,
            ),
            deadline,
            calls,
        )

    def run(
        self,
        work: Callable[[Transaction], R],
        deadline: Deadline | None = None,
        calls: Sequence[Sequence[Group]] | None = None,
    ) -> R:
        """Run `work` in one transaction; note on an interrupt if that may have come too late.

        It wakes those who wait for a cursor of `calls`, or without `calls` for any cursor.
        """
        done = False

        def noting(transaction: Transaction) -> R:
            nonlocal done
            result = work(transaction)
            done = True
            return result

        try:
            result = self.store.write(noting, deadline)
            if self.waking is not None and self.waking.waker is not None:
                self._wake(self.waking.waker, calls)
            return result
        except LedgerError:
            raise
        except BaseException as interrupt:
            if done:
                may_be_committed(interrupt)
            raise

    def _wake(self, waker: Waker, calls: Sequence[Sequence[Group]] | None) -> None:
        if waker.thread is None:
            return
        if calls is None:
            waker.tell(waker.waiters.seen())
            return
        waker.tell(request.key for groups in calls for group in groups for request in group)

    def submit(self, *_: object, **__: object) -> Future[Any]:
        """Refuse: inside a caller's transaction there is no later."""
        raise InvalidCursorError(
            "a ledger inside your own transaction has no thread to submit to; use append."
        )

    def close(self) -> None:
        """Do nothing, because each call is answered before it returns."""


def may_be_committed(interrupt: BaseException) -> None:
    """Add a note to what interrupts a call from outside: it may have come too late."""
    interrupt.add_note("cursor-ledger: the call that this interrupted may have been committed.")
