"""What a connection has for itself alone, and no other sees: temporary tables, triggers, functions.

The ledger's statements name their tables as those of `main`, so a temporary table does not stand in
front of them. They use no SQL function, because the owner of a connection may have put one of its
own in the place of any: neither by name nor by an operator that is one, such as LIKE. A temporary
trigger may be on a table of `main` all the same. One that only raises is no harm: its error is
raised, and what RAISE(IGNORE) keeps away is counted.

Text is not compared without a collation, and even BINARY can be replaced. Whether text is in its
order is looked at before a connection is first used, and with each append.
"""

from __future__ import annotations

import re
from itertools import pairwise

from ledger.errors import StorageError
from ledger.stores.sqlite.reading import SQLiteSession

__all__ = ["refuse_other_order", "refuse_private"]

# In the order of their bytes, in whatever encoding a database keeps text. Each pair would be equal,
# or the other way round, by another order: of words, of numbers, of length, of any language, or
# without capitals, blanks, hyphens or accents.
_IN_ORDER = ("", "A", "A ", "A-B", "AB", "B", "B10", "B9", "a", "e", "e\u0301", "f", "\u00e9")
# Without the collation's name, two constants are compared by none.
_ORDERED = " AND ".join(f"'{low}' < '{high}' COLLATE BINARY" for low, high in pairwise(_IN_ORDER))

_ORDER = f"SELECT {_ORDERED}"

# One statement, because each append asks it; its first row is there where text has another order.
_PRIVATE = f"""
SELECT NULL, NULL, NULL WHERE NOT ({_ORDERED})
UNION ALL SELECT +name, +tbl_name, +sql FROM sqlite_temp_master WHERE type = 'trigger'
"""

_TABLES = (
    *("ledger_cursors", "ledger_events", "ledger_identity", "ledger_tags", "ledger_tree"),
    *("ledger_archived", "ledger_archived_cursors", "_sqlite_migrations"),
)

_WRITES = re.compile(r"\bBEGIN\b.*\b(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE | re.DOTALL)


def refuse_other_order(session: SQLiteSession) -> None:
    """Refuse to use a connection that has text in another order than that of its bytes.

    Raises StorageError.
    """
    [[ordered]] = session.execute(_ORDER).fetchall()
    if not ordered:
        raise _other_order()


def refuse_private(session: SQLiteSession) -> None:
    """Refuse to write where what only this connection has would change what is stored.

    That is a trigger that writes, or another order of text.

    Raises StorageError.
    """
    for name, table, sql in session.execute(_PRIVATE).fetchall():
        if name is None:
            raise _other_order()
        if str(table).lower() in _TABLES and _WRITES.search(str(sql)):
            raise StorageError(
                f"the connection has a temporary trigger on the ledger's tables, {name}, which "
                "writes with each entry, and which no other program can see. Nothing was appended; "
                "drop it: DROP TRIGGER temp.…"
            )


def _other_order() -> StorageError:
    return StorageError(
        "the connection has a collation BINARY of your own, by which SQLite would compare text for "
        "the ledger, and find other rows than other programs do. Nothing was appended; give the "
        "collation another name in create_collation(…), and lend a connection without it."
    )
