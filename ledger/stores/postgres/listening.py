"""How it is heard that cursors on a server move: resets are told of, all else is asked for."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import psycopg

from ledger import notices
from ledger.law.cursor import Cursor, CursorKey
from ledger.log.columns import CURSOR, KEY, KEYED_CURSOR, Row
from ledger.log.cursors import cursor_from
from ledger.stores.postgres.errors import is_lost, translated
from ledger.stores.postgres.keys import cursor_id
from ledger.stores.postgres.reading import PostgresSession
from ledger.stores.postgres.statements import Statements

__all__ = ["Listener"]

T = TypeVar("T")

Connection = psycopg.Connection[Any]

_KEY, _CURSOR = KEYED_CURSOR.places(KEY), KEYED_CURSOR.places(CURSOR)

ASK_S = 0.025
"""One question takes the server some 0.1 ms, whatever the number of those who wait."""

ASK_FOR_RESETS_S = 0.5
"""For one that was not told of: in a caller's transaction, or before the connection was lost."""

CONNECT_EVERY_S = 0.25


class Listener:
    """Listens on one connection of its own; connects again once that is lost."""

    entries_s = ASK_S
    resets_s = ASK_FOR_RESETS_S

    def __init__(
        self, connect: Callable[[], Connection], sql: Statements, schema: str, place: str
    ) -> None:
        self._connect = connect
        self._sql = sql
        self._schema = schema
        self._place = place
        self._session: PostgresSession | None = None
        self._connect_at = 0.0
        self._refused = False
        self._heard = False
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._ringer.setblocking(False)

    def moved(
        self,
        seen: Mapping[CursorKey, int],
        fresh: Collection[CursorKey],  # noqa: ARG002 - they are among the others
    ) -> list[Cursor]:
        """Return the cursors that are beyond the version that was seen; none without a server."""
        self._heard = False
        if not seen:
            return []
        values = ([cursor_id(key) for key in seen], list(seen.values()))
        none: list[Row] = []
        rows = self._asked(
            lambda session: session.execute(self._sql.moved, values).fetchall(), none
        )
        return [cursor_from(CursorKey.kept(*row[_KEY]), row[_CURSOR]) for row in rows]

    def last(self) -> int:
        """Return the last position that was given to anybody; 0 without a server."""
        rows = self._asked(
            lambda session: session.execute(self._sql.last_position_drawn).fetchall(), [(0,)]
        )
        return int(rows[0][0])

    def pause(self, seconds: float) -> None:
        """Wait until a reset is told of, or it is interrupted, for `seconds` at most."""
        if self._heard:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ)
            connection = self._session.connection if self._session else None
            if connection is not None and not connection.closed:
                selector.register(connection, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(seconds)]
        if self._bell in ready:
            with suppress(BlockingIOError):
                self._bell.recv(4_096)
        if connection in ready:
            self._asked(self._drain, None)

    def interrupt(self) -> None:
        """End the pause."""
        # It is closed, or has been told so often that it cannot be told once more.
        with suppress(OSError):
            self._ringer.send(b"!")

    def close(self) -> None:
        """Close the connection."""
        self._let_go()
        self._bell.close()
        self._ringer.close()

    def _asked(self, ask: Callable[[PostgresSession], T], otherwise: T) -> T:
        """Return the answer, or something else as long as there is no connection."""
        if self._session is None and time.monotonic() < self._connect_at:
            return otherwise
        try:
            if self._session is None:
                self._session = self._listening()
                self._refused = False
            return ask(self._session)
        except psycopg.Error as error:
            connection = self._session.connection if self._session else None
            self._let_go()
            if not is_lost(error, connection):
                raise translated(error, self._place) from error
            if connection is not None:
                notices.CONNECTION_LOST.report(place=self._place, cause=error)
            elif not self._refused:
                self._refused = True
                notices.CONNECTION_REFUSED.report(place=self._place, cause=error)
            self._connect_at = time.monotonic() + CONNECT_EVERY_S
            return otherwise

    def _listening(self) -> PostgresSession:
        connection = self._connect()
        # Whatever is read while it runs is passed here, and not kept.
        connection.add_notify_handler(self._hear)
        session = PostgresSession(connection, self._sql)
        try:
            session.execute(self._sql.listen)
        except BaseException:
            connection.close()
            raise
        return session

    def _drain(self, session: PostgresSession) -> None:
        """Read what the server has sent by itself."""
        server = session.connection.pgconn
        server.consume_input()
        while (told := server.notifies()) is not None:
            self._heard = self._heard or told.extra == self._schema.encode()

    def _hear(self, notify: psycopg.Notify) -> None:
        self._heard = self._heard or notify.payload == self._schema

    def _let_go(self) -> None:
        if (session := self._session) is not None:
            self._session = None
            session.connection.close()
