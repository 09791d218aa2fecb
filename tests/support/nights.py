"""A night of 30 cursors on five streams: a few are in trouble, the others are level."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import ledger
from ledger import AdvanceCursor, CursorKey, Outcome, RecordError
from support.clock import Clock

__all__ = ["LONG", "MORNING", "NIGHT", "a_night"]

LONG = "company.fulfilment.shipments.v2"
STREAMS = [("orders", ""), ("payments", ""), ("invoices", ""), (LONG, ""), ("注文", "eu")]
WAREHOUSE, JAPAN = "warehouse-sync-us-east-1", "注文処理システム"
CONSUMERS = ["webhooks", "search-index", WAREHOUSE, "mailer", "billing", JAPAN]
NIGHT = [CursorKey(consumer, *place) for place in STREAMS for consumer in CONSUMERS]

# A year that is over: its times are told with the year on every day to come.
MORNING = datetime(2025, 8, 24, 3, 0, tzinfo=UTC)

UPSTREAM = (
    "HTTP 503 from https://billing.example.com/v2/charges: upstream connect error or "
    "disconnect/reset before headers. Reset reason: connection termination"
)
# How many hours before the morning each of these stops.
STOPS = {
    CursorKey(WAREHOUSE, LONG): 20,
    CursorKey("billing", "payments"): 4,
    CursorKey("search-index", "orders"): 2,
}


def a_night(target: str | Path, clock: Clock) -> None:
    """Append what happens in the 24 hours up to `MORNING`, to which the clock is set."""
    with ledger.open(target, actor="dispatcher@web-1", clock=clock) as book:
        for half_hour in range(48):
            hours_left = 24 - half_hour / 2
            clock.now = MORNING - timedelta(hours=hours_left)
            for number, (stream, subject) in enumerate(STREAMS):
                book.heads.record(stream, subject, _head(number, half_hour))
            clock.tick(60)
            book.append(
                [_advance(key, half_hour) for key in NIGHT if hours_left > STOPS.get(key, 0)]
            )
            if hours_left <= 4:
                book.append([RecordError(CursorKey("billing", "payments"), UPSTREAM)] * 6)
        clock.now = MORNING - timedelta(minutes=9)
        ahead, back = CursorKey("mailer", "invoices"), CursorKey("webhooks", "payments")
        book.reset(ahead, to=_head(2, 47) + 101, reason="skip the poisoned batch", actor="omar")
        book.reset(back, to=_head(1, 47) - 60, reason="the receiver lost 60", actor="ines")
        clock.tick(60)
        book.consumer(CursorKey("billing", "payments"), take_over="deploy 1.4.2")
        book.advance(back, to=_head(1, 47) - 50, outcome=Outcome.SKIPPED)
        book.record_error(CursorKey(JAPAN, "注文", "eu"), "接続が拒否されました")
    clock.now = MORNING


def _advance(key: CursorKey, half_hour: int) -> AdvanceCursor:
    to = _head(NIGHT.index(key) // len(CONSUMERS), half_hour)
    return AdvanceCursor(key, to, delivery_id=f"m-{half_hour}")


def _head(number: int, half_hour: int) -> int:
    return int(10 ** (number + 1)) + half_hour * (17 + number)
