"""What changed between two moments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, overload

import attrs

from ledger import (
    Cursor,
    CursorKey,
    CursorQuery,
    CursorReset,
    CursorStarted,
    EntryQuery,
    ErrorRecorded,
    InvalidCursorError,
    Ledger,
)
from ledger.law.events import Event
from ledger.law.takeovers import is_takeover
from projections.coroutines import yielding
from projections.cursors import Moment, bounds_until, cursors_as_of, folded_within

if TYPE_CHECKING:
    from ledger.aio import AsyncLedger, Stream

__all__ = ["Change", "diff"]


@attrs.frozen(kw_only=True)
class Change:
    """What happened to one cursor between two moments: the states that it had at each.

    `before` is None if it had no entry yet. `entries` counts what was appended in between, and
    `resets`, `takeovers` and `errors` those of it; a takeover is not counted as a reset. `moved` is
    by how much it stands further, or further back: than before, or than where it was started.

    `key` is that of the cursor, and `after` its state at the later moment.

    >>> import ledger
    >>> from projections import diff
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.advance(key, to=44)
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     [change] = diff(book, 1, 2)
    >>> change.before.last_sequence, change.after.last_sequence, change.moved, change.resets
    (44, 41, -3, 1)
    """

    key: CursorKey
    before: Cursor | None
    after: Cursor
    moved: int
    entries: int
    resets: int
    takeovers: int
    errors: int


@overload
def diff(
    book: Ledger, earlier: Moment, later: Moment, query: CursorQuery | None = None
) -> Iterator[Change]: ...


@overload
def diff(
    book: AsyncLedger, earlier: Moment, later: Moment, query: CursorQuery | None = None
) -> Stream[Change]: ...


@yielding
def diff(
    book: Ledger, earlier: Moment, later: Moment, query: CursorQuery | None = None
) -> Iterator[Change]:
    """Yield the cursors to which something was appended after `earlier`, up to `later`, lazily.

    `book` is the ledger, and `query` chooses cursors; None chooses all.

    Raises InvalidCursorError.

    >>> import ledger
    >>> from projections import diff
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44, 45)]
    ...     [(change.moved, change.entries) for change in diff(book, 1, 3)]
    [(4, 2)]
    """
    before_it = bounds_until(earlier)
    if _is_before(later, earlier):
        raise InvalidCursorError(f"{earlier} is later than {later}; name the earlier moment first.")
    return (
        _change(book, folded_within(book, after.key, **before_it), after)
        for after in cursors_as_of(book, later, query)
        if not _is_as_old(book, after, before_it)
    )


def _is_before(one: Moment, other: Moment) -> bool:
    # A time and a position cannot be compared without the log; the answer is then empty.
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one < other
    return isinstance(one, int) and isinstance(other, int) and one < other


def _is_as_old(book: Ledger, after: Cursor, until: dict[str, Any]) -> bool:
    """Return whether nothing was appended between the bound and `after`, which is the later one."""
    at_version = EntryQuery(
        key=after.key, version_from=after.version, version_until=after.version, **until
    )
    return next(book.entries(at_version), None) is not None


def _change(book: Ledger, before: Cursor | None, after: Cursor) -> Change:
    since = before.last_sequence if before else _start(book, after.key)
    epochs = after.epoch - (before.epoch if before else 0)
    takeovers = _takeovers(book, before, after) if epochs else 0
    return Change(
        key=after.key,
        before=before,
        after=after,
        moved=after.last_sequence - since,
        entries=after.version - (before.version if before else 0),
        resets=epochs - takeovers,
        takeovers=takeovers,
        errors=sum(1 for _ in book.entries(_between(before, after, ErrorRecorded))),
    )


def _takeovers(book: Ledger, before: Cursor | None, after: Cursor) -> int:
    """Return how many of the epochs in between were begun by consumers that took over."""
    return sum(is_takeover(entry) for entry in book.entries(_between(before, after, CursorReset)))


def _between(before: Cursor | None, after: Cursor, kind: type[Event]) -> EntryQuery:
    """Return the query of the entries of a kind that lie between two states of a cursor."""
    return EntryQuery(
        key=after.key,
        kinds=[kind],
        version_from=(before.version if before else 0) + 1,
        version_until=after.version,
    )


def _start(book: Ledger, key: CursorKey) -> int:
    """Return where the cursor of `key` began: 0, if it was not started elsewhere."""
    for entry in book.entries(EntryQuery(key=key, version_until=1)):
        if isinstance(entry.event, CursorStarted):
            return entry.event.sequence
    return 0
