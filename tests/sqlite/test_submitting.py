"""Submitting, cancelling and closing: what was accepted is committed, and nobody hangs."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

import ledger
import ledger.writing.group_commit
from ledger import (
    AdvanceCursor,
    Cursor,
    CursorKey,
    Ledger,
    StorageError,
)
from support.cursors import JOBS, ORDERS
from support.gated import gated, held, started, writing_threads


def test_cancelling_is_honoured_until_the_commit_begins(path: Path) -> None:
    with gated(path) as (book, store):
        with held(book, store):
            first, second = (book.submit(AdvanceCursor(ORDERS, n)) for n in (1, 2))
            assert first.cancel()
        assert second.result().version == 1
        store.open.clear()
        store.entered.clear()
        third = book.submit(AdvanceCursor(ORDERS, 3))
        store.entered.wait()
        assert not third.cancel()
        store.open.set()
        assert third.result().version == 2
        with pytest.raises(CancelledError):
            first.result()


def test_what_cannot_be_submitted_is_refused_at_once(book: Ledger, path: Path) -> None:
    with pytest.raises(ledger.InvalidCursorError):
        book.submit("advance")  # type: ignore[arg-type]
    connection = sqlite3.connect(path)
    with pytest.raises(ledger.InvalidCursorError, match="use append"):
        book.using(connection).submit(AdvanceCursor(ORDERS, 1))
    connection.close()
    book.close()
    with pytest.raises(StorageError, match="closed"):
        book.submit(AdvanceCursor(ORDERS, 1))


def test_closing_commits_what_was_accepted(path: Path) -> None:
    book = ledger.open(path)
    asked = [book.submit(AdvanceCursor(ORDERS, n)) for n in range(1, 1_501)]
    book.close()
    assert [future.result(0).version for future in asked] == list(range(1, 1_501))
    with ledger.open(path) as again:
        assert again.get(ORDERS).version == 1_500


def test_closing_wakes_those_who_wait_for_room(path: Path) -> None:
    with gated(path, queue_length_max=1) as (book, store):
        with held(book, store):
            accepted = book.submit(AdvanceCursor(ORDERS, 1))
            waiting = started(lambda: book.submit(AdvanceCursor(ORDERS, 2)))
            closing = started(book.close)
            assert isinstance(waiting.exception(5), StorageError)
        closing.result(5)
        assert accepted.result().version == 1


SUBMIT_AND_END = """
import sys, ledger
book = ledger.open(sys.argv[1])
for n in range(1, 501):
    book.submit(ledger.AdvanceCursor(ledger.CursorKey("a", "b"), n))
"""


def test_a_program_that_ends_without_closing_loses_nothing(path: Path) -> None:
    subprocess.run([sys.executable, "-c", SUBMIT_AND_END, path], check=True, timeout=60)
    with ledger.open(path) as book:
        assert book.get(CursorKey("a", "b")).version == 500


def test_a_callback_may_use_the_ledger_and_close_it(path: Path) -> None:
    with gated(path) as (book, store):
        done = threading.Event()
        versions = []

        def go_on(_: Future[Cursor]) -> None:
            versions.append(book.advance(ORDERS, to=2).version)
            second = book.submit(AdvanceCursor(ORDERS, 3))
            book.close()
            second.add_done_callback(lambda _: done.set())

        with held(book, store):
            book.submit(AdvanceCursor(ORDERS, 1)).add_done_callback(go_on)
        assert done.wait(10)
        assert versions == [2]


def test_an_interrupted_caller_is_withdrawn(path: Path) -> None:
    def interrupt() -> None:
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with gated(path) as (book, store):
            with held(book, store):
                threading.Thread(target=interrupt).start()
                with pytest.raises(KeyboardInterrupt):
                    book.advance(ORDERS, to=1)
            book.submit(AdvanceCursor(JOBS, 2_000_000)).result()
            assert [entry.key for entry in book.entries()] == [JOBS, JOBS]
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_thread_goes_home_when_nothing_is_left(path: Path) -> None:
    with ledger.open(path) as book:
        book.submit(AdvanceCursor(ORDERS, 1)).result()
        until = time.monotonic() + 10
        while writing_threads() and time.monotonic() < until:
            time.sleep(0.02)
        assert writing_threads() == []
        assert book.submit(AdvanceCursor(ORDERS, 2)).result().version == 2
