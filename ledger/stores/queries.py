"""What a query asks of a page of rows, in SQL that both databases understand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from ledger.law.cursor import CursorKey
from ledger.law.events import CursorAdvanced, CursorReset, CursorStarted, Entry
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.law.reserved import PREFIX
from ledger.log.columns import KEY
from ledger.log.rows import TAGS
from ledger.log.text import micros
from ledger.stores.tables import TAG_IDS

__all__ = ["Chosen", "OfKey", "chosen_cursors", "chosen_entries", "only_resets"]

OfKey = Callable[[CursorKey], tuple[str, Sequence[object]]]
"""Returns how a database finds the entries of a key: a condition, and the values of its marks."""

_AFTER_PREFIX = PREFIX[:-1] + chr(ord(PREFIX[-1]) + 1)


@attrs.frozen
class Chosen:
    """The rows of a page: their conditions, the values of the question marks in them, their order.

    The limit is left to the caller.
    """

    conditions: str
    values: Sequence[object]
    order: str


@attrs.define
class _Conditions:
    """Conditions that all have to hold, and the values of their question marks."""

    texts: list[str] = attrs.field(factory=list)
    values: list[object] = attrs.field(factory=list)

    def add(self, condition: str, *values: object) -> None:
        self.texts.append(condition)
        self.values.extend(values)

    def ordered(self, order: str) -> Chosen:
        return Chosen(" AND ".join(self.texts), self.values, order)


def chosen_cursors(
    query: CursorQuery, after: CursorKey | None, *, spelled: Callable[[str], str] = str
) -> Chosen:
    """Return the rows of `ledger_cursors` that `query` chooses and that come after `after`.

    `spelled` returns how the database has an operator written, if not as it is.
    """
    order = "stream_name, subject_id, consumer_id"
    place = (after.stream_name, after.subject_id, after.consumer_id) if after else ("", "", "")
    conditions = _Conditions()
    conditions.add(f"({order}) {spelled('>')} (?, ?, ?)", *place)
    for part in KEY.names:
        if value := getattr(query, part):
            conditions.add(f"{part} {spelled('=')} ?", value)
    if not (query.reserved or query.consumer_id):
        # By code points, everything that begins with the prefix is between these two.
        below, beyond = spelled("<"), spelled(">=")
        conditions.add(f"(consumer_id {below} ? OR consumer_id {beyond} ?)", PREFIX, _AFTER_PREFIX)
    return conditions.ordered(order)


def chosen_entries(
    query: EntryQuery,
    after: Entry | None,
    until: int,
    *,
    of_key: OfKey,
    spelled: Callable[[str], str] = str,
) -> Chosen:
    """Return the events `e` of cursors `c` that `query` chooses, after `after`, up to `until`.

    `spelled` returns how the database has an operator written, if not as it is.
    """
    eq, le, ge = spelled("="), spelled("<="), spelled(">=")
    conditions = _Conditions()
    for column in ("c.consumer_id", "c.stream_name", "c.subject_id", "e.actor"):
        if value := getattr(query, column[2:]):
            conditions.add(f"{column} {eq} ?", value)
    if ids := [str(TAG_IDS[TAGS[kind]]) for kind in query.kinds]:
        # Spelled out, not bound, or the database cannot know that the index of resets will do.
        conditions.add("(" + " OR ".join(f"e.tag_id {eq} {number}" for number in ids) + ")")
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
            conditions.add(condition, bound)
    _add_touched(conditions, query, spelled)
    if query.key is not None:
        condition, values = of_key(query.key)
        conditions.add(condition, *values)
    conditions.add(f"e.position {le} ?", until)
    # One cursor's entries are found by version; those of many, and resets, by position.
    by_version = query.key is not None and not only_resets(query)
    order = "e.version" if by_version else "e.position"
    if after is not None:
        place = after.version if by_version else after.position
        conditions.add(f"{order} {spelled('<' if query.newest_first else '>')} ?", place)
    return conditions.ordered(order + (" DESC" if query.newest_first else ""))


def _add_touched(conditions: _Conditions, query: EntryQuery, spelled: Callable[[str], str]) -> None:
    """Add what `query` says of positions, and of the sequences that an entry touched."""
    eq = spelled("=")
    if query.covering is not None:
        last = query.covering if query.covering_until is None else query.covering_until
        conditions.add(*_covered(query.covering, last, spelled))
    if positions := tuple(query.positions):
        each = f"e.position {eq} ?"
        conditions.add("(" + " OR ".join([each] * len(positions)) + ")", *positions)
    if query.jumping:
        minus, gt = spelled("-"), spelled(">")
        conditions.add(
            f"e.tag_id {eq} {TAG_IDS[TAGS[CursorAdvanced]]}"
            f" AND e.sequence {minus} e.previous_sequence {gt} 1"
        )


def _covered(first: int, last: int, spelled: Callable[[str], str]) -> tuple[str, *tuple[int, ...]]:
    """Return the condition of entries that touched any sequence from `first` to `last`."""
    eq, lt, le = spelled("="), spelled("<"), spelled("<=")
    condition = (
        f"(e.previous_sequence {lt} e.sequence AND e.previous_sequence {lt} ? AND ? {le} e.sequence"
        f" OR e.sequence {lt} e.previous_sequence AND e.sequence {lt} ?"
        f" AND ? {le} e.previous_sequence"
        f" OR e.tag_id {eq} {TAG_IDS[TAGS[CursorAdvanced]]}"
        f" AND ? {le} e.sequence AND e.sequence {le} ?"
        f" OR e.tag_id {eq} {TAG_IDS[TAGS[CursorStarted]]} AND ? {le} e.sequence)"
    )
    return condition, last, first, last, first, first, last, first


def only_resets(query: EntryQuery) -> bool:
    """Return whether `query` chooses nothing but resets, which have an index of their own."""
    return query.kinds == (CursorReset,) and not query.positions
