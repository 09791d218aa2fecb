"""The tables themselves: looked at before they are trusted, and checked as part of the evidence."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from ledger.errors import StorageError
from ledger.law import paths
from ledger.stores.sqlite import migrations
from ledger.stores.sqlite.plainly import lenient, text_as

if TYPE_CHECKING:
    from ledger.evidence.findings import Fault

__all__ = ["TIME_MAX_S", "check", "definition_faults", "definitions", "refuse_strange"]

TIME_MAX_S = 30.0
"""How long it may take to look at a database and to bring it up to date."""

TABLES = (
    *("ledger_cursors", "ledger_events", "ledger_identity", "ledger_tags", "ledger_tree"),
    *("ledger_archived", "ledger_archived_cursors"),
)

_READ = (*TABLES, "_sqlite_migrations")
_OURS = (*TABLES, "ledger_log")

# Which names are ours is found out here: SQLite would need a function for it, or NOCASE.
KINDS = """
SELECT CAST(name AS TEXT), type, CAST(sql AS TEXT), rootpage FROM main.sqlite_master
"""

# Expressions, as all columns in what follows: a caller's connection may have converters for those.
DEFINITIONS = """
SELECT CAST(tbl_name AS TEXT), +type, +name, CAST(sql AS TEXT) FROM main.sqlite_master
"""

TEMPORARY = """
SELECT CAST(name AS TEXT), CAST(tbl_name AS TEXT), +type FROM sqlite_temp_master
"""

INDEX = """
SELECT 1 FROM main.sqlite_master
WHERE type = 'index' AND name = ? AND tbl_name = 'ledger_events'
"""

# No column is computed without the word AS. Written so, it takes a tenth of the time of \bAS\b.
_COMPUTED = re.compile(r"AS(?<!\wAS)\b")

# How integrity_check reports a read that failed, which is no fault of what was to be read.
_FAILED_READ = re.compile(r"error code=(\d+)")

TAGS = "SELECT +id, +tag FROM main.ledger_tags NOT INDEXED"

# Numbers come before all text. One that is no integer has a point in it.
MISPLACED_TAGS = """
SELECT +position, +tag_id FROM main.ledger_events NOT INDEXED
WHERE tag_id IS NULL OR +tag_id >= '' OR CAST(tag_id AS TEXT) NOT IN ({tags})
"""

# Behind this one, SQLite gives any position at random.
LAST_OF_ALL = "SELECT +position FROM main.ledger_events WHERE position = 9223372036854775807"

IDS = "SELECT 1 FROM main.ledger_identity LIMIT 2"

# Not by the index of keys, which may lack one of the two.
IN_ORDER = """
SELECT +consumer_id, +stream_name, +subject_id, +id FROM main.ledger_cursors NOT INDEXED
ORDER BY consumer_id, stream_name, subject_id, id
"""


def refuse_strange(connection: sqlite3.Connection, path: str) -> None:
    """Refuse a database whose tables would run something when they are read.

    A view or a virtual table under one of our names, or a generated column, computes whatever its
    author wrote, and may never end.

    Raises StorageError.
    """
    with text_as(connection, lenient):
        kinds = connection.execute(KINDS).fetchall()
    for name, kind, sql, root in kinds:
        if not _is_one(name, _READ):
            continue
        virtual = kind == "table" and not root  # It has no page of its own, whatever its text says.
        if kind != "table" or virtual:
            what = "virtual table" if virtual else str(kind)
            raise _strange(path, f"{name} is a {what}, not a table")
        if not _COMPUTED.search(str(sql).upper()):
            continue  # To ask for the columns of each table takes as long as all the rest.
        for column in connection.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (name,)):
            if column[1]:
                raise _strange(path, f"the column {name}.{column[0]} is computed, not stored")


def _is_one(name: object, names: Collection[str]) -> bool:
    return str(name).lower() in names


def _strange(path: str, fact: str) -> StorageError:
    return StorageError(
        f"{path} was not made by cursor-ledger: {fact:.300}. To read it would run what its author "
        "wrote, so it was left alone. Look at it with: sqlite3 -readonly FILE .schema"
    )


def check(connection: sqlite3.Connection) -> Iterator[Fault]:
    """Return what is wrong with the tables, their indexes, triggers and definitions."""
    # Imported here, because only a check needs them, and every process looks at the tables.
    from ledger.evidence.findings import Fault, FaultKind
    from ledger.stores.sqlite import archived
    from ledger.stores.structure import differences, misplaced_tags, wrong_tags

    rows = connection.cursor()
    rows.row_factory = None
    made, found = _made(connection), definitions(connection)
    yield from differences(made, found)
    yield from _temporary(connection)
    # It would compute what a CHECK or an index of somebody else's says.
    if _stored(made) == _stored(found):
        yield from _damages(connection, [t for t in TABLES if f"table {t}" in found])
        yield from archived.check(connection)
    yield from _single_rows(connection, found)
    known = _tags(connection)
    yield from wrong_tags(rows.execute(TAGS).fetchall(), known)
    tags = ", ".join(f"'{number}'" for number in known.values())
    yield from misplaced_tags(rows.execute(MISPLACED_TAGS.format(tags=tags)))
    for key, stored in groupby(rows.execute(IN_ORDER), itemgetter(0, 1, 2)):
        if len(ids := [str(row[3]) for row in stored]) > 1:
            place = paths.joined(str(part) for part in key if part)
            detail = f"it has more than one stored cursor, with the ids {', '.join(ids)}"
            yield Fault(kind=FaultKind.KEY, place=place, detail=detail)


def definition_faults(connection: sqlite3.Connection) -> Iterator[Fault]:
    """Return what is wrong with definitions and tags: of `check`, what reads no entry."""
    from ledger.stores.structure import differences, wrong_tags

    found = definitions(connection)
    yield from differences(_made(connection), found)
    yield from _temporary(connection)
    yield from _single_rows(connection, found)
    rows = connection.cursor()
    rows.row_factory = None
    yield from wrong_tags(rows.execute(TAGS).fetchall(), _tags(connection))


def _single_rows(connection: sqlite3.Connection, found: Collection[str]) -> Iterator[Fault]:
    """Name an id that is missing or one of several, and an entry that none can follow."""
    from ledger.evidence.findings import Fault, FaultKind
    from ledger.stores.structure import wrong_ids

    rows = connection.cursor()
    rows.row_factory = None
    if "table ledger_identity" in found:
        yield from wrong_ids(len(rows.execute(IDS).fetchall()))
    for (position,) in rows.execute(LAST_OF_ALL).fetchall():
        detail = "it is the last of all numbers; entries behind it would be given any that is free"
        yield Fault(kind=FaultKind.POSITION, place="the log", position=position, detail=detail)


def _temporary(connection: sqlite3.Connection) -> Iterator[Fault]:
    from ledger.evidence.findings import Fault, FaultKind

    rows = connection.cursor()
    rows.row_factory = None
    for name, table, kind in rows.execute(TEMPORARY).fetchall():
        if not (_is_one(name, _OURS) or _is_one(table, _OURS)):
            continue
        detail = "it is temporary, and stands in front of what the ledger has under this name"
        yield Fault(kind=FaultKind.FOREIGN, place=f"{kind} {name}", detail=detail)


def _tags(connection: sqlite3.Connection) -> dict[str, int]:
    from ledger.stores.structure import tag_ids

    return tag_ids(starts=migrations.STARTS in migrations.applied(connection))


def _stored(definitions: Mapping[str, str]) -> dict[str, str]:
    kinds = ("table ", "index ")
    return {name: sql for name, sql in definitions.items() if name.startswith(kinds)}


def definitions(connection: sqlite3.Connection) -> Mapping[str, str]:
    """Return the definitions of all that is ours, and of all that stands on our tables."""
    rows = connection.cursor()
    rows.row_factory = None
    return {
        f"{kind} {name}": sql or ""
        for table, kind, name, sql in rows.execute(DEFINITIONS)
        if _is_one(table, _OURS)
    }


def has_index(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether the table of events has the index `name`."""
    rows = connection.cursor()
    rows.row_factory = None
    return bool(rows.execute(INDEX, (name,)).fetchall())


def _made(connection: sqlite3.Connection) -> Mapping[str, str]:
    """Return the definitions that the migrations make, as far as they were applied."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrations.make(fresh, migrations.applied(connection))
        return definitions(fresh)


def _damages(connection: sqlite3.Connection, tables: Iterable[str]) -> Iterator[Fault]:
    """Return what SQLite finds wrong with the pages, and between tables and their indexes."""
    from ledger.evidence.findings import Fault, FaultKind

    rows = connection.cursor()
    rows.row_factory = None
    for table in tables:
        for (found,) in rows.execute(f"PRAGMA main.integrity_check({table})").fetchall():
            failed = _FAILED_READ.search(found)
            if failed and int(failed[1]) & 0xFF == sqlite3.SQLITE_IOERR:
                raise StorageError(
                    f"{table} could not be read by the operating system ({found}). This says "
                    "nothing of what is in it; look at the disk, then try again."
                )
            if found != "ok":
                kind = FaultKind.INDEX if "index" in found else FaultKind.DAMAGED
                yield Fault(kind=kind, place=table, detail=found)
