"""Cursors in a table of somebody else's database, which is only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger import targets
from ledger.errors import InvalidCursorError, LedgerBusyError, StorageError
from ledger.exchange.naming import Names
from ledger.exchange.rows import Reading, Row
from ledger.exchange.templates import escaped
from ledger.log.text import visible

if TYPE_CHECKING:
    import psycopg

__all__ = ["NAMES", "TABLE", "reading"]

TABLE = "notification_cursors"
"""The table of stores that keep only where each cursor stands."""

PAGE_ROWS = 1_000

_QUERY = f"""
SELECT consumer_id, stream_name, subject_id, last_sequence, last_delivery_id, last_delivered_at
FROM {TABLE} ORDER BY stream_name, subject_id, consumer_id
"""  # noqa: S608 - of constants

_NAMES_OF_TABLE = Names.of(
    consumer_id="{consumer_id}",
    stream_name="{stream_name}",
    subject_id="{subject_id}",
    sequence="{last_sequence}",
    delivery_id="{last_delivery_id}",
    delivered_at="{last_delivered_at}",
    optional=("subject_id", "delivery_id"),
)

NAMES = Names.of(
    consumer_id="{consumer_id}",
    stream_name="{stream_name}",
    subject_id="{subject_id}",
    sequence="{sequence}",
    delivery_id="{delivery_id}",
    delivered_at="{delivered_at}",
    optional=("subject_id", "delivery_id", "delivered_at"),
)
"""The columns that a query or a record is expected to have."""


@contextmanager
def reading(target: str, query: str | None, *, busy_timeout_s: float) -> Iterator[Reading]:
    """Read what `query` selects in a SQLite file or at a PostgreSQL URL; the table, if it is None.

    The database is read as of one moment, and refuses to be written to. `busy_timeout_s` is how
    long others may lock it.

    Raises InvalidCursorError, StorageError, LedgerBusyError.
    """
    rows_of = _on_server if targets.is_postgres(target) else _in_file
    asked = (_QUERY if query is None else query).strip().rstrip(";")
    with rows_of(target, asked, busy_timeout_s) as (place, columns, rows):
        _check(columns)
        of = f"table {TABLE} of" if query is None else "query on"
        yield Reading(
            rows=(
                Row(number, dict(zip(columns, row, strict=True)))
                for number, row in zip(count(1), rows)
            ),
            place=f"{of} {place}",
            unit="row",
            columns=tuple(columns),
            names=_NAMES_OF_TABLE if query is None else NAMES,
            origin=escaped(f"{of} {place}"),
        )


Result = tuple[str, Sequence[str], Iterator[Sequence[object]]]
"""The place of a database, the columns of what a query selects there, and its rows."""


def _check(columns: Sequence[str]) -> None:
    twice = [name for name in columns if list(columns).count(name) > 1]
    if twice:
        raise InvalidCursorError(f"the query has two columns {twice[0]!r:.80}; rename one with AS.")


# --- SQLite ---

# All that a SELECT needs. Whatever would write, attach, or change a setting is refused.
_READS = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
# How often a query looks whether it was interrupted, in steps of SQLite's machine.
_STEPS = 100_000


@contextmanager
def _in_file(path: str, query: str, busy_timeout_s: float) -> Iterator[Result]:
    place = f"file {visible(targets.shown(path))}"
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    with _told_of_file(place):
        opened = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=busy_timeout_s)
    with closing(opened) as connection:
        with _told_of_file(place):
            # While it is asked, Python handles signals; otherwise an endless query would not end.
            connection.set_progress_handler(lambda: 0, _STEPS)
            # What is not UTF-8 is refused with its row.
            connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
            cursor = _selected(connection, query, place)
        yield place, [column[0] for column in cursor.description], _fetched(place, cursor)


def _selected(connection: sqlite3.Connection, query: str, place: str) -> sqlite3.Cursor:
    refused: list[int] = []

    def authorized(action: int, *_: object) -> int:
        if action in _READS:
            return sqlite3.SQLITE_OK
        refused.append(action)
        return sqlite3.SQLITE_DENY

    connection.set_authorizer(authorized)
    try:
        cursor = connection.execute(query)
    except sqlite3.DatabaseError as error:
        if not refused:
            raise
        raise InvalidCursorError(
            f"the query does more than to read {place} ({error}). Write one SELECT."
        ) from None
    if cursor.description is None:
        raise InvalidCursorError("the query selects nothing. Write one SELECT.")
    return cursor


def _fetched(place: str, cursor: sqlite3.Cursor) -> Iterator[Sequence[object]]:
    with _told_of_file(place):
        yield from cursor


@contextmanager
def _told_of_file(place: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning) as error:
        # The driver's own errors have no code.
        code = getattr(error, "sqlite_errorcode", 0)
        if code == sqlite3.SQLITE_INTERRUPT:
            # The handler was interrupted; SQLite knows only that it has to stop.
            raise KeyboardInterrupt from None
        if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise LedgerBusyError(f"{place} is locked by another program. Try again.") from error
        raise _failed(place, error) from error


# --- PostgreSQL ---


@contextmanager
def _on_server(url: str, query: str, busy_timeout_s: float) -> Iterator[Result]:
    try:
        import psycopg
    except ImportError as error:
        raise StorageError(
            f"to read PostgreSQL, the driver psycopg is needed: pip install "
            f"'.[postgres]' in a clone of cursor-ledger ({error})."
        ) from error
    from ledger.stores.postgres.address import Address

    address = Address.parse(url)
    place = visible(address.place)
    with _told_of_server(place):
        opened = psycopg.connect(address.conninfo, **address.options)
    with closing(opened) as connection:
        with _told_of_server(place):
            connection.execute("BEGIN READ ONLY")
            connection.execute(
                "SELECT pg_catalog.set_config('lock_timeout', %s, true)",
                (f"{max(round(busy_timeout_s * 1000), 1)}ms",),
            )
            if address.schema != "public":
                connection.execute(
                    "SELECT pg_catalog.set_config('search_path', %s, true)", (address.schema,)
                )
            # Binary, because only then the server is sent one statement and nothing behind it.
            declared = f"DECLARE adopted NO SCROLL CURSOR FOR {query}"
            connection.execute(declared.encode(), binary=True)
            first = connection.execute(_FETCH)
            columns = [column.name for column in first.description or ()]
            page = first.fetchall()
        yield place, columns, _pages(place, page, connection)


_FETCH = f"FETCH {PAGE_ROWS} FROM adopted".encode()


def _pages(
    place: str, page: list[Any], connection: psycopg.Connection[Any]
) -> Iterator[Sequence[object]]:
    while page:
        yield from page
        with _told_of_server(place):
            page = connection.execute(_FETCH).fetchall()


@contextmanager
def _told_of_server(place: str) -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise LedgerBusyError(f"{place} is locked by another program. Try again.") from error
    except psycopg.Error as error:
        raise _failed(place, error) from error


def _failed(place: str, error: Exception) -> StorageError:
    said = targets.shown(" ".join(str(error).split())) or type(error).__name__
    return StorageError(
        f"{place} could not be read ({said:.500}). Without --sql, the table {TABLE} is read; a "
        "query has the columns consumer_id, stream_name, subject_id and sequence."
    )
