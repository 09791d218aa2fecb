"""The pytest plugin of cursor-ledger: a book, a clock that moves when told, a story in one line.

pytest imports this in every run, so it imports nothing but pytest: the ledger comes with the first
fixture that is used. A fixture of yours with the same name takes the place of the one here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import sqlite3

    from ledger import CursorKey, Ledger
    from ledger.aio import AsyncLedger
    from ledger.testing import Clock, Story


@pytest.fixture
def ledger_clock() -> Clock:
    """Return the clock of `book`: it stands at 2026-01-01T00:00:00Z until `tick(seconds)`."""
    from ledger.testing import Clock

    return Clock()


@pytest.fixture
def ledger_connection() -> Iterator[sqlite3.Connection]:
    """Yield the connection to the database in memory that `book` is in.

    Override it with your application's test database, and `book.using(connection)` works on that.
    """
    import sqlite3

    connection = sqlite3.connect(":memory:", check_same_thread=False)
    yield connection
    connection.close()


@pytest.fixture
def book(ledger_connection: sqlite3.Connection, ledger_clock: Clock) -> Iterator[Ledger]:
    """Yield an empty ledger in memory, with the actor "test"."""
    from ledger.testing import in_memory

    with in_memory(ledger_connection, actor="test", clock=ledger_clock) as book:
        yield book


@pytest.fixture
def abook(book: Ledger) -> Iterator[AsyncLedger]:
    """Yield `book` for asyncio: the same ledger, whatever runs your coroutines."""
    from ledger.testing.coroutines import asynchronous

    with asynchronous(book) as abook:
        yield abook


@pytest.fixture
def story(book: Ledger, request: pytest.FixtureRequest) -> Callable[..., Story]:
    """Return what appends a history: story("advance 5; reset 2 by ines: lost; error HTTP 503").

    It takes `key=`, by default mailer/orders, and returns a Story: its key, cursor and entries.
    """
    from ledger.testing import stories

    def story(text: str, *, key: CursorKey = stories.KEY) -> Story:
        clock: Clock = request.getfixturevalue("ledger_clock")
        return stories.tell(book, text, key=key, clock=clock)

    return story
