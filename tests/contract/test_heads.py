"""How far streams go: producers record it, race for it, and take it back with a reason."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

import ledger
from ledger import CursorKey, CursorNotFoundError, InvalidCursorError, Ledger
from ledger.aio import AsyncLedger
from ledger.law.reserved import HEAD
from support.clock import Clock
from support.depth import thorough
from support.spawned import processes_of_their_own

ORDERS = CursorKey(HEAD, "orders")


@contextmanager
def connected(target: str) -> Iterator[Any]:
    """Yield a connection of a caller's own to the database of `target`."""
    if target.startswith("postgres"):
        with psycopg.connect(target.partition("?")[0]) as connection:
            yield connection
    else:
        with closing(sqlite3.connect(target)) as connection:
            yield connection


def test_a_head_goes_up_and_whoever_is_late_says_nothing_new(book: Ledger, clock: Clock) -> None:
    first = book.heads.record("orders", "", 41, actor="shop@web-1", metadata={"batch": "7"})
    clock.tick()
    assert book.heads.record("orders", "", 41) == first
    assert book.heads.record("orders", "", 40) == first
    assert book.heads.record("orders", "", 44).last_sequence == 44
    assert [(e.event.sequence, e.actor, dict(e.metadata)) for e in book.history(ORDERS)] == [  # type: ignore[union-attr]
        (41, "shop@web-1", {"batch": "7"}),
        (44, "tester", {}),
    ]


def test_the_heads_of_a_stream_and_of_its_subjects_are_apart(book: Ledger) -> None:
    for stream, subject, sequence in (("orders", "eu", 3), ("orders", "", 9), ("faxes", "", 1)):
        book.heads.record(stream, subject, sequence)
    assert book.heads.get("orders").last_sequence == 9
    assert book.heads.get(" orders ", "eu").last_sequence == 3
    assert [head.last_sequence for head in book.heads.all()] == [1, 9, 3]
    assert [head.last_sequence for head in book.heads.all("orders")] == [9, 3]
    assert [head.last_sequence for head in book.heads.all(subject_id="eu")] == [3]
    assert book.heads.find("parcels") is None
    with pytest.raises(CursorNotFoundError):
        book.heads.get("parcels")


def test_heads_are_left_out_of_lists_but_not_of_the_log(book: Ledger) -> None:
    book.heads.record("orders", "", 9)
    assert list(book.cursors()) == []
    assert [entry.key for entry in book.entries()] == [ORDERS]
    assert book.verify().cursors == 1


@pytest.mark.parametrize("sequence", [0, -1, 2**63, True, 1.5, "44", None])
def test_what_is_no_sequence_is_refused(book: Ledger, sequence: Any) -> None:
    book.heads.record("orders", "", 44)
    with pytest.raises(InvalidCursorError):
        book.heads.record("orders", "", sequence)
    with pytest.raises(InvalidCursorError):
        book.heads.record("parcels", "", sequence)


def test_a_stream_needs_a_name(book: Ledger) -> None:
    for wrong in ("", " ", "\0", 7):
        with pytest.raises(InvalidCursorError):
            book.heads.record(wrong, "", 1)  # type: ignore[arg-type]


def test_a_stream_that_begins_again_is_reset_and_goes_up_from_there(book: Ledger) -> None:
    book.heads.record("orders", "", 44)
    book.reset(ORDERS, to=0, reason="the stream was made anew", actor="ines")
    head = book.heads.record("orders", "", 3)
    assert (head.last_sequence, head.epoch) == (3, 1)


def test_a_head_that_somebody_advanced_with_a_delivery_id_can_be_recorded(book: Ledger) -> None:
    named = book.advance(ORDERS, to=44, delivery_id="msg-44")
    assert book.heads.record("orders", "", 44) == named
    assert book.heads.record("orders", "", 45).last_sequence == 45


def test_a_ledger_that_requires_epochs_takes_heads(target: str) -> None:
    with ledger.open(target, actor="ines", require_epoch=True) as book:
        book.heads.record("orders", "", 44)
        book.reset(ORDERS, to=2, reason="the stream was made anew")
        assert book.heads.record("orders", "", 5).last_sequence == 5


def test_a_head_is_part_of_the_producers_own_transaction(book: Ledger, target: str) -> None:
    with connected(target) as connection:
        book.using(connection).heads.record("orders", "", 44)
        connection.rollback()
        assert book.heads.find("orders") is None
        heads = book.using(connection).heads
        heads.record("orders", "", 44)
        # One that is late does not end the transaction of its producer.
        assert heads.record("orders", "", 41).last_sequence == 44
        heads.record("orders", "", 45)
        connection.commit()
    assert book.heads.get("orders").last_sequence == 45


def test_threads_that_race_do_not_fail_each_other(book: Ledger) -> None:
    rounds, failures = thorough(100, 25), []

    def produce(first: int) -> None:
        try:
            for sequence in range(first, first + 6 * rounds, 6):
                assert book.heads.record("orders", "", sequence).last_sequence >= sequence
        except Exception as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=produce, args=(first,)) for first in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert book.heads.get("orders").last_sequence == 6 * rounds
    sequences = [entry.event.sequence for entry in book.history(ORDERS)]  # type: ignore[union-attr]
    assert sequences == sorted(sequences)


def produce(target: str, first: int, rounds: int) -> None:
    with ledger.open(target, actor=f"producer {first}", busy_timeout_s=60) as book:
        for sequence in range(first, first + 3 * rounds, 3):
            assert book.heads.record("orders", "", sequence).last_sequence >= sequence


def test_processes_that_race_do_not_fail_each_other(book: Ledger, target: str) -> None:
    rounds = thorough(60, 15)
    spawn = processes_of_their_own()
    processes = [spawn.Process(target=produce, args=(target, n, rounds)) for n in (1, 2, 3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert book.heads.get("orders").last_sequence == 3 * rounds
    assert book.verify().ok


def test_resets_between_reading_and_recording_are_no_error(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.heads.record("orders", "", 9)
    found = Ledger.find

    def find_and_reset(self: Ledger, key: CursorKey) -> Any:
        head = found(self, key)
        if head is not None and head.epoch < 2:
            self.reset(key, to=head.epoch, reason="somebody else's")
        return head

    monkeypatch.setattr(Ledger, "find", find_and_reset)
    head = book.heads.record("orders", "", 12)
    assert (head.last_sequence, head.epoch) == (12, 2)


def test_coroutines_have_the_same(book: Ledger) -> None:
    async def main() -> None:
        abook = AsyncLedger(book)
        heads = abook.heads
        await asyncio.gather(*(heads.record("orders", "", n) for n in (3, 9, 1, 7, 9)))
        assert (await heads.record("orders", "", 2)).last_sequence == 9
        assert (await heads.get("orders")).last_sequence == 9
        assert await heads.find("parcels") is None
        assert [head.last_sequence async for head in heads.all("orders")] == [9]
        [move] = await abook.moves([(ORDERS, 99)])
        assert move is not None
        assert move.sequence == 9
        assert await abook.now() == book.now()
        with pytest.raises(CursorNotFoundError):
            await heads.get("parcels")
        with pytest.raises(InvalidCursorError):
            await heads.record("orders", "", 0)

    asyncio.run(main())


@pytest.mark.parametrize(
    "places", [[ORDERS], [(ORDERS, -1)], [(ORDERS, "1")], [("orders", 1)], [(ORDERS, 1, 2)], [7]]
)
def test_places_of_moves_are_keys_and_versions(book: Ledger, places: Any) -> None:
    with pytest.raises(InvalidCursorError):
        book.moves(places)
