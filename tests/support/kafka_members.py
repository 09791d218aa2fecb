"""Members of a consumer group in threads, and one in a process of its own; what they delivered.

    python kafka_members.py TARGET SERVERS

runs a member that prints each delivery, until it is killed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from confluent_kafka import Message, Producer

import ledger
from ledger import CursorAdvanced, CursorReset, Delivery, Ledger, Retry
from ledger.integrations import kafka
from support.kafka_cluster import KafkaCluster

__all__ = ["GROUP", "TOPIC", "Group", "Running", "config", "eventually", "produce"]

GROUP, TOPIC = "mailer", "orders"
WITHIN_S = 60
PROMPT = Retry(tries_max=3, wait_s=0.001, wait_max_s=0.002)


def config(servers: str, **more: Any) -> dict[str, Any]:
    """Return the settings of a member; a session is short, so that the dead are soon missed."""
    prompt = {"session.timeout.ms": 2_000, "heartbeat.interval.ms": 200, "fetch.wait.max.ms": 50}
    silent = {"log_level": 0}
    given = {name.replace("_", "."): value for name, value in more.items()}
    return {"bootstrap.servers": servers, "group.id": GROUP, **prompt, **silent, **given}


def produce(cluster: KafkaCluster, offsets: range, partitions: int) -> None:
    """Write a record for each of `offsets` into each partition."""
    producer = Producer({"bootstrap.servers": cluster.servers, "linger.ms": 1, "log_level": 0})
    for partition in range(partitions):
        for offset in offsets:
            producer.produce(TOPIC, f"{partition}/{offset}".encode(), partition=partition)
            producer.poll(0)
    assert producer.flush(WITHIN_S) == 0


def eventually(condition: Callable[[], object], *running: Running) -> None:
    """Wait until `condition` holds; a member that ends before that has failed."""
    until = time.monotonic() + WITHIN_S
    while not condition():
        for each in running:
            assert each.raised is None, repr(each.raised)
        assert time.monotonic() < until, "it got stuck"
        time.sleep(0.01)


class Running:
    """A member that runs in a thread."""

    def __init__(self, member: kafka.Member, deliver: Any, retry: Retry) -> None:
        self.member = member
        self.raised: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(deliver, retry))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.ended()

    def ended(self) -> BaseException | None:
        """Wait until it has ended; return what it raised."""
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive()
        return self.raised

    def _run(self, deliver: Any, retry: Retry) -> None:
        try:
            self.member.run(deliver, retry=retry, stop=self._stop)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.raised = error


@attrs.define
class Group:
    """A group on one topic, what its members delivered, and what must hold of it."""

    book: Ledger
    cluster: KafkaCluster
    partitions: int
    received: list[tuple[int, int]] = attrs.field(factory=list)
    """The partition and the offset of each record."""
    members: list[Running] = attrs.field(factory=list)

    def deliver(self, message: Message, _: Delivery) -> None:
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        assert message.value() == f"{partition}/{offset}".encode()
        self.received.append((partition, offset))

    def join(
        self,
        deliver: Callable[[Message, Delivery], None] | None = None,
        *,
        in_flight: int = 1,
        retry: Retry = PROMPT,
        heads_every_s: float = 0.05,
        **more: Any,
    ) -> Running:
        """Start one more member."""
        settings = config(self.cluster.servers, **more)
        member = kafka.Member(
            self.book, settings, [TOPIC], in_flight=in_flight, heads_every_s=heads_every_s
        )
        self.members.append(Running(member, deliver or self.deliver, retry))
        return self.members[-1]

    def is_at(self, offset: int) -> bool:
        """Return whether everything before `offset` is confirmed, in every partition."""
        cursors = list(self.book.cursors())
        at = [cursor.last_sequence for cursor in cursors]
        return at == [offset] * self.partitions

    def wait_until_at(self, offset: int) -> None:
        eventually(lambda: self.is_at(offset), *self.members)

    def repeated(self) -> dict[tuple[int, int], int]:
        """Return what was delivered more than once, and how often."""
        return {place: times for place, times in Counter(self.received).items() if times > 1}

    def passed_over(self) -> Iterator[str]:
        """Yield where an epoch of a cursor left something out."""
        for cursor in self.book.cursors():
            at = 0
            for entry in self.book.history(cursor.key):
                match entry.event:
                    case CursorReset(sequence=sequence):
                        at = sequence
                    case CursorAdvanced(sequence=sequence):
                        if sequence != at + 1:
                            yield f"{entry.key} version {entry.version}: {at}, then {sequence}"
                        at = sequence

    @contextmanager
    def ending(self) -> Iterator[Group]:
        """End all members with the block."""
        try:
            yield self
        finally:
            for member in self.members:
                member.stop()


def main(target: str, servers: str) -> None:
    def deliver(message: Message, _: Delivery) -> None:
        # At once, because other threads say something, too.
        os.write(1, f"{message.partition()} {message.offset()}\n".encode())
        time.sleep(0.002)

    with ledger.open(target, actor="mailer@web-2") as book:
        kafka.Member(book, config(servers), [TOPIC], in_flight=2).run(deliver)


if __name__ == "__main__":
    main(*sys.argv[1:])
