"""A start is the first entry of its cursor, and no reset; on every store, and everywhere."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest

import ledger
import ledger.aio
from ledger import (
    ActorRequiredError,
    AdvanceCursor,
    BrokenChainError,
    CursorExistsError,
    CursorKey,
    CursorStarted,
    EntryQuery,
    InvalidCursorError,
    Ledger,
    NonMonotonicCursorError,
    Request,
    StaleEpochError,
    StartCursor,
    VersionConflictError,
)
from ledger.law import rules
from ledger.log.json import structure, unstructure
from ledger.stores.postgres.address import Address
from support.clock import Clock
from support.cursors import JOBS, ORDERS
from support.depth import thorough

T = datetime(2026, 5, 5, tzinfo=UTC)
SEQUENCE_MAX = 2**63 - 1
KAFKA: dict[str, Any] = {"source": "kafka group mailer", "reason": "moved from Kafka"}


@pytest.mark.parametrize("at", [0, 41, SEQUENCE_MAX])
def test_a_start_makes_the_cursor_and_leaves_the_epoch(book: Ledger, clock: Clock, at: int) -> None:
    cursor = book.start(
        ORDERS, at=at, delivery_id="d-9", delivered_at=T, metadata={"offset": "x"}, **KAFKA
    )
    assert attrs.asdict(cursor, recurse=False) == {
        "key": ORDERS,
        "last_sequence": at,
        "last_delivery_id": "d-9",
        "last_delivered_at": T,
        "last_error": "",
        "updated_at": clock.now,
        "version": 1,
        "epoch": 0,
    }
    [entry] = book.history(ORDERS)
    assert entry.event == CursorStarted(
        sequence=at,
        source="kafka group mailer",
        delivery_id="d-9",
        delivered_at=T,
        reason="moved from Kafka",
        occurred_at=clock.now,
    )
    assert (entry.actor, entry.epoch, dict(entry.metadata)) == ("tester", 0, {"offset": "x"})
    assert ledger.fold(book.history(ORDERS)) == book.get(ORDERS) == cursor
    assert book.verify().ok


def test_an_advance_goes_on_from_there_as_from_anywhere(book: Ledger) -> None:
    book.start(ORDERS, at=41, delivery_id="msg-41", **KAFKA)
    with pytest.raises(NonMonotonicCursorError):
        book.advance(ORDERS, to=40)
    with pytest.raises(NonMonotonicCursorError):
        book.advance(ORDERS, to=41, delivery_id="other")
    with pytest.raises(StaleEpochError):
        book.advance(ORDERS, to=42, epoch=1)
    assert book.advance(ORDERS, to=41, delivery_id="msg-41", epoch=0).version == 2
    assert book.advance(ORDERS, to=42, epoch=0, expected_version=2).last_sequence == 42
    assert book.reset(ORDERS, to=0, reason="all of it", actor="ines").epoch == 1
    assert book.verify().ok


MADE: list[Callable[[Ledger], object]] = [
    lambda book: book.advance(ORDERS, to=44, delivery_id="msg-44"),
    lambda book: book.reset(ORDERS, to=44, delivery_id="msg-44", reason="x"),
    lambda book: book.start(ORDERS, at=44, delivery_id="msg-44", **KAFKA),
]


@pytest.mark.parametrize("make", MADE)
def test_a_cursor_that_has_an_entry_cannot_start(
    book: Ledger, make: Callable[[Ledger], object]
) -> None:
    make(book)
    at = book.get(ORDERS)
    request = StartCursor(ORDERS, 41, "moved", source="kafka", actor="ines")
    with pytest.raises(CursorExistsError) as refused:
        book.append([request])
    assert (refused.value.current, refused.value.request) == (at, request)
    assert str(refused.value) == (
        "webhooks/orders/customer-7 is at 44 (msg-44), and has 1 entry, so it cannot start at 41: "
        "only the first entry of a cursor starts it. To move it there, reset it, with a reason."
    )
    assert book.get(ORDERS) == at


def test_an_error_alone_is_an_entry(book: Ledger) -> None:
    book.record_error(ORDERS, "HTTP 503")
    with pytest.raises(CursorExistsError, match=r"is at 0 \(no delivery id\), and has 1 entry"):
        book.start(ORDERS, at=0, **KAFKA)


def test_the_same_start_again_can_be_told_by_the_refusal_and_the_first_entry(book: Ledger) -> None:
    book.start(ORDERS, at=41, **KAFKA)
    book.advance(ORDERS, to=44)
    with pytest.raises(CursorExistsError) as refused:
        book.start(ORDERS, at=41, **KAFKA)
    asked = refused.value.request
    assert asked is not None
    first = next(book.history(asked.key)).event
    assert isinstance(first, CursorStarted)
    assert (first.sequence, first.source) == (asked.last_sequence, asked.source)


def test_a_start_in_a_group_is_appended_with_it_or_not_at_all(book: Ledger) -> None:
    start = StartCursor(ORDERS, 41, "moved", actor="ines")
    with pytest.raises(CursorExistsError):
        book.append([start, AdvanceCursor(ORDERS, 42), start])
    assert book.find(ORDERS) is None
    cursors = book.append([start, AdvanceCursor(ORDERS, 42)])
    assert [cursor.version for cursor in cursors] == [1, 2]
    answers = book.append_each([start, AdvanceCursor(ORDERS, 43), StartCursor(JOBS, 0, "new")])
    assert [type(answer).__name__ for answer in answers] == [
        "CursorExistsError",
        "Cursor",
        "Cursor",
    ]
    assert book.submit(StartCursor(CursorKey("new", "orders"), 7, "new")).result().version == 1


def test_an_advance_that_expects_no_cursor_meets_the_start(book: Ledger) -> None:
    book.start(ORDERS, at=41, **KAFKA)
    with pytest.raises(VersionConflictError):
        book.advance(ORDERS, to=42, expected_version=0)


def test_a_start_needs_an_actor(target: str) -> None:
    with ledger.open(target) as book:
        with pytest.raises(ActorRequiredError, match="A start of mailer/jobs needs an actor"):
            book.start(JOBS, at=1, **KAFKA)
        assert book.start(JOBS, at=1, actor="ines", **KAFKA).version == 1


WRONG: dict[str, dict[str, Any]] = {
    "at a negative place": {"at": -1},
    "too far": {"at": 2**63},
    "at a float": {"at": 1.0},
    "at a truth": {"at": True},
    "at a text": {"at": "41"},
    "at nothing": {"at": None},
    "without a reason": {"reason": " \t"},
    "for a reason that nobody sees": {"reason": "\u200b"},
    "for too long a reason": {"reason": "x" * 4_097},
    "from too long a source": {"source": "x" * 513},
    "from a source that nobody sees": {"source": "\u200b"},
    "from a NUL": {"source": "a\0b"},
    "from half a character": {"source": "\ud800"},
    "from a number": {"source": 7},
    "at a time without a zone": {"delivered_at": datetime(2026, 5, 5)},  # noqa: DTZ001
    "with metadata of numbers": {"metadata": {"a": 1}},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_no_start_can_have_is_refused_and_loses_nothing(
    book: Ledger, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidCursorError):
        book.start(ORDERS, **{"at": 41, **KAFKA, **wrong})
    assert book.find(ORDERS) is None
    assert book.start(ORDERS, at=41, **KAFKA).version == 1


def test_the_longest_and_oddest_values_are_kept(book: Ledger) -> None:
    source, reason = "消\U0001f600" * 256, "é\n\x1b[31m\u202e" + "y" * 4_000
    book.start(ORDERS, at=SEQUENCE_MAX, source=source, reason=reason)
    [entry] = book.history(ORDERS)
    assert isinstance(entry.event, CursorStarted)
    assert (entry.event.source, entry.event.reason) == (source, reason)
    assert book.verify().ok


def test_a_request_that_was_changed_by_force_is_refused(book: Ledger) -> None:
    for name, value in (("source", "\0"), ("reason", ""), ("last_sequence", "7"), ("source", None)):
        request = StartCursor(ORDERS, 41, "moved", source="kafka")
        object.__setattr__(request, name, value)
        with pytest.raises(InvalidCursorError, match="changed after it was made"):
            book.append([request])
    assert book.find(ORDERS) is None


def test_requests_and_entries_survive_json(book: Ledger) -> None:
    request = StartCursor(
        ORDERS, 41, "moved", source="kafka", last_delivery_id="d", last_delivered_at=T, now=T
    )
    plain = json.loads(json.dumps(unstructure(request)))
    assert plain["op"] == "start"
    assert structure(plain, Request) == structure(plain["start"], StartCursor) == request
    least: dict[str, Any] = {
        "op": "start",
        "start": {"key": plain["start"]["key"], "last_sequence": 0},
    }
    with pytest.raises(InvalidCursorError, match="reason is missing"):
        structure(least, Request)
    least["start"]["reason"] = "new"
    assert structure(least, Request) == StartCursor(ORDERS, 0, "new")
    book.append([request])
    [entry] = book.history(ORDERS)
    said = json.loads(json.dumps(unstructure(entry)))
    assert said["event"]["tag"] == "cursor.started.v1"
    assert structure(said, ledger.Entry) == entry


def test_it_is_found_by_its_kind_and_by_what_lies_before_it(book: Ledger) -> None:
    book.start(ORDERS, at=41, **KAFKA)
    book.advance(JOBS, to=44)
    book.advance(ORDERS, to=44)

    def positions(**query: Any) -> list[int]:
        return [entry.position for entry in book.entries(EntryQuery(**query))]

    first = next(book.history(ORDERS)).position
    assert positions(kinds=[CursorStarted]) == [first]
    assert positions(covering=41, key=ORDERS) == positions(covering=1, key=ORDERS) == [first]
    assert first not in positions(covering=42)


def test_a_log_whose_start_is_not_the_first_entry_breaks_the_law(book: Ledger) -> None:
    book.start(ORDERS, at=41, **KAFKA)
    [start] = book.history(ORDERS)
    at = book.get(ORDERS)
    assert rules.objection(None, start) == ""
    assert "is at version 1 already" in rules.objection(at, start)
    assert "without a reason or an actor" in rules.objection(None, attrs.evolve(start, actor=""))
    assert "epoch" in rules.objection(None, attrs.evolve(start, epoch=1))
    with pytest.raises(BrokenChainError):
        ledger.fold([start, attrs.evolve(start, version=2)])


def test_a_copy_keeps_it(book: Ledger, tmp_path: Path) -> None:
    book.start(ORDERS, at=41, **KAFKA)
    book.advance(ORDERS, to=44)
    with ledger.open(tmp_path / "copy.db") as copy, ledger.open(tmp_path / "back.db") as back:
        assert book.copy_to(copy).entries == 2
        assert copy.copy_to(back).checkpoint == book.checkpoint()
        assert list(back.entries()) == list(book.entries())
        assert back.verify().ok


def test_a_stored_cursor_is_made_anew_from_it(book: Ledger) -> None:
    book.start(ORDERS, at=41, **KAFKA)
    assert book.rebuild().cursors == 1
    assert book.get(ORDERS).last_sequence == 41


@contextmanager
def lent(target: str) -> Iterator[Any]:
    if target.startswith("postgres"):
        with Address.parse(target).connect() as server:
            server.autocommit = False
            yield server
    else:
        # As Django has it: an entry must name a tag that is there.
        file = sqlite3.connect(target)
        file.execute("PRAGMA foreign_keys = ON")
        yield file
        file.close()


def test_a_start_is_part_of_a_callers_transaction(book: Ledger, target: str) -> None:
    with lent(target) as connection:
        book.using(connection).start(ORDERS, at=41, **KAFKA)
        connection.rollback()
        assert book.find(ORDERS) is None
        within = book.using(connection)
        within.start(ORDERS, at=41, **KAFKA)
        with pytest.raises(CursorExistsError):
            within.start(ORDERS, at=41, **KAFKA)
        within.advance(ORDERS, to=42)
        connection.commit()
    assert book.get(ORDERS).version == 2
    assert book.verify().ok


def test_of_many_that_start_at_once_one_does(target: str) -> None:
    keys = [CursorKey("mailer", "orders", str(nth)) for nth in range(thorough(60, 12))]
    answers: list[Any] = []
    begin = threading.Barrier(4)

    def run(nth: int, own: Ledger) -> None:
        for key in keys:
            begin.wait()
            try:
                answers.append(own.start(key, at=nth, reason="race").version)
            except (CursorExistsError, psycopg.Error) as refused:
                answers.append(type(refused).__name__)

    with ledger.open(target, actor="a") as one, ledger.open(target, actor="b") as two:
        threads = [threading.Thread(target=run, args=(n, (one, two)[n % 2])) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers.count(1) == len(keys)
        assert answers.count("CursorExistsError") == 3 * len(keys)
        assert one.verify().ok


def test_coroutines_start_cursors_as_threads_do(target: str) -> None:
    async def main() -> None:
        async with ledger.aio.open(target, actor="ines") as book:
            cursor = await book.start(ORDERS, at=41, **KAFKA)
            assert (cursor.last_sequence, cursor.epoch, cursor.version) == (41, 0, 1)
            with pytest.raises(CursorExistsError):
                await book.start(ORDERS, at=41, **KAFKA)
            [answer] = await book.append_each([StartCursor(ORDERS, 7, "x")])
            assert isinstance(answer, CursorExistsError)
            async with book.consumer(ORDERS) as consumer, consumer.delivering(42):
                pass
            assert (await book.get(ORDERS)).last_sequence == 42

    asyncio.run(main())
