"""What a source has, kept on disk until it was read to its end.

Nothing is appended before: a source that names a cursor twice, with two positions, is only known by
its last line. The rows are in a temporary database without a name, which SQLite removes when it is
closed, or when the process is killed; so a source of any length takes constant memory.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

import attrs

from ledger.errors import InvalidCursorError, StorageError
from ledger.exchange.naming import Names
from ledger.exchange.rows import Misread, Read, Reading
from ledger.exchange.templates import AbsentError, Template
from ledger.law import fields
from ledger.law.cursor import CursorKey
from ledger.log.text import dumps, instant, micros, show_time

__all__ = ["Staged", "Staging", "staging"]

BATCH_ROWS = 500
ORIGIN_LENGTH_MAX = fields.TEXT_LENGTH_MAX


@attrs.frozen(kw_only=True)
class Staged:
    """A row of a source: the cursor that it has, or why it has none.

    `key` is None if nobody can say which cursor is meant. A `problem` refuses the row; without one,
    a `sequence` of None says that there is no position. `same_as` is the number of the earlier row
    that says the same.
    """

    line: int
    key: CursorKey | None
    sequence: int | None = None
    delivery_id: str = ""
    delivered_at: datetime | None = None
    origin: str = ""
    problem: str = ""
    same_as: int | None = None


class Staging:
    """The rows of one source, in the order in which they were read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._unit = ""
        connection.executescript(_SCHEMA)

    def read(self, reading: Reading, names: Names, progress: Callable[[int], None]) -> None:
        """Read a source to its end; `progress` is told how many rows so far.

        Raises InvalidCursorError, StorageError.
        """
        if reading.columns is not None:
            names.check(reading.columns)
        origin = Template.of(reading.origin, "source")
        self._unit = reading.unit
        self._connection.execute("BEGIN")
        done = 0
        while batch := list(islice(reading.rows, BATCH_ROWS)):
            rows = [_found(row, names, origin, reading.place) for row in batch]
            with _told():
                self._add(rows)
            done += len(batch)
            progress(done)
        with _told():
            self._settle()

    def rows(self) -> Iterator[list[Staged]]:
        """Yield all rows, some at a time."""
        cursor = self._connection.execute(_ALL)
        while page := cursor.fetchmany(BATCH_ROWS):
            yield [_staged(row) for row in page]

    def digest(self, *with_it: str) -> str:
        """Return the digest of all cursors that the source has, in whichever order it names them.

        `with_it` is covered as well.
        """
        digest = hashlib.sha256(dumps(["cursor-ledger/adopt/1", *with_it]).encode())
        for row in self._connection.execute(_MEANT):
            digest.update(b"\n" + dumps(list(row)).encode())
        return digest.hexdigest()

    def _add(self, rows: list[Staged]) -> None:
        self._connection.executemany(_INSERT, [_plain(row) for row in rows])

    def _settle(self) -> None:
        """Find the cursors that are named more than once, after the last row."""
        self._connection.executescript(_REPEATED)
        firsts = self._connection.execute("SELECT first FROM repeated ORDER BY first")
        for (number,) in firsts:
            self._settle_one(number)

    def _settle_one(self, number: int) -> None:
        """Settle the cursor that row `number` is the first one to name."""
        other = self._connection.execute(_OTHERWISE, {"first": number}).fetchone()
        if other is None:
            self._connection.execute(_SAME, {"first": number})
            return
        first = self._connection.execute(_BY_NUMBER, (number,)).fetchone()
        (line, *one), (other_line, *another) = first, other
        problem = (
            f"{self._unit} {line} and {self._unit} {other_line} have different values for this "
            f"cursor: {_values(*one)} and {_values(*another)}. Leave one out."
        )
        self._connection.execute(_CONFLICT, {"first": number, "problem": problem})


@contextmanager
def staging() -> Iterator[Staging]:
    """Return a staging for one source, which is gone afterwards.

    Raises StorageError if there is no room for it.
    """
    with _told(), closing(sqlite3.connect("", isolation_level=None)) as connection:
        yield Staging(connection)


