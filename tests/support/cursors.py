"""Two cursors, and a history of them that has something of everything."""

from __future__ import annotations

from ledger import NEXT, Cursor, CursorKey, Ledger
from support.clock import Clock

__all__ = ["JOBS", "ORDERS", "chain", "fill"]

ORDERS = CursorKey("webhooks", "orders", "customer-7")
JOBS = CursorKey("mailer", "jobs")


def fill(book: Ledger, clock: Clock) -> Ledger:
    """Append positions 1 to 4 and 7 to ORDERS (versions 1 to 5), 5 and 6 to JOBS."""
    for sequence in (1, 2, 5):
        book.advance(ORDERS, to=sequence, delivery_id=f"d-{sequence}", metadata={"n": "1"})
        clock.tick()
    book.reset(ORDERS, to=3, reason="again")
    book.advance(JOBS, to=7)
    book.record_error(JOBS, "HTTP 503")
    clock.tick()
    book.advance(ORDERS, to=4)
    found = book.verify()
    assert found.ok, found.faults
    return book


def chain(book: Ledger, *tokens: str, key: CursorKey = ORDERS) -> Cursor:
    """Confirm tokens in order, from where the cursor stands."""
    cursor = book.find(key)
    for token in tokens:
        after = cursor.last_delivery_id if cursor else None
        cursor = book.advance(key, to=NEXT, delivery_id=token, after=after)
    assert cursor is not None
    return cursor
