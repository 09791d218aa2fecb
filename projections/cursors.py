"""Where cursors stood at a moment."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

import attrs

from ledger import (
    Cursor,
    CursorAdvanced,
    CursorKey,
    CursorQuery,
    CursorReset,
    CursorStarted,
    Entry,
    EntryQuery,
    InvalidCursorError,
    Ledger,
)
from ledger.law import fields, rules
from projections.coroutines import answering, yielding

if TYPE_CHECKING:
    from ledger.aio import AsyncLedger, Stream

__all__ = [
    "Moment",
    "as_of",
    "as_of_version",
    "bounds_until",
    "cursors_as_of",
    "each_as_of",
    "folded_within",
    "last_position",
]

Moment = datetime | int
"""A time with a zone, or a position of the log: what was recorded, or stood, up to there.

>>> from datetime import UTC, datetime
>>> from projections import Moment
>>> isinstance(7, Moment), isinstance(datetime(2026, 5, 5, tzinfo=UTC), Moment)
(True, True)
"""


@overload
def as_of(book: Ledger, key: CursorKey, moment: Moment) -> Cursor | None: ...


@overload
def as_of(
    book: AsyncLedger, key: CursorKey, moment: Moment
) -> Coroutine[Any, Any, Cursor | None]: ...


@answering
def as_of(book: Ledger, key: CursorKey, moment: Moment) -> Cursor | None:
    """Return the cursor of `key` as it stood at `moment`, or None if it had no entries yet.

    A time goes by `recorded_at`, the ledger's own clock. However long the history, only its end up
    to `moment` is read: back to where the cursor arrived at the place where it stood then.

    `book` is the ledger.

    Raises InvalidCursorError.

    >>> import ledger
    >>> from projections import as_of
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     as_of(book, key, 1).last_sequence
    41
    """
    return folded_within(book, CursorKey.check(key), **bounds_until(moment))


def as_of_version(book: Ledger, key: CursorKey, version: int) -> Cursor | None:
    """Return the cursor of `key` as it was at `version`; None at 0."""
    return folded_within(book, key, version_until=version)


@overload
def cursors_as_of(
    book: Ledger, moment: Moment, query: CursorQuery | None = None
) -> Iterator[Cursor]: ...


@overload
def cursors_as_of(
    book: AsyncLedger, moment: Moment, query: CursorQuery | None = None
) -> Stream[Cursor]: ...


@yielding
def cursors_as_of(
    book: Ledger, moment: Moment, query: CursorQuery | None = None
) -> Iterator[Cursor]:
    """Yield the cursors that `query` chooses as they stood at `moment`, in their order, lazily.

    `book` is the ledger.

    Raises InvalidCursorError.

    >>> import ledger
    >>> from projections import cursors_as_of
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     [cursor.last_sequence for cursor in cursors_as_of(book, 1)]
    [41]
    """
    limit = query.limit if query else 0
    then = each_as_of(book, moment, book.cursors(attrs.evolve(query, limit=0) if query else None))
    return islice(then, limit) if limit else then


def each_as_of(book: Ledger, moment: Moment, cursors: Iterable[Cursor]) -> Iterator[Cursor]:
    """Yield each of `cursors` as it stood at `moment`, lazily; none that had no entries yet."""
    until = bounds_until(moment)
    # What is appended meanwhile is left out for all cursors alike.
    until["position_until"] = min(until.get("position_until", _END), last_position(book))
    standing = (folded_within(book, cursor.key, **until) for cursor in cursors)
    return (cursor for cursor in standing if cursor is not None)


def last_position(book: Ledger) -> int:
    """Return the position of the last entry, or 0 if there is none."""
    return next((e.position for e in book.entries(EntryQuery(newest_first=True, limit=1))), 0)


def bounds_until(moment: Moment) -> dict[str, Any]:
    """Return the bound of an EntryQuery that `moment` is."""
    if isinstance(moment, datetime):
        return {"recorded_until": fields.moment(moment, "moment")}
    if isinstance(moment, bool) or not isinstance(moment, int):
        raise InvalidCursorError(
            f"a moment is a datetime with a zone or a position, not {fields.kind(moment)}."
        )
    return {"position_until": fields.sequence(moment, "moment", least=0)}


def folded_within(book: Ledger, key: CursorKey, **until: Any) -> Cursor | None:  # noqa: ANN401 - bounds
    """Return the fold of the entries of `key` within the bounds `until`, or None if it has none."""

    def last_ones(limit: int) -> Iterator[Entry]:
        return book.entries(EntryQuery(key=key, newest_first=True, limit=limit, **until))

    last = next(last_ones(1), None)
    if last is None:
        return None
    # The last entry that moved the cursor says everything except what was appended since.
    arrived = last
    if not _arrives(last):
        for arrived in last_ones(0):
            if _arrives(arrived):
                break
    cursor = rules.adopt(None, arrived)
    if arrived is last:
        return cursor
    since = EntryQuery(key=key, version_from=arrived.version + 1, version_until=last.version)
    for entry in book.entries(since):
        cursor = rules.adopt(cursor, entry)
    return cursor


_END = 2**63 - 1


def _arrives(entry: Entry) -> bool:
    match entry.event:
        case CursorReset() | CursorStarted():
            return True
        case CursorAdvanced(previous_sequence=start, sequence=end):
            return start != end
        case _:
            return False
