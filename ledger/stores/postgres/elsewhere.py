"""How another process opens the same ledger, to read the log as of the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import attrs
from psycopg import sql

from ledger.errors import StorageError
from ledger.evidence.source import Log
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.reading import PostgresSession, settle_types
from ledger.stores.postgres.statements import statements
from ledger.stores.postgres.whole_log import PostgresLog

__all__ = ["PostgresOpening", "exported"]

# The path of our own connections is that of pg_catalog alone.
_EXPORT = b"""
SELECT pg_export_snapshot(), pid::text, date_part('epoch', backend_start)::text
FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""
_EXPORTED_BY = b"""
SELECT 1 FROM pg_stat_activity
WHERE pid::text = %s AND date_part('epoch', backend_start)::text = %s
"""


def exported(session: PostgresSession) -> str:
    """Return a name for what the transaction of `session` sees, and for its server process.

    It can be used as long as that transaction is open.
    """
    [row] = session.rows().execute(_EXPORT, prepare=False).fetchall()
    return " ".join(row)


@attrs.frozen(kw_only=True)
class PostgresOpening:
    """Where the ledger is, and how to get in. It has the password in it."""

    address: Address = attrs.field(repr=False)

    @contextmanager
    def open(self) -> Iterator[PostgresElsewhere]:
        """Connect, and be ready to begin at once. What psycopg raises is raised."""
        with closing(self.address.connect()) as connection:
            settle_types(connection)
            yield PostgresElsewhere(PostgresSession(connection, statements(self.address.schema)))


@attrs.frozen
class PostgresElsewhere:
    """A connection to the server, over which nothing was read yet."""

    session: PostgresSession

    def begin(self, snapshot: str) -> Log:
        """Begin to read as of `snapshot`, which `exported` has named.

        Raises StorageError if this is another server, as it may be where a name stands for several.
        """
        name, *by = snapshot.split(" ")
        rows = self.session.rows()
        rows.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", prepare=False)
        rows.execute(
            sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(name)), prepare=False
        )
        if not rows.execute(_EXPORTED_BY, by, prepare=False).fetchall():
            raise StorageError("the snapshot is one of another server")
        return PostgresLog(self.session, settled=0)
