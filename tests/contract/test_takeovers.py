"""A consumer takes a cursor over: whoever delivered from it can confirm nothing more."""

from __future__ import annotations

import asyncio
import itertools
import threading
from contextlib import suppress
from typing import Any

import attrs
import pytest

import ledger
import ledger.aio
from ledger import (
    ActorRequiredError,
    AdvanceCursor,
    Consumer,
    CursorAdvanced,
    CursorReset,
    InvalidCursorError,
    Ledger,
    StaleEpochError,
    StorageError,
    TakenOverError,
    VersionConflictError,
)
from ledger.consuming import takeovers
from ledger.law.takeovers import MARK, is_takeover
from support.clock import Clock
from support.cursors import ORDERS
from support.depth import thorough
from support.loops import RUNS, Runner, Source

DEPLOY = "deploy 1.4.2"


# --- the entry ---


def test_it_is_a_reset_to_where_the_cursor_stands(book: Ledger, clock: Clock) -> None:
    before = book.advance(ORDERS, to=44, delivery_id="msg-44")
    clock.tick(60)
    with book.consumer(ORDERS, take_over=DEPLOY) as consumer:
        assert (consumer.position, consumer.epoch) == (44, 1)
    after = book.get(ORDERS)
    assert after == attrs.evolve(before, version=2, epoch=1, updated_at=clock.now)
    [_, entry] = book.history(ORDERS)
    assert isinstance(entry.event, CursorReset)
    assert (entry.event.previous_sequence, entry.event.sequence) == (44, 44)
    assert (entry.event.reason, entry.actor) == (DEPLOY, "tester")
    assert entry.metadata == {MARK: "0"}
    assert is_takeover(entry)
    # What was confirmed can be confirmed again.
    assert book.advance(ORDERS, to=44, delivery_id="msg-44", epoch=1).version == 3
    assert book.verify().ok


def test_a_cursor_without_entries_is_made_so_that_who_delivers_is_fenced(book: Ledger) -> None:
    old = book.consumer(ORDERS)
    delivery = old.delivering(1)
    with book.consumer(ORDERS, take_over=DEPLOY) as new:
        assert (new.position, new.epoch) == (0, 1)
        with pytest.raises(StaleEpochError), delivery:
            pass
        with new.delivering(1):
            pass
    kinds: list[type[Any]] = [CursorReset, CursorAdvanced]
    assert [type(entry.event) for entry in book.history(ORDERS)] == kinds


WRONG: list[Any] = ["", " \n", "\u200b", "x" * 4_097, "a\0b", 7, True, b"deploy"]


@pytest.mark.parametrize("wrong", WRONG)
def test_it_says_why(book: Ledger, wrong: Any) -> None:
    with pytest.raises(InvalidCursorError) as refused:
        book.consumer(ORDERS, take_over=wrong)
    assert refused.value.field == "take_over"
    with pytest.raises(InvalidCursorError):
        ledger.aio.AsyncConsumer(book, ORDERS, take_over=wrong)  # type: ignore[arg-type]
    assert book.find(ORDERS) is None


def test_it_needs_an_actor(target: str) -> None:
    with ledger.open(target) as book, pytest.raises(ActorRequiredError):
        book.consumer(ORDERS, take_over=DEPLOY)


def test_no_other_reset_is_taken_for_one(book: Ledger) -> None:
    book.advance(ORDERS, to=44)
    book.consumer(ORDERS, take_over=DEPLOY)
    [_, taken] = book.history(ORDERS)
    # To the same place; with its metadata, as a script may copy them; and to another place with
    # metadata that would be right.
    book.reset(ORDERS, to=44, reason=DEPLOY)
    book.reset(ORDERS, to=44, reason=DEPLOY, metadata=taken.metadata)
    book.reset(ORDERS, to=41, reason=DEPLOY, metadata={MARK: "3"})
    assert [is_takeover(entry) for entry in book.history(ORDERS)] == [False, True, *[False] * 3]
    advance = next(book.history(ORDERS))
    assert not is_takeover(attrs.evolve(advance, metadata={MARK: str(advance.epoch - 1)}))


# --- who delivered until then ---


def test_threads_that_deliver_are_fenced_and_their_next_bodies_do_not_run(book: Ledger) -> None:
    zombie = book.consumer(ORDERS, in_flight=3)
    with zombie.delivering(1):
        pass
    running, begun = zombie.delivering(2), zombie.delivering(3)
    running.__enter__()
    new = book.consumer(ORDERS, take_over=DEPLOY)
    assert new.position == 1
    with pytest.raises(StaleEpochError):
        running.__exit__(None, None, None)
    with pytest.raises(StaleEpochError), begun:
        pytest.fail("the body ran")
    with pytest.raises(StaleEpochError):
        zombie.delivering(4)
    with pytest.raises(StaleEpochError):
        zombie.look()
    for _ in range(2):
        with pytest.raises(TakenOverError) as told:
            zombie.refresh()
        assert told.value.current == book.get(ORDERS)
        assert told.value.entry is not None
        assert is_takeover(told.value.entry)
        assert str(told.value).startswith(
            f"{ORDERS} was taken over by tester at position {told.value.entry.position}: "
            f"{DEPLOY}. This consumer delivers nothing more."
        )
        with pytest.raises(StaleEpochError):
            zombie.delivering(2)
    with new.delivering(2):
        pass
    landed = [e.event for e in book.history(ORDERS) if isinstance(e.event, CursorAdvanced)]
    assert [event.sequence for event in landed] == [1, 2]
    assert book.get(ORDERS).epoch == 1


