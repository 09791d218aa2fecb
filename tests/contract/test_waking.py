"""A caller that waits for a cursor is woken by any move of it, and when the ledger is closed."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import AdvanceCursor, Cursor, CursorKey, InvalidCursorError, Ledger, StorageError
from ledger.stores.deadline import Deadline
from ledger.stores.paged import PagedStore
from ledger.stores.postgres.address import Address
from ledger.waking import waker as waking
from ledger.waking.polling import listening_to
from ledger.waking.waiting import for_version
from support.cursors import JOBS, ORDERS

LONG_S = 20.0
"""How long a wait may last before the test fails, because nothing has woken it."""

NEVER_S = 3_600.0


@pytest.fixture
def waiters() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


@pytest.fixture
def other(target: str, book: Ledger) -> Iterator[Ledger]:  # noqa: ARG001 - it has made the tables
    """Yield another ledger on the same database, as another process has one."""
    with ledger.open(target, actor="other") as other:
        yield other


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch, book: Ledger) -> None:
    """Have nothing asked for by itself for an hour, so that only being told wakes anybody."""
    with closing(listening_to(book._store)) as listening:
        monkeypatch.setattr(type(listening), "entries_s", NEVER_S)
        monkeypatch.setattr(type(listening), "resets_s", NEVER_S)
    # After a look that took long there is a rest, which is no look either.
    monkeypatch.setattr(waking, "REST_MAX_S", NEVER_S)


@pytest.fixture
def lent(target: str, book: Ledger) -> Iterator[Any]:  # noqa: ARG001 - it has made the tables
    """Yield a connection of the caller's own."""
    connection: Any
    if target.startswith("postgresql"):
        connection = Address.parse(target).connect()
        connection.autocommit = False
    else:
        connection = sqlite3.connect(target, check_same_thread=False)
    with closing(connection):
        yield connection


def wakers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "cursor-ledger waker"]


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def wait_for(
    waiters: ThreadPoolExecutor, book: Ledger, key: CursorKey, version: int
) -> Future[Any]:
    """Begin to wait, and see that it waits."""
    before = len(book._waker.waiters) if book._waker else 0
    future = waiters.submit(book.wait, key, version, LONG_S)
    until(lambda: book._waker is not None and len(book._waker.waiters) > before)
    until(lambda: book._waker is not None and not book._waker._fresh)
    return future


# --- what comes back ---


def test_what_is_there_already_is_returned_at_once(book: Ledger) -> None:
    cursor = book.advance(ORDERS, to=41)
    assert book.wait(ORDERS, after_version=0) == cursor
    assert wakers() == [], "nobody had to wait"


@pytest.mark.parametrize("timeout", [0, 0.0001, None])
def test_what_is_there_already_is_returned_to_coroutines_too(
    target: str, book: Ledger, timeout: float | None
) -> None:
    cursor = book.advance(ORDERS, to=41)

    async def wait() -> tuple[Cursor | None, int | None, Cursor | None]:
        async with ledger.aio.open(target) as own:
            return (
                await own.wait(ORDERS, 0, timeout),
                await own.wait_for_entries(0, timeout),
                await own.wait(ORDERS, cursor.version, 0),
            )

    assert asyncio.run(wait()) == (cursor, 1, None)


def test_without_news_it_is_none_after_the_time_out(book: Ledger) -> None:
    cursor = book.advance(ORDERS, to=41)
    began = time.monotonic()
    assert book.wait(ORDERS, after_version=cursor.version, timeout=0.1) is None
    assert time.monotonic() - began >= 0.1
    assert book.wait(ORDERS, cursor.version, 0) is None


def test_the_first_entry_of_a_cursor_that_does_not_exist_is_waited_for(
    book: Ledger, waiters: ThreadPoolExecutor
) -> None:
    waiting = wait_for(waiters, book, ORDERS, 0)
    cursor = book.record_error(ORDERS, "503")
    assert waiting.result(LONG_S) == cursor


@pytest.mark.parametrize("timeout", [-1, float("nan"), "1", True, -0.001])
def test_a_time_out_that_is_none_is_refused(book: Ledger, timeout: Any) -> None:
    with pytest.raises(InvalidCursorError, match="timeout must be None or seconds from 0"):
        book.wait(ORDERS, 0, timeout)
    with pytest.raises(InvalidCursorError, match="timeout must be None or seconds from 0"):
        book.wait_for_entries(0, timeout)


