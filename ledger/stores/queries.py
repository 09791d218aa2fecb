"""What a query for entries asks of their rows, in SQL that both databases understand."""

from __future__ import annotations

from collections.abc import Callable

from ledger.law.events import CursorAdvanced
from ledger.law.queries import EntryQuery
from ledger.log.rows import TAGS
from ledger.log.text import micros

__all__ = ["TAG_IDS", "conditions"]

# As the schemas have them in ledger_tags.
TAG_IDS = {"cursor.advanced.v1": 1, "cursor.reset.v1": 2, "cursor.error.v1": 3}


def conditions(
    query: EntryQuery, spelled: Callable[[str], str] = str
) -> tuple[list[str], list[object]]:
    """Give the conditions on an event `e` of a cursor `c`, and the values of their question marks.

    `spelled` says how the database has an operator written, if not as it is.
    The key, the order and the limit of `query` are left to the caller.
    """
    eq, lt, le, ge = spelled("="), spelled("<"), spelled("<="), spelled(">=")
    conditions: list[str] = []
    values: list[object] = []

    def where(condition: str, *bound: object) -> None:
        conditions.append(condition)
        values.extend(bound)

    for column in ("c.consumer_id", "c.stream_name", "c.subject_id", "e.actor"):
        if value := getattr(query, column[2:]):
            where(f"{column} {eq} ?", value)
    if ids := [str(TAG_IDS[TAGS[kind]]) for kind in query.kinds]:
        # Spelled out, not bound, or the database cannot know that the index of resets will do.
        where("(" + " OR ".join(f"e.tag_id {eq} {number}" for number in ids) + ")")
    bounds = (
        (f"e.recorded_at {ge} ?", query.recorded_from and micros(query.recorded_from)),
        (f"e.recorded_at {le} ?", query.recorded_until and micros(query.recorded_until)),
        (f"e.position {ge} ?", query.position_from),
        (f"e.position {le} ?", query.position_until),
        (f"e.version {ge} ?", query.version_from),
        (f"e.version {le} ?", query.version_until),
    )
    for condition, bound in bounds:
        if bound is not None:
            where(condition, bound)
    if query.covering is not None:
        where(
            f"(e.previous_sequence {lt} ? AND ? {le} e.sequence"
            f" OR e.sequence {lt} ? AND ? {le} e.previous_sequence"
            f" OR e.tag_id {eq} {TAG_IDS[TAGS[CursorAdvanced]]} AND e.sequence {eq} ?)",
            *(query.covering,) * 5,
        )
    return conditions, values
