"""How what comes after a cursor is delivered, and then confirmed: methods of `Ledger`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

# What is imported below is imported when somebody delivers, as in appending.py.
import ledger
from ledger import law
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.numbering import Next
from ledger.law.pairs import EMPTY
from ledger.service.methods import method
from ledger.writing import answers

if TYPE_CHECKING:
    import ledger.law.requests
    import ledger.law.rivals
    import ledger.law.rules
    from ledger.service import Ledger

__all__ = ["consumer", "delivering"]


@method
def consumer(
    self: Ledger, key: CursorKey, *, in_flight: int = 1, take_over: str | None = None
) -> ledger.Consumer:
    """Return a consumer of `key`: it delivers what comes after the cursor, and confirms it.

    `in_flight` is how many deliveries may be unconfirmed at once, from 1 to 10,000.

    `take_over` says why this consumer takes the cursor over, such as "deploy 1.4.2". The
    consumers that read it before can confirm nothing more: they get StaleEpochError, and
    TakenOverError when they read it anew. It is a reset to where the cursor stands, by this
    ledger's actor; a cursor without entries is made, at 0.

    Raises InvalidCursorError; with `take_over`, also ActorRequiredError if the ledger has no
    actor.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book, book.consumer(key) as consumer:
    ...     with consumer.delivering(41, delivery_id="msg-41") as delivery:
    ...         delivery.metadata["status"] = "202"
    ...     consumer.position
    41
    """
    return ledger.Consumer(self, key, in_flight=in_flight, take_over=take_over)


@method
@contextmanager
def delivering(
    self: Ledger,
    key: CursorKey,
    *,
    to: int | Next,
    delivery_id: str = "",
    after: str | None = None,
    outcome: Outcome = Outcome.DELIVERED,
    actor: str = "",
    epoch: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Iterator[Cursor | None]:
    """Deliver in the body; on success advance to `to`, on an exception record and re-raise it.

    Yields the cursor as it stood, or None if there was none. Its epoch goes with the advance:
    if the cursor is reset meanwhile, StaleEpochError is raised, and the reset stands. If an
    error cannot be recorded, the body's exception is raised with a note that says so.

    It cannot know which events you fetched before it was called: if the cursor was reset since
    then, it would jump over what was to be delivered again. Pass the `epoch` that you read
    before you fetched: it goes with the advance and the error, and StaleEpochError is raised
    before the body runs. `consumer` does that by itself, and delivers many at once; this is for
    one at a time, and a second one of the same key raises DeliveringError.

    With `to=ledger.NEXT`, StaleTokenError is raised before the body runs, too. Parameters are those
    of `advance`.

    Raises what `advance` raises.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     with book.delivering(key, to=41, delivery_id="msg-41") as before:
    ...         print("sending order 41; the cursor is", before)
    ...     book.get(key).last_sequence
    sending order 41; the cursor is None
    41
    """
    from ledger.consuming.failures import described, note_unrecorded

    # Made first, so that a wrong argument is refused before anything is delivered.
    advance = law.requests.advance_to(
        key,
        to,
        after=after,
        delivery_id=delivery_id,
        outcome=outcome,
        actor=actor,
        epoch=epoch,
        metadata=EMPTY if metadata is None else metadata,
    )
    with self._deliverers.only(advance.key):
        cursor = self._store.cursor(advance.key)
        law.rules.check_epoch(cursor, advance)
        if isinstance(advance, ledger.ConfirmToken):
            law.rules.ordinal(cursor, advance)
        try:
            yield cursor
        except Exception as error:
            try:
                self.record_error(
                    key, described(error), actor=actor, epoch=epoch, metadata=metadata
                )
            except Exception as unrecorded:  # noqa: BLE001 - the body's exception is raised
                note_unrecorded(error, unrecorded)
            raise
        request = attrs.evolve(advance, epoch=cursor.epoch if cursor else 0)
        try:
            self._appender.append(((request,),), answers.one)
        except ledger.NonMonotonicCursorError as error:
            known = cursor.last_sequence if cursor else 0
            law.rivals.refuse_overtaken(error, known, "Read the cursor again")
            raise
