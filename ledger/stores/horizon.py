"""How far a log is settled, and which transactions readers wait for."""

from __future__ import annotations

from datetime import datetime

import attrs

__all__ = ["Horizon", "Waiting"]


@attrs.frozen(kw_only=True)
class Waiting:
    """A transaction that may still append something before what others have appended.

    `process` is the number of its process on the server; None if it is prepared, and has none.

    `application` is the name that it gave to its connection, and `since` is when it began.

    >>> import ledger
    >>> from datetime import UTC, datetime
    >>> began = datetime(2026, 5, 5, 16, 0, tzinfo=UTC)
    >>> waiting = ledger.Waiting(process=4711, application="import", since=began)
    >>> waiting.process, waiting.application
    (4711, 'import')
    """

    process: int | None
    application: str
    since: datetime | None


@attrs.frozen(kw_only=True)
class Horizon:
    """How far the log is settled: up to `position`, nothing can come any more that is not there.

    `last` is the last position that was given to anybody. Where it is further, readers wait for
    the transactions in `waiting`, so as not to miss what they may yet append.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     book.horizon()
    Horizon(position=1, last=1, waiting=())
    """

    position: int
    last: int
    waiting: tuple[Waiting, ...] = ()
