"""Whatever is raised in a thread, the coroutine that awaits it is answered."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import AdvanceCursor, StorageError
from ledger.aio import AsyncLedger
from support.coroutines import asynchronous
from support.cursors import ORDERS


class OddError(Exception):
    def __init__(self, one: object, *, two: object) -> None:
        super().__init__()
        self.one, self.two = one, two

    def __str__(self) -> str:
        raise ZeroDivisionError


class FalsyError(Exception):
    def __bool__(self) -> bool:
        return False


class StubbornError(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class OwnStopIteration(StopIteration):
    pass


class OwnInterrupt(BaseException):
    pass


class UncopiableError(StorageError):
    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")


AS_THEY_ARE = [
    ValueError("7"),
    OddError(1, two=2),
    FalsyError(),
    StubbornError(),
    StopAsyncIteration(),
    ExceptionGroup("two", [ValueError(), StopIteration()]),
    TimeoutError(),
    UncopiableError(5, "no"),
    OwnInterrupt(),
    GeneratorExit(),
]
AS_RUNTIME_ERROR = [
    StopIteration(7),
    OwnStopIteration(),
    asyncio.CancelledError("by a pool"),
    concurrent.futures.CancelledError(),
]

Way = Callable[[AsyncLedger, Callable[..., Any]], Coroutine[Any, Any, object]]

WAYS: dict[str, Way] = {
    "run": lambda book, fail: book.run(fail),
    "into": lambda book, fail: book.history(ORDERS).into(fail),
    "through": lambda book, fail: book.history(ORDERS).through(fail).into(list),
}


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


async def outcome(awaited: Coroutine[Any, Any, object]) -> BaseException | None:
    """Return what `awaited` raises, within 5 s, although it may look like a cancellation."""
    task = asyncio.ensure_future(_caught(awaited))
    done, _ = await asyncio.wait([task], timeout=5)
    assert done, "nobody was answered"
    return task.result()


async def _caught(awaited: Coroutine[Any, Any, object]) -> BaseException | None:
    try:
        await awaited
    except BaseException as error:  # noqa: BLE001 - looked at by the test
        return error
    return None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", AS_THEY_ARE, ids=lambda error: type(error).__name__)
def test_what_work_raises_comes_out(path: Path, way: str, error: BaseException) -> None:
    @asynchronous
    async def test() -> None:
        async with ledger.aio.open(path) as book:
            await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 10)])
            raised = await outcome(WAYS[way](book, raising(error)))
            assert type(raised) is type(error)
            assert (await book.get(ORDERS)).version == 9

    test()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", AS_RUNTIME_ERROR, ids=lambda error: repr(type(error)))
def test_what_no_coroutine_can_bear_is_the_cause_of_a_runtime_error(
    path: Path, way: str, error: BaseException
) -> None:
    @asynchronous
    async def test() -> None:
        async with ledger.aio.open(path) as book:
            await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 10)])
            raised = await outcome(WAYS[way](book, raising(error)))
            assert type(raised) is RuntimeError
            assert raised.__cause__ is error
            assert (await book.get(ORDERS)).version == 9

    test()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_exit_in_a_thread_ends_the_loop(path: Path, kind: type[BaseException]) -> None:
    async def main() -> None:
        async with asyncio.timeout(5), ledger.aio.open(path) as book:
            await book.run(raising(kind()))

    with pytest.raises(kind):
        asyncio.run(main())


def clocked(errors: list[BaseException]) -> Callable[[], datetime]:
    """Return a clock that raises each of `errors` once."""

    def clock() -> datetime:
        if errors:
            raise errors.pop()
        return datetime(2026, 5, 5, tzinfo=UTC)

    return clock


@pytest.mark.parametrize("error", [StopIteration(), OddError(1, two=2), UncopiableError(5, "no")])
def test_a_clock_that_fails_leaves_nobody_waiting(path: Path, error: Exception) -> None:
    @asynchronous
    async def test() -> None:
        errors: list[BaseException] = []
        async with ledger.aio.open(path, clock=clocked(errors)) as book:
            for appending in (
                lambda: book.advance(ORDERS, to=1),
                lambda: book.append([AdvanceCursor(ORDERS, 1)]),
                lambda: book.start(ORDERS, at=1, reason="new"),
            ):
                errors.append(error)
                assert isinstance(await outcome(appending()), RuntimeError | type(error))
            assert (await book.advance(ORDERS, to=1)).version == 1

    test()


@pytest.mark.parametrize(
    "error",
    [StopIteration(), UncopiableError(5, "no"), OwnInterrupt(), FalsyError()],
    ids=lambda error: type(error).__name__,
)
def test_a_future_of_submit_is_answered_in_whatever_way_it_is_awaited(
    path: Path, error: BaseException
) -> None:
    errors = [error] * 2
    with ledger.open(path, clock=clocked(errors)) as book:

        async def main() -> BaseException | None:
            async def awaited() -> object:
                return await asyncio.wrap_future(book.submit(AdvanceCursor(ORDERS, 1)))

            return await outcome(awaited())

        raised = asyncio.run(main())
        also = book.submit(AdvanceCursor(ORDERS, 1)).exception(5)
        for each in (raised, also):
            assert type(each) is (RuntimeError if isinstance(error, StopIteration) else type(error))
        assert book.submit(AdvanceCursor(ORDERS, 1)).result(5).version == 1


def test_an_answer_that_cannot_be_made_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What concludes a call may raise anything."""
    from ledger.writing import answers

    with ledger.open(path) as book, monkeypatch.context() as broken:
        broken.setattr(answers, "one", raising(OwnInterrupt()))
        assert isinstance(book.submit(AdvanceCursor(ORDERS, 1)).exception(5), OwnInterrupt)


