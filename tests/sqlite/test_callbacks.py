"""A callback that would wait for ever is refused; whatever a delivery raises is recorded."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, Ledger, StorageError
from ledger.aio import futures
from ledger.opening import utc_now
from support.cursors import JOBS, ORDERS
from support.gated import gated, held

FOR_EVER = "would wait for ever"
PATIENCE_S = 20


class Heard:
    """What a callback has met, in the thread that ran it."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._done = threading.Event()
        self._met: object = None

    def __call__(self, _: Future[Any]) -> None:
        try:
            self._met = self._work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is looked at
            self._met = error
        finally:
            self._done.set()

    def result(self) -> object:
        assert self._done.wait(PATIENCE_S), "it waits for ever"
        return self._met


@pytest.fixture
def others(tmp_path: Path) -> Iterator[Callable[[str], Ledger]]:
    """Yield a function that opens ledgers; close those that are still open at the end."""
    opened: list[Ledger] = []

    def other(name: str) -> Ledger:
        opened.append(ledger.open(tmp_path / f"{name}.db", actor="tester", busy_timeout_s=2))
        return opened[-1]

    yield other
    for book in opened:
        book.close()


@pytest.mark.parametrize(
    "wait",
    [
        lambda future: future.result(),
        lambda future: future.exception(),
        lambda future: concurrent.futures.wait([future]),
        lambda future: list(concurrent.futures.as_completed([future])),
        lambda future: asyncio.run(settled(future)),
    ],
)
def test_a_callback_cannot_wait_for_a_call_that_comes_after_it(
    path: Path, wait: Callable[[Future[Any]], object]
) -> None:
    with gated(path) as (book, store):
        asked: list[Future[Any]] = []

        def go_on() -> object:
            asked.append(book.submit(AdvanceCursor(ORDERS, 2)))
            return wait(asked[0])

        heard = Heard(go_on)
        with held(book, store):
            book.submit(AdvanceCursor(ORDERS, 1)).add_done_callback(heard)
        met = heard.result()
        assert isinstance(met, StorageError)
        assert FOR_EVER in str(met)
        # It is refused to wait; the call is answered.
        assert asked[0].result(PATIENCE_S).version == 2


async def settled(future: Future[Any]) -> Any:
    return await futures.settled(future)


def test_a_future_that_is_done_or_is_waited_for_a_while_is_no_circle(path: Path) -> None:
    with gated(path) as (book, store):

        def go_on() -> object:
            late = book.submit(AdvanceCursor(ORDERS, 2))
            with pytest.raises(TimeoutError):
                late.result(0.01)
            return first.result().version, first.exception(), late.cancel()

        heard = Heard(go_on)
        with held(book, store):
            first = book.submit(AdvanceCursor(ORDERS, 1))
            first.add_done_callback(heard)
        assert heard.result() == (1, None, True)
        assert book.submit(AdvanceCursor(ORDERS, 2)).result().version == 2


def test_the_clock_of_a_ledger_cannot_wait_for_it(path: Path) -> None:
    met: list[BaseException] = []

    def clock() -> Any:
        if not met:
            met.append(StorageError())
            late = book.submit(AdvanceCursor(JOBS, 1))
            with pytest.raises(StorageError, match=FOR_EVER) as caught:
                late.result()
            met.append(caught.value)
        return utc_now()

    with ledger.open(path, actor="tester", clock=clock) as book:
        assert book.advance(ORDERS, to=1).version == 1
        assert len(met) == 2
        book.submit(AdvanceCursor(ORDERS, 2)).result()
        assert book.get(JOBS).version == 1


def test_a_callback_may_wait_for_another_ledger(others: Callable[[str], Ledger]) -> None:
    first, second = others("first"), others("second")
    heard = Heard(lambda: second.submit(AdvanceCursor(JOBS, 1)).result().version)
    first.submit(AdvanceCursor(ORDERS, 1)).add_done_callback(heard)
    assert heard.result() == 1
    closing = Heard(second.close)
    first.submit(AdvanceCursor(ORDERS, 2)).add_done_callback(closing)
    assert closing.result() is None
    with pytest.raises(StorageError, match="closed"):
        second.advance(JOBS, to=2)


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("closing", [True, False])
def test_ledgers_whose_callbacks_wait_for_each_other_do_not_wait_for_ever(
    others: Callable[[str], Ledger],
    number: int,
    closing: bool,
) -> None:
    books = [others(str(nth)) for nth in range(number)]
    together = threading.Barrier(number)
    heard: list[Heard] = []

    def waits_for(book: Ledger) -> Callable[[], object]:
        def work() -> object:
            together.wait(PATIENCE_S)
            if closing:
                book.close()
                return None
            return book.submit(AdvanceCursor(JOBS, 1)).result()

        return work

    for nth, book in enumerate(books):
        heard.append(Heard(waits_for(books[(nth + 1) % number])))
        book.submit(AdvanceCursor(ORDERS, 1)).add_done_callback(heard[-1])
    met = [each.result() for each in heard]
    refused = [error for error in met if isinstance(error, BaseException)]
    assert refused
    assert len(refused) < number
    assert all(isinstance(error, StorageError) and FOR_EVER in str(error) for error in refused)
    for book in books:
        book.close()