@pytest.mark.parametrize("version", [-1, 1.0, None, True, "1"])
def test_a_version_that_is_none_is_refused(book: Ledger, version: Any) -> None:
    with pytest.raises(InvalidCursorError, match="after_version must be"):
        book.wait(ORDERS, version, 0)


@pytest.mark.parametrize("timeout", [1e300, 10**400, float("inf")])
def test_a_time_out_beyond_all_bounds_waits(
    book: Ledger, waiters: ThreadPoolExecutor, timeout: float
) -> None:
    waiting = waiters.submit(book.wait, ORDERS, 0, timeout)
    until(lambda: book._waker is not None and book._waker.waiters)
    cursor = book.advance(ORDERS, to=1)
    assert waiting.result(LONG_S) == cursor


# --- who wakes ---


@pytest.mark.usefixtures("deaf")
@pytest.mark.parametrize("submitted", [False, True])
def test_an_append_of_this_process_wakes_by_itself(
    book: Ledger, waiters: ThreadPoolExecutor, *, submitted: bool
) -> None:
    waiting = wait_for(waiters, book, ORDERS, 0)
    if submitted:
        cursor = book.submit(AdvanceCursor(ORDERS, 41)).result(LONG_S)
    else:
        cursor = book.advance(ORDERS, to=41)
    assert waiting.result(LONG_S) == cursor


def test_an_append_of_another_wakes(
    book: Ledger, other: Ledger, waiters: ThreadPoolExecutor
) -> None:
    version = book.advance(ORDERS, to=1).version
    for _ in range(3):
        waiting = wait_for(waiters, book, ORDERS, version)
        cursor = other.advance(ORDERS, to=version + 1)
        assert waiting.result(LONG_S) == cursor
        version = cursor.version


def test_other_cursors_wake_nobody(
    book: Ledger, other: Ledger, waiters: ThreadPoolExecutor
) -> None:
    waiting = wait_for(waiters, book, ORDERS, 0)
    book.advance(JOBS, to=1)
    other.advance(JOBS, to=2)
    time.sleep(0.1)
    assert not waiting.done()
    book.advance(ORDERS, to=1)
    assert waiting.result(LONG_S) == book.get(ORDERS)


def test_a_version_far_ahead_is_waited_for_through_the_ones_before(
    book: Ledger, other: Ledger, waiters: ThreadPoolExecutor
) -> None:
    waiting = wait_for(waiters, book, ORDERS, 6)
    for n in range(1, 7):
        (book, other)[n % 2].advance(ORDERS, to=n)
    time.sleep(0.1)
    assert not waiting.done()
    other.reset(ORDERS, to=0, reason="again")
    assert waiting.result(LONG_S).version == 7


