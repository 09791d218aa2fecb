"""A lazy ledger: opened by each process that uses it, once, and anew after a fork."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import os
import pickle
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import AdvanceCursor, CursorKey, InvalidCursorError, StorageError
from support.cursors import JOBS, ORDERS
from support.forked import in_child, watched
from support.places import TOP
from support.preloaded import programs

THREADS = 12


def advance(book: ledger.Ledger, consumer: str) -> None:
    """Append something, in a process of multiprocessing."""
    for to in range(1, 6):
        book.advance(CursorKey(consumer, "orders"), to=to)
    # Nobody waits for these, and nobody closes the ledger.
    for to in range(6, 41):
        book.submit(AdvanceCursor(CursorKey(consumer, "orders"), to))


def test_nothing_is_opened_before_it_is_used(path: Path) -> None:
    book = ledger.lazy(path / "none", actor="web")
    assert isinstance(book, ledger.Ledger)
    assert not path.exists()
    for _ in range(2):  # A failure to open is no reason not to try again.
        with pytest.raises(StorageError):
            book.get(ORDERS)
    path.mkdir()
    assert book.find(ORDERS) is None
    book.close()


def test_many_threads_open_it_once(target: str) -> None:
    opened: list[float] = []

    def slowly() -> None:
        opened.append(time.monotonic())
        time.sleep(0.05)

    book = ledger.lazy(target, actor="web")
    watched(book, slowly)
    ready = threading.Barrier(THREADS)

    def use(n: int) -> int:
        ready.wait()
        return book.advance(CursorKey(f"c-{n}", "orders"), to=1).version

    with book, ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(use, range(THREADS))) == [1] * THREADS
        assert len(opened) == 1
        assert book.verify().ok


def test_a_child_opens_its_own_whether_or_not_the_parent_has(target: str) -> None:
    with ledger.lazy(target, actor="web") as book:
        assert in_child(lambda: book.advance(ORDERS, to=1).version) == "1"
        book.advance(ORDERS, to=2)
        assert in_child(lambda: book.advance(ORDERS, to=3).version) == "3"
        assert in_child(lambda: in_child(lambda: book.advance(ORDERS, to=4).version)) == "4"
        assert book.advance(ORDERS, to=5).version == 5
        assert book.verify().ok


def test_parent_and_children_append_beside_each_other(target: str) -> None:
    with ledger.lazy(target, actor="web") as book:
        book.advance(ORDERS, to=1)
        children = []
        for n in range(3):
            if (child := os.fork()) == 0:
                try:
                    for to in range(1, 51):
                        book.advance(CursorKey(f"child-{n}", "orders"), to=to)
                finally:
                    os._exit(0)
            children.append(child)
        for to in range(2, 51):
            book.advance(ORDERS, to=to)
        for child in children:
            os.waitpid(child, 0)
        assert [cursor.version for cursor in book.cursors()] == [50] * 4
        assert book.verify().ok


def test_a_fork_beside_a_thread_that_opens_it_does_not_hang(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = ledger.lazy(path, actor="web")
    opening, go_on = threading.Event(), threading.Event()

    def slowly() -> ledger.Ledger:
        if os.getpid() == me:
            opening.set()
            go_on.wait(10)
        return ledger.open(path, actor="web")

    me = os.getpid()
    monkeypatch.setattr(book._process, "_opened", slowly)  # type: ignore[attr-defined]
    with book, ThreadPoolExecutor(1) as threads:
        parent = threads.submit(book.advance, JOBS, to=1)
        opening.wait(10)
        assert in_child(lambda: book.advance(ORDERS, to=1).version) == "1"
        go_on.set()
        assert parent.result(10).version == 1


@pytest.mark.slow("it starts many processes")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_take_it_along(target: str, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with ledger.lazy(target, actor="pool") as book:
        book.advance(ORDERS, to=1)
        processes = [
            context.Process(target=advance, args=(book, f"{method}-{n}")) for n in range(3)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * 3
        # What was only submitted is there as well.
        assert [cursor.last_sequence for cursor in book.cursors()] == [40] * 3 + [1]
        assert {entry.actor for entry in book.entries()} == {"pool"}


def test_what_is_closed_stays_closed_and_a_child_opens_it(target: str) -> None:
    book = ledger.lazy(target, actor="web")
    with book:
        book.advance(ORDERS, to=1)
    book.close()
    with pytest.raises(StorageError, match="closed"):
        book.advance(ORDERS, to=2)
    assert in_child(lambda: book.advance(ORDERS, to=2).version) == "2"
    unused = ledger.lazy(target, actor="web")
    unused.close()
    with pytest.raises(StorageError, match=r"closed in this process.*ledger\.lazy"):
        unused.get(ORDERS)


def test_in_memory_a_child_does_not_begin_with_an_empty_log() -> None:
    book = ledger.lazy(":memory:", actor="web")
    book.advance(ORDERS, to=1)
    said = in_child(lambda: book.find(ORDERS))
    assert "in the memory of the process that this one was forked from" in said
    assert book.get(ORDERS).version == 1
    book.close()


def test_a_relative_path_is_that_of_the_folder_it_was_written_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    book = ledger.lazy("cursors.db", actor="web")
    monkeypatch.chdir("/")
    with book:
        book.advance(ORDERS, to=1)
    assert (tmp_path / "cursors.db").exists()


@pytest.mark.parametrize(
    ("target", "options", "named"),
    [
        ("", {}, "target"),
        ("mysql://root@db/ledger", {}, "target"),
        (7, {}, "target"),
        ("cursors.db", {"durability": "some"}, "durability"),
        ("cursors.db", {"busy_timeout_s": -1}, "busy_timeout_s"),
        ("cursors.db", {"actor": "\0"}, "actor"),
        ("cursors.db", {"clock": 7}, "clock"),
        ("cursors.db", {"require_epoch": 1}, "require_epoch"),
        ("postgresql://user:p@ss@db/ledger", {}, "URL of the database"),
        ("postgresql://db/ledger?pool_max_size=0", {}, "pool_max_size"),
    ],
)
@pytest.mark.parametrize("lazy", [ledger.lazy, ledger.aio.lazy])
def test_what_can_be_known_at_once_is_refused_at_once(
    lazy: Callable[..., object], target: object, options: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidCursorError, match=named):
        lazy(target, **options)


def test_a_ledger_that_was_opened_too_early_names_lazy(path: Path) -> None:
    with ledger.open(path) as book:
        assert "ledger.lazy(…) in place of ledger.open(…)" in in_child(lambda: book.get(ORDERS))


def test_copies_and_pickles_are_lazy_too(path: Path) -> None:
    book = ledger.lazy(path, actor="web", durability="normal", busy_timeout_s=2, require_epoch=True)
    copies: list[Any] = [pickle.loads(pickle.dumps(book)), copy.deepcopy(book)]
    for again in copies:
        assert not path.exists()
        assert again._process.is_open is False
        with again, pytest.raises(ledger.EpochRequiredError):
            again.advance(ORDERS, to=1)
        path.unlink(missing_ok=True)


def test_an_attribute_that_no_ledger_has_is_missing(path: Path) -> None:
    with ledger.lazy(path) as book, pytest.raises(AttributeError, match="advanced"):
        book.advanced  # type: ignore[attr-defined]  # noqa: B018


def test_a_program_that_ends_closes_it(path: Path) -> None:
    script = (
        "import ledger, sys\n"
        "book = ledger.lazy(sys.argv[1], actor='web')\n"
        "for to in range(1, 200): book.submit(ledger.AdvanceCursor("
        "ledger.CursorKey('mailer', 'orders'), to))\n"
    )
    subprocess.run(
        [programs() / "python", "-c", script, str(path)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(TOP)},
    )
    # The last connection that is closed takes the write-ahead log along.
    assert sorted(file.name for file in path.parent.iterdir()) == ["cursors.db"]
    with ledger.open(path) as book:
        assert book.get(CursorKey("mailer", "orders")).last_sequence == 199


# --- asyncio ---


def test_coroutines_open_it_in_a_thread_and_in_each_process(target: str) -> None:
    book = ledger.aio.lazy(target, actor="web")
    threads: set[str] = set()
    watched(book, lambda: threads.add(threading.current_thread().name))

    async def use(to: int) -> list[int]:
        await book.advance(ORDERS, to=to)
        return [entry.version async for entry in book.history(ORDERS)]

    assert asyncio.run(use(1)) == [1]
    assert asyncio.run(use(2)) == [1, 2]
    assert in_child(lambda: asyncio.run(use(3))) == "[1, 2, 3]"
    assert asyncio.run(use(4)) == [1, 2, 3, 4]
    asyncio.run(book.close())
    assert in_child(lambda: asyncio.run(use(5))) == "[1, 2, 3, 4, 5]"
    with pytest.raises(StorageError, match="closed"):
        asyncio.run(use(6))
    assert all(name.startswith("cursor-ledger reader") for name in threads)


@pytest.mark.parametrize(
    "use",
    [
        lambda book: book.get(ORDERS),
        lambda book: book.wait(ORDERS, 0, 0.01),
        lambda book: book.wait_for_entries(0, 0.01),
        lambda book: anext(book.cursors()),
        lambda book: anext(book.history(ORDERS)),
        lambda book: book.run(list),
        lambda book: book.record_error(ORDERS, "HTTP 503"),
        lambda book: book.heads.find("orders"),
        lambda book: book.__aenter__(),
        lambda book: book.delivering(ORDERS, to=1).__aenter__(),
        lambda book: book.consumer(ORDERS).__aenter__(),
    ],
)
def test_the_event_loop_is_never_what_opens_it(path: Path, use: Callable[..., object]) -> None:
    book = ledger.aio.lazy(path, actor="web")
    threads: list[threading.Thread] = []
    watched(book, lambda: threads.append(threading.current_thread()))

    async def main() -> None:
        try:
            await use(book)  # type: ignore[misc]
        except (ledger.LedgerError, TypeError, StopAsyncIteration):
            pass
        finally:
            await book.close()

    asyncio.run(main())
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


def test_a_wrong_call_of_a_coroutine_is_refused_before_anything_is_delivered(path: Path) -> None:
    async def main() -> None:
        async with ledger.aio.lazy(path, actor="web") as book:
            with pytest.raises(InvalidCursorError):
                async with book.delivering(ORDERS, to=0):
                    raise AssertionError
            with pytest.raises(InvalidCursorError):
                await anext(book.entries("all"))  # type: ignore[arg-type]
            again = pickle.loads(pickle.dumps(book))
            await again.advance(ORDERS, to=1)
            await again.close()
            assert (await book.get(ORDERS)).version == 1

    asyncio.run(main())
