"""How requests are appended: methods of `Ledger`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

# Requests are named as `ledger.StartCursor`, which imports them when the first one is made: a
# program that only reads makes none.
import ledger
from ledger import law
from ledger.errors import LedgerError
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.numbering import NEXT, Next
from ledger.law.pairs import EMPTY
from ledger.service.methods import method, method_returning
from ledger.writing import answers

if TYPE_CHECKING:
    from concurrent.futures import Future

    import ledger.law.requests
    from ledger.service import Ledger
    from ledger.service.parts import OnAppender

__all__ = ["advance", "append", "append_each", "record_error", "reset", "start", "submit"]

R = TypeVar("R")


@method_returning("Cursor")
def start(
    self: OnAppender[Cursor, R],
    key: CursorKey,
    *,
    at: int,
    reason: str,
    source: str = "",
    delivery_id: str = "",
    delivered_at: datetime | None = None,
    now: datetime | None = None,
    actor: str = "",
    metadata: Mapping[str, str] | None = None,
) -> R:
    """Make the cursor of `key`, at sequence `at`, from 0, and say why it starts there.

    What lies before is before the ledger's time. Parameters are those of StartCursor. Raises
    InvalidCursorError, CursorExistsError if it has any entry, ActorRequiredError if neither the
    call nor the ledger names one.

    >>> import ledger
    >>> key = ledger.CursorKey("mailer", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     book.start(key, at=41, source="kafka group mailer", reason="moved here").epoch
    ...     book.advance(key, to=42).last_sequence
    0
    42
    """
    request = ledger.StartCursor(
        key,
        at,
        reason,
        source=source,
        last_delivery_id=delivery_id,
        last_delivered_at=delivered_at,
        now=now,
        actor=actor,
        metadata=EMPTY if metadata is None else metadata,
    )
    return self._appender.append(((request,),), answers.one)


@method_returning("Cursor")
def advance(
    self: OnAppender[Cursor, R],
    key: CursorKey,
    *,
    to: int | Next,
    delivery_id: str = "",
    after: str | None = None,
    delivered_at: datetime | None = None,
    outcome: Outcome = Outcome.DELIVERED,
    now: datetime | None = None,
    actor: str = "",
    epoch: int | None = None,
    expected_version: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> R:
    """Confirm everything up to sequence `to`, from 1; the same place may be confirmed again.

    With `to=ledger.NEXT`, confirm the token `delivery_id`, which follows the token `after`.

    Parameters are those of AdvanceCursor, or of ConfirmToken. Raises InvalidCursorError,
    NonMonotonicCursorError, StaleTokenError, StaleEpochError, VersionConflictError,
    EpochRequiredError.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=41, delivery_id="msg-41")
    ...     book.advance(key, to=44, epoch=cursor.epoch).version
    2
    """
    # `advance_to` would make either; most requests are advances, and save its call.
    plain = after is None and to is not NEXT
    make = law.requests.make_advance if plain else partial(law.requests.advance_to, after=after)
    request = make(
        key,
        to,  # type: ignore[arg-type]  # `make` is chosen by it
        delivery_id=delivery_id,
        last_delivered_at=delivered_at,
        outcome=outcome,
        now=now,
        actor=actor,
        epoch=epoch,
        expected_version=expected_version,
        metadata=EMPTY if metadata is None else metadata,
    )
    return self._appender.append(((request,),), answers.one)


@method_returning("Cursor")
def reset(
    self: OnAppender[Cursor, R],
    key: CursorKey,
    *,
    to: int,
    reason: str,
    delivery_id: str = "",
    delivered_at: datetime | None = None,
    now: datetime | None = None,
    actor: str = "",
    expected_version: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> R:
    """Move the cursor to sequence `to`, from 0, in either direction, and say why.

    Parameters are those of ResetCursor. Raises InvalidCursorError, ResetReasonRequiredError,
    ActorRequiredError if neither the call nor the ledger names one, VersionConflictError.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=44)
    ...     book.reset(key, to=41, reason="receiver lost 42 and 43", actor="ines").epoch
    1
    """
    try:
        request = ledger.ResetCursor(
            key,
            to,
            reason,
            last_delivery_id=delivery_id,
            last_delivered_at=delivered_at,
            now=now,
            actor=actor,
            expected_version=expected_version,
            metadata=EMPTY if metadata is None else metadata,
        )
    except ledger.ResetReasonRequiredError as error:
        # Only a refusal needs it.
        from ledger.writing.commit import note_refusal

        note_refusal(error, key, to, actor.strip() or self._actor)
        raise
    return self._appender.append(((request,),), answers.one)


@method_returning("Cursor")
def record_error(
    self: OnAppender[Cursor, R],
    key: CursorKey,
    message: str,
    *,
    now: datetime | None = None,
    actor: str = "",
    epoch: int | None = None,
    expected_version: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> R:
    """Record that a delivery failed; the sequence stays. Secrets in `message` are masked.

    Parameters are those of RecordError. Raises InvalidCursorError, StaleEpochError,
    VersionConflictError.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.record_error(key, "HTTP 503")
    >>> cursor.last_sequence, cursor.last_error
    (0, 'HTTP 503')
    """
    request = ledger.RecordError(
        key,
        message,
        now=now,
        actor=actor,
        epoch=epoch,
        expected_version=expected_version,
        metadata=EMPTY if metadata is None else metadata,
    )
    return self._appender.append(((request,),), answers.one)


@method_returning("list[Cursor]")
def append(self: OnAppender[list[Cursor], R], requests: Iterable[ledger.Request]) -> R:
    """Append all of `requests`, in order, in one transaction, or none; return the cursors.

    Raises the refusal of the first request that is refused.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> requests = [ledger.AdvanceCursor(key, 41), ledger.AdvanceCursor(key, 40)]
    >>> with ledger.open(":memory:") as book:
    ...     try:
    ...         book.append(requests)
    ...     except ledger.NonMonotonicCursorError:
    ...         list(book.history(key))
    []
    """
    return self._appender.append([law.requests.checked(requests)], answers.whole)


@method_returning("list[Cursor | LedgerError]")
def append_each(
    self: OnAppender[list[Cursor | LedgerError], R], requests: Iterable[ledger.Request]
) -> R:
    """Append `requests`, in order, in one transaction, each on its own.

    Where the law refuses one, its refusal is returned in place of the cursor; the others are
    appended.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> requests = [ledger.AdvanceCursor(key, 41), ledger.AdvanceCursor(key, 40)]
    >>> with ledger.open(":memory:") as book:
    ...     [type(answer).__name__ for answer in book.append_each(requests)]
    ['Cursor', 'NonMonotonicCursorError']
    """
    return self._appender.append(
        [(request,) for request in law.requests.checked(requests)], answers.each
    )


@method
def submit(self: Ledger, request: ledger.Request) -> Future[Cursor]:
    """Queue `request`, and return the future of its cursor, set once the entry is safe.

    Requests of one thread are appended in the order in which it submits them, and share
    transactions. The future raises what `append` raises; it can be cancelled until its
    transaction begins. While 2,048 requests are queued, this waits for room. The busy time-out
    of a request begins when another writer is first in its way, not when it is queued.

    A callback of the future runs in the thread that commits, and delays other callers.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     futures = [book.submit(ledger.AdvanceCursor(key, to)) for to in (41, 44)]
    ...     [future.result().version for future in futures]
    [1, 2]
    """
    return self._appender.submit(((law.requests.checked_one(request),),), answers.one)
