"""The sessions of a file: which are kept when they are given back, and which are closed."""

from __future__ import annotations

from pathlib import Path

import ledger
from ledger.stores.sqlite.sessions import Sessions
from support.cursors import JOBS, ORDERS


def sessions_of(book: ledger.Ledger) -> Sessions:
    sessions = book._store.connections._sessions  # type: ignore[attr-defined]
    assert isinstance(sessions, Sessions)
    return sessions


def test_a_session_that_only_reads_is_not_kept_once_something_was_written(path: Path) -> None:
    """It might be taken for the one that writes."""
    with ledger.open(path) as first:
        first.advance(ORDERS, to=1)
        with ledger.open(path) as book:
            sessions = sessions_of(book)
            assert [session.reads_only for session in sessions.idle] == [True]
            with book._store.snapshot():
                book.advance(JOBS, to=1)
            assert book.get(JOBS).last_sequence == 1
            assert [session.reads_only for session in sessions.idle] == [False]


def test_what_is_in_use_when_the_ledger_is_closed_is_closed_when_it_is_given_back(
    path: Path,
) -> None:
    book = ledger.open(path)
    book.advance(ORDERS, to=1)
    sessions = sessions_of(book)
    with book._store.snapshot():
        book.close()
        open_before = sessions.in_use
    assert (open_before, sessions.in_use) == (True, False)
    assert not path.with_name(path.name + "-wal").exists()


def test_a_reading_beside_the_closing_leaves_nothing_open(path: Path) -> None:
    book = ledger.open(path)
    book.advance(ORDERS, to=1)
    connections = book._store.connections  # type: ignore[attr-defined]
    connections.read(lambda _: book.close())
    assert not sessions_of(book).in_use
