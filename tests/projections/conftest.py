"""Histories that views are made of."""

from __future__ import annotations

import pytest

from ledger import Ledger
from support.clock import Clock
from support.topics import PARTITIONS, confirmed


@pytest.fixture
def topic(book: Ledger, clock: Clock) -> Ledger:
    """Give a ledger where partition p stands at 100 + p, and where all but the last stood at 50."""
    for key in PARTITIONS[:-1]:
        book.advance(key, to=50, delivery_id="early")
    clock.tick(60)
    confirmed(book)
    return book