def test_a_ledger_of_asyncio_can_be_closed_in_a_callback_and_not_by_who_reads_it(
    path: Path,
) -> None:
    async def main() -> None:
        book = await ledger.aio.open(path, actor="tester")
        await book.advance(ORDERS, to=1)
        [entry] = [entry async for entry in book.history(ORDERS)]
        assert entry.version == 1

        def progress(_: int) -> None:
            asyncio.run(book.close())

        with pytest.raises(StorageError, match="reads from the ledger"):
            await book._readers.run(progress, 1)
        assert (await book.verify()).ok
        heard = Heard(lambda: asyncio.run(book.close()))
        writer = book._ledger
        writer.submit(AdvanceCursor(ORDERS, 2)).add_done_callback(heard)
        assert await asyncio.to_thread(heard.result) is None
        with pytest.raises(StorageError, match="closed"):
            await book.get(ORDERS)

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))
    with ledger.open(path) as book:
        assert book.get(ORDERS).version == 2


# --- what a delivery raises ---


class Speechless(Exception):  # noqa: N818 - an error of somebody else
    def __str__(self) -> str:
        raise OSError("no text")


class Numbered(Exception):  # noqa: N818
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]  # noqa: PLE0307 - that is what is odd


class Odd(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise OSError

    def __format__(self, _: str) -> str:
        raise OSError


class Styled(Exception):  # noqa: N818
    def __str__(self) -> str:
        return Odd("styled")


class Closed(Exception):  # noqa: N818
    def add_note(self, _: str) -> None:
        raise OSError


RAISED = [
    (Speechless(), "Speechless: (its text could not be made: OSError)"),
    (Numbered(), "Numbered: (its text could not be made: TypeError)"),
    (Styled(), "Styled: styled"),
    (ValueError(Odd("odd")), "ValueError: (its text could not be made: OSError)"),
    (ValueError("\u200b"), "ValueError: \u200b"),
    (ValueError("\0\ud800"), "ValueError: \ufffd\ufffd"),
    (ValueError(), "ValueError"),
    (ExceptionGroup("many", [OSError(), ValueError()]), "ExceptionGroup: many (2 sub-exceptions)"),
    (ValueError("x" * 200_000), "ValueError: " + "x" * (2_047 - 12) + "…"),
    (StopIteration("over"), "StopIteration: over"),
]


@pytest.mark.parametrize(("error", "kept"), RAISED, ids=lambda each: type(each).__name__)
def test_what_a_delivery_raises_is_recorded_and_comes_out(
    path: Path, error: Exception, kept: str
) -> None:
    def deliver(book: Ledger) -> None:
        with book.delivering(ORDERS, to=1):
            raise error

    with ledger.open(path, actor="tester") as book:
        try:
            deliver(book)
        except Exception as raised:  # noqa: BLE001 - it is compared
            assert raised is error
        assert book.get(ORDERS).last_error == kept
        assert not hasattr(error, "__notes__")


@pytest.mark.parametrize(("error", "kept"), RAISED[:6], ids=lambda each: type(each).__name__)
def test_what_a_coroutine_delivers_is_no_different(path: Path, error: Exception, kept: str) -> None:
    async def main() -> None:
        async with ledger.aio.open(path, actor="tester") as book:
            try:
                async with book.delivering(ORDERS, to=1):
                    raise error
            except Exception as raised:  # noqa: BLE001 - it is compared
                assert raised is error
            assert (await book.get(ORDERS)).last_error == kept

    asyncio.run(main())


@pytest.mark.parametrize("error", [Speechless(), Closed(), ValueError("mine")], ids=repr)
def test_what_a_delivery_raises_comes_out_when_it_cannot_be_recorded(
    path: Path, error: Exception
) -> None:
    def clock() -> Any:
        raise RuntimeError("the clock has stopped")

    with ledger.open(path, actor="tester", clock=clock) as book:
        with pytest.raises(type(error)) as caught, book.delivering(CursorKey("a", "b"), to=1):
            raise error
        assert caught.value is error
        if not isinstance(error, Closed):
            assert "the clock has stopped" in error.__notes__[0]

    async def main() -> None:
        async with ledger.aio.open(path, actor="tester", clock=clock) as book:
            with pytest.raises(type(error)) as caught:
                async with book.delivering(CursorKey("a", "b"), to=1):
                    raise error
            assert caught.value is error

    asyncio.run(main())
