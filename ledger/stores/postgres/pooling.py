"""The pool of psycopg, which lends the connection that came back last."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import psycopg
import psycopg_pool

if TYPE_CHECKING:
    from ledger.stores.postgres.address import Address

__all__ = ["CONNECT_EVERY_S", "Connection", "MostRecentFirst", "roll_back"]

Connection = psycopg.Connection[Any]

CONNECT_EVERY_S = 1.0
FIRST_EVERY_S = 0.001
CLOSE_S_MAX = 5.0
PREPARE_THRESHOLD = 0


class _Stack(deque[Connection]):
    """What is appended last is taken first."""

    def popleft(self) -> Connection:
        """Take what was appended last."""
        return self.pop()


class _First:
    """Connects for a pool, which gets a connection first that was opened before it.

    One that was opened to look at the tables is set as those of the pool are. If it was thrown
    away, to open a ledger would take client and server two thirds more processor time.
    """

    def __init__(self, first: Connection, configure: Callable[[Connection], None]) -> None:
        first.prepare_threshold = PREPARE_THRESHOLD
        self._first = [first]
        self._handed: Connection | None = None
        self._configure = configure

    def connect(self, conninfo: str = "", **options: Any) -> Connection:  # noqa: ANN401 - psycopg's
        """Return the first connection, once; after that a new one."""
        try:
            self._handed = first = self._first.pop()  # One step, because the pool has threads.
        except IndexError:
            return psycopg.Connection.connect(conninfo, **options)
        return first

    def configure(self, connection: Connection) -> None:
        """Set a connection; the first one is set already."""
        if connection is self._handed:
            self._handed = None
        else:
            self._configure(connection)

    def close(self) -> None:
        """Close the first one, if the pool has not got it."""
        with suppress(IndexError):
            self._first.pop().close()


class MostRecentFirst(psycopg_pool.ConnectionPool[Connection]):
    """A pool that lends the connection that came back last, because its session has warm caches.

    By itself it lends the one that came back first, and so each of its sessions in turn: with 20 of
    them a call takes the server a third more time. If a later version has no such attribute, the
    order is that of its own again, and a test says so.
    """

    _first: _First

    @classmethod
    def to(
        cls, address: Address, configure: Callable[[Connection], None], first: Connection
    ) -> MostRecentFirst:
        """Return a pool of connections to `address`, each of which it has configured.

        `first` is open and configured already. It is the first one that the pool gets, or is
        closed, if the pool keeps none.
        """
        kept = _First(first, configure)
        pool = cls(
            address.conninfo,
            # Prepared at once: what would be prepared later, in the middle of a pipeline that has
            # failed by then, psycopg 3.3 takes for prepared although it was skipped.
            kwargs={**address.options, "prepare_threshold": PREPARE_THRESHOLD},
            min_size=address.pool_min_size,
            max_size=address.pool_max_size,
            # No class, but the pool asks a class for nothing but `connect`.
            connection_class=cast("type[Connection]", kept),
            configure=kept.configure,
            open=False,
            name="cursor-ledger",
            # It would wait longer and longer between its attempts, up to minutes behind an outage.
            reconnect_timeout=0,
        )
        pool._first = kept
        return pool

    def start(self) -> None:
        """Begin to connect; before that, nothing is in it."""
        self._pool = _Stack()
        self.open()
        if not self.min_size:
            self._first.close()

    def close(self, timeout: float = CLOSE_S_MAX) -> None:
        """Close the connections that are in it; wait at most `timeout` seconds for its threads."""
        super().close(timeout)
        self._first.close()

    def take(self, timeout_s: float) -> Connection:
        """Take a connection; asked anew, the pool tries anew to connect."""
        return self.getconn(timeout_s)

    def give_back(self, connection: Connection) -> None:
        """Put it back."""
        self.putconn(connection)

    def await_first(self) -> None:
        """Wait for the first connection, because the time-out of the first call may be short."""
        # Not by getconn: the pool opens a second one for whoever waits, and lends them in turns,
        # so that a lone caller meets a session with cold caches, at 50 µs a call.
        until = time.monotonic() + CONNECT_EVERY_S
        while not self.get_stats()["pool_available"] and time.monotonic() < until:
            time.sleep(FIRST_EVERY_S)


def roll_back(connection: Connection) -> None:
    """End what was not committed. If that fails, the pool throws the connection away."""
    if connection.pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        with suppress(psycopg.Error):
            connection.execute(b"ROLLBACK")