def test_a_body_that_fails_in_a_zombie_leaves_no_error_at_the_cursor(book: Ledger) -> None:
    zombie = book.consumer(ORDERS)
    delivery = zombie.delivering(1)
    delivery.__enter__()
    book.consumer(ORDERS, take_over=DEPLOY)
    failure = ConnectionError("refused")
    delivery.__exit__(ConnectionError, failure, None)
    assert book.get(ORDERS).last_error == ""
    assert "StaleEpochError" in str(failure.__notes__)


def test_tasks_that_deliver_are_fenced_and_their_next_bodies_do_not_run(target: str) -> None:
    async def main() -> None:
        async with ledger.aio.open(target, actor="tester") as book:
            zombie = book.consumer(ORDERS, in_flight=3)
            async with zombie.delivering(1):
                pass
            running, begun = await zombie.delivering(2), await zombie.delivering(3)
            await running.__aenter__()
            new = book.consumer(ORDERS, take_over=DEPLOY)
            async with new:
                assert (new.position, new.epoch) == (1, 1)
            async with new:  # Entered again, it is read, and takes nothing over.
                assert new.epoch == 1
            with pytest.raises(StaleEpochError):
                await running.__aexit__(None, None, None)
            with pytest.raises(StaleEpochError):
                await begun.__aenter__()
            with pytest.raises(StaleEpochError):
                await zombie.delivering(4)
            with pytest.raises(StaleEpochError):
                await zombie.look()
            for _ in range(2):
                with pytest.raises(TakenOverError, match=DEPLOY):
                    await zombie.refresh()
                with pytest.raises(StaleEpochError):
                    await zombie.delivering(2)
            async with new.delivering(2):
                pass
            assert (await book.get(ORDERS)).version == 3

    asyncio.run(main())


@pytest.mark.parametrize("how", RUNS)
def test_a_loop_ends_where_after_another_reset_it_would_start_over(book: Ledger, how: str) -> None:
    source, runner = Source([1, 2, 3]), Runner(book, how)
    runner.start(source.after, source.send)
    runner.until(runner.at(3))
    book.reset(ORDERS, to=2, reason="again", actor="ines")
    runner.until(lambda: source.sent == [1, 2, 3, 3])
    runner.until(runner.at(3))
    new = book.consumer(ORDERS, take_over=DEPLOY)
    runner.wait()
    assert isinstance(runner.raised, TakenOverError)
    assert new.position == 3


@pytest.mark.parametrize("how", RUNS)
def test_a_loop_that_is_fenced_while_it_delivers_confirms_nothing_more(
    book: Ledger, how: str
) -> None:
    source, runner = Source(range(1, 50)), Runner(book, how)
    new: list[Consumer] = []

    def send(event: Any, delivery: Any) -> None:
        source.send(event, delivery)
        if event.sequence == 7 and not new:
            new.append(book.consumer(ORDERS, take_over=DEPLOY))

    runner.start(source.after, send, in_flight=3)
    runner.wait()
    assert isinstance(runner.raised, TakenOverError)
    assert all(entry.epoch == 0 for entry in book.history(ORDERS) if not is_takeover(entry))
    assert new[0].position == book.get(ORDERS).last_sequence < 7


def test_a_reset_behind_a_takeover_does_not_hide_it(book: Ledger) -> None:
    zombie = book.consumer(ORDERS)
    book.consumer(ORDERS, take_over=DEPLOY)
    for n in range(3):
        book.reset(ORDERS, to=n, reason="again", actor="ines")
    with pytest.raises(TakenOverError):
        zombie.refresh()
    new = book.consumer(ORDERS)
    book.reset(ORDERS, to=1, reason="again", actor="ines")
    assert new.refresh() == book.get(ORDERS)


def test_another_consumer_of_the_same_program_takes_over_in_its_turn(book: Ledger) -> None:
    first = book.consumer(ORDERS, take_over="deploy 1")
    second = book.consumer(ORDERS, take_over="deploy 2")
    with pytest.raises(StaleEpochError), first.delivering(1):
        pytest.fail("the body ran")
    third = book.consumer(ORDERS, take_over="deploy 1 again")
    with pytest.raises(TakenOverError):
        second.refresh()
    with third.delivering(1):
        pass


# --- races ---


