"""What is wrong with the notes of who was logged in: see schema/0005_sessions.sql."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import psycopg

from ledger.evidence.findings import Fault, FaultKind
from ledger.log.rows import Row
from ledger.stores.postgres.reading import plain_cursor

__all__ = ["entries_to_judge", "owners", "since", "unfounded", "without_note"]

Select: TypeAlias = Callable[[str], list[Row]]

# As the trigger has it: resets and starts, and no others, give a reason.
_NOTED = "reason IS NOT NULL"

_OWNERS = b"""
SELECT c.relname, pg_get_userbyid(c.relowner), pg_get_userbyid(p.proowner)
FROM pg_proc AS p JOIN pg_class AS c ON c.relnamespace = p.pronamespace
WHERE p.proname = 'ledger_note_session' AND c.relname IN ('ledger_events', 'ledger_sessions')
    AND p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)
    AND p.proowner <> c.relowner
"""


def entries_to_judge(ids: str, since: int) -> str:
    """Return the statement for (position, tag id) of entries with another tag than `ids`.

    And of those behind `since` that need a note and have none: both are one reading of the table.
    """
    return f"""
        SELECT e.position, e.tag_id FROM ledger_events AS e
        WHERE e.tag_id NOT IN ({ids}) OR e.{_NOTED} AND e.position > {since} AND NOT EXISTS (
            SELECT FROM ledger_sessions AS s
            WHERE s.position = e.position AND s.session_role IS NOT NULL
        )
    """


def since(select: Select) -> tuple[int, Fault | None]:
    """Return behind which position sessions are noted; and a fault if that is not said."""
    said = select("SELECT position FROM ledger_sessions WHERE session_role IS NULL")
    if len(said) == 1:
        [[position]] = said
        [(last,)] = select("SELECT last_value - (NOT is_called)::int FROM ledger_positions")
        if position <= last:
            return int(position), None
        detail = f"it says behind position {position}, but the last one that was given is {last}"
        return 0, Fault(kind=FaultKind.SESSION, place="ledger_sessions", detail=detail)
    detail = (
        f"{len(said)} of its rows name the position behind which sessions are noted; 1 row must"
    )
    return 0, Fault(kind=FaultKind.SESSION, place="ledger_sessions", detail=detail)


def without_note(position: int) -> Fault:
    """Return the fault of an entry that has no note."""
    detail = "nobody is noted as logged in; it was stored with the trigger out of the way"
    return Fault(kind=FaultKind.SESSION, place="the log", position=position, detail=detail)


def unfounded(select: Select) -> Iterator[Fault]:
    """Name the notes that are of no reset and no start."""
    for (position,) in select(
        "SELECT s.position FROM ledger_sessions AS s WHERE s.session_role IS NOT NULL"
        " AND NOT EXISTS (SELECT FROM ledger_events AS e"
        f" WHERE e.position = s.position AND e.{_NOTED})"
    ):
        detail = "it notes who was logged in, but there is no reset or start"
        yield Fault(
            kind=FaultKind.SESSION, place="ledger_sessions", position=position, detail=detail
        )


def owners(connection: psycopg.Connection[Any], schema: str) -> Iterator[Fault]:
    """Name the tables that belong to another than the function that notes: it refuses to then."""
    for table, owner, function_s in plain_cursor(connection).execute(_OWNERS, (schema,)).fetchall():
        detail = (
            f"it belongs to {function_s}, but {table} to {owner}; resets are refused until then"
        )
        yield Fault(
            kind=FaultKind.DEFINITION, place="function ledger_note_session()", detail=detail
        )
