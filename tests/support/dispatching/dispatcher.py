"""A dispatcher as a program would have it: events of a SQLite table, delivered over HTTP.

    python dispatcher.py threads|asyncio TARGET SOURCE PORT

One consumer for each subject of the table, each with 8 deliveries in flight. SIGTERM ends it.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import ledger
import ledger.aio

CONSUMER = "dispatcher"
STREAM = "events"
IN_FLIGHT = 8
BATCH = 50
TIMEOUT_S = 0.6
RETRY = ledger.Retry(tries_max=1_000, wait_s=0.02, wait_max_s=0.2)
POLL_S = 0.2


class Event(NamedTuple):
    """One row of the table."""

    subject: str
    sequence: int
    delivery_id: str


class Source:
    """The table of events."""

    def __init__(self, path: str) -> None:
        self._path = path

    def subjects(self) -> list[str]:
        return [row[0] for row in self._rows("SELECT DISTINCT subject FROM events")]

    def after(self, subject: str, position: int) -> list[Event]:
        statement = "SELECT * FROM events WHERE subject = ? AND sequence > ? ORDER BY 2 LIMIT ?"
        return [Event(*row) for row in self._rows(statement, subject, position, BATCH)]

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()


def key_of(subject: str) -> ledger.CursorKey:
    return ledger.CursorKey(CONSUMER, STREAM, subject)


def said(event: Event, epoch: int) -> bytes:
    """Return what the receiver is told, with when this delivery began and in which epoch."""
    return json.dumps({**event._asdict(), "epoch": epoch, "began": time.time()}).encode()


def check(status: int) -> None:
    if status != 204:
        raise ConnectionError(f"the receiver answered {status}")


# --- in threads ---


def in_threads(target: str, source: Source, port: int) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def dispatch(book: ledger.Ledger, subject: str) -> None:
        def deliver(event: Event, _: ledger.Delivery) -> None:
            post(port, said(event, consumer.epoch))

        try:
            with book.consumer(key_of(subject), in_flight=IN_FLIGHT) as consumer:
                consumer.run(
                    lambda position: source.after(subject, position),
                    deliver,
                    retry=RETRY,
                    stop=stop,
                    poll_s=POLL_S,
                )
        except BaseException:
            stop.set()
            raise

    subjects = source.subjects()
    with (
        ledger.open(target, actor="dispatcher") as book,
        ThreadPoolExecutor(len(subjects)) as threads,
    ):
        loops = [threads.submit(dispatch, book, subject) for subject in subjects]
        print("dispatching", flush=True)
        while not stop.wait(0.1):
            pass
        for loop in loops:
            loop.result()


def post(port: int, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", "/", body)
        check(connection.getresponse().status)
    finally:
        connection.close()


# --- in coroutines ---


async def in_coroutines(target: str, source: Source, port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def dispatch(book: ledger.aio.AsyncLedger, subject: str) -> None:
        async def deliver(event: Event, _: ledger.Delivery) -> None:
            async with asyncio.timeout(TIMEOUT_S):
                await post_awaited(port, said(event, consumer.epoch))

        async with book.consumer(key_of(subject), in_flight=IN_FLIGHT) as consumer:
            await consumer.run(
                lambda position: source.after(subject, position),
                deliver,
                retry=RETRY,
                stop=stop,
                poll_s=POLL_S,
            )

    async with ledger.aio.open(target, actor="dispatcher") as book, asyncio.TaskGroup() as group:
        for subject in source.subjects():
            group.create_task(dispatch(book, subject))
        print("dispatching", flush=True)


async def post_awaited(port: int, body: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"POST / HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        answer = await reader.readline()
        check(int(answer.split()[1]))
    finally:
        writer.close()


if __name__ == "__main__":
    way, where, table, listens = sys.argv[1:]
    if way == "threads":
        in_threads(where, Source(table), int(listens))
    else:
        asyncio.run(in_coroutines(where, Source(table), int(listens)))
