"""A connection for one call: out of a pool, and back in it, whatever a signal handler raises."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from weakref import ref

import psycopg
import psycopg_pool

from ledger import notices
from ledger.errors import StorageError
from ledger.stores.postgres.attempts import Attempt
from ledger.stores.postgres.errors import is_lost, translated
from ledger.stores.postgres.pooling import CONNECT_EVERY_S, Connection, MostRecentFirst
from ledger.stores.postgres.sharing import InTransactionError, Source, settled

__all__ = ["RETRY_S", "Borrowing", "Lent", "closed"]

RETRY_S = 0.05
# A connection that has to be opened first is waited for so long, whatever the time-out.
CONNECT_S_MIN = 0.25


class Borrowing:
    """Takes connections out of `source` and gives them back.

    A signal handler may raise wherever a function is entered: in `Lent.__exit__` as well, and in
    all that it calls. Its connection would be out of the pool for good, so whoever finds the pool
    empty gives back what nobody has any more.
    """

    def __init__(
        self, source: Source | MostRecentFirst, needed: Mapping[str, str], place: str
    ) -> None:
        self.source = source
        self._needed = needed
        self._place = place
        self._is_own = isinstance(source, MostRecentFirst)
        # The holder of each connection; None once it went back to the pool. Between these stores
        # and what is before or after them, no signal handler runs.
        self.owners: dict[Connection, ref[Lent] | None] = {}
        self._one_looks = threading.RLock()

    def take(self, attempt: Attempt, lent: Lent) -> Connection:
        """Take a connection for `lent`, set as an append needs it; with what sets it back."""
        wait_s = max(attempt.left_s, CONNECT_S_MIN)
        owner = ref(lent)
        while True:
            try:
                # A pool of our own is asked anew, so that it tries anew to connect.
                own_s = min(wait_s, CONNECT_EVERY_S) if self._is_own else wait_s
                connection = self.source.take(own_s)
                self.owners[connection] = owner
                lent.connection = connection
                if not self._is_own:
                    lent.set_back = self._settled(connection, lent)
                return connection
            except psycopg_pool.PoolTimeout as error:
                if self._give_back_strays():
                    continue
                if attempt.left_s <= 0:
                    raise attempt.out_of_time(error) from error
                wait_s = attempt.left_s
            except psycopg_pool.PoolClosed:
                raise closed(self._place) from None
            except psycopg.Error as error:
                # One of a caller's pool may have been lost while it was idle.
                if not self._is_own and is_lost(error, None) and attempt.left_s > 0:
                    notices.CONNECTION_LOST.report(place=self._place, cause=error)
                    time.sleep(RETRY_S)
                    continue
                raise translated(error, self._place) from error

    def _settled(self, connection: Connection, lent: Lent) -> Callable[[], None]:
        try:
            return settled(connection, self._needed)
        except InTransactionError:
            lent.give_back()  # As it is: it is not ours to close.
            raise
        except BaseException:
            connection.close()  # Its owner must not have it as it is.
            lent.give_back()
            raise

    def forget_closed(self) -> None:
        """Keep nothing of connections that are gone."""
        for connection, owner in list(self.owners.items()):
            if owner is None and connection.closed:
                self.owners.pop(connection, None)

    def _give_back_strays(self) -> bool:
        """Return what was taken by a deleted `Lent` to the pool; say whether there was any."""
        found = False
        with self._one_looks:
            for connection, owner in list(self.owners.items()):
                if owner is not None and owner() is None:
                    self.owners[connection] = None
                    found = True
                    if not self._is_own:
                        connection.close()  # It was not set back.
                    self.source.give_back(connection)
        return found


def closed(place: str) -> StorageError:
    """Return what is raised once the ledger is closed."""
    return StorageError(f"The ledger on {place} is closed; open it again.")


class Lent:
    """A connection, while an attempt has it. A generator would take each append 2 µs more."""

    __slots__ = ("__weakref__", "_attempt", "_borrowing", "connection", "set_back")

    def __init__(self, borrowing: Borrowing, attempt: Attempt) -> None:
        self._borrowing = borrowing
        self._attempt = attempt
        self.connection: Connection | None = None
        self.set_back: Callable[[], None] | None = None

    def __enter__(self) -> Connection:
        """Take it."""
        return self._borrowing.take(self._attempt, self)

    def __exit__(self, *_: object) -> None:
        """Set it back, and give it back."""
        if self.set_back is not None:
            self.set_back()
        self.give_back()

    def give_back(self) -> None:
        """Return it to the pool, if it is taken."""
        connection, borrowing = self.connection, self._borrowing
        if connection is not None:
            self.connection = None
            # From here on it is the pool's: it may give it to another thread before this returns.
            borrowing.owners[connection] = None
            borrowing.source.give_back(connection)
