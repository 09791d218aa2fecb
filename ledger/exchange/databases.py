"""Cursors in a table of somebody else's database, which is only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger import targets
from ledger.errors import InvalidCursorError, StorageError
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
def reading(target: str, query: str | None) -> Iterator[Reading]:
    """Read what `query` selects in a SQLite file or at a PostgreSQL URL; the table, if it is None.

    The database is read as of one moment, and refuses to be written to.

    Raises InvalidCursorError, StorageError.
    """
    rows_of = _on_server if targets.is_postgres(target) else _in_file
    with rows_of(target, (_QUERY if query is None else query).strip().rstrip(";")) as (
        place,
        columns,
        rows,
    ):
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
def _in_file(path: str, query: str) -> Iterator[Result]:
    place = f"file {visible(targets.shown(path))}"
    with _told_of_file(place), closing(_connection(path)) as connection:
        refused: list[int] = []

        def authorized(action: int, *_: object) -> int:
            if action in _READS:
                return sqlite3.SQLITE_OK
            refused.append(action)
            return sqlite3.SQLITE_DENY

        connection.set_authorizer(authorized)
        # While it is asked, Python handles signals; otherwise a query that never ends would not.
        connection.set_progress_handler(lambda: 0, _STEPS)
        # What is not UTF-8 is refused with its row.
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
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
        yield place, [column[0] for column in cursor.description], _fetched(place, cursor)


def _fetched(place: str, cursor: sqlite3.Cursor) -> Iterator[Sequence[object]]:
    # It is read where something else may fail.
    with _told_of_file(place):
        yield from cursor


def _connection(path: str) -> sqlite3.Connection:
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


@contextmanager
def _told_of_file(place: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning) as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_INTERRUPT:
            # The handler was interrupted; SQLite knows only that it has to stop.
            raise KeyboardInterrupt from None
        raise _failed(place, error) from error


# --- PostgreSQL ---


@contextmanager
def _on_server(url: str, query: str) -> Iterator[Result]:
    try:
        import psycopg
    except ImportError as error:
        raise StorageError(
            f"to read PostgreSQL, the driver psycopg is needed: pip install "
            f"'cursor-ledger[postgres]' ({error})."
        ) from error
    from ledger.stores.postgres.address import Address

    address = Address.parse(url)
    place = visible(address.place)
    try:
        with closing(psycopg.connect(address.conninfo, **address.options)) as connection:
            connection.execute("BEGIN READ ONLY")
            if address.schema != "public":
                connection.execute(
                    "SELECT pg_catalog.set_config('search_path', %s, true)", (address.schema,)
                )
            # Binary, because only then the server is sent one statement and nothing behind it.
            declared = f"DECLARE adopted NO SCROLL CURSOR FOR {query}"
            connection.execute(declared.encode(), binary=True)
            first = connection.execute(f"FETCH {PAGE_ROWS} FROM adopted")
            columns = [column.name for column in first.description or ()]
            yield place, columns, _pages(place, first.fetchall(), connection.execute)
    except psycopg.Error as error:
        raise _failed(place, error) from error


def _pages(
    place: str, page: list[Any], execute: Callable[[str], psycopg.Cursor[Any]]
) -> Iterator[Sequence[object]]:
    import psycopg

    while page:
        yield from page
        try:
            page = execute(f"FETCH {PAGE_ROWS} FROM adopted").fetchall()
        except psycopg.Error as error:
            raise _failed(place, error) from error


def _failed(place: str, error: Exception) -> StorageError:
    said = targets.shown(" ".join(str(error).split())) or type(error).__name__
    return StorageError(
        f"{place} could not be read ({said:.500}). Without --sql, the table {TABLE} is read; a "
        "query has the columns consumer_id, stream_name, subject_id and sequence."
    )
