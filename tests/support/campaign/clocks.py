"""Clocks of strange years, set back and forth between entries and between processes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import ledger
from ledger import CursorKey, Ledger
from projections import as_of, resets
from support.campaign.results import Result

__all__ = ["BEFORE_1970", "SINCE_1970", "strange_clocks"]

SINCE_1970 = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    datetime(2262, 4, 11, 23, 47, 17, tzinfo=UTC),  # Past 2**63 nanoseconds.
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
)
BEFORE_1970 = (
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1969, 7, 20, 20, 17, 40, tzinfo=UTC),
)
KEYS = [CursorKey("consumer", "stream", str(n)) for n in range(2)]


def strange_clocks(
    target: str | Path, years: tuple[datetime, ...], times: int, seed: int
) -> Result:
    """Append under a clock that jumps among `years`, closing and opening the ledger in between."""
    result = Result(f"clocks of the years {', '.join(sorted({str(y.year) for y in years}))}")
    chance = random.Random(seed)
    moments: list[datetime] = []

    def clock() -> datetime:
        moments.append(chance.choice(years))
        return moments[-1]

    for n in range(1, times + 1):
        with ledger.open(target, actor="campaign", clock=clock) as book:
            for key in KEYS:
                book.advance(key, to=n * 10, delivery_id=f"{n}")
                if chance.random() < 0.3:
                    book.record_error(key, "failed")
                if chance.random() < 0.3:
                    book.reset(key, to=n * 10 - 1, reason="again")
        result.times += 1
    with ledger.open(target, actor="campaign") as book:
        for fault in book.verify().faults[:5]:
            result.breaks(f"verify, seed {seed}", fault)
        for key in KEYS:
            for what in _wrong(book, key):
                result.breaks(f"{key}, seed {seed}", what)
        if len(list(resets(book))) != sum(book.get(key).epoch for key in KEYS):
            result.breaks(f"resets, seed {seed}", "not all are listed")
    return result


def _wrong(book: Ledger, key: CursorKey) -> Iterator[str]:
    entries = list(book.history(key))
    if any(a.recorded_at > b.recorded_at for a, b in pairwise(entries)):
        yield "recorded times go back"
    if as_of(book, key, entries[-1].recorded_at) != book.get(key):
        yield "as of its last entry it is not what it is now"
    before = entries[0].recorded_at
    if before > datetime.min.replace(tzinfo=UTC):
        before -= timedelta(microseconds=1)
        if as_of(book, key, before) is not None:
            yield "it is there before its first entry"
