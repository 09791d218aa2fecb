"""Who appends: a call is committed by itself, or shares its transaction with others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from ledger.errors import InvalidCursorError, LedgerError
from ledger.stores import Store, Transaction
from ledger.writing.commit import Answer, Group, commit, commit_free

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Appender", "Committer", "may_be_committed"]

R = TypeVar("R")


class Appender(Protocol):
    """Commits calls.

    A call is groups of requests, appended in one transaction; `conclude` makes of the answers to
    them what the caller is told.
    """

    def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        """Append `groups`, and give what `conclude` makes of the answers, once they are safe.

        Raises LedgerBusyError, StorageError, and what `conclude` raises; nothing was appended then.
        """

    def submit(
        self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R], *, room: bool = True
    ) -> Future[R]:
        """Give the future of what `append` would give, and do not wait for it.

        With `room`, wait while too many calls are queued; callers who have no other call there may
        do without, for their number is bound enough.

        Raises LedgerBusyError, StorageError.
        """

    def close(self) -> None:
        """Accept no more, and wait until all that was accepted is answered."""


@attrs.frozen
class Committer:
    """An Appender that commits each call by itself, in the thread that calls."""

    store: Store
    actor: str
    clock: Callable[[], datetime]

    def append(
        self,
        groups: Sequence[Group],
        conclude: Callable[[list[Answer]], R],
        until: float | None = None,
    ) -> R:
        """Append `groups`, and give what `conclude` makes of the answers.

        Others are waited for until `until`, by the monotonic clock; without it, for the busy
        time-out.
        """
        return self._write(
            lambda transaction: conclude(
                commit(transaction, groups, actor=self.actor, clock=self.clock)
            ),
            until,
        )

    def append_free(
        self, calls: Sequence[Sequence[Group]], until: float | None = None
    ) -> list[list[Answer] | None]:
        """Append many calls in one transaction, but those that would have to wait: see commit.py.

        Raises LedgerBusyError, StorageError; nothing was appended then.
        """
        return self._write(
            lambda transaction: commit_free(transaction, calls, actor=self.actor, clock=self.clock),
            until,
        )

    def _write(self, work: Callable[[Transaction], R], until: float | None) -> R:
        decided = False

        def noting(transaction: Transaction) -> R:
            nonlocal decided
            result = work(transaction)
            decided = True
            return result

        try:
            return self.store.write(noting, until)
        except LedgerError:
            raise
        except BaseException as interrupt:
            if decided:
                may_be_committed(interrupt)
            raise

    def submit(self, *_: object, **__: object) -> Future[Any]:
        """Refuse: inside a caller's transaction there is no later."""
        raise InvalidCursorError(
            "a ledger inside your own transaction has no thread to submit to; use append."
        )

    def close(self) -> None:
        """Leave nothing behind, for nothing was accepted."""


def may_be_committed(interrupt: BaseException) -> None:
    """Note on what interrupts a call from outside that it may have come too late."""
    interrupt.add_note("cursor-ledger: the call that this interrupted may have been committed.")
