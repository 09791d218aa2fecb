"""One call, which may be tried again: what is left of its time, what it has sent, how it fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import attrs
import psycopg

from ledger.errors import LedgerBusyError, StorageError, UnknownOutcomeError
from ledger.stores.deadline import Deadline
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.errors import is_of_row
from ledger.stores.postgres.keys import cursor_id
from ledger.stores.postgres.pooling import roll_back
from ledger.stores.postgres.reading import PostgresSession
from ledger.stores.postgres.sharing import SharedAddress
from ledger.stores.postgres.transaction import BOUND_EACH, Held, Remembered

__all__ = ["CATALOGS_S_MIN", "Attempt", "Sent", "holders", "read_in_time"]

T = TypeVar("T")

# Autovacuum locks a catalog for a moment, and gives way to whoever waits so long: a check does.
CATALOGS_S_MIN = 2
# This part of the time-out may be spent before the server is told what is left of it.
SPENT_MAX = 0.1


@attrs.frozen
class Sent:
    """A transaction that was sent; and what its work gave."""

    transaction: Remembered | Held
    result: Any

    def has_happened(self, session: PostgresSession, statement: bytes, attempt: Attempt) -> bool:
        """Return whether it was committed, as far as `statement` finds it, if its answer was lost.

        This is asked under the locks that it had, because it may not have ended yet. It cannot
        begin any more: it was sent on the condition of a head, or behind its locks.
        """
        head, _ = self.transaction.drafts[0]
        Held(session, begun=True, patience=attempt).hold([head.cursor.key])
        values = (cursor_id(head.cursor.key), head.cursor.version, head.digest)
        return session.execute(statement, values).fetchone() is not None


class Attempt:
    """One call: how long it may be tried, and what it has sent whose answer was lost."""

    def __init__(
        self, address: Address | SharedAddress, deadline: Deadline, session_waits_s: float
    ) -> None:
        self._address = address
        self._deadline = deadline
        self._session_waits_s = session_waits_s
        self._has_lost = False
        self.lost: list[Sent] = []

    @property
    def left_s(self) -> float:
        """How many seconds are left; 0 if none are."""
        return self._deadline.left_s

    @property
    def left_ms(self) -> int:
        """How many milliseconds are left; at least 1."""
        return max(1, self._deadline.left_ms)

    @property
    def is_spent(self) -> bool:
        """Whether so much of it was spent that the time-out of the session would be too long."""
        return self.left_s <= self._session_waits_s * (1 - SPENT_MAX)

    @property
    def spares_the_server(self) -> bool:
        """Whether the server may still be given time for its own work on its catalogs."""
        return time.monotonic() < self._deadline.began_at + CATALOGS_S_MIN

    def lose(self, sent: Sequence[Sent]) -> None:
        """The connection is gone, and with it perhaps the answer to what was sent.

        The first time, the call is given its whole time once more: to notice may have taken it.
        """
        self.lost += sent
        if not self._has_lost:
            self._has_lost = True
            self._deadline = Deadline.after(self._deadline.allowed_s)

    def out_of_time(self, error: Exception) -> StorageError:
        """Return what is raised when there is no time for another try, because of `error`.

        If an answer was lost, nobody knows whether its transaction was committed.
        """
        place = self._address.place
        if self.lost:
            key = self.lost[0].transaction.drafts[0][0].cursor.key
            return UnknownOutcomeError(
                f"{place} was lost in the middle of a commit, and could not be asked for its "
                "outcome within the busy time-out. Whether the entry was appended is not known: "
                f"look at {key} before you ask for it again."
            )
        return LedgerBusyError(
            f"{place} had no connection to give within the busy time-out: the server cannot be "
            f"reached, or all {self._address.pool_max_size} are in use. Nothing was appended; try "
            f"again. ({error})"
        )


def read_in_time(
    work: Callable[[PostgresSession], T], session: PostgresSession, attempt: Attempt
) -> T:
    """Run `work`, which waits for a lock no longer than `attempt` has time."""
    if not attempt.is_spent or not attempt.left_s:
        return work(session)
    with _undone(session):
        session.execute(BOUND_EACH, (str(attempt.left_ms),))
        return work(session)


def holders(error: psycopg.Error, session: PostgresSession) -> str | None:
    """Name the sessions that hold what a call waited for; nothing if that cannot be known.

    None if it has waited for the server's work on its catalogs, and for nobody.
    """
    if not is_of_row(error):
        try:
            with _undone(session):
                if not session.is_held():
                    return None
        except psycopg.errors.LockNotAvailable:
            return None  # To ask takes a catalog as well.
        except Exception:  # noqa: BLE001 - the call fails with what it met first
            return ""
    with suppress(Exception), _undone(session):
        return session.holders()
    return ""


@contextmanager
def _undone(session: PostgresSession) -> Iterator[None]:
    roll_back(session.connection)
    try:
        session.execute(b"BEGIN ISOLATION LEVEL READ COMMITTED")
        yield
    finally:
        roll_back(session.connection)
