"""The mapping of a stream is kept in the ledger, as entries like any others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import (
    ActorRequiredError,
    CursorKey,
    CursorQuery,
    CursorReset,
    InvalidCursorError,
    Ledger,
    LedgerError,
    ResetReasonRequiredError,
    VersionConflictError,
)
from ledger.law.reserved import POSITIONS
from ledger.positions import PositionMapping
from support.callers import connected
from support.coroutines import asynchronous

KEY = CursorKey(POSITIONS, "orders")


def test_what_is_declared_is_kept(book: Ledger, target: str) -> None:
    assert book.positions.of("orders") is None
    declared = book.positions.declare(" orders ", "zero-based", actor="ines")
    assert (declared.stream_name, declared.mapping) == ("orders", PositionMapping.ZERO_BASED)
    assert declared.changes == 0
    with ledger.open(target) as again:
        assert again.positions.of("orders") is PositionMapping.ZERO_BASED
        assert list(again.positions.list()) == [declared]
        assert again.positions.of("invoices") is None
    [entry] = book.history(KEY)
    assert (entry.actor, entry.event.occurred_at) == ("ines", declared.declared_at)
    assert book.verify().ok


def test_to_declare_the_same_again_changes_nothing(book: Ledger) -> None:
    first = book.positions.declare("orders", PositionMapping.LSN)
    assert book.positions.declare("orders", "lsn", reason="again") == first
    assert len(list(book.history(KEY))) == 1


@pytest.mark.parametrize("reason", ["", " \n"])
def test_another_one_needs_a_reason(book: Ledger, reason: str) -> None:
    book.positions.declare("orders", "lsn")
    with pytest.raises(
        ResetReasonRequiredError, match=r"declared as lsn. .* zero-based"
    ) as refused:
        book.positions.declare("orders", "zero-based", reason=reason)
    assert refused.value.key == KEY
    assert book.positions.of("orders") is PositionMapping.LSN


def test_another_one_is_a_reset_with_its_reason_and_actor(book: Ledger) -> None:
    book.positions.declare("orders", "plain")
    changed = book.positions.declare("orders", "zero-based", reason="Kafka", actor="ines")
    assert (changed.mapping, changed.changes) == (PositionMapping.ZERO_BASED, 1)
    *_, last = book.history(KEY)
    assert isinstance(last.event, CursorReset)
    assert (last.event.reason, last.actor) == ("Kafka", "ines")
    back = book.positions.declare("orders", "plain", reason="no Kafka after all")
    assert (back.mapping, back.changes) == (PositionMapping.PLAIN, 2)
    assert book.verify().ok


def test_a_change_needs_an_actor(target: str) -> None:
    with ledger.open(target) as nobody:
        nobody.positions.declare("orders", "plain")
        with pytest.raises(ActorRequiredError):
            nobody.positions.declare("orders", "lsn", reason="PostgreSQL")


def test_a_ledger_that_requires_epochs_keeps_mappings_as_well(target: str) -> None:
    with ledger.open(target, actor="tester", require_epoch=True) as strict:
        assert strict.positions.declare("orders", "lsn").mapping is PositionMapping.LSN


def test_they_are_listed_by_stream_and_are_no_cursors_of_others(book: Ledger) -> None:
    for stream, mapping in (("b", "lsn"), ("a", "tokens"), ("ü", "plain")):
        book.positions.declare(stream, mapping)
    book.advance(CursorKey("mailer", "a"), to=1)
    assert [each.stream_name for each in book.positions.list()] == ["a", "b", "ü"]
    assert [str(cursor.key) for cursor in book.cursors()] == ["mailer/a"]
    assert len(list(book.cursors(CursorQuery(reserved=True)))) == 4


def test_an_entry_by_hand_that_names_no_mapping_is_none(book: Ledger) -> None:
    book.advance(KEY, to=7, delivery_id="kafka")
    assert book.positions.of("orders") is None
    assert list(book.positions.list()) == []
    assert book.positions.declare("orders", "zero-based").mapping is PositionMapping.ZERO_BASED
    assert book.positions.of("orders") is PositionMapping.ZERO_BASED


@pytest.mark.parametrize(
    ("stream", "mapping"), [("", "lsn"), ("\0", "lsn"), ("x" * 513, "lsn"), ("orders", "kafka")]
)
def test_what_cannot_be_declared_is_refused(book: Ledger, stream: str, mapping: str) -> None:
    with pytest.raises(InvalidCursorError):
        book.positions.declare(stream, mapping)
    assert list(book.positions.list()) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"reason": 5}, "reason must be text, not a int"),
        ({"reason": None}, "reason must be text, not nothing"),
        ({"reason": "x" * 4_097}, "reason has 4,097 characters"),
        ({"actor": 5}, "actor must be text, not a int"),
    ],
)
@pytest.mark.parametrize("mapping", ["plain", "lsn"])
def test_a_reason_and_an_actor_are_text(
    book: Ledger, mapping: str, given: dict[str, Any], said: str
) -> None:
    first = book.positions.declare("orders", "plain")
    with pytest.raises(InvalidCursorError, match=said):
        book.positions.declare("orders", mapping, **given)
    assert list(book.positions.list()) == [first]


def test_two_who_declare_the_same_at_once_agree_and_others_are_refused(target: str) -> None:
    barrier = threading.Barrier(8)
    names = ["lsn", "zero-based"] * 4

    def declare(name: str) -> tuple[str, LedgerError | None]:
        with ledger.open(target, actor=name) as book:
            barrier.wait()
            try:
                book.positions.declare("orders", name)
            except (VersionConflictError, ResetReasonRequiredError) as error:
                return name, error
            return name, None

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(declare, names))
    with ledger.open(target) as book:
        kept = book.positions.of("orders")
        assert kept is not None
        assert len(list(book.history(KEY))) == 1
    assert {name for name, error in answers if error is None} == {kept.value}
    assert sum(error is None for _, error in answers) == 4


@asynchronous
async def _declared_in_coroutines(target: str) -> None:
    async with ledger.aio.open(target, actor="ines") as book:
        assert await book.positions.of("orders") is None
        await book.positions.declare("orders", "lsn")
        first = await book.positions.declare("orders", "lsn")
        with pytest.raises(ResetReasonRequiredError):
            await book.positions.declare("orders", "plain")
        changed = await book.positions.declare("orders", "zero-based", reason="Kafka")
        assert (first.changes, changed.changes) == (0, 1)
        assert [each async for each in book.positions.list()] == [changed]
        assert await book.positions.of("orders") is PositionMapping.ZERO_BASED


def test_coroutines_declare_the_same(target: str) -> None:
    _declared_in_coroutines(target)


def test_a_declaration_is_part_of_the_caller_s_transaction(book: Ledger, target: str) -> None:
    with closing(connected(target)) as connection:
        book.using(connection).positions.declare("orders", "lsn")
        connection.rollback()
        assert book.positions.of("orders") is None
        book.using(connection).positions.declare("orders", "lsn")
        connection.commit()
    assert book.positions.of("orders") is PositionMapping.LSN