def test_a_cursor_that_moves_meanwhile_is_taken_where_it_stands_then(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, moves = book.append, iter((5, 6, 7))

    def late(requests: Any) -> Any:
        if (to := next(moves, None)) is not None:
            append([AdvanceCursor(ORDERS, to)])
        return append(requests)

    monkeypatch.setattr(book, "append", late)
    assert book.consumer(ORDERS, take_over=DEPLOY).position == 7
    assert [entry.version for entry in book.history(ORDERS) if is_takeover(entry)] == [4]


def test_one_that_was_overtaken_at_once_does_not_take_the_others_epoch_for_its_own(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, turns = book.append, iter(["the second"])

    def overtaken(requests: Any) -> Any:
        cursors = append(requests)
        for turn in turns:
            book.consumer(ORDERS, take_over=turn)
        return cursors

    monkeypatch.setattr(book, "append", overtaken)
    first = book.consumer(ORDERS, take_over="the first")
    assert (first.epoch, book.get(ORDERS).epoch) == (1, 2)
    with pytest.raises(StaleEpochError), first.delivering(1):
        pytest.fail("the body ran")

    async def overtaken_async(requests: Any) -> Any:
        cursors = append(requests)
        book.consumer(ORDERS, take_over="the fourth")
        return cursors

    async def main() -> None:
        with monkeypatch.context() as patch:
            shared = ledger.aio.AsyncLedger(book)
            patch.setattr(shared, "append", overtaken_async)
            async with shared.consumer(ORDERS, take_over="the third") as third:
                assert (third.epoch, book.get(ORDERS).epoch) == (3, 4)
                with pytest.raises(StaleEpochError):
                    await third.delivering(1)
            shared._readers.close()

    asyncio.run(main())


def test_it_gives_up_where_somebody_else_is_always_quicker(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeovers, "TRIES_MAX", 3)
    append = book.append

    def late(requests: Any) -> Any:
        book.record_error(ORDERS, "HTTP 503")
        return append(requests)

    monkeypatch.setattr(book, "append", late)
    with pytest.raises(VersionConflictError):
        book.consumer(ORDERS, take_over=DEPLOY)
    assert book.get(ORDERS).version == 3


def test_of_takeovers_that_race_one_can_confirm(target: str) -> None:
    """Threads of two ledgers take over at once, while a zombie goes on; then each confirms."""
    racers, rounds = 4, thorough(40, 8)
    begin = threading.Barrier(racers + 1)
    confirmed: list[tuple[int, int]] = []
    failures: list[BaseException] = []

    def race(nth: int, own: Ledger) -> None:
        try:
            for turn in range(rounds):
                begin.wait()
                consumer = own.consumer(ORDERS, take_over=f"racer {nth}")
                begin.wait()
                try:
                    with consumer.delivering(consumer.position + 1):
                        pass
                    confirmed.append((turn, nth))
                except StaleEpochError:
                    pass
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)
            begin.abort()

    with ledger.open(target, actor="a") as one, ledger.open(target, actor="b") as two:
        threads = [
            threading.Thread(target=race, args=(n, (one, two)[n % 2])) for n in range(racers)
        ]
        for thread in threads:
            thread.start()
        for _ in range(rounds):
            zombie = one.find(ORDERS)
            begin.wait()
            with suppress(StaleEpochError):
                for to in itertools.count((zombie.last_sequence if zombie else 0) + 1):
                    one.advance(ORDERS, to=to, epoch=zombie.epoch if zombie else 0)
            begin.wait()
        for thread in threads:
            thread.join()
        assert not failures
        assert [turn for turn, _ in sorted(confirmed)] == list(range(rounds))
        assert one.get(ORDERS).epoch == racers * rounds
        assert one.verify().ok


def test_of_coroutines_that_take_over_at_once_one_can_confirm(target: str) -> None:
    async def racer(book: ledger.aio.AsyncLedger, nth: int) -> ledger.aio.AsyncConsumer:
        consumer = book.consumer(ORDERS, take_over=f"racer {nth}")
        await consumer.refresh()
        return consumer

    async def main() -> None:
        async with ledger.aio.open(target, actor="tester") as book:
            racers = await asyncio.gather(*(racer(book, nth) for nth in range(8)))

            async def confirms(consumer: ledger.aio.AsyncConsumer) -> bool:
                try:
                    async with consumer.delivering(1):
                        return True
                except StaleEpochError:
                    return False

            assert sum([await confirms(consumer) for consumer in racers]) == 1
            assert (await book.get(ORDERS)).epoch == 8

    asyncio.run(main())


def test_a_takeover_that_failed_is_tried_again_when_the_consumer_is_entered_again(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with ledger.aio.open(target, actor="tester") as book:
            consumer = book.consumer(ORDERS, take_over=DEPLOY)
            with monkeypatch.context() as broken:
                broken.setattr(book, "append", failing)
                with pytest.raises(StorageError):
                    await consumer.refresh()
            async with consumer:
                assert consumer.epoch == 1

    async def failing(_: object) -> None:
        raise StorageError("the disk is full")

    asyncio.run(main())
