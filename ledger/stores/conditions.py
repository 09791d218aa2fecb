"""What a query for entries asks of their rows, in SQL that both databases understand."""

from __future__ import annotations

from ledger import codec
from ledger.codec import TAGS
from ledger.events import CursorAdvanced, EntryQuery

__all__ = ["TAG_IDS", "conditions"]

# As the schemas have them in ledger_tags.
TAG_IDS = {"cursor.advanced.v1": 1, "cursor.reset.v1": 2, "cursor.error.v1": 3}


def conditions(query: EntryQuery) -> tuple[list[str], list[object]]:
    """Give the conditions on an event `e` of a cursor `c`, and the values of their question marks.

    The key, the order and the limit of `query` are left to the caller.
    """
    conditions: list[str] = []
    values: list[object] = []

    def where(condition: str, *bound: object) -> None:
        conditions.append(condition)
        values.extend(bound)

    for column in ("c.consumer_id", "c.stream_name", "c.subject_id", "e.actor"):
        if value := getattr(query, column[2:]):
            where(f"{column} = ?", value)
    if ids := [str(TAG_IDS[TAGS[kind]]) for kind in query.kinds]:
        # Spelled out, not bound, or the database cannot know that the index of resets will do.
        where(f"e.tag_id IN ({', '.join(ids)})" if ids[1:] else f"e.tag_id = {ids[0]}")
    bounds = (
        ("e.recorded_at >= ?", query.recorded_from and codec.micros(query.recorded_from)),
        ("e.recorded_at <= ?", query.recorded_until and codec.micros(query.recorded_until)),
        ("e.position >= ?", query.position_from),
        ("e.position <= ?", query.position_until),
        ("e.version >= ?", query.version_from),
        ("e.version <= ?", query.version_until),
    )
    for condition, bound in bounds:
        if bound is not None:
            where(condition, bound)
    if query.covering is not None:
        where(
            "(e.previous_sequence < ? AND ? <= e.sequence"
            " OR e.sequence < ? AND ? <= e.previous_sequence"
            f" OR e.tag_id = {TAG_IDS[TAGS[CursorAdvanced]]} AND e.sequence = ?)",
            *(query.covering,) * 5,
        )
    return conditions, values
