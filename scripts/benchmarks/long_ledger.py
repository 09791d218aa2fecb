"""A ledger as an operator meets it: many cursors, a million entries, some trouble."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import attrs

import ledger
from ledger import AdvanceCursor, CursorKey, Outcome, RecordError, Request, ResetCursor
from ledger.law.reserved import HEAD

__all__ = ["BEGINNING", "ENDING", "SEED", "Size", "written"]

BATCH = 200
SEED = 20
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
ENDING = BEGINNING + timedelta(days=2)
"""Entries are recorded evenly between these two."""

JUMPS, ERRORS, SKIPPED = 0.02, 0.01, 0.01
"""The shares of entries that jump over some sequences, that are errors, that skip one."""
RESETS_BACK = 0.001
REWOUND_MAX = 50
STOPPING = 0.02
"""The share of cursors that stop at some time, and stay where they are."""


@attrs.frozen
class Size:
    """How long the ledger is, and among how many cursors its entries are spread."""

    entries: int
    streams: int
    consumers: int
    headed: int
    """Of so many streams, the head is recorded."""

    @property
    def cursors(self) -> int:
        return self.streams * self.consumers


def written(target: str, size: Size) -> None:
    """Write the ledger to `target`, in batches; the clock is that of its entries."""
    rng = random.Random(SEED)
    moments = _moments(size.entries)
    clock = _Clock()
    with ledger.open(target, actor="", durability="normal", clock=clock) as book:
        asked = _requests(size, rng)
        while batch := list(islice(asked, BATCH)):
            for _ in batch:
                clock.now = next(moments)
            book.append(batch)


class _Clock:
    def __init__(self) -> None:
        self.now = BEGINNING

    def __call__(self) -> datetime:
        return self.now


def _moments(entries: int) -> Iterator[datetime]:
    return (BEGINNING + (ENDING - BEGINNING) * nth / entries for nth in range(1, entries + 1))


def _requests(size: Size, rng: random.Random) -> Iterator[Request]:
    keys = [
        CursorKey(f"consumer-{consumer:02}", f"stream-{stream:03}")
        for stream in range(size.streams)
        for consumer in range(size.consumers)
    ]
    # A few stop on the way, and stay where they are.
    stops = {key: rng.random() * size.entries for key in keys if rng.random() < STOPPING}
    headed = {f"stream-{stream:03}" for stream in range(size.headed)}
    places = dict.fromkeys(keys, 0)
    fronts = dict.fromkeys(headed, 0)
    written = 0
    while written < size.entries:
        key = rng.choice(keys)
        if written > stops.get(key, size.entries):
            continue
        yield _request(key, places, f"dispatcher@web-{written % 7}", rng)
        written += 1
        stream = key.stream_name
        if stream in headed and places[key] > fronts[stream] and written < size.entries:
            fronts[stream] = places[key] + 5
            yield AdvanceCursor(CursorKey(HEAD, stream), fronts[stream], actor="producer")
            written += 1


def _request(
    key: CursorKey, places: dict[CursorKey, int], actor: str, rng: random.Random
) -> Request:
    at, draw = places[key], rng.random()
    if draw < ERRORS:
        return RecordError(key, "HTTP 503 from the receiver", actor=actor)
    if draw < ERRORS + RESETS_BACK and at > REWOUND_MAX:
        places[key] = at - rng.randrange(1, REWOUND_MAX)
        return ResetCursor(key, places[key], reason="the receiver lost some", actor="ines")
    outcome = Outcome.SKIPPED if 0.5 < draw < 0.5 + SKIPPED else Outcome.DELIVERED
    places[key] = at + (rng.randrange(2, 20) if draw > 1 - JUMPS else 1)
    return AdvanceCursor(
        key, places[key], delivery_id=f"msg-{places[key]}", outcome=outcome, actor=actor
    )
