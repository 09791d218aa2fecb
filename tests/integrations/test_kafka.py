"""A consumer group whose offsets are in the ledger, over the protocol that librdkafka mocks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ledger import Delivery, Ledger
from projections import explain

confluent_kafka = pytest.importorskip(
    "confluent_kafka", reason="the client of Kafka, confluent-kafka, is not installed"
)

from ledger.integrations import kafka
from support import kafka_members
from support.kafka_cluster import KafkaCluster, kafka_cluster
from support.kafka_members import GROUP, TOPIC, Group, config, eventually, produce
from support.preloaded import COMMAND

STORES = "every"

PARTITIONS = 12
RECORDS = 25


@pytest.fixture
def cluster() -> Iterator[KafkaCluster]:
    with kafka_cluster() as cluster:
        yield cluster


@pytest.fixture
def group(book: Ledger, cluster: KafkaCluster) -> Iterator[Group]:
    """A group on a topic of one partition, which has offsets 0 to 24."""
    cluster.make_topic(TOPIC, 1)
    produce(cluster, range(RECORDS), 1)
    with Group(book, cluster, 1).ending() as group:
        yield group


def test_a_topic_of_twelve_partitions_is_shared_and_reset_by_one_command(
    book: Ledger, target: str, cluster: KafkaCluster
) -> None:
    """Nothing is lost, and while everybody lives, nothing is delivered twice."""
    cluster.make_topic(TOPIC, PARTITIONS)
    produce(cluster, range(RECORDS), PARTITIONS)
    with Group(book, cluster, PARTITIONS).ending() as group:
        first = group.join(in_flight=3)
        eventually(lambda: len(group.received) > 50, first)
        second = group.join()
        half = PARTITIONS // 2
        shares = [half, half]
        eventually(lambda: [len(each.member.assigned) for each in group.members] == shares)
        group.wait_until_at(RECORDS)
        assert not set(first.member.assigned) & set(second.member.assigned)
        assert group.repeated() == {}

        # Offset 0 was delivered and confirmed, by an entry that nothing else can be meant by.
        key = kafka.key_of(GROUP, TOPIC, 7)
        landed = explain(book.history(key), sequence=1)
        assert (landed.deliveries, landed.steps[0].entry.version) == (1, 1)
        assert landed.steps[0].entry.event.delivery_id == "orders[7]@0"  # type: ignore[union-attr]

        assert reset_everything(target, to=20) == 0
        group.wait_until_at(RECORDS)
        again = {(n, offset): 2 for n in range(PARTITIONS) for offset in range(20, RECORDS)}
        assert group.repeated() == again

        first.stop()
        eventually(lambda: len(second.member.assigned) == PARTITIONS, second)
        produce(cluster, range(RECORDS, 30), PARTITIONS)
        group.wait_until_at(30)
        assert group.repeated() == again
        assert len(set(group.received)) == 30 * PARTITIONS
        assert list(group.passed_over()) == []
        assert committed(cluster) == {confluent_kafka.OFFSET_INVALID}
    assert book.verify().ok


def test_what_is_being_delivered_when_it_is_taken_away_is_confirmed_first(
    book: Ledger, cluster: KafkaCluster
) -> None:
    cluster.make_topic(TOPIC, 2)
    produce(cluster, range(RECORDS), 2)
    with Group(book, cluster, 2).ending() as group:

        def deliver(message: Any, delivery: Delivery) -> None:
            group.deliver(message, delivery)
            if (message.partition(), message.offset()) == (0, 10):
                began.set()
                time.sleep(1)
                ended.set()

        began, ended = threading.Event(), threading.Event()
        first = group.join(deliver, session_timeout_ms=4_000)
        eventually(began.is_set, first)
        second = group.join(session_timeout_ms=4_000)
        eventually(lambda: first.member.assigned == (), first, second)
        assert ended.is_set()
        assert book.get(kafka.key_of(GROUP, TOPIC, 0)).last_sequence == 11
        group.wait_until_at(RECORDS)
        assert group.repeated() == {}


def test_partitions_that_are_assigned_one_by_one_are_shared_as_well(
    book: Ledger, cluster: KafkaCluster
) -> None:
    """The cooperative way leaves a member what it has, and takes the rest away."""
    cluster.make_topic(TOPIC, 4)
    produce(cluster, range(RECORDS), 4)
    cooperative = "cooperative-sticky"
    with Group(book, cluster, 4).ending() as group:
        first = group.join(partition_assignment_strategy=cooperative)
        group.wait_until_at(RECORDS)
        second = group.join(partition_assignment_strategy=cooperative)
        eventually(lambda: [len(each.member.assigned) for each in group.members] == [2, 2])
        produce(cluster, range(RECORDS, 50), 4)
        group.wait_until_at(50)
        assert group.repeated() == {}
        assert (first.raised, second.raised) == (None, None)


def reset_everything(target: str, to: int) -> int:
    chosen = ("--consumer", GROUP, "--stream", TOPIC, "--to", str(to))
    said = ("--reason", "mails bounced", "--actor", "ines", "--execute", "--yes")
    command = [str(COMMAND), "--db", target, "reset", *chosen, *said]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode


def committed(cluster: KafkaCluster) -> set[int]:
    """Return the offsets that Kafka has of the group."""
    client = confluent_kafka.Consumer(config(cluster.servers))
    partitions = [confluent_kafka.TopicPartition(TOPIC, n) for n in range(PARTITIONS)]
    try:
        return {each.offset for each in client.committed(partitions, timeout=10)}
    finally:
        client.close()


@pytest.mark.slow("a real server, or workers of one, are killed")
def test_a_member_that_is_killed_is_followed_by_another_from_where_the_ledger_is(
    book: Ledger, target: str, cluster: KafkaCluster
) -> None:
    cluster.make_topic(TOPIC, 3)
    produce(cluster, range(200), 3)
    command = [sys.executable, kafka_members.__file__, target, cluster.servers]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as killed:
        assert killed.stdout is not None
        said = [killed.stdout.readline() for _ in range(60)]
        killed.send_signal(signal.SIGKILL)
        said += killed.stdout.readlines()
    with Group(book, cluster, 3).ending() as group:
        group.received = [(int(part), int(offset)) for part, offset in map(str.split, said)]
        assert not group.is_at(200)
        group.join()
        group.wait_until_at(200)
        assert len(set(group.received)) == 600
        # What was in flight when it died: at most two of each partition.
        assert set(group.repeated().values()) <= {2}
        assert len(group.repeated()) <= 2 * 3
        assert list(group.passed_over()) == []


@pytest.mark.slow("a group of many thousands of records or cursors")
def test_resets_while_thousands_of_records_are_waiting_leave_nothing_out(group: Group) -> None:
    """What the client has at hand is of where the cursor was; it is told to pause before that."""
    produce(group.cluster, range(RECORDS, 1_700), 1)
    chance = random.Random(16)
    goes_on = threading.Event()

    def deliver(message: Any, delivery: Delivery) -> None:
        assert goes_on.wait(60)
        group.deliver(message, delivery)

    member = group.join(deliver, in_flight=4)
    key = kafka.key_of(GROUP, TOPIC, 0)
    eventually(lambda: any(each.paused for each in member.member._partitions.values()), member)
    [partition] = member.member._partitions.values()
    assert len(partition._records) < 2_000
    group.book.reset(key, to=2, reason="lost", actor="ines")
    goes_on.set()
    for version in range(100, 500, 100):
        eventually(lambda: group.book.get(key).version > version, member)  # noqa: B023
        to = chance.randrange(group.book.get(key).last_sequence + 200)
        group.book.reset(key, to=to, reason="lost", actor="ines")
    group.wait_until_at(1_700)
    assert list(group.passed_over()) == []
