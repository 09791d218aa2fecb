"""What a ledger is asked without a word being written: methods of `Ledger`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator  # noqa: F401 - named in what is returned
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

# Entries and queries are named as `ledger.Entry`, which imports them when the first one is made: to
# look up a cursor needs neither.
import ledger
from ledger.errors import InvalidCursorError, invalid
from ledger.law import fields
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.refusals import CursorNotFoundError
from ledger.service.methods import method, method_returning

if TYPE_CHECKING:
    from ledger.service import Ledger
    from ledger.service.parts import Cursors, Entries, Finding, Horizons, Moves, OnStore

__all__ = ["cursors", "entries", "find", "get", "history", "horizon", "identity", "moves", "now"]

R = TypeVar("R")
Q = TypeVar("Q", "ledger.CursorQuery", "ledger.EntryQuery")


@method
def get(self: Ledger, key: CursorKey) -> Cursor:
    """Return the cursor of `key`.

    Raises CursorNotFoundError if nothing was ever appended for it.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=41)
    ...     book.get(key) == cursor
    True
    """
    cursor = self._store.cursor(CursorKey.check(key))
    if cursor is None:
        raise CursorNotFoundError(key)
    return cursor


@method_returning("Cursor | None")
def find(self: OnStore[Finding[R]], key: CursorKey) -> R:
    """Return the cursor of `key`, or None if nothing was ever appended for it.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     print(book.find(ledger.CursorKey("webhooks", "orders")))
    None
    """
    return self._store.cursor(CursorKey.check(key))


@method_returning("Iterator[Cursor]")
def cursors(self: OnStore[Cursors[R]], query: ledger.CursorQuery | None = None) -> R:
    """Yield the cursors that `query` chooses, lazily, by stream, subject and consumer.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=41)
    ...     [cursor.last_sequence for cursor in book.cursors()]
    [41]
    """
    return self._store.cursors(_chosen(query, ledger.CursorQuery))


@method_returning("Iterator[ledger.Entry]")
def history(self: OnStore[Entries[R]], key: CursorKey) -> R:
    """Yield all entries of `key`, lazily, oldest first; none if it has no cursor.

    Raises BrokenChainError at an entry that cannot be read.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     [entry.event.sequence for entry in book.history(key)]
    [41, 44]
    """
    return self._store.entries(ledger.EntryQuery(key=CursorKey.check(key)))


@method_returning("Iterator[ledger.Entry]")
def entries(self: OnStore[Entries[R]], query: ledger.EntryQuery | None = None) -> R:
    """Yield the entries that `query` chooses, lazily, by position, up to the `horizon`.

    Entries appended after the first one was read are left out. On PostgreSQL, so are entries
    before which a running transaction may still append. Raises BrokenChainError at an entry
    that cannot be read.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     query = ledger.EntryQuery(newest_first=True, limit=1)
    ...     [entry.position for entry in book.entries(query)]
    [2]
    """
    return self._store.entries(_chosen(query, ledger.EntryQuery))


@method_returning("list[ledger.Move | None]")
def moves(self: OnStore[Moves[R]], places: Iterable[tuple[CursorKey, int]]) -> R:
    """Return, for each key and version, the last entry up to it that is no error, as a move.

    That is what put the cursor where it stood then; None if it had nothing but errors by then,
    or has no entries. `places` are pairs of a key and a version, from 0, and are looked up
    together: a question about thousands of cursors needs few queries.

    Raises InvalidCursorError, and BrokenChainError at an entry that cannot be read.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     cursor = book.record_error(key, "HTTP 503")
    ...     [move.sequence for move in book.moves([(key, 1), (key, 3)])]
    [41, 44]
    """
    return self._store.moves(_places(places))


@method
def session_users(self: Ledger, positions: Iterable[int]) -> dict[int, str] | None:
    """Return which role was logged in to the database when the entries at `positions` were stored.

    On PostgreSQL the server notes its `session_user` for each reset and start; the client cannot
    choose it. Positions of other entries are left out, and those from before it was noted. An entry
    that was copied or imported was stored by whoever did that.

    None if nothing is known: nobody logs in to a SQLite file; in a ledger that an older version
    made, it is noted once the owner of the tables has opened it; and this user may not be allowed
    to read the table `ledger_sessions`.

    Raises InvalidCursorError.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     print(book.session_users([1]))
    None
    """
    places = [fields.sequence(position, "position", least=1) for position in positions]
    store = self._store
    return store.session_users(places) if isinstance(store, ledger.stores.NotesSessions) else None


@method
def now(self: Ledger) -> datetime:
    """Return the ledger's own time: that of an entry, if one were appended now.

    Raises InvalidCursorError if the ledger was given a clock that returns no aware time.

    >>> from datetime import UTC, datetime
    >>> import ledger
    >>> noon = datetime(2026, 5, 5, 12, tzinfo=UTC)
    >>> with ledger.open(":memory:", clock=lambda: noon) as book:
    ...     book.now() == noon
    True
    """
    return fields.moment(self._committer.clock(), "the ledger's clock")


@method_returning("ledger.Horizon")
def horizon(self: OnStore[Horizons[R]]) -> R:
    """Return how far the log is settled, and which transactions readers wait for.

    Nothing new can be committed up to its `position`, so a reader who follows the log by
    position misses nothing. On SQLite that is always the end of the log.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=41)
    ...     horizon = book.horizon()
    >>> horizon.position == horizon.last
    True
    """
    return self._store.horizon()


@method
def identity(self: Ledger) -> str:
    """Return what distinguishes this ledger from all others; empty where it has no id.

    On PostgreSQL it has one. One in a SQLite file gets it from `identify`. A copy that the database
    or the operating system makes of it all has the same, and one by `copy_to` has not.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     book.identity()
    ''
    """
    return self._store.identity()


@method
def identify(self: Ledger) -> str:
    """Return the id of this ledger; one in a SQLite file that has none is given one.

    Older versions of cursor-ledger refuse a file that has an id.

    Raises InvalidCursorError inside a caller's transaction, and where the store can give none.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     book.identify() == book.identity() != ""
    True
    """
    return identified(self)


def identified(book: Ledger, given: str = "") -> str:
    """Return the id of `book`; if it has none, that is `given` from now on, or a new one.

    Raises InvalidCursorError, DivergedError.
    """
    if identity := "" if given else book._store.identity():
        return identity
    if not isinstance(book._store, ledger.stores.Identifiable):
        raise InvalidCursorError(
            "this store can give a ledger no id; name it where it needs a name, as its origin."
        )
    return book._store.identify(given)


def _places(given: Iterable[object]) -> list[tuple[CursorKey, int]]:
    places = []
    for place in given:
        if not isinstance(place, tuple) or len(place) != 2:
            said = fields.kind(place)
            raise invalid(
                "places", f"must be pairs of a key and a version, not {said}.", value=said
            )
        key, version = place
        places.append((CursorKey.check(key), fields.sequence(version, "version", least=0)))
    return places


def _chosen(query: Q | None, kind: type[Q]) -> Q:
    if query is None:
        return kind()
    if not isinstance(query, kind):
        said = fields.kind(query)
        raise invalid("query", f"must be {kind.__name__}, not {said}.", value=said)
    return query