def _found(row: Read, names: Names, origin: Template, place: str) -> Staged:
    """Return what a row has, or why it cannot be used."""
    if isinstance(row, Misread):
        return Staged(line=row.line, key=None, problem=row.problem)
    try:
        said = origin.fill(row.values)
    except InvalidCursorError:
        said = place
    try:
        found = names.found(row.values)
    except AbsentError as error:
        if not names.has_position(row.values):
            return Staged(line=row.line, key=None)
        return Staged(line=row.line, key=None, problem=str(error))
    except InvalidCursorError as error:
        return Staged(line=row.line, key=None, problem=str(error))
    return Staged(
        line=row.line,
        key=found.key,
        sequence=found.sequence,
        delivery_id=found.delivery_id,
        delivered_at=found.delivered_at,
        origin=said if len(said) <= ORIGIN_LENGTH_MAX else said[: ORIGIN_LENGTH_MAX - 1] + "…",
    )


def _values(sequence: int, delivery_id: str, delivered_at: int | None) -> str:
    at = "" if delivered_at is None else f", delivered at {show_time(instant(delivered_at))}"
    return f"{sequence}{f' ({delivery_id})' if delivery_id else ''}{at}"


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(
            f"what the source has could not be kept in a temporary database ({error}). Make room, "
            "or set SQLITE_TMPDIR to a folder that has it."
        ) from error


# --- the temporary database ---


def _plain(row: Staged) -> tuple[object, ...]:
    key = row.key
    return (
        row.line,
        *((key.consumer_id, key.stream_name, key.subject_id) if key else (None, None, None)),
        row.sequence,
        row.delivery_id,
        None if row.delivered_at is None else micros(row.delivered_at),
        row.origin,
        row.problem,
    )


def _staged(row: tuple[Any, ...]) -> Staged:
    line, consumer, stream, subject, sequence, delivery_id, delivered, origin, problem, same = row
    return Staged(
        line=line,
        key=None if consumer is None else CursorKey(consumer, stream, subject),
        sequence=sequence,
        delivery_id=delivery_id,
        delivered_at=None if delivered is None else instant(delivered),
        origin=origin,
        problem=problem,
        same_as=same,
    )


_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE staged (
    number INTEGER PRIMARY KEY,
    line INTEGER NOT NULL,
    consumer TEXT,
    stream TEXT,
    subject TEXT,
    sequence INTEGER,
    delivery_id TEXT NOT NULL,
    delivered_at INTEGER,
    origin TEXT NOT NULL,
    problem TEXT NOT NULL,
    same_as INTEGER
);
"""
_COLUMNS = "line, consumer, stream, subject, sequence, delivery_id, delivered_at, origin, problem"
_INSERT = f"INSERT INTO staged ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - of constants
_ALL = f"SELECT {_COLUMNS}, same_as FROM staged ORDER BY number"  # noqa: S608 - of constants
_BY_NUMBER = "SELECT line, sequence, delivery_id, delivered_at FROM staged WHERE number = ?"
_MEANT = """
SELECT consumer, stream, subject, sequence, delivery_id, delivered_at, origin
FROM staged WHERE problem = '' AND same_as IS NULL AND sequence IS NOT NULL
ORDER BY consumer, stream, subject
"""
_REPEATED = """
CREATE INDEX by_key ON staged (consumer, stream, subject, number)
    WHERE problem = '' AND sequence IS NOT NULL;
CREATE TABLE repeated AS SELECT min(number) AS first FROM staged
    WHERE problem = '' AND sequence IS NOT NULL
    GROUP BY consumer, stream, subject HAVING count(*) > 1;
"""
# The rows that name the cursor of row :first, and have a position for it.
_OF_ITS_CURSOR = """
FROM staged AS other JOIN staged AS first ON first.number = :first
WHERE other.consumer = first.consumer AND other.stream = first.stream
    AND other.subject = first.subject AND other.problem = '' AND other.sequence IS NOT NULL
"""
_OTHERWISE = f"""
SELECT other.line, other.sequence, other.delivery_id, other.delivered_at {_OF_ITS_CURSOR}
    AND (other.sequence, other.delivery_id, other.delivered_at)
        IS NOT (first.sequence, first.delivery_id, first.delivered_at)
ORDER BY other.number LIMIT 1
"""
_SAME = f"""
UPDATE staged SET same_as = (SELECT line FROM staged WHERE number = :first)
WHERE number > :first AND number IN (SELECT other.number {_OF_ITS_CURSOR})
"""  # noqa: S608 - of constants
_CONFLICT = f"""
UPDATE staged SET problem = :problem WHERE number IN (SELECT other.number {_OF_ITS_CURSOR})
"""  # noqa: S608 - of constants
