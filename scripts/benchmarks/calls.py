"""What a case does in each round: so many calls of a ledger, or of bare statements, in a row."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count, cycle, islice
from pathlib import Path
from typing import Literal, TypeAlias

from bare import ACTOR, Bare

import ledger
from ledger import AdvanceCursor, Consumer, CursorKey, Ledger

__all__ = [
    "KEY",
    "Durability",
    "advancing",
    "advancing_bare",
    "consuming",
    "getting",
    "open_often",
    "opened",
    "submitting",
]

KEY = CursorKey("webhooks", "orders", "customer-7")
Durability: TypeAlias = Literal["full", "normal"]


def opened(path: Path, durability: Durability) -> Ledger:
    return ledger.open(path, actor=ACTOR, durability=durability)


def consuming(consumer: Consumer, calls: int) -> Callable[[], int]:
    """Deliver in as many threads as may be in flight; the deliveries themselves do nothing."""
    sequences = count(1)
    beginning = threading.Lock()
    each = calls // consumer.in_flight

    def deliver() -> None:
        for _ in range(each):
            with beginning:
                sequence = next(sequences)
                delivery = consumer.delivering(sequence, delivery_id=f"msg-{sequence}")
            with delivery:
                pass

    def run() -> int:
        if consumer.in_flight == 1:
            deliver()
            return each
        workers = [threading.Thread(target=deliver) for _ in range(consumer.in_flight)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        consumer.flush()
        return each * consumer.in_flight

    return run


def advancing(book: Ledger, calls: int, *, cursors: int = 1) -> Callable[[], int]:
    keys = [CursorKey(f"consumer-{n}", "orders") for n in range(cursors)]
    keys = [KEY] if cursors == 1 else keys
    at = max((book.get(key).last_sequence for key in keys if cursors > 1), default=0)
    sequences = count(at + 1)
    turns = cycle(keys)

    def run() -> int:
        for to, key in zip(islice(sequences, calls), turns, strict=False):
            book.advance(key, to=to, delivery_id=f"msg-{to}")
        return calls

    return run


def submitting(book: Ledger, calls: int) -> Callable[[], int]:
    key = CursorKey("piped", "orders")
    sequences = count(1)

    def run() -> int:
        asked = [
            book.submit(AdvanceCursor(key, to, delivery_id=f"msg-{to}"))
            for to in islice(sequences, calls)
        ]
        for future in asked:
            future.result()
        return calls

    return run


def advancing_bare(bare: Bare, calls: int) -> Callable[[], int]:
    key = (KEY.consumer_id, KEY.stream_name, KEY.subject_id)
    sequences = count(1)

    def run() -> int:
        for to in islice(sequences, calls):
            bare.advance(key, to, f"msg-{to}")
        return calls

    return run


def getting(book: Ledger, calls: int) -> Callable[[], int]:
    keys = cycle([CursorKey(f"consumer-{n}", "orders") for n in range(1_000)])

    def run() -> int:
        for key in islice(keys, calls):
            book.get(key)
        return calls

    return run


def open_often(path: Path) -> int:
    for _ in range(20):
        ledger.open(path).close()
    return 20
