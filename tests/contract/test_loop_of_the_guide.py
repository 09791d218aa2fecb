"""The loop of docs/embed.md, on every store: killed anywhere, reset between events, raced."""

from __future__ import annotations

import random
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger import (
    CursorAdvanced,
    CursorReset,
    InvalidCursorError,
    Ledger,
    NonMonotonicCursorError,
    StaleEpochError,
)
from support.cursors import ORDERS
from support.depth import thorough
from support.preloaded import programs

EVENTS = range(1, 11)

LOOP = """
import os, sys
import ledger

target, sent, dies_at, dies = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
key = ledger.CursorKey("webhooks", "orders", "customer-7")
with ledger.open(target, actor="loop") as book, book.consumer(key) as consumer:
    for sequence in range(consumer.position + 1, 11):
        with consumer.delivering(sequence, delivery_id=f"msg-{sequence}"):
            if (sequence, dies) == (dies_at, "before"):
                os._exit(9)
            with open(sent, "a") as receiver:
                print(sequence, file=receiver)
            if (sequence, dies) == (dies_at, "behind"):
                os._exit(9)
"""


def landed(book: Ledger) -> list[int]:
    entries = (entry.event for entry in book.history(ORDERS))
    return [event.sequence for event in entries if isinstance(event, CursorAdvanced)]


@pytest.mark.parametrize(("dies", "again"), [("before", []), ("behind", [6])])
def test_a_loop_that_is_killed_goes_on_where_it_was(
    book: Ledger, target: str, tmp_path: Path, dies: str, again: list[int]
) -> None:
    """The event that was sent and not confirmed comes again, and no other."""
    sent = tmp_path / "sent.txt"
    command: list[str | Path] = [programs() / "python", "-c", LOOP, target, str(sent)]
    assert subprocess.run([*command, "6", dies], check=False).returncode == 9
    assert book.get(ORDERS).last_sequence == 5
    assert subprocess.run([*command, "0", dies], check=False).returncode == 0
    received = [int(line) for line in sent.read_text().splitlines()]
    assert received == sorted([*EVENTS, *again])
    assert landed(book) == list(EVENTS)


def test_the_old_loop_with_a_reset_in_between_raises_and_passes_nothing(book: Ledger) -> None:
    """It fetched 5 to 10; without a consumer it would jump from a reset to 1 straight to 7."""
    book.advance(ORDERS, to=4)
    sent = []
    with book.consumer(ORDERS) as consumer:
        fetched = range(consumer.position + 1, 11)

        def loop() -> None:
            for sequence in fetched:
                with consumer.delivering(sequence):
                    sent.append(sequence)
                if sequence == 6:
                    book.reset(ORDERS, to=1, reason="mails bounced", actor="ines")

        with pytest.raises(StaleEpochError, match="go on from 1"):
            loop()
        assert (sent, book.get(ORDERS).last_sequence) == ([5, 6], 1)
        consumer.refresh()
        for sequence in range(consumer.position + 1, 11):
            with consumer.delivering(sequence):
                sent.append(sequence)
    assert sent == [5, 6, *range(2, 11)], "what the reset asked for is sent again, all of it"


def test_resets_that_race_with_the_loop_stand(book: Ledger) -> None:
    """After each reset the log goes on at the event behind it, wherever in a delivery it came."""
    events, resets = 40, thorough(20, 5)
    chance = random.Random(16)
    over = threading.Event()

    def operate() -> None:
        for _ in range(resets):
            at = book.find(ORDERS)
            to = chance.randrange(max(at.last_sequence if at else 0, 1))
            book.reset(ORDERS, to=to, reason="again", actor="ines")
            over.wait(chance.uniform(0, 0.02))
        over.set()

    with ThreadPoolExecutor(1) as operator, book.consumer(ORDERS) as consumer:
        with consumer.delivering(1):
            pass
        operating = operator.submit(operate)
        while not (over.is_set() and consumer.position == events):
            try:
                consumer.look()
                for sequence in range(consumer.position + 1, events + 1):
                    with consumer.delivering(sequence):
                        pass
            except StaleEpochError:
                consumer.refresh()
        operating.result()

    at = 0
    for entry in book.history(ORDERS):
        assert isinstance(entry.event, CursorAdvanced | CursorReset)
        assert isinstance(entry.event, CursorReset) or entry.event.sequence == at + 1
        at = entry.event.sequence
    assert at == events
    assert book.get(ORDERS).epoch == resets


def test_two_loops_of_one_cursor_lose_nothing(book: Ledger) -> None:
    received: list[int] = []
    together = threading.Barrier(2)

    def loop() -> None:
        consumer = book.consumer(ORDERS)
        together.wait(10)
        while consumer.position < 100:
            try:
                for sequence in range(consumer.position + 1, 101):
                    with consumer.delivering(sequence):
                        received.append(sequence)
            except (InvalidCursorError, NonMonotonicCursorError):
                consumer.refresh()  # The other one was faster.

    with ThreadPoolExecutor(2) as threads:
        for running in [threads.submit(loop) for _ in range(2)]:
            running.result()
    assert set(received) == set(range(1, 101))
    at = landed(book)
    assert sorted(set(at)) == list(range(1, 101))
    assert at == sorted(at)