@pytest.mark.parametrize("error", [StopIteration(), OddError(1, two=2), OwnStopIteration()])
@asynchronous
async def test_what_a_delivery_raises_is_recorded(error: Exception) -> None:
    async with ledger.aio.open(":memory:") as book, book.consumer(ORDERS) as consumer:

        async def body() -> None:
            async with consumer.delivering(1):
                raise error

        async def alone() -> None:
            async with book.delivering(ORDERS, to=1):
                raise error

        async def loop() -> None:
            # Not a coroutine: it raises before there is anything to await.
            retry = ledger.Retry(tries_max=2, wait_s=0.001)
            await consumer.run(events_after, raising(error), retry=retry)

        for way, tries in ((body, 1), (alone, 1), (loop, 2)):
            before = await book.find(ORDERS)
            raised = await outcome(way())
            assert error in (raised, raised and raised.__cause__)
            assert (await book.get(ORDERS)).version == tries + (before.version if before else 0)
            await consumer.refresh()


class Event:
    sequence, delivery_id = 1, "msg-1"


def events_after(position: int) -> list[Event]:
    return [] if position else [Event()]


def test_a_store_of_somebody_else_that_fails_leaves_nobody_waiting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynchronous
    async def test() -> None:
        async with ledger.aio.open(path) as book:
            for error in (UncopiableError(5, "no"), StopIteration(), OwnInterrupt()):
                with monkeypatch.context() as broken:
                    broken.setattr(type(book._ledger._committer), "append_free", raising(error))
                    raised = await outcome(book.advance(ORDERS, to=1))
                    assert raised is not None
                    assert error in (raised, raised.__cause__)

    test()


@asynchronous
async def test_a_ledger_that_is_not_open_yet_says_how_it_is_opened(path: Path) -> None:
    opening: Any = ledger.aio.open(path)
    for name in ("get", "advance", "consumer"):
        with pytest.raises(AttributeError, match=f"no '{name}'. Await it, .* `async with ledger"):
            getattr(opening, name)
    assert not hasattr(opening, "get")
    assert not path.exists()
    async with opening as book:
        assert await book.find(ORDERS) is None
