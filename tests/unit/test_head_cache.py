"""Heads are remembered until they are forgotten, and not without bound."""

from __future__ import annotations

from ledger import CursorKey
from ledger.law.cursor import Cursor
from ledger.log.heads import Head
from ledger.stores.head_cache import HEADS_MAX, HeadCache
from support.clock import Clock


def head(nth: int, version: int = 1) -> Head:
    cursor = Cursor(
        key=CursorKey("mailer", "orders", f"customer-{nth}"),
        last_sequence=version,
        last_delivery_id="",
        last_delivered_at=None,
        last_error="",
        updated_at=Clock().now,
        version=version,
        epoch=0,
    )
    return Head(cursor_id=nth, cursor=cursor, recorded_at=0, digest=bytes(32))


def test_a_head_is_known_until_it_is_forgotten() -> None:
    known = HeadCache()
    known.keep([head(1), head(2)])
    known.keep([head(2, version=2)])
    assert known.get(head(2).cursor.key) == head(2, version=2)
    known.forget([head(2).cursor.key, head(3).cursor.key])
    assert known.get(head(2).cursor.key) is None
    assert known.get(head(1).cursor.key) == head(1)
    known.clear()
    assert known.get(head(1).cursor.key) is None


def test_what_is_remembered_is_bounded() -> None:
    known = HeadCache()
    heads = [head(nth) for nth in range(HEADS_MAX + 2)]
    for each in heads:
        known.keep([each])
    kept = [each for each in heads if known.get(each.cursor.key) is not None]
    assert 0 < len(kept) <= HEADS_MAX + 1
    assert kept[-1] == heads[-1]
