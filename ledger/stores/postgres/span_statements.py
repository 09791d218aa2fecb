"""The SQL that reads a part of the log, for a check of it alone."""

from __future__ import annotations

from functools import lru_cache

import attrs

from ledger.log import columns, tags
from ledger.stores.postgres.statements import catalog, quoted
from ledger.stores.tables import ENTRY_NAMES, TAG_IDS

__all__ = ["BY_INDEX", "IN_ORDER", "Planning", "SpanStatements", "span_statements"]


@attrs.frozen
class Planning:
    """How what is read next in a transaction is planned.

    Of a table that was just filled, nothing is known, or what was true when it was small: the
    server would read all of it, and sort it.
    """

    begin: bytes
    end: bytes

    @classmethod
    def without(cls, *ways: str) -> Planning:
        """Return one that leaves no choice but the other ways."""
        begin, end = (
            "SELECT "
            + ", ".join(f"pg_catalog.set_config('enable_{way}', {to}, true)" for way in ways)
            for to in ("'off'", "NULL")
        )
        return cls(begin.encode(), end.encode())


BY_INDEX = Planning.without("seqscan", "bitmapscan", "hashjoin", "mergejoin")
"""Row by row."""

IN_ORDER = Planning.without("seqscan", "bitmapscan", "sort")
"""As an index has it, so that no more is read than is returned."""


@attrs.frozen(kw_only=True)
class SpanStatements:
    """Statements with the places `<after>` and `<until>` of a span, or of a range: see `ranged`."""

    row_at: bytes
    """With a value: the position."""
    rows_between: bytes
    rows_before: bytes
    heads_behind: bytes
    last_rows: bytes
    last_move: bytes
    """With values: the cursor, and the version behind it."""
    first_advance: bytes
    """With values: the cursor, and the versions before and behind it."""


@lru_cache(maxsize=64)
def span_statements(schema: str) -> SpanStatements:
    """Return the statements for the tables in `schema`."""
    # Every statement is run with values, if only none, so that a % has to be doubled.
    s = quoted(schema).replace("%", "%%")
    eq, ne, lt, le, gt = (catalog(sign) for sign in ("=", "<>", "<", "<=", ">"))
    minus = catalog("-")
    row, event = ", ".join(ENTRY_NAMES), ", ".join(("position", *columns.EVENT.names))
    # In the order of the index, so that it is read, and no other.
    spanned = f"""
        SELECT {event} FROM {s}.ledger_events
        WHERE position {gt} <after> AND position {le} <until> ORDER BY position
    """
    named = f"""
        LEFT JOIN {s}.ledger_cursors AS c ON c.id {eq} e.cursor_id
        LEFT JOIN {s}.ledger_tags AS t ON t.id {eq} e.tag_id
    """
    # Of each entry `e`, the digest of the one that it follows.
    followed = f"""
        LEFT JOIN LATERAL (
            SELECT digest FROM {s}.ledger_events AS f
            WHERE f.cursor_id {eq} e.cursor_id AND f.version {eq} (e.version {minus} 1) LIMIT 1
        ) AS d ON true
    """
    following = f"""
        SELECT e.cursor_id, {row}, d.digest FROM {s}.ledger_events AS e {followed} {named}
    """
    of_cursor = f"{following} WHERE e.cursor_id {eq} %s"
    return SpanStatements(
        row_at=f"{following} WHERE e.position {eq} %s".encode(),
        rows_between=f"""
            WITH e AS MATERIALIZED ({spanned})
            SELECT e.cursor_id, {row} FROM e {named} ORDER BY e.cursor_id, e.version
        """.encode(),
        rows_before=f"""
            WITH n AS MATERIALIZED ({spanned})
            SELECT e.cursor_id, {row}, d.digest FROM n
            CROSS JOIN LATERAL (
                SELECT {event} FROM {s}.ledger_events AS p
                WHERE p.cursor_id {eq} n.cursor_id AND p.version {eq} (n.version {minus} 1) LIMIT 1
            ) AS e {followed} {named}
            WHERE e.position {le} <after> OR e.position {gt} <until>
            ORDER BY e.cursor_id, e.version
        """.encode(),
        heads_behind=f"""
            WITH n AS MATERIALIZED ({spanned}),
            ids AS MATERIALIZED (SELECT DISTINCT cursor_id FROM n)
            SELECT {", ".join(f"h.{name}" for name in columns.STORED_CURSOR.names)} FROM ids
            JOIN {s}.ledger_cursors AS h ON h.id {eq} ids.cursor_id ORDER BY h.id
        """.encode(),
        last_rows=f"""
            SELECT e.cursor_id, {row}, d.digest FROM {s}.ledger_cursors AS h
            CROSS JOIN LATERAL (
                SELECT {event} FROM {s}.ledger_events AS l
                WHERE l.cursor_id {eq} h.id ORDER BY l.version DESC LIMIT 1
            ) AS e {followed} {named}
            WHERE <h.id of the range> ORDER BY h.id
        """.encode(),
        # Errors never move a cursor, and an advance to where it is does not either.
        last_move=f"""
            {of_cursor} AND e.version {lt} %s AND e.tag_id {ne} {TAG_IDS[tags.ERROR]}
                AND (e.tag_id {ne} {TAG_IDS[tags.ADVANCED]} OR e.sequence {ne} e.previous_sequence)
            ORDER BY e.version DESC LIMIT 1
        """.encode(),
        first_advance=f"""
            {of_cursor} AND e.version {gt} %s AND e.version {lt} %s
                AND e.tag_id {eq} {TAG_IDS[tags.ADVANCED]}
            ORDER BY e.version LIMIT 1
        """.encode(),
    )
