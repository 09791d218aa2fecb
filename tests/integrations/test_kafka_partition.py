"""One partition of Kafka, and what may happen to it: records that fail, gaps, brokers that go."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger import (
    Delivery,
    GiveUp,
    InvalidCursorError,
    Ledger,
    NonMonotonicCursorError,
    Outcome,
    Retry,
)
from ledger.positions import PositionMapping
from projections import gaps, lag

confluent_kafka = pytest.importorskip(
    "confluent_kafka", reason="the client of Kafka, confluent-kafka, is not installed"
)

from ledger.integrations import kafka
from ledger.integrations.kafka.partition import Partition
from support.kafka_cluster import KafkaCluster, kafka_cluster
from support.kafka_members import GROUP, TOPIC, Group, config, eventually, produce
from support.preloaded import COMMAND

RECORDS = 25

NOBODY = config("127.0.0.1:1")


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


def test_the_ledger_knows_offsets_and_the_lag_while_kafka_knows_neither(group: Group) -> None:
    blocked = threading.Event()

    def deliver(message: Any, _: Delivery) -> None:
        assert message.offset() < 10 or blocked.wait(60)

    member = group.join(deliver)
    key = kafka.key_of(GROUP, TOPIC, 0)
    eventually(lambda: group.book.find(key) and group.book.get(key).last_sequence == 10, member)
    [behind] = lag(group.book)
    assert (behind.head, behind.behind) == (RECORDS, RECORDS - 10)
    assert group.book.positions.of(TOPIC) is PositionMapping.ZERO_BASED
    produce(group.cluster, range(RECORDS, 30), 1)
    blocked.set()
    group.wait_until_at(30)
    eventually(lambda: group.book.heads.get(TOPIC, "0").last_sequence == 30, member)
    [caught_up] = lag(group.book)
    assert caught_up.behind == 0
    heads = group.book.history(group.book.heads.get(TOPIC, "0").key)
    assert [entry.event.sequence for entry in heads][-1] == 30  # type: ignore[union-attr]
    assert len(list(group.book.history(group.book.heads.get(TOPIC, "0").key))) <= 7


def test_a_group_that_was_adopted_begins_at_its_committed_offset(
    group: Group, target: str, path: Path
) -> None:
    """The cursors that `adopt` starts are those that a member reads."""
    path.with_suffix(".csv").write_text(f'"{GROUP}","{TOPIC}",0,10\n')
    command = [
        str(COMMAND),
        "--db",
        target,
        "--actor",
        "ines",
        "adopt",
        str(path.with_suffix(".csv")),
    ]
    subprocess.run([*command, "--execute"], check=True, capture_output=True)
    group.join()
    group.wait_until_at(RECORDS)
    assert [offset for _, offset in group.received] == [*range(10, RECORDS)]


def test_what_was_declared_of_a_topic_stays(group: Group) -> None:
    group.book.positions.declare(TOPIC, "plain")
    group.join(heads_every_s=0)
    group.wait_until_at(RECORDS)
    assert group.book.positions.of(TOPIC) is PositionMapping.PLAIN
    assert list(group.book.heads.all()) == []


@pytest.mark.parametrize("seconds", [-1, "1", None, 1e9, float("nan"), True])
def test_heads_are_recorded_every_so_many_seconds(book: Ledger, seconds: Any) -> None:
    with pytest.raises(InvalidCursorError, match="heads_every_s must be from 0 to 86,400"):
        kafka.Member(book, NOBODY, [TOPIC], heads_every_s=seconds)


def test_a_record_that_fails_is_delivered_again_and_given_up_as_is_said(group: Group) -> None:
    def deliver(message: Any, delivery: Delivery) -> None:
        if message.offset() == 3 and delivery.tries < 3:
            raise ConnectionError("503")
        if message.offset() == 5:
            raise ValueError("422")
        group.deliver(message, delivery)

    group.join(deliver, retry=Retry(tries_max=3, wait_s=0.001, give_up=GiveUp.SKIP))
    group.wait_until_at(RECORDS)
    entries = list(group.book.history(kafka.key_of(GROUP, TOPIC, 0)))
    skipped = [entry for entry in entries if getattr(entry.event, "outcome", "") == Outcome.SKIPPED]
    assert [entry.event.sequence for entry in skipped] == [6]  # type: ignore[union-attr]
    assert [offset for _, offset in group.received] == [0, 1, 2, 3, 4, *range(6, RECORDS)]


def test_a_record_that_is_not_given_up_ends_the_member_with_its_error(group: Group) -> None:
    def deliver(message: Any, _: Delivery) -> None:
        if message.offset() == 5:
            raise ValueError("422")

    assert str(group.join(deliver).ended()) == "422"
    assert group.is_at(5)


def test_what_retention_took_away_is_a_gap_that_the_ledger_shows(group: Group) -> None:
    group.cluster.delete_before(TOPIC, 0, 10)
    group.join()
    group.wait_until_at(RECORDS)
    found = list(gaps(group.book.history(kafka.key_of(GROUP, TOPIC, 0))))
    assert [(gap.first, gap.last) for gap in found] == [(1, 10)]


def test_what_retention_took_away_ends_a_member_that_is_told_so(group: Group) -> None:
    group.cluster.delete_before(TOPIC, 0, 10)
    raised = group.join(auto_offset_reset="error").ended()
    assert isinstance(raised, confluent_kafka.KafkaException)
    assert "out of range" in str(raised)
    assert list(group.book.cursors()) == []


def test_a_cursor_beyond_the_end_of_its_partition_ends_the_member(group: Group) -> None:
    """The topic was made anew, so what is in it are other records."""
    key = kafka.key_of(GROUP, TOPIC, 0)
    group.book.advance(key, to=99)
    raised = group.join().ended()
    assert isinstance(raised, NonMonotonicCursorError)
    assert "1 would move it back" in str(raised)
    assert group.received == []


def test_a_member_that_was_overtaken_goes_on_from_where_the_other_is(group: Group) -> None:
    """It had stalled, and another has its partition by now; it does not know that yet."""
    key = kafka.key_of(GROUP, TOPIC, 0)

    def deliver(message: Any, delivery: Delivery) -> None:
        group.deliver(message, delivery)
        if message.offset() == 3:
            for sequence in range(4, 11):
                group.book.advance(key, to=sequence, delivery_id=f"orders[0]@{sequence - 1}")

    group.join(deliver)
    group.wait_until_at(RECORDS)
    assert [offset for _, offset in group.received] == [0, 1, 2, 3, *range(10, RECORDS)]


def test_a_member_that_was_overtaken_while_it_was_idle_goes_on_as_well(group: Group) -> None:
    group.join()
    group.wait_until_at(RECORDS)
    for sequence in range(RECORDS + 1, 31):
        group.book.advance(kafka.key_of(GROUP, TOPIC, 0), to=sequence)
    produce(group.cluster, range(RECORDS, 40), 1)
    group.wait_until_at(40)
    assert [offset for _, offset in group.received] == [*range(RECORDS), *range(30, 40)]


def test_records_that_come_before_a_seek_is_made_are_not_taken(book: Ledger) -> None:
    """They are of where the cursor was: what comes next must be what it was reset to."""

    def records(*offsets: int) -> list[Any]:
        return [confluent_kafka.Message(topic=TOPIC, partition=0, offset=n) for n in offsets]

    def taken(position: int) -> list[int | None]:
        return [message.offset() for message in partition._fetch(position)]

    partition = Partition(book, kafka.key_of(GROUP, TOPIC, 0), in_flight=1)
    partition.put(records(0, 1, 2))
    assert taken(0) == [0, 1, 2]
    partition.put(records(3, 4))
    assert taken(1) == []
    assert partition.wanted() == 1
    partition.put(records(5, 6))
    assert taken(1) == []
    partition.sought(1)
    assert partition.wanted() is None
    partition.put(records(1, 2))
    assert taken(1) == [1, 2]
    # Another was wanted while the seek was made.
    assert taken(0) == []
    partition.sought(1)
    assert partition.wanted() == 0


def test_brokers_that_go_and_come_back_cost_nothing(group: Group) -> None:
    member = group.join()
    group.wait_until_at(RECORDS)
    group.cluster.go_down()
    time.sleep(0.3)
    group.cluster.come_back()
    produce(group.cluster, range(RECORDS, 50), 1)
    group.wait_until_at(50)
    assert group.repeated() == {}
    assert member.raised is None


def test_a_topic_that_is_not_there_is_no_silence(book: Ledger, cluster: KafkaCluster) -> None:
    member = kafka.Member(book, config(cluster.servers), ["nowhere"])
    with pytest.raises(confluent_kafka.KafkaException, match="nowhere"):
        member.run(lambda *_: None)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("group.id", "", 'config has no "group.id"'),
        ("enable.auto.commit", True, "must be False, because offsets are kept in the ledger"),
        ("enable.auto.offset.store", "true", "must be False, because offsets are kept"),
        ("auto.offset.reset", "latest", "would pass over records that the ledger does not know"),
    ],
)
def test_settings_that_would_lose_records_are_refused(
    book: Ledger, setting: str, value: object, said: str
) -> None:
    with pytest.raises(InvalidCursorError, match=said):
        kafka.Member(book, {**NOBODY, setting: value}, [TOPIC])


@pytest.mark.parametrize("topics", [TOPIC, [], 7, ["orders\0"]])
def test_topics_are_names_in_a_list(book: Ledger, topics: Any) -> None:
    with pytest.raises(InvalidCursorError):
        kafka.Member(book, NOBODY, topics)


@pytest.mark.parametrize("given", [None, {"group.id": GROUP}, 7])
def test_settings_are_a_mapping_and_the_book_is_a_ledger(book: Ledger, given: Any) -> None:
    with pytest.raises(InvalidCursorError, match="config must be a mapping"):
        kafka.Member(book, [given], [TOPIC])  # type: ignore[arg-type]
    with pytest.raises(InvalidCursorError, match="book must be a Ledger, not"):
        kafka.Member(given, NOBODY, [TOPIC])


def test_a_member_runs_once_at_a_time(group: Group) -> None:
    running = group.join()
    group.wait_until_at(RECORDS)
    with pytest.raises(InvalidCursorError, match="runs already"):
        running.member.run(group.deliver)


def test_without_the_client_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['confluent_kafka'] = None; import ledger\n"
        "assert 'ledger.integrations' not in sys.modules\n"
        "from ledger.integrations import kafka\n"
        "with ledger.open(':memory:') as book:\n"
        "    kafka.Member(book, {'group.id': 'mailer'}, ['orders'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "ImportError: Members of a consumer group need" in done.stderr
    assert "pip install '.[kafka]'" in done.stderr


def test_a_message_that_was_read_from_nowhere_has_no_sequence() -> None:
    with pytest.raises(InvalidCursorError, match="no topic, partition and offset"):
        kafka.sequence_of(confluent_kafka.Message())


def test_a_member_whose_function_would_be_awaited_does_not_join(book: Ledger) -> None:
    async def deliver(_: Any, __: Delivery) -> None: ...

    with pytest.raises(InvalidCursorError, match="deliver is an `async def`"):
        kafka.Member(book, NOBODY, [TOPIC]).run(deliver)


@pytest.mark.parametrize("option", ["retry", "stop", "delivery_id"])
def test_a_member_that_was_given_a_wrong_option_does_not_join(book: Ledger, option: str) -> None:
    options: dict[str, Any] = {option: 3}
    with pytest.raises(InvalidCursorError, match=f"^{option} must be"):
        kafka.Member(book, NOBODY, [TOPIC]).run(lambda *_: None, **options)