def test_what_comes_between_the_first_look_and_the_wait_is_seen(
    book: Ledger, other: Ledger, waiters: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread has passed it by then, because another waits already."""
    find = PagedStore.cursor
    beside = wait_for(waiters, book, JOBS, 0)

    def late(self: PagedStore, key: CursorKey, deadline: Deadline | None) -> Cursor | None:
        found = find(self, key, deadline)
        other.advance(key, to=1)
        time.sleep(0.2)
        return found

    monkeypatch.setattr(PagedStore, "cursor", late)
    cursor = book.wait(ORDERS, 0, LONG_S)
    assert cursor is not None
    assert cursor.version == 1
    assert not beside.done()
    monkeypatch.undo()
    book.advance(JOBS, to=1)
    assert beside.result(LONG_S)


# --- many, and the end ---


def test_many_threads_have_one_that_wakes_them(book: Ledger, other: Ledger) -> None:
    keys = [CursorKey("mailer", "orders", str(n)) for n in range(200)]
    with ThreadPoolExecutor(len(keys)) as threads:
        waiting = [threads.submit(book.wait, key, 0, LONG_S) for key in keys]
        until(lambda: book._waker is not None and len(book._waker.waiters) == len(keys))
        assert len(wakers()) == 1
        other.append([AdvanceCursor(key, 1) for key in keys])
        found = [each.result(LONG_S) for each in waiting]
        assert {cursor.key for cursor in found if cursor} == set(keys)


def test_closing_tells_those_who_wait(target: str, waiters: ThreadPoolExecutor) -> None:
    book = ledger.open(target)
    waiting = [wait_for(waiters, book, key, 0) for key in (ORDERS, JOBS)]
    entries = waiters.submit(book.wait_for_entries, 10**9)
    until(lambda: book._waker is not None and len(book._waker.waiters) == 3)
    book.close()
    for each in (*waiting, entries):
        with pytest.raises(StorageError, match="was closed while this waited"):
            each.result(LONG_S)
    assert wakers() == []
    with pytest.raises(StorageError, match="is closed"):
        book.wait(ORDERS, 0, 0)


def test_the_thread_ends_when_nobody_waits_and_begins_again(
    book: Ledger, waiters: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waking, "IDLE_S", 0.02)
    for version in range(3):
        waiting = wait_for(waiters, book, ORDERS, version)
        cursor = book.advance(ORDERS, to=version + 1)
        assert waiting.result(LONG_S) == cursor
        until(lambda: wakers() == [])


def test_waits_that_are_over_leave_nothing(book: Ledger) -> None:
    for n in range(50):
        assert book.wait(CursorKey("mailer", str(n)), 0, 0) is None
    assert book._waker is not None
    assert not book._waker.waiters
    assert book._waker.waiters.seen() == {}
    assert book._waker.waiters.only_for_resets


def test_a_ledger_inside_a_transaction_cannot_wait(book: Ledger, lent: Any) -> None:
    with pytest.raises(InvalidCursorError, match="inside your own transaction cannot wait"):
        book.using(lent).wait(ORDERS, 0, 0)
    with pytest.raises(InvalidCursorError, match="inside your own transaction cannot wait"):
        book.using(lent).wait_for_entries(0, 0)


def test_what_is_appended_through_a_lent_connection_wakes_at_its_commit(
    book: Ledger, lent: Any, waiters: ThreadPoolExecutor
) -> None:
    waiting = wait_for(waiters, book, ORDERS, 0)
    entries = waiters.submit(book.wait_for_entries, 0, LONG_S)
    book.using(lent).reset(ORDERS, to=3, reason="with the rest")
    time.sleep(0.1)
    assert not waiting.done()
    lent.commit()
    assert waiting.result(LONG_S) == book.get(ORDERS)
    assert entries.result(LONG_S) == 1


def test_a_callback_cannot_wait(book: Ledger, lent: Any) -> None:
    said: Future[str] = Future()

    def callback(_: object) -> None:
        try:
            said.set_result(f"{book.wait(ORDERS, 5, 0)}")
        except StorageError as error:
            said.set_result(str(error))

    # Held up until the callback is there, so that it runs in the thread that commits.
    book.using(lent).advance(ORDERS, to=1)
    book.submit(AdvanceCursor(ORDERS, 2)).add_done_callback(callback)
    lent.commit()
    assert "cannot wait for a cursor to move" in said.result(LONG_S)


# --- the log ---


def test_entries_of_any_cursor_are_waited_for(
    book: Ledger, other: Ledger, waiters: ThreadPoolExecutor
) -> None:
    assert book.wait_for_entries(0, 0.05) is None
    for position, by in enumerate((book, other, book, other), 1):
        waiting = waiters.submit(book.wait_for_entries, position - 1, LONG_S)
        by.advance(CursorKey("mailer", str(position)), to=1)
        assert waiting.result(LONG_S) == position
    assert book.wait_for_entries(2) == 4
    assert book.wait_for_entries(4, 0.05) is None


@pytest.mark.usefixtures("deaf")
def test_an_append_of_this_process_wakes_who_waits_for_entries(
    book: Ledger, waiters: ThreadPoolExecutor
) -> None:
    waiting = waiters.submit(book.wait_for_entries, 0, LONG_S)
    until(lambda: book._waker is not None and book._waker.waiters.for_the_log)
    book.advance(ORDERS, to=1)
    assert waiting.result(LONG_S) == 1


def test_waits_begin_and_end_while_others_are_looked_for(book: Ledger) -> None:
    """What is waited for changes in the middle of a look."""
    over = threading.Event()

    def wait_in_turns(own: int) -> int:
        n = 0
        while not over.is_set():
            n += 1
            assert book.wait(CursorKey("mailer", f"{own}", f"{n}"), 0, 0.001) is None
        return n

    with ThreadPoolExecutor(8) as threads:
        turns = [threads.submit(wait_in_turns, own) for own in range(7)]
        held = [CursorKey("mailer", "held", f"{n}") for n in range(3_000)]
        assert book._waker is not None
        news: list[object] = []
        for key in held:
            book._waker.watch(for_version(key, 0), news.append)
        time.sleep(0.5)
        thread = book._waker.thread
        over.set()
        assert all(turn.result(LONG_S) for turn in turns)
    assert news == []
    assert thread is not None
    assert book._waker.thread is thread, "it has gone on"
