"""What a consumer is refused because another one delivers from the same cursor."""

from __future__ import annotations

# As in refusals.py: to read a cursor needs neither entries nor events.
import ledger
from ledger.errors import LedgerError
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.refusals import NonMonotonicCursorError, StaleEpochError, message_alone, named

__all__ = ["DeliveringError", "TakenOverError", "refuse_overtaken"]


class TakenOverError(StaleEpochError):
    """The cursor was taken over by another consumer, so this one delivers nothing more.

    `current` is the cursor as it stands, and `entry` the takeover: it says who did it, when and
    why. `request` is None.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="dispatcher@web-1") as book:
    ...     old = book.consumer(key)
    ...     new = book.consumer(key, take_over="deploy 1.4.2")
    ...     try:
    ...         old.refresh()
    ...     except ledger.TakenOverError as error:
    ...         print(error.entry.event.reason)
    deploy 1.4.2
    """

    __module__ = "ledger"

    entry: ledger.Entry | None = None

    def __init__(self, current: Cursor | str | None, entry: ledger.Entry | str = "") -> None:
        if isinstance(current, str) or isinstance(entry, str):
            super().__init__(message_alone(current, entry))
            return
        why = entry.event.reason if isinstance(entry.event, ledger.CursorReset) else ""
        super().__init__(
            f"{entry.key} was taken over by {entry.actor} at position {entry.position}: {why}. "
            "This consumer delivers nothing more. If it should, make another one, which takes over "
            "in its turn: book.consumer(key, take_over=…)."
        )
        self.current = current
        self.entry = entry


class DeliveringError(LedgerError):
    """The cursor of `key` is being delivered in this process already, by `Ledger.delivering`.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book, book.delivering(key, to=41):
    ...     try:
    ...         with book.delivering(key, to=42):
    ...             print("never sent")
    ...     except ledger.DeliveringError as error:
    ...         print(error.key)
    webhooks/orders
    """

    __module__ = "ledger"

    key: CursorKey | None = None

    def __init__(self, key: CursorKey | str) -> None:
        if isinstance(key, str):
            super().__init__(key)
            return
        super().__init__(
            f"{key} is being delivered already, and the one that ends last would pass the other. "
            "Wait for its end; or deliver many at once with Ledger.consumer(key, in_flight=…)."
        )
        self.key = key


def refuse_overtaken(error: NonMonotonicCursorError, known: int, advice: str) -> None:
    """Refuse in place of `error` if the cursor is beyond `known`: another deliverer has moved it.

    To reset it, as `error` says, would deliver again what that one has delivered. `advice` says
    instead how the cursor is read anew.

    Raises NonMonotonicCursorError.
    """
    current, request = error.current, error.request
    if current is None or request is None or current.last_sequence <= known:
        return
    at = current.last_sequence
    refusal = NonMonotonicCursorError(
        f"{current.key} is at {at} {named(current.last_delivery_id)}, and no longer at {known}, so "
        f"{request.last_sequence} cannot be confirmed: somebody else delivers from it, too. "
        f"{advice}, and go on after {at}. To deliver alone, take it over: "
        "book.consumer(key, take_over=…)."
    )
    refusal.current, refusal.request = current, request
    raise refusal from None
