"""What runs under the recorder. Each workload marks what it asks for, and what it was told.

Every request carries a token in its metadata, by which its entry is known again.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ledger
from ledger import (
    AdvanceCursor,
    CursorKey,
    Ledger,
    LedgerError,
    RecordError,
    ResetCursor,
    UnknownOutcomeError,
)
from ledger.stores import Durability

__all__ = ["KEYS", "LIBRARY", "POWER_CUTS", "advance", "child", "in_threads", "opened", "told"]

KEYS = [CursorKey("consumer", "stream", str(n)) for n in range(3)]

LIBRARY = ctypes.CDLL(None)


def mark(said: str, tokens: Sequence[str]) -> None:
    LIBRARY.campaign_mark(" ".join([said, *tokens]).encode())


def told(tokens: Sequence[str], work: Callable[[], object]) -> None:
    """Do `work`, which asks for entries with these tokens, and mark what came of it."""
    mark("asked", tokens)
    try:
        work()
    except UnknownOutcomeError:
        mark("unknown", tokens)
    except LedgerError:
        mark("raised", tokens)
    else:
        mark("acknowledged", tokens)


def advance(book: Ledger, key: CursorKey, to: int, token: str) -> None:
    told([token], lambda: book.advance(key, to=to, delivery_id=token, metadata={"token": token}))


def opened(folder: Path, durability: Durability, **more: Any) -> Ledger:
    return ledger.open(folder / "cursors.db", actor="workload", durability=durability, **more)


def singles(folder: Path, durability: Durability) -> None:
    with opened(folder, durability) as book:
        for n in range(1, 31):
            advance(book, KEYS[n % 3], n, f"single-{n}")


def appends(folder: Path, durability: Durability) -> None:
    with opened(folder, durability) as book:
        for group in range(1, 7):
            tokens = [f"append-{group}-{n}" for n in range(40)]
            requests = [
                AdvanceCursor(KEYS[n % 3], group * 100 + n, metadata={"token": token})
                for n, token in enumerate(tokens)
            ]
            told(tokens, lambda requests=requests: book.append(requests))  # type: ignore[misc]


def submits(folder: Path, durability: Durability) -> None:
    with opened(folder, durability) as book:

        def work(name: int) -> None:
            key = CursorKey("thread", "stream", str(name))
            for n in range(1, 9):
                token = f"submit-{name}-{n}"
                request = AdvanceCursor(key, n, metadata={"token": token})
                told([token], lambda request=request: book.submit(request).result())  # type: ignore[misc]

        in_threads(work, 4)


def resets(folder: Path, durability: Durability) -> None:
    with opened(folder, durability) as book:
        for n in range(1, 9):
            advance(book, KEYS[0], n * 10, f"advance-{n}")
            for token, request in (
                (f"error-{n}", RecordError(KEYS[0], "refused", metadata={"token": f"error-{n}"})),
                (
                    f"reset-{n}",
                    ResetCursor(KEYS[0], n, "lost some", metadata={"token": f"reset-{n}"}),
                ),
            ):
                told([token], lambda request=request: book.append([request]))  # type: ignore[misc]


def processes(folder: Path, durability: Durability) -> None:
    """Two processes share the file; and a third comes and goes."""

    def work(name: int) -> None:
        with opened(folder, durability) as book:
            for n in range(1, 11):
                key = CursorKey("process", "stream", str(name))
                advance(book, key, n, f"process-{name}-{n}")

    children = [child(lambda name=name: work(name)) for name in range(2)]  # type: ignore[misc]
    for n in range(1, 6):
        with opened(folder, durability) as book:
            advance(book, KEYS[2], n, f"passing-{n}")
    for each in children:
        assert os.waitpid(each, 0)[1] == 0


def creation(folder: Path, durability: Durability) -> None:
    with opened(folder, durability) as book:
        advance(book, KEYS[0], 1, "first")


def checkpoints(folder: Path, durability: Durability) -> None:
    """Fill the write-ahead log past the 1,000 pages at which it is copied into the database."""
    with opened(folder, durability) as book:
        for group in range(1, 5):
            tokens = [f"large-{group}-{n}" for n in range(400)]
            requests = [
                AdvanceCursor(
                    KEYS[n % 3], group * 1_000 + n, metadata={"token": token, "body": "x" * 3_900}
                )
                for n, token in enumerate(tokens)
            ]
            told(tokens, lambda requests=requests: book.append(requests))  # type: ignore[misc]
            for n in range(3):
                advance(book, KEYS[n], group * 1_000 + 500 + n, f"between-{group}-{n}")


def reopens(folder: Path, durability: Durability) -> None:
    for n in range(1, 9):
        with opened(folder, durability) as book:
            advance(book, KEYS[0], n * 10, f"reopened-{n}")
            advance(book, KEYS[1], n * 10, f"reopened-again-{n}")


def callers(folder: Path, durability: Durability) -> None:
    """Append in the caller's own transaction, and see what the caller's COMMIT came to."""
    with opened(folder, durability) as book, closing(caller(folder, durability)) as connection:
        for n in range(1, 11):
            tokens = [f"caller-{n}-{m}" for m in range(2)]
            mark("asked", tokens)
            connection.execute("BEGIN IMMEDIATE")
            for m, token in enumerate(tokens):
                book.using(connection).advance(KEYS[m], to=n, metadata={"token": token})
            if n % 4 == 0:
                connection.execute("ROLLBACK")
                mark("raised", tokens)
            else:
                connection.execute("COMMIT")
                mark("acknowledged", tokens)


def caller(folder: Path, durability: Durability) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "cursors.db", isolation_level=None)
    connection.execute(f"PRAGMA synchronous = {durability.upper()}")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def copies(folder: Path, durability: Durability) -> None:
    """Copy another ledger here, and copy once more what it has got since."""
    with ledger.open(":memory:", actor="workload") as source, opened(folder, durability) as book:
        for part in range(2):
            tokens = [f"copied-{part}-{n}" for n in range(300)]
            for n, token in enumerate(tokens):
                source.advance(KEYS[n % 3], to=part * 1_000 + n + 1, metadata={"token": token})
                mark("asked", [token])
            source.copy_to(book)
            mark("acknowledged", tokens)


def clocked(folder: Path, durability: Durability) -> None:
    """As singles, with a clock that goes back and forth by years."""
    moments = iter(range(1_000))

    def clock() -> datetime:
        n = next(moments)
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=365 * (-1) ** n * n)

    with opened(folder, durability, clock=clock) as book:
        for n in range(1, 11):
            advance(book, KEYS[n % 2], n, f"clocked-{n}")


def child(work: Callable[[], None]) -> int:
    """Fork a process that does `work` and ends; give its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    finally:
        os._exit(98)


def in_threads(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


POWER_CUTS: dict[str, Callable[..., None]] = {
    "singles": singles,
    "appends": appends,
    "submits": submits,
    "resets": resets,
    "processes": processes,
    "creation": creation,
    "checkpoints": checkpoints,
    "reopens": reopens,
    "callers": callers,
    "clocked": clocked,
    "copies": copies,
}
