"""The tables themselves: looked at before they are trusted, and checked as part of the evidence."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing

from ledger.errors import StorageError
from ledger.evidence.findings import Fault, FaultKind
from ledger.stores.sqlite import migrations
from ledger.stores.structure import differences, misplaced_tags, tag_ids, wrong_tags

__all__ = ["TIME_MAX_S", "check", "definitions", "refuse_strange"]

TIME_MAX_S = 30.0
"""So long a database may take to be looked at and brought up to date."""

TABLES = ("ledger_cursors", "ledger_events", "ledger_tags")

_READ = ", ".join(f"'{name}'" for name in (*TABLES, "_sqlite_migrations"))
_OURS = ", ".join(f"'{name}'" for name in (*TABLES, "ledger_log"))

KINDS = f"""
SELECT name, type, CAST(sql AS TEXT), rootpage FROM sqlite_master WHERE lower(name) IN ({_READ})
"""

# Expressions, as all columns in what follows: a caller's connection may have converters for those.
OURS = f"""
SELECT +type, +name, CAST(sql AS TEXT) FROM sqlite_master
WHERE lower(tbl_name) IN ({_OURS})
"""

SHADOWS = f"""
SELECT +type, +name FROM sqlite_temp_master
WHERE lower(name) IN ({_OURS}) OR lower(tbl_name) IN ({_OURS})
"""

# No column is computed without the word AS. Written so, it takes a tenth of the time of \bAS\b.
_COMPUTED = re.compile(r"AS(?<!\wAS)\b")

# How integrity_check reports a read that failed, which is no fault of what was to be read.
_FAILED_READ = re.compile(r"error code=(\d+)")

TAGS = "SELECT +id, +tag FROM ledger_tags NOT INDEXED"

MISPLACED_TAGS = """
SELECT +position, +tag_id FROM ledger_events NOT INDEXED
WHERE tag_id IS NULL OR typeof(tag_id) <> 'integer' OR tag_id NOT IN ({ids})
"""

# Not by the index of keys, which may lack one of the two.
TWINS = """
SELECT +consumer_id, +stream_name, +subject_id, group_concat(id, ', ')
FROM ledger_cursors NOT INDEXED
GROUP BY consumer_id, stream_name, subject_id HAVING count(*) > 1
"""


def refuse_strange(connection: sqlite3.Connection, path: str) -> None:
    """Refuse a database whose tables would run something when they are read.

    A view or a virtual table under one of our names, or a generated column, computes whatever its
    author wrote, and may never end.

    Raises StorageError.
    """
    for name, kind, sql, root in connection.execute(KINDS).fetchall():
        virtual = kind == "table" and not root  # It has no page of its own, whatever its text says.
        if kind != "table" or virtual:
            what = "virtual table" if virtual else str(kind)
            raise _strange(path, f"{name} is a {what}, not a table")
        if not _COMPUTED.search(str(sql).upper()):
            continue  # To ask for the columns of each table takes as long as all the rest.
        for column in connection.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (name,)):
            if column[1]:
                raise _strange(path, f"the column {name}.{column[0]} is computed, not stored")


def _strange(path: str, fact: str) -> StorageError:
    return StorageError(
        f"{path} was not made by cursor-ledger: {fact:.300}. To read it would run what its author "
        "wrote, so it was left alone. Look at it with: sqlite3 -readonly FILE .schema"
    )


def check(connection: sqlite3.Connection) -> Iterator[Fault]:
    """Return what is wrong with the tables, their indexes, triggers and definitions."""
    rows = connection.cursor()
    rows.row_factory = None
    made, found = _made(connection), definitions(connection)
    yield from differences(made, found)
    for kind, name in rows.execute(SHADOWS).fetchall():
        detail = "it is temporary, and stands in front of what the ledger has under this name"
        yield Fault(kind=FaultKind.FOREIGN, place=f"{kind} {name}", detail=detail)
    # It would compute what a CHECK or an index of somebody else's says.
    if _stored(made) == _stored(found):
        yield from _damages(connection)
    known = tag_ids(starts=migrations.STARTS in migrations.applied(connection))
    yield from wrong_tags(rows.execute(TAGS).fetchall(), known)
    ids = ", ".join(map(str, known.values()))
    yield from misplaced_tags(rows.execute(MISPLACED_TAGS.format(ids=ids)))
    for *key, ids in rows.execute(TWINS):
        place = "/".join(str(part) for part in key if part)
        detail = f"it has more than one stored cursor, with the ids {ids}"
        yield Fault(kind=FaultKind.KEY, place=place, detail=detail)


def _stored(definitions: Mapping[str, str]) -> dict[str, str]:
    kinds = ("table ", "index ")
    return {name: sql for name, sql in definitions.items() if name.startswith(kinds)}


def definitions(connection: sqlite3.Connection) -> Mapping[str, str]:
    """Return the definitions of all that is ours, and of all that stands on our tables."""
    rows = connection.cursor()
    rows.row_factory = None
    return {f"{kind} {name}": sql or "" for kind, name, sql in rows.execute(OURS)}


def _made(connection: sqlite3.Connection) -> Mapping[str, str]:
    """Return the definitions that the migrations make, as far as they were applied."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrations.make(fresh, migrations.applied(connection))
        return definitions(fresh)


def _damages(connection: sqlite3.Connection) -> Iterator[Fault]:
    """Return what SQLite finds wrong with the pages, and between tables and their indexes."""
    rows = connection.cursor()
    rows.row_factory = None
    for table in TABLES:
        for (found,) in rows.execute(f"PRAGMA integrity_check({table})").fetchall():
            failed = _FAILED_READ.search(found)
            if failed and int(failed[1]) & 0xFF == sqlite3.SQLITE_IOERR:
                raise StorageError(
                    f"{table} could not be read by the operating system ({found}). This says "
                    "nothing of what is in it; look at the disk, then try again."
                )
            if found != "ok":
                kind = FaultKind.INDEX if "index" in found else FaultKind.DAMAGED
                yield Fault(kind=kind, place=table, detail=found)
