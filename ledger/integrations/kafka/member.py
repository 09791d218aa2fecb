"""A member of a consumer group, whose offsets are those of the ledger."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ledger.consuming.callables import check_doing
from ledger.consuming.deliveries import checked_in_flight
from ledger.consuming.delivery import Delivery
from ledger.consuming.options import check_stop, checked_delivery_id, checked_retry
from ledger.consuming.retrying import Retry
from ledger.errors import InvalidCursorError, invalid
from ledger.integrations.kafka.heads import EVERY_S, Heads
from ledger.integrations.kafka.partition import Partition
from ledger.integrations.kafka.records import delivery_id_of, key_of, place_of
from ledger.law import fields
from ledger.law.cursor import CursorKey
from ledger.positions import PositionMapping
from ledger.service import Ledger

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, TopicPartition

__all__ = ["Member"]

POLL_S = 0.05
RECORDS_MAX = 500

# What is said of offsets is not Kafka's to say here.
OURS = {"enable.auto.commit": False, "enable.auto.offset.store": False}

# What the client tells, and gets over by itself.
PASSING = (
    "_PARTITION_EOF", "_MAX_POLL_EXCEEDED", "_ALL_BROKERS_DOWN", "_TRANSPORT", "_TIMED_OUT",
)  # fmt: skip

BEGINNINGS = ("earliest", "smallest", "beginning", "error")
"""What may happen where the offset after the cursor is not in the partition any more."""


class Member:
    """One member of the consumer group `group.id`, which delivers the records of `topics`.

    `config` is that of librdkafka. Each partition that the group assigns to this member has a
    cursor of its own in `book`: the group is its consumer, the topic its stream, the partition its
    subject. `in_flight` deliveries of each partition, from 1 to 10,000, may run at once.

    Nothing is committed to Kafka. A record is done when the ledger says so, and where a partition
    begins, or begins again after a reset of its cursor, the ledger says as well. The record at
    offset k is sequence k + 1: see `sequence_of`. That is declared for each topic, unless something
    else was, so that commands show offsets, too.

    `heads_every_s`, from 0 to 86,400 seconds, is how often the ends of the partitions are recorded
    as the heads of their streams, if they have moved, so that `lag` has something to compare with;
    0 means never.

    Raises InvalidCursorError if `config` has no group, or keeps offsets in Kafka, or passes over
    records where the ledger knows no offset; ImportError if the client is not installed.

    >>> import ledger
    >>> from ledger.integrations import kafka
    >>> config = {"bootstrap.servers": "localhost:9092", "group.id": "mailer"}
    >>> with ledger.open(":memory:", actor="mailer@web-1") as book:
    ...     member = kafka.Member(book, config, ["orders"])
    ...     member.assigned
    ()
    """

    def __init__(
        self,
        book: Ledger,
        config: Mapping[str, Any],
        topics: Iterable[str],
        *,
        in_flight: int = 1,
        heads_every_s: float = EVERY_S,
    ) -> None:
        given: object = book
        if not isinstance(given, Ledger):
            said = fields.kind(given)
            raise invalid("book", f"must be a Ledger, not {said}.", value=said)
        self._book = book
        self._config = _checked(config)
        self._group = str(self._config["group.id"])
        self._topics = _topics(topics)
        for topic in self._topics:
            key_of(self._group, topic, 0)  # Refused now, and not when it is assigned.
        self._in_flight = checked_in_flight(in_flight)
        self._client = _client()
        self._heads = Heads(book, self._client, heads_every_s)
        self._declared: set[str] = set()
        self._incremental = _is_incremental(self._config)
        self._partitions: dict[tuple[str, int], Partition] = {}
        self._start: Callable[[Partition], None] = Partition.stop
        self._running = threading.Lock()

    @property
    def assigned(self) -> tuple[CursorKey, ...]:
        """The keys of the partitions that are assigned to this member now."""
        return tuple(key_of(self._group, *place) for place in sorted(self._partitions.copy()))

    def run(
        self,
        deliver: Callable[[Message, Delivery], object],
        *,
        retry: Retry | None = None,
        stop: threading.Event | None = None,
        delivery_id: Callable[[Message], str] = delivery_id_of,
    ) -> None:
        """Join the group, deliver and confirm what is assigned, and leave when `stop` is set.

        `deliver(message, delivery)` delivers one record; records of one partition begin in their
        order, those of several at the same time, all in threads. `retry` is that of
        `Consumer.run`, and so is how a record that fails is delivered again. `delivery_id` names
        the delivery of a record.

        When a partition is taken away, what is being delivered of it ends first, and is confirmed.
        Give `deliver` a time-out that is shorter than `max.poll.interval.ms`.

        Raises what a record raised that was given up, what the ledger raises, and KafkaException
        for what the client does not get over by itself; InvalidCursorError if it runs already.
        """
        check_doing(deliver, "deliver", "Pass a plain function.")
        checked_delivery_id(delivery_id)
        retry = checked_retry(retry)
        stop = threading.Event() if stop is None else stop
        check_stop(stop, awaits=False)
        if not self._running.acquire(blocking=False):
            raise InvalidCursorError("this member runs already; make another one.")
        try:
            self._start = lambda partition: partition.start(deliver, retry, delivery_id)
            consumer = self._client.Consumer(self._config)
            try:
                consumer.subscribe(
                    self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke
                )
                while not stop.is_set():
                    self._round(consumer)
                _raise_failure(self._end(list(self._partitions)))
            finally:
                self._end(list(self._partitions))
                consumer.close()
        finally:
            self._running.release()

    # --- in the thread that runs it, which alone touches the client ---

    def _round(self, consumer: Consumer) -> None:
        came: dict[tuple[str, int], list[Message]] = defaultdict(list)
        for message in consumer.consume(RECORDS_MAX, POLL_S):
            if (error := message.error()) is not None:
                if error.name() not in PASSING and not error.retriable():
                    raise self._client.KafkaException(error)
                continue
            topic, number, _ = place_of(message)
            came[topic, number].append(message)
        _raise_failure(self._partitions.values())
        for place, partition in self._partitions.items():
            partition.put(came[place])
            self._steer(consumer, place, partition)
        self._heads.record(consumer, self._partitions)

    def _steer(self, consumer: Consumer, place: tuple[str, int], partition: Partition) -> None:
        """Seek where the partition wants to go on, and pause it while it has enough."""
        if (offset := partition.wanted()) is not None:
            try:
                consumer.seek(self._client.TopicPartition(*place, offset))
            except self._client.KafkaException as error:
                # It was assigned a moment ago, and nothing is fetched yet: in the next round.
                if error.args[0].name() != "_STATE":
                    raise
            else:
                partition.sought(offset)
        if partition.should_pause() is not partition.paused:
            turn = consumer.resume if partition.paused else consumer.pause
            turn([self._client.TopicPartition(*place)])
            partition.paused = not partition.paused

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        """Begin with what is assigned, each at the offset that the ledger has."""
        for each in assigned:
            self._declare(each.topic)
            place = each.topic, each.partition
            key = key_of(self._group, *place)
            self._partitions[place] = Partition(self._book, key, in_flight=self._in_flight)
            each.offset = self._partitions[place].begins_at
        if self._incremental:
            consumer.incremental_assign(assigned)
        else:
            consumer.assign(assigned)
        for each in assigned:
            self._start(self._partitions[each.topic, each.partition])

    def _declare(self, topic: str) -> None:
        """Keep in the ledger that its sequences are offsets, so that commands show these."""
        if topic not in self._declared and self._book.positions.of(topic) is None:
            self._book.positions.declare(topic, PositionMapping.ZERO_BASED)
        self._declared.add(topic)

    def _on_revoke(self, _: Consumer, revoked: list[TopicPartition]) -> None:
        """End what is taken away before another member has it."""
        _raise_failure(self._end([(each.topic, each.partition) for each in revoked]))

    def _end(self, places: list[tuple[str, int]]) -> list[Partition]:
        """End these, and return them, once what is being delivered of them is confirmed."""
        ended = [self._partitions[place] for place in places if place in self._partitions]
        for partition in ended:
            partition.stop()
        for partition in ended:
            partition.join()
        for place in places:
            self._partitions.pop(place, None)
        return ended


def _raise_failure(partitions: Iterable[Partition]) -> None:
    for partition in partitions:
        if partition.failure is not None:
            raise partition.failure


def _client() -> ModuleType:
    try:
        import confluent_kafka
    except ImportError as error:
        raise ImportError(
            "Members of a consumer group need the client of Confluent: "
            f"pip install '.[kafka]' in a clone of cursor-ledger ({error})."
        ) from error
    return confluent_kafka


def _checked(config: object) -> dict[str, Any]:
    if not isinstance(config, Mapping):
        said = fields.kind(config)
        raise invalid("config", f"must be a mapping of librdkafka's settings, not {said}.")
    ours = {**config}
    if not ours.get("group.id"):
        raise InvalidCursorError(
            'config has no "group.id"; it is the consumer in the keys of the cursors.'
        )
    for name, value in OURS.items():
        if ours.setdefault(name, value) is not value:
            raise InvalidCursorError(
                f'"{name}" must be False, because offsets are kept in the ledger; leave it out.'
            )
    beginning = ours.setdefault("auto.offset.reset", "earliest")
    if beginning not in BEGINNINGS:
        raise InvalidCursorError(
            f'"auto.offset.reset" must be one of {", ".join(BEGINNINGS)}, not {beginning!r:.80}: '
            "it would pass over records that the ledger does not know. To begin later, reset the "
            "cursor to there, with a reason."
        )
    return ours


def _topics(topics: object) -> list[str]:
    if isinstance(topics, str) or not isinstance(topics, Iterable):
        raise invalid("topics", f"must be names in a list, not {fields.shown(topics)}.")
    named = list(topics)
    if not named:
        raise invalid("topics", "must name at least one topic.")
    return named


def _is_incremental(config: Mapping[str, Any]) -> bool:
    """Return whether partitions are assigned by what changes, and not all anew each time."""
    strategies = str(config.get("partition.assignment.strategy", ""))
    return "cooperative" in strategies or config.get("group.protocol") == "consumer"
